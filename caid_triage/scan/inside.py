"""What lies inside a file, on its way from the worker to the case: plain data, checked like hostile input, entries.

Between DIGESTS and EXAMINED a worker that looks inside a file says, as often as it is so:

    worker -> coordinator   STEP {"step","size"}   something begins that may take long; step 0: the file itself is
                            FOUND {...}            one inner file, examined

A worker that dies after a step is asked again with what was found left out ("again" in TASK), and a step that ends it
each time is left out as well: one inner file is lost and named, not the archive (examine/embedded/walk.py).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from caid_triage.evidence.paths import display_name
from caid_triage.examine.embedded.walk import MOST_STEP_BYTES, WHY, Again, Found
from caid_triage.model import INSIDE, MOST_PARTS, FileEntry, FileTimes, Problem, ScanRecord, State
from caid_triage.scan import protocol

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOST_NAMES = 64
LONGEST_NAME = 8192
MOST_LEFT_OUT = 32
MOST_DEATHS = 3
# How many steps a worker may say without finding a file: a good one says what is amiss at most 1,000 times, and that it
# goes on once in some MiB (examine/embedded/walk.py).
MOST_IDLE_STEPS = 4096
IDLE_BYTES = 1 << 18
STEPS_OF_DELIVERED = 8  # what was found before is passed by without saying it again
FAR = 1 << 62


@dataclass(slots=True)
class SoFar:
    """How far the walk inside one file has come over all attempts at it, and which step is under way (0: none)."""

    delivered: int = 0
    step: int = 0
    left_out: dict[int, str] = field(default_factory=dict)
    _last: int = 0
    _deaths: Counter[int] = field(default_factory=Counter)
    _idle: int = 0

    @property
    def is_fresh(self) -> bool:
        """Whether nothing was given on, and nothing is left out: this is a first attempt, or like one."""
        return not self.delivered and not self.left_out

    def begins(self, value: dict[str, Any], sent: int) -> int:
        """Take note of the step that a worker says; returns how many bytes it is about. ProtocolError for nonsense.

        Steps are counted one by one, and there is an end of them: saying some does not put off a deadline for ever.
        """
        step = protocol.integer(value.get("step"), 0, FAR)
        size = protocol.integer(value.get("size"), 0, MOST_STEP_BYTES)
        self._idle += 1
        if step not in (0, self._last + 1) or self._idle > self._most_idle(sent):
            raise protocol.ProtocolError("steps that no good worker says")
        self.step = step
        self._last = step or self._last  # step 0 may come between: the file's own decode, then its thumbnails
        return size

    def _most_idle(self, sent: int) -> int:
        return MOST_IDLE_STEPS + sent // IDLE_BYTES + STEPS_OF_DELIVERED * self.delivered

    def takes(self, found: Found) -> None:
        """Take note of an inner file; ProtocolError for another one than the next."""
        if found.part != self.delivered + 1:
            raise protocol.ProtocolError("an inner file out of order")
        self.delivered += 1
        self._idle = 0

    def blame(self, fault: str) -> bool:
        """Take note of a death ("died") or a hang ("hung") in the step under way; whether to try again."""
        step, self.step, self._idle = self.step, 0, 0
        if step in self.left_out:  # it does not do what it is told
            return False
        self._deaths[step] += 1
        if fault == "hung" or self._deaths[step] >= MOST_DEATHS:
            self.left_out[step] = f"decoder-{fault}"
        return len(self.left_out) <= MOST_LEFT_OUT

    def again(self) -> list[Any]:
        """For the header of a task, whose steps are counted from 1 again."""
        self.step = self._last = 0
        return [self.delivered, sorted(self.left_out.items())]


def again_from_plain(value: Any) -> Again:
    """What :meth:`SoFar.again` said, on the worker's side; ProtocolError for anything else."""
    if value is None:
        return Again()
    try:
        delivered, left_out = value
        steps = {protocol.integer(step, 0, FAR): protocol.text(code, 80) for step, code in left_out}
    except (TypeError, ValueError) as error:
        raise protocol.ProtocolError("how to walk once more is said in another way") from error
    known = {step: code for step, code in steps.items() if code in WHY}
    return Again(protocol.integer(delivered, 0, MOST_PARTS), known)


def found_to_plain(found: Found) -> dict[str, Any]:
    """One inner file as plain data."""
    digests = found.examination.digests
    times = found.times
    return {
        "part": found.part,
        "names": [name.hex() for name in found.names],
        "size": found.size,
        "times": [_since(moment) for moment in (times.created, times.modified, times.accessed, times.changed)],
        "zone_note": times.zone_note,
        "readable": found.readable,
        "problems": protocol.problems_to_plain(found.problems),
        "digests": digests and protocol.digests_to_plain(digests),
        "examination": protocol.examination_to_plain(found.examination),
    }


def found_from_plain(value: dict[str, Any]) -> Found:
    """One inner file from plain data, every field's type and range checked; ProtocolError otherwise."""
    try:
        names, times = value["names"], value["times"]
        if not isinstance(names, list) or not 0 < len(names) <= MOST_NAMES or len(times) != 4:
            raise protocol.ProtocolError("an inner file without names or times")
        digests = value["digests"]
        size = value["size"]
        return Found(
            part=protocol.integer(value["part"], 1, MOST_PARTS),
            names=tuple(bytes.fromhex(protocol.text(name, 2 * LONGEST_NAME)) for name in names),
            size=None if size is None else protocol.integer(size, 0, FAR),
            times=_times([_moment(moment) for moment in times], _note(value["zone_note"])),
            readable=value["readable"] is True,
            problems=tuple(protocol.problems_from_plain(value["problems"])),
            examination=protocol.examination_from_plain(
                value["examination"], None if digests is None else protocol.digests_from_plain(digests)
            ),
        )
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise protocol.ProtocolError("an inner file with a missing or wrong field") from error


def _times(moments: list[datetime | None], zone_note: str) -> FileTimes:
    created, modified, accessed, changed = moments
    return FileTimes(created, modified, accessed, changed, zone_note)


def _note(value: Any) -> str:
    """A zone note of our own choosing: the case must be able to keep it (half a surrogate pair it could not)."""
    note = protocol.text(value, 100)
    if not (note.isascii() and note.isprintable()):
        raise protocol.ProtocolError("a zone note with characters that do not belong there")
    return note


def _since(moment: datetime | None) -> int | None:
    return None if moment is None else (moment - EPOCH) // timedelta(microseconds=1)


def _moment(value: Any) -> datetime | None:
    return None if value is None else EPOCH + timedelta(microseconds=protocol.integer(value, -FAR, FAR))


def record_inside(parent: FileEntry, found: Found) -> ScanRecord:
    """The ScanRecord of an inner file: an entry of its own, with the path of all the files that it lies in."""
    path, raw = parent.path, parent.raw_path
    for name in found.names:
        shown = "/".join(display_name(part) for part in name.split(b"/") if part)
        path += INSIDE + (shown or "unnamed")
        raw += INSIDE.encode() + name
    entry = FileEntry(
        exhibit=parent.exhibit,
        source=parent.source,
        volume=parent.volume,
        number=parent.number,
        path=path,
        raw_path=raw,
        state=State.EMBEDDED,
        size=found.size,
        times=found.times,
        inode=parent.inode,
        readable=found.readable,
        problems=tuple(_named(problem, parent, path) for problem in found.problems),
        part=found.part,
    )
    return ScanRecord(entry, found.examination)


def _named(problem: Problem, parent: FileEntry, path: str) -> Problem:
    return replace(problem, exhibit=parent.exhibit, source=parent.source, volume=parent.volume, path=path)
