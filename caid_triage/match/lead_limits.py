"""How far leads, PDQ matches beyond the strong distance, are looked for in a set, and by which hashes of a picture.

The limits follow from sizes that do not change while a case grows: the set's hashes, the looks of a picture, and a
stated number of pictures in a case. So a scan, a resumed one and a later ``match`` use the same.
docs/decisions/0023-lead-tier.md has the reasons. Nothing here searches, so that a report can be written without numpy.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

from caid_triage.config import AUTO, OFF
from caid_triage.match.chance import rates

if TYPE_CHECKING:
    from caid_triage.hashset.store import HashSet
    from caid_triage.match.options import MatchOptions

# A picture is asked about by so many hashes at most on the average of a case: its looks as they stand, and those in all
# eight orientations. Most ask by 27; one with every box inside bars that there is would ask by 76.
UPRIGHT_LOOKS = 15
ALL_LOOKS = 43
# The largest distances at which one of a million pairs of different pictures lay, with the stored pixels asked about
# alone and with all looks (benchmarks/robustness.py, docs/formats/perceptual-hashes.md). No limit goes beyond.
FARTHEST_STORED = 85
FARTHEST_LOOKS = 75


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
