"""A digest of every row that the database keeps, in units small enough to say where one was changed.

Files and what belongs to them (hashes, problems, metadata, matches) are digested by the batch that stored them, in the
same transaction; the other tables by source, by re-grading or whole. Rows are read back to be digested, so what is
digested is what is stored, and checking (case/rows_check.py) runs the same code.

A row's canonical form is Python's ``ascii()`` of its columns as a tuple: whole numbers in decimal, text and bytes as
literals, floats in the shortest form that comes back, None. A unit's digest is the SHA-256 of its rows in the order of
their keys, a newline after each. The CRC-32 of each row (``marks``) proves nothing: it says which row it was.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import sys
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from zlib import crc32

from caid_triage.case.encode import Row
from caid_triage.case.records import source_range

# Tables whose rows belong to a file: the column of its id, and what orders the rows (their primary key).
OF_FILES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "entry": ("id", "id"),
        "perceptual_hash": ("entry_id", "entry_id, position"),
        "entry_problem": ("entry_id", "entry_id, position"),
        "metadata": ("entry_id", "entry_id, position"),
        "file_match": ("entry_id", "entry_id, hashset_id, position"),
        "match_detail": ("entry_id", "entry_id, hashset_id, position"),
        "match_look": ("entry_id", "entry_id, hashset_id, position"),
        "match_stated": ("entry_id", "entry_id, hashset_id, position"),
        "video_match": ("entry_id", "entry_id, hashset_id, position"),
        "withheld": ("entry_id", "entry_id, hashset_id, position"),
    }
)
OF_MATCHES = ("file_match", "match_detail", "match_look", "match_stated", "video_match", "withheld")
# The other tables: the column whose value makes a unit ("": the table is one), and the order of the rows.
OF_UNITS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "header": ("", "only_one"),
        "run": ("", "id"),
        "source": ("id", "id"),
        "volume": ("source_id", "source_id, position"),
        "ledger": ("source_id", "source_id, position"),
        "wide_problem": ("source_id", "id"),
        "hashset": ("", "id"),
        "category": ("", "id"),
        "decision": ("id", "id"),
        # Of a review: an act's own row, what it took back and remarked.
        "review_act": ("id", "id"),
        "withdrawal": ("act_id", "decision_id"),
        "remark": ("act_id", "id"),
        "journal_head": ("", "only_one"),
        "regrade": ("", "id"),
        "regrade_row": ("regrade_id", "regrade_id, entry_id, hashset"),
        # Of samplings of disks: how far each is, and what it found.
        "sampling": ("", "id"),
        "fragment": ("sampling_id", "sampling_id, position"),
        # Of scans that looked for blocks of known files beside whole ones.
        "block_search": ("", "id"),
        "found_fragment": ("search_id", "search_id, position"),
        # Of the last look-up in the unit's memory.
        "unit_look": ("", "only_one"),
        "unit_exhibit": ("", "id"),
        "unit_twin": ("", "position"),
        "unit_same": ("", "position"),
        "unit_near": ("", "position"),
        "unit_camera": ("", "position"),
        "unit_grade": ("", "position"),
        # What people say of the case.
        "case_detail": ("", "exhibit, name"),
        # The tables and indexes themselves: a trigger or a view put in would change what is read.
        "sqlite_schema": ("", "type, name"),
    }
)
OF_ACTS = ("review_act", "withdrawal", "remark", "journal_head")  # since schema 7
OF_LINKS = (
    "unit_look", "unit_exhibit", "unit_twin", "unit_same", "unit_near", "unit_camera", "unit_grade",
)  # fmt: skip  # since schema 8
OF_SAMPLES = ("sampling", "fragment", "block_search", "found_fragment")  # since schema 8
OF_DETAILS = ("case_detail",)  # since schema 9
WHOLE = 0
SCHEMA_COLUMNS = "type, name, tbl_name, sql"
ROWS_AT_ONCE = 1000


@dataclass(slots=True)
class RowDigest:
    """The digest of some rows; ``keys`` are kept only where they are asked for."""

    rows: int = 0
    sha256: bytes = b""
    marks: array[int] = field(default_factory=lambda: array("I"))
    keys: list[Row] = field(default_factory=list)

    def stored_marks(self) -> bytes:
        """The marks as the database keeps them: four bytes each, little-endian."""
        marks = array("I", self.marks)
        if sys.byteorder == "big":
            marks.byteswap()
        return marks.tobytes()


def marks_of(stored: bytes) -> array[int]:
    """The marks again from what the database keeps; what is no whole number of them gives none."""
    marks = array("I")
    if len(stored) % marks.itemsize == 0:
        marks.frombytes(stored)
    if sys.byteorder == "big":
        marks.byteswap()
    return marks


def digest_rows(rows: Iterable[Row], key_columns: int = 0) -> RowDigest:
    """The digest of rows in the order that they come in; ``key_columns`` first columns of each are kept."""
    found = RowDigest()
    state = hashlib.sha256()
    for row in rows:
        line = ascii(row).encode() + b"\n"
        state.update(line)
        found.marks.append(crc32(line))
        if key_columns:
            found.keys.append(row[:key_columns])
    found.rows = len(found.marks)
    found.sha256 = state.digest()
    return found


def rows_of_files(connection: sqlite3.Connection, table: str, ids: Sequence[int]) -> Iterator[Row]:
    """The rows of a table that belong to these files, in the order of their keys."""
    column, order = OF_FILES[table]
    statement = f"SELECT * FROM {table} WHERE {column} IN (SELECT value FROM json_each(?)) ORDER BY {order}"  # noqa: S608
    return connection.execute(statement, (json.dumps(list(ids)),))


def rows_of_unit(connection: sqlite3.Connection, table: str, unit: int) -> Iterator[Row]:
    """The rows of a unit of one of the other tables, in the order of their keys."""
    column, order = OF_UNITS[table]
    columns = SCHEMA_COLUMNS if table == "sqlite_schema" else "*"
    if not column:
        return connection.execute(f"SELECT {columns} FROM {table} ORDER BY {order}")  # noqa: S608 - constants only
    return connection.execute(f"SELECT {columns} FROM {table} WHERE {column} = ? ORDER BY {order}", (unit,))  # noqa: S608


def packed(ids: Sequence[int]) -> bytes:
    """The ids of a batch's files as the database keeps them: eight bytes each, little-endian."""
    values = array("q", ids)
    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()


