"""Which clusters of FAT and exFAT are in use and belong to no file that was met: lost chains, and what is in them.

A file whose entry was damaged away still has its clusters: the table (exFAT: the bitmap) calls them in use, so they are
no free space, and no file leads to them. The table is kept as its breaks alone (clusters that are not followed by their
neighbour), so a large volume costs what its fragments are. Sources: Microsoft FAT specification 1.03; exFAT
specification.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from caid_triage.evidence.fat import FatVolume
from caid_triage.evidence.partitions import ReadAt
from caid_triage.evidence.ranges import Range, clipped, merged, range_at, total, without

_PIECE = 1 << 20
_MOST_PIECES = 1 << 20  # of one chain; a damaged one that goes round ends where it was before
_BAD = {12: 0xFF7, 16: 0xFFF7, 32: 0x0FFFFFF7}

Owner = tuple[int, int]
"""The first cluster of a file or folder, and how many follow each other from it without a chain (0: by the table)."""


class FatChains:
    """The clusters of a FAT or exFAT volume that are in use, and how they follow each other.

    ``doubled`` is how many clusters the owners last asked about have beyond their first owner's.
    ``read(offset, length)`` reads the volume (offset 0 is its boot sector). Errors: those of ``read``.
    """

    def __init__(self, fat: FatVolume, read: ReadAt) -> None:
        self._fat = fat
        self._read = read
        self._last = fat.layout.last
        self.in_use: list[Range] = []
        breaks, after = [], []
        for first, values, used in self._pieces():
            self.in_use += ((first + start, first + end) for start, end in _runs(used))
            if not fat.is_exfat:
                place = np.flatnonzero(used & (values != np.arange(first + 1, first + 1 + len(values))))
                breaks.append(place + first)
                after.append(values[place].astype(np.int64))
        self.in_use = merged(self.in_use)
        self.doubled = 0
        self._breaks = np.concatenate(breaks) if breaks else np.zeros(0, dtype=np.int64)
        self._after = np.concatenate(after) if after else np.zeros(0, dtype=np.int64)

    def _pieces(self) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """(first cluster, what the table says of each, whether each is in use) for one stretch after the other."""
        layout = self._fat.layout
        step = 1 << 20
        for first in range(2, self._last + 1, step):
            count = min(step, self._last + 1 - first)
            if layout.bits == 12:
                start = first * 3 // 2
                data = np.frombuffer(self._read(layout.table + start, (first + count) * 3 // 2 + 2 - start), np.uint8)
                place = (np.arange(first, first + count) * 3) // 2 - start
                place = place[place + 1 < len(data)]
                pair = data[place].astype(np.int64) | data[place + 1].astype(np.int64) << 8
                values = np.where(np.arange(first, first + len(pair)) & 1, pair >> 4, pair & 0xFFF)
            elif self._fat.is_exfat:
                data = np.frombuffer(self._read(layout.bitmap + (first - 2) // 8, -(-count // 8)), np.uint8)
                yield first, np.zeros(0), np.unpackbits(data, bitorder="little")[:count] != 0
                continue
            else:
                width = layout.bits // 8
                raw = self._read(layout.table + first * width, count * width)
                values = np.frombuffer(raw[: len(raw) // width * width], dtype=f"<u{width}").astype(np.int64)
                values &= 0x0FFFFFFF if width == 4 else 0xFFFF
            yield first, values, (values != 0) & (values != _BAD[layout.bits])

    def unowned(self, owners: Iterable[Owner]) -> list[Range]:
        """The clusters in use that none of the owners has, as (first cluster, the one behind the last)."""
        fat = self._fat
        own = [
            (fat.cluster_at(start), fat.cluster_at(end - 1) + 1)
            for start, end in fat.own_areas()
            if start >= fat.layout.heap and end > start
        ]
        begun: set[int] = set()
        for first, together in owners:
            if together:
                own.append((first, first + together))
            elif fat.is_exfat:
                own += self._by_table(first, begun)
            else:
                own += self._by_breaks(first, begun)
        own = clipped(own, 2, self._last + 1)
        taken = merged(own)
        self.doubled = total(own) - total(taken)
        return without(self.in_use, taken)

    def _by_breaks(self, cluster: int, begun: set[int]) -> Iterator[Range]:
        """The pieces of a chain of FAT; a piece that another chain has come to already ends it."""
        for _ in range(_MOST_PIECES):
            if not 2 <= cluster <= self._last:
                return
            if cluster in begun:
                yield cluster, cluster + 1  # once more: it is claimed twice
                return
            begun.add(cluster)
            stretch = range_at(self.in_use, cluster)
            if stretch is None:  # a chain that leads into free space
                return
            place = int(np.searchsorted(self._breaks, cluster))
            if place == len(self._breaks) or int(self._breaks[place]) >= stretch[1]:
                yield cluster, stretch[1]
                return
            yield cluster, int(self._breaks[place]) + 1
            cluster = int(self._after[place])

    def _by_table(self, cluster: int, begun: set[int]) -> Iterator[Range]:
        """The clusters of a chain of exFAT, whose table tells of files in pieces only."""
        table, window, start = self._fat.layout.table, b"", 0
        while 2 <= cluster <= self._last:
            yield cluster, cluster + 1
            if cluster in begun:
                return  # told once more: it is claimed twice
            begun.add(cluster)
            place = cluster * 4
            if not start <= place < start + len(window):
                start = place // 4096 * 4096
                window = self._read(table + start, 4096)
            inside = place - start
            if inside + 4 > len(window):
                return
            cluster = int.from_bytes(window[inside : inside + 4], "little")


def _runs(used: np.ndarray) -> Iterator[Range]:
    edges = np.flatnonzero(np.diff(np.concatenate(([0], used.astype(np.int8), [0]))))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
