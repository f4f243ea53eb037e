"""Boxes of the ISO base media format, and the metadata items of HEIF (ISO/IEC 14496-12 clauses 4 and 8.11)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

MOST_BOXES = 1000
MOST_ITEMS = 10_000
MOST_EXTENTS = 64
MOST_CONTENT = 1 << 20
EXIF_UUID = b"JpgTiffExif->JP2"
XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
CANON_UUID = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")


def boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and end of the content of each box between two places. Stops at the first that is none."""
    end = min(end, len(data))
    for _ in range(MOST_BOXES):
        if start + 8 > end:
            return
        length, name = struct.unpack_from(">I4s", data, start)
        body = start + 8
        if length == 1:
            if start + 16 > end:
                return
            (length,) = struct.unpack_from(">Q", data, body)
            body += 8
        stop = end if length == 0 else start + length
        if stop < body:
            return
        yield name, body, min(stop, end)
        start = stop


def items_of_heif(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the EXIF and XMP items of a HEIF file as (b"Exif" or b"mime", content). Raises struct.error, ValueError."""
    meta = next(((start + 4, end) for name, start, end in boxes(data, 0, len(data)) if name == b"meta"), None)
    if meta is None:
        return
    parts = {name: (start, end) for name, start, end in boxes(data, *meta)}
    if b"iinf" not in parts or b"iloc" not in parts:
        return
    wanted = dict(_wanted(data, *parts[b"iinf"]))
    base = parts.get(b"idat", (0, 0))[0]
    for number, method, extents in _places(data, *parts[b"iloc"]) if wanted else ():
        if number in wanted and method in (0, 1):
            shift = base if method == 1 else 0
            pieces = (data[shift + start : shift + start + min(length, MOST_CONTENT)] for start, length in extents)
            yield wanted.pop(number), b"".join(pieces)[:MOST_CONTENT]


def _wanted(data: bytes, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Yield number and type of the items that hold metadata (clause 8.11.6)."""
    start += 4 + (2 if data[start] == 0 else 4)
    for name, body, stop in boxes(data, start, end):
        version = data[body]
        if name != b"infe" or version not in (2, 3):
            continue
        number = int.from_bytes(data[body + 4 : body + (6 if version == 2 else 8)], "big")
        kind = body + (8 if version == 2 else 10)
        what = data[kind : kind + 4]
        if what == b"Exif" or (what == b"mime" and b"application/rdf+xml" in data[kind : min(stop, kind + 512)]):
            yield number, what


def _places(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, list[tuple[int, int]]]]:
    """Yield number, construction method and extents (offset, length) of each item (clause 8.11.3)."""
    version = data[start]
    sizes = [data[start + 4] >> 4, data[start + 4] & 15, data[start + 5] >> 4, data[start + 5] & 15]
    if version > 2 or any(size not in (0, 4, 8) for size in sizes):
        raise ValueError("a table of items of an unknown layout")
    of_offset, of_length, of_base, of_index = sizes
    of_index = of_index if version else 0
    wide = 4 if version == 2 else 2
    view = _Numbers(data, start + 6, end)
    for _ in range(min(view.take(wide), MOST_ITEMS)):
        number = view.take(wide)
        method = view.take(2) & 15 if version else 0
        view.take(2)
        base = view.take(of_base)
        count = view.take(2)
        if count > MOST_EXTENTS:
            raise ValueError("an item in too many pieces")
        extents = []
        for _ in range(count):
            view.take(of_index)
            extents.append((base + view.take(of_offset), view.take(of_length)))
        yield number, method, extents


class _Numbers:
    """Big-endian numbers one after the other. Raises struct.error at their end."""

    def __init__(self, data: bytes, start: int, end: int) -> None:
        self.data, self.position, self.end = data, start, end

    def take(self, size: int) -> int:
        """Return the next number of that many bytes."""
        self.position += size
        if self.position > self.end:
            raise struct.error("the table is cut short")
        return int.from_bytes(self.data[self.position - size : self.position], "big")
