"""Which part of a film agrees best with another, and where its frames agree, as a report shows it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from caid_triage.hashset.algorithms import Rows
from caid_triage.hashset.manifest import FRAME_UNKNOWN

STRIP_CELLS = 100
AGREES = 1000  # the weight of a frame that agrees, in the search for the best part


def gap_weight(times: Rows, others: Rows) -> int:
    """What a frame that does not agree counts against one that does (AGREES), from the milliseconds of both films.

    Where one film was looked at eight times as often as the other, seven of its eight frames can agree with nothing.
    """
    if min(len(times), len(others)) < 2 or FRAME_UNKNOWN in times or FRAME_UNKNOWN in others:
        return AGREES
    span, other_span = int(times[-1] - times[0]), int(others[-1] - others[0])
    if span <= 0 or other_span <= 0:
        return AGREES
    return min(AGREES, max(1, AGREES * span * (len(others) - 1) // (other_span * (len(times) - 1))))


def best_part(agree: NDArray[np.signedinteger]) -> tuple[int, int]:
    """First and last place of the stretch with the greatest sum; the first of equals, the shortest.

    Frames that agree are positive. A chance agreement far from the others does not stretch it.
    """
    sums = np.concatenate([[0], np.cumsum(agree)])
    # Of equally low starts the last: the shortest stretch for its end.
    lowest, starts = np.minimum.accumulate(sums[:-1]), np.arange(len(agree))
    start = np.maximum.accumulate(np.where(sums[:-1] == lowest, starts, 0))
    last = int(np.argmax(sums[1:] - lowest))
    return int(start[last]), last


def strip(
    agree: NDArray[np.signedinteger], times: Sequence[float | None]
) -> tuple[tuple[float | None, int | None], ...]:
    """The frames in at most STRIP_CELLS cells: when each begins, and how many percent of its compared frames agree."""
    cells = min(len(agree), STRIP_CELLS)
    bounds = [len(agree) * cell // cells for cell in range(cells + 1)]
    found: list[tuple[float | None, int | None]] = []
    for begin, end in pairwise(bounds):
        compared, met = int((agree[begin:end] != 0).sum()), int((agree[begin:end] > 0).sum())
        found.append((times[begin], 100 * met // compared if compared else None))
    return tuple(found)
