"""The tables of an APFS container, as far as its volumes' snapshots need them: superblocks, object maps, B-trees.

The layout is that of Apple's "Apple File System Reference" (2020-06-22). libfsapfs opens the volumes themselves.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from caid_triage.evidence.faults import LIBRARY_ERRORS
from caid_triage.evidence.layers.view import ReadAt
from caid_triage.evidence.paths import display_name
from caid_triage.evidence.times import unix_nanoseconds

_MOST_NODES = 10_000
_MOST_OBJECT_NODES = 500_000
_DEEPEST = 12
_MOST_SNAPSHOTS = 10_000
_SNAP_METADATA = 1
_ROOT, _LEAF, _FIXED = 1, 2, 4
_HEAD, _ROOT_INFO = 56, 40
_WORD = 0xFFFFFFFF
FAULTS = (*LIBRARY_ERRORS, struct.error)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot of a volume: its name, the transaction that it keeps, when, and the block of its superblock.

    ``superblock`` is 0 and ``taken`` None where they could not be read.
    """

    name: str
    transaction: int = 0
    taken: datetime | None = None
    superblock: int = 0


@dataclass(frozen=True, slots=True)
class VolumePlace:
    """A volume: the block of its superblock, that block, and its snapshots, the oldest first."""

    block: int
    superblock: bytes
    snapshots: tuple[Snapshot, ...]


def checksum_of(block: bytes) -> bytes:
    """The checksum of an object's block, which stands in its first 8 bytes (Fletcher, modulo 2**32 - 1)."""
    words = np.frombuffer(block[8:], "<u4").astype(np.uint64)
    low = int(words.sum()) % _WORD
    high = int((words * np.arange(len(words), 0, -1, dtype=np.uint64) % np.uint64(_WORD)).sum()) % _WORD
    first = _WORD - (low + high) % _WORD
    return struct.pack("<II", first, _WORD - (low + first) % _WORD)


class Container:
    """The newest state of a container. Errors on construction: those of reading, ValueError, struct.error."""

    def __init__(self, read: ReadAt, size: int) -> None:
        self._read = read
        head = read(0, 4096)
        (self.block,) = struct.unpack_from("<I", head, 36)
        if self.block not in (4096, 8192, 16384, 32768, 65536) or head[32:36] != b"NXSB":
            raise ValueError
        self.blocks = size // self.block
        self._nodes = 0
        self._most = _MOST_NODES
        self.superblock = self._newest()

    def at(self, number: int) -> bytes:
        """A block. Errors: ValueError behind the end; those of reading."""
        if not 0 <= number < self.blocks:
            raise ValueError
        return self._read(number * self.block, self.block)

    def _newest(self) -> bytes:
        """The container's superblock of the last checkpoint: the first block may hold an older one."""
        first = best = self.at(0)
        count, base = struct.unpack_from("<I", first, 104)[0], struct.unpack_from("<Q", first, 112)[0]
        for number in range(base, base + min(count & 0x7FFFFFFF, _MOST_NODES)):
            try:
                block = self.at(number)
            except FAULTS:
                continue
            if block[32:36] == b"NXSB" and struct.unpack_from("<Q", block, 16) > struct.unpack_from("<Q", best, 16):
                best = block
        return best

    def volumes(self) -> dict[str, VolumePlace]:
        """The volumes that have snapshots, by their identifier. Errors: as on construction."""
        newest = self.superblock
        (omap,) = struct.unpack_from("<Q", newest, 160)
        (most,) = struct.unpack_from("<I", newest, 180)
        (tree,) = struct.unpack_from("<Q", self.at(omap), 48)
        wanted = {number for number in struct.unpack_from(f"<{min(most, 100)}Q", newest, 184) if number}
        places: dict[int, tuple[int, int]] = {}
        for key, value in self._leaves(tree, fixed=(16, 16)):
            number, checkpoint = struct.unpack_from("<QQ", key)
            if number in wanted and checkpoint >= places.get(number, (0, 0))[0]:
                places[number] = checkpoint, struct.unpack_from("<Q", value, 8)[0]
        found = {}
        for _, place in places.values():
            try:
                volume = self.at(place)
                count = struct.unpack_from("<Q", volume, 216)[0] if volume[32:36] == b"APSB" else 0
                if count:
                    identifier = str(uuid.UUID(bytes=volume[240:256]))
                    tree = struct.unpack_from("<Q", volume, 152)[0]
                    found[identifier] = VolumePlace(place, volume, self._snapshots(tree, min(count, _MOST_SNAPSHOTS)))
            except FAULTS:
                continue
        return found

    def _snapshots(self, tree: int, count: int) -> tuple[Snapshot, ...]:
        """As many as the volume says that it has; "unnamed" for those that cannot be read."""
        found = []
        try:
            for key, value in self._leaves(tree):
                (number,) = struct.unpack_from("<Q", key)
                if number >> 60 == _SNAP_METADATA:
                    _, superblock, created = struct.unpack_from("<QQQ", value)
                    (length,) = struct.unpack_from("<H", value, 48)
                    name = display_name(value[50 : 50 + length].rstrip(b"\0"))
                    found.append(Snapshot(name, number & ((1 << 60) - 1), unix_nanoseconds(created), superblock))
        except FAULTS:
            pass
        found.sort(key=lambda one: one.transaction)
        return tuple((found + [Snapshot("unnamed")] * count)[:count])

    def objects(self, omap: int) -> np.ndarray:
        """The object map of a volume whose first block is ``omap``: identifier, transaction, value's two words.

        uint64[n, 4], sorted by identifier and transaction. Errors: as on construction.
        """
        self._most, self._nodes = _MOST_OBJECT_NODES, 0
        (tree,) = struct.unpack_from("<Q", self.at(omap), 48)
        rows = bytearray()
        for key, value in self._leaves(tree, fixed=(16, 16)):
            rows += key + value
        found = np.frombuffer(bytes(rows), "<u8").reshape(-1, 4)
        return found[np.lexsort((found[:, 1], found[:, 0]))]

    def _leaves(
        self, number: int, fixed: tuple[int, int] | None = None, depth: int = 0
    ) -> Iterator[tuple[bytes, bytes]]:
        """The keys and values of a B-tree whose nodes are named by their block. Errors: ValueError, struct.error."""
        self._nodes += 1
        if depth > _DEEPEST or self._nodes > self._most:
            raise ValueError
        node = self.at(number)
        flags, _, count = struct.unpack_from("<HHI", node, 32)
        table, length = struct.unpack_from("<HH", node, 40)
        keys = _HEAD + table + length
        end = self.block - (_ROOT_INFO if flags & _ROOT else 0)
        for place in range(min(count, self.block // 4)):
            if flags & _FIXED:
                key, value = struct.unpack_from("<HH", node, _HEAD + table + 4 * place)
                key_length, value_length = fixed or (16, 16)
            else:
                key, key_length, value, value_length = struct.unpack_from("<HHHH", node, _HEAD + table + 8 * place)
            start = end - value
            if not flags & _LEAF:
                yield from self._leaves(struct.unpack_from("<Q", node, start)[0], fixed, depth + 1)
            else:
                yield node[keys + key : keys + key + key_length], node[start : start + value_length]
