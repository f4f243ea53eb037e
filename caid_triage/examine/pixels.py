"""From Pillow's many modes to grey or RGB bytes, without the losses of its shortest ways."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from caid_triage.examine.opencv import opencv

Pixels = NDArray[np.uint8]

# What turns an image that was turned by its orientation tag (2..8) back to its stored pixels.
TURN_BACK = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def as_grey_or_rgb(image: Image.Image, orientation: int = 1) -> tuple[Pixels, Pixels | None]:
    """Return a loaded image as uint8[h,w] or uint8[h,w,3], and Pillow's own grey where it differs.

    Transparency is dropped, as the reference hashes drop it. Palettes become colours, CMYK is
    converted, and 16-bit or floating-point grey is scaled (Pillow's own conversion would clip it to
    white). ``orientation`` is the tag that Pillow applied by itself, which is undone.
    """
    if orientation in TURN_BACK:
        image = image.transpose(TURN_BACK[orientation])
    mode = image.mode
    if mode.startswith(("I", "F")):
        return _scaled(np.asarray(image), mode), None
    if mode in ("1", "L", "LA", "La"):
        return np.asarray(image.convert("LA").getchannel(0) if mode == "La" else image.convert("L")), None
    if mode == "LAB":
        return _from_lab(np.asarray(image)), None
    # Pillow weighs a palette's colours for grey by another rounding than those of pixels.
    grey = np.asarray(image.convert("L")) if mode in ("P", "PA") else None
    return np.asarray(image.convert("RGB")), grey


def _from_lab(values: Pixels) -> Pixels:
    """Return CIE L*a*b* of 8 bits (a and b two's complement, as Pillow keeps them) as sRGB."""
    lab = np.empty(values.shape, dtype=np.float32)
    lab[:, :, 0] = values[:, :, 0] * np.float32(100 / 255)
    lab[:, :, 1:] = values[:, :, 1:].astype(np.int8)
    colours = opencv().cvtColor(lab, opencv().COLOR_Lab2RGB)
    return np.asarray(np.rint(np.clip(colours, 0, 1) * 255), dtype=np.uint8)


def _scaled(values: NDArray[np.generic], mode: str) -> Pixels:
    """Return deep values as 0..255: 16 bits by the depth that they use, others by the range that they use."""
    deep = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(deep.min()), float(deep.max())
    if mode.startswith("I") and low >= 0 and high <= 65535:
        # Cameras and scanners put 10, 12 or 14 bits into 16; taken for 16 they are a black picture of few tones.
        low, high = 0.0, float((1 << max(8, int(high).bit_length() + int(high).bit_length() % 2)) - 1)
    elif mode == "F" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    elif mode == "F" and low >= 0 and high <= 255:
        low, high = 0.0, 255.0
    span = high - low
    scaled = (deep - low) * (255.0 / span) if span > 0 else np.zeros_like(deep)
    return np.rint(scaled).astype(np.uint8)


def array_as_grey_or_rgb(array: NDArray[np.generic]) -> Pixels:
    """Return a decoder's array, [h,w] or [h,w,1..4] of 8 or 16 bits or floating point, as uint8[h,w] or uint8[h,w,3].

    Two channels are grey and alpha, four are RGB and alpha; alpha is dropped. Raises ValueError for other shapes.
    """
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 2, 3, 4) or not array.size:
        message = f"an array of shape {array.shape} is no picture"
        raise ValueError(message)
    colours = array[:, :, 0] if array.shape[2] <= 2 else array[:, :, :3]
    if colours.dtype == np.uint8:
        return np.ascontiguousarray(colours, dtype=np.uint8)
    return _scaled(colours, "F" if np.issubdtype(colours.dtype, np.floating) else "I")
