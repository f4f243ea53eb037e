"""The oracle of match_batch: what matching means, record by record and entry by entry, in plain Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from caid_triage.match.chance import expected_chance_matches
from caid_triage.match.naive import NaiveEntry, distance
from caid_triage.match.options import MatchOptions
from caid_triage.match.turns import TURNS, source_of
from caid_triage.model import Kind, ScanRecord
from caid_triage.perceptual import HASH_BYTES, LOOKS, hash_name

_STRENGTH = ("sha256", "sha1", "md5")
_FLAT = {
    "pdq": (b"\x00" * 32, b"\xff" * 32),
    "phash": (b"\x00" * 8, b"\x80" + b"\x00" * 7, b"\xff" * 8),
}
_LOOKS = ("", *LOOKS)

# (record, set, row, "exact", "near" or "video", algorithm, distance, orientation, contradicted, look)
NaiveMatchRow = tuple[int, int, int, str, str, int, int, bool, str]
# (distance, (0 and the number of a look, or 1 and the milliseconds of a frame), orientation)
_Near = tuple[int, tuple[int, int], int]


@dataclass(frozen=True, slots=True)
class NaiveSet:
    """A set as the oracle sees it: entry i is record row i. ``radii`` are its own distances, by algorithm."""

    entries: Sequence[NaiveEntry]
    negative: bool = False
    radii: dict[str, int] = field(default_factory=dict)

    def radius(self, algorithm: str, options: MatchOptions) -> int:
        """The distance that is in force."""
        general = {"pdq": options.pdq_radius, "phash": options.phash_radius}
        return self.radii.get(algorithm, general[algorithm])

    def lead_limits(self, options: MatchOptions) -> tuple[str, int, int] | None:
        """("all", "upright" or "stored" hashes are asked, the limit of the stored pixels, that of the others), or None.

        Tried out bit by bit: the farther, the more matches chance makes; 42 of 43 questions are of other looks.
        """
        entries = sum(len(entry.pdq) + len(entry.frames) for entry in self.entries)
        if options.leads == "off" or not entries or "pdq" in self.radii:
            return None
        if options.leads != "auto":
            return ("all", int(options.leads), int(options.leads)) if int(options.leads) > options.pdq_radius else None
        stored = looks = 0
        for bits in range(257):
            by_stored = expected_chance_matches("pdq", bits, entries, options.lead_pictures)
            by_looks = expected_chance_matches("pdq", bits, entries, options.lead_pictures * 43)
            assert by_stored is not None
            assert by_looks is not None
            stored = bits if bits <= 85 and by_stored <= 0.5 else stored
            looks = bits if bits <= 75 and by_looks <= 0.5 else looks
        if stored <= options.pdq_radius:
            return None
        for asked, questions in (("all", 43), ("upright", 15), ("stored", 1)):
            if entries * questions <= options.lead_comparisons:
                return asked, stored, max(looks, options.pdq_radius)
        return None


@dataclass(slots=True)
class NaiveOutcome:
    """What must be found, what of videos (record, set, row, median distance, orientation, met, frames, listed met,

    listed frames, first and last millisecond in the file, the same in the listed video), and what must be withheld:
    (record, set, reason, algorithm, count, nearest).
    """

    matches: set[NaiveMatchRow] = field(default_factory=set)
    videos: set[tuple[int | None, ...]] = field(default_factory=set)
    withheld: set[tuple[int, int, str, str, int, int]] = field(default_factory=set)


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
                _match_film(outcome, number, record, s, sets, taken, options)
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

    ``hashes``: "" all, "stored" the stored pixels as they are, "looks" the others. ``asked`` as in _lead_limits.
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
            if mine in _FLAT[algorithm] or theirs in _FLAT[algorithm]:
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


def turned(value: bytes) -> list[bytes]:
    """The seven other orientations of a PDQ hash, bit by bit."""
    bits = f"{int.from_bytes(value):0256b}"
    found = []
    for turn in TURNS:
        sources = [source_of(bit, *turn) for bit in range(256)]
        found.append(int("".join(str(int(bits[place]) ^ changed) for place, changed in sources), 2).to_bytes(32))
    return found


def _match_film(
    outcome: NaiveOutcome,
    number: int,
    record: ScanRecord,
    s: int,
    sets: Sequence[NaiveSet],
    taken: set[int],
    options: MatchOptions,
) -> None:
    harmless = [pair[0] for known in sets if known.negative for pair in _agreeing(record, known, options)[0].values()]
    limit = min(harmless, default=None)
    found, common = _agreeing(record, sets[s], options)
    found = {row: pair for row, pair in found.items() if row not in taken}
    spared = {row: pair for row, pair in found.items() if limit is None or pair[0] <= limit}
    nearest_first = sorted(spared, key=lambda row: (spared[row][0], row))
    kept = nearest_first[: options.flood_kept] if len(spared) > options.flood_limit else nearest_first
    for reason, distances in (
        ("common", [bits for row, bits in common.items() if row not in taken]),
        ("not-this", [pair[0] for row, pair in found.items() if row not in spared]),
        ("flood", [spared[row][0] for row in nearest_first[len(kept) :]]),
    ):
        if distances:
            outcome.withheld.add((number, s, reason, "vpdq", len(distances), min(distances)))
    for row in kept:
        outcome.matches.add((number, s, row, "video", "vpdq", spared[row][0], spared[row][1], False, ""))
        outcome.videos.add((number, s, row, *spared[row]))


_Pair = tuple[int, int, int, int, int, int, int, int, int | None, int | None]


def _agreeing(record: ScanRecord, known: NaiveSet, options: MatchOptions) -> tuple[dict[int, _Pair], dict[int, int]]:
    """The listed videos that agree with the film, by row, and those that do only by frames which many have."""
    if record.examination.kind is not Kind.VIDEO:
        return {}, {}
    gate, radius = options.pdq_min_quality, known.radius("pdq", options)
    film = sorted(
        (
            (item.frame_time, item.value)
            for item in record.examination.hashes
            if item.frame_time is not None and item.algorithm == "pdq" and item.value not in _FLAT["pdq"]
            if item.quality is None or item.quality >= gate
        ),
        key=lambda frame: frame[0],
    )
    videos = {
        row: [
            (value, time)
            for value, quality, time in entry.frames
            if value not in _FLAT["pdq"] and (quality is None or quality >= gate)
        ]
        for row, entry in enumerate(known.entries)
        if entry.frames
    }
    looks = _look_numbers([value for _, value in film], options.pdq_radius)
    turns = [[value, *turned(value)] for _, value in film]
    bits = {
        (turn, row): [[distance(of[turn], value) for value, _ in frames] for of in turns]
        for row, frames in videos.items()
        for turn in range(8)
    }
    none: set[int] = set()
    first = {key: _scored(of, looks, none, radius, options) for key, of in bits.items()}
    ruled = {row for (_, row), score in first.items() if score is not None}
    mostly = {row for (_, row), score in first.items() if score is not None and score[4]}
    common = {
        turn: {
            place
            for place in range(len(film))
            if sum(min(bits[turn, row][place], default=257) <= radius for row in videos if row not in mostly)
            > options.video_common
        }
        for turn in range(8)
    }
    found: dict[int, _Pair] = {}
    lost: dict[int, int] = {}
    for row in ruled:
        possible = [turn for turn in range(8) if first[turn, row] is not None]
        scores = {turn: _scored(bits[turn, row], looks, common[turn], radius, options) for turn in possible}
        best = min(((-len(score[0]), _median(score[2]), turn) for turn, score in scores.items() if score), default=None)
        if best is None:
            lost[row] = min(_median(score[2]) for turn in possible if (score := first[turn, row]))
            continue
        turn = best[2]
        score = scores[turn]
        assert score is not None
        met, listed_met, _, touched, _ = score
        own, theirs = [round(time * 1000) for time, _ in film], [time for _, time in videos[row]]
        gap, listed_gap = _gap_weight(own, theirs), _gap_weight(theirs, own)
        agree = [0 if k in common[turn] else 1000 if k in met else -gap for k in range(len(film))]
        listed = [0 if k in touched else 1000 if k in listed_met else -listed_gap for k in range(len(videos[row]))]
        a, b = _best_part(agree)
        c, d = _best_part(listed)
        times = (round(film[a][0] * 1000), round(film[b][0] * 1000), videos[row][c][1], videos[row][d][1])
        frames = len(film) - len(common[turn]), len(videos[row]) - len(touched)
        found[row] = (best[1], turn, len(met), frames[0], len(listed_met), frames[1], *times)
    return found, lost


def _scored(
    bits: list[list[int]], looks: list[int], common: set[int], radius: int, options: MatchOptions
) -> tuple[set[int], set[int], list[int], set[int], bool] | None:
    """(frames met, listed frames met, distances of the frames met, listed frames left out, whether most of one agrees)

    if the rule is kept.
    """
    count = len(bits[0]) if bits else 0
    met = {k for k, of in enumerate(bits) if k not in common and min(of, default=257) <= radius}
    touched = {j for j in range(count) if any(bits[k][j] <= radius for k in common)}
    listed_met = {j for j in range(count) if j not in touched and any(bits[k][j] <= radius for k in met)}
    if not met or not listed_met:
        return None
    of_file = 100 * len(met) >= options.video_share * (len(bits) - len(common))
    of_listed = 100 * len(listed_met) >= options.video_share * (count - len(touched))
    different = len({looks[k] for k in met})
    mostly = (of_file or of_listed) and (different >= options.video_looks or (of_file and of_listed))
    if mostly or different >= options.video_part:
        return met, listed_met, [min(bits[k]) for k in met], touched, mostly
    return None


def _look_numbers(hashes: list[bytes], radius: int) -> list[int]:
    first: list[bytes] = []
    numbers = []
    for value in hashes:
        near = [place for place, other in enumerate(first) if distance(value, other) <= radius]
        numbers.append(near[0] if near else len(first))
        if not near:
            first.append(value)
    return numbers


def _median(distances: list[int]) -> int:
    return sorted(distances)[(len(distances) - 1) // 2]


def _gap_weight(times: Sequence[int | None], others: Sequence[int | None]) -> int:
    """1000 for a film looked at as rarely as the other, less in proportion where it was looked at more often."""
    known = [[time for time in of if time is not None] for of in (times, others)]
    if [len(of) for of in known] != [len(times), len(others)] or min(map(len, known)) < 2:
        return 1000
    (first, *_, last), (other_first, *_, other_last) = known
    if last <= first or other_last <= other_first:
        return 1000
    ours, other = (last - first) * (len(others) - 1), (other_last - other_first) * (len(times) - 1)
    return min(1000, max(1, 1000 * ours // other))


def _best_part(agree: list[int]) -> tuple[int, int]:
    """The stretch of the greatest sum: of equals the one that ends first, then the shortest."""
    stretches = [(a, b) for b in range(len(agree)) for a in range(b + 1)]
    return max(stretches, key=lambda s: (sum(agree[s[0] : s[1] + 1]), -s[1], s[0]))
