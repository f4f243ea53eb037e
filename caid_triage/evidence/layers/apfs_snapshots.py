"""Snapshots of APFS volumes: each is shown to libfsapfs, which reads the present state only, as the present state.

A snapshot keeps a superblock of its volume, and shares the volume's object map: of each object the newest version up
to the snapshot's transaction is the snapshot's (Apple File System Reference, "Snapshots"; the same is done by the
Linux driver and by apfs-fuse). So the library is given the container with two blocks exchanged: the volume's
superblock, which is made of the snapshot's and names an object map of our own behind the container's end with just
those versions; and the container's, which then is so much larger. Nothing else differs: all that a file is made of is
read from where the snapshot says it lies.
"""

from __future__ import annotations

import struct
from collections import OrderedDict

import numpy as np

from caid_triage.evidence.layers.apfs_container import FAULTS, Container, Snapshot, VolumePlace, checksum_of
from caid_triage.evidence.layers.layer import Area
from caid_triage.evidence.layers.view import AreaFile, ReadAt

_DELETED = 1
_OMAP, _TREE = 0x4000000B, 0x40000002
_ROOT, _LEAF, _FIXED = 1, 2, 4
_HEAD, _ROOT_INFO = 56, 40
_KEEP_NODES = 256


def volumes_with_snapshots(read: ReadAt, size: int) -> tuple[Container | None, dict[str, VolumePlace]]:
    """The container's tables and its volumes that have snapshots, by identifier; none where they cannot be read."""
    try:
        container = Container(read, size)
        return container, container.volumes()
    except FAULTS:
        return None, {}


class PastFile(AreaFile):
    """An APFS container as a file, with one of its volumes as it was when a snapshot was taken.

    Errors on construction: ValueError (damaged, or another volume's), struct.error, those of reading.
    """

    def __init__(
        self, area: Area, container: Container, volume: VolumePlace, objects: np.ndarray, snapshot: Snapshot
    ) -> None:
        self._block = container.block
        self._held = container.blocks
        past = container.at(snapshot.superblock)
        if past[32:36] != b"APSB" or past[240:256] != volume.superblock[240:256] or checksum_of(past) != past[:8]:
            raise ValueError("its superblock is damaged")
        (claimed,) = struct.unpack_from("<Q", container.superblock, 40)
        self._first = max(container.blocks, claimed)
        self._tree = _ObjectMap(versions_at(objects, snapshot.transaction), self._first, container.block)
        made = bytearray(past)
        made[8:32] = volume.superblock[8:32]  # it stands where the volume's stands, as an object of that number
        struct.pack_into("<Q", made, 128, self._first)  # its object map
        struct.pack_into("<Q", made, 144, *struct.unpack_from("<Q", volume.superblock, 144))
        struct.pack_into("<Q", made, 152, 0)  # no snapshots in a snapshot
        struct.pack_into("<Q", made, 216, 0)
        around = bytearray(container.superblock)
        struct.pack_into("<Q", around, 40, self._first + self._tree.count)
        self._exchanged = {
            number: checksum_of(bytes(block)) + bytes(block[8:])
            for number, block in ((0, around), (volume.block, made))
        }
        super().__init__(area.image, area.offset, (self._first + self._tree.count) * container.block)

    def read(self, size: int = -1) -> bytes:
        """The bytes from where the file stands."""
        at, end = self.tell(), self.get_size()
        size = end - at if size < 0 else min(size, end - at)
        pieces = []
        while size > 0:
            number, inside = divmod(at, self._block)
            if number in self._exchanged:
                piece = self._exchanged[number][inside : inside + size]
            elif number >= self._first:
                piece = self._tree.node(number)[inside : inside + size]
            else:  # up to the next block that is another one here
                stop = min((one for one in (*self._exchanged, self._held) if one > number), default=0)
                if not stop:
                    message = "the image ends before this place"
                    raise OSError(message)
                self.seek(at)
                piece = super().read(min(size, stop * self._block - at))
                if not piece:
                    break
            pieces.append(piece)
            at += len(piece)
            size -= len(piece)
        self.seek(at)
        return b"".join(pieces)


