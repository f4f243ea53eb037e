"""Entries that wait for their turn: they come back as they were, each once, and leave no file behind."""

from __future__ import annotations

import errno
import io
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from caid_triage.errors import CaseError
from caid_triage.evidence.source import open_source
from caid_triage.model import FileEntry, FileTimes, Problem, State
from caid_triage.scan.evidence_words import Owner
from caid_triage.scan.order import Facts, ListedSizes
from caid_triage.scan.results import Listed, Skipped, Walked
from caid_triage.scan.stopping import Extent
from caid_triage.scan.waiting import Waiting, in_order
from caid_triage.synth.ntfs import build_ntfs
from caid_triage.synth.plan import PlannedFile

OWNER = Owner("E", "s")
SIZES = ListedSizes(np.array([4], dtype=np.int64), 1, 0)
WHEN = datetime(2021, 2, 3, 4, 5, 6, 789, tzinfo=UTC)


def entry(number: int, path: str = "/a/b.jpg", size: int | None = 9) -> FileEntry:
    return FileEntry("E", "s", "p1", number, path, path.encode(), State.ALLOCATED, size)


def odd_entries() -> list[FileEntry]:
    problem = Problem("walk", "metadata-unreadable", "its record \N{SNOWMAN} was not read", exhibit="E", source="s")
    return [
        entry(0),
        replace(entry(1, "/a/\N{SNOWMAN}.jpg"), raw_path=b"/a/\xff\xfe\x00.jpg", locator=(0, 1 << 70, 128, 5)),
        replace(entry(2), size=None, readable=False, problems=(problem,), state=State.DELETED),
        replace(entry(3), times=FileTimes(WHEN, None, WHEN, None, "local time, zone unknown"), stream="here", inode=-1),
        replace(entry(4), size=1 << 70, physical_offset=1 << 66),
    ]


def test_entries_come_back_as_they_were(tmp_path) -> None:
    waiting = Waiting(tmp_path, OWNER)
    entries = odd_entries() + [entry(number) for number in range(5, 20_000)]
    for one in entries[:100]:
        waiting.add(one)
    assert waiting.entry(99) == entries[99]  # while more are still to come
    for one in entries[100:]:
        waiting.add(one)
    rows = list(range(len(entries)))
    random.Random(1).shuffle(rows)
    assert all(waiting.entry(row) == entries[row] for row in rows)
    assert not list(tmp_path.iterdir())  # it has no name
    waiting.close()


def test_the_entries_of_a_real_volume_come_back_as_they_were(tmp_path) -> None:
    plan = [
        PlannedFile("/a/one.jpg", b"1" * 5000, streams=(("more", b"2" * 900),)),
        PlannedFile("/a/gone.jpg", b"3" * 5000, deleted=True, name_left=True),
        PlannedFile("/a/kept.txt", b"4", links=("/b/other.txt",)),
    ]
    image = tmp_path / "disk.dd"
    image.write_bytes(build_ntfs(plan, size=8 << 20))
    source = open_source(image, "E", "s")
    entries = [item for item in source.walk() if isinstance(item, FileEntry)]
    source.close()
    assert len(entries) > 10
    waiting = Waiting(tmp_path, OWNER)
    for one in entries:
        waiting.add(one)
    assert [waiting.entry(row) for row in range(len(entries))] == entries
    waiting.close()


def test_a_case_folder_that_is_gone_is_an_error_of_the_case(tmp_path) -> None:
    with pytest.raises(CaseError):
        Waiting(tmp_path / "nowhere", OWNER)


class Full(io.BytesIO):
    """A file on a disk without any space left."""

    def write(self, _data: object) -> int:
        raise OSError(errno.ENOSPC, "no space left on device")


def test_a_full_disk_is_an_error_of_the_case(tmp_path) -> None:
    waiting = Waiting(tmp_path, OWNER)
    waiting._file.close()
    waiting._file = Full()  # type: ignore[assignment]
    waiting.add(entry(0))
    with pytest.raises(CaseError, match="no space is left"):
        waiting.entry(0)


def given(walk: list[Walked], folder: Path, extent: Extent) -> Iterator[Walked]:
    return in_order(iter(walk), OWNER, SIZES, folder, extent)


def test_each_item_comes_once_and_what_is_rare_at_once(tmp_path) -> None:
    problem = Problem("walk", "folder-unreadable", "x")
    walk: list[Walked] = [
        entry(0, "/w/a.txt"), problem, entry(1, "/w/b.jpg"), Skipped(entry(2)), entry(3, "/w/c.dat", 4), entry(4),
    ]  # fmt: skip
    extent = Extent()
    found = list(given(walk, tmp_path, extent))
    assert [item for item in found if not isinstance(item, Listed)] == [
        problem, Skipped(entry(2)), entry(3, "/w/c.dat", 4), entry(1, "/w/b.jpg"), entry(4), entry(0, "/w/a.txt"),
    ]  # fmt: skip
    assert (extent.files, extent.size, extent.by_size, extent.by_size_given, extent.whole) == (5, 40, 1, 1, True)


def test_what_is_not_rare_waits_to_be_put_in_order(tmp_path) -> None:
    """Else a set that lists every size would have the disk examined as it is walked."""
    walk: list[Walked] = [entry(number, f"/Windows/{number}.jpg", 4) for number in range(1000)]
    walk.append(entry(1000, "/Users/ada/Pictures/last.jpg", 4))
    numbers = [item.number for item in given(walk, tmp_path, Extent()) if isinstance(item, FileEntry)]
    assert sorted(numbers) == list(range(1001))
    place = numbers.index(1000)
    assert 64 <= place <= 64 + 1000 // 50 + 1


def test_only_counting_gives_no_file_any_more(tmp_path) -> None:
    extent = Extent()
    items = given([entry(n, size=4 if n < 3 else 9) for n in range(9000)] + [Skipped(entry(9000))], tmp_path, extent)
    first = next(items)
    assert isinstance(first, FileEntry)
    extent.only_count = True
    rest = [item for item in items if not isinstance(item, Listed)]
    assert rest == [Skipped(entry(9000))]  # what is stored passes by, to be compared
    assert (extent.files, extent.by_size, extent.by_size_given, extent.whole) == (9001, 3, 1, True)


def test_memory_is_bounded_by_an_entry(tmp_path) -> None:
    """33 bytes for each that waits: five million take 165 MB, whatever their paths."""
    waiting, facts = Waiting(tmp_path, OWNER), Facts()
    for number in range(3000):
        one = entry(number, f"/{'long' * 100}/{number}.jpg")
        waiting.add(one)
        facts.add(one)
    arrays = [facts._sizes, facts._times, facts._places, waiting._ends]
    assert sum(array.itemsize for array in arrays) + 1 == 33
    assert [len(array) for array in arrays] == [3000] * 4
    assert len(facts._looks) == 3000
    assert len(waiting._unwritten) < 2 << 20
    waiting.close()
