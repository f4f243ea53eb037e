"""Where each kind of picture file keeps its EXIF, its XMP and its texts: found by structure, nothing is decoded.

Each reader is a generator of blocks, so that what was found before a fault of the file is kept. Positions only grow, or
a count bounds them: no file can make a reader go round.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from enum import Enum, auto

from caid_triage.examine.metadata_boxes import (
    CANON_UUID,
    EXIF_UUID,
    XMP_UUID,
    boxes,
    items_of_heif,
)
from caid_triage.examine.raw import RAW_TYPES
from caid_triage.examine.xmp import MOST_BYTES as MOST_XMP

MOST_SEGMENTS = 200
MOST_CHUNKS = 100_000
MOST_RESOURCES = 1000
MOST_TEXT = 16 * 1024
EXIF_START, XMP_START = b"Exif\0", b"http://ns.adobe.com/xap/1.0/\0"


class What(Enum):
    """What a block is: a TIFF structure, one whose first table is the GPS one, an XMP packet, or a text by its key."""

    EXIF = auto()
    PLACE = auto()
    XMP = auto()
    TEXT = auto()


# Kind, bytes, and the key of a text ("" otherwise).
Block = tuple[What, bytes, str]


def blocks(data: bytes, media_type: str) -> Iterator[Block]:
    """Yield the blocks of a picture. Raises struct.error, ValueError, IndexError or zlib.error where it is damaged."""
    reader = _READERS.get(media_type)
    return reader(data) if reader else iter(())


def _exif(block: bytes) -> Block:
    """Take a block of EXIF with or without the name that JPEG puts before it."""
    return What.EXIF, block[6:] if block.startswith(EXIF_START) else block, ""


def _jpeg(data: bytes) -> Iterator[Block]:
    """JPEG: application segments before the picture data (ITU T.81 B.2.4, EXIF 2.32 4.7.2, XMP part 3)."""
    position = data.find(b"\xff\xd8") + 2 if data[:2] != b"\xff\xd8" else 2
    for _ in range(MOST_SEGMENTS):
        while data[position : position + 2] == b"\xff\xff":
            position += 1
        marker, code, length = struct.unpack_from(">BBH", data, position)
        if marker != 0xFF or code in (0xD9, 0xDA) or length < 2:
            return
        body = position + 4
        position += 2 + length
        if code == 0xE1:
            if data.startswith(EXIF_START, body):
                yield What.EXIF, data[body + 6 : position], ""
            elif data.startswith(XMP_START, body):
                yield What.XMP, data[body + len(XMP_START) : position], ""
        elif code == 0xFE:
            yield What.TEXT, data[body : min(position, body + MOST_TEXT)], "jpeg-comment"


def _tiff(data: bytes) -> Iterator[Block]:
    """TIFF and raw files that are TIFF: the file itself is the block."""
    yield What.EXIF, data, ""


def _png(data: bytes) -> Iterator[Block]:
    """PNG: eXIf and texts, which may stand behind the picture (W3C PNG, clause 11.3)."""
    position = 8
    for _ in range(MOST_CHUNKS):
        length, name = struct.unpack_from(">I4s", data, position)
        body = position + 8
        position = body + length + 4
        if name == b"IEND":
            return
        if name in (b"tEXt", b"zTXt", b"iTXt"):
            yield from _png_text(name, data[body : body + min(length, MOST_XMP)])
        elif name == b"eXIf":
            yield _exif(data[body : body + length])


def _png_text(name: bytes, body: bytes) -> Iterator[Block]:
    """Yield one text of a PNG: of its key, or the EXIF or XMP that programs keep in one."""
    word, _, value = body.partition(b"\0")
    key = word[:79].decode("latin-1")
    encoding = "latin-1"
    if name == b"zTXt":
        value = _inflated(value[1:])
    elif name == b"iTXt":
        compressed, encoding = value[:1] == b"\1", "utf-8"
        value = value[2:].split(b"\0", 2)[2]
        value = _inflated(value) if compressed else value
    if key == "XML:com.adobe.xmp":
        yield What.XMP, value, ""
    elif key.startswith("Raw profile type "):
        kind = key.rpartition(" ")[2]
        if kind in ("exif", "APP1", "xmp"):
            # ImageMagick: a line with the name, a line with the length, then hex.
            block = bytes.fromhex(value.strip().split(b"\n", 2)[2].decode("ascii"))
            yield (What.XMP, block, "") if kind == "xmp" else _exif(block)
    else:
        yield What.TEXT, value[:MOST_TEXT].decode(encoding, "replace").encode(), key


def _inflated(data: bytes) -> bytes:
    return zlib.decompressobj().decompress(data, MOST_XMP)


def _webp(data: bytes) -> Iterator[Block]:
    """WebP: the chunks EXIF and XMP (RFC 9649)."""
    position = 12
    for _ in range(MOST_CHUNKS):
        name, length = struct.unpack_from("<4sI", data, position)
        body = position + 8
        if name == b"EXIF":
            yield _exif(data[body : body + length])
        elif name == b"XMP ":
            yield What.XMP, data[body : body + min(length, MOST_XMP)], ""
        position = body + length + (length & 1)


def _gif(data: bytes) -> Iterator[Block]:
    """GIF: the application extension of XMP, whose packet lies in the file as it is (XMP part 3)."""
    start = data.find(b"\x21\xff\x0bXMP DataXMP")
    if start >= 0:
        end = data.find(b"\x01\xff\xfe\xfd", start, start + MOST_XMP)
        yield What.XMP, data[start + 14 : end if end >= 0 else start + MOST_XMP], ""


def _psd(data: bytes) -> Iterator[Block]:
    """Photoshop: image resources 1058 (EXIF) and 1060 (XMP), by Adobe's file format specification."""
    for number, (start, end) in photoshop_resources(data):
        if number == 1058:
            yield _exif(data[start:end])
        elif number == 1060:
            yield What.XMP, data[start : min(end, start + MOST_XMP)], ""


