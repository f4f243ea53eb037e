"""Films against the listed videos of a set, frame by frame: which show the same, how much of each, and where.

Two frames agree when their PDQ hashes differ in no more bits than the set's distance, with the quality of both good
enough (vPDQ's rule). A film and a listed video agree when most of the frames of one of them are found in the other (a
clip in a compilation, a compilation by its parts), or when several different frames are (a part of both). One
orientation is used for all frames of a pair. The rule is :func:`agrees`; match/naive_films.py says it in plain Python.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from caid_triage.hashset.algorithms import Bytes, Rows, Words, big_endian_words, first_of_runs
from caid_triage.hashset.frames import VideoFrames
from caid_triage.hashset.manifest import FRAME_UNKNOWN, QUALITY_UNKNOWN
from caid_triage.hashset.store import HashSet
from caid_triage.match.film_parts import AGREES, best_part, gap_weight, strip
from caid_triage.match.looks import ORIENTATIONS
from caid_triage.match.near import flat
from caid_triage.match.options import MatchOptions
from caid_triage.match.turns import turned_hashes
from caid_triage.model import Kind, ScanRecord, VideoAgreement

ALGORITHM = "vpdq"
_SPAN = 1 << 40  # more than a set has frames
_QUERIES = 512  # looked up together: bounds the pairs that are held at once


@dataclass(frozen=True, slots=True)
class Film:
    """The usable frames of one file in order of time: uint8[n, 32], seconds, and which of them are one look.

    ``looks`` numbers the frames: a frame within the distance of an earlier number's first frame has that number.
    """

    position: int
    hashes: Bytes
    times: NDArray[np.float64]
    looks: Rows


@dataclass(frozen=True, slots=True)
class VideoPair:
    """A film and a listed video that agree. ``video`` is its place among the set's videos, ``row`` its record."""

    position: int
    video: int
    row: int
    distance: int
    turn: int
    agreement: VideoAgreement


@dataclass(frozen=True, slots=True)
class FilmMatches:
    """The listed videos that one film agrees with, ascending, and the median distances of those that it agrees with

    only by frames which many listed videos have.
    """

    position: int
    pairs: list[VideoPair]
    common: list[tuple[int, int]]


def agrees(
    met: int, frames: int, listed_met: int, listed_frames: int, looks: int, options: MatchOptions
) -> tuple[bool, bool]:
    """Whether a film and a listed video show mostly the same, and whether they are proposed: that, or a part is.

    ``met`` of ``frames`` agree, in ``looks`` different ones.
    """
    if not met or not listed_met:
        return False, False
    of_file = 100 * met >= options.video_share * frames
    of_listed = 100 * listed_met >= options.video_share * listed_frames
    mostly = (of_file or of_listed) and (looks >= options.video_looks or (of_file and of_listed))
    return mostly, mostly or looks >= options.video_part


def films_of(records: Sequence[ScanRecord], wanted: NDArray[np.bool_], min_quality: int, radius: int) -> Iterator[Film]:
    """The films of a batch that have usable frames: quality where stated, and not flat."""
    for position in np.flatnonzero(wanted).tolist():
        examination = records[position].examination
        if examination.kind is not Kind.VIDEO:
            continue
        found = sorted(
            (
                (item.frame_time if isfinite(item.frame_time) else 0.0, number, item.value)
                for number, item in enumerate(examination.hashes)
                if item.frame_time is not None
                and item.algorithm == "pdq"
                and len(item.value) == 32
                and (item.quality is None or item.quality >= min_quality)
            ),
            key=lambda frame: frame[:2],
        )
        hashes = np.frombuffer(b"".join(value for *_, value in found), dtype=np.uint8).reshape(-1, 32)
        usable = ~flat(big_endian_words(hashes).T, "pdq")
        if usable.any():
            hashes = hashes[usable]
            times = np.array([time for time, *_ in found])[usable]
            yield Film(position, hashes, times, _looks(big_endian_words(hashes), radius))


