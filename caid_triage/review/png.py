"""A PNG file of pixels, made here: no byte of it comes from anywhere else."""

from __future__ import annotations

import struct
import zlib

from caid_triage.scan.look import Pixels

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB = 0, 2
# ITU-R BT.601, as most programs turn colours into grey; in 1/65536.
WEIGHTS = (19595, 38470, 7471)


def png_of(pixels: Pixels, *, grey: bool = False) -> bytes:
    """The PNG of a small picture, in shades of grey where that is asked for."""
    data = greyed(pixels.data) if grey and pixels.channels == 3 else pixels.data
    channels = 1 if grey else pixels.channels
    row = pixels.width * channels
    rows = b"".join(b"\0" + data[begin : begin + row] for begin in range(0, len(data), row))
    header = struct.pack(">IIBBBBB", pixels.width, pixels.height, 8, RGB if channels == 3 else GREY, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b"")
    return SIGNATURE + b"".join(_chunk(name, content) for name, content in chunks)


def greyed(data: bytes) -> bytes:
    """RGB bytes as grey bytes."""
    import numpy as np  # noqa: PLC0415

    colours = np.frombuffer(data, np.uint8).reshape(-1, 3).astype(np.uint32)
    return bytes(((colours * np.array(WEIGHTS, np.uint32)).sum(axis=1) >> 16).astype(np.uint8).tobytes())


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
