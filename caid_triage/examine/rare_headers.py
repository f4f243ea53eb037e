"""Sizes in pixels of the rarer picture formats, read before a decoder runs, and whether they are whole if that shows.

The common ones are in :mod:`caid_triage.examine.headers`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

JXL_BOXES = b"\x00\x00\x00\x0cJXL \r\n\x87\n"
# JPEG XL: width : height of the ratios that need no second number (ISO 18181-1, SizeHeader).
JXL_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))

# Width, height and damage in words; None where the header does not say.
Found = tuple[int | None, int | None, str]


def jpeg_xl(data: bytes) -> Found:
    """JPEG XL: the SizeHeader at the start of the codestream, bare or in its first box."""
    start = 0
    if data.startswith(JXL_BOXES):
        start, position = -1, 0
        while position + 16 <= len(data) and start < 0:
            length, name = struct.unpack_from(">I4s", data, position)
            first = position + 8
            if length == 1:
                (length,) = struct.unpack_from(">Q", data, first)
                first += 8
            if name in (b"jxlc", b"jxlp"):
                start = first + (4 if name == b"jxlp" else 0)
            if 0 < length < 8:
                break
            position = position + length if length else len(data)
    if start < 0 or data[start : start + 2] != b"\xff\x0a":
        return None, None, "there is no codestream in it"
    bits = _Bits(data[start + 2 : start + 18])
    small = bits.take(1)
    height = _jxl_side(bits, small)
    ratio = bits.take(3)
    if ratio:
        across, down = JXL_RATIOS[ratio - 1]
        return height * across // down, height, ""
    return _jxl_side(bits, small), height, ""


def _jxl_side(bits: _Bits, small: int) -> int:
    """Read one side of a SizeHeader."""
    if small:
        return (bits.take(5) + 1) * 8
    return 1 + bits.take((9, 13, 18, 30)[bits.take(2)])


class _Bits:
    """Bits of a codestream, least significant first. Raises struct.error at their end."""

    def __init__(self, data: bytes) -> None:
        self.value = int.from_bytes(data, "little")
        self.left = len(data) * 8

    def take(self, count: int) -> int:
        """Return the next ``count`` bits as a number."""
        if count > self.left:
            message = "the codestream ends in its header"
            raise struct.error(message)
        found = self.value & ((1 << count) - 1)
        self.value >>= count
        self.left -= count
        return found


def jpeg_xr(data: bytes) -> Found:
    """JPEG XR: sizes, place and length of the picture, in a TIFF-like directory (ITU T.832, annex A)."""
    rows = dict(directory(data, "<"))
    offset, length = rows.get(0xBCC0, 0), rows.get(0xBCC1, 0)
    damage = "" if offset > 0 and length and offset + length <= len(data) else "the file ends inside its picture data"
    return rows.get(0xBC80), rows.get(0xBC81), damage


def directory(data: bytes, order: str) -> Iterator[tuple[int, int]]:
    """Yield tag and first value of each whole-number row of the first directory of a TIFF-like container."""
    (position,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, position)
    for entry in range(position + 2, position + 2 + 12 * count, 12):
        tag, form, _, raw = struct.unpack_from(order + "HHI4s", data, entry)
        if form in (1, 3, 4):
            yield tag, struct.unpack(order + {1: "B", 3: "H", 4: "I"}[form], raw[: {1: 1, 3: 2, 4: 4}[form]])[0]


def jpeg_ls(data: bytes) -> Found:
    """JPEG LS: the SOF55 segment (ITU T.87, annex C), and the end-of-image marker."""
    position = 2
    while position + 9 <= len(data) and data[position] == 0xFF:
        if data[position + 1] == 0xF7:
            height, width = struct.unpack_from(">HH", data, position + 5)
            return width, height, "" if b"\xff\xd9" in data[-64:] else "the file ends before the end-of-image marker"
        position += 2 + int(struct.unpack_from(">H", data, position + 2)[0])
    return None, None, "there is no frame header"


def portable_any(data: bytes) -> Found:
    """PAM: WIDTH and HEIGHT lines."""
    words: dict[bytes, bytes] = {}
    for line in data[:1024].split(b"ENDHDR")[0].splitlines():
        name, _, value = line.partition(b" ")
        words[name] = value.strip()
    width, height = words.get(b"WIDTH", b""), words.get(b"HEIGHT", b"")
    if not (width.isdigit() and height.isdigit()) or max(len(width), len(height)) > 9:
        return None, None, "the header gives no size"
    return int(width), int(height), ""


def radiance(data: bytes) -> Found:
    """Radiance: the resolution line after the first empty line, e.g. "-Y 480 +X 640"."""
    _, found, rest = data[:65536].partition(b"\n\n")
    words = rest[:64].split(b"\n")[0].split()
    if not found or len(words) != 4 or not (words[1].isdigit() and words[3].isdigit()) or max(map(len, words)) > 9:
        return None, None, "the header gives no size"
    first, second = int(words[1]), int(words[3])
    return (second, first, "") if words[0][-1:] == b"Y" else (first, second, "")


def open_exr(data: bytes) -> Found:
    """OpenEXR: its dataWindow attribute."""
    position = data.find(b"dataWindow\x00box2i\x00", 0, 65536)
    if position < 0:
        return None, None, "the header gives no size"
    left, top, right, bottom = struct.unpack_from("<iiii", data, position + 21)
    return max(0, right - left + 1), max(0, bottom - top + 1), ""


def dpx(data: bytes) -> Found:
    """DPX: elements per line and lines (SMPTE 268M), and the file's length."""
    order = ">" if data[:4] == b"SDPX" else "<"
    width, height = struct.unpack_from(order + "II", data, 772)
    (length,) = struct.unpack_from(order + "I", data, 16)
    return width, height, "" if length <= len(data) or length == 0xFFFFFFFF else "the file is shorter than it says"


def sgi(data: bytes) -> Found:
    """SGI."""
    width, height = struct.unpack_from(">HH", data, 6)
    return width, height, ""


def sun_raster(data: bytes) -> Found:
    """Sun raster."""
    width, height = struct.unpack_from(">II", data, 4)
    return width, height, ""


def pcx(data: bytes) -> Found:
    """PCX: the window, its last row and column included."""
    left, top, right, bottom = struct.unpack_from("<HHHH", data, 4)
    return max(0, right - left + 1), max(0, bottom - top + 1), ""


def targa(data: bytes) -> Found:
    """TGA."""
    width, height = struct.unpack_from("<HH", data, 12)
    return width, height, ""


def bitmap(data: bytes) -> Found:
    """A bitmap without its file header: the width and height of its info header."""
    width, height = struct.unpack_from("<ii", data, 4)
    return abs(width), abs(height), ""


def mac_icon(data: bytes) -> Found:
    """ICNS: its length (it holds several pictures and no size of its own)."""
    (length,) = struct.unpack_from(">I", data, 4)
    return None, None, "" if length <= len(data) else "the file is shorter than it says"


RARE: dict[str, Callable[[bytes], Found]] = {
    "image/jxl": jpeg_xl,
    "image/jxr": jpeg_xr,
    "image/jls": jpeg_ls,
    "image/x-portable-arbitrarymap": portable_any,
    "image/vnd.radiance": radiance,
    "image/x-exr": open_exr,
    "image/x-dpx": dpx,
    "image/x-sgi": sgi,
    "image/x-sun-raster": sun_raster,
    "image/x-pcx": pcx,
    "image/x-tga": targa,
    "image/x-ms-dib": bitmap,
    "image/x-icns": mac_icon,
}