def _looks(words: Words, radius: int) -> Rows:
    """The number of each hash's look: that of the first earlier look's first hash within ``radius``, else a new one."""
    first: list[int] = []
    numbers = np.empty(len(words), dtype=np.int64)
    for place, word in enumerate(words):
        distances = np.bitwise_count(words[first] ^ word).sum(axis=1, dtype=np.int64)
        near = np.flatnonzero(distances <= radius)
        numbers[place] = near[0] if near.size else len(first)
        if not near.size:
            first.append(place)
    return numbers


class ListedVideos:
    """The videos of one set, ready to be compared with films."""

    def __init__(self, hashset: HashSet, options: MatchOptions) -> None:
        self._hashset = hashset
        self._options = options
        self._radius = options.radius(hashset, "pdq") if hashset.counts.get("pdq", 0) else 0
        self._frames: VideoFrames = hashset.videos
        quality = hashset.pdq_quality()[self._frames.entries]
        good = (quality == QUALITY_UNKNOWN) | (quality >= options.pdq_min_quality)
        self._usable = good & self._shows(self._frames.entries)
        self._video_of = np.repeat(np.arange(len(self._frames.videos)), np.diff(self._frames.start))
        self._sizes = np.bincount(self._video_of[self._usable], minlength=len(self._frames.videos))

    def _shows(self, entries: Rows) -> NDArray[np.bool_]:
        """Which frames' hashes are not flat: few are, so they are found by looking for the flat ones."""
        shows = np.ones(len(entries), dtype=np.bool_)
        if len(entries):
            ends = np.zeros((2, 32), dtype=np.uint8)
            ends[1] = 255
            _, unique, _ = self._hashset.near_unique("pdq", ends, 0)
            flat_entries, _ = self._hashset.entries_of("pdq", unique)
            places = self._frames.places_of(flat_entries)
            shows[places[places >= 0]] = False
        return shows

    def matches(self, film: Film) -> FilmMatches:
        """The listed videos that this film agrees with."""
        nothing = FilmMatches(film.position, [], [])
        if not len(self._frames.videos):
            return nothing
        met, listed = self._search(film.hashes, np.arange(len(film.hashes)))
        scores = self._scores(film, met, listed)
        ruled = {key for key, score in scores.items() if score.agrees(self._options)[1]}
        if not ruled:
            return nothing
        mostly = {video for (_, video), score in scores.items() if score.agrees(self._options)[0]}
        common = self._common(met, mostly)
        if common.any():
            met = met.where(~common[met.turns, met.frames])
            turns, frames = np.nonzero(common)
            _, touched = self._search(film.hashes, frames, turns)
            listed = listed.without(touched)
            again = self._scores(film, met, listed, common.sum(axis=1), touched)
            held = {key: scores[key] for key in ruled if key not in again or not again[key].agrees(self._options)[1]}
            kept = {key: again[key] for key in ruled if key not in held}
        else:
            touched, held = listed.where(np.zeros(len(listed.frames), dtype=np.bool_)), {}
            kept = {key: scores[key] for key in ruled}
        best: dict[int, tuple[int, int, int]] = {}
        for (turn, video), score in kept.items():
            best[video] = min(best.get(video, (1, 0, 0)), (-score.met, score.distance, turn))
        pairs = [
            self._pair(film, kept[turn, video], met, listed, common[turn], touched)
            for video, (_, _, turn) in sorted(best.items())
        ]
        lost: dict[int, int] = {}
        for (_, video), score in held.items():
            if video not in best:
                lost[video] = min(lost.get(video, score.distance), score.distance)
        return FilmMatches(film.position, pairs, sorted(lost.items()))

    def _search(self, hashes: Bytes, frames: Rows, turns: Rows | None = None) -> tuple[_Met, _Listed]:
        """Which videos each frame of a film meets in each orientation and how near, and which listed frames are met.

        ``frames`` are places of the film's hashes, looked up in all orientations, or in those of ``turns``.
        """
        whole = turned_hashes(hashes)
        whole = np.concatenate([hashes[:, None], whole], axis=1)
        if turns is None:
            turns = np.repeat(np.arange(len(ORIENTATIONS)), len(frames))
            frames = np.tile(frames, len(ORIENTATIONS))
        mets, listeds = [], []
        for begin in range(0, len(frames), _QUERIES):
            frame, turn = frames[begin : begin + _QUERIES], turns[begin : begin + _QUERIES]
            queries, unique, bits = self._hashset.near_unique("pdq", whole[frame, turn], self._radius)
            entries, source = self._hashset.entries_of("pdq", unique)
            places = self._frames.places_of(entries)
            keep = places >= 0
            keep[keep] = self._usable[places[keep]]
            places, queries, bits = places[keep], queries[source[keep]], bits[source[keep]]
            mets.append(_Met(turn[queries], frame[queries], self._video_of[places], bits.astype(np.int64)).nearest())
            listeds.append(_Listed(turn[queries], places).each())
        return _Met.joined(mets), _Listed.joined(listeds)

    def _scores(
        self,
        film: Film,
        met: _Met,
        listed: _Listed,
        common: Rows | None = None,
        touched: _Listed | None = None,
    ) -> dict[tuple[int, int], _Score]:
        """What each orientation of the film has in common with each video, common frames left out."""
        count = len(self._sizes)
        keys, starts, counts = np.unique(met.turns * count + met.videos, return_index=True, return_counts=True)
        turns, videos = keys // count, keys % count
        frames = len(film.hashes) - (np.zeros(len(keys), dtype=np.int64) if common is None else common[turns])
        listed_met = self._counted(listed, keys)
        listed_frames = self._sizes[videos] - (0 if touched is None else self._counted(touched, keys))
        share = self._options.video_share
        possible = (100 * counts >= share * frames) | (100 * listed_met >= share * listed_frames)
        possible |= counts >= self._options.video_part
        found = {}
        for place in np.flatnonzero(possible).tolist():
            size, turn, video = int(counts[place]), int(turns[place]), int(videos[place])
            part = slice(starts[place], starts[place] + size)
            found[turn, video] = _Score(
                turn=turn,
                video=video,
                met=size,
                frames=int(frames[place]),
                listed_met=int(listed_met[place]),
                listed_frames=int(listed_frames[place]),
                looks=len(np.unique(film.looks[met.frames[part]])),
                distance=int(np.sort(met.distances[part])[(size - 1) // 2]),
            )
        return found

    def _counted(self, listed: _Listed, keys: Rows) -> Rows:
        """How many of these listed frames each key has: an orientation of the film and a video in one number."""
        met, counts = np.unique(self._keys(listed), return_counts=True)
        if not len(met):
            return np.zeros(len(keys), dtype=np.int64)
        place = np.minimum(np.searchsorted(met, keys), len(met) - 1)
        return np.where(met[place] == keys, counts[place], 0)

    def _keys(self, listed: _Listed) -> Rows:
        return listed.turns * len(self._sizes) + self._video_of[listed.frames]

    def _common(self, met: _Met, mostly: set[int]) -> NDArray[np.bool_]:
        """bool[orientations, frames]: which frames too many videos have that do not show mostly the same."""
        others = met.where(~np.isin(met.videos, list(mostly)))
        frames = int(met.frames.max(initial=-1)) + 1
        counts = np.zeros((len(ORIENTATIONS), frames), dtype=np.int64)
        np.add.at(counts, (others.turns, others.frames), 1)
        return np.asarray(counts > self._options.video_common)

    def _pair(
        self, film: Film, score: _Score, met: _Met, listed: _Listed, common: NDArray[np.bool_], touched: _Listed
    ) -> VideoPair:
        """The outcome for one video, with the part of either that agrees best."""
        frames, video = self._frames, score.video
        begin, end = frames.start[video], frames.start[video + 1]
        usable = self._usable[begin:end]
        own, theirs = np.round(film.times * 1000).astype(np.int64), frames.times[begin:end][usable].astype(np.int64)
        agree = np.full(len(film.hashes), -gap_weight(own, theirs))
        agree[np.flatnonzero(common)] = 0
        agree[met.frames[(met.turns == score.turn) & (met.videos == video)]] = AGREES
        listed_agree = np.where(usable, -gap_weight(theirs, own), 0)
        for places, value in ((touched, 0), (listed, AGREES)):
            of_turn = places.frames[places.turns == score.turn]
            listed_agree[of_turn[(of_turn >= begin) & (of_turn < end)] - begin] = value
        first, last = best_part(agree)
        listed_times = [None if time == FRAME_UNKNOWN else time / 1000 for time in frames.times[begin:end].tolist()]
        listed_first, listed_last = best_part(listed_agree)
        return VideoPair(
            position=film.position,
            video=video,
            row=int(frames.videos[video]),
            distance=score.distance,
            turn=score.turn,
            agreement=VideoAgreement(
                frames=score.frames,
                met=score.met,
                listed_frames=score.listed_frames,
                listed_met=score.listed_met,
                first_s=float(film.times[first]),
                last_s=float(film.times[last]),
                listed_first_s=listed_times[listed_first],
                listed_last_s=listed_times[listed_last],
                strip=strip(agree, film.times.tolist()),
                listed_strip=strip(listed_agree, listed_times),
            ),
        )


@dataclass(frozen=True, slots=True)
class _Score:
    """What one orientation of a film and one listed video have in common."""

    turn: int
    video: int
    met: int
    frames: int
    listed_met: int
    listed_frames: int
    looks: int
    distance: int

    def agrees(self, options: MatchOptions) -> tuple[bool, bool]:
        """Whether they show mostly the same, and whether they are proposed."""
        return agrees(self.met, self.frames, self.listed_met, self.listed_frames, self.looks, options)


@dataclass(frozen=True, slots=True)
class _Met:
    """Each orientation and frame of a film and each video that it meets, once, with the nearest distance.

    Sorted by orientation, video and frame.
    """

    turns: Rows
    frames: Rows
    videos: Rows
    distances: Rows

    def where(self, keep: NDArray[np.bool_] | Rows) -> _Met:
        return _Met(self.turns[keep], self.frames[keep], self.videos[keep], self.distances[keep])

    def nearest(self) -> _Met:
        order = np.lexsort((self.distances, self.frames, self.videos, self.turns))
        found = self.where(order)
        return found.where(first_of_runs(found.turns, found.videos, found.frames))

    @classmethod
    def joined(cls, parts: Sequence[_Met]) -> _Met:
        names = ("turns", "frames", "videos", "distances")
        nothing = [np.zeros(0, dtype=np.int64)]
        return cls(*(np.concatenate(nothing + [getattr(part, name) for part in parts]) for name in names)).nearest()


@dataclass(frozen=True, slots=True)
class _Listed:
    """Each orientation of a film and each frame of the set that it meets, once, sorted."""

    turns: Rows
    frames: Rows

    def where(self, keep: NDArray[np.bool_]) -> _Listed:
        return _Listed(self.turns[keep], self.frames[keep])

    def each(self) -> _Listed:
        turns, frames = np.divmod(np.unique(self.turns * _SPAN + self.frames), _SPAN)
        return _Listed(turns, frames)

    def without(self, others: _Listed) -> _Listed:
        return self.where(~np.isin(self.turns * _SPAN + self.frames, others.turns * _SPAN + others.frames))

    @classmethod
    def joined(cls, parts: Sequence[_Listed]) -> _Listed:
        nothing = [np.zeros(0, dtype=np.int64)]
        return cls(
            np.concatenate(nothing + [part.turns for part in parts]),
            np.concatenate(nothing + [part.frames for part in parts]),
        ).each()
