"""What an EvidenceSource can do, and open_source, which tells a folder from an image (kinds: images.py).

Everything is opened for reading only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from caid_triage.errors import SourceError
from caid_triage.evidence.directory import DirectorySource
from caid_triage.evidence.faults import plain_reason
from caid_triage.evidence.recognise import is_sparse_bundle
from caid_triage.evidence.secrets import NO_SECRETS, Secrets
from caid_triage.model import Digests, FileEntry, Problem, Searching, SourceInfo, Volume

if TYPE_CHECKING:
    from caid_triage.evidence.ledger import Ledger
    from caid_triage.evidence.spare import Content, Spare


class BesideSearch(Protocol):
    """A search of free space that runs beside the walk."""

    def begin(self) -> None:
        """Begin the search."""
        ...

    def close(self) -> None:
        """Stop the search, if it still runs."""
        ...


class EvidenceSource(Protocol):
    """An acquired copy of an exhibit, open for reading only. Not safe for several threads at once."""

    info: SourceInfo

    def volumes(self) -> Sequence[Volume]:
        """Every volume, also those whose files cannot be reached."""
        ...

    def problems(self) -> Sequence[Problem]:
        """What was found amiss with the source and its volumes on opening (not with single files)."""
        ...

    def walk(self, *, named_only: bool = False) -> Iterator[FileEntry | Problem | Searching]:
        """Every file, lazily, in the same order each time; Problems met on the way stand where they were met.

        ``named_only`` leaves out what is carved from free space. While a search beside the walk is waited for, the walk
        says how far that is.
        """
        ...

    def search_beside(self, turn: AbstractContextManager[object]) -> BesideSearch | None:
        """The search of free space, to be begun before the walk comes to what it finds, in a thread of its own.

        It reads the source within ``turn`` only. None where there is none; without it the walk searches by itself.
        """
        ...

    def progress(self) -> Searching:
        """How far that search is."""
        ...

    def chunks(self, entry: FileEntry) -> Iterator[bytes]:
        """The content in pieces of at most 1 MiB, ``entry.size`` bytes together; EvidenceError at a fault."""
        ...

    def read_at(self, entry: FileEntry, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes of the content from ``offset``; EvidenceError at a fault or beyond the end.

        An entry whose content can only be read from its beginning gives EvidenceError with the code "no-random-access".
        """
        ...

    def beside(self, entry: FileEntry, name: str) -> FileEntry | None:
        """The living file of that name (one part, no path) in the folder of a living entry; None where there is none.

        It has the entry's number and is for :meth:`read_at` alone. A logical image gives None.
        """
        ...

    def disagreements(self, entry: FileEntry, digests: Digests) -> tuple[Problem, ...]:
        """A Problem for each hash that the source itself keeps of a file and that is not one of ``digests``."""
        ...

    def spare(self, whole: Iterable[Content], damaged: Iterable[Content]) -> Sequence[Spare]:
        """The bytes that belong to no whole file (evidence/spare.py), after a walk; none of what is no disk."""
        ...

    def places(self, site: int, spans: Iterable[tuple[int, int]]) -> Sequence[int | None]:
        """Where on the source each (first byte, bytes) of a site stands in one piece as it is read, or None."""
        ...

    def coverage(self) -> dict[str, int]:
        """Bytes by kind of area, summing to ``info.size``; of a folder or logical image {"files": n} after the walk."""
        ...

    def ledger(self) -> Ledger | None:
        """Every byte by what became of it, as of now; None for a folder or a logical image, which are no disk."""
        ...

    def close(self) -> None:
        """Let go of the source."""
        ...


def running_count(source: EvidenceSource) -> Iterator[tuple[int, int]]:
    """Files with a name, and the bytes that can be read of them, after each: a walk that reads no content."""
    files = size = 0
    for item in source.walk(named_only=True):  # free space is searched while these are examined
        if isinstance(item, FileEntry):
            files += 1
            size += item.size or 0 if item.readable else 0
            yield files, size


def open_source(
    path: Path, exhibit: str, name: str, secrets: Secrets = NO_SECRETS, carving: str = "none"
) -> EvidenceSource:
    """Open an image (its first segment), a block device or a folder, for reading only.

    ``name`` is what reports call the source. ``secrets`` are tried on every encrypted volume of a disk; ``carving`` is
    how its free space is searched (carve/carving.py). Errors: SourceError, saying what to do.
    """
    try:
        path.stat()
    except OSError as error:
        message = f"{path} could not be opened: {plain_reason(error)}. Check the name, and that the disk is connected"
        raise SourceError(message) from error
    if path.is_dir() and not is_sparse_bundle(path):
        return DirectorySource(path, exhibit, name)
    from caid_triage.evidence.disk import DiskSource  # noqa: PLC0415 - a folder needs none of its readers
    from caid_triage.evidence.images import open_image  # noqa: PLC0415

    source = open_image(path, exhibit, name)
    if isinstance(source, DiskSource):
        source.unlock(secrets)
        source.carve(carving)
    return source
