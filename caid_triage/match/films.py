"""The films of a batch against all sets that list videos, and the guards of it: the same as for pictures."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from caid_triage.hashset.store import HashSet
from caid_triage.match.options import MatchOptions
from caid_triage.match.video import ALGORITHM, Film, ListedVideos, VideoPair, films_of
from caid_triage.model import Role, ScanRecord, Withheld


@dataclass(frozen=True, slots=True)
class FilmsMatched:
    """The agreements with each set, by the set's number, and what was withheld of a record."""

    pairs: list[tuple[int, list[VideoPair]]] = field(default_factory=list)
    withheld: list[tuple[int, Withheld]] = field(default_factory=list)


def match_films(
    records: Sequence[ScanRecord],
    wanted: NDArray[np.bool_],
    sets: Sequence[HashSet],
    taken: Sequence[Collection[tuple[int, int]]],
    options: MatchOptions,
) -> FilmsMatched:
    """The films of the wanted records that agree with listed videos of notable sets.

    ``taken`` are the pairs (record, row) of each set that need no looking at. What agrees better with a video of a
    negative set is withheld, and so are agreements by nothing but frames that many listed videos have, and all but the
    nearest of more than are worth listing.
    """
    found = FilmsMatched()
    listing = [
        number for number, hashset in enumerate(sets) if hashset.counts.get("pdq", 0) and len(hashset.videos.videos)
    ]
    if not any(sets[number].role is Role.NOTABLE for number in listing):
        return found
    films = list(films_of(records, wanted, options.pdq_min_quality, options.pdq_radius))
    if not films:
        return found
    harmless = _harmless(films, [sets[number] for number in listing if sets[number].role is not Role.NOTABLE], options)
    for number in listing:
        hashset = sets[number]
        if hashset.role is not Role.NOTABLE:
            continue
        videos = ListedVideos(hashset, options)
        for film in films:
            matched = videos.matches(film)
            known = {row for position, row in taken[number] if position == film.position}
            rows = hashset.videos.videos
            common = [distance for video, distance in matched.common if int(rows[video]) not in known]
            pairs = [pair for pair in matched.pairs if pair.row not in known]
            limit, by = harmless.get(film.position, (None, ""))
            spared = [pair for pair in pairs if limit is None or pair.distance <= limit]
            spared.sort(key=lambda pair: (pair.distance, pair.row))
            flood = spared[options.flood_kept :] if len(spared) > options.flood_limit else []
            kept = spared[: len(spared) - len(flood)]
            found.pairs.append((number, kept))
            not_this = [pair.distance for pair in pairs if limit is not None and pair.distance > limit]
            for reason, distances, by_set in (
                ("common", common, ""),
                ("not-this", not_this, by),
                ("flood", [pair.distance for pair in flood], ""),
            ):
                if distances:
                    item = Withheld(
                        reason=reason,
                        algorithm=ALGORITHM,
                        hashset=hashset.name,
                        generation=hashset.generation,
                        count=len(distances),
                        nearest=min(distances),
                        threshold=options.radius(hashset, "pdq"),
                        kept=len(kept) if reason == "flood" else 0,
                        by=by_set,
                    )
                    found.withheld.append((film.position, item))
    return found


def _harmless(films: Sequence[Film], sets: Sequence[HashSet], options: MatchOptions) -> dict[int, tuple[int, str]]:
    """The nearest video of a negative set that each film agrees with: its distance and the set."""
    nearest: dict[int, tuple[int, str]] = {}
    for hashset in sets:
        videos = ListedVideos(hashset, options)
        for film in films:
            for pair in videos.matches(film).pairs:
                if film.position not in nearest or pair.distance < nearest[film.position][0]:
                    nearest[film.position] = pair.distance, hashset.name
    return nearest
