"""The PDQ oracle: slow, plain, and equal to the reference bit by bit on every picture.

It repeats the reference's float32 operations in the reference's order (a running sum that is added
to and subtracted from, pixel by pixel), because its rounding decides the bits that lie at the
median. :mod:`caid_triage.examine.pdq` is the fast form and asks this one whenever its own answer
could differ.

Source: Meta's PDQ as the ``pdqhash`` package builds it (ThreatExchange/pdq/cpp); written anew.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Pixels = NDArray[np.uint8]

SMALLEST_SIDE = 5
GRID = 64
PASSES = 2
# As many pixels are worked on at a time: enough to be quick, small beside a 100-megapixel picture.
BLOCK_PIXELS = 1 << 20


def pdq_naive(pixels: Pixels) -> tuple[bytes, int]:
    """Return the PDQ hash (32 bytes) and quality (0..100) of a picture, the reference's way.

    ``pixels`` is uint8[h,w] luma or uint8[h,w,3] RGB. A side below 5 pixels gives zeros and 0.
    """
    if min(pixels.shape[:2]) < SMALLEST_SIDE:
        return bytes(32), 0
    grid = _grid(_luma(pixels))
    return bits(_transform(grid)), _quality(grid)


def box_window(length: int) -> int:
    """Return how many pixels one box pass averages along a side of ``length`` pixels."""
    return (length + 2 * GRID - 1) // (2 * GRID)


def sample_points(length: int) -> NDArray[np.int64]:
    """Return the 64 places along a side of ``length`` pixels that the grid is sampled at."""
    return (((np.arange(GRID) + 0.5) * length) / GRID).astype(np.int64)


@lru_cache(maxsize=1)
def dct_matrix() -> Float32:
    """Return rows 1..16 of the 64-point DCT, float32[16,64], rounded as the reference rounds them."""
    scale = float(np.float32(math.sqrt(2.0 / GRID)))
    step = math.pi / 2.0 / GRID
    rows = [[scale * math.cos(step * (i + 1) * (2 * j + 1)) for j in range(GRID)] for i in range(16)]
    return np.array(rows, dtype=np.float32)


def bits(coefficients: NDArray[np.floating]) -> bytes:
    """Return the 32 bytes whose bits say which of the 16x16 coefficients exceed the lower median."""
    flat = coefficients.ravel()
    above = flat > np.partition(flat, 127)[127]
    return np.packbits(above[::-1]).tobytes()


def _luma(pixels: Pixels) -> Float32:
    """Return float32[h,w] luma: the reference adds in float64 and rounds once."""
    if pixels.ndim == 2:
        return pixels.astype(np.float32)
    luma = np.empty(pixels.shape[:2], dtype=np.float32)
    step = max(1, BLOCK_PIXELS // pixels.shape[1])
    for top in range(0, pixels.shape[0], step):
        part = pixels[top : top + step]
        summed = part[:, :, 0] * 0.299 + part[:, :, 1] * 0.587 + part[:, :, 2] * 0.114
        luma[top : top + step] = summed.astype(np.float32)
    return luma


def _grid(luma: Float32) -> Float32:
    """Return the 64x64 picture that is hashed: two box passes each way, then every so-manyth pixel."""
    height, width = luma.shape
    if (height, width) == (GRID, GRID):
        return luma
    for _ in range(PASSES):
        step = max(1, BLOCK_PIXELS // width)
        for top in range(0, height, step):
            luma[top : top + step] = _box(luma[top : top + step], box_window(width))
        step = max(1, BLOCK_PIXELS // height)
        for left in range(0, width, step):
            luma[:, left : left + step] = _box(luma[:, left : left + step].T, box_window(height)).T
    return luma[np.ix_(sample_points(height), sample_points(width))]


def _box(lines: Float32, window: int) -> Float32:
    """Return each line averaged over ``window`` neighbours, with the running sum's own rounding.

    The sum's history is laid out as one row of things to add (a subtraction is an addition of the
    negative, exactly) and accumulated from left to right in float32.
    """
    count, length = lines.shape
    half = (window + 2) // 2
    lead = window  # additions before the first subtraction
    sliding = length - window
    terms = np.empty((count, lead + 2 * sliding + half - 1), dtype=np.float32)
    terms[:, :lead] = lines[:, :lead]
    terms[:, lead : lead + 2 * sliding : 2] = lines[:, window:]
    terms[:, lead + 1 : lead + 2 * sliding : 2] = -lines[:, :sliding]
    terms[:, lead + 2 * sliding :] = -lines[:, sliding : sliding + half - 1]
    sums = np.add.accumulate(terms, axis=1, dtype=np.float32)
    places = np.concatenate(
        [
            np.arange(half - 1, window),
            np.arange(lead + 1, lead + 2 * sliding, 2),
            np.arange(lead + 2 * sliding, terms.shape[1]),
        ]
    )
    sizes = np.concatenate(
        [np.arange(half, window + 1), np.full(sliding, window), np.arange(window - 1, window - half, -1)]
    )
    return np.divide(sums[:, places], sizes.astype(np.float32), dtype=np.float32)


def _quality(grid: Float32) -> int:
    """Return 0..100: how much the 64x64 picture changes from pixel to pixel."""
    total = 0
    for one, other in ((grid[:-1], grid[1:]), (grid[:, :-1], grid[:, 1:])):
        change = (one - other) * np.float32(100) / np.float32(255)
        total += int(np.abs(change.astype(np.int64)).sum())
    return min(100, total // 90)


def _transform(grid: Float32) -> Float32:
    """Return the 16x16 low-frequency coefficients, summed in float32 from the first term to the last."""
    matrix = dct_matrix()
    half = np.zeros((16, GRID), dtype=np.float32)
    for k in range(GRID):
        half += matrix[:, k : k + 1] * grid[k : k + 1, :]
    whole = np.zeros((16, 16), dtype=np.float32)
    for k in range(GRID):
        whole += half[:, k : k + 1] * matrix[:, k].reshape(1, 16)
    return whole
