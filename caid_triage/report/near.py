"""What chance alone would make of the comparison by look: for each lead, and for each hash set as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from heapq import nsmallest
from math import inf
from typing import Any

from caid_triage.case.rows import MatchRow
from caid_triage.case.view import CaseView
from caid_triage.match.chance import chance_curve, expected_chance_matches, is_measured
from caid_triage.match.lead_limits import Asked, LeadLimits, Why
from caid_triage.model import STRONG_BITS, MatchKind, Tier, tier_of

SMALLEST_SHOWN = 1e-6
ASKED_WORDS = {"upright": "by the looks that are not turned or mirrored", "stored": "by the stored pixels alone"}


@dataclass(frozen=True, slots=True)
class NearFacts:
    """One hash set compared by one algorithm: how many hashes met how many, and what chance would make of it.

    ``queries`` counts every hash looked up: each look of a picture and each frame of a film, in each orientation that
    was tried, of a quality good enough. It is an upper bound: flat hashes are left out, and so is what a known-good set
    holds. ``entries`` counts the set's hashes, of stills and of videos' frames.
    ``expected_chance_matches`` is at the full distance, over all files; None where no rate was measured. ``basis``
    is "measured", "modelled" or "not known". ``tier`` is that of the farthest match. Of leads ``distance`` is the limit
    of the stored pixels and ``looks_distance`` that of the other looks; fewer pictures are asked than ``queries`` says:
    those that are near an entry already are not.
    """

    hashset: str
    algorithm: str
    distance: int
    entries: int
    queries: int
    expected_chance_matches: float | None
    basis: str
    tier: str
    looks_distance: int | None = None


class Chance:
    """The sizes of a case's comparisons by look, and what chance would make at any distance."""

    def __init__(self, view: CaseView) -> None:
        quality = view.header.options.get("pdq_min_quality", 50)
        least = quality if isinstance(quality, int) else 50
        self._queries = view.perceptual_hashes(least)
        self._lead_hashes = view.lead_hashes(least)
        self.photodna: int = self._queries.get("photodna", 0)
        self._sets = {str(info["name"]): info for info in view.hashsets()}

    def of_match(self, row: MatchRow) -> float | None:
        """How many matches as near as this one chance alone would make in this set, over all files; None if unknown."""
        if row.match_kind is MatchKind.EXACT:
            return None
        leads = leads_of(self._sets.get(row.hashset, {}))
        if leads and tier_of(row.match_kind, row.algorithm, row.distance) is Tier.LEAD and row.algorithm == "pdq":
            return _rounded(self._expected_leads(row.hashset, leads, row.distance))
        return _rounded(self._expected(row.hashset, row.algorithm, row.distance))

    def by_set(self) -> list[NearFacts]:
        """Each notable set by each algorithm that it was compared by, in the order the sets were given, leads last."""
        found = []
        for name, info in self._sets.items():
            distances = info.get("distances")
            if info.get("role") != "notable" or not isinstance(distances, Mapping):
                continue
            for algorithm, distance in sorted(distances.items()):
                expected = self._expected(name, algorithm, distance)
                tier = tier_of(MatchKind.NEAR, algorithm, distance) or Tier.LEAD
                entries, queries = self._sizes(name, algorithm)
                basis = _basis(algorithm, distance, expected)
                facts = NearFacts(name, algorithm, distance, entries, queries, _rounded(expected), basis, tier.value)
                found.append(facts)
            if leads := leads_of(info):
                found.append(self._lead_facts(name, leads))
        return found

    def _lead_facts(self, name: str, leads: LeadLimits) -> NearFacts:
        expected = self._expected_leads(name, leads, leads.farthest)
        stored, others = self._asked(leads)
        return NearFacts(
            name,
            "pdq",
            leads.stored,
            self._sizes(name, "pdq")[0],
            stored + others,
            _rounded(expected),
            _basis("pdq", leads.farthest, expected),
            Tier.LEAD.value,
            leads.looks if leads.asked is not Asked.STORED else None,
        )

    def _asked(self, leads: LeadLimits) -> tuple[int, int]:
        """How many hashes may be asked about leads: of stored pixels, of other looks."""
        counts = self._lead_hashes
        every = {Asked.ALL: counts.all, Asked.UPRIGHT: counts.upright, Asked.STORED: counts.stored}[leads.asked]
        return counts.stored, every - counts.stored

    def _expected_leads(self, hashset: str, leads: LeadLimits, distance: int) -> float | None:
        """What chance makes within a distance: other looks than the stored pixels are asked up to their own limit."""
        stored, others = self._asked(leads)
        entries, _ = self._sizes(hashset, "pdq")
        parts = (
            expected_chance_matches("pdq", distance, entries, stored),
            expected_chance_matches("pdq", min(distance, leads.looks), entries, others),
        )
        return None if None in parts else sum(part or 0.0 for part in parts)

    def _sizes(self, hashset: str, algorithm: str) -> tuple[int, int]:
        counts = self._sets.get(hashset, {}).get("counts")
        entries = counts.get(algorithm, 0) if isinstance(counts, Mapping) else 0
        return int(entries), self._queries.get(algorithm, 0)

    def _expected(self, hashset: str, algorithm: str, distance: int) -> float | None:
        return expected_chance_matches(algorithm, distance, *self._sizes(hashset, algorithm))


