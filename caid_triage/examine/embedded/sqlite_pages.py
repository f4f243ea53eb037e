"""SQLite's file format, as far as what it holds without listing it needs: pages, free pages, cells, overflow chains.

Source: the SQLite project's "Database File Format", 1.3 (header), 1.5 (freelist), 1.6 (b-tree pages), 2.1 (records).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from caid_triage.examine.identify import HEAD_BYTES, identify
from caid_triage.model import Kind

MAGIC = b"SQLite format 3\0"
LEAST_BYTES = 128
# What the pages of a table's tree begin with. A page of a chain begins with the next one's number, whose first byte is
# as large in files of more than 40 GB only.
LEAF, BRANCH = 0x0D, 0x05
HEADER = 100  # before the tree of page 1
LEAST_USABLE = 480
CONTAINERS = (b"PK\x03\x04", b"\x1f\x8b\x08", b"%PDF-", b"bplist00")
MOST_RECORD_HEADER = 256  # with the numbers and short texts that may stand before a picture
# Bytes of a column by its serial type, up to 11; above, blobs and texts have their length in the type.
_SIZES = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0)

Region = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Layout:
    """How a database is divided: bytes of a page, those of them in use, number of pages, first page of the freelist."""

    page_size: int
    usable: int
    pages: int
    first_free: int


@dataclass(frozen=True, slots=True)
class Cell:
    """A row as its page has it: its payload's length, the part of it in the page, the page that goes on (0: none)."""

    row: int
    payload: int
    local: Region
    overflow: int


def worth_a_look(cell: bytes) -> bool:
    """Whether a cell's content is a picture, a film or a container."""
    if len(cell) < LEAST_BYTES:
        return False
    if cell.startswith(CONTAINERS):
        return True
    what = identify(cell[:HEAD_BYTES], len(cell))
    return what.kind is not Kind.OTHER and what.media_type != "image/svg+xml"


