"""Members of Linux software RAID (MD): named with their level; a mirror is one whole volume and is opened.

The superblocks are those of the kernel's include/uapi/linux/raid/md_p.h: version 0.90 in the last 64 KiB that begin at
a multiple of 64 KiB, 1.0 at least 8 KiB before the end, 1.1 at the start, 1.2 at 4 KiB. Only one whose checksum is
right counts.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from caid_triage.evidence.faults import LIBRARY_ERRORS
from caid_triage.evidence.layers.layer import UNWRAPPED, Area, Child, Unwrapped
from caid_triage.evidence.layers.view import Run, view_of_runs
from caid_triage.evidence.secrets import Secrets
from caid_triage.model import Problem, Severity

NAME = "Linux RAID member"
_MAGIC = b"\xfc\x4e\x2b\xa9"
_SECTOR = 512
_OLD_PLACE = 64 << 10
_OLD_SIZE = 4096
_MOST_ROLES = 1920
_NO_DATA = (0xFFFF, 0xFFFE, 0xFFFD)  # spare, faulty, journal
_LEVELS = {-4: "multipath", -1: "linear", 0: "RAID 0", 1: "RAID 1 (mirror)", 4: "RAID 4", 5: "RAID 5", 6: "RAID 6",
           10: "RAID 10"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Member:
    """What a superblock says: level, members of the array, bytes of data and where they begin, whether it holds any."""

    version: str
    level: int
    members: int
    start: int
    length: int
    has_data: bool

    @property
    def is_whole(self) -> bool:
        """Whether this member alone carries all that the array holds."""
        return self.has_data and (self.level == 1 or self.members == 1)


def unwrap_raid(area: Area, _secrets: Secrets) -> Unwrapped | None:
    """The array on a mirror's member; of other levels only the name."""
    try:
        member = _member(area)
    except (*LIBRARY_ERRORS, struct.error):
        return None  # its end cannot be read: then whatever else it is
    if member is None:
        return None
    level = _LEVELS.get(member.level, f"level {member.level}")
    name = f"{NAME}, {level}"
    if not member.is_whole or not 0 <= member.start < area.length:
        detail = (
            f"this volume is one of {member.members} members of a Linux RAID array ({level}): its files can only be "
            f"examined with all members put together. Assemble the array read-only, image it and scan that image"
        )
        return Unwrapped(name, "not-understood", problems=(Problem("open", "raid-member", detail, volume=area.name),))
    length = min(member.length or area.length, area.length - member.start)
    view = view_of_runs(area.image, [Run(0, length, area.offset + member.start)])
    detail = f"this volume is one of {member.members} members of a Linux RAID array ({level}); it was examined alone"
    problem = Problem("open", "raid-member", detail, Severity.NOTE, volume=area.name)
    child = Child("raid", f"the content of a Linux RAID array ({level}, superblock {member.version})", view)
    head = (area.offset, member.start, "partition_table")
    tail = member.start + length
    tables = (head, (area.offset + tail, area.length - tail, "partition_table"))
    return Unwrapped(name, UNWRAPPED, (child,), (problem,), tables)


def _member(area: Area) -> _Member | None:
    sectors = area.length // _SECTOR
    for version, at in (("1.1", 0), ("1.2", 4096), ("1.0", max(0, (sectors - 16) // 8 * 8 * _SECTOR))):
        head = area.head[at : at + 4] if at + 4 <= len(area.head) else area.read(at, 4)
        if head == _MAGIC:
            found = _version_1(area.read(at, 256 + 2 * _MOST_ROLES), version)
            if found is not None:
                return found
    at = (area.length // _OLD_PLACE - 1) * _OLD_PLACE
    if at > 0 and area.read(at, 4) == _MAGIC:
        return _version_0(area.read(at, _OLD_SIZE))
    return None


def _version_1(block: bytes, version: str) -> _Member | None:
    (major,) = struct.unpack_from("<I", block, 4)
    level = struct.unpack_from("<i", block, 72)[0]
    size, members = struct.unpack_from("<Q8xI", block, 80)[0], struct.unpack_from("<I", block, 92)[0]
    start, length = struct.unpack_from("<QQ", block, 128)
    number, checksum, roles = (struct.unpack_from("<I", block, at)[0] for at in (160, 216, 220))
    if major != 1 or roles > _MOST_ROLES or len(block) < 256 + 2 * roles:
        return None
    summed = block[:216] + bytes(4) + block[220 : 256 + 2 * roles]
    words = sum(struct.unpack_from(f"<{len(summed) // 4}I", summed))
    if len(summed) % 4:
        words += struct.unpack_from("<H", summed, len(summed) - 2)[0]
    if ((words & 0xFFFFFFFF) + (words >> 32)) & 0xFFFFFFFF != checksum:
        return None
    role = struct.unpack_from("<H", block, 256 + 2 * number)[0] if number < roles else _NO_DATA[0]
    bytes_of_data = (size if level == 1 and 0 < size < length else length) * _SECTOR
    return _Member(version, level, members, start * _SECTOR, bytes_of_data, role not in _NO_DATA)


def _version_0(block: bytes) -> _Member | None:
    words = struct.unpack_from(f"<{_OLD_SIZE // 4}I", block)
    if words[1] != 0 or words[2] != 90:
        return None
    total = sum(words) - words[38]  # word 38 is the checksum itself
    if ((total & 0xFFFFFFFF) + (total >> 32)) & 0xFFFFFFFF != words[38]:
        return None
    level = words[7] - (1 << 32) if words[7] >> 31 else words[7]
    state = words[_OLD_SIZE // 4 - 32 + 3]  # of this disk: bit 0 faulty, 1 active, 2 in sync
    return _Member("0.90", level, words[10], 0, words[8] * 1024, bool(state & 0b110) and not state & 1)
