"""ledger.csv: what became of every byte of each source, one row a range; the ranges of a source tile it."""

from __future__ import annotations

from typing import TextIO

from caid_triage.case.rows import LedgerRow
from caid_triage.case.view import CaseView
from caid_triage.report.rows_csv import write_rows


def write_ledger(view: CaseView, out: TextIO) -> None:
    """Write the ledgers of all sources."""
    write_rows(out, LedgerRow, view.ledger_rows())
