"""The journal of a review: what examiners did, on disk before anything else is done with it.

A scan holds the right to write to its case, so a review puts grades here first: one line an act, chained like the audit
chain and forced to disk. They are taken into the database by whatever opens the case for writing next, at the end of a
scan too (:func:`take_in`); the database notes the last line that it has, in the transaction that takes it. So a process
killed at any moment loses no act and doubles none. The journal is never shortened: it stays beside the case.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from caid_triage.case.audit import (
    MOST_BYTES,
    AuditHead,
    chain_faults,
    follows,
    head_of,
    next_line,
    parse,
    read_lines,
    unreadable,
)
from caid_triage.case.fault import Fault
from caid_triage.case.lock import exclusive
from caid_triage.case.schema import is_stranger, storage_faults
from caid_triage.errors import CaseError
from caid_triage.model import Category

JOURNAL_FILE = "decisions.jsonl"
JOURNAL_LOCK = "decisions.lock"
LOCK_SECONDS = 10.0
DECIDED, WITHDRAWN, REMARKED = "decided", "withdrawn", "remarked"


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that an examiner did: graded contents, took back an act of his own, remarked on contents.

    ``number`` is that of its line. ``of`` is the act that is taken back.
    """

    number: int
    action: str
    examiner: str
    made: datetime
    contents: tuple[bytes, ...] = ()
    category: Category | None = None
    note: str = ""
    of: int | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """How far a journal was read: its last line, and the byte behind that."""

    head: AuditHead = field(default_factory=AuditHead)
    offset: int = 0


