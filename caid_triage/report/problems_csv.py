"""problems.csv: one row per Problem: what could not be examined in full, where and why."""

from __future__ import annotations

from typing import TextIO

from caid_triage.case.rows import ProblemRow
from caid_triage.case.view import CaseView
from caid_triage.report.rows_csv import write_rows


def write_problems(view: CaseView, out: TextIO) -> None:
    """Write the list of every problem and note."""
    write_rows(out, ProblemRow, view.problems())
