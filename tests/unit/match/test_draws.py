"""The draws of a sample: a permutation, the same for ever, and as even as drawing at random."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caid_triage.match.draws import MOST_SEED, ROUNDS, draws, gap_cells, round_keys

SEEDS = st.integers(0, MOST_SEED)
_WORD = 2**64 - 1


def naive_draw(seed: int, population: int, number: int) -> int:
    """The same in plain numbers of Python, one draw at a time."""
    half = max(((population - 1).bit_length() + 1) // 2, 1)
    mask, value = (1 << half) - 1, number
    while True:
        left, right = value >> half, value & mask
        for key in map(int, round_keys(seed)):
            mixed = (right + key) & _WORD
            for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
                mixed = ((mixed ^ (mixed >> 33)) * factor) & _WORD
            left, right = right, left ^ ((mixed ^ (mixed >> 33)) & mask)
        value = left << half | right
        if value < population:
            return value


@settings(deadline=None)
@given(SEEDS, st.integers(1, 3000))
def test_every_cell_comes_once(seed: int, population: int) -> None:
    assert sorted(draws(seed, population, 0, population).tolist()) == list(range(population))


@settings(deadline=None)
@given(SEEDS, st.integers(1, 2**40), st.integers(0, 2**40), st.integers(0, 40))
def test_the_draws_are_those_of_the_plain_way(seed: int, population: int, first: int, count: int) -> None:
    first %= population
    count = min(count, population - first)
    expected = [naive_draw(seed, population, number) for number in range(first, first + count)]
    assert draws(seed, population, first, count).tolist() == expected


@settings(deadline=None)
@given(SEEDS, st.integers(2, 2**36), st.integers(0, 300))
def test_a_run_goes_on_where_another_stopped(seed: int, population: int, cut: int) -> None:
    count = min(300, population)
    cut = min(cut, count)
    whole = draws(seed, population, 0, count)
    parts = [draws(seed, population, 0, cut), draws(seed, population, cut, count - cut)]
    assert np.array_equal(np.concatenate(parts), whole)


def test_the_draws_of_a_seed_never_change() -> None:
    """Reports of earlier versions name a seed: these numbers must come for ever."""
    assert ROUNDS == 8
    assert draws(1, 244_140_625, 0, 4).tolist() == [naive_draw(1, 244_140_625, n) for n in range(4)]
    assert draws(1, 244_140_625, 0, 4).tolist() == [218947706, 92801548, 115308101, 184805069]


def test_draws_lie_evenly() -> None:
    """Of 4,000 seeds with 400 draws each, each of 64 stretches of the disk is met as often as chance allows."""
    population, stretches = 1_000_003, 64
    found = np.concatenate([draws(seed, population, 0, 400) for seed in range(4000)])
    counts = np.bincount(found * stretches // population, minlength=stretches)
    expected = len(found) / stretches
    chi_square = float(((counts - expected) ** 2 / expected).sum())
    assert chi_square < 110.0  # 63 degrees of freedom: beyond this once in 5,000


def test_neighbours_on_the_disk_are_met_independently() -> None:
    """An area of 30 cells is missed by 100 of 3,000 draws as often as the hypergeometric distribution says."""
    population, area, count, seeds = 3000, 30, 100, 4000
    missed = sum(not (draws(seed, population, 0, count) // area == 7).any() for seed in range(seeds))
    chance = float(np.prod([(population - count - i) / (population - i) for i in range(area)]))
    deviation = (seeds * chance * (1 - chance)) ** 0.5
    assert abs(missed - seeds * chance) < 4 * deviation


@pytest.mark.parametrize(("seed", "population", "first", "count"), [(-1, 9, 0, 1), (2**63, 9, 0, 1), (1, 9, 9, 1)])
def test_what_cannot_be_drawn_is_refused(seed: int, population: int, first: int, count: int) -> None:
    with pytest.raises(ValueError, match=r"seed|draws"):
        draws(seed, population, first, count)


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(1, 40), st.data())
def test_gaps_are_filled_with_as_few_cells_as_can_be(population: int, widest: int, data: st.DataObject) -> None:
    drawn = data.draw(st.sets(st.integers(0, population - 1)))
    filled = gap_cells(np.array(sorted(drawn), dtype=np.int64), population, widest).tolist()
    assert filled == sorted(set(filled))
    assert not set(filled) & drawn
    assert all(0 <= cell < population for cell in filled)
    # The naive way, from the left: a cell as late as can be, where so many would be without one.
    naive, since = [], 0
    for cell in range(population):
        since = 0 if cell in drawn else since + 1
        if since == widest:
            # It is put where the gap is full, which is its last cell.
            naive.append(cell)
            since = 0
    read = drawn | set(filled)
    stretches = [set(range(first, first + widest)) for first in range(population - widest + 1)]
    assert all(stretch & read for stretch in stretches)
    assert len(filled) == len(naive)
