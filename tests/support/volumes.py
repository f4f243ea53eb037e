"""Volumes that hold volumes: LVM2 and Linux RAID from their formats' descriptions, LUKS by its tools. No device is
needed."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

SECTOR = 512
EXTENT = 64 << 10
FIRST_EXTENT = 1 << 20
_METADATA = 4096
_METADATA_SIZE = FIRST_EXTENT - _METADATA
IDENTIFIERS = ("aaaaaa-1111-2222-3333-4444-5555-666666", "bbbbbb-1111-2222-3333-4444-5555-666666")


def lvm_checksum(data: bytes) -> int:
    """CRC-32 begun with LVM2's number, not inverted at the end, bit by bit."""
    crc = 0xF597A6CF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xEDB88320 if crc & 1 else 0)
    return crc


@dataclass(frozen=True)
class Segment:
    """A part of a logical volume: its extents, and its text as LVM2 writes it (type, stripes ...)."""

    extents: int
    text: str


def linear(extents: int, first: int, volume: str = "pv0") -> Segment:
    """Extents of a physical volume from ``first`` on."""
    return Segment(extents, f'type = "striped"\nstripe_count = 1\nstripes = [\n"{volume}", {first}\n]')


@dataclass
class VolumeGroup:
    """What the text of a volume group says."""

    logical: Mapping[str, Sequence[Segment]]
    physical: int = 1
    hidden: Sequence[str] = field(default_factory=tuple)

    def text(self) -> str:
        lines = ["vg0 {", 'id = "cccccc-1111-2222-3333-4444-5555-666666"', "seqno = 3"]
        lines += ['format = "lvm2"', 'status = ["RESIZEABLE", "READ", "WRITE"]', "flags = []"]
        lines += [f"extent_size = {EXTENT // SECTOR}", "max_lv = 0", "max_pv = 0", "metadata_copies = 0"]
        lines.append("physical_volumes {")
        for number in range(self.physical):
            lines += [f"pv{number} {{", f'id = "{IDENTIFIERS[number]}"', f'device = "/dev/sd{number} {{x"']
            lines += ['status = ["ALLOCATABLE"]', "flags = []", "dev_size = 131072"]
            lines += [f"pe_start = {FIRST_EXTENT // SECTOR}", "pe_count = 1000", "}"]
        lines += ["}", "logical_volumes {"]
        for place, (name, segments) in enumerate(self.logical.items()):
            visible = "" if name in self.hidden else ', "VISIBLE"'
            lines += [f"{name} {{", f'id = "dddddd-{place:04}-2222-3333-4444-5555-666666"']
            lines += [f'status = ["READ", "WRITE"{visible}]', "flags = []", f"segment_count = {len(segments)}"]
            at = 0
            for number, segment in enumerate(segments, 1):
                lines += [f"segment{number} {{", f"start_extent = {at}", f"extent_count = {segment.extents}"]
                lines += [segment.text, "}"]
                at += segment.extents
            lines.append("}")
        lines += ["}", "}", 'contents = "Text Format Volume Group"', "version = 1"]
        lines += ["", "# made by a test {", 'description = ""', "creation_time = 1600000000"]
        return "\n".join(lines) + "\n"


def build_lvm(group: VolumeGroup, extents: Sequence[bytes], *, own: int = 0, wrapped: bool = False) -> bytearray:
    """A physical volume whose extents (64 KiB each) hold ``extents``; its text may run over the end of its ring."""
    image = bytearray(FIRST_EXTENT + len(extents) * EXTENT)
    for number, content in enumerate(extents):
        start = FIRST_EXTENT + number * EXTENT
        image[start : start + len(content)] = content
    header = IDENTIFIERS[own].replace("-", "").encode() + struct.pack("<Q", len(image))
    header += (
        struct.pack("<QQ", FIRST_EXTENT, 0) + bytes(16) + struct.pack("<QQ", _METADATA, _METADATA_SIZE) + bytes(16)
    )
    label = bytearray(SECTOR)
    label[:8] = b"LABELONE"
    struct.pack_into("<QII8s", label, 8, 1, 0, 32, b"LVM2 001")
    label[32 : 32 + len(header)] = header
    struct.pack_into("<I", label, 16, lvm_checksum(bytes(label[20:])))
    image[SECTOR : 2 * SECTOR] = label
    text = group.text().encode() + b"\0"
    offset = _METADATA_SIZE - SECTOR if wrapped else SECTOR
    area = bytearray(_METADATA_SIZE)
    area[4:20] = b" LVM2 x[5A%r0N*>"
    struct.pack_into("<IQQ", area, 20, 1, _METADATA, _METADATA_SIZE)
    struct.pack_into("<QQII", area, 40, offset, len(text), lvm_checksum(text), 0)
    struct.pack_into("<I", area, 0, lvm_checksum(bytes(area[4:SECTOR])))
    first = text[: _METADATA_SIZE - offset]
    area[offset : offset + len(first)] = first
    area[SECTOR : SECTOR + len(text) - len(first)] = text[len(first) :]
    image[_METADATA:FIRST_EXTENT] = area
    return image


