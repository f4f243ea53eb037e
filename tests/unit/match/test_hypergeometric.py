"""The statement of a sample: held against binomial coefficients, and against every possible sample of small disks."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caid_triage.match.hypergeometric import chance_of_none, least_excluded, samples_needed

CONFIDENCES = st.fractions(min_value=Fraction(1, 1000), max_value=Fraction(999, 1000), max_denominator=1000)


def by_binomials(population: int, present: int, read: int) -> Fraction:
    return Fraction(math.comb(population - present, read), math.comb(population, read))


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(0, n))))
def test_the_chance_is_that_of_the_binomials(numbers: tuple[int, int, int]) -> None:
    assert chance_of_none(*numbers) == by_binomials(*numbers)


def test_the_chance_is_the_share_of_all_samples_that_meet_nothing() -> None:
    for population, present, read in [(7, 2, 3), (6, 1, 6), (5, 5, 1), (8, 3, 5), (4, 0, 2)]:
        samples = list(itertools.combinations(range(population), read))
        without = sum(all(cell >= present for cell in sample) for sample in samples)
        assert chance_of_none(population, present, read) == Fraction(without, len(samples))


@given(st.integers(1, 120).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n))), CONFIDENCES)
def test_as_many_samples_as_are_needed_and_not_one_more(numbers: tuple[int, int], confidence: Fraction) -> None:
    population, present = numbers
    naive = next(n for n in range(1, population + 1) if by_binomials(population, present, n) <= 1 - confidence)
    assert samples_needed(population, present, confidence) == naive


@given(st.integers(1, 120).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), CONFIDENCES)
def test_what_a_sample_excludes_is_the_least_that_it_can(numbers: tuple[int, int], confidence: Fraction) -> None:
    population, read = numbers
    counts = range(1, population + 1)
    # With as many known cells as are left and one more, a hit is certain: the chance of none is 0.
    naive = next((k for k in counts if by_binomials(population, k, read) <= 1 - confidence), population - read + 1)
    assert least_excluded(population, read, confidence) == (naive if read else None)


@settings(deadline=None)  # whole numbers of thousands of digits, on a busy machine
@given(st.integers(1, 10**9), st.integers(1, 10**9), CONFIDENCES)
def test_the_two_agree_with_each_other(population: int, wanted: int, confidence: Fraction) -> None:
    """What was planned for may be said once it was done, and one sample fewer does not do."""
    present = min(population, 1 + wanted % 400)
    planned = samples_needed(population, present, confidence)
    excluded = least_excluded(population, planned, confidence)
    assert excluded is not None
    assert excluded <= present
    fewer = least_excluded(population, planned - 1, confidence)
    assert fewer is None or fewer > present


def test_a_terabyte_and_twenty_mebibytes() -> None:
    """The published figure, 219,589, is of draws with replacement: without, a few fewer do."""
    population, present = 10**12 // 4096 + 1, 20 * 2**20 // 4096
    with_replacement = math.log(0.01) / math.log1p(-(20 * 2**20) / 10**12)
    assert math.floor(with_replacement) == 219_589
    needed = samples_needed(population, present, Fraction(99, 100))
    assert 219_400 < needed < with_replacement
    assert chance_of_none(population, present, needed) <= Fraction(1, 100)
    assert chance_of_none(population, present, needed - 1) > Fraction(1, 100)


def test_a_whole_disk_that_was_read_leaves_no_room() -> None:
    assert least_excluded(1000, 1000, Fraction(99, 100)) == 1
    assert samples_needed(1, 1, Fraction(1, 2)) == 1


@pytest.mark.parametrize("confidence", [Fraction(0), Fraction(1), Fraction(3, 2)])
def test_a_confidence_that_is_none_is_refused(confidence: Fraction) -> None:
    with pytest.raises(ValueError, match="confidence"):
        samples_needed(10, 1, confidence)


def test_numbers_that_no_disk_has_are_refused() -> None:
    with pytest.raises(ValueError, match="cells"):
        samples_needed(10, 11, Fraction(1, 2))
    with pytest.raises(ValueError, match="cells"):
        least_excluded(10, 11, Fraction(1, 2))
    with pytest.raises(ValueError, match="cells"):
        chance_of_none(10, 1, -1)
