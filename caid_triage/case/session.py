"""A session of the one process that changes a case: taking it up as it was left, transactions, coming to rest."""

from __future__ import annotations

import errno
import sqlite3
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Self

from caid_triage.case.audit import AuditChain, AuditHead
from caid_triage.case.closing import changed_since, file_facts, put_to_rest
from caid_triage.case.command import Command
from caid_triage.case.digests import DigestTable, content_digest
from caid_triage.case.lock import CaseLock
from caid_triage.case.making import bring_up_to_date
from caid_triage.case.schema import DATABASE, make_durable, storage_faults
from caid_triage.errors import CaseError
from caid_triage.held import interrupt_held


class CaseSession:
    """The right to change a case, from its lock to the last line of its audit chain.

    Nothing of the case is changed before the first call that changes it; then :meth:`close` ends with the line
    ``closed``.
    """

    def __init__(self, folder: Path, lock: CaseLock, connection: sqlite3.Connection, logs: Sequence[str] = ()) -> None:
        """``logs`` stood beside the database before ``connection`` opened it, and may be gone by now."""
        self.folder = folder
        self._logs = logs
        self._lock = lock
        self._connection = connection
        self._digests = DigestTable(connection)
        self._begun = self._closed = self._failed = False
        self.last_line: AuditHead | None = None  # once closed: the line ``closed``, where there is one
        with storage_faults(folder):
            self._file = (folder / DATABASE).stat().st_ino
        self._audit = AuditChain(folder, connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, *_: object) -> None:
        if kind is None:
            try:
                self.close()
            finally:
                self.close()  # an interrupt may have come just before that one began
        else:
            _let_go(fault)
            with suppress(CaseError):  # what is under way says more
                self.close()

    def begin(self) -> None:
        """Make the case ready to be changed, and put on record what was done to it since it was closed.

        Called by everything that changes it. A case of an earlier schema is brought up to this one.
        """
        if self._begun:
            return
        with storage_faults(self.folder):
            closed = self._audit.take_up()
            changed = None if closed is None else changed_since(self.folder, closed.get("database"), self._logs)
            with interrupt_held():  # opened and not begun, it would be closed by nobody
                self._audit.open(changed)
                make_durable(self._connection)
                self._audit.begin(bring_up_to_date(self._connection))
                self._begun = True

    def close(self) -> None:
        """Leave the case as one file at rest, on record in the audit chain (``last_line``), and let others write.

        Without a line where nothing was changed, and where another process reads the case and so keeps it from coming
        to rest. CaseError if the disk is full or fails and nobody was told yet: the case is consistent, and the next
        command puts on record that it was not closed. May be called twice.
        An interrupt waits: a case that was not closed looks like one whose end was cut off, and is refused as that.
        """
        with interrupt_held():
            self._close()

    def _close(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            if self._begun:
                self.last_line = self._come_to_rest()
        except CaseError:
            if not self._failed:
                raise
        finally:
            self._connection.close()
            self._lock.release()

    def _come_to_rest(self) -> AuditHead | None:
        with storage_faults(self.folder):
            with self._transaction() as connection:
                connection.execute("UPDATE audit_head SET closing = 1")
            content = content_digest(self._connection)
            at_rest = put_to_rest(self._connection)
            if not at_rest:
                self._connection.execute("UPDATE audit_head SET closing = 0")
            # The file is read by this process itself: only once the database is no longer open in it.
            self._connection.close()
            if not at_rest:
                return None
            return self._audit.append_closed(database=file_facts(self.folder / DATABASE), content=content)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._undo_left_open()
        self.begin()
        with self._storage():
            # A folder that was deleted or moved away leaves an open database in which nobody would find anything.
            if (self.folder / DATABASE).stat().st_ino != self._file:
                raise FileNotFoundError(errno.ENOENT, f"another {DATABASE} has taken its place")
            self._connection.execute("BEGIN IMMEDIATE")
            with ExitStack() as undo:
                undo.callback(self._roll_back)
                yield self._connection
                self._digests.settle()
                self._connection.execute("COMMIT")
                undo.pop_all()

    @contextmanager
    def _storage(self) -> Iterator[None]:
        """What :func:`storage_faults` does, and remember that the caller was told of one."""
        try:
            with storage_faults(self.folder):
                yield
        except CaseError:
            self._failed = True
            raise

    def _undo_left_open(self) -> None:
        """Undo a transaction that an interrupt left open: between its beginning and its block nobody undoes it.

        What is written next would be lost with it, and the audit chain be ahead of the case, as if it were forged.
        """
        if self._connection.in_transaction:
            self._roll_back()

    def _roll_back(self) -> None:
        self._digests.forget()
        with suppress(sqlite3.ProgrammingError):  # it is closed, and was rolled back with that
            # SQLite has rolled back by itself after some faults (no space left): a second time would be an error.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    # -- the record of what was done ----------------------------------------------------------------------------------

    def audit(self, action: str, **facts: object) -> None:
        """Append one line to the audit chain, on disk before this returns. Never inside a transaction."""
        self._undo_left_open()
        self.begin()
        with self._storage():
            self._audit.append(action, **facts)

    def audit_acts(self, acts: Sequence[tuple[str, dict[str, object]]]) -> None:
        """Append a line for each act of examiners, all on disk before this returns. Never inside a transaction."""
        self._undo_left_open()
        with self._storage():
            self._audit.append_acts(acts)

    def audit_command(self, command: Command) -> None:
        """Append the line ``command``: what was asked for, by whom and where, with which versions."""
        self.audit("command", **command.facts())


def _let_go(fault: BaseException | None) -> None:
    """Free what the ended frames of an error hold: rows that were being read keep a database from coming to rest."""
    met: set[int] = set()
    while fault is not None and id(fault) not in met:
        met.add(id(fault))
        traceback.clear_frames(fault.__traceback__)
        fault = fault.__cause__ or fault.__context__
