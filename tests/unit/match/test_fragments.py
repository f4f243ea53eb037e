"""Runs of blocks: the same whatever order they are found in, and those of the naive way."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from caid_triage.match.fragments import Run, blocks_on_lines, joined, runs_of

SIZE = 512
# (record, sector where the file would begin, number of the block)
BLOCKS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 9)), max_size=60)


def as_arrays(blocks: list[tuple[int, int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    table = np.array(blocks, dtype=np.int64).reshape(-1, 3)
    return (table[:, 1] + table[:, 2]) * SIZE, table[:, 0], table[:, 2]


def naive(blocks: list[tuple[int, int, int]]) -> list[Run]:
    """Each block that follows no other begins a run, which goes on as long as the next is there."""
    there = set(blocks)
    runs = []
    for record, line, number in there:
        if (record, line, number - 1) in there:
            continue
        count = 1
        while (record, line, number + count) in there:
            count += 1
        runs.append(Run((line + number) * SIZE, record, number, count))
    return sorted(runs)


@settings(deadline=None)
@given(BLOCKS)
def test_runs_are_those_of_the_naive_way(blocks: list[tuple[int, int, int]]) -> None:
    assert joined(runs_of(*as_arrays(blocks), SIZE), SIZE) == naive(blocks)
    unique = sorted(set(blocks))
    assert runs_of(*as_arrays(unique), SIZE) == naive(blocks)


@settings(deadline=None)
@given(BLOCKS, st.integers(0, 60))
def test_found_in_parts_they_join_to_the_same(blocks: list[tuple[int, int, int]], cut: int) -> None:
    parts = [runs_of(*as_arrays(part), SIZE) for part in (blocks[cut:], blocks[:cut])]
    assert joined([*parts[0], *parts[1]], SIZE) == naive(blocks)


@settings(deadline=None)
@given(BLOCKS)
def test_blocks_on_a_line_are_counted_over_its_gaps(blocks: list[tuple[int, int, int]]) -> None:
    runs = naive(blocks)
    there = set(blocks)
    counts = [sum((one.record, one.line(SIZE) // SIZE, n) in there for n in range(10)) for one in runs]
    assert blocks_on_lines(runs, SIZE) == counts


def test_a_run_knows_its_end_and_where_its_file_would_begin() -> None:
    run = Run(10 * SIZE, 0, 3, 4)
    assert (run.end(SIZE), run.line(SIZE)) == (14 * SIZE, 7 * SIZE)
