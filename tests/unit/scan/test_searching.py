"""Free space is searched beside the examination of named files: nothing waits for it but what it finds."""

from __future__ import annotations

import threading
import time

import pytest
from support.carvables import carvables, noise

from caid_triage.evidence.carve.huffman import STOPPED, Follower
from caid_triage.evidence.carve.search import Search
from caid_triage.evidence.source import open_source
from caid_triage.model import FileEntry, Problem, Searching, State
from caid_triage.scan.locked import LockedSource
from caid_triage.synth.mbr import Partition, build_mbr
from caid_triage.synth.ntfs import build_ntfs
from caid_triage.synth.plan import PlannedFile
from caid_triage.synth.sample_pictures import picture

HIDDEN = {name: data for name, data in carvables().items() if name in ("discs.png", "sound.ogg", "town.jpg")}


@pytest.fixture
def disk(tmp_path):
    """One named file in a volume, and pictures behind it in no partition."""
    volume = build_ntfs([PlannedFile("/seen.jpg", picture("coast.jpg"))], size=4 << 20)
    behind = b"".join(
        noise(number, 2048) + data + bytes(-len(data) % 512) for number, data in enumerate(HIDDEN.values())
    )
    image = build_mbr([Partition(7, volume)]) + behind
    path = tmp_path / "disk.dd"
    path.write_bytes(image)
    return path


def opened(path, carving="fast"):
    return open_source(path, "E", "s", carving=carving)


def counted(path, carving="fast"):
    """The source after the pass that counts named files: from then on it is known where slack is."""
    source = opened(path, carving)
    for _ in source.walk(named_only=True):
        pass
    return source


def test_named_files_are_given_out_while_free_space_is_searched_and_all_is_as_in_a_plain_walk(
    disk, monkeypatch
) -> None:
    plain = [item for item in opened(disk).walk() if isinstance(item, FileEntry | Problem)]
    assert sum(isinstance(item, FileEntry) and item.state is State.CARVED for item in plain) == len(HIDDEN)
    may_go_on, run = threading.Event(), Search.run
    monkeypatch.setattr(Search, "run", lambda *given: may_go_on.wait(30) and run(*given))
    locked = LockedSource(counted(disk))
    items = []
    with locked.searching():
        for item in locked.walk():
            items.append(item)
            if isinstance(item, Searching):
                may_go_on.set()
    assert [item for item in items if not isinstance(item, Searching)] == plain
    told = [item for item in items if isinstance(item, Searching)]
    first = items.index(told[0])
    assert any(isinstance(item, FileEntry) and item.path == "/seen.jpg" for item in items[:first])
    assert told[0].files is None
    assert told[0].searched == 0
    assert [one.files for one in told if one.files is not None] == [len(HIDDEN)]
    assert told[-1].size == sum(map(len, HIDDEN.values()))
    assert told[-1].searched == told[-1].total > 0


def test_named_files_alone_are_counted_without_a_search(disk, monkeypatch) -> None:
    monkeypatch.setattr(Search, "run", lambda *_: pytest.fail("free space was searched"))
    entries = [item for item in opened(disk).walk(named_only=True) if isinstance(item, FileEntry)]
    assert entries
    assert {entry.state for entry in entries}.isdisjoint({State.CARVED})


def test_an_error_of_ours_in_the_search_ends_the_walk(disk, monkeypatch) -> None:
    def failing(*_given):
        raise ZeroDivisionError("a bug of ours")

    monkeypatch.setattr(Search, "run", failing)
    locked = LockedSource(counted(disk))
    with locked.searching(), pytest.raises(ZeroDivisionError):
        for _ in locked.walk():
            pass


def test_a_scan_that_is_stopped_does_not_wait_for_the_end_of_the_search(disk, monkeypatch) -> None:
    run = Search.run

    def endless(search, areas):
        while True:
            run(search, areas)
            search.space._blocks.clear()  # so that it reads again

    monkeypatch.setattr(Search, "run", endless)
    locked = LockedSource(counted(disk))
    threads = threading.active_count()
    began = time.monotonic()
    with locked.searching():
        next(locked.walk())
    assert threading.active_count() == threads
    assert time.monotonic() - began < 20


def test_every_read_of_the_search_takes_its_turn(disk) -> None:
    source = counted(disk)
    locked = LockedSource(source)
    locked._lock.acquire()
    with locked.searching():
        time.sleep(0.3)
        assert source.progress().total == 0  # not even where free space is was read
        locked._lock.release()
        items = list(locked.walk())
    assert sum(isinstance(item, FileEntry) and item.state is State.CARVED for item in items) == len(HIDDEN)


def test_before_any_walk_nothing_is_searched_beside(disk) -> None:
    """Nobody knows yet where slack is; the walk then searches by itself."""
    source = opened(disk)
    assert source.search_beside(threading.Lock()) is None
    assert sum(isinstance(item, FileEntry) and item.state is State.CARVED for item in source.walk()) == len(HIDDEN)


def test_a_search_that_reads_nothing_new_is_stopped_as_well(disk, monkeypatch) -> None:
    """What it needs is in memory, and a picture's codes can be followed for minutes without a read."""
    run, follow = Search.run, Follower.follow

    def endless(search, areas):
        run(search, areas)
        while True:
            search.space.read(0, 16)

    def runs_on(follower, data, position, stop, trace=None):
        follow(follower, data, position, stop, trace)
        return STOPPED, position

    for name, put in ((Search, ("run", endless)), (Follower, ("follow", runs_on))):
        with monkeypatch.context() as patched:
            patched.setattr(name, *put)
            locked = LockedSource(counted(disk, "thorough"))
            threads = threading.active_count()
            with locked.searching():
                time.sleep(0.5)
                began = time.monotonic()
            assert threading.active_count() == threads
            assert time.monotonic() - began < 10
