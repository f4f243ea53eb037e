"""EXIF and TIFF tags, read by offsets that are each checked: no picture is decoded and nothing is followed in circles.

One IFD is read for each of the picture, its EXIF, its GPS and its maker note, each at most once: a file that points
them at each other costs four short tables. Source: TIFF 6.0 clause 2, EXIF 2.32 (CIPA DC-008) 4.6.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from caid_triage.examine.maker_notes import maker_serial
from caid_triage.examine.metadata_text import clean, coordinate, decoded, moment
from caid_triage.examine.tiff import Table, Tiff

Found = dict[str, str]

EXIF_IFD, GPS_IFD, MAKER_NOTE, XMP = 0x8769, 0x8825, 0x927C, 0x02BC
# Software may keep tags of the EXIF table in the picture's table: they are taken from either.
PLAIN: Mapping[int, str] = {
    0x010F: "camera-make", 0x0110: "camera-model", 0xA431: "camera-serial", 0xC62F: "camera-serial",
    0xA430: "camera-owner", 0xA434: "lens-model", 0xA435: "lens-serial", 0x0131: "software", 0x013B: "artist",
    0x010E: "description", 0xA420: "image-unique-id",
}  # fmt: skip
# Windows writes these in UTF-16; they stand in where the tag of EXIF is empty.
WINDOWS: Mapping[int, str] = {0x9C9B: "description", 0x9C9C: "user-comment", 0x9C9D: "artist"}
# Time, its fraction of a second, its zone.
TIMES: Mapping[str, tuple[int, int, int]] = {
    "taken": (0x9003, 0x9291, 0x9011), "digitised": (0x9004, 0x9292, 0x9012), "modified": (0x0132, 0x9290, 0x9010),
}  # fmt: skip
COMMENT_CODES: Mapping[bytes, str] = {b"ASCII\0\0\0": "utf-8", b"JIS\0\0\0\0\0": "iso2022_jp", b"\0" * 8: "utf-8"}
_TIME_TAGS = [tag for tags in TIMES.values() for tag in tags]
WANTED = frozenset({EXIF_IFD, GPS_IFD, MAKER_NOTE, XMP, 0x8298, 0x9286, *PLAIN, *WINDOWS, *_TIME_TAGS})
GPS_TAGS = frozenset({1, 2, 3, 4, 5, 6, 7, 29})


def exif_tags(data: bytes | memoryview, *, of_place: bool = False) -> tuple[Found, bytes]:
    """Return what a TIFF structure says of its origin, and the XMP packet in it. Raises ValueError, struct.error.

    ``of_place``: its first table is the GPS one, as Canon's CR3 keeps it.
    """
    tiff = Tiff(data)
    if of_place:
        return _place(tiff.table(tiff.first(), GPS_TAGS)), b""
    picture = tiff.table(tiff.first(), WANTED)
    exif = tiff.table(picture.number(EXIF_IFD), WANTED)
    both = Table(tiff, {**exif.entries, **picture.entries, **_tags_of_exif(exif)}, 0)
    found = _texts(both)
    for name, (time, fraction, zone) in TIMES.items():
        found[name] = moment(both.text(time), both.text(fraction), both.text(zone))
    found |= _place(tiff.table(picture.number(GPS_IFD), GPS_TAGS))
    if not found.get("camera-serial"):
        found |= _of_maker(tiff, both, found)
    return {name: value for name, value in found.items() if value}, picture.raw(XMP)


def _tags_of_exif(exif: Table) -> dict[int, tuple[int, int, bytes]]:
    """Return the entries that EXIF gives to its own table: there they go before the picture's."""
    return {tag: entry for tag, entry in exif.entries.items() if 0x9000 <= tag < 0xB000}


def _texts(table: Table) -> Found:
    found: Found = {}
    for tag, name in PLAIN.items():
        if tag in table.entries and not found.get(name):
            found[name] = table.text(tag)
    if 0x8298 in table.entries:
        # Photographer and editor, each ended by a NUL.
        parts = (decoded(part) for part in table.raw(0x8298).split(b"\0")[:2])
        found["copyright"] = clean("; ".join(filter(None, parts)))
    if 0x9286 in table.entries:
        found["user-comment"] = _comment(table.raw(0x9286), table.tiff.order)
    for tag, name in WINDOWS.items():
        if tag in table.entries and not found.get(name):
            found[name] = decoded(table.raw(tag), "utf-16-le")
    return found


def _comment(raw: bytes, order: str) -> str:
    """Return a UserComment by the code of its first eight bytes; as UTF-8 where software left the code out."""
    code, rest = raw[:8], raw[8:]
    if code == b"UNICODE\0":
        if rest[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return decoded(rest, "utf-16")
        # In the file's byte order by the rule; of a Latin text the zero bytes say which it really is.
        even, odd = rest[0:64:2].count(0), rest[1:64:2].count(0)
        little = odd > even if odd != even else order == "<"
        return decoded(rest, "utf-16-le" if little else "utf-16-be")
    if code in COMMENT_CODES:
        return decoded(rest.lstrip(b"\0"), COMMENT_CODES[code])
    return decoded(raw)


def _place(gps: Table) -> Found:
    """Return where and when by the satellites; what cannot be on Earth, or lacks its hemisphere, is left out."""
    found: Found = {}
    if not gps.entries:
        return found
    for name, value, side, most in (("latitude", 2, 1, 90), ("longitude", 4, 3, 180)):
        degrees = _degrees(gps.ratios(value, 3), gps.raw(side)[:1].upper(), b"NS" if most == 90 else b"EW", most)
        if degrees is not None:
            found[name] = coordinate(degrees)
    if len(found) < 2:
        found.clear()
    height = gps.ratios(6, 1)
    if height and abs(height[0]) < 100_000:
        below = gps.raw(5)[:1] == b"\1"
        found["altitude"] = f"{-height[0] if below else height[0]:.1f}"
    clock = gps.ratios(7, 3)
    if clock and 0 <= clock[0] < 24 and 0 <= clock[1] < 60 and 0 <= clock[2] < 60:
        found["gps-time"] = _satellite_time(gps.text(29), clock)
    return found


def _satellite_time(date: str, clock: list[float]) -> str:
    """Return the time of the satellites, which is UTC, or the hour alone where no date is with it."""
    hours, minutes, seconds = clock
    if hours % 1 or minutes % 1:
        return ""
    hour = f"{int(hours):02d}:{int(minutes):02d}:{int(seconds):02d}"
    day = moment(f"{date} {hour}", zone="Z") if date.strip(" :0") else ""
    return day if day.endswith("Z") else f"{hour}Z (no date)"


def _degrees(parts: list[float] | None, side: bytes, sides: bytes, most: int) -> float | None:
    """Return signed degrees, None for what is no place: out of range, or without its hemisphere."""
    if parts is None or not side or side not in sides:
        return None
    degrees, minutes, seconds = parts
    if min(parts) < 0 or minutes > 60 or seconds > 60:
        return None
    value = degrees + minutes / 60 + seconds / 3600
    if not (math.isfinite(value) and value <= most):
        return None
    return -value if side == sides[1:] else value


def _of_maker(tiff: Tiff, table: Table, found: Found) -> Found:
    """Return the serial number that the maker's own note holds."""
    place = table.place(MAKER_NOTE)
    return maker_serial(tiff, *place, found.get("camera-make", ""), found.get("camera-model", "")) if place else {}
