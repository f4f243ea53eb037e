"""Carve ISO base media files (HEIC, AVIF, MP4, MOV, JPEG 2000, JPEG XL) box by box (ISO/IEC 14496-12, 23008-12).

A box whose length is 0 goes "to the end of the file", which a carver does not know: then the end is where the
farthest sample (``stco``, ``co64``) or item (``iloc``) ends.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from caid_triage.evidence.carve.found import Found
from caid_triage.evidence.carve.space import Stretch

OUTERMOST = frozenset(
    (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"uuid", b"meta", b"mini", b"moof", b"mfra", b"sidx",
     b"styp", b"emsg", b"pdin", b"pnot", b"PICT", b"prft", b"ssix", b"udta", b"junk", b"jP  ", b"jp2h", b"jp2c",
     b"jp2i", b"JXL ", b"jxlc", b"jxlp", b"jxll", b"jxli", b"jbrd", b"Exif", b"xml ", b"brob",
     b"jumb", b"meco", b"res ",
     b"idat", b"thum", b"mpvd", b"sefd", b"uinf", b"url ", b"IPR2", b"asoc", b"rreq")
)  # fmt: skip
FIRST = frozenset((b"ftyp", b"jP  ", b"JXL "))
OLD_FIRST = frozenset((b"moov", b"mdat", b"wide", b"skip", b"free", b"pnot"))
_INSIDE_META = frozenset(
    (b"hdlr", b"pitm", b"iloc", b"iinf", b"iref", b"iprp", b"idat", b"dinf", b"ipro", b"grpl", b"free", b"skip",
     b"xml ", b"bxml", b"fiin", b"uuid", b"meco", b"mere", b"iods", b"keys", b"ilst")
)  # fmt: skip
_HEIC = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"mif2"))
_MOST_BOXES = 1 << 16
_MOST_TABLE = 1 << 26


@dataclass(slots=True)
class _Media:
    """What the boxes met so far say."""

    names: set[bytes] = field(default_factory=set)
    reach: int = 0  # behind the farthest sample or item whose place is given

    @property
    def can_be_opened(self) -> bool:
        return not self.names.isdisjoint((b"moov", b"moof", b"meta", b"mini", b"jp2c", b"jxlc", b"jxlp"))

    @property
    def is_complete(self) -> bool:
        if self.names.isdisjoint((b"moov",)):
            return self.can_be_opened
        return not self.names.isdisjoint((b"mdat", b"moof", b"meta"))


def carve_boxes(file: Stretch) -> Found | None:
    """The file whose first box stands at the start of ``file``; None when nothing of it could be opened."""
    first = box_at(file, 0)
    if first is None or first[0] not in FIRST | OLD_FIRST or (first[1] < 8 and first[1]):
        return None
    if first[0] == b"ftyp" and not 16 <= first[1] <= 4096:
        return None
    media, place = _Media(), 0
    for _ in range(_MOST_BOXES):
        box = box_at(file, place)
        if box is None or box[0] not in OUTERMOST:
            break
        name, length, header = box
        if place and name in FIRST and (name != b"ftyp" or name in media.names):
            break
        if not length:
            return _to_the_end(file, place, name, header, media)
        if length < header:
            break
        media.names.add(name)
        end = min(place + length, file.size)
        if name in (b"moov", b"meta"):
            with suppress(struct.error):  # a damaged table says nothing of the length
                _look_inside(file, name, place + header, end, media)
        if place + length > file.size:
            return _found(file, file.size, media, whole=False)
        place += length
    return _found(file, place, media, whole=media.is_complete and media.reach <= place)


def _found(file: Stretch, length: int, media: _Media, *, whole: bool) -> Found | None:
    if not media.can_be_opened and b"mdat" not in media.names:
        return None
    return Found(length, _suffix(file), whole, worth=media.can_be_opened, checked=False)


def _to_the_end(file: Stretch, place: int, name: bytes, header: int, media: _Media) -> Found | None:
    """The file whose last box has no length."""
    media.names.add(name)
    end = place + header
    if name == b"meta":
        end = max(end, _open_meta(file, place + header, media))
    elif name == b"jp2c":
        end = _codestream(file, end)
    elif name in (b"jxlc", b"moov"):
        return None
    end = max(end, media.reach)
    if not media.can_be_opened or end <= place + header:
        return None
    return _found(file, min(end, file.size), media, whole=end <= file.size)


def _codestream(file: Stretch, start: int) -> int:
    """Behind the end mark of a JPEG 2000 codestream (ITU T.800 annex A), ``start`` where it breaks before."""
    if file.at(start, 2) != b"\xff\x4f":
        return start
    place = start + 2
    for _ in range(_MOST_BOXES):
        head = file.at(place, 12)
        if head[:2] == b"\xff\xd9":
            return place + 2
        if len(head) < 12 or head[0] != 0xFF:
            break
        if head[1] == 0x90:  # a tile part, with its length from this mark on
            length = int.from_bytes(head[6:10], "big")
            if length < 14:
                break
            place += length
        else:
            place += 2 + int.from_bytes(head[2:4], "big")
    return start


def _open_meta(file: Stretch, place: int, media: _Media) -> int:
    """Where the boxes inside a ``meta`` box of no length end."""
    place += 4
    for _ in range(_MOST_BOXES):
        box = box_at(file, place)
        if box is None or box[0] not in _INSIDE_META or box[1] < box[2]:
            return place
        if box[0] == b"iloc":
            try:
                _items(_content(file, place, box), media)
            except struct.error:
                return place
        place += box[1]
    return place


def box_at(file: Stretch, place: int) -> tuple[bytes, int, int] | None:
    """The name, the length (0: to the end) and the header's length of the box at a place, None where none can be."""
    head = file.at(place, 16)
    if len(head) < 8:
        return None
    length, name = struct.unpack_from(">I4s", head)
    if length != 1:
        return name, length, 8
    return (name, struct.unpack_from(">Q", head, 8)[0], 16) if len(head) == 16 else None