def layout_of(head: bytes, size: int) -> Layout | None:
    """The layout by a database's first 100 bytes, None where they make no sense."""
    if len(head) < HEADER or not head.startswith(MAGIC):
        return None
    (stated,) = struct.unpack_from(">H", head, 16)
    page_size = 65536 if stated == 1 else stated
    usable = page_size - head[20]
    if page_size < 512 or page_size & (page_size - 1) or usable < LEAST_USABLE:
        return None
    return Layout(page_size, usable, size // page_size, int.from_bytes(head[32:36], "big"))


def free_pages(layout: Layout, page: Callable[[int], bytes]) -> frozenset[int]:
    """The pages of the freelist that keep what was in them: not its trunks, which are written over.

    ``page`` gives a page by its number, from 1.
    """
    leaves: set[int] = set()
    trunks: set[int] = set()
    trunk = layout.first_free
    while 1 < trunk <= layout.pages and trunk not in trunks:
        trunks.add(trunk)
        data = page(trunk)
        if len(data) < layout.usable:
            break
        following, count = struct.unpack_from(">II", data)
        count = min(count, layout.usable // 4 - 2)
        leaves.update(number for number in struct.unpack_from(f">{count}I", data, 8) if 1 < number <= layout.pages)
        trunk = following
    return frozenset(leaves - trunks)


def varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of one to nine bytes and where it ends. IndexError behind the end."""
    value = 0
    for place in range(at, at + 8):
        value = value << 7 | data[place] & 0x7F
        if data[place] < 0x80:
            return value, place + 1
    return value << 8 | data[at + 8], at + 9


def local_length(payload: int, usable: int) -> int:
    """How many bytes of a row's payload stand in its page; the rest is in overflow pages."""
    if payload <= usable - 35:
        return payload
    least = (usable - 12) * 32 // 255 - 23
    fitting = least + (payload - least) % (usable - 4)
    return fitting if fitting <= usable - 35 else least


def cells_of(page: bytes, layout: Layout, start: int = 0) -> Iterator[Cell]:
    """The rows that a leaf lists; what makes no sense is passed over. ``start`` is where its header lies."""
    (count,) = struct.unpack_from(">H", page, start + 3)
    for number in range(min(count, (layout.usable - start - 8) // 2)):
        (at,) = struct.unpack_from(">H", page, start + 8 + 2 * number)
        if not start + 8 < at < layout.usable:
            continue
        try:
            payload, after = varint(page, at)
            row, after = varint(page, after)
        except IndexError:
            continue
        length = local_length(payload, layout.usable)
        end = after + length
        if payload > length:
            if end + 4 <= layout.usable:
                yield Cell(row, payload, (after, end), int.from_bytes(page[end : end + 4], "big"))
        elif end <= layout.usable:
            yield Cell(row, payload, (after, end), 0)


def unlisted_regions(page: bytes, layout: Layout, start: int = 0) -> Iterator[Region]:
    """The places of a page of a tree that nothing takes: its free blocks, and what lies between its list and its rows.

    A page may have been a leaf before it became a branch.
    """
    block, count, content = struct.unpack_from(">HHH", page, start + 1)
    listed = start + (12 if page[start] == BRANCH else 8) + 2 * count
    content = content or 65536
    if listed < content <= layout.usable:
        yield listed, content
    before = 0
    while before < block <= layout.usable - 4:  # blocks stand in order, so a circle ends
        following, size = struct.unpack_from(">HH", page, block)
        yield block + 4, min(block + size, layout.usable)
        before, block = block, following


@dataclass(frozen=True, slots=True)
class Record:
    """Where a record begins that is not listed, and the lengths of its header and its payload by that header."""

    start: int
    header: int
    payload: int


def records_around(page: bytes, first: int, place: int) -> Iterator[Record]:
    """The records by whose header a blob or text begins at a place of a page, which nothing of the page lists.

    ``first`` is where its region begins. A free block is written over the first four bytes of a row: the length of its
    payload, its number and, of a short row with a small number, the length of the header, so that the header's types
    begin where the region does.
    """
    for start in range(max(first, place - MOST_RECORD_HEADER), place - 1):
        length = page[start]
        if 2 <= length < 0x80 and start + length <= place:
            sizes = _sizes(page, start + 1, start + length)
            if sizes is not None and _begins_at(sizes, place - start - length):
                yield Record(start, length, length + sum(size for size, _ in sizes))
    for end in range(first + 1, min(place, first + 0x7F) + 1):
        sizes = _sizes(page, first, end)
        if sizes is not None and _begins_at(sizes, place - end):
            header = end - first + 1
            yield Record(first - 1, header, header + sum(size for size, _ in sizes))


def _sizes(page: bytes, start: int, end: int) -> list[tuple[int, bool]] | None:
    """The sizes of columns by the types between two places, and which are blobs or texts; None for no whole types."""
    found = []
    while start < end:
        try:
            kind, start = varint(page, start)
        except IndexError:
            return None
        if kind in (10, 11):  # for SQLite's own use, never in a file
            return None
        found.append((_SIZES[kind], False) if kind < 12 else ((kind - 12) // 2, True))
    return found if start == end else None


def _begins_at(sizes: list[tuple[int, bool]], place: int) -> bool:
    at = 0
    for size, is_content in sizes:
        if at == place and is_content and size >= LEAST_BYTES:
            return True
        at += size
    return False


def columns_of(record: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and bytes of each blob and text of a record; ends where its header makes no sense."""
    try:
        end, at = varint(record, 0)
        place = end
        number = 0
        while at < min(end, len(record)):
            kind, at = varint(record, at)
            size = _SIZES[kind] if kind < 12 else (kind - 12) // 2
            if place + size > len(record):
                return
            if kind >= 12:
                yield number, record[place : place + size]
            place += size
            number += 1
    except IndexError:
        return
