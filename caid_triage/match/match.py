"""Records of a scan against hash sets: the same function for a live batch and for a stored case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from caid_triage.hashset.algorithms import Rows
from caid_triage.hashset.rows import RecordFlag
from caid_triage.hashset.store import HashSet
from caid_triage.match.exact import STRENGTH, ExactPairs, digest_columns, exact_pairs
from caid_triage.match.films import match_films
from caid_triage.match.guards import FAR, flooded, nearer_to_negative, nearest_by_picture
from caid_triage.match.lead_limits import Asked, lead_limits
from caid_triage.match.leads import lead_candidates, nearest_negative
from caid_triage.match.looks import NO_QUALITY, ORIENTATIONS, Candidates, Looks, candidates, look_words, looks_of
from caid_triage.match.options import MatchOptions
from caid_triage.match.video import ALGORITHM
from caid_triage.model import Match, MatchKind, Role, Said, ScanRecord, Withheld

__all__ = ["BatchMatches", "MatchOptions", "match_batch", "match_records"]

# (record of the batch, kind of match, set, distance, record row): the order of the matches; unique for each
_Place = tuple[int, int, int, int, int]
_EXACT, _VIDEO, _NEAR = range(3)
# A pair is named by the first of these that is within its distance.
NEAR_ALGORITHMS = ("pdq", "phash", "photodna")
NEGATIVE = (Role.KNOWN_GOOD, Role.NOT_THIS)


@dataclass(frozen=True, slots=True)
class BatchMatches:
    """The matches of a batch and what was withheld of it, one tuple a record each, in the order of the records."""

    matches: list[tuple[Match, ...]]
    withheld: list[tuple[Withheld, ...]]


@dataclass(frozen=True, slots=True)
class _Near:
    """What looking for near matches of one batch needs to know: its hashes, and what looks like something harmless."""

    looks: dict[str, Looks]
    negative: dict[str, NDArray[np.int64]]  # of each picture
    by: dict[str, list[str]]
    negative_sets: list[HashSet]


def match_records(
    records: Sequence[ScanRecord], hashsets: Sequence[HashSet], options: MatchOptions | None = None
) -> list[tuple[Match, ...]]:
    """The matches of each record, in the order of ``records``: exact, video, near; then set, distance, set row.

    One Match for each pair of a record and a set's record. Exact: named by the strongest digest that
    agrees. Near: only in notable sets, only where the pair is not exact already; PDQ (in any look and any of eight
    orientations) if within its radius, else pHash, else PhotoDNA; the frames of a film meet the listed stills so. Else
    a lead, PDQ within the lead limits of the set (match/lead_limits.py), of a picture that no nearer entry explains.
    Video: a film and a listed video of a notable set, frame by frame (match/video.py). A record whose SHA-1 or SHA-256
    is in a negative set (known-good, not-this) gets no near or video matches; its exact ones stay, and an MD5 alone
    excludes nothing. A near match farther than the picture's nearest entry of a negative set is withheld, and so are
    those of a picture that is near too many entries (:func:`match_batch` counts both). A set given twice counts once.
    """
    return match_batch(records, hashsets, options).matches


def match_batch(
    records: Sequence[ScanRecord], hashsets: Sequence[HashSet], options: MatchOptions | None = None
) -> BatchMatches:
    """As :func:`match_records`, with the near matches that were withheld, by set and algorithm."""
    options = options or MatchOptions()
    sets = list({hashset.generation: hashset for hashset in hashsets}.values())
    _check_unchanged(sets)
    digests, positions = digest_columns(records)
    exact = [_at_positions(exact_pairs(hashset, digests), positions) for hashset in sets]
    found: dict[_Place, Match] = {}
    withheld: list[list[Withheld]] = [[] for _ in records]
    for number, (hashset, pairs) in enumerate(zip(sets, exact, strict=True)):
        found |= _exact_matches(hashset, number, pairs, records)
    if options.near:
        wanted = ~_excluded(len(records), sets, exact)
        near = _look(records, wanted, sets, options)
        for number, (hashset, pairs) in enumerate(zip(sets, exact, strict=True)):
            if hashset.role is Role.NOTABLE:
                found |= _near_matches(hashset, number, pairs, near, options, withheld)
        found |= _video_matches(records, wanted, sets, exact, options, withheld)
    results: list[list[Match]] = [[] for _ in records]
    for place in sorted(found):
        results[place[0]].append(found[place])
    _check_unchanged(sets)
    return BatchMatches([tuple(matches) for matches in results], [tuple(items) for items in withheld])


def _check_unchanged(sets: Sequence[HashSet]) -> None:
    """Before a batch, as reading a set that was cut ends the process; behind it, so that nothing it said is stored."""
    for hashset in sets:
        hashset.check_unchanged()


def _at_positions(pairs: ExactPairs, positions: Rows) -> ExactPairs:
    return ExactPairs(positions[pairs.queries], pairs.rows, pairs.strength, pairs.contradicted)


def _excluded(count: int, sets: Sequence[HashSet], exact: Sequence[ExactPairs]) -> NDArray[np.bool_]:
    """Which records a negative set holds by SHA-1 or SHA-256: what they are is known, whatever they look like."""
    excluded = np.zeros(count, dtype=np.bool_)
    for hashset, pairs in zip(sets, exact, strict=True):
        if hashset.role in NEGATIVE:
            strong = (pairs.strength < STRENGTH.index("md5")) & ~pairs.contradicted
            excluded[pairs.queries[strong]] = True
    return excluded


def _look(
    records: Sequence[ScanRecord], wanted: NDArray[np.bool_], sets: Sequence[HashSet], options: MatchOptions
) -> _Near:
    """The hashes of the wanted records, and how near each comes to a negative set."""
    searched = {
        name: [hashset for hashset in sets if hashset.counts.get(name, 0)]
        for name in NEAR_ALGORITHMS
        if any(hashset.role is Role.NOTABLE and hashset.counts.get(name, 0) for hashset in sets)
    }
    looks = {name: looks_of(records, name, _min_quality(name, options), wanted) for name in searched}
    negative = {name: np.full(len(looks[name].owners), FAR, dtype=np.int64) for name in searched}
    by = {name: [""] * len(looks[name].owners) for name in searched}
    for name, having in searched.items():
        for hashset in having:
            if hashset.role in NEGATIVE:
                near = _candidates(hashset, looks[name], options)
                nearest = nearest_by_picture(near, len(looks[name].owners))
                for picture in np.flatnonzero(nearest < negative[name]).tolist():
                    by[name][picture] = hashset.name
                negative[name] = np.minimum(negative[name], nearest)
    return _Near(looks, negative, by, [hashset for hashset in sets if hashset.role in NEGATIVE])


def _candidates(hashset: HashSet, looks: Looks, options: MatchOptions) -> Candidates:
    """The pairs of a batch and a set by one algorithm, as near as the options want them."""
    name = looks.algorithm
    radius = options.radius(hashset, name)
    return candidates(hashset, looks, radius, _min_quality(name, options), options.looks_radius(radius, name))


def _min_quality(algorithm: str, options: MatchOptions) -> int:
    return options.pdq_min_quality if algorithm == "pdq" else 0


def _exact_matches(
    hashset: HashSet, number: int, pairs: ExactPairs, records: Sequence[ScanRecord]
) -> dict[_Place, Match]:
    """The exact pairs with one set as Matches; only what matched is ever turned into objects."""
    algorithms = [STRENGTH[strength] for strength in pairs.strength.tolist()]
    matches = _matches(hashset, MatchKind.EXACT, algorithms, [0] * len(algorithms), 0, pairs.rows)
    listed = hashset.records.sizes(pairs.rows)
    columns = zip(
        pairs.queries.tolist(), pairs.rows.tolist(), pairs.contradicted.tolist(), listed,
        _said(hashset, pairs.rows), matches, strict=True,
    )  # fmt: skip
    found = {}
    for position, row, contradicted, size, said, match in columns:
        differs = size is not None and size != records[position].examination.bytes_read
        if contradicted or differs or said:
            match = replace(  # noqa: PLW2901
                match, contradicted=contradicted, listed_size=size if differs else None, said=said
            )
        found[position, _EXACT, number, 0, row] = match
    return found


def _said(hashset: HashSet, rows: Rows) -> list[Said | None]:
    """What each of these notable entries says of its item besides the category, None where that is nothing."""
    if hashset.role is not Role.NOTABLE:
        return [None] * len(rows)
    found = (
        Said(
            bool(flags & RecordFlag.VICTIM_IDENTIFIED),
            bool(flags & RecordFlag.OFFENDER_IDENTIFIED),
            bool(flags & RecordFlag.DISTRIBUTED),
            series,
        )
        for flags, series in zip(hashset.records.flags_of(rows), hashset.records.series_of(rows), strict=True)
    )
    return [None if said == Said() else said for said in found]


def _near_matches(
    hashset: HashSet,
    number: int,
    exact: ExactPairs,
    near: _Near,
    options: MatchOptions,
    withheld: list[list[Withheld]],
) -> dict[_Place, Match]:
    """The near pairs with one set that are not exact already as Matches; what the guards withhold is noted.

    A pair that a guard withholds by one algorithm does not come back by the next, nor as a lead.
    """
    taken = _keys(exact.queries, exact.rows, len(hashset))
    strong: Candidates | None = None
    found: dict[_Place, Match] = {}
    for algorithm, looks in near.looks.items():
        radius = options.radius(hashset, algorithm)
        pairs = _candidates(hashset, looks, options)
        strong = pairs if algorithm == "pdq" else strong
        pairs = pairs.where(~np.isin(_keys(pairs.positions, pairs.rows, len(hashset)), taken))
        taken = np.concatenate([taken, _keys(pairs.positions, pairs.rows, len(hashset))])
        found |= _guarded(
            hashset, number, algorithm, pairs, near.negative[algorithm], near.by[algorithm], (radius, radius),
            options, withheld,
        )  # fmt: skip
    if strong is not None:
        found |= _leads(hashset, number, exact, strong, taken, near, options, withheld)
    return found


def _leads(
    hashset: HashSet,
    number: int,
    exact: ExactPairs,
    strong: Candidates,
    taken: Rows,
    near: _Near,
    options: MatchOptions,
    withheld: list[list[Withheld]],
) -> dict[_Place, Match]:
    """The leads of one set: PDQ beyond the strong distance, of pictures of which the set says nothing surer.

    A picture that is near an entry of the set at the strong distance is not asked about, nor is any of a record that
    the set lists exactly (a contradicted match is no such thing).
    """
    limits, looks = lead_limits(hashset, options), near.looks["pdq"]
    if limits.asked is Asked.NONE:
        return {}
    wanted = ~np.isin(looks.owners, exact.queries[~exact.contradicted])
    wanted[strong.pictures] = False
    quality = _min_quality("pdq", options)
    pairs = lead_candidates(hashset, looks, wanted, limits, quality)
    pairs = pairs.where(~np.isin(_keys(pairs.positions, pairs.rows, len(hashset)), taken))
    if not len(pairs):
        return {}
    met = np.zeros(len(looks.owners), dtype=np.bool_)
    met[pairs.pictures] = True
    negative, by = nearest_negative(near.negative_sets, looks, met, options, quality)
    for picture in np.flatnonzero(near.negative["pdq"] <= negative).tolist():
        by[picture] = near.by["pdq"][picture]
    negative = np.minimum(near.negative["pdq"], negative)
    thresholds = limits.stored, limits.looks
    return _guarded(hashset, number, "pdq", pairs, negative, by, thresholds, options, withheld)


def _guarded(
    hashset: HashSet,
    number: int,
    algorithm: str,
    pairs: Candidates,
    negative: NDArray[np.int64],
    by: Sequence[str],
    thresholds: tuple[int, int],
    options: MatchOptions,
    withheld: list[list[Withheld]],
) -> dict[_Place, Match]:
    """The pairs that the guards leave as Matches; what they withhold is noted.

    ``negative`` and ``by`` are of each picture. ``thresholds``: of the stored pixels, upright, and of the other looks.
    """
    spared = pairs.where(~nearer_to_negative(pairs, negative))
    lost = _without(pairs, spared, len(hashset))
    _note(withheld, hashset, "not-this", algorithm, max(thresholds), lost, by=by)
    # A picture near too many entries first, then a file near too many by all of its pictures together.
    kept = spared.where(~flooded(spared.pictures, spared, options.flood_limit, options.flood_kept)).of_records()
    kept = kept.where(~flooded(kept.positions, kept, options.flood_limit, options.flood_kept))
    lost = _without(spared, kept, len(hashset))
    listed = np.bincount(kept.positions, minlength=1)
    _note(withheld, hashset, "flood", algorithm, max(thresholds), lost, kept=listed)
    matches = _matches(hashset, MatchKind.NEAR, [algorithm] * len(kept), kept.distances.tolist(), 0, kept.rows)
    limits = np.where(kept.stored, *thresholds)
    columns = zip(
        kept.positions.tolist(), kept.rows.tolist(), kept.turns.tolist(), kept.looks.tolist(),
        kept.quality.tolist(), limits.tolist(), matches, strict=True,
    )  # fmt: skip
    return {
        (position, _NEAR, number, match.distance, row): replace(
            match,
            threshold=limit,
            orientation=ORIENTATIONS[turn],
            quality=None if quality == NO_QUALITY else quality,
            look=look_words(look),
        )
        for position, row, turn, look, quality, limit, match in columns
    }


def _without(pairs: Candidates, others: Candidates, records: int) -> Candidates:
    """The nearest of each pair of records that is not among the others."""
    known = _keys(others.positions, others.rows, records)
    return pairs.where(~np.isin(_keys(pairs.positions, pairs.rows, records), known)).of_records()


def _video_matches(
    records: Sequence[ScanRecord],
    wanted: NDArray[np.bool_],
    sets: Sequence[HashSet],
    exact: Sequence[ExactPairs],
    options: MatchOptions,
    withheld: list[list[Withheld]],
) -> dict[_Place, Match]:
    """The films that agree with a listed video, where the pair is not exact already."""
    taken = [set(zip(pairs.queries.tolist(), pairs.rows.tolist(), strict=True)) for pairs in exact]
    films = match_films(records, wanted, sets, taken, options)
    for position, item in films.withheld:
        withheld[position].append(item)
    found: dict[_Place, Match] = {}
    for number, pairs in films.pairs:
        hashset = sets[number]
        distances = [pair.distance for pair in pairs]
        rows = np.array([pair.row for pair in pairs], dtype=np.int64)
        radius = options.radius(hashset, "pdq")
        matches = _matches(hashset, MatchKind.VIDEO, [ALGORITHM] * len(pairs), distances, radius, rows)
        for pair, match in zip(pairs, matches, strict=True):
            found[pair.position, _VIDEO, number, pair.distance, pair.row] = replace(
                match, orientation=ORIENTATIONS[pair.turn], agreement=pair.agreement
            )
    return found


def _note(
    withheld: list[list[Withheld]],
    hashset: HashSet,
    reason: str,
    algorithm: str,
    radius: int,
    pairs: Candidates,
    by: Sequence[str] | None = None,
    kept: NDArray[np.intp] | None = None,
) -> None:
    """Count what a guard withheld, one note a record. ``by`` is of each picture, ``kept`` of each record."""
    positions, starts, counts = np.unique(pairs.positions, return_index=True, return_counts=True)
    if not len(positions):
        return
    nearest = np.minimum.reduceat(pairs.distances, starts)
    pictures = pairs.pictures[starts]
    columns = zip(positions.tolist(), pictures.tolist(), counts.tolist(), nearest.tolist(), strict=True)
    for position, picture, count, distance in columns:
        withheld[position].append(
            Withheld(
                reason=reason,
                algorithm=algorithm,
                hashset=hashset.name,
                generation=hashset.generation,
                count=count,
                nearest=distance,
                threshold=radius,
                kept=int(kept[position]) if kept is not None and position < len(kept) else 0,
                by=by[picture] if by else "",
            )
        )


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
