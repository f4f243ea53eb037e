"""Typed rows to CSV: the columns are the fields of the row type, in their order.

UTF-8 without BOM, a header row, lines end in "\\n". Nothing of the evidence is altered: a file name that begins with
"=", "+", "-" or "@" is written as it is, so a spreadsheet must import the columns as text (docs/formats/reports.md).
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any, TextIO

from caid_triage.report.text import cell

NOTHING_MORE: Mapping[str, Callable[[Any], object]] = MappingProxyType({})


def write_rows(
    out: TextIO, row_type: type, rows: Iterable[Any], more: Mapping[str, Callable[[Any], object]] = NOTHING_MORE
) -> None:
    """Write the header and every row; ``more`` are further columns at the end, made from the row.

    A field that ``more`` names too stands there instead of in its own place.
    """
    names = [field.name for field in fields(row_type) if field.metadata.get("column", True) and field.name not in more]
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*names, *more])
    writer.writerows(
        [*(cell(getattr(row, name)) for name in names), *(cell(make(row)) for make in more.values())] for row in rows
    )
