"""Byte ranges of a source as sorted, disjoint lists of (start, end)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

from caid_triage.evidence.faults import LIBRARY_ERRORS

Range = tuple[int, int]
"""(first byte, byte behind the last)."""
_SECTOR = 512
_STEPS = (1 << 16, 1 << 12, _SECTOR)


def merged(ranges: Iterable[Range]) -> list[Range]:
    """The same bytes, sorted, each once, neighbours joined; empty ranges are dropped."""
    result: list[Range] = []
    for start, end in sorted(ranges):
        if end <= start:
            continue
        if result and start <= result[-1][1]:
            if end > result[-1][1]:
                result[-1] = (result[-1][0], end)
        else:
            result.append((start, end))
    return result


def clipped(ranges: Iterable[Range], low: int, high: int) -> list[Range]:
    """What of the ranges lies in low..high."""
    return [(max(low, start), min(high, end)) for start, end in ranges if start < high and end > low]


def without(ranges: list[Range], taken: list[Range]) -> list[Range]:
    """What of ``ranges`` lies in none of ``taken``; both sorted and disjoint."""
    result: list[Range] = []
    index = 0
    for first, end in ranges:
        start = first
        while index < len(taken) and taken[index][1] <= start:
            index += 1
        at = index
        while at < len(taken) and taken[at][0] < end:
            if taken[at][0] > start:
                result.append((start, taken[at][0]))
            start = max(start, taken[at][1])
            at += 1
        if start < end:
            result.append((start, end))
    return result


def common(ranges: list[Range], others: list[Range]) -> list[Range]:
    """What lies in ``ranges`` and in ``others`` too; both sorted and disjoint."""
    if not ranges:
        return []
    return without(ranges, without([(ranges[0][0], ranges[-1][1])], others))


def total(ranges: Iterable[Range]) -> int:
    """How many bytes the ranges hold."""
    return sum(end - start for start, end in ranges)


def unreadable_in(read: Callable[[int, int], bytes], start: int, end: int) -> list[Range]:
    """What of start..end cannot be read, found by reading it in ever smaller pieces, down to a sector of 512 bytes."""
    if end <= start:
        return []
    try:
        if len(read(start, end - start)) == end - start:
            return []
    except LIBRARY_ERRORS:
        pass
    if start // _SECTOR == (end - 1) // _SECTOR:
        return [(start, end)]
    step = next((size for size in _STEPS if size < end - start), _SECTOR)
    cuts = [start, *range((start // step + 1) * step, end, step), end]
    return merged(bad for low, high in pairwise(cuts) for bad in unreadable_in(read, low, high))


def range_at(ranges: Sequence[Range], offset: int) -> Range | None:
    """The range that holds a byte, None where none does."""
    index = bisect_right(ranges, (offset, 1 << 63)) - 1
    return ranges[index] if index >= 0 and offset < ranges[index][1] else None
