"""Which rows of a sorted table of digests equal the queries: every one of them, however many tie.

Most queries are answered by the presence bits, the others by the prefix table and the fingerprints (see
prefix.py): thousands at a time, those that are decided leave the batch. Where many entries begin alike (by
accident, truncation or malice) the rows are bisected word by word instead, which costs the same few steps
whatever the data.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from caid_triage.hashset.algorithms import Rows, Words
from caid_triage.hashset.prefix import (
    Fingerprints,
    PrefixTable,
    Presence,
    PresenceBits,
    fingerprints,
    may_be_present,
    perhaps_present,
)

# The working arrays of so many queries stay in the cache of one core.
_CHUNK = 8_192
# With about one entry a slot, more than this many begin alike in crafted or truncated sets only.
_SCAN = 16


class DigestIndex(NamedTuple):
    """Digests of one kind, sorted: ``rows`` uint64[n, w], ``records`` uint32[n] (ascending among equal digests).

    ``table`` uint32[2**bits + 1], ``fp32`` uint32[n] and ``present`` uint8[2**bits] are prefix.py's.
    """

    rows: Words
    records: NDArray[np.uint32]
    table: NDArray[np.uint32]
    fp32: Fingerprints
    present: Presence


def sorted_order(words: Words) -> Rows:
    """The order that sorts digests uint64[n, w]; equal digests keep the order they came in."""
    return np.lexsort(words.T[::-1]).astype(np.int64)


def digest_index(words: Words) -> DigestIndex:
    """The index of digests uint64[n, w] in memory; digest i is of record i."""
    order = sorted_order(words)
    rows, table, presence = words[order], PrefixTable(len(words)), PresenceBits(len(words))
    slots = np.concatenate([*table.add(rows), *table.finish()])
    present = np.concatenate([*presence.add(rows), *presence.finish()])
    return DigestIndex(rows, order.astype(np.uint32), slots, fingerprints(rows[:, 0]), present)


def exact_pairs(index: DigestIndex, queries: Words) -> tuple[Rows, Rows]:
    """All (query row, record row) with equal digests, sorted by both. ``queries`` uint64[m, w]."""
    starts = range(0, len(queries), _CHUNK)
    empty = np.zeros(0, dtype=np.int64)
    perhaps = [perhaps_present(index.present, queries[start : start + _CHUNK, 0]) + start for start in starts]
    alive = np.concatenate([empty, *perhaps])
    found = [_exact_chunk(index, queries, alive[start : start + _CHUNK]) for start in range(0, len(alive), _CHUNK)]
    return np.concatenate([empty, *(query for query, _ in found)]), np.concatenate([empty, *(row for _, row in found)])


def may_be_in(index: DigestIndex, first_word: int) -> bool:
    """Whether a digest with this first word may be in the table; False is certain. In plain numbers, as one array costs

    more than the answer: presence bits, prefix table and fingerprints, a microsecond for most strangers.
    """
    if not may_be_present(index.present, first_word):
        return False
    slot = first_word >> 65 - (len(index.table) - 1).bit_length()
    low, after = int(index.table[slot]), int(index.table[slot + 1])
    if not 0 <= after - low <= _SCAN:
        return True
    wanted = first_word & 0xFFFFFFFF
    return any(int(index.fp32[row]) == wanted for row in range(low, min(after, len(index.fp32))))


def _exact_chunk(index: DigestIndex, every: Words, numbers: Rows) -> tuple[Rows, Rows]:
    """The pairs of these queries out of ``every``, ``numbers`` ascending."""
    queries = every[numbers]
    first_words = np.ascontiguousarray(queries[:, 0])
    slots = len(index.table) - 1
    slot = (first_words >> np.uint64(65 - slots.bit_length())).view(np.int64)
    # Clipped, so that a damaged table can only miss: what a set holds is verify's to say.
    low = index.table.take(slot, mode="clip")
    slot += 1
    after = np.minimum(index.table.take(slot, mode="clip"), np.uint32(len(index.rows)))
    at, crowded = _candidates(index, first_words, low, after)
    query, row = at
    wanted = queries[query]
    equal = (index.rows[row] == wanted).all(axis=1)
    query, row = query[equal], row[equal]
    if crowded.size:
        more_query, more_row = _crowded(index.rows, queries[crowded], low[crowded], after[crowded])
        query, row = np.concatenate([query, crowded[more_query]]), np.concatenate([row, more_row])
    order = np.lexsort((row, query))
    return numbers[query[order]], index.records[row[order]].astype(np.int64)


def _candidates(
    index: DigestIndex, first_words: NDArray[np.uint64], low: NDArray[np.uint32], after: NDArray[np.uint32]
) -> tuple[tuple[Rows, Rows], Rows]:
    """(query, row) pairs whose fingerprints agree, and the queries whose slot is too crowded to be scanned."""
    # A slot of a damaged table may end before it begins: then after - low wraps round and is "crowded".
    crowded = np.flatnonzero(after - low > _SCAN)
    alive = np.flatnonzero(after > low)
    if crowded.size:
        alive = alive[~np.isin(alive, crowded, assume_unique=True)]
    row, last = low[alive].astype(np.int64), after[alive].astype(np.int64)
    wanted = fingerprints(first_words[alive])
    queries, rows = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    while alive.size:
        hit = np.flatnonzero(index.fp32.take(row, mode="clip") == wanted)
        if hit.size:
            queries.append(alive[hit])
            rows.append(row[hit])
        row += 1
        left = np.flatnonzero(row < last)
        alive, row, last, wanted = alive[left], row[left], last[left], wanted[left]
    return (np.concatenate(queries), np.concatenate(rows)), crowded


def _crowded(table: Words, queries: Words, low: NDArray[np.uint32], after: NDArray[np.uint32]) -> tuple[Rows, Rows]:
    """(query, row) of all equal digests inside each query's own range of rows."""
    first, last = row_ranges(table, queries, low.astype(np.int64), after.astype(np.int64))
    counts = last - first
    query = np.repeat(np.arange(len(queries), dtype=np.int64), counts)
    within = np.arange(len(query), dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)
    return query, np.repeat(first, counts) + within


def row_ranges(table: Words, queries: Words, low: Rows, after: Rows) -> tuple[Rows, Rows]:
    """For each query the half-open range of rows between ``low`` and ``after`` that equal it.

    Where none does the range is empty and stands where the query would. After the first word the rows
    of one query are a range in which the second word is sorted, and so on.
    """
    first, last = low.copy(), np.maximum(after, low)
    for word in range(table.shape[1]):
        alive = np.flatnonzero(first < last)
        if not alive.size:
            break
        column, wanted = table[:, word], queries[alive, word]
        start, stop = first[alive], last[alive]
        first[alive] = _bisect(column, wanted, start, stop, after_equal=False)
        last[alive] = _bisect(column, wanted, first[alive], stop, after_equal=True)
    return first, last


def _bisect(column: NDArray[Any], wanted: Words, low: Rows, high: Rows, *, after_equal: bool) -> Rows:
    """Bisect each query inside its own range: where its word starts, or where it ends.

    ``column`` may be a strided view of a memory-mapped table: np.searchsorted would copy it whole.
    """
    low, high = low.copy(), high.copy()
    while True:
        searching = low < high
        if not searching.any():
            return low
        middle = np.minimum((low + high) >> 1, len(column) - 1)
        here = column[middle]
        right = (here <= wanted) if after_equal else (here < wanted)
        low = np.where(searching & right, middle + 1, low)
        high = np.where(searching & ~right, middle, high)
