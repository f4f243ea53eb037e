"""From PDQ's coefficients to hashes, for all orientations and many pictures' looks at once.

Mirroring a picture negates every other coefficient of its DCT, transposing it transposes them: each orientation is
one order of the 256 coefficients and one pattern of signs, made once. The plain form, look by look, is
:func:`caid_triage.examine.pdq_naive.turned`.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from caid_triage.examine.pdq_naive import TURNS, dct_matrix

Float64 = NDArray[np.float64]

SIDE = 16
BITS = SIDE * SIDE
BYTES = BITS // 8
# How many hashes a picture has, upright first.
WAYS = len(TURNS)


def transformed(grids: Float64) -> Float64:
    """Return the low-frequency coefficients, float64[n,16,16], of grids, float64[n,64,64]."""
    matrix = _dct()
    return matrix @ grids @ matrix.T


def turned_coefficients(coefficients: Float64) -> Float64:
    """Return float64[n*8,256]: coefficients, float64[n,16,16], in the eight orientations of TURNS, upright first."""
    places, signs = _turns()
    turned: Float64 = coefficients.reshape(len(coefficients), BITS).take(places, axis=1) * signs
    return turned.reshape(-1, BITS)


def turned_hashes(grids: Float64) -> list[tuple[bytes, ...]]:
    """Return the eight hashes, upright first, of each of float64[n,64,64] grids."""
    hashes = hashes_of(turned_coefficients(transformed(grids)))
    return [tuple(hashes[start : start + WAYS]) for start in range(0, len(hashes), WAYS)]


def hashes_of(coefficients: Float64) -> list[bytes]:
    """Return the PDQ hash, 32 bytes, of each row of float64[n,256] coefficients."""
    # Rounded so that sums taken in another order on another processor cannot turn a tie.
    rounded = np.round(coefficients, 6)
    middle = np.partition(rounded, BITS // 2 - 1, axis=1)[:, BITS // 2 - 1 : BITS // 2]
    packed = np.packbits((rounded > middle)[:, ::-1], axis=1).tobytes()
    return [packed[start : start + BYTES] for start in range(0, len(packed), BYTES)]


@lru_cache(maxsize=1)
def _dct() -> Float64:
    return dct_matrix().astype(np.float64)


@lru_cache(maxsize=1)
def _turns() -> tuple[NDArray[np.int64], Float64]:
    """Return which coefficient each orientation takes at each place, int64[8,256], and its sign, float64[8,256]."""
    numbers = np.arange(BITS).reshape(SIDE, SIDE)
    every_other = np.where(np.arange(SIDE) % 2, 1.0, -1.0)
    places, signs = [], []
    for transposed, down, across in TURNS:
        places.append((numbers.T if transposed else numbers).ravel())
        rows = every_other if down else np.ones(SIDE)
        columns = every_other if across else np.ones(SIDE)
        signs.append(np.outer(rows, columns).ravel())
    return np.array(places), np.array(signs)
