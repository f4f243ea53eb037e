"""Free space of an APFS container: as much as its space manager counts, none of it a file's, and pictures in it."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from support.volumes import EXTENT, VolumeGroup, build_lvm, linear

from caid_triage.errors import EvidenceError
from caid_triage.evidence.carve.apfs_space import _Container, apfs_free
from caid_triage.evidence.ranges import clipped, merged, total
from caid_triage.evidence.source import open_source
from caid_triage.model import FileEntry, Problem, State
from caid_triage.synth.sample_pictures import picture


@pytest.fixture(scope="module")
def container(shared: Path) -> bytes:
    """A real container of 4 MiB (dfvfs)."""
    path = shared / "images" / "dfvfs-apfs.raw"
    if not path.exists():
        pytest.skip("the real container is not in ../shared")
    return path.read_bytes()


def reader(image: bytes | bytearray) -> Callable[[int, int], bytes]:
    return lambda offset, length: bytes(image[offset : offset + length])


def chunked(image: bytes, *, above: bool, whole: bool = False) -> tuple[bytearray, list[tuple[int, int]]]:
    """The container with its free space in two chunks, and what is then free.

    The second has holes or (``whole``) no bitmap; ``above``: they are found over a list of lists.
    """
    changed = bytearray(image)
    where = image.index(_Container(reader(image), 0, len(image))._space_manager())
    (at,) = struct.unpack_from("<I", image, where + 80)
    (info,) = struct.unpack_from("<Q", image, where + at)
    _, first, size, free, bitmap = struct.unpack_from("<QQIIQ", image, info * 4096 + 40)
    assert (first, size, free) == (0, 1014, 904)
    start = size - free
    struct.pack_into("<I", changed, info * 4096 + 36, 2)
    struct.pack_into("<QIIQ", changed, info * 4096 + 48, 0, 512, 0, bitmap)
    holes = [place for place in range(512, size) if place % 7 == 0]
    second = 1000 * 4096
    bits = bytearray(4096)
    for place in holes:
        bits[(place - 512) // 8] |= 1 << (place - 512) % 8
    changed[second : second + 4096] = bits
    struct.pack_into("<QQIIQ", changed, info * 4096 + 72, 1, 512, size - 512, 0, 0 if whole else 1000)
    wanted = merged(
        (place * 4096, (place + 1) * 4096) for place in range(start, size) if whole or place < 512 or place % 7
    )
    if above:
        struct.pack_into("<I", changed, where + 48 + 20, 1)
        struct.pack_into("<Q", changed, where + at, 1001)
        struct.pack_into("<IIQ", changed, 1001 * 4096 + 32, 0, 1, info)
    return changed, wanted


def test_as_much_is_free_as_the_space_manager_counts_and_no_file_lies_there(container: bytes) -> None:
    free = list(apfs_free(reader(container), 0, len(container)))
    manager = _Container(reader(container), 0, len(container))._space_manager()
    assert total(free) == struct.unpack_from("<Q", manager, 48 + 24)[0] * 4096 > 3 << 20
    assert list(apfs_free(reader(bytes(8192) + container), 8192, len(container))) == free


@pytest.mark.parametrize("above", [False, True])
@pytest.mark.parametrize("whole", [False, True])
def test_chunks_are_followed_over_lists_of_lists(container: bytes, above: bool, whole: bool) -> None:
    changed, wanted = chunked(container, above=above, whole=whole)
    assert merged(apfs_free(reader(changed), 0, len(changed))) == wanted


def test_damage_never_raises_but_as_a_fault_of_the_evidence(container: bytes) -> None:
    choose = random.Random(1)
    changed, _ = chunked(container, above=True)
    for _ in range(150):
        broken = bytearray(changed)
        for _ in range(60):
            broken[choose.randrange(450_560)] = choose.randrange(256)
        try:
            free = list(apfs_free(reader(broken), 0, len(broken)))
        except EvidenceError:
            continue
        assert all(0 <= start < end <= len(broken) for start, end in free)
    with pytest.raises(EvidenceError):
        list(apfs_free(reader(bytes(8192)), 0, 8192))


@pytest.mark.parametrize("inside", [False, True])
def test_a_picture_in_the_free_space_of_a_container_is_found(container: bytes, inside: bool, tmp_path: Path) -> None:
    image = bytearray(container)
    at = 2 << 20
    image[at : at + len(picture("coast.jpg"))] = picture("coast.jpg")
    parts = [bytes(image[start : start + EXTENT]) for start in range(0, len(image), EXTENT)]
    disk = bytes(build_lvm(VolumeGroup({"mac": [linear(len(parts), 0)]}), parts) if inside else image)
    path = tmp_path / "disk.dd"
    path.write_bytes(disk)
    source = open_source(path, "E", "s", carving="fast")
    items = list(source.walk())
    (entry,) = [item for item in items if isinstance(item, FileEntry) and item.state is State.CARVED]
    assert b"".join(source.chunks(entry)) == picture("coast.jpg")
    name = "p0/mac" if inside else "p0"
    assert (entry.volume, entry.path) == (name, f"/$Carved/{name}/{at:014d}.jpg")
    assert entry.physical_offset == disk.index(picture("coast.jpg"))
    assert "free-space-unknown" not in {item.code for item in items if isinstance(item, Problem)}
    free = list(apfs_free(reader(image), 0, len(image)))
    for item in items:
        if isinstance(item, FileEntry) and item.state is State.ALLOCATED and item.physical_offset and not inside:
            assert clipped(free, item.physical_offset, item.physical_offset + 1) == []
    coverage = source.coverage()
    assert sum(coverage.values()) == len(disk)
    assert coverage["unallocated_searched"] == total(free)
    source.close()


def test_a_container_whose_space_manager_is_lost_says_so(container: bytes, tmp_path: Path) -> None:
    image = bytearray(container)
    where = container.index(_Container(reader(container), 0, len(container))._space_manager())
    image[where : where + 4096] = bytes(4096)
    path = tmp_path / "disk.dd"
    path.write_bytes(image)
    source = open_source(path, "E", "s", carving="fast")
    notes = [item for item in source.walk() if isinstance(item, Problem) and item.code == "free-space-unknown"]
    assert [note.volume for note in notes] == ["p0"]
    assert source.coverage()["file_system"] == source.info.size
    source.close()
