"""What lies inside a volume, as a disk of its own; and a volume as a file, for libraries that want one."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytsk3

from caid_triage.evidence.account import NamedClaim
from caid_triage.evidence.proxied import ProxiedImage, read_range
from caid_triage.evidence.ranges import Range, clipped, merged

ReadAt = Callable[[int, int], bytes]
Claim = tuple[int, int, str]
"""(first byte, bytes, kind of area): one entry in the account of the bytes of a disk."""


@dataclass(frozen=True, slots=True)
class Run:
    """``length`` bytes of a view from ``start`` on, which lie from ``at`` in the volume around it.

    With ``piece`` it is one of several stripes: its bytes, which follow each other there, stand in the view in pieces
    of so many bytes, each ``step`` bytes behind the one before.
    """

    start: int
    length: int
    at: int
    piece: int = 0
    step: int = 0

    @property
    def end(self) -> int:
        """The byte of the view behind its last one."""
        if not self.piece or not self.length:
            return self.start + self.length
        number, place = divmod(self.length - 1, self.piece)
        return self.start + number * self.step + place + 1

    def find(self, offset: int) -> tuple[int, int] | None:
        """Where byte ``offset`` of the view lies around it and how many follow there in order; None if not in it."""
        inside = offset - self.start
        if inside < 0:
            return None
        left = self.length - inside
        if self.piece:
            number, place = divmod(inside, self.step)
            if place >= self.piece:
                return None
            inside = number * self.piece + place
            left = min(self.piece - place, self.length - inside)
        return (self.at + inside, left) if left > 0 else None

    def before(self, offset: int) -> int:
        """How many bytes of the run stand before byte ``offset`` of the view."""
        inside = max(0, offset - self.start)
        if self.piece:
            number, place = divmod(inside, self.step)
            inside = number * self.piece + min(place, self.piece)
        return min(inside, self.length)

    def before_each(self, offsets: np.ndarray) -> np.ndarray:
        """The same for many: int64 of any shape."""
        inside: np.ndarray = np.maximum(offsets - self.start, 0)
        if self.piece:
            inside = inside // self.step * self.piece + np.minimum(inside % self.step, self.piece)
        found: np.ndarray = np.minimum(inside, self.length)
        return found


class View(ProxiedImage):
    """The inside of a volume of the disk ``outer``: ``size`` bytes given by ``read_at``.

    ``runs`` say where its bytes lie on ``outer``, empty where that cannot be said. ``verbatim`` is whether they stand
    there as they are read (a logical volume) and not encrypted. ``keep`` is held for as long as the view.
    """

    def __init__(
        self,
        outer: pytsk3.Img_Info,
        size: int,
        read_at: ReadAt,
        runs: Iterable[Run] = (),
        *,
        verbatim: bool = False,
        keep: Any = None,
    ) -> None:
        self.outer = outer
        self.runs = tuple(runs)
        self.verbatim = verbatim
        self.keep = keep
        self._size = size
        self._read_at = read_at
        super().__init__()

    def get_size(self) -> int:
        """The bytes of the inside."""
        return self._size

    def exact(self, offset: int, size: int) -> bytes:
        """The bytes at ``offset``; shorter only at the end."""
        size = min(size, self._size - offset)
        pieces = []
        while size > 0:
            piece = self._read_at(offset, size)
            if not piece:
                message = f"nothing could be read at byte {offset}"
                raise OSError(message)
            pieces.append(piece)
            offset += len(piece)
            size -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def on_source(self, offset: int) -> int | None:
        """Where on the source the byte at ``offset`` stands as it is read; None where it does not."""
        if self.verbatim:
            for run in self.runs:
                found = run.find(offset)
                if found is not None:
                    return on_source(self.outer, found[0])
        return None

    @property
    def has_places(self) -> bool:
        """Whether it is known which bytes of ``outer`` are its own."""
        return bool(self.runs)

    def claims_outside(self, claims: Iterable[NamedClaim]) -> list[NamedClaim]:
        """Claims on bytes of the inside as claims on the bytes of ``outer`` that hold them."""
        found = []
        for start, length, kind, name in claims:
            for run in self.runs:  # the bytes of a run keep their order, so what is of a claim is one piece
                low, high = run.before(start), run.before(start + length)
                if low < high:
                    found.append((run.at + low, high - low, kind, name))
        return found

    def spans_outside(self, spans: np.ndarray) -> np.ndarray | None:
        """Spans of the inside as those of ``outer`` that hold them: int64[n, 2], first byte and byte behind the last.

        Sorted and apart, as they must be given; those that touch are joined, as the pieces of a stripe do. What has no
        place is left out. None where nothing is known of places.
        """
        if not self.runs:
            return None
        moved = []
        for run in self.runs:
            low, high = np.searchsorted(spans[:, 1], run.start, "right"), np.searchsorted(spans[:, 0], run.end)
            moved.append(run.before_each(spans[low:high]) + run.at)
        return joined(np.concatenate(moved))

    def own_ranges(self) -> list[Range] | None:
        """What of the inside can hold anything that is not seen elsewhere as well; None for all of it.

        Not what lies on another disk. Where every other stripe does, all from the first one that is here to the last.
        """
        if not self.verbatim:
            return None
        held = clipped(merged((run.start, run.end) for run in self.runs), 0, self._size)
        return None if held == [(0, self._size)] else held

    def close(self) -> None:
        """The disk is its opener's to close."""


