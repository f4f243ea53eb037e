"""Known videos: the frames that a set has of each, in their order in the film."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caid_triage.hashset.algorithms import Rows
from caid_triage.hashset.manifest import FRAME_UNKNOWN
from caid_triage.hashset.store import HashSet


@dataclass(frozen=True, slots=True)
class VideoFrames:
    """The frames of all videos of a set, video after video: those of ``videos[i]`` are ``start[i]`` to ``start[i+1]``.

    ``videos`` int64[v]: record rows, ascending (their media ids name the videos). Of each frame, uint32[k] or int64[k]:
    ``entries`` its PDQ hash among the set's PDQ hashes (as ``pdq_quality`` and ``entry_records`` count them),
    ``numbers`` of the frame in its film, ascending within a video, ``times`` in milliseconds, 2**32 - 1 if not stated.
    """

    videos: Rows
    start: Rows
    entries: Rows
    numbers: NDArray[np.uint32]
    times: NDArray[np.uint32]


def video_frames(hashset: HashSet) -> VideoFrames:
    """The frames of every video in the set; none if it has no video."""
    found = hashset.pdq_frames()
    nothing = np.zeros(0, dtype=np.uint32)
    numbers, times = (nothing, nothing) if found is None else found
    entries = np.flatnonzero((numbers != FRAME_UNKNOWN) | (times != FRAME_UNKNOWN))
    records = hashset.entry_records("pdq", entries) if entries.size else entries
    order = np.lexsort((entries, times[entries], numbers[entries], records))
    entries = entries[order]
    videos, start = np.unique(records[order], return_index=True)
    return VideoFrames(videos, np.append(start, len(entries)), entries, numbers[entries], times[entries])
