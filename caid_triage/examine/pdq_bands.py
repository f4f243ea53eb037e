"""What PDQ does along one side of a picture, as a matrix: 64 points, each a weighed mean of neighbouring pixels.

Two box passes and the choice of every so-manyth pixel are linear, and so is what comes before them: enlarging a
reduced decode to its original size, or bringing a picture to 512 pixels. All of it is folded into one matrix a side,
which depends on the side's length alone and is kept. Each row weighs few pixels, so a matrix is stored as blocks of
rows over the pixels that any of them weighs.

The sums down the columns are taken of float32, where a sum's last digits depend on the order of its terms and so on
the processor. They do not here: the weights are whole numbers (times one factor a row), small enough that every
partial sum is whole and below 2**24, which float32 holds exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from caid_triage.examine.pdq_naive import GRID, box_window, sample_points

Pixels = NDArray[np.uint8]
Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

SIDE_OF_512 = 512
LUMA = np.array([0.299, 0.587, 0.114])
# Rows of a matrix in one block, by the side's length: fewer make more calls, more make blocks that are mostly zeros.
ROWS = ((400, 8), (1_000, 4))
# So many levels are converted at a time, which a processor's cache holds: a wide picture is worked on in strips.
STRIP = 1 << 16
# The matrices of a longer side take megabytes and are seldom met again.
LONGEST_KEPT = 4_096
# Whole numbers below this are exact in float32.
WHOLE = 1 << 24
# The unit of weights that are no simple fractions. The weights of a row add up to 1, and those below 0 (the overshoot
# of cubic enlarging) are small: the absolute ones to less than 2, so that 255 times their sum stays below WHOLE.
UNIT = 1 << 15


@dataclass(frozen=True, slots=True)
class Points:
    """64 points along a side: point i weighs the pixels from ``first[i]`` on by ``weights[i]``, float64[64,k].

    ``whole`` is the number that makes the weights of each row whole numbers, 0 where none is known.
    """

    first: Int64
    weights: Float64
    whole: Int64


# How a side's points are made, by the number of pixels at hand and the number of stored ones.
Make = Callable[[int, int], Points]


@dataclass(frozen=True, slots=True)
class Down:
    """The way down the columns for one convention or several: blocks of as many rows of each over the same pixels.

    Each block holds float32[conventions * rows, pixels]; its rows times those of ``scale``, float64[conventions, 64],
    are the weights.
    """

    blocks: tuple[tuple[slice, Float32], ...]
    scale: Float64


@dataclass(frozen=True, slots=True)
class Across:
    """The way across the lines for one convention: blocks of rows, each float64[pixels, rows]."""

    blocks: tuple[tuple[slice, Float64], ...]


def grids(pixels: Pixels, original: tuple[int, int], makes: tuple[Make, ...]) -> list[Float64]:
    """Return the 64x64 grid of luma that PDQ hashes, float64, in each convention.

    ``pixels`` is uint8[h,w] or uint8[h,w,3], ``original`` the stored height and width, ``makes`` how each convention
    makes the points of a side. The pixels are gone over once for all of them.
    """
    height, width = pixels.shape[:2]
    lines = pixels.reshape(height, -1)
    down = _down(makes, height, original[0])
    rows = len(down.blocks[0][1])
    found = np.empty((len(down.blocks), rows, lines.shape[1]), dtype=np.float32)
    for number, (wanted, weights) in enumerate(down.blocks):
        step = max(GRID, STRIP // (wanted.stop - wanted.start))
        for left in range(0, lines.shape[1], step):
            columns = slice(left, left + step)
            np.matmul(weights, lines[wanted, columns].astype(np.float32), out=found[number, :, columns])
    by_convention = found.reshape(len(down.blocks), len(makes), -1, lines.shape[1])
    made = []
    for number, make in enumerate(makes):
        line = by_convention[:, number].astype(np.float64).reshape(GRID, -1)
        luma = line if pixels.ndim == 2 else line.reshape(GRID, width, 3) @ LUMA
        grid = np.empty((GRID, GRID))
        across = _across(make, width, original[1])
        start = 0
        for wanted, shares in across.blocks:
            stop = start + shares.shape[1]
            np.matmul(luma[:, wanted], shares, out=grid[:, start:stop])
            start = stop
        grid *= down.scale[number][:, None]
        made.append(grid)
    return made


def _down(makes: tuple[Make, ...], length: int, original: int) -> Down:
    """Return the way down a side; ordinary ones are made once."""
    return (_kept_down if length <= LONGEST_KEPT else _made_down)(makes, length, original)


def _across(make: Make, length: int, original: int) -> Across:
    """Return the way across a side; ordinary ones are made once."""
    return (_kept_across if length <= LONGEST_KEPT else _made_across)(make, length, original)


def _made_down(makes: tuple[Make, ...], length: int, original: int) -> Down:
    scales, blocks = [], []
    for make in makes:
        points = make(length, original)
        scale, weights = _exact_in_float32(points)
        scales.append(scale)
        blocks.append(list(_blocks(points.first, weights, length)))
    joined = []
    for block in zip(*blocks, strict=True):
        pixels = slice(min(one.start for one, _ in block), max(one.stop for one, _ in block))
        matrix = np.zeros((sum(len(weights) for _, weights in block), pixels.stop - pixels.start), dtype=np.float32)
        row = 0
        for one, weights in block:
            matrix[row : row + len(weights), one.start - pixels.start : one.stop - pixels.start] = weights
            row += len(weights)
        joined.append((pixels, matrix))
    return Down(tuple(joined), np.array(scales))


def _made_across(make: Make, length: int, original: int) -> Across:
    points = make(length, original)
    blocks = _blocks(points.first, points.weights, length)
    return Across(tuple((pixels, np.ascontiguousarray(weights.T)) for pixels, weights in blocks))


_kept_down = lru_cache(maxsize=128)(_made_down)
_kept_across = lru_cache(maxsize=128)(_made_across)


def _blocks(first: Int64, weights: Float64, length: int) -> Iterator[tuple[slice, Float64]]:
    """Yield some rows of a banded matrix at a time: the pixels that any of them weighs, and float64[rows, pixels]."""
    breadth = weights.shape[1]
    count = next((rows for longest, rows in ROWS if length <= longest), 1)
    for start in range(0, GRID, count):
        rows = slice(start, start + count)
        least = int(first[rows].min())
        places = first[rows, None] - least + np.arange(breadth)
        block = np.zeros((count, int(places[:, -1].max()) + 1))
        np.put_along_axis(block, places, weights[rows], axis=1)
        pixels = slice(least, min(length, least + block.shape[1]))
        yield pixels, block[:, : pixels.stop - pixels.start]  # what reaches over the end weighs nothing


def _exact_in_float32(points: Points) -> tuple[Float64, Float64]:
    """Return float64[64] and weights, such that their product is the row's weights and sums are exact in float32.

    Simple fractions become whole numbers; other weights are rounded to a multiple of 1/UNIT, their sum kept. That moves
    a point by some thousandths of a grey level. Of a whole picture with very long sides some fractions are neither:
    these are left to float32's rounding, which the doubt of examine/pdq.py allows for.
    """
    whole = points.whole
    rounded = np.rint(points.weights * UNIT)
    largest = np.argmax(np.abs(rounded), axis=1)
    sums = np.rint(points.weights.sum(axis=1) * UNIT)
    rounded[np.arange(GRID), largest] += sums - rounded.sum(axis=1)
    simple = np.rint(points.weights * whole[:, None])
    exact = (whole > 0) & (255 * whole < WHOLE)
    scale = np.where(exact, 1.0 / np.maximum(whole, 1), np.where(whole > 0, 1.0, 1.0 / UNIT))
    weights = np.where(exact[:, None], simple, np.where((whole > 0)[:, None], points.weights, rounded))
    return scale, weights


def plain_points(length: int, original: int) -> Points:
    """Return two box passes, as the reference cuts them off at the edges, at each of the 64 sample points.

    Of a picture that was decoded at reduced size, enlarging it to ``original`` pixels is folded in.
    """
    points = _box_points(original)
    return points if length == original else _enlarged(points, length, original)


def _box_points(side_length: int) -> Points:
    """Return what the reference does along a side of which every pixel is at hand."""
    window = box_window(side_length)
    before, after = window - (window + 2) // 2, (window + 2) // 2 - 1
    places = sample_points(side_length)[:, None] + np.arange(-before, after + 1)
    inside = (places >= 0) & (places < side_length)
    places = np.clip(places, 0, side_length - 1)
    low, high = np.maximum(0, places - before), np.minimum(side_length - 1, places + after) + 1
    first, stop = low[:, :1], high[:, -1:]
    count = inside.sum(axis=1, keepdims=True)
    share = inside / ((high - low) * count)
    breadth = 2 * window
    steps = _summed(low - first, share, breadth) - _summed(high - first, share, breadth)
    weights = np.cumsum(steps, axis=1)
    weights[np.arange(breadth) >= stop - first] = 0.0
    divided = np.lcm.reduce(np.where(inside, high - low, 1), axis=1)
    return Points(first[:, 0], weights, divided * count[:, 0])


def _summed(places: Int64, shares: Float64, breadth: int) -> Float64:
    """Return float64[64,breadth]: each row's shares added up at its places."""
    flat = (places + np.arange(GRID)[:, None] * breadth).ravel()
    summed = np.asarray(np.bincount(flat, shares.ravel(), GRID * breadth), dtype=np.float64)
    return summed.reshape(GRID, breadth)


