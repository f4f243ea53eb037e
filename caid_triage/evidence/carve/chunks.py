"""Carve what is made of blocks that name their own length: PNG, GIF, RIFF, BMP, netpbm.

Sources: W3C PNG clause 5, GIF89a, RFC 9649 and the AVI RIFF reference, Microsoft's bitmap headers, netpbm's manual.
"""

from __future__ import annotations

import re
import struct
import zlib

from caid_triage.evidence.carve.found import Found, before_break
from caid_triage.evidence.carve.space import Stretch

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_ENDS = {
    PNG_SIGNATURE: (b"IEND", "png"),
    b"\x8bJNG\r\n\x1a\n": (b"IEND", "jng"),
    b"\x8aMNG\r\n\x1a\n": (b"MEND", "mng"),
}
_PIECE = 1 << 20
_MOST_CHUNKS = 1 << 20
_MOST_TRAILING = 1 << 16
_FORMS = {b"WEBP": "webp", b"AVI ": "avi", b"WAVE": "wav"}
# One way only to read a run of blanks: with two, every further blank doubles the time that a header of none costs.
_NETPBM = re.compile(rb"P([1-6])(?:\s|#[^\n]*+\n)++(\d{1,6})\s+(\d{1,6})(?:\s+(\d{1,5}))?\s")

_PLAIN, _NUMBER, _BIT = re.compile(rb"[\d\s]+"), re.compile(rb"\d+"), re.compile(rb"[01]")
_PLAIN_PIECE, _MOST_WHITE = 1 << 16, 16


def carve_png(file: Stretch) -> Found | None:
    """PNG, JNG or MNG: its chunks with their checksums, to the last. A wrong checksum is where a fragment ends."""
    ending = PNG_ENDS.get(file.at(0, 8))
    if ending is None:
        return None
    last, suffix = ending
    place, data = 8, 0
    for _ in range(_MOST_CHUNKS):
        length, name = png_chunk(file, place)
        if not name:
            break
        if name in (b"IDAT", b"JDAT"):
            data = data or place
        following = place + 12 + length
        fits = following <= file.size and png_checksum_fits(file, place, length)
        # a writer's wrong checksum is no break where the next chunk stands in its place
        if not fits and not png_chunk(file, following)[1]:
            good = before_break(min(following, file.size), place)
            return Found(good, suffix, whole=False, worth=bool(data))
        place = following
        if name == last:
            return Found(place, suffix)
    return Found(place, suffix, whole=False, worth=bool(data)) if place > 8 else None


def png_chunk(file: Stretch, place: int) -> tuple[int, bytes]:
    """The length and name of a chunk; (0, b"") where none can stand."""
    head = file.at(place, 8)
    if len(head) < 8 or not head[4:8].isalpha() or not head[4:8].isascii():
        return 0, b""
    length = int.from_bytes(head[:4], "big")
    return (length, head[4:8]) if length < 1 << 31 else (0, b"")


def png_checksum_fits(file: Stretch, place: int, length: int) -> bool:
    """Whether the checksum behind a chunk is that of its name and data."""
    checksum, at, end = 0, place + 4, place + 8 + length
    while at < end:
        piece = file.at(at, min(_PIECE, end - at))
        if not piece:
            return False
        checksum = zlib.crc32(piece, checksum)
        at += len(piece)
    return file.at(end, 4) == checksum.to_bytes(4, "big")


def carve_gif(file: Stretch) -> Found | None:
    """GIF: its chain of blocks to the trailer."""
    head = file.at(0, 13)
    if head[:6] not in (b"GIF87a", b"GIF89a") or len(head) < 13:
        return None
    place = 13 + (3 << ((head[10] & 7) + 1) if head[10] & 0x80 else 0)
    pictures = 0
    for _ in range(_MOST_CHUNKS):
        block = file.at(place, 11)
        if block[:1] == b"\x3b":
            return Found(place + 1, "gif") if pictures else None
        if block[:1] == b"\x21" and len(block) > 1 and block[1] in (0x01, 0xF9, 0xFE, 0xFF):
            begin = place + 2
        elif block[:1] == b"\x2c" and len(block) == 11:
            begin = place + 10 + (3 << ((block[9] & 7) + 1) if block[9] & 0x80 else 0)
            code = file.at(begin, 1)
            if not code or not 1 <= code[0] <= 11:
                break
            begin += 1
            pictures += 1
        else:
            break
        place, whole = _sub_blocks(file, begin)
        if not whole:
            break
    if not pictures:
        return None
    return Found(before_break(min(place, file.size), 13), "gif", whole=False)


def _sub_blocks(file: Stretch, place: int) -> tuple[int, bool]:
    """Behind a chain of sub-blocks, and whether its end was reached."""
    while True:
        piece = file.at(place, 1 << 15)
        at = 0
        while at < len(piece):
            length = piece[at]
            at += 1 + length
            if not length:
                return place + at, True
        if not piece or place + at >= file.size:
            return min(place + at, file.size), False
        place += at


def carve_riff(file: Stretch) -> Found | None:
    """WebP, AVI and WAVE: the form's length, its outermost chunks checked; an AVI's further forms (AVIX) too."""
    head = file.at(0, 20)
    suffix = _FORMS.get(head[8:12])
    if head[:4] != b"RIFF" or suffix is None or len(head) < 20 or not _is_name(head[12:16]):
        return None
    end, whole = _form(file, 0)
    while suffix == "avi" and whole:
        following = file.at(end + (end & 1), 12)
        if following[:4] != b"RIFF" or following[8:12] != b"AVIX":
            break
        end, whole = _form(file, end + (end & 1))
    return Found(end, suffix, whole=whole, checked=suffix == "avi" and _frames_follow(file))


