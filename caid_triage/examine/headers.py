"""What a picture's own structure says before a decoder runs: its size in pixels, and whether it is whole.

Decoders allocate what a header claims and fill what is missing; both are decided here first.
JPEG has its own module, :mod:`caid_triage.examine.jpeg`; rarer formats are in ``rare_headers``.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from caid_triage.examine.rare_headers import RARE


@dataclass(frozen=True, slots=True)
class Header:
    """Stored pixels as the header claims them (None if it does not say), and what is wrong in words.

    ``damage`` is "" for a file that is whole as far as its structure tells. ``animated`` says that
    there are more frames than the one that is examined, ``deep`` that colours have more than 8 bits.
    """

    width: int | None = None
    height: int | None = None
    damage: str = ""
    animated: bool = False
    deep: bool = False


def read_header(data: bytes, media_type: str) -> Header | None:
    """Return what the structure of a picture says, None for a type whose structure is not read here."""
    reader, rare = _READERS.get(media_type), RARE.get(media_type)
    try:
        if rare:
            return Header(*rare(data))
        return reader(data) if reader else None
    except struct.error:
        return Header(damage="the header is cut short")


def _png(data: bytes) -> Header:
    """PNG: IHDR, and every chunk's checksum as far as IEND (W3C PNG, clause 5)."""
    width, height = None, None
    animated, position = False, 8
    while position + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if name == b"IHDR" and width is None:
            width, height = struct.unpack_from(">II", data, position + 8)
        if end > len(data):
            break
        (stored,) = struct.unpack_from(">I", data, end - 4)
        # An upper-case first letter marks a chunk that pixels depend on; damage to others is no loss.
        if name[:1].isupper() and zlib.crc32(memoryview(data)[position + 4 : end - 4]) != stored:
            return Header(width, height, f"the checksum of the chunk at byte {position} is wrong", animated)
        animated = animated or name == b"acTL"
        if name == b"IEND":
            return Header(width, height, "", animated)
        position = end
    return Header(width, height, "the file ends before its last chunk", animated)


