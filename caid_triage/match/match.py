"""Records of a scan against hash sets: the same function for a live batch and for a stored case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from caid_triage.hashset.algorithms import Rows
from caid_triage.hashset.store import HashSet
from caid_triage.match.exact import STRENGTH, ExactPairs, digest_columns, exact_pairs
from caid_triage.match.near import PerceptualColumn, near_pairs, perceptual_column
from caid_triage.model import Match, MatchKind, Role, ScanRecord


@dataclass(frozen=True, slots=True)
class MatchOptions:
    """How near is near: distances in bits, and the least PDQ quality (0..100) that may match at all.

    31 of 256 bits is what PDQ's authors recommend; 8 of 64 keeps chance matches rare up to some ten million
    entries (at 10 they flood).
    """

    pdq_radius: int = 31
    pdq_min_quality: int = 50
    phash_radius: int = 8
    near: bool = True


# (record of the batch, is near, set, distance, record row): the order of the matches; unique for each
_Place = tuple[int, bool, int, int, int]


def match_records(
    records: Sequence[ScanRecord], hashsets: Sequence[HashSet], options: MatchOptions | None = None
) -> list[tuple[Match, ...]]:
    """The matches of each record, in the order of ``records``: exact before near, then set, distance, set row.

    One Match for each pair of a record and a set's record. Exact: named by the strongest digest that
    agrees. Near: only in notable sets, only where the pair is not exact already; PDQ if within its
    radius, else pHash. A record whose SHA-1 or SHA-256 is known-good gets no near matches; its exact
    ones stay, and an MD5 alone excludes nothing. A set given twice counts once.
    """
    options = options or MatchOptions()
    sets = list({hashset.generation: hashset for hashset in hashsets}.values())
    digests, positions = digest_columns(records)
    exact = [_at_positions(exact_pairs(hashset, digests), positions) for hashset in sets]
    found: dict[_Place, Match] = {}
    for number, (hashset, pairs) in enumerate(zip(sets, exact, strict=True)):
        found |= _exact_matches(hashset, number, pairs)
    if options.near:
        excluded = _known_good(len(records), sets, exact)
        columns = {
            "pdq": perceptual_column(records, "pdq", options.pdq_min_quality),
            "phash": perceptual_column(records, "phash"),
        }
        for number, (hashset, pairs) in enumerate(zip(sets, exact, strict=True)):
            if hashset.role is Role.NOTABLE:
                found |= _near_matches(hashset, number, pairs, columns, excluded, options)
    results: list[list[Match]] = [[] for _ in records]
    for place in sorted(found):
        results[place[0]].append(found[place])
    return [tuple(matches) for matches in results]


def _at_positions(pairs: ExactPairs, positions: Rows) -> ExactPairs:
    return ExactPairs(positions[pairs.queries], pairs.rows, pairs.strength, pairs.contradicted)


def _known_good(count: int, sets: Sequence[HashSet], exact: Sequence[ExactPairs]) -> NDArray[np.bool_]:
    """Which records a known-good set vouches for by SHA-1 or SHA-256."""
    excluded = np.zeros(count, dtype=np.bool_)
    for hashset, pairs in zip(sets, exact, strict=True):
        if hashset.role is Role.KNOWN_GOOD:
            strong = (pairs.strength < STRENGTH.index("md5")) & ~pairs.contradicted
            excluded[pairs.queries[strong]] = True
    return excluded


def _exact_matches(hashset: HashSet, number: int, pairs: ExactPairs) -> dict[_Place, Match]:
    """The exact pairs with one set as Matches; only what matched is ever turned into objects."""
    algorithms = [STRENGTH[strength] for strength in pairs.strength.tolist()]
    matches = _matches(hashset, MatchKind.EXACT, algorithms, [0] * len(algorithms), 0, pairs.rows)
    columns = zip(pairs.queries.tolist(), pairs.rows.tolist(), pairs.contradicted.tolist(), matches, strict=True)
    return {
        (position, False, number, 0, row): replace(match, contradicted=True) if contradicted else match
        for position, row, contradicted, match in columns
    }


def _near_matches(
    hashset: HashSet,
    number: int,
    exact: ExactPairs,
    columns: dict[str, PerceptualColumn],
    excluded: NDArray[np.bool_],
    options: MatchOptions,
) -> dict[_Place, Match]:
    """The near pairs with one set that are not exact already as Matches, PDQ before pHash."""
    taken = _keys(exact.queries, exact.rows, len(hashset))
    found: dict[_Place, Match] = {}
    for algorithm, radius, quality in (
        ("pdq", options.pdq_radius, options.pdq_min_quality),
        ("phash", options.phash_radius, 0),
    ):
        near = near_pairs(hashset, algorithm, columns[algorithm], radius, quality)
        keys = _keys(near.queries, near.rows, len(hashset))
        keep = ~excluded[near.queries] & ~np.isin(keys, taken)
        taken = np.concatenate([taken, keys[keep]])
        positions, rows, distances = near.queries[keep].tolist(), near.rows[keep], near.distances[keep].tolist()
        matches = _matches(hashset, MatchKind.NEAR, [algorithm] * len(rows), distances, radius, rows)
        for position, row, match in zip(positions, rows.tolist(), matches, strict=True):
            found[position, True, number, match.distance, row] = match
    return found


def _keys(positions: Rows, rows: Rows, records: int) -> Rows:
    """One number a pair. Batches times records stays far below 2^63."""
    return positions * max(records, 1) + rows


def _matches(
    hashset: HashSet, kind: MatchKind, algorithms: list[str], distances: list[int], threshold: int, rows: Rows
) -> list[Match]:
    """One Match for each of these record rows of a set."""
    columns = zip(
        algorithms, distances, hashset.categories(rows), hashset.records.media_ids(rows), rows.tolist(), strict=True
    )
    return [
        Match(
            match_kind=kind,
            algorithm=algorithm,
            distance=distance,
            threshold=threshold,
            category=category,
            hashset=hashset.name,
            generation=hashset.generation,
            role=hashset.role,
            media_id=media_id,
            record_row=row,
        )
        for algorithm, distance, category, media_id, row in columns
    ]
