"""Carve JPEG by its markers (ITU T.81 annex B): never by "the next end mark", which is the thumbnail's.

Pictures that follow the first and belong to it (multi-picture files, CIPA DC-007; the film of a motion photo) are
taken in by what its own segments say of them.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field

import numpy as np

from caid_triage.evidence.carve.found import SECTOR, Found, before_break
from caid_triage.evidence.carve.space import Stretch

FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
SEGMENTS = frozenset({0xC4, 0xCC, *range(0xDB, 0xE0), *range(0xE0, 0xF0), 0xFE})
SOI, EOI, SOS, DRI = 0xD8, 0xD9, 0xDA, 0xDD
_PIECE, _FIRST_PIECE = 1 << 18, 1 << 15
_LOST = re.compile(rb"\xff[\xc0\xc2\xc4\xdb\xdd\xe1-\xef\xfe]", re.DOTALL)
_MOST_LOST = 32
_MOST_SEGMENTS = 20_000
_MOST_PICTURES = 64
_AROUND = 16
_MOST_TAGGED, _MOST_TAGGED_DIRECTORY = 1 << 26, 12 + 12 * 256
_TRAILER = re.compile(rb"MicroVideoOffset=[\"'](\d{1,12})[\"']|Item:Length=[\"'](\d{1,12})[\"']")


@dataclass(slots=True)
class JpegWalk:
    """One walk along a JPEG's markers; ``place`` is behind what was good, ``broken`` whether it stopped there.

    ``first_data`` is where its picture data begins (0: it was not reached), ``end`` behind its end mark (0: none).
    ``odd``: a sector of its data looks like no compressed data.
    """

    file: Stretch
    place: int = 2
    broken: bool = False
    first_data: int = 0
    end: int = 0
    frame: bool = False
    interval: int = 0
    pictures: list[int] = field(default_factory=list)
    trailer: int = 0
    odd: bool = False

    def run(self) -> None:
        """Walk to the end mark or to the place where the structure breaks."""
        for _ in range(_MOST_SEGMENTS):
            head = self.file.at(self.place, 4)
            fill = len(head) - len(head.lstrip(b"\xff"))
            if fill > 1 and len(head) == 4:  # fill bytes may stand before a marker
                self.place += fill - 1
                head = self.file.at(self.place, 4)
            if len(head) == 4 and head[0] != 0xFF and not self.first_data:
                # some writers state a segment's length a few bytes short, and decoders look for the next marker
                skipped = _LOST.search(self.file.at(self.place, _MOST_LOST))
                if skipped is None:
                    break
                self.place += skipped.start()
                head = self.file.at(self.place, 4)
            if len(head) < 2 or head[0] != 0xFF:
                break
            code = head[1]
            if code == EOI:
                if not self.first_data:
                    break
                self.end = self.place + 2
                return
            if (code != SOS and code not in FRAMES and code not in SEGMENTS) or len(head) < 4:
                break
            length = int.from_bytes(head[2:4], "big")
            if length < 2 or self.place + 2 + length > self.file.size or not self._segment(code, length):
                break
            self.place += 2 + length
            if code == SOS:
                self.first_data = self.first_data or self.place
                if not self._entropy():
                    break
        self.broken = True

    def _segment(self, code: int, length: int) -> bool:
        """Take what matters of a segment; False when it cannot be one."""
        if code in FRAMES:
            body = self.file.at(self.place + 4, length - 2)
            if self.frame or len(body) < 6 or body[0] not in (8, 12, 16, *range(2, 17)) or not 1 <= body[5] <= 4:
                return False
            self.frame = True
            return length == 8 + 3 * body[5] and body[3:5] != b"\0\0"
        if code == SOS:
            count = self.file.at(self.place + 4, 1)
            return self.frame and len(count) == 1 and 1 <= count[0] <= 4 and length == 6 + 2 * count[0]
        if code == 0xDB:
            body = self.file.at(self.place + 4, length - 2)
            return bool(body) and body[0] & 0x0F < 4 and body[0] >> 4 < 2
        if code == 0xC4:
            return self._tables(self.file.at(self.place + 4, length - 2))
        if code == DRI:
            if length != 4:
                return False
            self.interval = int.from_bytes(self.file.at(self.place + 4, 2), "big")
        if code == 0xE2 and self.file.at(self.place + 4, 4) == b"MPF\0":
            self._pictures(self.file.at(self.place + 8, length - 6), self.place + 8)
        if code == 0xE1 and self.file.at(self.place + 4, 5) == b"http:":
            self._trailers(self.file.at(self.place + 4, length - 2))
        return True

    @staticmethod
    def _tables(body: bytes) -> bool:
        place = 0
        while place + 17 <= len(body):
            if body[place] & 0x0F > 3 or body[place] >> 4 > 1:
                return False
            place += 17 + sum(body[place + 1 : place + 17])
        return place == len(body) or not any(body[place:])

    def _pictures(self, body: bytes, base: int) -> None:
        """Remember where the further pictures of a multi-picture file end."""
        order = "<" if body[:2] == b"II" else ">"
        try:
            (position,) = struct.unpack_from(order + "I", body, 4)
            (count,) = struct.unpack_from(order + "H", body, position)
            for row in range(min(count, 16)):
                tag, _, size, where = struct.unpack_from(order + "HHII", body, position + 2 + 12 * row)
                if tag == 0xB002:
                    for picture in range(min(size // 16, _MOST_PICTURES)):
                        length, offset = struct.unpack_from(order + "II", body, where + 16 * picture + 4)
                        if offset:
                            self.pictures.append(base + offset)
                            self.pictures.append(base + offset + length)
        except struct.error:
            self.pictures.clear()

    def _trailers(self, body: bytes) -> None:
        """Remember how many bytes of a motion photo follow the picture."""
        if b"MicroVideo" in body or b"MotionPhoto" in body or b"Container" in body:
            lengths = [int(first or second) for first, second in _TRAILER.findall(body)[:_MOST_PICTURES]]
            if b"MicroVideoOffset" in body:
                lengths = lengths[:1]
            self.trailer = max(self.trailer, sum(lengths))

    def _entropy(self) -> bool:
        """Go over compressed data to the next marker; False when it breaks before one that may follow."""
        expected, begun = 0, self.place
        while True:
            piece = self.file.at(self.place, _PIECE if self.place - begun > _PIECE else _FIRST_PIECE)
            if len(piece) < 2:
                self.place += len(piece)
                return False
            view = np.frombuffer(piece, dtype=np.uint8)
            places = np.flatnonzero(view[:-1] == 0xFF)
            codes = view[places + 1]
            marks = np.flatnonzero((codes != 0) & (codes != 0xFF))
            if self.interval:
                restarts = (codes[marks] & 0xF8) == 0xD0
                others = np.flatnonzero(~restarts)
                count = int(others[0]) if len(others) else len(marks)
                numbers = codes[marks[:count]] & 7
                wanted = (np.arange(count) + expected) & 7
                wrong = np.flatnonzero(numbers != wanted)
                if len(wrong):
                    self.place += int(places[marks[int(wrong[0])]])
                    return False
                expected = (expected + count) & 7
                marks = marks[count:]
            self.odd = self.odd or _has_odd_sector(view[: int(places[marks[0]]) if len(marks) else None], self.place)
            if len(marks):
                self.place += int(places[marks[0]])
                code = int(codes[marks[0]])
                return code in (EOI, SOS, 0xC4, 0xDB, 0xDC, DRI, 0xFE) or 0xE0 <= code < 0xF0
            if self.place + len(piece) >= self.file.size:
                self.place += len(piece)
                return False
            self.place += len(piece) - (piece[-1] == 0xFF)  # a marker may lie across the border of two pieces


def _has_odd_sector(data: np.ndarray, place: int) -> bool:
    """Whether sectors of compressed data that begins at ``place`` have no byte above 0x7F, as text and zeros have none.

    Flat parts of a picture can be so as well, but they do not begin and end with a sector.
    """
    first = -place % SECTOR
    count = (len(data) - first) // SECTOR
    if count <= 0:
        return False
    low = data < 0x80
    sectors = low[first : first + count * SECTOR].reshape(count, SECTOR)
    odd = np.zeros(count + 2, dtype=bool)
    plain = np.flatnonzero(sectors[:, 0])
    odd[plain + 1] = sectors[plain].all(axis=1)
    edges = np.flatnonzero(odd[1:] != odd[:-1]).tolist()
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        before, behind = first + begin * SECTOR, first + end * SECTOR
        flat_before = begin > 0 and low[before - _AROUND : before].all()
        flat_behind = end < count and low[behind : behind + _AROUND].all()
        if not flat_before and not flat_behind:
            return True
    return False


def carve_jpeg(file: Stretch) -> Found | None:
    """The JPEG that begins at the start of ``file``; None when no picture data follows."""
    if file.at(0, 3) != b"\xff\xd8\xff":
        return None
    walk = JpegWalk(file)
    walk.run()
    if not walk.first_data:
        return None
    if walk.end:
        return Found(_with_followers(file, walk), "jpg", suspect=walk.odd)
    return Found(before_break(walk.place, min(walk.first_data, walk.place)), "jpg", whole=False)


def _with_followers(file: Stretch, walk: JpegWalk) -> int:
    """The length with the pictures or the film that the first picture says belong to it, where they are there."""
    end = walk.end
    for begin, behind in zip(walk.pictures[::2], walk.pictures[1::2], strict=True):
        if begin >= walk.end and end < behind <= file.size and file.at(begin, 3) == b"\xff\xd8\xff":
            end = behind
    if end == walk.end:
        end = _appended(file, end)
    if end == walk.end and 0 < walk.trailer <= file.size - end and file.at(end + 4, 4) == b"ftyp":
        end += walk.trailer
    return _with_tagged_data(file, end)


def _with_tagged_data(file: Stretch, end: int) -> int:
    """Behind the named blocks that Samsung's telephones put after a picture, where their own directory fits.

    Each is 2 zeros, its kind (2 bytes), the length of its name (4, little-endian), the name, its data; then "SEFH", a
    version, their number, 12 bytes for each (kind, how far before "SEFH" it begins, length), their length, "SEFT".
    """
    head = file.at(end, 8)
    if head[:2] != b"\0\0" or head[5:] != bytes(3):
        return end
    name = file.at(end + 8, head[4])
    if not name or not name.isascii() or not name.decode("ascii").isprintable():
        return end
    at = end
    while at < end + _MOST_TAGGED:
        piece = file.at(at, _PIECE + 12)
        found = piece.find(b"SEFH")
        if 0 <= found < _PIECE:
            at += found
            length = 12 + 12 * int.from_bytes(file.at(at + 8, 4), "little")
            directory = file.at(at, length + 8) if length <= _MOST_TAGGED_DIRECTORY else b""
            if directory[length:] == length.to_bytes(4, "little") + b"SEFT":
                starts = [int.from_bytes(directory[row + 4 : row + 8], "little") for row in range(12, length, 12)]
                return at + length + 8 if max(starts, default=0) == at - end else end
            at += 4
        elif len(piece) < _PIECE + 12:
            return end
        else:
            at += _PIECE
    return end


def _appended(file: Stretch, end: int) -> int:
    """Behind the pictures that follow a picture at once: a file of its own would begin on a sector."""
    for _ in range(_MOST_PICTURES):
        if file.source_offset(end - 1) % SECTOR == SECTOR - 1 or file.at(end, 3) != b"\xff\xd8\xff":
            break
        walk = JpegWalk(file, end + 2)
        walk.run()
        if not walk.end:
            break
        end = walk.end
    return end
