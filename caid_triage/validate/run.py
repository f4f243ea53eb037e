"""Run the requirements one after the other and keep what became of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from caid_triage.errors import CaidTriageError
from caid_triage.validate.laboratory import Laboratory
from caid_triage.validate.requirement import Findings, NotRun, Requirement, Result, Status


@dataclass(frozen=True, slots=True)
class Validation:
    """All results of a run, when it ran, and the SHA-256 of each exhibit's files by (reference, file name)."""

    results: tuple[Result, ...]
    started: datetime
    finished: datetime
    exhibits: tuple[tuple[str, str, int, str], ...]

    def count(self, status: Status) -> int:
        """How many requirements ended so."""
        return sum(result.status is status for result in self.results)

    @property
    def passed(self) -> bool:
        """Whether no requirement failed. Those that were not run are told apart; they are no pass."""
        return not self.count(Status.FAILED)


def validated(
    lab: Laboratory, requirements: Sequence[Requirement], told: Callable[[Result], None] = lambda _result: None
) -> Validation:
    """Test each requirement; ``told`` hears of each result at once."""
    started = datetime.now(UTC)
    results = []
    for requirement in requirements:
        result = result_of(lab, requirement)
        results.append(result)
        told(result)
    exhibits = tuple(
        (reference, path.relative_to(lab.made.folder).as_posix(), size, digest)
        for reference, sealed in sorted(lab.made.sealed.items())
        for path, (digest, size, _) in sorted(sealed.facts.items())
    )
    return Validation(tuple(results), started, datetime.now(UTC), exhibits)


def result_of(lab: Laboratory, requirement: Requirement) -> Result:
    """Test one requirement. What the tool refuses or breaks off with is a failure of it, in its own words."""
    found, began, reason = Findings(), time.monotonic(), ""
    try:
        requirement.check(lab, found)
    except NotRun as error:
        reason = str(error)
    except (CaidTriageError, OSError, LookupError, ValueError) as error:
        # A report without a column, a number that is none, a scan that ends as a bug of ours: all failures.
        found.expect(False, f"the test came to no end: {type(error).__name__}: {error}")
    else:
        if not found.checks:
            found.expect(False, "the test checked nothing")
    status = Status.NOT_RUN if reason else Status.FAILED if found.failed else Status.PASSED
    seconds = time.monotonic() - began
    return Result(
        requirement, status, found.checks, found.failed, tuple(found.faults), tuple(found.measured), seconds, reason
    )