class Journal:
    """The acts behind a place of a case's journal, and the only way to add one. Several processes may use it."""

    def __init__(self, folder: Path, place: Place = Place()) -> None:
        """``place`` is where to begin: what stands before it is known already."""
        self._path = folder / JOURNAL_FILE
        self._lock = folder / JOURNAL_LOCK
        self._folder = folder
        self.place = place

    def read_on(self) -> list[Act]:
        """The acts that were added since the last call, by whom ever. CaseError: the journal was changed outside."""
        with storage_faults(self._folder):
            self._refuse_strangers()
            return [] if not self._path.exists() else self._read_on()[0]

    def append(self, action: str, examiner: str, **facts: object) -> list[Act]:
        """Add an act, on disk when this returns; gives it, behind those that others have added meanwhile.

        CaseError: the disk is full or fails (the act is not in the journal then), or the journal was changed outside.
        """
        with storage_faults(self._folder), self._alone():
            acts, torn = self._read_on() if self._path.exists() else ([], 0)
            left = {"torn_bytes": torn} if torn else {}
            line, head = next_line(self.place.head, action, {"examiner": examiner, **facts, **left})
            with self._path.open("ab", buffering=0) as file:
                if torn:  # whoever wrote it was killed before it could tell anybody
                    file.truncate(self.place.offset)
                try:
                    if file.write(line + b"\n") != len(line) + 1:
                        raise OSError(28, os.strerror(28))
                    os.fsync(file.fileno())
                except OSError:
                    file.truncate(self.place.offset)
                    raise
            if self.place.offset == 0:
                _force_folder(self._folder)
            acts.append(act_of(line))
            self.place = Place(head, self.place.offset + len(line) + 1)
            return acts

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait for other processes that are adding an act."""
        self._refuse_strangers()
        end = time.monotonic() + LOCK_SECONDS
        with self._lock.open("ab") as handle:
            while not exclusive(handle):
                if time.monotonic() > end:
                    raise CaseError(f"the journal of the case in {self._folder} is in use by another review; try again")
                time.sleep(0.002)
            yield

    def _refuse_strangers(self) -> None:
        """CaseError: a pipe would be waited for without end, and a link written through, to wherever it leads."""
        for path in (self._path, self._lock):
            if is_stranger(path):
                raise CaseError(f"the case in {self._folder}: {path.name} is no file: it was put there; remove it")

    def _read_on(self) -> tuple[list[Act], int]:
        """The acts behind the place, and how many bytes a process that was killed has left behind them."""
        with self._path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            if not 0 <= file.tell() - self.place.offset <= MOST_BYTES:
                raise _changed(self._folder)
            file.seek(self.place.offset)
            *lines, torn = file.read().split(b"\n")
        head, acts = self.place.head, []
        for line in lines:
            if not follows(line, head):
                raise _changed(self._folder)
            acts.append(act_of(line))
            head = AuditHead(head.sequence + 1, head_of([line]).sha256)
        self.place = Place(head, self.place.offset + sum(len(line) + 1 for line in lines))
        return acts, len(torn)


def act_of(line: bytes) -> Act:
    """The act of a line. CaseError for a line that no review wrote."""
    fields: Mapping[str, Any] = parse(line) or {}
    try:
        category = None
        if fields["action"] == DECIDED:
            code, label, scheme, severity = fields["category"]
            category = Category(code, label, scheme, severity)
        return Act(
            fields["sequence"],
            fields["action"],
            fields["examiner"],
            datetime.fromisoformat(fields["time"]),
            tuple(bytes.fromhex(one) for one in fields.get("contents", ())),
            category,
            fields.get("note", ""),
            fields.get("of"),
        )
    except (KeyError, ValueError, TypeError) as fault:
        raise CaseError(f"a line of {JOURNAL_FILE} is none that a review writes; restore it from a copy") from fault


def place_in(connection: sqlite3.Connection) -> Place:
    """How far the database has the journal."""
    sequence, sha256, offset = connection.execute("SELECT sequence, sha256, offset FROM journal_head").fetchone()
    return Place(AuditHead(sequence, sha256), offset)


def has_more(folder: Path, place: Place) -> bool:
    """Whether the journal has anything behind a place; one that is shorter has been changed, which is more too."""
    path = folder / JOURNAL_FILE
    size = path.stat().st_size if path.exists() else 0
    return size != place.offset


def journal_faults(folder: Path, noted: Place) -> Iterator[Fault]:
    """What of the journal is not as it was written, by itself and by what the database noted of it."""
    if what := unreadable(folder / JOURNAL_FILE):
        yield Fault(JOURNAL_FILE, f"{what}: nothing of it was checked")
        return
    lines, torn = read_lines(folder / JOURNAL_FILE)
    yield from chain_faults(lines, torn, JOURNAL_FILE)
    number = noted.head.sequence
    if len(lines) < number:
        there = f"ends at line {len(lines)}" if lines else "is missing or empty"
        yield Fault(JOURNAL_FILE, f"{there}, the case knows of {number}: lines were removed")
    elif number and head_of(lines[:number]) != noted.head:
        what = "is not the line that the case noted as the last that it has: it was changed, moved or inserted"
        yield Fault(f"{JOURNAL_FILE} line {number}", what)


def acts_behind(folder: Path, noted: Place) -> int:
    """How many acts of the journal the database does not have yet."""
    path = folder / JOURNAL_FILE
    return 0 if unreadable(path) else max(0, len(read_lines(path)[0]) - noted.head.sequence)


def facts_of(contents: Sequence[bytes], category: Category | None, note: str) -> dict[str, object]:
    """The facts of a line about contents."""
    graded = {} if category is None else {
        "category": [category.code, category.label, category.scheme, category.severity]
    }  # fmt: skip
    return {"contents": [one.hex() for one in contents], "note": note, **graded}


def _changed(folder: Path) -> CaseError:
    return CaseError(
        f"the journal of grades of the case in {folder} ({JOURNAL_FILE}) is not as it was written: it was changed "
        "outside this program; `caid-triage verify` says where, restore it from a copy"
    )


def _force_folder(folder: Path) -> None:
    """Force the name of a new file to disk; Windows does that by itself."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
