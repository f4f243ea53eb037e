"""Pictures in the free space of volumes that lie in others: logical ones, unlocked ones, mirrors, shadow copies."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.carvables import noise, png
from support.volumes import EXTENT, FIRST_EXTENT, Segment, VolumeGroup, build_luks, build_lvm, build_raid, linear

from caid_triage.evidence.layers.view import Run, spans_on_source, view_of_runs
from caid_triage.evidence.secrets import NO_SECRETS, Secret, Secrets
from caid_triage.evidence.source import open_source
from caid_triage.model import FileEntry, Problem, State
from caid_triage.synth.ext import build_ext2
from caid_triage.synth.mbr import Partition, build_mbr
from caid_triage.synth.ntfs import build_ntfs
from caid_triage.synth.plan import PlannedFile
from caid_triage.synth.sample_pictures import picture

COAST, SMALL = picture("coast.jpg"), png(24, 18)
PLAN = [PlannedFile("/kept.bin", noise(1, 9_000)), PlannedFile("/town.jpg", picture("town.jpg"), deleted=True)]
PLACE = 1 << 20


def root(kind: str = "ext2") -> bytes:
    """A volume of 2 MiB (NTFS: 8) with a picture in free space and one in the slack of its living file."""
    image = build_ext2(PLAN, size=2 << 20) if kind == "ext2" else build_ntfs(PLAN, size=8 << 20)
    at = PLACE if kind == "ext2" else 4 * PLACE
    image[at : at + len(COAST)] = COAST
    place = slack_place(image)
    image[place : place + len(SMALL)] = SMALL
    return bytes(image)


def slack_place(image: bytes | bytearray) -> int:
    return -(-(image.index(PLAN[0].content) + 9_000) // 512) * 512


def extents_of(content: bytes) -> list[bytes]:
    return [content[at : at + EXTENT] for at in range(0, len(content), EXTENT)]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Any]:
    sources: list[Any] = []

    def opener(what: Path | bytes | bytearray, carving: str = "fast", secrets: Secrets = NO_SECRETS) -> Any:
        if not isinstance(what, Path):
            path = tmp_path / f"disk{len(sources)}.img"
            path.write_bytes(what)
            what = path
        sources.append(open_source(what, "E", "s", secrets, carving))
        return sources[-1]

    yield opener
    for source in sources:
        source.close()


def found(source: Any) -> dict[bytes, FileEntry]:
    """What was carved, by content; every one is read in both ways, and the account is looked at."""
    entries = [item for item in source.walk() if isinstance(item, FileEntry)]
    assert [entry.number for entry in entries] == list(range(len(entries)))
    contents = {}
    for entry in entries:
        if entry.state in (State.CARVED, State.SLACK):
            content = b"".join(source.chunks(entry))
            assert source.read_at(entry, 0, entry.size) == content
            assert content not in contents
            contents[content] = entry
    assert [item for item in source.walk() if isinstance(item, FileEntry)] == entries
    counted(source)
    return contents


def counted(source: Any) -> dict[str, int]:
    coverage: dict[str, int] = source.coverage()
    assert sum(coverage.values()) == source.info.size
    assert min(coverage.values()) >= 0
    return coverage


def test_a_logical_volume_in_two_parts_is_searched_and_says_where_its_pictures_are(opened) -> None:
    content = root()
    parts = extents_of(content)
    half = len(parts) // 2 + 1
    group = VolumeGroup({"root": [linear(half, len(parts) - half), linear(len(parts) - half, 0)]})
    disk = bytes(build_mbr([Partition(0x8E, bytes(build_lvm(group, parts[half:] + parts[:half])))]))
    source = opened(disk)
    carved = found(source)
    assert set(carved) == {COAST, SMALL}  # the deleted picture was met by its name
    coast, small = carved[COAST], carved[SMALL]
    assert (coast.volume, coast.path) == ("p1/root", f"/$Carved/p1/root/{PLACE:014d}.jpg")
    assert (small.path, small.state) == (f"/kept.bin//$Slack/{slack_place(content):014d}.png", State.SLACK)
    for data, entry in carved.items():
        assert entry.physical_offset is not None
        assert disk[entry.physical_offset : entry.physical_offset + 512] == data[:512]
    alone, coverage = opened(content), counted(source)
    found(alone)
    for kind in ("file_system", "slack", "slack_searched", "unallocated_searched"):
        assert coverage[kind] == counted(alone)[kind], kind
    assert coverage["unallocated"] == 0
    before = counted(opened(disk, "none"))
    assert before["unallocated"] == coverage["unallocated_searched"]


def test_extents_that_no_open_volume_has_are_searched(opened) -> None:
    parts = extents_of(root())
    thin = Segment(4, 'type = "thin"\nthin_pool = "pool"\ntransaction_id = 0\ndevice_id = 1')
    logical = {
        "home": [thin],
        "pool": [
            Segment(
                4,
                'type = "thin-pool"\nmetadata = "pool_tmeta"\npool = "pool_tdata"\nchunk_size = 128',
            )
        ],
        "pool_tdata": [linear(4, 1)],
        "pool_tmeta": [linear(1, 0)],
        "root": [linear(len(parts), 5)],
    }
    pool = [bytes(EXTENT), noise(1, EXTENT), picture("marble.jpg"), bytes(EXTENT), bytes(EXTENT)]
    free = [noise(2, EXTENT), picture("orchard.jpg")]
    group = VolumeGroup(logical, hidden=("pool", "pool_tdata", "pool_tmeta"))
    source = opened(build_lvm(group, [*pool, *parts, *free]))
    assert [(v.name, v.status) for v in source.volumes()] == [
        ("p0", "unwrapped"),
        ("p0/home", "not-understood"),
        ("p0/root", "examined"),
    ]
    carved = found(source)
    assert {COAST, SMALL, picture("marble.jpg"), picture("orchard.jpg")} <= set(carved)
    assert carved[picture("marble.jpg")].path == f"/$Carved/p0/{FIRST_EXTENT + 2 * EXTENT:014d}.jpg"
    coverage = counted(source)
    # of a volume that cannot be put together it is not known where it lies: the extents of no other count as its own
    assert coverage["not_understood_searched"] + coverage["unpartitioned_searched"] == 6 * EXTENT
    # not searched: the group's own tables and those of the pool
    assert (coverage["not_understood"], coverage["unpartitioned"]) == (FIRST_EXTENT + EXTENT, 0)


def test_a_swap_volume_and_the_gaps_of_a_disk_inside_a_volume_are_searched(opened) -> None:
    swap = bytearray(2 * EXTENT)
    swap[4086:4096] = b"SWAPSPACE2"
    swap[EXTENT : EXTENT + len(COAST)] = COAST
    inner = bytearray(build_mbr([Partition(0x83, root())], tail=4 * EXTENT))
    at = len(inner) - 2 * EXTENT
    inner[at : at + len(picture("marble.jpg"))] = picture("marble.jpg")
    inner += bytes(-len(inner) % EXTENT)
    inner = bytes(inner).replace(COAST, noise(3, len(COAST)))
    parts = [*extents_of(bytes(swap)), *extents_of(inner)]
    group = VolumeGroup({"swap_1": [linear(2, 0)], "vm": [linear(len(parts) - 2, 2)]})
    source = opened(build_lvm(group, parts))
    carved = found(source)
    assert carved[COAST].path == f"/$Carved/p0/swap_1/{EXTENT:014d}.jpg"
    marble = carved[picture("marble.jpg")]
    assert (marble.path, marble.physical_offset) == (
        f"/$Carved/p0/vm/{at:014d}.jpg",
        FIRST_EXTENT + 2 * EXTENT + at,
    )
    assert carved[SMALL].volume == "p0/vm/p1"
    coverage = counted(source)
    assert coverage["not_understood_searched"] == 2 * EXTENT
    assert coverage["unpartitioned_searched"] >= 4 * EXTENT
    assert coverage["unpartitioned"] == 0


@pytest.mark.parametrize("version", ["0.90", "1.2"])
def test_half_of_a_mirror_is_searched_once(version, opened) -> None:
    content = root("ntfs")
    source = opened(build_raid(content, version=version, level=1))
    carved = found(source)
    assert set(carved) == {COAST, SMALL}
    assert carved[COAST].volume == "p0/raid"
    assert counted(source)["unallocated_searched"] > 4 << 20


def test_two_partitions_over_the_same_bytes_are_searched_once(opened) -> None:
    parts = extents_of(root())
    physical = bytes(build_lvm(VolumeGroup({"root": [linear(len(parts), 0)]}), parts))
    disk = build_mbr([Partition(0x8E, physical), Partition(0x8E, noise(9, len(physical)))])
    first, second = disk[446 + 8 : 446 + 16], 446 + 16 + 8
    disk[second : second + 8] = first  # the second entry of the table says the same place
    source = opened(disk)
    assert [v.name for v in source.volumes()] == ["p1", "p1/root", "p2", "p2/root"]
    assert {entry.volume for entry in found(source).values() if entry.state is State.CARVED} == {"p1/root"}


@pytest.fixture(scope="module")
def luks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A disk whose first partition is LUKS1 (password "geheim wort") around an NTFS volume."""
    folder = tmp_path_factory.mktemp("luks")
    path = folder / "disk.raw"
    path.write_bytes(build_mbr([Partition(0x83, build_luks(folder, root("ntfs"), "geheim wort"))]))
    return path


