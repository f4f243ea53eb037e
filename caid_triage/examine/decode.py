"""From the bytes of a picture to its pixels, and an honest word about how far that went.

Chain for JPEG: marker walk, OpenCV (reduced where the picture is large), Pillow, Pillow tolerant of
missing data. For every other type: the header, Pillow, Pillow tolerant, OpenCV. The order is that
of exactness: on JPEG both give the same pixels (tested) and OpenCV is twice as fast; elsewhere
Pillow is what the reference hashes are made with.

A damaged picture never comes out as ``decoded``: decoders fill what is missing and keep silent, so
the structure is checked here. Of an animation or a file of several pages, the first picture is
taken. Stored pixels are taken: no orientation tag is applied.
"""

from __future__ import annotations

import io
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, features

from caid_triage.examine.headers import Header, read_header
from caid_triage.examine.jpeg import JpegScan, cut_scans, scan_jpeg
from caid_triage.examine.limits import Limits
from caid_triage.examine.opencv import decode_with_opencv
from caid_triage.examine.pixels import as_grey_or_rgb
from caid_triage.model import DecodeState, Problem, Severity

Pixels = NDArray[np.uint8]

# What Pillow may open for each type: nothing else, whatever the bytes pretend to be.
PILLOW_FORMATS: dict[str, tuple[str, ...]] = {
    "image/jpeg": ("JPEG", "MPO"),
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
    "image/x-xbitmap": ("XBM",),
    "image/x-xpixmap": ("XPM",),
}
# Types that only OpenCV reads.
OPENCV_ONLY = frozenset({"image/vnd.radiance", "image/x-portable-arbitrarymap"})
# Types whose every byte of picture data is under a checksum that is verified here.
CHECKSUMMED = frozenset({"image/png", "image/apng"})
# Drawings and working files. Every other picture without a decoder may be a photograph that a
# perceptual hash would have found, and is a problem.
NO_PHOTOGRAPH = frozenset(
    {"image/svg+xml", "image/wmf", "image/emf", "image/x-xcf", "image/vnd.djvu", "image/x-psp", "image/x-jng"}
)
SEVERAL = frozenset({"TIFF", "AVIF", "WEBP"})
# Whatever Pillow's plug-ins raise on damaged data. MemoryError is not among them.
PILLOW_ERRORS = (
    OSError,
    ValueError,
    TypeError,
    SyntaxError,
    LookupError,
    EOFError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    RuntimeError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True, slots=True)
class Decoded:
    """A picture, or why there is none.

    ``pixels`` is uint8[h,w] grey or uint8[h,w,3] RGB, None when nothing was decoded. ``grey`` is
    Pillow's own grey version where that is not the grey of ``pixels`` (palettes). ``reduced``: the
    pixels are a smaller version of ``width`` x ``height``, which are the stored pixels.
    """

    state: DecodeState
    width: int | None = None
    height: int | None = None
    pixels: Pixels | None = None
    grey: Pixels | None = None
    reduced: bool = False
    problems: tuple[Problem, ...] = ()


def decode(data: bytes, media_type: str, limits: Limits) -> Decoded:
    """Return the first picture of ``data``, which is of ``media_type`` by its content."""
    if media_type not in PILLOW_FORMATS and media_type not in OPENCV_ONLY:
        return _no_decoder(data, media_type)
    if media_type == "image/avif" and not features.check("avif"):
        return _no_decoder(data, media_type)
    if media_type == "image/jpeg":
        return _jpeg(data, limits)
    return _picture(data, media_type, read_header(data, media_type) or Header(), limits)


def _jpeg(data: bytes, limits: Limits) -> Decoded:
    """Decode a JPEG: its markers first, then OpenCV, then Pillow."""
    scan = scan_jpeg(data)
    header = Header(scan.width, scan.height, scan.damage)
    if _too_many(header.width, header.height, limits):
        return _refused(header)
    cut: tuple[Problem, ...] = ()
    if len(scan.scans) > limits.max_scans:
        detail = f"the picture has {len(scan.scans)} scans; it was decoded from its first {limits.max_scans}"
        cut = (problem("scans-cut", detail),)
        data = cut_scans(data, scan, limits.max_scans)
    found = _jpeg_pixels(data, scan, limits)
    if found is None:
        result = _picture(data, "image/jpeg", header, limits)
    else:
        result = _judged(Decoded(DecodeState.DECODED, scan.width, scan.height, found[0], reduced=found[1]), header)
    if cut and result.state is DecodeState.DECODED:
        result = replace(result, state=DecodeState.PARTIAL)
    return replace(result, problems=cut + result.problems)


