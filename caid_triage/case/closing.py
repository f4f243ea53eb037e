"""A case at rest: one file, whose digest the last line of the audit chain holds."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

from caid_triage.case.schema import DATABASE, is_stranger

# Beside a database at rest neither may stand: SQLite would read them as newer content of it.
LOGS = (f"{DATABASE}-wal", f"{DATABASE}-journal")
CHECKPOINT_MS = 2000


def file_facts(path: Path) -> dict[str, object]:
    """Size and SHA-256 of a file, read once from its first byte to its last."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return {"size": file.tell(), "sha256": digest.hexdigest()}


def logs_beside(folder: Path) -> list[str]:
    """Which logs with anything in them stand beside the database; links, pipes and the like too."""
    return [name for name in LOGS if is_stranger(folder / name) or _size(folder / name)]


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def changed_since(folder: Path, noted: object, logs: Sequence[str]) -> dict[str, object] | None:
    """What an audit line records of a database that is not as it was closed; None where it is.

    ``noted`` is what the line ``closed`` says of the database (a forged one: anything), ``logs`` which stood beside it
    before it was opened.
    Must not be called while this process has the database open in WAL mode: closing a file gives up all of a process's
    locks on it.
    """
    found = file_facts(folder / DATABASE)
    if found == noted and not logs:
        return None
    said = dict(noted) if isinstance(noted, Mapping) else None
    return {"what": "database", "noted": said, "found": found, "logs": list(logs)}


def put_to_rest(connection: sqlite3.Connection) -> bool:
    """Leave all content in the one file; False where another process reads from the log and so keeps it."""
    try:
        connection.execute("PRAGMA busy_timeout = 0")
        (mode,) = connection.execute("PRAGMA journal_mode = DELETE").fetchone()
    except sqlite3.OperationalError as fault:
        if not _is_busy(fault):
            raise
        mode = "wal"
    if mode == "delete":
        return True
    # A reader that is at rest keeps the mode, and not the content.
    connection.execute(f"PRAGMA busy_timeout = {CHECKPOINT_MS}")
    (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy


def _is_busy(fault: sqlite3.OperationalError) -> bool:
    return fault.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
