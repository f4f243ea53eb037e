"""The PDQ oracle: plain, and equal to the reference bit by bit on every picture.

It repeats the reference's float32 operations in the reference's order (a running sum that is added
to and subtracted from, pixel by pixel), because its rounding decides the bits that lie at the
median. :mod:`caid_triage.examine.pdq` is the fast form and asks this one whenever its own answer
could differ.

Source: Meta's PDQ as the ``pdqhash`` package builds it (ThreatExchange/pdq/cpp); written anew.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Pixels = NDArray[np.uint8]

SMALLEST_SIDE = 5
GRID = 64
# As many pixels are worked on at a time: enough to be quick, small beside a 100-megapixel picture.
BLOCK_PIXELS = 1 << 16
TILE = 128
# As much of a picture goes through the passes at a time: some hundred megabytes of them.
BAND_PIXELS = 1 << 23

# (transposed, then upside down, then left for right), in the order of the reference's dihedral hashes:
# as it is; turned by 90, 180 and 270 degrees counter-clockwise; flipped upside down; mirrored; transposed
# about the main diagonal and about the other one.
TURNS = (
    (False, False, False), (True, True, False), (False, True, True), (True, False, True),
    (False, True, False), (False, False, True), (True, False, False), (True, True, True),
)  # fmt: skip


def pdq_naive(pixels: Pixels) -> tuple[bytes, int]:
    """Return the PDQ hash (32 bytes) and quality (0..100) of a picture, the reference's way.

    ``pixels`` is uint8[h,w] luma or uint8[h,w,3] RGB. A side below 5 pixels gives zeros and 0.
    """
    hashes, quality = pdq_turned_naive(pixels)
    return hashes[0], quality


def pdq_turned_naive(pixels: Pixels) -> tuple[tuple[bytes, ...], int]:
    """Return the eight hashes of :func:`turned` and the quality, as ``pdqhash.compute_dihedral`` gives them."""
    if min(pixels.shape[:2]) < SMALLEST_SIDE:
        return (bytes(32),) * len(TURNS), 0
    grid = _grid(pixels)
    return turned(_transform(grid)), _quality(grid)


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


def turned(coefficients: NDArray[np.floating]) -> tuple[bytes, ...]:
    """Return the hashes that the picture would have turned in the eight ways of TURNS, upright first.

    Mirroring a picture negates every other coefficient of its DCT, transposing it transposes them: nothing
    but the 16x16 coefficients is needed. The reference does the same (dihedral hashes).
    """
    signs = np.where(np.arange(16) % 2, 1, -1).astype(coefficients.dtype)
    found = []
    for transposed, down, across in TURNS:
        turn = coefficients.T if transposed else coefficients
        turn = turn * signs[:, None] if down else turn
        found.append(bits(turn * signs if across else turn))
    return tuple(found)


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


def _grid(pixels: Pixels) -> Float32:
    """Return the 64x64 picture that is hashed: two box passes each way, then every so-manyth pixel.

    Lines do not touch each other within a pass, so a picture goes through in bands of rows, and of the last two passes
    only what is sampled is kept: a picture of 100 megapixels would take 1.6 GB whole.
    """
    height, width = pixels.shape[:2]
    if (height, width) == (GRID, GRID):
        return _luma(pixels)
    step = max(1, BAND_PIXELS // width)
    window, places, every = box_window(width), sample_points(width), np.arange(width)

    def along() -> Iterator[Float32]:
        for top in range(0, height, step):
            yield from _transposed(_box_down(_transposed(_luma(pixels[top : top + step])), window, every))

    averaged = _box_rows(along(), pixels.shape[:2], box_window(height))
    narrow = np.empty((height, GRID), dtype=np.float32)
    for top in range(0, height, step):
        band = np.stack(list(islice(averaged, step)))
        narrow[top : top + step] = _box_down(_transposed(band), window, places).T
    return _box_down(narrow, box_window(height), sample_points(height))


def _box_rows(lines: Iterator[Float32], shape: tuple[int, int], window: int) -> Iterator[Float32]:
    """Yield every row of :func:`_box_down`, of rows that come one after the other; ``window`` of them are held."""
    length, width = shape
    half = (window + 2) // 2
    held: deque[Float32] = deque()
    total = np.zeros(width, dtype=np.float32)
    for added in range(length + half - 1):
        if added < length:
            held.append(next(lines))
            total += held[-1]
        if added >= window:
            total -= held.popleft()
        if added - half + 1 >= 0:
            size = min(added, length - 1) - max(0, added - window + 1) + 1
            yield np.divide(total, np.float32(size), dtype=np.float32)


def _transposed(matrix: Float32) -> Float32:
    """Return the transpose as an array of its own, block by block (many times faster than in one go)."""
    turned = np.empty(matrix.shape[::-1], dtype=np.float32)
    for top in range(0, matrix.shape[0], TILE):
        for left in range(0, matrix.shape[1], TILE):
            turned[left : left + TILE, top : top + TILE] = matrix[top : top + TILE, left : left + TILE].T
    return turned


def _box_down(lines: Float32, window: int, wanted: NDArray[np.int64]) -> Float32:
    """Return the ``wanted`` rows of every column averaged over ``window`` neighbours.

    All columns walk down together; each keeps the reference's running sum and so its rounding.
    """
    length = len(lines)
    half = (window + 2) // 2
    keep = np.bincount(wanted, minlength=length).tolist()  # small sides are sampled more than once a row
    averaged = np.empty((len(wanted), lines.shape[1]), dtype=np.float32)
    total = np.zeros(lines.shape[1], dtype=np.float32)
    row = 0
    for added in range(length + half - 1):
        if added < length:
            total += lines[added]
        if added >= window:
            total -= lines[added - window]
        place = added - half + 1
        if place >= 0 and keep[place]:
            size = min(added, length - 1) - max(0, added - window + 1) + 1
            np.divide(total, np.float32(size), out=averaged[row])
            averaged[row + 1 : row + keep[place]] = averaged[row]
            row += keep[place]
    return averaged


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
