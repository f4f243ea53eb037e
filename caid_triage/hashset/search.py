"""Which rows of a sorted table of digests equal the queries: every one of them, however many tie.

The table is bisected word by word. After the first word the rows of one query are a range in which
the second word is sorted, and so on: a set in which a million entries share their first 64 bits
(by accident, truncation or malice) costs the same few steps as any other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from caid_triage.hashset.algorithms import Rows, Words


def sorted_order(words: Words) -> Rows:
    """The order that sorts digests uint64[n, w]; equal digests keep the order they came in."""
    return np.lexsort(words.T[::-1]).astype(np.int64)


def exact_pairs(table: Words, records: NDArray[np.uint32], queries: Words) -> tuple[Rows, Rows]:
    """All (query row, record row) with equal digests, sorted by both.

    ``table`` uint64[n, w] sorted, ``records`` uint32[n] the record of each row (ascending among equal
    digests), ``queries`` uint64[m, w]. O(m * w * log n) whatever the data, plus the pairs themselves.
    """
    first, after = _ranges(table, queries)
    counts = after - first
    query_rows = np.repeat(np.arange(len(queries), dtype=np.int64), counts)
    starts = np.cumsum(counts) - counts
    within = np.arange(len(query_rows), dtype=np.int64) - np.repeat(starts, counts)
    return query_rows, records[np.repeat(first, counts) + within].astype(np.int64)


def _ranges(table: Words, queries: Words) -> tuple[Rows, Rows]:
    """For each query the half-open range of table rows that equal it (empty where none does)."""
    table = np.asarray(table)
    first = np.zeros(len(queries), dtype=np.int64)
    after = np.full(len(queries), len(table), dtype=np.int64)
    for word in range(table.shape[1]):
        alive = np.flatnonzero(first < after)
        if not alive.size:
            break
        column, wanted = table[:, word], queries[alive, word]
        low, high = first[alive], after[alive]
        first[alive] = _bisect(column, wanted, low, high, after_equal=False)
        after[alive] = _bisect(column, wanted, first[alive], high, after_equal=True)
    return first, after


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
