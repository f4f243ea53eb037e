"""Display paths are always one printable line; times are UTC or None, never nonsense."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caid_triage.evidence.fat import _exfat_times
from caid_triage.evidence.paths import display_name
from caid_triage.evidence.times import dos_time, undo_local_zone, unix_nanoseconds, unix_time


@given(st.binary(max_size=60))
def test_a_display_name_is_one_line_of_printable_text(raw: bytes) -> None:
    shown = display_name(raw)
    assert all(c.isprintable() or unicodedata.category(c) == "Zs" for c in shown)
    assert "/" not in shown
    shown.encode("utf-8")
    assert len(shown.splitlines()) <= 1


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"IMG_0001.JPG", "IMG_0001.JPG"),
        ("café 水 \U0001f600".encode(), "café 水 \U0001f600"),
        (b"latin caf\xe9.jpg", "latin caf\\xe9.jpg"),
        (b"two\nlines\ttab", "two\\x0alines\\x09tab"),
        ("gpj.\u202eexe".encode(), "gpj.\\u202eexe"),
        (b"a/b", "a\\x2fb"),
        (b"reads\\x0aso", "reads\\x5cx0aso"),
        (b"C:\\Users\\anna", "C:\\Users\\anna"),
        ("next\u0085line, \u009b".encode(), "next\\u0085line, \\u009b"),
        ("wide\u3000space".encode(), "wide\u3000space"),
    ],
)
def test_display_names(raw: bytes, shown: str) -> None:
    assert display_name(raw) == shown


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**31), 2**31))
def test_any_number_gives_an_aware_moment_or_none(seconds: int, nanoseconds: int) -> None:
    for moment in (unix_time(seconds, nanoseconds), undo_local_zone(seconds)):
        assert moment is None or moment.tzinfo is UTC


@given(st.integers(0, 65535), st.integers(0, 65535), st.integers(0, 255))
def test_any_dos_stamp_gives_a_moment_or_none(date: int, clock: int, hundredths: int) -> None:
    moment = dos_time(date, clock, hundredths)
    assert moment is None or 1980 <= moment.year <= 2108


def test_known_times() -> None:
    assert unix_time(0) is None
    assert unix_time(1_600_000_000, 123_456_700) == datetime(2020, 9, 13, 12, 26, 40, 123456, tzinfo=UTC)
    assert unix_nanoseconds(1_600_000_000_123_456_700) == datetime(2020, 9, 13, 12, 26, 40, 123456, tzinfo=UTC)
    assert dos_time(0, 0) is None
    assert dos_time((44 << 9) | (2 << 5) | 29, (23 << 11) | (59 << 5) | 29, 150) == datetime(
        2024, 2, 29, 23, 59, 59, 500000, tzinfo=UTC
    )
    assert dos_time((43 << 9) | (2 << 5) | 29, 0) is None  # 2023 had no 29 February


def exfat_entry(zone: int) -> bytes:
    stamp = (((44 << 9) | (6 << 5) | 15) << 16) | (12 << 11)
    entry = bytearray(32)
    entry[0] = 0x85
    for at in (8, 12, 16):
        entry[at : at + 4] = stamp.to_bytes(4, "little")
    entry[22:25] = bytes([zone] * 3)
    return bytes(entry)


@pytest.mark.parametrize(
    ("zone", "hour", "note"),
    [
        (0x80, 12, ""),  # UTC
        (0x80 | 4, 11, ""),  # one hour east
        (0x80 | 0x6C, 17, ""),  # five hours west: -20 quarters
        (0x00, 12, "local time, zone unknown"),
    ],
)
def test_exfat_offsets_from_utc_are_honoured(zone: int, hour: int, note: str) -> None:
    times = _exfat_times(exfat_entry(zone))
    assert times.modified == datetime(2024, 6, 15, hour, tzinfo=UTC)
    assert times.created == times.accessed == times.modified
    assert times.zone_note == note
