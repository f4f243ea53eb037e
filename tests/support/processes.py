"""The processes that a test has started."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def children(process: int | None = None) -> list[int]:
    """The processes that this one (or ``process``) has started and not yet waited for; needs /proc."""
    found: list[int] = []
    for listing in Path(f"/proc/{process or os.getpid()}/task").glob("*/children"):
        with suppress(OSError):  # a thread that has just ended
            found += map(int, listing.read_text().split())
    return found
