"""Which blocks of a disk its container keeps behind its own end: read from the block tables with numpy."""

from __future__ import annotations

from io import RawIOBase

import numpy as np
from numpy.typing import NDArray

from caid_triage.evidence.containers.reader import Range


def table_at(file: RawIOBase, offset: int, count: int, dtype: str) -> NDArray[np.uint64]:
    """``count`` numbers at a place of a file as uint64; fewer where the file ends early (never more than it has)."""
    width = np.dtype(dtype).itemsize
    size = file.seek(0, 2)
    whole = max(0, min(count * width, size - offset)) // width * width
    file.seek(offset)
    data = file.read(whole) or b""
    return np.frombuffer(data[: len(data) // width * width], dtype).astype(np.uint64)


def ranges_of(marked: NDArray[np.bool_], block: int, first: int = 0) -> list[Range]:
    """The runs of True as ranges (offset, length) of a disk: each cell is ``block`` bytes, the first at ``first``."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], marked, [False])).astype(np.int8)))
    return [(first + int(a) * block, int(b - a) * block) for a, b in zip(edges[::2], edges[1::2], strict=True)]
