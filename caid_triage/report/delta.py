"""delta.csv and delta.json: what matching a stored case again changed, file by file and in figures."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from caid_triage.case.rows import DeltaRow
from caid_triage.case.view import CaseView
from caid_triage.report.manifest import MANIFEST, file_sha256
from caid_triage.report.rows_csv import write_rows


def write_delta_rows(view: CaseView, out: TextIO) -> None:
    """Write one row for each file and hash set of which a re-grading says something else than before."""
    write_rows(out, DeltaRow, view.delta())


def write_delta(view: CaseView, out: TextIO) -> None:
    """Write the figures of every re-grading, oldest first."""
    json.dump(delta(view), out, indent=2, ensure_ascii=False)
    out.write("\n")


def delta(view: CaseView) -> dict[str, Any]:
    """The content of delta.json as plain values."""
    return {"case": view.header.reference, "regrades": [asdict(row) for row in view.regrades()]}


def tells_of(reports: Path, regrade: int) -> bool:
    """Whether the reports in a folder were written, whole, after the re-grading of that number."""
    path = reports / "delta.json"
    try:
        # The manifest is put in place last: while it has another digest, the reports before it are of two moments.
        if f"{file_sha256(path)}  {path.name}" not in (reports / MANIFEST).read_text(encoding="utf-8").splitlines():
            return False
        told = json.loads(path.read_text(encoding="utf-8"))["regrades"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return any(row.get("regrade") == regrade for row in told if isinstance(row, dict))
