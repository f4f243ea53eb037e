"""The lessons that cost other tools evidence: every file of each made image is found, with its bytes and its state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from caid_triage.model import Severity
from caid_triage.synth.lessons import build_lesson, lesson_names


@pytest.mark.parametrize("name", lesson_names())
def test_every_file_of_a_lesson_is_found_once(
    name: str, opened: Callable[..., Any], walked: Callable[..., Any], sha256_of: Callable[..., str]
) -> None:
    lesson = build_lesson(name)
    source = opened(lesson.image)
    entries, problems = walked(source)
    assert problems == []
    assert source.problems() == ()
    assert [volume.status for volume in source.volumes()] == ["examined"]
    found = Counter(
        (entry.path, entry.state.value, entry.size, sha256_of(source, entry)) for entry in entries if entry.readable
    )
    expected = Counter((row.path, row.state, row.size, row.sha256) for row in lesson.rows)
    assert expected <= found
    extra = [path for path, *_ in (found - expected).elements()]
    assert [path for path in extra if not path.startswith("/$") and "Volume Label Entry" not in path] == []


def test_a_renamed_a_linked_and_a_taken_over_record_are_told_apart(
    opened: Callable[..., Any], walked: Callable[..., Any], sha256_of: Callable[..., str]
) -> None:
    source = opened(build_lesson("told-apart-ntfs").image)
    entries = {entry.path: entry for entry in walked(source)[0]}
    for path, code in (("/box/old name.jpg", "former-name"), ("/box/victim.jpg", "reallocated")):
        entry = entries[path]
        assert (entry.state.value, entry.size, entry.readable) == ("deleted", None, False)
        assert [(problem.code, problem.severity) for problem in entry.problems] == [(code, Severity.NOTE)]
    assert entries["/box/old name.jpg"].inode == entries["/box/new name.jpg"].inode
    assert entries["/box/victim.jpg"].inode == entries["/box/taker.jpg"].inode
    first, second = entries["/box/linked.jpg"], entries["/other/same file.jpg"]
    assert first.inode == second.inode
    assert sha256_of(source, first) == sha256_of(source, second)
    stream = entries["/other/stream.dll:here"]
    assert (stream.stream, stream.raw_path, stream.parent_path) == ("here", b"/other/stream.dll:here", "/other")


def test_the_map_of_bad_clusters_is_named_and_not_read(opened: Callable[..., Any], walked: Callable[..., Any]) -> None:
    entries = {entry.path: entry for entry in walked(opened(build_lesson("deleted-ntfs").image))[0]}
    entry = entries["/$BadClus:$Bad"]
    assert entry.readable is False
    assert [(p.code, p.severity) for p in entry.problems] == [("pseudo-stream", Severity.NOTE)]


def test_the_first_physical_offset_is_where_the_bytes_lie(
    opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    for name in ("fragmented-ntfs", "fragmented-fat32", "fragmented-exfat", "fragmented-ext2"):
        lesson = build_lesson(name)
        source = opened(lesson.image)
        for entry in walked(source)[0]:
            if entry.path in {row.path for row in lesson.rows} and entry.physical_offset is not None:
                head = next(source.chunks(entry))[:512]
                at = entry.physical_offset
                assert bytes(lesson.image[at : at + len(head)]) == head, (name, entry.path)


def test_a_resident_file_has_no_physical_offset(opened: Callable[..., Any], walked: Callable[..., Any]) -> None:
    entries = {entry.path: entry for entry in walked(opened(build_lesson("every-file-ntfs").image))[0]}
    assert entries["/resident.txt"].physical_offset is None
    assert entries["/exactly a cluster.bin"].physical_offset is not None


def test_fat_times_do_not_depend_on_the_zone_of_this_machine(
    opened: Callable[..., Any], walked: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    if not hasattr(time, "tzset"):
        pytest.skip("the zone cannot be changed on this system")
    seen = []
    for zone in ("UTC", "America/New_York", "Asia/Kolkata"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        entry = next(e for e in walked(opened(build_lesson("deleted-fat32").image))[0] if e.path == "/here.jpg")
        seen.append((entry.times.modified, entry.times.zone_note))
    monkeypatch.undo()
    time.tzset()
    assert len(set(seen)) == 1
    assert seen[0][0] is not None
    assert seen[0][0].isoformat() == "2019-06-01T12:00:00+00:00"
    assert seen[0][1] == "local time, zone unknown"


@pytest.mark.parametrize("name", ["deleted-ntfs", "deleted-ext2"])
def test_times_of_file_systems_that_keep_utc_are_utc(
    name: str, opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    entry = next(e for e in walked(opened(build_lesson(name).image))[0] if e.path == "/here.jpg")
    assert entry.times.modified is not None
    assert entry.times.modified.isoformat() == "2019-06-01T12:00:00+00:00"
    assert entry.times.zone_note == ""


def test_a_walk_is_the_same_every_time(opened: Callable[..., Any], walked: Callable[..., Any]) -> None:
    image = build_lesson("told-apart-ntfs").image
    assert walked(opened(image)) == walked(opened(image))
