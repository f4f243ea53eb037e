"""Free space of an APFS container by the bitmaps of its space manager.

All volumes of a container share its space. Layout: Apple's "Apple File System Reference" (2020-06-22), "Container",
"Ephemeral Objects" and "Space Manager": the newest superblock names the space manager, a checkpoint map of the same
checkpoint says where that stands, and it leads over lists of chunks to a bitmap a chunk. Checksums are not checked;
every number is: what makes no sense frees nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

from caid_triage.errors import EvidenceError
from caid_triage.evidence.faults import LIBRARY_ERRORS
from caid_triage.evidence.partitions import ReadAt
from caid_triage.evidence.ranges import Range

_BLOCK_SIZES = (4096, 8192, 16384, 32768, 65536)
_MOST_DESCRIPTORS = 10_000
_MOST_CHUNKS = 1 << 24
_CHECKPOINT_MAP, _SPACE_MANAGER, _SUPERBLOCK = 0xC, 0x5, 0x1
_LONGEST = 64 << 20


def apfs_free(read: ReadAt, base: int, length: int) -> Iterator[Range]:
    """Free ranges in bytes of the container of ``length`` bytes that begins at byte ``base``, ascending by chunk.

    Errors: EvidenceError where the space manager cannot be found; a chunk that cannot be read is passed over.
    """
    try:
        yield from _Container(read, base, length).free()
    except (struct.error, *LIBRARY_ERRORS) as error:
        raise EvidenceError(
            "walk", "free-space-unknown", "the space manager of the container makes no sense"
        ) from error


class _Container:
    def __init__(self, read: ReadAt, base: int, length: int) -> None:
        self._read = read
        self._base = base
        (self._block,) = struct.unpack_from("<I", read(base, 4096), 36)
        if self._block not in _BLOCK_SIZES:
            raise ValueError
        self._blocks = length // self._block

    def _at(self, number: int, size: int = 0) -> bytes:
        size = size or self._block
        if not 0 <= number <= self._blocks - size // self._block or not 0 < size <= _LONGEST:
            raise ValueError
        return self._read(self._base + number * self._block, size)

    def _space_manager(self) -> bytes:
        """The space manager of the newest checkpoint whose map names it. Errors: ValueError, those of reading."""
        first = self._at(0)
        (count,), (start,) = struct.unpack_from("<I", first, 104), struct.unpack_from("<Q", first, 112)
        newest, maps = first, []
        for number in range(start, start + min(count & 0x7FFFFFFF, _MOST_DESCRIPTORS)):
            try:
                block = self._at(number)
            except LIBRARY_ERRORS:
                continue
            kind = _kind(block)
            if kind == _SUPERBLOCK and block[32:36] == b"NXSB" and _checkpoint(block) > _checkpoint(newest):
                newest = block
            elif kind == _CHECKPOINT_MAP:
                maps.append(block)
        (wanted,) = struct.unpack_from("<Q", newest, 152)
        for block in maps:
            if _checkpoint(block) != _checkpoint(newest):
                continue
            (entries,) = struct.unpack_from("<I", block, 36)
            for at in range(40, 40 + 40 * min(entries, (self._block - 40) // 40), 40):
                size, number, place = struct.unpack_from("<I12xQQ", block, at + 8)
                if number == wanted:
                    found = self._at(place, max(self._block, size))
                    if _kind(found) == _SPACE_MANAGER:
                        return found
        raise ValueError

    def free(self) -> Iterator[Range]:
        """Runs of blocks whose bits are zero, in bytes."""
        manager = self._space_manager()
        blocks, chunks, lists, above = struct.unpack_from("<QQII", manager, 48)
        (at,) = struct.unpack_from("<I", manager, 48 + 32)
        if chunks > _MOST_CHUNKS:
            raise ValueError
        places = struct.unpack_from(f"<{above or lists}Q", manager, at)
        if above:  # lists of lists, in a large container
            places = tuple(place for block in places for place in self._addresses(block))
        for place in places:
            try:
                info = self._at(place)
                (count,) = struct.unpack_from("<I", info, 36)
            except LIBRARY_ERRORS:
                continue
            for number in range(min(count, (self._block - 40) // 32)):
                first, size, _, bitmap = struct.unpack_from("<QIIQ", info, 40 + 32 * number + 8)
                if first + size <= min(blocks, self._blocks) and size <= 8 * self._block:
                    yield from self._chunk(first, size, bitmap)

    def _addresses(self, block: int) -> tuple[int, ...]:
        try:
            data = self._at(block)
        except LIBRARY_ERRORS:
            return ()
        (count,) = struct.unpack_from("<I", data, 36)
        return struct.unpack_from(f"<{min(count, (self._block - 40) // 8)}Q", data, 40)

    def _chunk(self, first: int, size: int, bitmap: int) -> Iterator[Range]:
        """The free runs of a chunk; one without a bitmap is free as a whole."""
        if not bitmap:
            yield first * self._block, (first + size) * self._block
            return
        try:
            data = self._at(bitmap)
        except LIBRARY_ERRORS:
            return
        bits = np.unpackbits(np.frombuffer(data, dtype=np.uint8), bitorder="little")[:size]
        edges = np.flatnonzero(np.diff(np.concatenate(([1], bits, [1])).astype(np.int8)))
        for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            yield (first + start) * self._block, (first + end) * self._block


def _kind(block: bytes) -> int:
    """The type of an object, without its flags."""
    kind: int = struct.unpack_from("<H", block, 24)[0]
    return kind


def _checkpoint(block: bytes) -> int:
    number: int = struct.unpack_from("<Q", block, 16)[0]
    return number
