"""Compressed files of HFS+ (decmpfs): Sleuth Kit gives them as empty, so they are read through libfshfs."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from caid_triage.errors import EvidenceError
from caid_triage.model import FileEntry, Severity

CONTENT = b"decompressed content of the file " * 1900
FILE = 20  # /passwords.txt of the sample


def fork(image: bytes, at: int) -> int:
    """The first byte of a special file's first extent (Apple TN1150, "Volume Header")."""
    (block,) = struct.unpack_from(">I", image, 1024 + 40)
    (start,) = struct.unpack_from(">I", image, 1024 + at + 16)
    return start * block


def with_attribute(image: bytes, name: str, attribute: bytes) -> bytearray:
    """The sample with one more extended attribute of one file."""
    out = bytearray(image)
    base = fork(image, 352)
    first, size = struct.unpack_from(">I", out, base + 14 + 10)[0], struct.unpack_from(">H", out, base + 14 + 18)[0]
    node = base + first * size
    (count,) = struct.unpack_from(">H", out, node + 10)
    (end,) = struct.unpack_from(">H", out, node + size - 2 * (count + 1))
    key = struct.pack(">HIIH", 0, FILE, 0, len(name)) + name.encode("utf-16-be")
    record = struct.pack(">H", len(key)) + key + struct.pack(">IIII", 0x10, 0, 0, len(attribute)) + attribute
    record += bytes(len(record) % 2)
    out[node + end : node + end + len(record)] = record
    struct.pack_into(">H", out, node + size - 2 * (count + 2), end + len(record))
    struct.pack_into(">H", out, node + 10, count + 1)
    return out


def with_compressed_file(image: bytes, attribute: bytes) -> bytes:
    """The sample with one file's content moved into an attribute `com.apple.decmpfs`, and its data fork emptied."""
    out = with_attribute(image, "com.apple.decmpfs", attribute)
    catalog = fork(image, 272)
    number, size = (
        struct.unpack_from(">I", out, catalog + 14 + 10)[0],
        struct.unpack_from(">H", out, catalog + 14 + 18)[0],
    )
    while number:
        node = catalog + number * size
        number, _, _, _, count = struct.unpack_from(">IIbBH", out, node)
        for place in range(count):
            (start,) = struct.unpack_from(">H", out, node + size - 2 * (place + 1))
            data = node + start + 2 + struct.unpack_from(">H", out, node + start)[0]
            if struct.unpack_from(">h", out, data)[0] == 2 and struct.unpack_from(">I", out, data + 8)[0] == FILE:
                out[data + 3] |= 4  # it has attributes
                out[data + 41] |= 0x20  # UF_COMPRESSED
                out[data + 88 : data + 168] = bytes(80)
    return bytes(out)


@pytest.fixture(scope="module")
def sample(shared: Path) -> bytes:
    return (shared / "images" / "dfvfs-hfsplus.raw").read_bytes()


def test_a_compressed_file_has_its_content(
    sample: bytes, opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    packed = b"fpmc" + struct.pack("<IQ", 3, len(CONTENT)) + zlib.compress(CONTENT)
    source = opened(with_compressed_file(sample, packed))
    assert source.problems() == ()
    entries, _ = walked(source)
    (entry,) = [entry for entry in entries if entry.path == "/passwords.txt"]
    assert (entry.size, entry.physical_offset, entry.problems) == (len(CONTENT), None, ())
    assert b"".join(source.chunks(entry)) == CONTENT
    assert source.read_at(entry, 50_000, 99) == CONTENT[50_000:50_099]
    others = {e.path: b"".join(source.chunks(e)) for e in entries if e.readable and e.inode not in (4, 8, FILE)}
    plain = opened(sample)
    theirs = {e.path: b"".join(plain.chunks(e)) for e in walked(plain)[0] if e.readable and e.inode not in (4, 8, FILE)}
    assert others == theirs


def test_content_that_cannot_be_decompressed_is_a_fault_and_not_an_empty_file(
    sample: bytes, opened: Callable[..., Any]
) -> None:
    packed = b"fpmc" + struct.pack("<IQ", 3, len(CONTENT)) + zlib.compress(CONTENT)[:40]
    source = opened(with_compressed_file(sample, packed))
    entry = next(e for e in source.walk() if isinstance(e, FileEntry) and e.path == "/passwords.txt")
    with pytest.raises(EvidenceError) as caught:
        list(source.chunks(entry))
    assert caught.value.step == "read"


def test_no_file_of_the_plain_sample_is_a_problem(sample: bytes, walked: Callable[..., Any], opened: Any) -> None:
    entries, problems = walked(opened(sample))
    assert {p.severity for p in problems} <= {Severity.NOTE}
    assert all(not entry.problems for entry in entries)


def test_an_extended_attribute_that_can_hold_a_picture_is_a_stream(
    sample: bytes, opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    hidden = bytes(range(256)) * 3
    source = opened(with_attribute(sample, "com.example.hidden", hidden))
    entries = {entry.path: entry for entry in walked(source)[0]}
    entry = entries["/passwords.txt:com.example.hidden"]
    assert (entry.size, entry.stream, entry.physical_offset) == (len(hidden), "com.example.hidden", None)
    assert b"".join(source.chunks(entry)) == hidden
    assert entries["/passwords.txt"].size == 116


def test_where_a_file_with_an_attribute_lies_is_known(
    sample: bytes, opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    source = opened(sample)
    (entry,) = [e for e in walked(source)[0] if e.path == "/a_directory/a_file"]
    content = b"".join(source.chunks(entry))
    assert sample[entry.physical_offset : entry.physical_offset + len(content)] == content
