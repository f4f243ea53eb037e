"""The unit's memory in a SQLite file: for one machine, or one at a time. The SQL of it alone is here.

The file belongs to its user alone (0600, in a folder of 0700 where that is made too) and is refused where others may
write to it. What is taken out is overwritten (secure_delete), and the file made anew (VACUUM).
"""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import cache
from pathlib import Path
from urllib.parse import quote

from caid_triage.case.encode import microseconds
from caid_triage.case.schema import disk_state, is_stranger
from caid_triage.errors import UnitError
from caid_triage.unit.clock import now
from caid_triage.unit.rows import (
    SCHEMA,
    TABLES,
    KeptCamera,
    KeptGrade,
    PictureBlock,
    Row,
    Sighting,
    Tally,
    picture_block,
    row_reader,
)
from caid_triage.unit.sql import EVERY_GRADE, PICTURES, SqlStore
from caid_triage.unit.store import Mode

APPLICATION_ID = 0x43414955  # "CAIU"
BUSY_SECONDS = 120.0  # so long another machine may take to add a large case
CACHE_KIB = 256 << 10

MAKE = f"""
BEGIN IMMEDIATE;
CREATE TABLE unit (
    only_one INTEGER PRIMARY KEY CHECK (only_one = 1), schema INTEGER NOT NULL, id TEXT NOT NULL, made INTEGER NOT NULL
);
CREATE TABLE member (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, reference TEXT NOT NULL, added INTEGER NOT NULL,
    added_by TEXT NOT NULL, head TEXT NOT NULL, smallest INTEGER NOT NULL, contents INTEGER NOT NULL,
    known_good INTEGER NOT NULL, small INTEGER NOT NULL, contact TEXT NOT NULL
);
CREATE TABLE exhibit (
    id INTEGER PRIMARY KEY AUTOINCREMENT, member_id INTEGER NOT NULL REFERENCES member, exhibit TEXT NOT NULL,
    source TEXT NOT NULL, contents INTEGER NOT NULL, files INTEGER NOT NULL, pictures INTEGER NOT NULL,
    size INTEGER, md5 TEXT NOT NULL, sha1 TEXT NOT NULL, sha256 TEXT NOT NULL, serial TEXT NOT NULL
);
CREATE INDEX exhibit_member ON exhibit (member_id);
-- By exhibit, so that a case is added and taken out in one piece; the index has all that a tally needs.
CREATE TABLE sighting (
    exhibit_id INTEGER NOT NULL REFERENCES exhibit, sha256 BLOB NOT NULL, sha1 BLOB NOT NULL, md5 BLOB NOT NULL,
    size INTEGER NOT NULL, kind TEXT NOT NULL, files INTEGER NOT NULL, PRIMARY KEY (exhibit_id, sha256)
) WITHOUT ROWID;
CREATE INDEX sighting_content ON sighting (sha256);
CREATE TABLE picture (
    exhibit_id INTEGER NOT NULL REFERENCES exhibit, block INTEGER NOT NULL, contents BLOB NOT NULL, pdqs BLOB NOT NULL,
    PRIMARY KEY (exhibit_id, block)
);
CREATE TABLE camera (
    exhibit_id INTEGER NOT NULL REFERENCES exhibit, maker TEXT NOT NULL, model TEXT NOT NULL, serial TEXT NOT NULL,
    internal INTEGER NOT NULL, files INTEGER NOT NULL, PRIMARY KEY (exhibit_id, maker, model, serial, internal)
) WITHOUT ROWID;
CREATE INDEX camera_serial ON camera (serial);
CREATE TABLE grade (
    member_id INTEGER NOT NULL REFERENCES member, sha256 BLOB NOT NULL, examiner TEXT NOT NULL,
    decided INTEGER NOT NULL, code TEXT NOT NULL, label TEXT NOT NULL, scheme TEXT NOT NULL, severity INTEGER,
    sha1 BLOB NOT NULL, md5 BLOB NOT NULL, size INTEGER NOT NULL, kind TEXT NOT NULL, pdq BLOB, quality INTEGER,
    PRIMARY KEY (member_id, sha256, examiner)
) WITHOUT ROWID;
CREATE INDEX grade_content ON grade (sha256);
CREATE TABLE purged (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL, purged INTEGER NOT NULL, purged_by TEXT NOT NULL, rows INTEGER NOT NULL
);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA};
"""
OTHERS = "x.member_id <> ?"
ASKED = "CREATE TEMP TABLE IF NOT EXISTS asked (sha256 BLOB PRIMARY KEY) WITHOUT ROWID"
# In the order of what is asked, which is sorted: neighbours in it lie on neighbouring pages of the index.
TALLIES = f"""SELECT a.sha256, count(*), count(DISTINCT x.member_id) FROM temp.asked a
    CROSS JOIN sighting s INDEXED BY sighting_content ON s.sha256 = a.sha256 JOIN exhibit x ON x.id = s.exhibit_id
WHERE {OTHERS} GROUP BY a.sha256"""  # noqa: S608 - constants only
SIGHTINGS = f"""SELECT a.sha256, s.exhibit_id, s.files FROM temp.asked a
    CROSS JOIN sighting s INDEXED BY sighting_content ON s.sha256 = a.sha256 JOIN exhibit x ON x.id = s.exhibit_id
WHERE {OTHERS} ORDER BY a.sha256, s.exhibit_id"""  # noqa: S608 - constants only
GRADE_ORDER = " ORDER BY g.sha256, g.decided, g.examiner, x.key"
CAMERAS = f"""SELECT c.exhibit_id, c.maker, c.model, c.serial, c.internal, c.files FROM camera c
    JOIN exhibit x ON x.id = c.exhibit_id WHERE c.serial IN (SELECT value FROM json_each(?)) AND {OTHERS}
    ORDER BY c.serial, c.maker, c.model, c.internal, c.exhibit_id"""  # noqa: S608 - constants only


