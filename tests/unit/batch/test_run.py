"""The batch with a stand-in for the scan: order, limits, retries, stopping, resuming, what is put on record."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from caid_triage.batch import run as run_module
from caid_triage.batch.budget import Budget
from caid_triage.batch.child import Ending, opened, scan_words
from caid_triage.batch.figures import CaseFigures
from caid_triage.batch.journal import Journal, State
from caid_triage.batch.notify import Notifier
from caid_triage.batch.progress import BatchProgress, Happened
from caid_triage.batch.queue import Exhibit, Fault, Notify, Queue
from caid_triage.batch.run import Batch, Outcome, exit_code_of
from caid_triage.batch.watch import Watcher, WatchWords
from caid_triage.case.lock import CaseLock
from caid_triage.case.rows import CaseHeader
from caid_triage.case.store import create_case
from caid_triage.config import ClusterOptions
from caid_triage.errors import CaseError

FAKE = (sys.executable, "-P", str(Path(__file__).parents[2] / "support" / "fake_scan.py"))
BUDGET = Budget(at_once=2, cores=2, memory=10**12)
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends signals")


class Night:
    """A folder with exhibits that do what they are told, and batches over them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.events: list[Happened] = []
        self.exhibits: list[Exhibit] = []
        self.told: list[BatchProgress] = []

    def add(self, reference: str, does: str, **more: Any) -> Exhibit:
        source = self.folder / f"{reference}.dd"
        source.write_text(does)
        made = Exhibit(reference, (source,), self.folder / "cases" / reference, **more)
        self.exhibits = [one for one in self.exhibits if one.reference != reference] + [made]
        return made

    def batch(
        self,
        journal: Journal,
        budget: Budget = BUDGET,
        watcher: Watcher | None = None,
        *,
        problems_again: bool = False,
        **more: Any,
    ) -> Batch:
        made = Queue(self.folder / "queue.toml", self.folder / "cases", tuple(self.exhibits), **more)
        begin = partial(opened, program=FAKE)
        until = None if watcher is None else time.monotonic() + 3
        with Notifier(Notify()) as notifier:
            return Batch(
                made, {}, budget, journal, notifier, lambda progress: None, self.events.append, watcher, until, begin,
                problems_again=problems_again,
            )  # fmt: skip

    def run(self, budget: Budget = BUDGET, **more: Any) -> tuple[Outcome, Mapping[str, State], int]:
        with Journal(self.folder / "cases") as journal:
            work = self.batch(journal, budget, **more)
            outcome = work.run()
            records = journal.known.records
            code = exit_code_of(outcome, work.exhibits, records, ())
            return outcome, {name: record.state for name, record in records.items()}, code

    def runs(self) -> list[dict[str, Any]]:
        path = self.folder / "cases" / "runs.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def began(self) -> list[str]:
        return [line["exhibit"] for line in self.runs() if "at" in line]

    def said(self, event: str) -> list[str]:
        return [one.reference for one in self.events if one.event == event]


@pytest.fixture
def night(tmp_path: Path) -> Night:
    return Night(tmp_path)


def most_at_once(runs: Sequence[Mapping[str, Any]]) -> int:
    moments = sorted(
        [(line["at"], 1) for line in runs if "at" in line] + [(line["ended"], -1) for line in runs if "ended" in line]
    )
    now = most = 0
    for _, change in moments:
        now += change
        most = max(most, now)
    return most


def test_by_priority_then_as_they_stand_in_the_file_and_no_more_at_once_than_allowed(night: Night) -> None:
    for reference, priority in [("a", 5), ("b", 9), ("c", 1), ("d", 5)]:
        night.add(reference, "slow 0.1", priority=priority)
    outcome, states, code = night.run(replace(BUDGET, at_once=1))
    assert night.began() == ["c", "a", "d", "b"]
    assert most_at_once(night.runs()) == 1
    assert set(states.values()) == {State.DONE}
    assert (outcome.interrupted, code) == (False, 0)


def test_two_at_once_share_the_cores_and_the_last_gets_all(night: Night) -> None:
    for reference in "abc":
        night.add(reference, "slow 0.4")
    night.run()
    assert most_at_once(night.runs()) == 2
    workers = [one.facts["workers"] for one in night.events if one.event == "exhibit-began"]
    assert workers[:2] == [1, 1]  # the third gets two where both have ended by then
    night.add("d", "code 0")
    night.run()
    assert [one.facts["workers"] for one in night.events if one.event == "exhibit-began"][-1] == 2


