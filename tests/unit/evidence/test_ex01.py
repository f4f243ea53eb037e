"""Ex01 (EWF version 2): the disk to the byte in every way of storing it, damage never given as zeros, refusals."""

from __future__ import annotations

import bz2
import hashlib
import io
import random
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyewf
import pytest
from support import evidence_files
from support.containers import damaged_copies
from support.evidence_files import BZIP2, LZ, Ex01Plan, Logical, ex01, examined, l01, lx01, with_sum, written

from caid_triage.errors import EvidenceError, SourceError
from caid_triage.evidence.containers.ewf2_sections import open_set, segment_name
from caid_triage.evidence.containers.ex01 import open_ex01
from caid_triage.evidence.proxied import read_range
from caid_triage.evidence.source import open_source
from caid_triage.evidence.unpack import inflated, unbzipped
from caid_triage.evidence.verify import record_verification, verify_acquisition
from caid_triage.model import Severity
from caid_triage.synth.fat import build_fat
from caid_triage.synth.plan import PlannedFile

PLANS = {
    "deflate": Ex01Plan(),
    "not compressed": Ex01Plan(forms=("plain",)),
    "pattern": Ex01Plan(forms=("pattern",)),
    "all ways": Ex01Plan(forms=("packed", "plain", "pattern", "bare")),
    "bzip2": Ex01Plan(forms=("packed", "plain"), method=BZIP2),
    "segments": Ex01Plan(chunks_a_segment=50),
    "large sectors": Ex01Plan(bytes_per_sector=4096, sectors=16),
    "sizes with padding": Ex01Plan(forms=("plain", "packed"), padded_size=True),
    "last chunk filled up": Ex01Plan(forms=("packed", "plain"), sectors=100, full_last=True),
    "last chunk cut": Ex01Plan(forms=("plain", "packed"), sectors=100),
    "one sector a chunk": Ex01Plan(sectors=1, entries=700),
}


@pytest.mark.parametrize("name", PLANS)
def test_every_way_of_storing_reads_like_the_disk(name: str, ntfs_image: bytes, tmp_path: Path) -> None:
    segments = ex01(ntfs_image, PLANS[name])
    assert len(segments) == (6 if name == "segments" else 1)
    opened = open_ex01(written(tmp_path, "Ex01", segments))
    reader = opened.reader
    assert (reader.size, opened.problems, list(reader.unreadable())) == (len(ntfs_image), (), [])
    for offset, length in ((0, 512), (32768 - 7, 14), (5, 100_000), (len(ntfs_image) - 100, 100), (0, len(ntfs_image))):
        assert reader.read(offset, length) == ntfs_image[offset : offset + length]
    reader.close()


@pytest.mark.parametrize("name", [name for name in PLANS if name not in ("bzip2", "sizes with padding")])
def test_the_reference_library_reads_the_same_from_what_we_made(name: str, ntfs_image: bytes) -> None:
    """So that writer and reader do not share one misunderstanding of the format. Two ways it does not read."""
    handle = pyewf.handle()
    handle.open_file_objects([io.BytesIO(segment) for segment in ex01(ntfs_image, PLANS[name])])
    assert handle.get_media_size() == len(ntfs_image)
    step = 1 << 20
    read = b"".join(handle.read_buffer_at_offset(step, at) for at in range(0, len(ntfs_image), step))
    assert read == ntfs_image
    assert handle.get_hash_value("MD5") == hashlib.md5(ntfs_image, usedforsecurity=False).hexdigest()
    handle.close()


def test_the_files_are_those_of_the_raw_image(
    ntfs_image: bytes, tmp_path: Path, opened: Callable[..., Any], walked: Callable[..., Any], sha256_of: Any
) -> None:
    raw, made = opened(ntfs_image), opened(written(tmp_path, "Ex01", ex01(ntfs_image, PLANS["all ways"])))
    entries, problems = walked(made)
    assert (entries, problems) == walked(raw)
    assert entries
    assert made.volumes() == raw.volumes()
    assert made.problems() == raw.problems()
    assert made.coverage() == raw.coverage()
    for entry in entries:
        if entry.readable:
            assert sha256_of(made, entry) == sha256_of(raw, entry)


