"""Texts and times of metadata, made fit to be stored, sent and printed: bounded, without control characters.

A time is given as the camera wrote it. Cameras keep the time of their own clock and most do not say of which zone:
then the text says so too, and nobody has to guess whether a conversion took place.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

LONGEST = 1000
ELLIPSIS = "\u2026"
ZONE_UNKNOWN = " zone unknown"
NOT_A_TIME = " (not a valid time)"
# Characters that would break a line, a terminal or a cell: controls, line and paragraph separators, lone surrogates.
_CONTROLS = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\ud800-\\udfff]")
_TIME = re.compile(
    r"(\d{4})[:./-](\d\d)[:./-](\d\d)(?:[ T]+(\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?\s*(Z|[+-]\d\d:?\d\d)?)?",
    re.ASCII,
)
_ZONE = re.compile(r"Z|([+-])(\d\d):?(\d\d)")


def clean(text: str) -> str:
    """Return the text without white space around it, controls as ``\\x0a``, at most 1,000 characters."""
    if not (text.isascii() and text.isprintable()):
        text = _CONTROLS.sub(_escape, text[: 2 * LONGEST].strip())
    text = text.strip()
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + ELLIPSIS


def _escape(found: re.Match[str]) -> str:
    code = ord(found.group())
    return " " if code == 9 else f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def decoded(raw: bytes, encoding: str = "utf-8") -> str:
    """Return bytes as clean text up to their first NUL; what the encoding cannot hold becomes the replacement sign."""
    text = raw[: 4 * LONGEST + 100].decode(encoding, "replace")
    return clean(text.partition("\0")[0].strip())


def moment(text: str, fraction: str = "", zone: str = "") -> str:
    """Return a time as ISO 8601 with the zone that is stated, or as the camera wrote it with what is wrong with it.

    "" where there is none (cameras fill an unset clock with blanks or zeros). ``fraction`` and ``zone`` are the tags
    that EXIF keeps apart from the time (SubSecTime, OffsetTime). Source: EXIF 2.32 4.6.5, ISO 8601.
    """
    if not text.strip(" :0\0-/TZ"):
        return ""
    parts = _TIME.fullmatch(text.strip())
    if parts is None:
        return clean(text[:100]) + NOT_A_TIME
    year, month, day, hour, minute, second, inside, zone_inside = parts.groups()
    try:
        datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), tzinfo=UTC)
    except ValueError:
        return clean(text[:100]) + NOT_A_TIME
    found = f"{year}-{month}-{day}"
    if hour is None:
        return found + ZONE_UNKNOWN
    found += f"T{hour}:{minute}" + (f":{second}" if second else "")
    digits = inside or fraction.strip()
    if second and digits.isascii() and digits.isdigit():
        found += f".{digits[:9]}"
    return found + (stated_zone(zone_inside or zone) or ZONE_UNKNOWN)


def stated_zone(text: str) -> str:
    """Return a zone as "Z" or "+02:00", "" for what is none (no clock on Earth is 15 hours from another)."""
    parts = _ZONE.fullmatch(text.strip())
    if parts is None:
        return ""
    sign, hours, minutes = parts.groups()
    if sign is None:
        return "Z"
    return f"{sign}{hours}:{minutes}" if int(hours) <= 14 and int(minutes) < 60 else ""


def coordinate(degrees: float) -> str:
    """Return degrees with six digits (a tenth of a metre), never "-0.000000"."""
    text = f"{degrees:.6f}"
    return text.removeprefix("-") if not text.strip("-0.") else text
