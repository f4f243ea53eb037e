"""LVM2: logical volumes put together from extents, their place on the source, and those that lack a part."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.volumes import EXTENT, FIRST_EXTENT, Segment, VolumeGroup, build_lvm, in_file_systems, linear, lvm_checksum

from caid_triage.errors import EvidenceError
from caid_triage.evidence.layers import chain
from caid_triage.evidence.layers.lvm_text import checksum_of, parse
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
        ("p0/swap_1", "p0", "Linux swap", "no-files"),
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


def test_what_is_not_on_this_disk_is_named_and_the_rest_is_read(
    root: bytes, opened: Callable[..., Any], walked: Callable[..., Any], sha256_of: Callable[..., str]
) -> None:
    parts = extents_of(root)
    logical = {
        "home": [linear(8, 0), linear(6, 0, "pv1"), linear(len(parts) - 14, 8)],
        "root": [linear(len(parts), len(parts) - 6)],
        "elsewhere": [linear(4, 40, "pv1")],
        "hybrid": [Segment(2, 'type = "raid5"\ndevice_count = 3\nraids = ["pv0", "pv1"]')],
    }
    source = opened(build_lvm(VolumeGroup(logical, physical=2), parts[:8] + parts[14:] + parts))
    assert [(v.name, v.status) for v in source.volumes()] == [
        ("p0", "unwrapped"),
        ("p0/home", "examined"),
        ("p0/hybrid", "not-understood"),
        ("p0/root", "examined"),
    ]
    problems = {(p.code, p.severity, p.volume): p.detail for p in source.problems()}
    assert set(problems) == {
        ("volume-group-spread", Severity.PROBLEM, "p0"),
        ("volume-incomplete", Severity.PROBLEM, "p0/home"),
        ("volume-incomplete", Severity.PROBLEM, "p0/hybrid"),
    }
    told = problems["volume-incomplete", Severity.PROBLEM, "p0/home"]
    assert f"bytes {8 * EXTENT} to {14 * EXTENT - 1} of it on pv1" in told
    assert "1 are not on this disk (pv1)" in problems["volume-group-spread", Severity.PROBLEM, "p0"]
    assert "1 logical volumes" in problems["volume-group-spread", Severity.PROBLEM, "p0"]
    assert "raid5" in problems["volume-incomplete", Severity.PROBLEM, "p0/hybrid"]
    whole = {e.path: sha256_of(opened(root), e) for e in walked(opened(root))[0] if e.readable}
    outcomes: dict[str, set[str]] = {"read": set(), "lost": set()}
    for entry in walked(source)[0]:
        if entry.volume != "p0/home" or not entry.readable:
            continue
        try:
            assert sha256_of(source, entry) == whole[entry.path]  # never other bytes than its own
            outcomes["read"].add(entry.path)
        except EvidenceError as error:
            outcomes["lost" if error.code == "read-failed" else error.code].add(entry.path)
    assert len(outcomes["read"]) > 5
    assert len(outcomes["lost"]) > 5


def striped(extents: int, *stripes: tuple[str, int], size: int = 8) -> Segment:
    """As LVM2 2.03.16 writes it (vgcfgbackup of a volume that lvcreate -i2 -I made)."""
    listed = ",\n".join(f'"{name}", {at}' for name, at in stripes)
    text = f'type = "striped"\nstripe_count = {len(stripes)}\nstripe_size = {size}\nstripes = [\n{listed}\n]'
    return Segment(extents, text)


def raid0(extents: int, *images: str, size: int = 8) -> Segment:
    """As LVM2 2.03.16 writes it (lvcreate --type raid0)."""
    listed = ",\n".join(f'"{name}"' for name in images)
    text = f'type = "raid0"\nstripe_count = {len(images)}\nstripe_size = {size}\n\nraid0_lvs = [\n{listed}\n]'
    return Segment(extents, text)


def in_stripes(content: bytes, count: int, size: int) -> list[bytes]:
    """The stripes of a content, chunk by chunk, in extents each: the plain definition."""
    out = [bytearray() for _ in range(count)]
    for number, at in enumerate(range(0, len(content), size)):
        out[number % count] += content[at : at + size]
    return [bytes(one) for one in out]


def same_files(source: Any, plain: Any, volume: str, walked: Callable[..., Any], sha256_of: Callable[..., str]) -> int:
    """How many files a volume has, all the same as those of a plain one."""
    inside = [entry for entry in walked(source)[0] if entry.volume == volume]
    outside = walked(plain)[0]
    assert [(e.path, e.size, e.state) for e in inside] == [(e.path, e.size, e.state) for e in outside]
    pairs = [(one, other) for one, other in zip(inside, outside, strict=True) if one.readable]
    assert all(sha256_of(source, one) == sha256_of(plain, other) for one, other in pairs)
    return len(pairs)


@pytest.mark.parametrize("size", [8, 64, 128])
@pytest.mark.parametrize("kind", ["striped", "raid0", "raid10"])
def test_stripes_over_two_physical_volumes_of_one_disk(
    kind: str, size: int, root: bytes, opened: Callable[..., Any], walked: Callable[..., Any],
    sha256_of: Callable[..., str],
) -> None:  # fmt: skip
    first, second = map(extents_of, in_stripes(root, 2, size * 512))
    half = len(first)
    if kind == "striped":
        logical = {"root": [striped(2 * half, ("pv0", 1), ("pv1", 0), size=size)]}
    elif kind == "raid0":  # an image in two parts, the second before the first
        logical = {
            "root": [raid0(2 * half, "root_rimage_0", "root_rimage_1", size=size)],
            "root_rimage_0": [linear(half, 1)],
            "root_rimage_1": [linear(half, 0, "pv1")],
        }
    else:  # two pairs; of the first only the second copy is on this disk
        raids = ", ".join(f'"root_rmeta_{n}", "root_rimage_{n}"' for n in range(4))
        text = f'type = "raid10"\ndevice_count = 4\nstripe_size = {size}\nraids = [{raids}]'
        logical = {
            "root": [Segment(2 * half, text)],
            "root_rimage_0": [linear(half, 0, "pv2")],
            "root_rimage_1": [linear(half, 1)],
            "root_rimage_2": [linear(half, 0, "pv1")],
            "root_rimage_3": [linear(half, 50, "pv2")],
        }
    hidden = [name for name in logical if name != "root"]
    group = VolumeGroup(logical, physical=3 if kind == "raid10" else 2, hidden=hidden)
    one = build_lvm(group, [bytes(EXTENT), *first])
    two = build_lvm(group, second, own=1)
    disk = build_mbr([Partition(0x8E, bytes(one)), Partition(0x8E, bytes(two))])
    source = opened(disk)
    assert [(v.name, v.file_system, v.status) for v in source.volumes()] == [
        ("p1", "LVM2 physical volume", "unwrapped"),
        ("p1/root", "ext2", "examined"),
        ("p2", "LVM2 physical volume", "unwrapped"),
    ]
    codes = [(p.code, p.severity) for p in source.problems() if p.code != "volume-group-spread"]
    assert codes == [("volume-group-beside", Severity.NOTE)]
    assert same_files(source, opened(root), "p1/root", walked, sha256_of) > 30
    for entry in walked(source)[0]:
        if entry.physical_offset is not None and entry.size:
            head = next(source.chunks(entry))[:512]
            assert bytes(disk[entry.physical_offset :][: len(head)]) == head
    coverage = source.coverage()
    assert in_file_systems(coverage) == len(root)
    assert sum(coverage.values()) == len(disk)


def test_one_of_two_stripes_is_read_where_it_lies(
    root: bytes, opened: Callable[..., Any], walked: Callable[..., Any], sha256_of: Callable[..., str]
) -> None:
    """Half of the chunks are on another disk: small files that lie wholly in the others are read, none wrongly."""
    size = 64 << 10
    content = bytes(build_ext2([PlannedFile(f"/f{n}", bytes([n]) * 700) for n in range(1, 9)], size=2 << 20))
    first = extents_of(in_stripes(content, 2, size)[0])
    group = VolumeGroup({"root": [striped(32, ("pv0", 0), ("pv1", 0), size=128)]}, physical=2)
    source = opened(build_lvm(group, first))
    (problem,) = [p for p in source.problems() if p.code == "volume-incomplete"]
    assert problem.severity is Severity.PROBLEM
    assert "of it on pv1 (every other stripe" in problem.detail
    for entry in walked(source)[0]:
        if entry.readable and entry.size:
            try:
                content_of = b"".join(source.chunks(entry))
            except EvidenceError:
                continue
            assert content_of == bytes([int(entry.path[2:])]) * 700
    assert sum(source.coverage().values()) == len(first) * EXTENT + FIRST_EXTENT


@pytest.mark.parametrize("size", [0, 5, 256])
def test_stripes_that_contradict_themselves_are_damage(size: int, root: bytes, opened: Callable[..., Any]) -> None:
    group = VolumeGroup({"root": [striped(6, ("pv0", 0), ("pv0", 3), size=size)]})
    source = opened(build_lvm(group, extents_of(root)))
    assert [p.code for p in source.problems()] == ["layer-damaged"]


def test_a_cached_volume_is_read_from_behind_its_cache(root: bytes, opened: Callable[..., Any]) -> None:
    parts = extents_of(root)
    logical = {
        "root": [Segment(len(parts), 'type = "cache"\ncache_pool = "fast"\norigin = "root_corig"')],
        "root_corig": [linear(len(parts), 2)],
        "fast": [Segment(1, 'type = "cache-pool"\ndata = "fast_cdata"\nmetadata = "fast_cmeta"\nchunk_size = 128')],
        "fast_cdata": [linear(1, 0)],
        "fast_cmeta": [linear(1, 1)],
    }
    hidden = ["root_corig", "fast_cdata", "fast_cmeta"]
    source = opened(build_lvm(VolumeGroup(logical, hidden=hidden), [bytes(EXTENT)] * 2 + parts))
    assert [(v.name, v.status) for v in source.volumes()] == [("p0", "unwrapped"), ("p0/root", "examined")]
    assert [(p.code, p.severity) for p in source.problems()] == [("cache-not-read", Severity.PROBLEM)]


def test_the_newest_of_the_descriptions_on_a_disk_counts(root: bytes, opened: Callable[..., Any]) -> None:
    """A physical volume that was away while the group changed has an old text; the one beside it knows better."""
    parts = extents_of(root)
    old = VolumeGroup({"old": [linear(4, 0)]}, physical=2)
    new = VolumeGroup({"root": [linear(len(parts), 0)]}, physical=2, change=9)
    disk = build_mbr([Partition(0x8E, bytes(build_lvm(old, parts))), Partition(0x8E, bytes(build_lvm(new, [], own=1)))])
    source = opened(disk)
    assert [(v.name, v.status) for v in source.volumes()][:2] == [("p1", "unwrapped"), ("p1/root", "examined")]


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
        assert checksum_of(data) == lvm_checksum(data)


def test_the_text_is_read_as_lvm_writes_it() -> None:
    text = 'vg { # note {\n a = 12\n b = ["x", 3, "y \\"z\\" ]"]\n c { d = "}" }\n e = []\n}\n'
    assert parse(text) == {"vg": {"a": 12, "b": ["x", 3, 'y "z" ]'], "c": {"d": "}"}, "e": []}}
    assert parse(text + "t = 1\t# Sun 6\n\n") == {**parse(text), "t": 1}  # the last line of LVM's own texts


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
