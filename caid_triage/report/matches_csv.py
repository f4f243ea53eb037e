"""matches.csv: one row per FileEntry and match with notable material."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TextIO

from caid_triage.case.rows import MatchRow
from caid_triage.case.view import CaseView
from caid_triage.model import Tier, tier_of
from caid_triage.report.locations import place_columns
from caid_triage.report.near import Chance
from caid_triage.report.rows_csv import write_rows
from caid_triage.report.text import path_bytes

# Behind the columns of earlier versions.
STATED_COLUMNS: Mapping[str, Callable[[MatchRow], object]] = {
    "stated": lambda row: row.stated,
    "series": lambda row: row.series,
    "path_bytes": path_bytes,
}


def tier(row: MatchRow) -> Tier | None:
    """The tier of a near match."""
    return tier_of(row.match_kind, row.algorithm, row.distance)


def match_columns(view: CaseView) -> dict[str, Callable[[Any], object]]:
    """The columns that the list of matches has behind the fields of its rows, in every format."""
    return {"expected_chance": Chance(view).of_match, "tier": tier, **place_columns(), **STATED_COLUMNS}


def write_matches(view: CaseView, out: TextIO) -> None:
    """Write the list of every match, exact ones and leads, each lead with what chance alone would make."""
    write_rows(out, MatchRow, view.matches(), match_columns(view))
