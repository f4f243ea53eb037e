"""The journal of a review: a kill at any moment loses no acknowledged act and doubles none; a change is found."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from unit.review.test_desk import ME, YOU, A, B, ids, small_case

from caid_triage.case.audit import AuditChain
from caid_triage.case.digests import DigestTable
from caid_triage.case.journal import Journal, facts_of
from caid_triage.case.store import CaseWriter, open_case_for_writing
from caid_triage.case.view import open_case
from caid_triage.errors import CaseError
from caid_triage.report.verify import check_whole_case, verify_case
from caid_triage.review.desk import ReviewDesk

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a process is forked and killed as POSIX does it")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_case(tmp_path_factory.mktemp("whole") / "case")


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "case"))


def killed(*_arguments: object, **_options: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def dies_before(monkeypatch: pytest.MonkeyPatch, owner: object, name: str, turn: int) -> None:
    """The process is killed when it calls this for the ``turn``-th time."""
    real: Callable[..., object] = getattr(owner, name)
    calls = Counter[str]()

    def call(*arguments: object, **options: object) -> object:
        calls[name] += 1
        if calls[name] == turn:
            killed()
        return real(*arguments, **options)

    monkeypatch.setattr(owner, name, call)


def in_a_child(work: Callable[[Callable[[], None]], None]) -> tuple[int, int]:
    """Run work in another process; how many acts it acknowledged, and how it ended."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(read)
            work(lambda: os.write(write, b".") and None)
            os._exit(0)
        finally:
            os._exit(1)
    os.close(write)
    with open(read, "rb") as pipe:  # noqa: PTH123 - a descriptor
        acknowledged = len(pipe.read())
    return acknowledged, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def review(folder: Path, acknowledge: Callable[[], None]) -> None:
    """Seven acts of two examiners, taken into the case three times."""
    desk = ReviewDesk(folder)
    new = ids(desk, "new")
    for number in range(3):
        desk.decide(new, (A, B)[number % 2], ME, f"act {number}")
        acknowledge()
        if number:
            desk.undo(ME)
            acknowledge()
        else:
            desk.remark(new[:1], "look again", YOU)
            acknowledge()
        desk.settle()
    desk.decide(new[:1], B, YOU)
    acknowledge()
    desk.close()


EXPECTED = ["decided", "remarked", "decided", "withdrawn", "decided", "withdrawn", "decided"]


def check(folder: Path, acknowledged: int) -> int:
    """Everything acknowledged is there once, in its order, wherever one looks; how many acts there are."""
    with ReviewDesk(folder) as desk:
        seen = len(desk.item(ids(desk, "new")[0]).grades)
    with open_case_for_writing(folder) as case:
        case.audit("scan-began")  # any command: it puts on record that the one before was killed
    with closing(sqlite3.connect(folder / "case.db")) as database:
        acts = database.execute("SELECT id, action, decisions FROM review_act ORDER BY id").fetchall()
        decisions = database.execute("SELECT count(*) FROM decision").fetchone()[0]
        withdrawn = database.execute("SELECT count(*) FROM withdrawal").fetchone()[0]
    assert [number for number, _, _ in acts] == list(range(1, len(acts) + 1))
    assert [action for _, action, _ in acts] == EXPECTED[: len(acts)]
    assert acknowledged <= len(acts) <= acknowledged + 1  # the one that was under way
    assert decisions == sum(count for _, _, count in acts)
    assert withdrawn == 2 * EXPECTED[: len(acts)].count("withdrawn")
    assert seen == (0 if not acts else 1 + (len(acts) == 7))
    lines = [json.loads(line) for line in (folder / "audit.jsonl").read_bytes().splitlines()]
    assert [line["act"] for line in lines if "act" in line] == list(range(1, len(acts) + 1))
    assert verify_case(folder) == []
    return len(acts)


MOMENTS = [
    (os, "fsync", range(1, 14, 2)),
    (Journal, "append", (1, 4, 7)),
    (Journal, "read_on", (2, 5)),
    (CaseWriter, "take_journal", (1, 2)),
    (DigestTable, "settle", (1, 2, 4)),
    (CaseWriter, "_audit_acts", (1, 2, 3)),
    (AuditChain, "_put", (1, 2, 3, 4)),
    (AuditChain, "_note", (1, 2, 3)),
    (AuditChain, "append_closed", (1, 2)),
]


@pytest.mark.parametrize(
    ("owner", "name", "turn"),
    [(owner, name, turn) for owner, name, turns in MOMENTS for turn in turns],
    ids=lambda value: str(getattr(value, "__name__", value)),
)
def test_a_kill_at_any_moment_loses_no_act_and_doubles_none(
    folder: Path, monkeypatch: pytest.MonkeyPatch, owner: object, name: str, turn: int
) -> None:
    with monkeypatch.context() as patched:
        dies_before(patched, owner, name, turn)
        acknowledged, ended = in_a_child(lambda acknowledge: review(folder, acknowledge))
    assert ended == -signal.SIGKILL
    before = [one.name for one in folder.iterdir()]
    with ReviewDesk(folder) as desk:  # seen at once, whoever has taken it in or not
        assert ("decisions.jsonl" in before) or acknowledged == 0
        assert bool(desk.item(ids(desk, "new")[0]).grades) == bool((folder / "decisions.jsonl").exists())
    check(folder, acknowledged)