def _jpeg_pixels(data: bytes, scan: JpegScan, limits: Limits) -> tuple[Pixels, bool] | None:
    """Return OpenCV's pixels of a grey or colour JPEG and whether they are reduced, None if it cannot."""
    # CMYK is Pillow's: OpenCV converts it by a rule of its own. So is what is not 8 bits deep.
    if scan.components not in (1, 3) or scan.precision != 8 or not (scan.width and scan.height):
        return None
    side = min(scan.width, scan.height)
    least = limits.min_reduced_side
    factor = next((by for by in (8, 4, 2) if least and side // by >= least), 1)
    pixels = decode_with_opencv(data, grey=scan.components == 1 or factor > 1, factor=factor)
    if pixels is None or pixels.shape[:2] != (-(-scan.height // factor), -(-scan.width // factor)):
        return None
    return pixels, factor > 1


def _picture(data: bytes, media_type: str, header: Header, limits: Limits) -> Decoded:
    """Decode by Pillow, then by Pillow tolerant of missing data, then by OpenCV.

    What only a tolerant or a second decoder could read comes out as partial.
    """
    if _too_many(header.width, header.height, limits):
        return _refused(header)
    if media_type in OPENCV_ONLY:
        return _by_opencv(data, header) or _undecodable(header, "the decoder could not read it")
    try:
        return _judged(_by_pillow(data, media_type, header, limits, tolerant=False), header)
    except Image.DecompressionBombError:
        return _refused(header)
    except PILLOW_ERRORS as error:
        fault = _plain(error)
    if media_type in CHECKSUMMED and not header.damage:
        # Nothing is missing: the file is unusual, and the other decoder may know its kind.
        whole = _by_opencv(data, header)
        if whole:
            return whole
    damaged = replace(header, damage=header.damage or fault)
    try:
        return _judged(_by_pillow(data, media_type, header, limits, tolerant=True), damaged)
    except Image.DecompressionBombError:
        return _refused(header)
    except PILLOW_ERRORS:
        found = _by_opencv(data, header) if header.width else None
    return _judged(found, damaged) if found else _undecodable(damaged, fault)


def _by_pillow(data: bytes, media_type: str, header: Header, limits: Limits, *, tolerant: bool) -> Decoded:
    """Decode by Pillow, or raise one of ``PILLOW_ERRORS``."""
    formats = PILLOW_FORMATS[media_type]
    with _pillow(tolerant, limits), Image.open(io.BytesIO(data), formats=formats) as image:
        if _too_many(image.width, image.height, limits):
            return _refused(Header(image.width, image.height))
        return _from_pillow(image, header)


def _by_opencv(data: bytes, header: Header) -> Decoded | None:
    """Decode by OpenCV, None if it cannot or has another idea of the size than the header."""
    pixels = decode_with_opencv(data)
    if pixels is None or (header.width and pixels.shape[:2] != (header.height, header.width)):
        return None
    height, width = pixels.shape[:2]
    return Decoded(DecodeState.DECODED, width, height, pixels)


def _undecodable(header: Header, fault: str) -> Decoded:
    """Return that no decoder got a picture out of the file."""
    problems = (problem("undecodable", header.damage or fault),)
    return Decoded(DecodeState.UNDECODABLE, header.width, header.height, problems=problems)


def _from_pillow(image: Image.Image, header: Header) -> Decoded:
    """Return the pixels of an opened image, turned back where Pillow applied a TIFF's orientation."""
    several = header.animated or (image.format in SEVERAL and bool(getattr(image, "is_animated", False)))
    orientation = _tiff_orientation(image)
    image.load()
    pixels, grey = as_grey_or_rgb(image, orientation)
    height, width = pixels.shape[:2]
    notes: tuple[Problem, ...] = ()
    if several:
        detail = "the file holds several pictures; the perceptual hashes are of the first"
        notes = (problem("first-frame-only", detail, Severity.NOTE),)
    return Decoded(DecodeState.DECODED, width, height, pixels, grey, problems=notes)


def _tiff_orientation(image: Image.Image) -> int:
    """Return the orientation that Pillow is about to apply to a TIFF by itself (1: none)."""
    if image.format != "TIFF":
        return 1
    value = image.getexif().get(0x0112, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _judged(result: Decoded, header: Header) -> Decoded:
    """Mark a picture as partial if its structure is damaged."""
    if not header.damage or result.state is not DecodeState.DECODED:
        return result
    detail = f"{header.damage}; the perceptual hashes are of what could be decoded"
    return replace(result, state=DecodeState.PARTIAL, problems=(problem("partial-decode", detail), *result.problems))


def _too_many(width: int | None, height: int | None, limits: Limits) -> bool:
    """Return whether a picture of that size is over a limit."""
    if not (width and height):
        return False
    return width * height > limits.max_pixels or max(width, height) > limits.max_side


def _refused(header: Header) -> Decoded:
    """Return that a picture is too large to be decoded."""
    size = f"{header.width} x {header.height} pixels" if header.width else "more pixels"
    detail = f"the header claims {size}, more than is allowed; the picture was not decoded"
    problems = (problem("too-many-pixels", detail),)
    return Decoded(DecodeState.REFUSED, header.width, header.height, problems=problems)


def stored_size(data: bytes, media_type: str) -> tuple[int | None, int | None]:
    """Return width and height in stored pixels as the first bytes of a picture tell them, without decoding."""
    if media_type == "image/jpeg":
        scan = scan_jpeg(data)
        return scan.width, scan.height
    header = read_header(data, media_type) or Header()
    return header.width, header.height


def _no_decoder(data: bytes, media_type: str) -> Decoded:
    """Return that there is no decoder here for a type, with its size where the header tells it."""
    severity = Severity.NOTE if media_type in NO_PHOTOGRAPH else Severity.PROBLEM
    detail = f"pictures of type {media_type} cannot be decoded here; only the digests were taken"
    width, height = stored_size(data, media_type)
    return Decoded(DecodeState.NOT_ATTEMPTED, width, height, problems=(problem("no-decoder", detail, severity),))


def problem(code: str, detail: str, severity: Severity = Severity.PROBLEM) -> Problem:
    """Return a Problem of the decode step; the code is documented in docs/problem-codes.md."""
    return Problem("decode", code, detail, severity)


def _plain(error: BaseException) -> str:
    """Return what a decoder complained of, without what differs from run to run (addresses)."""
    text = re.sub(r"<[^>]*>|0x[0-9a-fA-F]+", "...", str(error))
    text = "".join(letter if letter.isprintable() else " " for letter in text).strip()[:200]
    return f"the decoder says: {text}" if text else f"the decoder failed ({type(error).__name__})"


@contextmanager
def _pillow(tolerant: bool, limits: Limits) -> Iterator[None]:
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