def test_the_facts_of_the_acquisition_are_kept(fat_image: bytes, tmp_path: Path, opened: Callable[..., Any]) -> None:
    info = opened(written(tmp_path, "Ex01", ex01(fat_image, Ex01Plan(chunks_a_segment=100)))).info
    assert (info.kind, info.size, len(info.segments)) == ("ex01", len(fat_image), 3)
    assert info.acquisition["case_number"] == "case 7"
    assert info.acquisition["notes"] == "line two"  # a line feed is kept as a character 1
    assert info.acquisition["system_date"] == "2019-12-30T07:09:28Z"
    assert (info.acquisition["model"], info.acquisition["serial_number"]) == ("Drive", "S-1")
    assert len(info.acquisition["md5"]) == 32


@pytest.mark.parametrize(
    ("first", "number", "name"),
    [
        ("a.Ex01", 2, "a.Ex02"),
        ("a.Ex01", 99, "a.Ex99"),
        ("a.Ex01", 100, "a.ExAA"),
        ("a.Ex01", 775, "a.ExZZ"),
        ("a.Ex01", 776, "a.EyAA"),
        ("a.ex01", 100, "a.exaa"),
        ("a.EX01", 776, "a.EYAA"),
        ("a.Lx01", 101, "a.LxAB"),
    ],
)
def test_names_of_segments(first: str, number: int, name: str) -> None:
    assert segment_name(first, number) == name


# ---------------------------------------------------------------- verifying


def test_an_ex01_verifies_against_both_of_its_hashes(
    fat_image: bytes, tmp_path: Path, opened: Callable[..., Any]
) -> None:
    source = opened(written(tmp_path, "Ex01", ex01(fat_image)))
    assert [(c.stored.what, c.stored.algorithm, c.agrees) for c in verify_acquisition(source)] == [
        ("disk", "md5", True),
        ("disk", "sha1", True),
    ]
    record_verification(source)
    assert source.info.acquisition["verified"] == "md5 of the disk, sha1 of the disk: computed anew, as stored"


def test_another_disk_does_not_verify(fat_image: bytes, tmp_path: Path, opened: Callable[..., Any]) -> None:
    changed = bytearray(fat_image)
    changed[5_000_000] ^= 1
    other = ex01(bytes(changed))[0]
    for name in ("md5", "sha1"):  # the hashes of the disk as it was, in an image of the changed one
        before, now = (with_sum(hashlib.new(name, disk).digest()) for disk in (fat_image, changed))
        other = other.replace(now, before)
    source = opened(written(tmp_path, "Ex01", [other]))
    record_verification(source)
    assert [problem.code for problem in source.problems()] == ["acquisition-hash-mismatch"] * 2
    assert "verified" not in source.info.acquisition


def test_an_image_without_hashes_says_so(fat_image: bytes, tmp_path: Path, opened: Callable[..., Any]) -> None:
    source = opened(written(tmp_path, "Ex01", ex01(fat_image, Ex01Plan(hashes=()))))
    assert record_verification(source) == []
    assert [(p.code, p.severity) for p in source.problems()] == [("acquisition-hash-absent", Severity.NOTE)]


def test_a_stored_hash_that_is_damaged_itself_is_named(
    fat_image: bytes, tmp_path: Path, opened: Callable[..., Any]
) -> None:
    made = bytearray(ex01(fat_image)[0])
    made[made.index(hashlib.md5(fat_image, usedforsecurity=False).digest()) + 3] ^= 1
    source = opened(written(tmp_path, "Ex01", [bytes(made)]))
    assert [problem.code for problem in source.problems()] == ["image-damaged"]
    assert "MD5" in source.problems()[0].detail
    assert set(source.info.acquisition) & {"md5", "sha1"} == {"sha1"}


# ---------------------------------------------------------------- damage


