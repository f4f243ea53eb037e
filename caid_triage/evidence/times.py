"""Times of files as aware UTC, with what each file system says (or does not say) about its zone.

A time that the file system does not keep, that is zero, or that names no real moment is None.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LOCAL_ZONE_NOTE = "local time, zone unknown"
"""FAT (always), exFAT (an entry without its UTC offset) and ISO 9660: local times carried as if they were UTC."""

_EARLIEST = -62_135_596_800  # 0001-01-01
_LATEST = 253_402_300_799  # 9999-12-31


def unix_time(seconds: int, nanoseconds: int = 0) -> datetime | None:
    """The moment of a UNIX time; 0 means that the file system recorded none."""
    if seconds == 0 or not _EARLIEST <= seconds <= _LATEST:
        return None
    micro = nanoseconds // 1000 if 0 <= nanoseconds < 1_000_000_000 else 0
    return EPOCH + timedelta(0, seconds, micro)


def unix_nanoseconds(nanoseconds: int) -> datetime | None:
    """The moment of a count of nanoseconds since 1970, as the operating system gives it."""
    return unix_time(*divmod(nanoseconds, 1_000_000_000))


def undo_local_zone(seconds: int) -> datetime | None:
    """The wall-clock time that a library turned into UNIX time with this machine's zone, as if it were UTC.

    Sleuth Kit sends the local times of ISO 9660 through mktime(), so that the result would change
    with the examiner's zone. Errors: None where the moment cannot be turned back.
    """
    if seconds == 0 or not _EARLIEST <= seconds <= _LATEST:
        return None
    try:
        wall = time.localtime(seconds)
        return datetime(*wall[:5], min(wall.tm_sec, 59), tzinfo=UTC)
    except (OverflowError, OSError, ValueError):
        return None


def dos_time(date: int, clock: int, hundredths: int = 0) -> datetime | None:
    """The moment of a DOS date and time (16 bits each, plus 0..199 hundredths of a second), as if UTC.

    Microsoft FAT specification 1.03, "Date and Time Formats"; exFAT specification section 7.4.8.
    """
    if date == 0:
        return None
    try:
        moment = datetime(
            1980 + (date >> 9),
            (date >> 5) & 15,
            date & 31,
            clock >> 11,
            (clock >> 5) & 63,
            (clock & 31) * 2,
            tzinfo=UTC,
        )
    except ValueError:  # a month 13 or a second 62 is damage, not a time
        return None
    return moment + timedelta(milliseconds=10 * hundredths) if hundredths < 200 else moment
