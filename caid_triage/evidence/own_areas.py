"""Which bytes of a volume its file system keeps for itself (the ledger's ``metadata``), from headers and system files.

NTFS: every run of the records 0 to 15 (``$MFT``, ``$LogFile``, ``$Bitmap`` ...). FAT: all before the first cluster, and
FAT32's root folder. exFAT: the same, the bitmap and the table of upper case. ext: superblocks, group descriptors,
bitmaps, tables of records, journal, the room for more descriptors. HFS+: volume headers and special files. ISO 9660:
the system area and the volume descriptors. No list of all files is needed: what a file system keeps among its files
(folders, block maps, streams of ``$Extend``) is in use as files are, and counts with them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from caid_triage.errors import EvidenceError
from caid_triage.evidence.ext_layout import read_ext_layout
from caid_triage.evidence.faults import LIBRARY_ERRORS, evidence_faults
from caid_triage.evidence.file_system import EXT_KINDS, FAT_KINDS, OpenFileSystem
from caid_triage.evidence.partitions import ReadAt
from caid_triage.evidence.ranges import Range, clipped, merged
from caid_triage.evidence.streams import runs_of

_NTFS_SYSTEM_FILES = range(16)
_EXT_JOURNAL, _EXT_RESIZE = 8, 7
_HAS_JOURNAL, _RESIZE_INODE = 0x4, 0x10
_HFS_SPECIAL_FILES = (3, 4, 6, 7, 8)  # extents overflow, catalogue, allocation, start-up, attributes
_HFS_ALWAYS = (3, 4, 6)
_HFS_HEADER_END, _HFS_LAST_HEADER = 1536, 1024
_CD_BLOCK, _CD_SYSTEM_AREA, _MOST_DESCRIPTORS = 2048, 16, 64
_MOST_RUNS = 1 << 20


@dataclass(frozen=True, slots=True)
class OwnAreas:
    """The ranges that a file system keeps for itself, on the image it lies on, and whether they are all of them."""

    ranges: list[Range]
    whole: bool


def own_areas(system: OpenFileSystem, read: ReadAt) -> OwnAreas:
    """What an open file system keeps for itself, as far as it can be told. Never raises."""
    volume = system.volume
    found: list[Range] = []
    whole = True
    try:
        with evidence_faults("walk", "metadata-unreadable", "the file system's own areas could not be read"):
            for start, end in _areas(system, read):
                found.append((volume.offset + start, volume.offset + end))
    except (EvidenceError, struct.error):
        whole = False
    whole = whole and system.kind in ("NTFS", "HFS+", *FAT_KINDS, *EXT_KINDS)
    return OwnAreas(merged(clipped(found, volume.offset, volume.offset + volume.length)), whole)


def _areas(system: OpenFileSystem, read: ReadAt) -> Iterable[Range]:
    """The areas in bytes of the volume; those that come before a fault are good."""
    base = system.volume.offset
    if system.kind == "NTFS":
        for inode in _NTFS_SYSTEM_FILES:
            yield from _runs_of(system, inode, needed=inode in (0, 6))
    elif system.kind in FAT_KINDS:
        if system.fat is None:
            raise EvidenceError("walk", "metadata-unreadable", "the layout of the volume makes no sense")
        yield from system.fat.own_areas()
    elif system.kind in EXT_KINDS:
        yield from read_ext_layout(read, base).areas()
        features = read(base + 1024 + 92, 1)[0]
        for inode, feature in ((_EXT_JOURNAL, _HAS_JOURNAL), (_EXT_RESIZE, _RESIZE_INODE)):
            if features & feature:
                yield from _runs_of(system, inode, needed=True)
    elif system.kind == "HFS+":
        block = system.block_size  # the blocks of the two headers are no file's, though the headers do not fill them
        size = (int(system.fs.info.last_block) + 1) * block
        yield 0, -(-_HFS_HEADER_END // block) * block
        yield max(0, size - _HFS_LAST_HEADER) // block * block, size
        for inode in _HFS_SPECIAL_FILES:
            yield from _runs_of(system, inode, needed=inode in _HFS_ALWAYS)
    elif system.kind == "ISO9660":
        yield from _cd_areas(read, base)


def _runs_of(system: OpenFileSystem, inode: int, *, needed: bool) -> Iterator[Range]:
    """Where all attributes of a file lie, in bytes of the volume; of one that is not there nothing, if not needed."""
    try:
        file = system.fs.open_meta(inode)
    except LIBRARY_ERRORS:
        if needed:
            raise
        return
    runs = 0
    for attribute in file:
        for _, start, length in runs_of(system, attribute):
            runs += 1
            if runs > _MOST_RUNS:
                raise EvidenceError("walk", "metadata-unreadable", "a system file lies in more pieces than make sense")
            yield start, start + length


def _cd_areas(read: ReadAt, base: int) -> Iterator[Range]:
    """The system area of a CD and the volume descriptors behind it, up to the one that ends them (ECMA-119, 8)."""
    for number in range(_CD_SYSTEM_AREA, _CD_SYSTEM_AREA + _MOST_DESCRIPTORS):
        head = read(base + number * _CD_BLOCK, 7)
        if head[1:6] != b"CD001":
            return
        yield 0, (number + 1) * _CD_BLOCK
        if head[0] == 255:
            return
