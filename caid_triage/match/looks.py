"""What the pictures of a batch look like, in every look and orientation there is, and which entries of a set are near.

A *picture* is what the guards judge by itself: a file's picture in all the looks of it, its embedded thumbnail (which
may show something else), or one frame of a film or an animation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from math import isfinite
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from caid_triage.hashset.algorithms import (
    PERCEPTUAL_BYTES,
    PHOTODNA_BYTES,
    Bytes,
    Rows,
    big_endian_words,
    first_of_runs,
)
from caid_triage.hashset.store import HashSet
from caid_triage.match.near import PerceptualColumn, flat, near_pairs
from caid_triage.match.turns import turned_hashes
from caid_triage.model import Kind, PerceptualHash, ScanRecord
from caid_triage.perceptual import LOOKS, HashName, hash_name

# How the file's picture must be turned to look like the listed item, in the order of the hashes that examine/ keeps
# (upright first). Turning is counter-clockwise; "transposed" swaps rows and columns.
ORIENTATIONS = (
    "",
    "turned 90",
    "turned 180",
    "turned 270",
    "upside down",
    "mirrored",
    "transposed",
    "transposed other way",
)
LENGTHS: Mapping[str, int] = MappingProxyType({**PERCEPTUAL_BYTES, "photodna": PHOTODNA_BYTES})
NO_QUALITY = -1

# Looks by number, in the order in which the first of equally near ones is named: the stored pixels, the further looks,
# then the frames by their milliseconds.
_LOOK_NUMBERS: Mapping[str, int] = MappingProxyType({look: number for number, look in enumerate(("", *LOOKS))})
_FIRST_FRAME = len(_LOOK_NUMBERS)
_WORDS = ("", *LOOKS.values())
_THUMBNAIL = _LOOK_NUMBERS["thumbnail"]
_LAST_MILLISECOND = 10**12
# The very hash of the stored pixels, asked about by the quality at full contrast (examine/levels.py).
_LEVELS = _LOOK_NUMBERS["levels"]


def _as_stored(looks: NDArray[np.int64], turns: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Which looks are of the stored pixels as they are, upright."""
    return np.asarray(((looks == 0) | (looks == _LEVELS)) & (turns == 0))


@dataclass(frozen=True, slots=True)
class Looks:
    """The usable hashes of one kind in a batch: uint8[n, k]; of each its record, picture, look, orientation, quality.

    ``pictures`` count through the batch; ``owners`` is the record of each. ``quality`` is int16, -1 where the algorithm
    has none. ``of_films`` are frames of videos: they are compared with the listed stills only.
    """

    algorithm: str
    hashes: Bytes
    positions: Rows
    pictures: Rows
    looks: NDArray[np.int64]
    turns: NDArray[np.int8]
    quality: NDArray[np.int16]
    of_films: NDArray[np.bool_]
    owners: Rows

    @property
    def stored(self) -> NDArray[np.bool_]:
        """Which hashes are of the stored pixels, upright."""
        return _as_stored(self.looks, self.turns)

    def where(self, keep: NDArray[np.bool_]) -> Looks:
        """The hashes for which ``keep`` is true; records and pictures keep their numbers."""
        columns = ("hashes", "positions", "pictures", "looks", "turns", "quality", "of_films")
        return replace(self, **{name: getattr(self, name)[keep] for name in columns})


@dataclass(frozen=True, slots=True)
class Candidates:
    """Pairs of a picture (or a record) of the batch and a record of the set, sorted by both, each once, the nearest.

    ``looks`` and ``turns`` are the look and orientation that is nearest (the stored pixels, then upright of equals),
    ``quality`` that of the hash.
    """

    positions: Rows
    pictures: Rows
    rows: Rows
    distances: NDArray[np.int64]
    looks: NDArray[np.int64]
    turns: NDArray[np.int8]
    quality: NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.positions)

    def where(self, keep: NDArray[np.bool_] | Rows) -> Candidates:
        """The candidates for which ``keep`` is true, or those at these places."""
        return Candidates(*(getattr(self, column.name)[keep] for column in fields(self)))

    def of_records(self) -> Candidates:
        """Each pair of records once: the nearest picture of the record."""
        return _nearest(self, self.positions)

    @property
    def stored(self) -> NDArray[np.bool_]:
        """Which were found by the stored pixels, upright."""
        return _as_stored(self.looks, self.turns)


def joined(parts: Sequence[Candidates]) -> Candidates:
    """All of these, each pair of a picture and a row once, the nearest. There is at least one part."""
    columns = (np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(Candidates))
    found = Candidates(*columns)
    return _nearest(found, found.pictures)


def look_words(number: int) -> str:
    """What a report says of a look: "" for the stored pixels, "frame at 12.0 s" for a frame."""
    return _WORDS[number] if number < _FIRST_FRAME else f"frame at {(number - _FIRST_FRAME) / 1000:.1f} s"


