"""Follow the block maps that a deleted ext2 or ext3 file leaves behind its first twelve blocks.

Deleting wipes the record, not the maps: the file's blocks 0 to 11 usually lie in a row, the next block is its map of
the following block numbers, then its map of maps. So a file that a carver could not read in one piece is read by its
own maps, in as many pieces as it has (kernel documentation, ext4: "block map").
"""

from __future__ import annotations

import struct

from caid_triage.evidence.carve.space import Space

_DIRECT = 12
_MOST_EXTENTS = 4096


class ExtBlocks:
    """The blocks of an ext volume at ``offset``: ``count`` blocks of ``size`` bytes."""

    def __init__(self, space: Space, offset: int, size: int, count: int) -> None:
        self._space = space
        self._offset = offset
        self._size = size
        self._count = count

    def extents(self, place: int) -> tuple[tuple[int, int], ...]:
        """The (offset, length) of a file whose first block is at ``place``; () where no map follows it."""
        first, inside = divmod(place - self._offset, self._size)
        if inside or first + _DIRECT >= self._count:
            return ()
        blocks = self._map(first + _DIRECT, first + _DIRECT + 1)
        if not blocks:
            return ()
        runs: list[list[int]] = [[first, _DIRECT]]
        if not _append(runs, blocks):
            return ()
        if len(blocks) == self._size // 4:
            self._second_level(runs, blocks[-1] + 1)
        return tuple((self._offset + start * self._size, count * self._size) for start, count in runs)

    def _second_level(self, runs: list[list[int]], at: int) -> None:
        """Go on with the map of maps, when that is the next block."""
        for number, branch in enumerate(self._map(at, at + 1)):
            blocks = self._map(branch, 0)
            if not blocks or not _append(runs, blocks) or len(blocks) < self._size // 4 or number > self._size // 4:
                return

    def _map(self, block: int, expected: int) -> tuple[int, ...]:
        """The block numbers of a map, zeros at its end cut off; () when it is none (or does not begin as expected)."""
        if not 0 < block < self._count:
            return ()
        data = self._space.read(self._offset + block * self._size, self._size)
        if len(data) < self._size:
            return ()
        numbers = struct.unpack(f"<{self._size // 4}I", data)
        used = next((index for index, number in enumerate(numbers) if not number), len(numbers))
        if not used or (expected and numbers[0] != expected) or any(numbers[used:]):
            return ()
        if max(numbers[:used]) >= self._count or len(set(numbers[:used])) < used:
            return ()
        return numbers[:used]


def _append(runs: list[list[int]], blocks: tuple[int, ...]) -> bool:
    """Add blocks to the runs; False when there are more pieces than are followed."""
    for block in blocks:
        if runs[-1][0] + runs[-1][1] == block:
            runs[-1][1] += 1
        else:
            runs.append([block, 1])
    return len(runs) <= _MOST_EXTENTS
