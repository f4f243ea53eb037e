"""Decode a Snappy block, bounded: the compression of most AFF4 images. numpy and C wheels of it are not needed.

Format: Google, snappy/format_description.txt: a varint of the decoded length, then elements. The low two bits of a
tag say literal (0) or copy with an offset of 11 bits (1), 2 bytes (2) or 4 bytes (3).
"""

from __future__ import annotations


def decode_snappy(data: bytes, limit: int) -> bytes:
    """The decoded bytes. ValueError for a damaged block, or one that says it is longer than ``limit``."""
    length = shift = at = 0
    while True:
        if at >= len(data) or shift > 28:
            raise ValueError("the length of a Snappy block is damaged")
        byte = data[at]
        at += 1
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    if length > limit:
        raise ValueError(f"a Snappy block claims {length} bytes, more than the {limit} it may have")
    out = bytearray()
    end = len(data)
    while at < end:
        tag = data[at]
        at += 1
        kind = tag & 3
        if kind == 0:
            size = tag >> 2
            if size >= 60:
                width = size - 59
                size = int.from_bytes(data[at : at + width], "little")
                at += width
            size += 1
            piece = data[at : at + size]
            if len(piece) < size or len(out) + size > length:
                raise ValueError("a Snappy block is damaged")
            out += piece
            at += size
            continue
        if kind == 1:
            size = 4 + (tag >> 2 & 7)
            back = (tag >> 5) << 8 | int.from_bytes(data[at : at + 1], "little")
            at += 1
        else:
            width = 2 if kind == 2 else 4
            size = 1 + (tag >> 2)
            back = int.from_bytes(data[at : at + width], "little")
            at += width
        if at > end or not 0 < back <= len(out) or len(out) + size > length:
            raise ValueError("a Snappy block is damaged")
        start = len(out) - back
        piece = bytes(out[start : start + size])
        out += piece if len(piece) == size else (piece * -(-size // back))[:size]
    if len(out) != length:
        raise ValueError("a Snappy block is shorter than it says")
    return bytes(out)
