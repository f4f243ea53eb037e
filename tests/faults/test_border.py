"""Workers behind their border: what they know, what they are held to, and what follows when a layer does harm."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.processes import children

from caid_triage.case.view import open_case
from caid_triage.config import ScanOptions, WorkerLimits
from caid_triage.errors import CaidTriageError
from caid_triage.examine.limits import Limits
from caid_triage.model import FileEntry, ScanRecord, State
from caid_triage.report.write import write_reports
from caid_triage.scan import clock, trial, worker_process
from caid_triage.scan.canary import CONTAINERS, FILMS, LOADED, PICTURES, installed_libraries, sing
from caid_triage.scan.confine import LAYERS, OPTIONAL_LAYERS
from caid_triage.scan.pool import examine_in_pool
from caid_triage.scan.run import SourceRequest, run_scan
from caid_triage.scan.trial import ABSENT, SINGS, Settled, heard, settle
from caid_triage.scan.worker_process import WorkerProcess, worker_environment
from caid_triage.scan.workforce import Workforce, started_workers
from caid_triage.synth.sample_pictures import picture

LIMITS = WorkerLimits(decode_seconds=4, decode_seconds_per_mb=0)
ON_PROC = pytest.mark.skipif(not Path(f"/proc/{os.getpid()}/task").exists(), reason="looks at processes in /proc")


def entries(contents: list[bytes]) -> list[FileEntry]:
    return [
        FileEntry("E", "s", "p1", number, f"/{number}", b"", State.ALLOCATED, len(content))
        for number, content in enumerate(contents)
    ]


def examined(contents: list[bytes], options: ScanOptions) -> dict[int, ScanRecord]:
    found = examine_in_pool(iter(entries(contents)), lambda entry: iter([contents[entry.number]]), options)
    records = [result for result in found if isinstance(result, ScanRecord)]
    assert len({record.entry.number for record in records}) == len(records) == len(contents)
    return {record.entry.number: record for record in records}


def use(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    monkeypatch.setattr(worker_process, "WORKER_MODULE", module)
    known = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(Path(__file__).parent), known))))


@ON_PROC
def test_a_live_worker_knows_no_path_of_evidence_case_or_hash_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marked = tmp_path / "operation-marked"
    marked.mkdir()
    for name in ("evidence.dd", "case.db", "set.chs"):
        (marked / name).write_bytes(b"content")
    monkeypatch.chdir(marked)
    for name in ("HOME", "TMPDIR", "EVIDENCE", "OLDPWD", "HTTPS_PROXY"):
        monkeypatch.setenv(name, str(marked))
    held = [os.open(path, os.O_RDONLY) for path in marked.iterdir()]
    for one in held:
        os.set_inheritable(one, True)
    seen: list[str] = []
    others = set(children())

    def read(_entry: FileEntry) -> Iterator[bytes]:
        (worker,) = set(children()) - others
        place = Path(f"/proc/{worker}")
        try:
            links = ["cwd", "root", "exe", *(f"fd/{one.name}" for one in (place / "fd").iterdir())]
            seen.extend(f"{link} {(place / link).readlink()}" for link in links)
            seen.extend((place / name).read_text(errors="replace") for name in ("environ", "cmdline", "maps"))
        except PermissionError:  # a worker lets nobody look into it but root
            assert os.geteuid()
        yield b"a"

    assert list(examine_in_pool(iter(entries([b"a"])), read, ScanOptions(workers=1, limits=LIMITS)))
    for one in held:
        os.close(one)
    assert "operation-marked" not in json.dumps(worker_environment(os.environ))
    if not seen:
        pytest.skip("only root can look into a worker; its environment was checked")
    assert "operation-marked" not in "\n".join(seen)
    assert "cwd /" in seen
    targets = [line.split(" ", 1)[1].split(":")[0] for line in seen if line.startswith("fd/")]
    assert set(targets) <= {"/dev/null", "pipe", "/memfd"}, targets
    assert targets.count("pipe") == 2


def test_every_canary_sings_alone_and_behind_the_border() -> None:
    """One worker with every layer, one without those that could do harm, and this process: the same outcomes."""
    outcomes = []
    for without in ((), OPTIONAL_LAYERS):
        worker = WorkerProcess(LIMITS, without, canary=True)
        told = heard(worker, 120)
        worker.close()
        assert told is not None
        outcomes.append(dict(told.canary))
    outcomes.append(sing(installed_libraries(), Limits()))
    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert set(outcomes[0]) == {*PICTURES, *FILMS, *CONTAINERS, *LOADED}
    assert set(outcomes[0].values()) <= {SINGS, ABSENT}
    assert all(
        outcomes[0][name] == SINGS for name in (*FILMS, "jpeg.jpg", "avif.avif", "heic.heic", "7z.7z", "pdf.pdf")
    )


def scanned(tmp_path: Path) -> tuple[int, list[dict[str, str]], dict[str, object]]:
    """Scan a picture and a film in this process: exit code, problems, and the line of the audit trail."""
    folder = tmp_path / "exhibit"
    folder.mkdir()
    for name in ("coast.jpg", "ball.avi"):
        (folder / name).write_bytes(picture(name))
    case = tmp_path / "case"
    options = ScanOptions(workers=2, limits=LIMITS)
    outcome = run_scan([SourceRequest(folder, "E/1", "exhibit")], case, [], options)
    with open_case(case) as view:
        write_reports(view, case / "reports")
    with (case / "reports" / "problems.csv").open(encoding="utf-8", newline="") as file:
        problems = list(csv.DictReader(file))
    lines = [json.loads(line) for line in (case / "audit.jsonl").read_text().splitlines()]
    (told,) = (line for line in lines if line["action"] == "workers-confined")
    return outcome.exit_code, problems, told


def test_a_scan_keeps_how_its_workers_were_held(tmp_path: Path) -> None:
    code, problems, told = scanned(tmp_path)
    assert code == 0
    assert told["formats_not_readable"] == told["left_out"] == []
    missing = told["missing"]
    assert isinstance(missing, dict)
    assert set(told["layers"]) | set(missing) == set(LAYERS)  # type: ignore[call-overload]
    assert [row["code"] for row in problems] == (["workers-less-confined"] if missing else [])


def test_that_no_worker_could_be_tried_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine with little memory: what tries itself dies of all that it loads, others start."""
    monkeypatch.setattr(trial, "heard", lambda *_: None)
    code, problems, told = scanned(tmp_path)
    assert code == 0
    assert told["tried"] is False
    (said,) = problems
    assert said["code"] == "workers-less-confined"
    assert "not known" in said["detail"]


