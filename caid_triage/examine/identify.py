"""What a content is, by its bytes. Names and extensions are never looked at.

The table in :mod:`caid_triage.examine.signatures` is asked first. Where it has no answer and the
optional ``magic`` module (libmagic) is installed, that is the second opinion: if either says
picture or video, a decoder is tried.
"""

from __future__ import annotations

import importlib
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from caid_triage.examine.signatures import (
    AVIF_BRANDS,
    FTYP_MAJOR,
    HEIC_BRANDS,
    HEIF_BRANDS,
    RAW_COMPRESSIONS,
    RAW_MAKERS,
    RIFF_FORMS,
    SIGNATURES,
    ZIP_TYPES,
)
from caid_triage.examine.unsigned import is_jpeg_ls, without_signature
from caid_triage.model import Kind

HEAD_BYTES = 64 * 1024
TEXT_BYTES = 4096
UNKNOWN = "application/octet-stream"
EMPTY = "inode/x-empty"


@dataclass(frozen=True, slots=True)
class Identified:
    """What a content is: still picture, video or other, and its media type."""

    kind: Kind
    media_type: str


def identify(head: bytes, size: int | None = None) -> Identified:
    """Return what a content is from its first bytes (64 KiB are plenty; fewer will do for most).

    ``size`` is the whole length in bytes where it is known: a header that contradicts it is not
    believed. Nothing recognised gives ``application/octet-stream``, nothing at all ``inode/x-empty``.
    """
    if not head:
        return Identified(Kind.OTHER, EMPTY)
    for recognise in _RECOGNISERS:
        found = recognise(head, size)
        if found:
            return found
    return _second_opinion(head)


def _png(head: bytes, _size: int | None) -> Identified | None:
    """PNG, and APNG when an animation chunk comes before the first picture data."""
    if not head.startswith(b"\x89PNG\r\n\x1a\n"):
        return None
    animation, pixels = head.find(b"acTL"), head.find(b"IDAT")
    animated = animation > 0 and (pixels < 0 or animation < pixels)
    return Identified(Kind.IMAGE, "image/apng" if animated else "image/png")


def _bmp(head: bytes, size: int | None) -> Identified | None:
    """BMP, with a header that makes sense: two letters alone begin too many texts."""
    if head[:2] == b"BA" and head[14:16] == b"BM":
        head = head[14:]
    if head[:2] != b"BM" or len(head) < 26:
        return None
    offset, header = struct.unpack_from("<II", head, 10)
    if not 12 <= header <= 256 or (size is not None and offset > size):
        return None
    planes, depth = struct.unpack_from("<HH", head, 22 if header == 12 else 26) if len(head) >= 30 else (1, 0)
    # One of three things may be wrong, as decoders allow: the kind of header, the planes, the depth of 0.
    usual = header in (12, 16, 40, 52, 56, 64, 108, 124)
    good = planes <= 1 if usual else planes == 1
    if usual and size is not None and int.from_bytes(head[2:6], "little") == size:
        good = True
    return Identified(Kind.IMAGE, "image/bmp") if good and depth in (0, 1, 2, 4, 8, 16, 24, 32, 64) else None


def _without_signature(head: bytes, size: int | None) -> Identified | None:
    """What no fixed bytes tell."""
    media_type = without_signature(head, size)
    return Identified(Kind.IMAGE, media_type) if media_type else None


def _icon(head: bytes, size: int | None) -> Identified | None:
    """Windows icon or cursor, whose first entry points behind the list of entries and into the file.

    The upper-case table of every NTFS and exFAT volume starts like an icon, so the entry must make sense too.
    """
    if head[:4] not in (b"\x00\x00\x01\x00", b"\x00\x00\x02\x00") or len(head) < 22:
        return None
    (count,) = struct.unpack_from("<H", head, 4)
    length, offset = struct.unpack_from("<II", head, 14)
    if not 0 < count <= 1024 or offset < 6 + 16 * count or length < 12 or head[9] not in (0, 255):
        return None
    icon = head[2] == 1
    if head[offset : offset + 4] in (b"\x89PNG", b"\x28\0\0\0"):
        return Identified(Kind.IMAGE, "image/vnd.microsoft.icon" if icon else "image/x-win-bitmap")
    if size is not None and offset + length > size:
        return None
    planes, bits = struct.unpack_from("<HH", head, 10)
    if icon and (planes > 1 or bits not in (0, 1, 4, 8, 16, 24, 32)):
        return None
    return Identified(Kind.IMAGE, "image/vnd.microsoft.icon" if icon else "image/x-win-bitmap")


