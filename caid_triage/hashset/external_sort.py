"""Sorting more rows than fit in memory: sorted runs in a nameless file, merged range by range.

The bound holds whatever the data (all but one column alike, already sorted, crafted): every range between
two splitters is short, because the splitters are themselves taken from the sorted runs at even steps. Rows
that are equal in every column stay together: give each a column of its own, such as its record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import IO, Any

import numpy as np

from caid_triage.hashset.algorithms import Rows, Words
from caid_triage.hashset.search import row_ranges

_RUN_BYTES = 24 << 20  # of one run in memory; sorting it takes about three times as much
_SAMPLES = 256  # splitters are chosen among so many rows of each run


def sort_rows(rows: Words) -> Words:
    """Rows uint64[n, c] in order, compared column by column from the left."""
    # Sorting by the first word alone is many times faster, and settles nearly all rows of real digests.
    order = np.argsort(rows[:, 0])
    result = rows[order]
    first = result[:, 0]
    same = first[1:] == first[:-1]
    if same.any():
        tied = np.zeros(len(rows), dtype=np.bool_)
        tied[1:] = same
        tied[:-1] |= same
        places = np.flatnonzero(tied)
        group = result[places]
        result[places] = group[np.lexsort(group.T[::-1])]
    return result


def sorted_blocks(
    blocks: Iterable[Words], columns: int, scratch: Callable[[], IO[bytes]], run_bytes: int = _RUN_BYTES
) -> Iterator[Words]:
    """The rows of all blocks (uint64[n, columns]) in order, in blocks of about ``run_bytes`` at most.

    ``scratch`` gives a nameless temporary file; it is used if there is more than one run, and closed.
    """
    run_rows = max(run_bytes // (8 * columns), 2)
    runs = _runs(blocks, columns, run_rows)
    first = next(runs, None)
    if first is None:
        return
    second = next(runs, None)
    if second is None:
        yield sort_rows(first)
        return
    # The runs are read, never memory-mapped: a mapped page brings its neighbours into this process's memory.
    step = max(run_rows // _SAMPLES, 1)
    with scratch() as file:
        kept = [_written(file, first, step)]
        del first  # a run less in memory
        kept.append(_written(file, second, step))
        del second
        kept += [_written(file, run, step) for run in runs]
        file.flush()
        lengths, samples = [length for length, _ in kept], [rows for _, rows in kept]
        for low, high in pairwise(_edges(file, lengths, samples, step, run_rows)):
            pieces = [_read(file, int(a), int(b), columns) for a, b in zip(low, high, strict=True) if a < b]
            if pieces:
                yield sort_rows(np.concatenate(pieces))


def _written(file: IO[bytes], run: Words, step: int) -> tuple[int, Words]:
    """Write a run, sorted; how many rows it has, and every step-th of them."""
    rows = sort_rows(run)
    file.write(rows.data)
    return len(rows), rows[::step].copy()


def _runs(blocks: Iterable[Words], columns: int, run_rows: int) -> Iterator[Words]:
    """The rows again, in blocks of exactly ``run_rows`` but for the last."""
    run, filled = np.empty((run_rows, columns), dtype=np.uint64), 0
    for block in blocks:
        taken = 0
        while taken < len(block):
            count = min(len(block) - taken, run_rows - filled)
            run[filled : filled + count] = block[taken : taken + count]
            taken, filled = taken + count, filled + count
            if filled == run_rows:
                yield run
                run, filled = np.empty((run_rows, columns), dtype=np.uint64), 0
    if filled:
        yield run[:filled]


def _edges(file: IO[bytes], lengths: list[int], samples: list[Words], step: int, run_rows: int) -> Iterator[Rows]:
    """Where each run is cut, range after range: row numbers in the file, one a run."""
    ends = np.cumsum(lengths).astype(np.int64)
    starts = ends - lengths
    # A range holds at most (every + runs) * step rows: each run adds less than a step at its ends.
    every = max(run_rows // step - len(lengths), 8)
    splitters = sort_rows(np.concatenate(samples))[every::every]
    nothing = np.zeros(len(splitters), dtype=np.int64)
    # The cut is less than a step before the first sample that is not smaller.
    smaller = [row_ranges(rows, splitters, nothing, nothing + len(rows))[0] for rows in samples]
    yield starts
    for number, splitter in enumerate(splitters):
        cuts = np.empty(len(lengths), dtype=np.int64)
        for run, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
            place = int(smaller[run][number])
            low, high = start + max(place - 1, 0) * step, min(start + place * step, end)
            rows = _read(file, low, high, samples[run].shape[1])
            cuts[run] = low + row_ranges(rows, splitter[None, :], nothing[:1], nothing[:1] + len(rows))[0][0]
        yield cuts
    yield ends


def _read(file: IO[bytes], start: int, stop: int, columns: int) -> Words:
    file.seek(start * columns * 8)
    data: Any = file.read((stop - start) * columns * 8)
    return np.frombuffer(data, dtype=np.uint64).reshape(-1, columns)
