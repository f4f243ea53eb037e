"""The oracle of match_batch: what matching means, record by record and entry by entry, in plain Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from caid_triage.match.naive import NaiveEntry, distance
from caid_triage.model import ScanRecord

_STRENGTH = ("sha256", "sha1", "md5")
_FLAT = {
    "pdq": (b"\x00" * 32, b"\xff" * 32),
    "phash": (b"\x00" * 8, b"\x80" + b"\x00" * 7, b"\xff" * 8),
}
_TURNED = {"pdq": "pdq-turned"}


@dataclass(frozen=True, slots=True)
class NaiveSet:
    """A set as the oracle sees it: entry i is record row i. ``radii`` are its own distances, by algorithm."""

    entries: Sequence[NaiveEntry]
    negative: bool = False
    radii: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class NaiveOutcome:
    """What must be found: (record, set, row, "exact" or "near", algorithm, distance, orientation, contradicted), and

    what must be withheld: (record, set, reason, algorithm, count, nearest).
    """

    matches: set[tuple[int, int, int, str, str, int, int, bool]] = field(default_factory=set)
    withheld: set[tuple[int, int, str, str, int, int]] = field(default_factory=set)


def match(
    records: Sequence[ScanRecord],
    sets: Sequence[NaiveSet],
    radii: dict[str, int],
    min_quality: int = 50,
    flood_limit: int = 100,
    flood_kept: int = 5,
) -> NaiveOutcome:
    """What match_batch must find and withhold. ``radii`` are the general distances, by algorithm ("pdq", "phash")."""
    outcome = NaiveOutcome()
    for number, record in enumerate(records):
        exact = {
            (s, row): agreed
            for s, known in enumerate(sets)
            for row, entry in enumerate(known.entries)
            if (agreed := _agreement(record, entry)) is not None
        }
        for (s, row), (algorithm, contradicted) in exact.items():
            outcome.matches.add((number, s, row, "exact", algorithm, 0, 0, contradicted))
        if any(sets[s].negative and algorithm != "md5" and not bad for (s, _), (algorithm, bad) in exact.items()):
            continue
        harmless = {
            algorithm: min(
                (
                    found[0]
                    for known in sets
                    if known.negative
                    for entry in known.entries
                    if (found := _nearest(record, algorithm, entry, known.radii.get(algorithm, radius), min_quality))
                ),
                default=None,
            )
            for algorithm, radius in radii.items()
        }
        for s, known in enumerate(sets):
            if known.negative:
                continue
            taken = {row for of, row in exact if of == s}
            for algorithm, radius in radii.items():
                near = {
                    row: found
                    for row, entry in enumerate(known.entries)
                    if row not in taken
                    and (found := _nearest(record, algorithm, entry, known.radii.get(algorithm, radius), min_quality))
                }
                taken |= set(near)
                limit = harmless[algorithm]
                spared = {row: found for row, found in near.items() if limit is None or found[0] <= limit}
                suppressed = [found[0] for row, found in near.items() if row not in spared]
                if suppressed:
                    outcome.withheld.add((number, s, "not-this", algorithm, len(suppressed), min(suppressed)))
                nearest_first = sorted(spared, key=lambda row: (spared[row][0], row))
                listed = nearest_first[:flood_kept] if len(spared) > flood_limit else nearest_first
                dropped = [spared[row][0] for row in nearest_first[len(listed) :]]
                if dropped:
                    outcome.withheld.add((number, s, "flood", algorithm, len(dropped), min(dropped)))
                for row in listed:
                    bits, turn = spared[row]
                    outcome.matches.add((number, s, row, "near", algorithm, bits, turn, False))
    return outcome


def _agreement(record: ScanRecord, entry: NaiveEntry) -> tuple[str, bool] | None:
    """(strongest agreeing digest, whether a stronger one of the entry disagrees), None if nothing agrees."""
    digests = record.examination.digests
    if digests is None:
        return None
    contradicted = False
    for algorithm in _STRENGTH:
        if algorithm not in entry.digests:
            continue
        if entry.digests[algorithm] == getattr(digests, algorithm):
            return algorithm, contradicted
        contradicted = True
    return None


def _nearest(
    record: ScanRecord, algorithm: str, entry: NaiveEntry, radius: int, min_quality: int
) -> tuple[int, int] | None:
    """The smallest distance of usable hashes within the radius and its orientation, None if there is none."""
    gate = min_quality if algorithm == "pdq" else 0
    found = [
        (distance(mine, theirs), turn)
        for mine, turn, quality in _hashes(record, algorithm)
        for theirs, listed_quality in getattr(entry, algorithm)
        if mine not in _FLAT[algorithm]
        and theirs not in _FLAT[algorithm]
        and (quality is None or quality >= gate)
        and (listed_quality is None or listed_quality >= gate)
    ]
    return min((pair for pair in found if pair[0] <= radius), default=None)


def _hashes(record: ScanRecord, algorithm: str) -> list[tuple[bytes, int, int | None]]:
    """The hashes of one kind of a still picture: (value, orientation, quality)."""
    found = []
    for item in record.examination.hashes:
        if item.frame_time is not None:
            continue
        if item.algorithm == algorithm:
            found.append((item.value, 0, item.quality))
        elif item.algorithm == _TURNED.get(algorithm):
            found += [(item.value[32 * k : 32 * k + 32], 1 + k, item.quality) for k in range(7)]
    return found
