"""The dense table in front of sorted digests: where the digests with a given beginning stand.

``table[p]`` is how many digests are smaller than prefix ``p``, with about one slot an entry, so that a
lookup looks at about one entry instead of bisecting all. ``fp32`` keeps 32 other bits of each digest:
they turn away all but one in four billion strangers before the digest itself is read.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from caid_triage.hashset.algorithms import Words

_MOST_BITS = 28  # a table of 1 GiB; more digests than that share slots
_PIECE = 1 << 20

Fingerprints = NDArray[np.uint32]


def prefix_bits(entries: int) -> int:
    """How many leading bits the table of a set of this size tells apart: about one slot an entry."""
    return min(max((max(entries, 1) - 1).bit_length(), 1), _MOST_BITS)


def prefixes(first_words: NDArray[np.uint64], bits: int) -> NDArray[np.int64]:
    """The leading bits of digests, from their first words."""
    return (first_words >> np.uint64(64 - bits)).astype(np.int64)


def fingerprints(first_words: NDArray[np.uint64]) -> Fingerprints:
    """The last 32 bits of the digests' first words: bits that the prefix does not have."""
    return first_words.astype(np.uint32)


class PrefixTable:
    """Makes the table from digests that come sorted, block by block; it is never whole in memory."""

    def __init__(self, entries: int) -> None:
        self._bits = prefix_bits(entries)
        self._slots = 0  # how many slots were given out
        self._seen = 0

    def add(self, rows: Words) -> Iterator[NDArray[np.uint32]]:
        """The slots that are certain once these rows (uint64[n, w], after all before them) are known."""
        found = prefixes(rows[:, 0], self._bits)
        yield from self._until(int(found[-1]) + 1 if len(found) else 0, found)
        self._seen += len(rows)

    def finish(self) -> Iterator[NDArray[np.uint32]]:
        """The slots that are left: 2**bits + 1 in all."""
        yield from self._until((1 << self._bits) + 1, np.zeros(0, dtype=np.int64))

    def _until(self, stop: int, found: NDArray[np.int64]) -> Iterator[NDArray[np.uint32]]:
        while self._slots < stop:
            piece = np.arange(self._slots, min(stop, self._slots + _PIECE), dtype=np.int64)
            yield (np.searchsorted(found, piece, side="left") + self._seen).astype(np.uint32)
            self._slots += len(piece)
