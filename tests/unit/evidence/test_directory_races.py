"""A folder that somebody changes while it is read: nothing outside of it is read, nothing hangs, all of it is said."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from caid_triage.errors import EvidenceError
from caid_triage.evidence.below import RELATIVE
from caid_triage.evidence.source import open_source
from caid_triage.model import Digests, FileEntry, Problem, Severity

DIGESTS = Digests(bytes(16), bytes(20), bytes(32))
SECRET = b"not of this exhibit"

pytestmark = pytest.mark.skipif(not RELATIVE, reason="this system cannot open relative to a folder")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """a.jpg, b/c/d.jpg, e.jpg; beside it a folder that looks the same, to the second, and is not of the exhibit."""
    for top, content in (("exhibit", b"drawn"), ("outside", SECRET)):
        (tmp_path / top / "b" / "c").mkdir(parents=True)
        for name in ("a.jpg", "b/c/d.jpg", "e.jpg"):
            (tmp_path / top / name).write_bytes(content)
            os.utime(tmp_path / top / name, ns=(1_600_000_000_000_000_000,) * 2)
    return tmp_path / "exhibit"


def swap(folder: Path, name: str, target: Path) -> None:
    (folder / name).rename(folder.parent / "moved away")
    (folder / name).symlink_to(target)


@pytest.mark.parametrize("part", ["b", "b/c", "b/c/d.jpg"])
def test_a_part_of_the_way_swapped_for_a_link_before_reading_is_not_followed(
    folder: Path, walked: Callable[..., Any], part: str
) -> None:
    source = open_source(folder, "E", "S")
    entry = next(entry for entry in walked(source)[0] if entry.path == "/b/c/d.jpg")
    swap(folder, part, folder.parent / "outside" / part)
    for read in (lambda: list(source.chunks(entry)), lambda: source.read_at(entry, 0, 1)):
        with pytest.raises(EvidenceError) as caught:
            read()
        assert (caught.value.step, caught.value.code) == ("read", "file-unreadable")
    assert source.beside(entry, "d.jpg") is None
    assert [problem.code for problem in source.disagreements(entry, DIGESTS)] == ["file-altered"]


@pytest.mark.parametrize("part", ["b", "b/c"])
def test_a_folder_swapped_for_a_link_during_the_walk_is_not_listed(folder: Path, part: str) -> None:
    walk = open_source(folder, "E", "S").walk()
    found = [next(walk)]
    (folder.parent / "outside" / "b" / "c" / "private.jpg").write_bytes(SECRET)
    swap(folder, part, folder.parent / "outside" / part)
    found += walk
    assert [item.path for item in found if isinstance(item, FileEntry)] == ["/a.jpg", "/e.jpg"]
    problems = [item for item in found if isinstance(item, Problem)]
    assert [(problem.code, problem.path) for problem in problems] in (
        [("folder-unreadable", f"/{part}")], [("link-not-followed", f"/{part}")],
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["pipe", "folder", "link"])
def test_a_file_that_is_something_else_when_its_turn_comes_is_a_row_and_nothing_hangs(folder: Path, kind: str) -> None:
    source = open_source(folder, "E", "S")
    walk = source.walk()
    assert next(walk).path == "/a.jpg"
    (folder / "e.jpg").unlink()
    if kind == "pipe":
        os.mkfifo(folder / "e.jpg")
    elif kind == "folder":
        (folder / "e.jpg").mkdir()
    else:
        (folder / "e.jpg").symlink_to("/etc/passwd")
    _, entry = walk
    assert isinstance(entry, FileEntry)
    assert (entry.path, entry.readable, entry.size) == ("/e.jpg", False, None)
    assert [(problem.code, problem.severity) for problem in entry.problems] == [("file-changed", Severity.PROBLEM)]


@pytest.mark.parametrize("kind", ["pipe", "folder", "link"])
def test_a_file_that_is_something_else_when_it_is_read_is_refused_and_nothing_hangs(
    folder: Path, walked: Callable[..., Any], kind: str
) -> None:
    source = open_source(folder, "E", "S")
    entry = walked(source)[0][-1]
    (folder / "e.jpg").unlink()
    if kind == "pipe":
        os.mkfifo(folder / "e.jpg")
    elif kind == "folder":
        (folder / "e.jpg").mkdir()
    else:
        (folder / "e.jpg").symlink_to(folder.parent / "outside" / "e.jpg")
    with pytest.raises(EvidenceError) as caught:
        list(source.chunks(entry))
    assert caught.value.code == ("file-unreadable" if kind == "link" else "file-changed")


@pytest.mark.parametrize(
    ("change", "codes"),
    [(None, []), (b"drawn, and more", ["file-altered"]), (b"other", ["file-altered"]), (b"", ["file-altered"])],
)
def test_what_was_written_to_after_it_was_listed_is_said(
    folder: Path, walked: Callable[..., Any], change: bytes | None, codes: list[str]
) -> None:
    source = open_source(folder, "E", "S")
    entry = walked(source)[0][0]
    if change is not None:
        (folder / "a.jpg").write_bytes(change)
    found = source.disagreements(entry, DIGESTS)
    assert [(problem.code, problem.step, problem.path) for problem in found] == [(c, "read", "/a.jpg") for c in codes]


@pytest.mark.skipif(not Path("/proc/sys/kernel/random/boot_id").exists(), reason="no files without a size here")
def test_a_file_that_says_it_is_empty_and_is_not_is_told_from_an_empty_one(walked: Callable[..., Any]) -> None:
    source = open_source(Path("/proc/sys/kernel/random"), "E", "S")
    entry = next(entry for entry in walked(source)[0] if entry.path == "/boot_id")
    assert (entry.size, list(source.chunks(entry))) == (0, [])
    (problem,) = source.disagreements(entry, DIGESTS)
    assert (problem.code, problem.severity) == ("file-altered", Severity.PROBLEM)
    assert "more than the 0 bytes" in problem.detail


def test_a_hard_link_is_a_file_like_any_other(folder: Path, walked: Callable[..., Any]) -> None:
    (folder / "z.jpg").hardlink_to(folder / "a.jpg")
    source = open_source(folder, "E", "S")
    entries, problems = walked(source)
    assert [b"".join(source.chunks(entry)) for entry in entries] == [b"drawn"] * 4
    assert entries[0].inode == entries[-1].inode
    assert problems == []


def test_a_mounted_file_system_is_walked_and_noted(
    folder: Path, walked: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only root can mount: here the folder itself is said to lie on another one."""
    source: Any = open_source(folder, "E", "S")
    monkeypatch.setattr(source, "_device", -1)
    entries, problems = walked(source)
    assert [(p.code, p.severity, p.path) for p in problems] == [
        ("mount-crossed", Severity.NOTE, path) for path in ("/", "/b", "/b/c")
    ]
    assert len(entries) == 3


