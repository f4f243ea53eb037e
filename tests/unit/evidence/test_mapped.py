"""Thin volumes and old snapshots of LVM2: read by their own tables; a damaged table is named and nothing is guessed."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.thin import build_snapshot_store, build_thin, crc32c
from support.volumes import EXTENT, FIRST_EXTENT, Segment, VolumeGroup, build_lvm, in_file_systems, linear

from caid_triage.evidence.layers.mapped import NotMapped, checksums, exceptions_of, thin_mapping
from caid_triage.model import Problem, Severity
from caid_triage.synth.ext import build_ext2
from caid_triage.synth.plan import PlannedFile

CHUNK = 64 << 10


def reader(data: bytes) -> Callable[[int, int], bytes]:
    return lambda at, length: data[at : at + length]


def mapping(data: bytes, device: int, chunk: int = CHUNK) -> dict[int, int]:
    numbers, places = thin_mapping(reader(data), len(data), device, chunk)
    return dict(zip(numbers.tolist(), places.tolist(), strict=True))


def extents_of(content: bytes) -> list[bytes]:
    return [content[at : at + EXTENT].ljust(EXTENT, b"\0") for at in range(0, len(content), EXTENT)]


@pytest.fixture(scope="module")
def systems() -> tuple[bytes, bytes]:
    """A file system before and after: some files stay, some are other ones."""
    before = [PlannedFile(f"/f{n}.bin", bytes([n]) * (40_000 + n)) for n in range(1, 30)]
    after = [*before[:20], *(PlannedFile(f"/g{n}.bin", bytes([n + 90]) * (40_000 + n)) for n in range(1, 10))]
    return bytes(build_ext2(before, size=2 << 20)), bytes(build_ext2(after, size=2 << 20))


def files_of(source: Any, volume: str, sha256_of: Callable[..., str]) -> dict[str, str]:
    found = [item for item in source.walk() if not isinstance(item, Problem) and item.volume == volume]
    return {entry.path: sha256_of(source, entry) for entry in found if entry.readable}


# ---------------------------------------------------------------- thin


def with_root(tables: bytes, root: int) -> bytes:
    """Tables whose superblock names another root, with a checksum that is right."""
    head = bytearray(tables[:4096])
    struct.pack_into("<Q", head, 320, root)
    struct.pack_into("<I", head, 0, crc32c(bytes(head[4:])) ^ 160774)
    return bytes(head) + tables[4096:]


def thin_image(systems: tuple[bytes, bytes], *, tables: bytes | None = None, most: int = 252) -> bytes:
    """A pool with two thin volumes that share what is equal, as a snapshot does; chunks lie in a random order."""
    choose = random.Random(4)
    places = list(range(80))
    choose.shuffle(places)
    store: dict[bytes, int] = {}
    devices: dict[int, dict[int, int]] = {1: {}, 2: {}}
    for device, content in zip(devices, systems, strict=True):
        for number in range(len(content) // CHUNK):
            chunk = content[number * CHUNK :][:CHUNK]
            if chunk.strip(b"\0"):  # a chunk of zeros was never written
                devices[device][number] = store.setdefault(chunk, places[len(store)])
    data = bytearray(80 * CHUNK)
    for chunk, place in store.items():
        data[place * CHUNK : (place + 1) * CHUNK] = chunk
    made = extents_of(build_thin(devices, chunk=CHUNK, most=most) if tables is None else tables)
    extents = len(systems[0]) // EXTENT
    thin = 'type = "thin"\nthin_pool = "pool"\ntransaction_id = 0\ndevice_id = {}'
    pool = 'type = "thin-pool"\nmetadata = "pool_tmeta"\npool = "pool_tdata"\ntransaction_id = 2\nchunk_size = 128\n'
    logical = {
        "pool": [Segment(80, pool + 'discards = "passdown"\nzero_new_blocks = 1')],
        "pool_tdata": [linear(40, 0), linear(40, 40 + len(made))],
        "pool_tmeta": [linear(len(made), 40)],
        "before": [Segment(extents, thin.format(1))],
        "after": [Segment(extents, thin.format(2) + '\norigin = "before"')],
    }
    parts = extents_of(bytes(data))
    return bytes(build_lvm(VolumeGroup(logical, hidden=["pool_tdata", "pool_tmeta"]), parts[:40] + made + parts[40:]))


@pytest.mark.parametrize("most", [3, 252])
def test_thin_volumes_have_their_files(
    most: int, systems: tuple[bytes, bytes], opened: Callable[..., Any], sha256_of: Callable[..., str]
) -> None:
    image = thin_image(systems, most=most)
    source = opened(image)
    assert [(v.name, v.file_system, v.status) for v in source.volumes()] == [
        ("p0", "LVM2 physical volume", "unwrapped"),
        ("p0/after", "ext2", "examined"),
        ("p0/before", "ext2", "examined"),
    ]
    assert not source.problems()
    for name, content in zip(("before", "after"), systems, strict=True):
        assert files_of(source, f"p0/{name}", sha256_of) == files_of(opened(content), "p0", sha256_of)
    placed = 0
    for entry in source.walk():
        if not isinstance(entry, Problem) and entry.physical_offset is not None and entry.size:
            assert image[entry.physical_offset :][:512] == next(source.chunks(entry))[:512]
            placed += 1
    assert placed > 30
    coverage = source.coverage()
    chunks = {c for content in systems for c in extents_of(content) if c.strip(b"\0")}
    assert in_file_systems(coverage) == len(chunks) * CHUNK
    tables = len(extents_of(build_thin({}, chunk=CHUNK))) * EXTENT
    assert coverage["partition_table"] >= FIRST_EXTENT + tables
    assert sum(coverage.values()) == len(image)


def test_a_thin_volume_over_an_external_one(
    systems: tuple[bytes, bytes], opened: Callable[..., Any], sha256_of: Callable[..., str]
) -> None:
    """What it did not write itself is the external volume's."""
    before, after = map(extents_of, systems)
    changed = {number: chunk for number, chunk in enumerate(after) if chunk != before[number]}
    tables = extents_of(build_thin({7: {number: place for place, number in enumerate(changed)}}, chunk=CHUNK))
    thin = 'type = "thin"\nthin_pool = "pool"\ntransaction_id = 0\ndevice_id = 7\nexternal_origin = "base"'
    pool = 'type = "thin-pool"\nmetadata = "pool_tmeta"\npool = "pool_tdata"\ntransaction_id = 1\nchunk_size = 128'
    logical = {
        "base": [linear(len(before), 0)],
        "new": [Segment(len(before), thin)],
        "pool": [Segment(len(changed), pool)],
        "pool_tdata": [linear(len(changed), len(before))],
        "pool_tmeta": [linear(len(tables), len(before) + len(changed))],
    }
    group = VolumeGroup(logical, hidden=["pool_tdata", "pool_tmeta"])
    source = opened(build_lvm(group, [*before, *changed.values(), *tables]))
    assert 0 < len(changed) < len(before)
    assert files_of(source, "p0/new", sha256_of) == files_of(opened(systems[1]), "p0", sha256_of)
    assert files_of(source, "p0/base", sha256_of) == files_of(opened(systems[0]), "p0", sha256_of)
    assert sum(source.coverage().values()) == FIRST_EXTENT + (len(before) + len(changed) + len(tables)) * EXTENT


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda t: t[:32] + b"\0" + t[33:], "no superblock"),
        (lambda t: t[:100] + b"\1" + t[101:], "superblock of its pool does not agree"),
        (lambda t: t[:13000] + b"\7" + t[13001:], "a block does not agree with its checksum"),
        (lambda t: t[:4096], "a block does not agree with its checksum"),
        (lambda t: with_root(t, 9999), "point behind their end"),
        (lambda t: build_thin({9: {0: 0}}, chunk=CHUNK), "do not know it"),
        (lambda t: build_thin({1: {0: 0}, 2: {0: 0}}, chunk=2 * CHUNK), "chunks of another size"),
    ],
)
def test_damaged_tables_are_named_and_nothing_is_guessed(
    damage: Callable[[bytes], bytes], says: str, systems: tuple[bytes, bytes], opened: Callable[..., Any]
) -> None:
    good = build_thin({1: {0: 0}, 2: {1: 1}}, chunk=CHUNK)
    source = opened(thin_image(systems, tables=damage(good)))
    problems = [(p.code, p.severity, p.volume) for p in source.problems()]
    assert problems == [
        ("volume-incomplete", Severity.PROBLEM, "p0/after"),
        ("volume-incomplete", Severity.PROBLEM, "p0/before"),
    ]
    assert says in source.problems()[0].detail


