"""Each written file system is read back by pytsk3, and found whole by its own checker where one is installed."""

from __future__ import annotations

import hashlib
import random
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caid_triage.synth.exfat import build_exfat
from caid_triage.synth.ext import build_ext2
from caid_triage.synth.fat import build_fat
from caid_triage.synth.lessons import build_lesson, crowd, lesson_names
from caid_triage.synth.ntfs import build_ntfs, write_ntfs
from caid_triage.synth.plan import Planned, PlannedFile, PlannedFolder, write_sparse
from caid_triage.synth.truth import rows_of

MIB = 1 << 20
WRITERS: dict[str, Callable[[list[Planned]], bytearray]] = {
    "ntfs": lambda plan: build_ntfs(plan, size=8 * MIB),
    "fat12": lambda plan: build_fat(plan, size=4 * MIB, bits=12, cluster=2048),
    "fat16": lambda plan: build_fat(plan, size=8 * MIB, bits=16, cluster=1024),
    "fat32": lambda plan: build_fat(plan, size=34 * MIB, bits=32, cluster=512),
    "exfat": lambda plan: build_exfat(plan, size=8 * MIB),
    "ext2": lambda plan: build_ext2(plan, size=8 * MIB),
}
CHECKERS = {
    "ntfs": ["ntfsfix", "--no-action"],
    "fat12": ["fsck.fat", "-n"],
    "fat16": ["fsck.fat", "-n"],
    "fat32": ["fsck.fat", "-n"],
    "exfat": ["fsck.exfat", "-n"],
    "ext2": ["e2fsck", "-f", "-n"],
    "iso9660": ["isoinfo", "-l", "-i"],
}
# Orphans of FAT come without their folder, and with the short name: content is compared, not the path.
ODD_NAMES = ("every-file-ntfs", "every-file-ext2")
NAMELESS = ("deleted-long-folder-fat16", "deleted-long-folder-fat32")


