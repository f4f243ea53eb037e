"""The further looks of a picture: without borders, without a screen's bars, its thumbnail, the 512-pixel convention."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps
from support.embedded import with_thumbnails

from caid_triage.examine.borders import boxes_inside
from caid_triage.examine.decode import decode
from caid_triage.examine.examine import Examiner
from caid_triage.examine.limits import Limits
from caid_triage.examine.thumbnail import largest_thumbnail
from caid_triage.model import Examination, PerceptualHash, Severity


def saved(image: Image.Image, form: str = "JPEG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **({"quality": 85} if form == "JPEG" else {}), **options)
    return out.getvalue()


def examined(data: bytes) -> Examination:
    run = Examiner().begin("", len(data))
    run.update(data)
    return run.finish()


def by_name(found: Examination) -> dict[str, PerceptualHash]:
    return {item.algorithm: item for item in found.hashes}


def distance(one: bytes, other: bytes) -> int:
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()


def screenshot(image: Image.Image, dark: bool) -> Image.Image:
    """Draw what a phone shows around a picture: a status bar, a title, the picture, a bar of symbols."""
    ground, ink, bar = ("black", "white", (30, 30, 35)) if dark else ("white", "black", (240, 240, 245))
    screen = Image.new("RGB", (720, 1560), ground)
    draw = ImageDraw.Draw(screen)
    draw.text((30, 12), "12:45", fill=ink, font_size=26)
    draw.rectangle((0, 60, 720, 160), fill=bar)
    draw.text((90, 85), "A contact", fill=ink, font_size=34)
    shown = image.resize((720, 720 * image.height // image.width))
    screen.paste(shown, (0, 160 + (1560 - 160 - 140 - shown.height) // 2))
    draw.rectangle((0, 1420, 720, 1560), fill=bar)
    for place in range(5):
        draw.ellipse((50 + place * 140, 1450, 100 + place * 140, 1500), outline=ink, width=4)
    return screen


@pytest.mark.parametrize("size", [(400, 300), (3000, 2250)])
@pytest.mark.parametrize("colour", [0, 128, 255])
@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_a_bordered_picture_is_met_without_its_borders(picture, size: tuple[int, int], colour: int, form: str) -> None:
    if form == "PNG" and size[0] > 1000:
        size = (1200, 900)
    image = Image.fromarray(picture(*size))
    plain = by_name(examined(saved(image, form)))
    framed = by_name(examined(saved(ImageOps.expand(image, size[0] // 20, (colour,) * 3), form)))
    assert distance(framed["pdq"].value, plain["pdq"].value) > 31
    # A pixel more or less is a third of a per cent of the small one.
    assert distance(framed["pdq-trimmed"].value, plain["pdq"].value) <= (31 if size[0] > 1000 else 44)
    assert distance(framed["phash-trimmed"].value, plain["phash"].value) <= 8
    assert len(framed["pdq-trimmed-turned"].value) == 7 * 32


@pytest.mark.parametrize("dark", [True, False])
@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_a_picture_on_a_phone_screen_is_met_without_its_bars(picture, dark: bool, form: str) -> None:
    image = Image.fromarray(picture(1024, 768))
    plain = by_name(examined(saved(image)))
    shown = by_name(examined(saved(screenshot(image, dark), form)))
    assert distance(shown["pdq"].value, plain["pdq"].value) > 87
    assert distance(shown["pdq-screenshot"].value, plain["pdq"].value) <= 31
    assert distance(shown["phash-screenshot"].value, plain["phash"].value) <= 8


def test_a_picture_that_fills_its_frame_has_no_look_without_borders(picture) -> None:
    assert boxes_inside(picture(640, 480)) == {}
    assert boxes_inside(picture(640, 480)[:, :, 0]) == {}
    assert not any(
        "trimmed" in name or "screenshot" in name
        for name in by_name(examined(saved(Image.fromarray(picture(640, 480)))))
    )


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (23, 23), (24, 24), (600, 600), (5, 3000)])
@pytest.mark.parametrize("value", [0, 255])
def test_nothing_is_left_of_a_blank(shape: tuple[int, int], value: int) -> None:
    assert boxes_inside(np.full(shape, value, dtype=np.uint8)) == {}
    assert boxes_inside(np.full((*shape, 3), value, dtype=np.uint8)) == {}


def test_the_512_convention_is_kept_beside_for_pictures_that_are_larger(picture) -> None:
    large, small = (
        by_name(examined(saved(Image.fromarray(picture(*size)), "PNG"))) for size in ((700, 500), (512, 400))
    )
    assert {"pdq-512", "pdq-512-turned"} <= set(large)
    assert not any(name.startswith("pdq-512") for name in small)


def with_thumbnail(image: Image.Image, small: Image.Image) -> bytes:
    """A JPEG whose EXIF segment (IFD1) holds another JPEG."""
    return with_thumbnails(saved(image), saved(small))


def test_a_thumbnail_of_the_picture_adds_nothing(picture) -> None:
    image = Image.fromarray(picture(1600, 1200))
    data = with_thumbnail(image, image.resize((400, 300)))
    assert largest_thumbnail(data) == saved(image.resize((400, 300)))
    found = examined(data)
    assert not any("thumbnail" in item.algorithm for item in found.hashes)
    assert found.problems == ()


def test_a_thumbnail_of_another_picture_is_hashed_and_said(picture) -> None:
    image, other = Image.fromarray(picture(1600, 1200)), Image.fromarray(picture(320, 240, seed=5))
    found = examined(with_thumbnail(image, other))
    alone = by_name(examined(saved(other)))
    assert distance(by_name(found)["pdq-thumbnail"].value, alone["pdq"].value) <= 2
    assert distance(by_name(found)["phash-thumbnail"].value, alone["phash"].value) <= 2
    assert [(item.code, item.severity) for item in found.problems] == [("thumbnail-differs", Severity.NOTE)]


def test_a_cut_thumbnail_or_a_blank_one_is_not_used(picture) -> None:
    image, other = Image.fromarray(picture(1600, 1200)), Image.fromarray(picture(320, 240, seed=5))
    blank = examined(with_thumbnail(image, Image.new("RGB", (160, 120), "black")))
    assert not any("thumbnail" in item.algorithm for item in blank.hashes)
    assert blank.problems == ()
    data = with_thumbnail(image, other)
    start = data.index(b"\xff\xd8\xff", 2)
    broken = data[: start + 700] + bytes(len(saved(other)) - 700) + data[start + len(saved(other)) :]
    assert largest_thumbnail(broken) is None


def test_thumbnails_of_real_cameras_show_their_pictures(shared: Path) -> None:
    """Two of the 36 with a thumbnail are of pictures that were cropped or turned by an editor."""
    told = [path.name for path in sorted((shared / "photos").glob("*.jpg")) if differs(path.read_bytes())]
    assert 1 <= len(told) <= 2


def differs(data: bytes) -> bool:
    return any(item.code == "thumbnail-differs" for item in examined(data).problems)


def test_the_stored_pixels_are_hashed_whatever_the_looks(picture) -> None:
    """The first pdq and phash are what files.csv prints."""
    data = saved(ImageOps.expand(Image.fromarray(picture(400, 300)), 20, "black"), "PNG")
    names = [item.algorithm for item in examined(data).hashes]
    assert names[:2] == ["pdq", "phash"]
    assert decode(data, "image/png", Limits()).pixels is not None
