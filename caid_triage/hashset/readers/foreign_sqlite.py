"""Hash sets that are SQLite files of other programs: opened so that nothing of them is ever written or run.

Only this module imports sqlite3 besides case/ (docs/decisions/0012-foreign-sqlite.md).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from caid_triage.errors import HashSetError
from caid_triage.hashset.rows import SourceFile

MAGIC = b"SQLite format 3\x00"
_MAX_VALUE = 1 << 20
# Reading columns of tables is all that is needed: no function, no pragma, no attached file, no recursion.
_ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ}


@contextmanager
def opened(source: SourceFile) -> Iterator[sqlite3.Connection]:
    """The file as a read-only, immutable database; HashSetError if SQLite cannot read it on."""
    if _has_log(source.path):
        raise HashSetError(
            f"{source.name}: has a write-ahead log or journal beside it, so what is in the file is not all of it. "
            "Open and close it once with the program that made it. Nothing was imported."
        )
    address = f"file:{quote(str(source.path.resolve()).replace(chr(92), '/'))}?mode=ro&immutable=1"
    try:
        connection = sqlite3.connect(address, uri=True, isolation_level=None)
    except sqlite3.Error as error:
        raise _unreadable(source, error) from None
    try:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_VALUE)
        connection.text_factory = _text
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        connection.set_authorizer(_authorise)
        yield connection
    except (sqlite3.Error, UnicodeDecodeError) as error:  # the module decodes names and messages that a file decides
        raise _unreadable(source, error) from None
    finally:
        connection.close()


def columns_of(connection: sqlite3.Connection, table: str) -> list[str]:
    """The column names of a table in lower case; [] if there is none. Views and virtual tables do not count:

    whoever made the file decides what they compute and for how long.
    """
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0"):
        if isinstance(name, str) and name.lower() == table.lower():
            found = connection.execute(f'SELECT * FROM "{table}" LIMIT 0')  # noqa: S608  the name is ours
            return [item[0].lower() for item in found.description]
    return []


def _authorise(action: int, *_: str | None) -> int:
    return sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _has_log(path: Path) -> bool:
    for ending in ("-wal", "-journal"):
        beside = path.with_name(path.name + ending)
        if beside.exists() and beside.stat().st_size:
            return True
    return False


def _unreadable(source: SourceFile, error: sqlite3.Error | UnicodeDecodeError) -> HashSetError:
    name = getattr(error, "sqlite_errorname", "") or type(error).__name__
    return HashSetError(
        f"{source.name}: SQLite cannot read it ({name}). Nothing was imported. "
        "Copy the file again and compare its checksum."
    )