@pytest.mark.skipif(sys.platform != "linux", reason="Landlock is Linux's")
def test_a_layer_that_hides_a_decoder_is_left_out_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, "tight_worker")
    monkeypatch.setenv("CAID_TRIAGE_PLUGIN_TIGHT", "hides")
    code, problems, told = scanned(tmp_path)
    if "landlock" in told["missing"] and not told["left_out"]:  # type: ignore[operator]
        pytest.skip("this kernel has no Landlock: nothing can be hidden")
    assert code == 0
    assert told["left_out"] == ["landlock"]
    assert {"h264.mp4", "mpeg-4.avi"} <= set(told["left_out_for"])  # type: ignore[call-overload]
    assert "seccomp" in told["layers"]  # type: ignore[operator]
    (said,) = problems
    assert said["code"] == "workers-less-confined"
    assert "landlock" in said["detail"]
    assert "mpeg-4.avi" in said["detail"]
    with (tmp_path / "case/reports/files.csv").open(encoding="utf-8", newline="") as file:
        film = next(row for row in csv.DictReader(file) if row["path"].endswith(".avi"))
    assert film["width"], "the film was lost"


def test_a_worker_that_is_held_less_than_the_first_is_given_no_file() -> None:
    with Workforce(LIMITS) as workforce:
        workforce.settle(frozenset(LAYERS), OPTIONAL_LAYERS)
        one = entries([b"a"])
        results = examine_in_pool(
            iter(one), lambda _entry: iter([b"a"]), ScanOptions(workers=1, limits=LIMITS), workforce=workforce
        )
        with pytest.raises(CaidTriageError, match="did not start"):
            list(results)


def test_settling_hands_the_first_worker_on_to_the_scan() -> None:
    with started_workers(ScanOptions(workers=2, limits=LIMITS)) as workforce:
        settled = settle(workforce)
        assert isinstance(settled, Settled)
        assert settled.problems() == [] or settled.told.missing
        assert settle(workforce) is settled  # a second scan with them asks nobody again
        both = [workforce.take(), workforce.take()]
        assert [worker.ready for worker in both] == [False, True]
        for worker in both:
            workforce.give_back(worker)


