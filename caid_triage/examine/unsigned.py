"""Pictures without a signature, told by a header of which every field makes sense."""

from __future__ import annotations

import struct

from caid_triage.examine.mended import damaged_start

# Depths of a pixel for each kind of TGA: palette, colour, grey; the upper three are run-length coded.
TARGA_DEPTHS = {1: (8, 16), 9: (8, 16), 2: (15, 16, 24, 32), 10: (15, 16, 24, 32), 3: (8, 16), 11: (8, 16)}


def without_signature(head: bytes, size: int | None) -> str | None:
    """Return the media type of a picture that begins with no fixed bytes, or with damaged ones, None if it is none.

    ``size`` is the whole length in bytes, None where it is not known.
    """
    if _is_bitmap(head, size):
        return "image/x-ms-dib"
    if _is_targa(head, size):
        return "image/x-tga"
    return damaged_start(head)


def is_jpeg_ls(head: bytes) -> bool:
    """Whether a JPEG has the frame header of JPEG LS (ITU T.87)."""
    position = 2
    while head[:2] == b"\xff\xd8" and head[position : position + 1] == b"\xff":
        code, length = head[position + 1 : position + 2], int.from_bytes(head[position + 2 : position + 4], "big")
        if code == b"\xf7":
            return True
        if length < 2 or not b"\xe0" <= code <= b"\xfe":
            return False
        position += 2 + length
    return False


def _is_bitmap(head: bytes, size: int | None) -> bool:
    """A bitmap without its file header, as clipboards hold it, if its pixels fill the file."""
    if head[:4] != b"\x28\0\0\0" or len(head) < 40 or size is None:
        return False
    width, height, planes, depth, compression = struct.unpack_from("<iiHHI", head, 4)
    needed = -(-width * depth // 32) * 4 * abs(height)
    plain = planes == 1 and depth in (1, 4, 8, 16, 24, 32) and compression in (0, 3)
    stated = int.from_bytes(head[20:24], "little")
    # Behind the header and the pixels there is room for masks, a palette and padding, and no more. One that is cut
    # short must state its own length.
    least = 40 + needed // 2 if stated == needed and needed >= 4096 else 40 + needed
    return plain and width > 0 and height != 0 and least <= size <= needed + 40 + 12 + 1024 + 4096


def _is_targa(head: bytes, size: int | None) -> bool:
    """TGA: the header and the length of the file."""
    if len(head) < 18:
        return False
    name, table, kind, first, entries, bits = struct.unpack_from("<BBBHHB", head)
    width, height, depth, flags = struct.unpack_from("<HHBB", head, 12)
    if table > 1 or depth not in TARGA_DEPTHS.get(kind, ()) or not (0 < width <= 32768 and 0 < height <= 32768):
        return False
    if flags & 0xC0 or flags & 0x0F not in (0, 1, 8):
        return False
    if table and (bits not in (15, 16, 24, 32) or not entries or first + entries > 65536):
        return False
    if not table and (kind in (1, 9) or first or entries or bits):
        return False
    pixel = -(-depth // 8)
    least = width * height * pixel if kind < 9 else -(-width * height // 128) * (1 + pixel)
    start = 18 + name + (entries * -(-bits // 8) if table else 0)
    # Half of the picture is enough to try; a few bytes that happen to look like a header are not.
    return size is None or start + least // 2 < size
