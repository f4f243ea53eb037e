"""Free space is what the file system's own map says, on every file system that keeps one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from support.carvables import noise

from caid_triage.evidence.carve.free_space import free_space
from caid_triage.evidence.ext_layout import keeps_copy, read_ext_layout
from caid_triage.evidence.ranges import clipped, merged, total, without
from caid_triage.evidence.source import open_source
from caid_triage.model import FileEntry, Problem, State
from caid_triage.synth.exfat import build_exfat
from caid_triage.synth.ext import build_ext2
from caid_triage.synth.fat import build_fat
from caid_triage.synth.iso9660 import build_iso
from caid_triage.synth.ntfs import build_ntfs
from caid_triage.synth.plan import PlannedFile

PLAN = [
    PlannedFile("/kept.bin", noise(1, 40_000)),
    PlannedFile("/gone.bin", noise(2, 50_000), deleted=True),
    PlannedFile("/folder/also.bin", noise(3, 9_000)),
    PlannedFile("/folder/away.bin", noise(4, 21_000), deleted=True),
]
BUILT = {
    "ntfs": lambda: build_ntfs(PLAN, size=8 << 20),
    "fat12": lambda: build_fat(PLAN, size=2 << 20, bits=12),
    "fat16": lambda: build_fat(PLAN, size=8 << 20, bits=16, cluster=512),
    "fat32": lambda: build_fat(PLAN, size=40 << 20, bits=32, cluster=512),
    "exfat": lambda: build_exfat(PLAN, size=8 << 20),
    "ext2": lambda: build_ext2(PLAN, size=8 << 20),
}


def source_of(tmp_path: Path, data: bytes | bytearray, carving: str = "none"):
    path = tmp_path / "disk.dd"
    path.write_bytes(data)
    return open_source(path, "E", "s", carving=carving)


@pytest.mark.parametrize("kind", sorted(BUILT))
def test_no_byte_of_a_living_file_is_free_and_every_byte_of_a_deleted_one_is(tmp_path, kind) -> None:
    data = bytes(BUILT[kind]())
    source = source_of(tmp_path, data)
    system = source._systems[0]
    free = free_space(system, source._image.read)
    assert not free.fault
    assert free.ranges == merged(free.ranges)
    assert 0 < total(free.ranges) < len(data)
    block = free.block[0]
    assert all((start - free.block[1]) % min(block, 512) == 0 for start, _ in free.ranges)
    for planned in PLAN:
        content = planned.content
        heads = [at for at in range(0, len(data), 512) if data[at : at + 512] == content[:512]]
        assert len(heads) == 1, planned.path
        place = (heads[0], heads[0] + 512)
        assert (clipped(free.ranges, *place) == [place]) is planned.deleted, planned.path
    # what is written in no cluster of the free space and the living files together is the file system's own
    source.close()


def test_free_fat_clusters_are_those_that_the_table_calls_free(tmp_path) -> None:
    for kind in ("fat12", "fat16", "fat32", "exfat"):
        source = source_of(tmp_path, bytes(BUILT[kind]()))
        fat = source._systems[0].fat
        free = free_space(source._systems[0], source._image.read)
        naive = [
            (fat.layout.heap + (n - 2) * fat.cluster_size, fat.layout.heap + (n - 1) * fat.cluster_size)
            for n in range(2, min(fat.layout.last, 3000) + 1)
            if not fat.is_allocated(n)
        ]
        end = fat.layout.heap + (min(fat.layout.last, 3000) - 1) * fat.cluster_size
        assert clipped(free.ranges, fat.layout.heap, end) == merged(naive), kind
        source.close()


def test_a_cd_has_no_map_and_says_so(tmp_path) -> None:
    source = source_of(tmp_path, bytes(build_iso([PlannedFile("/A.BIN", noise(1, 4000))])), "fast")
    notes = [item for item in source.walk() if not isinstance(item, FileEntry)]
    assert [note.code for note in notes] == ["free-space-unknown"]
    assert sum(source.coverage().values()) == source.info.size
    source.close()


@pytest.mark.parametrize("kind", sorted(BUILT))
def test_damaged_maps_never_raise(tmp_path, kind) -> None:
    import random

    choose = random.Random(kind)
    data = bytes(BUILT[kind]())
    for _ in range(12):
        broken = bytearray(data)
        for _ in range(40):
            at = choose.randrange(min(len(broken), 300_000) - 8)
            broken[at : at + 8] = choose.randbytes(8)
        source = source_of(tmp_path, broken, "fast")
        for item in source.walk():
            if isinstance(item, FileEntry) and item.state is State.CARVED:
                assert sum(map(len, source.chunks(item))) == item.size
        coverage = source.coverage()
        assert sum(coverage.values()) == len(data)
        assert min(coverage.values()) >= 0
        source.close()


def test_copies_of_the_superblock_lie_where_ext_keeps_them() -> None:
    assert [group for group in range(130) if keeps_copy(group)] == [0, 1, 3, 5, 7, 9, 25, 27, 49, 81, 125]


def test_ranges() -> None:
    assert merged([(5, 9), (1, 3), (3, 4), (8, 12), (20, 20)]) == [(1, 4), (5, 12)]
    assert without([(0, 10), (20, 30)], [(2, 4), (8, 22), (29, 40)]) == [(0, 2), (4, 8), (22, 29)]
    assert clipped([(0, 10), (20, 30)], 5, 25) == [(5, 10), (20, 25)]


@pytest.mark.parametrize(
    "options",
    [
        "-b 1024",
        "-b 4096",
        "-O ^uninit_bg,^metadata_csum",
        "-O ^flex_bg",
        "-t ext3",
        "-O 64bit",
        "-b 1024 -O meta_bg,^resize_inode",
        "-b 1024 -g 2048 -O meta_bg,^resize_inode,^flex_bg",
    ],
)
def test_ext_has_as_many_free_blocks_as_its_own_tools_say(tmp_path, options) -> None:
    if shutil.which("mkfs.ext4") is None or shutil.which("dumpe2fs") is None:
        pytest.skip("e2fsprogs is not installed")
    path = tmp_path / "ext.dd"
    with path.open("wb") as file:
        file.truncate(200 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", *options.split(), path], check=True, capture_output=True)
    told = subprocess.run(["dumpe2fs", "-h", path], check=True, capture_output=True, text=True).stdout
    blocks = next(int(line.split()[2]) for line in told.splitlines() if line.startswith("Free blocks:"))
    source = open_source(path, "E", "s")
    system = source._systems[0]
    assert total(free_space(system, source._image.read).ranges) == blocks * system.block_size
    source.close()


def test_a_group_whose_map_cannot_be_read_is_named_and_the_others_count(tmp_path) -> None:
    """It was passed over in silence: its free space was not searched, and nothing said so."""
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("e2fsprogs, which makes a volume of several groups, is not installed")
    path = tmp_path / "ext.dd"
    with path.open("wb") as file:
        file.truncate(24 << 20)
    options = ("-t", "ext2", "-b", "1024", "-O", "^flex_bg,^resize_inode")
    subprocess.run(["mkfs.ext4", "-q", "-F", *options, path], check=True, capture_output=True)
    source = open_source(path, "E", "s")
    system, read = source._systems[0], source._image.read
    whole = free_space(system, read)
    layout = read_ext_layout(read, 0)
    assert layout.groups == 3
    bad = layout.block_map(1) * layout.block

    def failing(offset: int, length: int) -> bytes:
        if offset < bad + layout.block and offset + length > bad:
            raise OSError("Input/output error")
        data: bytes = read(offset, length)
        return data

    free = free_space(system, failing)
    begin, count = (number * layout.block for number in layout.blocks_of(1))
    assert free.ranges == without(whole.ranges, [(begin, begin + count)])
    assert free.fault == "the maps of free space of 1 of 3 block groups could not be read"
    (carving,) = source._carvings
    carving.read, carving.mode = failing, "fast"
    told = [item for item in carving.entries({}, 0) if isinstance(item, Problem)]
    (problem,) = [item for item in told if item.code == "free-space-unknown"]
    assert problem.detail == f"{free.fault}; free space told of there alone was not searched"
