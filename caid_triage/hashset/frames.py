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
    ``by_entry`` are the places of the frames in the order of their entries.
    """

    videos: Rows
    start: Rows
    entries: Rows
    numbers: NDArray[np.uint32]
    times: NDArray[np.uint32]
    by_entry: Rows

    def places_of(self, entries: Rows) -> Rows:
        """The place of each of these hashes among the frames; -1 for one that is no video's frame."""
        if not len(self.entries):
            return np.full(len(entries), -1, dtype=np.int64)
        place = np.searchsorted(self.entries, entries, sorter=self.by_entry)
        found = self.by_entry[np.minimum(place, len(self.entries) - 1)]
        return np.where(self.entries[found] == entries, found, -1)


def is_frame(numbers: NDArray[np.uint32], times: NDArray[np.uint32], entries: Rows) -> NDArray[np.bool_]:
    """Which of these PDQ hashes of a set are of a video's frame; the columns are those of ``HashSet.pdq_frames``."""
    return np.asarray((numbers[entries] != FRAME_UNKNOWN) | (times[entries] != FRAME_UNKNOWN))


def video_frames(hashset: HashSet) -> VideoFrames:
    """The frames of every video in the set; none if it has no video. ``HashSet.videos`` keeps them."""
    found = hashset.pdq_frames()
    nothing = np.zeros(0, dtype=np.uint32)
    numbers, times = (nothing, nothing) if found is None else found
    entries = np.flatnonzero((numbers != FRAME_UNKNOWN) | (times != FRAME_UNKNOWN))
    records = hashset.entry_records("pdq", entries) if entries.size else entries
    order = np.lexsort((entries, times[entries], numbers[entries], records))
    entries = entries[order]
    videos, start = np.unique(records[order], return_index=True)
    start = np.append(start, len(entries))
    return VideoFrames(videos, start, entries, numbers[entries], times[entries], np.argsort(entries))
