"""Which records of a scan look like entries of a set, and which hashes are too empty to say so."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caid_triage.hashset.algorithms import Bytes, Rows, Words
from caid_triage.hashset.frames import is_frame
from caid_triage.hashset.hamming import Distances, nearest_per_record
from caid_triage.hashset.manifest import QUALITY_UNKNOWN
from caid_triage.hashset.store import HashSet

_ONES = 0xFFFF_FFFF_FFFF_FFFF
# imagehash gives these for pictures of one tone: such hashes are near to each other whatever they show.
FLAT_PHASH = (0, 0x8000_0000_0000_0000, _ONES)


@dataclass(frozen=True, slots=True)
class PerceptualColumn:
    """The perceptual hashes of one kind in a batch: uint8[n, k], and which record each is of."""

    hashes: Bytes
    positions: Rows


@dataclass(frozen=True, slots=True)
class NearPairs:
    """Pairs of a record of the batch and a record of the set, sorted by both, each once with its distance in bits."""

    queries: Rows
    rows: Rows
    distances: Distances


def near_pairs(
    hashset: HashSet,
    algorithm: str,
    column: PerceptualColumn,
    radius: int,
    min_quality: int = 0,
    stills_only: NDArray[np.bool_] | None = None,
) -> NearPairs:
    """All pairs within ``radius`` bits whose entry is usable too: its quality, where known, and not flat.

    The hashes of the column that are ``stills_only`` do not meet the frames of listed videos: films are compared with
    those frame by frame, in match/video.py.
    """
    queries, unique, distances = hashset.near_unique(algorithm, column.hashes, radius)
    showing = ~flat(hashset.unique_words(algorithm, unique), algorithm)
    queries, unique, distances = queries[showing], unique[showing], distances[showing]
    entries, source = hashset.entries_of(algorithm, unique)
    if algorithm == "pdq" and entries.size:
        quality = hashset.pdq_quality()[entries]
        keep = (quality == QUALITY_UNKNOWN) | (quality >= min_quality)
        entries, source = entries[keep], source[keep]
    frames = hashset.pdq_frames() if algorithm == "pdq" and stills_only is not None and stills_only.any() else None
    if frames is not None and stills_only is not None and entries.size:
        keep = ~(stills_only[queries[source]] & is_frame(*frames, entries))
        entries, source = entries[keep], source[keep]
    rows = hashset.entry_records(algorithm, entries)
    positions, rows, distances, _ = nearest_per_record(column.positions[queries[source]], rows, distances[source])
    return NearPairs(positions, rows, distances)


def flat(words: Words, algorithm: str) -> NDArray[np.bool_]:
    """Which hashes (uint64[w, n]) are those of pictures that show nothing."""
    if algorithm == "phash":
        return np.asarray(np.isin(words[0], np.array(FLAT_PHASH, dtype=np.uint64)))
    return np.asarray((words == 0).all(axis=0) | (words == np.uint64(_ONES)).all(axis=0))
