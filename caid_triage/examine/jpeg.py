"""What a JPEG says about itself, read marker by marker before any decoder touches it.

Decoders hide two things that matter here: how many scans a file makes them do (5,000 scans in
70 KB hang every one of them), and whether the file is whole (a decoder fills what is missing with
grey and says nothing). The walk follows ITU T.81 Annex B and libjpeg's way of finding markers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

SOI, EOI, SOS, DHT, DRI = 0xD8, 0xD9, 0xDA, 0xC4, 0xDD
FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
HUFFMAN_SEQUENTIAL = frozenset({0xC0, 0xC1})
RESTARTS = range(0xD0, 0xD8)
TEMPORARY = 0x01
# Segments with a length: tables, DNL..EXP, application data, comment, arithmetic conditioning.
SEGMENTS = frozenset({0xC4, 0xCC, *range(0xDB, 0xE0), *range(0xE0, 0xF0), 0xFE})
SECTOR = 512
BLOCK = 1 << 24


@dataclass(frozen=True, slots=True)
class JpegScan:
    """A JPEG's frame and scans, and what is wrong with it.

    ``width`` and ``height`` are None when no frame header was reached. ``scans`` are the offsets
    of the start-of-scan markers. ``damage`` says in words why the file is not whole, "" if it is. ``length`` is
    how many bytes the first image takes, all of them where it has no end.
    """

    width: int | None
    height: int | None
    components: int
    precision: int
    scans: tuple[int, ...]
    damage: str
    length: int


def scan_jpeg(data: bytes) -> JpegScan:
    """Return what the markers of a JPEG say, up to the end of its first image."""
    walk = _Walk(data)
    damage = walk.run()
    if not damage and walk.scans:
        damage = walk.overwritten()
    scans = list(walk.scans)
    if damage:
        # A decoder may find its way through rubbish that stopped this walk: count what it could meet.
        last = scans[-1] if scans else 0
        stray = walk.marks[(walk.codes == SOS) & (walk.marks > last)]
        scans.extend(stray.tolist())
    length = walk.end + 2 if walk.end else len(data)
    return JpegScan(walk.width, walk.height, walk.components, walk.precision, tuple(scans), damage, length)


def cut_scans(data: bytes, scan: JpegScan, keep: int) -> bytes:
    """Return the JPEG with its first ``keep`` scans only, properly ended."""
    return data[: scan.scans[keep]] + b"\xff\xd9"


def _marks(data: bytes) -> NDArray[np.int64]:
    """Return the offsets of every FF that is followed by a marker code (not 00 stuffing, not FF fill)."""
    view = np.frombuffer(data, dtype=np.uint8)
    found = []
    for start in range(0, max(len(view) - 1, 0), BLOCK):
        part = view[start : start + BLOCK + 1]
        places = np.flatnonzero(part[:-1] == 0xFF)
        after = part[places + 1]
        found.append(places[(after != 0) & (after != 0xFF)] + start)
    return np.concatenate(found) if found else np.empty(0, dtype=np.int64)


@dataclass(slots=True)
class _Walk:
    """One walk from the start of a JPEG to its end-of-image marker."""

    data: bytes
    width: int | None = None
    height: int | None = None
    components: int = 0
    precision: int = 0
    frame: int = 0
    interval: int = 0
    end: int = 0
    scans: list[int] = field(default_factory=list)
    first_codes: dict[int, int] = field(default_factory=dict)  # AC table -> symbol of its all-zero code
    table_of_scan: list[int] = field(default_factory=list)
    marks: NDArray[np.int64] = field(init=False)
    codes: NDArray[np.uint8] = field(init=False)

    def __post_init__(self) -> None:
        """Find every marker once; entropy-coded data is then skipped without reading it again."""
        self.marks = _marks(self.data)
        self.codes = np.frombuffer(self.data, dtype=np.uint8)[self.marks + 1]

    def run(self) -> str:
        """Walk, and return what is wrong ("" if the image is whole as far as its markers tell)."""
        position = 2
        while True:
            at = int(np.searchsorted(self.marks, position))
            if at >= len(self.marks):
                return "the file ends before the end-of-image marker"
            offset, code = int(self.marks[at]), int(self.codes[at])
            position = offset + 2
            if code == EOI:
                self.end = offset
                return "" if self.scans else "there is no picture data"
            if code in (SOI, TEMPORARY) or code in RESTARTS:
                return f"marker FF{code:02X} out of place at byte {offset}"
            if code != SOS and code not in FRAMES and code not in SEGMENTS:
                return f"unknown marker FF{code:02X} at byte {offset}"
            length = int.from_bytes(self.data[position : position + 2], "big")
            body = self.data[position + 2 : position + length]
            if length < 2 or len(body) != length - 2:
                return f"the segment at byte {offset} is cut short"
            position += length
            fault = self._segment(code, offset, body)
            if fault:
                return fault
            if code == SOS:
                position, fault = self._entropy(position)
                if fault:
                    return fault

    def _segment(self, code: int, offset: int, body: bytes) -> str:
        """Take what matters of one segment, and return what is wrong with it."""
        if code in FRAMES:
            if self.frame:
                return f"second frame header at byte {offset}"
            if len(body) < 6:
                return f"the frame header at byte {offset} is cut short"
            self.frame, self.precision, self.components = code, body[0], body[5]
            self.height, self.width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
        elif code == SOS:
            if not self.frame:
                return f"picture data before the frame header at byte {offset}"
            self.scans.append(offset)
            self.table_of_scan.append(body[2] & 0x0F if len(body) > 2 else 0)
        elif code == DRI and len(body) >= 2:
            self.interval = int.from_bytes(body[:2], "big")
        elif code == DHT:
            self._tables(body)
        return ""

    def _tables(self, body: bytes) -> None:
        """Remember which symbol each AC Huffman table codes as all zero bits."""
        position = 0
        while position + 17 <= len(body):
            counts = body[position + 1 : position + 17]
            if body[position] >> 4 == 1 and any(counts) and position + 17 < len(body):
                self.first_codes.setdefault(body[position] & 0x0F, body[position + 17])
            position += 17 + sum(counts)

    def _entropy(self, start: int) -> tuple[int, str]:
        """Return where entropy-coded data from ``start`` ends, and what is wrong with its restart markers."""
        first = int(np.searchsorted(self.marks, start))
        others = np.flatnonzero((self.codes[first:] & 0xF8) != 0xD0)
        last = first + int(others[0]) if len(others) else len(self.marks)
        restarts = self.codes[first:last] & 7
        end = int(self.marks[last]) if last < len(self.marks) else len(self.data)
        if len(restarts) and not self.interval:
            return end, f"restart marker out of place at byte {int(self.marks[first])}"
        wrong = np.flatnonzero(restarts != np.arange(len(restarts)) % 8)
        if len(wrong):
            return end, f"restart markers out of order at byte {int(self.marks[first + int(wrong[0])])}"
        return end, ""

    def overwritten(self) -> str:
        """Return a sentence if a whole sector of the picture data cannot have been written by an encoder."""
        fill = self.data.find(b"\xff" * SECTOR, self.scans[0], self.end)
        if fill >= 0 and self.data[fill : self.end].strip(b"\xff"):
            return f"the picture data is overwritten with FF at byte {fill}"
        zeros = self.data.find(bytes(SECTOR), self.scans[0], self.end)
        if zeros < 0 or self.frame not in HUFFMAN_SEQUENTIAL:
            return ""
        # All-zero bits are a run of one symbol. If that symbol is a coefficient rather than "end of
        # block", 64 in a row of them over a sector is no picture. If it is "end of block", blank
        # areas do look like that, and nothing can be said.
        inside = sum(offset < zeros for offset in self.scans) - 1
        symbol = self.first_codes.get(self.table_of_scan[inside], 0)
        return f"the picture data is overwritten with zeros at byte {zeros}" if symbol & 0x0F else ""
