"""Pictures that lie in a content as they are, one behind the other or between other data: found by their own structure.

For files whose own directory is not worth reading or is not kept: thumbnail stores, presentation and document streams.
"""

from __future__ import annotations

from collections.abc import Iterator

from caid_triage.examine.embedded.content import Content
from caid_triage.examine.embedded.inner import Inner, Listed, whole
from caid_triage.examine.jpeg import scan_jpeg

JPEG_START, PNG_START = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
LONGEST = 64 << 20
WINDOW = 16 << 20
LEAST_BYTES = 128


def pictures_in(content: Content) -> Iterator[Listed]:
    """The JPEG and PNG pictures in a content, by where they begin; those inside another one are left to it."""
    start = 0
    while start < content.size:
        part = content.at(start, WINDOW)
        if not part:
            return
        place, kind = _first(part)
        if place < 0:
            if len(part) < WINDOW:
                return
            start += len(part) - len(PNG_START) + 1
            continue
        where = start + place
        data = part[place:] if len(part) < WINDOW else content.at(where, LONGEST)
        length = _png_length(data) if kind == "png" else _jpeg_length(data)
        if length >= LEAST_BYTES:
            yield Inner(b"picture-at-%d.%b" % (where, kind.encode()), whole(data[:length]), length)
        start = where + max(length, len(JPEG_START))


def _first(data: bytes) -> tuple[int, str]:
    """Where the first picture begins and what it is, -1 where there is none."""
    jpeg, png = data.find(JPEG_START), data.find(PNG_START)
    if png >= 0 and (jpeg < 0 or png < jpeg):
        return png, "png"
    return jpeg, "jpg"


def _jpeg_length(data: bytes) -> int:
    """How many bytes a JPEG takes, 0 where it is none."""
    scan = scan_jpeg(data)
    return scan.length if scan.width and scan.scans and scan.length < len(data) + 1 and not scan.damage else 0


def _png_length(data: bytes) -> int:
    """How many bytes a PNG takes, chunk by chunk (PNG 1.2, 3.2); 0 where it is none or has no end."""
    at = len(PNG_START)
    while at + 12 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        at += 12 + length
        if kind == b"IEND":
            return at if at <= len(data) else 0
        if not kind.isalpha():
            return 0
    return 0
