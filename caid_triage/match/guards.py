"""Which near matches are not to be listed: those nearer to something harmless, and those of a hash that is near all.

Both guards count what they withhold. Neither ever touches an exact match.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from caid_triage.hashset.algorithms import Rows
from caid_triage.match.looks import Candidates

FAR = np.iinfo(np.int64).max


def nearest_by_picture(found: Candidates, pictures: int) -> NDArray[np.int64]:
    """The smallest distance of each picture of the batch; FAR for one without a candidate."""
    nearest = np.full(pictures, FAR, dtype=np.int64)
    np.minimum.at(nearest, found.pictures, found.distances)
    return nearest


def nearer_to_negative(found: Candidates, negative: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which candidates are farther than their picture's nearest negative entry. Of equals the listed item wins."""
    return np.asarray(found.distances > negative[found.pictures])


def flooded(owners: Rows, found: Candidates, limit: int, kept: int) -> NDArray[np.bool_]:
    """Which candidates to withhold: of an owner with more than ``limit`` of them all but the ``kept`` nearest.

    ``owners`` are their pictures or records, sorted. Of equally near ones the first rows of the set are kept.
    """
    if not len(found):
        return np.zeros(0, dtype=np.bool_)
    starts = np.flatnonzero(np.r_[True, owners[1:] != owners[:-1]])
    sizes = np.diff(np.r_[starts, len(found)])
    order = np.lexsort((found.rows, found.distances, owners))
    place = np.empty(len(found), dtype=np.int64)
    place[order] = np.arange(len(found)) - np.repeat(starts, sizes)
    return np.asarray((np.repeat(sizes, sizes) > limit) & (place >= kept))
