"""The moment that rows of the unit's memory bear."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """This moment, aware UTC."""
    return datetime.now(UTC)