@pytest.mark.parametrize("form", ["packed", "plain"])
@pytest.mark.parametrize("method", [1, BZIP2])
def test_a_damaged_chunk_is_an_error_and_its_neighbours_are_read(
    form: str, method: int, ntfs_image: bytes, tmp_path: Path
) -> None:
    made = bytearray(ex01(ntfs_image, Ex01Plan(forms=(form,), method=method))[0])
    table = next(at for at in range(len(made)) if made[at : at + 12] == struct.pack("<QI", 0, 7))
    at, size, _ = struct.unpack_from("<QII", made, table + 32 + 16 * 3)
    for place in (0, size // 2, size - 3):
        copy = bytearray(made)
        copy[at + place] ^= 0x20
        opened = open_ex01(written(tmp_path, "Ex01", [bytes(copy)]))
        with pytest.raises(OSError, match="chunk 3 of the image"):
            opened.reader.read(3 * 32768 + 100, 10)
        for number in (2, 4):
            start = number * 32768
            assert opened.reader.read(start, 32768) == ntfs_image[start : start + 32768]
        opened.reader.close()


def test_a_damaged_table_costs_its_chunks_which_count_as_unreadable(
    ntfs_image: bytes, tmp_path: Path, opened: Callable[..., Any]
) -> None:
    made = bytearray(ex01(ntfs_image, Ex01Plan(entries=64))[0])
    table = next(at for at in range(len(made)) if made[at : at + 12] == struct.pack("<QI", 128, 64))
    made[table + 40] ^= 1
    source = opened(written(tmp_path, "Ex01", [bytes(made)]))
    lost = 64 * 32768
    assert [problem.code for problem in source.problems()] == ["image-damaged"]
    assert str(lost) in source.problems()[0].detail
    assert source.coverage()["unreadable"] == lost
    assert sum(source.coverage().values()) == len(ntfs_image)
    assert read_range(source.image, 192 * 32768, 4096) == ntfs_image[192 * 32768 : 192 * 32768 + 4096]
    with pytest.raises(OSError, match="does not hold"):
        read_range(source.image, 130 * 32768, 512)


@pytest.mark.parametrize("drop", [(0,), (3,), (0, 1, 2), (36,)])
def test_a_table_that_is_missing_is_no_zeros(drop: tuple[int, ...], ntfs_image: bytes, tmp_path: Path) -> None:
    opened = open_ex01(written(tmp_path, "Ex01", ex01(ntfs_image, Ex01Plan(drop_tables=drop))))
    lost = {number for table in drop for number in range(7 * table, min(7 * table + 7, 256))}
    for number in range(256):
        start = number * 32768
        if number in lost:
            with pytest.raises(OSError, match="no sound table"):
                opened.reader.read(start, 32768)
        else:
            assert opened.reader.read(start, 32768) == ntfs_image[start : start + 32768]
    assert sum(length for _, length in opened.reader.unreadable()) == 32768 * len(lost)
    opened.reader.close()


def test_what_could_not_be_acquired_is_unreadable_and_the_hash_still_agrees(
    fat_image: bytes, tmp_path: Path, opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    raw = opened(fat_image)
    files = [e for e in walked(raw)[0] if e.size and e.readable and e.physical_offset is not None]
    where = files[0].physical_offset
    disk = fat_image[:where] + bytes(1024) + fat_image[where + 1024 :]
    plan = Ex01Plan(errors=((where // 512, 2),))
    source = opened(written(tmp_path, "Ex01", ex01(disk, plan)))
    assert [problem.code for problem in source.problems()] == ["acquisition-errors"]
    assert source.coverage()["unreadable"] == 1024
    entry = next(e for e in walked(source)[0] if e.path == files[0].path)
    with pytest.raises(EvidenceError):
        list(source.chunks(entry))
    assert all(check.agrees for check in verify_acquisition(source))


def test_a_damaged_table_of_bad_areas_is_named(fat_image: bytes, tmp_path: Path, opened: Callable[..., Any]) -> None:
    made = bytearray(ex01(fat_image, Ex01Plan(errors=((7, 1),)))[0])
    made[made.index(struct.pack("<QI4x", 7, 1))] ^= 1
    source = opened(written(tmp_path, "Ex01", [bytes(made)]))
    assert [problem.code for problem in source.problems()] == ["image-damaged"]


# ---------------------------------------------------------------- refusals


def test_an_encrypted_ex01_is_refused_with_what_to_do(fat_image: bytes, tmp_path: Path) -> None:
    path = written(tmp_path, "Ex01", ex01(fat_image, Ex01Plan(encrypted=True)))
    with pytest.raises(SourceError, match="is encrypted: open it with its password") as caught:
        open_source(path, "E", "s")
    assert caught.value.exit_code == 4


def test_a_missing_segment_is_named(fat_image: bytes, tmp_path: Path) -> None:
    path = written(tmp_path, "Ex01", ex01(fat_image, Ex01Plan(chunks_a_segment=100)))
    path.with_suffix(".Ex02").rename(tmp_path / "elsewhere")
    with pytest.raises(SourceError, match=r"made\.Ex02 is missing"):
        open_source(path, "E", "s")


def test_a_later_segment_is_refused(fat_image: bytes, tmp_path: Path) -> None:
    path = written(tmp_path, "Ex01", ex01(fat_image, Ex01Plan(chunks_a_segment=100)))
    with pytest.raises(SourceError, match="segment 2 of an image, not its first"):
        open_source(path.with_suffix(".Ex02"), "E", "s")


def test_a_segment_of_another_image_is_refused(fat_image: bytes, tmp_path: Path) -> None:
    path = written(tmp_path, "Ex01", ex01(fat_image, Ex01Plan(chunks_a_segment=100)))
    second = path.with_suffix(".Ex02")
    second.write_bytes(second.read_bytes().replace(b"\x07" * 16, b"\x08" * 16, 1))
    with pytest.raises(SourceError, match="a segment of another image"):
        open_source(path, "E", "s")


@pytest.mark.parametrize("length", [8, 31, 32, 95, 96, 1000, -1, -64, -65])
def test_a_cut_off_segment_is_refused(length: int, fat_image: bytes, tmp_path: Path) -> None:
    whole = ex01(fat_image)[0]
    path = written(tmp_path, "Ex01", [whole[:length]])
    with pytest.raises(SourceError, match=r"made\.Ex01 is cut off"):
        open_source(path, "E", "s")


def test_increment_data_and_twice_described_chunks_are_refused(fat_image: bytes, tmp_path: Path) -> None:
    path = written(tmp_path, "Ex01", ex01(fat_image, Ex01Plan(extra_sections=((7, b"\0" * 16),))))
    with pytest.raises(SourceError, match="increment data"):
        open_source(path, "E", "s")
    entries = struct.pack("<QII", 32, 16, 2)
    again = with_sum(struct.pack("<QI4x", 3, 1)) + bytes(12) + with_sum(entries)
    path = written(tmp_path, "Ex01", ex01(fat_image, Ex01Plan(extra_sections=((4, again),))))
    with pytest.raises(SourceError, match="describe chunk 3 twice"):
        open_source(path, "E", "s")


@pytest.mark.parametrize("what", ["device", "case"])
def test_a_text_that_is_damaged_is_taken_from_another_segment(what: str, fat_image: bytes, tmp_path: Path) -> None:
    segments = [bytearray(segment) for segment in ex01(fat_image, Ex01Plan(chunks_a_segment=100))]
    at = 32 if what == "device" else segments[0].index(struct.pack("<II", 1, 0), 32) + 64
    segments[0][at + 20] ^= 0xFF
    opened = open_ex01(written(tmp_path, "Ex01", [bytes(segment) for segment in segments]))
    assert opened.reader.read(0, len(fat_image)) == fat_image
    opened.reader.close()
    one = bytearray(ex01(fat_image)[0])
    one[at + 20] ^= 0xFF
    path = written(tmp_path, "Ex01", [bytes(one)])
    with pytest.raises(SourceError, match="missing or damaged"):
        open_ex01(path)


# ---------------------------------------------------------------- hostile sizes


@pytest.mark.parametrize(
    "plan",
    [
        Ex01Plan(total=1 << 50),
        Ex01Plan(total=10**17),
        Ex01Plan(total=10**30),
        Ex01Plan(facts={"sb": "999999999"}),
    ],
)
def test_sizes_that_lie_cost_no_memory_and_no_time(plan: Ex01Plan, fat_image: bytes, tmp_path: Path) -> None:
    path = written(tmp_path, "Ex01", ex01(fat_image[: 20 * 32768], plan))
    began = time.process_time()
    assert examined(path) in ("refused", "faults")
    assert time.process_time() - began < 10


def test_what_unpacks_to_more_than_it_may_is_refused() -> None:
    for pack, unpack in ((zlib.compress, inflated), (bz2.compress, unbzipped)):
        data = pack(bytes(1 << 24))
        assert unpack(data, 1 << 24) == bytes(1 << 24)
        assert unpack(data + b"padding", 1 << 24) == bytes(1 << 24)
        for broken in (data[:-1], data[: len(data) // 2], b"", b"\0" * 64):
            with pytest.raises(OSError, match=r"."):
                unpack(broken, 1 << 24)
        with pytest.raises(OSError, match="more than it may"):
            unpack(data, (1 << 24) - 1)


# ---------------------------------------------------------------- 200 damaged copies


@pytest.fixture(scope="module")
def small_disk() -> bytes:
    plan = [PlannedFile(f"/f{number}.bin", bytes([number]) * 9000, deleted=number % 3 == 0) for number in range(9)]
    return bytes(build_fat(plan, size=720 << 10, bits=12))


@pytest.mark.parametrize("name", ["all ways", "bzip2"])
def test_a_damaged_copy_never_gives_other_bytes_than_the_disk(name: str, small_disk: bytes, tmp_path: Path) -> None:
    plan = Ex01Plan(forms=("packed", "plain", "pattern"), method=PLANS[name].method, entries=5)
    made = ex01(small_disk, plan)[0]
    outcomes = []
    for copy in damaged_copies(made, 200, seed=7 if name == "bzip2" else 8):
        path = written(tmp_path, "Ex01", [copy])
        began = time.process_time()
        try:
            opened = open_ex01(path)
        except SourceError as error:
            outcomes.append("refused" if str(path) in str(error) else "refused without its name")
            continue
        lost = 0
        for offset in range(0, min(opened.reader.size, len(small_disk)), 4096):
            try:
                assert opened.reader.read(offset, 4096) == small_disk[offset : offset + 4096]
            except OSError:
                lost += 1
        opened.reader.close()
        outcomes.append("faults" if lost or opened.problems else "whole")
        assert time.process_time() - began < 10
    assert set(outcomes) == {"refused", "faults", "whole"}


def test_every_file_is_closed_when_a_set_is_refused(fat_image: bytes, tmp_path: Path) -> None:
    path = written(tmp_path, "Ex01", ex01(fat_image))
    image = open_set(path, "Ex01", b"EVF2\r\n\x81\x00")
    image.close()
    assert all(file.closed for file in image.files)


# ---------------------------------------------------------------- lies under right checksums


def lying(rng: random.Random, data: bytes) -> bytes:
    """Data with a number or a few bytes of it changed."""
    copy = bytearray(data)
    at = rng.randrange(len(copy))
    width = rng.choice((1, 2, 4, 8))
    value = rng.choice((0, 1, (1 << 8 * width) - 1, 1 << (8 * width - 1), rng.randrange(1 << 8 * width)))
    copy[at : at + width] = value.to_bytes(width, "little")[: len(copy) - at]
    return bytes(copy)


@pytest.mark.parametrize("form", ["Ex01", "L01", "Lx01"])
def test_200_copies_that_lie_under_right_checksums(
    form: str, small_disk: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(form)
    true_sum, true_text, true_list = evidence_files.with_sum, evidence_files.packed_text, evidence_files.logical_list
    tree = [
        Logical("C", None, [Logical(f"f{n}", small_disk[n * 700 :][: n * 900], pieces=1 + n % 2) for n in range(9)])
    ]

    def sum_of_a_lie(data: bytes) -> bytes:
        return true_sum(lying(rng, data) if data and rng.random() < 0.03 else data)

    def packed_lie(text: str, method: int = LZ) -> bytes:
        told = lying(rng, text.encode("utf-16-le")).decode("utf-16-le", "replace") if rng.random() < 0.2 else text
        return true_text(told, method)

    def list_of_lies(*arguments: Any, **options: Any) -> tuple[bytes, str]:
        media, text = true_list(*arguments, **options)
        told = lying(rng, text.encode("utf-16-le")) if rng.random() < 0.7 else text.encode("utf-16-le")
        return media, told.decode("utf-16-le", "ignore")

    monkeypatch.setattr(evidence_files, "with_sum", sum_of_a_lie)
    monkeypatch.setattr(evidence_files, "packed_text", packed_lie)
    monkeypatch.setattr(evidence_files, "logical_list", list_of_lies)
    plan = Ex01Plan(forms=("packed", "plain", "pattern"), entries=5)
    outcomes = []
    for _ in range(200):
        made = {"Ex01": lambda: ex01(small_disk, plan), "L01": lambda: l01(tree), "Lx01": lambda: lx01(tree, plan)}[
            form
        ]()
        began = time.process_time()
        outcomes.append(examined(written(tmp_path, form, made)))
        assert time.process_time() - began < 10
    assert set(outcomes) == {"refused", "faults", "whole"}
