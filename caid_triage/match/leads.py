"""Leads: PDQ matches beyond the strong distance. How far they are looked for in a set, with what, and the search.

The limits follow from sizes that do not change while a case grows: the set's hashes, the looks of a picture, and a
stated number of pictures in a case. So a scan, a resumed one and a later ``match`` use the same.
docs/decisions/0023-lead-tier.md has the reasons.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from caid_triage.config import AUTO, OFF
from caid_triage.hashset.store import HashSet
from caid_triage.match.chance import rates
from caid_triage.match.guards import FAR, nearest_by_picture
from caid_triage.match.looks import Candidates, Looks, candidates, joined
from caid_triage.match.options import MatchOptions

# One picture is asked about by so many hashes: its looks as they stand, and those in all eight orientations.
UPRIGHT_LOOKS = 15
ALL_LOOKS = 43
# The largest distances at which one of a million pairs of different pictures lay, with the stored pixels asked about
# alone and with all looks (benchmarks/robustness.py, docs/formats/perceptual-hashes.md). No limit goes beyond.
FARTHEST_STORED = 85
FARTHEST_LOOKS = 75
# Pictures asked about at once: so many pairs of hashes, of which one in each picture and entry is kept, are in memory.
_PICTURES = 32


class Asked(StrEnum):
    """Which hashes of a picture are compared at the distances of leads."""

    ALL = "all"
    UPRIGHT = "upright"
    STORED = "stored"
    NONE = "none"


class Why(StrEnum):
    """What the limits of a set come from: the sizes, the command, a distance of the set's own."""

    SIZES = "sizes"
    GIVEN = "given"
    OFF = "off"
    OWN = "own distance"


@dataclass(frozen=True, slots=True)
class LeadLimits:
    """How far leads are looked for in one set, in bits: by the stored pixels, upright, and by the other looks asked."""

    asked: Asked
    stored: int
    looks: int
    why: Why

    def facts(self) -> dict[str, object]:
        """What a case keeps of it."""
        return {name: value if isinstance(value, int) else str(value) for name, value in asdict(self).items()}

    @property
    def farthest(self) -> int:
        """The longest distance of a lead."""
        return self.stored if self.asked is Asked.STORED else max(self.stored, self.looks)


def lead_limits(hashset: HashSet, options: MatchOptions) -> LeadLimits:
    """The limits for one set; its own PDQ distance, where one was chosen, is the limit of everything."""
    if options.own_radius(hashset, "pdq") is not None:
        return LeadLimits(Asked.NONE, 0, 0, Why.OWN)
    return limits_for(hashset.counts.get("pdq", 0), options)


def limits_for(entries: int, options: MatchOptions) -> LeadLimits:
    """The limits for a set of so many PDQ hashes.

    Chance may make one match in a case of ``lead_pictures`` pictures: half of it by their stored pixels, half by all
    other looks. The looks that are asked are as many as ``lead_comparisons`` allows for each picture.
    """
    if options.leads == OFF:
        return LeadLimits(Asked.NONE, 0, 0, Why.OFF)
    if options.leads != AUTO:
        bits = int(options.leads)
        asked = Asked.ALL if entries and bits > options.pdq_radius else Asked.NONE
        return LeadLimits(asked, bits, bits, Why.GIVEN)
    pairs = entries * options.lead_pictures
    stored = min(FARTHEST_STORED, farthest_by_chance(pairs, 0.5))
    looks = min(FARTHEST_LOOKS, farthest_by_chance(pairs * ALL_LOOKS, 0.5))
    questions = {Asked.ALL: ALL_LOOKS, Asked.UPRIGHT: UPRIGHT_LOOKS, Asked.STORED: 1}
    affordable = [asked for asked, count in questions.items() if 0 < entries * count <= options.lead_comparisons]
    asked = affordable[0] if affordable and stored > options.pdq_radius else Asked.NONE
    return LeadLimits(asked, stored, max(looks, options.pdq_radius), Why.SIZES)


@lru_cache(maxsize=256)
def farthest_by_chance(comparisons: int, expected: float) -> int:
    """The largest distance at which chance makes at most ``expected`` PDQ matches in so many comparisons."""
    within = [distance for distance, rate in enumerate(rates("pdq")) if rate * comparisons <= expected]
    return within[-1] if within else 0


def asked_of(looks: Looks, asked: Asked) -> NDArray[np.bool_]:
    """Which hashes of a batch are asked about: never the frames of films, which are compared at the strong distance."""
    upright = looks.turns == 0
    which = {
        Asked.ALL: np.ones(len(upright), dtype=np.bool_),
        Asked.UPRIGHT: upright,
        Asked.STORED: looks.stored,
        Asked.NONE: np.zeros(len(upright), dtype=np.bool_),
    }
    return np.asarray(which[asked] & ~looks.of_films)


def lead_candidates(
    hashset: HashSet, looks: Looks, pictures: NDArray[np.bool_], limits: LeadLimits, min_quality: int
) -> Candidates:
    """The pairs of these pictures (bool, by number) and a set within the limits, each once, the nearest."""
    wanted = np.flatnonzero(pictures)
    asked = asked_of(looks, limits.asked)
    parts: list[Candidates] = [candidates(hashset, looks.where(np.zeros(len(asked), dtype=np.bool_)), 0, 0)]
    for first in range(0, len(wanted), _PICTURES):
        some = asked & np.isin(looks.pictures, wanted[first : first + _PICTURES])
        found = [
            candidates(hashset, looks.where(some & which), radius, min_quality)
            for which, radius in ((looks.stored, limits.stored), (~looks.stored, limits.looks))
        ]
        parts.append(joined(found))
    return joined(parts)


def nearest_negative(
    sets: Sequence[HashSet], looks: Looks, pictures: NDArray[np.bool_], options: MatchOptions, min_quality: int
) -> tuple[NDArray[np.int64], list[str]]:
    """How near each of these pictures comes to a negative set, and to which, by every look; FAR where to none.

    Few pictures are asked about (those with a lead): what it costs does not matter, so all looks are.
    """
    nearest = np.full(len(pictures), FAR, dtype=np.int64)
    by = [""] * len(pictures)
    for hashset in sets:
        limits = lead_limits(hashset, options)
        if limits.why is Why.OWN or not hashset.counts.get("pdq", 0):
            continue
        limits = LeadLimits(Asked.ALL, limits.stored, limits.looks, limits.why)
        found = nearest_by_picture(lead_candidates(hashset, looks, pictures, limits, min_quality), len(pictures))
        for picture in np.flatnonzero(found < nearest).tolist():
            by[picture] = hashset.name
        nearest = np.minimum(nearest, found)
    return nearest, by
