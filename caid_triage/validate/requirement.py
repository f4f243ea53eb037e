"""The nouns of a validation: a Requirement with its acceptance, the Findings of its test, and the Result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from caid_triage.errors import CaidTriageError
from caid_triage.validate.laboratory import Laboratory
from caid_triage.validate.rates import Rate

FAULTS_KEPT = 20


class Status(StrEnum):
    """What became of a requirement. NOT_RUN is never a pass: the reason is told."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_RUN = "not run"


class NotRun(CaidTriageError):  # noqa: N818 - it names what happened, not a mistake
    """A test cannot be made on this machine; the message says why."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measured figure: a rate (``count`` of ``total`` with its interval) or a plain value in words.

    ``counted`` says what the count is of: "missed", "false matches" ... ``judged`` says whether the acceptance of the
    requirement depends on it; others are told so that a reader knows the limits.
    """

    name: str
    counted: str
    rate: Rate | None = None
    value: str = ""
    judged: bool = True

    def plain(self) -> dict[str, Any]:
        """As JSON-able values."""
        if self.rate is None:
            return {"name": self.name, "value": self.value, "judged": self.judged}
        low, high = self.rate.interval
        return {
            "name": self.name,
            "counted": self.counted,
            "count": self.rate.count,
            "total": self.rate.total,
            "rate": self.rate.value,
            "interval_95": [low, high],
            "at_most_95_one_sided": self.rate.at_most,
            "judged": self.judged,
        }


@dataclass(slots=True)
class Findings:
    """What a test found so far: how many single checks, which failed, what was measured."""

    checks: int = 0
    failed: int = 0
    faults: list[str] = field(default_factory=list)
    measured: list[Measurement] = field(default_factory=list)

    def expect(self, holds: bool, sentence: str) -> bool:
        """Count a check; ``sentence`` says what is wrong where it does not hold. Returns whether it holds."""
        self.checks += 1
        if not holds:
            self.failed += 1
            if len(self.faults) < FAULTS_KEPT:
                self.faults.append(sentence)
        return holds

    def rate(self, name: str, counted: str, count: int, total: int, *, judged: bool = True) -> None:
        """Keep a measured rate."""
        self.measured.append(Measurement(name, counted, Rate(count, total), judged=judged))

    def value(self, name: str, words: str) -> None:
        """Keep a figure that no requirement hangs on."""
        self.measured.append(Measurement(name, "", value=words, judged=False))

    def misses(self, name: str, outcomes: Iterable[tuple[str, bool]], *, judged: bool = True) -> None:
        """Keep a miss rate for each group of outcomes, (group, found); ``name`` goes before the group."""
        total, missed = Counter[str](), Counter[str]()
        for group, found in outcomes:
            total[group] += 1
            missed[group] += not found
        if len(total) > 1 and judged:
            self.rate(f"{name}(all of these)", "missed", missed.total(), total.total())
        for group in total:
            self.rate(f"{name}{group}", "missed", missed[group], total[group], judged=judged)

    def same_rows(self, what: str, wanted: Counter[Any], got: Counter[Any]) -> None:
        """Expect two tables to have the same rows, in any order; the words quote none of them."""
        missing, more = (wanted - got).total(), (got - wanted).total()
        self.checks += len({*wanted, *got})
        self.expect(not missing and not more, f"{what}: {missing:,} rows are missing or other, {more:,} are not wanted")

    def same(self, what: str, wanted: Mapping[Any, int], got: Mapping[Any, int]) -> None:
        """Expect two countings to agree; every key that differs is one failed check. No key may be a hash."""
        for key in sorted({*wanted, *got}, key=repr):
            there, here = wanted.get(key, 0), got.get(key, 0)
            named = ", ".join(map(str, key)) if isinstance(key, tuple) else str(key)
            self.expect(there == here, f"{what}: {named}: {here:,}, not {there:,}")


Check = Callable[[Laboratory, Findings], None]


@dataclass(frozen=True, slots=True)
class Requirement:
    """One requirement as FSR-G-218 wants it: what, when it is met, how that is tested, and what the test cannot say."""

    identifier: str
    group: str
    text: str
    acceptance: str
    method: str
    limitation: str
    check: Check = field(repr=False)


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one requirement."""

    requirement: Requirement
    status: Status
    checks: int
    failed: int
    faults: tuple[str, ...]
    measured: tuple[Measurement, ...]
    seconds: float
    reason: str = ""

    def plain(self) -> dict[str, Any]:
        """As JSON-able values."""
        one = self.requirement
        return {
            "id": one.identifier,
            "group": one.group,
            "requirement": one.text,
            "acceptance": one.acceptance,
            "method": one.method,
            "result": str(self.status),
            "reason": self.reason,
            "checks": self.checks,
            "failed_checks": self.failed,
            "faults": list(self.faults),
            "measured": [item.plain() for item in self.measured],
            "limitation": one.limitation,
            "seconds": round(self.seconds, 2),
        }
