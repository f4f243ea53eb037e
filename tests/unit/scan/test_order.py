"""The order of a quick scan: its rules one by one, and the fast way against the plain one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caid_triage.hashset.build import build_hashset_from_arrays
from caid_triage.hashset.store import open_hashset
from caid_triage.model import FileEntry, FileTimes, State
from caid_triage.scan.order import (
    Facts,
    ListedSizes,
    Standing,
    Turn,
    is_media_name,
    listed_sizes,
    naive_order,
    standing_of,
    turn_of,
)

SIZES = ListedSizes(np.array([10, 500, 1 << 40], dtype=np.int64), 3, 0)
NONE = ListedSizes(np.zeros(0, dtype=np.int64), 0, 0)
DAY = datetime(2024, 5, 1, tzinfo=UTC)


def entry(number: int, path: str, size: int | None = 1, **more: object) -> FileEntry:
    fields = {"times": FileTimes(), "physical_offset": None, "readable": True, **more}
    return FileEntry("E", "s", "p1", number, path, path.encode(), State.ALLOCATED, size, **fields)  # type: ignore[arg-type]


def order_of(entries: list[FileEntry], sizes: ListedSizes = SIZES) -> list[int]:
    facts = Facts()
    for one in entries:
        facts.add(one)
    return [int(row) for _, rows in facts.ordered(sizes) for row in rows]


@pytest.mark.parametrize(
    ("path", "media"),
    [
        ("/a/b.jpg", True), ("/a/B.JPEG", True), ("/a/film.Mp4", True), ("/a/b.heic", True), ("/a/b.txt", False),
        ("/a/jpg", False), ("/a.jpg/b", False), ("/a/.jpg", True), ("/a/b.jpg.exe", False), ("/a/b.txt:c.png", True),
        ("/a/b.jpg:Zone.Identifier", False), ("", False), ("/a/b.", False),
    ],
)  # fmt: skip
def test_names_of_media(path: str, media: bool) -> None:
    assert is_media_name(path) is media


@pytest.mark.parametrize(
    ("folder", "standing"),
    [
        ("/Users/ada/Pictures", Standing.USERS), ("/DCIM/100APPLE", Standing.USERS), ("/x/Downloads", Standing.USERS),
        ("/home/ada/.cache/mozilla/firefox", Standing.USERS), ("/data/data/com.whatsapp/files", Standing.USERS),
        ("/Users/ada/OneDrive", Standing.USERS), ("/$Recycle.Bin/S-1-5", Standing.USERS), ("/", Standing.OTHER),
        ("/stuff", Standing.OTHER), ("/Users/ada/AppData/Roaming/x", Standing.OTHER),
        ("/Windows/System32", Standing.SYSTEM), ("/Program Files/x", Standing.SYSTEM), ("/usr/share", Standing.SYSTEM),
    ],
)  # fmt: skip
def test_whose_place_a_folder_is(folder: str, standing: Standing) -> None:
    assert standing_of(folder) is standing


@pytest.mark.parametrize(
    ("listed", "media", "standing", "turn"),
    [
        (True, True, Standing.SYSTEM, Turn.LISTED_MEDIA), (True, False, Standing.USERS, Turn.LISTED),
        (False, True, Standing.USERS, Turn.MEDIA_OF_USERS), (False, True, Standing.OTHER, Turn.MEDIA),
        (False, True, Standing.SYSTEM, Turn.MEDIA), (False, False, Standing.USERS, Turn.REST),
    ],
)  # fmt: skip
def test_turns(listed: bool, media: bool, standing: Standing, turn: Turn) -> None:
    assert turn_of(listed=listed, media=media, standing=standing) is turn


def test_what_is_likely_comes_first() -> None:
    paths = [
        ("/Windows/a.txt", 7), ("/Windows/a.png", 7), ("/stuff/a.jpg", 7), ("/Users/ada/Pictures/a.jpg", 7),
        ("/Windows/renamed.dll", 500), ("/Windows/a.jpg", 10), ("/Users/ada/Documents/a.txt", 7),
    ]  # fmt: skip
    entries = [entry(number, path, size) for number, (path, size) in enumerate(paths)]
    assert order_of(entries) == [5, 4, 3, 2, 1, 6, 0]
    assert order_of(entries, NONE) == [3, 2, 1, 5, 6, 0, 4]  # of one standing and no time: as the walk goes


def test_the_newest_eighth_comes_first_and_lies_by_place() -> None:
    """A file dated 2107, as FAT can, makes no other one old."""
    entries = [
        entry(
            number,
            f"/stuff/{number}.jpg",
            times=FileTimes(modified=DAY + timedelta(days=number)),
            physical_offset=(1000 - number) << 12,
        )
        for number in range(16)
    ]
    entries[0] = entry(0, "/stuff/0.jpg", times=FileTimes(created=datetime(2107, 12, 31, tzinfo=UTC)))
    expected = [0, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]
    assert order_of(entries) == expected
    near = [entry(n, f"/stuff/{n}.jpg", physical_offset=offset) for n, offset in enumerate((9 << 12, 5, 7, 2 << 12))]
    assert order_of(near) == [0, 1, 2, 3]  # fewer than eight: each its own part of newness, as the walk goes


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(("/Users/a/x", "/Windows/y", "/z", "/DCIM/1", "")),
            st.sampled_from((".jpg", ".txt", ".MP4", "")),
            st.sampled_from((None, 0, 1, 10, 500, 1 << 40, 1 << 70)),
            st.booleans(),
            st.none() | st.integers(0, 40),
            st.sampled_from((None, -5, 0, 4096, 1 << 20, 1 << 40, 1 << 61)),
        ),
        max_size=60,
    ),
    st.sampled_from((SIZES, NONE)),
)
def test_the_fast_order_is_the_plain_one(rows: list[tuple[object, ...]], sizes: ListedSizes) -> None:
    entries = []
    for number, (folder, ending, size, readable, day, offset) in enumerate(rows):
        times = FileTimes() if day is None else FileTimes(modified=DAY + timedelta(days=int(str(day))))
        entries.append(
            entry(
                number, f"{folder}/{number}{ending}", size, times=times, physical_offset=offset, readable=readable  # type: ignore[arg-type]
            )
        )  # fmt: skip
    found = order_of(entries, sizes)
    assert sorted(found) == list(range(len(entries)))  # each once, whatever the order
    assert found == naive_order([_plain(one) for one in entries], sizes)


def _plain(one: FileEntry) -> FileEntry:
    """As the fast way sees it: a place that cannot be one is none."""
    offset = one.physical_offset
    fit = offset is not None and 0 <= offset < 1 << 62
    return entry(
        one.number, one.path, one.size, times=one.times, physical_offset=offset if fit else None, readable=one.readable
    )


def test_sizes_of_notable_sets_alone_and_how_many_are_missing(tmp_path) -> None:
    def made(name: str, sizes: list[int], hidden: list[bool], role: str):
        digests = np.frombuffer(name[:1].encode() * 16 * len(sizes), dtype=np.uint8).reshape(-1, 16).copy()
        digests[:, 0] = np.arange(len(sizes))
        masked = np.ma.MaskedArray(np.array(sizes, dtype=np.int64), mask=hidden)
        result = build_hashset_from_arrays(tmp_path / f"{name}.chs", md5=digests, size=masked, role=role)
        return open_hashset(result.path)

    whole = made("whole", [5, 900, 5], [False] * 3, "notable")
    holed = made("holed", [0, 7, 3], [False, True, False], "notable")
    good = made("good", [11, 12], [False, False], "known-good")
    assert whole.manifest["sizes"] == {"stated": 3, "missing": 0}
    assert holed.manifest["sizes"] == {"stated": 1, "missing": 2}
    found = listed_sizes([whole, good])
    assert (found.values.tolist(), found.records, found.missing, found.whole) == ([5, 900], 3, 0, True)
    both = listed_sizes([whole, holed, good])
    assert (both.values.tolist(), both.records, both.missing, both.whole) == ([3, 5, 900], 6, 2, False)
    assert not listed_sizes([good]).whole  # of nothing, nothing can be ruled out
    for size in (None, 0, -5, 3, 4, 5, 900, 901, 1 << 63, 1 << 90):
        assert both.has(size) is (size in (3, 5, 900))
