"""Every kind of picture gives the right pixels, and no damaged one passes for whole."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import cv2
import imagehash
import numpy as np
import pytest
from PIL import Image, ImageFile

from caid_triage.examine.decode import decode
from caid_triage.examine.identify import identify
from caid_triage.examine.limits import Limits
from caid_triage.examine.phash import phash_of_tiny, tiny
from caid_triage.model import DecodeState, Severity

LIMITS = Limits()


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def decoded(data: bytes, limits: Limits = LIMITS):
    return decode(data, identify(data[:65536], len(data)).media_type, limits)


def codes(result) -> list[str]:
    return [problem.code for problem in result.problems]


@pytest.mark.parametrize(
    "form", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "ICO", "JPEG2000", "PPM", "PCX", "SGI", "DDS", "QOI"]
)
def test_pixels_equal_those_of_the_reference(picture, form: str) -> None:
    size = (256, 192)
    data = saved(Image.fromarray(picture(*size)), form, **({"sizes": [size]} if form == "ICO" else {}))
    result = decoded(data, Limits(min_reduced_side=0))
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(result.pixels, np.asarray(image.convert("RGB")))
    assert (result.state, result.width, result.height, result.problems) == (DecodeState.DECODED, *size, ())
    assert not result.near
    assert decoded(data).near == (form == "JPEG")


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 2}, {"quality": 30}])
def test_a_jpeg_is_decoded_in_the_grey_that_it_stores(picture, options: dict[str, object]) -> None:
    data = saved(Image.fromarray(picture(301, 203)), "JPEG", **options)
    result = decoded(data)
    with Image.open(io.BytesIO(data)) as image:
        image.draft("L", image.size)
        assert np.array_equal(result.pixels, np.asarray(image))
    assert (result.near, result.reduced) == (True, False)


@pytest.mark.parametrize("size", [(301, 203), (1200, 1024)])
def test_a_jpeg_that_stores_rgb_is_turned_into_grey(picture, size: tuple[int, int]) -> None:
    """Its first component is red, not brightness (Adobe's transform 0)."""
    data = saved(Image.fromarray(picture(*size)), "JPEG", keep_rgb=True)
    result = decoded(data)
    with Image.open(io.BytesIO(data)) as image:
        grey = np.asarray(image.convert("L"))
        red = np.asarray(image.convert("RGB"))[:, :, 0]
    if size[0] > 1000:
        grey, red = (
            cv2.resize(plane, result.pixels.shape[::-1], interpolation=cv2.INTER_AREA) for plane in (grey, red)
        )
    assert np.abs(result.pixels.astype(int) - grey).max() <= 2
    assert np.abs(result.pixels.astype(int) - red).max() > 30


def test_a_jpeg_without_colours_is_hashed_as_the_references_do(picture) -> None:
    result = decoded(saved(Image.fromarray(picture(301, 203)).convert("L"), "JPEG"))
    assert result.pixels.ndim == 2
    assert not result.near


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_modes_of_png(picture, mode: str) -> None:
    image = Image.fromarray(picture())
    grey = np.asarray(image.convert("L"))
    if mode == "I;16":
        data = saved(Image.fromarray(grey.astype(np.uint16) * 257), "PNG")
        expected = grey
    else:
        converted = image.convert(mode)
        if mode in ("LA", "RGBA"):
            converted.putalpha(Image.linear_gradient("L").resize(image.size))
        data = saved(converted, "PNG")
        expected = np.asarray(converted.convert("L" if mode in ("1", "L", "LA") else "RGB"))
    result = decoded(data)
    assert result.state is DecodeState.DECODED
    assert np.array_equal(result.pixels, expected)


def test_a_palette_has_imageshashs_own_grey(picture) -> None:
    for form in ("PNG", "GIF"):
        data = saved(Image.fromarray(picture()).convert("P", palette=Image.Palette.ADAPTIVE), form, transparency=3)
        result = decoded(data)
        with Image.open(io.BytesIO(data)) as image:
            assert phash_of_tiny(tiny(result.grey)).hex() == str(imagehash.phash(image))
            assert np.array_equal(result.pixels, np.asarray(image.convert("RGBA").convert("RGB")))


def test_deep_grey_is_scaled_and_not_clipped(picture) -> None:
    grey = np.asarray(Image.fromarray(picture()).convert("L"))
    for form in ("TIFF", "PNG"):
        result = decoded(saved(Image.fromarray(grey.astype(np.uint16) * 257), form))
        assert np.array_equal(result.pixels, grey)
    result = decoded(saved(Image.fromarray(grey.astype(np.float32) / 255), "TIFF"))
    assert np.abs(result.pixels.astype(int) - grey).max() <= 1


def test_cmyk_is_the_picture_and_not_its_negative(picture) -> None:
    image = Image.fromarray(picture())
    result = decoded(saved(image.convert("CMYK"), "JPEG", quality=95))
    assert result.pixels.shape == (240, 320, 3)
    assert np.corrcoef(result.pixels.ravel(), np.asarray(image).ravel())[0, 1] > 0.95


@pytest.mark.parametrize("form", ["JPEG", "TIFF", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_no_orientation_is_applied(picture, form: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(picture())
    plain = decoded(saved(image, form, **({"lossless": True} if form == "WEBP" else {})))
    turned = decoded(saved(image, form, exif=exif, **({"lossless": True} if form == "WEBP" else {})))
    assert np.array_equal(plain.pixels, turned.pixels)
    assert (turned.width, turned.height) == (320, 240)


def test_large_jpegs_are_reduced_and_say_their_stored_size(picture) -> None:
    data = saved(Image.fromarray(picture(2049, 1025)), "JPEG")
    result = decoded(data)
    assert result.reduced
    assert (result.width, result.height, result.pixels.shape) == (2049, 1025, (257, 513))
    assert not decoded(data, Limits(min_reduced_side=0)).reduced
    assert not decoded(saved(Image.fromarray(picture(511, 2000)), "JPEG")).reduced


def test_of_several_pages_the_first_is_taken_and_said(picture) -> None:
    pages = [Image.fromarray(picture(seed=seed)) for seed in (1, 2, 3)]
    several = decoded(saved(pages[0], "TIFF", save_all=True, append_images=pages[1:]))
    assert codes(several) == ["first-frame-only"]
    assert several.problems[0].severity is Severity.NOTE
    assert several.state is DecodeState.DECODED
    assert np.array_equal(several.pixels, decoded(saved(pages[0], "TIFF")).pixels)
    assert several.frames == ()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "JPEG2000", "PPM", "AVIF", "QOI"])
@pytest.mark.parametrize("percent", [5, 35, 60, 90, 99])
def test_no_cut_picture_passes_for_whole(picture, form: str, percent: int) -> None:
    data = saved(Image.fromarray(picture()), form)
    result = decoded(data[: len(data) * percent // 100])
    assert result.state in (DecodeState.PARTIAL, DecodeState.UNDECODABLE)
    assert result.problems[0].severity is Severity.PROBLEM
    if form == "JPEG" and percent >= 35:
        assert result.state is DecodeState.PARTIAL
        assert codes(result) == ["partial-decode"]
        assert (result.width, result.height) == (320, 240)


def test_a_large_cut_jpeg_is_partial_too(picture) -> None:
    data = saved(Image.fromarray(picture(1600, 1200)), "JPEG")
    result = decoded(data[: len(data) // 2])
    assert result.state is DecodeState.PARTIAL
    assert result.pixels.shape == (1200, 1600, 3)


def test_a_damaged_png_chunk_is_partial(picture) -> None:
    data = bytearray(saved(Image.fromarray(picture()), "PNG", compress_level=0))
    data[len(data) // 2] ^= 0x10
    assert codes(decoded(bytes(data))) == ["partial-decode"]


def test_a_whole_but_unusual_png_is_decoded_by_the_other_decoder(picture) -> None:
    data = saved(Image.fromarray(picture()), "PNG")
    body = b"coLLjunk"
    chunk = struct.pack(">I", 4) + body + struct.pack(">I", zlib.crc32(body))
    result = decoded(data[:8] + chunk + data[8:])
    assert result.state is DecodeState.DECODED
    assert np.array_equal(result.pixels, decoded(data).pixels)


def test_tolerance_does_not_leak(picture) -> None:
    data = saved(Image.fromarray(picture()), "PNG")
    before = ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS
    decoded(data[:-500])
    decoded(data[:60])
    assert before == (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS)


def test_headers_over_the_limit_are_refused_before_decoding(picture) -> None:
    for form in ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "JPEG2000", "PPM", "ICO", "PCX"):
        data = saved(Image.fromarray(picture(256, 192)), form, **({"sizes": [(256, 192)]} if form == "ICO" else {}))
        result = decoded(data, Limits(max_pixels=256 * 192 - 1))
        assert (result.state, codes(result)) == (DecodeState.REFUSED, ["too-many-pixels"]), form
        assert decoded(data, Limits(max_pixels=256 * 192)).state is DecodeState.DECODED, form


@pytest.mark.parametrize(
    ("media_type", "severity"),
    [
        ("image/flif", Severity.PROBLEM),
        ("image/bpg", Severity.PROBLEM),
        ("image/svg+xml", Severity.NOTE),
    ],
)
def test_a_type_without_decoder_is_named(media_type: str, severity: Severity) -> None:
    result = decode(b"anything", media_type, LIMITS)
    assert (result.state, codes(result)) == (DecodeState.NOT_ATTEMPTED, ["no-decoder"])
    assert result.problems[0].severity is severity
    assert media_type in result.problems[0].detail


def test_a_type_that_only_a_second_opinion_names_is_tried(encoded) -> None:
    result = decode(encoded("PNG"), "image/x-strange", LIMITS)
    assert (result.state, result.width, result.height) == (DecodeState.DECODED, 320, 240)
    assert codes(decode(b"anything", "image/x-strange", LIMITS)) == ["no-decoder"]


def test_the_size_of_a_heic_is_read_though_it_cannot_be_decoded() -> None:
    tile, whole = (struct.pack(">I4sIII", 20, b"ispe", 0, *side) for side in ((512, 512), (4032, 3024)))
    result = decode(b"\0\0\0\x18ftypheic" + bytes(12) + tile + whole, "image/heic", LIMITS)
    assert (result.width, result.height) == (4032, 3024)


def test_rubbish_is_undecodable_and_says_the_same_every_time() -> None:
    for head in (
        b"\xff\xd8\xff\xe0",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"RIFF\x20\0\0\0WEBPVP8 ",
        b"II*\0\x08\0\0\0",
        b"8BPS\0\1" + bytes(20),
    ):
        data = head + bytes(range(1, 200))
        first, second = decoded(data), decoded(data)
        assert first.state is DecodeState.UNDECODABLE, head
        assert first.problems == second.problems
        assert "0x" not in first.problems[0].detail


def test_opencv_and_pillow_agree_on_every_real_jpeg(shared: Path) -> None:
    """The premise of decoding JPEG by OpenCV: same pixels, so same hashes as the reference packages'."""
    compared = 0
    for path in sorted([*(shared / "photos").glob("*.jpg"), *(shared / "pdq" / "data").rglob("*.jpg")])[::2]:
        data = path.read_bytes()
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > 4_000_000:
                continue
            expected = np.asarray(image if image.mode == "L" else image.convert("RGB"))
        assert np.array_equal(decoded(data, Limits(min_reduced_side=0)).pixels, expected), path.name
        compared += 1
    assert compared >= 20


def test_no_real_photograph_is_called_damaged(shared: Path) -> None:
    for path in sorted((shared / "photos").glob("*.*")):
        if path.suffix != ".tsv":
            result = decoded(path.read_bytes())
            assert result.state is DecodeState.DECODED, (path.name, result.problems)
