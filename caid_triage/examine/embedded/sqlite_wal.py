"""Pictures, films and containers in the write-ahead log of an SQLite database (the file beside it ending in -wal).

What was written last stands in the log and not in the database yet: the newest messages of a chat. A transaction writes
whole pages, so a row that was new has all pages of its chain in the log, and needs nothing of the database. A row whose
chain is not in the log stands in the database, and is found there.

Source: the SQLite project's "Database File Format", 4 (the write-ahead log).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from caid_triage.examine.embedded.content import Content
from caid_triage.examine.embedded.inner import GOES_ON, Inner, Listed, problem, whole
from caid_triage.examine.embedded.sqlite_pages import (
    HEADER,
    LEAF,
    LEAST_BYTES,
    Cell,
    Layout,
    cells_of,
    columns_of,
    worth_a_look,
)
from caid_triage.model import Problem, Severity

LOG_HEADER, FRAME_HEADER = 32, 24
LARGEST = 1 << 30
LONGEST = 64 << 20
MOST_TIMES, MOST_MORE = 4, 64 << 20
FRAMES_AT_ONCE = 4096
AT_ONCE = 64 << 20
LEFT = "it stands in a part of the log from before the log began anew: it is in the database too, or was deleted"


def wal_files(content: Content) -> Iterator[Listed]:
    """The columns of the rows in a log that hold a picture, a film or a container, each content once."""
    if content.size > LARGEST:
        yield problem("inside-too-large", f"the log is larger than {LARGEST} bytes; its rows were not looked at")
        return
    head = content.at(0, LOG_HEADER)
    page_size = int.from_bytes(head[8:12], "big")
    if len(head) < LOG_HEADER or not 512 <= page_size <= 65536 or page_size & (page_size - 1):
        return
    frames = (content.size - LOG_HEADER) // (FRAME_HEADER + page_size)
    log = _Log(content, Layout(page_size, page_size, 0, 0), MOST_TIMES * content.size + MOST_MORE)
    for number in range(frames):
        at = LOG_HEADER + number * (FRAME_HEADER + page_size)
        page, committed = struct.unpack(">II", content.at(at, 8))
        salts = content.at(at + 8, 8)
        if salts != log.salts:
            yield from log.transaction()  # cut off where the next writing began
            log.begins(salts, current=salts == head[16:24])
        log.takes(page, at + FRAME_HEADER)
        if committed:
            yield from log.transaction()
        if number % FRAMES_AT_ONCE == FRAMES_AT_ONCE - 1:
            yield GOES_ON
        if log.left < 0:
            yield problem(
                "inside-budget", "its rows lead to more bytes than a log of its size can hold; the rest was left"
            )
            return
    yield from log.transaction()


@dataclass(slots=True)
class _Log:
    """The pages that a log holds up to some frame, by where they lie in it; ``left`` bytes may be put together yet."""

    content: Content
    layout: Layout
    left: int
    salts: bytes = b""
    _current: bool = True
    _pages: dict[int, int] = field(default_factory=dict)
    _new: list[int] = field(default_factory=list)
    _seen: set[bytes] = field(default_factory=set)
    _since: int = 0

    def begins(self, salts: bytes, *, current: bool) -> None:
        """Take note that frames of another writing of the log follow; ``current``: of the one that counts."""
        self.salts, self._current = salts, current
        self._pages.clear()

    def takes(self, page: int, at: int) -> None:
        """Take note of a frame."""
        self._pages[page] = at
        self._new.append(page)

    def transaction(self) -> Iterator[Listed]:
        """What the rows of the pages hold that were written since the last one."""
        pages, self._new = dict.fromkeys(self._new), []
        for page in pages:
            data = self.content.at(self._pages[page], self.layout.page_size)
            start = HEADER if page == 1 else 0
            if len(data) < self.layout.page_size or data[start] != LEAF:
                continue
            for cell in cells_of(data, self.layout, start):
                if LEAST_BYTES <= cell.payload <= LONGEST:
                    yield from self._row(page, cell, data)
                if self.left < 0:
                    return
            if self._since > AT_ONCE:
                self._since = 0
                yield GOES_ON

    def _row(self, page: int, cell: Cell, data: bytes) -> Iterator[Inner]:
        record = data[cell.local[0] : cell.local[1]]
        record += self._chain(cell.overflow, cell.payload - len(record))
        self.left -= len(record)
        self._since += len(record)
        if len(record) < cell.payload:
            return
        for column, found in columns_of(record[: cell.payload]):
            if not worth_a_look(found):
                continue
            digest = hashlib.sha256(found).digest()
            if digest not in self._seen:  # a page is written again with each row that is added to it
                self._seen.add(digest)
                said: tuple[Problem, ...] = ()
                if not self._current:
                    said = (problem("inside-freed", LEFT, Severity.NOTE),)
                name = b"page-%d/row-%d/column-%d" % (page, cell.row, column + 1)
                yield Inner(name, whole(found), len(found), problems=said)

    def _chain(self, page: int, most: int) -> bytes:
        """The bytes of a chain as far as its pages are in the log."""
        parts: list[bytes] = []
        taken = 0
        seen = set[int]()
        while taken < most and page in self._pages and page not in seen:
            seen.add(page)
            data = self.content.at(self._pages[page], self.layout.page_size)
            page = int.from_bytes(data[:4], "big")
            parts.append(data[4:])
            taken += len(data) - 4
        return b"".join(parts)[: max(most, 0)]
