"""Pillow, strict and tolerant: the decoder that the reference hashes are made with."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from PIL import Image, ImageChops, ImageFile

from caid_triage.examine.decoded import DECODER_ERRORS, Decoded, Refused, check_size, judged, problem, whole
from caid_triage.examine.frames import frames_of
from caid_triage.examine.headers import Header, boxes
from caid_triage.examine.libraries import load_pillow_formats
from caid_triage.examine.limits import Limits
from caid_triage.examine.pixels import as_grey_or_rgb
from caid_triage.model import Problem, Severity

# What Pillow may open for each type: nothing else, whatever the bytes pretend to be.
PILLOW_FORMATS: dict[str, tuple[str, ...]] = {
    "image/jpeg": ("JPEG",),
    "image/png": ("PNG",),
    "image/apng": ("PNG",),
    "image/gif": ("GIF",),
    "image/webp": ("WEBP",),
    "image/bmp": ("BMP", "DIB"),
    "image/tiff": ("TIFF",),
    "image/vnd.microsoft.icon": ("ICO",),
    "image/x-win-bitmap": ("CUR",),
    "image/x-icns": ("ICNS",),
    "image/vnd.adobe.photoshop": ("PSD",),
    "image/jp2": ("JPEG2000",),
    "image/jpx": ("JPEG2000",),
    "image/jph": ("JPEG2000",),
    "image/x-jp2-codestream": ("JPEG2000",),
    "image/avif": ("AVIF",),
    "image/x-portable-bitmap": ("PPM",),
    "image/x-portable-graymap": ("PPM",),
    "image/x-portable-pixmap": ("PPM",),
    "image/x-portable-floatmap": ("PPM",),
    "image/vnd.ms-dds": ("DDS",),
    "image/qoi": ("QOI",),
    "image/x-sgi": ("SGI",),
    "image/x-sun-raster": ("SUN",),
    "image/x-pcx": ("PCX",),
    "image/x-ms-dib": ("DIB",),
    "image/x-tga": ("TGA",),
    "image/x-dcx": ("DCX",),
    "image/x-blp": ("BLP",),
    "image/fits": ("FITS",),
    "image/x-gimp-gbr": ("GBR",),
    "image/x-im": ("IM",),
    "image/x-xv-thumbnail": ("XVTHUMB",),
    "image/x-photo-cd": ("PCD",),
    "image/x-xbitmap": ("XBM",),
    "image/x-xpixmap": ("XPM",),
}
# For a type that only a second opinion names.
EVERY_FORMAT = tuple(sorted({form for forms in PILLOW_FORMATS.values() for form in forms}))
# Formats of several pictures: of these the frames are looked at, of those the first picture is taken.
ANIMATED = frozenset({"GIF", "WEBP", "PNG", "AVIF"})
PAGED = frozenset({"TIFF"})
# Types whose decoders open nothing of a file that is cut short, and the most that is added to one.
PADDED = frozenset({"image/webp", "image/avif", "image/vnd.ms-dds", "image/x-blp"})
MOST_PADDING = 1 << 26


def decode_with_pillow(data: bytes, media_type: str, header: Header, limits: Limits, *, tolerant: bool) -> Decoded:
    """Return the picture, tolerant of missing data or not. Raises DECODER_ERRORS, MemoryError or Refused."""
    formats = PILLOW_FORMATS.get(media_type, EVERY_FORMAT)
    load_pillow_formats()
    try:
        with _settings(tolerant, limits), Image.open(io.BytesIO(data), formats=formats) as image:
            check_size(image.width, image.height, limits)
            return _picture(image, header, limits)
    except Image.DecompressionBombError as error:
        raise Refused(header.width, header.height) from error


def decode_padded(data: bytes, media_type: str, header: Header, limits: Limits) -> Decoded:
    """Return the picture of a file that is cut short, filled up with zeros: some decoders want all of it or nothing.

    Raises DECODER_ERRORS (of a file that is not shorter than it says), MemoryError or Refused.
    """
    missing = missing_bytes(data, media_type, header)
    if not 0 < missing <= MOST_PADDING:
        message = "the file is not cut short"
        raise ValueError(message)
    return decode_with_pillow(data + bytes(missing), media_type, header, limits, tolerant=True)


def missing_bytes(data: bytes, media_type: str, header: Header) -> int:
    """Return how many bytes a file is shorter than it says, for the types that are padded."""
    if media_type == "image/webp":
        return int.from_bytes(data[4:8], "little") + 8 - len(data)
    if media_type == "image/avif":
        return max((last for _, _, last in boxes(data, 0, len(data))), default=0) - len(data)
    # Block-coded textures: at most four bytes a pixel, and as much again for their smaller versions.
    return 8 * (header.width or 0) * (header.height or 0) + 4096 - len(data)


def _picture(image: Image.Image, header: Header, limits: Limits) -> Decoded:
    """Return the pixels of an opened image, turned back where Pillow applied a TIFF's orientation."""
    form = image.format or ""
    several = header.animated or (form in ANIMATED | PAGED and bool(getattr(image, "is_animated", False)))
    orientation = _tiff_orientation(image)
    image.load()
    if form == "JPEG" and image.mode == "CMYK" and "adobe" not in image.info:
        # Inks are stored inverted by Adobe's programs, which say so by their marker; Pillow takes it for granted.
        image = ImageChops.invert(image)
    found = whole(*as_grey_or_rgb(image, orientation))
    if not several or found.pixels is None:
        return found
    if form not in ANIMATED:
        text = "the file holds several pictures; the perceptual hashes are of the first"
        return replace(found, problems=(problem("first-frame-only", text, Severity.NOTE),))
    frames = frames_of(image, found.pixels, limits, (*DECODER_ERRORS, Image.DecompressionBombError))
    notes: tuple[Problem, ...] = ()
    if frames.more:
        text = f"the animation is longer than what is decoded: only its first {frames.looked_at} frames were looked at"
        notes = (problem("frames-cut", text, Severity.NOTE),)
    return judged(replace(found, frames=frames.kept, problems=notes), frames.fault)


def _tiff_orientation(image: Image.Image) -> int:
    """Return the orientation that Pillow is about to apply to a TIFF by itself (1: none)."""
    if image.format != "TIFF":
        return 1
    value = image.getexif().get(0x0112, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


@contextmanager
def _settings(tolerant: bool, limits: Limits) -> Iterator[None]:
    """Run Pillow quietly, tolerant of missing data or not, and leave its global settings as they were.

    Its warnings are about metadata or sizes. It refuses what is over twice its own pixel limit, which
    also holds for pictures inside containers (icons) whose size is not known before they are loaded.
    """
    before = ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS
    ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS = tolerant, -(-limits.max_pixels // 2)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS = before
