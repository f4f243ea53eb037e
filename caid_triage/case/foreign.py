"""A case's database whose schema is not one that this program makes: a stranger's, nothing of which is to be run."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path

from caid_triage.case.schema import (
    ACT_TABLES,
    DETAIL_TABLE,
    DIGEST_TABLES,
    LINK_TABLES,
    SAMPLE_TABLES,
    SCHEMA_VERSION,
    STATED_TABLE,
    TABLES,
    WITH_ACTS,
    WITH_DETAILS,
    WITH_DIGESTS,
    WITH_LINKS,
)
from caid_triage.errors import CaseError

Columns = dict[str, frozenset[str]]


def foreign_parts(connection: sqlite3.Connection) -> list[str]:
    """What the schema has that runs what a stranger wrote, as it is read or changed: "trigger NAME", "view NAME", ...

    This program makes tables and indexes only. A view in the place of a table may never come to its end.
    """
    connection.execute("PRAGMA trusted_schema = OFF")
    found = connection.execute(
        "SELECT iif(type = 'table', 'virtual table', type), name FROM sqlite_schema "
        "WHERE type NOT IN ('table', 'index') OR (type = 'table' AND rootpage = 0) ORDER BY type, name"
    )
    return [f"{kind} {name}" for kind, name in found]


def refuse_foreign_schema(connection: sqlite3.Connection, version: int, folder: Path) -> None:
    """CaseError: the database of a case of this schema has a part that it cannot have, or a table is not what it was.

    More tables, or columns, than the schema has are not read, and what they hold changes nothing.
    """
    parts = foreign_parts(connection)
    if not parts:
        found, made = _columns(connection), _columns_made(version)
        parts = [f"table {name}" for name in sorted(made) if not made[name] <= found.get(name, frozenset())]
        parts += [f"table {name}" for name in sorted(_columns_made(SCHEMA_VERSION).keys() & found.keys() - made.keys())]
    if parts:
        raise CaseError(
            f"the case in {folder}: its database is not as this program makes it ({parts[0]}): another program "
            "changed it; `caid-triage verify` says more. Restore it from a copy"
        )


@cache
def _columns_made(version: int) -> Columns:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(TABLES)
        if version >= WITH_DIGESTS:
            connection.executescript(DIGEST_TABLES)
        if version >= WITH_ACTS:
            connection.executescript(STATED_TABLE + ACT_TABLES)
        if version >= WITH_LINKS:
            connection.executescript(SAMPLE_TABLES + LINK_TABLES)
        if version >= WITH_DETAILS:
            connection.executescript(DETAIL_TABLE)
        made = _columns(connection)
    if version < WITH_DIGESTS:
        made["audit_head"] -= {"closing"}
    return made


def _columns(connection: sqlite3.Connection) -> Columns:
    """The columns of each table that hold what was stored in them; generated ones do not."""
    found: dict[str, set[str]] = {}
    for table, column in connection.execute(
        "SELECT t.name, c.name FROM sqlite_schema t, pragma_table_xinfo(t.name) c "
        "WHERE t.type = 'table' AND c.hidden = 0"
    ):
        found.setdefault(table, set()).add(column)
    return {table: frozenset(columns) for table, columns in found.items()}
