"""``caid-triage review`` as a user runs it: its address, how it ends, and that the case has the grades then."""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner
from unit.case import samples
from unit.report import exhibits

from caid_triage.case.audit import REVIEW_BEGAN, REVIEW_ENDED, content_head
from caid_triage.case.journal import Journal
from caid_triage.case.lock import CaseLock
from caid_triage.case.store import open_case_for_writing
from caid_triage.case.view import open_case
from caid_triage.cli import review as command
from caid_triage.cli.interrupts import interruptible
from caid_triage.cli.main import program
from caid_triage.hashset.schemes import load_scheme
from caid_triage.report.verify import verify_case
from caid_triage.review import serving

SET = {**samples.NOTABLE, "scheme_file": load_scheme("uk").as_dict()}


@pytest.fixture
def case(tmp_path: Path) -> Path:
    return exhibits.make_case(tmp_path / "case", exhibits.busy_items(), hashsets=[SET])


class Running:
    """A review that runs, and a browser's side of it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        self.line = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)(/enter\?token=\S+)", self.line)
        assert found is not None, self.line
        self.port, self._entrance = int(found[1]), found[2]
        self._cookie = self._secret = ""

    def ask(self, path: str, body: object = None) -> tuple[int, bytes, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"cookie": self._cookie}
        if body is not None:
            own = {"origin": f"http://127.0.0.1:{self.port}", "content-type": "application/json"}
            headers |= {**own, "x-caid-triage": self._secret}
        connection.request(
            "GET" if body is None else "POST", path, json.dumps(body) if body is not None else None, headers
        )
        answer = connection.getresponse()
        given = answer.status, answer.read(), answer.headers
        connection.close()
        return given

    def enter(self) -> None:
        status, _, headers = self.ask(self._entrance)
        assert status == 303
        self._cookie = headers["set-cookie"].partition(";")[0]
        _, page, _ = self.ask("/")
        self._secret = re.search(rb'data-secret="([^"]+)"', page)[1].decode()

    def json(self, path: str, body: object = None) -> Any:
        status, answer, _ = self.ask(path, body)
        assert status == 200, answer
        return json.loads(answer)


@contextmanager
def review(*words: object, cwd: Path, **env: str) -> Iterator[Running]:
    command = [sys.executable, "-P", "-m", "caid_triage", "review", *map(str, words)]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, text=True, cwd=cwd, env={**os.environ, **env}, **pipes)  # type: ignore[call-overload]
    try:
        yield Running(process)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def grades(case: Path) -> list[tuple[str, str]]:
    """Of every exact match in the case the examiner and the category of its decision, where it has one."""
    with open_case(case) as view:
        rows = [row.decision for row in view.matches() if row.decision is not None]
    return [(decision.examiner, decision.category.label) for decision in rows]


def test_a_session_is_ended_in_the_page_and_its_grades_are_in_the_case(case: Path, tmp_path: Path) -> None:
    with review("--case", case, "--examiner", "DC Larch", cwd=tmp_path) as running:
        running.enter()
        start = running.json("/api/start")
        assert start["case"].startswith("OP/7 Larch")
        known = running.json("/api/items?queue=known")["items"]
        assert len(known) == next(queue["items"] for queue in start["queues"] if queue["name"] == "known")
        copied = next(item for item in known if item["copies"] == 2)
        told = running.json("/api/grade", {"id": copied["id"], "code": "2"})["item"]
        assert told["mine"]["label"] == "code 2 (scheme uk not confirmed)"
        running.json("/api/end", {})
        out, err = running.process.communicate(timeout=60)
    assert running.process.returncode == 0
    assert "every grade is stored" in out
    assert err == ""
    assert grades(case) == [("DC Larch", "code 2 (scheme uk not confirmed)")] * 2


def test_ctrl_c_ends_it_cleanly_and_keeps_what_was_graded(case: Path, tmp_path: Path) -> None:
    with review("--case", case, "--examiner", "DC Larch", cwd=tmp_path) as running:
        running.enter()
        item = running.json("/api/items?queue=near")["items"][0]
        running.json("/api/grade", {"id": item["id"], "code": "not-notable"})
        running.process.send_signal(signal.SIGINT)
        _, err = running.process.communicate(timeout=60)
    assert running.process.returncode == 130
    assert err.count("\n") == 1
    assert err.startswith("caid-triage: interrupted")
    assert ("DC Larch", "Not notable") in grades(case)


def test_a_kill_loses_no_grade(case: Path, tmp_path: Path) -> None:
    with review("--case", case, "--examiner", "DC Larch", cwd=tmp_path) as running:
        running.enter()
        item = running.json("/api/items?queue=known")["items"][0]
        running.json("/api/grade", {"id": item["id"], "code": "1"})
        running.process.kill()
        running.process.communicate(timeout=60)
    with review("--case", case, "--examiner", "DC Larch", cwd=tmp_path) as again:
        again.enter()
        assert again.json(f"/api/item?id={item['id']}")["item"]["mine"]["code"] == "1"
        again.json("/api/end", {})
        again.process.communicate(timeout=60)
    assert ("DC Larch", "code 1 (scheme uk not confirmed)") in grades(case)


def test_a_grade_is_kept_while_another_process_writes_to_the_case(case: Path, tmp_path: Path) -> None:
    lock = CaseLock(case)
    with review("--case", case, "--examiner", "DC Larch", cwd=tmp_path) as running:
        running.enter()
        assert running.json("/api/start")["scanning"] is True
        item = running.json("/api/items?queue=known")["items"][0]
        running.json("/api/grade", {"id": item["id"], "code": "1"})
        lock.release()
        assert running.json("/api/figures")["scanning"] is False
        running.json("/api/end", {})
        running.process.communicate(timeout=60)
    assert ("DC Larch", "code 1 (scheme uk not confirmed)") in grades(case)


def sessions(case: Path) -> list[dict[str, Any]]:
    """What the audit trail says of sessions."""
    lines = map(json.loads, (case / "audit.jsonl").read_bytes().splitlines())
    return [line for line in lines if str(line["action"]).startswith("review-")]


def test_who_looked_is_on_record_also_where_nothing_was_graded(case: Path, tmp_path: Path) -> None:
    with review("--case", case, "--examiner", "DS Elm", cwd=tmp_path) as running:
        assert [json.loads(line)["action"] for line in (case / "decisions.jsonl").read_bytes().splitlines()] == [
            "review-began"
        ]
        running.enter()
        known = running.json("/api/items?queue=known")["items"]
        assert running.json("/api/revealed", {"ids": [known[0]["id"], known[1]["id"]]}) == {"revealed": 2}
        assert running.json("/api/revealed", {"ids": [known[0]["id"]]}) == {"revealed": 2}
        for wrong in ({"ids": known[0]["id"]}, {"ids": [1]}, {"ids": ["987654321"]}, {"ids": ["x"]}, {}):
            assert running.ask("/api/revealed", wrong)[0] == 400
        running.json("/api/end", {})
        running.process.communicate(timeout=60)
    began, ended = sessions(case)
    assert (began["action"], ended["action"]) == ("review-began", "review-ended")
    assert began["examiner"] == ended["examiner"] == "DS Elm"
    assert ended["of"] == began["act"]
    assert began["at"] < ended["at"] < ended["time"]
    figures = {name: ended[name] for name in ("shown", "revealed", "graded", "taken_back", "noted", "minutes")}
    assert figures == {"shown": 0, "revealed": 2, "graded": 0, "taken_back": 0, "noted": 0, "minutes": 0}
    known_facts = {"act", "action", "at", "digest", "examiner", "previous", "sequence", "time"}
    assert set(began) == known_facts
    assert set(ended) == known_facts | {"of", *figures}  # no hash of a content and no path
    assert verify_case(case) == []
    assert content_head(case).sequence < began["sequence"]  # a report printed again says the same
    assert grades(case) == []


def test_a_session_counts_what_was_done_and_one_that_was_killed_has_no_end(case: Path, tmp_path: Path) -> None:
    with review("--case", case, "--examiner", "DC Larch", cwd=tmp_path) as running:
        running.enter()
        item = running.json("/api/items?queue=known")["items"][0]
        for code in ("1", "2"):
            running.json("/api/grade", {"id": item["id"], "code": code})
        running.json("/api/undo", {})
        running.json("/api/note", {"id": item["id"], "note": "x"})
        running.process.send_signal(signal.SIGINT)
        running.process.communicate(timeout=60)
    assert running.process.returncode == 130
    ended = sessions(case)[-1]
    assert [ended[name] for name in ("graded", "taken_back", "noted", "revealed")] == [2, 1, 1, 0]
    with review("--case", case, "--examiner", "DC Larch", cwd=tmp_path) as again:
        again.process.kill()
        again.process.communicate(timeout=60)
    with open_case_for_writing(case) as writer:
        writer.audit("scan-began")
    assert [line["action"] for line in sessions(case)] == ["review-began", "review-ended", "review-began"]


@pytest.mark.parametrize("moment", ["at its beginning", "with the address", "at its end"])
def test_a_session_has_an_end_whenever_it_is_interrupted(
    case: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Between its beginning and the server, and once it was ended in the page, Ctrl+C left a session without an end."""
    append = Journal.append
    figures = dict.fromkeys(("shown", "revealed", "graded", "taken_back", "noted", "minutes"), 0)
    page = SimpleNamespace(guard=SimpleNamespace(address="http://"), tally=SimpleNamespace(figures=lambda: figures))
    ends_at_once = SimpleNamespace(review=page, run=lambda: None)

    def signalled(self: Journal, action: str, *given: Any, **facts: Any) -> Any:
        if action == REVIEW_ENDED and moment == "at its end":
            signal.raise_signal(signal.SIGINT)
        acts = append(self, action, *given, **facts)
        if action == REVIEW_BEGAN and moment == "at its beginning":
            signal.raise_signal(signal.SIGINT)
        return acts

    def said(*_: object) -> None:
        if moment == "with the address":
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Journal, "append", signalled)
    monkeypatch.setattr(serving, "Serving", lambda *_: ends_at_once)
    monkeypatch.setattr(command, "say", said)
    words = ["--case", str(case), "--examiner", "DC Larch"]
    with interruptible(), pytest.raises(click.Abort):
        command.review.main(words, standalone_mode=False)
    with open_case_for_writing(case) as writer:
        writer.take_journal()
    assert [line["action"] for line in sessions(case)] == ["review-began", "review-ended"]
    assert verify_case(case) == []


