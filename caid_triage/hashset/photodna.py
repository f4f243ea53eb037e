"""Which PhotoDNA vectors lie within a squared distance of the queries: all of them, by blocks of matrix products.

|a - b|^2 = |a|^2 + |b|^2 - 2ab, and the product of two vectors of 144 bytes is below 2^24: a 32-bit float holds it
and every sum on the way exactly. So the product decides who is near; who is found is measured again in integers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from caid_triage.hashset.algorithms import PHOTODNA_BYTES, Bytes, Rows

_ENTRY_BLOCK = 8_192
_QUERY_BLOCK = 256
# Halving and the difference of two exact numbers below 2^24 are off by less than one: two is room enough.
_ROOM = 2.0
MOST = PHOTODNA_BYTES * 255 * 255

SquaredDistances = NDArray[np.uint32]


def squared_lengths(vectors: Bytes) -> NDArray[np.uint32]:
    """The squared length of each vector uint8[n, 144]."""
    return np.asarray(np.einsum("ij,ij->i", vectors, vectors, dtype=np.uint32, casting="unsafe"))


def near_vectors(
    vectors: Bytes, lengths: NDArray[np.uint32], queries: Bytes, threshold: int
) -> tuple[Rows, Rows, SquaredDistances]:
    """All (query row, vector row, squared distance) with distance <= threshold, sorted by query then row.

    ``vectors`` uint8[n, 144] and ``lengths`` uint32[n] may be memory-mapped, ``queries`` uint8[m, 144].
    """
    query_rows, rows = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    distances = [np.zeros(0, dtype=np.uint32)]
    for first_query in range(0, len(queries), _QUERY_BLOCK):
        some = queries[first_query : first_query + _QUERY_BLOCK]
        # ab >= (|a|^2 + |b|^2 - threshold) / 2 is what "within the threshold" says
        least = (squared_lengths(some).astype(np.float64) - threshold) / 2 - _ROOM
        bounds, floats = least.astype(np.float32), np.ascontiguousarray(some.astype(np.float32).T)
        for first in range(0, len(vectors), _ENTRY_BLOCK):
            block = np.asarray(vectors[first : first + _ENTRY_BLOCK])
            products = block.astype(np.float32) @ floats
            products -= lengths[first : first + _ENTRY_BLOCK, None] * np.float32(0.5)
            row, query = np.divmod(np.flatnonzero(products >= bounds), len(some))
            for begin in range(0, len(row), _ENTRY_BLOCK):
                r, q = row[begin : begin + _ENTRY_BLOCK], query[begin : begin + _ENTRY_BLOCK]
                difference = block[r].astype(np.int32) - some[q]
                distance = np.einsum("ij,ij->i", difference, difference)
                keep = distance <= threshold
                query_rows.append(q[keep] + first_query)
                rows.append(r[keep] + first)
                distances.append(distance[keep].astype(np.uint32))
    all_queries, all_rows = np.concatenate(query_rows), np.concatenate(rows)
    order = np.lexsort((all_rows, all_queries))
    return all_queries[order], all_rows[order], np.concatenate(distances)[order]
