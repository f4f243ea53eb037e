"""How far a batch is: what a display shows and other programs read. Never a path or a hash."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from caid_triage.batch.journal import State


@dataclass(frozen=True, slots=True)
class InWork:
    """A scan that runs: its exhibit, its workers, and the last line of progress that it printed."""

    reference: str
    workers: int
    size: int
    line: Mapping[str, Any]

    def share(self) -> float:
        """How much of it is done, 0 to 1, by its own estimate of the time left; 0 while there is none."""
        left, spent = self.line.get("seconds_left"), self.line.get("seconds") or 0
        return spent / (spent + left) if left is not None and spent + left else 0.0

    def as_json(self) -> dict[str, object]:
        """For other programs."""
        keys = (
            "stage", "files", "total_files", "bytes", "total_bytes", "hits", "not_pertinent", "leads", "problems",
            "seconds_left",
        )  # fmt: skip
        return {"reference": self.reference, "workers": self.workers} | {key: self.line.get(key) for key in keys}


@dataclass(slots=True)
class BatchProgress:
    """The counters of a batch. ``states`` counts its exhibits; bytes are of their sources on disk.

    ``bytes_before`` were done by an earlier run: they say nothing about how fast this one is.
    """

    states: Counter[State] = field(default_factory=Counter)
    in_work: list[InWork] = field(default_factory=list)
    bytes: int = 0
    bytes_before: int = 0
    bytes_done: int = 0
    watching: bool = False
    started: float = field(default_factory=time.monotonic)

    def seconds(self) -> float:
        """Seconds since the batch began."""
        return max(time.monotonic() - self.started, 1e-9)

    def bytes_now(self) -> float:
        """Bytes that this run has done, those of scans that run by their share."""
        return self.bytes_done + sum(one.size * one.share() for one in self.in_work)

    def seconds_left(self) -> float | None:
        """The estimate of the time left, from the bytes; None while nothing is known."""
        done, left = self.bytes_now(), self.bytes - self.bytes_before
        if left <= 0:
            return 0.0
        if done <= 0:
            return None
        return max(0.0, (left - done) * self.seconds() / done)

    def as_json(self) -> dict[str, object]:
        """For other programs."""
        left = self.seconds_left()
        return {
            "event": "batch-progress",
            "states": {str(state): count for state, count in self.states.items() if count},
            "bytes": self.bytes,
            "bytes_done": round(self.bytes_before + self.bytes_now()),
            "in_work": [one.as_json() for one in self.in_work],
            "watching": self.watching,
            "seconds": round(self.seconds(), 1),
            "seconds_left": None if left is None else round(left),
        }


@dataclass(frozen=True, slots=True)
class Happened:
    """Something that happened to an exhibit, or (``reference`` "") to the batch, in words for a person."""

    event: str
    reference: str
    told: str
    facts: Mapping[str, object] = field(default_factory=dict)


Show = Callable[[BatchProgress], None]
Tell = Callable[[Happened], None]