def _reduced_by(length: int, original: int) -> float:
    """Return how many of ``original`` pixels one of ``length`` stands for.

    A decoder that reduces by 2, 4 or 8 rounds the length up, so the last pixel may reach over the edge.
    """
    return next((by for by in (1, 2, 4, 8) if -(-original // by) == length), original / length)


def _enlarged(points: Points, length: int, original: int) -> Points:
    """Return the points over the reduced pixels that act as ``points`` do over the enlarged ones.

    Enlarging is cubic between pixel centres (Catmull-Rom): linear enlarging would blur once more what the decoder
    has averaged already, and turns half as many bits again.
    """
    factor = _reduced_by(length, original)
    centres = (points.first[:, None] + np.arange(points.weights.shape[1]) + 0.5) / factor - 0.5
    left = np.floor(centres).astype(np.int64)
    t = centres - left
    taps = (
        (((2.0 - t) * t - 1.0) * t) / 2.0,
        ((3.0 * t - 5.0) * t * t + 2.0) / 2.0,
        (((4.0 - 3.0 * t) * t + 1.0) * t) / 2.0,
        ((t - 1.0) * t * t) / 2.0,
    )
    places = [np.clip(left + offset, 0, length - 1) for offset in (-1, 0, 1, 2)]
    first = places[0][:, :1]  # all rise from left to right
    breadth = int((places[3][:, -1:] - first).max()) + 1
    folded = np.zeros((GRID, breadth))
    for place, tap in zip(places, taps, strict=True):
        folded += _summed(place - first, points.weights * tap, breadth)
    return Points(first[:, 0], folded, np.zeros(GRID, dtype=np.int64))


def nearest_of_512(length: int) -> Int64:
    """Return which pixels along a side CImg's nearest neighbour takes for 512."""
    return np.arange(SIDE_OF_512) * length // SIDE_OF_512


def nearest_points(length: int, _original: int) -> Points:
    """Return what PDQ does along a side of which every so-manyth pixel was taken, 512 of them."""
    points = _box_points(SIDE_OF_512)
    taken = nearest_of_512(length)[np.minimum(points.first[:, None] + np.arange(points.weights.shape[1]), 511)]
    first = taken[:, :1]
    breadth = int((taken - first).max()) + 1
    return Points(first[:, 0], _summed(taken - first, points.weights, breadth), points.whole)


def area_points(length: int, original: int) -> Points:
    """Return what PDQ does along a side whose ``original`` pixels were averaged to 512, for ``length`` that remain."""
    points = _box_points(SIDE_OF_512)
    edges = np.arange(SIDE_OF_512 + 1) * (original / SIDE_OF_512) / _reduced_by(length, original)
    left = np.floor(edges[:-1]).astype(np.int64)
    reach = int((np.ceil(edges[1:]).astype(np.int64) - left).max())
    places = left[:, None] + np.arange(reach)
    # How much of each pixel an area takes: what lies left of its right edge less what lies left of its left one.
    areas = np.clip(edges[1:, None] - places, 0.0, 1.0) - np.clip(edges[:-1, None] - places, 0.0, 1.0)
    areas = np.where(places < length, areas, 0.0)
    areas /= areas.sum(axis=1, keepdims=True)
    cells = np.minimum(points.first[:, None] + np.arange(points.weights.shape[1]), SIDE_OF_512 - 1)
    taken = np.minimum(places[cells], length - 1).reshape(GRID, -1)
    first = taken.min(axis=1, keepdims=True)
    breadth = int((taken - first).max()) + 1
    shares = (points.weights[:, :, None] * areas[cells]).reshape(GRID, -1)
    return Points(first[:, 0], _summed(taken - first, shares, breadth), np.zeros(GRID, dtype=np.int64))
