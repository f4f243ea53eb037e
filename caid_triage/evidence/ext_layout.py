"""Where an ext volume keeps what it keeps for itself: superblocks, group descriptors, bitmaps, tables of records.

Source: the kernel's Documentation/filesystems/ext4 (superblock, group descriptors, sparse_super2, flex_bg) and
fs/ext4/balloc.c for what stands before the blocks of a group whose descriptors are kept apart (meta_bg).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from caid_triage.errors import EvidenceError
from caid_triage.evidence.partitions import ReadAt
from caid_triage.evidence.ranges import Range, merged

_PIECE = 1 << 20
_GROUP_DESCRIPTORS_APART = 0x10
_WIDE = 0x80
_SPARSE_SUPER, _TWO_COPIES = 0x1, 0x200
_SUMS = 0x10 | 0x400  # group descriptors have flags
_RECORD_MAP_UNUSED, _BLOCK_MAP_UNUSED = 0x1, 0x2


@dataclass(frozen=True, slots=True)
class ExtLayout:
    """The geometry of an ext volume. Everything counts in blocks of ``block`` bytes from the start of the volume.

    ``blocks`` from ``first`` on lie in ``groups`` of ``in_group``. ``kept`` is what stands behind a superblock: the
    group descriptors and the room for more. ``copies`` are the groups with a superblock, None where every group has.
    From the group ``apart`` on, every ``together`` groups keep the block of their descriptors themselves (meta_bg).
    """

    block: int
    blocks: int
    first: int
    in_group: int
    groups: int
    kept: int
    copies: frozenset[int] | None
    inode_blocks: int
    sums: bool
    apart: int
    together: int
    _descriptors: bytes
    _wide: int

    def blocks_of(self, group: int) -> tuple[int, int]:
        """The first block of a group and how many it has."""
        begin = self.first + group * self.in_group
        return begin, min(self.in_group, self.blocks - begin)

    def block_map(self, group: int) -> int:
        """The block with the bitmap of a group."""
        return self._places(group)[0]

    def map_unused(self, group: int) -> bool:
        """Whether the bitmap of a group was never written: only what the layout says is in use there."""
        (flags,) = struct.unpack_from("<H", self._descriptors, group * self._wide + 18)
        return self.sums and bool(flags & _BLOCK_MAP_UNUSED)

    def records(self, group: int) -> tuple[int, int] | None:
        """The block with the bitmap of a group's file records and the first one of the records; None: never written."""
        (flags,) = struct.unpack_from("<H", self._descriptors, group * self._wide + 18)
        if self.sums and flags & _RECORD_MAP_UNUSED:
            return None
        _, record_map, records = self._places(group)
        return record_map, records

    def free_records(self, group: int) -> int:
        """How many file records of a group its descriptor counts as free."""
        at = group * self._wide
        (free,) = struct.unpack_from("<H", self._descriptors, at + 14)
        if self._wide >= 64:
            free |= struct.unpack_from("<H", self._descriptors, at + 46)[0] << 16
        return int(free)

    def head_blocks(self, group: int) -> int:
        """How many blocks a group begins with that hold a superblock, group descriptors and the room for more."""
        copy = self.copies is None or group in self.copies
        if group < self.apart:
            return 1 + self.kept if copy else 0
        return copy + (group % self.together in (0, 1, self.together - 1))

    def _places(self, group: int) -> list[int]:
        """The blocks of a group's two bitmaps and the first one of its records."""
        places = list(struct.unpack_from("<III", self._descriptors, group * self._wide))
        if self._wide >= 64:
            high = struct.unpack_from("<III", self._descriptors, group * self._wide + 32)
            places = [low | more << 32 for low, more in zip(places, high, strict=True)]
        return places

    def tables(self) -> list[Range]:
        """The bitmaps and records of all groups, in blocks: they may lie in other groups than their own."""
        owned: list[Range] = []
        for group in range(self.groups):
            block_map, record_map, records = self._places(group)
            owned += [(block_map, block_map + 1), (record_map, record_map + 1), (records, records + self.inode_blocks)]
        return merged(owned)

    def areas(self) -> list[Range]:
        """All of it, in bytes of the volume: what lies before the first block, the copies and the tables."""

        def found() -> Iterator[Range]:
            yield 0, self.first
            yield from self.tables()
            for group in range(self.groups):
                begin, count = self.blocks_of(group)
                yield begin, begin + min(self.head_blocks(group), count)

        return [(start * self.block, end * self.block) for start, end in merged(found())]


def read_ext_layout(read: ReadAt, base: int) -> ExtLayout:
    """The layout of the ext volume at a byte. Errors: EvidenceError, struct.error and those of ``read``."""
    head = read(base + 1024, 1024)
    blocks, first, log_size, in_group, inodes = (struct.unpack_from("<I", head, at)[0] for at in (4, 20, 24, 32, 40))
    compatible, incompatible, read_only = struct.unpack_from("<III", head, 92) if head[76] else (0, 0, 0)
    if log_size > 6 or not in_group or in_group > 8 << (10 + log_size):
        raise EvidenceError("walk", "free-space-unknown", "the superblock of the volume makes no sense")
    size = 1024 << log_size
    wide = max(32, struct.unpack_from("<H", head, 254)[0]) if incompatible & _WIDE else 32
    if incompatible & _WIDE:
        blocks |= struct.unpack_from("<I", head, 0x150)[0] << 32
    groups = -(-max(0, blocks - first) // in_group)
    if not 0 < wide <= 1024 or groups > 1 << 24:
        raise EvidenceError("walk", "free-space-unknown", "the superblock of the volume makes no sense")
    inode_size = struct.unpack_from("<H", head, 88)[0] or 128
    copies = None
    if compatible & _TWO_COPIES:
        copies = frozenset((0, *struct.unpack_from("<II", head, 0x24C)))
    elif read_only & _SPARSE_SUPER:
        copies = frozenset(group for group in range(groups) if keeps_copy(group))
    in_block = size // wide
    described = -(-groups // in_block)
    if incompatible & _GROUP_DESCRIPTORS_APART:
        described = min(described, struct.unpack_from("<I", head, 260)[0])
    apart = described * in_block
    content = min(groups, apart) * wide
    descriptors = b"".join(
        read(base + (first + 1) * size + at, min(_PIECE, content - at)) for at in range(0, content, _PIECE)
    )
    for group in range(apart, groups, in_block):
        place = first + group * in_group + (copies is None or group in copies)
        wanted = min(in_block, groups - group) * wide
        descriptors += read(base + place * size, wanted)
        if len(descriptors) < group * wide + wanted:  # the volume is cut here
            break
    return ExtLayout(
        block=size,
        blocks=blocks,
        first=first,
        in_group=in_group,
        groups=min(groups, len(descriptors) // wide),
        kept=described + struct.unpack_from("<H", head, 206)[0],
        copies=copies,
        inode_blocks=-(-inodes * inode_size // size),
        sums=bool(read_only & _SUMS),
        apart=apart,
        together=in_block,
        _descriptors=descriptors,
        _wide=wide,
    )


def keeps_copy(group: int) -> bool:
    """Whether a group of a sparse volume has a copy of the superblock: 0, 1 and the powers of 3, 5 and 7."""
    if group < 2:
        return True
    for base in (3, 5, 7):
        power = base
        while power < group:
            power *= base
        if power == group:
            return True
    return False
