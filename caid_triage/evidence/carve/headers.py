"""The first bytes that a carver is tried at, and two ways to find them: on sector starts, and anywhere.

Both give the same places as the plain search of :func:`naive_places` (a property test says so); what only makes
sense on a sector's start (two letters, a sync byte) is looked for there in either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec

import numpy as np

from caid_triage.evidence.carve.boxes import carve_boxes
from caid_triage.evidence.carve.chunks import carve_bmp, carve_gif, carve_netpbm, carve_png, carve_riff
from caid_triage.evidence.carve.documents import carve_pdf, carve_script, carve_zip
from caid_triage.evidence.carve.films import (
    carve_asf,
    carve_flv,
    carve_matroska,
    carve_mp3,
    carve_ogg,
    carve_program_stream,
    carve_transport_stream,
)
from caid_triage.evidence.carve.found import SECTOR, Carver
from caid_triage.evidence.carve.jpeg import carve_jpeg
from caid_triage.evidence.carve.tiff import carve_tiff

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Header:
    """Bytes at ``offset`` that make a carver worth a try (``anywhere``, else on sectors); ``most`` bounds the file."""

    magic: bytes
    carver: Carver
    most: int
    offset: int = 0
    anywhere: bool = True


_PICTURE, _FILM = 512 * MIB, 1 << 42
HEADERS: tuple[Header, ...] = (
    Header(b"\xff\xd8\xff", carve_jpeg, _PICTURE),
    Header(b"\x89PNG\r\n\x1a\n", carve_png, _PICTURE),
    Header(b"\x8bJNG\r\n\x1a\n", carve_png, _PICTURE),
    Header(b"\x8aMNG\r\n\x1a\n", carve_png, _PICTURE),
    Header(b"GIF87a", carve_gif, _PICTURE),
    Header(b"GIF89a", carve_gif, _PICTURE),
    Header(b"RIFF", carve_riff, _FILM),
    Header(b"II*\0", carve_tiff, 4096 * MIB),
    Header(b"MM\0*", carve_tiff, 4096 * MIB),
    Header(b"II+\0\x08\0\0\0", carve_tiff, 4096 * MIB),
    Header(b"MM\0+\0\x08\0\0", carve_tiff, 4096 * MIB),
    Header(b"IIU\0", carve_tiff, _PICTURE),
    Header(b"IIRO", carve_tiff, _PICTURE),
    Header(b"IIRS", carve_tiff, _PICTURE),
    Header(b"ftyp", carve_boxes, _FILM, offset=4),
    Header(b"\0\0\0\x0cjP  \r\n\x87\n", carve_boxes, _PICTURE),
    Header(b"\0\0\0\x0cJXL \r\n\x87\n", carve_boxes, _PICTURE),
    Header(b"moov", carve_boxes, _FILM, offset=4, anywhere=False),
    Header(b"mdat", carve_boxes, _FILM, offset=4, anywhere=False),
    Header(b"wide", carve_boxes, _FILM, offset=4, anywhere=False),
    Header(b"skip", carve_boxes, _FILM, offset=4, anywhere=False),
    Header(b"free", carve_boxes, _FILM, offset=4, anywhere=False),
    Header(b"pnot", carve_boxes, _FILM, offset=4, anywhere=False),
    Header(b"\x1aE\xdf\xa3", carve_matroska, _FILM),
    Header(b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c", carve_asf, _FILM),
    Header(b"FLV\x01", carve_flv, _FILM),
    Header(b"\0\0\x01\xba", carve_program_stream, _FILM),
    Header(b"OggS\0\x02", carve_ogg, _FILM),
    Header(b"%PDF-", carve_pdf, 1024 * MIB),
    Header(b"PK\x03\x04", carve_zip, 4096 * MIB),
    Header(b"BM", carve_bmp, _PICTURE, anywhere=False),
    Header(b"P1", carve_netpbm, _PICTURE, anywhere=False),
    Header(b"P2", carve_netpbm, _PICTURE, anywhere=False),
    Header(b"P3", carve_netpbm, _PICTURE, anywhere=False),
    Header(b"P4", carve_netpbm, _PICTURE, anywhere=False),
    Header(b"P5", carve_netpbm, _PICTURE, anywhere=False),
    Header(b"P6", carve_netpbm, _PICTURE, anywhere=False),
    Header(b"ID3", carve_mp3, _PICTURE, anywhere=False),
    Header(b"\xff\xfb", carve_mp3, _PICTURE, anywhere=False),
    Header(b"\xff\xfa", carve_mp3, _PICTURE, anywhere=False),
    Header(b"\xff\xf3", carve_mp3, _PICTURE, anywhere=False),
    Header(b"#!", carve_script, MIB, anywhere=False),
)
# a transport stream shows by bytes that stand apart: (place of its first sync byte, step)
STEPS = ((0, 188), (4, 192))
TRANSPORT = Header(b"G", carve_transport_stream, _FILM, anywhere=False)
REACH = 4 + 2 * 192 + 1
"""How many bytes from its start decide whether a place is looked at."""


def headers_at(head: bytes) -> Iterator[Header]:
    """The headers that fit the first REACH bytes at a place, in the order of the table."""
    for header in HEADERS:
        if head.startswith(header.magic, header.offset):
            yield header
    if _is_transport(head):
        yield TRANSPORT


def _is_transport(head: bytes) -> bool:
    return any(
        set(head[first : first + 3 * step : step]) == {0x47} and len(head) > first + 2 * step for first, step in STEPS
    )


def naive_places(data: bytes, *, anywhere: bool) -> list[int]:
    """The oracle: every place of ``data`` where a header stands, looked at one by one."""
    return [
        place
        for place in range(len(data))
        if any(
            (header.anywhere and anywhere) or place % SECTOR == 0 for header in headers_at(data[place : place + REACH])
        )
    ]


@cache
def _first_pairs() -> np.ndarray:
    """By the first two bytes of a sector (little-endian): whether a header may stand there; not those of zeros."""
    table = np.zeros(1 << 16, dtype=bool)
    for header in HEADERS:
        if header.offset == 0 and header.magic[:2] != b"\0\0":
            table[int.from_bytes(header.magic[:2], "little")] = True
    return table


@cache
def _words() -> tuple[np.ndarray, np.ndarray]:
    """The first four bytes of headers that begin with zeros, and the second four of those that stand at 4."""
    first = [int.from_bytes(header.magic[:4], "little") for header in HEADERS if header.magic[:2] == b"\0\0"]
    second = [int.from_bytes(header.magic, "little") for header in HEADERS if header.offset == 4]
    return np.array(sorted(set(first)), dtype="<u4"), np.array(sorted(set(second)), dtype="<u4")


def sector_places(data: bytes) -> list[int]:
    """Every sector start of ``data`` (whole sectors, then a rest) where a header stands."""
    places = sector_hits(data).tolist()
    return [place for place in places if any(True for _ in headers_at(data[place : place + REACH]))]


def sector_hits(data: bytes) -> np.ndarray:
    """The sector starts of ``data`` where a header may stand: all those where one does, and a few more."""
    whole = len(data) // SECTOR
    places = np.zeros(0, dtype=np.int64)
    if whole:
        sectors = np.frombuffer(data, dtype=np.uint8, count=whole * SECTOR).reshape(whole, SECTOR)
        words = np.ascontiguousarray(sectors[:, :8]).view("<u4")
        first, second = words[:, 0], words[:, 1]
        zero_words, box_words = _words()
        hits = _first_pairs()[first & 0xFFFF]
        for word in zero_words:
            hits |= first == word
        for word in box_words:
            hits |= second == word
        for start, step in STEPS:
            hits |= (
                (sectors[:, start] == 0x47)
                & (sectors[:, start + step] == 0x47)
                & (sectors[:, start + 2 * step] == 0x47)
            )
        places = np.flatnonzero(hits) * SECTOR
    return np.append(places, whole * SECTOR) if len(data) % SECTOR else places


def any_places(data: bytes) -> list[int]:
    """Every place of ``data`` where a header that makes sense anywhere stands, and the sector starts of the others."""
    found = {place for place in _search()(data) if place >= 0}
    return sorted(found.union(sector_places(data)))


def have_hyperscan() -> bool:
    """Whether the extra ``carve`` is installed."""
    return find_spec("hyperscan") is not None


@cache
def _search() -> Callable[[bytes], list[int]]:
    """A function that finds the starts of headers that stand anywhere: hyperscan's, or the plain one."""
    return _with_hyperscan() if have_hyperscan() else plain_search


def plain_search(data: bytes) -> list[int]:
    """Each magic by itself with ``bytes.find``: twenty to thirty times slower than hyperscan."""
    places = []
    for header in HEADERS:
        if header.anywhere:
            at = data.find(header.magic)
            while at >= 0:
                places.append(at - header.offset)
                at = data.find(header.magic, at + 1)
    return places


def _with_hyperscan() -> Callable[[bytes], list[int]]:
    hyperscan = import_module("hyperscan")
    wanted = [header for header in HEADERS if header.anywhere]
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    expressions = [b"".join(b"\\x%02x" % byte for byte in header.magic) for header in wanted]
    database.compile(
        expressions=expressions,
        ids=list(range(len(wanted))),
        elements=len(wanted),
        flags=[hyperscan.HS_FLAG_DOTALL] * len(wanted),
    )
    back = [len(header.magic) + header.offset for header in wanted]

    def search(data: bytes) -> list[int]:
        places: list[int] = []

        def met(number: int, _start: int, end: int, _flags: int, _context: object) -> None:
            places.append(end - back[number])

        database.scan(data, match_event_handler=met)
        return places

    return search