def looks_of(records: Sequence[ScanRecord], algorithm: str, min_quality: int, wanted: NDArray[np.bool_]) -> Looks:
    """The usable hashes of one kind of the wanted records of a batch, in every look and orientation there is.

    Left out: quality below ``min_quality`` (where there is one), flat hashes, hashes of another length (a plug-in's
    mistake, or an older version's). The turned hashes of a frame are made here (match/turns.py).
    """
    length, names = LENGTHS[algorithm], dict[str, HashName]()
    values: list[bytes] = []
    found: list[tuple[int, int, int, int, int, bool]] = []
    for position in np.flatnonzero(wanted).tolist():
        examination = records[position].examination
        for item in examination.hashes:
            name = names.get(item.algorithm) or names.setdefault(item.algorithm, hash_name(item.algorithm))
            if name.algorithm != algorithm or len(item.value) != name.hashes * length:
                continue
            if item.quality is not None and item.quality < min_quality:
                continue
            values.append(item.value)
            quality = NO_QUALITY if item.quality is None else item.quality
            film = examination.kind is Kind.VIDEO and item.frame_time is not None
            found.append((position, _look_number(name, item), int(name.turned), name.hashes, quality, film))
    columns = np.array(found, dtype=np.int64).reshape(-1, 6).T
    positions, looks, first, counts, quality_of, films = np.repeat(columns, columns[3], axis=1)
    hashes = np.frombuffer(b"".join(values), dtype=np.uint8).reshape(-1, length)
    turns = first + np.arange(len(hashes)) - np.repeat(np.cumsum(columns[3]) - columns[3], columns[3])
    if algorithm == "pdq":
        frames = np.flatnonzero((looks >= _FIRST_FRAME) & (counts == 1))
        others = len(ORIENTATIONS) - 1
        hashes = np.concatenate([hashes, turned_hashes(hashes[frames]).reshape(-1, length)])
        again = np.concatenate([np.arange(len(turns)), np.repeat(frames, others)])
        turns = np.concatenate([turns, np.tile(np.arange(1, len(ORIENTATIONS)), len(frames))])
        positions, looks, quality_of, films = (column[again] for column in (positions, looks, quality_of, films))
    usable = _usable(hashes, algorithm)
    hashes = hashes[usable]
    positions, looks, turns, quality_of, films = (
        column[usable] for column in (positions, looks, turns, quality_of, films)
    )
    pictures, owners = _pictures(positions, looks)
    return Looks(
        algorithm=algorithm,
        hashes=hashes,
        positions=positions,
        pictures=pictures,
        looks=looks,
        turns=turns.astype(np.int8),
        quality=quality_of.astype(np.int16),
        of_films=films.astype(np.bool_),
        owners=owners,
    )


def _look_number(name: HashName, item: PerceptualHash) -> int:
    if item.frame_time is None:
        return _LOOK_NUMBERS[name.look]
    seconds = item.frame_time if isfinite(item.frame_time) else 0.0
    return _FIRST_FRAME + min(max(0, round(seconds * 1000)), _LAST_MILLISECOND)


def _pictures(positions: Rows, looks: NDArray[np.int64]) -> tuple[Rows, Rows]:
    """The number of each hash's picture, ascending by record, and the record of each picture."""
    shown = np.where((looks == _THUMBNAIL) | (looks >= _FIRST_FRAME), looks, 0)
    order = np.lexsort((shown, positions))
    new = first_of_runs(positions[order], shown[order])
    pictures = np.empty(len(order), dtype=np.int64)
    pictures[order] = np.cumsum(new) - 1
    return pictures, positions[order][new]


def _usable(hashes: Bytes, algorithm: str) -> NDArray[np.bool_]:
    if algorithm == "photodna":
        return np.asarray((hashes != hashes[:, :1]).any(axis=1))  # a vector of one value says nothing
    return ~flat(big_endian_words(hashes).T, algorithm)


def candidates(
    hashset: HashSet, looks: Looks, radius: int, min_quality: int, looks_radius: int | None = None
) -> Candidates:
    """All pairs of a picture and an entry within ``radius`` (bits; squared L2 for PhotoDNA), the entry usable too.

    Any other look or orientation than the stored pixels, upright, must be within ``looks_radius`` (None: the same).
    """
    queries, rows, distances = _search(hashset, looks, radius, min_quality)
    found = Candidates(
        looks.positions[queries],
        looks.pictures[queries],
        rows,
        distances.astype(np.int64),
        looks.looks[queries],
        looks.turns[queries],
        looks.quality[queries],
    )
    if looks_radius is not None and looks_radius < radius:
        found = found.where(found.stored | (found.distances <= looks_radius))
    return _nearest(found, found.pictures)


def _nearest(found: Candidates, owners: Rows) -> Candidates:
    """The nearest of the candidates of each owner and row, sorted by both."""
    order = np.lexsort((found.turns, found.looks, found.distances, found.rows, owners))
    return found.where(order[first_of_runs(owners[order], found.rows[order])])


def _search(
    hashset: HashSet, looks: Looks, radius: int, min_quality: int
) -> tuple[Rows, Rows, NDArray[np.unsignedinteger]]:
    if not len(looks.hashes) or not hashset.counts.get(looks.algorithm, 0):
        nothing = np.zeros(0, dtype=np.int64)
        return nothing, nothing, np.zeros(0, dtype=np.uint32)
    if looks.algorithm == "photodna":
        queries, rows, distances = hashset.near_photodna(looks.hashes, radius)
        return queries, rows, distances
    # Each hash is a query of its own here; to which record it belongs is looked up afterwards.
    asked = np.arange(len(looks.hashes), dtype=np.int64)
    if looks.algorithm == "pdq" and len(hashset.videos.entries) == hashset.counts["pdq"]:
        asked = asked[~looks.of_films]  # every hash of the set is of a video's frame: match/video.py compares those
    column = PerceptualColumn(looks.hashes[asked], asked)
    near = near_pairs(hashset, looks.algorithm, column, radius, min_quality, looks.of_films[asked])
    return near.queries, near.rows, near.distances
