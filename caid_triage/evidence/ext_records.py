"""The file records of an ext volume that are in use and that no name led to.

Sleuth Kit lists what names lead to, and as orphans the records that are *not* in use. A record that is in use while its
name is gone (a damaged folder; a file that was deleted while a program had it open) it does not list. So the bitmap of
records is compared with what the walk met, and only records that are in use and were not met are read.

Source: the kernel's Documentation/filesystems/ext4 (inode table, bitmaps, special inodes, orphan file).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from caid_triage.errors import EvidenceError
from caid_triage.evidence.ext_layout import ExtLayout, read_ext_layout
from caid_triage.evidence.faults import LIBRARY_ERRORS
from caid_triage.evidence.numbers import NumberSet
from caid_triage.evidence.partitions import ReadAt

_SUPERBLOCK = 1024
_FIRST_OWN = 11
_OWN_RECORDS = (0xE0, 0x240, 0x244, 0x26C, 0x280)  # in the superblock: journal, three quotas, list of orphans
_CLEAN, _TO_RECOVER = 0x1, 0x4
_FILE, _FOLDER, _OTHERS = 0x8000, 0x4000, (0xA000, 0x6000, 0x2000, 0x1000, 0xC000)
_EXTENTS, _INLINE, _ATTRIBUTE = 0x80000, 0x10000000, 0x200000
_EXTENT_MARK = 0xF30A
_PIECE = 1 << 20
_ENTRY = struct.Struct("<IHH").unpack_from


@dataclass(slots=True)
class UnmetRecords:
    """Records in use that no name led to: numbers of sound files with content and of folders, each ascending.

    ``senseless`` is how many more are in use and hold nothing that could be a file. ``in_use`` is how many the bitmaps
    say are in use, ``claimed`` how many the superblock says, None where it is not kept up to date (a volume that was
    not closed). ``unread`` are groups whose bitmap or records could not be read.
    """

    files: list[int] = field(default_factory=list)
    folders: list[int] = field(default_factory=list)
    senseless: int = 0
    in_use: int = 0
    claimed: int | None = None
    unread: int = 0
    groups: int = 0


def unmet_records(read: ReadAt, base: int, met: NumberSet, capacity: int) -> UnmetRecords:
    """The records in use of the ext volume at byte ``base`` that are not ``met``.

    ``capacity`` is the bytes that a file may have. Errors: EvidenceError, struct.error and those of ``read`` where the
    superblock or the group descriptors cannot be read.
    """
    layout = read_ext_layout(read, base)
    head = read(base + _SUPERBLOCK, 1024)
    in_group, revision = struct.unpack_from("<I", head, 40)[0], struct.unpack_from("<I", head, 76)[0]
    size = struct.unpack_from("<H", head, 88)[0] if revision else 128
    first_own = struct.unpack_from("<I", head, 84)[0] if revision else _FIRST_OWN
    if not 128 <= size <= layout.block or in_group > layout.block * 8:
        raise EvidenceError("walk", "metadata-unreadable", "the superblock of the volume makes no sense")
    own = {struct.unpack_from("<I", head, at)[0] for at in _OWN_RECORDS} if revision else set()
    own |= set(range(1, min(first_own, in_group)))
    found = UnmetRecords(groups=layout.groups)
    if head[58] & _CLEAN and not (revision and head[96] & _TO_RECOVER):
        found.claimed = struct.unpack_from("<I", head, 0)[0] - struct.unpack_from("<I", head, 16)[0]
    tables = _Tables(read, base, layout, size, in_group, capacity)
    for group in range(layout.groups):
        places = layout.records(group)
        if places is not None:
            tables.add_unmet(group, places, own, met, found)
    return found


@dataclass(frozen=True, slots=True)
class _Tables:
    """The tables of records of a volume: ``in_group`` of ``size`` bytes in each group."""

    read: ReadAt
    base: int
    layout: ExtLayout
    size: int
    in_group: int
    capacity: int

    def add_unmet(
        self, group: int, places: tuple[int, int], own: set[int], met: NumberSet, found: UnmetRecords
    ) -> None:
        """Add what of a group is in use, neither met nor the file system's ``own``."""
        first, block = group * self.in_group + 1, self.layout.block
        try:
            bitmap = self.read(self.base + places[0] * block, -(-self.in_group // 8))
            used = np.unpackbits(np.frombuffer(bitmap, dtype=np.uint8), bitorder="little")[: self.in_group] != 0
            in_use = int(used.sum())
            found.in_use += in_use
            found.unread += len(used) < self.in_group
            # where the group counts otherwise than its bitmap, the records themselves are asked
            doubted = in_use + self.layout.free_records(group) != self.in_group
            asked = np.ones(len(used), dtype=bool) if doubted else used
            unmet = [place for place in np.flatnonzero(asked & ~met.within(first, len(used))).tolist()
                     if first + place not in own]  # fmt: skip
            for place, record in self._records(self.base + places[1] * block, unmet):
                kind = kind_of_record(record, self.layout.blocks, self.capacity)
                if not used[place] and not (kind and _says_in_use(record)):
                    continue
                if kind == "file":
                    found.files.append(first + place)
                elif kind == "folder":
                    found.folders.append(first + place)
                elif not kind:
                    found.senseless += 1
        except LIBRARY_ERRORS:
            found.unread += 1

    def _records(self, table: int, places: list[int]) -> Iterator[tuple[int, bytes]]:
        """The records of a table at these places, with their place; up to a MiB of the table is read at once."""
        for _, some in groupby(places, key=lambda place: place * self.size // _PIECE):
            part = list(some)
            data = self.read(table + part[0] * self.size, (part[-1] + 1 - part[0]) * self.size)
            for place in part:
                at = (place - part[0]) * self.size
                yield place, data[at : at + 128]


def _says_in_use(record: bytes) -> bool:
    """Whether a record has links and was not deleted."""
    return struct.unpack_from("<H", record, 26) != (0,) and struct.unpack_from("<I", record, 20) == (0,)


def kind_of_record(record: bytes, blocks: int, capacity: int) -> str:
    """What a record in use is: "file" (with content), "folder", "other" (nothing to read), "" where it is no sound one.

    A volume of ``blocks`` blocks holds files of up to ``capacity`` bytes.
    """
    if len(record) < 128:
        return ""
    (mode,), (low,), (flags,), (high,) = (
        struct.unpack_from(form, record, at) for form, at in (("<H", 0), ("<I", 4), ("<I", 32), ("<I", 108))
    )
    kind = mode & 0xF000
    if kind in _OTHERS:
        return "other"
    if kind not in (_FILE, _FOLDER):
        return ""
    size = low | (high << 32 if kind == _FILE else 0)
    if flags & _EXTENTS:
        mark, used, most, depth = struct.unpack_from("<HHHH", record, 40)
        sound = mark == _EXTENT_MARK and used <= most <= 4 and depth <= 5
    elif flags & _INLINE:
        sound = True
    else:
        sound = max(struct.unpack_from("<15I", record, 40)) < blocks
    if not sound or size > capacity:
        return ""
    if kind == _FOLDER:
        return "folder"
    return "file" if size and not flags & _ATTRIBUTE else "other"


def parent_in(head: bytes) -> int | None:
    """The number of the folder above one whose list of names begins with ``head``; None where that is not told."""
    if len(head) < 24 or head[8:9] != b"." or head[20:22] != b"..":
        return None
    (number,) = struct.unpack_from("<I", head, 12)
    return int(number)


def damaged_blocks(names: bytes, block: int, records: int) -> int:
    """In how many blocks of a folder's list of names the entries do not lead from one to the next up to the end.

    ``records`` is how many file records the volume has: an entry that points behind them is damaged too.
    """
    damaged = 0
    entry = _ENTRY
    for start in range(0, len(names), block):
        at, last = start, min(start + block, len(names)) - 8
        while at <= last:
            number, length, width = entry(names, at)
            if number and (number > records or not width & 0xFF or length < 8 + (width & 0xFF)):
                break
            if length < 8 or length & 3:
                if length not in (0, 0xFFFF) or block < 1 << 16:
                    break
                length = block
            at += length
        damaged += at != last + 8
    return damaged
