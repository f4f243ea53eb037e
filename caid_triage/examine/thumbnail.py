"""The small picture that cameras and editors keep inside a JPEG, which may show what the picture no longer does."""

from __future__ import annotations

from caid_triage.examine.jpeg import scan_jpeg

START = b"\xff\xd8\xff"
# What lies before the picture data is looked through so far: room for every application segment that is in use.
HEAD_BYTES = 1 << 20
MOST_CANDIDATES = 16
SMALLEST_SIDE, LONGEST_SIDE = 32, 4096


def largest_thumbnail(data: bytes) -> bytes | None:
    """Return the largest whole JPEG among the application segments of a JPEG (EXIF, JFXX, Photoshop), None if none.

    Source: EXIF 2.32 4.5.8 (thumbnail of IFD1), JFIF 1.02 (JFXX), Photoshop image resource 1036. They are found by
    their own markers, not by the offsets of the segment, which editors leave wrong.
    """
    end = _picture_data(data)
    found: bytes | None = None
    most = 0
    position = 2
    for _ in range(MOST_CANDIDATES):
        position = data.find(START, position, end)
        if position < 0:
            break
        inner = data[position:end]
        scan = scan_jpeg(inner)
        # A thumbnail that is cut or over its owner's data is not shown by any viewer either.
        if scan.width and scan.height and scan.scans and not scan.damage and len(scan.scans) <= 1:
            sides = sorted((scan.width, scan.height))
            if sides[0] >= SMALLEST_SIDE and sides[1] <= LONGEST_SIDE and scan.width * scan.height > most:
                found, most = inner[: scan.length], scan.width * scan.height
        position += len(START)
    return found


def _picture_data(data: bytes) -> int:
    """Return where the application segments end: at the first marker that is neither one of them nor a comment."""
    position, limit = 2, min(len(data), HEAD_BYTES)
    while position + 4 <= limit and data[position] == 0xFF:
        code = data[position + 1]
        if not (0xE0 <= code <= 0xEF or code == 0xFE):
            break
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return min(position, limit)
