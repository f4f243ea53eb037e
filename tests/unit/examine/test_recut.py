"""The guesses at what was cropped or tilted away bring a picture back to its own hash."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from caid_triage.examine.examine import Examiner
from caid_triage.examine.pdq import grid_of, pdq, pdq_512_turned, pdq_turned
from caid_triage.examine.recut import MISSING, TILTED, recut
from caid_triage.examine.unturned import hashes_turned_back
from caid_triage.perceptual import LOOKS, hash_name


def distance(one: bytes, other: bytes) -> int:
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()


def looks_of(image: Image.Image, form: str = "JPEG") -> dict[str, bytes]:
    stream = io.BytesIO()
    image.save(stream, form, quality=85)
    run = Examiner().begin()
    run.update(stream.getvalue())
    return {item.algorithm: item.value for item in run.finish().hashes}


@pytest.mark.parametrize("size", [(400, 300), (300, 420), (2400, 1800)])
@pytest.mark.parametrize("look", sorted(MISSING))
def test_a_crop_is_met_by_the_guess_at_it(picture, size: tuple[int, int], look: str) -> None:
    whole = picture(*size)
    height, width = whole.shape[:2]
    top, bottom, left, right = MISSING[look]
    kept = whole[round(top * height) : round((1 - bottom) * height), round(left * width) : round((1 - right) * width)]
    found = looks_of(Image.fromarray(kept))
    listed = pdq(whole)[0]
    assert distance(found[f"pdq-{look}"], listed) < distance(found["pdq"], listed) - 15


@pytest.mark.parametrize("size", [(400, 300), (300, 420), (2400, 1800)])
@pytest.mark.parametrize("look", sorted(TILTED))
def test_a_tilt_is_met_by_the_guess_at_it(picture, size: tuple[int, int], look: str) -> None:
    whole = picture(*size)
    tilted = Image.fromarray(whole).rotate(-TILTED[look], Image.Resampling.BICUBIC)
    found = looks_of(tilted)
    listed = pdq(whole)[0]
    guessed = distance(found[f"pdq-{look}"], listed)
    assert guessed <= 64
    assert guessed < distance(found["pdq"], listed)


def test_a_guess_is_that_of_the_picture_with_its_edges_drawn_out(picture) -> None:
    whole = picture(640, 480)
    drawn_out = np.pad(whole, ((24, 24), (32, 32), (0, 0)), mode="edge")
    guessed = dict(recut(grid_of(whole, 480, 640), 480, 640))["crop10"]
    # 1/1.1 of the sides, while the guess is at 0.9 of them: a per cent apart, and the grid is coarser.
    assert distance(guessed, pdq(drawn_out)[0]) <= 48


def test_every_guess_has_a_name_and_words(picture) -> None:
    names = [name for name, _ in recut(grid_of(picture(64, 48), 48, 64), 48, 64)]
    assert set(names) == {*MISSING, *TILTED}
    assert {*names} <= set(LOOKS)
    assert all(hash_name(f"pdq-{name}").look == name for name in names)


def test_a_blank_and_a_tiny_picture_have_no_guesses() -> None:
    for pixels in (np.full((300, 300), 9, np.uint8), np.full((4, 300), 9, np.uint8)):
        assert not [name for name in looks_of(Image.fromarray(pixels)) if hash_name(name).look in {*MISSING, *TILTED}]


def test_what_is_only_asked_about_is_exact_upright_and_near_otherwise(picture) -> None:
    for size in ((640, 480), (300, 420), (513, 77)):
        pixels = picture(*size)
        found = looks_of(Image.fromarray(pixels), "PNG")
        for look, exact in (("pdq", pdq_turned), *((("pdq-512", pdq_512_turned),) if max(size) > 512 else ())):
            (same, *turns), _ = exact(pixels)
            if look == "pdq":  # a small picture is really turned back (examine/unturned.py)
                sides = pixels.shape[:2]
                _, *turns = hashes_turned_back(pixels, *sides, grid_of(pixels, *sides), (same, *turns))
            assert distance(found[look], same) <= (0 if look == "pdq" else 4)
            others = [found[f"{look}-turned"][start : start + 32] for start in range(0, 7 * 32, 32)]
            assert all(distance(one, other) <= 4 for one, other in zip(others, turns, strict=True))
