"""Free space of XFS: as much as each group's own counter says, none of it a living file's, and pictures in it."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.carvables import noise
from support.volumes import EXTENT, VolumeGroup, build_lvm, linear

from caid_triage.errors import EvidenceError
from caid_triage.evidence.carve.xfs_space import xfs_free
from caid_triage.evidence.ranges import clipped, merged, total
from caid_triage.evidence.source import open_source
from caid_triage.model import FileEntry, Problem, State
from caid_triage.synth.sample_pictures import picture

KEPT = noise(7, 300_000)


def build_xfs(folder: Path, *options: str) -> bytes:
    """A volume with one living file and many small free places; made by mkfs.xfs from a list of files."""
    if shutil.which("mkfs.xfs") is None:
        pytest.skip("mkfs.xfs, which makes the volume, is not installed")
    (folder / "kept.bin").write_bytes(KEPT)
    (folder / "list").write_text(f"/\n0 0\nd--755 0 0\nkept.bin ---644 0 0 {folder / 'kept.bin'}\n$\n")
    path = folder / "xfs.raw"
    with path.open("wb") as file:
        file.truncate(320 << 20)
    subprocess.run(
        ["mkfs.xfs", "-q", "-f", *options, "-p", str(folder / "list"), str(path)],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    return path.read_bytes()


def reader(image: bytes | bytearray) -> Any:
    return lambda offset, length: bytes(image[offset : offset + length])


@pytest.fixture(
    scope="module", params=[("-m", "crc=1"), ("-m", "crc=0,finobt=0"), ("-b", "size=1024"), ("-d", "agcount=2")]
)
def xfs(request: Any, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return build_xfs(tmp_path_factory.mktemp("xfs"), *request.param)


def counter(image: bytes) -> int:
    """Free bytes by the counter in the header of each group."""
    (block,), (in_group, groups) = struct.unpack_from(">I", image, 4), struct.unpack_from(">II", image, 84)
    (sector,) = struct.unpack_from(">H", image, 102)
    places = [group * in_group * block + sector + 52 for group in range(groups)]
    return sum(struct.unpack_from(">I", image, place)[0] for place in places) * block


def test_as_much_is_free_as_the_groups_say_and_no_byte_of_the_living_file(xfs: bytes) -> None:
    free = list(xfs_free(reader(xfs), 0))
    assert free == merged(free)
    assert total(free) == counter(xfs) > 200 << 20
    at = xfs.index(KEPT[:4096])
    assert clipped(free, at, at + len(KEPT)) == []
    shifted = list(xfs_free(reader(bytes(1 << 20) + xfs), 1 << 20))
    assert shifted == free


def torn(image: bytes) -> bytearray:
    """The volume with the free space of its first group in a tree of two levels: 60 places, two leaves and a root."""
    broken = bytearray(image)
    block, (in_group,) = struct.unpack_from(">I", image, 4)[0], struct.unpack_from(">I", image, 84)
    (sector,) = struct.unpack_from(">H", image, 102)
    (root,) = struct.unpack_from(">I", image, sector + 16)
    first, length = max(
        ((a // block, (b - a) // block) for a, b in xfs_free(reader(image), 0) if b <= in_group * block),
        key=lambda one: one[1],
    )
    head = bytearray(image[root * block : root * block + block])
    size = 56 if head[:4] == b"AB3B" else 16
    places = [(first + 10 + 3 * n, 1 + n % 2) for n in range(60)]
    leaves = (first + 1, first + 2)
    for number, leaf in enumerate(leaves):
        node = head[:size] + bytearray(block - size)
        mine = places[number * 30 : number * 30 + 30]
        struct.pack_into(
            ">HHII", node, 4, 0, 30, leaves[0] if number else 0xFFFFFFFF, 0xFFFFFFFF if number else leaves[1]
        )
        struct.pack_into(f">{2 * len(mine)}I", node, size, *(value for one in mine for value in one))
        broken[leaf * block : (leaf + 1) * block] = node
    node = head[:size] + bytearray(block - size)
    struct.pack_into(">HH", node, 4, 1, 2)
    struct.pack_into(">4I", node, size, *places[0], *places[30])
    room = (block - size) // 12
    struct.pack_into(">2I", node, size + room * 8, *leaves)
    broken[root * block : (root + 1) * block] = node
    struct.pack_into(">I", broken, sector + 28, 2)
    assert length > 300
    return broken


def test_a_tree_of_two_levels_is_followed_along_its_leaves(xfs: bytes) -> None:
    (block,), (in_group,) = struct.unpack_from(">I", xfs, 4), struct.unpack_from(">I", xfs, 84)
    free = clipped(list(xfs_free(reader(torn(xfs)), 0)), 0, in_group * block)
    assert len(free) == 60
    assert total(free) == 90 * block


def test_damaged_trees_never_raise_and_free_nothing_outside(xfs: bytes) -> None:
    choose = random.Random(1)
    image = torn(xfs)
    block = struct.unpack_from(">I", xfs, 4)[0]
    for _ in range(60):
        broken = bytearray(image[: 8 << 20])
        for _ in range(20):
            at = choose.randrange(64 * block)
            broken[at] = choose.randrange(256)
        try:
            free = list(xfs_free(reader(broken), 0))
        except EvidenceError:
            continue
        assert all(start < end for start, end in free)
    with pytest.raises(EvidenceError):
        list(xfs_free(reader(bytes(4096)), 0))


def test_a_picture_in_the_free_space_of_xfs_in_a_logical_volume_is_found(tmp_path: Path) -> None:
    image = bytearray(build_xfs(tmp_path))
    at = 300 << 20  # not in the log, which lies in the middle
    image[at : at + len(picture("coast.jpg"))] = picture("coast.jpg")
    parts = [bytes(image[start : start + EXTENT]) for start in range(0, len(image), EXTENT)]
    path = tmp_path / "disk.dd"
    path.write_bytes(build_lvm(VolumeGroup({"root": [linear(len(parts), 0)]}), parts))
    source = open_source(path, "E", "s", carving="fast")
    items = list(source.walk())
    (entry,) = [item for item in items if isinstance(item, FileEntry) and item.state is State.CARVED]
    assert b"".join(source.chunks(entry)) == picture("coast.jpg")
    assert (entry.volume, entry.path) == ("p0/root", f"/$Carved/p0/root/{at:014d}.jpg")
    assert [item for item in items if isinstance(item, Problem)] == []
    coverage = source.coverage()
    assert sum(coverage.values()) == path.stat().st_size
    assert coverage["unallocated_searched"] == counter(bytes(image))
    source.close()
