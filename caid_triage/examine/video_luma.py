"""From a decoded frame to its brightness, in stored pixels, and from that to its PDQ."""

from __future__ import annotations

from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from caid_triage.examine.pdq import pdq_reduced
from caid_triage.examine.pdq_naive import SMALLEST_SIDE

Pixels = NDArray[np.uint8]

# Formats whose first plane is the brightness, one sample a pixel, after the name's digits of depth are taken off.
_LUMA_FIRST = ("yuv4", "yuvj4", "yuva4", "nv12", "nv16", "nv21", "nv24", "nv42", "p01", "p21", "p41", "gray")
_FULL_RANGE = 2


def frame_pdq(frame: Any, height: int, width: int) -> tuple[bytes, int] | None:
    """Return PDQ (32 bytes) and quality of a frame whose stored size is ``height`` x ``width``; None if too small.

    The frame may have been decoded smaller. PDQ weighs colours as BT.601 does, so it is taken of the brightness as it
    is stored, which is what comes out of the published tools' way through RGB.
    """
    if min(height, width, frame.height, frame.width) < SMALLEST_SIDE:
        return None
    return pdq_reduced(luma(frame), max(height, frame.height), max(width, frame.width))


def luma(frame: Any) -> Pixels:
    """Return the brightness of a frame as uint8[h,w] over the full range."""
    pixel_format = frame.format
    name = str(pixel_format.name)
    if not name.startswith(_LUMA_FIRST) or pixel_format.is_big_endian:
        grey: Pixels = frame.to_ndarray(format="gray")
        return grey
    bits = pixel_format.components[0].bits
    plane = frame.planes[0]
    wide = bits > 8
    line = plane.line_size // (2 if wide else 1)
    samples = np.frombuffer(plane, dtype="<u2" if wide else np.uint8)[: line * frame.height]
    samples = samples.reshape(frame.height, line)[:, : frame.width]
    if wide:
        shift = 8 if name.startswith(("p01", "p21", "p41")) else bits - 8
        samples = np.minimum(samples >> shift, 255)
    stored = np.ascontiguousarray(samples, dtype=np.uint8)
    if name.startswith(("yuvj", "gray")) or frame.color_range == _FULL_RANGE:
        return stored
    return np.asarray(cv2.LUT(stored, _stretch()), dtype=np.uint8)


@cache
def _stretch() -> Pixels:
    """From the range of television, 16..235, to 0..255."""
    return np.clip(np.rint((np.arange(256) - 16) * 255 / 219), 0, 255).astype(np.uint8)
