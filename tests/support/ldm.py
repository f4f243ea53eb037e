"""A Windows dynamic disk, written from the kernel's description of its database (block/partitions/ldm.h)."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

SECTOR = 512
DATABASE = 2048
START = 63
GROUP = uuid.UUID(int=0x1234)
GUIDS = [uuid.UUID(int=number + 1) for number in range(4)]
STRIPED, SPANNED, RAID5 = 1, 2, 3


@dataclass(frozen=True)
class Part:
    """Sectors of a disk (its number) that are a part of a volume from one of its sectors on."""

    disk: int
    start: int
    size: int
    offset: int = 0
    index: int = 0


@dataclass(frozen=True)
class DynamicVolume:
    """A volume with one or, where it is mirrored, several components of parts."""

    name: str
    size: int
    components: Sequence[Sequence[Part]]
    kind: int = SPANNED
    chunk: int = 128


def _number(value: int) -> bytes:
    data = value.to_bytes(max(1, -(-value.bit_length() // 8)), "big")
    return bytes([len(data)]) + data


def _text(value: str) -> bytes:
    return bytes([len(value)]) + value.encode()


def _records(volumes: Sequence[DynamicVolume], disks: int) -> list[bytes]:
    """(flags, type, body) of every record, as bytes from the 16th on."""

    def record(flags: int, kind: int, body: bytes) -> bytes:
        return struct.pack(">HBBI", 0, flags, kind, len(body)) + body

    number = 10
    out = [record(0, 0x35, _number(1) + _text("Group-Dg0") + _text(str(GROUP)) + bytes(4 + 8))]
    for disk in range(disks):
        body = _number(2 + disk) + _text(f"Disk{disk + 1}") + _text(str(GUIDS[disk])) + _text(f"Harddisk{disk}")
        out.append(record(0, 0x34, body + bytes(4 + 8)))
    for volume in volumes:
        own = number
        number += 1
        head = _number(own) + _text(volume.name) + _text("gen") + _text("")
        head += b"ACTIVE".ljust(14, b"\0") + bytes([3, 0, 1, 0, 0, 0, 0])
        head += _number(len(volume.components)) + bytes(16) + _number(volume.size) + bytes(4) + b"\x07"
        out.append(record(0, 0x51, head + uuid.uuid5(GROUP, volume.name).bytes))
        for place, parts in enumerate(volume.components, 1):
            component = number
            number += 1
            body = _number(component) + _text(f"{volume.name}-{place:02}") + _text("ACTIVE")
            body += bytes([volume.kind]) + bytes(4) + _number(len(parts)) + bytes(16) + _number(own) + b"\0"
            if volume.kind != SPANNED:
                body += _number(volume.chunk) + _number(len(parts))
            out.append(record(0x10 if volume.kind != SPANNED else 0, 0x32, body))
            for part in parts:
                body = _number(number) + _text(f"Disk{part.disk + 1}-{number:02}") + bytes(12)
                body += struct.pack(">QQ", part.start, part.offset) + _number(part.size)
                body += _number(component) + _number(2 + part.disk) + _number(part.index)
                out.append(record(8, 0x33, body))
                number += 1
    return out


def database_of(volumes: Sequence[DynamicVolume], own: int, size: int, *, disks: int, start: int = START) -> bytes:
    """The database of 1 MiB of one of the disks, whose part for volumes has ``size`` sectors."""
    out = bytearray(DATABASE * SECTOR)
    base = start + size
    private = bytearray(SECTOR)
    private[:8] = b"PRIVHEAD"
    struct.pack_into(">HH", private, 12, 2, 11)
    for place, value in ((0x30, GUIDS[own]), (0x70, GROUP), (0xB0, GROUP)):
        private[place : place + 36] = str(value).encode()
    private[0xF0:0xF9] = b"Group-Dg0"
    struct.pack_into(">QQQQ", private, 0x11B, start, size, base, DATABASE)
    struct.pack_into(">QQQQ", private, 0x13B, 1, 2047, 2045, 0)
    struct.pack_into(">II", private, 0x15F, 1, 1)
    toc = bytearray(SECTOR)
    toc[:8] = b"TOCBLOCK"
    struct.pack_into(">QQ", toc, 0x2E, 17, 1500)
    struct.pack_into(">QQ", toc, 0x50, 1517, 224)
    toc[0x24:0x2A], toc[0x46:0x49] = b"config", b"log"
    records = _records(volumes, disks)
    pieces = []
    for group, record in enumerate(records, 1):
        bodies = [record[at : at + 112] for at in range(0, len(record), 112)]
        for place, body in enumerate(bodies):
            head = b"VBLK" + struct.pack(">IIHH", len(pieces) + 4, group, place, len(bodies))
            pieces.append((head + body).ljust(128, b"\0"))
    pieces += [b"VBLK".ljust(128, b"\0")] * (-len(pieces) % 4)
    head = bytearray(SECTOR)
    head[:4] = b"VMDB"
    struct.pack_into(">III", head, 4, len(pieces) + 4, 128, 512)
    struct.pack_into(">HHH", head, 16, 1, 4, 10)
    head[0x16:0x1F] = b"Group-Dg0"
    head[0x35 : 0x35 + 36] = str(GROUP).encode()
    kinds = [record[3] for record in records]
    struct.pack_into(">QQ", head, 0x75, 1, 1)
    counts = [kinds.count(0x51), kinds.count(0x32), kinds.count(0x33), kinds.count(0x34)]
    struct.pack_into(">IIII", head, 0x85, *counts)
    struct.pack_into(">IIII", head, 0x9D, *counts)
    for sector in (1, 2, 2045, 2046):
        out[sector * SECTOR : (sector + 1) * SECTOR] = toc
    for sector in (1856, 2047):
        out[sector * SECTOR : (sector + 1) * SECTOR] = private
    content = bytes(head) + b"".join(pieces)
    out[17 * SECTOR : 17 * SECTOR + len(content)] = content
    return bytes(out)


def build_dynamic(
    volumes: Sequence[DynamicVolume], contents: Sequence[bytes], *, own: int = 0, size: int = 8192, disks: int = 2
) -> bytearray:
    """An MBR disk of a group, with the parts of the volumes' contents that lie on it."""
    disk = bytearray((START + size + DATABASE) * SECTOR)
    struct.pack_into("<BBBBBBBBII", disk, 446, 0x80, 1, 1, 0, 0x42, 254, 255, 255, START, size)
    disk[510:512] = b"\x55\xaa"
    database = database_of(volumes, own, size, disks=disks)
    disk[6 * SECTOR : 7 * SECTOR] = database[2047 * SECTOR :]
    disk[(START + size) * SECTOR :] = database
    for volume, content in zip(volumes, contents, strict=True):
        for parts in volume.components:
            for place, part in enumerate(parts):
                data = content[part.offset * SECTOR : (part.offset + part.size) * SECTOR]
                if volume.kind == STRIPED:
                    chunk = volume.chunk * SECTOR
                    chunks = [content[at : at + chunk] for at in range(0, len(content), chunk)]
                    data = b"".join(chunks[place :: len(parts)])
                if part.disk == own:
                    at = (START + part.start) * SECTOR
                    disk[at : at + len(data)] = data
    return disk
