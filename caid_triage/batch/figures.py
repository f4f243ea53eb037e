"""What a case folder says of its exhibit, for a summary and for the unit's figures: how far, how much, what was found.

Hits are counted as a scan counts them: exact matches alone, under the label that their scheme allows
(hashset/schemes.py: no "Category A" from a scheme that nobody confirmed), and apart what a confirmed scheme ranks as
not pertinent. A case that cannot be read is a row too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from caid_triage.batch.journal import State
from caid_triage.case.lock import is_locked
from caid_triage.case.schema import DATABASE
from caid_triage.case.view import CaseView, open_case
from caid_triage.errors import CaseError
from caid_triage.match.policy import confirmed_schemes, counts_as_hit
from caid_triage.model import MatchKind, Severity


@dataclass(frozen=True, slots=True)
class Hit:
    """Files and different contents that are identical to listed ones, of one category of one scheme."""

    label: str
    scheme: str
    files: int
    unique: int

    def told(self) -> str:
        """ "Category A [uk]: 3 files, 2 unique"; the scheme where the label does not name it."""
        scheme = f" [{self.scheme}]" if self.scheme and self.scheme not in self.label else ""
        return f"{self.label}{scheme}: {self.files:,} file{'' if self.files == 1 else 's'}, {self.unique:,} unique"


@dataclass(frozen=True, slots=True)
class CaseFigures:
    """A case in figures. ``fault``: why it cannot be read, then the rest is absent. Times are aware UTC.

    ``bytes`` is the size of its sources, None where none of them has one (folders); ``exact`` and ``leads`` are files,
    and ``not_pertinent`` those identical to items that count as no hit (match/policy.py), in no other figure;
    ``problems`` what was not examined; ``confirmed`` is False where a hash set's scheme was confirmed by nobody.
    ``fragments`` of ``fragment_files`` known files lie there beside whole ones, or were sampled: in no other figure.
    """

    reference: str = ""
    state: State = State.STOPPED
    began: datetime | None = None
    ended: datetime | None = None
    bytes: int | None = None
    files: int = 0
    exact: int = 0
    not_pertinent: int = 0
    leads: int = 0
    problems: int = 0
    hits: tuple[Hit, ...] = ()
    confirmed: bool = True
    fragments: int = 0
    fragment_files: int = 0
    fault: str = ""


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
    found: dict[tuple[str, str], list[int]] = {}
    exact = apart = leads = 0
    notable = [info for info in view.hashsets() if info.get("role") == "notable"]
    confirmed = confirmed_schemes((info.get("scheme"), info.get("scheme_confirmed_by")) for info in notable)
    for row in view.tallies():
        if row.place != "all":
            continue
        if row.match_kind is not MatchKind.EXACT:
            leads += row.files
            continue
        if not counts_as_hit(row.severity, row.scheme, confirmed):
            apart += row.files
            continue
        exact += row.files
        files, unique = found.get((row.category_label, row.scheme), [0, 0])
        found[row.category_label, row.scheme] = [files + row.files, unique + row.unique]
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
        not_pertinent=apart,
        leads=leads,
        problems=problems,
        hits=tuple(Hit(label, scheme, *counts) for (label, scheme), counts in found.items()),
        confirmed=all(info.get("scheme_confirmed_by") for info in notable),
        fragments=fragments,
        fragment_files=fragment_files,
    )
