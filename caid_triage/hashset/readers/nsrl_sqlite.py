"""NSRL RDS version 3 (SQLite): minimal sets, where FILE is a table, and full ones, where it is a view of METADATA."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from caid_triage.errors import HashSetError
from caid_triage.hashset.algorithms import DIGEST_BYTES
from caid_triage.hashset.batch import HashColumn, RowBatch, batch_of, batch_of_hashes, one_by_one
from caid_triage.hashset.readers.fields import UnusableError, byte_size, set_hash
from caid_triage.hashset.readers.foreign_sqlite import MAGIC, columns_of, opened
from caid_triage.hashset.readers.vics_columns import hash_column, sizes_column
from caid_triage.hashset.rows import Row, SourceFile
from caid_triage.model import RefusedRow

_ROWS = 4_096
_DIGESTS = tuple(DIGEST_BYTES)
# METADATA first: reading FILE of a full set would join and convert every row for nothing.
_TABLES = {"METADATA": ("bytes", "file_size"), "FILE": ("file_size", "bytes")}


class NsrlSqliteReader:
    """Reads md5, sha1, sha256 and size of every file; names and products are not kept.

    A quarterly delta is an SQL script: give it beside the set it belongs to (``nsrl-delta``).
    """

    name = "nsrl"
    title = "NSRL RDS 3 (SQLite), full or minimal"

    def detects(self, head: bytes) -> bool:
        """Whether it is SQLite; that it is NSRL's is found on opening."""
        return head.startswith(MAGIC)

    def read(self, source: SourceFile) -> Iterator[Row | RefusedRow]:
        """A Row a file; refused ones carry the number of the row."""
        return one_by_one(self.read_batches(source))

    def read_batches(self, source: SourceFile) -> Iterator[RowBatch | RefusedRow]:
        """The same in batches."""
        with opened(source) as database:
            query, names = "", list[str]()
            for table, sizes in _TABLES.items():
                there = columns_of(database, table)
                names = [name for name in _DIGESTS if name in there]
                if names:
                    size = next((name for name in sizes if name in there), "NULL")
                    query = f"SELECT {', '.join(names)}, {size} FROM {table}"  # noqa: S608  names of ours
                    break
            if not query:
                raise HashSetError(
                    f"{source.name}: SQLite, but with neither NSRL's table FILE or METADATA nor Autopsy's hashes. "
                    "Nothing was imported."
                )
            found = database.execute(query)
            first = 1
            while rows := found.fetchmany(_ROWS):
                yield from _read(rows, names, first, source)
                first += len(rows)


def _read(
    rows: Sequence[tuple[Any, ...]], names: list[str], first: int, source: SourceFile
) -> Iterator[RowBatch | RefusedRow]:
    """A batch of the rows; if some are odd, all are read one by one so that the reason is the same everywhere."""
    odd = set[int]()
    hashes: dict[str, HashColumn] = {}
    has_hash = np.zeros(len(rows), dtype=np.bool_)
    *digests, stated = (list(column) for column in zip(*rows, strict=True))
    for name, values in zip(names, digests, strict=True):
        column = hash_column(values, DIGEST_BYTES[name], odd, name)
        if column is not None:
            hashes[name] = column
            has_hash[column.rows] = True
    size = sizes_column(stated, len(rows), odd)
    if not odd and has_hash.all():
        yield batch_of_hashes(hashes, len(rows), np.arange(first, first + len(rows), dtype=np.int64), "row", size)
        return
    good: list[Row] = []
    for number, (*values, bytes_stated) in enumerate(rows, first):
        row = Row(position=f"row {number}")
        try:
            for name, value in zip(names, values, strict=True):
                set_hash(row, name, value)
            row.size = byte_size(bytes_stated)
            if not row.has_hash:
                raise UnusableError("no hash in the row")
        except UnusableError as error:
            yield RefusedRow(source.name, row.position, str(error))
            continue
        good.append(row)
    if good:
        yield batch_of(good)
