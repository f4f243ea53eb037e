"""files.csv: one row per FileEntry stored, known or not."""

from __future__ import annotations

from typing import TextIO

from caid_triage.case.rows import FileRow
from caid_triage.case.view import CaseView
from caid_triage.report.rows_csv import write_rows


def write_files(view: CaseView, out: TextIO) -> None:
    """Write the list of every file of the case."""
    write_rows(out, FileRow, view.files())