def test_a_tree_deeper_than_a_path_may_be_long_is_read(tmp_path: Path, walked: Callable[..., Any]) -> None:
    here = tmp_path / "exhibit"
    here.mkdir()
    handle = os.open(here, os.O_RDONLY)
    name = "d" * 200
    for _ in range(30):  # 6,000 bytes; PATH_MAX is 4,096 on Linux and 1,024 on macOS
        os.mkdir(name, dir_fd=handle)
        inner = os.open(name, os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = inner
    file = os.open("deep.jpg", os.O_WRONLY | os.O_CREAT, dir_fd=handle)
    os.write(file, b"drawn")
    os.close(file)
    os.close(handle)
    source = open_source(here, "E", "S")
    (entry,), problems = walked(source)
    assert entry.path.endswith("/deep.jpg")
    assert len(entry.raw_path) > 6000
    assert b"".join(source.chunks(entry)) == b"drawn"
    assert source.disagreements(entry, DIGESTS) == ()
    assert problems == []


@pytest.mark.skipif(sys.platform != "linux", reason="counts the open files as Linux lists them")
def test_nothing_stays_open(folder: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    source = open_source(folder, "E", "S")
    for item in source.walk():
        if isinstance(item, FileEntry):
            list(source.chunks(item))
            source.disagreements(item, DIGESTS)
    walk = source.walk()
    next(walk)
    walk.close()
    (folder / "b").rename(folder / "x")
    list(source.walk())
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
