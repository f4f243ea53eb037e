"""The oracle of films against listed videos: what agrees, by which frames, in which part, in plain Python."""

from __future__ import annotations

from collections.abc import Sequence

from caid_triage.match.naive import FLAT, NaiveOutcome, NaiveSet, distance, turned
from caid_triage.match.options import MatchOptions
from caid_triage.model import Kind, ScanRecord


def match_film(
    outcome: NaiveOutcome,
    number: int,
    record: ScanRecord,
    s: int,
    sets: Sequence[NaiveSet],
    taken: set[int],
    options: MatchOptions,
) -> None:
    """What of record ``number`` must be found and withheld in set ``s``; ``taken`` are rows that match anyway."""
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
            if item.frame_time is not None and item.algorithm == "pdq" and item.value not in FLAT["pdq"]
            if item.quality is None or item.quality >= gate
        ),
        key=lambda frame: frame[0],
    )
    videos = {
        row: [
            (value, time)
            for value, quality, time in entry.frames
            if value not in FLAT["pdq"] and (quality is None or quality >= gate)
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
