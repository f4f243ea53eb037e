"""OpenCV behind one function, imported late, because its pixel limit is read when it is imported."""

from __future__ import annotations

import os
from functools import lru_cache
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from caid_triage.examine.limits import Limits

Pixels = NDArray[np.uint8]

FLOATING = (b"PF", b"Pf")  # portable float maps
OUT_OF_MEMORY = -4  # cv::Error::StsNoMem


@lru_cache(maxsize=1)
def opencv() -> ModuleType:
    """Return OpenCV with its own pixel limit set and on one thread (a worker is one process a core)."""
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(Limits().max_jpeg_pixels))
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    import cv2  # noqa: PLC0415  late on purpose, see above

    cv2.setNumThreads(1)
    module: ModuleType = cv2
    return module


def decode_with_opencv(data: bytes, *, grey: bool = False, factor: int = 1) -> Pixels | None:
    """Return uint8[h,w] (``grey``) or uint8[h,w,3] RGB at 1/``factor`` of the size, None if OpenCV cannot.

    ``factor`` other than 1 (2, 4 or 8) is for grey only. Raises MemoryError when OpenCV has none left.
    """
    cv2 = opencv()
    flags = {
        1: cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR,
        2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
        4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
        8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
    }
    try:
        pixels = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags[factor] | cv2.IMREAD_IGNORE_ORIENTATION)
        if pixels is not None and data[:2] in FLOATING:
            # Asked for 8 bits, OpenCV cuts values of 0..1 off instead of scaling them.
            deep = np.nan_to_num(cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED))
            pixels = np.rint(np.clip(deep, 0, 1) * 255).astype(np.uint8)
    except cv2.error as error:
        if error.code == OUT_OF_MEMORY:
            raise MemoryError from error
        return None
    if pixels is None or pixels.size == 0 or pixels.dtype != np.uint8:
        return None
    found: Pixels = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    return found
