"""Pictures, films and containers in the cells of an SQLite database (chats, thumbnails, notes of telephones).

The database is read from memory as it lies on the disk: no file is made, nothing is written, its own triggers and views
are not run. What stands in a write-ahead log is found there (sqlite_wal.py), what is left of deleted rows
by sqlite_freed.py. The index of macOS's QuickLook cache leads to pictures in the file beside it (quicklook.py).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from caid_triage.examine.boundary import plain
from caid_triage.examine.embedded.content import Content
from caid_triage.examine.embedded.inner import GOES_ON, Inner, Listed, problem, whole
from caid_triage.examine.embedded.quicklook import (
    COLUMNS,
    FILES,
    NAME_COLUMNS,
    TABLE,
    Row,
    is_index,
    is_known,
    quicklook_pictures,
)
from caid_triage.examine.embedded.sqlite_freed import freed_files
from caid_triage.examine.embedded.sqlite_pages import worth_a_look

LARGEST = 1 << 30
LONGEST_CELL = 512 << 20
# A damaged tree can lead round in circles, and many cells to the same pages: so many steps of SQLite's machine may all
# tables take for each byte of the database, so many bytes may their cells have, and some more of both.
STEPS_A_BYTE, STEPS_MORE, STEPS_A_CALL = 4, 5_000_000, 100_000
CELLS_A_BYTE, CELLS_MORE = 2, 16 << 20
ROWS_AT_ONCE = 20_000
BYTES_AT_ONCE = 64 << 20


def sqlite_blobs(content: Content) -> Iterator[Listed]:
    """The cells of every table that hold a picture, a film or a container, then what is left of deleted ones."""
    if content.size > LARGEST:
        yield problem("inside-too-large", f"the database is larger than {LARGEST} bytes; its cells were not looked at")
        return
    yield from _listed_cells(content)
    yield from freed_files(content)


def _listed_cells(content: Content) -> Iterator[Listed]:
    """The cells of every table, by table, row and column."""
    data = bytearray()
    for piece in content.pieces(0, content.size, BYTES_AT_ONCE):  # SQLite takes a copy: no third one is made
        data += piece
        yield GOES_ON
    data[18:20] = b"\x01\x01"  # a database in WAL mode cannot be opened in memory
    connection = sqlite3.connect(":memory:")
    budget = _Budget(STEPS_A_BYTE * len(data) + STEPS_MORE, CELLS_A_BYTE * len(data) + CELLS_MORE)
    try:
        connection.deserialize(data)
        del data
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.set_authorizer(_only_reading)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_CELL)
        connection.text_factory = bytes
        connection.set_progress_handler(budget.takes_steps, STEPS_A_CALL)
        tables = _tables(connection)
        for table in tables:
            yield from _table(connection, table, budget)
            if table == TABLE and not budget.spent:
                yield from _thumbnails(connection, FILES in tables, content, budget)
            if budget.spent:
                text = "its tables lead to more rows or bytes than a database of its size can hold; the rest was left"
                yield problem("inside-budget", text)
                return
    except (sqlite3.Error, UnicodeError) as error:  # the module decodes names and messages that the file decides
        yield problem("inside-damaged", f"the database could not be read to its end: {plain(error)}")
    finally:
        connection.close()


def _only_reading(action: int, first: str | None, *_: str | None) -> int:
    """Allow reading columns and asking for a table's columns: nothing that somebody put into the file is evaluated."""
    reading = action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ)
    columns = action == sqlite3.SQLITE_PRAGMA and first == "table_xinfo"
    return sqlite3.SQLITE_OK if reading or columns else sqlite3.SQLITE_DENY


def _tables(connection: sqlite3.Connection) -> list[str]:
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
    plain_tables = [
        (name, sql) for name, sql in rows if not (sql or b"").upper().lstrip().startswith(b"CREATE VIRTUAL")
    ]
    return [bytes(name).decode("utf-8", "surrogateescape") for name, _ in plain_tables]


