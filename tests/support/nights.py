"""Bad nights: commands that are killed or whose disk fails at any step, and what must be true after each and at the end.

A :class:`Job` is one command on a folder of its own. ``calm`` is what it comes to undisturbed; :func:`survive` runs it
with a fault, looks at what the fault left, runs it again as a user would and compares.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support.cli import comparable_reports, run_command

from caid_triage.case.audit import verify_audit
from caid_triage.case.schema import DATABASE, holds_case
from caid_triage.case.view import open_case
from caid_triage.errors import CaseError
from caid_triage.hashset.store import open_hashset

BAD_DISK = Path(__file__).with_name("bad_disk.py")
NIGHT = "CAID_TRIAGE_TEST_NIGHT"
"""Marks every process of a command, so that one that outlives it is found."""
TORN = "the last line is torn"


@dataclass(frozen=True)
class Job:
    """One command and the folder it changes.

    ``prepare`` makes the folder as it is before; ``target`` is what the command changes, below the folder; ``result``
    is what it came to, in a form that can be compared; ``between`` looks at what a killed run has left.
    """

    prepare: Callable[[Path], None]
    arguments: Callable[[Path], list[object]]
    target: str
    result: Callable[[Path], object]
    between: Callable[[Path], None]
    codes: tuple[int, ...] = (0,)


@dataclass
class Ended:
    """A command that has ended: its exit code (negative: the signal), what it said, and how long it ran."""

    code: int
    said: str
    seconds: float = 0.0


@contextmanager
def process(arguments: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A command that is running; at the end of the block it has ended, and so has every process that it began."""
    mark = uuid.uuid4().hex
    env = os.environ | environment | {NIGHT: mark}
    running = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env)
    try:
        yield running
    finally:
        if running.poll() is None:
            running.kill()
        running.communicate()
    for _ in range(250):
        if not (left := processes_of(mark)):
            return
        time.sleep(0.02)
    pytest.fail(f"processes outlived their command: {left}")


def processes_of(mark: str) -> list[int]:
    """The processes that carry a mark in their environment."""
    found = []
    for place in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"{NIGHT}={mark}".encode() in place.read_bytes().split(b"\0"):
                found.append(int(place.parent.name))
        except OSError:  # it ended meanwhile, or is somebody else's
            continue
    return found


def run(arguments: list[object], fault: dict[str, object] | None = None, **environment: str) -> Ended:
    """Run the command to its end, with a fault of the disk (support/bad_disk.py) or without."""
    start = ["-m", "caid_triage"] if fault is None else [str(BAD_DISK)]
    given = {} if fault is None else {"BAD_DISK": json.dumps(fault)}
    command = [sys.executable, "-P", *start, *map(str, arguments)]
    began = time.monotonic()
    with process(command, given | environment) as running:
        said, _ = running.communicate(timeout=240)
        return Ended(running.returncode, said, time.monotonic() - began)


def killed_after(arguments: list[object], seconds: float) -> Ended:
    """Run the command and kill it (not those that it began: they are left to die by themselves) after a time."""
    command = [sys.executable, "-P", "-m", "caid_triage", *map(str, arguments)]
    with process(command, {}) as running:
        try:
            running.wait(seconds)
        except subprocess.TimeoutExpired:
            running.send_signal(signal.SIGKILL)
        said, _ = running.communicate(timeout=60)
        return Ended(running.returncode, said, seconds)


@dataclass
class Calm:
    """A job undisturbed: what it comes to, how many steps it takes on its disk, how long it runs."""

    result: object
    steps: int
    seconds: float


def calm_run(job: Job, folder: Path) -> Calm:
    """Run the job twice undisturbed: plainly, and with its steps counted. Both come to the same."""
    place, counted = folder / "calm", folder / "counted"
    job.prepare(place)
    plain = run(job.arguments(place))
    assert plain.code in job.codes, plain.said
    result = job.result(place)
    job.prepare(counted)
    count = folder / "count"
    fault = {"below": str(counted / job.target), "at": 0, "do": "kill", "count": str(count)}
    again = run(job.arguments(counted), fault)
    assert again.code in job.codes, again.said
    assert job.result(counted) == result
    return Calm(result, int(count.read_text()), plain.seconds)


def survive(job: Job, folder: Path, calm: Calm, faults: list[Callable[[list[object], str], Ended]]) -> list[Ended]:
    """The job with one fault after another, what each left looked at, then run as a user would: it is as the calm one.

    A fault gets the arguments and the folder whose disk is to fail, and runs the command.
    """
    job.prepare(folder)
    arguments, target = job.arguments(folder), str(folder / job.target)
    ends = []
    for fault in faults:
        ends.append(fault(arguments, target))
        assert "Traceback" not in ends[-1].said, ends[-1].said
        job.between(folder)
    done = run(arguments)
    assert done.code in job.codes, done.said
    assert job.result(folder) == calm.result
    shutil.rmtree(folder)
    return ends


# -- what the jobs come to ---------------------------------------------------------------------------------------------


def case_result(folder: Path) -> object:
    """The reports of a case at rest, which verifies and holds nothing but what a case holds."""
    case = folder / "case"
    assert sorted(path.name for path in case.iterdir()) == ["audit.jsonl", DATABASE, "case.lock", "reports"]
    assert not [path.name for path in (case / "reports").iterdir() if path.suffix == ".part"]
    verified = run_command("verify", case)
    assert verified.returncode == 0, verified.stderr
    return comparable_reports(case / "reports")


def chain_is_whole(folder: Path) -> None:
    """Whatever was cut short: the audit chain has no fault but a torn last line, and the case opens if it was made."""
    case = folder / "case"
    try:
        if not holds_case(case):
            return
    except CaseError as fault:
        pytest.fail(f"the case does not open: {fault}")
    assert [fault for fault in verify_audit(case) if TORN not in fault] == []
    with open_case(case) as view:
        view.conservation()


def set_result(folder: Path) -> object:
    """What a hash set holds, but for when it was built; nothing else lies beside it."""
    opened = open_hashset(folder / "sets" / "a.chs")
    opened.verify()
    manifest = dict(opened.manifest)
    for name in ("built", "seal"):
        manifest.pop(name)
    columns = {path.name for path in (folder / "sets" / "a.chs").iterdir()}
    assert columns == {"manifest.json", manifest["folder"]}
    return manifest, sorted(path.name for path in (folder / "sets").iterdir())


@dataclass
class Tally:
    """What a test did, for the summary at the end of the suite."""

    name: str
    kills: int = 0
    errors: int = 0
    notes: list[str] = field(default_factory=list)


def moments(seed: int, count: int, last: int) -> list[int]:
    """``count`` different steps of 1..last, or all of them: one from each of as many equal parts, so that none is bare."""
    chance = random.Random(seed)
    if count >= last:
        return list(range(1, last + 1))
    edges = [1 + last * part // count for part in range(count + 1)]
    return [chance.randrange(low, high) for low, high in zip(edges, edges[1:], strict=False)]
