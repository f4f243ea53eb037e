"""files.jsonl: one JSON object a file, with all that files.csv has of it, its matches and the examiner's decision.

For programs: nothing is put before what a spreadsheet would run, and a name is exact. Every character that is not
ASCII is escaped, so that a line of the file is a line for every program, and a terminal shows it as it is.
"""

from __future__ import annotations

import base64
import json
from dataclasses import fields
from datetime import datetime
from typing import Any, TextIO

from caid_triage.case.exchange import ExchangeMatch, ExchangeRow, key_of
from caid_triage.case.rows import FileRow
from caid_triage.case.view import CaseView
from caid_triage.model import Decision, tier_of
from caid_triage.report.exchange import is_deleted
from caid_triage.report.files_csv import EXACT_COLUMNS
from caid_triage.report.rows_csv import row_columns
from caid_triage.report.text import iso

OF_FILES_CSV = row_columns(FileRow, EXACT_COLUMNS)
OF_MATCH = tuple(field.name for field in fields(ExchangeMatch) if field.name != "id")


def write_jsonl(view: CaseView, out: TextIO) -> None:
    """Write every file of the case, in report order; memory does not grow with the case."""
    matches = view.exchange_matches()
    pending = next(matches, None)
    for row in view.exchange_files():
        met = []
        while pending is not None and pending.id == row.id:
            met.append(_match(pending))
            pending = next(matches, None)
        out.write(json.dumps(_file(row, met), separators=(",", ":")) + "\n")


def _file(row: ExchangeRow, met: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": row.key,
        **{name: plain(make(row)) for name, make in OF_FILES_CSV.items()},
        **_exact(row),
        "inode": row.inode,
        "times_note": row.zone_note,
        "lies_in": None if row.holder_id is None else key_of(row.holder_id),
        "removed": row.removed,
        "in_use": row.in_use,
        "is_deleted": is_deleted(row),
        "matches": met,
        "decision": None if row.decision is None else _decision(row.decision),
    }


def _exact(row: ExchangeRow) -> dict[str, str | None]:
    """The name's own bytes: as text, or in base64 where they are no UTF-8."""
    try:
        return {"exact_path": row.raw_path.decode("utf-8"), "exact_path_base64": None}
    except UnicodeDecodeError:
        return {"exact_path": None, "exact_path_base64": base64.b64encode(row.raw_path).decode("ascii")}


def _match(match: ExchangeMatch) -> dict[str, Any]:
    found = {name: plain(getattr(match, name)) for name in OF_MATCH}
    return {**found, "tier": plain(tier_of(match.match_kind, match.algorithm, match.distance))}


def _decision(decision: Decision) -> dict[str, Any]:
    category = decision.category
    return {
        "category_code": category.code,
        "category_label": category.label,
        "scheme": category.scheme,
        "examiner": decision.examiner,
        "decided": iso(decision.decided),
        "note": decision.note,
    }


def plain(value: Any) -> Any:
    """A value as JSON has it: digests in lower-case hex, times in ISO 8601, what is not known as null."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime):
        return iso(value)
    return list(value) if isinstance(value, tuple) else value
