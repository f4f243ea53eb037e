"""AFF4: the reference images to their stored hashes, our own small ones to the byte, read errors never as content."""

from __future__ import annotations

import hashlib
import random
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.containers import DEFLATE, SNAPPY, STORED, aff4, snappy

from caid_triage.errors import EvidenceError, SourceError
from caid_triage.evidence.containers.snappy import decode_snappy
from caid_triage.evidence.containers.turtle import Value, parse_turtle
from caid_triage.evidence.source import open_source
from caid_triage.evidence.verify import verify_acquisition
from caid_triage.synth.fat import build_fat
from caid_triage.synth.plan import PlannedFile


def content_of(source: Any) -> bytes:
    size = source.info.size
    return b"".join(source.image.exact(offset, min(300_001, size - offset)) for offset in range(0, size, 300_001))


# ---------------------------------------------------------------- Snappy


@given(st.binary(max_size=3000))
def test_a_snappy_block_is_decoded(data: bytes) -> None:
    assert decode_snappy(snappy(data * 3), 3 * len(data)) == data * 3


def test_every_kind_of_element() -> None:
    literal = bytes(range(70))
    block = bytes([100]) + bytes([60 << 2, 69]) + literal
    block += bytes([1 | (7 - 4) << 2, 70]) + bytes([2 | 22 << 2, 1, 0])  # 7 bytes from 70 back; the last byte 23 times
    assert decode_snappy(block, 100) == literal + literal[:7] + bytes([6]) * 23
    far = bytes([8]) + bytes([3 << 2]) + b"abcd" + bytes([3 | 3 << 2, 4, 0, 0, 0])
    assert decode_snappy(far, 8) == b"abcdabcd"


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"\xff\xff\xff\xff\xff\xff",
        b"\x05\x10abcd",  # a literal that is cut off
        b"\x08\x0cabcd\x0d\x05\x00",  # a copy from before the start
        b"\x08\x0cabcd\x0e\x00\x00",  # a copy from nowhere
        b"\x04\x0cabcdX",  # more than it says
        b"\x09\x0cabcd",  # less than it says
        b"\xff\xff\xff\xff\x07\x00a",  # two gigabytes
    ],
)
def test_a_damaged_snappy_block_is_an_error(block: bytes) -> None:
    with pytest.raises(ValueError, match="Snappy"):
        decode_snappy(block, 100)


@given(st.binary(max_size=200))
@settings(max_examples=300)
def test_any_bytes_are_decoded_or_refused_within_the_bound(block: bytes) -> None:
    with suppress(ValueError):
        assert len(decode_snappy(block, 5000)) <= 5000


# ---------------------------------------------------------------- Turtle


def test_the_turtle_of_an_image_is_read() -> None:
    text = """@prefix : <aff4://v> . @prefix xsd: <x#> . # a comment
    <aff4://a> a :Disk , <y> ; :size "12"^^xsd:long ; :notes \"\"\"two
    lines; with . and "x\"\"\" , "ein \\u00e4 \\"zitat\\""@de ; .
    : :stored "b.c" .
    :x.y :flag true ; :n 3 ."""
    found = parse_turtle(text)
    assert found["aff4://a"]["http://www.w3.org/1999/02/22-rdf-syntax-ns#type"] == [Value("aff4://vDisk"), Value("y")]
    assert found["aff4://a"]["aff4://vsize"] == [Value("12", "x#long")]
    assert found["aff4://a"]["aff4://vnotes"][1] == Value('ein ä "zitat"')
    assert found["aff4://v"]["aff4://vstored"] == [Value("b.c")]
    assert found["aff4://vx.y"] == {"aff4://vflag": [Value("true")], "aff4://vn": [Value("3")]}


@pytest.mark.parametrize(
    "text", ["<a> <b>", "<a> <b> <c>", "<a> <b> [ <c> <d> ] .", "x:y x:z x:w .", '<a> <b> "c', "."]
)
def test_turtle_that_is_not_understood_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="description"):
        parse_turtle(text)


@given(st.text(alphabet='<>ab:"\\.;, @^\n[#', max_size=60))
@settings(max_examples=300)
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(ValueError):
        parse_turtle(text)


# ---------------------------------------------------------------- images