def _frames_follow(file: Stretch) -> bool:
    """Whether the chunks inside the list of an AVI's frames follow each other to its end."""
    place = 12
    for _ in range(64):
        head = file.at(place, 12)
        if len(head) < 12 or not _is_name(head[:4]):
            return False
        length = int.from_bytes(head[4:8], "little")
        if head[:4] == b"LIST" and head[8:12] == b"movi":
            break
        place += 8 + length + (length & 1)
    else:
        return False
    end, place = place + 8 + length, place + 12
    for _ in range(_MOST_CHUNKS):
        if place >= end - 1:
            return True
        head = file.at(place, 8)
        if len(head) < 8 or not _is_name(head[:4]):
            return False
        if head[:4] == b"LIST":  # "rec ": its chunks are looked at one by one
            place += 12
        else:
            length = int.from_bytes(head[4:8], "little")
            place += 8 + length + (length & 1)
    return False


def _form(file: Stretch, start: int) -> tuple[int, bool]:
    """The end of one RIFF form, and whether its chunks fill it."""
    end = start + 8 + int.from_bytes(file.at(start + 4, 4), "little")
    place = start + 12
    while place + 8 <= end:
        head = file.at(place, 8)
        if len(head) < 8 or not _is_name(head[:4]):
            return before_break(min(place, file.size), start + 12), False
        length = int.from_bytes(head[4:8], "little")
        following = place + 8 + length + (length & 1)
        if following > end + 1 or following > file.size + 1:
            return min(end, file.size), end <= file.size and following <= end + 1
        place = following
    return min(end, file.size), end <= file.size


def _is_name(name: bytes) -> bool:
    return len(name) == 4 and all(0x20 <= byte < 0x7F for byte in name)


def carve_bmp(file: Stretch) -> Found | None:
    """BMP: two letters begin too much, so every field of both headers must make sense."""
    head = file.at(0, 54)
    if head[:2] != b"BM" or len(head) < 54:
        return None
    stated, unused, offset, header = struct.unpack_from("<IIII", head, 2)
    if (
        unused
        or header not in (12, 40, 52, 56, 64, 108, 124)
        or not 14 + header <= offset <= 14 + header + _MOST_TRAILING
    ):
        return None
    if header == 12:
        width, height, planes, depth = struct.unpack_from("<HHHH", head, 18)
        compression = 0
    else:
        width, height, planes, depth, compression = struct.unpack_from("<iiHHI", head, 18)
    height = abs(height)
    if planes != 1 or depth not in (1, 2, 4, 8, 16, 24, 32) or not 0 < width < 1 << 17 or not 0 < height < 1 << 17:
        return None
    if compression in (1, 2, 4, 5):
        end = stated
    elif compression in (0, 3, 6):
        needed = offset + (width * depth + 31) // 32 * 4 * height
        end = stated if needed <= stated <= needed + _MOST_TRAILING else needed
    else:
        return None
    if end <= offset:
        return None
    return Found(min(end, file.size), "bmp", whole=end <= file.size, checked=False)


def carve_netpbm(file: Stretch) -> Found | None:
    """PBM, PGM and PPM: what width, height and depth come to, in bytes or (P1 to P3) in numbers written out."""
    found = _NETPBM.match(file.at(0, 512))
    if found is None:
        return None
    kind, width, height = found[1], int(found[2]), int(found[3])
    if not width or not height:
        return None
    if kind in b"14":
        behind = found.start(4) if found[4] is not None else found.end()
        if kind == b"1":
            return _plain_netpbm(file, behind, width * height, _BIT, "pbm")
        return _netpbm(file, behind, (width + 7) // 8 * height, "pbm")
    if found[4] is None or not 0 < int(found[4]) < 1 << 16:
        return None
    suffix = "ppm" if kind in b"36" else "pgm"
    samples = width * height * (3 if suffix == "ppm" else 1)
    if kind in b"23":
        return _plain_netpbm(file, found.end(), samples, _NUMBER, suffix)
    return _netpbm(file, found.end(), samples * (2 if int(found[4]) > 255 else 1), suffix)


def _plain_netpbm(file: Stretch, place: int, numbers: int, number: re.Pattern[bytes], suffix: str) -> Found | None:
    """The numbers of a picture written out, and the white space behind the last; None where other text stands."""
    begun = place
    while numbers > 0:
        piece = file.at(place, _PLAIN_PIECE)
        if place + len(piece) < file.size:  # a number may lie across the border of two pieces
            piece = piece[: max(piece.rfind(b" "), piece.rfind(b"\n")) + 1]
        text = _PLAIN.match(piece)
        ends = [one.end() for one in number.finditer(text[0])][:numbers] if text is not None else []
        if not ends:
            break
        numbers -= len(ends)
        place += ends[-1]
    if numbers > 0:
        return Found(place, suffix, whole=False) if place > begun else None
    behind = file.at(place, _MOST_WHITE)
    return Found(place + len(behind) - len(behind.lstrip()), suffix)


def _netpbm(file: Stretch, header: int, data: int, suffix: str) -> Found | None:
    return Found(min(header + data, file.size), suffix, whole=header + data <= file.size, checked=False)
