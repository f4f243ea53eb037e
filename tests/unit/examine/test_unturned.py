"""Small pictures that were mirrored or turned: turned back, they have the hash of the picture that a list holds."""

from __future__ import annotations

import numpy as np
import pytest

from caid_triage.examine.pdq import grid_of, pdq, pdq_turned
from caid_triage.examine.unturned import hashes_turned_back

TURNED_BACK = (
    lambda pixels: pixels,
    np.rot90,
    lambda pixels: np.rot90(pixels, 2),
    lambda pixels: np.rot90(pixels, 3),
    lambda pixels: pixels[::-1],
    lambda pixels: pixels[:, ::-1],
    lambda pixels: pixels.swapaxes(0, 1),
    lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
)


def distance(one: bytes, other: bytes) -> int:
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()


def bricks(height: int, width: int) -> np.ndarray:
    """Rows of bricks as narrow as PDQ's grid, seen from a little aside: its samples beat with them."""
    rng = np.random.default_rng(7)
    picture = rng.normal(120, 6, (height, width))
    row = 0.0
    while row < height:
        high = 24 + row / height * 6
        start = float(rng.integers(0, 12))
        for place in np.arange(start, width, 11.3 + row / height * 3):
            picture[int(row) : int(row + high), int(place) : int(place) + 3] += 70
        picture[int(row) : int(row) + 3] += 60
        row += high
    return np.clip(picture, 0, 255).astype(np.uint8)


def turned_back(pixels: np.ndarray) -> tuple[bytes, ...]:
    height, width = pixels.shape[:2]
    grid = grid_of(pixels, height, width)
    return hashes_turned_back(pixels, height, width, grid, pdq_turned(pixels, grid)[0])


@pytest.mark.parametrize("size", [(512, 512), (256, 400), (512, 300), (700, 512), (64, 64), (201, 138)])
def test_every_orientation_is_that_of_the_pixels_turned_back(size: tuple[int, int]) -> None:
    pixels = bricks(*size)
    found = turned_back(pixels)
    assert len(found) == 8
    assert found[0] == pdq(pixels)[0]
    for place, turn in enumerate(TURNED_BACK):
        true = pdq(np.ascontiguousarray(turn(pixels)))[0]
        assert distance(found[place], true) <= 8, place


def test_signs_alone_are_far_off_in_a_fine_pattern() -> None:
    pixels = bricks(512, 512)
    by_signs = pdq_turned(pixels)[0]
    true = pdq(np.ascontiguousarray(pixels[:, ::-1]))[0]
    assert distance(by_signs[5], true) > 31
    assert distance(turned_back(pixels)[5], true) <= 8


@pytest.mark.parametrize("size", [(3000, 4000), (640, 1920)])
def test_sides_that_are_sampled_evenly_are_left_as_they_are(picture, size: tuple[int, int]) -> None:
    pixels = picture(size[1] // 8, size[0] // 8)[:, :, 0]
    grid = grid_of(pixels, *size)
    hashes = tuple(bytes([place]) * 32 for place in range(8))
    assert hashes_turned_back(pixels, *size, grid, hashes) is hashes


def test_a_side_that_was_not_reduced_by_a_whole_factor_is_left_as_it_is(picture) -> None:
    pixels = picture(256, 256)[:, :, 0]
    hashes = tuple(bytes([place]) * 32 for place in range(8))
    assert hashes_turned_back(pixels, 511, 511, grid_of(pixels, 511, 511), hashes) is hashes
    assert hashes_turned_back(pixels, 512, 512, grid_of(pixels, 512, 512), hashes) != hashes
