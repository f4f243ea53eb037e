"""Damaged and cut-off images: no crash, no hang, faults become Problems or EvidenceErrors, every byte still counted."""

from __future__ import annotations

import multiprocessing
import random
import shutil
import struct
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.volumes import EXTENT, VolumeGroup, build_lvm, build_raid, linear

from caid_triage.errors import EvidenceError, SourceError
from caid_triage.evidence.source import EvidenceSource, open_source
from caid_triage.model import FileEntry, Problem, Severity
from caid_triage.synth.ext import build_ext2
from caid_triage.synth.iso9660 import build_iso
from caid_triage.synth.lessons import build_lesson
from caid_triage.synth.plan import PlannedFile

LESSONS = [
    "told-apart-ntfs",
    "fragmented-fat12",
    "deleted-fat16",
    "deleted-long-folder-fat16",
    "long-folder-exfat",
    "fragmented-ext2",
    "sparse-ext2",
]


def read_what_can_be(source: EvidenceSource, entry: FileEntry) -> tuple[int, str | None]:
    """How many bytes came, and the step of the fault that ended them."""
    length = 0
    try:
        for piece in source.chunks(entry):
            length += len(piece)
    except EvidenceError as error:
        return length, error.step
    return length, None


def examine(path: Path, size: int) -> tuple[int, int]:
    """Walk and read everything; the numbers of entries and of faults. Anything but our own errors fails the test."""
    try:
        source = open_source(path, "E", "S")
    except SourceError:
        return 0, 1
    assert sum(source.coverage().values()) == size
    entries, faults = 0, sum(p.severity is Severity.PROBLEM for p in source.problems())
    for item in source.walk():
        if isinstance(item, Problem):
            faults += 1
            continue
        assert item.number == entries
        assert item.path.startswith("/")
        assert item.path.isprintable() or " " in item.path
        entries += 1
        if item.readable and item.size is not None and item.size < 64 << 20:
            length, fault = read_what_can_be(source, item)
            faults += fault is not None
            assert fault in (None, "read")
            assert length == item.size or fault
        elif not item.readable:
            assert item.problems
    source.close()
    return entries, faults


@pytest.mark.parametrize("name", LESSONS)
def test_random_damage_never_ends_a_scan(name: str, tmp_path: Path) -> None:
    image = bytes(build_lesson(name).image)
    path = tmp_path / "disk.img"
    chance = random.Random(name)
    seen = set()
    for round_ in range(12):
        damaged = bytearray(image)
        # the first tenth is where boot sectors, tables and records lie
        reach = len(image) // (10 if round_ % 2 else 1)
        for _ in range(200):
            damaged[chance.randrange(512, reach)] = chance.randrange(256)
        path.write_bytes(damaged)
        seen.add(examine(path, len(image)))
    assert any(entries for entries, _ in seen)


def layered(name: str) -> bytes:
    """A small volume that holds volumes."""
    inside = bytes(build_lesson("fragmented-ext2").image)
    if name.startswith("raid"):
        return bytes(build_raid(inside, version=name.removeprefix("raid "), level=1))
    parts = [inside[at : at + EXTENT] for at in range(0, len(inside), EXTENT)]
    half = len(parts) // 2
    segments = [linear(half, len(parts) - half), linear(len(parts) - half, 0)]
    group = VolumeGroup({"root": segments, "far": [linear(2, 0, "pv1")], "also": [linear(1, 0)]}, physical=2)
    return bytes(build_lvm(group, parts[half:] + parts[:half]))


@pytest.mark.parametrize("name", ["lvm", "raid 0.90", "raid 1.2"])
def test_random_damage_of_layers_never_ends_a_scan(name: str, tmp_path: Path) -> None:
    image = layered(name)
    path = tmp_path / "disk.img"
    chance = random.Random(name)
    seen = []
    for round_ in range(12):
        damaged = bytearray(image)
        reach = len(image) if round_ % 2 else 2 << 20
        for _ in range((200, 20, 2)[round_ % 3]):
            damaged[chance.randrange(512, reach)] = chance.randrange(256)
        path.write_bytes(damaged)
        seen.append(examine(path, len(image)))
    assert any(entries for entries, _ in seen)


@pytest.mark.parametrize("name", LESSONS)
def test_a_cut_off_image_says_so(name: str, tmp_path: Path) -> None:
    image = bytes(build_lesson(name).image)
    path = tmp_path / "disk.img"
    for keep in (0.75, 0.3, 0.02):
        path.write_bytes(image[: int(len(image) * keep)])
        _, faults = examine(path, int(len(image) * keep))
        assert faults, keep


