"""Pictures and films of deleted rows, which a database's free pages and the gaps of its pages still hold.

SQLite writes over nothing that it deletes (unless it is told to): a large cell lies in a chain of pages, each with the
number of the next one before its part of the bytes, and those pages wait on the freelist. A search for pictures in the
file as it lies finds none of them whole, because of those numbers.

Found are rows in free leaves of a table's tree and in the gaps of others, whose header, chain and its length agree; and
pictures and films by their own structure that lie whole in a gap, or begin in a free page and end in its chain. A chain
of which one page was used again is left alone, and the first page freed into an empty freelist becomes its trunk and
is lost: not everything that was deleted is there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from caid_triage.examine.embedded.content import Content
from caid_triage.examine.embedded.inner import GOES_ON, Inner, Listed, problem, whole
from caid_triage.examine.embedded.pictures_in import checked_png_length, jpeg_length
from caid_triage.examine.embedded.sqlite_pages import (
    BRANCH,
    HEADER,
    LEAF,
    LEAST_BYTES,
    Layout,
    cells_of,
    columns_of,
    free_pages,
    layout_of,
    local_length,
    records_around,
    unlisted_regions,
    worth_a_look,
)
from caid_triage.model import Severity

WINDOW = 4 << 20
# So many bytes of free pages are held, so many bytes may be put together for each byte of the database, and some more.
MOST_HELD = 256 << 20
MOST_TIMES, MOST_MORE = 4, 64 << 20
AT_ONCE = 64 << 20
LONGEST = 64 << 20
SAID = "its row of the database is deleted or was moved: it was put together from pages and gaps that are free"
_BEGINS = re.compile(rb"\xff\xd8\xff[\xc0-\xfe]|\x89PNG\r\n\x1a\n|RIFF....WEBPVP8|....ftyp[ -~]{4}", re.DOTALL)


def freed_files(content: Content) -> Iterator[Listed]:
    """The pictures, films and containers that a database holds and none of its tables lists."""
    layout = layout_of(content.at(0, HEADER), content.size)
    if layout is None:
        return
    size = layout.page_size
    search = _Search(layout, free_pages(layout, lambda number: content.at((number - 1) * size, size)))
    for start in range(0, layout.pages * size, WINDOW // size * size or size):
        window = content.at(start, WINDOW // size * size or size)
        for at in range(0, len(window) - size + 1, size):
            search.takes((start + at) // size + 1, window[at : at + size])
        yield GOES_ON
    if search.unheld:
        text = f"{search.unheld} of its free pages were not searched for what was deleted: they are too many"
        yield problem("inside-budget", text)
    yield from search.found()


@dataclass(slots=True)
class _Search:
    """The free pages of a database, and the gaps in others where something may begin."""

    layout: Layout
    free: frozenset[int]
    unheld: int = 0
    _pages: dict[int, bytes] = field(default_factory=dict)
    _gaps: list[tuple[int, int, bytes]] = field(default_factory=list)
    _used: set[int] = field(default_factory=set)
    _left: int = 0
    _since: int = 0

    def takes(self, number: int, page: bytes) -> None:
        """Keep what of a page may be part of something deleted."""
        if number in self.free:
            if (len(self._pages) + 1) * self.layout.page_size > MOST_HELD:
                self.unheld += 1
            else:
                self._pages[number] = page
        start = HEADER if number == 1 else 0
        if page[start] in (LEAF, BRANCH):
            for first, end in unlisted_regions(page, self.layout, start):
                if _BEGINS.search(page, first, end):
                    self._gaps.append((number, first, page[first:end]))

    def found(self) -> Iterator[Listed]:
        """What can be put together, each part of the database used once; the whole of rows before what only looks like
        the beginning of something."""
        self._left = MOST_TIMES * self.layout.pages * self.layout.page_size + MOST_MORE
        for one in self._everything():
            if self._left < 0:
                yield problem("inside-budget", "too much begins in its free pages; the rest of them was left alone")
                return
            if one is not None:
                yield one
            elif self._since > AT_ONCE:
                self._since = 0
                yield GOES_ON

    def _everything(self) -> Iterator[Inner | None]:
        for number, page in self._pages.items():
            if page[0] == LEAF:
                yield from self._rows(number, page)
        for number, first, gap in self._gaps:
            for match in _BEGINS.finditer(gap):
                yield from self._in_gap(number, first, gap, match.start())
        for number, page in self._pages.items():
            if page[0] == LEAF or number in self._used:
                continue
            for match in _BEGINS.finditer(page, 4, self.layout.usable):
                following = int.from_bytes(page[:4], "big")
                yield self._by_structure(number, match.start(), page[match.start() : self.layout.usable], following)
                if number in self._used:
                    break

    def _rows(self, number: int, page: bytes) -> Iterator[Inner | None]:
        """The columns of the rows of a free leaf whose chains are whole."""
        for cell in cells_of(page, self.layout):
            if not LEAST_BYTES <= cell.payload <= LONGEST:
                continue
            first, end = cell.local
            yield from self._columns(
                b"page-%d/row-%d" % (number, cell.row), page[first:end], cell.payload, cell.overflow
            )

    def _columns(self, name: bytes, local: bytes, payload: int, overflow: int) -> Iterator[Inner | None]:
        """The columns of a row that is whole: its chain must have the length that its header wants, and an end."""
        pages: list[int] = []
        yield None
        if payload > len(local):
            more, pages = self._chain(overflow, payload - len(local))
            ends = len(pages) == -(-(payload - len(local)) // (self.layout.usable - 4)) and not self._next(pages[-1])
            if not ends or not self._used.isdisjoint(pages):
                return
            local += more
        if len(local) < payload:
            return
        for column, data in columns_of(local[:payload]):
            if worth_a_look(data):
                self._used.update(pages)
                yield _freed(b"freed/%b/column-%d" % (name, column + 1), data)

    def _in_gap(self, number: int, first: int, gap: bytes, at: int) -> Iterator[Inner | None]:
        """What begins at a place of a gap: a file that ends there too, or one of the columns of a row."""
        whole_here = self._by_structure(number, first + at, gap[at:], 0)
        if whole_here is not None:
            yield whole_here
            return
        usable = self.layout.usable
        for record in records_around(gap, 0, at):
            if not LEAST_BYTES <= record.payload <= LONGEST:
                continue
            end = record.start + local_length(record.payload, usable)
            if end - record.start == record.payload or end + 4 > len(gap):
                continue
            # The length of its header may be written over, and is known again.
            local = bytes([record.header]) + gap[record.start + 1 : end]
            overflow = int.from_bytes(gap[end : end + 4], "big")
            name = b"page-%d-at-%d" % (number, first + record.start)
            found = list(self._columns(name, local, record.payload, overflow))
            yield from found
            if any(found):
                return

    def _by_structure(self, number: int, at: int, begun: bytes, following: int) -> Inner | None:
        """The picture or film that begins with some bytes and goes on in a chain, None where it has no end in it."""
        more, pages = self._chain(following, LONGEST)
        data = begun + more
        self._takes(len(data))
        length, kind = _whole_length(data)
        if length < LEAST_BYTES:
            return None
        needed = -(-(length - len(begun)) // (self.layout.usable - 4))
        self._used.update(pages[: max(needed, 0)])
        if number in self._pages and self._pages[number][0] != LEAF:
            self._used.add(number)
        return _freed(b"freed/page-%d-at-%d.%b" % (number, at, kind), data[:length])

    def _chain(self, number: int, most: int) -> tuple[bytes, list[int]]:
        """The bytes of a chain of free pages, up to one that is none, and the numbers of its pages."""
        parts: list[bytes] = []
        pages: list[int] = []
        taken = 0
        seen = set[int]()
        while number in self._pages and number not in seen and taken < most:
            page = self._pages[number]
            seen.add(number)
            pages.append(number)
            parts.append(page[4 : self.layout.usable])
            taken += self.layout.usable - 4
            number = self._next(number)
        self._takes(taken)
        return b"".join(parts), pages

    def _next(self, number: int) -> int:
        return int.from_bytes(self._pages[number][:4], "big")

    def _takes(self, count: int) -> None:
        self._left -= count + LEAST_BYTES
        self._since += count


def _freed(name: bytes, data: bytes) -> Inner:
    return Inner(name, whole(data), len(data), problems=(problem("inside-freed", SAID, Severity.NOTE),))


def _whole_length(data: bytes) -> tuple[int, bytes]:
    """How many bytes the file takes that begins with the data, and the ending of its name; 0 where it has no end."""
    if data.startswith(b"\xff\xd8"):
        return jpeg_length(data), b"jpg"
    if data.startswith(b"\x89PNG"):
        return checked_png_length(data), b"png"
    if data.startswith(b"RIFF"):
        length = 8 + int.from_bytes(data[4:8], "little")
        return (length if length <= len(data) else 0), b"webp"
    return _boxes_length(data), b"heic" if data[8:12] in (b"heic", b"heix", b"mif1", b"avif") else b"mp4"


def _boxes_length(data: bytes) -> int:
    """The length of the boxes of ISO media that begin the data, 0 unless there is one that can hold pictures."""
    at, holds = 0, False
    while at + 8 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if length == 1:
            length = int.from_bytes(data[at + 8 : at + 16], "big")
        if length < 8 or at + length > len(data) or not kind.isalnum():
            break
        holds = holds or kind == b"mdat"
        at += length
    return at if holds else 0
