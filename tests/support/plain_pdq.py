"""The plain forms of what examine/ computes in matrices and batches: row by row and look by look, as the oracle."""

from __future__ import annotations

import math
from collections.abc import Iterator
from math import cos, radians, sin

import cv2
import numpy as np
from PIL import Image

from caid_triage.examine.pdq_naive import GRID, TURNS, bits, box_window, dct_matrix, sample_points
from caid_triage.examine.recut import MISSING, TILTED

LUMA = np.array([0.299, 0.587, 0.114])


def plain_bands(original: int) -> list[tuple[int, np.ndarray]]:
    """For each of the 64 points along a side the first pixel that it weighs, and the weights."""
    window = box_window(original)
    before, after = window - (window + 2) // 2, (window + 2) // 2 - 1
    rows = []
    for point in sample_points(original).tolist():
        places = np.arange(max(0, point - before), min(original - 1, point + after) + 1)
        low, high = np.maximum(0, places - before), np.minimum(original - 1, places + after) + 1
        start, stop = int(low[0]), int(high[-1])
        share = 1.0 / ((high - low) * len(places))
        size = stop - start + 1
        steps = np.bincount(low - start, share, size) - np.bincount(high - start, share, size)
        rows.append((start, np.cumsum(steps[:-1])))
    return rows


def factor_of(length: int, original: int) -> int:
    return next(by for by in (1, 2, 4, 8) if -(-original // by) == length)


def plain_side(length: int, original: int) -> np.ndarray:
    """float64[64,length]: what PDQ does along a side of ``original`` pixels reduced to ``length``, pixel by pixel."""
    factor = factor_of(length, original)
    matrix = np.zeros((GRID, length))
    for row, (start, weights) in enumerate(plain_bands(original)):
        for place, weight in enumerate(weights.tolist(), start):
            if factor == 1:
                matrix[row, place] += weight
                continue
            centre = (place + 0.5) / factor - 0.5
            left = math.floor(centre)
            t = centre - left
            taps = (
                (((2.0 - t) * t - 1.0) * t) / 2.0,
                ((3.0 * t - 5.0) * t * t + 2.0) / 2.0,
                (((4.0 - 3.0 * t) * t + 1.0) * t) / 2.0,
                ((t - 1.0) * t * t) / 2.0,
            )
            for offset, tap in zip((-1, 0, 1, 2), taps, strict=True):
                matrix[row, min(max(left + offset, 0), length - 1)] += weight * tap
    return matrix


def plain_side_of_512(length: int, original: int) -> np.ndarray:
    """float64[64,length]: what PDQ does along a side whose ``original`` pixels are averaged to 512."""
    edges = np.arange(513) * (original / 512) / factor_of(length, original)
    areas = np.diff(np.clip(edges[:, None] - np.arange(length), 0.0, 1.0), axis=0)
    areas /= areas.sum(axis=1, keepdims=True)
    return plain_side(512, 512) @ areas


def plain_grid(pixels: np.ndarray, down: np.ndarray, across: np.ndarray) -> np.ndarray:
    """The 64x64 grid of luma of uint8[h,w] or uint8[h,w,3], all in float64."""
    luma = pixels.astype(np.float64) if pixels.ndim == 2 else pixels.astype(np.float64) @ LUMA
    return down @ luma @ across.T


def plain_recut(grid: np.ndarray, height: int, width: int) -> Iterator[tuple[str, bytes]]:
    """Every guess at a crop or a tilt, one after the other."""
    matrix = dct_matrix().astype(np.float64)
    for look, (top, bottom, left, right) in MISSING.items():
        yield look, bits(np.round(_laid_out(top, bottom) @ grid @ _laid_out(left, right).T, 6))
    for look, degrees in TILTED.items():
        shape = width / height
        cosine, sine = cos(radians(degrees)), sin(radians(degrees))
        turn = np.array([[cosine, sine / shape], [-sine * shape, cosine]])
        middle = np.full(2, (GRID - 1) / 2)
        affine = np.column_stack([turn, middle - turn @ middle])
        back = cv2.warpAffine(grid, affine, (GRID, GRID), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        yield look, bits(np.round(matrix @ back @ matrix.T, 6))


def _laid_out(before: float, after: float) -> np.ndarray:
    place = ((np.arange(GRID) + 0.5) / GRID - before) / (1 - before - after) * GRID - 0.5
    place = np.clip(place, 0, GRID - 1)
    left = np.floor(place).astype(np.int64)
    spread = np.zeros((GRID, GRID))
    np.add.at(spread, (np.arange(GRID), left), 1 - (place - left))
    np.add.at(spread, (np.arange(GRID), np.minimum(left + 1, GRID - 1)), place - left)
    return dct_matrix().astype(np.float64) @ spread


def plain_phash_turned(small: Image.Image) -> bytes:
    """The pHashes of a 32x32 picture in the seven other orientations, one after the other."""
    matrix = np.array([[math.cos(math.pi * i * (2 * j + 1) / 64) for j in range(32)] for i in range(8)]) / 4
    coefficients = np.round(matrix @ np.asarray(small, dtype=np.float64) @ matrix.T, 6)
    signs = np.where(np.arange(8) % 2, -1.0, 1.0)
    found = b""
    for transposed, down, across in TURNS[1:]:
        turn = coefficients.T if transposed else coefficients
        turn = turn * signs[:, None] if down else turn
        turn = (turn * signs if across else turn).ravel()
        found += np.packbits(turn > np.sort(turn)[31:33].mean()).tobytes()
    return found
