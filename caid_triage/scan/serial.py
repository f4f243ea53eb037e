"""The serial executor: the same examination in this process, for debugging; gives the same bytes (law 7)."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from functools import partial

from caid_triage.errors import EvidenceError
from caid_triage.examine.embedded.walk import Found
from caid_triage.examine.examine import Examiner, prepare_decoders
from caid_triage.examine.limits import Limits
from caid_triage.examine.video_bytes import ReadAt as BytesAt
from caid_triage.model import FileEntry, ScanRecord
from caid_triage.scan.answers import Answers, Notes
from caid_triage.scan.inside import record_inside
from caid_triage.scan.protocol import Answer
from caid_triage.scan.rereads import neighbour
from caid_triage.scan.results import Beside, Read, ReadAt, Result, Walked, examined, not_examined, unreadable


def examine_serially(
    walked: Iterator[Walked],
    read: Read,
    read_at: ReadAt | None = None,
    beside: Beside | None = None,
    answers: Answers | None = None,
) -> Generator[Result, None, None]:
    """Examine one entry after the other; nothing protects this process from a decoder that hangs or dies."""
    examiner = Examiner(Limits())
    prepare_decoders()
    for item in walked:
        if isinstance(item, FileEntry):
            yield from _examine(examiner, item, read, read_at, beside, answers)
        else:
            yield item


def _examine(
    examiner: Examiner,
    entry: FileEntry,
    read: Read,
    read_at: ReadAt | None,
    beside: Beside | None,
    answers: Answers | None,
) -> Iterator[ScanRecord]:
    """The records of what lies inside an entry, then its own."""
    if not entry.readable:
        yield not_examined(entry)
        return

    notes = Notes()

    def opened_beside(name: str) -> tuple[int, BytesAt]:
        assert read_at is not None
        notes.usable = False
        return neighbour(entry, name, read_at, beside)

    run = (
        examiner.begin(size=entry.size)
        if read_at is None
        else examiner.begin(size=entry.size, read_at=partial(read_at, entry), beside=opened_beside)
    )
    try:
        for chunk in read(entry):
            run.update(chunk)
    except EvidenceError as error:
        yield unreadable(entry, error, run.bytes_read)
        return
    asks = answers is not None and run.has_work
    if answers is not None and asks:
        answer, kept = answers.of(entry, run.digests())
        if kept is not None:
            yield from (record_inside(entry, inner) for inner in kept.found_inside())
            yield examined(entry, kept.examined(run.digests()))
            return
        if answer is Answer.KNOWN_GOOD:
            notes.usable = False
            run.leave_undecoded()
    for found in run.inside():
        if isinstance(found, Found):
            yield record_inside(entry, found)
            notes.found(found)
    found_of_it = run.finish()
    yield examined(entry, found_of_it)
    if answers is not None and asks:
        answers.keep(entry, run.digests(), notes.examined(found_of_it))
