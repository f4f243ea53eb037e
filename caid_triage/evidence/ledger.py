"""The ledger of a source: each of its bytes by what became of it, as ranges without a hole or an overlap (law 2).

A ledger is painted: a canvas of the source's size, then coats of ranges, each of which turns some kinds into others.
What a coat does not cover or turn stays as it was, so the ranges tile the source by construction and every sum is
exact. All totals, the coverage of summary.json among them, are sums of a ledger and of nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from caid_triage.evidence.coverage import IN_USE, KINDS, LEDGER_KINDS
from caid_triage.evidence.fold import fold
from caid_triage.evidence.ranges import Range
from caid_triage.model import LedgerRange

MOST_RANGES = 500_000
"""So many ranges of a source are kept; of a source with more, the smallest are folded."""

SEARCHED = {
    "unallocated": "unallocated_searched",
    "slack": "slack_searched",
    "unpartitioned": "unpartitioned_searched",
    "not_understood": "not_understood_searched",
    "unreadable": "not_understood_searched",  # a volume whose beginning cannot be read is searched as well
}
_NUMBER = {kind: number for number, kind in enumerate(LEDGER_KINDS)}
_COVERAGE = np.array([_NUMBER["file_system" if kind in IN_USE else kind] for kind in LEDGER_KINDS])

Ranges = Sequence[Range] | np.ndarray
"""Byte ranges (start, end), in any order; an int64[n, 2] where there may be millions."""


@dataclass(frozen=True, slots=True)
class Coat:
    """One step of painting: in ``ranges`` the kinds that ``turns`` names become others, or ("": any kind) one other.

    ``volume`` is who the bytes belong to from then on (None: as before). A coat with ``within`` touches the bytes of
    that volume only.
    """

    ranges: Ranges
    turns: Mapping[str, str]
    volume: str | None = None
    within: str | None = None


@dataclass(frozen=True, slots=True)
class Ledger:
    """The ranges of a source of ``size`` bytes: the n-th goes from ``starts[n]`` to the next one's start.

    ``starts`` is int64[n] from 0 up (object[n] for an impossible size), ``kinds`` uint8[n] of LEDGER_KINDS, ``volumes``
    int32[n] of ``names`` ("" for what lies in no volume). Neighbours differ in kind or volume. A source of no bytes has
    no range.
    """

    size: int
    names: tuple[str, ...]
    starts: np.ndarray
    kinds: np.ndarray
    volumes: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """The bytes of each range, int64[n]."""
        return np.diff(self.starts, append=self.size)

    def __len__(self) -> int:
        """How many ranges there are."""
        return len(self.starts)

    def ranges(self) -> Iterator[LedgerRange]:
        """Every range in order."""
        ends = [*self.starts[1:].tolist(), self.size]
        for start, end, kind, volume in zip(
            self.starts.tolist(), ends, self.kinds.tolist(), self.volumes.tolist(), strict=False
        ):
            yield LedgerRange(start, end, self.names[volume], LEDGER_KINDS[kind])

    def coverage(self) -> dict[str, int]:
        """Bytes by the kinds of coverage.KINDS, summing to the size."""
        sums = _sums(_COVERAGE[self.kinds], self.lengths, len(LEDGER_KINDS))
        return {kind: int(sums[_NUMBER[kind]]) for kind in KINDS}

    def folded(self, most: int = MOST_RANGES) -> Iterator[LedgerRange]:
        """The ledger in about ``most`` ranges: see fold.py."""
        return fold(self.ranges, most)


def painted(size: int, coats: Iterable[Coat]) -> Ledger:
    """The ledger of a source of ``size`` bytes, all of them ``unpartitioned`` before the first of the coats.

    What a coat says of bytes before the first or behind the last does not count.
    """
    coats = list(coats)
    arrays = [_clipped(coat.ranges, size) for coat in coats]
    cuts = np.unique(np.concatenate([np.array([0, size], dtype=_numbers(size)), *(array.ravel() for array in arrays)]))
    names = dict.fromkeys(["", *(coat.volume for coat in coats if coat.volume is not None)])
    number = {name: place for place, name in enumerate(names)}
    kinds = np.full(len(cuts) - 1, _NUMBER["unpartitioned"], dtype=np.uint8)
    volumes = np.zeros(len(cuts) - 1, dtype=np.int32)
    for coat, ranges in zip(coats, arrays, strict=True):
        if not len(ranges) or (coat.within is not None and coat.within not in number):
            continue
        first, behind = np.searchsorted(cuts, ranges[:, 0]), np.searchsorted(cuts, ranges[:, 1])
        low, high = int(first.min()), int(behind.max())
        count = high - low + 1
        step = np.bincount(first - low, minlength=count) - np.bincount(behind - low, minlength=count)
        become = _table(coat.turns)[kinds[low:high]]
        mine = (np.cumsum(step)[:-1] > 0) & (become >= 0)
        if coat.within is not None:
            mine &= volumes[low:high] == number[coat.within]
        kinds[low:high][mine] = become[mine]
        if coat.volume is not None:
            volumes[low:high][mine] = number[coat.volume]
    change = np.concatenate(([True], (kinds[1:] != kinds[:-1]) | (volumes[1:] != volumes[:-1])))[: len(kinds)]
    return Ledger(size, tuple(names), cuts[:-1][change], kinds[change], volumes[change])


def _clipped(ranges: Ranges, size: int) -> np.ndarray:
    """The ranges as int64[n, 2] inside 0..size; numbers that no disk has may stand in a damaged table."""
    if not isinstance(ranges, np.ndarray):
        ranges = [(min(max(0, start), size), min(max(0, end), size)) for start, end in ranges]
    array: np.ndarray = np.clip(np.asarray(ranges, dtype=_numbers(size)).reshape(-1, 2), 0, size)
    return array[array[:, 0] < array[:, 1]]


def _numbers(size: int) -> type:
    """What the places of a source are counted in: a damaged container can claim more bytes than 63 bits tell."""
    return np.int64 if size < 1 << 63 else object


def _table(turns: Mapping[str, str]) -> np.ndarray:
    """What each kind becomes by its number, -1 for one that stays."""
    table = np.full(len(LEDGER_KINDS), _NUMBER[turns[""]] if "" in turns else -1, dtype=np.int16)
    for kind, become in turns.items():
        if kind:
            table[_NUMBER[kind]] = _NUMBER[become]
    return table


def _sums(kinds: np.ndarray, lengths: np.ndarray, count: int) -> np.ndarray:
    """The bytes of each kind, [count]: added as whole numbers, which bincount's weights are not."""
    sums = np.zeros(count, dtype=lengths.dtype)
    np.add.at(sums, kinds, lengths)
    return sums
