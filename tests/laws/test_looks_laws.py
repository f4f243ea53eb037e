"""Law: matrices and batches give what the plain forms of tests/support/plain_pdq.py give, row by row, look by look."""

from __future__ import annotations

from itertools import pairwise

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from caid_triage.examine import pdq_bands
from caid_triage.examine.pdq import grids_of, pdq_reduced_turned, quality_of
from caid_triage.examine.pdq_bands import WHOLE, Points, area_points, grids, nearest_points, plain_points
from caid_triage.examine.pdq_naive import GRID, turned
from caid_triage.examine.pdq_turns import hashes_of, transformed, turned_hashes
from caid_triage.examine.phash import phash_of_tiny, phash_turned
from caid_triage.examine.recut import GUESSES, recut, recut_coefficients
from tests.support.plain_pdq import plain_grid, plain_phash_turned, plain_recut, plain_side, plain_side_of_512

SEEDS = st.integers(0, 2**32)
SIDES = st.one_of(st.integers(5, 900), st.sampled_from((5, 63, 64, 65, 127, 128, 129, 511, 512, 513, 1600, 4097)))
FACTORS = st.sampled_from((2, 4, 8))


def dense(points: Points, length: int) -> np.ndarray:
    """The points as a matrix of all pixels; what reaches over the end must weigh nothing."""
    matrix = np.zeros((GRID, length + points.weights.shape[1]))
    for row, (first, weights) in enumerate(zip(points.first, points.weights, strict=True)):
        matrix[row, first : first + len(weights)] = weights
    assert not matrix[:, length:].any()
    return matrix[:, :length]


def soft(rng: np.random.Generator, height: int, width: int, colours: int) -> np.ndarray:
    """Soft shapes with grain, or noise, or flat areas with an edge."""
    kind = rng.integers(3)
    if kind == 0:
        return rng.integers(0, 256, (height, width, colours), dtype=np.uint8)
    small = rng.integers(0, 256, (int(rng.integers(1, 9)), int(rng.integers(1, 9)), colours), dtype=np.uint8)
    resampling = Image.Resampling.BICUBIC if kind == 1 else Image.Resampling.NEAREST
    layers = [
        np.asarray(Image.fromarray(small[:, :, colour]).resize((width, height), resampling))
        for colour in range(colours)
    ]
    return np.stack(layers, axis=-1)


