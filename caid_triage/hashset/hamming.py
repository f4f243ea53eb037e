"""Which perceptual hashes lie within a number of bits of the queries: all of them.

Small sets by blocked brute force: two of PDQ's four words decide nearly every pair (of random pairs one in
5e8 has 31 bits or fewer in 128), so the other two are only looked at for the few that pass. One word would
let 45% through. Large sets by multi-index hashing (mih.py), which finds the same pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caid_triage.errors import HashSetError
from caid_triage.hashset.algorithms import Rows, Words
from caid_triage.hashset.kernels import Kernel, compiled, have_compiled
from caid_triage.hashset.mih import MihIndex, WordColumns, expected_work

_QUERY_BLOCK = 8
_ENTRY_BLOCK = 16_384  # 8 x 16384 words are 1 MiB: stays in the cache of one core
_PROBES = 1 << 17  # looked up at once: stays in the cache
_CANDIDATES = 1 << 18  # compared at once
# Bucket join: so many look-ups are sorted, so that what several queries want is fetched once. It pays where there are
# many queries and many hashes behind each slot (measured: 1.3 to 1.7 times at 1 M hashes, a loss at 10 M).
_JOIN_PROBES, _JOIN_QUERIES, _JOIN_CANDIDATES = 1 << 22, 1_024, 8.0

# Rough nanoseconds on one core, to choose between ways that find the same: a compared pair of brute force, a
# table slot and a compared candidate of multi-index hashing.
_PAIR_NS, _SLOT_NS, _CANDIDATE_NS = 3.0, 25.0, 60.0
_COMPILE_NS = 2e9  # what loading the compiled path costs once in a process

Distances = NDArray[np.uint16]
Pairs = tuple[Rows, Rows, Distances]


def near_hashes(words: WordColumns, index: MihIndex | None, queries: Words, radius: int) -> Pairs:
    """As :func:`near_entries`, by whatever way is fastest. ``index`` is of the same ``words``, or None."""
    if index is None:
        return near_entries(words, queries, radius)
    slots, candidates = expected_work(index.bits, radius, index.entries)
    indexed = slots * _SLOT_NS + candidates * _CANDIDATE_NS
    if indexed >= index.entries * _PAIR_NS:
        return near_entries(words, queries, radius)
    worth_it = have_compiled() and indexed * len(queries) > _COMPILE_NS
    kernels = compiled() if worth_it else None
    return near_indexed(words, index, queries, radius, kernels[len(words)] if kernels else None)


def near_entries(words: WordColumns, queries: Words, radius: int) -> Pairs:
    """All (query row, entry row, distance in bits) with distance <= radius, sorted by query then entry.

    ``words`` w columns uint64[n] (structure of arrays), ``queries`` uint64[m, w].
    """
    parts: list[Pairs] = []
    columns = [np.asarray(word) for word in words]
    for query in range(0, len(queries), _QUERY_BLOCK):
        block = [
            _near_block([w[e : e + _ENTRY_BLOCK] for w in columns], queries[query : query + _QUERY_BLOCK], radius, e)
            for e in range(0, len(columns[0]), _ENTRY_BLOCK)
        ]
        q, e, d = _joined(block)
        order = np.argsort(q, kind="stable")  # entries already ascend within a query
        parts.append((q[order] + query, e[order], d[order]))
    return _joined(parts)


def near_indexed(words: WordColumns, index: MihIndex, queries: Words, radius: int, kernel: Kernel | None) -> Pairs:
    """The pairs of :func:`near_entries` by multi-index hashing, compiled if a kernel is given."""
    parts: list[Pairs] = []
    queries = np.ascontiguousarray(queries)
    columns = [np.ascontiguousarray(queries[:, word]) for word in range(queries.shape[1])]
    look_ups, candidates = expected_work(index.bits, radius, index.entries)
    join = kernel is not None and len(queries) >= _JOIN_QUERIES and candidates > _JOIN_CANDIDATES * look_ups
    step = max(int((_JOIN_PROBES if join else _PROBES) // look_ups), 1)
    for begin in range(0, len(queries), step):
        slots, owners = _looked_up(index.slots(queries[begin : begin + step], radius), begin, join)
        if kernel is not None:
            hashes = tuple(words) if index.values is None else index.values
            parts.append(_by_kernel(kernel, (slots, owners, index.start, index.ids, hashes, queries, radius)))
        else:
            parts += _by_numpy(words, index, slots, owners, columns, radius)
    q, e, d = _joined(parts)
    # A pair that is near in several chunks was found several times.
    _, first = np.unique(q * index.entries + e, return_index=True)
    return q[first], e[first], d[first]


def _by_kernel(kernel: Kernel, arguments: tuple[Any, ...]) -> Pairs:
    """What a kernel finds; called again with more room where it finds more than expected."""
    room = 4096
    while True:
        q, e, d = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.uint16)
        found = int(kernel(*arguments, q, e, d))
        if found < 0:
            raise HashSetError("an index of the hash set is damaged. Run hashset verify; build the set again.")
        if found <= room:
            return q[:found].copy(), e[:found].copy(), d[:found].copy()
        room = found


def _looked_up(slots: Rows, first: int, join: bool) -> tuple[Rows, Rows]:
    """(slot, query) of everything to look up; ``slots`` is [query, slot], the queries count from ``first``."""
    owners = np.arange(first, first + len(slots), dtype=np.int64)
    if not join:
        return slots.ravel(), np.repeat(owners, slots.shape[1])
    packed = ((slots << 32) | owners[:, None]).ravel()
    packed.sort()
    return packed >> 32, packed & 0xFFFF_FFFF


def _by_numpy(
    words: WordColumns, index: MihIndex, slots: Rows, owners: Rows, queries: WordColumns, radius: int
) -> Iterator[Pairs]:
    """The pairs behind some slots, a bounded number of candidates at a time."""
    low = index.start.take(slots).astype(np.int64)
    counts = index.start.take(slots + 1).astype(np.int64) - low
    used = np.flatnonzero(counts > 0)
    low, counts, owners = low[used], counts[used], owners[used]
    ends = np.cumsum(counts)
    base = low - (ends - counts)  # place in ids = base + number of the candidate
    total = int(ends[-1]) if len(ends) else 0
    for begin in range(0, total, _CANDIDATES):
        stop = min(begin + _CANDIDATES, total)
        first, last = np.searchsorted(ends, [begin, stop - 1], side="right").tolist()
        part = slice(first, last + 1)
        inside = np.minimum(ends[part], stop) - np.maximum(ends[part] - counts[part], begin)
        place = np.repeat(base[part], inside)
        place += np.arange(begin, stop, dtype=np.int64)
        yield _compared(words, index, place, np.repeat(owners[part], inside), queries, radius)


def _compared(
    words: WordColumns, index: MihIndex, place: Rows, query: Rows, queries: WordColumns, radius: int
) -> Pairs:
    """The candidates at these places of ``ids`` that are within the radius of these queries."""
    ids = index.ids
    if index.values is not None:
        bits = np.bitwise_count(index.values.take(place) ^ queries[0].take(query))
        near = np.flatnonzero(bits <= radius)
        return query[near], ids.take(place[near]).astype(np.int64), bits[near].astype(np.uint16)
    entry = ids.take(place)
    head = np.bitwise_count(words[0].take(entry) ^ queries[0].take(query))
    head += np.bitwise_count(words[1].take(entry) ^ queries[1].take(query))  # at most 128: fits uint8
    near = np.flatnonzero(head <= min(radius, 255))
    query, entry, distance = query[near], entry[near], head[near].astype(np.uint16)
    for word in range(2, len(words)):
        distance += np.bitwise_count(words[word].take(entry) ^ queries[word].take(query))
    keep = distance <= radius
    return query[keep], entry[keep].astype(np.int64), distance[keep]


def _near_block(words: WordColumns, queries: Words, radius: int, offset: int) -> Pairs:
    """The pairs of one block of queries with one block of entries; ``offset`` is the first entry's row."""
    width, count = len(words), len(words[0])
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


def _joined(parts: list[Any]) -> Pairs:
    return (
        np.concatenate([np.zeros(0, dtype=np.int64), *(part[0] for part in parts)]),
        np.concatenate([np.zeros(0, dtype=np.int64), *(part[1] for part in parts)]),
        np.concatenate([np.zeros(0, dtype=np.uint16), *(part[2] for part in parts)]),
    )


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
