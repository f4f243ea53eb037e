"""Views with holes, chunks that were never written and chunks of several snapshots: what is searched of them, once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.carvables import noise
from support.ldm import SECTOR, SPANNED, STRIPED, DynamicVolume, Part, build_dynamic
from support.ledgers import check_ledger
from support.thin import build_thin
from support.volumes import EXTENT, Segment, VolumeGroup, build_lvm, linear

from caid_triage.evidence.account import DiskAccount
from caid_triage.evidence.layers.mapped import MappedView
from caid_triage.evidence.layers.view import Run, View, spans_on_source, view_of_runs
from caid_triage.evidence.ranges import common, total
from caid_triage.evidence.source import open_source
from caid_triage.model import FileEntry, Problem, State, Volume
from caid_triage.synth.ext import build_ext2
from caid_triage.synth.mbr import Partition, build_mbr
from caid_triage.synth.plan import PlannedFile
from caid_triage.synth.sample_pictures import picture

COAST, TOWN, MARBLE = picture("coast.jpg"), picture("town.jpg"), picture("marble.jpg")
CHUNK = 64 << 10
THIN = 'type = "thin"\nthin_pool = "pool"\ntransaction_id = 0\ndevice_id = {}'
POOL = 'type = "thin-pool"\nmetadata = "pool_tmeta"\npool = "pool_tdata"\ntransaction_id = 2\nchunk_size = 128'


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    sources: list[Any] = []

    def opener(what: bytes | bytearray, carving: str = "fast") -> Any:
        path = tmp_path / f"disk{len(sources)}.img"
        path.write_bytes(what)
        sources.append(open_source(path, "E", "s", carving=carving))
        return sources[-1]

    yield opener
    for source in sources:
        source.close()


def carved(source: Any) -> list[tuple[str, bytes, FileEntry]]:
    """(volume, content, entry) of all that was carved and can be read, after a look at the ledger."""
    found = [item for item in source.walk() if isinstance(item, FileEntry)]
    assert [entry.number for entry in found] == list(range(len(found)))
    assert check_places(source) > 100
    return [(e.volume, b"".join(source.chunks(e)), e) for e in found if e.state in (State.CARVED, State.SLACK)]


def lines(number: int, length: int) -> bytes:
    """Bytes that are no file and do not look random."""
    return (b"%08d nothing to see here\n" % number * (length // 30))[:length].ljust(length, b".")


def among(ranges: Any, byte: int) -> bool:
    return any(start <= byte < end for start, end in ranges)


def check_places(source: Any) -> int:
    """The ledger's kind of every sector that a view holds is what the view's own volumes say of it, sector by sector.

    Returns how many there were. Where several views hold a sector, what any of them says is right.
    """
    said: dict[int, set[str]] = {}
    for carving in source._carvings[1:]:
        site = carving.site
        free = [(volume, ranges.ranges) for _, volume, ranges in carving._free_spaces()]
        slack = [one for each in carving._slack.values() for one in each.on_sectors().spans.tolist()]
        for start, end in site.only or [(0, site.size)]:
            for byte in range(start, end, SECTOR):
                place = site.on_source(byte)
                if place is None:
                    continue
                here = [one for _, one in site.opened if 0 <= byte - one.volume.offset < one.volume.length]
                inside = [one for one in here if one.volume.status != "unwrapped"]
                kinds = {"unpartitioned_searched", "partition_table"}
                if inside and inside[0].volume.status == "examined":
                    kinds = {"file_content", "metadata", "file_system", "slack"}
                    if among([one for _, ranges in free for one in ranges], byte):
                        kinds = {"unallocated_searched"}
                    elif among(slack, byte):
                        kinds = {"slack_searched"}
                elif inside:
                    kinds = {"not_understood_searched"}
                said.setdefault(place, set()).update(kinds)
    lines = {
        place: line.kind
        for line in check_ledger(source)
        for place in range(-(-line.start // SECTOR) * SECTOR, line.end, SECTOR)
    }
    wrong = {place: (lines[place], kinds) for place, kinds in said.items() if lines[place] not in kinds}
    assert not wrong
    return len(said)


def extents_of(content: bytes) -> list[bytes]:
    return [content[at : at + EXTENT].ljust(EXTENT, b"\0") for at in range(0, len(content), EXTENT)]


def pool_of(contents: dict[str, dict[int, bytes]], extents: int, *, missing: bool = False) -> bytes:
    """A thin pool: by volume its chunks (number: content), equal ones once; with ``missing`` half of it elsewhere."""
    store: dict[bytes, int] = {}
    devices = {
        device: {number: store.setdefault(data.ljust(CHUNK, b"\0"), len(store)) for number, data in chunks.items()}
        for device, chunks in enumerate(contents.values(), 1)
    }
    tables = extents_of(build_thin(devices, chunk=CHUNK))
    half = len(store) // 2 if missing else len(store)
    data = [linear(half, len(tables))]
    if missing:
        data.append(linear(len(store) - half, 0, "pv1"))
    logical = {
        **{name: [Segment(extents, THIN.format(device))] for device, name in enumerate(contents, 1)},
        "pool": [Segment(len(store), POOL)],
        "pool_tdata": data,
        "pool_tmeta": [linear(len(tables), 0)],
    }
    group = VolumeGroup(logical, hidden=("pool", "pool_tdata", "pool_tmeta"), physical=1 + missing)
    return bytes(build_lvm(group, [*tables, *list(store)[:half]]))


def test_a_thin_volume_is_searched_where_it_was_written(opened: Callable[..., Any]) -> None:
    """4 EiB of which three chunks exist: the others would take years."""
    content = {0: lines(1, CHUNK), 3: COAST, 1 << 40: bytes(512) + TOWN}
    source = opened(pool_of({"big": content}, 1 << 45))
    began = time.process_time()
    found = carved(source)
    assert time.process_time() - began < 30
    assert [(volume, data) for volume, data, _ in found] == [("p0/big", COAST), ("p0/big", TOWN)]
    coverage = source.coverage()
    assert coverage["not_understood_searched"] == len(content) * CHUNK
    assert sum(coverage.values()) == source.info.size


@pytest.mark.parametrize("carving", ["fast", "thorough"])
@pytest.mark.parametrize("kind", [SPANNED, STRIPED])
def test_a_volume_is_searched_as_far_as_it_is_on_this_disk(kind: int, carving: str, opened: Callable[..., Any]) -> None:
    """A damaged number makes a volume of some MiB one of 4 EiB: behind what is here there is nothing to read."""
    parts = [Part(0, 0, 2048, 0, 0), Part(0, 4096, 2048, 2048 if kind == SPANNED else 0, 1)]
    content = bytearray(lines(1, 4096 * SECTOR))
    content[CHUNK : CHUNK + len(COAST)] = COAST
    disk = build_dynamic([DynamicVolume("Huge", 1 << 53, [parts], kind)], [bytes(content)])
    source = opened(disk, carving)
    assert source.volumes()[1].length == 1 << 62
    began = time.process_time()
    assert [(volume, data) for volume, data, _ in carved(source)] == [("p1/Huge", COAST)]
    assert time.process_time() - began < 30


def test_no_picture_is_joined_over_what_lies_on_another_disk(opened: Callable[..., Any]) -> None:
    """What a picture has in the hole is missing: its beginning is had, its end is not taken for what follows."""
    content = bytearray(lines(5, 6 * EXTENT))
    end = 2 * EXTENT
    start = end - (len(COAST) // 3 // 512) * 512
    content[start : start + len(COAST)] = COAST
    content[start + len(COAST) : start + len(COAST) + 512] = bytes(512)
    parts = extents_of(bytes(content))
    hole = -(-(len(COAST) - (end - start)) // EXTENT) if len(COAST) > EXTENT else 1
    tail = bytearray(parts[2])
    cut = 8192  # so much of the picture lies in the hole
    behind = COAST[end - start + cut :]
    logical = {"root": [linear(2, 0), linear(hole, 0, "pv1"), linear(3, 2)]}
    tail[: len(behind)] = behind
    image = build_lvm(VolumeGroup(logical, physical=2), [*parts[:2], bytes(tail), *parts[3:5]])
    source = opened(image)
    for _, data, entry in carved(source):
        assert len(entry.locator) == 3, "it was put together over the hole"
        assert COAST.startswith(data)
    ((_, first, _),) = carved(source)[:1]
    assert len(first) > 512


def test_of_snapshots_in_a_thin_pool_each_find_is_listed_once(opened: Callable[..., Any]) -> None:
    """A picture in free space that both have in the same chunk is one; in a chunk of its own each has one."""
    plan = [PlannedFile(f"/f{n}.bin", noise(n, 30_000)) for n in range(1, 9)]
    before = bytearray(build_ext2(plan, size=2 << 20))
    free = 20 * CHUNK
    before[free : free + len(COAST)] = COAST
    after = bytearray(before)
    before[free + 2 * CHUNK : free + 2 * CHUNK + len(TOWN)] = TOWN
    after[free + 4 * CHUNK : free + 4 * CHUNK + len(MARBLE)] = MARBLE

    def chunks(content: bytes) -> dict[int, bytes]:
        pieces = {at // CHUNK: content[at : at + CHUNK] for at in range(0, len(content), CHUNK)}
        return {number: piece for number, piece in pieces.items() if piece.strip(b"\0")}

    image = pool_of({"before": chunks(bytes(before)), "after": chunks(bytes(after))}, len(before) // EXTENT)
    source = opened(image)
    found = carved(source)
    assert sorted((volume, data) for volume, data, _ in found) == sorted(
        [("p0/after", COAST), ("p0/after", MARBLE), ("p0/before", TOWN)]
    )
    for _, data, entry in found:
        assert entry.physical_offset is not None
        assert image[entry.physical_offset :][:512] == data[:512]
    again = [item for item in source.walk() if isinstance(item, FileEntry)]
    assert sum(entry.state is State.CARVED for entry in again) == len(found)


def test_a_pool_with_a_part_on_another_disk(opened: Callable[..., Any]) -> None:
    content = {
        number: (COAST if number == 2 else TOWN if number == 11 else lines(number, CHUNK)) for number in range(12)
    }
    source = opened(pool_of({"data": content}, 1 << 40, missing=True))
    assert [(volume, data) for volume, data, _ in carved(source)] == [("p0/data", COAST)]
    assert not [item for item in source.walk() if isinstance(item, Problem)]
    assert sum(source.coverage().values()) == source.info.size
    assert source.coverage()["not_understood_searched"] == 6 * CHUNK


def test_a_disk_with_partitions_in_a_thin_volume_is_told_to_the_sector(opened: Callable[..., Any]) -> None:
    """Its table is a sector of a chunk, and a partition ends where the next one begins, within another."""
    first = build_ext2([PlannedFile(f"/f{n}.bin", noise(n, 30_000)) for n in range(1, 5)], size=1 << 20)
    second = build_ext2([PlannedFile(f"/g{n}.bin", noise(n, 30_000)) for n in range(1, 5)], size=1 << 20)
    disk = bytearray(
        build_mbr([Partition(0x83, bytes(first)), Partition(0x83, bytes(second))], align=63, tail=2 * CHUNK)
    )
    disk[1 << 19 : (1 << 19) + len(COAST)] = COAST
    chunks = {at // CHUNK: bytes(disk[at : at + CHUNK]) for at in range(0, len(disk), CHUNK)}
    source = opened(pool_of({"vm": {n: piece for n, piece in chunks.items() if piece.strip(b"\0")}}, 1 << 30))
    assert [volume.name for volume in source.volumes()] == ["p0", "p0/vm", "p0/vm/p1", "p0/vm/p2"]
    assert COAST in [data for _, data, _ in carved(source)]


# ---------------------------------------------------------------- chunk by chunk, and each byte by itself


class Disk:
    """Stands for the disk: its bytes are their own places."""

    def __init__(self, size: int) -> None:
        self.size = size

    def get_size(self) -> int:
        return self.size

    def read(self, offset: int, length: int) -> bytes:
        return bytes(at % 251 for at in range(offset, min(offset + length, self.size)))


@st.composite
def stores(draw: st.DrawFn) -> View:
    """A store of 24 chunks of 8 bytes in runs that lie apart, some of them missing."""
    runs, at, place = [], 0, 5
    while at < 192:
        length = min(draw(st.integers(1, 70)), 192 - at)
        if draw(st.booleans()):
            runs.append(Run(at, length, place))
        at, place = at + length, place + length + draw(st.integers(0, 9))
    return view_of_runs(Disk(2000), runs or [Run(0, 1, 5)], 192)


MAPS = st.dictionaries(st.integers(0, 30), st.integers(0, 23), max_size=12)
MARKS = st.lists(st.tuples(st.integers(0, 240), st.integers(0, 40)), max_size=6)


@settings(deadline=None, max_examples=200)
@given(stores(), MAPS, st.integers(1, 240), MARKS)
def test_a_mapped_view_tells_places_as_each_of_its_bytes_does(
    store: View, chunks: dict[int, int], size: int, marks: list[tuple[int, int]]
) -> None:
    numbers = np.array(sorted(chunks), dtype=np.int64)
    places = np.array([chunks[number] for number in sorted(chunks)], dtype=np.int64)
    view = MappedView(store, size, 8, numbers, places)
    marked = np.zeros(size, dtype=bool)
    for start, length in marks:
        marked[start : start + length] = True
    spans = np.flatnonzero(np.diff(np.concatenate(([0], marked.astype(np.int8), [0])))).reshape(-1, 2)
    wanted = {view.on_source(byte) for byte in np.flatnonzero(marked).tolist()} - {None}
    moved = spans_on_source(view, spans)
    assert moved is not None
    assert [byte for start, end in moved.tolist() for byte in range(start, end)] == sorted(wanted)
    own = view.own_ranges()
    assert own == sorted(own)
    assert all(a[1] <= b[0] for a, b in pairwise(own))
    held = {byte for start, end in own for byte in range(start, end)}
    for byte in range(size):
        if view.on_source(byte) is not None:
            assert byte in held
            assert view.exact(byte, 1) == Disk(2000).read(view.on_source(byte) or 0, 1)
        elif byte in held:  # a chunk of which a part is here
            first = byte // 8 * 8
            assert any(view.on_source(other) is not None for other in range(first, first + 8))


@settings(deadline=None, max_examples=200)
@given(stores())
def test_a_view_s_own_ranges_are_the_bytes_that_it_has(view: View) -> None:
    own = view.own_ranges()
    held = set(range(192)) if own is None else {byte for start, end in own for byte in range(start, end)}
    assert held == {byte for byte in range(192) if view.on_source(byte) is not None}
    assert own != [(0, 192)]


def test_a_million_chunks_are_told_at_once() -> None:
    count = 1 << 20
    numbers = np.arange(count, dtype=np.int64) * 2
    store = view_of_runs(Disk(2 * count * 8), [Run(0, 2 * count * 8, 0)])
    view = MappedView(store, 2 * count * 8, 8, numbers, numbers[::-1].copy())
    spans = np.stack([numbers * 8, numbers * 8 + 8], axis=1)
    began = time.process_time()
    moved = view.spans_outside(spans)
    assert len(view.own_ranges()) == count
    assert moved is not None
    assert len(moved) == count
    claims = view.claims_outside([(0, 2 * count * 8, "not_understood", "p0/thin")])
    account = DiskAccount(2 * count * 8, [Volume("p0", 0, 2 * count * 8, "", "", "unwrapped")], claims)
    assert account.ledger().coverage()["not_understood"] == count * 8
    closed = [(start, start + length) for start, length, *_ in claims]
    free = [(start + 2, end + 4) for start, end in sorted(closed)]
    assert total(common(free, sorted(closed))) == count * 6
    assert time.process_time() - began < 120  # looking each up in turn would take days
