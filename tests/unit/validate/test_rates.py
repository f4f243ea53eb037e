"""Intervals of measured rates: SciPy's exact beta quantiles, and what statistics has names for."""

from __future__ import annotations

import pytest
from scipy.stats import beta

from caid_triage.validate.rates import Rate, at_most, clopper_pearson


@pytest.mark.parametrize(
    ("count", "total"), [(0, 1), (1, 1), (0, 20), (3, 20), (20, 20), (1, 500), (37, 500), (499, 500), (12, 40_000)]
)
def test_the_interval_is_that_of_clopper_and_pearson(count: int, total: int) -> None:
    low, high = clopper_pearson(count, total)
    assert low == pytest.approx(beta.ppf(0.025, count, total - count + 1) if count else 0.0, abs=1e-9)
    assert high == pytest.approx(beta.ppf(0.975, count + 1, total - count) if count < total else 1.0, abs=1e-9)
    assert low <= Rate(count, total).value <= high


@pytest.mark.parametrize("total", [100, 1_000, 100_000])
def test_nothing_of_n_is_bounded_by_the_rule_of_three(total: int) -> None:
    assert Rate(0, total).at_most == pytest.approx(3 / total, rel=0.02)


def test_nothing_of_nothing_says_nothing() -> None:
    assert Rate(0, 0).interval == (0.0, 1.0)
    assert Rate(0, 0).value == 0.0


def test_a_count_beyond_its_total_is_refused() -> None:
    with pytest.raises(ValueError, match="5 of 4"):
        clopper_pearson(5, 4)


def test_the_binomial_sum_reaches_one() -> None:
    assert at_most(30, 30, 0.5) == pytest.approx(1.0)
    assert at_most(0, 30, 0.0) == 1.0
    assert at_most(29, 30, 1.0) == 0.0
    assert at_most(0, 2, 0.5) == pytest.approx(0.25)
