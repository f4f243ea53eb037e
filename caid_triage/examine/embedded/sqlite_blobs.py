"""Pictures, films and containers in the cells of an SQLite database (chats, thumbnails, notes of telephones).

The database is read from memory as it lies on the disk: no file is made, nothing is written, its own triggers and views
are not run. What stands only in a write-ahead log beside it is not seen here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from caid_triage.examine.embedded.content import Content
from caid_triage.examine.embedded.inner import Inner, Listed, problem, whole
from caid_triage.examine.identify import HEAD_BYTES, identify
from caid_triage.model import Kind

LARGEST = 1 << 30
LEAST_BYTES = 128
LONGEST_CELL = 512 << 20
# Steps of SQLite's machine that one table may take: a damaged tree can lead round in circles.
STEPS, MOST_CALLS = 1_000_000, 2_000
CONTAINERS = (b"PK\x03\x04", b"\x1f\x8b\x08", b"%PDF-", b"bplist00")


def sqlite_blobs(content: Content) -> Iterator[Listed]:
    """The cells of every table that hold a picture, a film or a container, by table, row and column."""
    if content.size > LARGEST:
        yield problem("inside-too-large", f"the database is larger than {LARGEST} bytes; its cells were not looked at")
        return
    data = bytearray(content.at(0, content.size))
    data[18:20] = b"\x01\x01"  # a database in WAL mode cannot be opened in memory
    connection = sqlite3.connect(":memory:")
    try:
        connection.deserialize(bytes(data))
        del data
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.set_authorizer(_only_reading)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_CELL)
        connection.text_factory = bytes
        for table in _tables(connection):
            yield from _table(connection, table)
    except sqlite3.Error as error:
        yield problem("inside-damaged", f"the database could not be read to its end: {error}"[:300])
    finally:
        connection.close()


def _only_reading(action: int, first: str | None, *_: str | None) -> int:
    """Allow reading columns and asking for a table's columns: nothing that somebody put into the file is evaluated."""
    reading = action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ)
    columns = action == sqlite3.SQLITE_PRAGMA and first == "table_info"
    return sqlite3.SQLITE_OK if reading or columns else sqlite3.SQLITE_DENY


def _tables(connection: sqlite3.Connection) -> list[str]:
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
    plain = [(name, sql) for name, sql in rows if not (sql or b"").upper().lstrip().startswith(b"CREATE VIRTUAL")]
    return [bytes(name).decode("utf-8", "replace") for name, _ in plain]


def _table(connection: sqlite3.Connection, table: str) -> Iterator[Listed]:
    calls = 0

    def count() -> int:
        nonlocal calls
        calls += 1
        return int(calls > MOST_CALLS)

    quoted = '"' + table.replace('"', '""') + '"'
    connection.set_progress_handler(count, STEPS)
    try:
        columns = connection.execute(f"PRAGMA table_info({quoted})").fetchall()
        names = [bytes(row[1]).decode("utf-8", "replace") for row in columns]
        for number, row in enumerate(connection.execute(f"SELECT * FROM {quoted}"), 1):  # noqa: S608 - quoted
            for name, cell in zip(names, row, strict=False):
                if isinstance(cell, bytes) and len(cell) >= LEAST_BYTES and _worth_a_look(cell):
                    label = f"{table}/{number}/{name}".encode("utf-8", "surrogatepass")
                    yield Inner(label, whole(cell), len(cell))
    except sqlite3.Error as error:
        yield problem("inside-damaged", f"a table could not be read to its end: {error}"[:300])
    finally:
        connection.set_progress_handler(None, 0)


def _worth_a_look(cell: bytes) -> bool:
    if cell.startswith(CONTAINERS):
        return True
    what = identify(cell[:HEAD_BYTES], len(cell))
    return what.kind is not Kind.OTHER and what.media_type != "image/svg+xml"