def joined(spans: np.ndarray) -> np.ndarray:
    """Spans (int64[n, 2]) sorted, those that touch or overlap joined, empty ones dropped."""
    spans = spans[spans[:, 0] < spans[:, 1]]
    spans = spans[np.argsort(spans[:, 0], kind="stable")]
    if not len(spans):
        return spans
    ends = np.maximum.accumulate(spans[:, 1])
    first = np.append(True, spans[1:, 0] > ends[:-1])
    return np.stack([spans[first, 0], ends[np.append(first[1:], True)]], axis=1)


def on_source(image: pytsk3.Img_Info, offset: int) -> int | None:
    """Where on the source the byte at ``offset`` of an image stands: there, but for the inside of a volume."""
    return image.on_source(offset) if isinstance(image, View) else offset


def ranges_on_source(image: pytsk3.Img_Info, ranges: list[Range]) -> list[Range]:
    """Sorted, disjoint ranges of an image as those of the source that hold their bytes, as they are read or encrypted.

    Of a view that cannot say where its bytes lie (a shadow copy) there are none.
    """
    if not isinstance(image, View):
        return ranges
    spans = spans_on_source(image, np.array(ranges, dtype=np.int64).reshape(-1, 2))
    return [] if spans is None else merged((start, end) for start, end in spans.tolist())


def spans_on_source(image: pytsk3.Img_Info, spans: np.ndarray) -> np.ndarray | None:
    """Spans of an image (int64[n, 2]: first byte, byte behind; sorted, apart) as those of the source that hold them.

    Sorted and apart again, as long as no two parts of the image hold the same bytes. They hold them as they are read
    or encrypted. None where that cannot be said of the image.
    """
    while isinstance(image, View):
        moved = image.spans_outside(spans)
        if moved is None:
            return None
        spans, image = moved, image.outer
    return spans


def view_of_runs(outer: pytsk3.Img_Info, runs: Iterable[Run], size: int | None = None) -> View:
    """A view joined from parts of a disk. What none of them holds, up to ``size``, cannot be read (OSError).

    Without ``size`` the runs follow each other without a gap from the first byte on.
    """
    ordered = sorted(runs, key=lambda run: run.start)
    plain = [run for run in ordered if not run.piece]
    starts = [run.start for run in plain]
    stripes = [run for run in ordered if run.piece]

    def read_at(offset: int, length: int) -> bytes:
        before = plain[max(0, bisect_right(starts, offset) - 1) :][:1]
        for run in (*before, *stripes):
            found = run.find(offset)
            if found is not None:
                return read_range(outer, found[0], min(length, found[1]))
        return b""

    return View(outer, sum(run.length for run in ordered) if size is None else size, read_at, ordered, verbatim=True)


def view_of_library(
    outer: pytsk3.Img_Info, volume: Any, size: int, runs: Iterable[Run] = (), *, keep: Any = None
) -> View:
    """A view of what a libyal object (an unlocked volume, a shadow copy) gives; ``keep`` stays open with it."""

    def read_at(offset: int, length: int) -> bytes:
        data: bytes = volume.read_buffer_at_offset(length, offset)
        return data

    return View(outer, size, read_at, runs, keep=keep)


class AreaFile:
    """``length`` bytes of a disk from ``start`` as a file that can only be read, for libyal."""

    def __init__(self, image: pytsk3.Img_Info, start: int, length: int) -> None:
        self._image = image
        self._start = start
        self._length = length
        self._at = 0

    def read(self, size: int = -1) -> bytes:
        """The bytes from where the file stands; shorter only at the end."""
        left = max(0, self._length - self._at)
        size = left if size < 0 else min(size, left)
        if not size:
            return b""
        data = read_range(self._image, self._start + self._at, size)
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Stand at another byte."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._length}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        """Where the file stands."""
        return self._at

    get_offset = tell

    def get_size(self) -> int:
        """The bytes of the area."""
        return self._length
