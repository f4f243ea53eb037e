"""The compiled path of the near search (numba, extra ``fast``): the same pairs as numpy's, several times faster.

Nothing here is needed: without numba the search runs in numpy. All kernels run on the calling thread alone, so that
several processes, one a core, do not get into each other's way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

_CANDIDATES = 2_048  # compared at once; what memory has to bring for them stays in the cache
_ENTRIES = 2_048  # the same of brute force
_RUN = 128  # entries whose nearness is counted before any is looked at by itself
# Up to so many bits two of PDQ's four words leave next to no pair of a run over; beyond, looking at them first is work
# done twice (at 75 bits 97 of 100 random pairs pass). hamming.py has the same limit for three words in numpy.
HALF_DECIDES = 45
DAMAGED = -1


@dataclass(frozen=True, slots=True)
class Kernels:
    """The compiled searches for hashes of one number of words (4: PDQ, 1: pHash).

    ``indexed(probes, masks, start, ids, hashes, queries, radius, most, begin, q, e, d, heavy)`` looks up the queries
    from ``begin`` on, and writes the pairs of each (in no order, none twice) into q, e, d; ``hashes`` are the words'
    columns, or of one word the values in the order of ``ids``. A query with more than ``most`` candidates is left out
    and marked in ``heavy``. It returns the first query for which there was no room (all of them: the number of
    queries; DAMAGED where the tables are) and how many pairs it wrote.

    ``brute(columns, queries, radius, begin, q, e, d)`` compares all entries from ``begin`` on with every query; the
    pairs of one query ascend. It returns the first entry for which there was no room, and the number of pairs.
    """

    indexed: Callable[..., Any]
    brute: Callable[..., Any]


def have_compiled() -> bool:
    """Whether the extra ``fast`` is installed."""
    return find_spec("numba") is not None


def are_compiled() -> bool:
    """Whether this process has already spent the time to compile."""
    return compiled.cache_info().currsize > 0


@cache
def compiled() -> dict[int, Kernels] | None:
    """The kernels by words a hash (4: PDQ, 1: pHash), compiled on first use; None without numba."""
    if not have_compiled():
        return None
    names = ("numba", "numba.extending", "numba.core.types", "numba.core.cgutils", "llvmlite.ir")
    numba, extending, types, cgutils, ir = (import_module(name) for name in names)

    @extending.intrinsic  # type: ignore[untyped-decorator]
    def bit_count(_: Any, value: Any) -> Any:
        def generate(__: Any, builder: Any, ___: Any, arguments: Any) -> Any:
            return builder.ctpop(arguments[0])

        return types.uint64(types.uint64), generate

    @extending.intrinsic  # type: ignore[untyped-decorator]
    def prefetch(_: Any, table: Any, place: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            kind, number = signature.args[0], ir.IntType(32)
            array = context.make_array(kind)(context, builder, arguments[0])
            address = cgutils.get_item_pointer(context, builder, kind, array, [arguments[1]], wraparound=False)
            address = builder.bitcast(address, ir.IntType(8).as_pointer())
            returns = ir.FunctionType(ir.VoidType(), [address.type, number, number, number])
            function = cgutils.get_or_insert_function(builder.module, returns, "llvm.prefetch.p0")
            builder.call(function, [address, number(0), number(3), number(1)])
            return context.get_dummy_value()

        return types.void(table, place), generate

    compile_now = numba.njit(nogil=True)

    # Each query in steps, each of which asks memory for what the next one needs: slots, where they point, hashes.
    # Memory answers many such requests at once; a search that waits for each in turn is several times slower.
    @compile_now  # type: ignore[untyped-decorator]
    def ask_slots(probes: Any, masks: Any, start: Any, query: Any, keys: Any) -> Any:
        at = 0
        for probe in range(len(probes)):
            word, after, first = probes[probe, 0], probes[probe, 1], probes[probe, 4]
            begin, rest = np.uint64(probes[probe, 2]), np.uint64(probes[probe, 3])
            over = (query[after] >> np.uint64(1)) >> (np.uint64(63) - begin)
            value = np.int64(((query[word] << begin) | over) >> rest)
            for slot in range(at, probes[probe, 5]):
                key = first + (value ^ masks[slot])
                keys[slot] = key
                prefetch(start, key)
            at = probes[probe, 5]

    # Where the used slots point: (how many slots, candidates); candidates DAMAGED where a slot points outside.
    @compile_now  # type: ignore[untyped-decorator]
    def ask_members(probes: Any, start: Any, members: Any, most: Any, keys: Any, lows: Any, stops: Any, by: Any) -> Any:
        used, at, size = 0, 0, len(members)
        total = np.int64(0)
        for probe in range(len(probes)):
            for slot in range(at, probes[probe, 5]):
                low, stop = np.int64(start[keys[slot]]), np.int64(start[keys[slot] + 1])
                if low > stop or stop > size or low < 0:
                    return used, DAMAGED
                prefetch(members, low)
                lows[used], stops[used], by[used] = low, stop, probe
                used += int(stop > low)
                total += stop - low
            at = probes[probe, 5]
            if total > most:
                break
        return used, total

    # Whether an earlier probe has found this pair as well: then it has been written down already.
    @compile_now  # type: ignore[untyped-decorator]
    def found_before(probes: Any, difference: Any, probe: Any) -> Any:
        for earlier in range(probe):
            word, after = probes[earlier, 0], probes[earlier, 1]
            begin, rest = np.uint64(probes[earlier, 2]), np.uint64(probes[earlier, 3])
            over = (difference[after] >> np.uint64(1)) >> (np.uint64(63) - begin)
            if bit_count(((difference[word] << begin) | over) >> rest) <= np.uint64(probes[earlier, 6]):
                return True
        return False

    @compile_now  # type: ignore[untyped-decorator]
    def compare_four(
        probes: Any, columns: Any, query: Any, limit: Any, block: Any, by: Any, head: Any, filled: Any,
        owner: Any, found: Any, q: Any, e: Any, d: Any, difference: Any,
    ) -> Any:  # fmt: skip
        w0, w1, w2, w3 = columns
        a, b, x, y = query[0], query[1], query[2], query[3]
        kept = 0
        for at in range(filled):
            entry, probe = block[at], by[at]
            distance = bit_count(w0[entry] ^ a)
            block[kept], by[kept], head[kept] = entry, probe, distance
            kept += distance <= limit
        for at in range(kept):
            prefetch(w1, block[at])
        for at in range(kept):
            entry = block[at]
            distance = head[at] + bit_count(w1[entry] ^ b)
            if distance <= limit:
                distance += bit_count(w2[entry] ^ x) + bit_count(w3[entry] ^ y)
                if distance <= limit:
                    difference[0], difference[1] = w0[entry] ^ a, w1[entry] ^ b
                    difference[2], difference[3] = w2[entry] ^ x, w3[entry] ^ y
                    if not found_before(probes, difference, by[at]):
                        q[found], e[found], d[found] = owner, entry, distance
                        found += 1
        return found

    @compile_now  # type: ignore[untyped-decorator]
    def four_words(
        probes: Any, masks: Any, start: Any, ids: Any, columns: Any, queries: Any, radius: Any, most: Any,
        begin: Any, q: Any, e: Any, d: Any, heavy: Any,
    ) -> Any:  # fmt: skip
        slots, entries, limit, written = len(masks), len(columns[0]), np.uint64(radius), 0
        keys, lows = np.empty(slots, np.int64), np.empty(slots + 1, np.int64)
        stops, by = np.empty(slots + 1, np.int64), np.empty(slots + 1, np.int64)
        block, by_block = np.empty(_CANDIDATES, np.int64), np.empty(_CANDIDATES, np.int64)
        head, difference = np.empty(_CANDIDATES, np.uint64), np.empty(4, np.uint64)
        for owner in range(begin, len(queries)):
            query = queries[owner]
            ask_slots(probes, masks, start, query, keys)
            used, total = ask_members(probes, start, ids, most, keys, lows, stops, by)
            if total < 0:
                return DAMAGED, written
            if total > most:
                heavy[owner] = True
                continue
            found, filled = written, 0
            for slot in range(used):
                for at in range(lows[slot], stops[slot]):
                    entry = np.int64(ids[at])
                    if entry >= entries:
                        return DAMAGED, written
                    prefetch(columns[0], entry)
                    block[filled], by_block[filled] = entry, by[slot]
                    filled += 1
                    if filled == _CANDIDATES:
                        if found + filled > len(q):
                            return owner, written
                        found = compare_four(
                            probes, columns, query, limit, block, by_block, head, filled, owner, found, q, e, d,
                            difference,
                        )  # fmt: skip
                        filled = 0
            if found + filled > len(q):
                return owner, written
            written = compare_four(
                probes, columns, query, limit, block, by_block, head, filled, owner, found, q, e, d, difference
            )
        return len(queries), written

    @compile_now  # type: ignore[untyped-decorator]
    def one_word(
        probes: Any, masks: Any, start: Any, ids: Any, values: Any, queries: Any, radius: Any, most: Any,
        begin: Any, q: Any, e: Any, d: Any, heavy: Any,
    ) -> Any:  # fmt: skip
        slots, limit, written = len(masks), np.uint64(radius), 0
        keys, lows = np.empty(slots, np.int64), np.empty(slots + 1, np.int64)
        stops, by = np.empty(slots + 1, np.int64), np.empty(slots + 1, np.int64)
        difference = np.empty(1, np.uint64)
        if len(values) != len(ids):
            return DAMAGED, written
        for owner in range(begin, len(queries)):
            query = queries[owner]
            ask_slots(probes, masks, start, query, keys)
            used, total = ask_members(probes, start, values, most, keys, lows, stops, by)
            if total < 0:
                return DAMAGED, written
            if total > most:
                heavy[owner] = True
                continue
            found = written
            for slot in range(used):
                low, stop, probe = lows[slot], stops[slot], by[slot]
                if found + stop - low > len(q):
                    return owner, written
                for at in range(low, stop):
                    difference[0] = values[at] ^ query[0]
                    distance = bit_count(difference[0])
                    if distance <= limit and not found_before(probes, difference, probe):
                        q[found], e[found], d[found] = owner, ids[at], distance
                        found += 1
            written = found
        return len(queries), written

    # How many of a run are near is counted without a branch, many entries an instruction; only a run that has some
    # is gone through one by one.
    @compile_now  # type: ignore[untyped-decorator]
    def brute_four(columns: Any, queries: Any, radius: Any, begin: Any, q: Any, e: Any, d: Any) -> Any:
        limit, found, entries, row = np.uint64(radius), 0, len(columns[0]), begin
        half_decides = radius <= HALF_DECIDES
        while row < entries:
            after = min(row + _ENTRIES, entries)
            if found + len(queries) * (after - row) > len(q):
                return row, found
            for owner in range(len(queries)):
                a, b, x, y = queries[owner, 0], queries[owner, 1], queries[owner, 2], queries[owner, 3]
                for first in range(row, after, _RUN):
                    last = min(first + _RUN, after)
                    w0, w1 = columns[0][first:last], columns[1][first:last]
                    near = 0
                    if half_decides:
                        for at in range(len(w0)):
                            near += bit_count(w0[at] ^ a) + bit_count(w1[at] ^ b) <= limit
                        if near == 0:
                            continue
                    w2, w3, near = columns[2][first:last], columns[3][first:last], 0
                    for at in range(len(w0)):
                        distance = bit_count(w0[at] ^ a) + bit_count(w1[at] ^ b)
                        near += distance + bit_count(w2[at] ^ x) + bit_count(w3[at] ^ y) <= limit
                    if near == 0:
                        continue
                    for at in range(len(w0)):
                        distance = bit_count(w0[at] ^ a) + bit_count(w1[at] ^ b)
                        distance += bit_count(w2[at] ^ x) + bit_count(w3[at] ^ y)
                        if distance <= limit:
                            q[found], e[found], d[found] = owner, first + at, distance
                            found += 1
            row = after
        return entries, found

    @compile_now  # type: ignore[untyped-decorator]
    def brute_one(columns: Any, queries: Any, radius: Any, begin: Any, q: Any, e: Any, d: Any) -> Any:
        limit, found, entries, row = np.uint64(radius), 0, len(columns[0]), begin
        while row < entries:
            after = min(row + _ENTRIES, entries)
            if found + len(queries) * (after - row) > len(q):
                return row, found
            for owner in range(len(queries)):
                value = queries[owner, 0]
                for first in range(row, after, _RUN):
                    word, near = columns[0][first : min(first + _RUN, after)], 0
                    for at in range(len(word)):
                        near += bit_count(word[at] ^ value) <= limit
                    if near == 0:
                        continue
                    for at in range(len(word)):
                        distance = bit_count(word[at] ^ value)
                        if distance <= limit:
                            q[found], e[found], d[found] = owner, first + at, distance
                            found += 1
            row = after
        return entries, found

    return {4: Kernels(four_words, brute_four), 1: Kernels(one_word, brute_one)}
