"""A journal is that of its case, and of lines that a review writes; anything else is said and taken in nowhere."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from unit.review.test_desk import ME, YOU, A, B, ids, small_case

from caid_triage.case.audit import AuditHead, next_line
from caid_triage.case.journal import JOURNAL_FILE, act_of
from caid_triage.case.store import open_case_for_writing
from caid_triage.case.view import open_case
from caid_triage.errors import CaseError
from caid_triage.report.verify import verify_case
from caid_triage.review.desk import ReviewDesk


def graded_case(folder: Path) -> Path:
    with ReviewDesk(small_case(folder)) as desk:
        desk.decide(ids(desk, "new"), A, ME)
        desk.decide(ids(desk, "known"), B, ME)
    return folder


def test_the_journal_of_another_case_is_not_taken_in_and_verify_says_so(tmp_path: Path) -> None:
    other, case = graded_case(tmp_path / "other"), small_case(tmp_path / "case")
    shutil.copy(other / JOURNAL_FILE, case / JOURNAL_FILE)
    with pytest.raises(CaseError, match="that of another case"):
        ReviewDesk(case)
    assert [fault.what for fault in verify_case(case)] == ["is of another case: this is not the journal of this one"]
    with open_case_for_writing(case) as writer:
        assert writer.take_journal() == 0
    with open_case(case) as view:
        assert list(view.graded()) == []
    assert len(verify_case(case)) == 2  # that somebody went on with it is on record besides
    assert verify_case(other) == []
    copy = shutil.copytree(other, tmp_path / "copy")
    with ReviewDesk(copy) as desk:  # a copy of a whole case is that case
        assert desk.undo(ME)
    assert verify_case(copy) == []


def test_a_journal_that_is_gone_is_not_begun_anew(tmp_path: Path) -> None:
    case = small_case(tmp_path / "case")
    with ReviewDesk(case) as desk:
        new = ids(desk, "new")
        desk.decide(new, A, ME)
        desk.settle()
        kept = (case / JOURNAL_FILE).rename(tmp_path / "kept")
        with pytest.raises(CaseError, match="not as it was written"):
            desk.decide(new, B, YOU)
        assert not (case / JOURNAL_FILE).exists()
        kept.rename(case / JOURNAL_FILE)
        assert desk.decide(new, B, YOU) == len(new)
    assert verify_case(case) == []


GOOD = {"examiner": ME, "contents": ["ab" * 32], "note": "", "category": ["1", "Category A", "uk", 3]}


@pytest.mark.parametrize(
    ("action", "facts"),
    [
        ("graded", GOOD),
        ("decided", {**GOOD, "examiner": ["x"]}),
        ("decided", {**GOOD, "note": 5}),
        ("decided", {**GOOD, "contents": ["abc0"]}),
        ("decided", {**GOOD, "contents": [7]}),
        ("decided", {**GOOD, "contents": 7}),
        ("decided", {**GOOD, "category": [1, "x", "uk", 3]}),
        ("decided", {**GOOD, "category": ["1", "x", "uk", "3"]}),
        ("decided", {**GOOD, "category": ["1", "x", "uk", True]}),
        ("decided", {**GOOD, "category": "abcd"}),
        ("decided", {**GOOD, "of": 1}),
        ("withdrawn", {"examiner": ME}),
        ("withdrawn", {"examiner": ME, "of": "1"}),
        ("withdrawn", {"examiner": ME, "of": True}),
        ("remarked", {"contents": [], "note": ""}),
    ],
)
def test_a_line_that_no_review_writes_is_refused_in_words(action: str, facts: dict[str, object]) -> None:
    line, _ = next_line(AuditHead(), action, facts)
    with pytest.raises(CaseError, match="none that a review writes"):
        act_of(line)
    whole, _ = next_line(AuditHead(), "decided", GOOD)
    assert act_of(whole).contents == (b"\xab" * 32,)
