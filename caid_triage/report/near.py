"""What chance alone would make of the comparison by look: for each lead, and for each hash set as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from caid_triage.case.rows import MatchRow
from caid_triage.case.view import CaseView
from caid_triage.match.chance import chance_curve, expected_chance_matches, is_measured
from caid_triage.model import MatchKind

SMALLEST_SHOWN = 1e-6


@dataclass(frozen=True, slots=True)
class NearFacts:
    """One hash set compared by one algorithm: how many hashes met how many, and what chance would make of it.

    ``queries`` counts every hash looked up: each look of a picture and each frame of a film, in each orientation that
    was tried, of a quality good enough. It is an upper bound: flat hashes are left out, and so is what a known-good set
    holds. ``entries`` counts the set's hashes, of stills and of videos' frames.
    ``expected_chance_matches`` is at the full distance, over all files; None where no rate was measured. ``basis``
    is "measured", "modelled" or "not known".
    """

    hashset: str
    algorithm: str
    distance: int
    entries: int
    queries: int
    expected_chance_matches: float | None
    basis: str


class Chance:
    """The sizes of a case's comparisons by look, and what chance would make at any distance."""

    def __init__(self, view: CaseView) -> None:
        options = view.header.options
        quality = options.get("pdq_min_quality", 50)
        self._queries = view.perceptual_hashes(quality if isinstance(quality, int) else 50)
        self.photodna: int = self._queries.get("photodna", 0)
        self._sets = {str(info["name"]): info for info in view.hashsets()}

    def of_match(self, row: MatchRow) -> float | None:
        """How many matches as near as this one chance alone would make in this set, over all files; None if unknown."""
        if row.match_kind is MatchKind.EXACT:
            return None
        return _rounded(self._expected(row.hashset, row.algorithm, row.distance))

    def by_set(self) -> list[NearFacts]:
        """Each notable set by each algorithm that it was compared by, in the order the sets were given."""
        found = []
        for name, info in self._sets.items():
            distances = info.get("distances")
            if info.get("role") != "notable" or not isinstance(distances, Mapping):
                continue
            for algorithm, distance in sorted(distances.items()):
                expected = self._expected(name, algorithm, distance)
                measured = is_measured(algorithm, distance)
                basis = "not known" if expected is None else "measured" if measured else "modelled"
                entries, queries = self._sizes(name, algorithm)
                found.append(NearFacts(name, algorithm, distance, entries, queries, _rounded(expected), basis))
        return found

    def _sizes(self, hashset: str, algorithm: str) -> tuple[int, int]:
        counts = self._sets.get(hashset, {}).get("counts")
        entries = counts.get(algorithm, 0) if isinstance(counts, Mapping) else 0
        return int(entries), self._queries.get(algorithm, 0)

    def _expected(self, hashset: str, algorithm: str, distance: int) -> float | None:
        return expected_chance_matches(algorithm, distance, *self._sizes(hashset, algorithm))


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
        "withheld": [asdict(row) for row in view.withheld()],
        "chance_measured_from": {name: curve.measured_from for name, curve in curves.items() if curve},
    }


def _rounded(expected: float | None) -> float | None:
    """Two figures: more would pretend to a knowledge that the curve does not hold."""
    return None if expected is None else float(f"{expected:.2g}")
