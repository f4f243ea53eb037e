"""Partition tables: MBR with its extended chains, GPT, and Apple, BSD and Sun tables through Sleuth Kit.

A broken table is never fatal: what could be read of it is returned, with Problems for the rest.
Sources: UEFI specification 2.10 chapter 5 (GPT, and the MBR in 5.2.1); extended chains as Linux,
Windows and Sleuth Kit follow them.
"""

from __future__ import annotations

import struct
import uuid
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

import pytsk3

from caid_triage.errors import EvidenceError
from caid_triage.evidence.faults import LIBRARY_ERRORS, evidence_faults
from caid_triage.model import Problem

SECTOR = 512
_MAX_LOGICAL = 256
_MAX_GPT_ENTRIES = 1024
_EXTENDED = frozenset((0x05, 0x0F, 0x85))
_PROTECTIVE = 0xEE

_MBR_TYPES = {
    0x01: "FAT12",
    0x04: "FAT16 below 32 MB",
    0x06: "FAT16",
    0x07: "NTFS or exFAT",
    0x0B: "FAT32",
    0x0C: "FAT32 LBA",
    0x0E: "FAT16 LBA",
    0x27: "Windows recovery",
    0x42: "Windows dynamic disk",
    0x82: "Linux swap",
    0x83: "Linux",
    0x8E: "Linux LVM",
    0xA5: "FreeBSD",
    0xAF: "Apple HFS+",
    0xEF: "EFI system",
    0xFB: "VMware VMFS",
    0xFD: "Linux RAID",
}
_GPT_TYPES = {
    "c12a7328-f81f-11d2-ba4b-00a0c93ec93b": "EFI system",
    "e3c9e316-0b5c-4db8-817d-f92df00215ae": "Microsoft reserved",
    "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7": "Microsoft basic data",
    "de94bba4-06d1-4d40-a16a-bfd50179d6ac": "Windows recovery",
    "af9b60a0-1431-4f62-bc68-3311714a69ad": "Windows dynamic disk data",
    "5808c8aa-7e8f-42e0-85d2-e1e90434cfb3": "Windows dynamic disk table",
    "e75caf8f-f680-4cee-afa3-b001e56efc2d": "Windows Storage Spaces",
    "0fc63daf-8483-4772-8e79-3d69d8477de4": "Linux",
    "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f": "Linux swap",
    "e6d6d379-f507-44c2-a23c-238f2a3df928": "Linux LVM",
    "a19d880f-05fc-4d3b-a006-743f0f84911e": "Linux RAID",
    "ca7d7ccb-63ed-4c53-861c-1742536059cc": "Linux LUKS",
    "21686148-6449-6e6f-744e-656564454649": "BIOS boot",
    "48465300-0000-11aa-aa11-00306543ecac": "Apple HFS+",
    "7c3457ef-0000-11aa-aa11-00306543ecac": "Apple APFS",
    "53746f72-6167-11aa-aa11-00306543ecac": "Apple Core Storage",
    "6a898cc3-1dd2-11b2-99a6-080020736631": "ZFS",
    "aa31e02a-400f-11db-9590-000c2911d1b8": "VMware VMFS",
}
BIOS_BOOT = "BIOS boot"

ReadAt = Callable[[int, int], bytes]
"""(offset, length) -> the bytes there; shorter at the end of the disk; raises like pytsk3 does."""


@dataclass(frozen=True, slots=True)
class Partition:
    """An allocated slot of a partition table: where it lies (bytes) and what the table calls it."""

    offset: int
    length: int
    description: str


