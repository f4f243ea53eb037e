"""Queues, filters and pages of the desk are those of the naive way, whatever the case; and grades are what was done."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit.case import samples
from unit.review import naive

from caid_triage.case.rows import CaseHeader
from caid_triage.case.store import create_case, open_case_for_writing
from caid_triage.case.view import open_case
from caid_triage.errors import UsageError
from caid_triage.model import Category, DecodeState, Kind, MatchKind, Problem, Role, Severity, State, VideoAgreement
from caid_triage.review.desk import ReviewDesk
from caid_triage.review.items import QUEUES, ItemFilter, Key

A, B, C = (
    Category(code, f"Category {letter}", "uk", rank)
    for code, letter, rank in (("1", "A", 3), ("2", "B", 2), ("3", "C", 1))
)
ME, YOU = "A. Examiner", "B. Examiner"
PATHS = (
    "/Users/a/Pictures/{}.jpg", "/Users/a/AppData/Local/Temp/{}.png", "/Straße/Übung/{}.JPG", "/x\nnew\u202eline{}",
    "/$RECYCLE.BIN/{}.avi", "/\U0001f600/{}",
)  # fmt: skip


def make_case(folder: Path, stored: Sequence[naive.Stored]) -> Path:
    """A case of one source with these records, in several batches."""
    with create_case(folder, CaseHeader("R")) as case:
        case.record_hashset(samples.NOTABLE)
        case.record_hashset(samples.KNOWN_GOOD)
        source = case.add_source(samples.source(), {"size": 1})
        for begin in range(0, len(stored), 7):
            some = stored[begin : begin + 7]
            case.write_batch(source, [record for record, _ in some], [met for _, met in some], [], begin + 7)
        case.finish_source(source, len(stored), len(stored))
    return folder


def good_match() -> object:
    return samples.match(hashset="good-set", role=Role.KNOWN_GOOD, category=Category("", "known-good", "", None))


@st.composite
def stored_cases(draw: st.DrawFn) -> list[naive.Stored]:
    """Up to thirty files of few contents, so that there are occurrences, of every kind and state and match."""
    found: list[naive.Stored] = []
    agreement = VideoAgreement(3, 2, 4, 2, 0.0, 2.5)
    met = {
        "": (),
        "exact": (samples.match(B),),
        "graver": (samples.match(C), samples.match(A, algorithm="md5"), samples.near(B)),
        "unknown": (samples.match(samples.UNKNOWN),),
        "strong": (samples.near(A, distance=9),),
        "lead": (samples.near(B, distance=40, threshold=60),),
        "film": (samples.near(C, distance=20, match_kind=MatchKind.VIDEO, algorithm="vpdq", agreement=agreement),),
        "contradicted": (samples.match(A, algorithm="md5", contradicted=True),),
        "good": (good_match(),),
        "good and near": (good_match(), samples.near(A)),
    }
    contents = draw(st.lists(st.tuples(
        st.sampled_from(Kind), st.sampled_from(DecodeState), st.sampled_from(sorted(met)), st.booleans()
    ), min_size=1, max_size=12))  # fmt: skip
    for number in range(draw(st.integers(0, 30))):
        content = draw(st.integers(0, len(contents) - 1))
        kind, state, matched, has_camera = contents[content]
        severity = draw(st.sampled_from([None, None, Severity.NOTE, Severity.PROBLEM]))
        record = samples.record(
            number,
            b"content %d" % content,
            kind=kind,
            decode_state=state,
            path=draw(st.sampled_from(PATHS)).format(number),
            state=draw(st.sampled_from([State.ALLOCATED, State.DELETED, State.CARVED])),
            size=draw(st.sampled_from([None, 0, 5, 1 << 40, 1 << 70])),
            metadata=(("camera-make", "Maker"), ("camera-model", "Mo 7"), ("camera-serial", "00X"))
            if has_camera
            else (),
            found=() if severity is None else (samples.problem("odd", severity=severity),),
            times=replace(
                samples.entry().times,
                modified=draw(st.sampled_from([None, samples.WHEN, samples.WHEN + timedelta(days=9)])),
                created=draw(st.sampled_from([None, samples.WHEN + timedelta(days=5)])),
            ),
        )
        if draw(st.integers(0, 9)) == 0:
            record = replace(record, examination=replace(record.examination, digests=None))
        found.append((record, met[matched]))
    return found


@st.composite
def filters(draw: st.DrawFn) -> ItemFilter:
    """Any filter, most of them with few conditions."""

    def maybe(values: Sequence[object], default: object) -> object:
        return draw(st.sampled_from(values)) if draw(st.integers(0, 4)) == 0 else default

    days = [samples.WHEN + timedelta(days=days) for days in (0, 1, 5, 9, 10)]
    return ItemFilter(
        draw(st.sampled_from(sorted(QUEUES))),
        states=maybe([("deleted",), ("allocated", "carved")], ()),
        kinds=maybe([("image",), ("video", "other")], ()),
        exhibits=maybe([("ABC/1",), ("nowhere",)], ()),
        locations=maybe([("pictures",), ("recycle-bin", "other"), ("nothing",)], ()),
        categories=maybe([("1",), (("2", "uk"),), (("2", "other"),), ("3", "77")], ()),
        text=maybe(["PICTURES", "üb", "STRASSE", "1.j", "\u202e", "%", "Straße", "\U0001f600"], ""),
        size_min=maybe([0, 5, 6], None),
        size_max=maybe([0, 5, 1 << 41], None),
        date_from=maybe(days, None),
        date_to=maybe(days, None),
        device=maybe(["maker", "MO 7 00x", "nobody"], ""),
        decided=maybe([True, False], None),
        examiner=maybe([ME, YOU], ""),
    )  # type: ignore[arg-type]


Acts = list[tuple[str, int, int, str]]
acts = st.lists(
    st.tuples(st.sampled_from(["decide", "decide", "undo"]), st.integers(0, 40), st.integers(0, 2),
              st.sampled_from([ME, YOU])),
    max_size=8,
)  # fmt: skip


@pytest.mark.filterwarnings("ignore:Generating overly large repr")  # of a case that fails
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(stored_cases(), st.lists(filters(), min_size=3, max_size=8), acts, st.integers(1, 5), st.booleans())
def test_queues_filters_and_pages_are_those_of_the_naive_way(
    stored: list[naive.Stored], asked: list[ItemFilter], done: Acts, limit: int, settles: bool
) -> None:
    items = naive.items_of(stored)
    with tempfile.TemporaryDirectory() as scratch, ReviewDesk(make_case(Path(scratch) / "case", stored)) as desk:
        grades = perform(desk, items, done)
        if settles:
            assert desk.settle()
        for queue in desk.queues(ME):
            expected = naive.chosen(items, ItemFilter(queue.name), grades)
            assert queue.items == len(expected)
            assert queue.decided == len(naive.chosen(items, ItemFilter(queue.name, decided=True, examiner=ME), grades))
        for which in asked:
            compare(desk, which, naive.chosen(items, which, grades), limit)


def perform(desk: ReviewDesk, items: Sequence[naive.NaiveItem], done: Acts) -> naive.GradesOf:
    """Let examiners do this; the grades that then stand, by the naive way."""
    history: list[tuple[str, bytes, tuple[str, str]]] = []
    for action, place, code, examiner in done:
        if action == "undo":
            mine = [n for n, (who, _, _) in enumerate(history) if who == examiner]
            assert bool(desk.undo(examiner)) == bool(mine and in_a_queue(desk, items, history[mine[-1]][1])) or not mine
            if mine:
                history.pop(mine[-1])
            continue
        item = items[place % len(items)] if items else None
        digests = item.files[0][0].examination.digests if item else None
        if item is None or digests is None or desk.item(item.id) is None:
            continue
        category = (A, B, C)[code]
        assert desk.decide([item.id], category, examiner) == 1
        history.append((examiner, digests.sha256, (category.code, category.scheme)))
    found: dict[bytes, dict[str, tuple[str, str]]] = {}
    for who, content, grade in history:
        found.setdefault(content, {})[who] = grade
    return found


def in_a_queue(desk: ReviewDesk, items: Sequence[naive.NaiveItem], content: bytes) -> bool:
    return any(
        desk.item(item.id) is not None
        for item in items
        if (digests := item.files[0][0].examination.digests) and digests.sha256 == content
    )


def compare(desk: ReviewDesk, which: ItemFilter, expected: list[int], limit: int) -> None:
    """Every way to the items of a filter leads to the expected ones."""
    assert desk.count(which) == len(expected)
    keys: list[Key] = []
    after: Key | None = None
    while page := desk.page(which, after, limit):
        assert len(page) <= limit
        keys += [item.key for item in page]
        after = page[-1].key
    assert [key.id for key in keys] == expected
    assert keys == sorted(set(keys))
    back: list[int] = []
    before: Key | None = None
    while page := desk.before(which, before, limit):
        back = [item.id for item in page] + back
        before = page[0].key
    assert back == expected
    for position, key in enumerate(keys):
        assert desk.at(which, position) == key
        assert desk.position(which, key) == position
        assert desk.position(which, Key(key.rank, key.id + 1)) == position + 1  # of one that is not there
    assert desk.at(which, len(keys)) is None
    assert desk.at(which, -1) is None


def small_case(folder: Path) -> Path:
    """Two known files of one content, a look-alike, two new ones, a damaged one, and a file that could not be read."""
    unread = samples.record(6, decode_state=DecodeState.NOT_ATTEMPTED, found=(samples.problem("file-unreadable"),))
    return make_case(folder, [
        (samples.record(0, b"known"), (samples.match(A),)),
        (samples.record(1, b"known", state=State.DELETED), (samples.match(A),)),
        (samples.record(2), (samples.near(B, distance=9), samples.near(A, distance=40, threshold=60))),
        (samples.record(3), ()),
        (samples.record(4), ()),
        (samples.record(5, decode_state=DecodeState.PARTIAL), ()),
        (replace(unread, examination=replace(unread.examination, digests=None)), ()),
    ])  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return small_case(tmp_path / "case")


def ids(desk: ReviewDesk, queue: str) -> list[int]:
    return [item.id for item in desk.page(ItemFilter(queue), None, 100)]


def test_an_item_has_what_an_examiner_needs(folder: Path) -> None:
    with ReviewDesk(folder) as desk:
        (known,) = desk.page(ItemFilter("known"), None, 9)
        (near,) = desk.page(ItemFilter("near"), None, 9)
    assert (known.occurrences, known.path, known.exhibit, known.source) == (2, "/pictures/0.jpg", "ABC/1", "disk.E01")
    assert [(one.distance, one.tier, one.category, one.media_id) for one in near.matches] == [
        (9, "strong", B, "17"),
        (40, "lead", A, "17"),
    ]


def test_a_grade_is_of_the_content_and_seen_by_every_occurrence(folder: Path) -> None:
    with ReviewDesk(folder) as desk:
        (known,) = desk.page(ItemFilter("known"), None, 9)
        second = known.id + (1 << 23)
        assert desk.item(second) == desk.item(known.id)
        assert desk.decide([second], C, ME, "seen") == 1
        decision = desk.item(known.id).decision
        assert (decision.category, decision.examiner, decision.note) == (C, ME, "seen")
    with open_case(folder) as view:
        decided = [row.decision.category for row in view.matches() if row.decision]
        assert decided == [C, C]


def test_what_has_no_digest_cannot_be_graded_and_nobody_without_a_name_grades(folder: Path) -> None:
    with ReviewDesk(folder) as desk:
        (unread,) = list(ids(desk, "problems"))
        with pytest.raises(UsageError, match="no digest"):
            desk.decide([unread], A, ME)
        with pytest.raises(UsageError, match="name of its examiner"):
            desk.decide(ids(desk, "new"), A, " ")
        with pytest.raises(UsageError, match="no queue"):
            desk.count(ItemFilter("newer"))
        assert desk.pending == 0


def test_undo_takes_back_a_whole_act_and_deletes_nothing(folder: Path) -> None:
    with ReviewDesk(folder) as desk:
        new = ids(desk, "new")
        desk.decide(new, B, ME)
        desk.decide(new[:1], A, ME)
        assert desk.undo(YOU) == []
        assert desk.undo(ME) == new[:1]
        assert [desk.item(one).decision.category for one in new] == [B, B]
        assert desk.settle()
        assert desk.undo(ME) == new
        assert desk.undo(ME) == []
        assert [desk.item(one).grades for one in new] == [(), ()]
        desk.decide(new[:1], C, ME)
    lines = (folder / "decisions.jsonl").read_text().splitlines()
    assert len(lines) == 5
    with open_case(folder) as view:
        assert [(row.category_code, row.asserted, row.files) for row in view.graded()] == [("3", "", 1)]


def test_two_examiners_who_differ_dispute_a_content_until_they_agree(folder: Path) -> None:
    with ReviewDesk(folder) as desk:
        (near,) = ids(desk, "near")
        desk.decide([near], B, ME)
        desk.decide([near], B, YOU)
        assert ids(desk, "disputed") == []
        desk.decide([near], C, YOU)
        assert ids(desk, "disputed") == [near]
        item = desk.item(near)
        assert item.disputed
        assert [(grade.examiner, grade.category) for grade in item.grades] == [(ME, B), (YOU, C)]
        assert desk.settle()
        with open_case(folder) as view:
            (row,) = view.disputed()
            assert [grade.category for grade in row.grades] == [B, C]
        assert ids(desk, "disputed") == [near]
        desk.decide([near], C, ME)
        assert ids(desk, "disputed") == []
    with open_case(folder) as view:
        assert list(view.disputed()) == []
        (row,) = list(view.graded())
        assert (row.category_code, row.asserted) == ("3", "near")


@pytest.mark.parametrize("settles", [False, True])
def test_a_filter_by_category_finds_what_sets_say_and_one_s_own_grades_but_not_another_s(
    folder: Path, settles: bool
) -> None:
    with ReviewDesk(folder) as desk:
        (known,), (near,), (new, other) = (ids(desk, queue) for queue in ("known", "near", "new"))
        wanted = ItemFilter("new", categories=(("1", "uk"),), examiner=YOU)
        assert desk.count(wanted) == 0
        desk.decide([known, new, near], A, ME)
        desk.decide([other], C, YOU)
        assert not settles or desk.settle()
        for one in (wanted, replace(wanted, categories=("1",))):
            assert desk.count(one) == 0
            assert desk.page(one, None, 9) == []
            assert desk.at(one, 0) is None
            assert desk.count(replace(one, examiner=ME)) == 1
            assert desk.count(replace(one, examiner="")) == 1
        assert desk.count(replace(wanted, queue="known")) == 1  # the hash set says it
        assert desk.count(replace(wanted, queue="near")) == 1
        desk.decide([new], A, YOU)
        assert [item.id for item in desk.page(wanted, None, 9)] == [new]  # at once, though it was asked for before
        desk.undo(YOU)
        assert desk.count(wanted) == 0
        assert desk.count(replace(wanted, categories=(("3", "uk"),))) == 1


def test_remarks_are_kept_and_are_no_grades(folder: Path) -> None:
    hostile = "half a pair \ud800, \u202e, \n and \U0001f600"
    with ReviewDesk(folder) as desk:
        new = ids(desk, "new")
        assert desk.remark(new, hostile, ME) == 2
        before = desk.item(new[0]).remarks
        assert desk.settle()
        after = desk.item(new[0]).remarks
        assert [one.text for one in before + after] == ["half a pair \\ud800, \u202e, \n and \U0001f600"] * 2
        assert desk.item(new[0]).grades == ()
        assert desk.count(ItemFilter("new", decided=True)) == 0


def test_two_desks_on_one_case_see_each_others_grades(folder: Path) -> None:
    with ReviewDesk(folder) as mine, ReviewDesk(folder) as yours:
        new = ids(mine, "new")
        mine.decide(new[:1], A, ME)
        yours.decide(new[:1], B, YOU)  # it takes in what came before its own
        assert [grade.examiner for grade in yours.item(new[0]).grades] == [ME, YOU]
        assert mine.refresh()
        assert ids(mine, "disputed") == new[:1]
        assert not mine.refresh()


def test_while_a_scan_writes_grades_are_seen_at_once_and_taken_in_at_its_end(folder: Path) -> None:
    with open_case_for_writing(folder) as case:
        case.audit("scan-began")
        with ReviewDesk(folder) as desk:
            new = ids(desk, "new")
            desk.decide(new, B, ME)
            assert not desk.settle()
            assert desk.pending == 1
            case.write_batch(1, [samples.record(50)], [()], [], 51)
            assert desk.refresh()
            assert ids(desk, "new") == [*new, new[0] + (47 << 23)]
            assert desk.item(new[0]).decision.category == B
        with open_case(folder) as view:
            assert view.graded() == []
    with open_case(folder) as view:
        assert [(row.category_code, row.files) for row in view.graded()] == [("2", 2)]
    assert '"action":"decided"' in (folder / "audit.jsonl").read_text()


def test_a_problem_wider_than_a_file_is_in_its_queue(tmp_path: Path) -> None:
    folder = make_case(tmp_path / "case", [])
    with open_case_for_writing(folder) as case:
        case.add_problems([samples.problem("volume-odd", volume="p2"), Problem("read", "note", "x", Severity.NOTE)], 1)
    with ReviewDesk(folder) as desk:
        (item,) = desk.page(ItemFilter("problems"), None, 9)
        assert (item.state, item.volume, item.problems[0][0], item.sha256) == (None, "p2", "volume-odd", None)
        assert desk.position(ItemFilter("problems"), item.key) == 0
        assert desk.item(item.id, "problems") == item
        assert desk.item(12345) is None