def test_an_unlocked_volume_is_searched_and_a_locked_one_is_not(luks, opened) -> None:
    source = opened(luks, "fast", Secrets((Secret("password", "geheim wort"),)))
    carved = found(source)
    assert set(carved) == {COAST, SMALL}
    coast = carved[COAST]
    assert (coast.path, coast.physical_offset) == (f"/$Carved/p1/luks/{4 * PLACE:014d}.jpg", None)
    plain = opened(root("ntfs"))
    assert set(found(plain)) == {COAST, SMALL}
    for kind in ("file_system", "unallocated_searched", "slack_searched", "slack"):
        assert counted(source)[kind] == counted(plain)[kind], kind
    assert not found(opened(luks))


def test_the_disk_in_an_unlocked_volume_that_cannot_be_read_is_counted(luks, opened) -> None:
    source = opened(luks, "fast", Secrets((Secret("password", "geheim wort"),)))
    inside = source._carvings[1]
    read = inside.read

    def failing(offset: int, length: int) -> bytes:
        if offset < 4 * PLACE + 4096 and offset + length > 4 * PLACE:
            raise OSError("Input/output error")
        data: bytes = read(offset, length)
        return data

    inside.read = failing
    items = list(source.walk())
    assert [(item.code, item.volume) for item in items if isinstance(item, Problem)] == [
        ("source-unreadable", "p1/luks")
    ]
    assert [item.state for item in items if isinstance(item, FileEntry) and item.locator[0] < 0] == [State.SLACK]
    assert counted(source)["unreadable"] == 4096


