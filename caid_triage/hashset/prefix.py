"""The dense table in front of sorted digests: where the digests with a given beginning stand.

``table[p]`` is how many digests are smaller than prefix ``p``, with about one slot an entry, so that a
lookup looks at about one entry instead of bisecting all. ``fp32`` keeps 32 other bits of each digest:
they turn away all but one in four billion strangers before the digest itself is read.

Most queries are strangers, and most of those need not get that far: ``present`` keeps a byte for each prefix,
and every digest with this prefix sets two of its eight bits, named by the last six bits of its first word. It is
small beside the others, so that more of it stays in the cache, and one look turns away 19 strangers in 20.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from caid_triage.hashset.algorithms import Words

_MOST_BITS = 28  # a table of 1 GiB; more digests than that share slots
_PIECE = 1 << 20
_LAST_BITS = np.uint8(63)
# The bits that a digest sets in the byte of its prefix, by the last six bits of its first word: three name each.
_MASKS = np.array([1 << (ending & 7) | 1 << (ending >> 3) for ending in range(64)], dtype=np.uint8)

Fingerprints = NDArray[np.uint32]
Presence = NDArray[np.uint8]


def prefix_bits(entries: int) -> int:
    """How many leading bits the table of a set of this size tells apart: about one slot an entry."""
    return min(max((max(entries, 1) - 1).bit_length(), 1), _MOST_BITS)


def prefixes(first_words: NDArray[np.uint64], bits: int) -> NDArray[np.int64]:
    """The leading bits of digests, from their first words."""
    return (first_words >> np.uint64(64 - bits)).astype(np.int64)


def fingerprints(first_words: NDArray[np.uint64]) -> Fingerprints:
    """The last 32 bits of the digests' first words: bits that the prefix does not have."""
    return first_words.astype(np.uint32)


def presence_bytes(entries: int) -> int:
    """How many bytes ``present`` has: one a prefix."""
    return 1 << prefix_bits(entries)


def perhaps_present(present: Presence, first_words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Which of these digests (their first words) may be in the set, in order: all that are, and a few that are not."""
    place = (first_words >> np.uint64(65 - len(present).bit_length())).view(np.int64)
    # Clipped rather than checked: it is faster, and no place is outside of a power of two.
    bits = present.take(place, mode="clip")
    masks = _masks(first_words)
    bits &= masks
    return np.flatnonzero(bits == masks)


def may_be_present(present: Presence, first_word: int) -> bool:
    """What :func:`perhaps_present` says of one digest, in a microsecond: an array of one costs ten."""
    ending = first_word & int(_LAST_BITS)
    mask = 1 << (ending & 7) | 1 << (ending >> 3)
    return int(present[first_word >> 65 - len(present).bit_length()]) & mask == mask


def _masks(first_words: NDArray[np.uint64]) -> Presence:
    """The two bits (at times one) that each of these digests sets in the byte of its prefix."""
    endings = first_words.astype(np.uint8)
    endings &= _LAST_BITS
    return _MASKS.take(endings, mode="clip")


class PresenceBits:
    """Makes ``present`` from digests that come sorted, block by block; it is never whole in memory."""

    def __init__(self, entries: int) -> None:
        self._bytes = presence_bytes(entries)
        self._shift = np.uint64(65 - self._bytes.bit_length())
        self._place, self._open = 0, 0  # the byte that the last block ended in, and its bits so far

    def add(self, rows: Words) -> Iterator[Presence]:
        """The bytes that are certain once these rows (uint64[n, w], after all before them) are known."""
        if not len(rows):
            return
        place = (rows[:, 0] >> self._shift).view(np.int64)
        starts = np.flatnonzero(np.concatenate([[True], place[1:] != place[:-1]]))
        bits = np.bitwise_or.reduceat(_masks(rows[:, 0]), starts)
        yield from self._until(place[starts], bits, int(place[-1]))

    def finish(self) -> Iterator[Presence]:
        """The bytes that are left."""
        nothing = np.zeros(0, dtype=np.int64)
        yield from self._until(nothing, nothing.astype(np.uint8), self._bytes)

    def _until(self, place: NDArray[np.int64], bits: Presence, stop: int) -> Iterator[Presence]:
        """The bytes before ``stop``, of which ``place`` get ``bits``; what ``stop`` itself gets is kept."""
        while self._place < stop:
            size = min(stop - self._place, _PIECE)
            piece = np.zeros(size, dtype=np.uint8)
            here = slice(*np.searchsorted(place, [self._place, self._place + size]))
            piece[place[here] - self._place] = bits[here]
            piece[0] |= self._open
            self._place, self._open = self._place + size, 0
            yield piece
        if len(place) and int(place[-1]) == stop:
            self._open |= int(bits[-1])


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
