"""Which numbers (of file records, of clusters) were met: a set of whole numbers that costs a bit each where they lie
close together."""

from __future__ import annotations

import numpy as np

_BITS = 16  # numbers of a page: 65,536, in 8 KiB


class NumberSet:
    """Numbers from 0 up. A number that only a damaged table has costs one page of 8 KiB and no more."""

    __slots__ = ("_pages",)

    def __init__(self) -> None:
        self._pages: dict[int, bytearray] = {}

    def add(self, number: int) -> None:
        """Have ``number`` among them."""
        page = self._pages.get(number >> _BITS)
        if page is None:
            page = self._pages[number >> _BITS] = bytearray(1 << (_BITS - 3))
        page[number >> 3 & (1 << (_BITS - 3)) - 1] |= 1 << (number & 7)

    def __contains__(self, number: int) -> bool:
        """Whether ``number`` is among them."""
        page = self._pages.get(number >> _BITS)
        return page is not None and bool(page[number >> 3 & (1 << (_BITS - 3)) - 1] >> (number & 7) & 1)

    def within(self, first: int, count: int) -> np.ndarray:
        """Of each of ``count`` numbers from ``first`` whether it is among them: bool[count]."""
        pages = range(first >> _BITS, (first + count - 1 >> _BITS) + 1) if count > 0 else range(0)
        empty = bytes(1 << (_BITS - 3))
        held = b"".join(bytes(self._pages.get(page, empty)) for page in pages)
        bits = np.unpackbits(np.frombuffer(held, dtype=np.uint8), bitorder="little")
        start = first - (pages.start << _BITS) if count > 0 else 0
        found: np.ndarray = bits[start : start + max(0, count)] != 0
        return found
