"""Snapshots of APFS: each is a volume with the files that it alone has as they are there, read through libfsapfs."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.apfs import BLOCK, Disk, content_at, fletcher, signed, without_name
from support.volumes import in_file_systems

from caid_triage.evidence.layers import apfs_snapshots
from caid_triage.evidence.layers.apfs_container import Container, checksum_of
from caid_triage.evidence.layers.apfs_snapshots import PastFile, _ObjectMap, versions_at
from caid_triage.evidence.layers.layer import Area
from caid_triage.evidence.layers.shared_content import SharedContent
from caid_triage.evidence.proxied import read_range
from caid_triage.model import FileEntry, Severity
from caid_triage.synth.mbr import Partition, build_mbr

PASSWORDS = 18  # the number of /passwords.txt in the image
NEW = b"other content of the same length".ljust(BLOCK, b".")


@pytest.fixture(scope="module")
def before(shared: Path) -> bytes:
    """A container that macOS made (log2timeline/dfvfs), without snapshots."""
    return (shared / "images" / "dfvfs-apfs.raw").read_bytes()


@pytest.fixture(scope="module")
def disk(before: bytes) -> Disk:
    """The same, after two snapshots: first a file was overwritten, then one deleted."""
    made = Disk(before)
    made.take_snapshot("monday", 1_700_000_000 * 10**9)
    place = made.free()
    made.put(place, NEW)
    made.change(content_at(PASSWORDS, place))
    made.take_snapshot("tuesday", 1_710_000_000 * 10**9)
    made.change(without_name("a_file"))
    return made


def content_of(source: Any, volume: str) -> dict[str, bytes]:
    return {
        item.path: b"".join(source.chunks(item))
        for item in source.walk()
        if isinstance(item, FileEntry) and item.volume == volume
    }


@pytest.mark.parametrize("partitioned", [False, True])
def test_each_snapshot_is_a_volume_and_what_differs_is_listed(
    partitioned: bool, disk: Disk, before: bytes, opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    image = bytes(build_mbr([Partition(0xAF, bytes(disk.data))])) if partitioned else bytes(disk.data)
    source = opened(image)
    name = "p1" if partitioned else "p0"
    assert [(v.name, v.status, v.description.partition(",")[0]) for v in source.volumes()][1:] == [
        (f"{name}/apfs1", "examined", "APFS volume 1 (apfs_test)"),
        (f"{name}/apfs1/snap1", "examined", "snapshot monday of 2023-11-14 22:13:20 UTC"),
        (f"{name}/apfs1/snap2", "examined", "snapshot tuesday of 2024-03-09 16:00:00 UTC"),
    ]
    assert source.problems() == ()
    was = content_of(opened(before), "p0/apfs1")
    now = content_of(source, f"{name}/apfs1")
    assert set(was) - set(now) == {"/a_directory/a_file"}
    assert now["/passwords.txt"] == NEW[: len(was["/passwords.txt"])]
    assert content_of(source, f"{name}/apfs1/snap1") == {
        path: was[path] for path in ("/passwords.txt", "/a_directory/a_file")
    }
    assert content_of(source, f"{name}/apfs1/snap2") == {"/a_directory/a_file": was["/a_directory/a_file"]}
    entries, problems = walked(source)
    assert [entry.number for entry in entries] == list(range(len(entries)))
    for entry in entries:
        if entry.physical_offset is not None and entry.size:
            head = b"".join(source.chunks(entry))[:512]
            assert image[entry.physical_offset :][: len(head)] == head
    notes = [p for p in problems if p.code == "unchanged-since-snapshot"]
    assert [(p.volume, p.severity, p.detail[-1]) for p in notes] == [
        (f"{name}/apfs1/snap1", Severity.NOTE, "5"),
        (f"{name}/apfs1/snap2", Severity.NOTE, "6"),
    ]
    coverage = source.coverage()
    assert in_file_systems(coverage) == len(before)
    assert sum(coverage.values()) == len(image)


def test_what_is_left_out_is_the_same_in_both_places(
    disk: Disk, before: bytes, opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oracle: every snapshot walked whole, and each file that the fast way leaves out read in both places."""
    source = opened(bytes(disk.data))
    fast = {(e.volume, e.path) for e in source.walk() if isinstance(e, FileEntry)}
    monkeypatch.setattr(SharedContent, "holds", lambda *_: False)
    source = opened(bytes(disk.data))
    whole = {(e.volume, e.path): b"".join(source.chunks(e)) for e in source.walk() if isinstance(e, FileEntry)}
    assert content_of(source, "p0/apfs1/snap1") == content_of(opened(before), "p0/apfs1")
    left_out = set(whole) - fast
    assert len(left_out) == 11
    assert all(whole["p0/apfs1", path] == whole[volume, path] for volume, path in left_out)


def test_a_damaged_snapshot_is_named_and_the_others_are_read(disk: Disk, opened: Callable[..., Any]) -> None:
    image = bytearray(disk.data)
    first = next(
        at
        for at in range(len(image) - BLOCK, 0, -BLOCK)
        if image[at + 32 : at + 36] == b"APSB" and struct.unpack_from("<I", image, at + 24)[0] == 0x4000000D
    )
    image[first + 200] ^= 1  # the highest block was taken first: it is monday's
    source = opened(bytes(image))
    assert [(v.name, v.status) for v in source.volumes()][1:] == [
        ("p0/apfs1", "examined"),
        ("p0/apfs1/snap1", "unreadable"),
        ("p0/apfs1/snap2", "examined"),
    ]
    (problem,) = source.problems()
    assert (problem.code, problem.severity, problem.volume) == (
        "snapshots-not-examined",
        Severity.PROBLEM,
        "p0/apfs1/snap1",
    )
    assert "superblock is damaged" in problem.detail
    assert problem.detail.endswith("monday")


