"""A folder as an EvidenceSource: live files only, in sorted order, links never followed, opened read-only."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from caid_triage.errors import EvidenceError, SourceError
from caid_triage.evidence.faults import check_range, evidence_faults, plain_reason
from caid_triage.evidence.paths import display_name
from caid_triage.evidence.times import unix_nanoseconds
from caid_triage.model import Digests, FileEntry, FileTimes, Problem, Searching, Severity, SourceInfo, State, Volume

PIECE = 1 << 20
# O_NONBLOCK: a file swapped for a pipe after the walk must not hang the scan; the others exist on some systems only
_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
)
_ROOT_FLAGS = _FLAGS & ~getattr(os, "O_NOFOLLOW", 0)  # the folder that was asked for may be named by a link


class DirectorySource:
    """The EvidenceSource of a folder of files."""

    def __init__(self, root: Path, exhibit: str, name: str) -> None:
        self.info = SourceInfo(exhibit, name, "directory", None, (str(root),))
        self._root = os.path.abspath(root)  # noqa: PTH100 - resolve() would follow links
        self._files = 0
        try:
            self._place = _place_of(self._root)
            with _listed(self._root, _ROOT_FLAGS):
                pass
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
        while pending:
            kind, below = pending.pop()
            if kind == b"d":
                found, problems = self._listing(below)
                yield from problems
                pending.extend(reversed(found))
                continue
            made = self._entry(below, number)
            if isinstance(made, FileEntry):
                number += 1
            yield made
        self._files = number

    def _listing(self, below: bytes) -> tuple[list[tuple[bytes, bytes]], list[Problem]]:
        """The folders and files directly in a folder, sorted by name, and a Problem for what is neither."""
        found: list[tuple[bytes, bytes]] = []
        problems: list[Problem] = []
        try:
            if not below and _place_of(self._root) != self._place:
                # A disk that was pulled out leaves the empty folder that it was mounted on: no folder without files.
                raise OSError(errno.ESTALE, "another folder has taken its place, was its disk disconnected?")
            with _listed(self._absolute(below), _FLAGS if below else _ROOT_FLAGS) as listing:
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

    def _absolute(self, below: bytes) -> str:
        parts = os.fsdecode(below).split("/")[1:]
        return os.path.join(self._root, *parts)  # noqa: PTH118 - Path would normalise names

    def _entry(self, below: bytes, number: int) -> FileEntry:
        path = "/" + "/".join(display_name(part) for part in below.split(b"/")[1:])
        try:
            with evidence_faults("walk", "file-unreadable", "this file's size and times could not be read"):
                facts = os.stat(self._absolute(below), follow_symlinks=False)  # noqa: PTH116 - the path may not be text
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

    def _problem(self, code: str, detail: str, severity: Severity, below: bytes) -> Problem:
        path = "/" + "/".join(display_name(part) for part in below.split(b"/")[1:])
        return Problem("walk", code, detail, severity, self.info.exhibit, self.info.source, "", path)

    def chunks(self, entry: FileEntry) -> Iterator[bytes]:
        """The content of an entry in pieces of at most 1 MiB.

        Errors: EvidenceError (step "read") when the file is gone, is another one now, cannot be read or is
        shorter than it was on the walk.
        """
        if not entry.readable or entry.size is None:
            raise EvidenceError("read", "not-readable", "no content belongs to this entry")
        with evidence_faults("read", "file-unreadable", "this file could not be opened"):
            handle = _open_untouched(self._absolute(entry.raw_path))
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
            handle = _open_untouched(self._absolute(entry.raw_path))
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
        try:
            facts = os.stat(self._absolute(below), follow_symlinks=False)  # noqa: PTH116 - the path may not be text
        except (OSError, ValueError):
            return None
        made = self._entry(below, entry.number) if stat.S_ISREG(facts.st_mode) else None
        return made if made is not None and made.readable else None

    def disagreements(self, _entry: FileEntry, _digests: Digests) -> tuple[Problem, ...]:
        """None: no hash is kept of single files."""
        return ()

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


def _open_untouched(path: str, flags: int = _FLAGS) -> int:
    """A file descriptor for reading that leaves the access time alone, where the system lets us ask for that."""
    try:
        return os.open(path, flags | getattr(os, "O_NOATIME", 0))
    except PermissionError:  # only the owner and root may ask (open(2)); a folder on a read-only mount needs no asking
        return os.open(path, flags)


@contextmanager
def _listed(path: str, flags: int = _FLAGS) -> Iterator[Iterator[os.DirEntry[str]]]:
    """What lies directly in a folder; its access time is left alone as a file's is."""
    if os.scandir not in os.supports_fd:
        with os.scandir(path) as listing:
            yield listing
        return
    handle = _open_untouched(path, flags)
    try:
        with os.scandir(handle) as listing:
            yield listing
    finally:
        os.close(handle)


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
