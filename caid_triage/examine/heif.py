"""HEIC and HEIF by pillow-heif, if it is installed (extra ``heif``).

The picture's own turning (the irot and imir properties) is part of the format and applied, as every
program that opens such files applies it; its EXIF orientation is not.
"""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np

from caid_triage.examine.decoded import Decoded, check_size, problem, whole
from caid_triage.examine.headers import Header
from caid_triage.examine.libraries import library
from caid_triage.examine.limits import Limits
from caid_triage.examine.pixels import array_as_grey_or_rgb
from caid_triage.model import Severity


def decode_with_heif(data: bytes, _media_type: str, _header: Header, limits: Limits) -> Decoded | None:
    """Return the primary picture, None without the library. Raises DECODER_ERRORS, MemoryError or Refused."""
    pillow_heif = library("pillow_heif")
    if pillow_heif is None:
        return None
    file = pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=True)
    image = file[file.primary_index]
    width, height = image.size
    check_size(width, height, limits)  # nothing is decoded before the pixels are asked for
    found = whole(array_as_grey_or_rgb(np.asarray(image)))
    if len(file) > 1:
        text = "the file holds several pictures; the perceptual hashes are of its primary one"
        return replace(found, problems=(problem("first-frame-only", text, Severity.NOTE),))
    return found
