"""A video's bytes as its decoder reads them: any place, in memory or asked for again, and never more than a bound.

The decoder sees a file object and nothing else, so there is no path that a crafted video could lead it away from.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable

from caid_triage.errors import EvidenceError

# (offset, length) -> exactly those bytes; EvidenceError otherwise.
ReadAt = Callable[[int, int], bytes]
# The name of a file in the same folder -> its size and bytes; EvidenceError where there is none that can be read.
Beside = Callable[[str], tuple[int, ReadAt]]

BLOCK = 128 * 1024
BLOCKS_KEPT = 128


class VideoBytes:
    """What PyAV takes for a file: read, seek and tell over ``size`` bytes that ``read_at`` gives.

    Bytes are fetched in blocks and a few are kept, as a decoder reads a little at a time. After ``most`` bytes, or
    after a fault of the evidence (kept in ``fault``), the file seems to end: a decoder takes that for a cut file.
    """

    def __init__(self, size: int, read_at: ReadAt, most: int) -> None:
        self.size = size
        self.fault: EvidenceError | None = None
        self.spent = False
        self.beside: Callable[[str], VideoBytes] | None = None  # raises what a Beside does
        self._read_at = read_at
        self._left = most
        self._held_back = 0
        self._at = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def hold_back_half(self) -> None:
        """Keep half of what may still be read for a second pass over the same bytes."""
        self._held_back = self._left - self._left // 2
        self._left //= 2

    def rewind(self) -> None:
        """Begin the next pass, with what was held back for it."""
        self._at = 0
        if self._held_back:
            self._left, self._held_back, self.spent = self._held_back, 0, False
            self._blocks.clear()  # so that it ends where the first pass ended

    def read(self, length: int = -1) -> bytes:
        """Up to ``length`` bytes from where the last read ended; b"" at the end."""
        end = self.size if length < 0 else min(self.size, self._at + length)
        pieces = []
        while self._at < end:
            number, inside = divmod(self._at, BLOCK)
            piece = self._block(number)[inside : inside + end - self._at]
            if not piece:
                break
            pieces.append(piece)
            self._at += len(piece)
        return b"".join(pieces)

    def _block(self, number: int) -> bytes:
        """One block, b"" when no more may be read."""
        kept = self._blocks.get(number)
        if kept is not None:
            self._blocks.move_to_end(number)
            return kept
        length = min(BLOCK, self.size - number * BLOCK)
        if self.fault is not None or self.spent or length > self._left:
            self.spent = self.spent or self.fault is None
            return b""
        try:
            block = self._read_at(number * BLOCK, length)
        except EvidenceError as error:
            self.fault = error
            return b""
        self._left -= length
        self._blocks[number] = block
        if len(self._blocks) > BLOCKS_KEPT:
            self._blocks.popitem(last=False)
        return block

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place, also one behind the end, as in a file."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        """Where the next read begins."""
        return self._at


def in_memory(content: bytes) -> VideoBytes:
    """The bytes of a video that is held whole."""

    def read_at(offset: int, length: int) -> bytes:
        return content[offset : offset + length]

    return VideoBytes(len(content), read_at, 1 << 62)
