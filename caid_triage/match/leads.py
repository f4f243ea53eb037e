"""The search for leads: PDQ matches beyond the strong distance, within the limits of match/lead_limits.py."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from caid_triage.hashset.store import HashSet
from caid_triage.match.guards import FAR, nearest_by_picture
from caid_triage.match.lead_limits import Asked, LeadLimits, Why, lead_limits
from caid_triage.match.looks import Candidates, Looks, candidates, joined
from caid_triage.match.options import MatchOptions

# Pictures asked about at once: so many pairs of hashes, of which one in each picture and entry is kept, are in memory.
_PICTURES = 32


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
