"""What a case folder says of its exhibit, for a summary and for the unit's figures: how far, how much, what was found.

Hits are counted as reports count them: exact matches alone, under the label that their scheme allows
(hashset/schemes.py: no "Category A" from a scheme that nobody confirmed), and the answer is that of the case's own
report.html. A case that cannot be read is a row too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from caid_triage.batch.journal import ENDED_WELL, State
from caid_triage.case.lock import is_locked
from caid_triage.case.schema import DATABASE
from caid_triage.case.view import CaseView, open_case
from caid_triage.errors import CaseError
from caid_triage.model import MatchKind, Role, Severity
from caid_triage.report.fragments import with_samples
from caid_triage.report.set_facts import hashset_facts, unconfirmed_any
from caid_triage.report.verdict import Outcome, Verdict, verdict_of
from caid_triage.visible import many


@dataclass(frozen=True, slots=True)
class Hit:
    """Files and different contents that are identical to listed ones, of one category of one scheme.

    ``ignorable``: the scheme ranks the category as not pertinent, and somebody has confirmed it: no known material.
    """

    label: str
    scheme: str
    files: int
    unique: int
    ignorable: bool = False

    @property
    def category(self) -> str:
        """The label, and that it is no known material where it is none."""
        return f"{self.label}{' (ranked as not pertinent)' * self.ignorable}"

    def told(self) -> str:
        """ "Category A [uk]: 3 files, 2 unique"; the scheme where the label does not name it."""
        scheme = f" [{self.scheme}]" if self.scheme and self.scheme not in self.label else ""
        return f"{self.category}{scheme}: {many(self.files, 'file')}, {self.unique:,} unique"


@dataclass(frozen=True, slots=True)
class CaseFigures:
    """A case in figures. ``fault``: why it cannot be read, then the rest is absent. Times are aware UTC.

    ``bytes`` is the size of its sources, None where none of them has one (folders); ``exact`` and ``leads`` are files,
    ``ignorable`` those of ``exact`` in a category ranked as not pertinent; ``contradicted`` files are in neither.
    ``problems`` is what was not examined; ``confirmed`` is False where a hash set's scheme was confirmed by nobody.
    ``fragments`` of ``fragment_files`` known files lie there beside whole ones, or were sampled: in no other figure.
    ``verdict`` is the answer of the case's report; ``compared`` whether a hash set of known material was given.
    """

    reference: str = ""
    state: State = State.STOPPED
    began: datetime | None = None
    ended: datetime | None = None
    bytes: int | None = None
    files: int = 0
    exact: int = 0
    leads: int = 0
    problems: int = 0
    hits: tuple[Hit, ...] = ()
    confirmed: bool = True
    fragments: int = 0
    fragment_files: int = 0
    fault: str = ""
    ignorable: int = 0
    contradicted: int = 0
    compared: bool = False
    verdict: Verdict | None = None

    def answer(self, state: State) -> Verdict | None:
        """The answer of the report, but no NO for an exhibit in a state that is not done: more of it is to come.

        A first look that came to its end, or a case whose last scan failed, has a report that says NO.
        """
        if self.verdict is None or self.verdict.outcome is not Outcome.NONE or state in ENDED_WELL:
            return self.verdict
        return replace(self.verdict, outcome=Outcome.OPEN, headline="Nothing found so far: the exhibit is not done")

    def columns(self, state: State, *, known: bool) -> dict[str, Any]:
        """What a table says of the case of an exhibit in a state: by column, None where it is not ``known``."""
        counts = ("files", "exact", "leads", "problems", "fragments", "fragment_files", "ignorable", "contradicted")
        answer = self.answer(state)
        return {name: getattr(self, name) if known else None for name in counts} | {
            "hits": "; ".join(hit.told() for hit in self.hits),
            "outcome": answer.outcome if answer else None,
            "answer": answer.headline if answer else "",
            "found": self.hits,
            "confirmed": self.confirmed,
        }


def case_figures(folder: Path) -> CaseFigures:
    """The figures of the case in a folder, also while a scan is writing to it."""
    try:
        with open_case(folder) as view:
            return _figures(view, in_work=is_locked(folder))
    except CaseError as error:
        return CaseFigures(state=State.FAILED, fault=str(error))


def has_database(folder: Path) -> bool:
    """Whether something lies where a case keeps its rows; of a folder that keeps its answer, reading it says why."""
    try:
        return (folder / DATABASE).exists()
    except OSError:
        return True


QUICK = "quick"
"""The profile of a first look."""


def profile_of(folder: Path) -> str:
    """The profile of the case in a folder; "" where no scan has chosen one, or it cannot be read."""
    if not has_database(folder):
        return ""
    try:
        with open_case(folder) as view:
            return str(view.header.options.get("profile", ""))
    except CaseError:
        return ""


def _figures(view: CaseView, *, in_work: bool) -> CaseFigures:
    sources, times = view.sources(), view.run_times()
    problems = sum(row.count for row in view.problem_counts() if row.severity == Severity.PROBLEM)
    tallies, hashsets = view.tallies(), [hashset_facts(info) for info in view.hashsets()]
    confirmed = not unconfirmed_any(hashsets)
    found: dict[tuple[str, str, bool], list[int]] = {}
    exact = leads = ignorable = 0
    for row in tallies:
        if row.place != "all":
            continue
        if row.match_kind is not MatchKind.EXACT:
            leads += row.files
            continue
        exact += row.files
        ignorable += row.files * (row.severity == 0)
        key = row.category_label, row.scheme, row.severity == 0 and confirmed
        files, unique = found.get(key, [0, 0])
        found[key] = [files + row.files, unique + row.unique]
    sizes = [source.size for source in sources if source.size is not None]
    figures = view.conservation()
    fragments, fragment_files = view.fragment_counts()
    whole = bool(sources) and figures.complete
    done = (State.PROBLEMS if problems else State.DONE) if whole else State.STOPPED
    return CaseFigures(
        reference=", ".join(view.exhibit_names()) or view.header.reference,
        state=State.IN_WORK if in_work else done,
        began=times.started,
        ended=times.finished if whole and not in_work else None,
        bytes=sum(sizes) if sizes else None,
        files=figures.stored,
        exact=exact,
        leads=leads,
        problems=problems,
        hits=tuple(Hit(label, scheme, files, unique, none) for (label, scheme, none), (files, unique) in found.items()),
        confirmed=confirmed,
        fragments=fragments,
        fragment_files=fragment_files,
        ignorable=ignorable,
        contradicted=sum(view.contradicted_files().values()),
        compared=any(facts.role == Role.NOTABLE for facts in hashsets),
        verdict=with_samples(view, verdict_of(view, tallies)),
    )
