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

_RUN_BYTES = 48 << 20  # of one run in memory; sorting it takes about three times as much
_SAMPLES = 64  # splitters are chosen among so many rows of each run


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
    with scratch() as file:
        lengths = []
        for run in _chained(first, second, runs):
            file.write(sort_rows(run).data)
            lengths.append(len(run))
        file.flush()
        del first, second, run
        yield from _merged(file, lengths, columns, run_rows)


def _chained(first: Words, second: Words, others: Iterator[Words]) -> Iterator[Words]:
    yield first
    yield second
    yield from others


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


def _merged(file: IO[bytes], lengths: list[int], columns: int, run_rows: int) -> Iterator[Words]:
    starts = np.cumsum([0, *lengths[:-1]]).astype(np.int64)
    ends = starts + np.array(lengths, dtype=np.int64)
    edges = _edges(file, starts, ends, columns, run_rows)
    for low, high in pairwise(edges):
        pieces = [_read(file, int(a), int(b), columns) for a, b in zip(low, high, strict=True) if a < b]
        if pieces:
            yield sort_rows(np.concatenate(pieces))


def _edges(file: IO[bytes], starts: Rows, ends: Rows, columns: int, run_rows: int) -> list[Rows]:
    """Where each run is cut, range after range: row numbers in the file, one a run."""
    step = max(run_rows // _SAMPLES, 1)
    mapped = np.memmap(file, dtype=np.uint64, mode="r", shape=(int(ends[-1]), columns))
    table = np.asarray(mapped)
    samples = sort_rows(np.concatenate([table[start:end:step] for start, end in zip(starts, ends, strict=True)]))
    # A range holds at most (every + runs) * step rows: each run adds less than a step at its ends.
    every = max(run_rows // step - len(starts), 8)
    cuts = [starts]
    for splitter in samples[every::every]:
        wanted = np.broadcast_to(splitter, (len(starts), columns))
        cuts.append(row_ranges(table, wanted, cuts[-1], ends)[0])
    return [*cuts, ends]


def _read(file: IO[bytes], start: int, stop: int, columns: int) -> Words:
    file.seek(start * columns * 8)
    data: Any = file.read((stop - start) * columns * 8)
    return np.frombuffer(data, dtype=np.uint64).reshape(-1, columns)
