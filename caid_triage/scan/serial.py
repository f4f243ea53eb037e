"""The serial executor: the same examination in this process, for debugging; gives the same bytes (law 7)."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from functools import partial

from caid_triage.errors import EvidenceError
from caid_triage.examine.examine import Examiner, prepare_decoders
from caid_triage.examine.limits import Limits
from caid_triage.model import FileEntry, ScanRecord
from caid_triage.scan.results import Read, ReadAt, Result, Walked, examined, not_examined, unreadable


def examine_serially(
    walked: Iterator[Walked], read: Read, read_at: ReadAt | None = None
) -> Generator[Result, None, None]:
    """Examine one entry after the other; nothing protects this process from a decoder that hangs or dies."""
    examiner = Examiner(Limits())
    prepare_decoders()
    for item in walked:
        yield _examine(examiner, item, read, read_at) if isinstance(item, FileEntry) else item


def _examine(examiner: Examiner, entry: FileEntry, read: Read, read_at: ReadAt | None) -> ScanRecord:
    if not entry.readable:
        return not_examined(entry)
    run = examiner.begin(size=entry.size, read_at=None if read_at is None else partial(read_at, entry))
    try:
        for chunk in read(entry):
            run.update(chunk)
    except EvidenceError as error:
        return unreadable(entry, error, run.bytes_read)
    return examined(entry, run.finish())
