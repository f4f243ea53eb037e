"""CSV or TSV with a header: md5, sha1, sha256, pdq, phash, category, media_id, size ... in any case and order."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

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
from caid_triage.hashset.readers.text_lines import cells
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
_MAX_HEADER = 10_000


FIELDS = frozenset({*_HASHES.values(), *_OTHERS.values()})


class CsvReader:
    """Reads a table whose first line names at least one hash column; columns it does not know are ignored.

    ``SourceFile.columns`` says which field a column is that would not be known by its title.
    """

    name = "csv"
    title = "CSV, TSV or ; separated, with a header that names md5, sha1, sha256, hash, pdq or phash"
    # Titles that mean something in this dialect only, as the plain letters and digits of the title.
    dialect: Mapping[str, str] = MappingProxyType({})

    def detects(self, head: bytes) -> bool:
        """Whether the first line names a hash column and is not itself a hash."""
        return _columns(_first_line(head_text(head)), self.dialect) is not None

    def read(self, source: SourceFile) -> Iterator[Row | RefusedRow]:
        """A Row a line; refused ones carry their line number."""
        mapping = {**self.dialect, **_checked_mapping(source)}
        found = _columns(_first_line(head_text(source.head)), mapping)
        if found is None:
            raise HashSetError(
                f"{source.name}: line 1 names none of {', '.join(SHOWN_AS.values())}. Add a header line, or say "
                "which column is which. Nothing was imported."
            )
        delimiter, columns = found
        table = cells(source, delimiter)
        next(table, None)
        for number, values in table:
            position = f"line {number}"
            try:
                row = _row(dict(zip(columns, values, strict=False)))
                self.finish(row)
            except UnusableError as error:
                yield RefusedRow(source.name, position, str(error))
                continue
            row.position = position
            yield row

    def finish(self, row: Row) -> None:
        """What a dialect does to a finished row."""


class IcseReader(CsvReader):
    """INTERPOL's ICSE export: flags and series, and in place of a category whether the item is in the baseline."""

    name = "icse"
    title = "INTERPOL ICSE baseline CSV"
    dialect = MappingProxyType({"baseline": "category"})

    def detects(self, head: bytes) -> bool:
        """Whether the header has ICSE's columns."""
        found = _columns(_first_line(head_text(head)), self.dialect)
        return found is not None and {"category", "media_id", "isdistributed"} <= set(found[1])

    def finish(self, row: Row) -> None:
        """The codes of the scheme ``icse``; what is neither yes nor no stays uncategorised."""
        said = row.category.lower()
        row.category = "baseline" if is_true(said) else "not-baseline" if said in ("false", "0", "no") else ""


class IpedReader(CsvReader):
    """The CSV that IPED's hash-database tool imports: hash columns and properties, of which status and set are kept.

    ``status`` (known, alert, pedo ...) becomes the category as it stands, ``set`` the series.
    """

    name = "iped"
    title = "IPED hash CSV (hash columns with status or set)"
    dialect = MappingProxyType({"status": "category", "set": "series"})

    def detects(self, head: bytes) -> bool:
        """Whether the header has a hash and IPED's ``status`` or ``set``, and no category of its own."""
        header = _first_line(head_text(head))
        found, plain = _columns(header, self.dialect), _columns(header, {})
        if found is None or plain is None or "category" in plain[1]:
            return False
        return found[1] != plain[1]


def _checked_mapping(source: SourceFile) -> dict[str, str]:
    """The builder's own mapping by plain title; HashSetError if it names a field that there is not."""
    for field in source.columns.values():
        if field not in FIELDS:
            raise HashSetError(f"no field {field!r} for a column. There are: {', '.join(sorted(FIELDS))}.")
    return {_plain(title): field for title, field in source.columns.items()}


def _plain(title: str) -> str:
    return re.sub(r"[^a-z0-9]", "", title.lower())


def _first_line(text: str) -> str:
    return re.split(r"[\r\n]", text, maxsplit=1)[0]


def _columns(header: str, dialect: Mapping[str, str]) -> tuple[str, list[str]] | None:
    """The delimiter and our name for each column ("" for one we do not know); None without a hash column.

    A column name that stands twice counts the first time only.
    """
    if len(header) > _MAX_HEADER:
        return None
    for delimiter in sorted(_DELIMITERS, key=header.count, reverse=True):
        names: list[str] = []
        for cell in next(csv.reader([header], delimiter=delimiter), []):
            plain = _plain(cell)
            name = dialect.get(plain) or _HASHES.get(plain) or _OTHERS.get(plain, "")
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