@dataclass(slots=True)
class _Budget:
    """What reading a database may still take: steps of SQLite's machine, and bytes of cells."""

    steps: int
    cells: int

    @property
    def spent(self) -> bool:
        return self.steps < 0 or self.cells < 0

    def takes_steps(self) -> int:
        """SQLite asks after every ``STEPS_A_CALL`` steps whether to stop."""
        self.steps -= STEPS_A_CALL
        return int(self.steps < 0)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
    """The columns of a table that are stored as they are. Errors: sqlite3.Error."""
    columns = connection.execute(f"PRAGMA table_xinfo({_quoted(table)})").fetchall()
    return [bytes(row[1]).decode("utf-8", "surrogateescape") for row in columns if row[6] == 0]


def _table(connection: sqlite3.Connection, table: str, budget: _Budget) -> Iterator[Listed]:
    """The cells of one table. Columns that the file has computed when they are read (generated ones) are not read."""
    try:
        names = _columns(connection, table)
        if not names:
            return
        # Not by an index: a damaged one, or one made for it, holds less than the table.
        wanted = f"SELECT {', '.join(map(_quoted, names))} FROM {_quoted(table)} NOT INDEXED"  # noqa: S608 - quoted
        read = 0
        for number, row in enumerate(connection.execute(wanted), 1):
            size = sum(len(cell) for cell in row if isinstance(cell, bytes))
            budget.cells -= size
            read += size
            for name, cell in zip(names, row, strict=True):
                if isinstance(cell, bytes) and worth_a_look(cell):
                    label = f"{table}/{number}/{name}".encode("utf-8", "surrogateescape")
                    yield Inner(label, whole(cell), len(cell))
            if budget.spent:
                return
            if number % ROWS_AT_ONCE == 0 or read > BYTES_AT_ONCE:
                read = 0
                yield GOES_ON
    except (sqlite3.Error, UnicodeError) as error:
        if not budget.spent:
            yield problem("inside-damaged", f"a table could not be read to its end: {plain(error)}")


def _thumbnails(connection: sqlite3.Connection, named: bool, content: Content, budget: _Budget) -> Iterator[Listed]:
    """The pictures of the index of a QuickLook cache, none for another table so called; ``named``: it has "files"."""
    try:
        columns = _columns(connection, TABLE)
        if not is_index(columns):
            return
        if not is_known(columns):
            text = "this QuickLook cache states the sides of its pictures in a way that is not known here"
            yield problem("inside-unknown-version", text)
            return
        named = named and set(NAME_COLUMNS) <= set(_columns(connection, FILES))
        yield from quicklook_pictures(_rows(connection, columns, named, budget), content)
    except (sqlite3.Error, UnicodeError) as error:
        if not budget.spent:
            yield problem("inside-damaged", f"the index of QuickLook could not be read to its end: {plain(error)}")


def _rows(connection: sqlite3.Connection, columns: list[str], named: bool, budget: _Budget) -> Iterator[Row]:
    """The rows of the index of a QuickLook cache, with the path of the file where the index keeps it."""
    cells = ", ".join(name if name in columns else "NULL" for name in COLUMNS)
    for number, *values in connection.execute(f"SELECT rowid, {cells} FROM {TABLE} NOT INDEXED"):  # noqa: S608 - ours
        budget.cells -= sum(len(cell) for cell in values if isinstance(cell, bytes))
        path: tuple[object, ...] | None = None
        if named and isinstance(values[0], int):
            wanted = f"SELECT {', '.join(NAME_COLUMNS)} FROM {FILES} WHERE rowid = ?"  # noqa: S608 - ours
            path = connection.execute(wanted, (values[0],)).fetchone()
        texts = [part for part in path or () if isinstance(part, bytes)]
        budget.cells -= sum(map(len, texts))
        if budget.spent:
            return
        yield Row(number, tuple(values), b"/".join(part.strip(b"/") for part in texts if part.strip(b"/")))
