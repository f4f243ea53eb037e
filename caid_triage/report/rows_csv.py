"""Typed rows to CSV: the columns are the fields of the row type, in their order.

UTF-8 without BOM, a header row, lines end in "\\n". A text that a spreadsheet would take for a formula has an
apostrophe before it, which :func:`caid_triage.report.guard.unguarded` takes away again (docs/formats/reports.md).
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Protocol, TextIO

from caid_triage.report.text import cell

NOTHING_MORE: Mapping[str, Callable[[Any], object]] = MappingProxyType({})


class _Writer(Protocol):
    """What csv.writer gives."""

    def writerow(self, row: Iterable[object], /) -> object: ...

    def writerows(self, rows: Iterable[Iterable[object]], /) -> None: ...


class _EndingInLF:
    """Ends each row in LF. csv.writer quotes a CR only where its own lines end in one, so it writes CRLF: a CR that

    is not quoted ends a row for whoever reads it, and a forged row could follow.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, row: str) -> int:
        """Write one row, which ends in CRLF."""
        return self._out.write(row[:-2] + "\n")


def csv_writer(out: TextIO) -> _Writer:
    """A writer of rows: fields quoted where they need it, lines end in LF."""
    return csv.writer(_EndingInLF(out), lineterminator="\r\n")


def write_rows(
    out: TextIO, row_type: type, rows: Iterable[Any], more: Mapping[str, Callable[[Any], object]] = NOTHING_MORE
) -> None:
    """Write the header and every row; ``more`` are further columns at the end, made from the row.

    A field that ``more`` names too stands there instead of in its own place.
    """
    columns = row_columns(row_type, more)
    makers = list(columns.values())
    writer = csv_writer(out)
    writer.writerow(columns)
    writer.writerows([cell(make(row)) for make in makers] for row in rows)


def row_columns(
    row_type: type, more: Mapping[str, Callable[[Any], object]] = NOTHING_MORE
) -> dict[str, Callable[[Any], object]]:
    """The columns of a list of such rows, in their order, each with what makes its value of a row."""
    names = [field.name for field in fields(row_type) if field.metadata.get("column", True) and field.name not in more]
    return {name: attrgetter(name) for name in names} | dict(more)
