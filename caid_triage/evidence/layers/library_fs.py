"""File systems that a libyal library reads and Sleuth Kit does not: APFS and XFS. Live files only.

The walk is of the same shape as that of caid_triage/evidence/walk.py: folders by their number, each once, files in the
order of their folder, an extended attribute that can hold content as a stream of its own.
"""

from __future__ import annotations

import stat
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from caid_triage.errors import EvidenceError
from caid_triage.evidence.faults import LIBRARY_ERRORS, evidence_faults, plain_reason
from caid_triage.evidence.layers.shared_content import SharedContent
from caid_triage.evidence.paths import display_name
from caid_triage.evidence.steps import NOBODY, LeftOut, Step, Steps
from caid_triage.evidence.times import unix_nanoseconds
from caid_triage.model import FileEntry, FileTimes, Problem, Severity, State, Volume

PIECE = 1 << 20
_SMALL_PIECE = 4096
_MAX_DEPTH = 2000
SMALLEST_ATTRIBUTE = 512
"""Bytes of an extended attribute that is listed as a stream of its own: no picture is smaller."""
_OWN_ATTRIBUTES = frozenset(("com.apple.fs.symlink", "com.apple.decmpfs"))
_RESOURCE_FORK = "com.apple.ResourceFork"
_FAULTS = (*LIBRARY_ERRORS, MemoryError)

MAIN, ATTRIBUTE = 0, 1
"""What a locator's third number says: the content, or the extended attribute whose place is the fourth number."""


