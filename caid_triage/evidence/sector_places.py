"""Places of a disk, and what a disk is for whoever only reads places: no reader of any container is loaded for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from caid_triage.model import Problem, SourceInfo

TOGETHER = 16
"""Places that are read one after another and handed over at once: each by itself would cost more than reading it."""
_LARGE = 64 << 10

Place = tuple[int, int]
"""(first byte, bytes)."""


def handfuls(places: Sequence[Place]) -> Iterator[Sequence[Place]]:
    """Places in the handfuls in which they are handed over: a large one is by itself, so that it is copied once."""
    at = 0
    while at < len(places):
        end = at + 1
        if places[at][1] <= _LARGE:
            while end < len(places) and end < at + TOGETHER and places[end][1] <= _LARGE:
                end += 1
        yield places[at:end]
        at = end


class DiskBytes(Protocol):
    """A disk whose sectors can be read, in this process or in another (scan/remote_sectors.py)."""

    @property
    def info(self) -> SourceInfo:
        """Whose it is, its kind, size and segments."""
        ...

    @property
    def size(self) -> int:
        """Its bytes."""
        ...

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What was found amiss with it by now."""
        ...

    def read(self, start: int, length: int) -> bytes | None:
        """The bytes from ``start``, exactly ``length`` of them; None where any of them cannot be read."""
        ...

    def read_each(self, places: Sequence[Place]) -> Iterator[bytes | None]:
        """What :meth:`read` gives of each place, in their order."""
        ...
