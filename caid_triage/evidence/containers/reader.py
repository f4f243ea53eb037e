"""What every container gives: a DiskReader, what belongs to it, and the one Img_Info that shows it to pytsk3.

The law here: zeros are never passed off as content. What a container says is missing, or what its library gives
short or with an error, is an OSError for pytsk3, so that the file that needs it becomes a Problem and the walk
goes on.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pytsk3

from caid_triage.errors import SourceError
from caid_triage.evidence import ranges as byte_ranges
from caid_triage.evidence.faults import LIBRARY_ERRORS, plain_reason
from caid_triage.evidence.image_file import files_beside
from caid_triage.evidence.proxied import ProxiedImage
from caid_triage.model import Problem

CONVERT_QEMU = "convert it with 'qemu-img convert -O raw {name} disk.raw' and scan disk.raw"
LONGEST_CHAIN = 32
"""How many disks may build on each other. Virtual machines have a few; a circle would have no end."""

Range = tuple[int, int]
_FUNCTION = re.compile(r"(?:^|(?<=\.) )(?:py|lib)[a-z0-9_]+: ")


class DiskReader(Protocol):
    """The disk inside a container. Offsets and lengths are bytes of the disk, not of the file."""

    size: int

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``; the caller stays inside the disk. OSError when it cannot."""
        ...

    def unreadable(self) -> Sequence[Range]:
        """Ranges (offset, length) that the container says, before anything is read, it does not have."""
        ...

    def close(self) -> None:
        """Close every file."""
        ...


@dataclass(frozen=True, slots=True)
class StoredHash:
    """A hash that the container keeps of itself: of the bytes of what, by which algorithm (hashlib's name), in hex."""

    what: str
    algorithm: str
    expected: str


class HashedParts(Protocol):
    """A container that keeps hashes of something else than the bytes of the whole disk (AFF4)."""

    def stored_hashes(self) -> Sequence[StoredHash]:
        """The hashes it keeps."""
        ...

    def bytes_of(self, what: str) -> Iterator[bytes]:
        """The bytes that a stored hash is of, in pieces. OSError when they cannot be read."""
        ...


@dataclass(frozen=True, slots=True)
class OpenContainer:
    """An opened container: its kind for SourceInfo, its disk, every file that belongs to it, facts and Problems."""

    kind: str
    reader: DiskReader
    segments: tuple[Path, ...]
    facts: dict[str, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    hashed: HashedParts | None = None


class ContainerImage(ProxiedImage):
    """The disk inside a container, for pytsk3.

    There is no cache here: Sleuth Kit keeps 32 blocks of 64 KiB itself, and reads longer than that go through.
    """

    def __init__(self, reader: DiskReader) -> None:
        self._reader = reader
        self._size = reader.size
        self._missing = merged(reader.unreadable(), self._size)
        self._starts = [start for start, _ in self._missing]
        super().__init__()

    def get_size(self) -> int:
        """The bytes of the disk, not of the files."""
        return self._size

    def unreadable(self) -> list[Range]:
        """The ranges (offset, length) that are known to be missing, in order, not touching each other."""
        return list(self._missing)

    def exact(self, offset: int, size: int) -> bytes:
        """The bytes at ``offset``; shorter only at the end of the disk. OSError when any of them cannot be had."""
        length = min(size, self._size - offset)
        if offset < 0 or length <= 0:
            return b""
        index = bisect_right(self._starts, offset + length - 1) - 1
        if index >= 0 and sum(self._missing[index]) > offset:
            start, missing = self._missing[index]
            raise OSError(f"the image does not hold bytes {start} to {start + missing} of the disk")
        try:
            data = self._reader.read(offset, length)
        except LIBRARY_ERRORS as error:
            raise OSError(f"the image could not be read at byte {offset} of the disk: {cause_of(error)}") from error
        if len(data) != length:
            raise OSError(f"the image gave {len(data)} of {length} bytes at byte {offset} of the disk")
        return data

    def close(self) -> None:
        """Close every file."""
        self._reader.close()


def merged(ranges: Iterable[Range], size: int) -> list[Range]:
    """Ranges (offset, length) in order, clipped to 0 .. size, those that touch or overlap made one."""
    inside = byte_ranges.clipped(((offset, offset + length) for offset, length in ranges), 0, size)
    return [(start, end - start) for start, end in byte_ranges.merged(inside)]


def missing_blocks(ranges: Iterable[Range], size: int) -> tuple[Problem, ...]:
    """The Problem that says how much of a disk its container lacks; none where it lacks nothing."""
    lost = sum(length for _, length in merged(ranges, size))
    if not lost:
        return ()
    detail = f"{lost} bytes of the disk should lie behind the end of the image file: the image is incomplete"
    return (Problem("open", "image-truncated", detail),)


def refused(path: Path, what: str, advice: str) -> SourceError:
    """The error for a container that cannot be read: what it is and what to do."""
    return SourceError(f"{path} is {_article(what)} {what}: {advice.format(name=path.name)}")


def damaged(path: Path, what: str, error: BaseException | str) -> SourceError:
    """The error for a container that is not what its first or last bytes say."""
    reason = error if isinstance(error, str) else cause_of(error)
    message = (
        f"{path} could not be opened as {_article(what)} {what}: {reason}. "
        f"Copy it again from the original, or convert it with the program that made it, and scan that"
    )
    return SourceError(message)


def _article(what: str) -> str:
    return "an" if what.startswith(("AFF4", "AD1", "Ex01", "L01", "Lx01")) else "a"


def cause_of(error: BaseException) -> str:
    """The cause inside a libyal error, which lists every function that it passed through, the cause second."""
    reason = plain_reason(error)
    parts = [part.strip(" .") for part in _FUNCTION.split(reason)]
    return next(iter(parts[2:3] or parts[1:2] or parts), reason)


def file_named(path: Path, name: str, what: str) -> Path:
    """The file that an image names as its parent or as a part of it: looked for beside the image, by its last name.

    The folder that is stored with the name is not followed: it is of another machine, and a hostile image could
    name anything. Upper and lower case are not told apart where only one file fits. Errors: SourceError naming it.
    """
    last = name.replace("\\", "/").rpartition("/")[2]
    beside = files_beside(path)
    fits = [file for file in beside if file.name == last] or [f for f in beside if f.name.lower() == last.lower()]
    if not last or len(fits) != 1 or not fits[0].is_file():
        message = (
            f"{path} needs {what}, {last or 'which it does not name'}, and that is not beside it. "
            f"Put both into one folder and try again"
        )
        raise SourceError(message)
    return fits[0]


def refuse_circle(path: Path, chain: Sequence[Path], what: str) -> None:
    """Refuse a disk that builds on itself, or a chain of disks without end. Errors: SourceError."""
    if any(path.samefile(earlier) for earlier in chain):
        raise damaged(chain[0], what, f"its chain of parents leads in a circle, back to {path.name}")
    if len(chain) >= LONGEST_CHAIN:
        raise damaged(chain[0], what, f"its chain of parents has more than {LONGEST_CHAIN} disks")


def parents_fact(chain: Sequence[Path]) -> dict[str, str]:
    """The fact that names the disks that the first of a chain builds on; none where it stands alone."""
    return {"parents": ", ".join(parent.name for parent in chain[1:])} if len(chain) > 1 else {}


def known_unreadable(image: pytsk3.Img_Info) -> list[Range]:
    """The ranges of a disk that its image says it does not have; none for images that cannot say."""
    return image.unreadable() if isinstance(image, ContainerImage) else []
