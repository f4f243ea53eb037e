"""AD1 (FTK Imager, AccessData): a tree of items with their values, and their content in zlib chunks. Read here.

Format: not published; put together from P. C. Bjelland, "AccessData Format (AD1)", and from how al3ks1s/AD1-tools and
dissect.evidence read it. All little-endian. Each segment file begins with 512 bytes: "ADSEGMENTEDFILE", number of the
segment u32 at 24, number of segments u32 at 28, size of a segment file u64 at 32, size of this header u32 at 40. What
follows them, joined, is the image, and every address counts from its start: "ADLOGICALIMAGE", version u32 at 16 (3 or
4), bytes of a chunk u32 at 24, first item u64 at 36, length of the source's name u32 at 44; in version 4 the address
of that name u64 at 52 and those of two closing tables u64 at 60 and 76. An item: next item u64, first item in it u64,
first value u64, content u64, size u64, type u32 (5 a folder), length of the name u32, name. A content: number of chunks
u64, then the address of each chunk and of the end of the last. A value: next value u64, category u32, key u32, length
u32, the value as text.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from io import RawIOBase
from itertools import accumulate
from pathlib import Path

from caid_triage.errors import SourceError
from caid_triage.evidence.containers.libyal import open_file
from caid_triage.evidence.containers.reader import damaged, refused
from caid_triage.evidence.faults import LIBRARY_ERRORS, plain_reason
from caid_triage.evidence.image_file import files_beside
from caid_triage.evidence.logical.image import NO_NAME, LogicalFile, depth_problem, list_damaged, too_deep
from caid_triage.evidence.unpack import inflated
from caid_triage.model import FileTimes, Problem, State

SEGMENT = b"ADSEGMENTEDFILE\0"
IMAGE = b"ADLOGICALIMAGE\0\0"
ENCRYPTED = b"ADCRYPT"
ZONE_NOTE = "UTC as the program that made the image took it"

_MARGIN = 512
_HEADER = 92
_ITEM = 48
_FOLDER = 5
_LONGEST_NAME = 1 << 16
_LARGEST_CHUNK = 16 << 20
_MOST_VALUES = 1000
_LONGEST_VALUE = 1 << 16
_MOST_JUMPS = 10_000
_MOST_FAULTS = 1000
_MOST_SEGMENTS = 100_000
_SLACK = b"6"
_MD5, _SHA1 = (1, 0x5001), (1, 0x5002)
_CLASS = (2, 2)
_ACCESSED, _CREATED, _MODIFIED = (5, 7), (5, 8), (5, 9)

_Values = dict[tuple[int, int], bytes]


def is_ad1(head: bytes) -> bool:
    """Whether a file begins as an AD1, or as an encrypted one."""
    return head.startswith((SEGMENT, ENCRYPTED))


def open_ad1(path: Path) -> Ad1:
    """Open an AD1 by its first segment. Errors: SourceError, also for an encrypted one."""
    with ExitStack() as undo:
        try:
            file = undo.enter_context(open_file(path))
            head = file.read(_MARGIN) or b""
            if head.startswith(ENCRYPTED):
                advice = "decrypt it in FTK Imager (File, Decrypt AD1 image), and scan what comes out"
                raise refused(path, "AD1 that is encrypted", advice)
            number, count = _segment_numbers(path, head)
            if number != 1:
                raise SourceError(f"{path} is segment {number} of an AD1 image, not its first. Name the first (.ad1)")
            paths = _segments(path, count)
            files = [file, *(undo.enter_context(open_file(segment)) for segment in paths[1:])]
            joined = _Joined(paths, files, head)
            image = Ad1(paths, joined)
        except LIBRARY_ERRORS as error:
            raise damaged(path, "AD1", error) from error
        undo.pop_all()
    return image


class _Joined:
    """The image that lies in several segment files, as one run of bytes."""

    def __init__(self, paths: Sequence[Path], files: Sequence[RawIOBase], head: bytes) -> None:
        """Errors: SourceError when a segment is another's, or ends before it should."""
        self._files = files
        full = int.from_bytes(head[32:40], "little")
        sizes = []
        for index, (path, file) in enumerate(zip(paths, files, strict=True)):
            file.seek(0)
            number, count = _segment_numbers(path, file.read(_MARGIN) or b"")
            if (number, count) != (index + 1, len(paths)):
                due = f"segment {index + 1} of {len(paths)} is due"
                raise damaged(path, "AD1", f"it is segment {number} of {count}, where {due}")
            size = file.seek(0, 2)
            if index + 1 < len(paths) and size != full:
                raise _cut_off(path, f"it has {size} bytes, where {full} are stated")
            sizes.append(size - _MARGIN)
        self._ends = list(accumulate(sizes))
        self.size = self._ends[-1]

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes. OSError when the image does not have them."""
        if offset + length > self.size:
            raise OSError(f"it should have {length} bytes at {offset}, but ends at {self.size}")
        pieces = []
        while length > 0:
            index = bisect_right(self._ends, offset)
            start = self._ends[index - 1] if index else 0
            file = self._files[index]
            file.seek(_MARGIN + offset - start)
            piece = file.read(min(length, self._ends[index] - offset)) or b""
            if not piece:
                raise OSError(f"segment {index + 1} ends early")
            pieces.append(piece)
            offset += len(piece)
            length -= len(piece)
        return b"".join(pieces)

    def close(self) -> None:
        """Close every segment."""
        for file in self._files:
            file.close()


class Ad1:
    """An opened AD1. Errors: SourceError and OSError on construction."""

    kind = "ad1"

    def __init__(self, segments: Sequence[Path], image: _Joined) -> None:
        self.segments = tuple(segments)
        self.problems: Sequence[Problem] = ()
        self._image = image
        header = image.read(0, min(_HEADER, image.size)).ljust(_HEADER, b"\0")
        if not header.startswith(IMAGE):
            raise OSError("no logical image begins behind its first 512 bytes")
        self._version, self._chunk_size, self._first, name_length = struct.unpack_from("<I4xI8xQI", header, 16)
        if self._version not in (3, 4):
            advice = "open it in FTK Imager, export its files to a folder, and scan that"
            raise refused(segments[0], f"AD1 of version {self._version}", advice)
        if not 0 < self._chunk_size <= _LARGEST_CHUNK or name_length > _LONGEST_NAME:
            raise OSError("its header contradicts itself")
        name_at, *closing = struct.unpack_from("<QQ8xQ", header, 52) if self._version == 4 else (48,)
        if any(address >= image.size for address in closing):
            raise _cut_off(segments[-1], f"the image ends after {image.size} bytes, before its closing tables")
        name = image.read(name_at, name_length).decode("utf-8", "replace")
        self.facts = {"description": " ".join(name.split())} if name.strip() else {}
        self._kept: tuple[int, int, bytes] = (-1, -1, b"")

    def files(self) -> Iterator[LogicalFile | Problem]:
        """Every file of the tree from its root down; a Problem where it is damaged, with what hangs there left out."""
        pending: list[tuple[int, tuple[bytes, ...]]] = [(self._first, ())]
        left = self._image.size // _ITEM + 1  # more items than that cannot stand in it without one being met twice
        highest, jumps, faults = -1, 0, 0
        while pending:
            address, above = pending.pop()
            if not address:
                continue
            # The items stand in the order of the tree. A circle has to go back, so going back is what is limited.
            jumps += address <= highest
            highest = max(highest, address)
            left -= 1
            if jumps > _MOST_JUMPS or left < 0:
                yield list_damaged("its items lead in a circle")
                return
            try:
                following, child, values_at, content, size, kind, name = self._item(address)
            except OSError as error:
                yield list_damaged(f"the item at byte {address} cannot be read: {plain_reason(error)}")
                faults += 1
                if faults == _MOST_FAULTS:
                    yield list_damaged(f"after {faults} items that cannot be read, the rest was not looked for")
                    return
                continue
            pending.append((following, above))
            names = (*above, name)
            if too_deep(names):
                yield depth_problem(names)
                continue
            if kind != _FOLDER or size:  # a folder with bytes of its own is a file too, lest they be missed
                yield self._file(address, names, values_at, content, size)
            pending.append((child, names))

    def _item(self, address: int) -> tuple[int, int, int, int, int, int, bytes]:
        *numbers, length = struct.unpack("<5QII", self._image.read(address, _ITEM))
        if length > _LONGEST_NAME:
            raise OSError(f"its name would be of {length} bytes")
        following, child, values_at, content, size, kind = numbers
        name = self._image.read(address + _ITEM, length) or NO_NAME.encode()
        return following, child, values_at, content, size, kind, name

    def _file(self, address: int, names: tuple[bytes, ...], values_at: int, content: int, size: int) -> LogicalFile:
        fault = ""
        values: _Values = {}
        try:
            values = self._values(values_at)
        except OSError as error:
            fault = f"what the image says of this file is damaged: {plain_reason(error)}"
        if size >= 1 << 62 or (size and not content):
            fault = "the image does not say where the content of this file lies"
        times = FileTimes(
            created=_moment(values.get(_CREATED)),
            modified=_moment(values.get(_MODIFIED)),
            accessed=_moment(values.get(_ACCESSED)),
            zone_note=ZONE_NOTE,
        )
        state = State.SLACK if values.get(_CLASS) == _SLACK else State.ALLOCATED
        return LogicalFile(
            names, b"", state, size if size < 1 << 62 else None, times, None, (content,), tuple(_hashes(values)), fault
        )

    def _values(self, address: int) -> _Values:
        """The values of an item by category and key; the first of each. OSError where their chain is damaged."""
        values: _Values = {}
        for _ in range(_MOST_VALUES):
            if not address:
                return values
            following, category, key, length = struct.unpack("<QIII", self._image.read(address, 20))
            if length > _LONGEST_VALUE:
                raise OSError(f"a value would be of {length} bytes")
            values.setdefault((category, key), self._image.read(address + 20, length))
            address = following
        raise OSError(f"it has more than {_MOST_VALUES} values")

    def read(self, place: Sequence[int], size: int, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset`` of a content of ``size`` bytes. OSError when it cannot."""
        (content,) = place
        count = -(-size // self._chunk_size)
        if int.from_bytes(self._image.read(content, 8), "little") != count:
            raise OSError(f"its chunks are not {count}, as its size asks for")
        pieces = []
        while length > 0:
            number, start = divmod(offset, self._chunk_size)
            expected = min(self._chunk_size, size - number * self._chunk_size)
            piece = self._chunk(content, number, expected)[start : start + length]
            pieces.append(piece)
            offset += len(piece)
            length -= len(piece)
        return b"".join(pieces)

    def _chunk(self, content: int, number: int, expected: int) -> bytes:
        if self._kept[:2] == (content, number):
            return self._kept[2]
        start, end = struct.unpack("<QQ", self._image.read(content + 8 + 8 * number, 16))
        if not 0 < end - start <= 2 * self._chunk_size + 1024:
            raise OSError(f"chunk {number} would be of {end - start} bytes")
        chunk = inflated(self._image.read(start, end - start), self._chunk_size)
        if len(chunk) != expected:
            raise OSError(f"chunk {number} holds {len(chunk)} bytes, not {expected}")
        self._kept = (content, number, chunk)
        return chunk

    def close(self) -> None:
        """Close every segment."""
        self._image.close()


def _segment_numbers(path: Path, head: bytes) -> tuple[int, int]:
    """The number of a segment and how many there are. Errors: SourceError."""
    if len(head) < _MARGIN:
        raise _cut_off(path, f"it ends within its header, after {len(head)} bytes")
    number, count = struct.unpack_from("<II", head, 24)
    if not head.startswith(SEGMENT) or not 0 < number <= count <= _MOST_SEGMENTS:
        raise damaged(path, "AD1", "its header contradicts itself")
    return number, count


def _segments(path: Path, count: int) -> list[Path]:
    """The segment files made.ad1, made.ad2 ... made.ad10 beside the first. Errors: SourceError naming a missing one."""
    stem, _, extension = path.name.rpartition(".")
    by_name = {file.name.lower(): file for file in files_beside(path)} if count > 1 else {}
    found = [path]
    for number in range(2, count + 1):
        wanted = f"{stem}.{extension.rstrip('0123456789')}{number}"
        if wanted.lower() not in by_name:
            raise SourceError(
                f"{path} has {len(found)} of its {count} segments here, but {wanted} is missing. "
                f"Put all segments into one folder and try again"
            )
        found.append(by_name[wanted.lower()])
    return found


def _cut_off(path: Path, how: str) -> SourceError:
    return SourceError(f"{path} is cut off: {how}. Copy the AD1 again from the original, or acquire the files again")


def _hashes(values: _Values) -> Iterator[tuple[str, bytes]]:
    for key, name, length in ((_MD5, "md5", 16), (_SHA1, "sha1", 20)):
        try:
            digest = bytes.fromhex(values.get(key, b"").decode("ascii"))
        except ValueError:
            continue
        if len(digest) == length:
            yield name, digest


def _moment(text: bytes | None) -> datetime | None:
    """A time such as 20170331T180231.189682."""
    if not text:
        return None
    for form in ("%Y%m%dT%H%M%S.%f", "%Y%m%dT%H%M%S"):
        try:
            return datetime.strptime(text.decode("ascii"), form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None