def test_a_file_whose_end_is_cut_off_yields_what_there_is_and_then_a_short_read(
    tmp_path: Path, opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    lesson = build_lesson("fragmented-fat16")
    whole = opened(lesson.image)
    last = max(
        (e for e in walked(whole)[0] if e.path == "/whole.jpg" and e.physical_offset is not None),
        key=lambda e: e.physical_offset,
    )
    assert last.size > 8192
    cut = last.physical_offset + 4096
    source = opened(bytes(lesson.image[:cut]))
    entry = next(e for e in source.walk() if isinstance(e, FileEntry) and e.path == last.path)
    got: list[bytes] = []
    with pytest.raises(EvidenceError) as caught:
        got.extend(source.chunks(entry))
    assert caught.value.step == "read"
    assert caught.value.code in ("short-read", "read-failed")
    assert bytes(lesson.image[last.physical_offset : cut]).startswith(b"".join(got))
    assert got
    assert "image-truncated" in [problem.code for problem in source.problems()]


def test_a_source_that_is_closed_refuses_to_read(opened: Callable[..., Any], walked: Callable[..., Any]) -> None:
    source = opened(bytes(build_lesson("deleted-fat12").image))
    entry = next(e for e in walked(source)[0] if e.readable and e.size)
    source.close()
    with pytest.raises(EvidenceError):
        list(source.chunks(entry))


def walk_to(path: Path, answers: Any) -> None:
    source = open_source(path, "E", "s")
    answers.put(([problem.code for problem in source.problems()], len(list(source.walk()))))


def test_a_disk_whose_tables_name_no_file_does_not_lock_the_library_out(tmp_path: Path) -> None:
    image = build_iso([PlannedFile("/A.TXT", b"x" * 100), PlannedFile("/SUB/B.TXT", b"y")])
    image[32768 + 151] ^= 1  # where the table of folders lies
    path = tmp_path / "disk.iso"
    path.write_bytes(image)
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    process = context.Process(target=walk_to, args=(path, answers))
    process.start()
    try:
        assert answers.get(timeout=30) == (["file-system-not-understood"], 0)
    finally:
        process.kill()
        process.join()


def test_a_folder_that_is_listed_only_at_the_second_try_is_listed(opened: Callable[..., Any]) -> None:
    source = opened(bytes(build_lesson("told-apart-ntfs").image))
    calm = [item.path for item in source.walk() if isinstance(item, FileEntry)]

    class Moody:
        """A file system whose first listing of each folder fails, as one with a damaged record does in the library."""

        def __init__(self, fs: Any) -> None:
            self._fs = fs
            self._failed: set[int] = set()

        def __getattr__(self, name: str) -> Any:
            return getattr(self._fs, name)

        def open_dir(self, inode: int) -> Any:
            if inode not in self._failed:
                self._failed.add(inode)
                raise OSError("Unable to open directory: Invalid API argument")
            return self._fs.open_dir(inode=inode)

    source._systems = [replace(system, fs=Moody(system.fs)) for system in source._systems]
    assert [item.path for item in source.walk() if isinstance(item, FileEntry)] == calm
    assert calm


def test_a_size_that_no_file_can_have_is_a_problem_and_is_not_read(
    opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    image = bytearray(build_lesson("told-apart-ntfs").image)
    known = next(e for e in walked(opened(image))[0] if e.path == "/box/alive.jpg")
    cluster = 4096
    sizes = struct.pack("<QQQ", -(-known.size // cluster) * cluster, known.size, known.size)  # allocated, real, filled
    at = image.index(sizes)
    assert image.find(sizes, at + 1) == -1
    struct.pack_into("<Q", image, at + 8, 0xA88F0000_00001000)
    source = opened(image)
    (entry,) = [e for e in walked(source)[0] if e.path == known.path]
    assert (entry.size, entry.readable) == (None, False)
    assert [(p.code, p.severity) for p in entry.problems] == [("metadata-unreadable", Severity.PROBLEM)]


@pytest.mark.parametrize(("inode", "path"), [(2, "/"), (12, "/sub")])
def test_a_folder_of_ext_whose_names_were_wiped_is_not_taken_for_an_empty_one(
    inode: int, path: str, opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    """A zeroed block lost every file of the volume, and nothing was said of it."""
    plan = [PlannedFile("/sub/a.bin", b"a" * 5000), PlannedFile("/b.bin", b"b" * 900)]
    image = build_ext2(plan, size=1 << 20)
    assert not walked(opened(image))[1]
    at = image.index(struct.pack("<IHBB", inode, 12, 1, 2) + b".\0\0\0" + struct.pack("<IHBB", 2, 12, 2, 2))
    image[at : at + 4096] = bytes(4096)
    problems = [problem for problem in walked(opened(image))[1] if problem.severity is Severity.PROBLEM]
    assert [(problem.code, problem.path) for problem in problems] == [("folder-unreadable", path)]


def test_names_that_lie_in_the_record_of_their_folder_are_no_damage(
    tmp_path: Path, opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    if shutil.which("mke2fs") is None:
        pytest.skip("e2fsprogs, which makes ext4 with inline data, is not installed")
    folder, path = tmp_path / "folder", tmp_path / "ext.dd"
    (folder / "sub").mkdir(parents=True)
    (folder / "empty").mkdir()
    (folder / "sub" / "a.txt").write_text("a")
    with path.open("wb") as file:
        file.truncate(8 << 20)
    options = ("-t", "ext4", "-O", "inline_data", "-I", "256", "-d", folder)
    subprocess.run(["mke2fs", "-q", "-F", *options, path], check=True, capture_output=True)
    entries, problems = walked(opened(path))
    assert [entry.path for entry in entries if not entry.path.startswith("/lost")] == ["/sub/a.txt"]
    assert not problems
