"""pHash is imagehash's, and blanks are told from pictures."""

from __future__ import annotations

from pathlib import Path

import imagehash
import numpy as np
import pytest
from PIL import Image

from caid_triage.examine.examine import examine_file
from caid_triage.examine.limits import Limits
from caid_triage.examine.opencv import decode_with_opencv
from caid_triage.examine.phash import LEAST_DETAIL, detail, phash, phash_of_tiny, phash_turned, tiny


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (31, 33), (320, 240), (1000, 3)])
def test_equal_to_imagehash(picture, size: tuple[int, int]) -> None:
    pixels = picture(*size)
    assert phash(pixels).hex() == str(imagehash.phash(Image.fromarray(pixels)))
    assert phash(pixels[:, :, 0]).hex() == str(imagehash.phash(Image.fromarray(pixels[:, :, 0])))


def test_reduced_decode_moves_at_most_two_bits(shared: Path) -> None:
    compared = 0
    for path in sorted((shared / "photos").glob("*.jpg")):
        with Image.open(path) as image:
            side = min(image.size)
            if side < 1024 or side > 1600:
                continue
            expected = str(imagehash.phash(image))
        grey = decode_with_opencv(path.read_bytes(), grey=True, factor=2)
        assert grey is not None
        assert (int(expected, 16) ^ int.from_bytes(phash(grey))).bit_count() <= 2, path.name
        compared += 1
    assert compared >= 10


def test_detail_tells_blanks_and_ramps_from_pictures(picture) -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    for blank in (np.zeros((50, 50), np.uint8), np.full((50, 60, 3), 201, np.uint8), ramp, ramp.T):
        assert detail(tiny(blank)) < LEAST_DETAIL
    page = np.full((1000, 700), 255, dtype=np.uint8)
    page[100:110, 100:400] = 0
    for full in (picture(), page):
        assert detail(tiny(full)) > LEAST_DETAIL


def test_no_real_photograph_is_called_blank(shared: Path) -> None:
    for path in sorted((shared / "photos").glob("*.jpg"))[::2]:
        grey = decode_with_opencv(path.read_bytes(), grey=True, factor=4)
        assert grey is not None
        assert detail(tiny(grey)) > 2 * LEAST_DETAIL, path.name


def test_the_phash_of_a_large_photograph_stays_within_four_bits(shared: Path) -> None:
    """Decoded at reduced size, as the scan does it, beside imagehash on the whole picture; 98 of 100 within 2 bits."""
    deviations = []
    for path in sorted((shared / "photos").glob("*.jpg")):
        with Image.open(path) as image:
            if min(image.size) < 2 * Limits().min_reduced_side:
                continue
            expected = bytes.fromhex(str(imagehash.phash(image)))
        found = {item.algorithm: item.value for item in examine_file(path).hashes}
        if "phash" in found:
            deviations.append((int.from_bytes(found["phash"]) ^ int.from_bytes(expected)).bit_count())
    assert len(deviations) >= 30
    assert max(deviations) <= 4
    assert sum(bits <= 2 for bits in deviations) >= 0.98 * len(deviations)


def test_the_turned_hashes_are_those_of_the_turned_small_picture(picture) -> None:
    """imagehash of the 32x32 picture turned by numpy, in the order of TURNS; a tie at the median may go either way."""
    for seed in range(12):
        small = tiny(picture(400, 300, seed=seed))
        pixels = np.asarray(small)
        ways = [
            np.rot90(pixels), np.rot90(pixels, 2), np.rot90(pixels, 3),
            pixels[::-1], pixels[:, ::-1], pixels.T, np.rot90(pixels, 2).T,
        ]  # fmt: skip
        expected = [phash_of_tiny(Image.fromarray(np.ascontiguousarray(way))) for way in ways]
        found = phash_turned(small)
        for place, value in enumerate(expected):
            turned = found[8 * place : 8 * place + 8]
            assert (int.from_bytes(turned) ^ int.from_bytes(value)).bit_count() <= 2


def test_a_turned_photograph_is_met_in_its_orientation(shared: Path) -> None:
    """A hash of the photograph turned before it is hashed, against the turned hashes of the one that was not."""
    worst = 0
    for path in sorted((shared / "photos").glob("*.jpg"))[::6]:
        grey = decode_with_opencv(path.read_bytes(), grey=True, factor=2)
        assert grey is not None
        turned = phash(np.ascontiguousarray(np.rot90(grey)))
        worst = max(worst, (int.from_bytes(phash_turned(tiny(grey))[:8]) ^ int.from_bytes(turned)).bit_count())
    assert worst <= 4
