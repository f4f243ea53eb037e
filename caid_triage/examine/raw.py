"""Camera raw files: the largest JPEG that the camera put in for previews, else LibRaw if it is installed.

A preview is what every program shows of a raw file and what is copied from it, so its hash is the one
that a list of known pictures is likely to hold; a note says that it is of the preview. It is looked for by
the JPEG start marker and judged by its frame header, which is one way for all makers.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

from caid_triage.examine.decoded import Decoded, check_size, whole
from caid_triage.examine.jpeg import FRAMES, SOS
from caid_triage.examine.libraries import library
from caid_triage.examine.limits import Limits
from caid_triage.examine.pixels import array_as_grey_or_rgb

RAW_TYPES = frozenset(
    {
        "image/x-adobe-dng",
        "image/x-canon-cr2",
        "image/x-canon-cr3",
        "image/x-canon-crw",
        "image/x-epson-erf",
        "image/x-fuji-raf",
        "image/x-hasselblad-3fr",
        "image/x-kodak-dcr",
        "image/x-leica-rwl",
        "image/x-minolta-mrw",
        "image/x-nikon-nef",
        "image/x-olympus-orf",
        "image/x-panasonic-rw2",
        "image/x-pentax-pef",
        "image/x-samsung-srw",
        "image/x-sigma-x3f",
        "image/x-sony-arw",
    }
)
# Below this shorter side a preview is a thumbnail, and LibRaw is asked first.
PREVIEW_SIDE = 256
START = b"\xff\xd8\xff"
# What is tried of a hostile file: start markers, and segments behind each.
MOST_STARTS = 4096
MOST_SEGMENTS = 64
# Baseline, extended and progressive Huffman frames: what previews are. Sensor data is in lossless frames.
PREVIEW_FRAMES = frozenset({0xC0, 0xC1, 0xC2})


@dataclass(frozen=True, slots=True)
class Preview:
    """Where an embedded JPEG begins, and its stored pixels."""

    offset: int
    width: int
    height: int


def largest_preview(data: bytes, start: int = 1) -> Preview | None:
    """Return the embedded JPEG of the most pixels from byte ``start`` on, None if there is none."""
    found = list(previews(data, start))
    return max(found, key=lambda preview: preview.width * preview.height) if found else None


def previews(data: bytes, start: int) -> Iterator[Preview]:
    """Yield every place that begins like a JPEG and has a frame header that a preview can have."""
    position = start
    for _ in range(MOST_STARTS):
        position = data.find(START, position)
        if position < 0:
            return
        size = _frame(data, position)
        if size:
            yield Preview(position, *size)
        position += 1


def _frame(data: bytes, start: int) -> tuple[int, int] | None:
    """Return width and height of the JPEG at ``start`` if it is of 8 bits and its frame is one of a preview."""
    position = start + 2
    for _ in range(MOST_SEGMENTS):
        code = data[position + 1] if data[position : position + 1] == b"\xff" and position + 10 < len(data) else SOS
        if code == SOS:
            return None
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        if code in FRAMES:
            height, width = (int.from_bytes(data[position + at : position + at + 2], "big") for at in (5, 7))
            good = code in PREVIEW_FRAMES and data[position + 4] == 8 and data[position + 9] in (1, 3)
            return (width, height) if good and width and height else None
        if length < 2:
            return None
        position += 2 + length
    return None


def decode_with_libraw(data: bytes, limits: Limits) -> Decoded | None:
    """Return the sensor's picture, None without the library. Raises DECODER_ERRORS, MemoryError or Refused.

    Half size (a pixel for each square of the colour filter), the camera's white balance, not turned.
    """
    rawpy = library("rawpy")
    if rawpy is None:
        return None
    try:
        with rawpy.RawPy() as raw:
            raw.open_buffer(io.BytesIO(data))
            check_size(raw.sizes.raw_width, raw.sizes.raw_height, limits)
            raw.unpack()
            pixels = raw.postprocess(
                half_size=True, use_camera_wb=True, user_flip=0, output_bps=8, no_auto_bright=False
            )
            return whole(array_as_grey_or_rgb(pixels))
    except rawpy.LibRawError as error:
        said = error.args[0] if error.args else b""
        raise ValueError(said.decode("ascii", "replace") if isinstance(said, bytes) else str(said)) from error
