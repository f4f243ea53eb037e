"""Dark, dull and blurred pictures are found again in a set; what shows nothing is still not asked about."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

from caid_triage.examine.examine import Examiner
from caid_triage.examine.levels import quality_asked_by
from caid_triage.examine.pdq import grid_of, pdq
from caid_triage.hashset.build import build_hashset_from_arrays
from caid_triage.hashset.store import open_hashset
from caid_triage.match.match import MatchOptions, match_records
from caid_triage.model import FileEntry, Match, ScanRecord, State

SIZE = (480, 360)


def saved(image: Image.Image, quality: int = 90) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return out.getvalue()


def examined(data: bytes) -> ScanRecord:
    run = Examiner().begin("", len(data))
    run.update(data)
    name = hashlib.sha256(data).hexdigest()
    entry = FileEntry("A/1", "image", name, 0, f"/{name}", name.encode(), State.ALLOCATED, len(data))
    return ScanRecord(entry, run.finish())


def asked_about(record: ScanRecord) -> set[str]:
    """The names of the PDQ hashes that pass the matcher's gate."""
    return {
        item.algorithm
        for item in record.examination.hashes
        if item.algorithm.startswith("pdq") and (item.quality or 0) >= 50
    }


def shapes(seed: int) -> Image.Image:
    """A drawing of large shapes in a few tones: little quality, much to see."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", SIZE, tuple(int(level) for level in rng.integers(60, 120, 3)))
    draw = ImageDraw.Draw(image)
    for _ in range(30):
        left, top = rng.integers(-80, SIZE[0]), rng.integers(-80, SIZE[1])
        width, height = rng.integers(40, 160, 2)
        colour = tuple(int(level) for level in rng.integers(0, 256, 3))
        draw.ellipse((int(left), int(top), int(left + width), int(top + height)), fill=colour)
    return ImageOps.autocontrast(image)


EDITS = {
    "darkened": lambda image: ImageEnhance.Brightness(image).enhance(0.2),
    "dull": lambda image: ImageEnhance.Contrast(image).enhance(0.25),
    "pale": lambda image: image.point([200 + level // 6 for level in range(256)] * 3),
    "blurred": lambda image: ImageEnhance.Brightness(image.filter(ImageFilter.GaussianBlur(6))).enhance(0.3),
    "darkened, mirrored": lambda image: ImageOps.mirror(ImageEnhance.Brightness(image).enhance(0.2)),
    "darkened, in bars": lambda image: ImageOps.expand(ImageEnhance.Brightness(image).enhance(0.2), (0, 70), "white"),
}


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_a_known_drawing_is_found_again_dark_dull_and_blurred(tmp_path: Path, edit: str, seed: int) -> None:
    original = shapes(seed)
    value, quality = pdq(np.asarray(original))
    assert quality >= 50
    build_hashset_from_arrays(
        tmp_path / "set",
        pdq=np.frombuffer(value, dtype=np.uint8).reshape(1, 32),
        pdq_quality=np.array([quality], dtype=np.uint8),
        category=[1],
    )
    record = examined(saved(EDITS[edit](original)))
    stored = next(item for item in record.examination.hashes if item.algorithm == "pdq")
    assert (stored.quality or 0) < 50 or "bars" in edit, "the edit is to take the picture below the gate"
    (found,) = match_records([record], [open_hashset(tmp_path / "set")], MatchOptions(pdq_radius=31))
    assert [match for match in found if _by_pdq(match)], asked_about(record)


def _by_pdq(match: Match) -> bool:
    return match.algorithm == "pdq" and match.distance is not None and match.distance <= 31


def grey(levels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8)).convert("RGB")


def lines_of_text(ink: int, ground: int, count: int, size: int) -> Image.Image:
    image = Image.new("RGB", SIZE, (ground,) * 3)
    for line in range(count):
        words = "look at this before it is gone" if line % 2 else "the amount is due next week"
        place = (20, 20 + line * size * 2)
        ImageDraw.Draw(image).text(place, words, fill=(ink,) * 3, font=ImageFont.load_default(size))
    return image


DOWN, ACROSS = np.mgrid[0 : SIZE[1], 0 : SIZE[0]].astype(np.float64)
FROM_THE_MIDDLE = np.hypot(ACROSS - SIZE[0] / 2, DOWN - SIZE[1] / 2)
SHOW_NOTHING = {
    "black": grey(np.zeros(SIZE[::-1])),
    "grey": grey(np.full(SIZE[::-1], 128.0)),
    "ramp": grey(ACROSS * 255 / SIZE[0]),
    "dim ramp": grey(100 + DOWN * 40 / SIZE[1]),
    "dim vignette": grey(120 - FROM_THE_MIDDLE * 0.1),
    "two tones": grey(np.where(DOWN < 150, 80.0, 160.0)),
    "one line": lines_of_text(0, 255, 1, 16),
    "one grey line": lines_of_text(110, 180, 1, 16),
    **{
        f"noise of {sigma}": grey(128 + np.random.default_rng(sigma).normal(0, sigma, SIZE[::-1]))
        for sigma in (1, 3, 6)
    },
    "noise on paper": grey(210 - FROM_THE_MIDDLE * 0.1 + np.random.default_rng(9).normal(0, 4, SIZE[::-1])),
}


@pytest.mark.parametrize("name", SHOW_NOTHING)
@pytest.mark.parametrize("quality", [60, 95])
def test_blanks_ramps_noise_and_a_line_of_text_are_still_not_asked_about(name: str, quality: int) -> None:
    record = examined(saved(SHOW_NOTHING[name], quality))
    assert asked_about(record) == set()
    assert not any(item.algorithm == "pdq-levels" for item in record.examination.hashes)


def test_the_published_quality_is_what_is_kept_of_the_stored_pixels() -> None:
    dark = ImageEnhance.Brightness(shapes(1)).enhance(0.2)
    with Image.open(io.BytesIO(saved(dark))) as image:
        value, quality = pdq(np.asarray(image.convert("RGB")))
    hashes = {item.algorithm: item for item in examined(saved(dark)).examination.hashes}
    assert (hashes["pdq"].value, hashes["pdq"].quality) == (value, quality)
    assert hashes["pdq-levels"].value == value
    assert (hashes["pdq-levels"].quality or 0) >= 50 > quality


def test_a_picture_of_good_quality_has_no_further_look(picture) -> None:
    names = {item.algorithm for item in examined(saved(Image.fromarray(picture(*SIZE)))).examination.hashes}
    assert "pdq-turned" in names
    assert "pdq-levels" not in names


@pytest.mark.parametrize("share", [0.15, 0.3, 0.5])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_quality_asked_by_is_about_that_of_the_picture_at_full_contrast(share: float, seed: int) -> None:
    full = np.asarray(ImageOps.autocontrast(shapes(seed).convert("L")))
    dark = np.round(full * share).astype(np.uint8)
    grid = grid_of(dark, *dark.shape)
    assert abs(quality_asked_by(dark, grid, 0) - pdq(full)[1]) <= 6
    assert quality_asked_by(dark, grid, 77) == 77
