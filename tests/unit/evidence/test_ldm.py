"""Windows dynamic disks: every volume of the database is found, also where the partition table does not say so."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from support.ldm import DATABASE, RAID5, SECTOR, START, STRIPED, DynamicVolume, Part, build_dynamic, database_of
from support.volumes import in_file_systems

from caid_triage.errors import EvidenceError
from caid_triage.model import FileEntry, Severity
from caid_triage.synth.ext import build_ext2
from caid_triage.synth.gpt import GptPartition, build_gpt
from caid_triage.synth.plan import PlannedFile

SIZE = 2048  # sectors of a volume


def system(letter: str) -> bytes:
    plan = [PlannedFile(f"/{letter}{n}.bin", bytes([n, ord(letter)]) * (15_000 + n)) for n in range(1, 25)]
    return bytes(build_ext2(plan, size=SIZE * SECTOR))


A, B = system("a"), system("b")
SIMPLE = DynamicVolume("Volume1", SIZE, [[Part(0, 0, SIZE)]])
SPANNED = DynamicVolume("Volume2", SIZE, [[Part(0, 2048, 1000), Part(0, 5000, 1048, 1000)]])


def content_of(source: Any, volume: str) -> dict[str, bytes]:
    return {
        item.path: b"".join(source.chunks(item))
        for item in source.walk()
        if isinstance(item, FileEntry) and item.volume == volume and item.readable
    }


def test_simple_and_spanned_volumes(opened: Callable[..., Any]) -> None:
    disk = build_dynamic([SIMPLE, SPANNED], [A, B])
    source = opened(disk)
    assert [(v.name, v.file_system, v.status) for v in source.volumes()] == [
        ("p1", "Windows dynamic disk", "unwrapped"),
        ("p1/Volume1", "ext2", "examined"),
        ("p1/Volume2", "ext2", "examined"),
    ]
    assert source.volumes()[1].description == "simple volume Volume1 of a Windows dynamic disk"
    assert source.problems() == ()
    assert content_of(source, "p1/Volume1") == content_of(opened(A), "p0")
    assert content_of(source, "p1/Volume2") == content_of(opened(B), "p0")
    for entry in source.walk():
        if isinstance(entry, FileEntry) and entry.physical_offset is not None and entry.size:
            head = next(source.chunks(entry))[:512]
            assert bytes(disk[entry.physical_offset :][: len(head)]) == head
    coverage = source.coverage()
    assert in_file_systems(coverage) == 2 * SIZE * SECTOR
    assert sum(coverage.values()) == len(disk)


@pytest.mark.parametrize("chunk", [8, 128])
def test_stripes_and_mirrors(chunk: int, opened: Callable[..., Any]) -> None:
    stripes = [Part(0, 0, SIZE // 2, 0, 0), Part(0, 3000, SIZE // 2, 0, 1)]
    striped = DynamicVolume("Stripe1", SIZE, [stripes], STRIPED, chunk)
    mirror = DynamicVolume("Mirror1", SIZE, [[Part(1, 0, SIZE)], [Part(0, 5000, SIZE)]])
    source = opened(build_dynamic([striped, mirror], [A, B]))
    assert [(v.name, v.status) for v in source.volumes()][1:] == [
        ("p1/Stripe1", "examined"),
        ("p1/Mirror1", "examined"),
    ]
    assert source.problems() == ()
    assert content_of(source, "p1/Stripe1") == content_of(opened(A), "p0")
    assert content_of(source, "p1/Mirror1") == content_of(opened(B), "p0")
    assert in_file_systems(source.coverage()) == 2 * SIZE * SECTOR


def test_what_lies_on_another_disk_is_named(opened: Callable[..., Any]) -> None:
    spanned = DynamicVolume("Span1", SIZE, [[Part(0, 0, 512), Part(1, 0, 400, 512), Part(0, 600, 1136, 912)]])
    away = DynamicVolume("Away1", SIZE, [[Part(1, 3000, SIZE)]])
    raid = DynamicVolume("Raid1", SIZE, [[Part(0, 3000, 1024), Part(1, 6000, 1024, 0, 1)]], RAID5)
    source = opened(build_dynamic([spanned, away, raid], [A, B, B]))
    assert [(v.name, v.status) for v in source.volumes()][1:] == [
        ("p1/Span1", "examined"),
        ("p1/Raid1", "not-understood"),
    ]
    problems = {(p.code, p.volume): p for p in source.problems()}
    assert set(problems) == {
        ("volume-incomplete", "p1/Span1"),
        ("volume-incomplete", "p1/Raid1"),
        ("volume-group-spread", "p1"),
    }
    assert all(p.severity is Severity.PROBLEM for p in problems.values())
    assert (
        f"{400 * SECTOR} bytes from byte {512 * SECTOR} on on Disk2" in problems["volume-incomplete", "p1/Span1"].detail
    )
    wanted, read, lost = content_of(opened(A), "p0"), 0, 0
    for entry in source.walk():
        if isinstance(entry, FileEntry) and entry.readable and entry.volume == "p1/Span1":
            try:
                assert b"".join(source.chunks(entry)) == wanted[entry.path]
                read += 1
            except EvidenceError:
                lost += 1
    assert min(read, lost) > 3


@pytest.mark.parametrize(
    ("place", "says"),
    [(17 * SECTOR, "VMDB"), (17 * SECTOR + 17, "being changed"), (18 * SECTOR, "a record of it is damaged")],
)
def test_a_damaged_database_is_named(place: int, says: str, opened: Callable[..., Any]) -> None:
    disk = build_dynamic([SIMPLE, SPANNED], [A, B])
    disk[(START + 8192) * SECTOR + place] ^= 0x55
    source = opened(disk)
    problem = source.problems()[0]
    assert (problem.code, problem.severity, problem.volume) == ("layer-damaged", Severity.PROBLEM, "p1")
    assert says in problem.detail
    assert "ldmtool" in problem.detail
    assert content_of(source, "p1") == content_of(opened(A), "p0")  # what the table itself leads to is not lost


def test_a_dynamic_partition_without_a_database_is_named(opened: Callable[..., Any]) -> None:
    disk = build_dynamic([SIMPLE], [A])
    disk[6 * SECTOR : 6 * SECTOR + 8] = bytes(8)
    source = opened(disk)
    assert [(p.code, p.severity) for p in source.problems()] == [("layer-damaged", Severity.PROBLEM)]
    assert "dynamic disk" in source.problems()[0].detail


def test_on_a_gpt_disk(opened: Callable[..., Any]) -> None:
    table, data = UUID("5808c8aa-7e8f-42e0-85d2-e1e90434cfb3"), UUID("af9b60a0-1431-4f62-bc68-3311714a69ad")
    empty = [
        GptPartition(table, "LDM metadata partition", bytes(DATABASE * SECTOR)),
        GptPartition(data, "LDM data partition", bytes(8192 * SECTOR)),
    ]
    plain = opened(build_gpt(empty))
    (first, second) = plain.volumes()
    start = second.offset // SECTOR
    disk = bytearray(build_gpt(empty))
    database = bytearray(database_of([SIMPLE, SPANNED], 0, 8192, disks=2, start=start))
    for sector in (1856, 2047):
        struct.pack_into(">QQQQ", database, sector * SECTOR + 0x11B, start, 8192, first.offset // SECTOR, DATABASE)
    disk[first.offset : first.offset + len(database)] = database
    disk[second.offset : second.offset + len(A)] = A
    at = second.offset + 2048 * SECTOR
    disk[at : at + 1000 * SECTOR] = B[: 1000 * SECTOR]
    at = second.offset + 5000 * SECTOR
    disk[at : at + 1048 * SECTOR] = B[1000 * SECTOR :]
    source = opened(disk)
    assert [(v.name, v.file_system, v.status) for v in source.volumes()] == [
        ("p1", "Windows dynamic disk table", "unwrapped"),
        ("p2", "Windows dynamic disk", "unwrapped"),
        ("p2/Volume1", "ext2", "examined"),
        ("p2/Volume2", "ext2", "examined"),
    ]
    assert source.problems() == ()
    assert content_of(source, "p2/Volume2") == content_of(opened(B), "p0")
    assert sum(source.coverage().values()) == len(disk)


def test_a_header_that_was_left_behind_on_a_basic_disk_is_nothing(opened: Callable[..., Any]) -> None:
    disk = build_dynamic([SIMPLE, SPANNED], [A, B])
    disk[446 + 4] = 0x83
    source = opened(disk)
    assert [(v.name, v.file_system, v.status) for v in source.volumes()] == [("p1", "ext2", "examined")]
    assert source.problems() == ()


def test_no_database_makes_it_crash(opened: Callable[..., Any]) -> None:
    good = build_dynamic([SIMPLE, SPANNED], [A, B])
    chance = random.Random(7)
    base = (START + 8192) * SECTOR
    for _ in range(250):
        disk = bytearray(good)
        for _ in range(chance.choice((1, 2, 20))):
            at = chance.choice((6 * SECTOR, base + 17 * SECTOR, base + 18 * SECTOR, base + 18 * SECTOR))
            disk[at + chance.randrange(0, 1800 if at > 17 * SECTOR + base else SECTOR)] = chance.randrange(256)
        source = opened(disk)
        assert sum(source.coverage().values()) == len(disk)
        for entry in source.walk():
            assert entry.volume.startswith("p1")


def test_parts_that_lie_over_each_other_are_not_put_together(opened: Callable[..., Any]) -> None:
    """What is read there and where it is said to lie would be two different places."""
    overlapping = DynamicVolume("Volume2", SIZE, [[Part(0, 2048, SIZE), Part(0, 5000, 700, 900)]])
    source = opened(build_dynamic([SIMPLE, overlapping], [A, B]))
    assert [(v.name, v.status) for v in source.volumes()][1:] == [
        ("p1/Volume1", "examined"),
        ("p1/Volume2", "not-understood"),
    ]
    assert [(p.code, p.volume) for p in source.problems()] == [("volume-incomplete", "p1/Volume2")]
