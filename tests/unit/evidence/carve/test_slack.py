"""File slack: the pieces by a plain count of every file's blocks, and pictures that begin behind the end of a file."""

from __future__ import annotations

import hashlib
import random
import shutil
import struct
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytsk3
from hypothesis import given, settings
from hypothesis import strategies as st
from support.carvables import carvables, noise, png

from caid_triage.errors import EvidenceError
from caid_triage.evidence.carve.ntfs_valid import valid_lengths, valid_lengths_in
from caid_triage.evidence.carve.search import Search
from caid_triage.evidence.carve.slack import Slack, SlackRoll, header_places, naive_places
from caid_triage.evidence.carve.space import Space
from caid_triage.evidence.ranges import clipped, merged, total, without
from caid_triage.evidence.source import open_source
from caid_triage.model import FileEntry, Problem, State
from caid_triage.synth.exfat import build_exfat
from caid_triage.synth.ext import build_ext2
from caid_triage.synth.fat import build_fat
from caid_triage.synth.mbr import Partition, build_mbr
from caid_triage.synth.ntfs import build_ntfs
from caid_triage.synth.plan import PlannedFile
from caid_triage.synth.sample_pictures import picture

SMALL, OTHER = png(24, 18), png(20, 14)
CLUSTER = {"fat16": 32768, "fat32": 4096, "exfat": 4096, "ntfs": 4096, "ext2": 4096}
PLAN = [
    PlannedFile("/first.bin", noise(1, 40_010)),
    PlannedFile("/folder/second.bin", noise(2, 3 * 32768 + 700)),
    PlannedFile("/folder/full.bin", noise(3, 2 * 32768)),
    PlannedFile("/folder/last.bin", noise(4, 5_000)),
    PlannedFile("/folder/gone.bin", noise(5, 9_000), deleted=True),
]
BUILT = {
    "fat16": lambda: build_fat(PLAN, size=160 << 20, bits=16, cluster=32768),
    "fat32": lambda: build_fat(PLAN, size=300 << 20, bits=32, cluster=4096),
    "exfat": lambda: build_exfat(PLAN, size=8 << 20),
    "ntfs": lambda: build_ntfs(PLAN, size=8 << 20),
    "ext2": lambda: build_ext2(PLAN, size=8 << 20),
}


def behind(image: bytes | bytearray, content: bytes) -> int:
    """The place behind the last byte of a file that lies in one piece."""
    return image.index(content[:512]) + len(content)


