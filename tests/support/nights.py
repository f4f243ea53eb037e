"""Bad nights: commands that are killed or whose disk fails at any step, and what must be true after each and then.

A :class:`Job` is one command on a folder of its own. :func:`calm_run` says what it comes to undisturbed;
:func:`survive` runs it with faults, looks at what each left, runs it again as a user would and compares.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

BAD_DISK = Path(__file__).with_name("bad_disk.py")
NIGHT = "CAID_TRIAGE_TEST_NIGHT"
"""Marks every process of a command, so that one that outlives it is found."""
CLEAN_STOPS = (0, 3, 5, 6, 130, -signal.SIGKILL)
"""What a command may end with on a bad night: never 1, never by another signal."""


@dataclass(frozen=True)
class Job:
    """One command and the folder it changes.

    ``prepare`` makes the folder as it is before; ``target`` is what the command changes, below the folder; ``result``
    is what it came to, in a form that can be compared; ``between`` looks at what a run that was cut short has left.
    """

    prepare: Callable[[Path], object]
    arguments: Callable[[Path], Sequence[object]]
    target: str
    result: Callable[[Path], object]
    between: Callable[[Path], None]
    code: int = 0
    done: Callable[[Path], object | None] = lambda _folder: None
    """What it has come to where it was cut short at its very end and to run it again would be another one; or None."""


@dataclass(frozen=True)
class Ended:
    """A command that has ended: its exit code (negative: the signal) and what it said on both streams."""

    code: int
    said: str


@dataclass(frozen=True)
class Calm:
    """A job undisturbed: what it comes to, how many steps it takes on its disk, how many seconds it runs."""

    result: object
    steps: int
    seconds: float


Fault = Callable[[Sequence[object], str], Ended]
"""Runs a command (its arguments) while what lies below a folder fails, or while it is killed."""


@contextmanager
def started(arguments: Sequence[object], mark: str = "", **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A process that is running; behind the block it has ended, and so has every process that it began by itself."""
    mark = mark or uuid.uuid4().hex
    running = subprocess.Popen(
        [sys.executable, "-P", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | environment | {NIGHT: mark},
    )
    try:
        yield running
    finally:
        if running.poll() is None:
            running.kill()
        running.communicate()
    deadline = time.monotonic() + 30
    while left := processes_of(mark):
        assert time.monotonic() < deadline, f"processes outlived their command: {left}"
        time.sleep(0.02)


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


def run(arguments: Sequence[object], **environment: str) -> Ended:
    """Run the command to its end, undisturbed."""
    with started(["-m", "caid_triage", *arguments], **environment) as running:
        said, _ = running.communicate(timeout=300)
    return Ended(running.returncode, said)


def run_on_bad_disk(arguments: Sequence[object], below: object, at: int, do: str, **more: object) -> Ended:
    """Run the command on a disk on which step ``at`` fails (support/bad_disk.py)."""
    plan = {"below": str(below), "at": at, "do": do, **more}
    with started([BAD_DISK, *arguments], BAD_DISK=json.dumps(plan)) as running:
        said, _ = running.communicate(timeout=300)
    return Ended(running.returncode, said)


def killed_after(seconds: float) -> Fault:
    """SIGKILL for the command, and for it alone, after a time: those that it began must end by themselves."""

    def fault(arguments: Sequence[object], _below: str) -> Ended:
        with started(["-m", "caid_triage", *arguments]) as running:
            try:
                running.wait(seconds)
            except subprocess.TimeoutExpired:
                running.kill()
            said, _ = running.communicate(timeout=60)
        return Ended(running.returncode, said)

    return fault


def failing_at(step: int, do: str, last: int | None = None) -> Fault:
    """The command on a disk that fails at a step, and from then on if ``last`` is None."""
    return lambda arguments, below: run_on_bad_disk(arguments, below, step, do, last=last)


def calm_run(job: Job, folder: Path) -> Calm:
    """The job undisturbed, twice: plainly, and with its steps counted. Both come to the same."""
    plain, counted = folder / "plain", folder / "counted"
    job.prepare(plain)
    began = time.monotonic()
    done = run(job.arguments(plain))
    seconds = time.monotonic() - began
    assert done.code == job.code, done.said
    result = job.result(plain)
    job.prepare(counted)
    count = folder / "count"
    done = run_on_bad_disk(job.arguments(counted), counted / job.target, 0, "kill", count=str(count))
    assert done.code == job.code, done.said
    assert_same(job.result(counted), result)
    return Calm(result, int(count.read_text()), seconds)


def survive(job: Job, folder: Path, calm: Calm, faults: Sequence[Fault]) -> list[Ended]:
    """The job with one fault after another, then run as a user would run it again: it came to what a calm one does."""
    job.prepare(folder)
    arguments, below = job.arguments(folder), str(folder / job.target)
    ends = []
    for fault in faults:
        ends.append(ended := fault(arguments, below))
        assert ended.code in CLEAN_STOPS, (ended.code, ended.said)
        assert "Traceback" not in ended.said, ended.said
        assert "bug of ours" not in ended.said, ended.said
        job.between(folder)
        if (already := job.done(folder)) is not None:
            assert_same(already, calm.result)
            return ends
    done = run(arguments)
    assert done.code == job.code, done.said
    assert_same(job.result(folder), calm.result)
    return ends


def assert_same(found: object, calm: object) -> None:
    """They are equal; else say by name which parts are not, with the place where they part."""
    if found == calm:
        return
    assert isinstance(found, dict), found
    assert isinstance(calm, dict), calm
    differ = []
    for name in sorted({*found, *calm}):
        one, other = str(found.get(name)), str(calm.get(name))
        if one != other:
            pairs = enumerate(zip(one, other, strict=False))
            place = next((at for at, (left, right) in pairs if left != right), min(len(one), len(other)))
            around = slice(max(0, place - 60), place + 90)
            differ.append(f"{name}: {one[around]!r} for {other[around]!r}")
    pytest.fail("not as undisturbed: " + "; ".join(differ))


def spread(chance: random.Random, count: int, low: float, high: float) -> list[float]:
    """``count`` moments, one at random out of each of as many equal parts of low..high: no part is left out."""
    part = (high - low) / count
    return [low + part * (number + chance.random()) for number in range(count)]


def spread_steps(chance: random.Random, count: int, steps: int) -> list[int]:
    """``count`` different steps of 1..steps, spread likewise; all of them where there are no more."""
    if count >= steps:
        return list(range(1, steps + 1))
    return [int(moment) for moment in spread(chance, count, 1, steps + 1)]


@contextmanager
def told(**facts: Any) -> Iterator[None]:
    """Say with a failure inside the block at which moment it was, so that it can be had again."""
    try:
        yield
    except BaseException as failure:
        failure.add_note("at " + ", ".join(f"{name} {value}" for name, value in facts.items()))
        raise
