"""Pictures that lie in a content as they are, one behind the other or between other data: found by their own structure.

For files whose own directory is not worth reading or is not kept: thumbnail stores, presentation and document streams.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from functools import partial

from caid_triage.examine.embedded.content import Content
from caid_triage.examine.embedded.inner import GOES_ON, Inner, Listed, problem
from caid_triage.examine.jpeg import scan_jpeg

JPEG_START, PNG_START = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
# A picture is looked for the end of in so many bytes, then in more: most are small.
REACHES = (1 << 18, 1 << 22, 64 << 20)
WINDOW = 4 << 20
LEAST_BYTES = 128
# What is walked for ends may be so many times the content itself, and so many bytes more.
MOST_TIMES, MOST_MORE = 4, 64 << 20
DISMISSED = 1024  # what a beginning that leads nowhere counts for


def pictures_in(content: Content) -> Iterator[Listed]:
    """The JPEG and PNG pictures in a content, by where they begin; those inside another one are left to it."""
    left = MOST_TIMES * content.size + MOST_MORE
    start = 0
    while start < content.size:
        part = content.at(start, WINDOW)
        if not part:
            return
        at = 0
        while (place := _first(part, at)) >= 0:
            length, walked = _length(content, start + place)
            left -= walked
            if left < 0:
                yield problem(
                    "inside-budget", "too many beginnings of pictures without an end; the rest was left alone"
                )
                return
            if length >= LEAST_BYTES:
                kind = b"png" if part.startswith(PNG_START[:4], place) else b"jpg"
                where = start + place
                yield Inner(b"picture-at-%d.%b" % (where, kind), partial(content.pieces, where, length), length)
            at = place + max(length, len(JPEG_START))
        if start + len(part) >= content.size:
            return
        yield GOES_ON
        # The last bytes may be the beginning of a beginning.
        start += max(at, len(part) - len(PNG_START) + 1)


def _first(data: bytes, at: int) -> int:
    """Where the first picture begins, -1 where there is none."""
    jpeg, png = data.find(JPEG_START, at), data.find(PNG_START, at)
    return min(jpeg, png) if jpeg >= 0 and png >= 0 else max(jpeg, png)


def _length(content: Content, where: int) -> tuple[int, int]:
    """How many bytes the picture that begins there takes (0: it is none), and how many were walked to see that."""
    if not _may_begin(content, where):
        return 0, DISMISSED
    walked = 0
    for reach in REACHES:
        data = content.at(where, reach)
        walked += len(data)
        length = png_length(data) if data.startswith(PNG_START) else jpeg_length(data)
        if length or len(data) < reach:
            return length, walked
    return 0, walked


def _may_begin(content: Content, where: int) -> bool:
    """Whether a JPEG's first segment leads to another marker: what looks like a beginning by chance does not."""
    head = content.at(where, 6)
    if head.startswith(PNG_START[:6]):
        return True
    length = int.from_bytes(head[4:], "big")
    return length >= 2 and content.at(where + 4 + length, 1) == b"\xff"


def jpeg_length(data: bytes) -> int:
    """How many bytes a JPEG takes, 0 where it is none or has no end."""
    scan = scan_jpeg(data)
    return scan.length if scan.width and scan.scans and not scan.damage else 0


def checked_png_length(data: bytes) -> int:
    """How many bytes a PNG takes, 0 where one of its checksums is wrong or it has no end."""
    length, at = png_length(data), len(PNG_START)
    while at < length:
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        if zlib.crc32(data[at + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            return 0
        at = end + 4
    return length


def png_length(data: bytes) -> int:
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
