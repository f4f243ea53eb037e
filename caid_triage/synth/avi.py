"""Write a short AVI of JPEG frames (MJPEG): a video without needing a video encoder."""

from __future__ import annotations

import struct
from collections.abc import Sequence


def build_avi(frames: Sequence[bytes], *, width: int, height: int, rate: int) -> bytes:
    """An AVI file of JPEG frames, ``rate`` a second. Source: Microsoft, "AVI RIFF File Reference"."""
    longest = max(map(len, frames))
    main = struct.pack(
        "<IIIIIIIIIIIIII", 1_000_000 // rate, longest * rate, 0, 0x10, len(frames), 0, 1, longest, width, height,
        0, 0, 0, 0,
    )  # fmt: skip
    stream = struct.pack(
        "<4s4sIHHIIIIIIIIHHHH", b"vids", b"MJPG", 0, 0, 0, 0, 1, rate, 0, len(frames), longest, 0xFFFFFFFF, 0,
        0, 0, width, height,
    )  # fmt: skip
    picture = struct.pack("<IIIHH4sIIIII", 40, width, height, 1, 24, b"MJPG", width * height * 3, 0, 0, 0, 0)
    header = _list(b"hdrl", _chunk(b"avih", main) + _list(b"strl", _chunk(b"strh", stream) + _chunk(b"strf", picture)))
    body, index = bytearray(), bytearray()
    for frame in frames:
        index += struct.pack("<4sIII", b"00dc", 0x10, 4 + len(body), len(frame))
        body += _chunk(b"00dc", frame)
    return _chunk(b"RIFF", b"AVI " + header + _list(b"movi", bytes(body)) + _chunk(b"idx1", bytes(index)))


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def _list(name: bytes, content: bytes) -> bytes:
    return _chunk(b"LIST", name + content)
