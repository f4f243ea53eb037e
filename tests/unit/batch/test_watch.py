"""A watched folder: nothing is taken in before it is there whole, everything is once it is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from caid_triage.batch.queue import WatchWords
from caid_triage.batch.watch import Arrival, Watcher, exhibit_of, sources_in


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def names(arrivals: list[Arrival]) -> list[str]:
    return [one.name for one in arrivals]


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_what_still_grows_waits_and_comes_once(tmp_path: Path, clock: Clock) -> None:
    watcher = Watcher(tmp_path, WatchWords(quiet=60), clock)
    image = tmp_path / "a.dd"
    image.write_bytes(b"x")
    assert watcher.arrivals() == []
    clock.now = 59
    assert watcher.arrivals() == []
    image.write_bytes(b"xx")
    clock.now = 61
    assert watcher.arrivals() == []
    clock.now = 120
    assert watcher.arrivals() == []
    clock.now = 121
    assert watcher.arrivals() == [Arrival("a.dd", (image,))]
    clock.now = 500
    assert watcher.arrivals() == []


@pytest.mark.parametrize("change", ["later segment", "file in folder", "time alone"])
def test_all_that_belongs_to_it_must_be_still(tmp_path: Path, clock: Clock, change: str) -> None:
    watcher = Watcher(tmp_path, WatchWords(quiet=10), clock)
    image = tmp_path / "a.E01"
    folder = tmp_path / "seized"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "x.jpg").write_bytes(b"x")
    image.write_bytes(b"1")
    (tmp_path / "a.E02").write_bytes(b"2")
    assert watcher.arrivals() == []
    clock.now = 10
    if change == "later segment":
        (tmp_path / "a.E03").write_bytes(b"3")
    elif change == "file in folder":
        (folder / "deep" / "y.jpg").write_bytes(b"y")
    else:
        os.utime(folder / "deep" / "x.jpg", (1, 1))
        os.utime(tmp_path / "a.E02", ns=(2**62, 2**62))
    moved = {"later segment": ["a.E01"], "file in folder": ["seized"], "time alone": ["a.E01", "seized"]}[change]
    assert names(watcher.arrivals()) == [name for name in ["a.E01", "seized"] if name not in moved]
    clock.now = 20
    assert names(watcher.arrivals()) == moved


def test_a_marker_says_that_it_is_whole_and_nothing_else_does(tmp_path: Path, clock: Clock) -> None:
    watcher = Watcher(tmp_path, WatchWords(marker=".complete"), clock)
    (tmp_path / "a.dd").write_bytes(b"x")
    (tmp_path / "b.dd").write_bytes(b"x")
    (tmp_path / "a.dd.complete").touch()
    assert names(watcher.arrivals()) == ["a.dd"]
    clock.now = 10**6
    assert watcher.arrivals() == []
    (tmp_path / "b.dd.complete").touch()
    assert names(watcher.arrivals()) == ["b.dd"]


def test_what_is_a_source_and_what_is_not(tmp_path: Path) -> None:
    def made(name: str, *files: str) -> Path:
        folder = tmp_path / name
        for file in files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(b"x")
        folder.mkdir(exist_ok=True)
        return folder

    image = made("image", "disk.E01", "disk.E02", "disk.txt", "logs/x.dd")
    assert list(sources_in(image)) == [image / "disk.E01"]
    two = made("two", "a.dd", "b.e01")
    assert list(sources_in(two)) == [two / "a.dd", two / "b.e01"]
    plain = made("plain", "DCIM/1.jpg")
    assert list(sources_in(plain)) == [plain]
    bundle = made("x.sparsebundle", "bands/0")
    assert list(sources_in(bundle)) == [bundle]
    assert list(sources_in(made("empty"))) == []
    assert list(sources_in(image / "disk.txt")) == []
    assert list(sources_in(image / "disk.E01")) == [image / "disk.E01"]


def test_links_hidden_files_and_later_segments_are_no_exhibits(tmp_path: Path, clock: Clock) -> None:
    watcher = Watcher(tmp_path, WatchWords(quiet=1), clock)
    for name in (".hidden.dd", "a.000", "a.001", "list.csv"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "link.dd").symlink_to(tmp_path / "a.000")
    watcher.arrivals()
    clock.now = 5
    assert names(watcher.arrivals()) == ["a.000"]


def test_a_link_in_a_folder_is_no_image(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "ABC-1", tmp_path / "elsewhere.dd"
    folder.mkdir()
    elsewhere.write_bytes(b"x")
    (folder / "a.dd").symlink_to(elsewhere)
    assert list(sources_in(folder)) == [folder]  # a folder with a link in it, which a scan does not follow
    (folder / "b.dd").write_bytes(b"x")
    assert list(sources_in(folder)) == [folder / "b.dd"]


def test_a_folder_that_is_gone_for_a_while_is_told_of_and_looked_at_again(tmp_path: Path, clock: Clock) -> None:
    watched = tmp_path / "watched"
    watcher = Watcher(watched, WatchWords(quiet=1), clock)
    assert watcher.arrivals() == []
    assert "cannot be looked into" in watcher.fault
    watched.mkdir()
    (watched / "a.dd").write_bytes(b"x")
    watcher.arrivals()
    clock.now = 2
    assert names(watcher.arrivals()) == ["a.dd"]
    assert watcher.fault == ""


def test_an_arrival_becomes_an_exhibit_with_the_defaults(tmp_path: Path) -> None:
    cases = tmp_path / "cases"
    made = exhibit_of(Arrival("ABC 1.E01", (tmp_path / "ABC 1.E01",)), cases, {"profile": "full", "priority": 2})
    assert (made.reference, made.case, made.profile, made.priority) == ("ABC 1", cases / "ABC 1", "full", 2)
    made = exhibit_of(Arrival("v1.2", (tmp_path / "v1.2" / "x.dd",)), cases, {})
    assert made.reference == "v1.2"  # of a folder no ending is cut off
    made = exhibit_of(Arrival("a\x07b.dd", (tmp_path / "a\x07b.dd",)), cases, {})
    assert made.reference == "a_b"
