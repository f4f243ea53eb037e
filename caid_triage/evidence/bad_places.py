"""Places of a source that turned out to be unreadable while files were read, for its ledger."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import pytsk3

from caid_triage.evidence.faults import LIBRARY_ERRORS
from caid_triage.evidence.file_system import OpenFileSystem
from caid_triage.evidence.layers.view import ranges_on_source
from caid_triage.evidence.proxied import read_range
from caid_triage.evidence.ranges import Range, merged, unreadable_in
from caid_triage.evidence.streams import DEFAULT_ID, runs_of

_MOST_RANGES = 65536  # of bad places, before neighbours are put together
_MOST_FRESH = 4096


class BadPlaces:
    """The unreadable ranges that were met so far."""

    def __init__(self) -> None:
        self._ranges: list[Range] = []
        self._fresh: list[Range] = []

    def add(self, ranges: Iterable[Range]) -> None:
        """Remember ranges; the same ones may come again."""
        ranges = list(ranges)
        self._fresh = (self._fresh + ranges)[-_MOST_FRESH:]
        self._ranges += ranges
        if len(self._ranges) > _MOST_RANGES:
            self._ranges = merged(self._ranges)

    def fresh(self) -> list[Range]:
        """Those that were added since this was asked last, at most the last 4,096."""
        found, self._fresh = self._fresh, []
        return found

    @property
    def ranges(self) -> list[Range]:
        """Each byte once, in order."""
        return merged(self._ranges)


def unreadable_of_file(
    system: OpenFileSystem, file: pytsk3.File, offset: int, length: int, kind: int, identifier: int
) -> list[Range]:
    """What of the source lies under ``length`` bytes of a file from ``offset`` and cannot be read. Never raises.

    Where a file lies is asked for only now: a fault is rare, and a list of the runs of every file would not fit.
    Empty where it cannot be told: a compressed stream, a file whose record is damaged, a shadow copy.
    """
    found: list[Range] = []
    try:
        for attribute in file:
            info = attribute.info
            if identifier != DEFAULT_ID and (int(info.type), int(info.id)) != (kind, identifier):
                continue
            for start, place, size in runs_of(system, attribute):
                low, high = max(offset, start), min(offset + length, start + size)
                if low < high:
                    first = system.base + place + low - start
                    found += unreadable_in(partial(read_range, system.image), first, first + high - low)
            break
    except LIBRARY_ERRORS:
        return []
    return ranges_on_source(system.image, merged(found))
