"""A folder as a source: every file once, in order, links left alone, faults recorded and the walk goes on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from caid_triage.errors import EvidenceError
from caid_triage.evidence.source import EvidenceSource, open_source
from caid_triage.model import FileEntry, Severity, State


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "exhibit"
    (root / "b" / "deep").mkdir(parents=True)
    (root / "B").mkdir()
    (root / "a.jpg").write_bytes(b"aaa")
    (root / "b" / "two.png").write_bytes(b"22")
    (root / "b" / "deep" / "three.bin").write_bytes(b"\x00" * 3_000_000)
    (root / "B" / "one").write_bytes(b"")
    return root


def test_files_come_in_byte_order_and_with_their_bytes(
    folder: Path, opened: Callable[..., EvidenceSource], walked: Callable[..., Any]
) -> None:
    source = opened(folder)
    entries, problems = walked(source)
    assert problems == []
    assert [(entry.path, entry.size) for entry in entries] == [
        ("/B/one", 0),
        ("/a.jpg", 3),
        ("/b/deep/three.bin", 3_000_000),
        ("/b/two.png", 2),
    ]
    assert {entry.state for entry in entries} == {State.ALLOCATED}
    pieces = list(source.chunks(entries[2]))
    assert [len(piece) for piece in pieces] == [1 << 20, 1 << 20, 3_000_000 - (2 << 20)]
    assert b"".join(source.chunks(entries[1])) == b"aaa"
    assert source.coverage() == {"files": 4}
    assert (source.info.kind, source.info.size) == ("directory", None)
    assert [volume.name for volume in source.volumes()] == [""]


def test_times_are_those_of_the_system(folder: Path, opened: Callable[..., Any], walked: Callable[..., Any]) -> None:
    os.utime(folder / "a.jpg", ns=(1_500_000_000_123_456_000, 1_600_000_000_654_321_000))
    entry = next(e for e in walked(opened(folder))[0] if e.path == "/a.jpg")
    assert entry.times.modified.isoformat() == "2020-09-13T12:26:40.654321+00:00"
    assert entry.times.accessed.isoformat() == "2017-07-14T02:40:00.123456+00:00"
    assert entry.times.zone_note == ""


def test_links_are_noted_and_never_followed(
    folder: Path, tmp_path: Path, opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "private.jpg").write_bytes(b"not of this exhibit")
    try:
        (folder / "link to folder").symlink_to(outside, target_is_directory=True)
        (folder / "link to file").symlink_to(outside / "private.jpg")
        (folder / "b" / "up").symlink_to(folder, target_is_directory=True)
    except OSError:
        pytest.skip("links cannot be made here")
    entries, problems = walked(opened(folder))
    assert len(entries) == 4
    assert [(p.code, p.severity, p.path) for p in problems] == [
        ("link-not-followed", Severity.NOTE, "/link to file"),
        ("link-not-followed", Severity.NOTE, "/link to folder"),
        ("link-not-followed", Severity.NOTE, "/b/up"),
    ]


def test_a_file_swapped_for_a_link_after_the_walk_is_not_followed(
    folder: Path, tmp_path: Path, opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    source = opened(folder)
    entry = next(e for e in walked(source)[0] if e.path == "/a.jpg")
    (tmp_path / "elsewhere").write_bytes(b"xyz")
    (folder / "a.jpg").unlink()
    try:
        (folder / "a.jpg").symlink_to(tmp_path / "elsewhere")
    except OSError:
        pytest.skip("links cannot be made here")
    with pytest.raises(EvidenceError) as caught:
        list(source.chunks(entry))
    assert caught.value.step == "read"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_a_pipe_is_noted_and_does_not_block(
    folder: Path, opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    os.mkfifo(folder / "pipe")
    entries, problems = walked(opened(folder))
    assert len(entries) == 4
    assert [(p.code, p.severity, p.path) for p in problems] == [("special-files", Severity.NOTE, "/pipe")]


def test_a_name_that_is_not_text_is_read_and_shown_escaped(
    folder: Path, opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    raw = b"caf\xe9\n.jpg"
    try:
        Path(os.fsdecode(os.fsencode(folder) + b"/" + raw)).write_bytes(b"latin")
    except OSError:
        pytest.skip("this file system takes text only")
    source = opened(folder)
    entry = next(e for e in walked(source)[0] if b"caf" in e.raw_path)
    assert entry.path == "/caf\\xe9\\x0a.jpg"
    assert entry.raw_path == b"/" + raw
    assert b"".join(source.chunks(entry)) == b"latin"


def test_a_folder_that_cannot_be_listed_is_a_problem_and_the_rest_is_walked(
    folder: Path, opened: Callable[..., Any], walked: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = opened(folder)
    real = os.scandir

    def refusing(path: str) -> Iterator[os.DirEntry[str]]:
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", refusing)  # the tests may run as root, whom no permission stops
    entries, problems = walked(source)
    assert [entry.path for entry in entries] == ["/B/one", "/a.jpg", "/b/two.png"]
    assert [(p.code, p.severity, p.path) for p in problems] == [("folder-unreadable", Severity.PROBLEM, "/b/deep")]
    assert "Permission denied" in problems[0].detail


def test_a_file_that_vanishes_during_the_walk_is_still_counted(folder: Path, opened: Callable[..., Any]) -> None:
    walk = opened(folder).walk()
    assert next(walk).path == "/B/one"
    (folder / "a.jpg").unlink()
    entry = next(walk)
    assert isinstance(entry, FileEntry)
    assert (entry.path, entry.size, entry.readable) == ("/a.jpg", None, False)
    assert [(p.code, p.severity) for p in entry.problems] == [("file-unreadable", Severity.PROBLEM)]
    assert len(list(walk)) == 2


def test_a_file_that_vanishes_shrinks_or_is_replaced_before_it_is_read(
    folder: Path, opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    source = opened(folder)
    entries = {entry.path: entry for entry in walked(source)[0]}
    (folder / "a.jpg").unlink()
    with pytest.raises(EvidenceError) as caught:
        list(source.chunks(entries["/a.jpg"]))
    assert (caught.value.step, caught.value.code) == ("read", "file-unreadable")
    deep = folder / "b" / "deep" / "three.bin"
    with deep.open("r+b") as file:
        file.truncate(1_500_000)
    got = []
    with pytest.raises(EvidenceError) as caught:
        got.extend(source.chunks(entries["/b/deep/three.bin"]))
    assert caught.value.code == "short-read"
    other = folder / "b" / "new"
    other.write_bytes(b"33")
    other.replace(folder / "b" / "two.png")
    with pytest.raises(EvidenceError) as caught:
        list(source.chunks(entries["/b/two.png"]))
    assert caught.value.code == "file-changed"


def test_what_grew_after_the_walk_is_read_to_its_listed_size(
    folder: Path, opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    source = opened(folder)
    entry = next(e for e in walked(source)[0] if e.path == "/a.jpg")
    with (folder / "a.jpg").open("ab") as file:
        file.write(b"more")
    assert b"".join(source.chunks(entry)) == b"aaa"


def test_a_folder_is_opened_by_a_relative_path_too(
    folder: Path, walked: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    source = open_source(Path("exhibit"), "E", "S")
    monkeypatch.chdir("/")
    assert len(walked(source)[0]) == 4


@pytest.mark.skipif(not hasattr(os, "O_NOATIME"), reason="this system cannot read without an access time")
def test_access_times_of_files_and_folders_stay(
    folder: Path, tmp_path: Path, opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    everything = [folder, *sorted(folder.rglob("*"))]
    for path in everything:  # a read would move an access time older than the change
        os.utime(path, ns=(1_500_000_000_000_000_000, 1_600_000_000_000_000_000))
    before = [(path.stat().st_atime_ns, path.stat().st_mtime_ns) for path in everything]
    (tmp_path / "link").symlink_to(folder, target_is_directory=True)
    for root in (folder, tmp_path / "link"):
        source = opened(root)
        for entry in walked(source)[0]:
            list(source.chunks(entry))
    assert [(path.stat().st_atime_ns, path.stat().st_mtime_ns) for path in everything] == before
