"""Write a disk with a GUID partition table: protective MBR, header and table, and their backups."""

from __future__ import annotations

import struct
import uuid
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from caid_triage.synth.plan import how_many

SECTOR, ALIGN = 512, 2048
ENTRIES, ENTRY = 128, 128
TABLE_SECTORS = ENTRIES * ENTRY // SECTOR
BASIC_DATA = uuid.UUID("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7")  # NTFS, FAT and exFAT
LINUX = uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4")
DISK = uuid.UUID("5eed0000-ca1d-4000-8000-000000000000")


@dataclass(frozen=True, slots=True)
class GptPartition:
    """A partition to be written: its type, name and content."""

    kind: uuid.UUID
    name: str
    content: bytes | bytearray


def build_gpt(partitions: Sequence[GptPartition]) -> bytearray:
    """A whole disk with the partitions in order, each at a multiple of 1 MiB."""
    at = ALIGN
    spans = []
    for part in partitions:
        length = how_many(len(part.content), SECTOR)
        spans.append((at, at + length - 1))
        at += how_many(length, ALIGN) * ALIGN
    sectors = at + ALIGN
    image = bytearray(sectors * SECTOR)
    table = bytearray(ENTRIES * ENTRY)
    for number, (part, (first, last)) in enumerate(zip(partitions, spans, strict=True)):
        image[first * SECTOR : first * SECTOR + len(part.content)] = part.content
        own = uuid.UUID(int=DISK.int + number + 1)
        head = struct.pack("<16s16sQQQ", part.kind.bytes_le, own.bytes_le, first, last, 0)
        table[number * ENTRY : (number + 1) * ENTRY] = (head + part.name.encode("utf-16-le")).ljust(ENTRY, b"\0")
    struct.pack_into("<B3sB3sII", image, 446, 0, b"\0\2\0", 0xEE, b"\xff\xff\xff", 1, sectors - 1)
    image[510:512] = b"\x55\xaa"
    backup = sectors - 1 - TABLE_SECTORS
    for here, other, where in ((1, sectors - 1, 2), (sectors - 1, 1, backup)):
        image[where * SECTOR : (where + TABLE_SECTORS) * SECTOR] = table
        image[here * SECTOR : here * SECTOR + 92] = _header(here, other, where, sectors, bytes(table))
    return image


def _header(here: int, other: int, table_at: int, sectors: int, table: bytes) -> bytes:
    first, last = 2 + TABLE_SECTORS, sectors - 2 - TABLE_SECTORS

    def packed(checksum: int) -> bytes:
        return struct.pack(
            "<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, checksum, 0, here, other, first, last, DISK.bytes_le,
            table_at, ENTRIES, ENTRY, zlib.crc32(table),
        )  # fmt: skip

    return packed(zlib.crc32(packed(0)))
