"""A view of an ext volume that keeps from Sleuth Kit the file records it would never come back from.

Measured with pytsk3 20260715: listing a folder maps every file in it, and a file of ext2 or ext3 that needs the third
level of its block map (above 64 MiB in blocks of 1 KiB, above 4 GiB in blocks of 4 KiB, whether solid or with holes)
is mapped without an end, deep in the library, where nothing can stop it. Such a record is shown to the library as
empty; its true size and its content come from here. Records with extents (ext4) are mapped well and left alone.

The layout is that of the kernel's Documentation/filesystems/ext4 (superblock, group descriptors, inodes, block maps).
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

import pytsk3

from caid_triage.errors import EvidenceError
from caid_triage.evidence.faults import LIBRARY_ERRORS, evidence_faults
from caid_triage.evidence.proxied import read_range

PIECE = 1 << 20
_SUPERBLOCK = 1024
_META_GROUPS, _WIDE = 0x10, 0x80
_NO_POINTERS = 0x80000 | 0x10000000  # extents; content inside the record
_FOLDER, _FILE = 0x4000, 0x8000
_DIRECT = 12
_LARGEST_FOLDER = 1 << 30  # tens of millions of names; one that claims 4 GiB takes the library a quarter of a minute
_LARGEST_LOG = 6  # blocks of 64 KiB


@dataclass(frozen=True, slots=True)
class MappedFile:
    """The size in bytes of a file and its 15 block numbers: 12 of content, then one map of each level."""

    size: int
    pointers: tuple[int, ...]


class ExtGuard(pytsk3.Img_Info):  # type: ignore[misc]  # pytsk3 has no types
    """The disk ``image`` with some records of the ext volume at ``offset`` emptied; read-only as all else.

    ``emptied`` holds what such records truly say, by their number, as they are met.
    """

    def __init__(self, image: pytsk3.Img_Info, offset: int, length: int) -> None:
        self.emptied: dict[int, MappedFile] = {}
        self._image = image
        self._offset = offset
        self._length = length
        self._tables: list[tuple[int, int]] = []  # (place on the disk, number before its first) of each group's records
        self._record = self._per_group = self._block = 1
        try:
            self._find_tables(read_range(image, offset + _SUPERBLOCK, 1024))
        except (*LIBRARY_ERRORS, struct.error):
            pass  # a volume as broken as that is not opened by the library either
        super().__init__(url="", type=pytsk3.TSK_IMG_TYPE_EXTERNAL)

    def _find_tables(self, head: bytes) -> None:
        blocks, first, log_size, group_blocks, self._per_group, revision = (
            struct.unpack_from("<I", head, at)[0] for at in (4, 20, 24, 32, 40, 76)
        )
        self._record = struct.unpack_from("<H", head, 88)[0] if revision else 128
        features = struct.unpack_from("<I", head, 96)[0] if revision else 0
        if log_size > _LARGEST_LOG or not group_blocks or self._record < 128 or features & _META_GROUPS:
            return
        self._block = 1024 << log_size
        wide = max(32, struct.unpack_from("<H", head, 254)[0]) if features & _WIDE else 32
        groups = max(0, -(-(min(blocks, self._length // self._block) - first) // group_blocks))
        listing = read_range(self._image, self._offset + (first + 1) * self._block, groups * wide)
        for group in range(len(listing) // wide):
            (table,) = struct.unpack_from("<I", listing, group * wide + 8)
            if wide >= 64:
                table |= struct.unpack_from("<I", listing, group * wide + 40)[0] << 32
            self._tables.append((self._offset + table * self._block, group * self._per_group + 1))
        self._tables.sort()

    def get_size(self) -> int:
        """The bytes of the disk."""
        return int(self._image.get_size())

    def read(self, offset: int, size: int) -> bytes:
        """The bytes at ``offset``, with the records emptied that need it."""
        data: bytes = self._image.read(offset, size)
        end = offset + len(data)
        changed: bytearray | None = None
        for index in range(max(0, bisect_right(self._tables, (offset, 0)) - 1), len(self._tables)):
            start, number = self._tables[index]
            if start >= end:
                break
            slots = range(
                max(0, -(-(offset - start) // self._record)), min(self._per_group, (end - start) // self._record)
            )
            for slot in slots:
                at = start + slot * self._record - offset
                truly = self._too_deep(data, at)
                if truly is not None:
                    self.emptied[number + slot] = truly
                    changed = changed if changed is not None else bytearray(data)
                    changed[at + 4 : at + 8] = changed[at + 108 : at + 112] = bytes(4)
        return data if changed is None else bytes(changed)

    def _too_deep(self, data: bytes, at: int) -> MappedFile | None:
        """What the record at ``at`` says, if it needs the third level of its map or is no folder's; else None."""
        kind = struct.unpack_from("<H", data, at)[0] & 0xF000
        if kind not in (_FOLDER, _FILE):
            return None
        (size,) = struct.unpack_from("<I", data, at + 4)
        most = (_DIRECT + self._block // 4 + (self._block // 4) ** 2) * self._block
        by_extents = struct.unpack_from("<I", data, at + 32)[0] & _NO_POINTERS
        if kind == _FOLDER:
            most = _LARGEST_FOLDER if by_extents else min(_LARGEST_FOLDER, most)
        elif by_extents:
            return None
        else:
            size |= struct.unpack_from("<I", data, at + 108)[0] << 32
        if size <= most:
            return None
        return MappedFile(size, struct.unpack_from("<15I", data, at + 40))

    def first_byte(self, number: int) -> int | None:
        """Where on the disk the content of an emptied record begins, None when it begins with a hole."""
        first = self.emptied[number].pointers[0]
        return self._offset + first * self._block if first else None

    def pieces(self, number: int) -> Iterator[bytes]:
        """The content of an emptied record in pieces of at most 1 MiB, holes as zeros. EvidenceError at a fault."""
        file = self.emptied[number]
        left = file.size
        for first, count in self._runs(file.pointers, -(-left // self._block)):
            length = min(left, count * self._block)
            left -= length
            if not first:
                yield bytes(length)
                continue
            with evidence_faults("read", "read-failed", f"the content could not be read at byte {file.size - left}"):
                data = read_range(self._image, self._offset + first * self._block, length)
            if len(data) < length:
                detail = f"the content ended after {file.size - left - length + len(data)} of {file.size} bytes"
                raise EvidenceError("read", "short-read", detail)
            yield data

    def _runs(self, pointers: tuple[int, ...], wanted: int) -> Iterator[tuple[int, int]]:
        """The content as (first block, blocks) that lie together, a first block of 0 for a hole; at most 1 MiB each."""
        most = PIECE // self._block
        first = count = 0
        for block in self._blocks(pointers, wanted):
            together = block == first + count if first else not block
            if count and (not together or count == most):
                yield first, count
                count = 0
            if not count:
                first = block
            count += 1
        if count:
            yield first, count

    def _blocks(self, pointers: tuple[int, ...], wanted: int) -> Iterator[int]:
        """The number of every block of the content in order, 0 for a hole."""
        yield from pointers[:_DIRECT]
        left = wanted - _DIRECT
        for level, pointer in enumerate(pointers[_DIRECT:], 1):
            here = min(left, (self._block // 4) ** level)
            yield from self._below(pointer, level, here)
            left -= here

    def _below(self, block: int, level: int, wanted: int) -> Iterator[int]:
        """The ``wanted`` block numbers below one map of a level."""
        if not block or not wanted:
            yield from (0 for _ in range(wanted))
            return
        below = (self._block // 4) ** (level - 1)
        with evidence_faults("read", "read-failed", "a map of where this file's content lies could not be read"):
            content = read_range(self._image, self._offset + block * self._block, self._block)
            if len(content) < self._block:
                raise OSError(5, "it would lie beyond the end of the disk")
        inside = struct.unpack(f"<{self._block // 4}I", content)[: -(-wanted // below)]
        if level == 1:
            yield from inside
            return
        for place, branch in enumerate(inside):
            yield from self._below(branch, level - 1, min(below, wanted - place * below))

    def close(self) -> None:
        """The disk is its opener's to close."""
