"""CSV or TSV with a header: md5, sha1, sha256, pdq, phash, category, media_id, size ... in any case and order."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator

from caid_triage.errors import HashSetError
from caid_triage.hashset.readers.fields import (
    SHOWN_AS,
    UnusableError,
    byte_size,
    is_true,
    photodna_bytes,
    quality_of,
    set_hash,
    set_hash_by_length,
)
from caid_triage.hashset.rows import RecordFlag, Row, SourceFile, head_text
from caid_triage.model import RefusedRow

_HASHES = {
    "md5": "md5", "md5hash": "md5",
    "sha1": "sha1", "sha1hash": "sha1",
    "sha256": "sha256", "sha256hash": "sha256",
    "pdq": "pdq", "pdqhash": "pdq",
    "phash": "phash",
    "hash": "hash", "hashvalue": "hash",
}  # fmt: skip
_OTHERS = {
    "photodna": "photodna",
    "category": "category", "cat": "category",
    "mediaid": "media_id", "imageid": "media_id",
    "size": "size", "mediasize": "size", "filesize": "size",
    "pdqquality": "quality", "quality": "quality",
    "series": "series", "seriesname": "series",
    "victimidentified": "victimidentified",
    "offenderidentified": "offenderidentified",
    "isdistributed": "isdistributed",
    "issuspected": "issuspected",
}  # fmt: skip
_FLAGS = {
    "victimidentified": RecordFlag.VICTIM_IDENTIFIED,
    "offenderidentified": RecordFlag.OFFENDER_IDENTIFIED,
    "isdistributed": RecordFlag.DISTRIBUTED,
    "issuspected": RecordFlag.SUSPECTED,
}
_HASH_COLUMNS = frozenset(_HASHES.values())
_DELIMITERS = (",", ";", "\t")


class CsvReader:
    """Reads a table whose first line names at least one hash column; columns it does not know are ignored."""

    name = "csv"
    title = "CSV, TSV or ; separated, with a header that names md5, sha1, sha256, hash, pdq or phash"

    def detects(self, head: bytes) -> bool:
        """Whether the first line names a hash column and is not itself a hash."""
        return _columns(_first_line(head_text(head))) is not None

    def read(self, source: SourceFile) -> Iterator[Row | RefusedRow]:
        """A Row a line; refused ones carry their line number."""
        found = _columns(_first_line(head_text(source.head)))
        if found is None:
            raise HashSetError(
                f"{source.name}: line 1 names none of {', '.join(SHOWN_AS.values())}. Add a header line. "
                "Nothing was imported."
            )
        delimiter, columns = found
        lines = csv.reader(source.text(), delimiter=delimiter)
        try:
            next(lines)
            for cells in lines:
                if not any(cell.strip() for cell in cells):
                    continue
                position = f"line {lines.line_num}"
                try:
                    row = _row(dict(zip(columns, cells, strict=False)))
                except UnusableError as error:
                    yield RefusedRow(source.name, position, str(error))
                    continue
                row.position = position
                yield row
        except csv.Error as error:
            raise HashSetError(
                f"{source.name}: line {lines.line_num} cannot be read as CSV ({error}). Nothing was imported."
            ) from error


def _first_line(text: str) -> str:
    return re.split(r"[\r\n]", text, maxsplit=1)[0]


def _columns(header: str) -> tuple[str, list[str]] | None:
    """The delimiter and our name for each column ("" for one we do not know); None without a hash column.

    A column name that stands twice counts the first time only.
    """
    for delimiter in sorted(_DELIMITERS, key=header.count, reverse=True):
        names: list[str] = []
        for cell in next(csv.reader([header], delimiter=delimiter), []):
            plain = re.sub(r"[^a-z0-9]", "", cell.lower())
            name = _HASHES.get(plain) or _OTHERS.get(plain, "")
            names.append("" if name in names else name)
        if not _HASH_COLUMNS.isdisjoint(names):
            return delimiter, names
    return None


def _row(cells: dict[str, str]) -> Row:
    """The Row of one line; UnusableError with the reason if it cannot be used."""
    row = Row(
        category=cells.get("category", "").strip(),
        media_id=cells.get("media_id", "").strip(),
        size=byte_size(cells.get("size")),
        series=cells.get("series", "").strip(),
        photodna=photodna_bytes(cells.get("photodna")),
    )
    for algorithm in ("md5", "sha1", "sha256", "phash"):
        set_hash(row, algorithm, cells.get(algorithm, "").strip())
    set_hash_by_length(row, cells.get("hash", "").strip())
    set_hash(row, "pdq", cells.get("pdq", "").strip(), quality_of(cells.get("quality")))
    for name, flag in _FLAGS.items():
        if is_true(cells.get(name, "")):
            row.flags |= flag
    if not row.has_hash:
        raise UnusableError("no hash in the row")
    return row