class SqliteStore(SqlStore):
    """The memory in a file."""

    def __init__(self, path: Path, mode: Mode) -> None:
        """UnitError: there is none, it is not ours, newer, in use, or others may write to it."""
        self._path = path
        with self._faults():
            _refuse_strangers(path)
            if mode is Mode.MAKE:
                _make_file(path)
            elif not path.is_file():
                raise UnitError(
                    f"there is no unit's memory in {path.name}; `caid-triage unit make` makes one, check the name"
                )
            _refuse_writable_by_others(path)
            address = "file:" + quote(os.fsencode(path.resolve()), safe="/:\\")
            if mode is Mode.READ:
                _roll_back(path, address)
            self._connection = sqlite3.connect(
                f"{address}?mode={'ro' if mode is Mode.READ else 'rw'}", uri=True, isolation_level=None,
                timeout=BUSY_SECONDS,
            )  # fmt: skip
        with ExitStack() as undo, self._faults():
            undo.callback(self._connection.close)
            self._set_up(mode)
            undo.pop_all()

    def _set_up(self, mode: Mode) -> None:
        run = self._connection.execute
        run("PRAGMA trusted_schema = OFF")
        run(f"PRAGMA cache_size = -{CACHE_KIB}")
        run("PRAGMA temp_store = MEMORY")  # digests that were asked for are left in no file
        if mode is not Mode.READ:
            run("PRAGMA synchronous = FULL")
            run("PRAGMA secure_delete = ON")
            run("PRAGMA foreign_keys = ON")
        if mode is Mode.MAKE and self._is_empty():
            self._make()
        # Only now: another process may have made it between two questions of before.
        (application,) = run("PRAGMA application_id").fetchone()
        (version,) = run("PRAGMA user_version").fetchone()
        if application != APPLICATION_ID:
            raise UnitError(f"{self._path.name} is not a unit's memory; choose another file")
        if version != SCHEMA:
            raise UnitError(
                f"the unit's memory {self._path.name} has schema {version}, this version of caid-triage knows "
                f"{SCHEMA}; use the version that made it"
            )
        if _parts(self._connection) != _parts_of_ours():
            raise UnitError(f"the unit's memory {self._path.name} was changed by another program: restore it")
        self.unit, self.made = run("SELECT id, made FROM unit").fetchone()

    def _is_empty(self) -> bool:
        (application,) = self._connection.execute("PRAGMA application_id").fetchone()
        return not application and not self._connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()

    def _make(self) -> None:
        try:
            self._connection.executescript(MAKE)
            made = SCHEMA, secrets.token_hex(8), microseconds(now())
            self._connection.execute("INSERT INTO unit VALUES (1, ?, ?, ?)", made)
            self._connection.execute("COMMIT")
        except sqlite3.Error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            # Another process made it in the same moment; what it made is looked at.
            if not self._connection.execute("PRAGMA application_id").fetchone()[0]:
                raise

    def close(self) -> None:
        """Let go of it. May be called twice."""
        self._connection.close()

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as fault:
            raise UnitError(f"the unit's memory {self._path.name}: {self._sentence(fault)}") from fault
        except (ValueError, TypeError, OverflowError) as fault:  # rows that this program does not write
            raise UnitError(
                f"the unit's memory {self._path.name} was changed by another program: restore it"
            ) from fault
        except OSError as fault:
            raise UnitError(f"the unit's memory {self._path.name}: {fault.strerror or type(fault).__name__}") from fault

    def _sentence(self, fault: sqlite3.Error) -> str:
        code = getattr(fault, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return "another process is writing to it; wait until that has ended, then run again"
        if code == sqlite3.SQLITE_FULL:
            return "no space is left for it; what was there is whole: free some space, then run again"
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return "it is damaged, or no unit's memory; restore it from a copy"
        if code == sqlite3.SQLITE_READONLY:
            return "it cannot be written to; give write permission"
        return disk_state(self._path.parent) or f"it cannot be used ({fault})"

    @contextmanager
    def reading(self) -> Iterator[None]:
        """One moment of the memory for all that is read inside."""
        with self._within("BEGIN"):
            yield

    @contextmanager
    def writing(self, key: str) -> Iterator[None]:
        """All that is done inside is done whole or not at all; one process at a time writes to the file."""
        assert key
        with self._within("BEGIN IMMEDIATE"):
            yield

    def _rows(self, statement: str, *values: object) -> Iterator[Row]:
        with self._faults():
            yield from self._connection.execute(statement, values)

    def _run(self, statement: str, *values: object) -> int:
        with self._faults():
            return self._connection.execute(statement, values).rowcount

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            with suppress(sqlite3.Error):  # what is under way says more
                self._connection.execute("ROLLBACK")

    def put(self, table: str, rows: Iterable[Row]) -> None:
        """Keep rows of one of rows.TABLES, columns in that order; sightings by SHA-256."""
        columns = TABLES[table]
        statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608
        with self._faults():
            self._connection.executemany(statement, rows)

    def compact(self) -> str:
        """Make the file anew without what was taken out."""
        with self._faults():
            self._connection.execute("VACUUM")
            (left,) = self._connection.execute("PRAGMA freelist_count").fetchone()
        return f"{left} pages of the file could not be given back" if left else ""

    def tallies(self, contents: Sequence[bytes], without: int) -> Iterator[Tally]:
        """For each of these contents that other cases than ``without`` have, how many."""
        with self._faults():
            self._ask(contents)
            yield from map(row_reader(Tally), self._connection.execute(TALLIES, (without,)))

    def sightings(self, contents: Sequence[bytes], without: int) -> Iterator[Sighting]:
        """Every exhibit of other cases that has one of these contents."""
        with self._faults():
            self._ask(contents)
            yield from map(row_reader(Sighting), self._connection.execute(SIGHTINGS, (without,)))

    def grades(self, contents: Sequence[bytes] | None, without: int) -> Iterator[KeptGrade]:
        """Every grade in other cases, of these contents or (None) of all."""
        with self._faults():
            which = "" if contents is None else " AND g.sha256 IN (SELECT sha256 FROM temp.asked)"
            if contents is not None:
                self._ask(contents)
            rows = self._connection.execute(EVERY_GRADE + which + GRADE_ORDER, (without,))
            yield from map(row_reader(KeptGrade), rows)

    def cameras(self, serials: Sequence[str], without: int) -> Iterator[KeptCamera]:
        """Every camera of other cases that has one of these serial numbers."""
        with self._faults():
            read = row_reader(KeptCamera)
            for *named, internal, files in self._connection.execute(CAMERAS, (json.dumps(list(serials)), without)):
                yield read((*named, bool(internal), files))

    def pictures(self, without: int) -> Iterator[PictureBlock]:
        """Every comparable picture of other cases."""
        with self._faults():
            for row in self._rows(PICTURES, without):
                yield picture_block(*row)

    def _ask(self, contents: Sequence[bytes]) -> None:
        self._connection.execute(ASKED)
        self._connection.execute("DELETE FROM temp.asked")
        self._connection.executemany("INSERT INTO temp.asked VALUES (?)", ((one,) for one in sorted(contents)))


def _parts(connection: sqlite3.Connection) -> list[Row]:
    """The tables, indexes and whatever else there is, as they were made; SQLite's own statistics are left out.

    More than triggers and views change what is read or how long that takes: an index of an expression, a computed
    column, a table that is a program's.
    """
    statement = r"""SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\_stat%' ESCAPE '\'
        ORDER BY type, name"""
    return connection.execute(statement).fetchall()


@cache
def _parts_of_ours() -> list[Row]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(MAKE + "COMMIT;")
        return _parts(connection)


def _refuse_strangers(path: Path) -> None:
    for name in (path, *(path.with_name(path.name + end) for end in ("-wal", "-journal", "-shm"))):
        if is_stranger(name):
            raise UnitError(f"the unit's memory: {name.name} is no file (a link, a folder, a pipe); it is not opened")


def _roll_back(path: Path, address: str) -> None:
    """Undo what a killed writer was about, which a reader may not: it left a journal."""
    journal = path.with_name(f"{path.name}-journal")
    if not journal.exists() or not journal.stat().st_size:
        return
    with closing(
        sqlite3.connect(f"{address}?mode=rw", uri=True, isolation_level=None, timeout=BUSY_SECONDS)
    ) as connection:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()


def _make_file(path: Path) -> None:
    """An empty file for this user alone, in a folder for this user alone where there was none."""
    for folder in reversed([path.parent, *path.parent.parents]):
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)  # another process may make it in the same moment
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


def _refuse_writable_by_others(path: Path) -> None:
    """UnitError: somebody else may change the file, or put another in its place."""
    if os.name != "posix":
        return
    folder = path.resolve().parent
    found = folder.stat().st_mode
    # In a folder like /tmp (sticky) others may add files, and not replace one that is not theirs.
    loose = found & (stat.S_IWGRP | stat.S_IWOTH) and not found & stat.S_ISVTX
    if loose or path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        what = f"its folder {folder.name}" if loose else path.name
        raise UnitError(
            f"the unit's memory: others may write to {what}; make it 0600 in a folder of 0700 (chmod), or use "
            "PostgreSQL"
        )
