"""Spans of time and moments as people write them: ``90s``, ``20min``, ``2h``; ``07:30``, ``2026-03-02T07:30``."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from caid_triage.errors import UsageError

_UNITS = {"s": 1, "min": 60, "h": 3600}
_SPAN = re.compile(r"(\d{1,6})(s|min|h)")
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


def seconds_of(text: str) -> int:
    """The seconds of a span such as "20min"; UsageError if it is none, or none at all."""
    met = _SPAN.fullmatch(text.strip())
    if met is None or int(met[1]) == 0:
        raise UsageError(f"a time is written 90s, 20min or 2h, not {text!r}")
    return int(met[1]) * _UNITS[met[2]]


def moment_of(text: str, now: datetime) -> datetime:
    """The moment that a text names, seen from ``now`` (aware): a clock time is the next one, a span counts from now.

    UsageError if it is neither, nor a date and time of ISO 8601; one without a zone is of the zone of ``now``.
    """
    clock = _CLOCK.fullmatch(text.strip())
    if clock is not None:
        then = now.replace(hour=int(clock[1]), minute=int(clock[2]), second=0, microsecond=0)
        return then if then > now else then + timedelta(days=1)
    if _SPAN.fullmatch(text.strip()):
        return now + timedelta(seconds=seconds_of(text))
    try:
        then = datetime.fromisoformat(text.strip())
    except ValueError:
        forms = "07:30, 2026-03-02T07:30 or 8h"
        raise UsageError(f"a moment is written {forms}, not {text!r}") from None
    return then if then.tzinfo else then.replace(tzinfo=now.tzinfo)
