"""PDQ, fast: what a picture looks like in 256 bits, with the quality of that statement.

PDQ is linear until its median. Two box passes and a decimation along one side are one banded
64-row matrix, the DCT is another, so a picture costs two matrix products instead of a walk over
every pixel. The bands depend on the side's length alone and are kept.

The result is that of the reference (``pdqhash.compute``), bit by bit. Only the order of the
coefficients around the median decides the bits, and exact arithmetic may order two of them unlike
the reference's rounded running sums when they all but touch. Then, and for drawn pictures whose
roundings add up, the oracle :mod:`caid_triage.examine.pdq_naive` answers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from caid_triage.examine.pdq_bands import (
    SIDE_OF_512,
    area_points,
    grids,
    nearest_of_512,
    nearest_points,
    plain_points,
)
from caid_triage.examine.pdq_naive import SMALLEST_SIDE, bits, pdq_naive, pdq_turned_naive, turned
from caid_triage.examine.pdq_turns import hashes_of, transformed, turned_hashes
from caid_triage.examine.phash import checked_pixels

Pixels = NDArray[np.uint8]
Float64 = NDArray[np.float64]

# How far the reference's float32 sums stray from exact arithmetic. In photographs, noise and other
# pictures without repeated neighbours of 5 to 5,000 pixels a side the most seen is 0.008 in a
# coefficient and 0.015 in a pixel of the 64x64 grid: more than twice that is kept clear of. In stripes
# and flat areas the roundings repeat and add up (0.045 seen), so drawn pictures go to the oracle at once.
COEFFICIENT_DOUBT = 0.02
GRID_DOUBT = 0.05
DRAWN = 0.25
LINES_LOOKED_AT = 64
_EVERY_OTHER = np.where(np.arange(16) % 2, 1.0, -1.0)
_SIGNS = (
    np.ones((16, 16)),
    np.broadcast_to(_EVERY_OTHER, (16, 16)),
    np.broadcast_to(_EVERY_OTHER[:, None], (16, 16)),
    np.outer(_EVERY_OTHER, _EVERY_OTHER),
)


def pdq(pixels: Pixels, grid: Float64 | None = None) -> tuple[bytes, int]:
    """Return the PDQ hash (32 bytes) and quality (0..100) of a picture, equal to the reference.

    ``pixels`` is uint8[h,w] luma or uint8[h,w,3] RGB; ValueError for anything else. A side below
    5 pixels gives zeros and 0, as the reference does. ``grid`` is :func:`grid_of` the same pixels where that is known.
    """
    pixels = checked_pixels(pixels)
    found = _transformed(pixels, grid)
    if found is None or _doubtful(found[0]):
        return pdq_naive(pixels)
    return bits(found[0]), found[1]


def pdq_turned(pixels: Pixels, grid: Float64 | None = None) -> tuple[tuple[bytes, ...], int]:
    """Return the PDQ hashes of a picture turned in the eight ways of ``TURNS``, upright first, and its quality.

    Equal to the reference (``pdqhash.compute_dihedral``) on the same pixels; the first is :func:`pdq`'s. ``grid`` is
    :func:`grid_of` the same pixels where that is known already.
    """
    pixels = checked_pixels(pixels)
    found = _transformed(pixels, grid)
    # A transpose keeps the set of coefficients and so its median: four sets of signs are to be looked at.
    if found is None or any(_doubtful(found[0] * signs) for signs in _SIGNS):
        return pdq_turned_naive(pixels)
    return turned(found[0]), found[1]


def grid_of(pixels: Pixels, original_height: int, original_width: int) -> Float64:
    """Return the 64x64 grid of luma that PDQ hashes, float64, of uint8[h,w] or uint8[h,w,3] at its original size.

    No side may be shorter than 5 pixels.
    """
    return grids(pixels, (original_height, original_width), (plain_points,))[0]


def grids_of(pixels: Pixels, original_height: int, original_width: int) -> list[Float64]:
    """Return :func:`grid_of` and, where a side of the original is over 512 pixels, the grid of Meta's convention.

    That is of every so-manyth pixel where all are at hand, and of averaged areas where ``pixels`` is a reduced decode,
    whose single pixels are gone. Of areas the hash is within 4 bits of averaging the whole picture, and mostly 4 to 10
    from the tool (docs/formats/perceptual-hashes.md).
    """
    original = (original_height, original_width)
    if max(original) <= SIDE_OF_512:
        return grids(pixels, original, (plain_points,))
    return grids(pixels, original, (plain_points, nearest_points if pixels.shape[:2] == original else area_points))


def _transformed(pixels: Pixels, grid: Float64 | None = None) -> tuple[Float64, int] | None:
    """Return the coefficients and the quality; None where only the oracle can tell."""
    height, width = pixels.shape[:2]
    if min(height, width) < SMALLEST_SIDE or _drawn(pixels):
        return None
    grid = grid_of(pixels, height, width) if grid is None else grid
    quality = _certain_quality(grid)
    return None if quality is None else (transformed(grid[None])[0], quality)


def _doubtful(coefficients: Float64) -> bool:
    """Return whether the reference's rounding could order the two coefficients at the median otherwise."""
    lower, upper = np.partition(coefficients.ravel(), (127, 128))[[127, 128]]
    return bool(upper - lower <= 2 * COEFFICIENT_DOUBT)


