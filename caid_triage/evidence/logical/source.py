"""A logical image as an EvidenceSource: its files with their paths, times and sizes, and their stored hashes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING

from caid_triage.errors import EvidenceError
from caid_triage.evidence.faults import check_range, evidence_faults
from caid_triage.evidence.logical.image import LogicalFile, LogicalImage
from caid_triage.evidence.logical.stored import NO_HASH, disagreements, stored_hashes
from caid_triage.evidence.paths import display_name
from caid_triage.evidence.steps import LeftOut, Step, VolumeEnds, told_of_steps
from caid_triage.model import Digests, FileEntry, Problem, Searching, SourceInfo, Volume

if TYPE_CHECKING:
    from caid_triage.evidence.spare import Content, Spare

PIECE = 1 << 20


class LogicalSource:
    """The EvidenceSource of a logical image."""

    def __init__(self, image: LogicalImage, exhibit: str, name: str) -> None:
        segments = tuple(map(str, image.segments))
        self.info = SourceInfo(exhibit, name, image.kind, None, segments, dict(image.facts))
        self._image = image
        self._problems = [self._named(problem) for problem in image.problems]
        self._files = 0
        self._steps = told_of_steps.get()

    def volumes(self) -> Sequence[Volume]:
        """One nameless volume: the image."""
        return (Volume("", 0, 0, "files of a logical image", "", "examined"),)

    def problems(self) -> Sequence[Problem]:
        """What was found amiss with the image on opening."""
        return tuple(self._problems)

    def add_findings(self, facts: Mapping[str, str], problems: Sequence[Problem]) -> None:
        """Add to the facts of the acquisition and to the Problems: what verifying the image found."""
        self.info = replace(self.info, acquisition={**self.info.acquisition, **facts})
        self._problems += [self._named(problem) for problem in problems]

    def _named(self, problem: Problem) -> Problem:
        return replace(problem, exhibit=self.info.exhibit, source=self.info.source)

    def search_beside(self, _turn: AbstractContextManager[object]) -> None:
        """A logical image has no free space that could be searched."""

    def progress(self) -> Searching:
        """Nothing of nothing is searched."""
        return Searching(0, 0)

    def walk(self, *, named_only: bool = False) -> Iterator[FileEntry | Problem]:
        """Every file in the order of the image's own list."""
        number = listed = 0
        files = iter(self._image.files())
        while True:
            try:
                self._steps.at(Step.LISTED, 0, 0, listed)
                item = next(files, None)
            except (LeftOut, VolumeEnds) as error:
                detail = f"{error.detail}; the files that come after were not listed"
                yield self._named(Problem("walk", error.code, detail))
                break
            if item is None:
                break
            listed += 1
            if isinstance(item, Problem):
                yield self._named(item)
                continue
            yield self._entry(item, number)
            number += 1
        self._files = number

    def _entry(self, file: LogicalFile, number: int) -> FileEntry:
        problems: tuple[Problem, ...] = ()
        if file.fault:
            problems = (self._named(Problem("walk", "file-unreadable", file.fault, path=file.path)),)
        stored = dict(file.hashes)
        hashes = tuple(int.from_bytes(stored[name], "big") if name in stored else NO_HASH for name in ("md5", "sha1"))
        return FileEntry(
            self.info.exhibit, self.info.source, "", number, file.path, file.raw_path, file.state, file.size,
            file.times, file.identifier, display_name(file.stream),
            locator=(*hashes, *file.place), readable=not file.fault, problems=problems,
        )  # fmt: skip

    def chunks(self, entry: FileEntry) -> Iterator[bytes]:
        """The content of an entry in pieces of at most 1 MiB.

        Errors: EvidenceError (step "read") at a fault, after what could be read before it.
        """
        size = _size_of(entry)
        for offset in range(0, size, PIECE):
            yield self._read(entry, offset, min(PIECE, size - offset))

    def read_at(self, entry: FileEntry, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes of the content of an entry from ``offset``. Errors: those of :meth:`chunks`."""
        check_range(offset, length, _size_of(entry))
        return self._read(entry, offset, length)

    def beside(self, _entry: FileEntry, _name: str) -> None:
        """None: the files of an image that somebody chose are looked at one by one."""

    def _read(self, entry: FileEntry, offset: int, length: int) -> bytes:
        assert entry.size is not None
        if not length:
            return b""
        with evidence_faults("read", "read-failed", f"the content could not be read at byte {offset}"):
            data = self._image.read(entry.locator[2:], entry.size, offset, length)
        if len(data) != length:
            raise EvidenceError("read", "short-read", f"the content ended after {offset + len(data)} bytes")
        return data

    def stored_hashes(self, entry: FileEntry) -> dict[str, bytes]:
        """The digests that the image keeps of a file, by hashlib's names."""
        return stored_hashes(entry)

    def disagreements(self, entry: FileEntry, digests: Digests) -> tuple[Problem, ...]:
        """A Problem for each stored hash of a file that is not that of its content."""
        return disagreements(entry, digests)

    def spare(self, _whole: Iterable[Content], _damaged: Iterable[Content]) -> tuple[Spare, ...]:
        """None: it is no disk."""
        return ()

    def places(self, _site: int, spans: Iterable[tuple[int, int]]) -> list[int | None]:
        """None of them: it is no disk."""
        return [None for _ in spans]

    def coverage(self) -> dict[str, int]:
        """How many files the last walk met."""
        return {"files": self._files}

    def ledger(self) -> None:
        """None: a logical image is a choice of files, not a disk whose every byte could be accounted for."""
        return

    def close(self) -> None:
        """Let go of the image. Entries cannot be read afterwards."""
        self._image.close()


def _size_of(entry: FileEntry) -> int:
    if not entry.readable or entry.size is None or len(entry.locator) < 2:
        raise EvidenceError("read", "not-readable", "no content belongs to this entry")
    return entry.size
