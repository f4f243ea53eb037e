"""Carve films and sound by their containers: Matroska, ASF, FLV, MPEG streams, Ogg, MP3.

Sources: RFC 8794 and RFC 9559 (EBML, Matroska), Microsoft's ASF specification, Adobe's FLV specification, ISO/IEC
13818-1 (transport and program streams), RFC 3533 (Ogg), ISO/IEC 11172-3 (frames of sound).
"""

from __future__ import annotations

import zlib

import numpy as np

from caid_triage.evidence.carve.found import Found, before_break
from caid_triage.evidence.carve.space import Stretch

_PIECE = 1 << 18
_MOST_PARTS = 1 << 22

# ------------------------------------------------------------ Matroska

_EBML, _SEGMENT, _CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675
_LEVEL_1 = frozenset(
    (0x114D9B74, 0x1549A966, 0x1654AE6B, _CLUSTER, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367, 0xEC, 0xBF)
)
_IN_CLUSTER = frozenset((0xE7, 0xA3, 0xA0, 0xAB, 0xA7, 0xAF, 0x5854, 0xEC, 0xBF))
_UNKNOWN = -1


def carve_matroska(file: Stretch) -> Found | None:
    """Matroska and WebM: the segment's length, its elements checked; of unknown length, as far as elements follow."""
    header = _element(file, 0)
    if header is None or header[0] != _EBML or not 0 < header[1] < 4096:
        return None
    kind = file.at(0, 4 + header[2] + header[1])
    suffix = "webm" if b"webm" in kind else "mkv" if b"matroska" in kind else ""
    place = header[2] + header[1]
    while (void := _element(file, place)) is not None and void[0] in (0xEC, 0xBF) and void[1] >= 0:
        place += void[2] + void[1]
    segment = _element(file, place)
    if not suffix or segment is None or segment[0] != _SEGMENT:
        return None
    start = place + segment[2]
    stated = start + segment[1] if segment[1] != _UNKNOWN else None
    end, seen = _elements(file, start, stated)
    if not seen:
        return None
    if stated is None:
        return Found(min(end, file.size), suffix, whole=end <= file.size, open_end=True)
    return Found(min(end, file.size), suffix, whole=end == stated and end <= file.size)


def _elements(file: Stretch, place: int, stated: int | None) -> tuple[int, bool]:
    """The place behind the last good element of a segment, and whether one with pictures was met."""
    seen = in_cluster = False
    for _ in range(_MOST_PARTS):
        if stated is not None and place >= stated:
            break
        element = _element(file, place)
        if element is None:
            break
        name, length, header = element
        if name in _LEVEL_1:
            in_cluster = name == _CLUSTER and length == _UNKNOWN
            seen = seen or name == _CLUSTER
        elif not (in_cluster and name in _IN_CLUSTER):
            break
        if length == _UNKNOWN:
            if name != _CLUSTER:
                break
            place += header
            continue
        if place + header + length > file.size:
            return place + header + length, seen
        place += header + length
    return place, seen


def _element(file: Stretch, place: int) -> tuple[int, int, int] | None:
    """The identifier, the length (-1: unknown) and the header's length of an EBML element."""
    head = file.at(place, 12)
    if len(head) < 2 or not head[0]:
        return None
    width = 9 - head[0].bit_length()
    if width > 4 or len(head) <= width or not head[width]:
        return None
    name = int.from_bytes(head[:width], "big")
    size_width = 9 - head[width].bit_length()
    if len(head) < width + size_width:
        return None
    full = (1 << 7 * size_width) - 1
    value = int.from_bytes(head[width : width + size_width], "big") & full
    return name, _UNKNOWN if value == full else value, width + size_width


# ------------------------------------------------------------ ASF

_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_BEHIND = frozenset(
    bytes.fromhex(text)
    for text in (
        "90080033b1e5cf1189f400a0c90349cb", "d329e2d6da35d111903400a0c90349be", "f803b1fead12644c840f2a1d2f7ad48c",
        "d03fb73c4a0c0348953dedf7b6228f0c",
    )
)  # fmt: skip


def carve_asf(file: Stretch) -> Found | None:
    """ASF (WMV, WMA): header, data and index objects; the length its own header states where those end there."""
    head = file.at(0, 30)
    length = int.from_bytes(head[16:24], "little")
    if head[:16] != _ASF_HEADER or not 30 <= length <= 1 << 26:
        return None
    header = file.at(0, length)
    at = header.find(_ASF_FILE)
    stated = int.from_bytes(header[at + 40 : at + 48], "little") if at > 0 else 0
    if file.at(length, 16) != _ASF_DATA:
        return Found(min(length, file.size), "wmv", whole=False, worth=False)
    place = length
    for _ in range(64):
        part = file.at(place, 24)
        size = int.from_bytes(part[16:24], "little")
        if part[:16] != _ASF_DATA and part[:16] not in _ASF_BEHIND:
            break
        if size < 24:  # a stream that was never finished states no length of its data
            return (
                Found(min(stated, file.size), "wmv", whole=length < stated <= file.size, checked=False)
                if stated
                else None
            )
        if place + size > file.size:
            return Found(file.size, "wmv", whole=False)
        place += size
    return Found(place, "wmv", checked=False)


# ------------------------------------------------------------ FLV


def carve_flv(file: Stretch) -> Found | None:
    """FLV: tags, each followed by its own length."""
    head = file.at(0, 13)
    if (
        head[:4] != b"FLV\x01"
        or len(head) < 13
        or head[4] & 0xFA
        or int.from_bytes(head[5:9], "big") != 9
        or head[9:13] != bytes(4)
    ):
        return None
    place = 13
    for _ in range(_MOST_PARTS):
        tag = file.at(place, 11)
        if len(tag) < 11 or tag[0] not in (8, 9, 18) or tag[8:11] != b"\0\0\0":
            break
        length = int.from_bytes(tag[1:4], "big")
        behind = place + 11 + length
        if file.at(behind, 4) != (11 + length).to_bytes(4, "big"):
            good = before_break(min(behind, file.size), place)
            return Found(good, "flv", whole=False) if place > 13 else None
        place = behind + 4
    return Found(place, "flv", open_end=True) if place > 13 else None


