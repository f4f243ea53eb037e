"""Multi-index hashing: which hashes lie within a radius, without looking at most of them, and missing none.

A hash is cut into m chunks; for each chunk a table lists the hashes by the chunk's value. If two hashes
differ in at most r = a*m + rem bits, then one of the first rem + 1 chunks differs in at most ``a`` bits, or
one of the others in at most ``a - 1``: else the sum would be greater than r. So it is enough to look up
every value that near to the query's chunks (Norouzi, Punjani, Fleet 2012, with the remainder used).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caid_triage.hashset.algorithms import Words

# Below this blocked brute force is as fast.
LEAST_ENTRIES = 32_768
_FULL = {"pdq": 256, "phash": 64}
# (up to so many hashes, chunks): a chunk's values should be about as many as the hashes.
_CHUNKS = {
    "pdq": ((1_500_000, 16), (5_000_000, 13), (8_000_000, 12), (1 << 32, 11)),
    "phash": ((2_000_000, 4), (1 << 32, 3)),
}

WordColumns = Sequence[NDArray[np.uint64]]


@dataclass(frozen=True, slots=True)
class Probe:
    """Look up every value within ``flips`` bits of chunk ``number``, which is ``bits`` bits after ``offset``."""

    number: int
    offset: int
    bits: int
    flips: int


@dataclass(frozen=True, slots=True)
class MihIndex:
    """The tables of all chunks, one after another, ``bits`` long each.

    Slot ``sum of 2**bits of the chunks before + value`` of ``start`` (uint32, uint64 where that is too small) is where
    the hashes with that value begin in ``ids`` uint32[m * n]; they end where the next slot's begin. ``values``
    uint64[m * n] are the hashes themselves in the same order (64-bit hashes only).
    """

    bits: tuple[int, ...]
    start: NDArray[np.unsignedinteger[Any]]
    ids: NDArray[np.uint32]
    values: NDArray[np.uint64] | None

    @property
    def entries(self) -> int:
        """How many hashes there are."""
        return len(self.ids) // len(self.bits)

    def plan(self, radius: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """What a compiled search needs to make the slots itself: int64[probe, 7], and the masks of all, end to end.

        Of a probe: the word its chunk begins in, the next word, the first bit in it, 64 less the chunk's bits, the
        slot of value 0, where its masks end, and how many bits they flip.
        """
        plan = _plan(self.bits, radius)
        return plan.table, plan.masks

    def slots(self, queries: Words, radius: int) -> NDArray[np.int64]:
        """The slots [query, slot] that hold every hash within ``radius`` bits of queries uint64[m, w]."""
        plan = _plan(self.bits, radius)
        over = (queries[:, plan.next_word] >> np.uint64(1)) >> (np.uint64(63) - plan.begin)
        values = ((queries[:, plan.word] << plan.begin) | over) >> plan.rest
        slots: NDArray[np.int64] = (values.view(np.int64).take(plan.probe, axis=1) ^ plan.masks) + plan.first
        return slots


@dataclass(frozen=True, slots=True)
class _Plan:
    """All slots to look up, as arrays: where each probe's chunk stands in a query, and each slot's probe and mask."""

    word: NDArray[np.int64]
    next_word: NDArray[np.int64]
    begin: NDArray[np.uint64]
    rest: NDArray[np.uint64]
    probe: NDArray[np.int64]
    masks: NDArray[np.int64]
    first: NDArray[np.int64]
    table: NDArray[np.int64]


@lru_cache(maxsize=8)
def _plan(bits: tuple[int, ...], radius: int) -> _Plan:
    found = probes(bits, radius)
    every = [masks(probe.bits, probe.flips) for probe in found]
    word = np.array([probe.offset // 64 for probe in found], dtype=np.int64)
    next_word = np.minimum(word + 1, sum(bits) // 64 - 1)
    begin = np.array([probe.offset % 64 for probe in found], dtype=np.int64)
    rest = np.array([64 - probe.bits for probe in found], dtype=np.int64)
    firsts = [sum(1 << width for width in bits[: probe.number]) for probe in found]
    sizes = [len(some) for some in every]
    flips = [probe.flips for probe in found]
    return _Plan(
        word=word,
        next_word=next_word,
        begin=begin.astype(np.uint64),
        rest=rest.astype(np.uint64),
        probe=np.repeat(np.arange(len(found)), sizes),
        masks=np.concatenate(every),
        first=np.repeat(firsts, sizes),
        table=np.stack([word, next_word, begin, rest, firsts, np.cumsum(sizes), flips], axis=1).astype(np.int64),
    )


def chunk_bits(kind: str, chunks: int) -> tuple[int, ...]:
    """How many bits each chunk has: as equal as can be, the wider ones last."""
    whole, more = divmod(_FULL[kind], chunks)
    return (whole,) * (chunks - more) + (whole + 1,) * more


def chunks_for(kind: str, entries: int) -> int:
    """How many chunks a set of this size is given."""
    return next(chunks for most, chunks in _CHUNKS[kind] if entries <= most)


def probes(bits: Sequence[int], radius: int) -> list[Probe]:
    """What has to be looked up to miss nothing within ``radius``; the narrow chunks get the more flips."""
    flips, remainder = divmod(radius, len(bits))
    found, offset = [], 0
    for number, width in enumerate(bits):
        allowed = min(flips if number <= remainder else flips - 1, width)
        if allowed >= 0:
            found.append(Probe(number, offset, width, allowed))
        offset += width
    return found


def expected_work(bits: Sequence[int], radius: int, entries: int) -> tuple[float, float]:
    """Table slots looked up and hashes compared, for one query against hashes without pattern."""
    slots = candidates = 0.0
    for probe in probes(bits, radius):
        values = sum(comb(probe.bits, flips) for flips in range(probe.flips + 1))
        slots += values
        candidates += entries * values / (1 << probe.bits)
    return slots, candidates


@lru_cache(maxsize=64)
def masks(bits: int, flips: int) -> NDArray[np.int64]:
    """Every pattern of at most ``flips`` set bits among ``bits``."""
    found = [
        sum(1 << place for place in places) for count in range(flips + 1) for places in combinations(range(bits), count)
    ]
    # In ascending order: what is looked up one after another then lies near in memory.
    array = np.sort(np.array(found, dtype=np.int64))
    array.flags.writeable = False
    return array


def chunk_values(words: WordColumns, offset: int, bits: int) -> NDArray[np.int64]:
    """The ``bits`` bits after ``offset`` of each hash; a chunk may reach over two words."""
    word, begin = divmod(offset, 64)
    over = begin + bits - 64
    if over <= 0:
        value = words[word] >> np.uint64(-over)
    else:
        value = (words[word] << np.uint64(over)) | (words[word + 1] >> np.uint64(64 - over))
    return (value & np.uint64((1 << bits) - 1)).astype(np.int64)


def index_of(kind: str, words: WordColumns, chunks: int) -> MihIndex:
    """The index of hashes in memory."""
    bits = chunk_bits(kind, chunks)
    tables = list(index_tables(words, bits))
    ids = np.concatenate([members for _, members in tables])
    values = words[0].take(ids) if len(words) == 1 else None
    return MihIndex(bits, np.concatenate([begins for begins, _ in tables]), ids, values)


def index_tables(
    words: WordColumns, bits: Sequence[int]
) -> Iterator[tuple[NDArray[np.unsignedinteger[Any]], NDArray[np.uint32]]]:
    """(start, ids) of each chunk, to be put end to end; the ids of one value ascend. The last start has the end too."""
    entries, offset = len(words[0]), 0
    number: type[np.unsignedinteger[Any]] = np.uint32 if entries * len(bits) < 1 << 32 else np.uint64
    for chunk, width in enumerate(bits):
        keys = chunk_values(words, offset, width)
        ends = np.cumsum(np.bincount(keys, minlength=1 << width)) + chunk * entries
        begins = np.concatenate([[chunk * entries], ends if chunk == len(bits) - 1 else ends[:-1]])
        keys <<= 32
        keys |= np.arange(entries, dtype=np.int64)
        keys.sort()
        yield begins.astype(number), keys.astype(np.uint32)
        offset += width
