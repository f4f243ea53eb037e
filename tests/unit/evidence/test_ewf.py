"""E01 images: all segments found, missing and cut ones named, acquisition facts kept."""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caid_triage.errors import EvidenceError, SourceError
from caid_triage.evidence import unpack
from caid_triage.evidence.ewf import find_segments, open_ewf, segment_name
from caid_triage.evidence.ewf_chunks import EwfChunks
from caid_triage.evidence.source import open_source
from caid_triage.model import FileEntry, Problem


@pytest.fixture
def two_segments(shared: Path, tmp_path: Path) -> Path:
    for name in ("ext2.split.E01", "ext2.split.E02"):
        shutil.copyfile(shared / "images" / name, tmp_path / name)
    return tmp_path / "ext2.split.E01"


def test_facts_of_acquisition_are_kept(two_segments: Path, opened: Callable[..., Any]) -> None:
    info = opened(two_segments).info
    assert info.kind == "ewf"
    assert info.size == 4194304
    assert [Path(segment).name for segment in info.segments] == ["ext2.split.E01", "ext2.split.E02"]
    assert info.acquisition["md5"] == "196066add11fb71c4c49cf1bb50d6d24"
    assert {info.acquisition[key] for key in ("case_number", "evidence_number", "examiner_name")} == {
        "case",
        "evidence",
        "examiner",
    }


def test_a_missing_second_segment_is_named(two_segments: Path) -> None:
    two_segments.with_suffix(".E02").unlink()
    with pytest.raises(SourceError, match=r"ext2\.split\.E02 is missing"):
        open_source(two_segments, "E", "S")


def test_a_later_segment_is_refused(two_segments: Path) -> None:
    with pytest.raises(SourceError, match="segment 2 of an E01 image"):
        open_source(two_segments.with_suffix(".E02"), "E", "S")


@pytest.mark.parametrize("keep", [0.999, 0.5, 0.05])
def test_a_cut_off_segment_is_refused(keep: float, two_segments: Path) -> None:
    last = two_segments.with_suffix(".E02")
    data = last.read_bytes()
    last.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(SourceError, match=r"ext2\.split\.E02 is cut off"):
        open_source(two_segments, "E", "S")


@pytest.mark.parametrize("length", [8, 12, 13, 40, 80])
def test_a_few_bytes_of_an_e01_are_refused(length: int, two_segments: Path) -> None:
    two_segments.write_bytes(two_segments.read_bytes()[:length])
    with pytest.raises(SourceError, match="cut off"):
        open_source(two_segments, "E", "S")


@pytest.mark.parametrize("following", [1 << 63, (1 << 64) - 1, 1 << 40])
def test_a_section_that_points_behind_the_end_is_refused(following: int, two_segments: Path) -> None:
    data = bytearray(two_segments.read_bytes())
    data[13 + 16 : 13 + 24] = following.to_bytes(8, "little")
    two_segments.write_bytes(data)
    with pytest.raises(SourceError, match="reaches beyond the file"):
        open_source(two_segments, "E", "S")


def test_upper_and_lower_case_names_of_segments(two_segments: Path, opened: Callable[..., Any]) -> None:
    first = two_segments.rename(two_segments.with_name("ext2.split.e01"))
    source = opened(first)
    assert len(source.info.segments) == 2
    assert any(isinstance(item, FileEntry) for item in source.walk())


@pytest.mark.parametrize(
    ("first", "number", "name"),
    [
        ("a.E01", 2, "a.E02"),
        ("a.E01", 99, "a.E99"),
        ("a.E01", 100, "a.EAA"),
        ("a.E01", 101, "a.EAB"),
        ("a.E01", 126, "a.EBA"),
        ("a.E01", 775, "a.EZZ"),
        ("a.E01", 776, "a.FAA"),
        ("a.e01", 100, "a.eaa"),
        ("a.s01", 2, "a.s02"),
    ],
)
def test_names_of_segments(first: str, number: int, name: str) -> None:
    assert segment_name(first, number) == name


def test_segments_whose_name_is_not_text_are_read(two_segments: Path, opened: Callable[..., Any]) -> None:
    folder = two_segments.parent
    try:
        for number in (1, 2):
            (folder / f"ext2.split.E0{number}").rename(folder / os.fsdecode(b"caf\xe9.E0%d" % number))
    except OSError:
        pytest.skip("this file system takes text only")
    source = opened(folder / os.fsdecode(b"caf\xe9.E01"))
    assert len(source.info.segments) == 2
    assert [volume.file_system for volume in source.volumes()] == ["ext2"]
    assert any(isinstance(item, FileEntry) for item in source.walk())


