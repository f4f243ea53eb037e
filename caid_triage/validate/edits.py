"""What is done to listed pictures to make near-duplicates of them: each edit by its name, from mild to hard."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from PIL import Image

from caid_triage.validate.draw import Pixels, decoded, jpeg, png

Edit = Callable[[Pixels], Pixels]


def _scaled(numerator: int, denominator: int) -> Edit:
    def edit(pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        size = (width * numerator // denominator, height * numerator // denominator)
        return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS), dtype=np.uint8)

    return edit


def _levels(multiply: int, add: int) -> Edit:
    """Each value times ``multiply`` eighths, plus ``add``."""

    def edit(pixels: Pixels) -> Pixels:
        return np.clip(pixels.astype(np.int64) * multiply // 8 + add, 0, 255).astype(np.uint8)

    return edit


def _cropped(percent: int) -> Edit:
    """So many percent of each side are cut off at each edge."""

    def edit(pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        down, across = height * percent // 100, width * percent // 100
        return np.ascontiguousarray(pixels[down : height - down, across : width - across])

    return edit


def _bordered(percent: int) -> Edit:
    def edit(pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        down, across = height * percent // 100, width * percent // 100
        return np.pad(pixels, ((down, down), (across, across), (0, 0)))

    return edit


def _blurred(pixels: Pixels) -> Pixels:
    """The mean of 5 x 5 pixels."""
    wide = np.pad(pixels.astype(np.int64), ((2, 2), (2, 2), (0, 0)), mode="edge")
    height, width = pixels.shape[:2]
    total = sum(wide[down : down + height, across : across + width] for down in range(5) for across in range(5))
    return np.asarray(total // 25, dtype=np.uint8)


def _captioned(pixels: Pixels) -> Pixels:
    """A white bar with dark marks over the lowest eighth."""
    changed = pixels.copy()
    height, width = pixels.shape[:2]
    changed[height * 7 // 8 :] = 240
    for place in range(width // 12, width * 11 // 12, max(4, width // 30)):
        changed[height * 29 // 32 : height * 31 // 32, place : place + max(2, width // 80)] = 20
    return changed


def _covered(pixels: Pixels) -> Pixels:
    """A plain block over a fifth of each side, in the corner."""
    changed = pixels.copy()
    height, width = pixels.shape[:2]
    changed[: height // 5, : width // 5] = 255
    return changed


EDITS: Mapping[str, Edit] = MappingProxyType(
    {
        "saved without loss": lambda pixels: pixels,
        "scaled to 3/4": _scaled(3, 4),
        "scaled to 1/2": _scaled(1, 2),
        "scaled to 1/4": _scaled(1, 4),
        "brighter": _levels(8, 40),
        "darker": _levels(5, 0),
        "less contrast": _levels(5, 48),
        "blurred": _blurred,
        "cropped 1% at each edge": _cropped(1),
        "cropped 4% at each edge": _cropped(4),
        "cropped 10% at each edge": _cropped(10),
        "bordered": _bordered(6),
        "captioned": _captioned,
        "covered in a corner": _covered,
        "mirrored": lambda pixels: np.ascontiguousarray(pixels[:, ::-1]),
        "turned by 90 degrees": lambda pixels: np.ascontiguousarray(np.rot90(pixels)),
    }
)
"""Edits whose copies are stored without loss, so that the pixels that the tool sees are known exactly."""

JPEG_EDITS: Mapping[str, int] = MappingProxyType(
    {"recompressed, quality 75": 75, "recompressed, quality 40": 40, "recompressed, quality 15": 15}
)
"""Edits that are a JPEG of this quality."""


def edited(name: str, pixels: Pixels) -> tuple[bytes, Pixels, bool]:
    """The file of an edit, the pixels in it, and whether those are exact (a JPEG's depend on the decoder)."""
    if name in JPEG_EDITS:
        content = jpeg(pixels, JPEG_EDITS[name])
        return content, decoded(content), False
    changed = EDITS[name](pixels)
    return png(changed), changed, True