def _content(file: Stretch, place: int, box: tuple[bytes, int, int]) -> bytes:
    return file.at(place + box[2], min(box[1] - box[2], _MOST_TABLE))


def _inside(file: Stretch, place: int, end: int) -> Iterator[tuple[int, tuple[bytes, int, int]]]:
    """The boxes between two places, (place, box)."""
    for _ in range(_MOST_BOXES):
        box = box_at(file, place) if place + 8 <= end else None
        if box is None or box[1] < box[2] or place + box[1] > end:
            return
        yield place, box
        place += box[1]


def _look_inside(file: Stretch, name: bytes, place: int, end: int, media: _Media) -> None:
    """Find how far the samples and items reach that a ``moov`` or ``meta`` box describes."""
    if name == b"meta":
        for at, box in _inside(file, place + 4, end):
            if box[0] == b"iloc":
                _items(_content(file, at, box), media)
        return
    for track_at, track in _inside(file, place, end):
        if track[0] == b"trak":
            at, box = track_at, track
            for wanted in (b"mdia", b"minf", b"stbl"):
                inside = next((one for one in _inside(file, at + box[2], at + box[1]) if one[1][0] == wanted), None)
                if inside is None:
                    break
                at, box = inside
            else:
                _samples({one[0]: _content(file, where, one) for where, one in _inside(file, at + 8, at + box[1])
                          if one[0] in (b"stco", b"co64", b"stsc", b"stsz")}, media)  # fmt: skip


def _samples(tables: dict[bytes, bytes], media: _Media) -> None:
    """The end of the last chunk of a track."""
    name = b"stco" if b"stco" in tables else b"co64"
    chunks = tables.get(name, b"")
    width = 4 if name == b"stco" else 8
    count = min(int.from_bytes(chunks[4:8], "big"), (len(chunks) - 8) // width)
    if count <= 0:
        return
    places = struct.unpack_from(f">{count}{'I' if width == 4 else 'Q'}", chunks, 8)
    last = max(places)
    number = len(places) - places[::-1].index(last)  # chunks count from 1
    media.reach = max(media.reach, last + _chunk_bytes(tables, number, count))


def _chunk_bytes(tables: dict[bytes, bytes], number: int, count: int) -> int:
    """How many bytes the chunk ``number`` holds, when it is the last of the track; else 0."""
    groups, sizes = tables.get(b"stsc", b""), tables.get(b"stsz", b"")
    if number != count or len(groups) < 20 or len(sizes) < 12:
        return 0
    rows = min(int.from_bytes(groups[4:8], "big"), (len(groups) - 8) // 12)
    if rows < 1:
        return 0
    samples = int.from_bytes(groups[8 + 12 * (rows - 1) + 4 : 8 + 12 * (rows - 1) + 8], "big")
    equal: int
    total: int
    equal, total = struct.unpack_from(">II", sizes, 4)
    if equal:
        return equal * min(samples, 1 << 20)
    total = min(total, (len(sizes) - 12) // 4)
    samples = min(samples, total)
    return sum(struct.unpack_from(f">{samples}I", sizes, 12 + 4 * (total - samples))) if samples else 0


def _items(body: bytes, media: _Media) -> None:
    """``iloc``: the end of the farthest item that is kept in the file itself."""
    version = body[0]
    widths = body[4] >> 4, body[4] & 15, body[5] >> 4, body[5] & 15 if version in (1, 2) else 0
    offset_width, length_width, base_width, index_width = widths
    if version > 2 or any(width not in (0, 4, 8) for width in widths):
        return
    place = 6

    def number(width: int) -> int:
        nonlocal place
        if place + width > len(body):
            raise struct.error("the table ends early")
        value = int.from_bytes(body[place : place + width], "big")
        place += width
        return value

    for _ in range(number(4 if version == 2 else 2)):
        number(4 if version == 2 else 2)
        method = number(2) & 15 if version else 0
        number(2)
        base = number(base_width)
        for _ in range(number(2)):
            number(index_width)
            offset = number(offset_width)
            length = number(length_width)
            if method == 0 and length:
                media.reach = max(media.reach, base + offset + length)


def _suffix(file: Stretch) -> str:
    head = file.at(0, 64)
    if head[4:8] == b"jP  ":
        return "jp2"
    if head[4:8] == b"JXL ":
        return "jxl"
    if head[4:8] != b"ftyp":
        return "mov"
    brands = {head[at : at + 4] for at in (8, *range(16, min(int.from_bytes(head[:4], "big"), 64) - 3, 4))}
    if not brands.isdisjoint((b"avif", b"avis")):
        return "avif"
    if not brands.isdisjoint(_HEIC):
        return "heic"
    return {b"qt  ": "mov", b"crx ": "cr3", b"M4A ": "m4a", b"jp2 ": "jp2"}.get(
        head[8:12], "3gp" if head[8:10] == b"3g" else "mp4"
    )