def build_raid(content: bytes, *, version: str, level: int, members: int = 2, role: int = 0) -> bytearray:
    """A member of a Linux RAID array with that content (0.90, 1.0: from its first byte; 1.1, 1.2: from 64 KiB on)."""
    start = 0 if version in ("0.90", "1.0") else 64 << 10
    room = 128 << 10
    image = bytearray(start + len(content) + room)
    image[start : start + len(content)] = content
    if version == "0.90":
        words = [0] * 1024
        words[:3] = [0xA92B4EFC, 0, 90]
        words[7:11] = [level & 0xFFFFFFFF, len(content) // 1024, members, members]
        words[1024 - 32 + 3] = 6
        total = sum(words)
        words[38] = ((total & 0xFFFFFFFF) + (total >> 32)) & 0xFFFFFFFF
        at = (len(image) // 65536 - 1) * 65536
        struct.pack_into("<1024I", image, at, *words)
        return image
    at = {"1.0": (len(image) // SECTOR - 16) // 8 * 8 * SECTOR, "1.1": 0, "1.2": 4096}[version]
    block = bytearray(256 + 2 * 128)
    struct.pack_into("<II", block, 0, 0xA92B4EFC, 1)
    struct.pack_into("<iI", block, 72, level, 0)
    struct.pack_into("<QII", block, 80, len(content) // SECTOR, 0, members)
    struct.pack_into("<QQQ", block, 128, start // SECTOR, len(content) // SECTOR, at // SECTOR)
    struct.pack_into("<I", block, 160, 0)
    struct.pack_into("<I", block, 220, 128)
    struct.pack_into("<128H", block, 256, role, *([1] + [0xFFFF] * 126))
    total = sum(struct.unpack(f"<{len(block) // 4}I", block))
    struct.pack_into("<I", block, 216, ((total & 0xFFFFFFFF) + (total >> 32)) & 0xFFFFFFFF)
    image[at : at + len(block)] = block
    return image


def in_file_systems(coverage: Mapping[str, int]) -> int:
    """The bytes that lie in file systems, whether in use or free."""
    return sum(coverage[kind] for kind in ("file_system", "unallocated", "unallocated_searched"))


def build_luks(folder: Path, content: bytes, password: str) -> bytes:
    """A LUKS1 volume around ``content``, made by cryptsetup and filled by qemu-img: no device is needed.

    Skips the test that asks for it where either is missing or cannot work here.
    """
    if shutil.which("qemu-img") is None or shutil.which("cryptsetup") is None:
        pytest.skip("cryptsetup and qemu-img, which make and fill LUKS volumes, are not both installed")
    plain, locked = folder / "plain.raw", folder / "locked.raw"
    plain.write_bytes(content)
    locked.write_bytes(bytes(len(content) + (2 << 20)))
    format_it = ["cryptsetup", "-q", "luksFormat", "--type", "luks1", "--pbkdf-force-iterations", "1000"]
    fill = ["qemu-img", "convert", "-n", "--object", f"secret,id=s,data={password}", "--image-opts"]
    fill += [f"driver=raw,file.filename={plain}", "--target-image-opts"]
    fill += [f"driver=luks,key-secret=s,file.filename={locked}"]
    for command in ([*format_it, str(locked), "-"], fill):
        made = subprocess.run(command, input=password.encode(), capture_output=True, check=False, timeout=120)
        if made.returncode:
            pytest.skip(f"no LUKS volume can be made in a file here: {made.stderr.decode()}")
    return locked.read_bytes()
