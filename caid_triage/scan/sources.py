"""The sources of a scan: which are parsed in a process of their own, and what is asked of either kind alike."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from caid_triage.config import CARVING, ScanOptions
from caid_triage.evidence.recognise import is_sparse_bundle
from caid_triage.evidence.secrets import Secrets
from caid_triage.evidence.source import EvidenceSource, open_source, running_count
from caid_triage.scan.remote import RemoteSource


@dataclass(frozen=True, slots=True)
class SourceRequest:
    """What to open and under which exhibit reference; ``name`` is what reports call the source."""

    path: Path
    exhibit: str
    name: str


def is_parsed_apart(path: Path, options: ScanOptions) -> bool:
    """Whether a source gets a process of its own.

    A folder has no parser that could die. The serial executor protects itself from nothing: it is the plain way that
    results are compared with. On Windows a process cannot be given the page of memory that the two share.
    """
    if options.executor == "serial" or sys.platform == "win32" or not path.exists():
        return False
    return not path.is_dir() or is_sparse_bundle(path)


def begin_opening(
    request: SourceRequest, secrets: Secrets, options: ScanOptions, stack: ExitStack
) -> Callable[[], EvidenceSource]:
    """Begin to open a source, which is closed with ``stack``.

    What is returned waits for it. Its errors: SourceError, saying what to do.
    """
    carving = CARVING[options.profile]
    if is_parsed_apart(request.path, options):
        remote = RemoteSource(request.path, request.exhibit, request.name, secrets, carving, options.parser)
        return stack.enter_context(closing(remote)).open

    def opened() -> EvidenceSource:
        source = open_source(request.path, request.exhibit, request.name, secrets, carving)
        return stack.enter_context(closing(source))

    return opened


@contextmanager
def stopped_by_errors(source: EvidenceSource) -> Iterator[None]:
    """Where what is inside ends with an error or Ctrl+C, let nobody wait for an answer of the source's process."""
    with ExitStack() as undo:
        if isinstance(source, RemoteSource):
            undo.callback(source.stop)
        yield
        undo.pop_all()


def verified(source: EvidenceSource, show: Callable[[], None]) -> dict[str, bool]:
    """Compare a source with the hashes stored in it; what came of it becomes a fact or Problems of the source.

    Returns which hashes agree. ``show`` is called now and then.
    """
    if isinstance(source, RemoteSource):
        return source.verified(show)
    from caid_triage.evidence.verify import outcomes, record_verification  # noqa: PLC0415 - brings all readers of disks

    return outcomes(record_verification(source, show))


def counted(source: EvidenceSource, show: Callable[[], None]) -> tuple[int, int]:
    """How many files of a source have a name, and their bytes: a walk that reads no content."""
    if isinstance(source, RemoteSource):
        return source.counted(show)
    files = size = 0
    for files, size in running_count(source):  # noqa: B007 - the last of them is the count
        if files % 5000 == 0:
            show()
    return files, size
