"""c4p.xml and c4m.xml: the pictures and the films of a case as C4P and C4M read them, each occurrence a record.

The format is no public standard: the elements, their order, UTF-16LE with a mark and lines that end in CR LF are those
that Clees4All writes for Griffeye (docs/formats/interchange.md). No picture is exported: ``path`` is empty.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import BinaryIO

from caid_triage.case.exchange import ExchangeRow
from caid_triage.case.view import CaseView
from caid_triage.model import Kind
from caid_triage.report.exchange import Grade, Grades, exact_path
from caid_triage.report.xml_text import cdata, escaped

ENCODING = "utf-16-le"
BYTE_ORDER_MARK = b"\xff\xfe"
SECTOR = 512
_FILETIME_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)


def write_c4p(view: CaseView, out: BinaryIO) -> None:
    """Write every picture that has an MD5."""
    _write(view, out, Kind.IMAGE)


def write_c4m(view: CaseView, out: BinaryIO) -> None:
    """Write every film that has an MD5."""
    _write(view, out, Kind.VIDEO)


def _write(view: CaseView, out: BinaryIO, kind: Kind) -> None:
    grades = Grades(view)
    tool = view.header.made_with
    out.write(BYTE_ORDER_MARK)
    _put(out, '<?xml version="1.0"  encoding="utf-16"?>')
    _put(out, f'\t<ReportIndex version="2.0" source="{escaped(tool)}" dll="{escaped(tool)}">')
    number = 0
    for row in view.exchange_files():
        if row.kind is kind and row.md5 is not None:
            number += 1
            _put(out, "\r\n".join(_record(row, grades.of(row), number, row.md5.hex().upper())))
    _put(out, "</ReportIndex>")


def _record(row: ExchangeRow, grade: Grade, number: int, md5: str) -> list[str]:
    is_picture = row.kind is Kind.IMAGE
    tag = "Image" if is_picture else "Movie"
    state = row.state if row.container_state is None else f"{row.state} in a file that is {row.container_state}"
    fields = {
        "path": cdata(""),
        "picture" if is_picture else "movie": md5,
        "category": str(grade.number or 0),
        "id": str(number),
        "fileoffset": "0",
        "fullpath": cdata(f"{row.source}/{row.volume}{exact_path(row.raw_path, row.path)}"),
        "created": filetime(row.created),
        "accessed": filetime(row.accessed),
        "written": filetime(row.modified),
        "deleted": filetime(None),
        "hash": md5,
        "encaseHash": "0",
        "myDescription": cdata(f"{row.exhibit}: {state}"),
        "physicalLocation": str((row.physical_offset or 0) // SECTOR),
        "myUnique": "0",
        "tagged": "0",
        "subCat": "",
        "notes": cdata(grade.remark) if grade.remark else "",
        "fileSize": str(row.size or 0),
        **({"bitDepth": "", "aspectRatio": ""} if is_picture else {}),
    }
    lines = [f"\t\t\t<{name}>{value}</{name}>" for name, value in fields.items()]
    return [f"\t\t<{tag}>", *lines, f"\t\t</{tag}>"]


def filetime(moment: datetime | None) -> str:
    """A time as FILETIME has it: units of 100 nanoseconds since 1601 (UTC); 0 where it is not known, or earlier."""
    if moment is None or moment < _FILETIME_EPOCH:
        return "0"
    return str((moment - _FILETIME_EPOCH) // timedelta(microseconds=1) * 10)


def _put(out: BinaryIO, line: str) -> None:
    out.write(f"{line}\r\n".encode(ENCODING))
