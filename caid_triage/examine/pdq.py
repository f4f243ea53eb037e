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

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from caid_triage.examine.opencv import opencv
from caid_triage.examine.pdq_naive import (
    GRID,
    SMALLEST_SIDE,
    bits,
    box_window,
    dct_matrix,
    pdq_naive,
    pdq_turned_naive,
    sample_points,
    turned,
)
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
LONGEST_KEPT = 20_000
SIDE_OF_512 = 512
LUMA = np.array([0.299, 0.587, 0.114])
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


def pdq_asked(pixels: Pixels, grid: Float64 | None = None) -> tuple[tuple[bytes, ...], int]:
    """Return :func:`pdq_turned` in less time: upright hash and quality are exact, the others but for a bit or two.

    Any of four medians may be doubtful and sends :func:`pdq_turned` to the oracle, which takes ten times as long. The
    seven other orientations are only asked about, so there the doubt is let stand. No side may be below 5 pixels.
    """
    grid = grid_of(pixels, *pixels.shape[:2]) if grid is None else grid
    upright, quality = pdq(pixels, grid)
    return (upright, *turned(np.round(_transform(grid), 6))[1:]), quality


def pdq_512_asked(pixels: Pixels) -> tuple[tuple[bytes, ...], int]:
    """Return :func:`pdq_512_turned` but for a bit or two, in less time: of whole grey levels, never by the oracle."""
    height, width = pixels.shape[:2]
    large = max(height, width) > SIDE_OF_512
    grey = pixels.take(_nearest_of_512(height), axis=0) if large else pixels
    if grey.ndim == 3:
        cv2 = opencv()
        grey = cv2.cvtColor(grey, cv2.COLOR_RGB2GRAY)
    grey = grey.take(_nearest_of_512(width), axis=1) if large else grey
    return pdq_reduced_turned(grey, *grey.shape)


def grid_of(pixels: Pixels, original_height: int, original_width: int) -> Float64:
    """Return the 64x64 grid of luma that PDQ hashes, float64, of uint8[h,w] or uint8[h,w,3] at its original size.

    No side may be shorter than 5 pixels.
    """
    height, width = pixels.shape[:2]
    return _sampled(pixels, _bands(height, original_height), _bands(width, original_width))


def _transformed(pixels: Pixels, grid: Float64 | None = None) -> tuple[Float64, int] | None:
    """Return the coefficients and the quality; None where only the oracle can tell."""
    height, width = pixels.shape[:2]
    if min(height, width) < SMALLEST_SIDE or _drawn(pixels):
        return None
    grid = grid_of(pixels, height, width) if grid is None else grid
    quality = _certain_quality(grid)
    return None if quality is None else (_transform(grid), quality)


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
    return bits(np.round(_transform(grid), 6)), _quality_between(np.round(grid, 6), 0.0)[0]


def pdq_reduced_turned(
    grey: Pixels, original_height: int, original_width: int, grid: Float64 | None = None
) -> tuple[tuple[bytes, ...], int]:
    """Return :func:`pdq_reduced` for the picture turned in the eight ways of ``TURNS``, upright first.

    At its own size, a picture (uint8[h,w,3] too) gets the hashes of :func:`pdq_turned` but for a bit or two, and
    never by way of the oracle: good enough for a look that is only asked about.
    """
    grid = grid_of(grey, original_height, original_width) if grid is None else grid
    # Rounded so that sums taken in another order on another processor cannot turn a tie.
    return turned(np.round(_transform(grid), 6)), _quality_between(np.round(grid, 6), 0.0)[0]


def pdq_512_turned(pixels: Pixels) -> tuple[tuple[bytes, ...], int]:
    """Return :func:`pdq_turned` of the picture brought to 512 x 512 pixels, the convention of Meta's C++ tool.

    That tool takes every so-manyth pixel (CImg's nearest neighbour) when a side is longer than 512, and hashes
    smaller pictures as they are; so does this.
    """
    return pdq_turned(_every_so_manyth(checked_pixels(pixels)))


def _every_so_manyth(pixels: Pixels) -> Pixels:
    """Return 512 x 512 pixels of a picture with a longer side, as the nearest neighbours are, or the picture."""
    height, width = pixels.shape[:2]
    if max(height, width) <= SIDE_OF_512:
        return pixels
    taken: Pixels = pixels.take(_nearest_of_512(height), axis=0).take(_nearest_of_512(width), axis=1)
    return taken


def _nearest_of_512(side: int) -> NDArray[np.int64]:
    """Return which pixels along a side CImg's nearest neighbour takes for 512."""
    return np.arange(SIDE_OF_512) * side // SIDE_OF_512


def pdq_512_reduced_turned(grey: Pixels, original_height: int, original_width: int) -> tuple[tuple[bytes, ...], int]:
    """Return about what :func:`pdq_512_turned` gives for the picture that ``grey`` is a reduced decode of.

    The single pixels that the tool takes are gone; areas are averaged instead, folded into the same matrices. That
    is within 4 bits of averaging the whole picture, and mostly 4 to 10 from the tool
    (docs/formats/perceptual-hashes.md).
    """
    height, width = grey.shape
    grid = _sampled(grey, _bands_of_512(height, original_height), _bands_of_512(width, original_width))
    return turned(np.round(_transform(grid), 6)), _quality_between(np.round(grid, 6), 0.0)[0]


