"""Serial numbers in the notes of four camera makers, whose layout is simple and has been the same for twenty years.

Only what looks like a serial number is taken: a note that software has moved or cut holds anything. The layouts are no
maker's publication but what ExifTool and Exiv2 have found.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

from caid_triage.examine.metadata_text import decoded
from caid_triage.examine.tiff import Tiff

SERIAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ()/._-]{2,39}")


def maker_serial(tiff: Tiff, start: int, length: int, make: str, model: str) -> dict[str, str]:
    """Return ``camera-serial`` or ``camera-internal-serial`` of the note at ``start``, nothing where it has none.

    An internal serial number is one that the maker gives and does not print on the body.
    """
    for maker, reader in _READERS:
        if make.upper().startswith(maker):
            try:
                return {name: value for name, value in reader(tiff, start, length, model) if SERIAL.fullmatch(value)}
            except (struct.error, ValueError):
                return {}
    return {}


Serials = list[tuple[str, str]]


def _canon(tiff: Tiff, start: int, _length: int, model: str) -> Serials:
    """Canon: a table at the start of the note, tag 000C a number that is printed as the body has it."""
    value = tiff.table(start, frozenset({0x000C})).number(0x000C)
    if value in (0, 0xFFFFFFFF):
        return []
    if model.endswith("EOS D30"):
        return [("camera-serial", f"{value >> 16:04x}{value & 0xFFFF:05d}")]
    return [("camera-serial", f"{value:06d}" if "EOS-1D" in model else f"{value:010d}")]


def _nikon(tiff: Tiff, start: int, length: int, _model: str) -> Serials:
    """Nikon: a TIFF structure of its own ten bytes into the note; tag 001D, of older cameras 00A0."""
    note = tiff.data[start : start + length]
    if bytes(note[:6]) != b"Nikon\0" or len(note) < 18:
        return []
    own = Tiff(note[10:])
    table = own.table(own.first(), frozenset({0x001D, 0x00A0}))
    return [("camera-serial", (table.text(0x001D) or table.text(0x00A0)).removeprefix("NO=").strip())]


def _fuji(tiff: Tiff, start: int, length: int, _model: str) -> Serials:
    """Fujifilm: little-endian, offsets from the start of the note."""
    note = tiff.data[start : start + length]
    if bytes(note[:8]) != b"FUJIFILM" or len(note) < 12:
        return []
    (table,) = struct.unpack_from("<I", note, 8)
    text = Tiff(note, "<").table(table, frozenset({0x0010})).text(0x0010)
    return [("camera-internal-serial", text)]


def _panasonic(tiff: Tiff, start: int, _length: int, _model: str) -> Serials:
    """Panasonic: a table twelve bytes into the note, offsets from the start of the file's TIFF structure."""
    if bytes(tiff.data[start : start + 9]) != b"Panasonic":
        return []
    raw = tiff.table(start + 12, frozenset({0x0025})).raw(0x0025)
    return [("camera-internal-serial", decoded(raw))]


_READERS: tuple[tuple[str, Callable[[Tiff, int, int, str], Serials]], ...] = (
    ("CANON", _canon),
    ("NIKON", _nikon),
    ("FUJI", _fuji),
    ("PANASONIC", _panasonic),
)
