"""A folder as an EvidenceSource: live files only, in sorted order, links never followed, opened read-only.

The folder may be in use while it is read, by somebody who wants to mislead: nothing is opened but what was listed, a
pipe never hangs the scan, and what changed between listing and reading is said (evidence/below.py).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from caid_triage.errors import EvidenceError, SourceError
from caid_triage.evidence.below import Looked, open_below
from caid_triage.evidence.faults import check_range, evidence_faults, plain_reason
from caid_triage.evidence.paths import display_name
from caid_triage.evidence.times import unix_nanoseconds
from caid_triage.model import Digests, FileEntry, FileTimes, Problem, Searching, Severity, SourceInfo, State, Volume

if TYPE_CHECKING:
    from caid_triage.evidence.spare import Content, Spare

PIECE = 1 << 20


class DirectorySource:
    """The EvidenceSource of a folder of files."""

    def __init__(self, root: Path, exhibit: str, name: str) -> None:
        self.info = SourceInfo(exhibit, name, "directory", None, (str(root),))
        self._root = os.path.abspath(root)  # noqa: PTH100 - resolve() would follow links
        self._files = 0
        try:
            self._place = _place_of(self._root)
            with _listed(self._root, ()) as (device, _):
                self._device = device
        except OSError as error:
            message = f"{root} could not be opened: {plain_reason(error)}. Check your permission to read this folder"
            raise SourceError(message) from error

    def volumes(self) -> Sequence[Volume]:
        """One nameless volume: the folder."""
        return (Volume("", 0, 0, "folder", "", "examined"),)

    def problems(self) -> Sequence[Problem]:
        """None: what is amiss in a folder is found on the walk."""
        return ()

    def search_beside(self, _turn: AbstractContextManager[object]) -> None:
        """A folder has no free space that could be searched."""

    def progress(self) -> Searching:
        """Nothing of nothing is searched."""
        return Searching(0, 0)

    def walk(self, *, named_only: bool = False) -> Iterator[FileEntry | Problem]:
        """Every regular file below the folder, by name in byte order, a folder's files where its name sorts."""
        number = 0
        pending: list[tuple[bytes, bytes]] = []  # (kind, path below the root); kind b"d" or b"f"
        found, problems = self._listing(b"")
        yield from problems
        pending.extend(reversed(found))
        with Looked(self._root) as looked:
            while pending:
                kind, below = pending.pop()
                if kind == b"d":
                    found, problems = self._listing(below)
                    yield from problems
                    pending.extend(reversed(found))
                    continue
                yield self._entry(below, number, looked)
                number += 1
        self._files = number

    def _listing(self, below: bytes) -> tuple[list[tuple[bytes, bytes]], list[Problem]]:
        """The folders and files directly in a folder, sorted by name, and a Problem for what is neither."""
        found: list[tuple[bytes, bytes]] = []
        problems: list[Problem] = []
        try:
            if not below and _place_of(self._root) != self._place:
                # A disk that was pulled out leaves the empty folder that it was mounted on: no folder without files.
                raise OSError(errno.ESTALE, "another folder has taken its place, was its disk disconnected?")
            with _listed(self._root, _parts(below)) as (device, listing):
                if device not in (None, self._device):
                    detail = "another file system is mounted here: its files are listed as those of this folder"
                    problems.append(self._problem("mount-crossed", detail, Severity.NOTE, below or b"/"))
                for item in listing:
                    path = below + b"/" + os.fsencode(item.name)
                    if item.is_symlink() or item.is_junction() if hasattr(item, "is_junction") else item.is_symlink():
                        detail = "a link: it was not followed"
                        problems.append(self._problem("link-not-followed", detail, Severity.NOTE, path))
                    elif item.is_dir(follow_symlinks=False):
                        found.append((b"d", path))
                    elif item.is_file(follow_symlinks=False):
                        found.append((b"f", path))
                    else:
                        detail = "a device, pipe or socket: it has no content of its own"
                        problems.append(self._problem("special-files", detail, Severity.NOTE, path))
        except OSError as error:
            detail = f"this folder could not be listed: {plain_reason(error)}"
            problems.append(self._problem("folder-unreadable", detail, Severity.PROBLEM, below or b"/"))
        found.sort(key=lambda pair: pair[1])
        problems.sort(key=lambda problem: problem.path)
        return found, problems

    def _entry(self, below: bytes, number: int, looked: Looked) -> FileEntry:
        path = "/" + "/".join(display_name(part) for part in below.split(b"/")[1:])
        try:
            with evidence_faults("walk", "file-unreadable", "this file's size and times could not be read"):
                facts = looked.facts(_parts(below))
            if not stat.S_ISREG(facts.st_mode):
                detail = "something else has taken this file's place since it was listed"
                raise EvidenceError("walk", "file-changed", detail)
        except EvidenceError as error:
            problem = self._problem(error.code, error.detail, Severity.PROBLEM, below)
            return FileEntry(
                self.info.exhibit, self.info.source, "", number, path, below, State.ALLOCATED, None,
                readable=False, problems=(problem,),
            )  # fmt: skip
        return FileEntry(
            self.info.exhibit,
            self.info.source,
            "",
            number,
            path,
            below,
            State.ALLOCATED,
            facts.st_size,
            _times(facts),
            facts.st_ino,
            locator=(facts.st_dev, facts.st_ino),
        )

    def _problem(self, code: str, detail: str, severity: Severity, below: bytes, step: str = "walk") -> Problem:
        path = "/" + "/".join(display_name(part) for part in below.split(b"/")[1:])
        return Problem(step, code, detail, severity, self.info.exhibit, self.info.source, "", path)

    def chunks(self, entry: FileEntry) -> Iterator[bytes]:
        """The content of an entry in pieces of at most 1 MiB.

        Errors: EvidenceError (step "read") when the file is gone, is another one now, cannot be read or is
        shorter than it was on the walk.
        """
        if not entry.readable or entry.size is None:
            raise EvidenceError("read", "not-readable", "no content belongs to this entry")
        with evidence_faults("read", "file-unreadable", "this file could not be opened"):
            handle = open_below(self._root, _parts(entry.raw_path))
        try:
            _check_same(handle, entry)
            yield from _pieces(handle, 0, entry.size, entry.size)
        finally:
            os.close(handle)

    def read_at(self, entry: FileEntry, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes of the content of an entry from ``offset``. Errors: those of :meth:`chunks`."""
        if not entry.readable or entry.size is None:
            raise EvidenceError("read", "not-readable", "no content belongs to this entry")
        check_range(offset, length, entry.size)
        with evidence_faults("read", "file-unreadable", "this file could not be opened"):
            handle = open_below(self._root, _parts(entry.raw_path))
        try:
            _check_same(handle, entry)
            with evidence_faults("read", "read-failed", f"the content could not be read at byte {offset}"):
                os.lseek(handle, offset, os.SEEK_SET)
            return b"".join(_pieces(handle, offset, offset + length, entry.size))
        finally:
            os.close(handle)

    def beside(self, entry: FileEntry, name: str) -> FileEntry | None:
        """The regular file of that name in the folder of an entry, None where there is none; a link is none."""
        below = entry.raw_path.rpartition(b"/")[0] + b"/" + os.fsencode(name)
        with Looked(self._root) as looked:
            made = self._entry(below, entry.number, looked)
        return made if made.readable else None

    def disagreements(self, entry: FileEntry, _digests: Digests) -> tuple[Problem, ...]:
        """A Problem where the file was written to since it was listed, or gives more than the size it is said to have.

        No hash is kept of single files; but the digests are then of something that no single moment of the file was.
        """
        try:
            with evidence_faults("read", "file-altered", "this file could not be opened again after it was read"):
                more = self._more_or_other(entry)
        except EvidenceError as error:
            return (self._problem(error.code, error.detail, Severity.PROBLEM, entry.raw_path, "read"),)
        if not more:
            return ()
        return (self._problem("file-altered", more, Severity.PROBLEM, entry.raw_path, "read"),)

    def _more_or_other(self, entry: FileEntry) -> str:
        """What the file is now that it was not on the walk, in words; "" where it is as it was."""
        size = entry.size or 0
        handle = open_below(self._root, _parts(entry.raw_path))
        try:
            facts = os.fstat(handle)
            if facts.st_size != size or unix_nanoseconds(facts.st_mtime_ns) != entry.times.modified:
                return f"this file was written to since it was listed with {size} bytes (it has {facts.st_size} now)"
            os.lseek(handle, size, os.SEEK_SET)
            if os.read(handle, 1):
                return f"this file gives more than the {size} bytes it is said to have: those behind were not read"
        finally:
            os.close(handle)
        return ""

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
        """None: a folder is a choice of files, not a disk whose every byte could be accounted for."""
        return

    def close(self) -> None:
        """Nothing stays open between reads."""


def _place_of(path: str) -> tuple[int, int]:
    """What tells a folder from another of the same name: its disk and its number there."""
    facts = os.stat(path)  # noqa: PTH116 - the path may not be text
    return facts.st_dev, facts.st_ino


@contextmanager
def _listed(root: str, parts: Sequence[str]) -> Iterator[tuple[int | None, Iterator[os.DirEntry[str]]]]:
    """What lies directly in a folder, and the number of its file system; its access time is left alone, as a file's."""
    if os.scandir not in os.supports_fd:
        with os.scandir(os.path.join(root, *parts)) as listing:  # noqa: PTH118 - Path would normalise names
            yield None, listing
        return
    handle = open_below(root, parts)
    try:
        with os.scandir(handle) as listing:
            yield os.fstat(handle).st_dev, listing
    finally:
        os.close(handle)


def _parts(below: bytes) -> list[str]:
    """The names on the way from the source's folder to what lies below it."""
    return os.fsdecode(below).split("/")[1:]


def _check_same(handle: int, entry: FileEntry) -> None:
    """Refuse a file that took another's place since the walk. Errors: EvidenceError."""
    with evidence_faults("read", "file-unreadable", "this file could not be examined"):
        facts = os.fstat(handle)
    # some network and FUSE mounts give a file another number each time, so that alone is not enough
    replaced = facts.st_ino != entry.inode and unix_nanoseconds(facts.st_mtime_ns) != entry.times.modified
    if not stat.S_ISREG(facts.st_mode) or replaced:
        raise EvidenceError("read", "file-changed", "another file has taken this file's place since it was listed")


def _pieces(handle: int, offset: int, end: int, size: int) -> Iterator[bytes]:
    """The bytes from ``offset``, where the handle stands, to ``end`` of a content of ``size`` bytes."""
    while offset < end:
        with evidence_faults("read", "read-failed", f"the content could not be read at byte {offset}"):
            piece = os.read(handle, min(PIECE, end - offset))
        if not piece:
            raise EvidenceError("read", "short-read", f"the content ended after {offset} of {size} bytes")
        yield piece
        offset += len(piece)


def _times(facts: os.stat_result) -> FileTimes:
    """The times that the operating system gives; a POSIX change time is not a creation time."""
    birth = getattr(facts, "st_birthtime_ns", None)
    if birth is None and (seconds := getattr(facts, "st_birthtime", None)) is not None:
        birth = int(seconds * 1_000_000_000)
    if birth is None and os.name == "nt":
        birth = facts.st_ctime_ns
    return FileTimes(
        created=unix_nanoseconds(birth) if birth is not None else None,
        modified=unix_nanoseconds(facts.st_mtime_ns),
        accessed=unix_nanoseconds(facts.st_atime_ns),
        changed=None if os.name == "nt" else unix_nanoseconds(facts.st_ctime_ns),
    )
