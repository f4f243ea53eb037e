"""When a scan stops early, and what it says of what it has left."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
import pytest

from caid_triage.config import ScanOptions, StopAfter, checked_stops
from caid_triage.errors import UsageError
from caid_triage.model import FileEntry, Problem, Severity, SourceInfo, State
from caid_triage.scan.order import ListedSizes
from caid_triage.scan.results import Listed, Skipped, Walked
from caid_triage.scan.stopping import Extent, Stopping, Tally, left_out, until
from caid_triage.scan.upgrade import is_upgrade

INFO = SourceInfo("ABC/1", "disk.E01", "ewf", 1 << 30)


def entry(number: int) -> FileEntry:
    return FileEntry("E", "s", "", number, f"/{number}", b"/%d" % number, State.ALLOCATED, 10)


@pytest.mark.parametrize(
    ("texts", "after"),
    [
        ((), StopAfter()),
        (("20min",), StopAfter(1200.0)), (("20",), StopAfter(1200.0)), (("90s",), StopAfter(90.0)),
        (("2h",), StopAfter(7200.0)), (("1.5 hours",), StopAfter(5400.0)), (("0.5min",), StopAfter(30.0)),
        (("3hits",), StopAfter(None, 3)), (("1hit",), StopAfter(None, 1)), ((" 12 HITS ",), StopAfter(None, 12)),
        (("20min", "3hits"), StopAfter(1200.0, 3)), (("3hits", "2h", "90s", "1hit"), StopAfter(90.0, 1)),
    ],
)  # fmt: skip
def test_what_stop_after_says(texts: tuple[str, ...], after: StopAfter) -> None:
    assert checked_stops(texts) == after


@pytest.mark.parametrize(
    "text",
    ["", "hits", "0hits", "0", "0.0s", "-3min", "3 days", "3hitses", "1e3s", "2.5hits", "20min3hits", "\u0663hits",
     "9" * 12, "nan", "inf min"],
)  # fmt: skip
def test_what_stop_after_does_not_take(text: str) -> None:
    with pytest.raises(UsageError, match="--stop-after"):
        checked_stops(["3hits", text])


def test_stopping_is_no_option_of_the_result() -> None:
    assert ScanOptions(stop_after=StopAfter(3.0), order="walk").result_options() == ScanOptions().result_options()
    with pytest.raises(UsageError):
        ScanOptions(order="alphabet")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_it_is_due_by_time_or_hits_and_stays_so() -> None:
    clock = Clock()
    stopping = Stopping(StopAfter(60.0, 2), clock)
    assert not stopping.is_due()
    stopping.hits = 2
    assert stopping.is_due()
    assert stopping.reason == "after 2 exact hits"
    stopping.hits = 0
    assert stopping.is_due()
    assert not stopping.is_time_up()
    other = Stopping(StopAfter(60.0), clock)
    clock.now += 59.9
    assert not other.is_due()
    clock.now += 0.2
    assert other.is_due()
    assert other.reason == "after 60 s"
    assert not Stopping(StopAfter(), clock).is_due()


def test_nothing_is_begun_after_the_moment() -> None:
    clock, closed = Clock(), []

    def walk() -> Generator[Walked, None, None]:
        try:
            for number in range(10):
                clock.now += 1
                yield Skipped(entry(number)) if number == 1 else entry(number)
        finally:
            closed.append(True)

    tally, extent = Tally(), Extent(whole=True)
    found = list(until(walk(), Stopping(StopAfter(3.0), clock), tally, extent))
    assert found == [entry(0), Skipped(entry(1)), entry(2)]
    assert (tally.files, tally.cut, closed) == (3, True, [True])
    tally = Tally()
    assert len(list(until(walk(), Stopping(StopAfter(), clock), tally, Extent()))) == 10
    assert (tally.files, tally.cut) == (10, False)


def test_a_listing_goes_on_to_its_end_where_there_is_time() -> None:
    stopping, extent, tally = Stopping(StopAfter(None, 1)), Extent(), Tally()
    problem = Problem("walk", "folder-unreadable", "x")

    def walk() -> Generator[Walked, None, None]:
        yield entry(0)
        for number in range(1, 9):
            extent.files = number + 1
            if number == 4:
                yield problem
            elif number == 5:
                yield Skipped(entry(5))
            elif not extent.only_count:
                yield entry(number)
            else:
                yield Listed(number, 0, 0)
        extent.whole = True

    items = until(walk(), stopping, tally, extent)
    assert next(items) == entry(0)
    stopping.hits = 1
    rest = [item for item in items if not isinstance(item, Listed)]
    assert rest == [problem, Skipped(entry(5))]
    assert (extent.files, extent.whole, tally.files, tally.cut) == (9, True, 2, True)


def test_no_time_is_left_for_counting() -> None:
    clock, extent = Clock(), Extent()
    stopping = Stopping(StopAfter(5.0), clock)

    def walk() -> Generator[Walked, None, None]:
        while True:
            clock.now += 1
            yield entry(0)

    assert len(list(until(walk(), stopping, Tally(), extent))) == 5
    assert not extent.whole


def told(extent: Extent, examined: tuple[int, int], sizes: ListedSizes | None = None, *, searched: bool = False) -> str:
    problem = left_out(INFO, "after 60 s", examined, extent, sizes, searched=searched)
    assert (problem.step, problem.code, problem.severity) == ("walk", "stopped-early", Severity.PROBLEM)
    assert (problem.exhibit, problem.source, problem.path) == ("ABC/1", "disk.E01", "")
    assert problem.detail.startswith("the scan was stopped early, after 60 s: ")
    assert problem.detail.endswith("Run the same scan without --stop-after: it goes on")
    return problem.detail


def test_what_is_left_is_said_with_its_number() -> None:
    assert "nothing of this source was listed or examined" in told(Extent(), (0, 0))
    assert "1,990 of 2,000 files, 19,900 bytes, were not examined" in told(Extent(2000, 20_000, whole=True), (10, 100))
    assert "10 files were examined, and how many there are was not counted" in told(Extent(50, 500), (10, 100))
    assert "free space was not searched to its end" in told(Extent(20, 200, whole=True), (20, 200), searched=True)


@pytest.mark.parametrize(
    ("missing", "given", "words"),
    [
        (0, 4, "3 of them have a size that the hash sets state."),
        (0, 7, "so as a whole none is an exact match (files inside them and look-alikes may be)."),
        (2, 7, "which rules out nothing: 2 of 9 records state none."),
    ],
)
def test_sizes_rule_out_only_where_every_record_states_one(missing: int, given: int, words: str) -> None:
    sizes = ListedSizes(np.array([5], dtype=np.int64), 9, missing)
    assert words in told(Extent(100, 1000, by_size=7, by_size_given=given, whole=True), (50, 500), sizes)


def test_where_records_were_left_apart_the_words_say_whose_sizes_they_are() -> None:
    extent = Extent(100, 1000, by_size=7, by_size_given=7, whole=True)
    words = told(extent, (50, 500), ListedSizes(np.array([5], dtype=np.int64), 9, 0, apart=3))
    assert "a size that the hash sets state of pertinent items, so as a whole none is an exact match of one (" in words


def test_of_no_hash_sets_nothing_is_said_by_size() -> None:
    none = ListedSizes(np.zeros(0, dtype=np.int64), 0, 0)
    assert "size that" not in told(Extent(100, 1000, whole=True), (50, 500), none)


@pytest.mark.parametrize(
    ("before", "now", "fits"),
    [
        ({"profile": "quick"}, {"profile": "standard"}, True), ({"profile": "quick"}, {"profile": "full"}, True),
        ({"profile": "quick"}, {"profile": "quick"}, False), ({"profile": "standard"}, {"profile": "full"}, False),
        ({"profile": "standard"}, {"profile": "quick"}, False), ({"profile": "full"}, {"profile": "quick"}, False),
        ({"profile": "quick", "leads": "off"}, {"profile": "full"}, False),
        ({"profile": "quick"}, {"profile": "full", "leads": "auto"}, False),
        ({"profile": "quick", "leads": "40"}, {"profile": "full", "leads": "40"}, True),
        ({}, {"profile": "full"}, False),
    ],
)  # fmt: skip
def test_only_a_quick_case_goes_further_with_all_else_the_same(
    before: dict[str, object], now: dict[str, object], fits: bool
) -> None:
    assert is_upgrade(before, now) is fits
