"""What comes out of an evidence process is believed only where every field is of its kind."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caid_triage.errors import EvidenceError
from caid_triage.evidence.ledger import Ledger
from caid_triage.evidence.steps import DIED, HUNG, LeftOut, Place, Step, VolumeEnds
from caid_triage.model import (
    FileEntry,
    FileTimes,
    LedgerRange,
    Problem,
    Searching,
    Severity,
    SourceInfo,
    State,
    Volume,
)
from caid_triage.scan import evidence_words as words
from caid_triage.scan.blame import Blame, Death, GivenUp, reason_of
from caid_triage.scan.evidence_page import ANSWERING, SEARCHING, Leaving, Page, PageSteps, new_page
from caid_triage.scan.ledger_words import ledger_from_frames, ledger_of_volumes
from caid_triage.scan.protocol import ProtocolError, to_json, write_frame

OWNER = words.Owner("E/1", "disk.dd")
moments = st.none() | st.datetimes(min_value=datetime(1601, 1, 2), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis
texts = st.text(max_size=20)
problems = st.builds(
    Problem,
    step=st.sampled_from(["open", "walk", "read"]),
    code=st.sampled_from(["folder-unreadable", "parser-died"]),
    detail=texts,
    severity=st.sampled_from(Severity),
    exhibit=st.just("E/1"),
    source=st.just("disk.dd"),
    volume=texts,
    path=texts,
)
entries = st.builds(
    FileEntry,
    exhibit=st.just("E/1"),
    source=st.just("disk.dd"),
    volume=texts,
    number=st.integers(0, 1 << 40),
    path=texts,
    raw_path=st.binary(max_size=30),
    state=st.sampled_from(State),
    size=st.none() | st.integers(0, 1 << 64),
    times=st.builds(FileTimes, moments, moments, moments, moments, st.sampled_from(["", "local time, zone unknown"])),
    inode=st.none() | st.integers(-1, 1 << 64),
    stream=texts,
    physical_offset=st.none() | st.integers(0, 1 << 64),
    locator=st.lists(st.integers(-5, 1 << 160), max_size=6).map(tuple),
    readable=st.booleans(),
    problems=st.lists(problems, max_size=2).map(tuple),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(entries | problems, max_size=4))
def test_what_a_walk_gives_comes_out_as_it_went_in(items: list[FileEntry | Problem]) -> None:
    sent = json.loads(to_json({"items": [words.item_to_plain(item) for item in items]}))
    assert list(words.items_from_plain(sent["items"], OWNER)) == items


def test_a_problem_without_a_source_stays_without_one() -> None:
    problem = Problem("read", "file-hash-mismatch", "x", Severity.NOTE)
    assert words.problem_from_plain(words.problem_to_plain(problem), OWNER) == problem
    searching = Searching(1, 5, 0.5, 3, 4)
    assert list(words.items_from_plain([words.item_to_plain(searching)], OWNER)) == [searching]


ENTRY = FileEntry(
    "E/1", "disk.dd", "p1", 3, "/a", b"/a\xff", State.ALLOCATED, 5, FileTimes(datetime(2020, 1, 1, tzinfo=UTC)), 7,
    locator=(0, 7, 1, -1), problems=(Problem("walk", "overwritten", "x", Severity.NOTE, "E/1", "disk.dd"),),
)  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (0, -1), (0, "3"), (0, True), (0, None),
        (1, None), (1, 5), (1, ["x"]),
        (2, "\ud800"), (2, 5),
        (3, None),
        (4, "carried"), (4, None),
        (5, -1), (5, "5"), (5, 1.0), (5, 1 << 90),
        (6, []), (6, ["2020-01-01", None, None, None, ""]), (6, ["2020-01-01T00:00:00+01:00", None, None, None, ""]),
        (6, ["x", None, None, None, ""]), (6, [None, None, None, None, 5]), (6, "text"),
        (7, "7"), (8, None), (9, "0"),
        (10, None), (10, [1.5]), (10, ["1"]), (10, [1 << 300]), (10, {"0": 1}),
        (11, 1), (11, None), (11, "true"),
        (12, [["walk"]]), (12, {"a": 1}), (12, [["walk", "a code\n", "x", "note", "", "", True]]),
        (12, [["walk", "overwritten", "x", "fatal", "", "", True]]),
        (12, [["walk", "overwritten", None, "note", "", "", True]]),
    ],
)  # fmt: skip
def test_an_entry_with_a_wrong_field_is_nonsense(field: int, value: Any) -> None:
    plain = words.entry_to_plain(ENTRY)
    assert words.entry_from_plain(list(plain), OWNER) == ENTRY
    plain[field] = value
    with pytest.raises(ProtocolError):
        words.entry_from_plain(plain, OWNER)


@pytest.mark.parametrize(
    "value", [None, {}, "x", [5], [[]], [["p"]], [["s", 1]], [["s", 1, 2, "x", None, 0]], [[1, 2]]]
)
def test_items_that_are_none_are_nonsense(value: Any) -> None:
    with pytest.raises(ProtocolError):
        list(words.items_from_plain(value, OWNER))


def test_what_a_source_says_of_itself_comes_out_as_it_went_in() -> None:
    info = SourceInfo("E/1", "disk.dd", "ewf", 1 << 40, ("/a/\udcff.E01", "/b.E02"), {"md5": "0" * 32})
    assert words.info_from_plain(json.loads(to_json(words.info_to_plain(info))), OWNER) == info
    volumes = (Volume("p1", 512, 1 << 30, "FAT16", "FAT16", "examined"), Volume("p2/root", 0, 5, "", "", "unlocked"))
    assert words.volumes_from_plain(json.loads(json.dumps(words.volumes_to_plain(volumes)))) == volumes
    fault, bad = words.fault_from_plain(words.fault_to_plain(EvidenceError("read", "read-failed", "x"), [(1, 2)]))
    assert (fault.step, fault.code, fault.detail, bad) == ("read", "read-failed", "x", [(1, 2)])


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        {"kind": "raw", "size": -1, "segments": [], "acquisition": {}},
        {"kind": "raw", "size": 1, "segments": ["zz"], "acquisition": {}},
        {"kind": "raw", "size": 1, "segments": "00", "acquisition": {}},
        {"kind": "r\x1b[2J", "size": 1, "segments": [], "acquisition": {}},
        {"kind": "raw", "size": 1, "segments": [], "acquisition": {"md5": 5}},
        {"kind": "raw", "size": 1, "segments": [], "acquisition": []},
    ],
)
def test_a_source_with_a_wrong_field_is_nonsense(value: Any) -> None:
    with pytest.raises(ProtocolError):
        words.info_from_plain(value, OWNER)


@pytest.mark.parametrize(
    "value", [None, [5], [["p1", 0, 0, "", "", "opened"]], [["p1", "0", 0, "", "", "examined"]], [["p1"]]]
)
def test_volumes_with_a_wrong_field_are_nonsense(value: Any) -> None:
    with pytest.raises(ProtocolError):
        words.volumes_from_plain(value)


# ------------------------------------------------------------ the ledger


def frames(ledger: Ledger, **other: Any) -> tuple[dict[str, Any], io.BytesIO]:
    stream = io.BytesIO()
    wide = ledger.starts.dtype == object
    columns = [] if wide else [ledger.starts.astype("<i8").tobytes()]
    for column in [*columns, ledger.kinds.tobytes(), ledger.volumes.astype("<i4").tobytes()]:
        for at in range(0, len(column), 10):
            write_frame(stream, words.CHUNK, column[at : at + 10])
    stream.seek(0)
    starts = ledger.starts.tolist() if wide else None
    head = {"size": ledger.size, "names": list(ledger.names), "count": len(ledger), "starts": starts}
    return json.loads(json.dumps(head | other)), stream


@pytest.fixture(params=[1 << 20, 1 << 70])
def ledger(request: pytest.FixtureRequest) -> Ledger:
    volumes = [Volume("p1", 512, 1000, "", "FAT16", "examined"), Volume("p2", 4096, 4096, "", "", "encrypted")]
    return ledger_of_volumes(request.param, volumes)


def test_a_ledger_comes_out_as_it_went_in(ledger: Ledger) -> None:
    found = ledger_from_frames(*frames(ledger), ledger.size, {"", "p1", "p2"})
    assert list(found.ranges()) == list(ledger.ranges())
    assert LedgerRange(512, 1512, "p1", "file_system") in list(found.ranges())
    assert found.coverage() == ledger.coverage()


@pytest.mark.parametrize(
    "other", [{"size": 5}, {"names": ["p1"]}, {"names": ["", "p9"]}, {"names": ["", "p1", "p1"]}, {"count": -1},
              {"count": 0}, {"count": "3"}, {"names": []}, {"names": None}]
)  # fmt: skip
def test_a_ledger_with_a_wrong_head_is_nonsense(ledger: Ledger, other: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        ledger_from_frames(*frames(ledger, **other), ledger.size, {"", "p1", "p2"})


@pytest.mark.parametrize(
    ("starts", "kinds", "volumes"),
    [
        ([5, 10], [0, 1], [0, 0]),  # not from the first byte
        ([0, 0], [0, 1], [0, 0]),
        ([0, 200], [0, 1], [0, 0]),  # behind the end
        ([0, 50], [0, 250], [0, 0]),
        ([0, 50], [0, 1], [0, 2]),
        ([0, 50], [0, 1], [0, -1]),
    ],
)
def test_a_ledger_whose_ranges_do_not_tile_is_nonsense(starts: list[int], kinds: list[int], volumes: list[int]) -> None:
    made = Ledger(100, ("", "p1"), np.array(starts), np.array(kinds, np.uint8), np.array(volumes, np.int32))
    with pytest.raises(ProtocolError):
        ledger_from_frames(*frames(made), 100, {"", "p1"})


# ------------------------------------------------------------ the page and what is left out


@pytest.fixture
def page() -> Page:
    made, descriptor = new_page()
    assert descriptor > 0
    return made


def test_a_step_is_told_and_left_out(page: Page) -> None:
    place = Place(Step.RECORD, 1, 77)
    steps = PageSteps(page, {place: Leaving(DIED, "x"), Place(Step.NAME, 1, 5, 6): Leaving(HUNG, "y", ends=True)})
    steps.at(Step.FOLDER, 1, 1 << 70, 3)
    assert page.place(ANSWERING) == Place(Step.FOLDER, 1, 0, 3)  # 70 bits: cut, not refused
    assert page.place(SEARCHING) == Place(Step.IDLE)
    with pytest.raises(LeftOut) as left:
        steps.at(Step.RECORD, 1, 77)
    assert (left.value.code, left.value.detail) == (DIED, "x")
    assert page.place(ANSWERING) == place
    with pytest.raises(VolumeEnds):
        steps.at(Step.NAME, 1, 5, 6)
    before = page.count(ANSWERING)
    steps.goes_on()
    assert page.count(ANSWERING) == before + 1
    assert page.place(ANSWERING) == Place(Step.NAME, 1, 5, 6)


def test_a_part_of_free_space_that_is_left_out_cannot_be_read(page: Page) -> None:
    steps = PageSteps(page, {Place(Step.SEARCH, 0, 3): Leaving(DIED, "x")})
    steps.searches(0, (3 << 20) - 1)
    with pytest.raises(OSError, match="x"):
        steps.searches(0, 3 << 20)


def test_nonsense_on_the_page_is_no_place_and_no_progress(page: Page) -> None:
    page._memory[:] = b"\xff" * len(page._memory)
    assert page.place(ANSWERING) == Place(Step.IDLE)
    assert page.ending() == ""
    told = page.progress()
    assert told.searched <= told.total
    assert told.seconds == 0


# ------------------------------------------------------------ blame


def dies(blame: Blame, place: Place | None, times: int = 1, *, hung: bool = False) -> None:
    for _ in range(times):
        blame.died(place, Death(hung, "signal 11, SIGSEGV"))


def test_a_place_is_left_out_at_the_third_death_or_the_first_hang() -> None:
    blame, place = Blame(100, 2), Place(Step.RECORD, 0, 9)
    dies(blame, place, 2)
    assert not blame.left_out
    dies(blame, place)
    assert blame.left_out[place].code == DIED
    dies(blame, Place(Step.RECORD, 0, 10), hung=True)
    assert blame.left_out[Place(Step.RECORD, 0, 10)].code == HUNG
    dies(blame, None, 5)  # it could be any of two
    assert len(blame.left_out) == 2


def test_content_is_left_out_by_its_entry() -> None:
    blame = Blame(100, 0)
    dies(blame, Place(Step.READING, 0, 12))
    assert list(blame.unread) == [12]
    assert not blame.left_out


def test_what_lies_around_is_left_out_where_the_place_alone_does_not_help() -> None:
    blame = Blame(100, 0)
    inner, outer = Place(Step.VOLUME, 0, 0, 3), Place(Step.VOLUME, 0, 0, 2)
    dies(blame, inner, 2)
    assert list(blame.left_out) == [inner, outer]
    dies(blame, inner)
    assert list(blame.left_out)[2] == Place(Step.VOLUME, 0, 0, 1)
    with pytest.raises(GivenUp):
        dies(blame, inner)
    blame = Blame(100, 0)
    dies(blame, Place(Step.SEARCH, 1, 5), 2)
    assert list(blame.left_out) == [Place(Step.SEARCH, 1, 5), Place(Step.SITE, 1)]
    blame, name = Blame(100, 0), Place(Step.NAME, 1, 5, 5)
    dies(blame, name, 2)
    assert blame.left_out[name].ends
    with pytest.raises(GivenUp):
        dies(blame, name)


@pytest.mark.parametrize("step", [Step.OPENING, Step.LEDGER, Step.VERIFYING])
def test_what_there_is_no_way_around_is_given_up(step: Step) -> None:
    blame = Blame(100, 2)
    dies(blame, Place(step), 2)
    with pytest.raises(GivenUp, match="SIGSEGV"):
        dies(blame, Place(step))


def test_deaths_have_an_end_wherever_they_are() -> None:
    blame = Blame(7, 100)
    for number in range(7):
        dies(blame, Place(Step.RECORD, 0, number))
    with pytest.raises(GivenUp, match="8 times"):
        dies(blame, Place(Step.RECORD, 0, 7))
    blame = Blame(1000, 2)
    with pytest.raises(GivenUp, match="no place"):
        dies(blame, Place(Step.IDLE), 100)


def test_why_a_process_ended_is_said_in_words() -> None:
    assert reason_of(-11, "") == "signal 11, SIGSEGV"
    assert reason_of(-250, "") == "signal 250"
    assert reason_of(3, "") == "exit code 3"
    assert reason_of(1, "MemoryError") == "MemoryError"
