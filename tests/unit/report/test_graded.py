"""What reports say of examiners' grades: the last that stands, counted apart from hash sets, and who differs."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path

import pytest
from unit.case import samples
from unit.review.test_desk import ME, YOU, A, B, C, ids, make_case

from caid_triage.case.view import open_case
from caid_triage.model import State
from caid_triage.report.html import write_html
from caid_triage.report.matches_csv import write_matches
from caid_triage.report.summary_json import summary
from caid_triage.review.desk import ReviewDesk

HOSTILE = "<b>E\u202ex</b>\n\U0001f600"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A known file twice, a look-alike live and deleted, two that nothing lists; graded, taken back, disputed."""
    case = make_case(tmp_path / "case", [
        (samples.record(0, b"known"), (samples.match(A),)),
        (samples.record(1, b"known", state=State.DELETED), (samples.match(A),)),
        (samples.record(2, b"alike"), (samples.near(B),)),
        (samples.record(3, b"alike", state=State.DELETED), (samples.near(B),)),
        (samples.record(4, b"new"), ()),
        (samples.record(5, b"newer"), ()),
    ])  # fmt: skip
    with ReviewDesk(case) as desk:
        (known,), (near,), (new, newer) = (ids(desk, queue) for queue in ("known", "near", "new"))
        desk.decide([known], A, ME)
        desk.decide([near], C, ME)
        desk.decide([near], B, YOU)
        desk.decide([near], A, YOU)
        desk.undo(YOU)
        desk.decide([new], C, HOSTILE)
        desk.decide([newer], A, ME)
        desk.undo(ME)
    return case


def test_the_counts_are_those_of_a_naive_recount(folder: Path) -> None:
    standing = {b"known": A, b"alike": B, b"new": C}
    stored = [(b"known", "exact"), (b"known", "exact"), (b"alike", "near"), (b"alike", "near"), (b"new", "")]
    expected = Counter((standing[content].code, asserted) for content, asserted in stored)
    with open_case(folder) as view:
        figures = summary(view)
        rows = view.graded()
    found: Counter[tuple[str, str]] = Counter()
    for row in rows:
        found[row.category_code, row.asserted] += row.files
        assert row.unique == 1
    assert found == expected
    assert [row.scheme for row in rows] == ["uk"] * len(rows)
    assert sum(row["files"] for row in figures["graded"]["counts"]) == len(stored)
    assert figures["graded"]["disputed_files"] == 2


def test_counts_of_hash_sets_are_not_touched(folder: Path) -> None:
    with open_case(folder) as view:
        counts = [(row.category_code, row.match_kind, row.files) for row in view.counts()]
    assert sorted(counts) == [("1", "exact", 1), ("1", "exact", 1), ("2", "near", 1), ("2", "near", 1)]


def test_a_match_has_the_last_grade_that_stands(folder: Path) -> None:
    with open_case(folder) as view:
        decided = {row.path: row.decision for row in view.matches()}
        out = io.StringIO()
        write_matches(view, out)
    assert {path: decision and (decision.category, decision.examiner) for path, decision in decided.items()} == {
        "/pictures/0.jpg": (A, ME),
        "/pictures/1.jpg": (A, ME),
        "/pictures/2.jpg": (B, YOU),
        "/pictures/3.jpg": (B, YOU),
    }
    assert YOU in out.getvalue()


def test_who_differs_is_said(folder: Path) -> None:
    with open_case(folder) as view:
        rows = [row for row in view.contradictions() if row.kind == "graders"]
    assert [row.path for row in rows] == ["/pictures/2.jpg", "/pictures/3.jpg"]
    assert rows[0].detail == f"graded differently by examiners: {C.label} (uk, {ME}); {B.label} (uk, {YOU})"


def test_the_page_shows_them_apart_and_safely(folder: Path) -> None:
    with open_case(folder) as view:
        out, again = io.StringIO(), io.StringIO()
        write_html(view, out)
        write_html(view, again)
    page = out.getvalue()
    assert page == again.getvalue()
    assert 'id="graded"' in page
    assert "2 files graded differently by two examiners" in page
    assert "<b>E" not in page
    assert "\u202e" not in page


def test_a_case_that_nobody_graded_has_no_table(tmp_path: Path) -> None:
    case = make_case(tmp_path / "case", [(samples.record(0), (samples.match(A),))])
    with open_case(case) as view:
        out = io.StringIO()
        write_html(view, out)
        assert json.loads(json.dumps(summary(view)["graded"])) == {"counts": [], "disputed_files": 0}
    assert 'id="graded"' not in out.getvalue()
