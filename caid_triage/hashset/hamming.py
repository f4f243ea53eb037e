"""Which perceptual hashes lie within a number of bits of the queries: all of them, by blocked brute force.

Two of PDQ's four words decide nearly every pair (of random pairs one in 5e8 has 31 bits or fewer in
128), so the other two are only looked at for the few that pass. One word would let 45% through.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from caid_triage.hashset.algorithms import Rows, Words

_QUERY_BLOCK = 8
_ENTRY_BLOCK = 16_384  # 8 x 16384 words are 1 MiB: stays in the cache of one core

Distances = NDArray[np.uint16]


def near_entries(words: Words, queries: Words, radius: int) -> tuple[Rows, Rows, Distances]:
    """All (query row, entry row, distance in bits) with distance <= radius, sorted by query then entry.

    ``words`` uint64[w, n] (structure of arrays), ``queries`` uint64[m, w].
    """
    parts: list[tuple[Rows, Rows, Distances]] = []
    words = np.asarray(words)
    for query in range(0, len(queries), _QUERY_BLOCK):
        block = [
            _near_block(words[:, entry : entry + _ENTRY_BLOCK], queries[query : query + _QUERY_BLOCK], radius, entry)
            for entry in range(0, words.shape[1], _ENTRY_BLOCK)
        ]
        q = np.concatenate([np.zeros(0, dtype=np.int64), *(part[0] for part in block)])
        e = np.concatenate([np.zeros(0, dtype=np.int64), *(part[1] for part in block)])
        d = np.concatenate([np.zeros(0, dtype=np.uint16), *(part[2] for part in block)])
        order = np.argsort(q, kind="stable")  # entries already ascend within a query
        parts.append((q[order] + query, e[order], d[order]))
    return (
        np.concatenate([np.zeros(0, dtype=np.int64), *(part[0] for part in parts)]),
        np.concatenate([np.zeros(0, dtype=np.int64), *(part[1] for part in parts)]),
        np.concatenate([np.zeros(0, dtype=np.uint16), *(part[2] for part in parts)]),
    )


def _near_block(words: Words, queries: Words, radius: int, offset: int) -> tuple[Rows, Rows, Distances]:
    """The pairs of one block of queries with one block of entries; ``offset`` is the first entry's row."""
    width, count = words.shape
    head = np.bitwise_count(queries[:, 0, None] ^ words[0][None, :])
    if width > 1:
        head += np.bitwise_count(queries[:, 1, None] ^ words[1][None, :])  # at most 128: fits uint8
    hits = np.flatnonzero(head <= min(radius, 255))
    q, e = np.divmod(hits, count)
    # uint16 from here on: four uint8 counts of 64 add up to 0, and a complementary hash would be "equal"
    distance = head.ravel()[hits].astype(np.uint16)
    for word in range(2, width):
        distance += np.bitwise_count(queries[q, word] ^ words[word][e])
    keep = distance <= radius
    return q[keep], e[keep] + offset, distance[keep]


def nearest_per_record(
    queries: Rows, records: Rows, distances: Distances
) -> tuple[Rows, Rows, Distances, NDArray[np.int64]]:
    """Pairs sorted by (query, record), each pair once with its smallest distance.

    A record can carry several hashes of the same kind. The fourth array says which input row was kept.
    """
    order = np.lexsort((distances, records, queries))
    q, r = queries[order], records[order]
    first = np.ones(len(order), dtype=bool)
    first[1:] = (q[1:] != q[:-1]) | (r[1:] != r[:-1])
    kept = order[first].astype(np.int64)
    return queries[kept], records[kept], distances[kept], kept