def test_a_failed_exhibit_stops_nothing_and_the_worst_exit_code_counts(night: Night) -> None:
    for reference, does in [("a", "code 4"), ("b", "code 0"), ("c", "code 6"), ("d", "code 3"), ("e", "code 0")]:
        night.add(reference, does)
    _, states, code = night.run()
    assert states == {"a": "failed", "b": "done", "c": "failed", "d": "done, with problems", "e": "done"}
    assert code == 6
    with Journal(night.folder / "cases") as journal:
        assert journal.known.records["a"].sentences == ("it went wrong",)  # and nothing of what a library said


def test_a_second_run_skips_what_is_done_and_tries_again_what_failed(night: Night) -> None:
    for reference, does in [("a", "code 0"), ("b", "code 3"), ("c", "code 4")]:
        night.add(reference, does)
    night.run()
    (night.folder / "c.dd").write_text("code 0")
    outcome, states, code = night.run()
    assert outcome.skipped == ["a", "b"]
    assert night.said("exhibit-skipped") == ["a", "b"]
    assert sorted(night.began()) == ["a", "b", "c", "c"]
    assert (states["c"], code) == (State.DONE, 3)


def test_what_is_queued_otherwise_or_has_lost_its_case_is_done_again(night: Night) -> None:
    night.add("a", "code 0")
    night.add("b", "code 0")
    night.add("c", "code 0", priority=9)
    night.run()
    night.add("a", "code 0", profile="full")
    (night.folder / "cases" / "b" / "case.db").unlink()
    night.add("c", "code 0", priority=1)  # of its turn no result depends
    outcome, _, _ = night.run()
    assert outcome.skipped == ["c"]
    assert sorted(night.began()[3:]) == ["a", "b"]


@pytest.mark.parametrize("does", ["kill", "bug"])
def test_a_scan_that_dies_is_resumed_once_then_reported(night: Night, does: str) -> None:
    night.add("a", does)
    night.add("b", "code 0")
    _, states, code = night.run()
    assert night.began().count("a") == 2
    assert states == {"a": "failed", "b": "done"}
    assert code == 1
    with Journal(night.folder / "cases") as journal:
        record = journal.known.records["a"]
    assert record.tries == 2
    assert ("SIGKILL" in record.sentences[0]) == (does == "kill")


def test_a_scan_that_died_once_is_done_by_the_second_try(night: Night) -> None:
    night.add("a", "kill once")
    _, states, code = night.run()
    assert (states, code, night.began()) == ({"a": "done"}, 0, ["a", "a"])
    assert night.said("exhibit-died") == ["a"]


def test_a_scan_that_hangs_costs_itself_alone(night: Night) -> None:
    night.add("a", "hang")
    night.add("b", "slow 0.2")
    began = time.monotonic()
    _, states, code = night.run(replace(BUDGET, silence=1))
    assert time.monotonic() - began < 20
    assert states == {"a": "failed", "b": "done"}
    assert code == 1
    with Journal(night.folder / "cases") as journal:
        assert "did not say anything for too long" in journal.known.records["a"].sentences[0]


def interrupt_soon(night: Night, count: int) -> threading.Thread:
    """Press Ctrl+C as soon as so many scans run."""

    def press() -> None:
        until = time.monotonic() + 20
        while len(night.began()) < count and time.monotonic() < until:
            time.sleep(0.02)
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    return thread


def test_ctrl_c_asks_every_scan_to_end_and_the_next_run_goes_on(night: Night) -> None:
    for reference in "abc":
        night.add(reference, "slow 30")
    thread = interrupt_soon(night, 2)
    began = time.monotonic()
    outcome, states, code = night.run()
    thread.join()
    assert time.monotonic() - began < 15
    assert (outcome.interrupted, code) == (True, 130)
    assert states == {"a": "stopped", "b": "stopped", "c": "waiting"}
    for reference in "abc":
        (night.folder / f"{reference}.dd").write_text("code 0")
    _, states, code = night.run()
    assert (set(states.values()), code) == ({State.DONE}, 0)


def test_a_scan_that_does_not_end_when_it_is_asked_is_ended(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "PATIENCE", 0.5)
    night.add("a", "deaf 60")
    thread = interrupt_soon(night, 1)
    _, states, code = night.run()
    thread.join()
    assert (states, code) == ({"a": "stopped"}, 130)


