"""The bytes of a source as carving reads them: in blocks of which a few are kept, and never failing.

What cannot be read is taken for zeros and remembered (:attr:`Space.unreadable`), so that a scan goes on behind it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

from caid_triage.evidence.faults import LIBRARY_ERRORS
from caid_triage.evidence.partitions import ReadAt
from caid_triage.evidence.ranges import Range, merged

BLOCK = 1 << 20
_BLOCKS_KEPT = 12
_STEPS = (1 << 16, 1 << 12)
_CALL = 64  # what a request counts beside its bytes: many small ones are work too
_MOST_RANGES = 65536  # of bad places, before the nearest are taken together


class Space:
    """A source of ``size`` bytes read through ``read(offset, length)``.

    ``check`` is called whenever bytes are asked for, also such as are kept: what it raises ends the work on them.
    """

    def __init__(self, read: ReadAt, size: int, check: Callable[[], None] = lambda: None) -> None:
        self.size = size
        self.check = check
        self._read = read
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._bad: list[Range] = []

    @property
    def unreadable(self) -> list[Range]:
        """What could not be read so far."""
        return merged(self._bad)

    def read(self, offset: int, length: int) -> bytes:
        """``length`` bytes from ``offset``, fewer only at the end of the source."""
        self.check()
        number, inside = divmod(offset, BLOCK)
        if inside + length <= BLOCK:
            return self._block(number)[inside : inside + length]
        pieces = []
        end = min(offset + length, self.size)
        while offset < end:
            number, inside = divmod(offset, BLOCK)
            piece = self._block(number)[inside : inside + end - offset]
            pieces.append(piece)
            offset += len(piece)
        return b"".join(pieces)

    def exact(self, offset: int, length: int) -> bytes:
        """The same without reading more than that, and without keeping it: for what is read once."""
        length = min(length, self.size - offset)
        if length <= 0:
            return b""
        try:
            data = self._read(offset, length)
        except LIBRARY_ERRORS:
            data = b""
        return data if len(data) == length else self._filled(offset, length, 0)

    def _block(self, number: int) -> bytes:
        kept = self._blocks.get(number)
        if kept is not None:
            self._blocks.move_to_end(number)
            return kept
        start = number * BLOCK
        block = self._filled(start, min(BLOCK, self.size - start), 0) if 0 <= start < self.size else b""
        self._blocks[number] = block
        if len(self._blocks) > _BLOCKS_KEPT:
            self._blocks.popitem(last=False)
        return block

    def _filled(self, start: int, length: int, step: int) -> bytes:
        """Bytes as far as they can be read, in ever smaller pieces; zeros for the rest."""
        try:
            data = self._read(start, length)
        except LIBRARY_ERRORS:
            data = b""
        if len(data) == length:
            return data
        if step == len(_STEPS):
            self._bad.append((start + len(data), start + length))
            if len(self._bad) > _MOST_RANGES:
                self._bad = merged(self._bad)
            return data + bytes(length - len(data))
        size = _STEPS[step]
        return b"".join(
            self._filled(at, min(size, start + length - at), step + 1) for at in range(start, start + length, size)
        )


class Stretch:
    """A would-be file: ``extents`` (offset, length) of the space one after the other, read by place in the file.

    After ``most`` bytes were handed out it seems to end: no header can keep a scan busy for ever. ``ran_out`` says that
    bytes behind its end were asked for.
    """

    __slots__ = ("_left", "_space", "_starts", "extents", "ran_out", "size")

    def __init__(self, space: Space, extents: Sequence[tuple[int, int]], most: int) -> None:
        self.extents = tuple(extents)
        self.size = sum(length for _, length in extents)
        self._space = space
        self._left = most
        self.ran_out = False
        self._starts: list[int] = []
        at = 0
        for _, length in extents:
            self._starts.append(at)
            at += length

    def check(self) -> None:
        """End the work on it where the search is being stopped: :class:`Space`."""
        self._space.check()

    @property
    def left(self) -> int:
        """How many bytes may still be asked for."""
        return self._left

    def at(self, place: int, length: int) -> bytes:
        """Up to ``length`` bytes from ``place``: fewer at the end, none when nothing more may be read."""
        if place + length > self.size:
            self.ran_out = True
            length = self.size - place
        if length <= 0 or place < 0:
            return b""
        self._left -= length + _CALL
        if self._left < 0:
            return b""
        if len(self._starts) == 1:
            return self._space.read(self.extents[0][0] + place, length)
        pieces = []
        index = self._index(place)
        while length > 0 and index < len(self._starts):
            offset, size = self.extents[index]
            inside = place - self._starts[index]
            piece = self._space.read(offset + inside, min(length, size - inside))
            if not piece:
                break
            pieces.append(piece)
            place += len(piece)
            length -= len(piece)
            index += 1
        return b"".join(pieces)

    def _index(self, place: int) -> int:
        low, high = 0, len(self._starts)
        while high - low > 1:
            middle = (low + high) // 2
            if self._starts[middle] <= place:
                low = middle
            else:
                high = middle
        return low

    def cut(self, length: int) -> tuple[tuple[int, int], ...]:
        """The extents of its first ``length`` bytes."""
        return cut_extents(self.extents, length)

    def source_offset(self, place: int) -> int:
        """Where in the source a place of the file lies."""
        index = self._index(place)
        return self.extents[index][0] + place - self._starts[index]


def cut_extents(extents: Sequence[tuple[int, int]], length: int) -> tuple[tuple[int, int], ...]:
    """The first ``length`` bytes of a row of (offset, length), neighbours joined."""
    kept: list[tuple[int, int]] = []
    for offset, size in extents:
        take = min(size, length)
        if take <= 0:
            break
        if kept and kept[-1][0] + kept[-1][1] == offset:
            kept[-1] = (kept[-1][0], kept[-1][1] + take)
        else:
            kept.append((offset, take))
        length -= take
    return tuple(kept)