ALL = ["dfvfs-ext2.E01", "ext2.split.E01", "image-split.E01", "nps-2010-emails.E01", "tsk-imageformat_mmls_1.E01"]


@pytest.mark.parametrize("name", ALL)
def test_the_whole_disk_has_the_md5_that_was_stored_when_it_was_acquired(name: str, shared: Path) -> None:
    segments, bad_areas = find_segments(shared / "images" / name)
    image, facts, problems = open_ewf(segments)
    digest = hashlib.md5(usedforsecurity=False)
    for offset in range(0, image.get_size(), 1 << 20):
        digest.update(image.read(offset, 1 << 20))
    image.close()
    assert (digest.hexdigest(), bad_areas, problems) == (facts["md5"], 0, [])


# ---------------------------------------------------------------- a set made here, damaged as one likes

CHUNK = 32768


def section(kind: bytes, offset: int, body: bytes, *, last: bool = False) -> bytes:
    """One section of an E01 segment that begins at ``offset``."""
    length = 76 + len(body)
    head = struct.pack("<16sQQ40x", kind, offset if last else offset + length, length)
    return head + struct.pack("<I", zlib.adler32(head)) + body


def make_segment(disk: bytes, *, compressed: bool) -> bytes:
    """A segment with the tables that EwfChunks reads; not the facts that libewf wants."""
    data, entries = b"", []
    for at in range(0, len(disk), CHUNK):
        chunk = disk[at : at + CHUNK]
        packed = zlib.compress(chunk) if compressed else chunk + struct.pack("<I", zlib.adler32(chunk))
        entries.append(76 + len(data) | (0x80000000 if compressed else 0))
        data += packed
    out = b"EVF\x09\x0d\x0a\xff\x00\x01\x01\x00\x00\x00"
    base = len(out)
    out += section(b"sectors", len(out), data)
    head = struct.pack("<I4xQ4x", len(entries), base)
    array = struct.pack(f"<{len(entries)}I", *entries)
    body = head + struct.pack("<I", zlib.adler32(head)) + array + struct.pack("<I", zlib.adler32(array))
    for kind in (b"table", b"table2"):
        out += section(kind, len(out), body)
    return out + section(b"done", len(out), b"", last=True)


@pytest.fixture
def disk(fat_image: bytes) -> bytes:
    return fat_image[: 20 * CHUNK + 512]


@pytest.mark.parametrize("compressed", [True, False])
def test_chunks_read_like_the_disk(disk: bytes, tmp_path: Path, compressed: bool) -> None:
    path = tmp_path / "made.E01"
    path.write_bytes(make_segment(disk, compressed=compressed))
    chunks = EwfChunks([path], len(disk), CHUNK)
    for offset, size in ((0, 512), (CHUNK - 7, 14), (5, 3 * CHUNK), (len(disk) - 100, 5000), (0, len(disk))):
        assert chunks.read(offset, size) == disk[offset : offset + size]
    chunks.close()


def outcome(inflate: Callable[[bytes, int], bytes], data: bytes, size: int) -> bytes | str:
    try:
        return inflate(data, size)
    except OSError:
        return "damaged"


@settings(deadline=None, max_examples=300)
@given(
    content=st.binary(max_size=600) | st.integers(0, 70_000).map(bytes),
    level=st.integers(0, 9),
    cut=st.integers(0, 12),
    more=st.binary(max_size=6),
    flip=st.none() | st.tuples(st.integers(0), st.integers(1, 255)),
    size=st.sampled_from((CHUNK, 512, 65536)),
)
def test_libdeflate_gives_what_zlib_gives(
    content: bytes, level: int, cut: int, more: bytes, flip: tuple[int, int] | None, size: int
) -> None:
    """Damage, a cut end, bytes behind the end and odd lengths come out alike, but for code tables that zlib refuses.

    A stream whose content is right by its checksum although a code in its tables cannot be used is damaged to zlib
    alone; then libdeflate gives the content that was packed, and never another.
    """
    data = bytearray(zlib.compress(content, level))
    if flip is not None:
        data[flip[0] % len(data)] ^= flip[1]
    packed = bytes(data[: len(data) - cut]) + more
    pytest.importorskip("deflate", reason="the optional package deflate (extra fast) is not installed")
    wanted = outcome(unpack.inflated, packed, size)
    found = outcome(unpack.inflated_by_libdeflate, packed, size)
    assert found == wanted or (flip is not None and wanted == "damaged" and found == content)


