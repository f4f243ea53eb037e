"""Re-grading inside the case: one transaction, an older schema, what guards withheld, and an examiner's grades."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from unit.case import samples

from caid_triage.case.rows import CaseHeader, MatchChange
from caid_triage.case.schema import OLDEST_SCHEMA
from caid_triage.case.store import CaseWriter, create_case, open_case_for_writing
from caid_triage.case.view import open_case
from caid_triage.errors import CaseError
from caid_triage.model import Category, Decision, Match, Role, Withheld


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[CaseWriter]:
    with create_case(tmp_path / "case", CaseHeader("R")) as case:
        yield case


def stored(case: CaseWriter, *matches: tuple[Match, ...], withheld: tuple[tuple[Withheld, ...], ...] = ()) -> None:
    case.record_hashset(samples.NOTABLE)
    case.record_hashset(samples.KNOWN_GOOD)
    records = [samples.record(number) for number in range(len(matches))]
    case.write_batch(case.add_source(samples.source(), {}), records, list(matches), [], len(records), withheld)


def again(case: CaseWriter, found: dict[int, tuple[Match, ...]], **changes: object) -> MatchChange:
    batches = (
        (source, records, [found.get(record.entry.number, ()) for record in records])
        for source, records in case.records(1)
    )
    return case.replace_matches([{**samples.NOTABLE, "generation": "g2", **changes}], batches)


def held(**changes: object) -> Withheld:
    fields = {
        "reason": "flood", "algorithm": "pdq", "hashset": "unit-set", "generation": "g1", "count": 200, "nearest": 3,
        "threshold": 31, "kept": 5,
    }  # fmt: skip
    return Withheld(**{**fields, **changes})  # type: ignore[arg-type]


def test_a_label_that_became_confirmed_is_a_change_and_no_new_match(writer: CaseWriter) -> None:
    unconfirmed = Category("1", "code 1 (scheme uk not confirmed)", "uk", 30)
    stored(writer, (samples.match(unconfirmed),))
    change = again(writer, {0: (samples.match(generation="g2"),)})
    assert change == MatchChange(0, 0, changed=1, files_changed=1, regrade=1)
    with open_case(writer.folder) as view:
        (row,) = view.delta()
    assert row.before == "exact: code 1 (scheme uk not confirmed) [uk]"
    assert row.after == "exact: Category A [uk]"


def test_an_exact_match_that_becomes_a_lead_or_contradicted_is_a_change(writer: CaseWriter) -> None:
    stored(writer, (samples.match(),), (samples.match(),))
    again(writer, {0: (samples.near(generation="g2"),), 1: (samples.match(generation="g2", contradicted=True),)})
    with open_case(writer.folder) as view:
        rows = [(row.change, row.before, row.after, row.proposed_after) for row in view.delta()]
    assert rows == [
        ("changed", "exact: Category A [uk]", "near: Category A [uk]", "near: Category A [uk]"),
        ("changed", "exact: Category A [uk]", "exact, contradicted: Category A [uk]", ""),
    ]


def test_a_set_whose_role_changes_is_gone_as_notable(writer: CaseWriter) -> None:
    stored(writer, (samples.match(),))
    good = samples.match(generation="g2", role=Role.KNOWN_GOOD)
    change = again(writer, {0: (good,)}, role="known-good")
    assert change == MatchChange(0, 1, files_gone=1, regrade=1)
    with open_case(writer.folder) as view:
        (figures,) = view.regrades()
    assert (figures.known_good_before, figures.known_good_after) == (0, 1)


def test_a_regrade_that_is_stopped_leaves_no_trace(writer: CaseWriter) -> None:
    stored(writer, (samples.match(),), (), withheld=((), (held(),)))

    def stopped() -> Iterator[object]:
        yield 1, [samples.record(0)], [()]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        writer.replace_matches([{**samples.NOTABLE, "generation": "g2"}], stopped())  # type: ignore[arg-type]
    with open_case(writer.folder) as view:
        assert len(list(view.matches())) == 1
        assert view.regrades() == []
        assert [row.matches for row in view.withheld()] == [200]
    change = again(writer, {})
    assert change == MatchChange(0, 1, files_gone=1, regrade=1)


def test_every_delta_is_kept(writer: CaseWriter) -> None:
    stored(writer, ())
    again(writer, {0: (samples.match(generation="g2"),)})
    again(writer, {0: ()}, generation="g3")
    with open_case(writer.folder) as view:
        assert [(row.regrade, row.change) for row in view.delta()] == [(1, "new"), (2, "gone")]
        assert [dict(row.hashsets[0]) for row in view.regrades()] == [
            {"name": "unit-set", "before": "g1", "after": "g2"},
            {"name": "unit-set", "before": "g2", "after": "g3"},
        ]


def test_what_is_withheld_is_one_note_a_file_and_set(writer: CaseWriter) -> None:
    kept = tuple(samples.near(distance=bits, record_row=bits) for bits in range(5))
    suppressed = held(reason="not-this", count=2, kept=0, by="good-set")
    stored(writer, kept, (), withheld=((held(),), (suppressed,)))
    with open_case(writer.folder) as view:
        notes = [(row.step, row.code, row.path) for row in view.problems()]
        details = [row.detail for row in view.problems()]
        assert len(list(view.matches())) == 5
        counted = [(row.code, row.severity, row.count) for row in view.problem_counts()]
        summed = [(row.reason, row.files, row.matches) for row in view.withheld()]
    assert notes == [("match", "near-flood", "/pictures/0.jpg"), ("match", "near-not-this", "/pictures/1.jpg")]
    assert "looks like 205 entries of unit-set by pdq (distance up to 31)" in details[0]
    assert "nearer to an entry of good-set" in details[1]
    assert counted == [("near-flood", "note", 1), ("near-not-this", "note", 1)]
    assert summed == [("flood", 1, 200), ("not-this", 1, 2)]


def test_a_match_keeps_its_orientation_quality_and_listed_size(writer: CaseWriter) -> None:
    turned = samples.near(orientation="mirrored", quality=87, record_row=5)
    stored(writer, (samples.match(listed_size=99), turned))
    with open_case(writer.folder) as view:
        rows = [(row.match_kind.value, row.orientation, row.quality) for row in view.matches()]
        (found,) = view.contradictions()
    assert rows == [("exact", "", None), ("near", "mirrored", 87)]
    assert (found.kind, found.detail) == ("size", "sha256 is in unit-set, which states 99 bytes for it; the file has 9")


def test_sets_that_disagree_and_an_examiner_who_does_are_listed(writer: CaseWriter) -> None:
    writer.record_hashset({**samples.NOTABLE, "name": "other"})
    us = Category("1", "code 1 (scheme us)", "us", 40)
    harmless = Category("0", "code 0 (scheme us)", "us", 0)
    stored(
        writer,
        (samples.match(), samples.match(samples.CATEGORY_C, hashset="other")),
        (samples.match(), samples.match(us, hashset="other")),  # two schemes cannot be compared
        (samples.match(), samples.match(harmless, hashset="other")),  # unless one calls it ignorable
        (samples.match(),),
        (samples.match(),),
    )
    when = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
    third, fourth = (samples.record(number).examination.digests for number in (3, 4))
    assert third is not None
    assert fourth is not None
    writer.decide(third.sha256, Decision("A. Examiner", when, samples.CATEGORY_C))
    writer.decide(fourth.sha256, Decision("A. Examiner", when, samples.CATEGORY_C))
    writer.decide(fourth.sha256, Decision("A. Examiner", when, samples.CATEGORY_A))  # the last one counts
    with pytest.raises(CaseError, match="nothing was graded"):
        writer.decide(b"\0" * 32, Decision("A. Examiner", when, samples.CATEGORY_A))
    with open_case(writer.folder) as view:
        found = [(row.kind, row.path[-5]) for row in view.contradictions()]
        decisions = {row.path[-5]: row.decision for row in view.matches()}
        details = [row.detail for row in view.contradictions()]
    assert found == [("sets", "0"), ("sets", "2"), ("examiner", "3")]
    assert details[2] == "graded Category C (uk) by A. Examiner, listed as Category A (uk, unit-set)"
    assert decisions["0"] is None
    assert decisions["4"] == Decision("A. Examiner", when, samples.CATEGORY_A)


@pytest.mark.parametrize("opening", [open_case, open_case_for_writing])
def test_a_case_of_an_earlier_development_version_is_refused_and_left_as_it_is(
    tmp_path: Path, opening: Callable[[Path], object]
) -> None:
    folder = tmp_path / "case"
    create_case(folder, CaseHeader("R")).close()
    with closing(sqlite3.connect(folder / "case.db")) as database:
        database.execute(f"PRAGMA user_version = {OLDEST_SCHEMA - 1}")
        database.commit()
    before = (folder / "case.db").read_bytes()
    with pytest.raises(CaseError, match=r"earlier development version.*scan the exhibits into a new case"):
        opening(folder)
    assert (folder / "case.db").read_bytes() == before
