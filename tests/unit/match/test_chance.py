"""The expected number of chance matches: measured where it was seen, modelled below, never less than pure chance."""

from __future__ import annotations

import math

import numpy as np
import pytest

from caid_triage.match.chance import (
    chance_curve,
    curve_of,
    expected_chance_matches,
    ideal_rates,
    is_measured,
    provenance,
)


@pytest.mark.parametrize("algorithm", ["pdq", "phash"])
def test_a_curve_is_a_rising_probability_and_never_below_pure_chance(algorithm: str) -> None:
    curve = chance_curve(algorithm)
    assert curve is not None
    assert curve.rates[-1] == 1.0
    assert all(0 < low <= high <= 1 for low, high in zip(curve.rates, curve.rates[1:], strict=False))
    assert all(rate >= ideal for rate, ideal in zip(curve.rates, ideal_rates(len(curve.rates) - 1), strict=True))
    assert curve.pairs > 10_000_000


def test_ideal_rates_are_those_of_random_balanced_hashes() -> None:
    rng = np.random.default_rng(1)
    ones = np.repeat([True, False], 8)
    hashes = np.array([rng.permutation(ones) for _ in range(4000)])
    distances = (hashes[::2] != hashes[1::2]).sum(axis=1)
    rates = ideal_rates(16)
    for bits in (4, 6, 8, 10):
        assert abs((distances <= bits).mean() - rates[bits]) < 0.04
    assert rates[5] == rates[4]


def test_measured_and_modelled_are_told_apart() -> None:
    assert not is_measured("pdq", 31)
    assert not is_measured("phash", 8)
    assert is_measured("pdq", 100)
    assert not is_measured("photodna", 10**6)


def test_expected_matches_grow_with_set_and_files() -> None:
    one = expected_chance_matches("phash", 8, 10_000_000, 1_000_000)
    assert one is not None
    assert 1e3 < one < 1e7  # pHash floods at national scale, and the figure says so
    assert expected_chance_matches("phash", 8, 20_000_000, 1_000_000) == pytest.approx(2 * one)
    assert expected_chance_matches("phash", 8, 10_000_000, 3_000_000) == pytest.approx(3 * one)
    near = expected_chance_matches("pdq", 31, 10_000_000, 8_000_000)
    assert near is not None
    assert near < 1e-6
    assert expected_chance_matches("photodna", 40_000, 10, 10) is None
    assert expected_chance_matches("pdq", 999, 2, 3) == 6


def test_the_model_carries_a_known_excess_on() -> None:
    """Pairs drawn with an excess that doubles every eight bits: below what was seen the curve goes on so."""
    ideal = np.array(ideal_rates(64))
    excess = 2.0 ** ((32 - np.arange(65)) / 8)
    rates = np.minimum(1, ideal * np.maximum(1, excess))
    counts = np.diff(np.r_[0, np.round(rates * 1e7)]).astype(int).tolist()
    curve = curve_of("made", counts)
    assert curve.measured_from > 8
    assert math.log(curve.rates[8] / rates[8]) == pytest.approx(0, abs=0.5)


def test_where_the_curves_come_from_is_said() -> None:
    said = provenance()
    assert said["script"] == "benchmarks/chance_curve.py"
    assert said["measured"]
    assert said["pictures"]