def versions_at(objects: np.ndarray, transaction: int) -> np.ndarray:
    """Of each object of a map the version that a transaction saw, those deleted by then left out. uint64[n, 4]."""
    seen = objects[objects[:, 1] <= transaction]
    last = np.append(seen[1:, 0] != seen[:-1, 0], True) if len(seen) else np.zeros(0, bool)
    newest = seen[last]
    present: np.ndarray = newest[newest[:, 2] & np.uint64(_DELETED) == 0]
    return present


class _ObjectMap:
    """An object map made of versions: its blocks, numbered from ``first`` on, each made when it is asked for.

    The first is the map's own, then the levels of its B-tree from the leaves up; the last is the root.
    """

    def __init__(self, versions: np.ndarray, first: int, block: int) -> None:
        self._versions = versions
        self._first = first
        self._block = block
        self._made: OrderedDict[int, bytes] = OrderedDict()
        room = block - _HEAD - _ROOT_INFO
        self._in_leaf, self._in_node = room // (4 + 16 + 16), room // (4 + 16 + 8)
        self._levels = [max(1, -(-len(versions) // self._in_leaf))]
        while self._levels[-1] > 1:
            self._levels.append(-(-self._levels[-1] // self._in_node))
        self.count = 1 + sum(self._levels)

    def node(self, number: int) -> bytes:
        """One of the blocks."""
        found = self._made.get(number)
        if found is None:
            found = self._node(number - self._first)
            self._made[number] = found
            if len(self._made) > _KEEP_NODES:
                self._made.popitem(last=False)
        return found

    def _node(self, place: int) -> bytes:
        block = bytearray(self._block)
        number = self._first + place
        if place == 0:
            struct.pack_into("<QQII", block, 8, number, 1, _OMAP, 0)
            struct.pack_into("<IIIIQ", block, 32, 1, 0, _TREE, _TREE, self._first + self.count - 1)
            return checksum_of(bytes(block)) + bytes(block[8:])
        level, start = 0, 1
        while place >= start + self._levels[level]:
            start += self._levels[level]
            level += 1
        inside = place - start
        is_root = level == len(self._levels) - 1
        span = self._in_leaf * self._in_node**level
        rows = self._versions[inside * span : (inside + 1) * span]
        if level:  # the first key of each child, and the child's block
            below = start - self._levels[level - 1] + inside * self._in_node
            keys = np.ascontiguousarray(rows[:: span // self._in_node, :2])
            values = (self._first + below + np.arange(len(keys), dtype=np.uint64)).astype("<u8")[:, None]
        else:
            keys, values = np.ascontiguousarray(rows[:, :2]), np.ascontiguousarray(rows[:, 2:])
        count, width = len(keys), 8 * values.shape[1]
        end = self._block - (_ROOT_INFO if is_root else 0)
        flags = _FIXED | (_ROOT if is_root else 0) | (0 if level else _LEAF)
        struct.pack_into("<QQII", block, 8, number, 1, _TREE if is_root else _TREE + 1, 0x0B)
        free = end - _HEAD - 4 * count - (16 + width) * count
        struct.pack_into("<HHIHHHHHHHH", block, 32, flags, level, count, 0, 4 * count, 16 * count, free,
                         0xFFFF, 0, 0xFFFF, 0)  # fmt: skip
        table = np.stack([np.arange(count) * 16, (np.arange(count) + 1) * width], axis=1).astype("<u2").tobytes()
        block[_HEAD : _HEAD + len(table)] = table
        at = _HEAD + len(table)
        block[at : at + 16 * count] = keys.astype("<u8").tobytes()
        block[end - width * count : end] = values[::-1].astype("<u8").tobytes()
        if is_root:
            nodes = sum(self._levels)
            struct.pack_into("<IIIIIIQQ", block, end, 0x12, self._block, 16, 16, 16, 16, len(self._versions), nodes)
        return checksum_of(bytes(block)) + bytes(block[8:])
