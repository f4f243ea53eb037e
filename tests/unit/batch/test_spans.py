"""Spans and moments as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from caid_triage.batch.spans import moment_of, seconds_of
from caid_triage.errors import UsageError

NOW = datetime(2026, 3, 1, 16, 0, 30, tzinfo=timezone(timedelta(hours=1)))


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("20min", 1200), ("2h", 7200), (" 1h ", 3600)])
def test_spans(text: str, seconds: int) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "20", "min", "0s", "-1h", "1.5h", "2 hours", "1h30min", "9999999s"])
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="90s, 20min or 2h"):
        seconds_of(text)


@pytest.mark.parametrize(
    ("text", "then"),
    [
        ("17:30", NOW.replace(hour=17, minute=30, second=0)),
        ("7:30", NOW.replace(day=2, hour=7, minute=30, second=0)),
        ("16:00", NOW.replace(day=2, minute=0, second=0)),  # this minute has begun: tomorrow's
        ("8h", NOW + timedelta(hours=8)),
        ("2026-03-02T07:30", datetime(2026, 3, 2, 7, 30, tzinfo=NOW.tzinfo)),
        ("2026-03-02T07:30+00:00", datetime(2026, 3, 2, 7, 30, tzinfo=UTC)),
    ],
)
def test_moments(text: str, then: datetime) -> None:
    assert moment_of(text, NOW) == then


@pytest.mark.parametrize("text", ["", "25:00", "tomorrow", "7"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="07:30"):
        moment_of(text, NOW)
