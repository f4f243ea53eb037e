"""Partition tables: what is there is found, what is broken is a Problem, and no table can make it hang or crash."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caid_triage.evidence.account import DiskAccount
from caid_triage.evidence.coverage import KIND_OF_STATUS
from caid_triage.evidence.source import open_source
from caid_triage.model import Volume
from caid_triage.synth.gpt import BASIC_DATA, GptPartition, build_gpt
from caid_triage.synth.lessons import build_lesson

SECTORS = 4096


def boot_record(*slots: tuple[int, int, int], size: int = SECTORS) -> bytearray:
    """A disk of zeros with a boot record of (type, first sector, sectors)."""
    disk = bytearray(size * 512)
    put_record(disk, 0, slots)
    return disk


def put_record(disk: bytearray, sector: int, slots: tuple[tuple[int, int, int], ...]) -> None:
    for number, (kind, start, count) in enumerate(slots):
        struct.pack_into("<BBBBBBBBII", disk, sector * 512 + 446 + 16 * number, 0, 0, 0, 0, kind, 0, 0, 0, start, count)
    disk[sector * 512 + 510 : sector * 512 + 512] = b"\x55\xaa"


def starts(source: Any) -> list[tuple[str, int]]:
    return [(volume.name, volume.offset // 512) for volume in source.volumes()]


def test_primaries_come_first_and_logical_ones_in_the_order_of_their_chain(opened: Callable[..., Any]) -> None:
    disk = boot_record((0x83, 8, 100), (0x05, 200, 2000), (0x07, 3000, 100))
    put_record(disk, 200, ((0x83, 8, 50), (0x05, 500, 100)))
    put_record(disk, 700, ((0x83, 8, 50),))
    source = opened(disk)
    assert starts(source) == [("p1", 8), ("p2", 3000), ("p3", 208), ("p4", 708)]
    assert [volume.status for volume in source.volumes()] == ["empty"] * 4
    coverage = source.coverage()
    assert coverage["partition_table"] == 3 * 512
    assert coverage["not_understood"] == 300 * 512
    assert sum(coverage.values()) == SECTORS * 512


def test_a_chain_that_runs_in_a_circle_ends_with_a_problem(opened: Callable[..., Any]) -> None:
    disk = boot_record((0x0F, 200, 2000))
    put_record(disk, 200, ((0x83, 8, 50), (0x05, 500, 100)))
    put_record(disk, 700, ((0x83, 8, 50), (0x05, 0, 100)))
    source = opened(disk)
    assert starts(source) == [("p1", 208), ("p2", 708)]
    assert source.problems()[0].code == "partition-table-damaged"
    assert "circle" in source.problems()[0].detail


def test_a_broken_chain_keeps_what_came_before(opened: Callable[..., Any]) -> None:
    disk = boot_record((0x0F, 200, 2000))
    put_record(disk, 200, ((0x83, 8, 50), (0x05, 500, 100)))
    source = opened(disk)
    assert starts(source) == [("p1", 208)]
    assert "broken at sector 700" in source.problems()[0].detail


def test_a_partition_behind_the_end_and_one_cut_off_are_problems(opened: Callable[..., Any]) -> None:
    disk = boot_record((0x83, 8, 100), (0x83, 5000, 100), (0x83, 4000, 200))
    source = opened(disk)
    assert starts(source) == [("p1", 8), ("p2", 4000)]
    codes = [problem.code for problem in source.problems()]
    assert codes.count("partition-table-damaged") == 1
    assert codes.count("image-truncated") == 1
    assert source.volumes()[1].length == 96 * 512
    assert sum(source.coverage().values()) == SECTORS * 512


@pytest.fixture(scope="module")
def gpt_disk() -> bytearray:
    image = bytes(build_lesson("deleted-fat12").image)
    return build_gpt([GptPartition(BASIC_DATA, "one", image), GptPartition(BASIC_DATA, "two", image)])


def test_both_partitions_of_a_gpt_are_found(gpt_disk: bytearray, opened: Callable[..., Any]) -> None:
    source = opened(gpt_disk)
    assert [(v.name, v.file_system, v.status) for v in source.volumes()] == [
        ("p1", "FAT12", "examined"),
        ("p2", "FAT12", "examined"),
    ]
    assert source.problems() == ()


def test_a_gpt_whose_first_header_is_damaged_is_read_from_its_backup(
    gpt_disk: bytearray, opened: Callable[..., Any]
) -> None:
    disk = bytearray(gpt_disk)
    disk[512 + 24] ^= 0xFF
    source = opened(disk)
    assert [volume.name for volume in source.volumes()] == ["p1", "p2"]
    assert [problem.code for problem in source.problems()] == ["partition-table-damaged"]


def test_a_gpt_whose_list_is_damaged_is_read_from_its_backup(gpt_disk: bytearray, opened: Callable[..., Any]) -> None:
    disk = bytearray(gpt_disk)
    lba = struct.unpack_from("<Q", disk, 512 + 72)[0]
    disk[lba * 512 + 32] ^= 0xFF
    source = opened(disk)
    assert [volume.status for volume in source.volumes()] == ["examined", "examined"]
    assert [problem.code for problem in source.problems()] == ["partition-table-damaged"]


def test_a_whole_disk_file_system_wins_over_a_table_without_one(opened: Callable[..., Any]) -> None:
    image = bytearray(build_lesson("deleted-ext2").image)
    put_record(image, 0, ((0x83, 9000, 10),))  # ext leaves the first 1024 bytes free
    source = opened(image)
    assert [(v.name, v.file_system) for v in source.volumes()] == [("p0", "ext2")]
    assert [problem.code for problem in source.problems()] == ["partition-table-ignored"]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    st.lists(
        st.tuples(st.sampled_from([0, 5, 7, 15, 0x83, 0xEE]), st.integers(0, 5000), st.integers(0, 5000)), max_size=4
    ),
    st.binary(max_size=2048),
)
def test_no_table_makes_it_crash_or_lose_count_of_a_byte(
    tmp_path: Path, slots: list[tuple[int, int, int]], noise: bytes
) -> None:
    disk = boot_record(*slots, size=600)
    disk[512 : 512 + len(noise)] = noise
    path = tmp_path / "disk.img"
    path.write_bytes(disk)
    source = open_source(path, "E", "S")
    assert sum(source.coverage().values()) == len(disk)
    list(source.walk())
    source.close()


@given(
    st.integers(1, 10_000),
    st.lists(
        st.tuples(
            st.integers(0, 12_000),
            st.integers(0, 5000),
            st.sampled_from(["examined", "not-understood", "encrypted", "unreadable", "empty"]),
        ),
        max_size=6,
    ),
    st.lists(st.tuples(st.integers(0, 12_000), st.integers(0, 600)), max_size=4),
)
def test_every_byte_is_in_exactly_one_kind(
    size: int, areas: list[tuple[int, int, str]], tables: list[tuple[int, int]]
) -> None:
    volumes = [Volume(f"p{n}", offset, length, "", "", status) for n, (offset, length, status) in enumerate(areas)]
    claims = [(v.offset, v.length, KIND_OF_STATUS[v.status], v.name) for v in volumes]
    totals = DiskAccount(size, volumes, claims, tables).ledger().coverage()
    assert sum(totals.values()) == size
    assert all(count >= 0 for count in totals.values())


def test_physical_offsets_count_from_the_start_of_the_disk(
    fat_image: bytes, opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    sectors = len(fat_image) // 512
    disk = boot_record((0x06, 100, sectors), size=sectors + 100)
    disk[100 * 512 :] = fat_image
    source = opened(disk)
    assert [(v.name, v.offset, v.file_system) for v in source.volumes()] == [("p1", 51200, "FAT16")]
    entries = [e for e in walked(source)[0] if e.physical_offset is not None]
    assert entries
    for entry in entries:
        head = next(source.chunks(entry))[:512]
        assert bytes(disk[entry.physical_offset : entry.physical_offset + len(head)]) == head
    found = source.coverage()
    assert found["unallocated"] > 0
    assert found["file_system"] + found["unallocated"] == len(fat_image)
    assert {kind: count for kind, count in found.items() if count and kind not in ("file_system", "unallocated")} == {
        "unpartitioned": 99 * 512,
        "partition_table": 512,
    }


def apple_map(size: int, *parts: tuple[str, str, int, int]) -> bytearray:
    """A disk with an Apple partition map: (name, type, first block, blocks) each; Inside Macintosh: Devices, 3-22."""
    disk = bytearray(size)
    struct.pack_into(">2sHI", disk, 0, b"ER", 512, size // 512)
    everything = [("Apple", "Apple_partition_map", 1, 63), *parts]
    for number, (name, kind, start, count) in enumerate(everything, 1):
        entry = struct.pack(">2sHIII32s32s", b"PM", 0, len(everything), start, count, name.encode(), kind.encode())
        entry += struct.pack(">III", 0, count, 0x33)
        disk[number * 512 : number * 512 + len(entry)] = entry
    return disk


def test_the_partitions_of_an_apple_map(
    fat_image: bytes, ext_image: bytes, opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    first, second = 64, 64 + len(fat_image) // 512 + 10
    disk = apple_map(
        (second + 8) * 512 + len(ext_image),
        ("one", "Apple_HFS", first, len(fat_image) // 512),
        ("two", "Apple_UNIX_SVR2", second, len(ext_image) // 512),
    )
    disk[first * 512 : first * 512 + len(fat_image)] = fat_image
    disk[second * 512 : second * 512 + len(ext_image)] = ext_image
    source = opened(disk)
    found = [(v.file_system, v.offset // 512, v.status) for v in source.volumes() if v.status == "examined"]
    assert found == [("FAT16", first, "examined"), ("ext2", second, "examined")]
    assert all("(Apple)" in v.description for v in source.volumes())
    assert len(walked(source)[0]) == len(walked(opened(fat_image))[0]) + len(walked(opened(ext_image))[0])
    coverage = source.coverage()
    assert coverage["file_system"] + coverage["unallocated"] == len(fat_image) + len(ext_image)
    assert sum(coverage.values()) == len(disk)