def _gif(data: bytes) -> Header:
    """GIF: the logical screen, and the chain of blocks to the trailer (GIF89a, clause 17 on)."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    position = 13 + (3 << ((flags & 7) + 1) if flags & 0x80 else 0)
    frames = 0
    try:
        while position < len(data):
            block = data[position]
            if block == 0x3B:
                break
            if block == 0x21:
                position += 2
            elif block == 0x2C:
                frames += 1
                local = data[position + 9]
                position += 11 + (3 << ((local & 7) + 1) if local & 0x80 else 0)
            else:
                return Header(width, height, f"unknown block at byte {position}", frames > 1)
            while data[position]:
                position += 1 + data[position]
            position += 1
    except IndexError:
        return Header(width, height, "the file ends inside a block", frames > 1)
    damage = "" if frames else "there is no picture in it"
    # Many writers leave the one-byte trailer out: a file that ends between two blocks is whole.
    return Header(width, height, "the file ends inside a block" if position > len(data) else damage, frames > 1)


def _webp(data: bytes) -> Header:
    """WebP: canvas of the first chunk, and the length of the RIFF form (RFC 9649)."""
    (length,) = struct.unpack_from("<I", data, 4)
    damage = "the file is shorter than its RIFF header says" if length + 8 > len(data) else ""
    form = data[12:16]
    animated = False
    if form == b"VP8X":
        animated = bool(data[20] & 2) if len(data) > 20 else False
        width = int.from_bytes(data[24:27], "little") + 1
        height = int.from_bytes(data[27:30], "little") + 1
    elif form == b"VP8L":
        (packed,) = struct.unpack_from("<I", data, 21)
        width, height = (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    elif form == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    else:
        return Header(damage="the first chunk is none of WebP")
    return Header(width, height, damage, animated)


def _bmp(data: bytes) -> Header:
    """BMP: the size from whichever header it has (negative heights run from the top)."""
    if data[:2] == b"BA":
        data = data[14:]
    (header,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if header == 12 else "<ii", data, 18)
    return Header(abs(width), abs(height))


def _tiff(data: bytes) -> Header:
    """TIFF and BigTIFF: ImageWidth and ImageLength of the first directory."""
    order = "<" if data[:2] == b"II" else ">"
    if struct.unpack_from(order + "H", data, 2)[0] == 43:
        return _big_tiff(data, order)
    (position,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, position)
    sides: dict[int, int] = {}
    for entry in range(position + 2, position + 2 + 12 * count, 12):
        tag, form = struct.unpack_from(order + "HH", data, entry)
        if tag in (256, 257):
            (sides[tag],) = struct.unpack_from(order + ("H" if form == 3 else "I"), data, entry + 8)
    return Header(sides.get(256), sides.get(257))


def _big_tiff(data: bytes, order: str) -> Header:
    """BigTIFF: the same two rows, of 20 bytes each."""
    (position,) = struct.unpack_from(order + "Q", data, 8)
    (count,) = struct.unpack_from(order + "Q", data, position)
    sides: dict[int, int] = {}
    for entry in range(position + 8, position + 8 + 20 * min(count, 65536), 20):
        tag, form = struct.unpack_from(order + "HH", data, entry)
        if tag in (256, 257) and form in (3, 4, 16):
            (sides[tag],) = struct.unpack_from(order + {3: "H", 4: "I", 16: "Q"}[form], data, entry + 12)
    return Header(sides.get(256), sides.get(257))


def _photoshop(data: bytes) -> Header:
    """PSD and PSB."""
    height, width = struct.unpack_from(">II", data, 14)
    return Header(width, height)


def _jpeg2000(data: bytes) -> Header:
    """JPEG 2000: the SIZ marker of the codestream, and its end-of-codestream marker (ITU T.800, annex A)."""
    start, end = 0, len(data)
    if data[4:8] == b"jP  ":
        for name, first, last in boxes(data, 0, len(data)):
            if name == b"jp2c":
                start, end = first, last
                break
        else:
            return Header(damage="there is no codestream in it")
    if data[start : start + 4] != b"\xff\x4f\xff\x51":
        return Header(damage="the codestream does not begin with its size")
    right, bottom, left, top = struct.unpack_from(">IIII", data, start + 8)
    whole = data[end - 2 : end] == b"\xff\xd9" and end <= len(data)
    damage = "" if whole else "the file ends before the end-of-codestream marker"
    deep = (data[start + 42] & 0x7F) >= 8 if len(data) > start + 42 else False
    return Header(max(0, right - left), max(0, bottom - top), damage, deep=deep)


def _heif(data: bytes) -> Header:
    """HEIF and AVIF: the largest "ispe" property, which is that of the whole picture and not of a tile."""
    largest, position = (0, 0), data.find(b"ispe", 0, 1 << 20)
    while position >= 0 and position + 16 <= len(data):
        width, height = struct.unpack_from(">II", data, position + 8)
        largest = max(largest, (width, height), key=lambda side: side[0] * side[1])
        position = data.find(b"ispe", position + 4, 1 << 20)
    damage = ""
    for name, _, last in boxes(data, 0, len(data)):
        if last > len(data):
            damage = f"the file ends inside its box {name.decode('latin-1')!r}"
    return Header(largest[0] or None, largest[1] or None, damage)


def _quite_ok(data: bytes) -> Header:
    """QOI: sizes, and the eight bytes that end it."""
    width, height = struct.unpack_from(">II", data, 4)
    whole = data.endswith(b"\x00\x00\x00\x00\x00\x00\x00\x01")
    return Header(width, height, "" if whole else "the end marker is missing")


def _dds(data: bytes) -> Header:
    """DDS."""
    height, width = struct.unpack_from("<II", data, 12)
    return Header(width, height)


def _netpbm(data: bytes) -> Header:
    """PBM, PGM and PPM: two numbers after the letter, comments between."""
    words: list[bytes] = []
    for line in data[2:4096].splitlines():
        words += line.partition(b"#")[0].split()
        if len(words) >= 2:
            break
    if len(words) < 2 or not (words[0].isdigit() and words[1].isdigit()) or max(map(len, words[:2])) > 9:
        return Header(damage="the header gives no size")
    return Header(int(words[0]), int(words[1]))


def boxes(data: bytes, start: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, first byte and end of each ISO base media box; the end may lie beyond ``stop``."""
    position = start
    while position + 8 <= stop:
        length, name = struct.unpack_from(">I4s", data, position)
        first = position + 8
        if length == 1 and position + 16 <= stop:
            (length,) = struct.unpack_from(">Q", data, first)
            first += 8
        end = stop if length == 0 else position + length
        if end < first:
            return
        yield name, first, end
        position = end


_READERS: dict[str, Callable[[bytes], Header]] = {
    "image/png": _png,
    "image/apng": _png,
    "image/gif": _gif,
    "image/webp": _webp,
    "image/bmp": _bmp,
    "image/tiff": _tiff,
    "image/vnd.adobe.photoshop": _photoshop,
    "image/jp2": _jpeg2000,
    "image/jpx": _jpeg2000,
    "image/x-jp2-codestream": _jpeg2000,
    "image/heic": _heif,
    "image/heif": _heif,
    "image/avif": _heif,
    "image/qoi": _quite_ok,
    "image/vnd.ms-dds": _dds,
    "image/x-portable-bitmap": _netpbm,
    "image/x-portable-graymap": _netpbm,
    "image/x-portable-pixmap": _netpbm,
}
