"""The PDQ that a small picture has when it is really turned back, where changing signs is not near enough.

Mirroring changes the signs of PDQ's coefficients, but PDQ does not sample a mirrored picture at the mirrored places:
its windows reach a pixel further to one side, and its points are rounded down. In large pictures that is nothing; of
one with 512 pixels a side it is three pixels of the eight between two points, 10 to 24 bits, and 84 in bricks and other
fine patterns, which so coarse a grid sees only by chance. So the grid of the flipped pixels is taken along such sides.
A list holds the hash of the picture as it was before it was turned: the file turned back and hashed.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from caid_triage.examine.opencv import opencv
from caid_triage.examine.pdq import grid_of
from caid_triage.examine.pdq_naive import GRID, TURNS, box_window, sample_points
from caid_triage.examine.pdq_turns import hashes_of, transformed

Pixels = NDArray[np.uint8]
Float64 = NDArray[np.float64]

# Of the way between two sample points: 0.1 turns 2 to 4 bits.
LEAST_SHIFT = 0.15


def hashes_turned_back(
    pixels: Pixels, height: int, width: int, grid: Float64, hashes: tuple[bytes, ...]
) -> tuple[bytes, ...]:
    """Return the hashes of a picture in the eight ways of ``TURNS`` with those after the first one taken anew.

    ``pixels`` (uint8[h,w] or uint8[h,w,3]) stand for ``height`` x ``width`` stored ones, ``grid`` is their 64x64 grid
    and ``hashes`` are those made by changing signs, which are returned where the sides are sampled evenly enough.
    """
    down = _is_uneven(pixels.shape[0], height)
    across = _is_uneven(pixels.shape[1], width)
    if not down and not across:
        return hashes
    flip = opencv().flip  # 0: upside down, 1: mirrored, -1: both
    grids = {(False, False): grid}
    grids[True, False] = grid_of(flip(pixels, 0), height, width) if down else grid[::-1]
    grids[False, True] = grid_of(flip(pixels, 1), height, width) if across else grid[:, ::-1]
    if down and across:
        grids[True, True] = grid_of(flip(pixels, -1), height, width)
    else:
        grids[True, True] = grids[True, False][:, ::-1] if down else grids[False, True][::-1]
    found = {way: transformed(flipped[None])[0] for way, flipped in grids.items()}
    # Turning upside down what was transposed is transposing what was mirrored.
    turns = [found[second, first].T if transposed else found[first, second] for transposed, first, second in TURNS[1:]]
    return (hashes[0], *hashes_of(np.array(turns).reshape(len(turns), -1)))


@lru_cache(maxsize=256)
def _is_uneven(length: int, original: int) -> bool:
    """Return whether a side of ``original`` pixels, reduced to ``length``, is sampled at other places when mirrored.

    A side that its decoder did not reduce by a whole factor is let be: mirrored, its last pixel would be the cut one.
    """
    window, points = box_window(original), sample_points(original)
    # Two passes of a window that reaches further behind than before by 1 if it is even, and the same again mirrored.
    shift = 2 * (1 - window % 2) + float(np.mean(points + points[::-1] - (original - 1)))
    return original % length == 0 and abs(shift) >= LEAST_SHIFT * original / GRID