def test_a_list_of_snapshots_that_cannot_be_read_is_counted(before: bytes, opened: Callable[..., Any]) -> None:
    disk = Disk(before)
    volume = bytearray(disk.at(disk.volume))
    struct.pack_into("<Q", volume, 216, 2)
    disk.put(disk.volume, signed(bytes(volume)))
    source = opened(bytes(disk.data))
    assert [p.code for p in source.problems()] == ["snapshots-not-examined"] * 2
    assert len(content_of(source, "p0/apfs1")) == 7


def test_every_damaged_byte_of_a_snapshot_ends_nothing(disk: Disk, opened: Callable[..., Any]) -> None:
    choose = np.random.default_rng(8)
    used = [n for n in range(80, len(disk.data) // BLOCK) if disk.at(n).strip(b"\0")]
    for _ in range(40):
        image = bytearray(disk.data)
        at = int(choose.choice(used)) * BLOCK + int(choose.integers(0, 1500))
        image[at] ^= int(choose.integers(1, 256))
        source = opened(bytes(image))
        assert sum(source.coverage().values()) == len(image)
        for item in source.walk():
            assert item.volume.startswith("p0")


@pytest.mark.parametrize("more", [200, 30_000])
def test_an_object_map_of_several_levels_is_read_by_the_library(
    more: int, disk: Disk, opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Objects that no file needs are put around those of the image, until the tree has two or three levels."""

    def crowded(objects: np.ndarray, transaction: int) -> np.ndarray:
        rows = np.zeros((more, 4), np.uint64)
        rows[:, 0] = np.concatenate([np.arange(more // 2), 5000 + np.arange(more - more // 2)])
        rows[:, 1], rows[:, 2], rows[:, 3] = 1, BLOCK << 32, 90
        every = np.concatenate([versions_at(objects, transaction), rows])
        return every[np.unique(every[:, 0], return_index=True)[1]]

    plain = content_of(opened(bytes(disk.data)), "p0/apfs1/snap1")
    monkeypatch.setattr(apfs_snapshots, "versions_at", crowded)
    source = opened(bytes(disk.data))
    assert content_of(source, "p0/apfs1/snap1") == plain
    assert len(plain) == 2


@settings(deadline=None, max_examples=30)
@given(count=st.integers(0, 20_000), block=st.sampled_from((4096, 16384)))
def test_an_object_map_of_ours_holds_what_it_was_made_of(count: int, block: int) -> None:
    rows = np.random.default_rng(count).integers(1, 1 << 40, (count, 4)).astype(np.uint64)
    rows = rows[np.unique(rows[:, 0], return_index=True)[1]]
    made = _ObjectMap(rows, 1000, block)
    data = b"".join(made.node(1000 + place) for place in range(made.count))
    head = bytearray(block)
    head[32:36] = b"NXSB"
    struct.pack_into("<I", head, 36, block)

    def read(at: int, size: int) -> bytes:
        return (bytes(head) if at == 0 else data[at - 1000 * block :])[:size]

    container = Container(read, (1000 + made.count) * block)
    assert container.objects(1000).tolist() == rows.tolist()
    assert all(data[at : at + 8] == checksum_of(data[at : at + block]) for at in range(0, len(data), block))


def test_the_checksum_is_that_of_the_definition(before: bytes) -> None:
    choose = np.random.default_rng(1)
    for block in (before[:BLOCK], bytes(BLOCK), b"\xff" * BLOCK, choose.bytes(BLOCK), choose.bytes(65536)):
        assert checksum_of(block) == fletcher(block)


@settings(deadline=None)
@given(
    objects=st.sets(st.tuples(st.integers(0, 6), st.integers(0, 9))),
    deleted=st.sets(st.tuples(st.integers(0, 6), st.integers(0, 9))),
    transaction=st.integers(0, 10),
)
def test_the_versions_of_a_transaction_are_those_of_the_definition(
    objects: set[tuple[int, int]], deleted: set[tuple[int, int]], transaction: int
) -> None:
    rows = [(number, when, int((number, when) in deleted), 50 + when) for number, when in sorted(objects)]
    wanted = {}
    for number, when, gone, place in rows:
        if when <= transaction:
            wanted[number] = None if gone else place
    found = versions_at(np.array(rows, np.uint64).reshape(-1, 4), transaction)
    assert {int(row[0]): int(row[3]) for row in found} == {k: v for k, v in wanted.items() if v is not None}


def test_any_part_of_the_changed_container_reads_as_its_blocks(disk: Disk, opened: Callable[..., Any]) -> None:
    source = opened(bytes(disk.data))
    size = len(disk.data)
    area = Area(source.image, 0, size, b"", "p0")
    tables = Container(lambda at, length: read_range(source.image, at, length), size)
    (volume,) = tables.volumes().values()
    objects = tables.objects(struct.unpack_from("<Q", volume.superblock, 128)[0])
    file = PastFile(area, tables, volume, objects, volume.snapshots[0])
    assert file.get_size() > size
    blocks = []
    for number in range(file.get_size() // BLOCK):
        file.seek(number * BLOCK)
        blocks.append(file.read(BLOCK))
    whole = b"".join(blocks)
    changed = [n for n in range(size // BLOCK) if blocks[n] != disk.at(n)]
    assert changed == [0, volume.block]
    choose = np.random.default_rng(2)
    for at, length in choose.integers(0, (len(whole), 40_000), (200, 2)):
        file.seek(int(at))
        assert file.read(int(length)) == whole[at : at + length]
        assert file.tell() == min(at + length, len(whole))
