"""The PDQ hash that a picture would have if it were turned, from the bits of its hash alone.

Turning a picture changes the signs of its coefficients and transposes them. Each bit says whether a coefficient is
above their median, which is near nought: a bit whose coefficient changes its sign changes too, but for the few between
nought and the median. On 60 photographs the hash made so lies 6 bits (median) and at most 24 from the one that examine/
makes of the coefficients. It is for frames of films, of which only the upright hash is kept; a picture has its own.
"""

from __future__ import annotations

import numpy as np

from caid_triage.hashset.algorithms import Bytes

SIDE = 16
# For each orientation after the upright one, in the order of looks.ORIENTATIONS: whether rows and columns are swapped,
# and whether the coefficients of odd frequency along the rows and along the columns then change their signs.
TURNS = (
    (True, True, False),
    (False, True, True),
    (True, False, True),
    (False, True, False),
    (False, False, True),
    (True, False, False),
    (True, True, True),
)


def turned_hashes(hashes: Bytes) -> Bytes:
    """uint8[n, 7, 32]: the hashes of PDQ (uint8[n, 32]) in the seven other orientations."""
    bits = np.unpackbits(hashes, axis=1)
    found = np.empty((len(hashes), len(TURNS), hashes.shape[1]), dtype=np.uint8)
    for place, turn in enumerate(TURNS):
        sources, changed = zip(*(source_of(bit, *turn) for bit in range(SIDE * SIDE)), strict=True)
        found[:, place] = np.packbits(bits[:, list(sources)] ^ np.array(changed, dtype=np.uint8), axis=1)
    return found


def source_of(bit: int, swapped: bool, rows: bool, columns: bool) -> tuple[int, bool]:
    """Which bit of the upright hash stands at ``bit`` (0 is the first byte's highest) of a turned one, and whether it
    is the other way round there. The last bit is the lowest frequency's, which is 1: an odd one.
    """
    row, column = divmod(SIDE * SIDE - 1 - bit, SIDE)
    changed = (rows and row % 2 == 0) != (columns and column % 2 == 0)
    if swapped:
        row, column = column, row
    return SIDE * SIDE - 1 - (row * SIDE + column), changed
