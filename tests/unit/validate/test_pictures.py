"""The drawings of a validation: the same everywhere, stored without loss, with the references' answers."""

from __future__ import annotations

import importlib.util
import io
import json
from itertools import combinations
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image

from caid_triage.errors import CaidTriageError
from caid_triage.examine.pdq_naive import pdq_naive
from caid_triage.validate import folders
from caid_triage.validate.draw import decoded, drawing, grey, jpeg, png
from caid_triage.validate.edits import EDITS, JPEG_EDITS, edited
from caid_triage.validate.sets import balanced, flipped

PROJECT = Path(__file__).resolve().parents[3]


def test_the_frozen_answers_are_those_of_the_reference_implementations() -> None:
    spec = importlib.util.spec_from_file_location("known_answers", PROJECT / "fixtures" / "known_answers.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    kept = json.loads((PROJECT / "caid_triage" / "validate" / "known_answers.json").read_text("utf-8"))
    assert script.answers()["answers"] == kept["answers"]
    assert len({answer["pdq"] for answer in kept["answers"]}) == len(kept["answers"]) == 24


def test_a_drawing_that_is_another_than_it_was_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "drawing", lambda rng, width, height: np.zeros((height, width, 3), dtype=np.uint8))
    with pytest.raises(CaidTriageError, match="drawing 0"):
        folders.known_looks()


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (160, 120), (31, 97)])
@pytest.mark.parametrize("plain", [False, True])
def test_a_png_of_ours_has_the_pixels_that_were_drawn(size: tuple[int, int], plain: bool) -> None:
    pixels = drawing(Random("png"), *size)
    assert pixels.shape == (size[1], size[0], 3)
    pixels = grey(pixels) if plain else pixels
    with Image.open(io.BytesIO(png(pixels))) as opened:
        assert opened.mode == ("L" if plain else "RGB")
        assert np.array_equal(np.asarray(opened), pixels)


def test_a_seed_gives_one_drawing_and_another_seed_another() -> None:
    assert np.array_equal(drawing(Random("a"), 80, 60), drawing(Random("a"), 80, 60))
    assert not np.array_equal(drawing(Random("a"), 80, 60), drawing(Random("b"), 80, 60))


def test_different_drawings_do_not_look_alike() -> None:
    hashes = [int.from_bytes(pdq_naive(drawing(Random(f"far {number}"), 160, 120))[0]) for number in range(40)]
    assert min((one ^ other).bit_count() for one, other in combinations(hashes, 2)) > 75


@pytest.mark.parametrize("name", [*EDITS, *JPEG_EDITS])
def test_an_edit_says_truly_what_is_in_its_file(name: str) -> None:
    pixels = drawing(Random("edit"), 256, 192)
    content, said, exact = edited(name, pixels)
    with Image.open(io.BytesIO(content)) as opened:
        assert opened.format == ("PNG" if exact else "JPEG")
        assert np.array_equal(np.asarray(opened.convert("RGB")), said)
    assert (name == "saved without loss") == np.array_equal(said, pixels)


def test_copies_lie_at_every_distance_that_is_told_apart() -> None:
    """The bands of REQ-17 must not be empty: mild edits, hard ones, and some in between."""
    distances = []
    for number in range(4):
        pixels = drawing(Random(f"bands {number}"), 256, 192)
        listed = int.from_bytes(pdq_naive(pixels)[0])
        copies = [pdq_naive(edited(name, pixels)[1])[0] for name in (*EDITS, *JPEG_EDITS)]
        distances += [(listed ^ int.from_bytes(copy)).bit_count() for copy in copies]
    for low, high in ((0, 10), (11, 20), (21, 31), (32, 50), (51, 75), (76, 256)):
        assert any(low <= distance <= high for distance in distances), (low, high)


def test_a_jpeg_is_decoded_in_colour() -> None:
    pixels = drawing(Random("jpeg"), 64, 48)
    assert decoded(jpeg(pixels)).shape == pixels.shape


@pytest.mark.parametrize("count", [0, 1, 31, 32, 256])
def test_a_hash_is_turned_over_in_exactly_so_many_bits(count: int) -> None:
    rng = Random("flip")
    value = balanced(rng, 256)
    assert int.from_bytes(value).bit_count() == 128
    assert (int.from_bytes(value) ^ int.from_bytes(flipped(value, count, rng))).bit_count() == count
