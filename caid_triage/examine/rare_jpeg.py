"""JPEG XL, JPEG XR and JPEG LS by imagecodecs, if it is installed (extra ``jxl``).

It is BSD-licensed and so are the codecs in it (libjxl, jxrlib, CharLS).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from caid_triage.examine.decoded import Decoded, check_size, whole
from caid_triage.examine.headers import Header
from caid_triage.examine.libraries import library
from caid_triage.examine.limits import Limits
from caid_triage.examine.pixels import array_as_grey_or_rgb

CODECS = {"image/jxl": "JPEGXL", "image/jxr": "JPEGXR", "image/jls": "JPEGLS"}


def decode_rare_jpeg(data: bytes, media_type: str, header: Header, limits: Limits) -> Decoded | None:
    """Return the first picture, None without the library. Raises DECODER_ERRORS, MemoryError or Refused."""
    imagecodecs = library("imagecodecs")
    if imagecodecs is None or not getattr(imagecodecs, CODECS[media_type]).available:
        return None
    if not (header.width and header.height):
        message = "the header gives no size"
        raise ValueError(message)
    check_size(header.width, header.height, limits)
    array: Any
    if media_type == "image/jxl":
        array = imagecodecs.jpegxl_decode(data, index=0, keeporientation=True, numthreads=1)
    elif media_type == "image/jxr":
        array = imagecodecs.jpegxr_decode(data, fp2int=True)
    else:
        array = imagecodecs.jpegls_decode(data)
    pixels = array_as_grey_or_rgb(np.asarray(array))
    if {*pixels.shape[:2]} != {header.width, header.height}:
        message = "the picture has another size than its header"
        raise ValueError(message)
    return whole(pixels)
