"""Which blocks of a disk its container keeps behind its own end: read from the block tables with numpy."""

from __future__ import annotations

from io import RawIOBase

import numpy as np
from numpy.typing import NDArray

from caid_triage.evidence.containers.reader import Range

_MOST_CUT = 64
_MOST_EDGES = 1 << 21


def table_at(file: RawIOBase, offset: int, count: int, dtype: str) -> NDArray[np.uint64]:
    """``count`` numbers at a place of a file as uint64; fewer where the file ends early (never more than it has)."""
    width = np.dtype(dtype).itemsize
    size = file.seek(0, 2)
    whole = max(0, min(count * width, size - offset)) // width * width
    file.seek(offset)
    data = file.read(whole) or b""
    return np.frombuffer(data[: len(data) // width * width], dtype).astype(np.uint64)


def behind_end(
    starts: NDArray[np.uint64], lengths: NDArray[np.uint64], size: int, block: int, first: int = 0
) -> list[Range]:
    """What of the blocks of a disk lies behind the end of a file of ``size`` bytes.

    Cell n is block n (``block`` bytes of the disk, the first at ``first``), kept from ``starts[n]`` on for
    ``lengths[n]`` bytes; a length of 0 is a block that the file need not have. Of a block that the end of the file
    cuts, whole sectors before the cut are there. Tables that let very many blocks be cut are not believed that far.
    """
    room = np.uint64(size)
    gone = (lengths > 0) & (starts >= room)
    cut = (lengths > 0) & ~gone & (lengths > room - np.minimum(starts, room))
    places = np.flatnonzero(cut)
    if len(places) > _MOST_CUT:
        return ranges_of(gone | cut, block, first)
    kept = [(size - int(starts[place])) // 512 * 512 for place in places]
    found = [(first + int(place) * block + has, block - has) for place, has in zip(places, kept, strict=True)]
    return [*ranges_of(gone, block, first), *found]


def ranges_of(marked: NDArray[np.bool_], block: int, first: int = 0) -> list[Range]:
    """The runs of True as ranges (offset, length) of a disk: each cell is ``block`` bytes, the first at ``first``."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], marked, [False])).astype(np.int8)))
    if len(edges) > _MOST_EDGES:
        raise ValueError("its tables point behind its end all over")
    return [(first + int(a) * block, int(b - a) * block) for a, b in zip(edges[::2], edges[1::2], strict=True)]