def unpacked(stored: bytes) -> list[int]:
    """The ids that :func:`packed` stored; what is no whole number of them gives none."""
    values = array("q")
    if len(stored) % values.itemsize == 0:
        values.frombytes(stored)
    if sys.byteorder == "big":
        values.byteswap()
    return values.tolist()


def content_digest(connection: sqlite3.Connection) -> str:
    """One SHA-256 over all digests: what the line ``closed`` of the audit chain holds of the content."""
    state = hashlib.sha256()
    for statement in (
        "SELECT id, source_id, entries FROM batch ORDER BY id",
        "SELECT name, unit, rows, sha256 FROM digest ORDER BY name, unit",
    ):
        for row in connection.execute(statement):
            state.update(ascii(row).encode() + b"\n")
    return state.hexdigest()


class DigestTable:
    """Keeps the digests true inside the caller's transaction: told what was touched, it works it out at its end."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._touched: set[tuple[str, int]] = set()

    def touch(self, table: str, unit: int = WHOLE) -> None:
        """Note that rows of a unit of one of the other tables have changed."""
        self._touched.add((table, unit))

    def forget(self) -> None:
        """Forget what was touched in a transaction that was rolled back."""
        self._touched.clear()

    def settle(self) -> None:
        """Digest what was touched; the last thing in a transaction."""
        for table, unit in sorted(self._touched):
            self._keep(table, unit, digest_rows(rows_of_unit(self._connection, table, unit)))
        self._touched.clear()

    def add_batch(self, source_id: int, ids: Sequence[int], tables: Iterable[str]) -> None:
        """Note a batch that was stored, with what it has in ``tables``; the others have nothing of it."""
        rows = self._connection.execute(
            "INSERT INTO batch (source_id, entries) VALUES (?, ?) RETURNING id", (source_id, packed(ids))
        ).fetchall()
        self._digest_batch(rows[0][0], ids, tables)

    def matches_replaced(self) -> None:
        """Digest the matches of every batch again."""
        filled = [table for table in OF_MATCHES if self._holds_rows(table)]
        for table in OF_MATCHES:
            self._connection.execute("DELETE FROM digest WHERE name = ?", (table,))
        for number, ids in self._batches():
            self._digest_batch(number, ids, filled)
        for table in ("hashset", "category", "regrade"):
            self.touch(table)
        self._connection.execute("DELETE FROM digest WHERE name = 'regrade_row'")
        for (regrade,) in self._connection.execute("SELECT DISTINCT regrade_id FROM regrade_row").fetchall():
            self.touch("regrade_row", regrade)

    def files_dropped(self, dropped: Iterable[int]) -> None:
        """Digest the batches again that held files which were taken out."""
        gone = set(dropped)
        if not gone:
            return
        for number, ids in list(self._batches()):
            kept = [identity for identity in ids if identity not in gone]
            if len(kept) < len(ids):
                self._connection.execute("UPDATE batch SET entries = ? WHERE id = ?", (packed(kept), number))
                self._digest_batch(number, kept, OF_FILES)
        units = self._connection.execute("SELECT unit FROM digest WHERE name = 'regrade_row'").fetchall()
        for (regrade,) in units:
            self.touch("regrade_row", regrade)

    def digest_everything(self) -> None:
        """Digest a case that an earlier version wrote: its files in batches of their order, everything else."""
        sources = [identity for (identity,) in self._connection.execute("SELECT id FROM source ORDER BY id").fetchall()]
        for source_id in sources:
            low, high = source_range(source_id)
            while rows := self._connection.execute(
                "SELECT id FROM entry WHERE id >= ? AND id < ? ORDER BY id LIMIT ?", (low, high, ROWS_AT_ONCE)
            ).fetchall():
                ids = [identity for (identity,) in rows]
                self.add_batch(source_id, ids, OF_FILES)
                low = ids[-1] + 1
        for table, (column, _) in OF_UNITS.items():
            units = self._connection.execute(f"SELECT DISTINCT {column} FROM {table}") if column else [(WHOLE,)]  # noqa: S608
            for (unit,) in units:
                self.touch(table, unit)
        self.settle()

    def _batches(self) -> Iterator[tuple[int, list[int]]]:
        numbers = self._connection.execute("SELECT id FROM batch ORDER BY id").fetchall()
        for (number,) in numbers:
            (entries,) = self._connection.execute("SELECT entries FROM batch WHERE id = ?", (number,)).fetchone()
            yield number, unpacked(entries)

    def _digest_batch(self, number: int, ids: Sequence[int], tables: Iterable[str]) -> None:
        for table in tables:
            self._keep(table, number, digest_rows(rows_of_files(self._connection, table, ids)))

    def _holds_rows(self, table: str) -> bool:
        (any_row,) = self._connection.execute(f"SELECT EXISTS (SELECT 1 FROM {table})").fetchone()  # noqa: S608
        return bool(any_row)

    def _keep(self, table: str, unit: int, found: RowDigest) -> None:
        """A unit without rows has no digest: that it is absent says so."""
        if not found.rows:
            self._connection.execute("DELETE FROM digest WHERE name = ? AND unit = ?", (table, unit))
            return
        self._connection.execute(
            "INSERT OR REPLACE INTO digest (name, unit, rows, sha256, marks) VALUES (?, ?, ?, ?, ?)",
            (table, unit, found.rows, found.sha256, found.stored_marks()),
        )