def _basis(algorithm: str, distance: int, expected: float | None) -> str:
    return "not known" if expected is None else "measured" if is_measured(algorithm, distance) else "modelled"


def leads_of(info: Mapping[str, Any]) -> LeadLimits | None:
    """How leads were looked for in a set, from what the case was told of it; None if they were not."""
    facts = info.get("leads")
    if not isinstance(facts, Mapping) or facts.get("asked") == Asked.NONE:
        return None
    return LeadLimits(Asked(facts["asked"]), int(facts["stored"]), int(facts["looks"]), Why(facts["why"]))


def leads_not_searched(info: Mapping[str, Any]) -> str:
    """What of the leads was not looked for in a notable set with PDQ hashes, as a sentence; "" if all was.

    Of a set that a case of an earlier version was matched with nothing is known but that they were not.
    """
    counts = info.get("counts")
    entries = counts.get("pdq", 0) if isinstance(counts, Mapping) else 0
    if info.get("role") != "notable" or not entries:
        return ""
    name, facts = info["name"], info.get("leads")
    why, asked = (facts.get("why"), facts.get("asked")) if isinstance(facts, Mapping) else (Why.OFF, Asked.NONE)
    if why == Why.OWN:
        return f"leads beyond the distance that was chosen for {name} were not searched"
    if why == Why.OFF:
        return f"leads beyond {STRONG_BITS} bits were not searched in {name} (--leads off)"
    if asked == Asked.ALL:
        return ""
    farthest = facts.get("looks") if isinstance(facts, Mapping) else None
    advice = f"it has {entries:,} entries; --leads {farthest or 60} searches them"
    if asked == Asked.NONE:
        return f"leads beyond {STRONG_BITS} bits were not searched in {name}: {advice}"
    return f"leads beyond {STRONG_BITS} bits were searched in {name} {ASKED_WORDS[str(asked)]}: {advice} by all looks"


def is_lead(row: MatchRow) -> bool:
    """Whether a match is of the tier of leads."""
    return tier_of(row.match_kind, row.algorithm, row.distance) is Tier.LEAD


def likeliest(view: CaseView, chance: Chance, most: int) -> tuple[list[tuple[MatchRow, str]], int]:
    """The first matches of the tier of leads, each with what chance makes of it in words, and the number of all.

    The least to be expected by chance first, those without a known rate last.
    """
    total = 0

    def counted() -> Iterator[tuple[float, int, MatchRow, float | None]]:
        nonlocal total
        for row in filter(is_lead, view.matches()):
            total += 1
            expected = chance.of_match(row)
            yield inf if expected is None else expected, row.distance, row, expected

    first = nsmallest(most, counted(), key=lambda item: item[:2])
    return [(row, shown_chance(expected)) for _, _, row, expected in first], total


def shown_chance(expected: float | None) -> str:
    """An expected number of chance matches for a reader: two figures, never a false nought."""
    if expected is None:
        return "not known"
    if expected < SMALLEST_SHOWN:
        return "fewer than 0.000001"
    return f"{expected:.2g}" if expected < 10 else f"{round(float(f'{expected:.2g}')):,}"


def near_facts(view: CaseView) -> dict[str, Any]:
    """The comparison by look as summary.json has it."""
    curves = {name: chance_curve(name) for name in ("pdq", "phash")}
    return {
        "sets": [asdict(facts) for facts in Chance(view).by_set()],
        "tiers": [asdict(row) for row in view.tiers()],
        "leads_not_searched": list(filter(None, map(leads_not_searched, view.hashsets()))),
        "withheld": [asdict(row) for row in view.withheld()],
        "chance_measured_from": {name: curve.measured_from for name, curve in curves.items() if curve},
    }


def _rounded(expected: float | None) -> float | None:
    """Two figures: more would pretend to a knowledge that the curve does not hold."""
    return None if expected is None else float(f"{expected:.2g}")
