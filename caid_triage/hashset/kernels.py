"""The compiled path of the near search (numba, extra ``fast``): the same pairs as numpy's, several times faster.

Nothing here is needed: without numba the search runs in numpy.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

# (keys, owners, start, ids, columns, queries, radius, and room for query, entry, distance) -> how many pairs there
# are, also those for which there was no room; -1 where the tables are damaged
Kernel = Callable[..., Any]
_AHEAD = 64


def have_compiled() -> bool:
    """Whether the extra ``fast`` is installed."""
    return find_spec("numba") is not None


@cache
def compiled() -> dict[int, Kernel] | None:
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

    # A kernel counts on where the results are full: the caller makes room and calls again. Arrays that grow
    # inside would make it fifteen times slower.
    @compile_now  # type: ignore[untyped-decorator]
    def four_words(
        keys: Any, owners: Any, start: Any, ids: Any, columns: Any, queries: Any, radius: Any, q: Any, e: Any, d: Any
    ) -> Any:
        w0, w1, w2, w3 = columns
        found, limit, count, size = 0, np.uint64(radius), len(keys), len(ids)
        # What a probe needs is asked for in three steps ahead of it (slot, ids, hashes): memory answers meanwhile.
        for ahead in range(count + 3 * _AHEAD):
            if ahead < count:
                prefetch(start, keys[ahead])
            if _AHEAD <= ahead < count + _AHEAD:
                first = np.int64(start[keys[ahead - _AHEAD]])
                if first < size:
                    prefetch(ids, first)
            if 2 * _AHEAD <= ahead < count + 2 * _AHEAD:
                key = keys[ahead - 2 * _AHEAD]
                first, stop = np.int64(start[key]), np.int64(start[key + 1])
                if stop > size:
                    return -1
                for at in range(first, stop):
                    entry = np.int64(ids[at])
                    if entry >= len(w0):
                        return -1
                    prefetch(w0, entry)
                    prefetch(w1, entry)
            if ahead < 3 * _AHEAD:
                continue
            key, owner = keys[ahead - 3 * _AHEAD], owners[ahead - 3 * _AHEAD]
            a, b, x, y = queries[owner, 0], queries[owner, 1], queries[owner, 2], queries[owner, 3]
            for at in range(np.int64(start[key]), np.int64(start[key + 1])):
                entry = ids[at]
                distance = bit_count(w0[entry] ^ a) + bit_count(w1[entry] ^ b)
                if distance <= limit:
                    distance += bit_count(w2[entry] ^ x) + bit_count(w3[entry] ^ y)
                    if distance <= limit:
                        if found < len(q):
                            q[found], e[found], d[found] = owner, entry, distance
                        found += 1
        return found

    @compile_now  # type: ignore[untyped-decorator]
    def one_word(
        keys: Any, owners: Any, start: Any, ids: Any, values: Any, queries: Any, radius: Any, q: Any, e: Any, d: Any
    ) -> Any:
        found, limit = 0, np.uint64(radius)
        for probe in range(len(keys)):
            key, owner = keys[probe], owners[probe]
            value = queries[owner, 0]
            first, stop = np.int64(start[key]), np.int64(start[key + 1])
            if stop > min(len(values), len(ids)):
                return -1
            for at in range(first, stop):
                distance = bit_count(values[at] ^ value)
                if distance <= limit:
                    if found < len(q):
                        q[found], e[found], d[found] = owner, ids[at], distance
                    found += 1
        return found

    return {4: four_words, 1: one_word}