def program(name: str) -> str:
    """Where a tool is installed; the test skips where it is not."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run(*command: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, capture_output=True, check=False, timeout=60)


def written(image: bytearray, folder: Path) -> Path:
    path = folder / "volume.dd"
    write_sparse(path, image)
    return path


def plain_plan() -> list[Planned]:
    """What every file system can hold."""
    noise = random.Random(3)
    return [
        PlannedFile("/UPPER.TXT", b"short name\n"),
        PlannedFile("/a folder/a rather long name with spaces.jpg", noise.randbytes(70_000), pieces=3),
        PlannedFile("/a folder/below/deeper/x", noise.randbytes(5000)),
        PlannedFile("/empty", b""),
        PlannedFile("/a folder/gone.bin", noise.randbytes(9000), deleted=True),
        PlannedFolder("/empty folder"),
        *(PlannedFile(f"/crowd/file {n:03d}", b"%d" % n) for n in range(150)),
    ]


@pytest.mark.parametrize("kind", WRITERS)
def test_same_bytes_every_time(kind: str) -> None:
    assert WRITERS[kind](plain_plan()) == WRITERS[kind](plain_plan())


@pytest.mark.parametrize("kind", WRITERS)
def test_read_back_whole(kind: str, tmp_path: Path, read_back: Callable[..., dict]) -> None:
    found = read_back(written(WRITERS[kind](plain_plan()), tmp_path))
    for row in rows_of("p0", plain_plan()):
        assert found[row.path] == [(row.state == "allocated", row.sha256)], row.path


@pytest.mark.parametrize("kind", WRITERS)
def test_its_checker_finds_nothing_wrong(kind: str, tmp_path: Path) -> None:
    tool, *options = CHECKERS[kind]
    checked = run(program(tool), *options, str(written(WRITERS[kind](plain_plan()), tmp_path)))
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("name", lesson_names())
def test_checkers_find_nothing_wrong_with_the_lessons(name: str, tmp_path: Path) -> None:
    lesson = build_lesson(name)
    tool, *options = CHECKERS[lesson.file_system]
    checked = run(program(tool), *options, str(written(lesson.image, tmp_path)))
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("name", [name for name in lesson_names() if name not in ODD_NAMES])
def test_lessons_are_read_back_by_pytsk3(name: str, tmp_path: Path, read_back: Callable[..., dict]) -> None:
    lesson = build_lesson(name)
    found = read_back(written(lesson.image, tmp_path))
    contents = {names for listed in found.values() for names in listed}
    for row in lesson.rows:
        wanted = (row.state == "allocated", row.sha256)
        assert wanted in (contents if name in NAMELESS else found.get(row.path, [])), row.path


@pytest.mark.parametrize("kind", WRITERS)
def test_fls_and_icat_agree(kind: str, tmp_path: Path) -> None:
    fls, icat = program("fls"), program("icat")
    image = str(written(WRITERS[kind](plain_plan()), tmp_path))
    listed = {}
    for line in run(fls, "-r", "-p", image).stdout.decode().splitlines():
        head, _, path = line.partition("\t")
        listed["/" + path] = head.split()[-1].rstrip(":")
    for row in [row for row in rows_of("p0", plain_plan()) if not row.path.startswith("/crowd/")]:
        content = run(icat, image, listed[row.path].removesuffix("(realloc)")).stdout
        assert hashlib.sha256(content).hexdigest() == row.sha256, row.path


def test_fls_sees_what_was_left_in_an_ntfs_index(tmp_path: Path) -> None:
    lesson = build_lesson("told-apart-ntfs")
    out = run(program("fls"), "-r", "-p", str(written(lesson.image, tmp_path))).stdout.decode()
    lines = {line.partition("\t")[2]: line.partition("\t")[0] for line in out.splitlines()}
    assert "(realloc)" in lines["box/old name.jpg"]
    assert lines["box/old name.jpg"].split()[2].split("-")[0] == lines["box/new name.jpg"].split()[1].split("-")[0]
    assert lines["box/victim.jpg"].startswith("r/- *")
    assert lines["box/gone, name left.jpg"].startswith("r/r *")
    assert lines["box/gone, name gone.jpg"].startswith("-/r *")


def test_ntfs_3g_lists_the_streams_holes_and_links(tmp_path: Path) -> None:
    cat = program("ntfscat")
    plan = [
        PlannedFile("/links/one.bin", b"1" * 9000, links=("/links/two.bin",)),
        PlannedFile("/stream.dll", b"MZ", streams=(("here", b"s" * 9000),)),
        PlannedFile("/holes.bin", bytes(131072) + b"end", holes=((0, 131072),)),
    ]
    image = str(written(build_ntfs(plan, size=4 * MIB), tmp_path))
    assert run(cat, image, "links/two.bin").stdout == b"1" * 9000
    assert run(cat, "--attribute-name", "here", image, "stream.dll").stdout == b"s" * 9000
    assert run(cat, image, "holes.bin").stdout == bytes(131072) + b"end"


def test_isoinfo_reads_a_file_of_the_cd(tmp_path: Path) -> None:
    lesson = build_lesson("every-file-iso9660")
    image = str(written(lesson.image, tmp_path))
    for row in lesson.rows[:5]:
        name = row.path if "." in row.path else row.path + "."
        content = run(program("isoinfo"), "-i", image, "-x", name + ";1").stdout
        assert hashlib.sha256(content).hexdigest() == row.sha256, row.path


def test_an_ntfs_volume_is_written_as_a_sparse_file(tmp_path: Path) -> None:
    plan = [PlannedFile(f"/a/{n}.txt", b"%d" % n * 900, deleted=n % 3 == 0) for n in range(40)]
    write_ntfs(tmp_path / "sparse.dd", plan, size=64 * MIB)
    assert (tmp_path / "sparse.dd").read_bytes() == build_ntfs(plan, size=64 * MIB)
    assert (tmp_path / "sparse.dd").stat().st_blocks * 512 < 8 * MIB
    with pytest.raises(FileExistsError):
        write_ntfs(tmp_path / "sparse.dd", plan, size=64 * MIB)
    with pytest.raises(ValueError, match="whole clusters"):
        write_ntfs(tmp_path / "other.dd", plan, size=64 * MIB + 1)


def test_ten_thousand_files_on_ntfs_in_seconds(tmp_path: Path, read_back: Callable[..., dict]) -> None:
    plan = crowd(10_000)
    started = time.process_time()
    image = build_ntfs(plan, size=64 * MIB)
    assert time.process_time() - started < 20
    found = read_back(written(image, tmp_path))
    assert len([path for path in found if path.startswith("/crowd/")]) == 10_000
    last = rows_of("p0", plan)[-1]
    assert found[last.path] == [(True, last.sha256)]


def test_one_ntfs_folder_of_three_thousand_names_needs_a_tree_and_is_read_whole(
    tmp_path: Path, read_back: Callable[..., dict]
) -> None:
    plan = crowd(3000, size=10, folder_size=3000)
    image = written(build_ntfs(plan, size=16 * MIB), tmp_path)
    assert {path for path in read_back(image) if path.startswith("/crowd/")} == {item.path for item in plan}
    listed = run(program("ntfsls"), "-p", "/crowd/folder 0000", str(image)).stdout.decode().split("\n")
    assert len([line for line in listed if line.startswith("file ")]) == 3000


LETTERS = st.characters(codec="utf-8", exclude_characters='/\0\\:*?"<>|.', exclude_categories=("Cc", "Cs"))
NAMES = st.text(LETTERS, min_size=1, max_size=40)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    files=st.dictionaries(NAMES, st.tuples(st.integers(0, 30_000), st.booleans(), st.integers(1, 4)), max_size=12),
    kind=st.sampled_from(["ntfs", "ext2", "exfat"]),
)
def test_any_names_and_sizes_are_read_back(
    files: dict[str, tuple[int, bool, int]], kind: str, tmp_path: Path, read_back: Callable[..., dict]
) -> None:
    plan: list[Planned] = []
    for number, (name, (size, deleted, pieces)) in enumerate(files.items()):
        content = random.Random(number).randbytes(size)
        path = f"/d/n{number}{name.strip()}"
        plan.append(PlannedFile(path, content, deleted=deleted, pieces=1 if deleted else pieces))
    found = read_back(written(WRITERS[kind](plan), tmp_path))
    for item in plan:
        assert isinstance(item, PlannedFile)
        if not item.deleted:
            assert (True, hashlib.sha256(item.content).hexdigest()) in found.get(item.path, []), item.path
