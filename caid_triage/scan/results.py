"""What comes out of an executor: records, problems of the walk, entries that were stored before; and the record of a
file that could not be examined as it should be, said the same way by every executor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from caid_triage.errors import EvidenceError
from caid_triage.model import (
    DecodeState,
    Digests,
    Examination,
    FileEntry,
    Kind,
    Problem,
    ScanRecord,
    Searching,
    Severity,
    State,
)

# what is wrong with a content itself, not with how it was examined
DAMAGE = frozenset(("partial-decode", "undecodable", "video-damaged", "video-undecodable"))


@dataclass(frozen=True, slots=True)
class Skipped:
    """An entry that is stored in the case already: it passes by unexamined."""

    entry: FileEntry


@dataclass(frozen=True, slots=True)
class Listed:
    """How far the listing of a source is, or (``stage``) that it is at its end and what is examined now.

    ``files`` were listed so far, ``size`` bytes of them can be read; ``by_size`` of them have a size that a notable
    hash set states.
    """

    files: int
    size: int
    by_size: int
    stage: str = ""


Read = Callable[[FileEntry], Iterator[bytes]]
# (entry, offset, length) -> exactly those bytes, EvidenceError otherwise: what an EvidenceSource's read_at does.
ReadAt = Callable[[FileEntry, int, int], bytes]
# (entry, name) -> the living file of that name in the entry's folder, None without: an EvidenceSource's beside.
Beside = Callable[[FileEntry, str], FileEntry | None]
Walked = FileEntry | Problem | Skipped | Searching | Listed
Result = ScanRecord | Problem | Skipped | Searching | Listed


def examined(entry: FileEntry, found: Examination) -> ScanRecord:
    """The record of an entry and what was found in it.

    A carved file is what is left of one: that a part is missing was so before the scan (a note), and takes nothing away
    from what could be examined (docs/decisions/0005).
    """
    if entry.state in (State.CARVED, State.SLACK) and any(problem.code in DAMAGE for problem in found.problems):
        told = (replace(one, severity=Severity.NOTE) if one.code in DAMAGE else one for one in found.problems)
        found = replace(found, problems=tuple(told))
    return ScanRecord(entry, found)


def not_examined(entry: FileEntry) -> ScanRecord:
    """The record of an entry that no content can belong to; the entry's own problems say why."""
    return ScanRecord(entry, Examination(None, bytes_read=0, media_type="", decode_state=DecodeState.NOT_ATTEMPTED))


def unreadable(entry: FileEntry, error: EvidenceError, bytes_read: int) -> ScanRecord:
    """The record of an entry whose content could not be read to its end: no digest of a part is kept as one of all."""
    problem = Problem(error.step, error.code, error.detail)
    return ScanRecord(
        entry,
        Examination(
            None, bytes_read=bytes_read, media_type="", decode_state=DecodeState.NOT_ATTEMPTED, problems=(problem,)
        ),
    )


@dataclass(frozen=True, slots=True)
class Early:
    """What a worker says before it decodes; ``waits``: for a word on whether it must."""

    digests: Digests
    kind: Kind
    media_type: str
    bytes_read: int
    waits: bool = False


def inside_given_up(early: Early, left_out: int) -> Examination:
    """What stands in the record of a file so much of whose inside ended workers that the rest of it was left alone."""
    text = (
        f"{left_out} parts of what lies inside ended a worker process; the rest was not examined, and of the file "
        "itself only the digests are kept"
    )
    state = DecodeState.NOT_MEDIA if early.kind is Kind.OTHER else DecodeState.NOT_ATTEMPTED
    problems = (Problem("inside", "inside-not-finished", text),)
    return Examination(early.digests, early.bytes_read, early.kind, early.media_type, state, problems=problems)


def given_up(early: Early | None, fault: str) -> Examination:
    """What stands in the record of a file whose worker died each time or hung."""
    if early is None:
        lost = Problem("hash", "digests-lost", "the worker process ended each time on this file before its digests")
        return Examination(None, 0, media_type="", decode_state=DecodeState.NOT_ATTEMPTED, problems=(lost,))
    what = "hung and was killed at its deadline" if fault == "hung" else "ended the worker process three times"
    problem = Problem("decode", f"decoder-{fault}", f"the decoder {what}; digests are kept, no perceptual hash")
    return Examination(
        early.digests,
        early.bytes_read,
        kind=early.kind,
        media_type=early.media_type,
        decode_state=DecodeState.UNDECODABLE,
        problems=(problem,),
    )