@lru_cache(maxsize=256)
def _bands_of_512(length: int, original: int) -> _Bands:
    """Return what PDQ does along a side whose ``original`` pixels were averaged to 512, for ``length`` that remain."""
    factor = _reduced_by(length, original)
    edges = np.arange(SIDE_OF_512 + 1) * (original / SIDE_OF_512) / factor
    # How much of each pixel lies left of each edge; the difference of two edges is what an area takes of it.
    covered = np.clip(edges[:, None] - np.arange(length), 0.0, 1.0)
    areas = np.diff(covered, axis=0)
    areas /= areas.sum(axis=1, keepdims=True)
    starts, weights = [], []
    for _, cells, shares in _bands(SIDE_OF_512, SIDE_OF_512):
        row = shares @ areas[cells]
        used = np.flatnonzero(row)
        starts.append(int(used[0]))
        weights.append(row[used[0] : used[-1] + 1])
    return _Bands(tuple(starts), tuple(weights))


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


@dataclass(frozen=True, slots=True)
class _Bands:
    """A banded 64-row matrix: row i weighs the pixels from ``starts[i]`` on by ``weights[i]``."""

    starts: tuple[int, ...]
    weights: tuple[Float64, ...]

    def __iter__(self) -> Iterator[tuple[int, slice, Float64]]:
        """Yield each row's number, the pixels it weighs, and their weights."""
        for row, (start, weights) in enumerate(zip(self.starts, self.weights, strict=True)):
            yield row, slice(start, start + len(weights)), weights


def _bands(length: int, original: int) -> _Bands:
    """Return what PDQ does along one side of ``original`` pixels, for ``length`` pixels that stand for it."""
    # The bands of a freak side take megabytes and are not met again: only ordinary ones are kept.
    return _kept_bands(length, original) if original <= LONGEST_KEPT else _made_bands(length, original)


@lru_cache(maxsize=256)
def _kept_bands(length: int, original: int) -> _Bands:
    """Return the bands of an ordinary side, made once."""
    return _made_bands(length, original)


def _made_bands(length: int, original: int) -> _Bands:
    """Compute two box passes, as the reference cuts them off at the edges, at each of the 64 sample points."""
    window = box_window(original)
    before, after = window - (window + 2) // 2, (window + 2) // 2 - 1
    rows: list[tuple[int, Float64]] = []
    for point in sample_points(original).tolist():
        places = np.arange(max(0, point - before), min(original - 1, point + after) + 1)
        low, high = np.maximum(0, places - before), np.minimum(original - 1, places + after) + 1
        start, stop = int(low[0]), int(high[-1])
        share = 1.0 / ((high - low) * len(places))
        size = stop - start + 1
        steps = np.bincount(low - start, share, size) - np.bincount(high - start, share, size)
        weights = np.cumsum(steps[:-1])
        rows.append((start, weights) if length == original else _folded(start, weights, length, original))
    return _Bands(tuple(start for start, _ in rows), tuple(weights for _, weights in rows))


def _reduced_by(length: int, original: int) -> float:
    """Return how many of ``original`` pixels one of ``length`` stands for.

    A decoder that reduces by 2, 4 or 8 rounds the length up, so the last pixel may reach over the edge.
    """
    return next((by for by in (1, 2, 4, 8) if -(-original // by) == length), original / length)


def _folded(start: int, weights: Float64, length: int, original: int) -> tuple[int, Float64]:
    """Return the weights over the reduced pixels that act as ``weights`` does over the enlarged ones.

    Enlarging is cubic between pixel centres (Catmull-Rom): linear enlarging would blur once more what the decoder
    has averaged already, and turns half as many bits again.
    """
    factor = _reduced_by(length, original)
    centres = (start + np.arange(len(weights)) + 0.5) / factor - 0.5
    left = np.floor(centres).astype(np.int64)
    t = centres - left
    taps = (
        (((2.0 - t) * t - 1.0) * t) / 2.0,
        ((3.0 * t - 5.0) * t * t + 2.0) / 2.0,
        (((4.0 - 3.0 * t) * t + 1.0) * t) / 2.0,
        ((t - 1.0) * t * t) / 2.0,
    )
    places = [np.clip(left + offset, 0, length - 1) for offset in (-1, 0, 1, 2)]
    first, size = int(places[0][0]), int(places[3][-1]) - int(places[0][0]) + 1  # all rise from left to right
    folded: Float64 = np.zeros(size)
    for place, tap in zip(places, taps, strict=True):
        folded += np.bincount(place - first, weights * tap, size)
    return first, folded


def _sampled(pixels: Pixels, down: _Bands, across: _Bands) -> Float64:
    """Return the 64x64 grid that PDQ hashes, of luma, from uint8[h,w] or uint8[h,w,3]."""
    width = pixels.shape[1]
    lines = pixels.reshape(pixels.shape[0], -1)
    rows = np.empty((GRID, lines.shape[1]), dtype=np.float32)
    for row, pixels_in, weights in down:
        np.dot(weights.astype(np.float32), lines[pixels_in].astype(np.float32), out=rows[row])
    luma = rows.astype(np.float64) if pixels.ndim == 2 else rows.reshape(GRID, width, 3).astype(np.float64) @ LUMA
    grid = np.empty((GRID, GRID))
    for column, pixels_in, weights in across:
        grid[:, column] = luma[:, pixels_in] @ weights
    return grid


def _transform(grid: Float64) -> Float64:
    """Return the 16x16 low-frequency coefficients of the 64x64 grid."""
    matrix = dct_matrix().astype(np.float64)
    return matrix @ grid @ matrix.T


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
