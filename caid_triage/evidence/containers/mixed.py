"""Disks that build on another: what the parent has, and blocks of which some sectors are the parent's."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from caid_triage.evidence.containers.reader import DiskReader

ReadAt = Callable[[int, int], bytes]


def behind(parent: DiskReader | None, offset: int, length: int) -> bytes:
    """What the parent has at ``offset``; zeros without one, and behind its end. OSError where it gives less."""
    if parent is None:
        return bytes(length)
    has = max(0, min(length, parent.size - offset))
    data = parent.read(offset, has) if has else b""
    if len(data) < has:
        raise OSError("the disk it was made from ends early")
    return data + bytes(length - has)


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