@pytest.mark.parametrize("method", [SNAPPY, DEFLATE, STORED])
@pytest.mark.parametrize("mapped", [True, False])
def test_an_image_reads_like_the_raw_one(
    method: str, mapped: bool, ntfs_image: bytes, tmp_path: Path, opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    path = tmp_path / "disk.aff4"
    path.write_bytes(aff4(ntfs_image, method, mapped=mapped))
    source = opened(path)
    assert (source.info.kind, source.info.size) == ("aff4", len(ntfs_image))
    assert content_of(source) == ntfs_image
    assert walked(source) == walked(opened(ntfs_image))
    assert not source.problems()
    facts = source.info.acquisition
    assert (facts["case_number"], facts["acquiry_software_version"]) == ('17 "b"', "test")
    assert all(check.agrees for check in verify_acquisition(source))


def test_what_could_not_be_read_is_a_problem_of_its_file_alone(
    tmp_path: Path, opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    random_bytes = random.Random(4).randbytes
    plan = [PlannedFile(f"/f{number}.bin", random_bytes(50_000)) for number in range(6)]
    disk = bytes(build_fat(plan, size=2 << 20, bits=12))
    hole = disk.index(plan[2].content[:64]) + 8192
    path = tmp_path / "disk.aff4"
    start = hole // 4096 * 4096
    path.write_bytes(aff4(disk, unreadable=((start, 8192),), unknown=((len(disk) - 65536, 65536),)))
    source = opened(path)
    assert [problem.code for problem in source.problems()] == ["acquisition-errors", "not-acquired"]
    assert source.coverage()["unreadable"] == 8192 + 65536
    assert sum(source.coverage().values()) == len(disk)
    outcome = {}
    for entry in walked(source)[0]:
        if entry.readable and entry.path.lower().startswith("/f"):
            pieces: list[bytes] = []
            try:
                pieces.extend(source.chunks(entry))
                outcome[entry.path.lower()] = b"".join(pieces)
            except EvidenceError as error:
                outcome[entry.path.lower()] = error.code
                assert plan[2].content.startswith(b"".join(pieces))
    whole = {f.path: f.content for f in plan}
    assert outcome == {**whole, "/f2.bin": "read-failed"}


def test_a_damaged_chunk_is_told_by_its_hash(tmp_path: Path, opened: Callable[..., Any], ntfs_image: bytes) -> None:
    data = bytearray(aff4(ntfs_image, STORED))
    at = data.index(ntfs_image[:512])
    data[at + 600] ^= 1
    path = tmp_path / "disk.aff4"
    path.write_bytes(data)
    source = opened(path)
    with pytest.raises(OSError, match="its hash is wrong"):
        source.image.exact(0, 4096)
    assert source.image.read(4096, 4096) == ntfs_image[4096:8192]
    (bad, *_) = [check for check in verify_acquisition(source) if not check.agrees]
    assert bad.found is None
    assert "its hash is wrong" in bad.sentence()


def rewritten(data: bytes, path: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """An image with members changed (or left out, where ``change`` gives None)."""
    plain = path.with_suffix(".zip")
    plain.write_bytes(data)
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(path, "w") as new:
        new.comment = old.comment
        for name in old.namelist():
            content = change(name, old.read(name))
            if content is not None:
                new.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("part", "change", "says"),
    [
        ("information.turtle", None, "could not be opened as an AFF4"),
        (
            "information.turtle",
            lambda d: d.replace(b"DiskImage", b"Fileimage").replace(b"ContiguousImage", b"x"),
            "no disk",
        ),
        ("information.turtle", lambda d: d.replace(SNAPPY.encode(), b"https://code.google.com/p/lz4/"), "lz4"),
        ("information.turtle", lambda d: d.replace(b"aff4:chunkSize", b"aff4:chunksize"), "chunkSize"),
        ("information.turtle", lambda d: d.replace(b'chunkSize "4096"', b'chunkSize "99999999999"'), "contradict"),
        ("information.turtle", lambda d: d.replace(b"a aff4:ImageStream", b"a aff4:Other"), "several files"),
        ("/map", None, "/map"),
        ("/map", lambda d: d[:-5], "map contradicts itself"),
        ("/map", lambda d: d[:24] + b"\xff" + d[25:], "map contradicts itself"),
        ("/map", lambda d: d[:8] + b"\xff" * 8 + d[16:], "map contradicts itself"),
    ],
)
def test_an_image_that_is_not_understood_is_refused(
    part: str, change: Any, says: str, tmp_path: Path, fat_image: bytes
) -> None:
    def edit(name: str, content: bytes) -> bytes | None:
        if not name.endswith(part):
            return content
        return None if change is None else change(content)

    path = rewritten(aff4(fat_image), tmp_path / "disk.aff4", edit)
    with pytest.raises(SourceError, match=says):
        open_source(path, "E", "s")


def test_a_missing_bevy_or_index_is_an_error_of_what_lies_there(
    tmp_path: Path, opened: Callable[..., Any], fat_image: bytes
) -> None:
    for suffix in ("00000000", "00000000.index", "00000000.blockHash.md5"):
        path = rewritten(
            aff4(fat_image), tmp_path / f"{suffix}.aff4", lambda n, c, s=suffix: None if n.endswith("/" + s) else c
        )
        image = opened(path).image
        if suffix.endswith("md5"):
            assert image.read(0, 4096) == fat_image[:4096]
            continue
        with pytest.raises(OSError, match="damaged"):
            image.exact(0, 4096)


def test_symbolic_streams_repeat_their_byte(tmp_path: Path, opened: Callable[..., Any]) -> None:
    disk = bytes(build_fat([PlannedFile("/a.txt", b"a" * 5000)], size=2 << 20, bits=12))
    path = rewritten(
        aff4(disk),
        tmp_path / "disk.aff4",
        lambda n, c: c.replace(b"#Zero", b"#SymbolicStream61") if n.endswith("/idx") else c,
    )
    assert opened(path).image.read(len(disk) - 100, 100) == b"a" * 100


# ---------------------------------------------------------------- the reference images

# SHA-1 of the whole disk, with what could not be read given as pyaff4 gives it: from the tests of that program.
LINEAR_SHA1 = "7d3d27f667f95f7ec5b9d32121622c0f4b60b48d"
LINEAR_ERROR_SHA1 = "67e245a640e2784ead30c1ff1a3f8d237b58310f"


def test_the_reference_image_comes_out_as_it_was(shared: Path, opened: Callable[..., Any]) -> None:
    source = opened(shared / "images" / "Base-Linear.aff4")
    digest = hashlib.sha1()
    for offset in range(0, source.info.size, 1 << 20):
        digest.update(source.image.read(offset, 1 << 20))
    assert digest.hexdigest() == LINEAR_SHA1
    checks = verify_acquisition(source)
    assert {(check.stored.what, check.stored.algorithm) for check in checks} == {
        ("map", "sha512"),
        ("index of the map", "sha512"),
        ("image stream", "sha1"),
        ("image stream", "md5"),
    }
    assert all(check.agrees for check in checks)
    facts = source.info.acquisition
    assert facts["case_number"] == "Case ID: 1SR Canonical"
    assert facts["image stream md5"] == "d5825dc1152a42958c8219ff11ed01a3"
    assert facts["acquiry_software_version"] == "Evimetry 2.2.0"


def test_the_reference_image_with_a_read_error(
    shared: Path, opened: Callable[..., Any], walked: Callable[..., Any], sha256_of: Callable[..., str]
) -> None:
    source = opened(shared / "images" / "Base-Linear-ReadError.aff4")
    missing = source.image.unreadable()
    assert sum(length for _, length in missing) == 2 << 20 == source.coverage()["unreadable"]
    assert [problem.code for problem in source.problems()] == ["acquisition-errors"]
    assert all(check.agrees for check in verify_acquisition(source))
    tile = (b"UNREADABLEDATA" * (1 << 17))[: 1 << 20]
    digest = hashlib.sha1()
    holes = {offset + step for offset, length in missing for step in range(0, length, 4096)}
    for offset in range(0, source.info.size, 4096):
        seam = offset % (1 << 20)
        digest.update(tile[seam : seam + 4096] if offset in holes else source.image.read(offset, 4096))
    assert digest.hexdigest() == LINEAR_ERROR_SHA1
    whole = opened(shared / "images" / "Base-Linear.aff4")
    wanted = {e.path: sha256_of(whole, e) for e in walked(whole)[0] if e.readable}
    codes = []
    for entry in walked(source)[0]:
        if entry.readable:
            try:
                assert sha256_of(source, entry) == wanted[entry.path]
            except EvidenceError as error:
                codes.append(error.code)
    assert set(codes) <= {"read-failed"}
    assert len(codes) < len(wanted) / 2
