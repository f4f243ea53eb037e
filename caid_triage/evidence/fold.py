"""A ledger in fewer ranges: the smallest neighbours of a volume become one, and every sum stays exact."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from caid_triage.evidence.coverage import LEDGER_KINDS
from caid_triage.model import LedgerRange

if TYPE_CHECKING:
    from numpy import int64
    from numpy.typing import NDArray

_LONGEST = (1 << 63) - 2  # what claims to be longer is as long, to be compared by size
MIXED = "mixed"
"""The kind of a range that was made of smaller ones; its ``parts`` say of what."""


def fold(lines: Callable[[], Iterable[LedgerRange]], most: int) -> Iterator[LedgerRange]:
    """A ledger in at most ``most`` ranges, the large ones as they are and every sum exact. ``lines`` is called twice.

    Where there are more, ranges that are smaller than some size and lie side by side in one volume become one of the
    kind ``mixed``: for the smallest size that makes them few enough, and no more at a time than that needs. No range
    crosses from one volume to another, so there may be more than ``most`` where volumes lie in more pieces than that.
    """
    lengths, edges = array("q"), bytearray()
    volume: str | None = None
    for line in lines():
        lengths.append(min(line.end - line.start, _LONGEST))
        edges.append(line.volume != volume)
        volume = line.volume
    limit, at_a_time = _plan(lengths, edges, most) if len(lengths) > most else (0, 1)
    together: list[LedgerRange] = []
    for line in lines():
        small = line.end - line.start < limit
        if together and not (small and line.volume == together[-1].volume and len(together) < at_a_time):
            yield _joined(together)
            together = []
        if small:
            together.append(line)
        else:
            yield line
    if together:
        yield _joined(together)


def _plan(measured: array[int], begins_volume: bytearray, most: int) -> tuple[int, int]:
    """Below which size ranges are to be folded, and how many at a time, so that ``most`` are left."""
    import numpy as np  # noqa: PLC0415 - the reports of a folder need none

    lengths, edges = np.frombuffer(measured, dtype=np.int64), np.frombuffer(begins_volume, dtype=bool)
    count = len(lengths)

    def runs(limit: int) -> NDArray[int64]:
        """How many small ranges lie side by side, each time that some do."""
        small = lengths < limit
        begins = small & (edges | np.concatenate(([True], ~small[:-1])))
        return np.bincount(np.cumsum(begins)[small] - 1)

    def left(limit: int, at_a_time: int) -> int:
        found = runs(limit)
        return count - int(found.sum()) + int((-(-found // at_a_time)).sum())

    sizes = np.unique(lengths) + 1
    limit = int(sizes[min(_first(len(sizes), lambda place: left(int(sizes[place]), count) <= most), len(sizes) - 1)])
    return limit, 1 + _first(count - 1, lambda place: left(limit, place + 1) <= most)


def _first(count: int, holds: Callable[[int], bool]) -> int:
    """The first of 0..count-1 for which something holds that holds for all behind it too; ``count`` where for none."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def _joined(lines: list[LedgerRange]) -> LedgerRange:
    if len(lines) == 1:
        return lines[0]
    sums = Counter[str]()
    for line in lines:
        sums.update(dict(line.sums))
    parts = tuple((kind, sums[kind]) for kind in LEDGER_KINDS if sums[kind])
    return LedgerRange(lines[0].start, lines[-1].end, lines[0].volume, MIXED, parts)
