"""matches.csv: one row per FileEntry and match with notable material."""

from __future__ import annotations

from typing import TextIO

from caid_triage.case.rows import MatchRow
from caid_triage.case.view import CaseView
from caid_triage.model import Tier, tier_of
from caid_triage.report.locations import place_columns
from caid_triage.report.near import Chance
from caid_triage.report.rows_csv import write_rows


def tier(row: MatchRow) -> Tier | None:
    """The tier of a near match."""
    return tier_of(row.match_kind, row.algorithm, row.distance)


def write_matches(view: CaseView, out: TextIO) -> None:
    """Write the list of every match, exact ones and leads, each lead with what chance alone would make."""
    chance = Chance(view)
    write_rows(out, MatchRow, view.matches(), {"expected_chance": chance.of_match, "tier": tier, **place_columns()})
