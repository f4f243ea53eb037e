"""How sure a measured rate is: the exact interval of Clopper and Pearson, by the standard library alone.

Source: C. J. Clopper, E. S. Pearson, "The use of confidence or fiducial limits illustrated in the case of the
binomial", Biometrika 26 (1934). For 0 of n its upper end at 95 % is near 3.7 / n two-sided, and 3 / n one-sided (the
"rule of three").
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, lgamma, log

CONFIDENCE = 0.95
STEPS = 100


@dataclass(frozen=True, slots=True)
class Rate:
    """``count`` of ``total``, and the interval that holds the true rate at CONFIDENCE. Nothing of nothing is 0 to 1."""

    count: int
    total: int

    @property
    def value(self) -> float:
        """The share itself; 0 where nothing was tried."""
        return self.count / self.total if self.total else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """The two-sided interval of Clopper and Pearson."""
        return clopper_pearson(self.count, self.total)

    @property
    def at_most(self) -> float:
        """The one-sided upper bound: for 0 of n the rule of three, exactly."""
        return upper_bound(self.count, self.total, 1 - CONFIDENCE)


def clopper_pearson(count: int, total: int) -> tuple[float, float]:
    """The interval (low, high) of the rate behind ``count`` of ``total``; ValueError for counts that cannot be."""
    if not 0 <= count <= total:
        raise ValueError(f"{count} of {total} is no count")
    tail = (1 - CONFIDENCE) / 2
    return 1 - upper_bound(total - count, total, tail), upper_bound(count, total, tail)


def upper_bound(count: int, total: int, tail: float) -> float:
    """The rate at which so few as ``count`` of ``total`` have the probability ``tail``: found by halving."""
    if count >= total:
        return 1.0
    low, high = count / total, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        if at_most(count, total, middle) > tail:
            low = middle
        else:
            high = middle
    return high


def at_most(count: int, total: int, rate: float) -> float:
    """The probability of at most ``count`` of ``total`` at this rate: the binomial distribution, summed."""
    if rate <= 0:
        return 1.0
    if rate >= 1:
        return float(count >= total)
    if count > total // 2:  # the other side has fewer terms
        return max(0.0, 1 - sum(exp(_log_term(number, total, rate)) for number in range(count + 1, total + 1)))
    return min(1.0, sum(exp(_log_term(number, total, rate)) for number in range(count + 1)))


def _log_term(number: int, total: int, rate: float) -> float:
    ways = lgamma(total + 1) - lgamma(number + 1) - lgamma(total - number + 1)
    return ways + number * log(rate) + (total - number) * log(1 - rate)
