"""The serial executor: the same examination in this process, for debugging; gives the same bytes (law 7)."""

from __future__ import annotations

from collections.abc import Generator, Iterator

from caid_triage.errors import EvidenceError
from caid_triage.examine.examine import Examiner, prepare_decoders
from caid_triage.examine.limits import Limits
from caid_triage.model import FileEntry, ScanRecord
from caid_triage.scan.results import Read, Result, Walked, not_examined, unreadable


def examine_serially(walked: Iterator[Walked], read: Read) -> Generator[Result, None, None]:
    """Examine one entry after the other; nothing protects this process from a decoder that hangs or dies."""
    examiner = Examiner(Limits())
    prepare_decoders()
    for item in walked:
        yield _examine(examiner, item, read) if isinstance(item, FileEntry) else item


def _examine(examiner: Examiner, entry: FileEntry, read: Read) -> ScanRecord:
    if not entry.readable:
        return not_examined(entry)
    run = examiner.begin(size=entry.size)
    try:
        for chunk in read(entry):
            run.update(chunk)
    except EvidenceError as error:
        return unreadable(entry, error, run.bytes_read)
    return ScanRecord(entry, run.finish())
