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
    AUDIT_FILE,
    MOST_BYTES,
    REVIEW_BEGAN,
    REVIEW_ENDED,
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
LONGEST_FIRST_LINE = 1 << 20
SHA256_BYTES = 32
DECIDED, WITHDRAWN, REMARKED = "decided", "withdrawn", "remarked"
SESSIONS = (REVIEW_BEGAN, REVIEW_ENDED)  # that somebody looked, whether or not he graded anything
FIGURES = ("shown", "revealed", "graded", "taken_back", "noted", "minutes")  # of a session, when it has ended


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that an examiner did: graded contents, took back an act of his own, remarked, began or ended a session.

    ``number`` is that of its line. ``of`` is the act that is taken back, or the beginning of the session that ends.
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
            return self._read_on()[0] if self._is_there() else []

    def append(self, action: str, examiner: str, **facts: object) -> list[Act]:
        """Add an act, on disk when this returns; gives it, behind those that others have added meanwhile.

        CaseError: the disk is full or fails (the act is not in the journal then), or the journal was changed outside.
        """
        with storage_faults(self._folder), self._alone():
            acts, torn = self._read_on() if self._is_there() else ([], 0)
            left = {"torn_bytes": torn} if torn else {}
            whose = {} if self.place.head.sequence else {"case": case_mark(self._folder)}
            line, head = next_line(self.place.head, action, {"examiner": examiner, **facts, **left, **whose})
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
                force_folder(self._folder)
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

    def _is_there(self) -> bool:
        """Whether there is a journal. CaseError: there was one, and it is gone."""
        is_there = self._path.exists()
        if not is_there and self.place.offset:
            raise _changed(self._folder)
        return is_there

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
            if head.sequence == 0 and is_of_another_case(self._folder, line):
                raise CaseError(
                    f"{JOURNAL_FILE} in {self._folder} is that of another case: put back the one of this case"
                )
            acts.append(act_of(line))
            head = AuditHead(head.sequence + 1, head_of([line]).sha256)
        self.place = Place(head, self.place.offset + sum(len(line) + 1 for line in lines))
        return acts, len(torn)


def case_mark(folder: Path) -> str | None:
    """What tells a case from every other: the SHA-256 of the first line of its audit chain; None without one."""
    path = folder / AUDIT_FILE
    if is_stranger(path) or not path.exists():
        return None
    with path.open("rb") as file:
        line = file.readline(LONGEST_FIRST_LINE)
    return head_of([line[:-1]]).sha256 if line.endswith(b"\n") else None


def is_of_another_case(folder: Path, first: bytes) -> bool:
    """Whether the first line of a journal names another case than the one that it lies in."""
    mark = case_mark(folder)
    return mark is not None and (parse(first) or {}).get("case") != mark


def act_of(line: bytes) -> Act:
    """The act of a line. CaseError for a line that no review wrote."""
    fields: Mapping[str, Any] = parse(line) or {}
    try:
        category = None
        if fields["action"] == DECIDED:
            code, label, scheme, severity = fields["category"]
            if not all(type(one) is str for one in (code, label, scheme)) or type(severity) not in (int, type(None)):
                raise TypeError
            category = Category(code, label, scheme, severity)
        action, examiner, note, of = fields["action"], fields["examiner"], fields.get("note", ""), fields.get("of")
        contents = tuple(bytes.fromhex(one) for one in fields.get("contents", ()))
        made = datetime.fromisoformat(fields["time"])
        if (
            action not in (DECIDED, WITHDRAWN, REMARKED, *SESSIONS)
            or not (type(examiner) is str and type(note) is str)
            or type(of) is not (int if action in (WITHDRAWN, REVIEW_ENDED) else type(None))
            or any(len(one) != SHA256_BYTES for one in contents)
            or made.tzinfo is None
        ):
            raise TypeError
        return Act(fields["sequence"], action, examiner, made, contents, category, note, of)
    except (KeyError, ValueError, TypeError) as fault:
        raise CaseError(f"a line of {JOURNAL_FILE} is none that a review writes; restore it from a copy") from fault


def session_facts(folder: Path) -> dict[int, dict[str, object]]:
    """Of each line about a session what the audit trail says of it: when, and of an end of which and how much.

    The database keeps no figures of sessions. What is no such line, or has been changed, has no facts here.
    """
    if unreadable(folder / JOURNAL_FILE):
        return {}
    lines = (parse(line) or {} for line in read_lines(folder / JOURNAL_FILE)[0])
    return {
        number: {"at": fields.get("time"), **{name: fields[name] for name in ("of", *FIGURES) if name in fields}}
        for number, fields in enumerate(lines, start=1)
        if fields.get("action") in SESSIONS
    }


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
    if lines and is_of_another_case(folder, lines[0]):
        yield Fault(f"{JOURNAL_FILE} line 1", "is of another case: this is not the journal of this one")
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


def force_folder(folder: Path) -> None:
    """Force the name of a new file to disk; Windows does that by itself."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
