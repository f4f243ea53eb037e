"""The PDQ that a picture would have if less of it had been cut off, or if it had not been turned by a little.

Cropping 10% of both sides turns 86 of PDQ's bits, turning by 5 degrees as many: far out of reach of any distance that
tells pictures apart. Both are linear in the 64x64 grid that PDQ hashes, so the grid can be laid out as if the picture
were whole (what was cut off is filled with the edge) and hashed again, for some 20 microseconds a guess. The guesses
bring the usual amounts back within 15 to 50 bits (docs/formats/perceptual-hashes.md). A wrong guess costs a question,
never an answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from math import cos, radians, sin
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from caid_triage.examine.opencv import opencv
from caid_triage.examine.pdq_naive import GRID, dct_matrix
from caid_triage.examine.pdq_turns import BITS, SIDE, hashes_of, transformed

Float64 = NDArray[np.float64]

# What is taken to be missing of the whole at the top, bottom, left and right.
MISSING: Mapping[str, tuple[float, float, float, float]] = MappingProxyType(
    {
        "crop5": (0.025, 0.025, 0.025, 0.025),
        "crop10": (0.05, 0.05, 0.05, 0.05),
        "crop20": (0.1, 0.1, 0.1, 0.1),
        "top10": (0.1, 0.0, 0.0, 0.0),
        "bottom10": (0.0, 0.1, 0.0, 0.0),
        "left10": (0.0, 0.0, 0.1, 0.0),
        "right10": (0.0, 0.0, 0.0, 0.1),
    }
)
# By how many degrees the picture is turned back, counter-clockwise.
TILTED: Mapping[str, float] = MappingProxyType({"tilt2": -2.0, "tilt2b": 2.0, "tilt5": -5.0, "tilt5b": 5.0})
GUESSES = (*MISSING, *TILTED)


def recut(grid: Float64, height: int, width: int) -> Iterator[tuple[str, bytes]]:
    """Yield the look and PDQ (32 bytes) of every guess at what a picture was before it was cropped or turned.

    ``grid`` is its 64x64 grid (examine/pdq.py), ``height`` and ``width`` are its stored pixels.
    """
    yield from zip(GUESSES, hashes_of(recut_coefficients(grid, height, width)), strict=True)


def recut_coefficients(grid: Float64, height: int, width: int) -> Float64:
    """Return the coefficients that are hashed for every look of GUESSES, float64[looks,256], of :func:`recut`'s."""
    ends, tops_and_bottoms, lefts_and_rights = _ends()
    # Every way to lay out the rows with every way to lay out the columns; the pairs that are asked for are taken.
    pairs = (ends @ grid @ ends.T).reshape(-1, SIDE, len(ends) // SIDE, SIDE)
    cropped = pairs[tops_and_bottoms, :, lefts_and_rights]
    turned_back = np.empty((len(TILTED), GRID, GRID))
    for number, degrees in enumerate(TILTED.values()):
        turned_back[number] = _turned_back(grid, degrees, width / height)
    return np.concatenate([cropped.reshape(-1, BITS), transformed(turned_back).reshape(-1, BITS)])


@lru_cache(maxsize=1)
def _ends() -> tuple[Float64, NDArray[np.int64], NDArray[np.int64]]:
    """Return the matrices of all ends of MISSING below each other, and which each guess takes down and across."""
    down = [(top, bottom) for top, bottom, _, _ in MISSING.values()]
    across = [(left, right) for _, _, left, right in MISSING.values()]
    different = sorted({*down, *across})
    places = [np.array([different.index(ends) for ends in side]) for side in (down, across)]
    return np.concatenate([_laid_out(*ends) for ends in different]), places[0], places[1]


def _laid_out(before: float, after: float) -> Float64:
    """Return float64[16,64]: the DCT along one side of a whole of which the grid lacks those shares at its ends."""
    place = ((np.arange(GRID) + 0.5) / GRID - before) / (1 - before - after) * GRID - 0.5
    place = np.clip(place, 0, GRID - 1)
    left = np.floor(place).astype(np.int64)
    spread = np.zeros((GRID, GRID))
    np.add.at(spread, (np.arange(GRID), left), 1 - (place - left))
    np.add.at(spread, (np.arange(GRID), np.minimum(left + 1, GRID - 1)), place - left)
    laid_out: Float64 = dct_matrix().astype(np.float64) @ spread
    return laid_out


def _turned_back(grid: Float64, degrees: float, shape: float) -> Float64:
    """Return the grid turned about its middle; ``shape`` is the picture's width over its height."""
    cv2 = opencv()
    turned_back: Float64 = cv2.warpAffine(
        grid, _turn(degrees, shape), (GRID, GRID), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return turned_back


@lru_cache(maxsize=256)
def _turn(degrees: float, shape: float) -> Float64:
    """Return the affine turn about the middle, float64[2,3]."""
    cosine, sine = cos(radians(degrees)), sin(radians(degrees))
    turn = np.array([[cosine, sine / shape], [-sine * shape, cosine]])
    middle = np.full(2, (GRID - 1) / 2)
    return np.column_stack([turn, middle - turn @ middle])
