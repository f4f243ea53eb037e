"""The serial executor: the same examination in this process, for debugging; gives the same bytes (law 7)."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from functools import partial

from caid_triage.errors import EvidenceError
from caid_triage.examine.embedded.walk import Found
from caid_triage.examine.examine import Examiner, prepare_decoders
from caid_triage.examine.limits import Limits
from caid_triage.model import FileEntry, ScanRecord
from caid_triage.scan.inside import record_inside
from caid_triage.scan.results import Read, ReadAt, Result, Walked, examined, not_examined, unreadable


def examine_serially(
    walked: Iterator[Walked], read: Read, read_at: ReadAt | None = None
) -> Generator[Result, None, None]:
    """Examine one entry after the other; nothing protects this process from a decoder that hangs or dies."""
    examiner = Examiner(Limits())
    prepare_decoders()
    for item in walked:
        if isinstance(item, FileEntry):
            yield from _examine(examiner, item, read, read_at)
        else:
            yield item


def _examine(examiner: Examiner, entry: FileEntry, read: Read, read_at: ReadAt | None) -> Iterator[ScanRecord]:
    """The records of what lies inside an entry, then its own."""
    if not entry.readable:
        yield not_examined(entry)
        return
    run = examiner.begin(size=entry.size, read_at=None if read_at is None else partial(read_at, entry))
    try:
        for chunk in read(entry):
            run.update(chunk)
    except EvidenceError as error:
        yield unreadable(entry, error, run.bytes_read)
        return
    for found in run.inside():
        if isinstance(found, Found):
            yield record_inside(entry, found)
    yield examined(entry, run.finish())
