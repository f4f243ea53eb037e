"""Free space of XFS by the trees that list it: one in each allocation group, sorted by block.

Layout: XFS Algorithms and Data Structures, "AG free space management" and "Short format btrees" (kernel.org), versions
4 and 5. Each tree is followed from its leftmost leaf along the links between leaves. What makes no sense frees nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

from caid_triage.errors import EvidenceError
from caid_triage.evidence.faults import LIBRARY_ERRORS
from caid_triage.evidence.partitions import ReadAt
from caid_triage.evidence.ranges import Range

_HEADERS = {b"AB3B": 56, b"ABTB": 16}
_KEY, _POINTER = 8, 4
_NONE = 0xFFFFFFFF
_DEEPEST = 9
_MOST_GROUPS = 1 << 20


def xfs_free(read: ReadAt, base: int) -> Iterator[Range]:
    """Free ranges in bytes of the volume that begins at byte ``base``, group by group.

    Errors: EvidenceError where the superblock makes no sense; a group that cannot be read is passed over.
    """
    head = read(base, 512)
    if len(head) < 512 or head[:4] != b"XFSB":
        raise EvidenceError("walk", "free-space-unknown", "the superblock of the volume could not be read")
    block, blocks = struct.unpack_from(">IQ", head, 4)
    in_group, groups = struct.unpack_from(">II", head, 84)
    (sector,) = struct.unpack_from(">H", head, 102)
    if not 512 <= block <= 1 << 16 or sector < 512 or not in_group or groups > _MOST_GROUPS:
        raise EvidenceError("walk", "free-space-unknown", "the superblock of the volume makes no sense")
    for group in range(groups):
        start = group * in_group
        count = min(in_group, blocks - start)
        try:
            for first, length in _group(read, base + start * block, block, sector, count):
                yield (start + first) * block, (start + first + length) * block
        except LIBRARY_ERRORS:
            continue


def _group(read: ReadAt, offset: int, block: int, sector: int, count: int) -> Iterator[tuple[int, int]]:
    """The free (first block, blocks) of an allocation group of ``count`` blocks at byte ``offset``, ascending."""
    header = read(offset + sector, 64)
    if len(header) < 64 or header[:4] != b"XAGF":
        return
    (root,), (levels,) = struct.unpack_from(">I", header, 16), struct.unpack_from(">I", header, 28)
    if not 1 <= levels <= _DEEPEST:
        return
    place: int = root
    for level in range(levels - 1, 0, -1):
        node = _node(read, offset, block, place, level, count)
        if node is None:
            return
        data, size, _ = node
        room = (block - size) // (_KEY + _POINTER)
        (place,) = struct.unpack_from(">I", data, size + room * _KEY)
    behind = 0
    for _ in range(count):
        node = _node(read, offset, block, place, 0, count)
        if node is None:
            return
        data, size, records = node
        found = np.frombuffer(data, dtype=">u4", count=2 * records, offset=size).astype(np.int64).reshape(-1, 2)
        for first, length in found.tolist():
            if first < behind or not length or first + length > count:  # out of order: no list of free space
                return
            yield first, length
            behind = first + length
        (place,) = struct.unpack_from(">I", data, 12)
        if place == _NONE:
            return


def _node(read: ReadAt, offset: int, block: int, place: int, level: int, count: int) -> tuple[bytes, int, int] | None:
    """A block of the tree, the bytes of its header and its number of records; None where it is none of that level."""
    if not 0 < place < count:
        return None
    data = read(offset + place * block, block)
    size = _HEADERS.get(data[:4])
    if size is None or len(data) < block:
        return None
    found, records = struct.unpack_from(">HH", data, 4)
    width = _KEY if level == 0 else _KEY + _POINTER
    if found != level or not records or records * width > block - size:
        return None
    return data, size, records
