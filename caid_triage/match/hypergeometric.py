"""What a random sample without replacement says of the cells that were not read: exact, in whole numbers.

Of a population of ``population`` cells ``present`` hold known material; ``read`` different cells are drawn, each set of
them equally likely. The chance that none of those holds any is

    C(population - present, read) / C(population, read) = product over i < present of
        (population - read - i) / (population - i)

and the same with ``present`` and ``read`` exchanged. Floats only say where to look; every number that is printed was
compared as whole numbers. The oracle is :func:`chance_of_none` in fractions, which the tests hold against binomials.
"""

from __future__ import annotations

import math
from fractions import Fraction

_AT_ONCE = 1 << 16
_MARGIN = 2


def chance_of_none(population: int, present: int, read: int) -> Fraction:
    """The chance that ``read`` cells drawn out of ``population`` meet none of ``present``, exactly.

    ValueError for more cells than there are.
    """
    above, below = _quotient(population, present, read)
    return Fraction(above, below)


def samples_needed(population: int, present: int, confidence: Fraction) -> int:
    """The least number of cells to draw so that, were ``present`` of them known, one is met with ``confidence``.

    ``confidence`` is above 0 and below 1. ValueError where ``present`` is none of the cells, or more than there are.
    """
    _check(confidence)
    if not 1 <= present <= population:
        raise ValueError(f"of {population} cells 1 to {population} can be known, not {present}")
    return _least(population, present, population - present + 1, confidence)


def least_excluded(population: int, read: int, confidence: Fraction) -> int | None:
    """The least number of known cells that a sample of ``read`` cells without a hit excludes with ``confidence``.

    Fewer than that many of the cells are known, is what may then be said. None where nothing was read, so that nothing
    can be said.
    """
    _check(confidence)
    if not 0 <= read <= population:
        raise ValueError(f"of {population} cells {read} cannot have been read")
    if not read:
        return None
    return _least(population, read, population - read + 1, confidence)


def _least(population: int, fixed: int, most: int, confidence: Fraction) -> int:
    """The least count, up to ``most``, that with ``fixed`` on the other side leaves a small enough chance of none.

    With ``most`` the chance is 0: one more than the cells that are left. The formula is the same from both sides.
    """
    risk = 1 - confidence

    def enough(count: int) -> bool:
        above, below = _quotient(population, fixed, count)
        return above * risk.denominator <= risk.numerator * below

    limit = math.log(risk.numerator) - math.log(risk.denominator)
    low, high = 1, most
    while low < high:
        middle = (low + high) // 2
        if _log_chance(population, fixed, middle) <= limit:
            high = middle
        else:
            low = middle + 1
    # The float may be off by a place where the chance is all but the risk itself.
    count = max(1, min(low + _MARGIN, most))
    while not enough(count):
        count += 1
    while count > 1 and enough(count - 1):
        count -= 1
    return count


def _quotient(population: int, present: int, read: int) -> tuple[int, int]:
    """Numerator and denominator of the chance of none, not in lowest terms."""
    if min(present, read) < 0 or max(present, read) > population:
        raise ValueError(f"of {population} cells {present} cannot be known and {read} read")
    if present + read > population:
        return 0, 1
    few, many = sorted((present, read))
    return _product(population - many - few + 1, few), _product(population - few + 1, few)


def _product(first: int, count: int) -> int:
    """first * (first + 1) * ... of ``count`` numbers, halved again and again: large numbers are multiplied evenly."""
    if count <= 16:
        return math.prod(range(first, first + count))
    half = count // 2
    return _product(first, half) * _product(first + half, count - half)


def _log_chance(population: int, present: int, read: int) -> float:
    """The natural logarithm of the chance of none, as a float; minus infinity where it is 0."""
    if present + read > population:
        return -math.inf
    import numpy as np  # noqa: PLC0415 - a report of a case that was never sampled needs none of it

    few, many = sorted((present, read))
    total = 0.0
    for start in range(0, few, _AT_ONCE):
        places = np.arange(start, min(start + _AT_ONCE, few), dtype=np.float64)
        total += float(np.log1p(-many / (population - places)).sum())
    return total


def _check(confidence: Fraction) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence is above 0 and below 1, not {confidence}")
