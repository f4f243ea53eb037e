"""files.csv: one row per FileEntry stored, known or not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TextIO

from caid_triage.case.rows import FileRow
from caid_triage.case.view import CaseView
from caid_triage.report.rows_csv import write_rows
from caid_triage.report.text import path_bytes

# Behind the columns of earlier versions, in every list of all files.
EXACT_COLUMNS: Mapping[str, Callable[[FileRow], object]] = MappingProxyType({"path_bytes": path_bytes})


def write_files(view: CaseView, out: TextIO) -> None:
    """Write the list of every file of the case."""
    write_rows(out, FileRow, view.files(), EXACT_COLUMNS)
