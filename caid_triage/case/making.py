"""Making the tables of a case, and bringing a case of an earlier schema up to this one."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from caid_triage.case.digests import DigestTable
from caid_triage.case.schema import (
    ACT_TABLES,
    APPLICATION_ID,
    DATABASE,
    DETAIL_TABLE,
    DIGEST_TABLES,
    LINK_TABLES,
    OLDEST_SCHEMA,
    SAMPLE_TABLES,
    SCHEMA_VERSION,
    STATED_TABLE,
    TABLES,
    UNMADE,
    WITH_ACTS,
    WITH_DETAILS,
    WITH_DIGESTS,
    WITH_LINKS,
    connect_for_writing,
)

NO_JOURNAL = "INSERT INTO journal_head VALUES (1, 0, NULL, 0)"


def make_database(folder: Path, header: tuple[str, ...]) -> None:
    """Make the case's database, on disk whole before it gets its name; what a creation that died left is replaced."""
    making = folder / UNMADE
    making.unlink(missing_ok=True)
    with closing(connect_for_writing(making)) as connection:
        connection.execute("PRAGMA journal_mode = MEMORY")  # nothing to go back to: it is not a case yet
        create_tables(connection, header)
    making.replace(folder / DATABASE)


def create_tables(connection: sqlite3.Connection, header: tuple[str, ...]) -> None:
    """Make the tables, store the header's columns and mark the file as ours, all or nothing."""
    more = STATED_TABLE + ACT_TABLES + SAMPLE_TABLES + LINK_TABLES + DETAIL_TABLE
    connection.executescript(f"BEGIN IMMEDIATE; {TABLES} {DIGEST_TABLES} {more}")
    connection.execute("INSERT INTO audit_head VALUES (1, 0, NULL, 0)")
    connection.execute(NO_JOURNAL)
    connection.execute("INSERT INTO header VALUES (1, ?, ?, ?, ?, ?)", header)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    DigestTable(connection).digest_everything()
    connection.execute("COMMIT")


def bring_up_to_date(connection: sqlite3.Connection) -> int | None:
    """Bring the tables to this schema, all or nothing; returns which it was before, None where that was this one.

    What a version before the digests stored is digested as it is found now: nothing shows what was done to it before.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version >= SCHEMA_VERSION:
        return None
    assert version >= OLDEST_SCHEMA  # check_schema has refused others
    more = DIGEST_TABLES if version < WITH_DIGESTS else ""
    connection.executescript(f"BEGIN IMMEDIATE; {more} {_missing(version)}")
    try:
        if version < WITH_ACTS:
            connection.execute(NO_JOURNAL)
        digests = DigestTable(connection)
        if version < WITH_DIGESTS:
            connection.execute("ALTER TABLE audit_head ADD COLUMN closing INTEGER NOT NULL DEFAULT 0")
            digests.digest_everything()
        else:
            digests.touch("sqlite_schema")
            if version < WITH_ACTS:
                digests.touch("journal_head")
            digests.settle()
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return int(version)


def _missing(version: int) -> str:
    """The tables that a case of this schema lacks, beside those of the digests."""
    acts = STATED_TABLE + ACT_TABLES if version < WITH_ACTS else ""
    links = SAMPLE_TABLES + LINK_TABLES if version < WITH_LINKS else ""
    return acts + links + (DETAIL_TABLE if version < WITH_DETAILS else "")


def stand_in_tables(connection: sqlite3.Connection, version: int) -> None:
    """Give a case of an earlier schema, which is only read, the tables that it lacks, empty and for this connection."""
    if missing := _missing(version):
        connection.executescript(missing.replace("CREATE TABLE", "CREATE TEMP TABLE").replace("INDEX ", "INDEX temp."))
    if version < WITH_ACTS:
        connection.execute(NO_JOURNAL)
