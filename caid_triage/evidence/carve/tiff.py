"""Carve TIFF and the camera raw files that are TIFFs, by how far their directories reach (TIFF 6.0, BigTIFF, TIFF/EP).

Nothing in a TIFF can be checked: that every part lies in reach says only that it may be whole.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from itertools import pairwise

from caid_triage.evidence.carve.found import SECTOR, Found
from caid_triage.evidence.carve.space import Stretch

_WIDTHS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_LETTERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_SUB_DIRECTORIES = frozenset((0x014A, 0x8769, 0x8825, 0xA005))
# (places, lengths) of a directory's data: strips, tiles, an old-style JPEG
_DATA = ((273, 279), (324, 325), (513, 514))
_MOST_DIRECTORIES = 64
_MOST_ROWS = 1024
_MOST_VALUES = 1 << 20
_MOST_REACH = 1 << 32


@dataclass(slots=True)
class _Walk:
    """The directories of a TIFF.

    ``reach`` is behind the farthest byte that one of them names, ``cut`` says that values of one lie beyond the end.
    """

    file: Stretch
    order: str
    big: bool
    reach: int = 0
    cut: bool = False
    pictures: int = 0
    pending: list[int] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)

    def run(self, first: int) -> None:
        self.pending.append(first)
        while self.pending and len(self.seen) < _MOST_DIRECTORIES:
            place = self.pending.pop()
            if place and place not in self.seen:
                self.seen.add(place)
                self.directory(place)

    def directory(self, place: int) -> None:
        form, row, value_at = ("Q", 20, 12) if self.big else ("H", 12, 8)
        width = struct.calcsize(form)
        head = self.file.at(place, width)
        count = struct.unpack(self.order + form, head)[0] if len(head) == width else 0
        if not 0 < count <= _MOST_ROWS:
            return
        size = width + count * row
        body = self.file.at(place, size + (8 if self.big else 4))
        if len(body) < size or not self._is_sane(body, width, row):
            return
        self.reach = max(self.reach, place + min(len(body), size + (8 if self.big else 4)))
        found: dict[int, tuple[int, ...]] = {}
        for at in range(width, size, row):
            tag, kind = struct.unpack_from(self.order + "HH", body, at)
            (number,) = struct.unpack_from(self.order + ("Q" if self.big else "I"), body, at + 4)
            if kind not in _WIDTHS:
                continue
            found[tag] = self.values(kind, number, body[at + value_at : at + row], tag)
        for places, lengths in _DATA:
            for start, length in zip(found.get(places, ()), found.get(lengths, ()), strict=False):
                self.pictures += 1
                self.reach = max(self.reach, start + length)
        for tag in _SUB_DIRECTORIES:
            self.pending.extend(found.get(tag, ())[:16])
        following = body[size:]
        if len(following) == (8 if self.big else 4):
            self.pending.append(struct.unpack(self.order + ("Q" if self.big else "I"), following)[0])

    def _is_sane(self, body: bytes, width: int, row: int) -> bool:
        """Whether rows are those of a directory: known kinds, and tags that ascend but for a few."""
        count = (len(body) - width) // row
        rows = [struct.unpack_from(self.order + "HH", body, width + at * row) for at in range(count)]
        known = sum(kind in _WIDTHS for _, kind in rows)
        falls = sum(after < before for (before, _), (after, _) in pairwise(rows))
        return known * 10 >= count * 9 and falls * 4 <= count

    def values(self, kind: int, number: int, inline: bytes, tag: int) -> tuple[int, ...]:
        """The numbers of a row that matter here; where they lie elsewhere, they count for the reach."""
        size = number * _WIDTHS[kind]
        wanted = tag in _SUB_DIRECTORIES or any(tag in pair for pair in _DATA)
        data = inline
        if size > len(inline):
            place = struct.unpack(self.order + ("Q" if self.big else "I"), inline)[0]
            if place + size > self.file.size:
                self.cut = self.cut or place + size < _MOST_REACH
                return ()
            self.reach = max(self.reach, place + size)
            data = self.file.at(place, size) if wanted and number <= _MOST_VALUES else b""
        letter = _LETTERS.get(kind)
        if not wanted or letter is None or len(data) < size:
            return ()
        return struct.unpack_from(f"{self.order}{number}{letter}", data)


def carve_tiff(file: Stretch) -> Found | None:
    """The TIFF that begins at the start of ``file``; None when its directories name no picture."""
    head = file.at(0, 16)
    if len(head) < 16 or head[:2] not in (b"II", b"MM"):
        return None
    order = "<" if head[:2] == b"II" else ">"
    magic, first = struct.unpack_from(order + "HI", head, 2)
    big = magic == 43
    if big:
        if struct.unpack_from(order + "HH", head, 4) != (8, 0):
            return None
        (first,) = struct.unpack_from(order + "Q", head, 8)
    elif magic not in (42, 0x55, 0x4F52, 0x5352):
        return None
    if first >= file.size:
        hope = file.size < first < _MOST_REACH
        return Found(file.size, _suffix(head), whole=False, worth=False, checked=False) if hope else None
    if first < 8:
        return None
    walk = _Walk(file, order, big)
    walk.run(first)
    if not walk.pictures or not walk.reach:  # its directory may lie behind another file
        reach = file.size if walk.cut else first
        return Found(reach, _suffix(head), whole=False, worth=False, checked=False) if reach > SECTOR else None
    return Found(min(walk.reach, file.size), _suffix(head), whole=walk.reach <= file.size, checked=False)


def _suffix(head: bytes) -> str:
    if head[8:10] == b"CR":
        return "cr2"
    return {b"IIU\0": "rw2", b"IIRO": "orf", b"IIRS": "orf"}.get(head[:4], "tif")
