"""Put a part of a block together of which some sectors are a disk's own and the others its parent's."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

ReadAt = Callable[[int, int], bytes]


def read_mixed(own: NDArray[np.bool_], sector: int, start: int, length: int, ours: ReadAt, parents: ReadAt) -> bytes:
    """``length`` bytes from ``start`` of a block, run by run.

    ``own`` says of each sector that the part touches, from the one that holds ``start`` on, whether it is the
    disk's own; ``ours`` and ``parents`` read (offset in the block, length).
    """
    first = start // sector
    edges = [0, *(int(at) + 1 for at in np.flatnonzero(own[1:] != own[:-1])), len(own)]
    pieces = []
    for left, right in pairwise(edges):
        begin, end = max(start, (first + left) * sector), min(start + length, (first + right) * sector)
        pieces.append((ours if own[left] else parents)(begin, end - begin))
    return b"".join(pieces)