def pdq_reduced(grey: Pixels, original_height: int, original_width: int) -> tuple[bytes, int]:
    """Return the PDQ hash and quality that a picture would have at its original size.

    ``grey`` is uint8[h,w], the picture as its decoder reduced it. Enlarging it to the original
    size is linear as well, so it is folded into the same matrices; hashing the small picture as
    it stands would move PDQ's sampling grid by part of a pixel and turn 4 to 28 bits. Within a few
    bits of the reference on the full picture (tested), not equal to it.
    """
    grid = grid_of(grey, original_height, original_width)
    return hashes_of(transformed(grid[None]).reshape(1, -1))[0], quality_of(grid)


def pdq_reduced_turned(
    grey: Pixels, original_height: int, original_width: int, grid: Float64 | None = None
) -> tuple[tuple[bytes, ...], int]:
    """Return :func:`pdq_reduced` for the picture turned in the eight ways of ``TURNS``, upright first.

    At its own size, a picture (uint8[h,w,3] too) gets the hashes of :func:`pdq_turned` but for a bit or two, and
    never by way of the oracle: good enough for a look that is only asked about. ``grid`` is :func:`grid_of` the same
    pixels where that is known already.
    """
    grid = grid_of(grey, original_height, original_width) if grid is None else grid
    return turned_hashes(grid[None])[0], quality_of(grid)


def quality_of(grid: Float64) -> int:
    """Return the quality (0..100) of a 64x64 grid, taken for exact."""
    grid = np.round(grid, 6)  # as coefficients are, see pdq_turns
    total = 0
    for one, other in ((grid[:-1], grid[1:]), (grid[:, :-1], grid[:, 1:])):
        total += int(np.floor(np.abs(one - other) * (100.0 / 255.0)).sum())
    return min(100, total // 90)


def pdq_512_turned(pixels: Pixels) -> tuple[tuple[bytes, ...], int]:
    """Return :func:`pdq_turned` of the picture brought to 512 x 512 pixels, the convention of Meta's C++ tool.

    That tool takes every so-manyth pixel (CImg's nearest neighbour) when a side is longer than 512, and hashes
    smaller pictures as they are; so does this.
    """
    pixels = checked_pixels(pixels)
    height, width = pixels.shape[:2]
    if max(height, width) > SIDE_OF_512:
        pixels = pixels.take(nearest_of_512(height), axis=0).take(nearest_of_512(width), axis=1)
    return pdq_turned(pixels)


def _drawn(pixels: Pixels) -> bool:
    """Return whether so many neighbours are equal that the picture is no plain photograph."""
    for lines in (pixels, pixels.swapaxes(0, 1)):
        some = lines[:: max(1, len(lines) // LINES_LOOKED_AT)]
        # No more neighbours are equal in all colours than are in green: mostly one colour is enough to look at.
        green = some if pixels.ndim == 2 else some[:, :, 1]
        if np.mean(green[:, 1:] == green[:, :-1]) < DRAWN:
            continue
        if pixels.ndim == 2 or np.mean((some[:, 1:] == some[:, :-1]).all(axis=2)) >= DRAWN:
            return True
    return False


def _certain_quality(grid: Float64) -> int | None:
    """Return the quality if no rounding of the reference could make it another, else None."""
    least, most = _quality_between(grid, GRID_DOUBT)
    return least if least == most else None


def _quality_between(grid: Float64, doubt: float) -> tuple[int, int]:
    """Return the lowest and highest quality (0..100) if every pixel may be off by ``doubt``."""
    slack = 2.0 * doubt * 100.0 / 255.0
    least = most = 0
    for one, other in ((grid[:-1], grid[1:]), (grid[:, :-1], grid[:, 1:])):
        change = np.abs(one - other) * (100.0 / 255.0)
        least += int(np.floor(np.maximum(change - slack, 0.0)).sum())
        most += int(np.floor(change + slack).sum())
    return min(100, least // 90), min(100, most // 90)