def photoshop_resources(data: bytes) -> Iterator[tuple[int, tuple[int, int]]]:
    """Yield number, start and end of each image resource of a file in Photoshop's format. Raises struct.error."""
    position = 26
    (length,) = struct.unpack_from(">I", data, position)
    position += 4 + length
    (length,) = struct.unpack_from(">I", data, position)
    position, end = position + 4, position + 4 + length
    for _ in range(MOST_RESOURCES):
        if position >= end or data[position : position + 4] != b"8BIM":
            return
        number, name = struct.unpack_from(">HB", data, position + 4)
        position += 6 + (name + 2 & ~1)
        (length,) = struct.unpack_from(">I", data, position)
        body = position + 4
        yield number, (body, body + length)
        position = body + (length + 1 & ~1)


def _heif(data: bytes) -> Iterator[Block]:
    """HEIC and AVIF: items of type Exif and of XMP's media type (ISO/IEC 23008-12 annex A)."""
    for kind, content in items_of_heif(data):
        if kind == b"Exif":
            (skip,) = struct.unpack_from(">I", content)
            yield _exif(content[4 + skip :] if skip < len(content) else content[4:])
        else:
            yield What.XMP, content, ""


def _boxed(data: bytes) -> Iterator[Block]:
    """JPEG 2000 and JPEG XL: a box of their own, or one named by a UUID (ISO/IEC 18181-2 9.4, XMP part 3)."""
    for name, start, end in boxes(data, 0, len(data)):
        if name == b"Exif":
            (skip,) = struct.unpack_from(">I", data, start)
            yield _exif(data[start + 4 + skip : end])
        elif name == b"xml " and b"xmpmeta" in data[start : min(end, start + 4096)]:
            yield What.XMP, data[start : min(end, start + MOST_XMP)], ""
        elif name == b"uuid":
            uuid = data[start : start + 16]
            if uuid == EXIF_UUID:
                yield _exif(data[start + 16 : end])
            elif uuid == XMP_UUID:
                yield What.XMP, data[start + 16 : min(end, start + MOST_XMP)], ""


def _cr3(data: bytes) -> Iterator[Block]:
    """Canon CR3: a TIFF structure for each of the tables, in a box of the movie header."""
    for name, start, end in boxes(data, 0, len(data)):
        if name == b"uuid" and data[start : start + 16] == XMP_UUID:
            yield What.XMP, data[start + 16 : min(end, start + MOST_XMP)], ""
        for inner, first, last in boxes(data, start, end) if name == b"moov" else ():
            if inner == b"uuid" and data[first : first + 16] == CANON_UUID:
                for table, low, high in boxes(data, first + 16, last):
                    if table in (b"CMT1", b"CMT2"):
                        yield What.EXIF, data[low:high], ""
                    elif table == b"CMT4":
                        yield What.PLACE, data[low:high], ""


def _raf(data: bytes) -> Iterator[Block]:
    """Fujifilm RAF: the JPEG that the header names holds the EXIF."""
    start, length = struct.unpack_from(">II", data, 84)
    yield from _jpeg(data[start : start + min(length, 1 << 20)])


_READERS: Mapping[str, Callable[[bytes], Iterator[Block]]] = {
    **dict.fromkeys(RAW_TYPES, _tiff),
    "image/x-canon-cr3": _cr3,
    "image/x-fuji-raf": _raf,
    "image/jpeg": _jpeg,
    "image/tiff": _tiff,
    "image/png": _png,
    "image/apng": _png,
    "image/webp": _webp,
    "image/gif": _gif,
    "image/vnd.adobe.photoshop": _psd,
    **dict.fromkeys(("image/heic", "image/heif", "image/avif"), _heif),
    **dict.fromkeys(("image/jp2", "image/jpx", "image/jph", "image/jxl"), _boxed),
}
