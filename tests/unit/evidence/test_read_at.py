"""Bytes from anywhere in a file, as a video's decoder needs them: the same as those of the stream, or a fault."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from caid_triage.errors import EvidenceError
from caid_triage.evidence.source import EvidenceSource
from caid_triage.model import FileEntry

Opened = Callable[..., EvidenceSource]


@pytest.mark.parametrize("image", ["ntfs_image", "fat_image", "ext_image"])
def test_every_place_of_every_file_reads_as_in_the_stream(
    image: str, request: pytest.FixtureRequest, opened: Opened, walked: Callable[..., Any]
) -> None:
    source = opened(request.getfixturevalue(image))
    read = 0
    for entry in walked(source)[0]:
        if not entry.readable or not entry.size:
            continue
        try:
            whole = b"".join(source.chunks(entry))
        except EvidenceError:
            continue
        for offset in {0, 1, entry.size // 2, entry.size - 1}:
            for length in {0, 1, 511, entry.size - offset}:
                if offset + length <= entry.size:
                    assert source.read_at(entry, offset, length) == whole[offset : offset + length]
                    read += 1
    assert read > 30


def test_a_folder_reads_across_its_pieces_and_leaves_the_times_alone(
    tmp_path: Path, opened: Opened, walked: Callable[..., Any]
) -> None:
    content = os.urandom(3_000_000)
    (tmp_path / "film").write_bytes(content)
    os.utime(tmp_path / "film", ns=(1_500_000_000_000_000_000, 1_600_000_000_000_000_000))
    source = opened(tmp_path)
    entry = walked(source)[0][0]
    assert source.read_at(entry, 5, 2_500_000) == content[5:2_500_005]
    assert source.read_at(entry, 3_000_000, 0) == b""
    if hasattr(os, "O_NOATIME"):
        assert (tmp_path / "film").stat().st_atime_ns == 1_500_000_000_000_000_000


@pytest.mark.parametrize(("offset", "length"), [(-1, 5), (0, -1), (8, 3), (11, 0), (0, 11), (1 << 70, 1)])
def test_what_lies_outside_of_the_file_is_refused(
    offset: int, length: int, tmp_path: Path, ntfs_image: bytes, opened: Opened, walked: Callable[..., Any]
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "ten").write_bytes(b"0123456789")
    folder = opened(tmp_path / "in")
    with pytest.raises(EvidenceError, match="were asked for"):
        folder.read_at(walked(folder)[0][0], offset, length)
    disk = opened(ntfs_image)
    entry: FileEntry = next(one for one in walked(disk)[0] if one.size)
    end = entry.size or 0
    with pytest.raises(EvidenceError, match="were asked for"):
        disk.read_at(entry, offset + (end if offset > 0 else 0), length + (end if not offset and length > 0 else 0))


def test_a_file_that_changed_or_went_is_a_fault(tmp_path: Path, opened: Opened, walked: Callable[..., Any]) -> None:
    for name in ("cut", "gone", "swapped"):
        (tmp_path / name).write_bytes(b"0123456789")
    source = opened(tmp_path)
    entries = {entry.path: entry for entry in walked(source)[0]}
    with (tmp_path / "cut").open("r+b") as file:
        file.truncate(4)
    (tmp_path / "gone").unlink()
    (tmp_path / "swapped").rename(tmp_path / "elsewhere")
    (tmp_path / "swapped").write_bytes(b"9876543210")
    for path, code in (("/cut", "short-read"), ("/gone", "file-unreadable"), ("/swapped", "file-changed")):
        with pytest.raises(EvidenceError) as caught:
            source.read_at(entries[path], 2, 5)
        assert (caught.value.step, caught.value.code) == ("read", code)


def test_an_entry_without_content_is_a_fault(ntfs_image: bytes, opened: Opened, walked: Callable[..., Any]) -> None:
    source = opened(ntfs_image)
    for entry in walked(source)[0]:
        if not entry.readable:
            with pytest.raises(EvidenceError):
                source.read_at(entry, 0, 0)
