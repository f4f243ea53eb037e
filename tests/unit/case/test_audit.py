"""The audit chain notices every line changed, removed, moved or inserted, and survives a torn line."""

from __future__ import annotations

import ast
import hashlib
import itertools
import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from support.trail import verify_audit

from caid_triage.case import audit
from caid_triage.case.audit import canonical_json, own_digest
from caid_triage.case.journal import DECIDED, REMARKED, REVIEW_BEGAN, REVIEW_ENDED, WITHDRAWN
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


def forged(line: bytes, previous: bytes, **changes: object) -> bytes:
    """A line whose own fields and digest fit where it stands: only the lines after it can give it away."""
    fields = json.loads(line) | changes
    del fields["digest"]
    fields["previous"] = hashlib.sha256(previous).hexdigest()
    fields["sequence"] = json.loads(previous)["sequence"] + 1
    return canonical_json({**fields, "digest": own_digest(fields)}).encode()


def test_each_line_holds_the_digest_of_the_line_before_and_its_number(folder: Path) -> None:
    lines = lines_of(folder)
    assert [json.loads(line)["sequence"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert json.loads(lines[-1])["action"] == "closed"
    assert json.loads(lines[0])["previous"] is None
    for before, line in itertools.pairwise(lines):
        assert json.loads(line)["previous"] == hashlib.sha256(before).hexdigest()
        assert canonical_json(json.loads(line)).encode() == line
    assert verify_audit(folder) == []


def test_the_chain_goes_on_in_the_next_run(folder: Path) -> None:
    with open_case_for_writing(folder) as case:
        case.audit("again")
    assert [json.loads(line)["action"] for line in lines_of(folder)][5:] == ["closed", "opened", "again", "closed"]
    assert verify_audit(folder) == []


TAMPERINGS: dict[str, tuple[Callable[[Lines], Lines], list[str]]] = {
    "changed first": (
        lambda lines: [lines[0].replace(b'"number":0', b'"number":9'), *lines[1:]],
        ["line 1: was changed"],
    ),
    "changed": (
        lambda lines: [*lines[:2], lines[2].replace(b"step", b"stop"), *lines[3:]],
        ["line 3: was changed"],
    ),
    "changed with its digest": (
        lambda lines: [*lines[:2], forged(lines[2], lines[1], number=9), *lines[3:]],
        ["line 4: does not follow from the line before it: that one was changed"],
    ),
    "another spelling": (
        lambda lines: [*lines[:2], lines[2].replace(b",", b", ", 1), *lines[3:]],
        ["line 3: was changed"],
    ),
    "changed last": (
        lambda lines: [*lines[:-1], lines[-1].replace(b'"size":', b'"size":1')],
        ["line 6: was changed"],
    ),
    "removed": (
        lambda lines: [*lines[:2], *lines[3:]],
        ["line 3: has the number 4 and follows one with 2: lines were removed", "line 5: is not the line"],
    ),
    "removed first": (
        lambda lines: lines[1:],
        ["line 1: has the number 2 and follows one with 0: lines were removed", "line 5: is not the line"],
    ),
    "removed last": (lambda lines: lines[:-1], [": the last line, closed, is missing: it was removed"]),
    "removed last two": (lambda lines: lines[:-2], [": ends at line 4, the case knows of 5: lines were removed"]),
    "moved": (
        lambda lines: [lines[0], lines[2], lines[1], *lines[3:]],
        ["line 2: has the number 3", "line 3: has the number 2", "line 4: has the number 4"],
    ),
    "inserted": (
        lambda lines: [*lines[:2], forged(lines[2], lines[1], number=7), *lines[2:]],
        ["line 4: has the number 3 and follows one with 3", "line 5: is not the line", ": has 7 lines"],
    ),
    "inserted as it was": (
        lambda lines: [*lines[:2], lines[2], *lines[2:]],
        ["line 4: has the number 3 and follows one with 3", "line 5: is not the line", ": has 7 lines"],
    ),
    "added": (lambda lines: [*lines, forged(lines[1], lines[-1])], [": has 7 lines, the case knows of 5"]),
    "no JSON": (lambda lines: [*lines[:2], b"not json", *lines[3:]], ["line 3: is not a JSON object"]),
    "nested": (lambda lines: [*lines[:2], b"[" * 10**5, *lines[3:]], ["line 3: is not a JSON object"]),
    "a list": (lambda lines: [*lines[:2], b"[1]", *lines[3:]], ["line 3: is not a JSON object"]),
    "no number": (
        lambda lines: [*lines[:2], lines[2].replace(b'"number":2', b'"number":NaN'), *lines[3:]],
        ["line 3: was changed"],
    ),
    "no digest": (
        lambda lines: [*lines[:2], re.sub(rb'"digest":"\w+",', b"", lines[2]), *lines[3:]],
        ["line 3: was changed"],
    ),
    "emptied": (lambda lines: [], [": is missing or empty; it had 5 lines"]),
}


@pytest.mark.parametrize("kind", TAMPERINGS)
def test_tampering_is_noticed_and_the_line_is_named(folder: Path, kind: str) -> None:
    tamper, said = TAMPERINGS[kind]
    (folder / "audit.jsonl").write_bytes(b"".join(line + b"\n" for line in tamper(lines_of(folder))))
    found = [str(fault).removeprefix("audit.jsonl").strip() for fault in verify_audit(folder)]
    assert len(found) == len(said), found
    for sentence, begin in zip(found, said, strict=True):
        assert sentence.startswith(begin)


def test_a_missing_chain_is_noticed(folder: Path) -> None:
    (folder / "audit.jsonl").unlink()
    assert list(map(str, verify_audit(folder))) == ["audit.jsonl: is missing or empty; it had 5 lines"]


def test_a_case_without_any_action_has_a_whole_chain(tmp_path: Path) -> None:
    create_case(tmp_path / "case", CaseHeader("R")).close()
    assert verify_audit(tmp_path / "case") == []


def test_a_torn_line_is_kept_in_a_recovered_line(folder: Path) -> None:
    with (folder / "audit.jsonl").open("ab") as file:
        file.write(b'{"action":"st\xff')
    assert any("torn" in fault.what for fault in verify_audit(folder))
    with open_case_for_writing(folder) as case:
        case.audit("next")
    *_, recovered, last, _ = map(json.loads, lines_of(folder))
    assert (recovered["action"], recovered["torn"], recovered["torn_bytes"]) == ("recovered", '{"action":"st\\xff', 14)
    assert last["action"] == "next"
    assert verify_audit(folder) == []


def test_a_line_that_the_crash_left_unnoted_is_no_fault(folder: Path) -> None:
    lines = lines_of(folder)
    with closing(sqlite3.connect(folder / "case.db")) as database:  # as the database was before the fifth line
        noted = hashlib.sha256(lines[3]).hexdigest()
        database.execute("UPDATE audit_head SET sequence = 4, sha256 = ?, closing = 0", (noted,))
        database.commit()
    (folder / "audit.jsonl").write_bytes(b"".join(line + b"\n" for line in lines[:5]))
    assert [fault.what.split(":")[0] for fault in verify_audit(folder)] == ["the case was not closed"]
    with open_case_for_writing(folder) as case:
        case.audit("next")
    actions = [json.loads(line)["action"] for line in lines_of(folder)]
    assert actions == ["step"] * 5 + ["not-closed", "next", "closed"]
    assert verify_audit(folder) == []


def test_going_on_after_lines_were_cut_off_does_not_hide_it(folder: Path) -> None:
    (folder / "audit.jsonl").write_bytes(b"".join(line + b"\n" for line in lines_of(folder)[:-2]))
    with open_case_for_writing(folder) as case:
        case.audit("next")
        case.audit("next")
        case.audit("next")
    assert json.loads(lines_of(folder)[4])["noted_sequence"] == 5
    assert any("outside the program" in fault.what for fault in verify_audit(folder))


def test_facts_cannot_take_the_place_of_the_chain_s_own_fields(folder: Path) -> None:
    with open_case_for_writing(folder) as case, pytest.raises(CaseError, match="sequence"):
        case.audit("x", sequence=1)


def _actions_written() -> set[str]:
    """The first argument of every call that adds a line, wherever in the program; of f"scan-{ending}" its beginning."""
    found: set[str] = set()
    package = Path(audit.__file__).parents[1]
    for path in package.rglob("*.py"):
        adding = {"audit", "append", "_write"} if path == Path(audit.__file__) else {"audit"}
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in adding):
                continue
            match node.args[:1]:
                case [ast.Constant(value=str(action))] | [ast.JoinedStr(values=[ast.Constant(value=str(action)), *_])]:
                    found.add(action)
                case [ast.Name(id=name)] if name.isupper():
                    found.add(getattr(audit, name))
    return found


def test_every_action_of_the_chain_is_in_the_document() -> None:
    document = (Path(__file__).parents[3] / "docs" / "formats" / "case-folder.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| (`[^|]+) \|", document.split("## The audit chain")[1].split("##")[0], re.MULTILINE)
    told = {action for cell in table for action in re.findall(r"`([a-z-]+)`", cell)}
    acts = {DECIDED, WITHDRAWN, REMARKED, REVIEW_BEGAN, REVIEW_ENDED}  # of a review, taken from its journal
    written = _actions_written() | acts
    assert {"command", "closed", "decided", "workers-confined", "reports-written", "scan-"} <= written
    prefixes = {action for action in written if action.endswith("-")}
    assert written - prefixes <= told
    assert {action for action in told if not action.startswith(tuple(prefixes))} <= written
