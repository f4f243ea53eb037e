"""The journal: on disk before anything goes on, whole after a kill at any byte, one batch a folder."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caid_triage.batch.journal import JOURNAL, Journal, Known, State, read_journal
from caid_triage.errors import CaseError


def filled(folder: Path) -> list[bytes]:
    """The lines of a journal of two exhibits, one done and one begun."""
    with Journal(folder) as journal:
        journal.tell("queued", "A/1", definition="d1", case="A-1", priority=5, size=100)
        journal.tell("queued", "B", definition="d2", case="B", priority=1, size=7)
        journal.tell("began", "A/1", workers=1)
        journal.tell("ended", "A/1", state=State.PROBLEMS, code=3, tries=1, seconds=2.5, sentences=["x"])
        journal.tell("began", "B", workers=2)
    return (folder / JOURNAL).read_bytes().splitlines(keepends=True)


def test_what_was_told_is_known_to_the_next_run(tmp_path: Path) -> None:
    filled(tmp_path)
    with Journal(tmp_path) as journal:
        first, second = journal.known.records.values()
    assert (first.reference, first.case, first.state, first.code) == ("A/1", "A-1", "done, with problems", 3)
    assert (first.tries, first.seconds, first.sentences, first.size) == (1, 2.5, ("x",), 100)
    assert first.queued is not None
    assert first.began is not None
    assert first.ended is not None
    assert first.queued <= first.began <= first.ended
    assert first.queued.tzinfo is not None
    assert (second.state, second.ended, second.priority) == (State.IN_WORK, None, 1)


def test_cut_at_any_byte_it_knows_what_its_whole_lines_say(tmp_path: Path) -> None:
    lines = filled(tmp_path)
    content = b"".join(lines)
    path = tmp_path / JOURNAL
    for size in range(0, len(content) + 1, 3):
        path.write_bytes(content[:size])
        whole = content[:size].count(b"\n")
        known = Known()
        for line in lines[:whole]:
            known.take(json.loads(line))
        assert read_journal(tmp_path).records == known.records
        if size % 37 == 0:  # a run that goes on there adds to whole lines
            with Journal(tmp_path) as journal:
                assert journal.known.records == known.records
                journal.tell("queued", "C", definition="d", case="C")
            assert path.read_bytes().startswith(b"".join(lines[:whole]))
            assert read_journal(tmp_path).records.keys() == {*known.records, "C"}


def test_a_stopped_exhibit_keeps_when_it_began_first_and_one_queued_anew_begins_anew(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.tell("queued", "A", definition="d1", case="A")
        journal.tell("began", "A")
        first = journal.known.records["A"].began
        journal.tell("ended", "A", state=State.STOPPED, code=130)
        journal.tell("began", "A")
        assert journal.known.records["A"].began == first
        queued = journal.known.records["A"].queued
        journal.tell("queued", "A", definition="d1", case="A")
        assert journal.known.records["A"].queued == queued  # it waits since then
        journal.tell("queued", "A", definition="d2", case="A")
        record = journal.known.records["A"]
        assert (record.state, record.began, record.looked) == (State.WAITING, None, False)
        assert record.queued is not None
        assert queued is not None
        assert record.queued >= queued


def test_a_line_of_somebody_else_is_named(tmp_path: Path) -> None:
    lines = filled(tmp_path)
    (tmp_path / JOURNAL).write_bytes(b"".join([*lines[:2], b"what is this\n", *lines[2:]]))
    with pytest.raises(CaseError, match=r"line 3 of .*batch\.jsonl"):
        Journal(tmp_path)


@pytest.mark.parametrize(
    "facts",
    [{"case": 5}, {"case": "a\0b"}, {"size": "1"}, {"size": 10**400}, {"size": -1}, {"at": "2026-01-01"}, {"at": "x"}],
)
def test_a_value_of_another_kind_is_named_with_its_line(tmp_path: Path, facts: dict[str, object]) -> None:
    line = {"at": "2026-01-01T00:00:00+00:00", "event": "queued", "reference": "A", "definition": "d", "case": "A"}
    (tmp_path / JOURNAL).write_text(json.dumps(line | facts) + "\n")
    with pytest.raises(CaseError, match=r"line 1 of .*batch\.jsonl"):
        read_journal(tmp_path)


def test_brackets_without_end_are_named_with_their_line(tmp_path: Path) -> None:
    (tmp_path / JOURNAL).write_text("[" * 100_000 + "\n")
    with pytest.raises(CaseError, match=r"line 1 of .*batch\.jsonl"):
        read_journal(tmp_path)


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("x")
    (tmp_path / JOURNAL).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CaseError, match="was put there"):
        Journal(tmp_path)
    assert (tmp_path / "elsewhere").read_text() == "x"


def test_a_full_disk_is_a_case_error_and_nothing_is_known_that_is_not_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with Journal(tmp_path) as journal:
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(CaseError, match="no space"):
            journal.tell("queued", "A", definition="d", case="A")
        assert journal.known.records == {}


@settings(max_examples=60)
@given(st.lists(st.dictionaries(st.sampled_from(["event", "reference", "case", "x"]), st.text(max_size=5), max_size=4)))
def test_lines_that_are_no_events_are_passed_over(lines: list[dict[str, str]]) -> None:
    known = Known()
    for line in lines:
        if line.get("event") not in ("queued", "began", "looked", "ended"):
            known.take(line)
    assert known.records == {}
