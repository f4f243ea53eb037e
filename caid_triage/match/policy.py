"""From the matches of one file to the category that is proposed for it; nothing is dropped, conflicts are named."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from caid_triage.model import Category, Match, MatchKind, Role, Tier, tier_of


@dataclass(frozen=True, slots=True)
class Proposal:
    """What is proposed for one file, for an examiner to confirm.

    ``category`` None and ``match_kind`` None: no notable match that counts. ``conflicts`` are sentences
    for the report, in a fixed order.
    """

    category: Category | None = None
    match_kind: MatchKind | None = None
    conflicts: tuple[str, ...] = ()


_STRONGEST_FIRST = (
    (MatchKind.EXACT, None),
    (MatchKind.VIDEO, None),
    (MatchKind.NEAR, Tier.STRONG),
    (MatchKind.NEAR, Tier.LEAD),
)


def propose(matches: Sequence[Match]) -> Proposal:
    """The gravest category of the notable matches, exact ones first, then films, strong look-alikes, leads.

    Gravest by the scheme's severity. A code that the scheme does not know ranks above every ignorable
    code (severity 0) and below every graver one, so that it is never hidden by "not pertinent".
    A contradicted match proposes nothing.
    """
    counted = [match for match in matches if match.role is Role.NOTABLE and not match.contradicted]
    for kind, tier in _STRONGEST_FIRST:
        of_kind = [
            match
            for match in counted
            if match.match_kind is kind and tier_of(kind, match.algorithm, match.distance) is tier
        ]
        if of_kind:
            strongest = max(of_kind, key=_rank)
            return Proposal(strongest.category, kind, _conflicts(matches))
    return Proposal(conflicts=_conflicts(matches))


def confirmed_schemes(sets: Iterable[tuple[object, object]]) -> frozenset[str]:
    """The schemes that somebody confirmed in every set that has them; ``sets``: (scheme, who confirmed it or "")."""
    known = [(str(scheme), bool(by)) for scheme, by in sets]
    return frozenset(scheme for scheme, _ in known) - {scheme for scheme, by in known if not by}


def counts_as_hit(severity: int | None, scheme: str, confirmed: Collection[str]) -> bool:
    """Whether a listed file of such a category is what is looked for.

    Not where a scheme that somebody confirmed ranks it as not pertinent (severity 0). From one that nobody confirmed
    the rank may be wrong, for some codes have been published both ways round: such a file counts.
    """
    return severity != 0 or scheme not in confirmed


def _rank(match: Match) -> float:
    """Severity, with "not known" between ignorable (0) and anything graver. The first of equals wins.

    No code at all (a plain hash list) ranks below a code that somebody gave, whatever that code means.
    """
    if match.category.severity is not None:
        return float(match.category.severity)
    return 0.5 if match.category.code else 0.25


def _conflicts(matches: Sequence[Match]) -> tuple[str, ...]:
    """What the exact matches of one file say against each other."""
    exact = [match for match in matches if match.match_kind is MatchKind.EXACT]
    counted = [match for match in exact if not match.contradicted]
    notable = [match for match in counted if match.role is Role.NOTABLE]
    found = []
    graded = sorted({(_graded(match), match.hashset) for match in notable})
    if any(one.category.contradicts(other.category) for one, other in combinations(notable, 2)):
        found.append("different categories: " + "; ".join(f"{grade} in {hashset}" for grade, hashset in graded))
    for role in (Role.KNOWN_GOOD, Role.NOT_THIS):
        harmless = [match for match in counted if match.role is role]
        if notable and harmless:
            found.append(f"notable in {_sets(notable)} and {role.value} in {_sets(harmless)}")
    sizes = [match for match in counted if match.listed_size is not None]
    if sizes:
        found.append(f"{_algorithms(sizes)} agrees in {_sets(sizes)} but the size stated there does not")
    contradicted = [match for match in exact if match.contradicted]
    if contradicted:
        found.append(
            f"{_algorithms(contradicted)} agrees in {_sets(contradicted)} but a stronger digest of the same entry does "
            "not (a collision or a damaged entry): not counted"
        )
    return tuple(found)


def _graded(match: Match) -> str:
    return f"{match.category.label} [{match.category.scheme}]"


def _sets(matches: Sequence[Match]) -> str:
    return ", ".join(sorted({match.hashset for match in matches}))


def _algorithms(matches: Sequence[Match]) -> str:
    return ", ".join(sorted({match.algorithm for match in matches}))