def _tiff(head: bytes, _size: int | None) -> Identified | None:
    """TIFF and BigTIFF in both byte orders, and the camera raw files that are TIFFs inside."""
    if head[:4] in (b"II+\x00", b"MM\x00+"):
        return Identified(Kind.IMAGE, "image/tiff")
    if head[:4] not in (b"II*\x00", b"MM\x00*"):
        return None
    if head[8:10] == b"CR" and head[:2] == b"II":
        return Identified(Kind.IMAGE, "image/x-canon-cr2")
    return Identified(Kind.IMAGE, _tiff_raw(head, "<" if head[:2] == b"II" else ">") or "image/tiff")


def _tiff_raw(head: bytes, order: str) -> str | None:
    """Return the raw type that the first directory of a TIFF shows, None for an ordinary TIFF."""
    try:
        (position,) = struct.unpack_from(order + "I", head, 4)
        (count,) = struct.unpack_from(order + "H", head, position)
        rows = [struct.unpack_from(order + "HHI4s", head, position + 2 + 12 * i) for i in range(count)]
    except struct.error:
        return None
    values = {tag: raw for tag, _, _, raw in rows}
    if 0xC612 in values:  # DNGVersion
        return "image/x-adobe-dng"
    compression = struct.unpack(order + "H", values[259][:2])[0] if 259 in values else 0
    if compression in RAW_COMPRESSIONS:
        return RAW_COMPRESSIONS[compression]
    if 0x014A not in values or 271 not in values:  # SubIFDs hold the raw picture; Make names the maker
        return None
    (where,) = struct.unpack(order + "I", values[271])
    make = head[where : where + 32].upper()
    return next((name for maker, name in RAW_MAKERS if make.startswith(maker)), None)