@settings(max_examples=60, deadline=None)
@given(SIDES)
def test_the_points_of_a_whole_side_are_the_plain_ones(length: int) -> None:
    assert np.array_equal(dense(plain_points(length, length), length), plain_side(length, length))
    nearest = np.zeros((GRID, length))
    np.add.at(nearest.T, np.arange(512) * length // 512, plain_side(512, 512).T)
    assert np.allclose(dense(nearest_points(length, length), length), nearest, rtol=0, atol=1e-15)


@settings(max_examples=60, deadline=None)
@given(st.integers(512, 2_500), FACTORS)
def test_the_points_of_a_reduced_side_are_the_plain_ones(original: int, factor: int) -> None:
    length = -(-original // factor)
    assert np.allclose(dense(plain_points(length, original), length), plain_side(length, original), rtol=0, atol=1e-14)
    assert np.allclose(
        dense(area_points(length, original), length), plain_side_of_512(length, original), rtol=0, atol=1e-14
    )


@settings(max_examples=60, deadline=None)
@given(SEEDS, SIDES, st.sampled_from((1, 2, 4, 8)))
def test_sums_down_the_columns_are_exact_in_any_order(seed: int, length: int, factor: int) -> None:
    """Whole numbers below 2**24 all the way: float32 has them exactly, so no processor can make others of them."""
    original = length if factor == 1 else length * factor - seed % factor
    makes = (plain_points, nearest_points if factor == 1 else area_points)
    down = pdq_bands._down(makes, length, original)
    lines = np.random.default_rng(seed).integers(0, 256, (length, 7), dtype=np.uint8)
    for pixels, weights in down.blocks:
        assert np.array_equal(weights, np.rint(weights))
        assert np.abs(weights).sum(axis=1).max() * 255 < WHOLE
        whole = weights.astype(np.int64) @ lines[pixels].astype(np.int64)
        assert np.array_equal(weights @ lines[pixels].astype(np.float32), whole)
    assert all(len(down.blocks[0][1]) * len(down.blocks) == GRID * len(makes) for _ in makes)


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.integers(5, 700), st.integers(5, 700), st.sampled_from((1, 3)))
def test_the_grid_of_whole_pixels_is_the_plain_one(seed: int, height: int, width: int, colours: int) -> None:
    pixels = soft(np.random.default_rng(seed), height, width, colours)
    pixels = pixels[:, :, 0] if colours == 1 else pixels
    found = grids_of(pixels, height, width)
    assert len(found) == (2 if max(height, width) > 512 else 1)
    expected = plain_grid(pixels, plain_side(height, height), plain_side(width, width))
    assert np.allclose(found[0], expected, rtol=0, atol=1e-9)
    if len(found) == 2:
        rows, columns = (np.arange(512) * side // 512 for side in (height, width))
        taken = pixels[rows][:, columns]
        expected = plain_grid(taken, plain_side(512, 512), plain_side(512, 512))
        assert np.allclose(found[1], expected, rtol=0, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(513, 1_500), st.integers(512, 1_500), FACTORS)
def test_the_grids_of_a_reduced_decode_are_the_plain_ones(seed: int, height: int, width: int, factor: int) -> None:
    """But for the rounding of the weights to whole numbers: some thousandths of a grey level."""
    down, across = -(-height // factor), -(-width // factor)
    grey = soft(np.random.default_rng(seed), down, across, 1)[:, :, 0]
    plain, areas = grids_of(grey, height, width)
    assert np.abs(plain - plain_grid(grey, plain_side(down, height), plain_side(across, width))).max() < 0.03
    assert (
        np.abs(areas - plain_grid(grey, plain_side_of_512(down, height), plain_side_of_512(across, width))).max() < 0.03
    )


def test_a_wide_picture_is_worked_on_in_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(5).integers(0, 256, (300, 700, 3), dtype=np.uint8)
    whole = grids(pixels, (300, 700), (plain_points, nearest_points))
    monkeypatch.setattr(pdq_bands, "STRIP", 64)
    for one, other in zip(whole, grids(pixels, (300, 700), (plain_points, nearest_points)), strict=True):
        assert np.array_equal(one, other)


def test_the_matrices_of_a_very_long_side_are_not_kept() -> None:
    for kept in (pdq_bands._kept_down, pdq_bands._kept_across):
        before = kept.cache_info().currsize
        grids(np.zeros((5_000, 5_000), dtype=np.uint8)[:, :64], (5_000, 64), (plain_points,))
        grids(np.zeros((5_000, 5_000), dtype=np.uint8)[:64], (64, 5_000), (plain_points,))
        assert kept.cache_info().currsize <= before + 1


@settings(max_examples=80, deadline=None)
@given(SEEDS, st.booleans())
def test_all_hashes_at_once_are_those_one_by_one(seed: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    made = np.stack([soft(rng, GRID, GRID, 1)[:, :, 0] for _ in range(3)]).astype(np.float64)
    if ties:  # symmetrical pictures: half of the coefficients are nothing but rounding
        made = made + made[:, ::-1]
    coefficients = [np.round(one, 6) for one in transformed(made)]
    assert turned_hashes(made) == [turned(one) for one in coefficients]
    height, width = int(rng.integers(5, 900)), int(rng.integers(5, 900))
    assert list(recut(made[0], height, width)) == list(plain_recut(made[0], height, width))
    assert hashes_of(recut_coefficients(made[0], height, width)) == [
        value for _, value in recut(made[0], height, width)
    ]
    assert tuple(look for look, _ in recut(made[0], height, width)) == GUESSES


@settings(max_examples=120, deadline=None)
@given(SEEDS, st.booleans())
def test_phash_of_32_pixels_is_imagehashs_and_the_plain_ones(seed: int, ties: bool) -> None:
    pixels = soft(np.random.default_rng(seed), 32, 32, 1)[:, :, 0]
    if ties:
        pixels = (pixels // 2 + pixels[::-1] // 2).astype(np.uint8)
    small = Image.fromarray(pixels)
    assert phash_of_tiny(small).hex() == str(imagehash.phash(small))
    assert phash_turned(small) == plain_phash_turned(small)


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_quality_is_the_sum_of_whole_steps(seed: int) -> None:
    grid = soft(np.random.default_rng(seed), GRID, GRID, 1)[:, :, 0].astype(np.float64)
    steps = [abs(int((a - b) * 100 / 255)) for one in (grid, grid.T) for line in one for a, b in pairwise(line)]
    assert abs(quality_of(grid) - min(100, sum(steps) // 90)) <= 1
    assert quality_of(grid) == pdq_reduced_turned(grid.astype(np.uint8), GRID, GRID)[1]