@dataclass(slots=True)
class PartitionTable:
    """A partition table as read: its scheme ("" for none), its slots in table order, its own bytes, its faults.

    ``table_areas`` are (offset, length) of the table's own sectors.
    """

    scheme: str = ""
    partitions: list[Partition] = field(default_factory=list)
    table_areas: list[tuple[int, int]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def fault(self, detail: str) -> None:
        """Keep a fault of the table itself as a Problem."""
        self.problems.append(Problem("open", "partition-table-damaged", detail))


def read_partition_table(read: ReadAt, size: int, image: pytsk3.Img_Info) -> PartitionTable:
    """The partition table of a disk of ``size`` bytes; an empty one when there is none."""
    table = PartitionTable()
    try:
        first = _read_sector(read, 0)
    except EvidenceError as error:
        table.problems.append(Problem(error.step, error.code, error.detail))
        return table
    signed = len(first) == SECTOR and first[510:512] == b"\x55\xaa"
    slots = _slots(first) if signed else []
    for block in (512, 4096):
        if _gpt_header_at(read, block, block, size) or (
            any(kind == _PROTECTIVE for kind, *_ in slots) and _gpt_header_at(read, size - block, block, size)
        ):
            return _read_gpt(read, size, block, table)
    if signed and _is_mbr(first, slots, size):
        return _read_mbr(read, size, slots, table)
    return _read_other(image, size, table)


def _read_sector(read: ReadAt, offset: int) -> bytes:
    with evidence_faults("open", "source-unreadable", f"the sector at byte {offset} could not be read"):
        return read(offset, SECTOR)


# ---------------------------------------------------------------- MBR


def _slots(sector: bytes) -> list[tuple[int, int, int]]:
    """The four slots of a boot record as (type, first sector, sectors)."""
    slots = []
    for at in range(446, 510, 16):
        start, count = struct.unpack_from("<II", sector, at + 8)
        slots.append((sector[at + 4], start, count))
    return slots


def _is_mbr(sector: bytes, slots: list[tuple[int, int, int]], size: int) -> bool:
    """Whether a signed first sector is a partition table, and not the boot sector of a file system.

    A boot sector's code can look like slots: the flags of all four must be 0 or 0x80 and one slot must fit.
    """
    if any(sector[at] not in (0x00, 0x80) for at in range(446, 510, 16)):
        return False
    if sector[3:11] in (b"NTFS    ", b"EXFAT   ", b"-FVE-FS-"):
        return False
    used = [slot for slot in slots if slot[0] and slot[2]]
    return any(start * SECTOR < size for _, start, _ in used)


def _read_mbr(read: ReadAt, size: int, slots: list[tuple[int, int, int]], table: PartitionTable) -> PartitionTable:
    table.scheme = "MBR"
    table.table_areas.append((0, SECTOR))
    extended = []
    for kind, start, count in slots:
        if not kind or not count:
            continue
        if kind in _EXTENDED:
            extended.append(start)
        elif start * SECTOR >= size:
            table.fault(f"a slot of the partition table begins at sector {start}, behind the end of the disk")
        else:
            table.partitions.append(Partition(start * SECTOR, count * SECTOR, _mbr_name(kind)))
    for start in extended:
        _follow_chain(read, size, start, table)
    return table


def _follow_chain(read: ReadAt, size: int, base: int, table: PartitionTable) -> None:
    """Add the logical partitions of one extended partition; stops with a Problem at a loop or a broken link."""
    seen: set[int] = set()
    current = base
    while True:
        if current in seen:
            table.fault(f"the chain of logical partitions runs in a circle at sector {current}")
            return
        if len(seen) >= _MAX_LOGICAL:
            table.fault(f"the chain of logical partitions is longer than {_MAX_LOGICAL}; the rest was not followed")
            return
        seen.add(current)
        try:
            sector = _read_sector(read, current * SECTOR) if current * SECTOR < size else b""
        except EvidenceError:
            sector = b""
        if len(sector) < SECTOR or sector[510:512] != b"\x55\xaa":
            table.fault(f"the chain of logical partitions is broken at sector {current}: no partition table is there")
            return
        table.table_areas.append((current * SECTOR, SECTOR))
        following = None
        for kind, start, count in _slots(sector):
            if not kind or not count:
                continue
            if kind in _EXTENDED:
                following = base + start  # a link counts from the extended partition, a slot from its own table
            elif (current + start) * SECTOR >= size:
                table.fault(f"a logical partition begins at sector {current + start}, behind the end of the disk")
            else:
                table.partitions.append(Partition((current + start) * SECTOR, count * SECTOR, _mbr_name(kind)))
        if following is None:
            return
        current = following


def _mbr_name(kind: int) -> str:
    return f"{_MBR_TYPES.get(kind, 'unknown type')} (0x{kind:02x})"


# ---------------------------------------------------------------- GPT


def _gpt_header_at(read: ReadAt, offset: int, block: int, size: int) -> bytes | None:
    """The 92 bytes of a GPT header whose checksum is right, or None."""
    if offset < 0 or offset + block > size:
        return None
    try:
        with evidence_faults("open", "source-unreadable", "the GPT header could not be read"):
            header = read(offset, block)
    except EvidenceError:
        return None
    if header[:8] != b"EFI PART" or len(header) < block:
        return None
    length = int.from_bytes(header[12:16], "little")
    if not 92 <= length <= block:
        return None
    zeroed = header[:16] + bytes(4) + header[20:length]
    return header[:92] if zlib.crc32(zeroed) == int.from_bytes(header[16:20], "little") else None


def _read_gpt(read: ReadAt, size: int, block: int, table: PartitionTable) -> PartitionTable:
    table.scheme = "GPT"
    table.table_areas.append((0, block))
    primary = _gpt_header_at(read, block, block, size)
    backup = _gpt_header_at(read, size - block, block, size)
    best: list[Partition] | None = None
    for header, where, offset in ((primary, "first", block), (backup, "backup", size - block)):
        if header is None:
            if where == "first":
                table.fault("the first GPT header is damaged; the backup at the end of the disk was used")
            continue
        table.table_areas.append((offset, block))
        entries, start, length, sound = _gpt_entries(read, size, block, header)
        table.table_areas.append((start, length))
        if sound and best is None:
            best = entries
        elif not sound:
            table.fault(f"the {where} GPT's list of partitions does not agree with its checksum")
            if best is None and backup is None:
                best = entries
    for partition in best or []:
        if partition.offset >= size:
            table.fault(f"a GPT partition begins at byte {partition.offset}, behind the end of the disk")
        else:
            table.partitions.append(partition)
    return table


def _gpt_entries(read: ReadAt, size: int, block: int, header: bytes) -> tuple[list[Partition], int, int, bool]:
    """The used entries of a GPT, where their array lies, and whether its checksum is right."""
    lba, count, width, checksum = struct.unpack_from("<QIII", header, 72)
    count = min(count, _MAX_GPT_ENTRIES)
    start, length = lba * block, count * width
    if not 128 <= width <= 4096 or start + length > size:
        return [], block, 0, False
    try:
        with evidence_faults("open", "source-unreadable", "the GPT's list could not be read"):
            array = read(start, length)
    except EvidenceError:
        return [], start, length, False
    partitions = []
    for at in range(0, len(array) - 127, width):
        kind = array[at : at + 16]
        if kind == bytes(16):
            continue
        first, last = struct.unpack_from("<QQ", array, at + 32)
        if last < first:
            continue
        name = _GPT_TYPES.get(str(uuid.UUID(bytes_le=kind)), "unknown type")
        partitions.append(Partition(first * block, (last - first + 1) * block, f"{name} (GPT)"))
    return partitions, start, length, zlib.crc32(array) == checksum


# ---------------------------------------------------------------- tables of other machines


def _read_other(image: pytsk3.Img_Info, size: int, table: PartitionTable) -> PartitionTable:
    """An Apple, BSD or Sun table as Sleuth Kit reads it; an empty table when there is none."""
    for scheme, kind in (
        ("Apple", pytsk3.TSK_VS_TYPE_MAC),
        ("BSD", pytsk3.TSK_VS_TYPE_BSD),
        ("Sun", pytsk3.TSK_VS_TYPE_SUN),
    ):
        try:
            system = pytsk3.Volume_Info(image, kind)
            block = int(system.info.block_size)
            parts = [(int(p.start), int(p.len), int(p.flags), bytes(p.desc)) for p in system]
        except LIBRARY_ERRORS:  # not such a table: the next one, or none
            continue
        used = [part for part in parts if part[2] == int(pytsk3.TSK_VS_PART_FLAG_ALLOC) and part[0] * block < size]
        if not used:
            continue
        table.scheme = scheme
        for start, count, flags, description in parts:
            if (start, count, flags, description) in used:
                name = description.decode("ascii", "replace").strip()
                table.partitions.append(Partition(start * block, count * block, f"{name} ({scheme})"))
            elif flags == int(pytsk3.TSK_VS_PART_FLAG_META):
                table.table_areas.append((start * block, count * block))
        return table
    return table