def test_a_stream_with_a_bad_code_table_and_a_right_checksum_is_damaged_to_zlib_alone() -> None:
    pytest.importorskip("deflate", reason="the optional package deflate (extra fast) is not installed")
    content = bytes(2101)
    packed = bytearray(zlib.compress(content, 4))
    packed[14] ^= 0x80
    found = {outcome(way, bytes(packed), CHUNK) for way in (unpack.inflated, unpack.inflated_by_libdeflate)}
    assert found <= {"damaged", content}


def test_without_deflate_chunks_are_inflated_by_zlib() -> None:
    code = "import sys; sys.modules['deflate'] = None; from caid_triage.evidence import unpack; "
    code += "print(unpack.inflated_chunk is unpack.inflated)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "True"


@pytest.mark.parametrize("compressed", [True, False])
def test_a_damaged_chunk_is_an_error_and_not_zeros(disk: bytes, tmp_path: Path, compressed: bool) -> None:
    path = tmp_path / "made.E01"
    data = bytearray(make_segment(disk, compressed=compressed))
    data[13 + 76 + 12] ^= 0x01  # in the first chunk
    path.write_bytes(data)
    chunks = EwfChunks([path], len(disk), CHUNK)
    with pytest.raises(OSError, match="chunk 0 of the E01 image"):
        chunks.read(0, 512)
    assert chunks.read(CHUNK, 512) == disk[CHUNK : CHUNK + 512]
    chunks.close()


def test_a_damaged_table_is_replaced_by_its_copy_and_two_damaged_ones_are_refused(disk: bytes, tmp_path: Path) -> None:
    path = tmp_path / "made.E01"
    good = make_segment(disk, compressed=True)
    first, second = good.index(b"table\0"), good.index(b"table2\0")
    data = bytearray(good)
    data[first + 76 + 24 + 5] ^= 1
    path.write_bytes(data)
    chunks = EwfChunks([path], len(disk), CHUNK)
    assert chunks.read(0, len(disk)) == disk
    chunks.close()
    data[second + 76] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="describe 0 chunks"):
        EwfChunks([path], len(disk), CHUNK)


def test_a_table_that_points_behind_the_end_of_every_file_is_a_fault_of_its_chunks(disk: bytes, tmp_path: Path) -> None:
    data = bytearray(make_segment(disk, compressed=True))
    at = data.index(b"table\0") + 76
    data[at + 8 : at + 16] = ((1 << 64) - 1).to_bytes(8, "little")
    data[at + 20 : at + 24] = struct.pack("<I", zlib.adler32(data[at : at + 20]))
    path = tmp_path / "made.E01"
    path.write_bytes(data)
    chunks = EwfChunks([path], len(disk), CHUNK)
    with pytest.raises(OSError, match="behind the end of every file"):
        chunks.read(0, 512)
    chunks.close()


def test_a_damaged_chunk_of_a_real_image_costs_its_file_and_not_the_scan(
    shared: Path, tmp_path: Path, opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    data = bytearray((shared / "images" / "dfvfs-ext2.E01").read_bytes())
    data[3587 + 40] ^= 0xFF  # in chunk 16, where /passwords.txt and the files beside it lie
    path = tmp_path / "damaged.E01"
    path.write_bytes(data)
    source = opened(path)
    entries, problems = walked(source)
    outcomes = {}
    for entry in entries:
        try:
            outcomes[entry.path] = sum(map(len, source.chunks(entry)))
        except EvidenceError as error:
            outcomes[entry.path] = error.code
    lost = {path for path, outcome in outcomes.items() if outcome == "read-failed"}
    assert lost or [
        problem for problem in problems if isinstance(problem, Problem) and problem.code == "folder-unreadable"
    ]
    assert all(outcome == "read-failed" or isinstance(outcome, int) for outcome in outcomes.values())


def test_a_set_whose_tables_are_both_damaged_is_read_by_libewf_and_says_so(
    shared: Path, tmp_path: Path, opened: Callable[..., Any]
) -> None:
    data = bytearray((shared / "images" / "dfvfs-ext2.E01").read_bytes())
    at = data.index(b"table\0") + 76 + 24 + 4 * 100
    data[at] ^= 1
    at = data.index(b"table2\0") + 76 + 24 + 4 * 100
    data[at] ^= 1
    path = tmp_path / "damaged.E01"
    path.write_bytes(data)
    source = opened(path)
    assert [problem.code for problem in source.problems()] == ["image-not-checked"]
    assert "zeros for damaged parts" in source.problems()[0].detail
