"""Which perceptual hashes lie within a number of bits of the queries: all of them.

Small sets by blocked brute force: two of PDQ's four words decide nearly every pair (of random pairs one in
5e8 has 31 bits or fewer in 128), so the other two are only looked at for the few that pass. One word would
let 45% through. Beyond 45 bits three words are looked at first: at 75 bits two would let 97% through, three 0.2%.
Large sets by multi-index hashing (mih.py), which finds the same pairs, as long as the distance is short enough for
that; at the distances of leads (60 to 85 bits) every entry is compared, compiled where numba is installed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caid_triage.errors import HashSetError
from caid_triage.hashset.algorithms import Rows, Words, first_of_runs
from caid_triage.hashset.kernels import DAMAGED, HALF_DECIDES, Kernels, are_compiled, compiled, have_compiled
from caid_triage.hashset.mih import MihIndex, WordColumns, expected_work

_QUERY_BLOCK = 8
_ENTRY_BLOCK = 16_384  # 8 x 16384 words are 1 MiB: stays in the cache of one core
_PROBES = 1 << 17  # looked up at once: stays in the cache
_CANDIDATES = 1 << 18  # compared at once
# Rough nanoseconds on one core, to choose between ways that find the same: a compared pair of brute force, a
# table slot and a compared candidate of multi-index hashing.
_PAIR_NS, _SLOT_NS, _CANDIDATE_NS = 3.0, 25.0, 60.0
# A query that many entries share a chunk with (flat ones do) is compared with all entries: so many candidates cost as
# much as one comparison with each entry, in numpy and compiled.
_HEAVY = _HEAVY_COMPILED = 1 / 20
_COMPILE_NS = 2e9  # what loading the compiled path costs once in a process
_BRUTE_QUERIES = 32
_ROOM = 1 << 13  # pairs that there is room for at first

Distances = NDArray[np.uint16]
Pairs = tuple[Rows, Rows, Distances]


def near_hashes(words: WordColumns, index: MihIndex | None, queries: Words, radius: int) -> Pairs:
    """As :func:`near_entries`, by whatever way is fastest. ``index`` is of the same ``words``, or None."""
    entries, slots, candidates = len(words[0]), 0.0, 0.0
    brute = entries * _PAIR_NS
    if index is not None:
        slots, candidates = expected_work(index.bits, radius, index.entries)
    indexed = slots * _SLOT_NS + candidates * _CANDIDATE_NS
    by_all = index is None or indexed >= brute
    kernels = _kernels((brute if by_all else indexed) * len(queries))
    kernel = kernels[len(words)] if kernels else None
    if index is not None and not by_all:
        return near_indexed(words, index, queries, radius, kernel)
    # Few pairs: what a call of the kernel makes room for would take longer.
    if kernel is None or entries * len(queries) < _ROOM:
        return near_entries(words, queries, radius)
    return near_entries_compiled(kernel, words, np.ascontiguousarray(queries), radius)


_spent_ns = 0.0


_INDEX_DAMAGED = "an index of the hash set is damaged. Run hashset verify; build the set again."


def _kernels(work_ns: float) -> dict[int, Kernels] | None:
    """The compiled path, once this process has had as much work for it as loading it costs; None before, and without.

    Either way finds the same pairs.
    """
    global _spent_ns  # noqa: PLW0603 - how much this process has searched so far
    _spent_ns += work_ns
    return compiled() if are_compiled() or (have_compiled() and _spent_ns > _COMPILE_NS) else None


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


def near_indexed(words: WordColumns, index: MihIndex, queries: Words, radius: int, kernels: Kernels | None) -> Pairs:
    """The pairs of :func:`near_entries` by multi-index hashing, compiled if kernels are given."""
    queries = np.ascontiguousarray(queries)
    heavy = np.zeros(len(queries), dtype=np.bool_)
    if kernels is None:
        q, e, d = _joined(list(_by_numpy(words, index, queries, radius, heavy)))
        # A pair that is near in several chunks was found several times.
        _, first = np.unique(q * index.entries + e, return_index=True)
        q, e, d = q[first], e[first], d[first]
    else:
        q, e, d = _by_kernel(kernels, words, index, queries, radius, heavy)
        if len(q) > 1:
            order = np.argsort(q * index.entries + e)
            q, e, d = q[order], e[order], d[order]
    if not heavy.any():
        return q, e, d
    rows = np.flatnonzero(heavy)
    if kernels is None:
        by_all = near_entries(words, queries[rows], radius)
    else:
        by_all = near_entries_compiled(kernels, words, queries[rows], radius)
    q, e, d = _joined([(q, e, d), (rows[by_all[0]], by_all[1], by_all[2])])
    order = np.argsort(q, kind="stable")
    return q[order], e[order], d[order]


def _by_kernel(
    kernels: Kernels, words: WordColumns, index: MihIndex, queries: Words, radius: int, heavy: NDArray[np.bool_]
) -> Pairs:
    """What a kernel finds by the index, query after query; called again where the room for pairs was full."""
    probes, masks = index.plan(radius)
    hashes = tuple(words) if index.values is None else index.values
    parts: list[Pairs] = []
    most, room, begin = int(index.entries * _HEAVY_COMPILED), _ROOM, 0
    while begin < len(queries):
        q, e, d = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.uint16)
        after, found = kernels.indexed(
            probes, masks, index.start, index.ids, hashes, queries, radius, most, begin, q, e, d, heavy
        )
        if after == DAMAGED:
            raise HashSetError(_INDEX_DAMAGED)
        if after == len(queries) and not parts:
            return q[:found], e[:found], d[:found]
        if after == begin or found > room // 2:
            room *= 4
        parts.append((q[:found], e[:found], d[:found]))
        begin = after
    return _joined(parts)


def near_entries_compiled(kernels: Kernels, words: WordColumns, queries: Words, radius: int) -> Pairs:
    """The pairs of :func:`near_entries`, compiled."""
    parts: list[Pairs] = []
    columns = tuple(words)
    room = 1 << 18
    for first in range(0, len(queries), _BRUTE_QUERIES):
        block, begin, some = queries[first : first + _BRUTE_QUERIES], 0, []
        while begin < len(columns[0]):
            q, e, d = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.uint16)
            begin, found = kernels.brute(columns, block, radius, begin, q, e, d)
            some.append((q[:found].copy(), e[:found].copy(), d[:found].copy()))
        q, e, d = _joined(some)
        order = np.argsort(q.astype(np.uint8), kind="stable")  # entries already ascend within a query
        parts.append((q[order] + first, e[order], d[order]))
    return _joined(parts)


def _by_numpy(
    words: WordColumns, index: MihIndex, queries: Words, radius: int, heavy: NDArray[np.bool_]
) -> Iterator[Pairs]:
    """The pairs behind the slots of some queries at a time; those with too many candidates are marked ``heavy``."""
    columns = [np.ascontiguousarray(queries[:, word]) for word in range(queries.shape[1])]
    look_ups, _ = expected_work(index.bits, radius, index.entries)
    step = max(int(_PROBES // look_ups), 1)
    for begin in range(0, len(queries), step):
        slots = index.slots(queries[begin : begin + step], radius)
        low = index.start.take(slots).astype(np.int64)
        counts = index.start.take(slots + 1).astype(np.int64) - low
        many = counts.sum(axis=1) > index.entries * _HEAVY
        heavy[begin : begin + step] = many
        counts[many] = 0
        owners = np.repeat(np.arange(begin, begin + len(slots), dtype=np.int64), slots.shape[1])
        used = np.flatnonzero(counts > 0)
        if used.size and int((low.ravel()[used] + counts.ravel()[used]).max()) > len(index.ids):
            raise HashSetError(_INDEX_DAMAGED)
        yield from _behind(words, index, low.ravel()[used], counts.ravel()[used], owners[used], columns, radius)


def _behind(
    words: WordColumns, index: MihIndex, low: Rows, counts: Rows, owners: Rows, queries: WordColumns, radius: int
) -> Iterator[Pairs]:
    """The pairs behind some used slots, a bounded number of candidates at a time."""
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
    if entry.size and int(entry.max()) >= len(words[0]):
        raise HashSetError(_INDEX_DAMAGED)
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
    count, first = len(words[0]), min(len(words), 2 if radius <= HALF_DECIDES else 3)
    head = np.bitwise_count(queries[:, 0, None] ^ words[0][None, :])
    for word in range(1, first):
        head += np.bitwise_count(queries[:, word, None] ^ words[word][None, :])  # at most 192: fits uint8
    hits = np.flatnonzero(head <= min(radius, 255))
    q, e = np.divmod(hits, count)
    # uint16 from here on: four uint8 counts of 64 add up to 0, and a complementary hash would be "equal"
    distance = head.ravel()[hits].astype(np.uint16)
    for word in range(first, len(words)):
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
    kept = order[first_of_runs(queries[order], records[order])].astype(np.int64)
    return queries[kept], records[kept], distances[kept], kept
