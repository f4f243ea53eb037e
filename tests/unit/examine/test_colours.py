"""Every way to write colours gives the hash of the same picture in plain RGB, where other programs hash its negative.

The table of peers' faults: CMYK as its negative, palettes by their indices, 16 bits cut off to white.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from PIL import Image, ImageChops, ImageCms

from caid_triage.examine.libraries import library
from caid_triage.model import DecodeState, Examination

Make = Callable[[np.ndarray], bytes]


def detailed(width: int = 512, height: int = 384) -> np.ndarray:
    """uint8[h,w,3]: structure at every scale, as a photograph has, so that no bit of a hash hangs on rounding."""
    rng = np.random.default_rng(5)
    total = np.zeros((height, width, 3))
    for side in (3, 6, 12, 24, 48, 96):
        coarse = rng.normal(size=(side, side, 3)).astype(np.float32)
        total += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) / side**0.5
    total = (total - total.min()) / (total.max() - total.min())
    return np.rint(total * 255).astype(np.uint8)


PICTURE = detailed()
GREY = np.asarray(Image.fromarray(PICTURE).convert("L"))


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def by_opencv(suffix: str, values: np.ndarray) -> bytes:
    return cv2.imencode(suffix, values[:, :, ::-1])[1].tobytes()


def with_alpha(alpha: int) -> Image.Image:
    picture = Image.fromarray(PICTURE)
    return Image.merge("RGBA", (*picture.split(), Image.new("L", picture.size, alpha)))


def cmyk_without_adobe() -> bytes:
    """Inks as they are, and no marker that says they were inverted."""
    data = saved(ImageChops.invert(Image.fromarray(PICTURE).convert("CMYK")), "JPEG", quality=95)
    at = data.index(b"\xff\xee")
    return data[:at] + data[at + 2 + int.from_bytes(data[at + 2 : at + 4], "big") :]


def lab() -> bytes:
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    return saved(ImageCms.profileToProfile(Image.fromarray(PICTURE), *profiles, outputMode="LAB"), "TIFF")


# What is encoded, and by how many bits its PDQ may differ from that of the RGB original.
WAYS: dict[str, tuple[Callable[[], bytes], int]] = {
    "CMYK JPEG": (lambda: saved(Image.fromarray(PICTURE).convert("CMYK"), "JPEG", quality=95), 4),
    "CMYK JPEG not by Adobe": (cmyk_without_adobe, 4),
    "CMYK TIFF": (lambda: saved(Image.fromarray(PICTURE).convert("CMYK"), "TIFF"), 0),
    "YCbCr TIFF": (lambda: saved(Image.fromarray(PICTURE).convert("YCbCr"), "TIFF"), 2),
    "Lab TIFF": (lab, 14),
    "palette PNG": (lambda: saved(Image.fromarray(PICTURE).convert("P", palette=Image.Palette.ADAPTIVE), "PNG"), 16),
    "palette GIF": (lambda: saved(Image.fromarray(PICTURE).convert("P", palette=Image.Palette.ADAPTIVE), "GIF"), 16),
    "16-bit grey PNG": (lambda: saved(Image.fromarray(GREY.astype(np.uint16) * 257), "PNG"), 2),
    "12 bits in 16": (lambda: saved(Image.fromarray(GREY.astype(np.uint16) * 16), "PNG"), 4),
    "10 bits in 16": (lambda: saved(Image.fromarray(GREY.astype(np.uint16) * 4), "TIFF"), 4),
    "32-bit whole grey": (lambda: saved(Image.fromarray(GREY.astype(np.int32) * 1000), "TIFF"), 2),
    "floating grey to 1": (lambda: saved(Image.fromarray(GREY.astype(np.float32) / 255), "TIFF"), 2),
    "floating grey to 255": (lambda: saved(Image.fromarray(GREY.astype(np.float32)), "TIFF"), 2),
    "16-bit RGB PNG": (lambda: by_opencv(".png", PICTURE.astype(np.uint16) * 257), 0),
    "16-bit RGB TIFF": (lambda: by_opencv(".tiff", PICTURE.astype(np.uint16) * 257), 0),
    "16-bit RGB PPM": (lambda: by_opencv(".ppm", PICTURE.astype(np.uint16) * 257), 2),
    "16-bit RGB JPEG 2000": (lambda: by_opencv(".jp2", PICTURE.astype(np.uint16) * 257), 2),
    "floating RGB TIFF": (lambda: by_opencv(".tiff", PICTURE.astype(np.float32) / 255), 2),
    "floating RGB PFM": (lambda: by_opencv(".pfm", PICTURE.astype(np.float32) / 255), 2),
    "Radiance": (lambda: by_opencv(".hdr", PICTURE.astype(np.float32) / 255), 6),
    "grey and alpha": (lambda: saved(with_alpha(128).convert("LA"), "PNG"), 2),
    "half transparent PNG": (lambda: saved(with_alpha(128), "PNG"), 0),
    "wholly transparent PNG": (lambda: saved(with_alpha(0), "PNG"), 0),
    "half transparent WebP": (lambda: saved(with_alpha(128), "WEBP", lossless=True, exact=True), 0),
    "1-bit PNG": (lambda: saved(Image.fromarray(PICTURE).convert("1"), "PNG"), 24),
    "fax TIFF": (lambda: saved(Image.fromarray(PICTURE).convert("1"), "TIFF", compression="group4"), 24),
    "white is 0": (lambda: saved(Image.fromarray(GREY), "TIFF", tiffinfo={262: 0}), 2),
    "TGA": (lambda: saved(Image.fromarray(PICTURE), "TGA"), 0),
    "TGA with runs": (lambda: saved(Image.fromarray(PICTURE), "TGA", compression="tga_rle"), 0),
    "bitmap of a clipboard": (lambda: saved(Image.fromarray(PICTURE), "DIB"), 0),
    "PAM": (lambda: by_opencv(".pam", PICTURE), 0),
}


def distance(first: bytes, second: bytes) -> int:
    return sum((a ^ b).bit_count() for a, b in zip(first, second, strict=True))


def pdq(found: Examination) -> bytes:
    return next(item.value for item in found.hashes if item.algorithm == "pdq" and item.frame_time is None)


@pytest.mark.parametrize("way", WAYS)
def test_the_hash_is_that_of_the_rgb_original(examined, way: str) -> None:
    make, allowed = WAYS[way]
    original = examined(saved(Image.fromarray(PICTURE), "PNG"))
    found = examined(make())
    assert distance(pdq(found), pdq(original)) <= allowed
    # Pillow does not know floating-point RGB: OpenCV opens it, and cannot say whether the file is whole.
    assert found.decode_state is (DecodeState.PARTIAL if "floating RGB" in way else DecodeState.DECODED)
    assert (found.width, found.height) == (512, 384)


@pytest.mark.parametrize(
    ("codec", "make"),
    [
        ("JPEGXL", lambda codecs: codecs.jpegxl_encode(PICTURE, lossless=True)),
        ("JPEGXL", lambda codecs: codecs.jpegxl_encode(PICTURE.astype(np.uint16) * 257, lossless=True)),
        ("JPEGXL", lambda codecs: codecs.jpegxl_encode(GREY, lossless=True)),
        ("JPEGXR", lambda codecs: codecs.jpegxr_encode(PICTURE)),
        ("JPEGLS", lambda codecs: codecs.jpegls_encode(PICTURE)),
    ],
)
def test_the_rarer_jpegs(examined, codec: str, make: Callable[[object], bytes]) -> None:
    codecs = library("imagecodecs")
    if codecs is None or not getattr(codecs, codec).available:
        pytest.skip("imagecodecs is not installed")
    data = make(codecs)
    found = examined(data)
    assert found.decode_state is DecodeState.DECODED
    assert (found.width, found.height) == (512, 384)
    assert distance(pdq(found), pdq(examined(saved(Image.fromarray(PICTURE), "PNG")))) <= 2
    for share in (0.3, 0.6, 0.9, 0.99):
        cut = examined(data[: int(len(data) * share)])
        assert cut.decode_state in (DecodeState.PARTIAL, DecodeState.UNDECODABLE)
        assert (cut.width, cut.height) == (512, 384)


@pytest.mark.parametrize("depth", ["RGB", "L", "RGB;16", "L;16"])
def test_heic(examined, depth: str) -> None:
    heif = library("pillow_heif")
    if heif is None:
        pytest.skip("pillow-heif is not installed")
    values = PICTURE if depth.startswith("RGB") else GREY
    raw = (values.astype("<u2") * 257).tobytes() if depth.endswith("16") else values.tobytes()
    stream = io.BytesIO()
    heif.from_bytes(depth, (512, 384), raw).save(stream, quality=95)
    found = examined(stream.getvalue())
    assert (found.media_type, found.decode_state) == ("image/heic", DecodeState.DECODED)
    assert distance(pdq(found), pdq(examined(saved(Image.fromarray(PICTURE), "PNG")))) <= 8
    cut = examined(stream.getvalue()[:-200])
    assert cut.decode_state in (DecodeState.PARTIAL, DecodeState.UNDECODABLE)
