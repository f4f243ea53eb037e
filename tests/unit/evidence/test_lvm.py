"""LVM2: logical volumes put together from extents, their place on the source, and those that lack a part."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.volumes import EXTENT, FIRST_EXTENT, Segment, VolumeGroup, build_lvm, in_file_systems, linear, lvm_checksum

from caid_triage.evidence.layers import chain
from caid_triage.evidence.layers.lvm import _crc, parse
from caid_triage.model import Severity
from caid_triage.synth.ext import build_ext2
from caid_triage.synth.mbr import Partition, build_mbr
from caid_triage.synth.plan import PlannedFile

PLAN = [PlannedFile(f"/file{n}.bin", bytes([n]) * (30_000 + n)) for n in range(1, 40)]


@pytest.fixture(scope="module")
def root() -> bytes:
    return bytes(build_ext2(PLAN, size=2 << 20))


def extents_of(content: bytes) -> list[bytes]:
    return [content[at : at + EXTENT] for at in range(0, len(content), EXTENT)]


def scattered(root: bytes, swap: bytes = b"") -> bytearray:
    """A physical volume with `root` in two parts, the second half before the first, and `swap` between them."""
    parts = extents_of(root)
    half = len(parts) // 2
    swaps = extents_of(swap)
    order = [*parts[half:], *swaps, *parts[:half]]
    logical = {"root": [linear(half, half + len(swaps)), linear(half, 0)]}
    if swaps:
        logical["swap_1"] = [linear(len(swaps), half)]
    return build_lvm(VolumeGroup(logical), order)


def test_a_logical_volume_in_two_parts_is_read_and_its_bytes_are_where_we_say(
    root: bytes, opened: Callable[..., Any], walked: Callable[..., Any], sha256_of: Callable[..., str]
) -> None:
    swap = bytearray(2 * EXTENT)
    swap[4086:4096] = b"SWAPSPACE2"
    image = scattered(root, bytes(swap))
    source = opened(image)
    assert [(v.name, v.parent, v.file_system, v.status) for v in source.volumes()] == [
        ("p0", "", "LVM2 physical volume", "unwrapped"),
        ("p0/root", "p0", "ext2", "examined"),
        ("p0/swap_1", "p0", "", "not-understood"),
    ]
    assert [(p.code, p.severity, p.volume) for p in source.problems()] == [
        ("no-file-system", Severity.NOTE, "p0/swap_1")
    ]
    alone = opened(root)
    inside, outside = walked(source)[0], walked(alone)[0]
    assert [(e.path, e.size, e.state) for e in inside] == [(e.path, e.size, e.state) for e in outside]
    placed = 0
    for entry, plain in zip(inside, outside, strict=True):
        if not entry.readable:
            continue
        assert sha256_of(source, entry) == sha256_of(alone, plain)
        if entry.physical_offset is not None:
            head = next(source.chunks(entry))[:512]
            assert bytes(image[entry.physical_offset : entry.physical_offset + len(head)]) == head
            placed += 1
    assert placed > 30
    coverage = source.coverage()
    assert in_file_systems(coverage) == len(root)
    assert coverage["not_understood"] == 2 * EXTENT
    assert coverage["partition_table"] == FIRST_EXTENT
    assert sum(coverage.values()) == len(image)


def test_the_same_with_libvslvm(root: bytes, tmp_path: Path, opened: Callable[..., Any]) -> None:
    library = pytest.importorskip("pyvslvm", reason="libvslvm-python, which this is compared with, is not installed")
    parts = extents_of(root)  # in one part each: libvslvm 20260901 refuses a volume in two parts
    group = VolumeGroup({"root": [linear(len(parts), 1)], "swap_1": [linear(1, 0)]})
    image = build_lvm(group, [bytes(EXTENT), *parts])
    path = tmp_path / "pv.raw"
    path.write_bytes(image)
    handle = library.handle()
    handle.open(str(path))
    handle.open_physical_volume_files([str(path)])
    listed = handle.get_volume_group()
    theirs = {v.name: v for v in (listed.get_logical_volume(n) for n in range(listed.number_of_logical_volumes))}
    source = opened(path)
    ours = {v.name.removeprefix("p0/"): v for v in source.volumes() if v.parent}
    assert set(ours) == set(theirs) == {"root", "swap_1"}
    system = next(system for system in source._systems if system is not None)
    for name, volume in theirs.items():
        assert volume.size == ours[name].length
    assert theirs["root"].read_buffer_at_offset(len(root), 0) == root == system.image.read(0, len(root))


@pytest.mark.parametrize("wrapped", [False, True])
def test_in_a_partition_and_with_a_text_that_runs_over_the_end_of_its_ring(
    wrapped: bool, root: bytes, opened: Callable[..., Any]
) -> None:
    parts = extents_of(root)
    physical = build_lvm(VolumeGroup({"root": [linear(len(parts), 0)]}), parts, wrapped=wrapped)
    disk = build_mbr([Partition(0x8E, bytes(physical))])
    source = opened(disk)
    assert [(v.name, v.status) for v in source.volumes()] == [("p1", "unwrapped"), ("p1/root", "examined")]
    entry = next(e for e in source.walk() if getattr(e, "physical_offset", None))
    head = next(source.chunks(entry))[:512]
    assert bytes(disk[entry.physical_offset :])[: len(head)] == head
    assert sum(source.coverage().values()) == len(disk)


def test_a_partition_table_inside_a_logical_volume_is_followed(root: bytes, opened: Callable[..., Any]) -> None:
    inner = bytes(build_mbr([Partition(0x83, root)]))
    inner += bytes(-len(inner) % EXTENT)
    parts = extents_of(inner)
    source = opened(build_lvm(VolumeGroup({"vm-disk": [linear(len(parts), 0)]}), parts))
    assert [(v.name, v.status) for v in source.volumes()] == [
        ("p0", "unwrapped"),
        ("p0/vm-disk", "unwrapped"),
        ("p0/vm-disk/p1", "examined"),
    ]
    assert in_file_systems(source.coverage()) == len(root)
    assert any(getattr(e, "path", "") == "/file7.bin" for e in source.walk())


def test_a_volume_that_lacks_a_part_is_a_problem_and_the_others_are_read(
    root: bytes, opened: Callable[..., Any]
) -> None:
    parts = extents_of(root)
    logical = {
        "home": [linear(4, 0), linear(4, 0, "pv1")],
        "root": [linear(len(parts), 4)],
        "striped": [Segment(2, 'type = "striped"\nstripe_count = 2\nstripe_size = 8\nstripes = ["pv0", 90, "pv1", 9]')],
        "elsewhere": [linear(4, 8, "pv1")],
    }
    image = build_lvm(VolumeGroup(logical, physical=2), [bytes(EXTENT)] * 4 + parts)
    source = opened(image)
    assert [(v.name, v.status) for v in source.volumes()] == [
        ("p0", "unwrapped"),
        ("p0/home", "not-understood"),
        ("p0/root", "examined"),
        ("p0/striped", "not-understood"),
    ]
    problems = [(p.code, p.severity, p.volume) for p in source.problems()]
    assert problems == [
        ("volume-group-spread", Severity.PROBLEM, "p0"),
        ("volume-incomplete", Severity.PROBLEM, "p0/home"),
        ("volume-incomplete", Severity.PROBLEM, "p0/striped"),
    ]
    assert "another physical volume" in source.problems()[1].detail
    assert "1 have no part" in source.problems()[0].detail
    assert in_file_systems(source.coverage()) == len(root)


def test_a_mirror_is_read_from_the_copy_that_lies_here(root: bytes, opened: Callable[..., Any]) -> None:
    parts = extents_of(root)
    copies = '"root_rmeta_0", "root_rimage_0", "root_rmeta_1", "root_rimage_1"'
    logical = {
        "root": [Segment(len(parts), f'type = "raid1"\ndevice_count = 2\nraids = [{copies}]')],
        "root_rimage_0": [linear(len(parts), 0, "pv1")],
        "root_rimage_1": [linear(len(parts), 0)],
        "root_rmeta_0": [linear(1, 90, "pv1")],
        "root_rmeta_1": [linear(1, 90)],
    }
    hidden = [name for name in logical if name != "root"]
    source = opened(build_lvm(VolumeGroup(logical, physical=2, hidden=hidden), parts))
    assert [(v.name, v.status) for v in source.volumes()] == [("p0", "unwrapped"), ("p0/root", "examined")]
    assert len([e for e in source.walk() if getattr(e, "path", "").startswith("/file")]) == len(PLAN)


def test_volumes_built_of_each_other_come_to_an_end(opened: Callable[..., Any]) -> None:
    logical = {
        "a": [Segment(4, 'type = "mirror"\nmirrors = ["b", 0, "pv0", 0]')],
        "b": [Segment(4, 'type = "mirror"\nmirrors = ["a", 0]')],
    }
    source = opened(build_lvm(VolumeGroup(logical), [bytes(EXTENT)] * 4))
    assert [v.status for v in source.volumes()] == ["not-understood"]
    assert [p.code for p in source.problems()] == ["layer-damaged"]
    assert "circle" in source.problems()[0].detail


@pytest.mark.parametrize(
    ("at", "says"),
    [(512 + 40, "label does not agree"), (4096 + 700, "no description"), (4096 + 8, "no description")],
)
def test_damage_is_a_problem_that_names_the_layer(at: int, says: str, root: bytes, opened: Callable[..., Any]) -> None:
    image = build_lvm(VolumeGroup({"root": [linear(32, 0)]}), extents_of(root))
    image[at] ^= 0x55
    source = opened(image)
    (problem,) = source.problems()
    assert (problem.code, problem.severity) == ("layer-damaged", Severity.PROBLEM)
    assert "LVM2" in problem.detail
    assert says in problem.detail
    assert source.coverage()["not_understood"] == len(image)


def test_the_checksum_is_that_of_the_definition() -> None:
    for data in (b"", b"a", bytes(range(256)), b"LVM2 001" * 99):
        assert _crc(data) == lvm_checksum(data)


def test_the_text_is_read_as_lvm_writes_it() -> None:
    text = 'vg { # note {\n a = 12\n b = ["x", 3, "y \\"z\\" ]"]\n c { d = "}" }\n e = []\n}\n'
    assert parse(text) == {"vg": {"a": 12, "b": ["x", 3, 'y "z" ]'], "c": {"d": "}"}, "e": []}}


@pytest.mark.parametrize("text", ["a {" * 50, "a = [[1]]", "a b", "a = ", "a = [1, "])
def test_a_broken_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=re.compile("description")):
        parse(text)


def test_layers_in_layers_come_to_an_end_and_every_byte_is_counted(root: bytes, opened: Callable[..., Any]) -> None:
    inside = root
    for _ in range(10):
        parts = extents_of(inside)
        inside = bytes(build_lvm(VolumeGroup({"in": [linear(len(parts), 0)]}), parts))
    source = opened(inside)
    names = [v.name for v in source.volumes()]
    assert names == ["p0" + "/in" * depth for depth in range(10)]
    assert [v.status for v in source.volumes()] == ["unwrapped"] * 9 + ["not-understood"]
    (problem,) = source.problems()
    assert (problem.code, problem.severity, problem.volume) == ("too-many-layers", Severity.PROBLEM, names[-1])
    coverage = source.coverage()
    assert coverage["not_understood"] == source.volumes()[-1].length
    assert sum(coverage.values()) == len(inside)


def test_more_volumes_than_the_limit_are_a_problem(
    root: bytes, opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chain, "_MOST_VOLUMES", 3)
    logical = {f"v{n}": [linear(1, n)] for n in range(5)}
    source = opened(build_lvm(VolumeGroup(logical), extents_of(root)))
    assert [p.code for p in source.problems()].count("too-many-layers") == 3
    assert len(source.volumes()) == 6