@dataclass(frozen=True, slots=True)
class LibraryFileSystem:
    """A file system ready to be walked: how to reach its root and a file by number, and where its bytes lie.

    ``on_source`` turns an offset of the library's into one of the source, None where content does not stand there as
    it is read. ``capacity`` is the bytes that a file may have. ``keep`` holds what must stay open with it.
    ``block_size`` is that of the units its files lie in, 0 where it is not known. ``shared`` is set for an APFS volume
    with snapshots and for each of those, ``is_past`` for a snapshot only.
    """

    volume: Volume
    kind: str
    root: Callable[[], Any]
    by_number: Callable[[int], Any]
    number_of: Callable[[Any], int]
    on_source: Callable[[int], int | None]
    capacity: int
    keep: tuple[Any, ...] = ()
    block_size: int = 0
    shared: SharedContent | None = None
    is_past: bool = False

    def pieces(self, number: int, what: int, place: int, size: int) -> Iterator[bytes]:
        """Content in pieces of at most 1 MiB. Errors: EvidenceError (step "read"), after what could be read."""
        stream = self._stream(number, what, place)
        offset = 0
        while offset < size:
            piece = _read(stream, offset, min(PIECE, size - offset))
            if not piece:
                raise EvidenceError("read", "short-read", f"the content ended after {offset} of {size} bytes")
            yield piece
            offset += len(piece)

    def read_at(self, number: int, what: int, place: int, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes of content from ``offset``. Errors: EvidenceError (step "read")."""
        stream = self._stream(number, what, place)
        pieces = []
        end = offset + length
        while offset < end:
            piece = _read(stream, offset, min(PIECE, end - offset))
            if not piece:
                raise EvidenceError("read", "short-read", f"the content ended after {offset} bytes")
            pieces.append(piece)
            offset += len(piece)
        return b"".join(pieces)

    def _stream(self, number: int, what: int, place: int) -> Any:
        with evidence_faults("read", "read-failed", "the record of this file could not be read"):
            file = there(self.by_number(number))
            return file if what == MAIN else there(file.get_extended_attribute(place))


def _child(record: Any, name: bytes) -> Any:
    """The file of a name in a folder, None where there is none."""
    for place in range(int(record.number_of_sub_file_entries)):
        file = there(record.get_sub_file_entry(place))
        if str(file.name).encode("utf-8", "surrogatepass") == name:
            return file
    return None


def there(file: Any) -> Any:
    """A file of the library's; OSError where it gave none, as it does for a number that its tables lack."""
    if file is None:
        message = "the file system has no record of this number"
        raise OSError(message)
    return file


def _read(stream: Any, offset: int, length: int) -> bytes:
    """A piece of content; where a large read fails, a small one, so that what is good before a fault is had."""
    try:
        with evidence_faults("read", "read-failed", f"the content could not be read at byte {offset}"):
            data: bytes = stream.read_buffer_at_offset(length, offset)
            return data
    except EvidenceError:
        if length <= _SMALL_PIECE:
            raise
    return _read(stream, offset, max(_SMALL_PIECE, length // 16 // 512 * 512))


@dataclass(frozen=True, slots=True)
class _Folder:
    number: int
    raw: bytes
    path: str
    depth: int


class LibraryWalk:
    """The entries of one file system, numbered from ``first_number``, with the Problems met on the way."""

    def __init__(
        self,
        system: LibraryFileSystem,
        index: int,
        exhibit: str,
        source: str,
        first_number: int,
        steps: Steps = NOBODY,
    ) -> None:
        self.number = first_number
        self._steps = steps
        self._system = system
        self._index = index
        self._exhibit = exhibit
        self._source = source
        self._seen: set[int] = set()
        self._skipped: Counter[str] = Counter()
        self._unchanged = 0

    def __iter__(self) -> Iterator[FileEntry | Problem]:
        try:
            with evidence_faults("walk", "folder-unreadable", "the root folder could not be read"):
                root = there(self._system.root())
                number = self._system.number_of(root)
        except EvidenceError as error:
            yield self._problem(error.code, error.detail, Severity.PROBLEM, "/")
            return
        self._seen.add(number)
        pending = [_Folder(number, b"", "", 0)]
        yield from self._attributes(root, number, b"/", "/", FileTimes())
        while pending:
            inside: list[_Folder] = []
            yield from self._folder(pending.pop(), root, inside)
            pending.extend(reversed(inside))
        if self._unchanged:
            detail = f"files of this snapshot that the volume still has, unchanged, and lists: {self._unchanged}"
            yield self._problem("unchanged-since-snapshot", detail, Severity.NOTE, "")
        for what, count in sorted(self._skipped.items()):
            yield self._problem("special-files", f"{what}: {count}", Severity.NOTE, "")

    def beside(self, entry: FileEntry, name: str) -> FileEntry | None:
        """The living file of that name in the folder of a living one, None where there is none or it is damaged."""
        *parents, own = entry.raw_path.split(b"/")[1:]
        try:
            record = there(self._system.root())
            for part in parents:
                record = there(_child(record, part))
            itself, file = there(_child(record, own)), there(_child(record, name.encode()))
            if self._system.number_of(itself) != entry.inode or not stat.S_ISREG(int(file.file_mode)):
                return None
            number = self._system.number_of(file)
        except _FAULTS:
            return None
        raw, path = b"/".join((b"", *parents, name.encode())), f"{entry.parent_path.rstrip('/')}/{name}"
        found = self._main(file, number, raw, path, FileTimes())
        return found if found.readable else None

    def _is_unchanged(self, entry: FileEntry, file: Any, stream: Any) -> bool:
        """Whether a stream of a snapshot stands in the volume already: it is counted and gets no number.

        Of the volume itself every stream is remembered.
        """
        shared = self._system.shared
        if shared is None:
            return False
        try:
            if not self._system.is_past:
                shared.add(entry, file, stream)
                return False
            same = shared.holds(entry, file, stream)
        except _FAULTS:
            return False  # what cannot be compared is listed
        if same:
            self.number = entry.number
            self._unchanged += 1
        return same

    def _folder(self, folder: _Folder, root: Any, inside: list[_Folder]) -> Iterator[FileEntry | Problem]:
        try:
            with evidence_faults("walk", "folder-unreadable", "this folder could not be listed"):
                self._steps.at(Step.FOLDER, self._index, folder.number)
                record = root if folder.depth == 0 else there(self._system.by_number(folder.number))
                count = int(record.number_of_sub_file_entries)
        except EvidenceError as error:
            yield self._problem(error.code, error.detail, Severity.PROBLEM, folder.path or "/")
            return
        for place in range(count):
            try:
                self._steps.at(Step.NAME, self._index, folder.number, place)
                file = there(record.get_sub_file_entry(place))
                number = self._system.number_of(file)
                mode = int(file.file_mode)
            except LeftOut as error:
                detail = f"{error.detail}; this name of the folder was not listed"
                yield self._problem(error.code, detail, Severity.PROBLEM, folder.path or "/")
                continue
            except _FAULTS as error:
                detail = f"a name in this folder could not be read: {plain_reason(error)[:200]}"
                yield self._problem("folder-unreadable", detail, Severity.PROBLEM, folder.path or "/")
                continue
            try:
                raw = str(file.name).encode("utf-8", "surrogatepass")
            except _FAULTS:  # a name that is not text: the file is listed by its number
                raw = b"unnamed-%d" % number
            yield from self._entries(file, number, mode, folder, raw, inside)

    def _entries(
        self, file: Any, number: int, mode: int, folder: _Folder, name: bytes, inside: list[_Folder]
    ) -> Iterator[FileEntry | Problem]:
        raw, path = folder.raw + b"/" + name, f"{folder.path}/{display_name(name)}"
        if stat.S_ISLNK(mode):
            self._skipped["symbolic links, not listed as files"] += 1
            return
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            self._skipped["devices, pipes and the like, not listed as files"] += 1
            return
        times = _times(file)
        if stat.S_ISREG(mode):
            entry = self._main(file, number, raw, path, times)
            if not self._is_unchanged(entry, file, file):
                yield entry
        yield from self._attributes(file, number, raw, path, times)
        if not stat.S_ISDIR(mode):
            return
        if number in self._seen:
            detail = "this folder was already listed under another path; it was not listed twice"
            yield self._problem("folder-seen-before", detail, Severity.NOTE, path)
        elif folder.depth >= _MAX_DEPTH:
            detail = f"folders deeper than {_MAX_DEPTH} levels were not followed"
            yield self._problem("folder-too-deep", detail, Severity.PROBLEM, path)
        else:
            self._seen.add(number)
            inside.append(_Folder(number, raw, path, folder.depth + 1))

    def _main(self, file: Any, number: int, raw: bytes, path: str, times: FileTimes) -> FileEntry:
        try:
            size = int(file.size)
        except _FAULTS as error:
            detail = f"this file could not be examined: {plain_reason(error)[:200]}"
            problem = self._problem("metadata-unreadable", detail, Severity.PROBLEM, path)
            return self._entry(number, raw, path, None, times, None, (MAIN, 0), (problem,), readable=False)
        return self._sized(number, raw, path, size, times, self._first_byte(file), (MAIN, 0))

    def _attributes(
        self, file: Any, number: int, raw: bytes, path: str, times: FileTimes
    ) -> Iterator[FileEntry | Problem]:
        """An entry for each extended attribute that can hold a picture; smaller ones are counted."""
        try:
            self._steps.at(Step.STREAMS, self._index, number)
            count = int(file.number_of_extended_attributes)
            found = []
            for place in range(count):
                attribute = there(file.get_extended_attribute(place))
                found.append((str(attribute.name), int(attribute.size), place, attribute))
        except LeftOut as error:
            yield self._problem(error.code, error.detail, Severity.PROBLEM, path)
            return
        except _FAULTS as error:
            detail = f"the extended attributes could not be read: {plain_reason(error)[:200]}"
            yield self._problem("metadata-unreadable", detail, Severity.PROBLEM, path)
            return
        compressed = any(name == "com.apple.decmpfs" for name, *_ in found)
        for name, size, place, attribute in found:
            if name in _OWN_ATTRIBUTES or (compressed and name == _RESOURCE_FORK):
                continue  # they are how the content itself is kept
            if size < SMALLEST_ATTRIBUTE:
                self._skipped[f"extended attributes of less than {SMALLEST_ATTRIBUTE} bytes, not listed"] += 1
                continue
            label = "rsrc" if name == _RESOURCE_FORK else name
            encoded = label.encode("utf-8", "surrogatepass")
            shown = display_name(encoded)
            entry = self._sized(
                number, raw + b":" + encoded, f"{path}:{shown}", size, times, self._first_byte(attribute),
                (ATTRIBUTE, place), shown,
            )  # fmt: skip
            if not self._is_unchanged(entry, file, attribute):
                yield entry

    def _first_byte(self, stream: Any) -> int | None:
        """Where on the source content begins; None where it is a hole, inside a record, or not kept as it is read."""
        try:
            if not int(stream.number_of_extents):
                return None
            offset, length, flags = stream.get_extent(0)
        except _FAULTS:
            return None
        return self._system.on_source(int(offset)) if length and not flags else None

    def _sized(
        self,
        number: int,
        raw: bytes,
        path: str,
        size: int,
        times: FileTimes,
        offset: int | None,
        what: tuple[int, int],
        stream: str = "",
    ) -> FileEntry:
        if size <= self._system.capacity:
            return self._entry(number, raw, path, size, times, offset, what, (), stream=stream)
        detail = "this file claims to be larger than its whole volume, so most of it is a hole; it was not read"
        problem = self._problem("larger-than-volume", detail, Severity.PROBLEM, path)
        return self._entry(number, raw, path, size, times, offset, what, (problem,), stream=stream, readable=False)

    def _entry(
        self,
        number: int,
        raw: bytes,
        path: str,
        size: int | None,
        times: FileTimes,
        offset: int | None,
        what: tuple[int, int],
        problems: tuple[Problem, ...],
        *,
        stream: str = "",
        readable: bool = True,
    ) -> FileEntry:
        place = self.number
        self.number = place + 1
        return FileEntry(
            self._exhibit,
            self._source,
            self._system.volume.name,
            place,
            path,
            raw,
            State.ALLOCATED,
            size,
            times,
            number,
            stream,
            offset,
            (self._index, number, *what),
            readable,
            problems,
        )

    def _problem(self, code: str, detail: str, severity: Severity, path: str) -> Problem:
        return Problem("walk", code, detail, severity, self._exhibit, self._source, self._system.volume.name, path)


def _times(file: Any) -> FileTimes:
    """The times of a file, which both file systems keep as nanoseconds since 1970 in UTC."""
    return FileTimes(
        *(
            _time(file, name)
            for name in (
                "get_creation_time_as_integer",
                "get_modification_time_as_integer",
                "get_access_time_as_integer",
                "get_inode_change_time_as_integer",
            )
        )
    )


def _time(file: Any, name: str) -> Any:
    try:
        value = getattr(file, name)()
    except _FAULTS:
        return None
    return None if value is None else unix_nanoseconds(int(value))
