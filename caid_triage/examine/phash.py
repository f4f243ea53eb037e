"""The 64-bit pHash of the imagehash package, and whether a picture has enough in it for one."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from caid_triage.examine.cosine import cosine_transform
from caid_triage.examine.pdq_naive import TURNS

Pixels = NDArray[np.uint8]

SIDE = 32  # imagehash: hash_size 8 x highfreq_factor 4
REDUCING_GAP = 3.0  # Pillow: "3.0 or greater: very close to fair resampling"
# Rounding the 32x32 picture to whole grey levels alone moves a coefficient by 0.3 and gives
# a blank a detail of 0.2: below half a grey level the bits say more of rounding than of the picture.
LEAST_DETAIL = 0.5
# imagehash takes a DCT that is not orthonormal: the first row is larger by this.
_AS_IMAGEHASH_SCALES = np.where(np.arange(8) == 0, math.sqrt(2.0), 1.0)[:, None]


def phash(pixels: Pixels) -> bytes:
    """Return the pHash (8 bytes) of a picture: ``imagehash.phash`` of the same pixels.

    ``pixels`` is uint8[h,w] grey or uint8[h,w,3] RGB; ValueError for anything else.
    """
    return phash_of_tiny(tiny(checked_pixels(pixels)))


def checked_pixels(pixels: Pixels) -> Pixels:
    """Return the pixels if they are a picture that can be hashed; ValueError says what they are instead."""
    array = np.asarray(pixels)
    right_shape = array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)
    if array.dtype != np.uint8 or not right_shape or not array.size:
        given = f"{array.dtype}[{', '.join(map(str, array.shape))}]"
        raise ValueError(f"pixels must be uint8[h, w] or uint8[h, w, 3] and not empty, not {given}")
    return array


def tiny(pixels: Pixels, *, reduced: bool = False) -> Image.Image:
    """Return the 32x32 grey picture that pHash is taken of, made as imagehash makes it.

    Of a picture that its decoder has ``reduced`` already, neighbours are averaged first: as near to the whole
    picture's answer (a bit or two, tested) in a fifth of the time.
    """
    image = Image.fromarray(pixels).convert("L")
    return image.resize((SIDE, SIDE), Image.Resampling.LANCZOS, reducing_gap=REDUCING_GAP if reduced else None)


def phash_of_tiny(small: Image.Image) -> bytes:
    """Return the pHash of a picture already reduced by :func:`tiny` (imagehash leaves that size as it is)."""
    transform = cosine_transform()
    if transform is None:
        import imagehash  # noqa: PLC0415 - it brings all of SciPy's transforms with it

        return np.packbits(imagehash.phash(small).hash.ravel()).tobytes()
    coefficients = transform(np.asarray(small, dtype=np.float64))[:8, :8]
    return np.packbits(coefficients > np.median(coefficients)).tobytes()


def phash_turned(small: Image.Image) -> bytes:
    """Return the pHashes of a 32x32 picture in the seven other orientations of ``TURNS``, 7 x 8 bytes end to end.

    Mirroring negates every other coefficient of the DCT, transposing transposes them. Equal to imagehash's of the
    turned 32x32 picture but where two coefficients all but touch at the median.
    """
    matrix = _dct() * _AS_IMAGEHASH_SCALES
    # Rounded so that sums taken in another order on another processor cannot turn a tie.
    coefficients = np.round(matrix @ np.asarray(small, dtype=np.float64) @ matrix.T, 6)
    signs = np.where(np.arange(8) % 2, -1.0, 1.0)
    found = []
    for transposed, down, across in TURNS[1:]:
        turn = coefficients.T if transposed else coefficients
        turn = turn * signs[:, None] if down else turn
        found.append((turn * signs if across else turn).ravel())
    flat = np.array(found)
    middle = np.partition(flat, (31, 32), axis=1)[:, 31:33].mean(axis=1)
    return np.packbits(flat > middle[:, None], axis=1).tobytes()


def detail(small: Image.Image) -> float:
    """Return how far apart the 64 coefficients of a 32x32 picture lie: the median distance from their median.

    In grey levels of an orthonormal DCT. Blanks and plain ramps are near 0, photographs above 1.
    Below ``LEAST_DETAIL`` a pHash would meet that of every other blank.
    """
    matrix = _dct()
    coefficients = matrix @ np.asarray(small, dtype=np.float64) @ matrix.T
    return float(np.median(np.abs(coefficients - np.median(coefficients))))


@lru_cache(maxsize=1)
def _dct() -> NDArray[np.float64]:
    """Return rows 0..7 of the orthonormal 32-point DCT."""
    rows = [[math.cos(math.pi * i * (2 * j + 1) / (2 * SIDE)) for j in range(SIDE)] for i in range(8)]
    matrix = np.array(rows) * math.sqrt(2.0 / SIDE)
    matrix[0] /= math.sqrt(2.0)
    return matrix
