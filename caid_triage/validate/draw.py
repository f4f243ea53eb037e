"""Draw pictures from a seed, exactly the same on every machine, and store them with and without loss.

All arithmetic is of whole numbers and the random numbers are those of Python's own generator, whose sequence is part
of the language's promise. So the pixels of a seed are fixed, and what the reference implementations said of them once
can be shipped (known_answers.json). Nothing here comes from the tool under test.
"""

from __future__ import annotations

import io
import struct
import zlib
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]

ONE = 1 << 12  # fixed point: twelve bits behind the point
SHAPES = (10, 22)


def drawing(rng: Random, width: int, height: int) -> Pixels:
    """A picture of soft colours with shapes on it, uint8[height, width, 3]: edges enough for any hash of a look."""
    picture = _ground(rng, width, height)
    columns, rows = np.arange(width, dtype=np.int64)[None, :], np.arange(height, dtype=np.int64)[:, None]
    for _ in range(rng.randint(*SHAPES)):
        colour = np.array([rng.randrange(256) for _ in range(3)], dtype=np.int64)
        across, down = rng.randrange(width), rng.randrange(height)
        wide, high = rng.randint(width // 16, width // 3), rng.randint(height // 16, height // 3)
        dx, dy = columns - across, rows - down
        kind = rng.randrange(3)
        if kind == 0:
            inside = dx * dx * (high * high) + dy * dy * (wide * wide) <= (wide * high) ** 2
        elif kind == 1:
            inside = (abs(dx) <= wide) & (abs(dy) <= high)
        else:
            inside = abs(dx) * high + abs(dy) * wide <= wide * high
        shade = rng.randint(3, 8)  # eighths of the shape's own colour: some let the ground through
        picture[inside] = (picture[inside] * (8 - shade) + colour * shade) // 8
    return np.ascontiguousarray(picture, dtype=np.uint8)


def _ground(rng: Random, width: int, height: int) -> NDArray[np.int64]:
    """Random colours at the knots of a coarse net, and whatever lies between them in between, int64[h, w, 3]."""
    knots_across, knots_down = rng.randint(3, 6), rng.randint(3, 6)
    knots = np.array(
        [[[rng.randrange(256) for _ in range(3)] for _ in range(knots_across)] for _ in range(knots_down)],
        dtype=np.int64,
    )
    left, right_part = _between(width, knots_across)
    top, lower_part = _between(height, knots_down)
    lower, right = lower_part[:, None, None], right_part[None, :, None]
    upper_row: NDArray[np.int64] = knots[top][:, left] * (ONE - right) + knots[top][:, left + 1] * right
    lower_row: NDArray[np.int64] = knots[top + 1][:, left] * (ONE - right) + knots[top + 1][:, left + 1] * right
    mixed: NDArray[np.int64] = (upper_row * (ONE - lower) + lower_row * lower) >> 24
    return mixed


def _between(length: int, knots: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each pixel of a side the knot before it, and how far it is on the way to the next one (of ONE)."""
    places = np.arange(length, dtype=np.int64) * (knots - 1) * ONE // max(1, length)
    return places >> 12, places & (ONE - 1)


def png(pixels: Pixels) -> bytes:
    """The pixels, uint8[h, w] or uint8[h, w, 3], as a PNG. Source: ISO/IEC 15948; no library of pictures takes part."""
    height, width = pixels.shape[:2]
    kind = 2 if pixels.ndim == 3 else 0
    lines = pixels.reshape(height, -1)
    filtered = np.zeros((height, lines.shape[1] + 1), dtype=np.uint8)
    filtered[:, 0] = 1  # Sub: each byte less the one a pixel before
    filtered[:, 1:] = lines
    step = 3 if kind == 2 else 1
    filtered[:, 1 + step :] = lines[:, step:] - lines[:, :-step]
    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    packed = zlib.compress(filtered.tobytes(), 1)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def jpeg(pixels: Pixels, quality: int = 90) -> bytes:
    """The pixels as a JPEG by Pillow's encoder."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=quality)
    return out.getvalue()


def decoded(content: bytes) -> Pixels:
    """The pixels of a JPEG of ours in full colour, by Pillow at full size: the route that the tool does not take."""
    with Image.open(io.BytesIO(content)) as opened:
        return np.asarray(opened.convert("RGB"), dtype=np.uint8)


def grey(pixels: Pixels) -> Pixels:
    """One channel of a drawing, for a picture without colours."""
    return np.ascontiguousarray(pixels[:, :, 1])
