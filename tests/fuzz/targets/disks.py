"""Raw disks: partition tables, layers of volumes (LVM, RAID, LDM, APFS's maps), and what guards the file systems.

An input is patches on a small disk (fuzz/patches.py), which is opened, walked with its free space searched, and read;
flags choose how thorough that is. Laws: nothing is raised but our own errors, every byte is counted by its kind, each
range of the ledger once, files are numbered one by one, and a second walk gives the same. File systems are read by The
Sleuth Kit and libyal: what ends the process is theirs, and kept by the parent as a finding all the same.
"""

from __future__ import annotations

import struct
import tempfile
import zlib
from functools import cache
from itertools import islice
from pathlib import Path

from support.ldm import DynamicVolume, Part, build_dynamic
from support.ledgers import check_ledger
from support.volumes import EXTENT, VolumeGroup, build_lvm, build_raid, linear

from caid_triage.errors import EvidenceError, SourceError
from caid_triage.evidence.source import EvidenceSource, open_source
from caid_triage.model import FileEntry
from caid_triage.synth.exfat import build_exfat
from caid_triage.synth.ext import build_ext2
from caid_triage.synth.fat import build_fat
from caid_triage.synth.gpt import BASIC_DATA, LINUX, GptPartition, build_gpt
from caid_triage.synth.iso9660 import build_iso
from caid_triage.synth.mbr import Partition, build_mbr
from caid_triage.synth.ntfs import build_ntfs
from caid_triage.synth.plan import PlannedFile
from caid_triage.synth.sample_pictures import picture
from fuzz.patches import chosen, flags_of, patched, patching, places_of
from fuzz.target import Target, expect

CARVINGS = ("none", "fast", "thorough")
MOST_ITEMS, MOST_READ, MOST_BYTES = 5_000, 200, 4 << 20

GPT_SUMS = 4  # flag: the checksums of a GPT are put right
PLAN = [
    PlannedFile("/kept.jpg", picture("orchard.jpg")),
    PlannedFile("/gone.txt", b"milk and bread\n" * 90, deleted=True),
    PlannedFile("/folder/a.bin", bytes(range(256)) * 12),
]


def lvm() -> bytes:
    inside = bytes(build_ext2(PLAN, size=4 * EXTENT))
    parts = [inside[at : at + EXTENT] for at in range(0, len(inside), EXTENT)]
    group = VolumeGroup({"root": [linear(2, 2), linear(2, 0)], "also": [linear(1, 0)]}, physical=1)
    return bytes(build_lvm(group, parts[2:] + parts[:2]))


def dynamic() -> bytes:
    sectors = 512
    inside = bytes(build_ext2(PLAN, size=sectors * 512))
    volume = DynamicVolume("Volume1", sectors, [[Part(0, 0, sectors)]])
    return bytes(build_dynamic([volume], [inside], size=sectors, disks=1))


@cache
def wholes() -> dict[str, bytes]:
    """Small disks by name."""
    fat = bytes(build_fat(PLAN, size=160 << 10, bits=12, cluster=512))
    ext, ntfs = bytes(build_ext2(PLAN, size=256 << 10)), bytes(build_ntfs(PLAN, size=1 << 20))
    return {
        "mbr": bytes(build_mbr([Partition(1, fat)], [Partition(0x83, ext), Partition(1, fat)], align=1, tail=4096)),
        "gpt": bytes(build_gpt([GptPartition(BASIC_DATA, "one", fat), GptPartition(LINUX, "two", ext)])),
        "fat": fat,
        "exfat": bytes(build_exfat(PLAN, size=1 << 20)),
        "ext": ext,
        "ntfs": ntfs,
        "iso": bytes(
            build_iso([PlannedFile("/KEPT.JPG", picture("orchard.jpg")), PlannedFile("/A/B.BIN", b"ab" * 900)])
        ),
        "lvm": lvm(),
        "raid 0.90": bytes(build_raid(ext, version="0.90", level=1)),
        "raid 1.2": bytes(build_raid(ext, version="1.2", level=1)),
        "ldm": dynamic(),
    }


@cache
def places(name: str) -> list[int]:
    """Where structures lie: in the first and the last units, and some between (contents are many, and not parsed)."""
    found = places_of(wholes()[name])
    return found if len(found) <= 60 else [*found[:40], *found[40:-10:9], *found[-10:]]


def with_gpt_sums(disk: bytes) -> bytes:
    """The disk with the checksums of its GPT as they must be, where it has one."""
    made = bytearray(disk)
    for at in (512, len(disk) - 512):
        if made[at : at + 8] != b"EFI PART":
            continue
        size, (table, count, width) = (
            struct.unpack_from("<I", made, at + 12)[0],
            struct.unpack_from("<QII", made, at + 72),
        )
        entries = bytes(made[512 * table : 512 * table + min(count * width, 1 << 20)]) if table < len(disk) else b""
        struct.pack_into("<I", made, at + 88, zlib.crc32(entries))
        struct.pack_into("<I", made, at + 16, 0)
        struct.pack_into("<I", made, at + 16, zlib.crc32(made[at : at + min(size, 512)]))
    return bytes(made)


def check(data: bytes) -> str:
    name, flags = chosen(data, sorted(wholes())), flags_of(data)
    disk = patched(data, wholes()[name], places(name))
    if flags & GPT_SUMS:
        disk = with_gpt_sums(disk)
    carving = CARVINGS[flags & 3] if flags & 3 < len(CARVINGS) else "none"
    with tempfile.TemporaryDirectory(prefix="fuzz") as folder:
        path = Path(folder) / "disk.dd"
        path.write_bytes(disk)
        try:
            source = open_source(path, "E", "s", carving=carving)
        except SourceError as error:
            expect(str(path) in str(error), "a refusal without the name of the image")
            return f"{name} refused"
        try:
            return f"{name} {_examined(source)}"
        finally:
            source.close()


def _examined(source: EvidenceSource) -> str:
    items = list(islice(source.walk(), MOST_ITEMS))
    entries = [item for item in items if isinstance(item, FileEntry)]
    expect([one.number for one in entries] == list(range(len(entries))), "files are not numbered one by one")
    faults = len(items) - len(entries) + len(source.problems())
    for one in entries[:MOST_READ]:
        if not one.readable:
            expect(bool(one.problems), "a file that cannot be read does not say why")
            continue
        if one.size is None or one.size > MOST_BYTES:
            continue
        length = 0
        try:
            for piece in source.chunks(one):
                length += len(piece)
        except EvidenceError as error:
            expect(error.step == "read", "reading fails in another step")
            faults += 1
        else:
            expect(length == one.size, "a file has another size than is stated")
    check_ledger(source)
    expect(list(islice(source.walk(), MOST_ITEMS)) == items, "a second walk is another")
    return "faults" if faults else "whole"


def seeds() -> dict[str, bytes]:
    """Every disk whole, searched in each way."""
    return {
        f"{name}, {carving}": bytes((flags, number))
        for number, name in enumerate(sorted(wholes()))
        for flags, carving in enumerate(CARVINGS)
    }


TARGET = Target(
    "disks", "partition tables, volumes and file systems of raw disks", seeds, check, (), longest=2048,
    seconds=15.0, mutate=patching(wholes(), places, 8),
)  # fmt: skip
