"""The oracle of match_batch: what matching means, record by record and entry by entry, in plain Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from caid_triage.match.naive import FLAT, NaiveEntry, NaiveOutcome, NaiveSet, distance, turned
from caid_triage.match.naive_films import match_film
from caid_triage.match.options import MatchOptions
from caid_triage.model import Kind, ScanRecord
from caid_triage.perceptual import HASH_BYTES, LOOKS, hash_name

_STRENGTH = ("sha256", "sha1", "md5")
_LOOKS = ("", *LOOKS)

# (distance, (0 and the number of a look, or 1 and the milliseconds of a frame), orientation)
_Near = tuple[int, tuple[int, int], int]


def match(records: Sequence[ScanRecord], sets: Sequence[NaiveSet], options: MatchOptions) -> NaiveOutcome:
    """What match_batch must find and withhold, of PDQ and pHash."""
    outcome = NaiveOutcome()
    for number, record in enumerate(records):
        exact = {
            (s, row): agreed
            for s, known in enumerate(sets)
            for row, entry in enumerate(known.entries)
            if (agreed := _agreement(record, entry)) is not None
        }
        for (s, row), (algorithm, contradicted) in exact.items():
            outcome.matches.add((number, s, row, "exact", algorithm, 0, 0, contradicted, ""))
        if any(sets[s].negative and algorithm != "md5" and not bad for (s, _), (algorithm, bad) in exact.items()):
            continue
        for s, known in enumerate(sets):
            if not known.negative:
                taken = {row for of, row in exact if of == s}
                _match_looks(outcome, number, record, s, sets, set(taken), options)
                match_film(outcome, number, record, s, sets, taken, options)
    return outcome


def _match_looks(
    outcome: NaiveOutcome,
    number: int,
    record: ScanRecord,
    s: int,
    sets: Sequence[NaiveSet],
    taken: set[int],
    options: MatchOptions,
) -> None:
    for algorithm in ("pdq", "phash"):
        near: dict[int, list[tuple[object, _Near]]] = {}
        for row, entry in enumerate(sets[s].entries):
            pictures = _nearest(record, algorithm, entry, sets[s].radius(algorithm, options), options)
            if pictures and row not in taken:
                near[row] = list(pictures.items())
        taken |= set(near)

        def negatives(picture: object, algorithm: str = algorithm) -> list[int]:
            return [
                other[picture][0]
                for known in sets
                if known.negative
                for entry in known.entries
                if picture in (other := _nearest(record, algorithm, entry, known.radius(algorithm, options), options))
            ]

        _list_or_withhold(outcome, number, s, algorithm, near, negatives, options)
    _match_leads(outcome, number, record, s, sets, taken, options)


def _match_leads(
    outcome: NaiveOutcome,
    number: int,
    record: ScanRecord,
    s: int,
    sets: Sequence[NaiveSet],
    taken: set[int],
    options: MatchOptions,
) -> None:
    """PDQ beyond the strong distance, of the pictures that no entry of the set is nearer to."""
    limits = sets[s].lead_limits(options)
    agreed = [_agreement(record, entry) for entry in sets[s].entries]
    if limits is None or any(one is not None and not one[1] for one in agreed):
        return
    radius = sets[s].radius("pdq", options)
    explained = {picture for entry in sets[s].entries for picture in _nearest(record, "pdq", entry, radius, options)}
    near: dict[int, list[tuple[object, _Near]]] = {}
    for row, entry in enumerate(sets[s].entries):
        pictures = _nearest_lead(record, entry, limits, options)
        found = [(picture, best) for picture, best in pictures.items() if picture not in explained]
        if found and row not in taken:
            near[row] = found

    def negatives(picture: object) -> list[int]:
        distances = []
        for known in sets:
            wide = known.lead_limits(replace(options, lead_comparisons=1 << 60))
            for entry in known.entries if known.negative else ():
                strong = _nearest(record, "pdq", entry, known.radius("pdq", options), options)
                far = _nearest_lead(record, entry, wide, options) if wide else {}
                distances += [of[picture][0] for of in (strong, far) if picture in of]
        return distances

    _list_or_withhold(outcome, number, s, "pdq", near, negatives, options)


def _nearest_lead(
    record: ScanRecord, entry: NaiveEntry, limits: tuple[str, int, int], options: MatchOptions
) -> dict[object, _Near]:
    """For each picture of the record the nearest of the hashes that are asked about, within the limits."""
    asked, stored, looks = limits
    film = record.examination.kind is Kind.VIDEO
    found: dict[object, _Near] = {}
    for hashes in ("stored", "looks"):
        part = _nearest(record, "pdq", entry, stored if hashes == "stored" else looks, options, hashes, asked)
        for picture, best in part.items():
            if not (film and best[1][0]):
                found[picture] = min(found.get(picture, best), best)
    return found


def _list_or_withhold(
    outcome: NaiveOutcome,
    number: int,
    s: int,
    algorithm: str,
    near: dict[int, list[tuple[object, _Near]]],
    negatives: Callable[[object], list[int]],
    options: MatchOptions,
) -> None:
    """The guards: what is nearer to something harmless, then what is near too much. ``near``: by row and picture."""
    spared: dict[object, dict[int, _Near]] = {}
    for row, found in near.items():
        for picture, best in found:
            if not any(bits < best[0] for bits in negatives(picture)):
                spared.setdefault(picture, {})[row] = best
    left = {row for found_of in spared.values() for row in found_of}
    suppressed = [min(best[0] for _, best in found) for row, found in near.items() if row not in left]
    if suppressed:
        outcome.withheld.add((number, s, "not-this", algorithm, len(suppressed), min(suppressed)))
    kept: dict[int, _Near] = {}
    for found_of in spared.values():
        for row, best in _unflooded(found_of, options).items():
            kept[row] = min(kept.get(row, best), best)
    kept = _unflooded(kept, options)
    dropped = [min(of[row][0] for of in spared.values() if row in of) for row in left - set(kept)]
    if dropped:
        outcome.withheld.add((number, s, "flood", algorithm, len(dropped), min(dropped)))
    for row, (bits, (is_frame, look), turn) in kept.items():
        words = f"frame at {look / 1000:.1f} s" if is_frame else LOOKS.get(_LOOKS[look], "")
        outcome.matches.add((number, s, row, "near", algorithm, bits, turn, False, words))


def _unflooded(found: dict[int, _Near], options: MatchOptions) -> dict[int, _Near]:
    nearest_first = sorted(found, key=lambda row: (found[row][0], row))
    rows = nearest_first[: options.flood_kept] if len(found) > options.flood_limit else nearest_first
    return {row: found[row] for row in rows}


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
    record: ScanRecord,
    algorithm: str,
    entry: NaiveEntry,
    radius: int,
    options: MatchOptions,
    hashes: str = "",
    asked: str = "all",
) -> dict[object, _Near]:
    """For each picture of the record the nearest of its usable hashes within the radius.

    ``hashes``: "" all, "stored" the stored pixels as they are, "looks" the others. ``asked`` is one of lead_limits'.
    """
    gate = options.pdq_min_quality if algorithm == "pdq" else 0
    found: dict[object, _Near] = {}
    for mine, look, turn, quality in _hashes(record, algorithm):
        stored = look in ((0, 0), (0, _LOOKS.index("levels"))) and turn == 0
        if (hashes and stored != (hashes == "stored")) or (asked == "stored" and not stored):
            continue
        if asked == "upright" and turn:
            continue
        listed: list[tuple[bytes, int | None]] = list(getattr(entry, algorithm))
        if algorithm == "pdq" and not (look[0] and record.examination.kind is Kind.VIDEO):
            listed += [(value, good) for value, good, _ in entry.frames]
        for theirs, listed_quality in listed:
            if mine in FLAT[algorithm] or theirs in FLAT[algorithm]:
                continue
            if (quality is not None and quality < gate) or (listed_quality is not None and listed_quality < gate):
                continue
            bits = distance(mine, theirs)
            if bits <= (radius if stored or algorithm != "phash" else min(radius, options.phash_looks_radius)):
                picture = look if look[0] or _LOOKS[look[1]] == "thumbnail" else "its picture"
                found[picture] = min(found.get(picture, (bits, look, turn)), (bits, look, turn))
    return found


def _hashes(record: ScanRecord, algorithm: str) -> Iterator[tuple[bytes, tuple[int, int], int, int | None]]:
    """The hashes of one kind of a record: (value, look as in _Near, orientation, quality)."""
    length = HASH_BYTES[algorithm]
    for item in record.examination.hashes:
        name = hash_name(item.algorithm)
        if name.algorithm != algorithm or len(item.value) != name.hashes * length:
            continue
        look = (0, _LOOKS.index(name.look)) if item.frame_time is None else (1, max(0, round(item.frame_time * 1000)))
        values = [item.value[k * length : (k + 1) * length] for k in range(name.hashes)]
        if item.frame_time is not None and algorithm == "pdq" and not name.turned:
            values += turned(item.value)
        for place, value in enumerate(values):
            yield value, look, place + name.turned, item.quality
