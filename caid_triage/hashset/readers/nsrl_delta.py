"""NSRL RDS 3 delta scripts (.sql): their INSERT statements are read as data; the script is never run."""

from __future__ import annotations

import re
from collections.abc import Iterator

from caid_triage.hashset.readers.fields import UnusableError, byte_size, set_hash
from caid_triage.hashset.readers.text_lines import lines
from caid_triage.hashset.rows import Row, SourceFile, head_text
from caid_triage.model import RefusedRow

_START = re.compile(r"(?:\s|--[^\n]*\n)*(?:BEGIN|PRAGMA|INSERT|DELETE|UPDATE|CREATE|ATTACH|DROP)\b", re.IGNORECASE)
_INSERT = re.compile(r'\s*INSERT\s+(?:OR\s+\w+\s+)?INTO\s+"?(\w+)"?\s*(?:\(([^)]*)\)\s*)?VALUES\s*', re.I)
_CHANGE = re.compile(r'\s*(?:DELETE\s+FROM|UPDATE)\s+"?(?:FILE|METADATA)"?\b', re.I)
_VALUE = re.compile(r"\s*(?:'((?:[^']|'')*+)'|([-+.\w]*))\s*([,)])")
_NOT_APPLIED = "DELETE or UPDATE is not applied, the row stays in the set: apply it to the database and import that"
_HEX = re.compile(r"[0-9A-Fa-f]+")
_TABLES = {"file", "metadata"}
_MAX_STATEMENT = 1 << 20
_SIZES = {"file": ("file_size", "bytes"), "metadata": ("bytes", "file_size")}
# Without a list of columns: where the three digests stand together, longest or shortest first.
_TOGETHER = {(64, 40, 32): ("sha256", "sha1", "md5"), (32, 40, 64): ("md5", "sha1", "sha256")}


class NsrlDeltaReader:
    """Reads what a delta adds to FILE and METADATA, to be merged with the set it belongs to.

    What it deletes or changes there is counted as refused. Of NIST's scripts only INSERT statements are publicly shown
    (one a line, all seven columns of FILE named). And a DELETE could not be followed: it names one of the many rows
    that a digest has in FILE by its file name and package, which no record keeps; the digest may well stay listed.
    """

    name = "nsrl-delta"
    title = "NSRL RDS 3 delta (SQL script)"

    def detects(self, head: bytes) -> bool:
        """Whether the text is an SQL script that inserts rows."""
        text = head_text(head)
        return (
            _START.match(text) is not None
            and re.search(r"\bINSERT\b[^;]{0,80}\bINTO\b", text, re.IGNORECASE) is not None
        )

    def read(self, source: SourceFile) -> Iterator[Row | RefusedRow]:
        """A Row an inserted file; refused ones carry the line at which their statement begins."""
        for number, statement in _statements(source):
            position = f"line {number}"
            if _CHANGE.match(statement):
                yield RefusedRow(source.name, position, _NOT_APPLIED)
                continue
            insert = _INSERT.match(statement)
            if insert is None or insert[1].lower() not in _TABLES:
                continue
            names = [name.strip().strip('"').lower() for name in (insert[2] or "").split(",") if name.strip()]
            place = insert.end()
            while place < len(statement) and statement[place] == "(":
                try:
                    values, place = _values(statement, place + 1)
                    row = _row(insert[1].lower(), names, values)
                except UnusableError as error:
                    yield RefusedRow(source.name, position, str(error))
                    break
                row.position = position
                yield row
                rest = re.compile(r"\s*,\s*").match(statement, place)
                place = rest.end() if rest else len(statement)


def _statements(source: SourceFile) -> Iterator[tuple[int, str]]:
    """(line at which it begins, text) of every statement; an even number of quotes and a ";" end it."""
    parts: list[str] = []
    begin = quotes = length = 0
    for number, line in enumerate(lines(source), 1):
        if not parts:
            if not line.strip() or line.lstrip().startswith("--"):
                continue
            begin, quotes, length = number, 0, 0
        length += len(line)
        quotes += line.count("'")
        if length <= _MAX_STATEMENT:
            parts.append(line)
        if quotes % 2 == 0 and line.rstrip().endswith(";"):
            yield begin, "".join(parts)
            parts = []
    if parts:
        yield begin, "".join(parts)


def _values(statement: str, place: int) -> tuple[list[str], int]:
    """The values of one row from behind its "(", and where it ends."""
    values: list[str] = []
    while match := _VALUE.match(statement, place):
        values.append(
            match[1].replace("''", "'") if match[1] is not None else "" if match[2].upper() == "NULL" else match[2]
        )
        place = match.end()
        if match[3] == ")":
            return values, place
    raise UnusableError("the statement is not INSERT with plain values")


def _row(table: str, names: list[str], values: list[str]) -> Row:
    """The Row of the values; UnusableError if no digest is found in them."""
    row = Row()
    if names:
        if len(names) != len(values):
            raise UnusableError("as many values as columns are needed")
        named = dict(zip(names, values, strict=True))
        for name in ("md5", "sha1", "sha256"):
            set_hash(row, name, named.get(name, ""))
        row.size = byte_size(next((named[name] for name in _SIZES[table] if name in named), ""))
    else:
        lengths = [len(value) if _HEX.fullmatch(value) else 0 for value in values]
        for place in range(len(values) - 2):
            order = _TOGETHER.get((lengths[place], lengths[place + 1], lengths[place + 2]))
            if order:
                for name, value in zip(order, values[place : place + 3], strict=True):
                    set_hash(row, name, value)
                break
    if not row.has_hash:
        raise UnusableError("no hash in the row")
    return row
