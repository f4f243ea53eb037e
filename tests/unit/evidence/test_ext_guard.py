"""Files of ext2 and ext3 with a third level of their block map: Sleuth Kit maps them without an end, we do not."""

from __future__ import annotations

import hashlib
import multiprocessing
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from caid_triage.errors import EvidenceError
from caid_triage.evidence.source import open_source
from caid_triage.model import FileEntry, Severity
from caid_triage.synth.ext import build_ext2
from caid_triage.synth.plan import PlannedFile

BLOCK = 4096
DEEP = (12 + 1024 + 1024**2) * BLOCK  # the first byte that only the third level reaches
TAIL = bytes(range(256)) * 40
MAPS = 1000  # blocks behind the file system proper, so that nothing else lies there


def record_of(image: bytearray, number: int) -> int:
    (table,) = struct.unpack_from("<I", image, BLOCK + 8)
    (length,) = struct.unpack_from("<H", image, 1024 + 88)
    return int(table * BLOCK + (number - 1) * (length or 128))


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a disk of 4 GiB that takes no space")


@pytest.fixture
def deep(tmp_path: Path) -> tuple[Path, int]:
    """A disk with /long: 500 bytes of text, a hole of 4 GiB, then TAIL through all three levels of the map."""
    plan = [PlannedFile("/long", b"a" * 500), PlannedFile("/near", b"b" * 5000), PlannedFile("/sub/x", b"c")]
    image = bytearray(build_ext2(plan, size=2 << 20))
    (tmp_path / "before.dd").write_bytes(image)
    source = open_source(tmp_path / "before.dd", "E", "s")
    number = next(entry.inode for entry in source.walk() if isinstance(entry, FileEntry) and entry.path == "/long")
    source.close()
    assert number is not None
    image.extend(bytes(1100 * BLOCK - len(image)))
    at = record_of(image, number)
    struct.pack_into("<I", image, at + 4, (DEEP + len(TAIL)) & 0xFFFFFFFF)
    struct.pack_into("<I", image, at + 108, (DEEP + len(TAIL)) >> 32)
    for level in range(3):
        struct.pack_into("<I", image, (MAPS + level) * BLOCK, MAPS + level + 1)
    struct.pack_into("<I", image, at + 40 + 14 * 4, MAPS)
    for place in range(-(-len(TAIL) // BLOCK)):
        struct.pack_into("<I", image, (MAPS + 2) * BLOCK + 4 * place, MAPS + 3 + place)
    image[(MAPS + 3) * BLOCK : (MAPS + 3) * BLOCK + len(TAIL)] = TAIL
    path = tmp_path / "deep.dd"
    rewrite(path, image)
    return path, at


def rewrite(path: Path, image: bytearray) -> None:
    """The start of a disk that is a little larger than its largest file; nothing is stored of the rest."""
    with path.open("wb") as file:
        file.write(image)
        file.truncate(DEEP + 100 * BLOCK)


def start_of(path: Path) -> bytearray:
    with path.open("rb") as file:
        return bytearray(file.read(1100 * BLOCK))


def walk_to(path: Path, answers: Any) -> None:
    source = open_source(path, "E", "s")
    answers.put([entry.path for entry in source.walk() if isinstance(entry, FileEntry)])


def in_time(path: Path) -> list[str]:
    """The paths of a walk in a process of its own: where the library does not return, only a kill helps."""
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    process = context.Process(target=walk_to, args=(path, answers))
    process.start()
    try:
        found: list[str] = answers.get(timeout=30)
    finally:
        process.kill()
        process.join()
    return found


def test_a_file_of_three_levels_does_not_hang_and_is_read_whole(
    deep: tuple[Path, int], opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    assert sorted(in_time(deep[0])) == ["/long", "/near", "/sub/x"]
    source = opened(deep[0])
    entry = next(one for one in walked(source)[0] if one.path == "/long")
    assert (entry.size, entry.problems) == (DEEP + len(TAIL), ())
    digest, head, read = hashlib.sha256(), b"a" * 500, 0
    zeros = bytes(1 << 20)
    for piece in source.chunks(entry):
        assert len(piece) <= 1 << 20
        read += len(piece)
        if piece != zeros[: len(piece)]:
            digest.update(piece)
    first = head + bytes(BLOCK - 500)  # a piece does not reach from a block into a hole
    assert (read, digest.digest()) == (entry.size, hashlib.sha256(first + TAIL).digest())
    with deep[0].open("rb") as file:
        file.seek(entry.physical_offset)
        assert file.read(500) == head
    with pytest.raises(EvidenceError) as caught:
        source.read_at(entry, 0, 500)
    assert caught.value.code == "no-random-access"


def test_a_map_that_leads_nowhere_is_a_fault_of_the_file(
    deep: tuple[Path, int], opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    image = start_of(deep[0])
    struct.pack_into("<I", image, (MAPS + 1) * BLOCK, 0xFFFFFFF0)
    rewrite(deep[0], image)
    source = opened(deep[0])
    entry = next(one for one in walked(source)[0] if one.path == "/long")
    with pytest.raises(EvidenceError) as caught:
        for _ in source.chunks(entry):
            pass
    assert caught.value.step == "read"


def test_a_file_that_claims_more_than_its_volume_is_named_and_not_read(
    deep: tuple[Path, int], opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    image = start_of(deep[0])
    struct.pack_into("<I", image, deep[1] + 108, 0x1000)  # 16 TiB
    rewrite(deep[0], image)
    assert "/long" in in_time(deep[0])
    entry = next(one for one in walked(opened(deep[0]))[0] if one.path == "/long")
    assert not entry.readable
    assert [(one.code, one.severity) for one in entry.problems] == [("larger-than-volume", Severity.PROBLEM)]


def test_a_folder_that_claims_three_levels_is_named(
    deep: tuple[Path, int], opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    image = start_of(deep[0])
    at = record_of(image, 2)
    for number in range(11, 40):  # the folder /sub is one of the first records
        at = record_of(image, number)
        if struct.unpack_from("<H", image, at)[0] & 0xF000 == 0x4000:
            break
    struct.pack_into("<I", image, at + 4, 0xFFFFF000)
    rewrite(deep[0], image)
    assert "/near" in in_time(deep[0])
    assert "folder-unreadable" in {problem.code for problem in walked(opened(deep[0]))[1]}


def test_a_folder_in_small_blocks_that_claims_the_third_level_is_named(
    tmp_path: Path, opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    """In blocks of 1 KiB two levels hold 64 MiB: a folder that claimed 400 MiB kept a scan busy without an end."""
    if shutil.which("mke2fs") is None:
        pytest.skip("e2fsprogs, which makes ext2 in blocks of 1 KiB, is not installed")
    folder, path = tmp_path / "folder", tmp_path / "ext.dd"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "x").write_bytes(b"x" * 900)
    with path.open("wb") as file:
        file.truncate(4 << 20)
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext2", "-b", "1024", "-d", folder, path], check=True)
    image = bytearray(path.read_bytes())
    (table,) = struct.unpack_from("<I", image, 2 * 1024 + 8)
    (length,) = struct.unpack_from("<H", image, 1024 + 88)
    at = image.index(b"\x03\x02sub") - 6
    (number,) = struct.unpack_from("<I", image, at)
    struct.pack_into("<I", image, table * 1024 + (number - 1) * length + 4, 400 << 20)
    path.write_bytes(image)
    assert any(one.startswith("/$OrphanFiles/") for one in in_time(path))
    source = opened(path)
    entries, problems = walked(source)
    assert [b"".join(source.chunks(one)) for one in entries if one.readable] == [b"x" * 900]
    assert [problem.path for problem in problems if problem.severity is Severity.PROBLEM] == ["/sub"]


def test_such_a_file_is_read_by_a_source_that_has_not_walked_to_it(deep: tuple[Path, int]) -> None:
    """A scan goes on with a fresh process where one died: that one has not met the record yet."""
    path, _ = deep
    walked, fresh = open_source(path, "E", "s"), open_source(path, "E", "s")
    entry = next(one for one in walked.walk() if isinstance(one, FileEntry) and one.path == "/long")
    assert next(fresh.chunks(entry)) == next(walked.chunks(entry))
    other = open_source(path, "E", "s")
    with pytest.raises(EvidenceError) as fault:
        other.read_at(entry, 0, 10)
    assert fault.value.code == "no-random-access"
    for source in (walked, fresh, other):
        source.close()