def test_an_exhibit_that_a_killed_batch_left_in_work_is_done_again(night: Night) -> None:
    made = night.add("a", "code 0")
    with Journal(night.folder / "cases") as journal:
        journal.tell("queued", "a", definition=made.definition({}), case="a")
        journal.tell("began", "a", workers=1)
    _, states, _ = night.run()
    assert states == {"a": "done"}


def test_a_case_that_a_killed_batch_s_scan_still_closes_is_waited_for_and_the_others_go_first(night: Night) -> None:
    made = night.add("a", "code 0", priority=1)
    with Journal(night.folder / "cases") as journal:
        journal.tell("queued", "a", definition=made.definition({}), case="a")
        journal.tell("began", "a", workers=1)
    night.add("b", "slow 0.3")
    (night.folder / "cases" / "a").mkdir(parents=True)
    lock = CaseLock(night.folder / "cases" / "a")
    threading.Timer(1.0, lock.release).start()
    _, states, _ = night.run(replace(BUDGET, at_once=1))
    assert night.began() == ["b", "a"]
    assert states == {"a": "done", "b": "done"}


def test_two_batches_do_not_work_in_one_folder(night: Night) -> None:
    with Journal(night.folder / "cases"), pytest.raises(CaseError, match="another batch is working in"):
        Journal(night.folder / "cases")


def options_of(line: Mapping[str, Any]) -> dict[str, str]:
    return dict(word[2:].partition("=")[::2] for word in line["words"] if word.startswith("--"))


def test_a_time_box_looks_at_all_first_then_does_as_the_queue_has_it(night: Night) -> None:
    night.add("a", "code 3")
    night.add("b", "slow 0.2", profile="quick")
    night.add("c", "slow 0.2", profile="full", priority=1)
    outcome, states, _ = night.run(time_box=100)
    assert night.said("exhibit-began") == ["c", "a", "b", "c", "a"]
    assert night.said("exhibit-looked") == ["c", "a"] or night.said("exhibit-looked") == ["a", "c"]
    looks = {line["exhibit"]: options_of(line) for line in reversed(night.runs()) if "at" in line}
    assert {options["profile"] for options in looks.values()} == {"quick"}
    shares = {reference: int(options["stop-after"].removesuffix("s")) for reference, options in looks.items()}
    assert all(10 <= share <= 100 for share in shares.values())
    assert 55 <= shares["c"] <= 67  # two at once, three looks: two thirds of the time at most
    last = {line["exhibit"]: options_of(line) for line in night.runs() if "at" in line}
    assert {reference: options["profile"] for reference, options in last.items()} == {
        "a": "standard", "b": "quick", "c": "full",
    }  # fmt: skip
    assert "stop-after" not in last["a"] | last["c"]
    assert states == {"a": "done, with problems", "b": "done", "c": "done"}
    assert not outcome.time_up


def test_a_time_box_that_is_over_stops_what_runs_and_is_no_failure(night: Night) -> None:
    night.add("a", "slow 30")
    night.add("b", "code 0")
    began = time.monotonic()
    outcome, states, code = night.run(replace(BUDGET, at_once=1), time_box=1)
    assert time.monotonic() - began < 15
    assert (outcome.time_up, outcome.interrupted, code) == (True, False, 3)
    assert states == {"a": "stopped", "b": "waiting"}


def test_a_first_look_that_is_done_is_not_done_again(night: Night) -> None:
    made = night.add("a", "code 0")
    with Journal(night.folder / "cases") as journal:
        journal.tell("queued", "a", definition=made.definition({}), case="a")
        journal.tell("looked", "a")
    night.run(time_box=60)
    assert ["stop-after" in options_of(line) for line in night.runs() if "at" in line] == [False]


@pytest.mark.parametrize(("begun", "looks"), [("standard", False), ("full", False), ("quick", True), ("", True)])
def test_a_case_that_was_begun_in_a_further_profile_gets_no_first_look(night: Night, begun: str, looks: bool) -> None:
    """The scan would refuse it: it goes from quick to the others and never back."""
    made = night.add("a", "code 0")
    create_case(made.case, CaseHeader("a", options={"profile": begun} if begun else {})).close()
    night.run(time_box=60)
    assert ["stop-after" in options_of(line) for line in night.runs() if "at" in line][:1] == [looks]


