"""Checking a case: its audit chain, its database as a file, every row. Nothing is written, no byte of it changes.

:func:`check_case` does all of it but for the reports, which report/verify.py adds.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from caid_triage.case.audit import (
    AUDIT_FILE,
    CLOSED,
    AuditHead,
    Line,
    chain_faults,
    end_faults,
    head_of,
    is_first_with_digests,
    parse,
    read_lines,
    unreadable,
)
from caid_triage.case.closing import file_facts, logs_beside
from caid_triage.case.digests import OF_ACTS, OF_DETAILS, OF_LINKS, OF_SAMPLES, content_digest
from caid_triage.case.fault import Fault
from caid_triage.case.foreign import foreign_parts
from caid_triage.case.journal import JOURNAL_FILE, acts_behind, journal_faults, place_in
from caid_triage.case.lock import is_locked
from caid_triage.case.making import stand_in_tables
from caid_triage.case.rows_check import row_faults
from caid_triage.case.schema import (
    DATABASE,
    WITH_ACTS,
    WITH_DETAILS,
    WITH_DIGESTS,
    WITH_LINKS,
    check_schema,
    connect_at_rest,
    storage_faults,
)
from caid_triage.errors import CaseError


@dataclass(slots=True)
class CaseCheck:
    """What checking a case came to. ``notes`` are no faults: what could not be checked, and what is on record."""

    head: AuditHead = field(default_factory=AuditHead)
    lines: list[Line] = field(default_factory=list)  # of the audit chain; {} for one that cannot be read
    line_digests: list[str] = field(default_factory=list)  # the SHA-256 of each line, in hex
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    rows: int = 0  # how many were compared with their digests
    cut_short: bool = False  # the chain cannot be read, so that there is nothing to compare with


def check_case(folder: Path) -> CaseCheck:
    """Check everything of a case but its reports. CaseError: there is none, a command is writing to it, or it is newer.

    Whatever is wrong with the case itself is a fault, a database that cannot be opened any more too.
    """
    path = folder / DATABASE
    if not path.is_file():
        raise CaseError(f"there is no case in {folder} (no {DATABASE}); check the folder's name")
    if is_locked(folder):
        raise CaseError(f"the case in {folder} is in use: a command is writing to it; verify it when that has ended")
    with storage_faults(folder):
        if what := unreadable(folder / AUDIT_FILE):
            return CaseCheck(faults=[Fault(AUDIT_FILE, f"{what}: nothing was checked")], cut_short=True)
        lines, torn = read_lines(folder / AUDIT_FILE)
        digests = [hashlib.sha256(line).hexdigest() for line in lines]
        check = CaseCheck(head_of(lines), [parse(line) or {} for line in lines], digests)
        check.faults += chain_faults(lines, torn)
        closed = check.lines[-1] if lines and check.lines[-1].get("action") == CLOSED else None
        check.faults += _file_faults(folder, closed)
    _check_database(folder, check, lines, closed)
    check.notes += _notes(check.lines)
    return check


def _file_faults(folder: Path, closed: Line | None) -> Iterator[Fault]:
    """Whether the database is byte for byte as it was closed, with nothing beside it that changes what is read."""
    if closed is None:
        return
    noted, found = closed.get("database"), file_facts(folder / DATABASE)
    if not isinstance(noted, dict) or found != noted:
        size = noted.get("size") if isinstance(noted, dict) else None
        longer = f" (it has {found['size']} bytes, it had {size})" if found["size"] != size else ""
        yield Fault(DATABASE, f"is not the file that the last line of {AUDIT_FILE} names: it was changed{longer}")
    for name in logs_beside(folder):
        yield Fault(name, "stands beside a database that was closed: it was put there and changes what is read from it")


def _check_database(folder: Path, check: CaseCheck, lines: list[bytes], closed: Line | None) -> None:
    changed = any(fault.where.startswith(DATABASE) for fault in check.faults)
    try:
        with storage_faults(folder), closing(connect_at_rest(folder)) as connection:
            version = check_schema(connection, folder)
            strange = [
                part for part in foreign_parts(connection) if not part.startswith("trigger")
            ]  # reading runs none
            if strange:
                what = "was added outside; nothing of the database was checked, for a view need not come to an end"
                check.faults += [Fault(f"{DATABASE} table sqlite_schema, {part}", what) for part in strange]
                return
            check.faults += end_faults(lines, connection, version)
            if version < WITH_DIGESTS:
                check.notes.append(
                    f"the case has schema {version}, which keeps no digests of its rows: only its audit chain and its "
                    "reports were checked. The next command that writes to it adds them, of what is there then"
                )
                return
            stand_in_tables(connection, version)
            if version >= WITH_ACTS:
                noted = place_in(connection)
                check.faults += journal_faults(folder, noted)
                if waiting := acts_behind(folder, noted):
                    check.notes.append(
                        f"{waiting} acts of examiners are in {JOURNAL_FILE} and not yet in {DATABASE}: the next "
                        "command that writes to the case takes them in"
                    )
            check.faults += row_faults(connection, _tables_after(version))
            (check.rows,) = connection.execute("SELECT coalesce(sum(rows), 0) FROM digest").fetchone()
            if closed is not None and content_digest(connection) != closed.get("content"):
                check.faults.append(Fault(DATABASE, f"its digests are not those that {AUDIT_FILE} ends with"))
    except (CaseError, sqlite3.Error, ValueError, TypeError, OverflowError) as fault:
        # A changed database fails in many ways. One that is as it was closed is of a newer version, or shows a bug.
        if not changed and (closed is not None or isinstance(fault, CaseError)):
            raise
        kind = f": {fault}" if isinstance(fault, CaseError) else f" ({type(fault).__name__})"
        check.faults.append(Fault(DATABASE, f"cannot be read to its end any more{kind}"))


def _tables_after(version: int) -> tuple[str, ...]:
    """The tables that schemas after this one added: a case of it has none of their digests."""
    since = ((WITH_ACTS, OF_ACTS), (WITH_LINKS, (*OF_LINKS, *OF_SAMPLES)), (WITH_DETAILS, OF_DETAILS))
    return tuple(table for first, tables in since if version < first for table in tables)


def _notes(lines: list[Line]) -> Iterator[str]:
    for place, fields in enumerate(lines, start=1):
        line, action = f"line {place} of {AUDIT_FILE} records that the", fields.get("action")
        if action == "not-closed":
            yield f"{line} command before it was killed and did not close the case"
        elif is_first_with_digests(fields):
            yield f"{line} case was begun by an earlier version: what was done to its rows before cannot be seen"