def test_of_a_shadow_copy_only_the_blocks_that_it_alone_has_are_searched(shared, tmp_path, opened) -> None:
    sample = shared / "images" / "plaso-vsstest.qcow2"
    if shutil.which("qemu-img") is None:
        pytest.skip("qemu-img, which makes a raw image of the sample, is not installed")
    path = tmp_path / "vss.raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", str(sample), str(path)], check=True, timeout=120)
    source = opened(path, "fast")
    sites = [carving.site for carving in source._carvings]
    assert [site.opened[0][1].volume.name for site in sites] == ["p0", "p0/vss1", "p0/vss2"]
    living, coverage = counted(opened(path, "none")), None
    found(source)
    coverage = counted(source)
    assert coverage["unallocated_searched"] == living["unallocated"]
    for carving in source._carvings[1:]:
        (copied,) = [system.copied for _, system in carving.site.systems]
        searched = carving.space().unallocated
        assert searched
        for start, end in searched:
            numbers = set(range(start // 16384, -(-end // 16384)))
            assert numbers <= set(copied.own.tolist())


runs_of = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 30)), min_size=1, max_size=8)


@given(parts=runs_of, spans=st.lists(st.tuples(st.integers(0, 200), st.integers(1, 60)), max_size=8))
@settings(max_examples=150, deadline=None)
def test_spans_of_a_view_are_placed_as_each_of_its_bytes_is(parts, spans) -> None:
    runs, at, place = [], 0, 3
    for length, gap in reversed(parts):
        runs.append((length, place))
        place += length + gap
    ordered: list[Run] = []
    for length, where in reversed(runs):
        ordered.append(Run(at, length, where))
        at += length

    class Disk:
        """Stands for the disk: nothing is read."""

    view = view_of_runs(Disk(), ordered)
    marks = np.zeros(at + 300, dtype=bool)
    for start, length in spans:
        marks[start : start + length] = True
    edges = np.flatnonzero(np.diff(np.concatenate(([0], marks[:at].astype(np.int8), [0])))).reshape(-1, 2)
    wanted = {view.on_source(byte) for byte in np.flatnonzero(marks[:at]).tolist()}
    moved = spans_on_source(view, edges)
    assert moved is not None
    assert {byte for start, end in moved.tolist() for byte in range(start, end)} == wanted
    assert sum(end - start for start, end in moved.tolist()) == len(wanted)
