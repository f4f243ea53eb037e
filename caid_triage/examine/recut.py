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
from caid_triage.examine.pdq_naive import GRID, bits, dct_matrix

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


def recut(grid: Float64, height: int, width: int) -> Iterator[tuple[str, bytes]]:
    """Yield the look and PDQ (32 bytes) of every guess at what a picture was before it was cropped or turned.

    ``grid`` is its 64x64 grid (examine/pdq.py), ``height`` and ``width`` are its stored pixels.
    """
    for look, (top, bottom, left, right) in MISSING.items():
        yield look, _hash(_laid_out(top, bottom) @ grid @ _laid_out(left, right).T)
    matrix = dct_matrix().astype(np.float64)
    for look, degrees in TILTED.items():
        yield look, _hash(matrix @ _turned_back(grid, degrees, width / height) @ matrix.T)


def _hash(coefficients: Float64) -> bytes:
    # Rounded so that sums taken in another order on another processor cannot turn a tie.
    return bits(np.round(coefficients, 6))


@lru_cache(maxsize=8)
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
    cosine, sine = cos(radians(degrees)), sin(radians(degrees))
    turn = np.array([[cosine, sine / shape], [-sine * shape, cosine]])
    middle = np.full(2, (GRID - 1) / 2)
    affine = np.column_stack([turn, middle - turn @ middle])
    turned_back: Float64 = cv2.warpAffine(
        grid, affine, (GRID, GRID), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return turned_back
