"""How values are spelled in reports: one spelling each, the same in every format."""

from __future__ import annotations

from datetime import datetime
from enum import Enum

from caid_triage.case.exchange import ExchangeRow
from caid_triage.case.rows import FileRow, MatchRow
from caid_triage.model import Decision
from caid_triage.report.guard import guarded
from caid_triage.visible import shown

__all__ = ["brief", "cell", "contents_of", "cut", "files_of", "iso", "number", "path_bytes", "shown", "size", "spelled"]

LONGEST_PATH = 400
LONGEST_TEXT = 1000


def iso(moment: datetime | None) -> str:
    """ISO 8601 in UTC, "2020-01-02T03:04:05Z"; with a fraction only when there is one; "" for an unknown time."""
    return "" if moment is None else moment.isoformat().replace("+00:00", "Z")


def cell(value: object) -> str | int | float:
    """A value as a CSV cell: as :func:`spelled`, and text that no spreadsheet runs."""
    said = spelled(value)
    return guarded(said) if isinstance(said, str) and not isinstance(value, bytes | datetime | Enum) else said


def spelled(value: object) -> str | int | float:
    """A value as a list has it: digests in lower-case hex, unknown as empty, text as it is."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, Decision):
        return f"{value.category.label} [{value.category.scheme}], {value.examiner}, {iso(value.decided)}"
    if isinstance(value, tuple):
        return ";".join(value)
    if isinstance(value, int | float):
        return value
    raise TypeError(f"no spelling for {type(value).__name__}")


def path_bytes(row: FileRow | MatchRow | ExchangeRow) -> str | None:
    """The bytes of a file's path in hex where the readable path is not these bytes in UTF-8; None where it is."""
    return None if row.path.encode("utf-8") == row.raw_path else row.raw_path.hex()


def brief(path: str) -> str:
    """A path as a page has room for it: of a very long one its beginning and its end. The lists have it whole."""
    if len(path) <= LONGEST_PATH:
        return path
    half = LONGEST_PATH // 2
    return f"{path[:half]} [... {number(len(path) - 2 * half)} characters, see matches.csv ...] {path[-half:]}"


def cut(value: str) -> str:
    """A text of any length as a page has room for it: who chooses it could fill the page. The lists have it whole."""
    if len(value) <= LONGEST_TEXT:
        return value
    half = LONGEST_TEXT // 2
    return f"{value[:half]} [... {number(len(value) - 2 * half)} more characters ...] {value[-half:]}"


def number(value: int) -> str:
    """A count with its thousands apart: 1,234,567."""
    return f"{value:,}"


def size(value: int | None) -> str:
    """Bytes for a reader: exact below a kilobyte, else three figures in decimal units, as disks are sold."""
    if value is None:
        return "not known"
    if value < 1000:
        return f"{value} bytes"
    amount = float(value)
    for unit in ("kB", "MB", "GB", "TB"):
        amount /= 1000
        if amount < 999.5 or unit == "TB":
            break
    return f"{amount:.3g} {unit}" if amount < 1000 else f"{amount:,.0f} {unit}"


def files_of(count: int) -> str:
    """So many files, in words."""
    return f"{number(count)} file{'' if count == 1 else 's'}"


def contents_of(count: int) -> str:
    """So many different contents, in words."""
    return f"{number(count)} different content{'' if count == 1 else 's'}"
