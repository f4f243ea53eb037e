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


def have_compiled() -> bool:
    """Whether the extra ``fast`` is installed."""
    return find_spec("numba") is not None


@cache
def compiled() -> dict[int, Kernel] | None:
    """The kernels by words a hash (4: PDQ, 1: pHash), compiled on first use; None without numba."""
    if not have_compiled():
        return None
    numba, extending, types = (import_module(name) for name in ("numba", "numba.extending", "numba.core.types"))

    @extending.intrinsic  # type: ignore[untyped-decorator]
    def bit_count(_: Any, value: Any) -> Any:
        def generate(__: Any, builder: Any, ___: Any, arguments: Any) -> Any:
            return builder.ctpop(arguments[0])

        return types.uint64(types.uint64), generate

    compile_now = numba.njit(nogil=True)

    # A kernel counts on where the results are full: the caller makes room and calls again. Arrays that grow
    # inside would make it fifteen times slower.
    @compile_now  # type: ignore[untyped-decorator]
    def four_words(
        keys: Any, owners: Any, start: Any, ids: Any, columns: Any, queries: Any, radius: Any, q: Any, e: Any, d: Any
    ) -> Any:
        w0, w1, w2, w3 = columns
        found, limit = 0, np.uint64(radius)
        for probe in range(len(keys)):
            key, owner = keys[probe], owners[probe]
            a, b, x, y = queries[owner, 0], queries[owner, 1], queries[owner, 2], queries[owner, 3]
            if start[key + 1] > len(ids):
                return -1
            for at in range(start[key], start[key + 1]):
                entry = ids[at]
                if entry >= len(w0):
                    return -1
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
            if start[key + 1] > min(len(values), len(ids)):
                return -1
            for at in range(start[key], start[key + 1]):
                distance = bit_count(values[at] ^ value)
                if distance <= limit:
                    if found < len(q):
                        q[found], e[found], d[found] = owner, ids[at], distance
                    found += 1
        return found

    return {4: four_words, 1: one_word}
