"""Screens, windows and letterboxes around pictures with plain edges of their own: the box ends with the ground."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from caid_triage.examine.borders import Box, boxes_inside


def plain_edged(size: tuple[int, int] = (600, 400), sky: int = 150, seed: int = 1) -> Image.Image:
    """A picture with a plain upper third and a plain left sixth, and busy elsewhere."""
    rng = np.random.default_rng(seed)
    levels = rng.integers(0, 256, (size[1] // 8, size[0] // 8), dtype=np.uint8)
    pixels = np.asarray(Image.fromarray(levels).resize(size, Image.Resampling.BICUBIC)).copy()
    pixels[: size[1] // 3] = sky
    pixels[:, : size[0] // 6] = sky
    return Image.fromarray(pixels).convert("RGB")


def is_found(screen: Image.Image, place: tuple[int, int], picture: Image.Image) -> bool:
    left, top = place
    box = Box(top, top + picture.height, left, left + picture.width)
    return any(found.near(box) for found in boxes_inside(np.asarray(screen)).values())


@pytest.mark.parametrize("ground", [0, 255, 24])
@pytest.mark.parametrize("sky", [30, 90, 150, 240])
def test_a_phone_screen_is_cut_off_up_to_the_picture(ground: int, sky: int) -> None:
    picture = plain_edged(sky=sky)
    screen = Image.new("RGB", (600, 1300), (ground,) * 3)
    draw = ImageDraw.Draw(screen)
    draw.text((30, 12), "12:45", fill="red", font_size=26)
    for place in range(4):
        draw.ellipse((60 + place * 140, 1230, 100 + place * 140, 1270), outline="gray", width=4)
    screen.paste(picture, (0, 430))
    assert is_found(screen, (0, 430), picture)


@pytest.mark.parametrize("sky", [30, 150, 240])
def test_a_title_of_another_colour_may_lie_above_the_ground(sky: int) -> None:
    picture = plain_edged(sky=sky)
    screen = Image.new("RGB", (600, 1300))
    draw = ImageDraw.Draw(screen)
    draw.rectangle((0, 0, 600, 90), fill=(60, 90, 130))
    draw.text((90, 30), "A contact", fill="white", font_size=34)
    screen.paste(picture, (0, 430))
    assert is_found(screen, (0, 430), picture)


@pytest.mark.parametrize("sky", [20, 90, 150])
def test_a_window_is_cut_off_at_each_side_by_that_sides_colour(sky: int) -> None:
    picture = plain_edged(sky=sky)
    screen = Image.new("RGB", (1000, 480), (43, 43, 43))
    draw = ImageDraw.Draw(screen)
    draw.rectangle((0, 0, 1000, 39), fill=(225, 225, 225))
    draw.text((20, 8), "a picture - Viewer", fill="black", font_size=18)
    draw.rectangle((0, 440, 1000, 480), fill=(30, 30, 30))
    screen.paste(picture, (200, 40))
    assert is_found(screen, (200, 40), picture)


@pytest.mark.parametrize("ground", [0, 255])
@pytest.mark.parametrize("upright", [False, True])
def test_a_letterbox_leaves_the_pictures_own_plain_sides(ground: int, upright: bool) -> None:
    picture = plain_edged(sky=ground)
    if upright:
        picture = picture.transpose(Image.Transpose.ROTATE_90)  # its plain third is at the left now
    place = (150, 0) if upright else (0, 90)
    if not upright:  # plain at the left and the top, as the bars are: only the left is left alone
        picture.paste((90, 200, 90), (0, 0, 600, 20))
    else:
        picture.paste((90, 200, 90), (0, 0, 20, picture.height))
    page = Image.new("RGB", (picture.width + 2 * place[0], picture.height + 2 * place[1]), (ground,) * 3)
    page.paste(picture, place)
    assert is_found(page, place, picture)


def test_a_picture_that_is_plain_throughout_is_parted_from_its_bars() -> None:
    drawing = Image.new("RGB", (600, 400), (70, 90, 105))
    ImageDraw.Draw(drawing).ellipse((500, 100, 590, 300), fill="white")
    screen = Image.new("RGB", (600, 1200), "white")
    screen.paste(drawing, (0, 400))
    assert is_found(screen, (0, 400), drawing)
