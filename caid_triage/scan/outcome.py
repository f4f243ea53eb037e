"""What a scan came to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from caid_triage.errors import SourceError
from caid_triage.model import Problem, Severity


@dataclass(slots=True)
class ScanOutcome:
    """What a scan came to. ``not_opened`` are one sentence each; ``problems`` counts those of severity "problem".

    ``unfinished``: another source of the case was stopped in an earlier run, so the case is not complete.
    ``stopped``: this run was stopped early, as was asked for. ``notes`` are sentences about the run.
    """

    walked: int = 0
    examined: int = 0
    stored: int = 0
    problems: int = 0
    unfinished: bool = False
    stopped: bool = False
    not_opened: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 complete, 3 complete with problems, 4 when a source could not be opened."""
        if self.not_opened:
            return SourceError.exit_code
        return 3 if self.problems or self.unfinished or self.stopped else 0


def count_problems(found: Iterable[Problem]) -> int:
    """How many of them are problems; notes are not."""
    return sum(problem.severity is Severity.PROBLEM for problem in found)
