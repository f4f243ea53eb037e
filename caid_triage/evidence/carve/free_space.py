"""Which bytes of a volume no living file has, by the file system's own map of used blocks.

NTFS: ``$Bitmap``. FAT: its table. exFAT: its bitmap. ext: the bitmap of each group. HFS+: its allocation file. XFS: the
trees of each group. APFS: the container's space manager. Others (ISO 9660, UFS) have
none that is read here. Nothing of a map that cannot be read is taken for free.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from caid_triage.errors import EvidenceError
from caid_triage.evidence.carve.apfs_space import apfs_free
from caid_triage.evidence.carve.xfs_space import xfs_free
from caid_triage.evidence.ext_layout import read_ext_layout
from caid_triage.evidence.faults import LIBRARY_ERRORS, evidence_faults
from caid_triage.evidence.file_system import EXT_KINDS, FAT_KINDS, OpenFileSystem
from caid_triage.evidence.layers.library_fs import LibraryFileSystem
from caid_triage.evidence.partitions import ReadAt
from caid_triage.evidence.ranges import Range, clipped, merged
from caid_triage.model import Volume

_PIECE = 1 << 20
_NTFS_BITMAP, _HFS_ALLOCATION = 6, 6


@dataclass(frozen=True, slots=True)
class FreeSpace:
    """The free ranges of a volume in bytes of the source, the units they come in, and what is amiss ("": nothing)."""

    ranges: list[Range]
    block: tuple[int, int]
    fault: str = ""


def free_space(system: OpenFileSystem | LibraryFileSystem, read: ReadAt) -> FreeSpace:
    """The free space of an open file system, with what lies behind its end inside its partition. Never raises.

    Of one that a library reads the end is not known, and what lies behind it is not told.
    """
    if isinstance(system, LibraryFileSystem):
        return _of_library(system, read)
    volume = system.volume
    block = (max(512, system.block_size), volume.offset)
    found: list[Range] = []
    fault = ""
    try:
        with evidence_faults("walk", "free-space-unknown", "the map of free space could not be read"):
            if system.kind == "NTFS":
                found += _by_file(system, _NTFS_BITMAP, volume.offset, system.block_size, reverse=False)
            elif system.kind == "HFS+":
                found += _by_file(system, _HFS_ALLOCATION, volume.offset, system.block_size, reverse=True)
            elif system.kind in FAT_KINDS and system.fat is not None:
                block = (system.fat.cluster_size, volume.offset + system.fat.layout.heap)
                found += [(volume.offset + a, volume.offset + b) for a, b in _fat(system, read)]
            elif system.kind in EXT_KINDS:
                found += ((volume.offset + a, volume.offset + b) for a, b in _ext(read, volume.offset))
            else:
                fault = f"the map of free space of {system.kind} is not read"
    except (EvidenceError, struct.error) as error:
        fault = error.detail if isinstance(error, EvidenceError) else "the map of free space makes no sense"
    end = volume.offset + volume.length
    behind = volume.offset + (int(system.fs.info.last_block) + 1) * int(system.fs.info.block_size)
    if not fault and behind < end:
        found.append((behind, end))
    return FreeSpace(merged(clipped(found, volume.offset, end)), block, fault)


def _of_library(system: LibraryFileSystem, read: ReadAt) -> FreeSpace:
    volume = system.volume
    block = (system.block_size or 512, volume.offset)
    if system.kind != "XFS":
        return FreeSpace([], block, f"the map of free space of {system.kind} is not read")
    return _listed(volume, block, xfs_free(read, volume.offset))


def free_space_of_apfs(container: Volume, read: ReadAt) -> FreeSpace:
    """The free space of an APFS container, which its volumes share. Never raises."""
    block = (4096, container.offset)
    return _listed(container, block, apfs_free(read, container.offset, container.length))


def _listed(volume: Volume, block: tuple[int, int], free: Iterable[Range]) -> FreeSpace:
    """Free space that is listed in bytes of the volume."""
    found: list[Range] = []
    fault = ""
    try:
        with evidence_faults("walk", "free-space-unknown", "the map of free space could not be read"):
            found = [(volume.offset + start, volume.offset + end) for start, end in free]
    except (EvidenceError, struct.error) as error:
        fault = error.detail if isinstance(error, EvidenceError) else "the map of free space makes no sense"
    return FreeSpace(merged(clipped(found, volume.offset, volume.offset + volume.length)), block, fault)


def _zero_bits(bits: np.ndarray, first: int) -> Iterator[Range]:
    """Runs of zero bits as (first unit, unit behind), counted from ``first``."""
    edges = np.flatnonzero(np.diff(np.concatenate(([1], bits, [1])).astype(np.int8)))
    for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        yield first + start, first + end


def _by_file(system: OpenFileSystem, inode: int, base: int, unit: int, *, reverse: bool) -> Iterator[Range]:
    """Free ranges by a bitmap that is a file of its own (``reverse``: the first unit is the highest bit)."""
    file = system.fs.open_meta(inode)
    size = int(file.info.meta.size)
    units = int(system.fs.info.last_block) + 1
    for offset in range(0, min(size, -(-units // 8)), _PIECE):
        data = file.read_random(offset, min(_PIECE, size - offset))
        bits = np.unpackbits(np.frombuffer(data, dtype=np.uint8), bitorder="big" if reverse else "little")
        for first, end in _zero_bits(bits[: max(0, units - offset * 8)], offset * 8):
            yield base + first * unit, base + end * unit


def _fat(system: OpenFileSystem, read: ReadAt) -> Iterator[Range]:
    """Free clusters of FAT and exFAT, in bytes of the volume."""
    assert system.fat is not None
    layout, base = system.fat.layout, system.volume.offset
    size = system.fat.cluster_size
    if layout.bits == 12:
        data = read(base + layout.table, (layout.last + 1) * 3 // 2 + 2)
        values = [int.from_bytes(data[n * 3 // 2 : n * 3 // 2 + 2], "little") >> (4 * (n & 1)) & 0xFFF
                  for n in range(2, layout.last + 1)]  # fmt: skip
        pieces = [(2, np.array(values, dtype=np.uint16) != 0)]
    else:
        pieces = []
        step = _PIECE * 4
        for first in range(2, layout.last + 1, step):
            count = min(step, layout.last + 1 - first)
            if layout.bitmap:
                data = read(base + layout.bitmap + (first - 2) // 8, -(-count // 8))
                used = np.unpackbits(np.frombuffer(data, dtype=np.uint8), bitorder="little")[:count] != 0
            else:
                width = layout.bits // 8
                data = read(base + layout.table + first * width, count * width)
                table = np.frombuffer(data[: len(data) // width * width], dtype=f"<u{width}")
                used = (table & 0x0FFFFFFF) != 0 if width == 4 else table != 0
            pieces.append((first, used))
    for first, used in pieces:
        for start, end in _zero_bits(used, first):
            yield layout.heap + (start - 2) * size, layout.heap + (end - 2) * size


def _ext(read: ReadAt, base: int) -> Iterator[Range]:
    """Free blocks of ext by the bitmap of each group, in bytes of the volume. Errors: EvidenceError, behind all others,
    where some bitmap cannot be read."""
    layout = read_ext_layout(read, base)
    size = layout.block
    owned = layout.tables()
    unread = 0
    for group in range(layout.groups):
        begin, count = layout.blocks_of(group)
        if layout.map_unused(group):
            bits = np.zeros(count, dtype=np.uint8)
            bits[: layout.head_blocks(group)] = 1
            for low, high in clipped(owned, begin, begin + count):
                bits[low - begin : high - begin] = 1
        else:
            try:
                data = read(base + layout.block_map(group) * size, size)
            except LIBRARY_ERRORS:
                unread += 1
                continue
            bits = np.unpackbits(np.frombuffer(data, dtype=np.uint8), bitorder="little")[:count]
        for start, end in _zero_bits(bits, begin):
            yield start * size, end * size
    if unread:
        detail = f"the maps of free space of {unread} of {layout.groups} block groups could not be read"
        raise EvidenceError("walk", "free-space-unknown", detail)
