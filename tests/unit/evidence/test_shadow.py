"""Volume shadow copies of a real NTFS volume: what differs is listed, and what is left out is truly the same."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caid_triage.evidence.layers.shadow import CopiedBlocks
from caid_triage.evidence.source import open_source
from caid_triage.model import FileEntry, Problem

BLOCK = 16 << 10


@pytest.fixture(scope="module")
def image(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("qemu-img") is None:
        pytest.skip("qemu-img, which makes a raw image of the sample, is not installed")
    path = tmp_path_factory.mktemp("vss") / "vss.raw"
    sample = shared / "images" / "plaso-vsstest.qcow2"
    subprocess.run(["qemu-img", "convert", "-O", "raw", str(sample), str(path)], check=True, timeout=120)
    return path


def entries_of(source: Any) -> dict[tuple[str, str], FileEntry]:
    return {(e.volume, e.path): e for e in source.walk() if isinstance(e, FileEntry)}


def digest(source: Any, entry: FileEntry) -> str:
    return hashlib.sha256(b"".join(source.chunks(entry))).hexdigest()


def test_both_snapshots_are_volumes_and_what_differs_is_listed(image: Path) -> None:
    source = open_source(image, "E", "s")
    assert [(v.name, v.parent, v.file_system, v.status) for v in source.volumes()] == [
        ("p0", "", "NTFS", "examined"),
        ("p0/vss1", "p0", "NTFS", "examined"),
        ("p0/vss2", "p0", "NTFS", "examined"),
    ]
    assert [v.description for v in source.volumes()][1:] == [
        "shadow copy 1 of 2013-12-03 06:35:09 UTC",
        "shadow copy 2 of 2013-12-03 06:37:48 UTC",
    ]
    found = entries_of(source)
    files = {(volume, path) for volume, path in found if not path.startswith(("/$", "/System"))}
    assert files == {
        ("p0", "/another_file"),
        ("p0", "/password.txt"),
        ("p0", "/syslog.gz"),
        ("p0/vss1", "/syslog"),  # was compressed since: the only place where the text still is
        ("p0/vss2", "/another_file"),  # other times
    }
    assert all(found[key].physical_offset is None for key in found if key[0] != "p0")
    coverage = source.coverage()
    assert coverage["file_system"] + coverage["unallocated"] == source.info.size == sum(coverage.values())
    source.close()


def test_what_is_left_out_is_the_same_in_the_living_volume(image: Path) -> None:
    """The oracle: every snapshot walked whole, and each file that the fast way leaves out read in both places."""
    source = open_source(image, "E", "s")
    fast = entries_of(source)
    notes = [item for item in source.walk() if isinstance(item, Problem) and item.code == "unchanged-since-snapshot"]
    source._systems = [replace(system, shared=None) for system in source._systems]
    whole = entries_of(source)
    assert set(fast) < set(whole)
    left_out = set(whole) - set(fast)
    assert len(left_out) == sum(int(note.detail.rpartition(" ")[2]) for note in notes) > 15
    for volume, path in left_out:
        theirs, living = whole[volume, path], whole["p0", path]
        assert (theirs.size, theirs.times, theirs.state, theirs.inode) == (
            living.size,
            living.times,
            living.state,
            living.inode,
        )
        assert theirs.readable == living.readable
        if theirs.readable:
            assert digest(source, theirs) == digest(source, living)
    source.close()


def test_every_run_numbers_the_same(image: Path) -> None:
    source = open_source(image, "E", "s")
    first = list(source.walk())
    assert list(source.walk()) == first
    entries = [item for item in first if isinstance(item, FileEntry)]
    assert [entry.number for entry in entries] == list(range(len(entries)))
    source.close()


def test_a_file_whose_block_was_copied_is_listed_although_all_else_agrees(image: Path) -> None:
    """An overwriting in place with the times set back leaves the record as it was: only the copied block tells."""
    source = open_source(image, "E", "s")
    key = ("p0/vss1", "/$UpCase")
    assert key not in entries_of(source)
    living = entries_of(source)["p0", "/$UpCase"]
    block = living.physical_offset // BLOCK
    source._systems = [
        replace(system, copied=CopiedBlocks(np.union1d(system.copied.numbers, [block + 3])))
        if system.copied
        else system
        for system in source._systems
    ]
    assert key in entries_of(source)
    source.close()


@given(st.lists(st.integers(0, 60), max_size=12), st.integers(0, 60 * BLOCK), st.integers(1, 5 * BLOCK))
def test_whether_a_part_was_copied_is_as_looked_up_byte_by_byte(blocks: list[int], offset: int, length: int) -> None:
    copied = CopiedBlocks(np.unique(np.array(blocks, dtype=np.int64)))
    expected = any(at // BLOCK in blocks for at in (*range(offset, offset + length, BLOCK), offset + length - 1))
    assert copied.touch(offset, length) == expected


def test_a_mark_without_shadow_copies_behind_it_is_a_problem_and_the_volume_is_read(
    ntfs_image: bytes, opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    marked = bytearray(ntfs_image)
    marked[0x1E00:0x1E10] = bytes.fromhex("6b87083876c1484eb7ae04046e6cc752")
    source = opened(marked)
    assert [v.status for v in source.volumes()] == ["examined"]
    assert [p.code for p in source.problems()] == ["shadow-copies-unreadable"]
    assert len(walked(source)[0]) == len(walked(opened(ntfs_image))[0])
