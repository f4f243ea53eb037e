"""The audit chain notices every line changed, removed, moved or inserted, and survives a torn line."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from caid_triage.case.audit import canonical_json, verify_audit
from caid_triage.case.rows import CaseHeader
from caid_triage.case.store import create_case, open_case_for_writing
from caid_triage.errors import CaseError

Lines = list[bytes]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with create_case(tmp_path / "case", CaseHeader("R")) as case:
        for number in range(5):
            case.audit("step", number=number, name="é\n")
    return case.folder


def lines_of(folder: Path) -> Lines:
    return (folder / "audit.jsonl").read_bytes().splitlines()


def forged(line: bytes, previous: bytes) -> bytes:
    """A line whose own fields fit where it stands: only the lines after it can give it away."""
    fields = json.loads(line)
    fields["previous"] = hashlib.sha256(previous).hexdigest()
    fields["sequence"] = json.loads(previous)["sequence"] + 1
    return canonical_json(fields).encode()


def test_each_line_holds_the_digest_of_the_line_before_and_its_number(folder: Path) -> None:
    lines = lines_of(folder)
    assert [json.loads(line)["sequence"] for line in lines] == [1, 2, 3, 4, 5]
    assert json.loads(lines[0])["previous"] is None
    for before, line in itertools.pairwise(lines):
        assert json.loads(line)["previous"] == hashlib.sha256(before).hexdigest()
        assert canonical_json(json.loads(line)).encode() == line
    assert verify_audit(folder) == []


def test_the_chain_goes_on_in_the_next_run(folder: Path) -> None:
    with open_case_for_writing(folder) as case:
        case.audit("again")
    assert len(lines_of(folder)) == 6
    assert verify_audit(folder) == []


@pytest.mark.parametrize(
    "tamper",
    [
        lambda lines: [lines[0].replace(b'"number":0', b'"number":9'), *lines[1:]],
        lambda lines: [*lines[:2], lines[2].replace(b"step", b"stop"), *lines[3:]],
        lambda lines: [*lines[:-1], lines[-1].replace(b'"number":4', b'"number":5')],
        lambda lines: [*lines[:2], *lines[3:]],
        lambda lines: lines[1:],
        lambda lines: lines[:-1],
        lambda lines: [lines[0], lines[2], lines[1], *lines[3:]],
        lambda lines: [*lines[:2], forged(lines[2], lines[1]), *lines[2:]],
        lambda lines: [*lines, (extra := forged(lines[-1], lines[-1])), forged(lines[-1], extra)],
        lambda lines: [*lines[:2], b"not json", *lines[3:]],
        lambda lines: [*lines[:2], b"[1]", *lines[3:]],
        lambda lines: [],
    ],
    ids=[
        "changed-first",
        "changed",
        "changed-last",
        "removed",
        "removed-first",
        "removed-last",
        "moved",
        "inserted",
        "added-two",
        "no-json",
        "list",
        "emptied",
    ],
)
def test_tampering_is_noticed(folder: Path, tamper: Callable[[Lines], Lines]) -> None:
    (folder / "audit.jsonl").write_bytes(b"".join(line + b"\n" for line in tamper(lines_of(folder))))
    assert verify_audit(folder) != []


def test_a_missing_chain_is_noticed(folder: Path) -> None:
    (folder / "audit.jsonl").unlink()
    assert verify_audit(folder) == ["audit.jsonl is missing; it had 5 lines"]


def test_a_case_without_any_action_has_a_whole_chain(tmp_path: Path) -> None:
    create_case(tmp_path / "case", CaseHeader("R")).close()
    assert verify_audit(tmp_path / "case") == []


def test_a_torn_line_is_kept_in_a_recovered_line(folder: Path) -> None:
    with (folder / "audit.jsonl").open("ab") as file:
        file.write(b'{"action":"st\xff')
    assert any("torn" in fault for fault in verify_audit(folder))
    with open_case_for_writing(folder) as case:
        case.audit("next")
    *_, recovered, last = map(json.loads, lines_of(folder))
    assert (recovered["action"], recovered["torn"], recovered["torn_bytes"]) == ("recovered", '{"action":"st\\xff', 14)
    assert last["action"] == "next"
    assert verify_audit(folder) == []


def test_a_line_that_the_crash_left_unnoted_is_no_fault(folder: Path) -> None:
    lines = lines_of(folder)
    with (folder / "audit.jsonl").open("ab") as file:
        file.write(forged(lines[-1], lines[-1]) + b"\n")
    assert verify_audit(folder) == []
    with open_case_for_writing(folder) as case:
        case.audit("next")
    assert [json.loads(line)["action"] for line in lines_of(folder)] == ["step"] * 6 + ["next"]
    assert verify_audit(folder) == []


def test_going_on_after_lines_were_cut_off_does_not_hide_it(folder: Path) -> None:
    (folder / "audit.jsonl").write_bytes(b"".join(line + b"\n" for line in lines_of(folder)[:-2]))
    with open_case_for_writing(folder) as case:
        case.audit("next")
        case.audit("next")
        case.audit("next")
    assert json.loads(lines_of(folder)[3])["noted_sequence"] == 5
    assert any("outside the program" in fault for fault in verify_audit(folder))


def test_facts_cannot_take_the_place_of_the_chain_s_own_fields(folder: Path) -> None:
    with open_case_for_writing(folder) as case, pytest.raises(CaseError, match="sequence"):
        case.audit("x", sequence=1)
