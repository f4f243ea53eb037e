"""Workers that die, hang and lie: every entry still ends as exactly one record, and only the guilty file pays."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.processes import children as all_children

from caid_triage.config import ScanOptions, WorkerLimits
from caid_triage.errors import CaidTriageError, EvidenceError
from caid_triage.model import DecodeState, FileEntry, Problem, ScanRecord, State
from caid_triage.scan import worker_process
from caid_triage.scan.answers import Answers
from caid_triage.scan.pool import examine_in_pool
from caid_triage.scan.results import Read
from caid_triage.scan.serial import examine_serially
from caid_triage.scan.workforce import Workforce

QUICK = ScanOptions(workers=2, limits=WorkerLimits(decode_seconds=4, decode_seconds_per_mb=0))
OTHERS: set[int] = set()


@pytest.fixture(autouse=True)
def what_others_have_started() -> None:
    """A database server or a browser of tests that ran in this process before: not to be counted, nor killed."""
    OTHERS.clear()
    OTHERS.update(all_children())


def children() -> list[int]:
    """The processes that a test has started."""
    return [child for child in all_children() if child not in OTHERS]


def entries(contents: list[bytes]) -> list[FileEntry]:
    return [
        FileEntry("E", "s", "p1", number, f"/{number}", b"", State.ALLOCATED, len(content))
        for number, content in enumerate(contents)
    ]


def reader(contents: list[bytes]) -> Read:
    def read(entry: FileEntry) -> Iterator[bytes]:
        content = contents[entry.number]
        for start in range(0, len(content), 1 << 20):
            yield content[start : start + (1 << 20)]

    return read


def examined(contents: list[bytes], options: ScanOptions = QUICK) -> dict[int, ScanRecord]:
    records: dict[int, ScanRecord] = {}
    for result in examine_in_pool(iter(entries(contents)), reader(contents), options):
        assert isinstance(result, ScanRecord)
        assert result.entry.number not in records, "an entry came twice"
        records[result.entry.number] = result
    return records


@pytest.fixture
def _hostile_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "WORKER_MODULE", "hostile_worker")
    known = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(Path(__file__).parent), known))))


def plain_content(number: int) -> bytes:
    return b"%d" % number * (number * 37 % 5000)


@pytest.mark.usefixtures("_hostile_worker")
@pytest.mark.parametrize(
    ("order", "code"),
    [(b"die-late", "decoder-died"), (b"hang", "decoder-hung"), (b"shout", "decoder-died")],
)
def test_a_bad_decoder_costs_one_file_its_decode(order: bytes, code: str) -> None:
    contents = [plain_content(number) for number in range(12)]
    contents[5] = order + b" and the rest of the file"
    records = examined(contents)
    assert sorted(records) == list(range(12))
    for number, record in records.items():
        assert record.examination.digests is not None
        assert record.examination.digests.sha256 == hashlib.sha256(contents[number]).digest()
        assert [problem.code for problem in record.problems] == ([code] if number == 5 else [])
    assert records[5].examination.decode_state is DecodeState.UNDECODABLE


@pytest.mark.usefixtures("_hostile_worker")
@pytest.mark.parametrize(
    ("order", "code"),
    [
        (b"load-slowly", None),  # 5 seconds where a decode may take 4: a library's time is not the file's
        (b"load-then-hang", "decoder-hung"),  # and what the file had left is what it has
        (b"load-for-ever", "decoder-hung"),
        (b"load-often", "decoder-died"),
        (b"load-unsaid", "decoder-died"),
        (b"load-twice", "decoder-died"),
    ],
)
def test_the_time_to_load_a_decoder_is_not_the_files_and_has_an_end(order: bytes, code: str | None) -> None:
    contents = [plain_content(number) for number in range(6)]
    contents[2] = order + b" and the rest of the file"
    options = replace(QUICK, limits=replace(QUICK.limits, start_seconds=8))
    records = examined(contents, options)
    assert sorted(records) == list(range(6))
    for number, record in records.items():
        assert record.examination.digests is not None
        assert record.examination.digests.md5 == hashlib.md5(contents[number]).digest()
        assert [problem.code for problem in record.problems] == ([code] if number == 2 and code else [])


@pytest.mark.skipif(not Path(f"/proc/{os.getpid()}/task").exists(), reason="finds the worker processes in /proc")
def test_workers_are_kept_for_the_next_source_and_ended_at_the_end() -> None:
    contents = [plain_content(number) for number in range(20)]
    with Workforce(QUICK.limits, 2) as workforce:
        first = children()
        for _ in range(3):
            results = examine_in_pool(iter(entries(contents)), reader(contents), QUICK, workforce=workforce)
            assert len(list(results)) == 20
            assert children() == first
    assert len(first) == 2
    assert not [child for child in first if Path(f"/proc/{child}").exists()]


@pytest.mark.skipif(not Path(f"/proc/{os.getpid()}/task").exists(), reason="finds the worker processes in /proc")
def test_a_worker_killed_between_two_sources_costs_nothing() -> None:
    contents = [plain_content(number) for number in range(20)]
    with Workforce(QUICK.limits, 2) as workforce:
        for _ in range(3):
            records = [
                result
                for result in examine_in_pool(iter(entries(contents)), reader(contents), QUICK, workforce=workforce)
                if isinstance(result, ScanRecord)
            ]
            assert len(records) == 20
            assert not [record for record in records if record.problems or not record.examination.digests]
            for child in children():
                os.kill(child, signal.SIGKILL)
    assert not children()


def test_a_scan_that_is_stopped_leaves_nothing_in_the_workforce() -> None:
    contents = [plain_content(number) for number in range(500)]
    workforce = Workforce(QUICK.limits, 2)
    results = examine_in_pool(iter(entries(contents)), reader(contents), QUICK, workforce=workforce)
    next(results)
    results.close()
    workforce.close()
    late = workforce.take()
    workforce.give_back(late)  # after the end: ended at once
    with pytest.raises(ValueError, match="closed file"):
        late.sink.write(b"")


@pytest.mark.usefixtures("_hostile_worker")
def test_a_worker_that_always_dies_before_the_digests_is_given_up_with_a_problem() -> None:
    contents = [plain_content(number) for number in range(6)]
    contents[2] = b"die-early"
    records = examined(contents)
    assert sorted(records) == list(range(6))
    assert records[2].examination.digests is None
    assert [problem.code for problem in records[2].problems] == ["digests-lost"]
    assert all(records[number].examination.digests for number in (0, 1, 3, 4, 5))


@pytest.mark.skipif(not Path(f"/proc/{os.getpid()}/task").exists(), reason="finds the worker processes in /proc")
def test_workers_killed_from_outside_change_no_result() -> None:
    contents = [plain_content(number) for number in range(150)]
    expected = {
        record.entry.number: record
        for record in examine_serially(iter(entries(contents)), reader(contents))
        if isinstance(record, ScanRecord)
    }
    done = threading.Event()
    killed = []

    def murder() -> None:
        while not done.wait(1.2) and len(killed) < 3:
            for child in children()[:1]:
                os.kill(child, signal.SIGKILL)
                killed.append(child)

    murderer = threading.Thread(target=murder)
    slow = reader(contents)

    def read(entry: FileEntry) -> Iterator[bytes]:
        time.sleep(0.05)
        yield from slow(entry)

    murderer.start()
    records = {}
    for result in examine_in_pool(iter(entries(contents)), read, QUICK):
        assert isinstance(result, ScanRecord)
        records[result.entry.number] = result
    done.set()
    murderer.join()
    assert killed, "no worker was killed: the test shows nothing"
    assert records == expected


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="stops a worker with a POSIX signal")
def test_a_stopped_worker_is_killed_at_its_deadline() -> None:
    contents = [plain_content(number) for number in range(40)]
    stopped = []

    def read(entry: FileEntry) -> Iterator[bytes]:
        if entry.number == 20 and not stopped:
            for child in children():
                os.kill(child, signal.SIGSTOP)
                stopped.append(child)
        yield contents[entry.number]

    options = replace(QUICK, limits=WorkerLimits(decode_seconds=2, chunk_seconds=2, start_seconds=30))
    records = {}
    for result in examine_in_pool(iter(entries(contents)), read, options):
        assert isinstance(result, ScanRecord)
        records[result.entry.number] = result
    assert stopped
    assert sorted(records) == list(range(40))
    for number, record in records.items():
        assert record.examination.digests is not None
        assert record.examination.digests.md5 == hashlib.md5(contents[number]).digest()


def test_a_fault_of_the_evidence_is_a_problem_of_its_file_only() -> None:
    contents = [plain_content(number) for number in range(8)]
    plain = reader(contents)

    def read(entry: FileEntry) -> Iterator[bytes]:
        if entry.number == 3:
            yield b"the first good bytes"
            raise EvidenceError("read", "read-error", "sector 7 could not be read")
        yield from plain(entry)

    for results in (
        examine_in_pool(iter(entries(contents)), read, QUICK),
        examine_serially(iter(entries(contents)), read),
    ):
        records = {result.entry.number: result for result in results if isinstance(result, ScanRecord)}
        assert sorted(records) == list(range(8))
        assert records[3].examination.digests is None
        assert records[3].examination.bytes_read == 20
        assert [problem.code for problem in records[3].problems] == ["read-error"]
        assert not records[4].problems


def test_an_error_of_ours_in_a_thread_stops_the_scan() -> None:
    def read(entry: FileEntry) -> Iterator[bytes]:
        raise ZeroDivisionError(str(entry.number))
        yield b""

    with pytest.raises(ZeroDivisionError):
        list(examine_in_pool(iter(entries([b"a"] * 5)), read, QUICK))


def test_a_worker_that_cannot_start_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "WORKER_MODULE", "caid_triage.no_such_room")
    with pytest.raises(CaidTriageError, match=r"did not start in 3 tries.*no_such_room"):
        list(examine_in_pool(iter(entries([b"a"])), reader([b"a"]), QUICK))


def test_problems_of_the_walk_pass_through() -> None:
    problem = Problem("walk", "folder-unreadable", "a folder could not be read")
    one = entries([b"a"])
    results = list(examine_in_pool(iter([one[0], problem]), reader([b"a"]), QUICK))
    assert problem in results
    assert len(results) == 2


def test_stopping_early_leaves_no_worker_behind() -> None:
    contents = [plain_content(number) for number in range(500)]
    results = examine_in_pool(iter(entries(contents)), reader(contents), QUICK)
    next(results)
    workers = children()
    assert workers
    results.close()  # type: ignore[attr-defined]
    assert not [child for child in workers if Path(f"/proc/{child}").exists()]


def test_a_worker_never_imports_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A suspect's folder may hold a file named like a module."""
    witness = tmp_path / "ran"
    for name in ("json", "numpy", "cv2", "hashlib", "struct"):
        (tmp_path / f"{name}.py").write_text(f"open({str(witness)!r}, 'w').close()\n")
    monkeypatch.chdir(tmp_path)
    assert len(examined([b"a", b"b"])) == 2
    assert not witness.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_workers_die_with_a_killed_coordinator(tmp_path: Path) -> None:
    script = tmp_path / "coordinator.py"
    script.write_text(
        "import sys, time\n"
        f"sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parents[1])]!r}\n"
        "from test_pool_faults import *\n"
        "def read(entry):\n"
        "    print('\\n'.join(map(str, children())), flush=True)\n"
        "    time.sleep(600)\n"
        "    yield b''\n"
        "list(examine_in_pool(iter(entries([b'a'])), read, ScanOptions(workers=1)))\n"
    )
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    worker = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    for _ in range(100):
        if not Path(f"/proc/{worker}").exists():
            return
        time.sleep(0.05)
    pytest.fail("the worker outlived its coordinator")


def examined_with(answers: Answers, contents: list[bytes]) -> dict[int, ScanRecord]:
    results = examine_in_pool(iter(entries(contents)), reader(contents), replace(QUICK, workers=1), answers=answers)
    return {result.entry.number: result for result in results if isinstance(result, ScanRecord)}


@pytest.mark.usefixtures("_hostile_worker")
def test_what_ended_a_decoder_is_not_used_again() -> None:
    order, code = b"die-late waits", "decoder-died"
    contents = [order, b"work waits", order, b"work waits", b"work waits"]
    answers = Answers([], QUICK)
    records = examined_with(answers, contents)
    assert sorted(records) == list(range(5))
    assert [[problem.code for problem in records[n].problems] for n in range(5)] == [[code], [], [code], [], []]
    assert answers.copied == 2
    assert records[1].examination == records[3].examination == records[4].examination


@pytest.mark.usefixtures("_hostile_worker")
def test_a_worker_that_waits_for_an_answer_it_was_not_promised_is_a_bad_one() -> None:
    records = examined([b"sulk", b"good"])
    assert [problem.code for problem in records[0].problems] == ["decoder-died"]
    assert not records[1].problems