def test_trees_that_go_in_a_circle_come_to_an_end() -> None:
    good = bytearray(build_thin({1: dict.fromkeys(range(9), 1)}, chunk=CHUNK, most=3))
    for number in range(1, len(good) // 4096):
        node = good[number * 4096 : (number + 1) * 4096]
        if node[4] == 1:  # an inner node: all its children become itself
            count = struct.unpack_from("<I", node, 16)[0]
            for place in range(count):
                struct.pack_into("<Q", node, 32 + 8 * (252 + place), number)
            struct.pack_into("<I", node, 0, crc32c(bytes(node[4:])) ^ 121107)
            good[number * 4096 : (number + 1) * 4096] = node
    with pytest.raises(NotMapped):
        mapping(bytes(good), 1)


CHUNKS = st.dictionaries(st.integers(0, 1 << 50), st.integers(0, 1 << 38), max_size=40)


@settings(deadline=None, max_examples=40)
@given(
    devices=st.dictionaries(st.integers(0, 1 << 23), CHUNKS, max_size=4),
    most=st.integers(2, 252),
)
def test_every_mapping_comes_back(devices: Mapping[int, Mapping[int, int]], most: int) -> None:
    tables = build_thin(devices, chunk=CHUNK, most=most)
    for device, chunks in devices.items():
        assert mapping(tables, device) == chunks


@settings(deadline=None, max_examples=60)
@given(at=st.integers(0, 7 * 4096 - 1), bits=st.integers(1, 255))
def test_any_damaged_byte_is_noticed_or_does_not_matter(at: int, bits: int) -> None:
    wanted = {number: number * 3 for number in range(9)}
    tables = bytearray(build_thin({1: wanted}, chunk=CHUNK, most=3))
    tables[at % len(tables)] ^= bits
    try:
        assert mapping(bytes(tables), 1) == wanted
    except NotMapped:
        assert bytes(tables) != build_thin({1: wanted}, chunk=CHUNK, most=3)


def test_the_same_as_thin_restore_writes(tmp_path: Path) -> None:
    """Tables made by the tools of the kernel's makers (thin-provisioning-tools)."""
    program = shutil.which("thin_restore")
    if program is None:
        pytest.skip("thin_restore (thin-provisioning-tools), which this is compared with, is not installed")
    choose = random.Random(6)
    wanted: dict[int, dict[int, int]] = {}
    text = '<superblock uuid="" time="1" transaction="3" data_block_size="128" nr_data_blocks="100000">\n'
    places = iter(choose.sample(range(100_000), 30_000))
    for device, count in ((1, 20_000), (5, 900), (77, 0)):
        numbers = sorted(choose.sample(range(1 << 20), count))
        wanted[device] = {number: next(places) for number in numbers}
        text += f'<device dev_id="{device}" mapped_blocks="{count}" transaction="0" creation_time="0" snap_time="1">\n'
        for number, place in wanted[device].items():
            text += f'<single_mapping origin_block="{number}" data_block="{place}" time="1"/>\n'
        text += "</device>\n"
    (tmp_path / "pool.xml").write_text(text + "</superblock>\n")
    (tmp_path / "pool.bin").write_bytes(bytes(8 << 20))
    subprocess.run(
        [program, "-i", str(tmp_path / "pool.xml"), "-o", str(tmp_path / "pool.bin")],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    tables = (tmp_path / "pool.bin").read_bytes()
    for device, chunks in wanted.items():
        assert mapping(tables, device) == chunks


def test_checksums_are_those_of_the_definition() -> None:
    rows = np.random.default_rng(3).integers(0, 256, (5, 300), dtype=np.uint8)
    assert checksums(rows).tolist() == [crc32c(row.tobytes()) for row in rows]


# ---------------------------------------------------------------- old snapshots


@pytest.mark.parametrize("chunk", [4096, 8192, 65536])
def test_an_old_snapshot_is_the_volume_as_it_was(
    chunk: int, systems: tuple[bytes, bytes], opened: Callable[..., Any], sha256_of: Callable[..., str]
) -> None:
    before, after = systems
    old = {
        at // chunk: before[at : at + chunk]
        for at in range(0, len(before), chunk)
        if before[at : at + chunk] != after[at : at + chunk]
    }
    store = extents_of(build_snapshot_store(old, chunk=chunk))
    now = extents_of(after)
    snapshot = f'type = "snapshot"\nchunk_size = {chunk // 512}\norigin = "root"\ncow_store = "nightly"'
    logical = {
        "nightly": [linear(len(store), 0)],
        "root": [linear(len(now), len(store))],
        "snapshot0": [Segment(len(now), snapshot)],
    }
    image = build_lvm(VolumeGroup(logical), store + now)
    source = opened(image)
    assert [(v.name, v.file_system, v.status) for v in source.volumes()] == [
        ("p0", "LVM2 physical volume", "unwrapped"),
        ("p0/root", "ext2", "examined"),
        ("p0/nightly", "ext2", "examined"),
    ]
    assert not source.problems()
    assert files_of(source, "p0/nightly", sha256_of) == files_of(opened(before), "p0", sha256_of)
    assert files_of(source, "p0/root", sha256_of) == files_of(opened(after), "p0", sha256_of)
    assert sum(source.coverage().values()) == len(image)


def test_a_snapshot_that_filled_up_is_named(systems: tuple[bytes, bytes], opened: Callable[..., Any]) -> None:
    now = extents_of(systems[1])
    store = extents_of(build_snapshot_store({}, chunk=4096, valid=0))
    snapshot = 'type = "snapshot"\nchunk_size = 8\norigin = "root"\ncow_store = "nightly"'
    logical = {
        "nightly": [linear(len(store), 0)],
        "root": [linear(len(now), len(store))],
        "snapshot0": [Segment(len(now), snapshot)],
    }
    source = opened(build_lvm(VolumeGroup(logical), store + now))
    (problem,) = source.problems()
    assert (problem.code, problem.volume) == ("volume-incomplete", "p0/nightly")
    assert "filled up" in problem.detail


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 700])
def test_exceptions_over_several_areas(count: int) -> None:
    wanted = {number * 3: bytes([number % 251]) * 4096 for number in range(count)}
    store = build_snapshot_store(wanted, chunk=4096)
    chunk, numbers, places = exceptions_of(reader(store), len(store))
    assert chunk == 4096
    assert numbers.tolist() == list(wanted)
    assert [store[at * 4096 : (at + 1) * 4096] for at in places.tolist()] == list(wanted.values())
