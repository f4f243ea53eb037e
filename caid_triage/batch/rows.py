"""The rows of a batch's summary: every exhibit of the queue in figures, from the journal and the case folders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from caid_triage.batch.child import Ending
from caid_triage.batch.figures import CaseFigures, Hit, case_figures, has_database
from caid_triage.batch.journal import ENDED_WELL, Record, State
from caid_triage.batch.queue import Exhibit, Fault
from caid_triage.case.rows import NO_COLUMN
from caid_triage.errors import CaseError
from caid_triage.report.verdict import Outcome

NOT_KNOWN = CaseFigures(fault="its case folder holds no case")


@dataclass(frozen=True, slots=True)
class ExhibitRow:
    """An exhibit of a batch: a row of batch.csv. ``case`` is its folder, seen from the batch's own.

    ``exit_code`` is None until a scan has ended. ``tries`` is how many scans the last run of it needed; ``told`` why it
    is not done; ``earlier``: an earlier run of the batch completed it; ``look`` is what became of the first look of a
    time box: "whole", "cut short" or "" (none was done). Counts are None where there is no case to read. ``fragments``
    of ``fragment_files`` known files are in no other count. ``answer`` is that of the exhibit's own report (no NO
    before it is done), ``outcome`` what it comes to, None where there is no case to read; ``ignorable`` of the
    ``exact`` files are in a category ranked as not pertinent; ``contradicted`` files are in no other count.
    """

    reference: str
    state: State
    exit_code: int | None
    priority: int | None
    profile: str
    case: str
    queued: datetime | None
    began: datetime | None
    ended: datetime | None
    seconds: float
    tries: int
    bytes: int | None
    files: int | None
    exact: int | None
    leads: int | None
    problems: int | None
    hits: str
    told: str
    earlier: str
    look: str
    fragments: int | None
    fragment_files: int | None
    outcome: Outcome | None
    answer: str
    ignorable: int | None
    contradicted: int | None
    found: tuple[Hit, ...] = field(metadata=NO_COLUMN)
    confirmed: bool = field(metadata=NO_COLUMN)
    compared: bool = field(metadata=NO_COLUMN)

    @property
    def done(self) -> bool:
        """Whether its answer is the last word: the batch has done it, and the case says no otherwise."""
        return self.state in ENDED_WELL and self.outcome not in (None, Outcome.OPEN, Outcome.SAMPLED)


def exhibit_rows(
    exhibits: Sequence[Exhibit],
    records: Mapping[str, Record],
    skipped: Iterable[str],
    faulty: Sequence[Fault],
    cases: Path,
) -> Iterator[ExhibitRow]:
    """A row for every exhibit of a queue in its order, then one for each that was left out because of a fault."""
    earlier = set(skipped)
    for one in exhibits:
        record = records.get(one.reference) or Record(one.reference, "")
        figures = case_figures(one.case) if has_database(one.case) else NOT_KNOWN
        if figures.fault and record.state in ENDED_WELL:  # the scan had no chance to say so
            record = replace(record, state=State.FAILED, code=CaseError.exit_code, sentences=(figures.fault,))
        told = "; ".join(record.sentences)
        yield _row(one, record, figures, told, "yes" if one.reference in earlier else "", beside(one.case, cases))
    for fault in faulty:
        record = Record(fault.exhibit, "", state=State.FAILED, code=fault.code)
        yield _row(None, record, NOT_KNOWN, fault.sentence, "", "")


def _row(one: Exhibit | None, record: Record, figures: CaseFigures, told: str, earlier: str, case: str) -> ExhibitRow:
    known = not figures.fault
    return ExhibitRow(
        reference=record.reference,
        state=record.state,
        exit_code=None if record.code is None else Ending(record.code, hung=False, sentences=()).exit_code,
        priority=one.priority if one else None,
        profile=one.profile if one else "",
        case=case,
        queued=record.queued,
        began=record.began,
        ended=record.ended,
        seconds=record.seconds,
        tries=record.tries,
        bytes=figures.bytes if known else None,
        told=told,
        earlier=earlier,
        look=("whole" if record.whole else "cut short") if record.looked else "",
        compared=figures.compared,
        **figures.columns(record.state, known=known),
    )


def beside(case: Path, cases: Path) -> str:
    """A case folder as a page beside it calls it: its name there, or where it is."""
    return case.relative_to(cases).as_posix() if case.is_relative_to(cases) else str(case)


def hit_totals(found: Iterable[Sequence[Hit]]) -> list[tuple[Hit, int]]:
    """Files by category and scheme over many exhibits, and how many exhibits have any; most files first, what is ranked
    as not pertinent last.

    ``unique`` of a sum counts a content once for every exhibit that has it.
    """
    sums: dict[tuple[str, str, bool], list[int]] = {}
    for hits in found:
        for hit in hits:
            counts = sums.setdefault((hit.label, hit.scheme, hit.ignorable), [0, 0, 0])
            for place, value in enumerate((hit.files, hit.unique, 1)):
                counts[place] += value
    made = [
        (Hit(label, scheme, files, unique, none), exhibits)
        for (label, scheme, none), (files, unique, exhibits) in sums.items()
    ]
    return sorted(made, key=lambda pair: (pair[0].ignorable, -pair[0].files, pair[0].label, pair[0].scheme))