def test_what_comes_into_a_watched_folder_is_done_with_the_defaults(
    night: Night, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "LOOK_SECONDS", 0.1)
    arriving = tmp_path / "arriving"
    arriving.mkdir()
    night.add("a", "code 0")
    (arriving / "Z 9.dd").write_text("code 0")
    (arriving / "a.dd").write_text("code 0")  # a reference that is taken
    (arriving / "notes.txt").write_text("code 4")
    late = threading.Timer(0.5, lambda: (arriving / "late.E01").write_text("code 3"))
    late.start()
    watcher = Watcher(arriving, WatchWords(quiet=1))
    outcome, states, code = night.run(watcher=watcher, defaults={"profile": "full"})
    assert states == {"a": "done", "Z 9": "done", "late": "done, with problems"}
    assert {options_of(line)["profile"] for line in night.runs() if line["exhibit"] == "late" and "at" in line} == {
        "full"
    }
    assert len(outcome.notes) == 1
    assert "a in the watched folder was not taken in" in outcome.notes[0]
    assert code == 3


def test_notices_hold_references_and_figures_and_nothing_else(night: Night) -> None:
    night.add("a", "code 4")
    made = Queue(night.folder / "queue.toml", night.folder / "cases", tuple(night.exhibits))
    file = night.folder / "told.jsonl"
    with Journal(night.folder / "cases") as journal:
        with Notifier(Notify(file)) as notifier:
            begin = partial(opened, program=FAKE)
            Batch(made, {}, BUDGET, journal, notifier, lambda _: None, lambda _: None, begin=begin).run()
        line = json.loads(file.read_text())
    assert line == {
        "event": "exhibit-ended",
        "reference": "a",
        "state": "failed",
        "exit_code": 4,
        "seconds": line["seconds"],
    }


@pytest.mark.parametrize(
    ("code", "hung", "state", "exit_code", "died"),
    [
        (0, False, "done", 0, False),
        (3, False, "done, with problems", 3, False),
        (4, False, "failed", 4, False),
        (130, False, "stopped", 130, False),
        (1, False, "failed", 1, True),
        (-9, False, "failed", 1, True),
        (-11, False, "failed", 1, True),
        (-9, True, "failed", 1, True),
        (0, True, "failed", 1, True),
    ],
)
def test_what_an_ending_means(code: int, hung: bool, state: str, exit_code: int, died: bool) -> None:
    ending = Ending(code, hung, ())
    assert (ending.state, ending.exit_code, ending.died) == (state, exit_code, died)


def test_exit_codes_of_exhibits_that_were_left_out_count() -> None:
    faulty = [Fault("gone", 4, 1, "A", "A")]
    assert exit_code_of(Outcome(), [], {}, faulty) == 4
    assert exit_code_of(Outcome(interrupted=True), [], {}, faulty) == 130
    assert exit_code_of(Outcome(), [], {}, []) == 0


def test_the_words_of_a_scan_are_those_that_the_command_takes() -> None:
    from caid_triage.cli.scan import scan

    made = Exhibit(
        "-odd/1", (Path("/a b.dd"), Path("/c")), Path("/cases/-odd"), (Path("/s.chs"),), "full", 3, Path("/p"), True,
        "off", ("s:pdq=3",), "DC 1", "OP/7", "Larch", Path("/unit.toml"), "2026-03-02",
    )  # fmt: skip
    context = scan.make_context("scan", scan_words(made, 3)[1:])
    given = context.params
    assert given["sources"] == ("/a b.dd", "/c")
    assert (given["case_folder"], given["hashsets"]) == (Path("/cases/-odd"), (Path("/s.chs"),))
    assert (given["exhibits"], given["workers"], given["profile"]) == (("-odd/1",), 3, "full")
    assert (given["distances"], given["leads"], given["verify_source"]) == (("s:pdq=3",), "off", True)
    assert (given["password_file"], given["examiner"], given["as_json"]) == (Path("/p"), "DC 1", True)
    assert (given["case_reference"], given["operation"]) == ("OP/7", "Larch")
    assert (given["contact"], given["moments"]) == (Path("/unit.toml"), ("2026-03-02",))
    first = scan.make_context("scan", scan_words(made, 1, "quick", 90)[1:]).params
    assert (first["stops"], first["profile"], first["no_look_alikes"]) == (("90s",), "quick", True)
    assert not given["no_look_alikes"]
    assert "--no-look-alikes" not in scan_words(replace(made, profile="quick"), 1, "quick", 90)  # no other scan follows


