"""What a batch has done, a line an event, on disk before anything goes on: killed at any moment, the next run knows.

``batch.jsonl`` lies beside the case folders, and ``batch.lock``, which the death of its process gives back. A last
line that was cut short is taken away by the next run; what it told of is done again, which costs time and no result.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO, Self

from caid_triage.case.lock import exclusive
from caid_triage.case.schema import is_stranger, os_sentence
from caid_triage.errors import CaseError

JOURNAL, LOCK = "batch.jsonl", "batch.lock"


# What a line of ours holds under these names; a line of somebody else is to be named, not to break a page later.
_EVENTS = frozenset({"queued", "began", "looked", "ended"})
_KINDS: Mapping[str, type] = {"case": str, "definition": str, "priority": int, "size": int, "sentences": list}


class State(StrEnum):
    """Where an exhibit is. ``stopped``: interrupted, or the time was up; it goes on where it was."""

    WAITING = "waiting"
    IN_WORK = "in work"
    STOPPED = "stopped"
    FAILED = "failed"
    DONE = "done"
    PROBLEMS = "done, with problems"


ENDED_WELL = frozenset({State.DONE, State.PROBLEMS})


@dataclass(frozen=True, slots=True)
class Record:
    """What the journal knows of an exhibit. Times are aware UTC; ``case`` is the folder's name beside the journal.

    ``definition`` is that of the run that ``state`` is of. ``code`` is the exit code of the last scan (negative: the
    signal that ended it), ``tries`` how many scans the last run needed, ``seconds`` how long they took, ``looked``
    whether the first look of a time box is done, ``whole`` whether it came to its end. ``sentences`` are what the last
    scan said of why it failed.
    """

    reference: str
    case: str
    definition: str = ""
    priority: int = 0
    size: int = 0
    queued: datetime | None = None
    began: datetime | None = None
    ended: datetime | None = None
    state: State = State.WAITING
    code: int | None = None
    tries: int = 0
    seconds: float = 0.0
    looked: bool = False
    whole: bool = False
    sentences: tuple[str, ...] = ()


@dataclass(slots=True)
class Known:
    """The journal of a folder, read: a record for each exhibit by its reference, in the order they were queued."""

    records: dict[str, Record] = field(default_factory=dict)

    def take(self, line: Mapping[str, Any]) -> None:
        """Learn from one line. What a line lacks is as it was; what is no event of ours is passed over."""
        reference, event = line.get("reference"), line.get("event")
        if not isinstance(reference, str) or event not in _EVENTS:
            return
        at = _moment(line.get("at"))
        if not all(isinstance(line.get(name, fits()), fits) for name, fits in _KINDS.items()):
            raise ValueError("a value of another kind")
        if "\0" in line.get("case", "") or not 0 <= line.get("size", 0) < 1 << 63:
            raise ValueError("no name of a folder, or no size of a disk")
        before = self.records.get(reference) or Record(reference, str(line.get("case", "")))
        if event == "queued":
            known = {name: line[name] for name in ("case", "priority", "size") if name in line}
            changed = line.get("definition", "") != before.definition
            queued = at if changed or before.queued is None else before.queued
            after = Record(reference, before.case, line.get("definition", ""), queued=queued)
            after = replace(after, **known)
        elif event == "began":
            again = before.began is not None and before.state is State.STOPPED
            began = before.began if again else at
            after = replace(before, state=State.IN_WORK, began=began, ended=None, sentences=())
        elif event == "looked":
            after = replace(before, looked=True, whole=line.get("whole") is True, state=State.STOPPED)
        else:
            after = replace(
                before,
                state=State(line["state"]),
                code=line.get("code"),
                tries=line.get("tries", 0),
                seconds=line.get("seconds", 0.0),
                ended=at,
                sentences=tuple(line.get("sentences", ())),
            )
        self.records[reference] = after


def read_journal(folder: Path) -> Known:
    """What the journal of a folder says, while a batch may be writing to it. CaseError if it cannot be read."""
    known = Known()
    path = folder / JOURNAL
    if is_stranger(path):
        raise CaseError(f"{path} is no file: it was put there; remove it")
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return known
    except OSError as fault:
        raise CaseError(f"{path} cannot be read: {fault.strerror or fault}") from fault
    for number, line in enumerate(content.split(b"\n")[:-1], 1):  # behind the last line's end: nothing, or a torn line
        try:
            known.take(json.loads(line))
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
            message = f"line {number} of {path} is none that this program wrote; move the file away to begin again"
            raise CaseError(message) from error
    return known


class Journal:
    """The right to run a batch in a folder, and its journal; use it as a context manager."""

    def __init__(self, folder: Path) -> None:
        """Take the folder, which is made if it is new. CaseError where another batch has it, or it cannot be used."""
        self._folder = folder
        with ExitStack() as undo:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                if is_stranger(folder / LOCK):
                    raise CaseError(f"{folder / LOCK} is no file: it was put there; remove it")
                self._lock: BinaryIO = undo.enter_context((folder / LOCK).open("ab"))
                if not exclusive(self._lock):
                    raise CaseError(f"another batch is working in {folder}; wait until it has ended, then run again")
                self.known = read_journal(folder)
                self._file = undo.enter_context((folder / JOURNAL).open("ab", buffering=0))
                self._mend(folder / JOURNAL)
            except OSError as fault:
                raise CaseError(os_sentence(fault, folder)) from fault
            undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let another batch have the folder. May be called twice."""
        self._file.close()
        self._lock.close()

    def tell(self, event: str, reference: str, **facts: object) -> None:
        """Put an event on disk, and only then know of it. CaseError where the disk is full or fails."""
        line = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "event": event,
            "reference": reference,
            **facts,
        }
        text = (json.dumps(line) + "\n").encode()
        try:
            written = self._file.write(text)
            if written != len(text):
                raise CaseError(f"no space is left for the journal in {self._folder}; free some, then run again")
            os.fsync(self._file.fileno())
        except OSError as fault:
            raise CaseError(os_sentence(fault, self._folder)) from fault
        self.known.take(line)

    def _mend(self, path: Path) -> None:
        """Take away a last line that was cut short."""
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            self._file.truncate(whole)


def _moment(text: object) -> datetime | None:
    moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    if moment is not None and moment.tzinfo is None:
        raise ValueError("a time without a zone")  # it cannot be compared with the others
    return moment
