"""How many near matches chance alone would make: unrelated pictures that happen to lie within the distance.

The rates are measured (``chance_curves.json``, made by benchmarks/chance_curve.py, with its provenance): pairs of
crops of different photographs, by distance. Below the distances that were seen often enough the measured curve is
carried on: PDQ and pHash have as many ones as zeros, so chance alone would draw the distance from a hypergeometric
distribution, and real pictures exceed it by a factor that grows evenly as the distance shrinks; that growth is
fitted. Such a figure is called "modelled". It counts *unrelated* pictures only: pictures of one scene, one template or
one page layout are nearer than chance, and no figure here says anything of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from math import comb, exp, log
from typing import Any

SEEN_OFTEN = 10
POINTS_FITTED = 6
CURVES = "chance_curves.json"


@dataclass(frozen=True, slots=True)
class ChanceCurve:
    """The rate of one algorithm: ``rates[d]`` is how probably two unrelated pictures lie within d bits.

    Distances from ``measured_from`` on were seen at least ten times in ``pairs`` pairs; below, the rate is modelled.
    """

    algorithm: str
    rates: tuple[float, ...]
    measured_from: int
    pairs: int


def expected_chance_matches(algorithm: str, distance: int, set_size: int, queries: int) -> float | None:
    """How many of ``set_size`` x ``queries`` pairs chance would put within ``distance``; None without a measured curve.

    ``set_size`` counts the set's hashes of this algorithm, ``queries`` the hashes looked up (eight a picture
    where all orientations are).
    """
    curve = chance_curve(algorithm)
    if curve is None:
        return None
    return curve.rates[max(0, min(distance, len(curve.rates) - 1))] * set_size * queries


def rates(algorithm: str) -> tuple[float, ...]:
    """By distance, how probably two unrelated pictures lie within it; () without a measured curve."""
    curve = chance_curve(algorithm)
    return () if curve is None else curve.rates


def is_measured(algorithm: str, distance: int) -> bool:
    """Whether the rate at this distance was measured rather than modelled."""
    curve = chance_curve(algorithm)
    return curve is not None and distance >= curve.measured_from


def chance_curve(algorithm: str) -> ChanceCurve | None:
    """The curve of an algorithm; None for one that was not measured (PhotoDNA, a plug-in's)."""
    return _curves().get(algorithm)


def provenance() -> Mapping[str, Any]:
    """What the shipped curves were measured on, when, and by which script."""
    return dict(_data()["provenance"])


@lru_cache(maxsize=1)
def _data() -> dict[str, Any]:
    text = (resources.files("caid_triage.match") / CURVES).read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


@lru_cache(maxsize=1)
def _curves() -> dict[str, ChanceCurve]:
    return {name: curve_of(name, measured["pairs_by_distance"]) for name, measured in _data()["curves"].items()}


def ideal_rates(bits: int) -> list[float]:
    """The probability that two random hashes of as many ones as zeros differ in at most d bits, for d = 0..bits."""
    half, total, reached = bits // 2, comb(bits, bits // 2), 0
    rates = []
    for distance in range(bits + 1):
        if distance % 2 == 0:  # two such hashes always differ in an even number of bits
            reached += comb(half, distance // 2) ** 2
        rates.append(reached / total)
    return rates


def curve_of(algorithm: str, pairs_by_distance: list[int]) -> ChanceCurve:
    """The curve from how many pairs of unrelated pictures lie at each distance."""
    bits, pairs = len(pairs_by_distance) - 1, sum(pairs_by_distance)
    ideal = ideal_rates(bits)
    reached, within = 0, []
    for count in pairs_by_distance:
        reached += count
        within.append(reached)
    first = next(d for d in range(bits + 1) if within[d] >= SEEN_OFTEN)
    first += first % 2
    points = range(first, min(first + 2 * POINTS_FITTED, bits), 2)
    excess = [log(within[d] / pairs / ideal[d]) for d in points]
    middle, mean = sum(points) / len(points), sum(excess) / len(excess)
    growth = sum((d - middle) * (e - mean) for d, e in zip(points, excess, strict=True))
    growth /= sum((d - middle) ** 2 for d in points)
    modelled = [min(1.0, ideal[d] * exp(max(0.0, mean + growth * (d - middle)))) for d in range(first)]
    # Never less as the distance grows, and never below what random hashes would give.
    rates: list[float] = []
    for d in range(bits + 1):
        rate = modelled[d] if d < first else max(within[d] / pairs, ideal[d])
        rates.append(max(rate, rates[-1]) if rates else rate)
    return ChanceCurve(algorithm, tuple(rates), first, pairs)
