"""The oracle: what matching means, in plain Python, slow and easy to read. Tests hold every fast path against it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from caid_triage.model import PerceptualHash, ScanRecord

_STRENGTH = ("sha256", "sha1", "md5")
_FLAT = {
    "pdq": (b"\x00" * 32, b"\xff" * 32),
    "phash": (b"\x00" * 8, b"\x80" + b"\x00" * 7, b"\xff" * 8),
}


@dataclass(frozen=True, slots=True)
class NaiveEntry:
    """One record of a set as the oracle sees it; perceptual hashes are (bytes, quality or None)."""

    digests: dict[str, bytes] = field(default_factory=dict)
    pdq: tuple[tuple[bytes, int | None], ...] = ()
    phash: tuple[tuple[bytes, int | None], ...] = ()


@dataclass(frozen=True, slots=True)
class NaiveSet:
    """A set as the oracle sees it: entry i is record row i."""

    entries: Sequence[NaiveEntry]
    known_good: bool = False


# (record, set, record row, "exact" or "near", algorithm, distance, contradicted)
NaiveMatch = tuple[int, int, int, str, str, int, bool]


def exact(entries: Sequence[bytes | None], queries: Sequence[bytes]) -> list[tuple[int, int]]:
    """All (query, entry) with equal digests, sorted."""
    return [(q, r) for q, query in enumerate(queries) for r, entry in enumerate(entries) if entry == query]


def near(entries: Sequence[Sequence[bytes]], queries: Sequence[bytes], radius: int) -> list[tuple[int, int, int]]:
    """All (query, entry, distance) within ``radius`` bits, sorted; an entry with several hashes gives its nearest."""
    found = []
    for q, query in enumerate(queries):
        for r, hashes in enumerate(entries):
            distances = [distance(query, value) for value in hashes]
            if distances and min(distances) <= radius:
                found.append((q, r, min(distances)))
    return found


def distance(a: bytes, b: bytes) -> int:
    """How many bits differ."""
    return sum((x ^ y).bit_count() for x, y in zip(a, b, strict=True))


def near_photodna(entries: Sequence[bytes], queries: Sequence[bytes], threshold: int) -> list[tuple[int, int, int]]:
    """All (query, entry, squared distance) within ``threshold``, sorted."""
    pairs = [(q, r, squared_distance(a, b)) for q, a in enumerate(queries) for r, b in enumerate(entries)]
    return [pair for pair in pairs if pair[2] <= threshold]


def squared_distance(a: bytes, b: bytes) -> int:
    """The sum of the squared differences of the bytes."""
    return sum((x - y) ** 2 for x, y in zip(a, b, strict=True))


def match(
    records: Sequence[ScanRecord],
    sets: Sequence[NaiveSet],
    pdq_radius: int = 31,
    pdq_min_quality: int = 50,
    phash_radius: int = 8,
) -> set[NaiveMatch]:
    """What match_records must find, as a set."""
    found: set[NaiveMatch] = set()
    for number, record in enumerate(records):
        exact_found = [
            (number, s, row, "exact", *agreement)
            for s, known in enumerate(sets)
            for row, entry in enumerate(known.entries)
            if (agreement := _agreement(record, entry)) is not None
        ]
        found.update(exact_found)
        if any(sets[s].known_good and algorithm != "md5" and not bad for _, s, _, _, algorithm, _, bad in exact_found):
            continue
        exact_pairs = {(s, row) for _, s, row, *_ in exact_found}
        for s, known in enumerate(sets):
            for row, entry in enumerate(known.entries):
                if known.known_good or (s, row) in exact_pairs:
                    continue
                pdq = _nearest(record.examination.hashes, "pdq", entry.pdq, pdq_radius, pdq_min_quality)
                phash = _nearest(record.examination.hashes, "phash", entry.phash, phash_radius, 0)
                if pdq is not None:
                    found.add((number, s, row, "near", "pdq", pdq, False))
                elif phash is not None:
                    found.add((number, s, row, "near", "phash", phash, False))
    return found


def _agreement(record: ScanRecord, entry: NaiveEntry) -> tuple[str, int, bool] | None:
    """(strongest agreeing digest, 0, whether a stronger one of the entry disagrees), None if nothing agrees."""
    digests = record.examination.digests
    if digests is None:
        return None
    contradicted = False
    for algorithm in _STRENGTH:
        if algorithm not in entry.digests:
            continue
        if entry.digests[algorithm] == getattr(digests, algorithm):
            return algorithm, 0, contradicted
        contradicted = True
    return None


def _nearest(
    hashes: Sequence[PerceptualHash],
    algorithm: str,
    entry: Sequence[tuple[bytes, int | None]],
    radius: int,
    min_quality: int,
) -> int | None:
    """The smallest distance of usable hashes within the radius, None if there is none."""
    distances = [
        distance(mine.value, theirs)
        for mine in hashes
        for theirs, quality in entry
        if mine.algorithm == algorithm
        and mine.frame_time is None
        and mine.value not in _FLAT[algorithm]
        and theirs not in _FLAT[algorithm]
        and (mine.quality is None or mine.quality >= min_quality)
        and (quality is None or quality >= min_quality)
    ]
    within = [bits for bits in distances if bits <= radius]
    return min(within, default=None)
