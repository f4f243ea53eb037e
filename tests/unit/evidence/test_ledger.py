"""The ledger of a disk: what it says of each file system, of volumes in volumes, of what cannot be read; 200 copies."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.carvables import noise
from support.containers import damaged_copies
from support.file_runs import runs_of_living
from support.ledgers import check_ledger, kinds_at, sums_of
from support.volumes import EXTENT, FIRST_EXTENT, VolumeGroup, build_lvm, linear

from caid_triage.errors import EvidenceError, SourceError
from caid_triage.evidence.bad_places import BadPlaces
from caid_triage.evidence.carve import carving as carving_module
from caid_triage.evidence.carve.site import Site
from caid_triage.evidence.containers.reader import ContainerImage
from caid_triage.evidence.disk import DiskSource
from caid_triage.evidence.ranges import Range, merged, total
from caid_triage.evidence.source import open_source
from caid_triage.model import FileEntry, LedgerRange, SourceInfo, State
from caid_triage.synth.exfat import build_exfat
from caid_triage.synth.ext import build_ext2
from caid_triage.synth.fat import build_fat
from caid_triage.synth.iso9660 import build_iso
from caid_triage.synth.mbr import Partition, build_mbr
from caid_triage.synth.ntfs import build_ntfs
from caid_triage.synth.plan import PlannedFile

PLAN = [
    PlannedFile("/kept.bin", noise(1, 40_000)),
    PlannedFile("/gone.bin", noise(2, 50_000), deleted=True),
    PlannedFile("/folder/also.bin", noise(3, 9_000)),
    PlannedFile("/folder/away.bin", noise(4, 21_000), deleted=True),
]
BUILT: dict[str, Callable[[], bytes | bytearray]] = {
    "ntfs": lambda: build_ntfs(PLAN, size=8 << 20),
    "fat12": lambda: build_fat(PLAN, size=2 << 20, bits=12),
    "fat16": lambda: build_fat(PLAN, size=8 << 20, bits=16, cluster=512),
    "fat32": lambda: build_fat(PLAN, size=40 << 20, bits=32, cluster=512),
    "exfat": lambda: build_exfat(PLAN, size=8 << 20),
    "ext2": lambda: build_ext2(PLAN, size=8 << 20),
}


def of_kind(lines: list[LedgerRange], *kinds: str) -> list[Range]:
    return merged((line.start, line.end) for line in lines if line.kind in kinds)


# ---------------------------------------------------------------- inside file systems


@pytest.mark.parametrize("kind", sorted(BUILT))
def test_file_content_is_what_living_files_and_folders_have(kind: str, opened: Callable[..., Any]) -> None:
    data = bytes(BUILT[kind]())
    source = opened(data)
    lines = check_ledger(source)
    assert of_kind(lines, "file_content") == runs_of_living(source._systems[0])
    assert {line.kind for line in lines} == {"file_content", "metadata", "unallocated"}
    assert {line.volume for line in lines} == {"p0"}
    for planned in PLAN:
        at = data.index(planned.content[:512])
        assert kinds_at(lines, at, at + 512) == {"unallocated" if planned.deleted else "file_content"}, planned.path
    assert kinds_at(lines, 0, 512) == {"metadata"}


def test_the_tables_of_ntfs_and_fat_are_metadata(opened: Callable[..., Any]) -> None:
    data = bytes(BUILT["ntfs"]())
    lines = check_ledger(opened(data))
    records = [match.start() for match in re.finditer(b"FILE0", data)]
    assert len(records) > 16
    for at in records:
        assert kinds_at(lines, at, at + 1024) == {"metadata"}
    fat32 = bytes(BUILT["fat32"]())
    source = opened(fat32)
    lines = check_ledger(source)
    root = fat32.index("kept".encode("utf-16-le")) // 32 * 32
    assert root >= source._systems[0].fat.layout.heap
    assert kinds_at(lines, root, root + 32) == {"metadata"}
    exfat = bytes(BUILT["exfat"]())
    lines = check_ledger(opened(exfat))
    name = exfat.index("kept.bin".encode("utf-16-le"))
    assert kinds_at(lines, name, name + 16) == {"metadata"}


MADE = {
    "ext2 of 1 KiB": "mkfs.ext4 -q -F -t ext2 -b 1024",
    "ext3": "mkfs.ext4 -q -F -t ext3",
    "ext4": "mkfs.ext4 -q -F -t ext4",
    "ext4, few copies": "mkfs.ext4 -q -F -t ext4 -b 1024 -O sparse_super2",
    "ext4, 64 bits, without flex_bg": "mkfs.ext4 -q -F -t ext4 -b 1024 -O 64bit,^flex_bg",
}


@pytest.mark.parametrize("name", MADE)
def test_what_ext_keeps_for_itself_is_what_its_own_tools_list(
    name: str, tmp_path: Path, opened: Callable[..., Any]
) -> None:
    if shutil.which("mkfs.ext4") is None or shutil.which("dumpe2fs") is None:
        pytest.skip("e2fsprogs is not installed")
    path = tmp_path / "ext.dd"
    with path.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run([*MADE[name].split(), path], check=True, capture_output=True)
    text = subprocess.run(["dumpe2fs", path], check=True, capture_output=True, text=True).stdout
    source = opened(path)
    system = source._systems[0]
    lines = check_ledger(source)
    own = [(0, 1024)]
    for line in text.splitlines():
        parts = re.findall(
            r"(?:superblock at|Group descriptors at|Reserved GDT blocks at|bitmap at|Inode table at) (\d+)(?:-(\d+))?",
            line,
        )
        own += [(int(a) * system.block_size, (int(b or a) + 1) * system.block_size) for a, b in parts]
    for inode in (7, 8):  # the room for more descriptors, the journal: both with their maps
        numbers = subprocess.run(["debugfs", "-R", f"blocks <{inode}>", path], check=True, capture_output=True).stdout
        own += [(int(n) * system.block_size, (int(n) + 1) * system.block_size) for n in numbers.split()]
    assert of_kind(lines, "metadata") == merged(own)
    assert of_kind(lines, "file_content") == runs_of_living(system)


def test_a_file_system_without_a_map_that_is_read_is_not_told_apart(opened: Callable[..., Any]) -> None:
    data = bytes(build_iso([PlannedFile("/A.BIN", noise(1, 4000))]))
    lines = check_ledger(opened(data))
    assert [line.kind for line in lines] == ["metadata", "file_system"]
    assert lines[0].end % 2048 == 0
    assert data[lines[0].end - 2048 :][:6] == b"\xffCD001"


def test_a_file_system_whose_tables_cannot_be_read_is_not_told_apart(
    opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = opened(bytes(BUILT["ntfs"]()))
    before = sums_of(check_ledger(source))

    def unreadable(*_: object, **__: object) -> None:
        raise OSError("Input/output error")

    monkeypatch.setattr("caid_triage.evidence.own_areas._runs_of", unreadable)
    sums = sums_of(check_ledger(source))
    assert sums["p0", "unallocated"] == before["p0", "unallocated"]
    assert sums["p0", "file_system"] == before["p0", "file_content"] + before["p0", "metadata"]
    assert set(sums) == {("p0", "unallocated"), ("p0", "file_system")}


# ---------------------------------------------------------------- volumes and what lies between them


def test_volumes_inside_others_are_told_in_the_bytes_of_the_source(tmp_path: Path) -> None:
    inside = bytes(build_ext2(PLAN, size=8 << 20))
    parts = [inside[at : at + EXTENT] for at in range(0, len(inside), EXTENT)]
    half = len(parts) // 2
    group = VolumeGroup({"root": [linear(half, len(parts) - half), linear(len(parts) - half, 0)]})
    group.logical["far"] = [linear(2, 0, "pv1")]
    group.physical = 2
    lvm = bytes(build_lvm(group, parts[half:] + parts[:half])) + bytes(5 * EXTENT)
    data = bytes(build_mbr([Partition(0x8E, lvm)], tail=1 << 20))
    path = tmp_path / "disk.dd"
    path.write_bytes(data)
    source = open_source(path, "E", "s")
    lines = check_ledger(source)
    sums = sums_of(lines)
    assert sum(count for (volume, _), count in sums.items() if volume == "p1/root") == len(inside)
    assert {kind for volume, kind in sums if volume == "p1/root"} == {"file_content", "metadata", "unallocated"}
    assert sums["p1", "partition_table"] == FIRST_EXTENT
    assert sums["p1", "unpartitioned"] == 5 * EXTENT
    for planned in PLAN:
        at = data.index(planned.content[:512])
        assert kinds_at(lines, at, at + 512) == {"unallocated" if planned.deleted else "file_content"}, planned.path
    alone = tmp_path / "alone.dd"
    alone.write_bytes(inside)
    plain = open_source(alone, "E", "s")
    expected = sums_of(check_ledger(plain))
    assert {kind: count for (volume, kind), count in sums.items() if volume == "p1/root"} == {
        kind: count for (_, kind), count in expected.items()
    }
    source.close()
    plain.close()


def test_searched_gaps_locked_volumes_and_tables_have_their_places(tmp_path: Path) -> None:
    ntfs = bytes(BUILT["ntfs"]())
    locked = b"LUKS\xba\xbe\0\1" + noise(1, (1 << 20) - 8)
    odd = bytes(number % 251 for number in range(1 << 20))
    data = build_mbr([Partition(7, ntfs), Partition(0x83, locked), Partition(0x83, odd)], tail=1 << 20)
    path = tmp_path / "disk.dd"
    path.write_bytes(data)
    source = open_source(path, "E", "s", carving="fast")
    before = check_ledger(source)
    assert not any(line.kind.endswith("_searched") for line in before)
    list(source.walk())
    lines = check_ledger(source)
    places = {volume.name: (volume.offset, volume.offset + volume.length) for volume in source.volumes()}
    assert kinds_at(lines, 0, 512) == {"partition_table"}
    slack = {"slack", "slack_searched"}  # up to the next sector, and from there on
    assert kinds_at(lines, *places["p1"]) == {"file_content", "metadata", "unallocated_searched", *slack}
    assert kinds_at(lines, *places["p2"]) == {"encrypted"}
    assert kinds_at(lines, *places["p3"]) == {"not_understood_searched"}
    assert kinds_at(lines, len(data) - (1 << 19), len(data)) == {"unpartitioned_searched"}
    searched = {"unallocated_searched": "unallocated", "unpartitioned_searched": "unpartitioned"}
    searched["not_understood_searched"] = "not_understood"
    same = {line.start: searched.get(line.kind, line.kind) for line in lines if line.kind not in slack}
    assert {line.start: line.kind for line in before}.items() <= same.items()
    for line in lines:  # where slack is the walk finds out
        if line.kind in slack:
            assert kinds_at(before, line.start, line.end) <= {"file_content", "metadata"}
    source.close()


# ---------------------------------------------------------------- what cannot be read


class Failing:
    """A disk of which some sectors cannot be read; nothing of that is known when it is opened."""

    def __init__(self, data: bytes, bad: list[Range]) -> None:
        self.data, self.bad, self.size = data, bad, len(data)

    def read(self, offset: int, size: int) -> bytes:
        if any(offset < end and offset + size > start for start, end in self.bad):
            raise OSError("Input/output error")
        return self.data[offset : offset + size]

    def unreadable(self) -> list[tuple[int, int]]:
        return []

    def close(self) -> None:
        pass


def failing_source(data: bytes, bad: list[Range], carving: str = "none") -> DiskSource:
    image = ContainerImage(Failing(data, bad))
    source = DiskSource(SourceInfo("E", "s", "raw", len(data)), image)
    source.carve(carving)
    return source


def read_all(source: DiskSource) -> int:
    """How many files could not be read."""
    failed = 0
    for item in source.walk():
        if isinstance(item, FileEntry) and item.readable:
            try:
                for _ in source.chunks(item):
                    pass
            except EvidenceError:
                failed += 1
    return failed


@pytest.mark.parametrize("kind", ["ntfs", "fat16", "exfat", "ext2"])
def test_what_reading_a_file_finds_unreadable_is_so_to_the_sector(kind: str) -> None:
    data = bytes(BUILT[kind]())
    at = data.index(PLAN[0].content[8192 : 8192 + 512])
    bad = [(at + 512, at + 1024)]
    source = failing_source(data, bad)
    before = check_ledger(source)
    assert not of_kind(before, "unreadable")
    assert read_all(source) == 1
    lines = check_ledger(source)
    assert of_kind(lines, "unreadable") == bad
    assert read_all(source) == 1
    assert check_ledger(source) == lines
    source.close()


def test_what_reading_a_file_of_a_logical_volume_finds_unreadable_is_told_on_the_source() -> None:
    inside = bytes(BUILT["ext2"]())
    parts = [inside[at : at + EXTENT] for at in range(0, len(inside), EXTENT)]
    data = bytes(build_lvm(VolumeGroup({"root": [linear(len(parts), 0)]}), parts))
    at = data.index(PLAN[0].content[4096 : 4096 + 512])
    source = failing_source(data, [(at, at + 512)])
    assert read_all(source) == 1
    assert of_kind(check_ledger(source), "unreadable") == [(at, at + 512)]
    assert [line.volume for line in check_ledger(source) if line.kind == "unreadable"] == ["p0/root"]
    source.close()


def test_what_searching_finds_unreadable_is_told_and_the_search_goes_on_behind_it() -> None:
    data = bytearray(BUILT["ntfs"]())
    at = len(data) - (2 << 20)
    source = failing_source(bytes(data), [(at + 100, at + 9000)], "fast")
    assert read_all(source) == 0
    lines = check_ledger(source)
    (found,) = of_kind(lines, "unreadable")
    assert found == (at, at + 12288)
    assert kinds_at(lines, found[1], len(data) - 4096) == {"unallocated_searched"}
    source.close()


def test_bad_places_are_kept_once_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("caid_triage.evidence.bad_places._MOST_RANGES", 10)
    places = BadPlaces()
    for number in range(1000):
        places.add([(number % 7 * 512, number % 7 * 512 + 512)])
    assert places.ranges == [(0, 7 * 512)]
    assert len(places._ranges) <= 11


# ---------------------------------------------------------------- damaged copies

COPIES = 200


def damaged_disks() -> dict[str, bytes]:
    inside = bytes(build_ext2(PLAN, size=2 << 20))
    parts = [inside[at : at + EXTENT] for at in range(0, len(inside), EXTENT)]
    lvm = bytes(build_lvm(VolumeGroup({"root": [linear(len(parts), 0)]}), parts))
    small = {
        "ntfs": bytes(build_ntfs(PLAN, size=2 << 20)),
        "fat12": bytes(build_fat(PLAN, size=1 << 20, bits=12)),
        "exfat": bytes(build_exfat(PLAN, size=2 << 20)),
        "ext2": inside,
    }
    table = bytes(build_mbr([Partition(7, small["ntfs"]), Partition(0x8E, lvm), Partition(6, small["fat12"])]))
    return {**small, "mbr": table}


@pytest.mark.parametrize("name", ["ntfs", "fat12", "exfat", "ext2", "mbr"])
def test_200_damaged_copies_each_have_a_whole_ledger(name: str, tmp_path: Path) -> None:
    data = damaged_disks()[name]
    path = tmp_path / "disk.dd"
    kinds: set[str] = set()
    for number, copy in enumerate(damaged_copies(data, COPIES, seed=len(name))):
        began = time.process_time()
        path.write_bytes(copy)
        try:
            source = open_source(path, "E", "s", carving="fast" if number % 4 == 0 else "none")
        except SourceError:
            continue
        assert isinstance(source, DiskSource)
        choose = random.Random(number)
        bad = [(start, start + choose.choice((512, 4096, 70_000))) for start in choose.sample(range(len(copy)), 2)]
        if number % 2:
            source.close()
            source = failing_source(copy, bad, "fast" if number % 4 == 1 else "none")
        check_ledger(source)
        read_all(source)
        lines = check_ledger(source)
        kinds |= {line.kind for line in lines}
        assert total(of_kind(lines, "unreadable")) <= len(copy)
        source.close()
        assert time.process_time() - began < 20, f"copy {number} took too long"
    assert {"metadata", "file_content", "unreadable", "unallocated", "unallocated_searched"} <= kinds


def test_carved_files_lie_in_what_was_searched(tmp_path: Path) -> None:
    from support.carvables import carvables

    data = bytearray(build_ntfs(PLAN, size=16 << 20))
    at = 12 << 20
    for content in list(carvables().values())[:6]:
        data[at : at + len(content)] = content
        at += -(-len(content) // 4096) * 4096 + 4096
    path = tmp_path / "disk.dd"
    path.write_bytes(data)
    source = open_source(path, "E", "s", carving="fast")
    carved = [item for item in source.walk() if isinstance(item, FileEntry) and item.state is State.CARVED]
    assert len(carved) >= 4
    lines = check_ledger(source)
    for entry in carved:
        assert entry.physical_offset is not None
        assert kinds_at(lines, entry.physical_offset, entry.physical_offset + 1) == {"unallocated_searched"}
    source.close()


def test_the_insides_of_nothing_are_asked_for_of_a_shadow_copy(
    opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = opened(bytes(BUILT["ntfs"]()))
    monkeypatch.setattr(Site, "ranges_on_source", lambda *_: [])
    monkeypatch.setattr(carving_module, "own_areas", lambda *_: pytest.fail("its map was read"))
    assert [line.kind for line in check_ledger(source)] == ["file_system"]
