"""A file in use whose name was damaged away is listed by its record, and what cannot be listed is counted."""

from __future__ import annotations

import hashlib
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caid_triage.evidence.ext_records import damaged_blocks
from caid_triage.evidence.fat_chains import FatChains
from caid_triage.evidence.numbers import NumberSet
from caid_triage.evidence.source import EvidenceSource
from caid_triage.model import IN_USE_CODE, FileEntry, Problem, Severity, State
from caid_triage.synth.exfat import build_exfat
from caid_triage.synth.ext import BLOCK, INODE, build_ext2
from caid_triage.synth.fat import build_fat
from caid_triage.synth.iso9660 import build_iso
from caid_triage.synth.ntfs import build_ntfs
from caid_triage.synth.plan import PlannedFile

PLAN = [
    PlannedFile("/sub/a.bin", b"a" * 5000),
    PlannedFile("/sub/b.bin", b"b" * 700),
    PlannedFile("/sub/below/c.bin", b"c" * 9000),
    PlannedFile("/d.bin", b"d" * 900),
    PlannedFile("/empty.bin", b""),
]
TABLE = 4 * BLOCK  # of the records of build_ext2
SHORT = struct.Struct("<IHBB")


def content_by_path(source: EvidenceSource, entries: list[FileEntry]) -> dict[str, bytes]:
    return {e.path: b"".join(source.chunks(e)) for e in entries if e.readable}


def in_use(entry: FileEntry) -> bool:
    return IN_USE_CODE in {problem.code for problem in entry.problems}


def folder_block(image: bytearray, inode: int, above: int) -> int:
    """Where the names of a folder of ext stand."""
    return image.index(SHORT.pack(inode, 12, 1, 2) + b".\0\0\0" + SHORT.pack(above, 12, 2, 2))


def told(problems: list[Problem], severity: Severity = Severity.PROBLEM) -> list[tuple[str, str]]:
    return [(problem.code, problem.path) for problem in problems if problem.severity is severity]


def number_of(image: bytes | bytearray, name: bytes) -> int:
    """The record number in the entry of a folder of ext."""
    at = image.index(bytes((len(name), 1)) + name) - 6
    return int(struct.unpack_from("<I", image, at)[0])


# ------------------------------------------------------------ ext


