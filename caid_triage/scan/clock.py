"""Time as deadlines count it: on the monotonic clock, and only while this program itself ran.

A wall clock is set, jumps and changes its zone; nothing here reads it. A suspended machine, a paused virtual one or a
stopped job lets the monotonic clock jump on some systems (Windows, macOS after some sleeps; Linux stops it while
suspended, not while stopped). Whoever watches a deadline looks at it every ``WATCH_SECONDS``: if the look before was
longer ago than ``STALL_SECONDS``, the watcher stood still too and nobody is late for it.
"""

from __future__ import annotations

import time

WATCH_SECONDS = 0.05
STALL_SECONDS = 1.0


class Watch:
    """Tells a watcher how long it stood still since it looked last."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def look(self) -> tuple[float, float]:
        """The monotonic time now, and the seconds since the last look that count for nobody (0.0: none)."""
        now = time.monotonic()
        passed, self._last = now - self._last, now
        return now, passed if passed > STALL_SECONDS else 0.0