def on_sector(place: int) -> int:
    return -(-place // 512) * 512


def put(image: bytearray, place: int, data: bytes) -> None:
    image[place : place + len(data)] = data


def opened(tmp_path: Path, data: bytes | bytearray, carving: str) -> Any:
    path = tmp_path / "disk.dd"
    path.write_bytes(data)
    return open_source(path, "E", "s", carving=carving)


def in_slack(source: Any) -> dict[str, FileEntry]:
    """Entries found in slack by the SHA-256 of their content, which is read in both ways."""
    entries = [item for item in source.walk() if isinstance(item, FileEntry)]
    assert [entry.number for entry in entries] == list(range(len(entries)))
    found = {}
    for entry in entries:
        if entry.state is State.SLACK:
            content = b"".join(source.chunks(entry))
            assert len(content) == entry.size
            assert (
                source.read_at(entry, len(content) // 2, len(content) // 3)
                == (content[len(content) // 2 : len(content) // 2 + len(content) // 3])
            )
            found[hashlib.sha256(content).hexdigest()] = entry
    return found


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def counted(source: Any) -> dict[str, int]:
    coverage: dict[str, int] = source.coverage()
    assert sum(coverage.values()) == source.info.size
    assert min(coverage.values()) >= 0
    return coverage


@pytest.mark.parametrize("kind", sorted(BUILT))
def test_a_picture_behind_the_end_of_a_file_is_found_and_says_whose_slack_it_is(tmp_path, kind) -> None:
    image = bytearray(BUILT[kind]())
    place = on_sector(behind(image, PLAN[1].content))
    assert place + len(SMALL) < place // CLUSTER[kind] * CLUSTER[kind] + CLUSTER[kind]
    put(image, place, SMALL)
    odd = behind(image, PLAN[3].content) + 3
    put(image, odd, OTHER)
    for carving, wanted in (("none", {}), ("fast", {place: SMALL}), ("thorough", {place: SMALL, odd: OTHER})):
        source = opened(tmp_path, image, carving)
        found = in_slack(source)
        assert set(found) == {digest(data) for data in wanted.values()}, carving
        if wanted:
            entry = found[digest(SMALL)]
            assert entry.path == f"/folder/second.bin//$Slack/{place:014d}.png"
            assert entry.parent_path == "/folder/second.bin"
            assert entry.raw_path == entry.path.encode()
            assert (entry.volume, entry.physical_offset, entry.inode, entry.size) == ("p0", place, None, len(SMALL))
        coverage = counted(source)
        assert bool(coverage["slack_searched"]) is bool(wanted)
        source.close()


def plain_slack(source: Any) -> np.ndarray:
    """The oracle: one mark a byte of the disk, set block by block for every living file of the first volume."""
    system = source._systems[0]
    marks = np.zeros(source.info.size, dtype=bool)
    ends = {}
    for entry in source.walk():
        if isinstance(entry, FileEntry) and entry.state is State.ALLOCATED and entry.readable:
            ends.setdefault(entry.locator[1:], entry.size)
    for (inode, kind, identifier), size in ends.items():
        for attribute in system.fs.open_meta(inode):
            info = attribute.info
            ours = (int(info.type), int(info.id)) == (kind, identifier) if identifier >= 0 else size > 0
            if not ours or not int(info.flags) & int(pytsk3.TSK_FS_ATTR_NONRES):
                continue
            for run in attribute:
                if int(run.flags):
                    continue
                for block in range(int(run.len)):
                    first = (int(run.offset) + block) * system.block_size
                    place = system.base + (int(run.addr) + block) * system.block_size
                    for byte in range(max(first, size), first + system.block_size):
                        marks[place + byte - first] = True
            if identifier < 0:
                break
    return marks


def marked(spans: np.ndarray, size: int) -> np.ndarray:
    marks = np.zeros(size, dtype=bool)
    for start, end in spans.tolist():
        assert start < end
        assert not marks[start:end].any()
        marks[start:end] = True
    assert all(one[1] <= two[0] for one, two in pairwise(spans.tolist()))
    return marks


@pytest.mark.parametrize("kind", sorted(BUILT))
def test_the_pieces_are_those_that_a_plain_count_of_blocks_gives(tmp_path, kind) -> None:
    choose = random.Random(kind)
    plan = [
        PlannedFile(
            f"/f{n}.bin", noise(n, choose.choice((900, 4096, 8192, 20_000)) + choose.randrange(3)), pieces=1 + n % 3
        )
        for n in range(12)
    ]
    build = {
        "fat16": lambda: build_fat(plan, size=40 << 20, bits=16, cluster=8192),
        "fat32": lambda: build_fat(plan, size=40 << 20, bits=32, cluster=512),
        "exfat": lambda: build_exfat(plan, size=8 << 20),
        "ntfs": lambda: build_ntfs(plan, size=8 << 20),
        "ext2": lambda: build_ext2(plan, size=8 << 20),
    }[kind]
    data = bytes(build_mbr([Partition(7, bytes(build()))])) if kind == "ntfs" else bytes(build())
    source = opened(tmp_path, data, "thorough")
    list(source.walk())
    ours = marked(source._carvings[0].searched_slack().get(source.volumes()[0].name, np.zeros((0, 2), int)), len(data))
    naive = plain_slack(source)
    assert naive.any()
    assert np.array_equal(ours, naive)
    assert counted(source)["slack_searched"] == int(naive.sum())
    assert counted(source)["slack"] == 0
    source.close()


def test_of_a_search_of_sectors_what_lies_before_the_first_is_told_as_not_searched(tmp_path) -> None:
    sums = {}
    for carving in ("none", "fast", "thorough"):
        source = opened(tmp_path, BUILT["ntfs"](), carving)
        list(source.walk())
        sums[carving] = counted(source)
        source.close()
    whole = sums["thorough"]["slack_searched"]
    assert sums["none"]["slack"] == sums["none"]["slack_searched"] == sums["thorough"]["slack"] == 0
    assert sums["fast"]["slack"] + sums["fast"]["slack_searched"] == whole > 0
    assert 0 < sums["fast"]["slack"] < 512 * 40
    assert sums["none"]["file_system"] == sums["fast"]["file_system"] + whole


def test_a_file_that_begins_in_slack_may_go_on_in_the_free_clusters_behind(tmp_path) -> None:
    image = bytearray(BUILT["ntfs"]())
    source = opened(tmp_path, image, "fast")
    free = source._carvings[0].space().unallocated
    source.close()
    big = picture("discs.png")
    (start, end), place = next(
        (span, on_sector(behind(image, one.content)))
        for one in PLAN
        for span in free
        if span[0] == -(-behind(image, one.content) // 4096) * 4096
    )
    assert place < start < place + len(big) < end
    put(image, place, big)
    source = opened(tmp_path, image, "fast")
    (entry,) = in_slack(source).values()
    assert (entry.size, entry.physical_offset) == (len(big), place)
    source.close()


def test_a_file_with_two_names_and_a_second_walk_give_each_find_once(tmp_path, monkeypatch) -> None:
    image = bytearray(BUILT["ext2"]())
    put(image, on_sector(behind(image, PLAN[0].content)), SMALL)
    path = tmp_path / "disk.dd"
    path.write_bytes(image)
    if shutil.which("debugfs") is not None:
        command = ["debugfs", "-w", "-R", "ln /first.bin /folder/twice.bin", str(path)]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    source = open_source(path, "E", "s", carving="fast")
    first = list(source.walk())
    assert [item.path.partition("//")[0] for item in first if getattr(item, "state", None) is State.SLACK] == [
        "/first.bin"
    ]
    monkeypatch.setattr(Search, "run", lambda *_: pytest.fail("the source was carved twice"))
    assert list(source.walk()) == first
    source.close()


def test_the_beginning_of_a_picture_in_slack_is_told_as_a_part(tmp_path) -> None:
    image = bytearray(build_fat(PLAN, size=160 << 20, bits=16, cluster=32768))
    place = on_sector(behind(image, PLAN[1].content))
    put(image, place, picture("town.jpg")[:20_000])
    source = opened(tmp_path, image, "fast")
    (entry,) = in_slack(source).values()
    assert [problem.code for problem in entry.problems] == ["carved-partial"]
    assert entry.size is not None
    assert 10_000 < entry.size <= 32768
    source.close()


def test_slack_that_cannot_be_read_is_passed_over_and_counted(tmp_path) -> None:
    image = bytearray(BUILT["ntfs"]())
    place = on_sector(behind(image, PLAN[1].content))
    put(image, place, SMALL)
    other = on_sector(behind(image, PLAN[3].content))
    put(image, other, OTHER)
    source = opened(tmp_path, image, "fast")
    read = source._image.read

    def failing(offset: int, length: int) -> bytes:
        if offset < place + 512 and offset + length > place:
            raise OSError("Input/output error")
        return read(offset, length)

    source._carvings[0].read = failing
    items = list(source.walk())
    assert [item.physical_offset for item in items if getattr(item, "state", None) is State.SLACK] == [other]
    assert [item.code for item in items if isinstance(item, Problem)] == ["source-unreadable"]
    assert 512 <= counted(source)["unreadable"] <= 4096
    source.close()


def test_a_file_that_claims_the_whole_volume_costs_the_volume_once() -> None:
    roll = SlackRoll()
    for number in range(2000):
        roll.add(f"/{number}", b"/%d" % number, [(number, 1 << 40), (5, 7)])
    slack = roll.slack(10, 1 << 30, [(100, 200)])
    assert slack.size == (1 << 30) - 110
    assert roll.owner(int(slack.owners[0])) == ("/0", b"/0")


def test_paths_come_back_as_they_went_in() -> None:
    roll = SlackRoll()
    paths = [(f"/a{n}/\\x00 é{n}", b"/a%d/\0\n 7 \xff%d" % (n, n)) for n in range(2500)]
    for number, (path, raw) in enumerate(paths):
        roll.add(path, raw, [(number, number + 1)])
    for number in (0, 1, 1023, 1024, 2047, 2048, 2499):
        assert roll.owner(number) == paths[number]


ranges_of = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 60)).map(lambda one: (one[0], one[0] + one[1])))


@given(pieces=ranges_of, taken=ranges_of, low=st.integers(0, 50), high=st.integers(60, 500))
@settings(max_examples=200, deadline=None)
def test_pieces_are_those_of_a_plain_count_of_bytes(pieces, taken, low, high) -> None:
    roll = SlackRoll()
    for number, piece in enumerate(pieces):
        roll.add(str(number), b"", [piece])
    slack = roll.slack(low, high, merged(taken))
    wanted = without(clipped(merged(pieces), low, high), merged(taken))
    assert merged((start, end) for start, end in slack.spans.tolist()) == wanted
    assert slack.size == total(wanted)
    assert all(one[1] <= two[0] for one, two in pairwise(slack.spans.tolist()))
    for start, end, owner in zip(slack.starts.tolist(), slack.ends.tolist(), slack.owners.tolist(), strict=True):
        mine = pieces[owner]
        assert mine[0] <= start < end <= mine[1]
        for place in (start, end - 1):
            assert slack.piece_at(place) == (start, end, owner)
            assert min(first for first, behind_it in pieces if first <= place < behind_it) == mine[0]


@given(seed=st.integers(0, 1 << 30), thorough=st.booleans())
@settings(max_examples=15, deadline=None)
def test_headers_in_slack_are_those_of_the_plain_search(seed, thorough) -> None:
    choose = random.Random(seed)
    heads = [data[:600] for data in carvables().values()]
    disk = bytearray(choose.randbytes(1000) + bytes(60_000))
    for _ in range(60):
        head = choose.choice(heads)
        at = choose.randrange(len(disk) - 600) // choose.choice((1, 512)) * choose.choice((1, 512)) % (len(disk) - 600)
        disk[at : at + len(head)] = head
    disk += bytes(-len(disk) % 512)
    edges = sorted(choose.sample(range(len(disk)), 20))
    starts, ends = np.array(edges[::2], dtype=np.int64), np.array(edges[1::2], dtype=np.int64)
    slack = Slack(starts, ends, np.zeros(10, dtype=np.int64))
    space = Space(lambda offset, length: bytes(disk[offset : offset + length]), len(disk))
    assert list(header_places(space, slack, thorough=thorough)) == naive_places(space, slack, thorough=thorough)


def test_a_header_across_two_reads_is_found_by_the_thorough_search() -> None:
    disk = bytearray(3 << 20)
    for place in ((1 << 20) - 3, (2 << 20) - 1, (2 << 20) + 5):
        disk[place : place + len(SMALL)] = SMALL
        disk[place + 40 : place + 41] = b"\0"
    slack = Slack(*(np.array([value], dtype=np.int64) for value in (0, len(disk), 0)))
    space = Space(lambda offset, length: bytes(disk[offset : offset + length]), len(disk))
    assert next(header_places(space, slack, thorough=True)) == (1 << 20) - 3
    assert (2 << 20) + 5 in list(header_places(space, slack, thorough=True))


@pytest.mark.parametrize("kind", sorted(BUILT))
def test_damaged_records_never_raise(tmp_path, kind) -> None:
    choose = random.Random(kind)
    data = bytes(BUILT[kind]())[: 8 << 20]
    for _ in range(8):
        broken = bytearray(data)
        for _ in range(40):
            at = choose.randrange(min(len(broken), 300_000) - 8)
            broken[at : at + 8] = choose.randbytes(8)
        source = opened(tmp_path, broken, "thorough")
        in_slack(source)
        counted(source)
        source.close()


def test_what_is_read_of_a_find_after_closing_is_refused(tmp_path) -> None:
    image = bytearray(BUILT["ext2"]())
    put(image, on_sector(behind(image, PLAN[0].content)), SMALL)
    source = opened(tmp_path, image, "fast")
    (entry,) = in_slack(source).values()
    source.close()
    with pytest.raises(EvidenceError):
        list(source.chunks(entry))


def test_a_head_that_fills_its_slack_is_not_joined_with_what_is_free_elsewhere(tmp_path) -> None:
    image = bytearray(BUILT["fat16"]())
    first = image.index(PLAN[1].content[:512])
    place = on_sector(behind(image, PLAN[1].content))
    end = first + -(-(place - first) // 32768) * 32768
    town = picture("town.jpg")
    assert len(town) > end - place + 1024
    put(image, place, town[: end - place])
    source = opened(tmp_path, image, "fast")
    free = next(start for start, _ in source._carvings[0].space().unallocated if start > end)
    source.close()
    put(image, free, town[end - place + 512 :])  # another end than its own: it would pass for it by its marks
    source = opened(tmp_path, image, "fast")
    (entry,) = in_slack(source).values()
    assert [problem.code for problem in entry.problems] == ["carved-partial"]
    source.close()


def unwritten(image: bytearray, content: bytes, valid: int) -> None:
    """Set the initialised size of a file of an NTFS volume."""
    sizes = struct.pack("<QQQ", -(-len(content) // 4096) * 4096, len(content), len(content))
    struct.pack_into("<Q", image, image.index(sizes) + 16, valid)


def test_what_stands_behind_the_written_part_of_an_ntfs_file_is_slack(tmp_path) -> None:
    image = bytearray(BUILT["ntfs"]())
    content = PLAN[1].content
    start = image.index(content[:512])
    unwritten(image, content, 5_000)
    put(image, start + 8192, picture("coast.jpg"))
    for carving in ("fast", "thorough"):
        source = opened(tmp_path, image, carving)
        entry = in_slack(source)[digest(picture("coast.jpg"))]
        assert entry.path == f"/folder/second.bin//$Slack/{start + 8192:014d}.jpg"
        assert entry.physical_offset == start + 8192
        (owner,) = [item for item in source.walk() if getattr(item, "path", "") == "/folder/second.bin"]
        whole = b"".join(source.chunks(owner))
        assert whole == content[:5000] + bytes(len(content) - 5000)  # as Windows reads it
        counted(source)
        source.close()


def plain_valid(data: bytes, size: int) -> dict[tuple[int, int], int]:
    """The oracle: every record by itself."""
    found = {}
    for number in range(len(data) // size):
        record = bytearray(data[number * size : (number + 1) * size])
        if record[:4] != b"FILE" or not record[22] & 1:
            continue
        (fixups,) = struct.unpack_from("<H", record, 4)
        for sector in range(size // 512):
            record[sector * 512 + 510 : sector * 512 + 512] = record[fixups + 2 + 2 * sector : fixups + 4 + 2 * sector]
        (at,), base = struct.unpack_from("<H", record, 20), int.from_bytes(record[32:38], "little")
        while at + 64 <= size:
            kind, length = struct.unpack_from("<II", record, at)
            if kind == 0x80 and record[at + 8] == 1:
                first, whole, valid = (struct.unpack_from("<Q", record, at + place)[0] for place in (16, 48, 56))
                if not first and valid < whole:
                    found[base or number, struct.unpack_from("<H", record, at + 14)[0]] = valid
            if kind == 0xFFFFFFFF or length < 24:
                break
            at += length
    return found


def test_valid_lengths_are_those_of_a_plain_look_at_each_record(tmp_path) -> None:
    plan = [PlannedFile(f"/f{n}.bin", noise(n, 9_000 + n)) for n in range(60)]
    image = bytearray(build_ntfs(plan, size=8 << 20))
    for number in range(0, 60, 3):
        unwritten(image, plan[number].content, number * 150)
    source = opened(tmp_path, image, "fast")
    system = source._systems[0]
    table = system.fs.open_meta(0)
    data = table.read_random(0, int(table.info.meta.size))
    naive = plain_valid(data, 1024)
    assert len(naive) >= 20
    assert valid_lengths(system) == naive
    later = valid_lengths_in(data[16 * 1024 :], 1024, 16)
    assert later == {name: value for name, value in naive.items() if name[0] >= 16}
    choose = random.Random(3)
    for _ in range(30):  # damage: no error, and no number that is none
        broken = bytearray(data)
        for _ in range(200):
            broken[choose.randrange(len(broken))] = choose.randrange(256)
        assert all(value >= 0 for value in valid_lengths_in(bytes(broken), 1024, 0).values())
    source.close()


def test_a_place_that_no_disk_has_is_no_slack() -> None:
    """A damaged record names clusters behind the 63 bits that places are counted in."""
    roll = SlackRoll()
    roll.add("/a", b"/a", [(1 << 63, (1 << 63) + 512), (512, 1024), ((1 << 63) - 512, 1 << 63)])
    assert roll.slack(0, 4096, []).spans.tolist() == [[512, 1024]]
