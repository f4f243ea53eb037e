"""A small case with rows in every table and its reports on record: for tests of what is done to a case."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from unit.case import samples
from unit.report import exhibits

from caid_triage.case.command import Command
from caid_triage.case.journal import DECIDED, REMARKED, WITHDRAWN, Journal, facts_of
from caid_triage.case.store import CaseWriter, open_case_for_writing
from caid_triage.model import Decision, LedgerRange, Match, Said, VideoAgreement, Withheld
from caid_triage.report.on_record import REPORTS, write_reports_on_record

WHEN = datetime(2026, 1, 1, tzinfo=UTC)


def make_full_case(folder: Path) -> Path:
    """Make the case, write its reports, close it."""
    exhibits.make_case(folder, exhibits.busy_items(), batch=4)
    with open_case_for_writing(folder) as case:
        case.audit_command(Command("scan", {"--exhibit": "ABC/1"}))
        store_one_of_each(case)
        write_reports_on_record(case, folder / REPORTS)
    return folder


def matches(generation: str) -> tuple[Match, ...]:
    """An exact match, one of another look, one of a film."""
    agreement = VideoAgreement(3, 2, 4, 2, 0.0, 2.5)
    return (
        samples.match(generation=generation, listed_size=7, said=Said(True, series="Elm")),
        samples.near(generation=generation, look="mirror", orientation="flipx", quality=77),
        samples.near(generation=generation, agreement=agreement),
    )


def store_one_of_each(case: CaseWriter) -> None:
    """What the busy case lacks: metadata, looks, films, withheld matches, a ledger, a grade, a re-grading."""
    held = Withheld("flood", "pdq", "unit-set", "g1", 120, 3, 31, 5)
    before = [samples.record(100 + n, metadata=(("camera-make", "Maker"), ("taken", "2020"))) for n in range(6)]
    case.write_batch(1, before, [matches("g1")] * 6, [samples.problem("odd", step="walk")], 200, [(held,)] * 6)
    ranges = [LedgerRange(0, 512, "", "metadata"), LedgerRange(512, 9000, "p1", "allocated")]
    case.set_volumes(1, [samples.volume()], [samples.problem("odd")], {"file_system": 1}, ranges)
    case.add_problems([samples.problem("source-not-opened")])
    graded = before[0].examination.digests
    assert graded is not None
    case.decide(graded.sha256, Decision("A. Examiner", WHEN, samples.CATEGORY_C))
    run = case.begin_run("match", WHEN)
    again = [(1, [record], [(samples.match(samples.CATEGORY_C, generation="g2"),)]) for record in before[:3]]
    case.replace_matches([{**samples.NOTABLE, "generation": "g2"}], again)
    case.end_run(run, WHEN, "finished")
    journal = Journal(case.folder)
    facts = facts_of([graded.sha256], samples.CATEGORY_C, "as listed")
    journal.append(DECIDED, "A. Examiner", **facts)
    journal.append(WITHDRAWN, "A. Examiner", of=1)
    journal.append(REMARKED, "B. Examiner", **facts_of([graded.sha256], None, "see the report"))
    case.take_journal()
    held = Withheld("flood", "pdq", "unit-set", "g2", 120, 3, 31, 5)
    after = [samples.record(300 + n, metadata=(("taken", "2021"),)) for n in range(5)]
    case.write_batch(1, after, [matches("g2")] * 5, [], 400, [(held,)] * 5)
