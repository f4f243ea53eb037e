"""Carved files as entries of a source: where, in which order, once, readable; and every byte accounted for."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

import pytest
from support.carvables import carvables, noise, png

from caid_triage.errors import EvidenceError
from caid_triage.evidence.carve.search import Area, Search
from caid_triage.evidence.carve.space import Space
from caid_triage.evidence.source import open_source
from caid_triage.model import FileEntry, Problem, Severity, State
from caid_triage.synth.ext import build_ext2
from caid_triage.synth.mbr import Partition, build_mbr
from caid_triage.synth.ntfs import build_ntfs
from caid_triage.synth.plan import PlannedFile
from caid_triage.synth.sample_pictures import picture

FILES = carvables()


def opened(tmp_path: Path, data: bytes | bytearray, carving: str):
    path = tmp_path / "disk.dd"
    path.write_bytes(data)
    return open_source(path, "E", "s", carving=carving)


def carved(source) -> dict[str, FileEntry]:
    """Carved entries by the SHA-256 of their content."""
    entries = [item for item in source.walk() if isinstance(item, FileEntry)]
    assert [entry.number for entry in entries] == list(range(len(entries)))
    found = {}
    for entry in entries:
        if entry.state is State.CARVED:
            content = b"".join(source.chunks(entry))
            assert len(content) == entry.size
            found[hashlib.sha256(content).hexdigest()] = entry
    return found


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def raw_of_all(step: int = 512) -> bytes:
    parts = [noise(1, step)]
    for number, data in enumerate(FILES.values()):
        parts += [data, bytes(-len(data) % step), noise(number, 3 * step)]
    return b"".join(parts)


@pytest.mark.parametrize("carving", ["fast", "thorough"])
def test_a_raw_disk_gives_back_every_file(tmp_path, carving) -> None:
    source = opened(tmp_path, raw_of_all() + bytes(1 << 20), carving)
    found = carved(source)
    assert {name for name, data in FILES.items() if digest(data) not in found} == set()
    entry = found[digest(FILES["coast.jpg"])]
    assert entry.path == f"/$Carved/p0/{entry.physical_offset:014d}.jpg"
    assert (entry.volume, entry.readable, entry.inode) == ("p0", True, None)
    assert all(isinstance(number, int) for number in entry.locator)
    coverage = source.coverage()
    assert coverage["not_understood_searched"] == source.info.size
    assert sum(coverage.values()) == source.info.size
    source.close()


def test_files_at_any_place_are_found_only_by_the_thorough_search(tmp_path) -> None:
    disk = noise(1, 12_345) + picture("coast.jpg") + noise(2, 7_777) + png() + noise(3, 1 << 20)
    fast, thorough = (carved(opened(tmp_path, disk, mode)) for mode in ("fast", "thorough"))
    assert digest(picture("coast.jpg")) not in fast
    assert {digest(picture("coast.jpg")), digest(png())} <= set(thorough)


def test_a_second_walk_is_the_same_and_carves_nothing_again(tmp_path, monkeypatch) -> None:
    source = opened(tmp_path, raw_of_all() + bytes(1 << 20), "fast")
    first = list(source.walk())
    monkeypatch.setattr(Search, "run", lambda *_: pytest.fail("the source was carved twice"))
    assert list(source.walk()) == first
    again = opened(tmp_path, raw_of_all() + bytes(1 << 20), "none")
    assert not [item for item in again.walk() if isinstance(item, FileEntry)]


def test_a_deleted_file_that_is_met_by_its_name_is_not_listed_again(tmp_path) -> None:
    plan = [
        PlannedFile("/town.jpg", picture("town.jpg"), deleted=True),
        PlannedFile("/coast.jpg", picture("coast.jpg")),
    ]
    image = bytearray(build_ntfs(plan, size=8 << 20))
    at = len(image) - 900_000 // 4096 * 4096
    image[at : at + len(picture("marble.jpg"))] = picture("marble.jpg")
    found = carved(opened(tmp_path, image, "thorough"))
    assert set(found) == {digest(picture("marble.jpg"))}, [entry.path for entry in found.values()]


def test_deleted_pictures_of_ext_come_back_also_across_their_block_maps(tmp_path) -> None:
    big, block, first = png(300, 240, chunk=1 << 20), 4096, 600
    assert len(big) > 40 * block
    image = build_ext2([PlannedFile("/kept.jpg", picture("town.jpg"))], size=8 << 20)
    # as ext2 lays a file out: twelve blocks, their map, the rest; here with another file's block in between
    rest = -(-len(big) // block) - 12
    numbers = [first + 13 + n + (n >= 20) for n in range(rest)]
    image[first * block : (first + 12) * block] = big[: 12 * block]
    image[(first + 12) * block : (first + 13) * block] = struct.pack(f"<{rest}I", *numbers).ljust(block, b"\0")
    for index, number in enumerate(numbers):
        part = big[(12 + index) * block : (13 + index) * block]
        image[number * block : number * block + len(part)] = part
    image[(first + 33) * block : (first + 34) * block] = noise(1, block)
    image[900 * block : 900 * block + len(picture("coast.jpg"))] = picture("coast.jpg")
    source = opened(tmp_path, image, "fast")
    found = carved(source)
    assert set(found) == {digest(big), digest(picture("coast.jpg"))}
    entry = found[digest(big)]
    content = b"".join(source.chunks(entry))
    assert len(entry.locator) > 3
    for offset, length in ((0, 10), (12 * block - 5, 10), (30 * block, 9 * block), (len(big) - 1, 1), (len(big), 0)):
        assert source.read_at(entry, offset, length) == content[offset : offset + length]
    with pytest.raises(EvidenceError):
        source.read_at(entry, len(big), 1)
    coverage = source.coverage()
    assert coverage["unallocated_searched"] > 0
    assert coverage["unallocated"] == 0
    assert sum(coverage.values()) == source.info.size
    source.close()


def test_gaps_between_partitions_are_searched_and_told_apart(tmp_path) -> None:
    volume = bytes(build_ntfs([PlannedFile("/a.txt", b"milk")], size=8 << 20))
    disk = bytearray(build_mbr([Partition(7, volume)], tail=1 << 20))
    at = len(disk) - (1 << 19)
    disk[at : at + len(picture("coast.jpg"))] = picture("coast.jpg")
    source = opened(tmp_path, disk, "fast")
    (entry,) = carved(source).values()
    assert (entry.volume, entry.path) == ("", f"/$Carved/unpartitioned/{at:014d}.jpg")
    coverage = source.coverage()
    assert coverage["unpartitioned_searched"] >= 1 << 20
    assert coverage["unpartitioned"] == 0
    assert sum(coverage.values()) == len(disk)
    source.close()


@pytest.mark.parametrize("carving", ["none", "fast", "thorough"])
def test_swap_keeps_no_files_and_is_searched_like_free_space(tmp_path, carving) -> None:
    swap = bytearray(1 << 20)
    swap[4086:4096] = b"SWAPSPACE2"
    swap[65536 : 65536 + len(picture("coast.jpg"))] = picture("coast.jpg")
    source = opened(tmp_path, build_mbr([Partition(0x82, bytes(swap))]), carving)
    assert [(one.file_system, one.status) for one in source.volumes()] == [("Linux swap", "no-files")]
    assert [(one.code, one.severity) for one in source.problems()] == [("no-file-system", Severity.NOTE)]
    assert [entry.volume for entry in carved(source).values()] == ([] if carving == "none" else ["p1"])
    kind = "not_understood" if carving == "none" else "not_understood_searched"
    assert source.coverage()[kind] == 1 << 20
    source.close()


def test_an_encrypted_volume_is_not_searched(tmp_path) -> None:
    locked = bytearray(b"LUKS\xba\xbe\0\1" + noise(1, (1 << 20) - 8))
    locked[65536 : 65536 + len(picture("coast.jpg"))] = picture("coast.jpg")
    source = opened(tmp_path, build_mbr([Partition(0x83, bytes(locked))]), "thorough")
    assert not carved(source)
    assert source.coverage()["encrypted"] == 1 << 20
    source.close()


def test_what_cannot_be_read_is_passed_over_and_counted(tmp_path) -> None:
    data = raw_of_all() + bytes(1 << 20)
    source = opened(tmp_path, data, "fast")
    bad = (data.index(picture("marble.jpg")[:4096]) + 8192) // 4096 * 4096
    read = source._image.read

    def failing(offset: int, length: int) -> bytes:
        if offset < bad + 4096 and offset + length > bad:
            raise OSError("Input/output error")
        return read(offset, length)

    source._carvings[0].read = failing
    items = list(source.walk())
    starts = {item.physical_offset for item in items if isinstance(item, FileEntry)}
    for name in ("coast.jpg", "discs.png", "film.mkv", "noise.png"):
        assert data.index(FILES[name]) in starts, name
    assert [item.code for item in items if isinstance(item, Problem)] == ["source-unreadable"]
    coverage = source.coverage()
    assert coverage["unreadable"] == 4096
    assert sum(coverage.values()) == len(data)
    source.close()


def test_a_disk_full_of_beginnings_takes_bounded_work() -> None:
    head = picture("town.jpg")[:700]
    size = 16 << 20
    spent = 0

    def read(offset: int, length: int) -> bytes:
        nonlocal spent
        spent += length
        unit = head[:512]
        return (unit * (length // 512 + 2))[offset % 512 : offset % 512 + length]

    search = Search(Space(read, size), thorough=False)
    found = search.run([Area("p0", ((0, size),))])
    assert len(found) <= size // 512
    assert search._wasted < (64 << 20) + 4 * size + (size // 512) * (1 << 16) * 2
    assert spent < 40 * size


def test_results_of_a_search_do_not_depend_on_where_blocks_begin(tmp_path) -> None:
    data = raw_of_all()
    found = []
    for shift in (0, 512 * 1999):
        disk = bytes(shift) + data
        search = Search(
            Space(lambda offset, length, disk=disk: disk[offset : offset + length], len(disk)), thorough=True
        )
        found.append(
            [
                (one.start - shift, one.size, one.suffix, one.remark)
                for one in search.run([Area("p0", ((0, len(disk)),))])
            ]
        )
    assert found[0] == found[1]