def test_without_a_kill_everything_is_there_once(folder: Path) -> None:
    acknowledged, ended = in_a_child(lambda acknowledge: review(folder, acknowledge))
    assert (acknowledged, ended) == (7, 0)
    assert check(folder, 7) == 7


def test_a_line_that_a_kill_tore_is_dropped_and_said(folder: Path) -> None:
    with ReviewDesk(folder) as desk:
        new = ids(desk, "new")
        desk.decide(new, A, ME)
        with (folder / "decisions.jsonl").open("ab") as file:
            file.write(b'{"action":"decided","contents":["00')
        desk.decide(new[:1], B, YOU)
        assert [grade.category for grade in desk.item(new[0]).grades] == [A, B]
    last = json.loads((folder / "decisions.jsonl").read_bytes().splitlines()[-1])
    assert (last["sequence"], last["torn_bytes"]) == (2, 35)
    assert verify_case(folder) == []


def test_a_full_disk_keeps_the_journal_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with ReviewDesk(folder) as desk:
        new = ids(desk, "new")
        desk.decide(new, A, ME)
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", full)
            with pytest.raises(CaseError, match="no space is left"):
                desk.decide(new, B, ME)
        assert desk.item(new[0]).decision.category == A
        desk.decide(new[:1], B, YOU)
    assert verify_case(folder) == []


def test_a_journal_that_was_changed_is_named_and_never_taken_in(folder: Path) -> None:
    with ReviewDesk(folder) as desk:
        desk.decide(ids(desk, "new"), A, ME)
    path = folder / "decisions.jsonl"
    Journal(folder).read_on()
    with open_case_for_writing(folder) as case, ReviewDesk(folder) as desk:
        case.audit("scan-began")
        desk.decide(ids(desk, "new"), B, ME)
    whole = path.read_bytes()
    with ReviewDesk(folder) as desk:
        desk.decide(ids(desk, "new")[:1], A, YOU)
        path.write_bytes(path.read_bytes()[:-200] + b"x" + path.read_bytes()[-199:])
        with pytest.raises(CaseError, match="not as it was written"):
            ReviewDesk(folder)
        with open_case_for_writing(folder) as case:
            case.audit("scan-began")
    faults = [str(fault) for fault in verify_case(folder)]
    assert any(fault.startswith("decisions.jsonl line 3: was changed") for fault in faults)
    assert any("records that decisions.jsonl was changed" in fault for fault in faults)
    path.write_bytes(whole[: whole.index(b"\n") + 1])
    assert any("the case knows of 2: lines were removed" in str(fault) for fault in verify_case(folder))
    with open_case(folder) as view:
        assert [row.category_code for row in view.graded()] == ["2"]


def test_acts_that_wait_are_a_note_and_no_fault(folder: Path) -> None:
    with ReviewDesk(folder) as desk:
        (new, *_) = ids(desk, "new")
        Journal(folder).append("decided", ME, **facts_of([desk.item(new).sha256], A, ""))
        check = check_whole_case(folder)
    assert check.faults == []
    assert any("1 acts of examiners are in decisions.jsonl" in note for note in check.notes)


def looked(folder: Path, acknowledge: Callable[[], None]) -> None:
    """Somebody looks, and grades nothing."""
    desk = ReviewDesk(folder)
    began = desk.begin_session(ME)
    acknowledge()
    desk.end_session(ME, began, {"shown": 3, "revealed": 2, "minutes": 1})
    acknowledge()
    desk.close()


@pytest.mark.parametrize(
    ("owner", "name", "turn"),
    [
        (CaseWriter, "take_journal", 1),
        (CaseWriter, "_audit_acts", 1),
        (AuditChain, "_put", 1),
        (AuditChain, "_note", 2),
    ],
)
def test_a_session_is_on_record_once_with_its_figures_whatever_is_killed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, owner: object, name: str, turn: int
) -> None:
    with monkeypatch.context() as patched:
        dies_before(patched, owner, name, turn)
        acknowledged, ended = in_a_child(lambda acknowledge: looked(folder, acknowledge))
    assert (acknowledged, ended) == (2, -signal.SIGKILL)
    with open_case_for_writing(folder) as case:
        case.audit("scan-began")
    lines = [json.loads(line) for line in (folder / "audit.jsonl").read_bytes().splitlines()]
    began, end = (line for line in lines if "act" in line)
    assert (began["action"], end["action"], end["of"]) == ("review-began", "review-ended", began["act"])
    assert (end["shown"], end["revealed"], end["minutes"]) == (3, 2, 1)
    assert verify_case(folder) == []
