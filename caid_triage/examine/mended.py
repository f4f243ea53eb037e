"""Pictures whose first bytes are damaged: still told by what follows, and given back the start that decoders want.

A picture mended here never comes out as whole.
"""

from __future__ import annotations

PNG_START = b"\x89PNG\r\n\x1a\n"
JPEG_START = b"\xff\xd8"
# How far rubbish may reach between the start of a JPEG and its first marker.
RUBBISH = 64


def damaged_start(head: bytes) -> str | None:
    """Return the type of a picture whose signature is damaged, None where nothing tells it."""
    if head[12:16] == b"IHDR" and head[8:12] == b"\0\0\0\x0d" and not head.startswith(PNG_START):
        return "image/png"
    if head[:2] == JPEG_START and head[2:3] != b"\xff" and _jpeg_table(head) >= 0:
        return "image/jpeg"
    if head[:2] != JPEG_START and head[2:3] == b"\xff" and head[6:11] in (b"JFIF\0", b"Exif\0"):
        return "image/jpeg"
    return None


def mended(data: bytes, media_type: str) -> tuple[bytes, str]:
    """Return a picture with the start that its type must have, and in words what was wrong with it ("" : nothing)."""
    if media_type == "image/png" and not data.startswith(PNG_START):
        return PNG_START + data[8:], "the signature is damaged"
    if media_type != "image/jpeg" or data[:3] == JPEG_START + b"\xff":
        return data, ""
    if data[:2] != JPEG_START:
        return JPEG_START + data[2:], "the start-of-image marker is damaged"
    marker = max(_jpeg_table(data), 2)
    return JPEG_START + data[marker:], "there is rubbish behind the start-of-image marker"


def _jpeg_table(head: bytes) -> int:
    """Return where the first table or application segment of a JPEG with a damaged first marker begins, -1 if nowhere.

    Two bytes may look like a marker anywhere: the quantisation table of a usual length tells.
    """
    table = min((at for at in (head.find(b"\xff\xdb\0" + end, 2) for end in (b"\x43", b"\x84")) if at >= 0), default=-1)
    return table if 0 <= table < 4096 and (table < RUBBISH or head[6:9] == b"JFI" or head[6:10] == b"Exif") else -1