# ------------------------------------------------------------ MPEG

_TS_PACKETS = 16


def carve_transport_stream(file: Stretch) -> Found | None:
    """MPEG transport streams: packets of 188 bytes (192 with a time stamp before each) as long as they keep step."""
    head = file.at(0, 204 * 5)
    for before, step in ((0, 188), (4, 192)):
        places = head[before : before + step * 5 : step]
        if len(places) == 5 and set(places) == {0x47}:
            place = 0
            while True:
                piece = np.frombuffer(file.at(place, _PIECE // step * step), dtype=np.uint8)
                packets = len(piece) // step
                if not packets:
                    break
                lost = np.flatnonzero(piece[before : packets * step : step] != 0x47)
                if len(lost):
                    place += int(lost[0]) * step
                    break
                place += packets * step
            if place >= _TS_PACKETS * step:
                return Found(place, "ts" if step == 188 else "m2ts", open_end=True)
    return None


def carve_program_stream(file: Stretch) -> Found | None:
    """MPEG program streams: packs and packets, each with its length, to the end mark or as far as they follow."""
    if file.at(0, 4) != b"\0\0\x01\xba":
        return None
    place = packets = 0
    for _ in range(_MOST_PARTS):
        head = file.at(place, 14)
        if len(head) < 4 or head[:3] != b"\0\0\x01":
            break
        code = head[3]
        if code == 0xB9:
            return Found(place + 4, "mpg") if packets else None
        if code == 0xBA:
            if len(head) < 14:
                break
            if head[4] >> 6 == 1:
                place += 14 + (head[13] & 7)
            elif head[4] >> 4 == 2:
                place += 12
            else:
                break
        elif code >= 0xBB and len(head) >= 6:
            length = 6 + int.from_bytes(head[4:6], "big")
            if place + length > file.size:
                break
            place += length
            packets += 1
        else:
            break
    return Found(place, "mpg", whole=packets >= 4, open_end=True) if packets else None


# ------------------------------------------------------------ Ogg, MP3


def carve_ogg(file: Stretch) -> Found | None:
    """Ogg: its pages one after the other, each with its checksum, until every stream that began has ended."""
    place, pages, theora = 0, 0, False
    open_streams: set[bytes] = set()
    for _ in range(_MOST_PARTS):
        head = file.at(place, 27)
        if len(head) < 27 or head[:5] != b"OggS\0" or head[5] > 7 or (not pages and not head[5] & 2):
            break
        lengths = file.at(place + 27, head[26])
        following = place + 27 + len(lengths) + sum(lengths)
        if len(lengths) < head[26] or following > file.size or not _ogg_checksum_fits(head, file, place, following):
            good = before_break(min(following, file.size), place)
            return Found(good, _ogg(theora), whole=False, worth=pages > 2) if pages else None
        if head[5] & 2:
            theora = theora or file.at(place + 27 + len(lengths), 7) == b"\x80theora"
            open_streams.add(head[14:18])
        if head[5] & 4:
            open_streams.discard(head[14:18])
        place = following
        pages += 1
    return Found(place, _ogg(theora), whole=not open_streams) if pages > 1 else None


_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def _ogg_checksum_fits(head: bytes, file: Stretch, place: int, following: int) -> bool:
    """Whether a page has the checksum it states (RFC 3533: polynomial 0x04c11db7, begun with 0, bits not mirrored).

    The one of zlib is the same but for the order of the bits, what it begins with and a last inversion.
    """
    page = head[:22] + bytes(4) + file.at(place + 26, following - place - 26)
    mirrored = zlib.crc32(page.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2) == int.from_bytes(head[22:26], "little")


def _ogg(theora: bool) -> str:
    return "ogv" if theora else "ogg"


_BITRATES = {
    (3, 3): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (3, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (3, 1): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 3): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 1): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_MP3_FRAMES = 16


def carve_mp3(file: Stretch) -> Found | None:
    """MP3: a tag, frames that follow each other, and the tag of 128 bytes behind them."""
    place = 0
    head = file.at(0, 10)
    if head[:3] == b"ID3":
        if len(head) < 10 or head[3] > 4 or any(byte & 0x80 for byte in head[6:10]):
            return None
        place = 10 + sum(byte << 7 * (3 - index) for index, byte in enumerate(head[6:10])) + (10 if head[5] & 16 else 0)
    frames = 0
    for _ in range(_MOST_PARTS):
        length = _frame(file.at(place, 4))
        if not length or place + length > file.size:
            break
        place += length
        frames += 1
    if frames < _MP3_FRAMES:
        return None
    if file.at(place, 3) == b"TAG" and place + 128 <= file.size:
        return Found(place + 128, "mp3")
    return Found(place, "mp3", open_end=True)


def _frame(head: bytes) -> int:
    """The length of a frame of sound, 0 where none begins."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return 0
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    rates = _BITRATES.get((3 if version == 3 else 2, 1 if version != 3 and layer == 2 else layer))
    index, rate = head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer == 0 or rates is None or index in (0, 15) or rate == 3:
        return 0
    bits, hertz, padding = rates[index] * 1000, _RATES[version][rate], head[2] >> 1 & 1
    if layer == 3:
        return (12 * bits // hertz + padding) * 4
    return (144 if version == 3 or layer == 2 else 72) * bits // hertz + padding
