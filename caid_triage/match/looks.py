"""What the pictures of a batch look like, in all eight orientations, and which entries of a set are near."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from caid_triage.hashset.algorithms import PERCEPTUAL_BYTES, PHOTODNA_BYTES, Bytes, Rows, big_endian_words
from caid_triage.hashset.store import HashSet
from caid_triage.match.near import PerceptualColumn, flat, near_pairs
from caid_triage.model import ScanRecord

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
# The hashes of one algorithm in a record: the upright one, and a second holding the other seven end to end.
TURNED = MappingProxyType({"pdq": "pdq-turned"})
LENGTHS: Mapping[str, int] = MappingProxyType({**PERCEPTUAL_BYTES, "photodna": PHOTODNA_BYTES})
NO_QUALITY = -1


@dataclass(frozen=True, slots=True)
class Looks:
    """The usable hashes of one kind in a batch: uint8[n, k], the record and orientation of each, and its quality.

    ``quality`` is int16, -1 where the algorithm has none.
    """

    algorithm: str
    hashes: Bytes
    positions: Rows
    turns: NDArray[np.int8]
    quality: NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Pairs of a record of the batch and a record of the set, sorted by both, each once, with its nearest distance.

    ``turns`` is the orientation that is nearest (upright of equals), ``quality`` that of the hash.
    """

    positions: Rows
    rows: Rows
    distances: NDArray[np.int64]
    turns: NDArray[np.int8]
    quality: NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.positions)

    def where(self, keep: NDArray[np.bool_]) -> Candidates:
        """The candidates for which ``keep`` is true."""
        return Candidates(
            self.positions[keep], self.rows[keep], self.distances[keep], self.turns[keep], self.quality[keep]
        )


def looks_of(records: Sequence[ScanRecord], algorithm: str, min_quality: int, wanted: NDArray[np.bool_]) -> Looks:
    """The usable hashes of one kind of the wanted still pictures of a batch, in every orientation there is.

    Left out: quality below ``min_quality`` (where there is one), flat hashes, hashes of another length (a plug-in's
    mistake, or an older version's). Hashes with a frame time belong to videos.
    """
    length, turned = LENGTHS[algorithm], TURNED.get(algorithm)
    found: list[tuple[bytes, int, int, int]] = []
    for position in np.flatnonzero(wanted).tolist():
        for item in records[position].examination.hashes:
            if item.algorithm not in (algorithm, turned) or item.frame_time is not None:
                continue
            if item.quality is not None and item.quality < min_quality:
                continue
            first = 0 if item.algorithm == algorithm else 1
            count = 1 if first == 0 else len(ORIENTATIONS) - 1
            if len(item.value) != count * length:
                continue
            quality = NO_QUALITY if item.quality is None else item.quality
            found += [
                (item.value[place * length : (place + 1) * length], position, first + place, quality)
                for place in range(count)
            ]
    hashes = np.frombuffer(b"".join(row[0] for row in found), dtype=np.uint8).reshape(-1, length)
    columns = np.array([row[1:] for row in found], dtype=np.int64).reshape(-1, 3)
    usable = _usable(hashes, algorithm)
    positions, turns, quality_column = columns[usable].T
    return Looks(algorithm, hashes[usable], positions, turns.astype(np.int8), quality_column.astype(np.int16))


def _usable(hashes: Bytes, algorithm: str) -> NDArray[np.bool_]:
    if algorithm == "photodna":
        return np.asarray((hashes != hashes[:, :1]).any(axis=1))  # a vector of one value says nothing
    return ~flat(big_endian_words(hashes).T, algorithm)


def candidates(hashset: HashSet, looks: Looks, radius: int, min_quality: int) -> Candidates:
    """All pairs within ``radius`` (bits; squared L2 for PhotoDNA) whose entry is usable too."""
    queries, rows, distances = _search(hashset, looks, radius, min_quality)
    positions, turns = looks.positions[queries], looks.turns[queries]
    order = np.lexsort((turns, distances, rows, positions))
    positions, rows = positions[order], rows[order]
    first = np.ones(len(order), dtype=np.bool_)
    first[1:] = (positions[1:] != positions[:-1]) | (rows[1:] != rows[:-1])
    kept = order[first]
    return Candidates(
        positions[first], rows[first], distances[kept].astype(np.int64), turns[kept], looks.quality[queries[kept]]
    )


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
    column = PerceptualColumn(looks.hashes, np.arange(len(looks.hashes), dtype=np.int64))
    near = near_pairs(hashset, looks.algorithm, column, radius, min_quality)
    return near.queries, near.rows, near.distances
