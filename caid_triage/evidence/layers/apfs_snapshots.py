"""The names of the snapshots that the volumes of an APFS container keep. libfsapfs reads the present state only.

The layout is that of Apple's "Apple File System Reference" (2020-06-22): container and volume superblocks, object maps
and B-trees. Each part that cannot be read is passed over: the volumes themselves are opened by the library.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator

from caid_triage.evidence.faults import LIBRARY_ERRORS
from caid_triage.evidence.layers.view import ReadAt
from caid_triage.evidence.paths import display_name

_MOST_NODES = 10_000
_DEEPEST = 12
_MOST_SNAPSHOTS = 10_000
_SNAP_METADATA = 1
_ROOT, _LEAF, _FIXED = 1, 2, 4
_HEAD, _ROOT_INFO = 56, 40
_FAULTS = (*LIBRARY_ERRORS, struct.error)


def snapshots_of_volumes(read: ReadAt, size: int) -> dict[str, list[str]]:
    """The names of the snapshots of each volume, by the volume's identifier; volumes without one are left out."""
    try:
        return _Container(read, size).snapshots()
    except _FAULTS:
        return {}


class _Container:
    def __init__(self, read: ReadAt, size: int) -> None:
        self._read = read
        head = read(0, 4096)
        (self._block,) = struct.unpack_from("<I", head, 36)
        if self._block not in (4096, 8192, 16384, 32768, 65536) or head[32:36] != b"NXSB":
            raise ValueError
        self._blocks = size // self._block
        self._nodes = 0

    def _at(self, number: int) -> bytes:
        if not 0 <= number < self._blocks:
            raise ValueError
        return self._read(number * self._block, self._block)

    def _newest(self) -> bytes:
        """The container's superblock of the last checkpoint: the first block may hold an older one."""
        first = best = self._at(0)
        count, base = struct.unpack_from("<I", first, 104)[0], struct.unpack_from("<Q", first, 112)[0]
        for number in range(base, base + min(count & 0x7FFFFFFF, _MOST_NODES)):
            try:
                block = self._at(number)
            except _FAULTS:
                continue
            if block[32:36] == b"NXSB" and struct.unpack_from("<Q", block, 16) > struct.unpack_from("<Q", best, 16):
                best = block
        return best

    def snapshots(self) -> dict[str, list[str]]:
        newest = self._newest()
        (omap,) = struct.unpack_from("<Q", newest, 160)
        (most,) = struct.unpack_from("<I", newest, 180)
        (tree,) = struct.unpack_from("<Q", self._at(omap), 48)
        wanted = {number for number in struct.unpack_from(f"<{min(most, 100)}Q", newest, 184) if number}
        places: dict[int, tuple[int, int]] = {}
        for key, value in self._leaves(tree, fixed=(16, 16)):
            number, checkpoint = struct.unpack_from("<QQ", key)
            if number in wanted and checkpoint >= places.get(number, (0, 0))[0]:
                places[number] = checkpoint, struct.unpack_from("<Q", value, 8)[0]
        found = {}
        for _, place in places.values():
            try:
                volume = self._at(place)
                count = struct.unpack_from("<Q", volume, 216)[0] if volume[32:36] == b"APSB" else 0
                if count:
                    identifier = str(uuid.UUID(bytes=volume[240:256]))
                    found[identifier] = self._names(
                        struct.unpack_from("<Q", volume, 152)[0], min(count, _MOST_SNAPSHOTS)
                    )
            except _FAULTS:
                continue
        return found

    def _names(self, tree: int, count: int) -> list[str]:
        """As many names as the volume says that it has snapshots; "unnamed" for those that cannot be read."""
        names = []
        try:
            for key, value in self._leaves(tree):
                if struct.unpack_from("<Q", key)[0] >> 60 == _SNAP_METADATA:
                    (length,) = struct.unpack_from("<H", value, 48)
                    names.append(display_name(value[50 : 50 + length].rstrip(b"\0")))
        except _FAULTS:
            pass
        return (names + ["unnamed"] * count)[:count]

    def _leaves(
        self, number: int, fixed: tuple[int, int] | None = None, depth: int = 0
    ) -> Iterator[tuple[bytes, bytes]]:
        """The keys and values of a B-tree whose nodes are named by their block. Errors: ValueError, struct.error."""
        self._nodes += 1
        if depth > _DEEPEST or self._nodes > _MOST_NODES:
            raise ValueError
        node = self._at(number)
        flags, _, count = struct.unpack_from("<HHI", node, 32)
        table, length = struct.unpack_from("<HH", node, 40)
        keys = _HEAD + table + length
        end = self._block - (_ROOT_INFO if flags & _ROOT else 0)
        for place in range(min(count, self._block // 4)):
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
