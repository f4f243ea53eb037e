"""Two ways to make inputs for a target: guided by the lines they reach (atheris), or by plain seeded damage.

The guided one needs a wheel of atheris for this Python and system (extra ``fuzz``); the plain one needs nothing. Both
damage with the same mutations as the tests (support/mutations.py), and both keep what they find in the same form.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.mutations import mutated

from fuzz.target import Answer, Finding, Target, judged, regressions

# Code that is compiled by numba is left as it is; it could not be compiled with counters in it.
COMPILED = ["caid_triage.hashset.kernels", "caid_triage.evidence.carve.huffman"]
SLOWER_BY = 3.0  # instrumented code, at most, with some room
_EVERY = 2.0
_MOST_KEPT = 3  # inputs kept of one fault


def seed_inputs(target: Target) -> dict[str, bytes]:
    """What a run begins with: the whole inputs of the tree's writers, and what was found before."""
    return {**target.seeds(), **regressions(target.name)}


@dataclass(slots=True)
class Run:
    """One process's run of a target, whose folder keeps what it found; ``seconds`` of processor time are allowed."""

    target: Target
    folder: Path
    seconds: float
    engine: str
    slack: float = 1.0
    executions: int = 0
    words: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    _kept: Counter[str] = field(default_factory=Counter)
    _begun: float = field(default_factory=time.process_time)
    _said: float = 0.0
    _now: mmap.mmap = field(init=False)
    _deadly: frozenset[bytes] = field(init=False)

    def __post_init__(self) -> None:
        (self.folder / "findings").mkdir(parents=True, exist_ok=True)
        self._deadly = frozenset(one.read_bytes() for one in (self.folder / "findings").glob("death-*.bin"))
        path = self.folder / "now"
        path.write_bytes(bytes(8 + 2 * self.target.longest))
        with path.open("r+b") as file:
            self._now = mmap.mmap(file.fileno(), 0)

    def one(self, data: bytes) -> Answer:
        """Judge one input, count it, and keep it if it is a finding."""
        data = data[: 2 * self.target.longest]
        if data in self._deadly:  # it ended a process of this run before
            return Answer("ended a process before", 0.0)
        self._now[:8] = len(data).to_bytes(8, "little")
        self._now[8 : 8 + len(data)] = data
        answer = judged(self.target, data, self.slack)
        self.executions += 1
        self.words[answer.word] += 1
        self.slowest = max(self.slowest, answer.seconds)
        if answer.finding is not None:
            self.keep(answer.finding)
        now = time.process_time()
        if now - self._said > _EVERY:
            self._said = now
            self.say()
        return answer

    def keep(self, finding: Finding) -> None:
        """Keep the first inputs of a fault with what was said of them."""
        self._kept[finding.key] += 1
        if self._kept[finding.key] <= _MOST_KEPT:
            kept = self.folder / "findings" / finding.name
            kept.with_suffix(".bin").write_bytes(finding.data)
            kept.with_suffix(".txt").write_text(f"{finding.key}\n\n{finding.text}", encoding="utf-8")
            self.say()

    @property
    def spent(self) -> float:
        """Processor time since the run began."""
        return time.process_time() - self._begun

    def over(self) -> bool:
        """Whether its time is over."""
        return self.spent >= self.seconds

    def say(self) -> None:
        """Write down how far it has come: a process that dies says nothing more."""
        facts: dict[str, Any] = {
            "target": self.target.name,
            "engine": self.engine,
            "seconds": round(self.spent, 1),
            "executions": self.executions,
            "words": dict(self.words.most_common()),
            "slowest": round(self.slowest, 3),
            "faults": dict(self._kept),
        }
        passing = self.folder / f"run-{os.getpid()}.passing"
        passing.write_text(json.dumps(facts))
        passing.replace(self.folder / f"run-{os.getpid()}.json")


def run_plain(run: Run, number: int) -> None:
    """Seeded damage: the same ``number`` gives the same inputs on every machine."""
    wholes = list(seed_inputs(run.target).values())
    chance = random.Random(f"{run.target.name} {number}")
    for whole in wholes:
        run.one(whole)
    count = 0
    while not run.over():
        count += 1
        data = chance.choice(wholes)
        if chance.random() < 0.1:
            other = chance.choice(wholes)
            data = data[: chance.randrange(len(data) + 1)] + other[chance.randrange(len(other) + 1) :]
        run.one(damaged(run.target, data, f"{run.target.name} {number} {count}"))
    run.say()


def damaged(target: Target, data: bytes, seed: str) -> bytes:
    """An input with seeded damage, in bytes or as its structure has it, its checksums mostly put right."""
    chance = random.Random(seed)
    if target.mutate is not None and chance.random() < 0.7:
        return target.mutate(data, chance)[: target.longest]
    made = mutated(data, seed)[: target.longest]
    if target.mend is not None and chance.random() < 0.7:
        made = target.mend(made)[: target.longest]
    return made


def run_guided(run: Run, number: int) -> None:
    """Coverage of our own lines leads; does not return: the process ends when its time is over."""
    import atheris

    corpus = run.folder / "corpus"
    corpus.mkdir(exist_ok=True)
    seeds = run.folder / "seeds"
    seeds.mkdir(exist_ok=True)
    for whole in seed_inputs(run.target).values():
        (seeds / hashlib.sha256(whole).hexdigest()[:16]).write_bytes(whole)

    def one(data: bytes) -> None:
        run.one(data)
        if run.over():
            run.say()
            sys.stdout.flush()
            os._exit(0)

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        if seed % 2:
            return damaged(run.target, data, str(seed))[:most]
        made: bytes = atheris.Mutate(data, most)
        if run.target.mend is not None and seed % 4:
            made = run.target.mend(made)[:most]
        return made

    options = [
        f"-seed={number}",
        f"-max_len={run.target.longest}",
        "-rss_limit_mb=0",  # the address space of this process is capped
        f"-timeout={int(20 * run.slack * run.target.deadline(run.target.longest)) + 60}",
        f"-artifact_prefix={run.folder}/stopped-",
        "-print_final_stats=1",
        "-verbosity=1",
    ]
    atheris.Setup(["fuzz", *options, str(corpus), str(seeds)], one, custom_mutator=mutate)
    atheris.Fuzz()


def has_atheris() -> bool:
    """Whether the guided engine can be used here."""
    try:
        import atheris  # noqa: F401
    except ImportError:
        return False
    return True
