"""Reading stored records back: whole batches for matching again, and a small map of what is done for resuming."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from operator import itemgetter

from caid_triage.case.decode import reader
from caid_triage.case.encode import ENTRY_COLUMNS, Row, entry_id, record_of, split_entry_id, whole_back
from caid_triage.case.rows import SourceRow
from caid_triage.case.schema import NUMBER_BITS, PART_BITS
from caid_triage.case.undecoded import to_examine
from caid_triage.errors import CaseError
from caid_triage.model import FileEntry, ScanRecord


def source_range(source_id: int) -> tuple[int, int]:
    """First id of a source's entries and the first after them."""
    return source_id << NUMBER_BITS, (source_id + 1) << NUMBER_BITS


def source_rows(connection: sqlite3.Connection) -> list[SourceRow]:
    """The evidence sources in the order they were given."""
    statement = """SELECT id, exhibit, name, kind, size, segments, acquisition, coverage, walked, examined, stored,
        finished FROM source ORDER BY id"""
    return list(map(reader(SourceRow), connection.execute(statement)))


def stored_records(connection: sqlite3.Connection, batch: int) -> Iterator[tuple[int, list[ScanRecord]]]:
    """Every stored record again, in report order, as (source id, at most ``batch`` records of it)."""
    for source_id, exhibit, name in connection.execute("SELECT id, exhibit, name FROM source ORDER BY id").fetchall():
        low, high = source_range(source_id)
        while rows := connection.execute(
            f"SELECT {ENTRY_COLUMNS} FROM entry WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",  # noqa: S608
            (low, high, batch),
        ).fetchall():
            span = rows[0][0], rows[-1][0]
            hashes = _by_entry(connection, "perceptual_hash", span)
            metadata = _by_entry(connection, "metadata", span)
            problems = _by_entry(connection, "entry_problem", span)
            yield (
                source_id,
                [
                    record_of(row, exhibit, name, *(of.get(row[0], ()) for of in (hashes, metadata, problems)))
                    for row in rows
                ],
            )
            low = rows[-1][0] + 1


def _by_entry(connection: sqlite3.Connection, table: str, span: tuple[int, int]) -> dict[int, list[Row]]:
    found: dict[int, list[Row]] = {}
    rows = connection.execute(
        f"SELECT * FROM {table} WHERE entry_id BETWEEN ? AND ? ORDER BY entry_id, position",  # noqa: S608
        span,
    )
    for row in rows:
        found.setdefault(row[0], []).append(row)
    return found


class DoneEntries:
    """Which entries of a source are stored already: one bit each, so a million take 125 KB.

    A file is stored after everything that lies inside it, so one that is stored is stored whole. ``len`` counts what
    lies inside files too, ``files`` does not.
    """

    def __init__(self, connection: sqlite3.Connection, source_id: int) -> None:
        self._connection = connection
        self._source_id = source_id
        low, high = source_range(source_id)
        (last,) = connection.execute("SELECT max(id) FROM entry WHERE id >= ? AND id < ?", (low, high)).fetchone()
        self._bits = bytearray(0 if last is None else (split_entry_id(last)[1] >> 3) + 1)
        self._count = self.files = 0
        for identity in map(
            itemgetter(0), connection.execute("SELECT id FROM entry WHERE id >= ? AND id < ?", (low, high))
        ):
            self._count += 1
            _, number, part = split_entry_id(identity)
            if not part:
                self._bits[number >> 3] |= 1 << (number & 7)
                self.files += 1

    def __len__(self) -> int:
        return self._count

    def __contains__(self, number: int) -> bool:
        byte = number >> 3
        return byte < len(self._bits) and bool(self._bits[byte] >> (number & 7) & 1)

    def inside(self, number: int) -> int:
        """How many entries that lie inside a stored file are stored."""
        first = entry_id(self._source_id, number)
        row = self._connection.execute("SELECT inside FROM entry WHERE id = ?", (first,)).fetchone()
        return int(row[0]) if row else 0

    def holds(self, entry: FileEntry) -> bool:
        """Whether this walked entry is stored; CaseError when another file is stored under its number."""
        if entry.number not in self:
            return False
        row = self._connection.execute(
            "SELECT raw_path, stream, size, state, path FROM entry WHERE id = ?",
            (entry_id(self._source_id, entry.number),),
        ).fetchone()
        raw_path, stream, size, state, path = row
        if (raw_path, stream, whole_back(size), state) != (entry.raw_path, entry.stream, entry.size, entry.state.value):
            # The first line of an error goes into the journal of a batch, where no path of a suspect has a place.
            message = (
                f"source {entry.source} of exhibit {entry.exhibit} has changed since the scan began: entry "
                f"{entry.number} is another file now; scan it into a new case"
            )
            raise CaseError(message, f"  it was {path}, now it is {entry.path}")
        return True


def drop_unfinished(connection: sqlite3.Connection, source_id: int) -> list[int]:
    """Remove what was stored of the inside of files that were not stored themselves; the ids of those entries.

    A scan that is killed in the middle of a large archive leaves them; the archive is examined again from its start.
    """
    low, high = source_range(source_id)
    parts = (1 << PART_BITS) - 1
    found = connection.execute(
        f"SELECT id FROM entry e WHERE id >= ? AND id < ? AND (id & {parts}) <> 0 "  # noqa: S608 - constants only
        f"AND NOT EXISTS (SELECT 1 FROM entry f WHERE f.id = e.id & ~{parts})",
        (low, high),
    ).fetchall()
    _drop(connection, found)
    return [identity for (identity,) in found]


def drop_unread(connection: sqlite3.Connection, source_id: int) -> tuple[int, list[int]]:
    """Remove what was stored of files to be read again, and of what lies in them; how many files, which entries.

    The disk of those that could not be read may have been pulled out or its cable loose: they come to the same if they
    are bad. Others were not decoded because a known-good set held them, which no set of the case does any more.
    """
    low, high = source_range(source_id)
    parts = (1 << PART_BITS) - 1
    codes = ", ".join(f"'{code}'" for code in sorted(UNREAD_CODES))
    files = connection.execute(
        f"SELECT DISTINCT entry_id & ~{parts} FROM entry_problem "  # noqa: S608 - constants only
        f"WHERE entry_id >= ? AND entry_id < ? AND code IN ({codes})",
        (low, high),
    ).fetchall()
    firsts = {first for (first,) in files} | set(to_examine(connection, low, high))
    found = [
        row
        for first in sorted(firsts)
        for row in connection.execute("SELECT id FROM entry WHERE id BETWEEN ? AND ?", (first, first | parts))
    ]
    _drop(connection, found)
    return len(firsts), [identity for (identity,) in found]


def _drop(connection: sqlite3.Connection, entries: Sequence[Row]) -> None:
    for table, column in OF_ENTRY:
        connection.executemany(f"DELETE FROM {table} WHERE {column} = ?", entries)  # noqa: S608 - constants only


# What stands in the record of a file that the disk did not give, wholly or for a second look.
UNREAD_CODES = frozenset(("read-failed", "file-unreadable", "video-not-read"))


# Every table whose rows belong to an entry, the entry itself last.
OF_ENTRY = (
    *((table, "entry_id") for table in (
        "perceptual_hash", "entry_problem", "file_match", "match_detail", "withheld", "regrade_row", "metadata",
        "match_look", "match_stated", "video_match",
    )),
    ("entry", "id"),
)  # fmt: skip