def test_nobody_looks_where_it_cannot_be_put_on_record(case: Path) -> None:
    (case / "decisions.jsonl").mkdir()
    code, said = refused("--case", case, "--examiner", "DC Larch")
    assert code == 6
    assert "http" not in said


def test_nothing_that_was_asked_is_written_anywhere(case: Path, tmp_path: Path) -> None:
    with review("--case", case, "--examiner", "DC Larch", cwd=tmp_path) as running:
        running.enter()
        running.json("/api/items?queue=new&text=secretword")
        assert running.ask("/secretword")[0] == 404
        running.json("/api/end", {})
        out, err = running.process.communicate(timeout=60)
    assert "secretword" not in out + err
    assert [path for path in tmp_path.rglob("*") if path.is_file() and b"secretword" in path.read_bytes()] == []


def test_it_listens_on_this_machine_alone(case: Path, tmp_path: Path) -> None:
    table = Path("/proc/net/tcp")
    if not table.exists():
        pytest.skip("this system has no /proc/net/tcp")
    with review("--case", case, "--examiner", "DC Larch", cwd=tmp_path) as running:
        listening = [line.split()[1] for line in table.read_text().splitlines()[1:] if line.split()[3] == "0A"]
        assert [place for place in listening if place.endswith(f":{running.port:04X}")] == [
            f"0100007F:{running.port:04X}"
        ]
        six = Path("/proc/net/tcp6")
        assert not six.exists() or f":{running.port:04X} " not in six.read_text()


def refused(*words: object) -> tuple[int, str]:
    """The exit code and what is said of a review that does not begin."""
    result = CliRunner().invoke(program, ["review", *map(str, words)], env={"CAID_TRIAGE_EXAMINER": None})
    return result.exit_code, result.output


def test_a_grade_needs_a_name(case: Path) -> None:
    for words in ([], ["--examiner", " "]):
        code, said = refused("--case", case, *words)
        assert code == 2
        assert "--examiner" in said


def test_a_port_that_is_taken_and_a_case_that_is_none_are_said(case: Path, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        code, said = refused("--case", case, "--examiner", "DS Elm", "--port", other.getsockname()[1])
    assert code == 2
    assert "--port" in said
    assert refused("--case", tmp_path / "nothing", "--examiner", "DC Larch")[0] == 6


def test_without_the_extra_it_says_what_to_install(case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *more: (name != "starlette" and find(name, *more)) or None
    )
    code, said = refused("--case", case, "--examiner", "DC Larch")
    assert code == 2
    assert "pip install 'caid-triage[review]'" in said
