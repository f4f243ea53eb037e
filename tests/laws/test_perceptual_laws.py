"""Law: the fast PDQ is the oracle's, the oracle's is the reference's, and pHash is imagehash's, for any pixels."""

from __future__ import annotations

import imagehash
import numpy as np
import pdqhash
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from caid_triage.examine.pdq import pdq, pdq_reduced
from caid_triage.examine.pdq_naive import pdq_naive
from caid_triage.examine.phash import phash


def reference(pixels: np.ndarray) -> tuple[bytes, int]:
    if pixels.ndim == 2:
        pixels = np.stack([pixels] * 3, axis=-1)
    vector, quality = pdqhash.compute(np.ascontiguousarray(pixels))
    return np.packbits(vector).tobytes(), quality


def noise(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    low = int(rng.integers(0, 250))
    return rng.integers(low, int(rng.integers(low + 1, 257)), (height, width, 3), dtype=np.uint8)


def flat(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    return np.broadcast_to(rng.integers(0, 256, 3, dtype=np.uint8), (height, width, 3)).copy()


def gradient(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    down, across = rng.uniform(-3, 3, 3), rng.uniform(-3, 3, 3)
    ramp = np.arange(height)[:, None, None] * down + np.arange(width)[None, :, None] * across
    return (np.abs(ramp) % 256).astype(np.uint8)


def smooth(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    small = rng.integers(0, 256, (*rng.integers(1, 9, 2), 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def stripes(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    period = int(rng.integers(1, 40))
    lines = (np.arange(height)[:, None] * int(rng.integers(0, 3)) + np.arange(width)[None, :]) // period % 2
    colours = rng.integers(0, 256, (2, 3), dtype=np.uint8)
    return colours[lines]


def tiles(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    tile = rng.integers(0, 256, (*rng.integers(1, 30, 2), 3), dtype=np.uint8)
    return np.tile(tile, (-(-height // tile.shape[0]), -(-width // tile.shape[1]), 1))[:height, :width]


def specks(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    pixels = flat(rng, height, width)
    for _ in range(int(rng.integers(1, 6))):
        pixels[rng.integers(height), rng.integers(width)] = rng.integers(0, 256, 3)
    return pixels


KINDS = (noise, flat, gradient, smooth, stripes, tiles, specks)
SIDES = st.one_of(st.integers(1, 12), st.integers(1, 700), st.sampled_from((63, 64, 65, 127, 128, 129, 256, 512)))


@st.composite
def pictures(draw: st.DrawFn) -> np.ndarray:
    """Pictures of any size and kind, in colour or grey."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    pixels = draw(st.sampled_from(KINDS))(rng, draw(SIDES), draw(SIDES))
    return np.ascontiguousarray(pixels[:, :, 1]) if draw(st.booleans()) else pixels


@settings(max_examples=250, deadline=None)
@given(pictures())
def test_fast_equals_naive_equals_reference(pixels: np.ndarray) -> None:
    expected = reference(pixels)
    assert pdq_naive(pixels) == expected
    assert pdq(pixels) == expected


@settings(max_examples=100, deadline=None)
@given(pictures())
def test_pdq_does_not_change_its_input_and_repeats_itself(pixels: np.ndarray) -> None:
    before = pixels.copy()
    assert pdq(pixels) == pdq(pixels)
    assert np.array_equal(before, pixels)


@settings(max_examples=100, deadline=None)
@given(pictures())
def test_phash_equals_imagehash(pixels: np.ndarray) -> None:
    assert phash(pixels).hex() == str(imagehash.phash(Image.fromarray(pixels)))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(70, 700), st.integers(70, 700))
def test_a_reduction_by_one_is_the_picture_itself(seed: int, height: int, width: int) -> None:
    """Folding "enlarge by 1" into the matrices must leave them what they are."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    found, quality = pdq_reduced(pixels, height, width)
    expected, expected_quality = pdq(pixels)
    assert (int.from_bytes(found) ^ int.from_bytes(expected)).bit_count() <= 2
    assert abs(quality - expected_quality) <= 1