def _boxes(head: bytes, size: int | None) -> Identified | None:
    """ISO base media files by their brands, and old QuickTime that begins with another box."""
    kind = head[4:8]
    if kind == b"ftyp":
        return _brands(head)
    if head[4:12] == b"jP  \r\n\x87\n":
        known = FTYP_MAJOR.get(head[20:24], (Kind.IMAGE, "image/jp2"))
        return Identified(*known)
    if kind not in (b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"):
        return None
    length = int.from_bytes(head[:4], "big")
    if length > 1 and (length < 8 or (size is not None and length > size and kind != b"mdat")):
        return None
    if kind in (b"free", b"skip", b"wide", b"pnot") and length + 8 <= len(head):
        after = head[length + 4 : length + 8]
        if after not in (b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"ftyp", b"PICT"):
            return None
    return Identified(Kind.VIDEO, "video/quicktime")


def _brands(head: bytes) -> Identified:
    """Say what an ftyp box means; a picture's brand may stand among the compatible ones only."""
    length = min(int.from_bytes(head[:4], "big"), 4096, len(head))
    major = head[8:12]
    brands = [major, *(head[at : at + 4] for at in range(12, length - 3, 4))]
    if major in FTYP_MAJOR:
        return Identified(*FTYP_MAJOR[major])
    if major[:3] in (b"M4A", b"M4B", b"M4P"):
        return Identified(Kind.OTHER, "audio/mp4")
    if major[:2] == b"3g":
        return Identified(Kind.VIDEO, "video/3gpp2" if major[:3] == b"3g2" else "video/3gpp")
    for among, media_type in ((AVIF_BRANDS, "image/avif"), (HEIC_BRANDS, "image/heic"), (HEIF_BRANDS, "image/heif")):
        if not among.isdisjoint(brands):
            return Identified(Kind.IMAGE, media_type)
    return Identified(Kind.VIDEO, "video/mp4")


def _riff(head: bytes, _size: int | None) -> Identified | None:
    """RIFF by its form."""
    if head[:4] not in (b"RIFF", b"RIFX"):
        return None
    known = RIFF_FORMS.get(head[8:12])
    return Identified(*known) if known else Identified(Kind.OTHER, "application/x-riff")


def _matroska(head: bytes, _size: int | None) -> Identified | None:
    """Matroska and WebM, by the document type of the EBML header."""
    if not head.startswith(b"\x1aE\xdf\xa3"):
        return None
    webm = b"webm" in head[:128]
    return Identified(Kind.VIDEO, "video/webm" if webm else "video/x-matroska")


def _asf(head: bytes, _size: int | None) -> Identified | None:
    """Windows Media, which is sound when it has an audio stream and no video stream."""
    if not head.startswith(b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c"):
        return None
    picture = b"\xc0\xef\x19\xbc\x4d\x5b\xcf\x11\xa8\xfd\x00\x80\x5f\x5c\x44\x2b" in head
    sound = b"\x40\x9e\x69\xf8\x4d\x5b\xcf\x11\xa8\xfd\x00\x80\x5f\x5c\x44\x2b" in head
    if sound and not picture:
        return Identified(Kind.OTHER, "audio/x-ms-wma")
    return Identified(Kind.VIDEO, "video/x-ms-asf")


def _ogg(head: bytes, _size: int | None) -> Identified | None:
    """Ogg: a video if any of its first streams is one."""
    if not head.startswith(b"OggS"):
        return None
    start = head[:4096]
    if any(name in start for name in (b"\x80theora", b"BBCD\x00", b"OVP80", b"\x01video")):
        return Identified(Kind.VIDEO, "video/ogg")
    sound = any(name in start for name in (b"vorbis", b"OpusHead", b"Speex ", b"\x7fFLAC"))
    return Identified(Kind.OTHER, "audio/ogg" if sound else "application/ogg")


def _transport(head: bytes, _size: int | None) -> Identified | None:
    """MPEG transport streams: a sync byte every 188 bytes, or 192 with a time stamp before each."""
    for start, step in ((0, 188), (4, 192), (0, 204)):
        places = head[start : start + step * 5 : step]
        if len(places) >= 5 and set(places) == {0x47}:
            return Identified(Kind.VIDEO, "video/mp2t")
    return None


def _netpbm(head: bytes, _size: int | None) -> Identified | None:
    """PBM, PGM, PPM, PAM and PFM, which begin with a letter, a digit and white space."""
    if head.startswith(b"P7 332"):
        return Identified(Kind.IMAGE, "image/x-xv-thumbnail")
    if head[:1] != b"P" or head[2:3] not in (b"\n", b"\r", b" ", b"\t", b"#"):
        return None
    digit = head[1:2]
    if digit == b"7" and b"WIDTH" in head[:256]:
        return Identified(Kind.IMAGE, "image/x-portable-arbitrarymap")
    rest = head[2:40].lstrip()
    if not rest or not (rest[:1].isdigit() or rest[:1] == b"#"):
        return None
    names = {b"1": "bitmap", b"4": "bitmap", b"2": "graymap", b"5": "graymap", b"3": "pixmap", b"6": "pixmap"}
    if digit in names:
        return Identified(Kind.IMAGE, f"image/x-portable-{names[digit]}")
    return Identified(Kind.IMAGE, "image/x-portable-floatmap") if digit in (b"F", b"f") else None


def _other_pictures(head: bytes, size: int | None) -> Identified | None:
    """PCX, EMF and Autodesk animations, whose few fixed bytes need company."""
    if head[:1] == b"\x0a" and head[1:2] in b"\x00\x02\x03\x04\x05" and head[2:3] == b"\x01" and len(head) > 68:
        left, top, right, bottom = struct.unpack_from("<HHHH", head, 4)
        if head[3] in (1, 2, 4, 8) and left <= right and top <= bottom and head[64] == 0:
            return Identified(Kind.IMAGE, "image/x-pcx")
    if head[:4] == b"\x01\x00\x00\x00" and head[40:44] == b" EMF":
        return Identified(Kind.IMAGE, "image/emf")
    if head[4:6] in (b"\x11\xaf", b"\x12\xaf") and len(head) > 128:
        (length,) = struct.unpack_from("<I", head)
        if length == size or head[12:14] == b"\x08\x00":
            return Identified(Kind.VIDEO, "video/x-fli")
    return None


def _zip(head: bytes, _size: int | None) -> Identified | None:
    """Zip, and the documents that are zips, by the names of their first entries."""
    if not head.startswith(b"PK\x03\x04"):
        return None
    if head[30:38] == b"mimetype" and len(head) > 38:
        declared = head[38 : 38 + int.from_bytes(head[18:22], "little")]
        if 0 < len(declared) < 100 and declared.isascii() and b"/" in declared:
            return Identified(Kind.OTHER, declared.decode("ascii").strip())
    for name, media_type in ZIP_TYPES:
        if name in head:
            return Identified(Kind.OTHER, media_type)
    return Identified(Kind.OTHER, "application/zip")


def _table(head: bytes, _size: int | None) -> Identified | None:
    """Everything that fixed bytes at a fixed place tell."""
    if is_jpeg_ls(head):
        return Identified(Kind.IMAGE, "image/jls")
    for offset, signature, kind, media_type in SIGNATURES:
        if head.startswith(signature, offset):
            return Identified(kind, media_type)
    if b"%PDF-" in head[:1024]:
        return Identified(Kind.OTHER, "application/pdf")
    return None


def _text(head: bytes, _size: int | None) -> Identified | None:
    """Text, and the pictures that are text: SVG (never rendered) and XBM."""
    start = head[:TEXT_BYTES]
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = start.decode("utf-16", errors="replace")
    else:
        try:
            text = start.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            # A character cut in two by the end of the head is no fault; Latin-1 text is text as well.
            cut = error.start >= len(start) - 3
            text = start.decode("utf-8-sig" if cut else "latin-1", errors="ignore")
            if not cut and any("\x7f" <= letter < "\xa0" for letter in text):
                return None
    if any(letter < " " and letter not in "\t\n\r\f\x1b" for letter in text):
        return None
    low = text.lstrip().lower()
    if "<svg" in low and low.startswith(("<", "\ufeff<")) and "<html" not in low:
        return Identified(Kind.IMAGE, "image/svg+xml")
    if low.startswith("#define") and "_width" in low[:200] and "_bits" in low:
        return Identified(Kind.IMAGE, "image/x-xbitmap")
    if low.startswith(("<!doctype html", "<html", "<head", "<body")):
        return Identified(Kind.OTHER, "text/html")
    if low.startswith("<?xml"):
        return Identified(Kind.OTHER, "text/xml")
    return Identified(Kind.OTHER, "text/plain")


# In this order: what has a structure to check before what has fixed bytes, text last.
_RECOGNISERS: tuple[Callable[[bytes, int | None], Identified | None], ...] = (
    _png,
    _riff,
    _boxes,
    _tiff,
    _bmp,
    _icon,
    _matroska,
    _asf,
    _ogg,
    _transport,
    _netpbm,
    _other_pictures,
    _zip,
    _table,
    _without_signature,
    _text,
)


def _second_opinion(head: bytes) -> Identified:
    """Ask libmagic, if its Python module is installed, about what the table does not know."""
    ask = _libmagic()
    media_type = ask(head) if ask else UNKNOWN
    if media_type.startswith("image/"):
        return Identified(Kind.IMAGE, media_type)
    if media_type.startswith("video/"):
        return Identified(Kind.VIDEO, media_type)
    return Identified(Kind.OTHER, media_type or UNKNOWN)


@lru_cache(maxsize=1)
def _libmagic() -> Callable[[bytes], str] | None:
    """Return a function that asks libmagic for a media type, None where it is not installed."""
    try:
        magic = importlib.import_module("magic")
        # A test call: the module may be there without its library or database.
        magic.from_buffer(b"\x00", mime=True)
    except (ImportError, AttributeError, OSError):
        return None

    def ask(head: bytes) -> str:
        return str(magic.from_buffer(head, mime=True))

    return ask
