"""From single blocks that were found on a disk to fragments: runs of blocks of one known file in the file's own order.

A block k of a known file that stands at byte s lies on the line s - k * size: where the file would begin if all of it
stood there. Blocks on one line are of one copy of the file; those that follow each other are one fragment.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, order=True)
class Run:
    """``blocks`` blocks of the file of a set's ``record``, from its block ``first`` on, at byte ``offset`` on."""

    offset: int
    record: int
    first: int
    blocks: int

    def end(self, block_size: int) -> int:
        """The byte behind the last block."""
        return self.offset + self.blocks * block_size

    def line(self, block_size: int) -> int:
        """Where the file would begin if all of it stood here."""
        return self.offset - self.first * block_size


def runs_of(
    offsets: NDArray[np.int64], records: NDArray[np.int64], numbers: NDArray[np.int64], block_size: int
) -> list[Run]:
    """The runs of single blocks, given by place, record of the file and number of the block; in any order, each once
    however often it is given.
    """
    lines = offsets - numbers * block_size
    order = np.lexsort((numbers, lines, records))
    offsets, records, numbers, lines = offsets[order], records[order], numbers[order], lines[order]
    starts = np.ones(len(order), dtype=np.bool_)
    starts[1:] = (records[1:] != records[:-1]) | (lines[1:] != lines[:-1]) | (numbers[1:] > numbers[:-1] + 1)
    begin = np.flatnonzero(starts)
    last = np.r_[begin[1:], len(order)] - 1 if len(order) else begin
    counts = numbers[last] - numbers[begin] + 1 if len(order) else begin
    columns = (offsets[begin].tolist(), records[begin].tolist(), numbers[begin].tolist(), counts.tolist())
    return sorted(Run(*values) for values in zip(*columns, strict=True))


def joined(runs: Iterable[Run], block_size: int) -> list[Run]:
    """The same blocks in as few runs as can be, in the order of their places: the result does not depend on the order
    in which a disk was read.
    """
    by_line: dict[tuple[int, int], list[Run]] = {}
    for run in runs:
        by_line.setdefault((run.record, run.line(block_size)), []).append(run)
    result = []
    for (record, line), group in by_line.items():
        group.sort(key=lambda run: run.first)
        first, behind = group[0].first, group[0].first + group[0].blocks
        for run in group[1:]:
            if run.first > behind:
                result.append(Run(line + first * block_size, record, first, behind - first))
                first, behind = run.first, run.first + run.blocks
            behind = max(behind, run.first + run.blocks)
        result.append(Run(line + first * block_size, record, first, behind - first))
    return sorted(result)


def blocks_on_lines(runs: Sequence[Run], block_size: int) -> list[int]:
    """For each run how many blocks of its file stand on its line in all, with gaps between them."""
    counts: Counter[tuple[int, int]] = Counter()
    for run in runs:
        counts[run.record, run.line(block_size)] += run.blocks
    return [counts[run.record, run.line(block_size)] for run in runs]
