"""Raw images: one file, a split set (.001 .000 .aa), or a block device; opened for reading only."""

from __future__ import annotations

import bisect
import errno
import os
import re
import stat
import weakref
from collections.abc import Sequence
from io import RawIOBase
from itertools import accumulate
from pathlib import Path

import pytsk3

from caid_triage.errors import SourceError
from caid_triage.evidence.faults import plain_reason
from caid_triage.evidence.proxied import ProxiedImage

_NUMBER = re.compile(r"^(?P<stem>.+)\.(?P<number>\d{3,4})$", re.DOTALL)
_LETTERS = re.compile(r"^(?P<stem>.+)\.(?P<letters>[a-z]{2})$", re.DOTALL)
_NOT_SEGMENTS = frozenset(("dd", "gz", "xz", "bz", "lz"))


class SplitImage(ProxiedImage):
    """Several files (or one whose name the library cannot take) joined into one disk for pytsk3."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._files: list[int] = []
        # Whoever lets go of a source without closing it leaves no file open.
        self._close = weakref.finalize(self, _close_all, self._files)
        try:
            for path in paths:
                self._files.append(os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0)))
            sizes = [os.lseek(file, 0, os.SEEK_END) for file in self._files]
        except OSError:
            self.close()
            raise
        self._ends = list(accumulate(sizes))
        super().__init__()

    def get_size(self) -> int:
        """The bytes of all segments together."""
        return self._ends[-1]

    def exact(self, offset: int, size: int) -> bytes:
        """The bytes at ``offset``, across the border of segments; shorter only at the end."""
        if not self._close.alive:
            raise OSError(errno.EBADF, "the image was closed")
        pieces = []
        while size > 0 and offset < self._ends[-1]:
            index = bisect.bisect_right(self._ends, offset)
            start = self._ends[index - 1] if index else 0
            os.lseek(self._files[index], offset - start, os.SEEK_SET)
            piece = os.read(self._files[index], min(size, self._ends[index] - offset))
            if not piece:
                message = f"segment {index + 1} ended early"
                raise OSError(message)
            pieces.append(piece)
            offset += len(piece)
            size -= len(piece)
        return b"".join(pieces)

    def close(self) -> None:
        """Close every segment. May be called twice."""
        self._close()


def _close_all(files: list[int]) -> None:
    while files:
        os.close(files.pop())


def find_segments(path: Path) -> list[Path]:
    """The files of the split raw image whose first segment is ``path``; only ``path`` when it is not split.

    Errors: SourceError when ``path`` is a later segment, or when one is missing in the middle.
    """
    name = path.name
    numbered = _NUMBER.match(name)
    if numbered and len(numbered["number"]) == 3:
        return _numbered_segments(path, numbered["stem"], int(numbered["number"]))
    lettered = _LETTERS.match(name)
    if lettered and lettered["letters"] not in _NOT_SEGMENTS:
        return _lettered_segments(path, lettered["stem"], lettered["letters"])
    return [path]


def _siblings(path: Path, pattern: re.Pattern[str], stem: str, group: str) -> dict[str, Path]:
    found = {}
    for sibling in files_beside(path):
        match = pattern.match(sibling.name)
        if match and match["stem"] == stem and sibling.is_file():
            found[match[group]] = sibling
    return found


def files_beside(path: Path) -> list[Path]:
    """Everything in the folder of a file, sorted: where its further segments are. Errors: SourceError."""
    try:
        return sorted(path.parent.iterdir())
    except OSError as error:
        message = f"the folder of {path} could not be searched for further segments: {plain_reason(error)}"
        raise SourceError(message) from error


def _numbered_segments(path: Path, stem: str, number: int) -> list[Path]:
    found = {int(text): file for text, file in _siblings(path, _NUMBER, stem, "number").items()}
    first = 0 if 0 in found else 1
    if number > 1 or number != first:
        message = (
            f"{path} is segment {number} of a split image, not its first. "
            f"Name the first segment: {path.with_name(f'{stem}.{first:03d}')}"
        )
        raise SourceError(message)
    last = max(found)
    for wanted in range(first, last + 1):
        if wanted not in found:
            message = (
                f"{path} is split, and its segment {path.with_name(f'{stem}.{wanted:03d}').name} is missing "
                f"while later ones are there. Put all segments into one folder and try again"
            )
            raise SourceError(message)
    return [found[index] for index in range(first, last + 1)]


def _lettered_segments(path: Path, stem: str, letters: str) -> list[Path]:
    found = {k: v for k, v in _siblings(path, _LETTERS, stem, "letters").items() if k not in _NOT_SEGMENTS}
    if letters != "aa":
        if "aa" in found:
            message = f"{path} is a later segment of a split image. Name the first: {found['aa']}"
            raise SourceError(message)
        return [path]
    names = [a + b for a in map(chr, range(97, 123)) for b in map(chr, range(97, 123))]
    last = max(names.index(text) for text in found)
    for text in names[: last + 1]:
        if text not in found and text not in _NOT_SEGMENTS:
            message = (
                f"{path} is split, and its segment {stem}.{text} is missing while later ones are there. "
                f"Put all segments into one folder and try again"
            )
            raise SourceError(message)
    joined = [text for text in names[: last + 1] if text in found]
    if len(joined) > names.index("dd"):  # so long a set has real .dd, .gz ... segments
        joined = names[: last + 1]
    return [path.with_name(f"{stem}.{text}") for text in joined]


def open_raw(segments: Sequence[Path]) -> pytsk3.Img_Info:
    """The disk in one or several raw files, for pytsk3, opened for reading only. Errors: SourceError.

    Not by the library's own reader, though that is faster: where a read fails whose length is no multiple of a sector
    (the end of nearly every file), it gives zeros for all of it and no error (tsk_img_read_no_cache).
    """
    try:
        return SplitImage(segments)
    except OSError as error:
        message = f"{segments[0]} could not be opened: {plain_reason(error)}"
        raise SourceError(message) from error


def is_text(path: Path) -> bool:
    """Whether a path can be handed to a library that takes UTF-8 only."""
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def byte_size(path: Path) -> int:
    """The bytes of a file or block device, by seeking to its end. Errors: SourceError."""
    try:
        with path.open("rb", buffering=0) as file:
            return file.seek(0, os.SEEK_END)
    except OSError as error:
        message = f"{path} could not be opened: {plain_reason(error)}. Check the name and your permission to read it"
        raise SourceError(message) from error


def is_device(path: Path) -> bool:
    """Whether a path is a block device (POSIX) or a raw disk of Windows (``\\\\.\\PhysicalDrive0``)."""
    if os.name == "nt":
        return str(path).startswith(("\\\\.\\", "\\\\?\\PhysicalDrive"))
    mode = path.stat().st_mode
    return stat.S_ISBLK(mode)


def head_and_tail(path: Path) -> tuple[bytes, bytes]:
    """The first and last 512 bytes of a file; no last ones where these cannot be read. Errors: SourceError."""
    try:
        with path.open("rb", buffering=0) as file:  # a sector that is bad beyond them is no hindrance
            return _ends_of(file)
    except OSError as error:
        message = (
            f"{path} could not be read: {plain_reason(error)}. "
            "Check your permission to read it, and that its disk is connected"
        )
        raise SourceError(message) from error


def _ends_of(file: RawIOBase) -> tuple[bytes, bytes]:
    head = file.read(512) or b""
    try:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 512))
        return head, file.read(512) or b""
    except OSError:  # the end only tells some containers; the bytes are on record when they are read as evidence
        return head, b""