def test_what_is_done_with_problems_is_scanned_once_more_when_that_is_asked_for(night: Night) -> None:
    for reference, does in [("a", "code 0"), ("b", "code 3")]:
        night.add(reference, does)
    night.run()
    (night.folder / "b.dd").write_text("code 0")  # the share is back
    with Journal(night.folder / "cases") as journal:
        outcome = night.batch(journal, problems_again=True).run()
        assert journal.known.records["b"].state is State.DONE
    assert outcome.skipped == ["a"]
    assert sorted(night.began()) == ["a", "b", "b"]


def test_an_image_that_has_grown_since_it_was_done_is_not_done(night: Night) -> None:
    """It was taken in, or named, while it was still being copied: its case is one of a part of it."""
    night.add("a", "code 0")
    night.add("b", "code 0")
    night.run()
    (night.folder / "b.dd").write_text("code 0" + " " * 100)
    outcome, _, _ = night.run()
    assert outcome.skipped == ["a"]
    assert (sorted(night.began()[:2]), night.began()[2:]) == (["a", "b"], ["b"])  # two at once: either writes first
    assert night.run()[0].skipped == ["a", "b"]


def test_an_image_that_grows_while_it_is_scanned_is_said(night: Night) -> None:
    night.add("a", "slow 0.5")
    timer = threading.Timer(0.3, lambda: (night.folder / "a.dd").write_text("slow 0.5" + " " * 100))
    timer.start()
    outcome, _, _ = night.run()
    timer.join()
    assert [note.split(":")[0] for note in outcome.notes] == ["a"]
    assert "has another size now than when its scan began" in outcome.notes[0]
    assert night.run()[0].skipped == []


def test_first_looks_end_before_the_box_does(night: Night) -> None:
    """Four looks, two at once: each may take half of the hour but for its start and its reports."""
    for reference in "abcd":
        night.add(reference, "slow 0.1")
    night.run(time_box=3600)
    words = [word for run in night.runs() for word in run.get("words", ())]
    limits = [int(word[13:-1]) for word in words if word.startswith("--stop-after=")]
    assert len(limits) == 4
    assert all(1750 < limit <= 1800 - run_module.LOOK_OVERHEAD for limit in limits[:2])


def test_the_words_of_a_scan_on_a_cluster_are_read_by_the_command_as_they_are_meant() -> None:
    from caid_triage.cli.scan import roots_of, scan

    cluster = ClusterOptions("tls://h:1", (("/e", "/mnt/e"), ("/n=m", "x")), "/ca", "/cert", "/key")
    made = Exhibit("A", (Path("/a"),), Path("/cases/A"), executor="dask", cluster=cluster)
    given = scan.make_context("scan", scan_words(made, 3)[1:]).params
    assert (given["executor"], given["scheduler"], given["workers"]) == ("dask", "tls://h:1", None)
    assert roots_of(given["maps"][0]) == ("/e", "/mnt/e")
    assert [given[key] for key in ("tls_ca", "tls_cert", "tls_key")] == [Path("/ca"), Path("/cert"), Path("/key")]
    local = replace(made, cluster=ClusterOptions())
    assert scan.make_context("scan", scan_words(local, 3)[1:]).params["workers"] == 3


def test_a_warning_of_a_scan_is_no_reason_why_it_failed(night: Night) -> None:
    night.add("a", "warn 4")
    night.run()
    with Journal(night.folder / "cases") as journal:
        assert journal.known.records["a"].sentences == ("it went wrong",)


