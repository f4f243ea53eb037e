"""Sorting more rows than fit in memory: sorted runs in a nameless file, merged range by range.

The bound holds whatever the data (all but one column alike, already sorted, crafted): every range between
two splitters is short, because the splitters are themselves taken from the sorted runs at even steps. Rows
that are equal in every column stay together: give each a column of its own, such as its record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import pairwise
from typing import IO, Any

import numpy as np

from caid_triage.hashset.algorithms import Rows, Words
from caid_triage.hashset.search import row_ranges

_RUN_BYTES = 24 << 20  # of one run in memory; sorting it takes about three times as much
_SAMPLES = 256  # splitters are chosen among so many rows of each run


def sort_rows(rows: Words, out: Words | None = None) -> Words:
    """Rows uint64[n, c] in order, compared column by column from the left; written to ``out`` if it is given."""
    # Sorting by the first word alone is many times faster, and settles nearly all rows of real digests.
    order = np.argsort(rows[:, 0])
    # "clip" (no row number is out of range): in its other mode numpy fills a copy of ``out`` first.
    result = np.take(rows, order, axis=0, out=out, mode="clip")
    del order
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
    A block is good until the next is asked for: all stand in the same memory, one after another.
    """
    run_rows = max(run_bytes // (8 * columns), 2)
    # Two rooms for everything: fresh memory for each run would be kept by the allocator in pieces nobody can use.
    room, result = _Room(run_rows, columns), _Room(run_rows, columns)
    step = max(run_rows // _SAMPLES, 1)
    with ExitStack() as stack:
        file: IO[bytes] | None = None
        lengths: list[int] = []
        samples: list[Words] = []
        for more, run in _runs(blocks, room.of(run_rows)):
            rows = sort_rows(run, result.of(len(run)))
            if file is None:
                if not more:
                    yield rows
                    return
                file = stack.enter_context(scratch())
            file.write(rows.data)
            lengths.append(len(rows))
            samples.append(rows[::step].copy())
        if file is None:
            return
        file.flush()
        # The runs are read, never memory-mapped: a mapped page brings its neighbours into this process's memory.
        for low, high in pairwise(_edges(file, lengths, samples, step, run_rows)):
            pieces = room.of(int((high - low).sum()))
            place = 0
            for start, stop in zip(low.tolist(), high.tolist(), strict=True):
                _read_into(file, start, pieces[place : place + stop - start])
                place += stop - start
            if place:
                yield sort_rows(pieces, result.of(place))


class _Room:
    """Memory for rows that is used again and again, and grows if more are asked for."""

    def __init__(self, rows: int, columns: int) -> None:
        self._rows = np.empty((rows, columns), dtype=np.uint64)

    def of(self, rows: int) -> Words:
        """Room for so many rows; what stood in it before is gone."""
        if rows > len(self._rows):
            self._rows = np.empty((rows, self._rows.shape[1]), dtype=np.uint64)
        return self._rows[:rows]


def _runs(blocks: Iterable[Words], room: Words) -> Iterator[tuple[bool, Words]]:
    """The rows again, in runs that fill ``room`` but for the last; with each, whether it is known that more follow.

    Of several runs only the last may be said to be the last: a full one is given when the row after it is there.
    """
    filled = given = 0
    for block in blocks:
        taken = 0
        while taken < len(block):
            if filled == len(room):
                yield True, room
                filled, given = 0, given + 1
            count = min(len(block) - taken, len(room) - filled)
            room[filled : filled + count] = block[taken : taken + count]
            taken, filled = taken + count, filled + count
    if filled:
        yield bool(given), room[:filled]


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
    rows = np.empty((stop - start, columns), dtype=np.uint64)
    _read_into(file, start, rows)
    return rows


def _read_into(file: Any, start: int, rows: Words) -> None:
    """Fill rows with those of the file from row ``start`` on."""
    if not len(rows):
        return
    file.seek(start * rows.shape[1] * 8)
    if file.readinto(rows.data.cast("B")) != rows.nbytes:
        raise OSError("a temporary file is shorter than what was written to it")