def test_files_of_ext_in_a_wiped_folder_are_listed_by_their_records(
    opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    """They vanished: nothing but the folder itself was told."""
    image = build_ext2(PLAN, size=1 << 20)
    a, b = number_of(image, b"a.bin"), number_of(image, b"b.bin")
    at = folder_block(image, 12, 2)
    (below,) = struct.unpack_from("<I", image, image.index(b"\x05\x02below") - 6)
    image[at : at + BLOCK] = bytes(BLOCK)
    source = opened(image)
    entries, problems = walked(source)
    assert content_by_path(source, entries) == {
        "/d.bin": b"d" * 900,
        "/empty.bin": b"",
        f"/$OrphanFiles/OrphanFile-{below}/c.bin": b"c" * 9000,
        f"/$OrphanFiles/OrphanFile-{a}": b"a" * 5000,
        f"/$OrphanFiles/OrphanFile-{b}": b"b" * 700,
    }
    assert {e.state for e in entries if e.path.startswith("/$Orphan")} == {State.ORPHAN}
    assert told(problems) == [("folder-unreadable", "/sub")]
    (note,) = [problem for problem in problems if problem.severity is Severity.NOTE]
    assert note.code == "file-without-name"
    assert note.detail.endswith(": 3")
    assert {e.path for e in entries if in_use(e)} == {e.path for e in entries if e.state is State.ORPHAN}


def test_folders_without_a_name_keep_the_names_in_them(opened: Callable[..., Any], walked: Callable[..., Any]) -> None:
    image = build_ext2(PLAN, size=1 << 20)
    d = number_of(image, b"d.bin")
    at = folder_block(image, 2, 2)
    image[at : at + BLOCK] = bytes(BLOCK)
    source = opened(image)
    entries, problems = walked(source)
    top = "/$OrphanFiles/OrphanFile-12"
    assert content_by_path(source, entries) == {
        f"{top}/a.bin": b"a" * 5000,
        f"{top}/b.bin": b"b" * 700,
        f"{top}/below/c.bin": b"c" * 9000,
        f"/$OrphanFiles/OrphanFile-{d}": b"d" * 900,
    }
    assert told(problems) == [("folder-unreadable", "/")]


def test_a_chain_of_names_that_breaks_is_told_and_what_stands_behind_it_is_listed(
    opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    """Sleuth Kit looks for the next entry and says nothing of the one that it lost."""
    image = build_ext2(PLAN, size=1 << 20)
    a = number_of(image, b"a.bin")
    at = image.index(b"\x05\x01a.bin") - 6
    struct.pack_into("<H", image, at + 4, 7)
    source = opened(image)
    entries, problems = walked(source)
    paths = {entry.path for entry in entries}
    assert {"/sub/b.bin", "/sub/below/c.bin", f"/$OrphanFiles/OrphanFile-{a}"} <= paths
    (problem,) = [problem for problem in problems if problem.severity is Severity.PROBLEM]
    assert (problem.code, problem.path) == ("folder-unreadable", "/sub")
    assert "damaged in 1 of 1 blocks" in problem.detail


def test_a_record_in_use_that_holds_no_file_is_counted(opened: Callable[..., Any], walked: Callable[..., Any]) -> None:
    image = build_ext2(PLAN, size=1 << 20)
    a, at = number_of(image, b"a.bin"), folder_block(image, 12, 2)
    image[at : at + BLOCK] = bytes(BLOCK)
    image[TABLE + (a - 1) * INODE : TABLE + a * INODE] = bytes(INODE)
    _, problems = walked(opened(image))
    (problem,) = [problem for problem in problems if problem.code == "volume-unaccounted"]
    assert problem.severity is Severity.PROBLEM
    assert problem.detail.startswith("1 file records are in use")


def test_a_name_whose_record_is_no_file_is_a_problem_of_that_file(
    opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    """It was counted among devices and pipes, in a note."""
    image = build_ext2(PLAN, size=1 << 20)
    a = number_of(image, b"a.bin")
    image[TABLE + (a - 1) * INODE : TABLE + a * INODE] = bytes(INODE)
    entries, _ = walked(opened(image))
    (entry,) = [entry for entry in entries if entry.path == "/sub/a.bin"]
    assert not entry.readable
    assert told(list(entry.problems)) == [("metadata-unreadable", "/sub/a.bin")]


def test_a_wiped_map_of_records_loses_no_file(opened: Callable[..., Any], walked: Callable[..., Any]) -> None:
    image = build_ext2(PLAN, size=1 << 20)
    image[3 * BLOCK : 4 * BLOCK] = bytes(BLOCK)
    at = folder_block(image, 12, 2)
    image[at : at + BLOCK] = bytes(BLOCK)
    source = opened(image)
    entries, problems = walked(source)
    assert {b"a" * 5000, b"b" * 700, b"c" * 9000, b"d" * 900} <= set(content_by_path(source, entries).values())
    details = [problem.detail for problem in problems if problem.code == "volume-unaccounted"]
    assert details == ["the superblock counts 18 file records in use, the maps of records 0: one of the two is damaged"]


@pytest.mark.parametrize(
    "options",
    [
        "-t ext2 -b 1024 -g 2048",
        "-t ext3",
        "-t ext4 -b 1024 -g 2048",
        "-t ext4 -O meta_bg,^resize_inode -g 2048 -b 1024",
        "-t ext4 -O inline_data,64bit,metadata_csum -I 256",
    ],
)
def test_every_file_is_found_by_its_record_whatever_the_layout(
    options: str, tmp_path: Path, opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    if shutil.which("mke2fs") is None:
        pytest.skip("e2fsprogs, which makes these volumes, is not installed")
    folder, path = tmp_path / "folder", tmp_path / "ext.dd"
    wanted = []
    for number in range(60):
        file = folder / f"f{number % 4}" / f"{number}.bin"
        file.parent.mkdir(parents=True, exist_ok=True)
        wanted.append(hashlib.sha256(b"%d" % number).digest() * 60)
        file.write_bytes(wanted[-1])
    with path.open("wb") as made:
        made.truncate(8 << 20)
    subprocess.run(["mke2fs", "-q", "-F", *options.split(), "-d", folder, path], check=True, capture_output=True)
    source = opened(path)
    entries, problems = walked(source)
    assert not problems
    assert sorted(content_by_path(source, entries).values()) == sorted(wanted)
    # the lists of names of all folders but the root, which begin with themselves, are wiped
    system = source._systems[0]
    image = bytearray(path.read_bytes())
    numbers = {name.info.name.name: int(name.info.name.meta_addr) for name in system.fs.open_dir(path="/")}
    for number in range(4):
        inode = numbers[b"f%d" % number]
        head = SHORT.pack(inode, 12, 1, 2) + b".\0\0\0" + SHORT.pack(2, 12, 2, 2)
        if head in image:
            at = image.index(head)
            image[at : at + system.block_size] = bytes(system.block_size)
    source = opened(image)
    entries, _ = walked(source)
    assert sorted(content_by_path(source, entries).values()) == sorted(wanted)
    assert sum(entry.state is State.ORPHAN for entry in entries) in (45, 60)


def test_blocks_of_names_are_damaged_where_the_chain_does_not_reach_the_end() -> None:
    good = SHORT.pack(5, 12, 1, 2) + b".\0\0\0" + SHORT.pack(6, 1012, 3, 1) + b"abc" + bytes(1001)
    assert len(good) == 1024
    assert damaged_blocks(good * 3, 1024, 100) == 0
    unused = SHORT.pack(0, 1024, 0, 0) + bytes(1016)
    assert damaged_blocks(good + unused, 1024, 100) == 0
    for at, value in ((4, 10), (4, 0), (4, 9), (18, 0), (18, 255), (17, 7)):  # length, of the name, of the second entry
        broken = bytearray(good + good)
        broken[at] = value
        assert damaged_blocks(bytes(broken), 1024, 100) == (1 if (at, value) != (18, 255) else 0), (at, value)
    assert damaged_blocks(bytes(2048), 1024, 100) == 2
    assert damaged_blocks(good, 1024, 5) == 1


# ------------------------------------------------------------ NTFS


def test_files_of_ntfs_in_a_folder_with_a_damaged_index_are_listed_under_their_own_names(
    opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    """The whole folder was lost, with all its files, and one Problem of the folder was all that was told."""
    plan = [PlannedFile(f"/pics/p{number:03}.bin", bytes((number,)) * 3000) for number in range(60)]
    image = build_ntfs([*plan, PlannedFile("/pics/deep/x.bin", b"x" * 2500)], size=4 << 20)
    source = opened(image)
    entries, problems = walked(source)
    assert not problems
    whole = content_by_path(source, entries)
    at = image.index("p000.bin".encode("utf-16-le"), image.index(b"INDX")) // 4096 * 4096
    assert image[at : at + 4] == b"INDX"
    image[at + 510] ^= 1  # the end of its first sector is not as its fixup says
    source = opened(image)
    entries, problems = walked(source)
    found = content_by_path(source, entries)
    assert sorted(found.values()) == sorted(whole.values())
    orphans = {entry.path for entry in entries if entry.state is State.ORPHAN}
    assert "/$OrphanFiles/p000.bin" in orphans
    assert {entry.path for entry in entries if in_use(entry)} == orphans
    assert "file-without-name" in {problem.code for problem in problems}


def test_records_of_ntfs_that_are_no_records_are_counted(
    opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    plan = [PlannedFile(f"/p{number}.bin", bytes((number,)) * 3000) for number in range(9)]
    image = build_ntfs(plan, size=4 << 20)
    for name in ("p3.bin", "p5.bin"):
        at = image.index(b"FILE", image.index(name.encode("utf-16-le"), image.index(b"FILE")) // 1024 * 1024)
        image[at : at + 4] = b"BAAD"
    _, problems = walked(opened(image))
    (problem,) = [problem for problem in problems if problem.code == "volume-unaccounted"]
    assert problem.detail.startswith("2 file records are in use")


# ------------------------------------------------------------ the set


@given(st.lists(st.integers(0, 200_000) | st.integers(0, 1 << 40)), st.integers(0, 150_000), st.integers(0, 70_000))
def test_a_set_of_numbers_is_a_set(numbers: list[int], first: int, count: int) -> None:
    made, plain = NumberSet(), set(numbers)
    for number in numbers:
        made.add(number)
    assert [number in made for number in numbers] == [True] * len(numbers)
    assert (first in made) == (first in plain)
    within = made.within(first, count)
    assert len(within) == count
    assert {first + place for place in within.nonzero()[0].tolist()} == {n for n in plain if first <= n < first + count}


# ------------------------------------------------------------ FAT, exFAT, ISO 9660

FAT_KINDS = {
    "fat12": lambda plan: build_fat(plan, size=2 << 20, bits=12),
    "fat16": lambda plan: build_fat(plan, size=8 << 20, bits=16, cluster=512),
    "fat32": lambda plan: build_fat(plan, size=40 << 20, bits=32, cluster=512),
    "exfat": lambda plan: build_exfat(plan, size=8 << 20),
}
FAT_PLAN = [
    *(PlannedFile(f"/pics/p{number}.bin", bytes((number + 1,)) * 3000, pieces=1 + number % 2) for number in range(9)),
    PlannedFile("/pics/below/x.bin", b"x" * 2500),
    PlannedFile("/gone.bin", b"g" * 2500, deleted=True),
    PlannedFile("/other.bin", b"o" * 2500),
]


def entry_of(source: EvidenceSource, name: bytes) -> int:
    """Where the (first) slot of a name of the root folder stands."""
    system = source._systems[0]
    (found,) = [one for one in system.fs.open_dir(path="/") if one.info.name.name == name]
    return int(system.fat._data + (int(found.info.name.meta_addr) - 3) * 32)


@pytest.mark.parametrize("kind", sorted(FAT_KINDS))
def test_a_folder_of_fat_whose_entry_is_gone_is_found_by_its_clusters(
    kind: str, opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    """The folder and all in it vanished without a word."""
    image = FAT_KINDS[kind](FAT_PLAN)
    source = opened(image)
    entries, problems = walked(source)
    assert not problems
    whole = content_by_path(source, entries)
    at = entry_of(source, b"pics")
    image[at : at + 32] = b"\xff" * 32
    source = opened(image)
    entries, problems = walked(source)
    found = content_by_path(source, entries)
    assert sorted(found.values()) == sorted(whole.values())
    assert {"/$OrphanFiles/p0.bin", "/$OrphanFiles/below/x.bin"} <= set(found)
    notes = {problem.code: problem.detail for problem in problems if problem.severity is Severity.NOTE}
    assert notes["file-without-name"].endswith(": 10")
    assert sum(map(in_use, entries)) == sum(entry.state is State.ORPHAN for entry in entries) > 8
    (problem,) = [problem for problem in problems if problem.severity is Severity.PROBLEM]
    assert problem.code == "volume-unaccounted"  # the clusters of the folder itself
    clusters = int(problem.detail.split()[0])
    assert clusters <= 2


@pytest.mark.parametrize("kind", sorted(FAT_KINDS))
def test_clusters_of_a_file_whose_entry_is_gone_are_counted(
    kind: str, opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    image = FAT_KINDS[kind](FAT_PLAN)
    source = opened(image)
    at, size = entry_of(source, b"other.bin"), source._systems[0].fat.cluster_size
    image[at : at + 32] = b"\xff" * 32
    (problem,) = [one for one in walked(opened(image))[1] if one.code == "volume-unaccounted"]
    clusters = -(-2500 // size)
    assert problem.detail.startswith(f"{clusters} clusters ({clusters * size} bytes) are in use and belong to no file")


def test_unowned_clusters_are_those_that_following_each_chain_leaves(opened: Callable[..., Any]) -> None:
    """The naive way: one cluster after the other, for every choice of files."""
    for kind, build in FAT_KINDS.items():
        source = opened(build(FAT_PLAN))
        fat = source._systems[0].fat
        entries = [one for one in source.walk() if isinstance(one, FileEntry) and one.state is State.ALLOCATED]
        owners = [fat.owned_from(one.inode) for one in entries]
        chains = FatChains(fat, fat.read)
        used = {n for n in range(2, fat.layout.last + 1) if fat.is_allocated(n)}
        assert {n for low, high in chains.in_use for n in range(low, high)} == used
        for leave in range(len(owners)):
            kept = owners[:leave] + owners[leave + 1 :]
            own = {
                n
                for start, end in fat.own_areas()
                if start >= fat.layout.heap
                for n in range(fat.cluster_at(start), fat.cluster_at(end - 1) + 1)
            }
            for first, together in kept:
                own.update(range(first, first + together))
                cluster = 0 if together else first
                while 2 <= cluster <= fat.layout.last:
                    own.add(cluster)
                    cluster = fat._chain_value(cluster)
            assert {n for low, high in chains.unowned(kept) for n in range(low, high)} == used - own, (kind, leave)
            assert chains.doubled == 0


def test_two_files_in_the_same_clusters_and_two_tables_that_differ_are_told(
    opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    image = build_fat(FAT_PLAN, size=8 << 20, bits=16, cluster=512)
    source = opened(image)
    fat = source._systems[0].fat
    layout = fat.layout
    cluster = fat.first_cluster((entry_of(source, b"other.bin") - fat._data) // 32 + 3)
    doubled = bytearray(image)
    struct.pack_into("<H", doubled, entry_of(source, b"pics") + 26, cluster)
    details = [one.detail for one in walked(opened(doubled))[1] if one.code == "volume-unaccounted"]
    assert any("clusters are claimed by more than one file" in detail for detail in details)
    torn = bytearray(image)
    torn[layout.table + 2 * cluster] ^= 1
    details = [one.detail for one in walked(opened(torn))[1] if one.code == "volume-unaccounted"]
    assert "the two copies of the table of clusters differ in 1 bytes: one of them is damaged" in details


def test_a_wiped_folder_of_fat_is_a_problem(opened: Callable[..., Any], walked: Callable[..., Any]) -> None:
    image = build_fat(FAT_PLAN, size=8 << 20, bits=16, cluster=512)
    at = image.index(b".          \x10")
    image[at : at + 64] = bytes(64)
    assert ("folder-unreadable", "/pics") in told(walked(opened(image))[1]) or (
        "folder-unreadable",
        "/pics/below",
    ) in told(walked(opened(image))[1])


def test_records_of_a_cd_that_disagree_with_themselves_are_a_problem_of_their_folder(
    opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    plan = [PlannedFile(f"/SUB/F{number}.BIN", bytes((number,)) * 900) for number in range(9)]
    image = build_iso([*plan, PlannedFile("/ROOT.BIN", b"r" * 700)])
    assert not walked(opened(image))[1]
    at = image.index(b"F3.BIN") - 33
    for place, value in ((0, 0), (0, 35), (2, 0x7F), (10, 1), (32, 200)):
        broken = bytearray(image)
        broken[at + place] = value
        problems = walked(opened(broken))[1]
        assert ("folder-unreadable", "/SUB") in told(problems), (place, value)