@pytest.fixture(autouse=True)
def _any_database_is_a_case(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in makes a case.db without a case in it."""
    there, gone = CaseFigures(files=1), CaseFigures(fault="there is none")
    monkeypatch.setattr(run_module, "case_figures", lambda case: there if (case / "case.db").exists() else gone)


@pytest.fixture(autouse=True)
def _interrupts_as_commands_have_them() -> Iterator[None]:
    """Ctrl+C raises KeyboardInterrupt once, as under the command line."""
    from caid_triage.cli.interrupts import interruptible

    with interruptible():
        yield


@pytest.mark.parametrize("code", [2, 4])
def test_what_its_cluster_does_not_take_is_examined_by_this_machine(night: Night, code: int) -> None:
    """A scheduler that died at one o'clock made all that came after it fail."""
    lost = ClusterOptions("tcp://10.0.0.1:8786", (("/nas", "/mnt"),))
    night.add("a", f"refuse {code}", executor="dask", cluster=lost)
    night.add("b", "code 0")
    outcome, states, ended = night.run()
    assert (states, ended) == ({"a": "done", "b": "done"}, 0)
    first, again = (line["words"] for line in night.runs() if line["exhibit"] == "a" and "words" in line)
    assert "--scheduler=tcp://10.0.0.1:8786" in first
    assert not [word for word in again if word.startswith(("--executor", "--scheduler", "--map", "--tls"))]
    assert "--workers=2" in again or "--workers=1" in again  # as the budget of this machine allows
    assert outcome.notes == ["a: its cluster did not take it, so this machine examines it (it went wrong)"]
    assert night.run()[0].skipped == ["a", "b"]  # nothing is done again where the cluster is there again


def test_an_exhibit_that_fails_on_its_cluster_for_another_reason_has_failed(night: Night) -> None:
    night.add("a", "code 4", executor="dask", cluster=ClusterOptions("tcp://10.0.0.1:8786"))
    outcome, states, code = night.run()
    assert (outcome.notes, states, code) == ([], {"a": "failed"}, 4)


def test_a_refusal_is_noticed_however_close_the_scans_end(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a process was seen before its lines were heard, and its exhibit had failed."""
    listen = Batch._listen

    def late(self: Batch) -> None:
        time.sleep(1.5)
        listen(self)

    monkeypatch.setattr(Batch, "_listen", late)
    for reference in "ab":
        night.add(reference, "refuse 2", executor="dask", cluster=ClusterOptions("tcp://10.0.0.1:8786"))
    _, states, code = night.run()
    assert (set(states.values()), code) == ({State.DONE}, 0)


def test_a_scan_on_this_machine_in_place_of_the_cluster_is_resumed_once_as_any(night: Night) -> None:
    night.add("a", "refuse 7", executor="dask", cluster=ClusterOptions("tcp://10.0.0.1:8786"))
    _, states, code = night.run()
    assert (states, code) == ({"a": "done"}, 0)
    assert night.said("exhibit-died") == ["a"]
    assert [one.told for one in night.events if one.event == "exhibit-began"] == [
        "scan began", "scan began", "scan began again, where it was",
    ]  # fmt: skip


def test_an_exhibit_that_is_refused_when_the_time_is_up_is_stopped(night: Night) -> None:
    night.add("a", "linger 2", executor="dask", profile="quick", cluster=ClusterOptions("tcp://10.0.0.1:8786"))
    _, states, code = night.run(time_box=1.0)
    assert (states, code) == ({"a": "stopped"}, 3)


@pytest.mark.parametrize(("code", "asked"), [(2, ["a", "c"]), (4, ["a", "b", "c"])])
def test_a_cluster_that_refused_is_not_asked_by_each_that_follows(night: Night, code: int, asked: list[str]) -> None:
    """A worker that hangs would cost each of them ten minutes. Evidence that is not seen is about one exhibit."""
    own, other = ClusterOptions("tcp://10.0.0.1:8786"), ClusterOptions("tcp://10.0.0.2:8786")
    for reference in "ab":
        night.add(reference, f"refuse {code}", executor="dask", cluster=own)
    night.add("c", "code 0", executor="dask", cluster=other)
    _, states, ended = night.run(replace(BUDGET, at_once=1))
    assert (set(states.values()), ended) == ({State.DONE}, 0)
    on_cluster = [line["exhibit"] for line in night.runs() if any("10.0.0." in word for word in line.get("words", ()))]
    assert sorted(on_cluster) == asked
    assert Counter(night.began()) == Counter("abc") + Counter(one for one in asked if one != "c")


def test_a_cluster_on_this_machine_that_refused_says_nothing_of_exhibits_without_one(night: Night) -> None:
    night.add("a", "refuse 2", executor="dask")
    night.add("b", "slow 0.6")
    outcome, states, code = night.run(replace(BUDGET, at_once=1))
    assert (set(states.values()), code) == ({State.DONE}, 0)
    assert [note.partition(":")[0] for note in outcome.notes] == ["a"]