@ON_PROC
def test_what_a_worker_started_ends_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, "tight_worker")
    monkeypatch.setenv("CAID_TRIAGE_PLUGIN_TIGHT", "breeds")
    worker = WorkerProcess(LIMITS)
    child = int(worker.source.read(7)[5:] + worker.source.read1(20))  # type: ignore[attr-defined]
    assert Path(f"/proc/{child}").exists()
    worker.close()
    for _ in range(200):
        try:
            state = Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            return
        if state == "Z":  # ended; whoever inherited it has not looked yet
            return
        time.sleep(0.02)
    pytest.fail("the worker's own child outlived it")


def test_a_worker_that_does_not_get_ready_is_ended_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, "tight_worker")
    monkeypatch.setenv("CAID_TRIAGE_PLUGIN_TIGHT", "sleeps")
    worker = WorkerProcess(LIMITS, canary=True)
    began = time.monotonic()
    assert heard(worker, 1) is None
    assert worker.hung
    assert time.monotonic() - began < 30
    worker.close()


def test_a_hundred_tasks_two_killers_and_two_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exactly four problems, each of its own file; everything else as if nothing had been; and not much later."""
    use(monkeypatch, "hostile_worker")
    options = ScanOptions(workers=2, limits=WorkerLimits(decode_seconds=2, decode_seconds_per_mb=0))
    calm = [b"work %d" % number for number in range(100)]
    rough = list(calm)
    faults = {20: b"die-late", 45: b"hang", 46: b"die-late", 80: b"hang"}
    for number, order in faults.items():
        rough[number] = order + b" %d" % number
    seconds, records = [], []
    for contents in (calm, rough):
        began = time.monotonic()
        records.append(examined(contents, options))
        seconds.append(time.monotonic() - began)
    undisturbed, disturbed = records
    codes = {number: [one.code for one in record.problems] for number, record in disturbed.items() if record.problems}
    assert codes == {20: ["decoder-died"], 45: ["decoder-hung"], 46: ["decoder-died"], 80: ["decoder-hung"]}
    assert not [record for record in undisturbed.values() if record.problems]
    for number, content in enumerate(rough):
        digests = disturbed[number].examination.digests
        assert digests is not None
        assert digests.sha256 == hashlib.sha256(content).digest()
        if number not in faults:
            assert disturbed[number] == undisturbed[number]
    assert seconds[1] <= 3 * seconds[0], f"{seconds[1]:.1f} s disturbed, {seconds[0]:.1f} s undisturbed"


@pytest.mark.parametrize("clock_name", ["time", "monotonic"])
def test_a_clock_that_jumps_blames_no_file(monkeypatch: pytest.MonkeyPatch, clock_name: str) -> None:
    """The wall clock is set back and forth by days; the monotonic one jumps as where a suspended machine counts on."""
    use(monkeypatch, "hostile_worker")
    real = getattr(time, clock_name)
    jumped = [0.0]
    monkeypatch.setattr(time, clock_name, lambda: real() + jumped[0])
    done = threading.Event()
    jumps = []

    def jump() -> None:
        while not done.wait(0.3):
            jumps.append(86_400.0 if clock_name == "monotonic" or len(jumps) % 2 == 0 else -172_800.0)
            jumped[0] += jumps[-1]

    jumper = threading.Thread(target=jump)
    jumper.start()
    options = ScanOptions(workers=2, limits=WorkerLimits(decode_seconds=20, decode_seconds_per_mb=0))
    try:
        records = examined([b"nap", b"work", b"nap", b"work"], options)
    finally:
        done.set()
        jumper.join()
    assert len(jumps) >= 3, "the clock did not jump: the test shows nothing"
    assert [Counter(one.code for one in record.problems) for record in records.values()] == [Counter()] * 4


def test_a_jump_while_a_worker_starts_ends_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    real = time.monotonic
    jumped = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: real() + jumped[0])
    worker = WorkerProcess(LIMITS)
    jumper = threading.Timer(0.1, lambda: jumped.__setitem__(0, 86_400.0))
    jumper.start()
    told = heard(worker, 60)
    jumper.join()
    worker.close()
    assert told is not None


def test_only_a_watcher_that_stood_still_forgives(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    watch = clock.Watch()
    looks = []
    for later in (100.05, 100.9, 101.8, 5000.0, 5000.05):
        now[0] = later
        looks.append(watch.look())
    assert looks == [(100.05, 0.0), (100.9, 0.0), (101.8, 0.0), (5000.0, pytest.approx(4898.2)), (5000.05, 0.0)]


def test_limits_of_cpu_time_lie_far_above_the_deadlines() -> None:
    limits = replace(LIMITS, decode_seconds=60, decode_seconds_per_mb=2)
    for size in (0, 10**6, 10**9):
        assert limits.cpu_for(size) >= 10 * limits.deadline_for(size)
