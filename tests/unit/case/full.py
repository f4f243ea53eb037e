"""A small case with rows in every table and its reports on record: for tests of what is done to a case."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from unit.case import samples
from unit.report import exhibits

from caid_triage.case.command import Command
from caid_triage.case.journal import DECIDED, REMARKED, WITHDRAWN, Journal, facts_of
from caid_triage.case.links import (
    GradedBefore,
    NearPicture,
    SameCamera,
    SameContent,
    Twin,
    UnitExhibit,
    UnitLook,
)
from caid_triage.case.store import CaseWriter, open_case_for_writing
from caid_triage.model import Decision, LedgerRange, Match, VideoAgreement, Withheld
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
    """An exact match whose entry states something of its item, one of another look, one of a film."""
    agreement = VideoAgreement(3, 2, 4, 2, 0.0, 2.5)
    return (
        samples.match(
            generation=generation, listed_size=7, stated=("victim-identified", "distributed"), series="Harbour"
        ),
        samples.near(generation=generation, look="mirror", orientation="flipx", quality=77),
        samples.near(generation=generation, agreement=agreement),
    )


def one_link_of_each(content: bytes) -> UnitLook:
    """A look-up in a unit's memory that found something of every kind."""
    return UnitLook(
        unit="0123456789abcdef",
        looked=WHEN,
        cases=2,
        exhibits=2,
        asked=30,
        known_good=1,
        small=2,
        pictures=9,
        smallest=256,
        common=1,
        others=[UnitExhibit("ab" * 32, f"OP/{n}", f"XYZ/{n}", f"{n}.E01", WHEN) for n in (1, 2)],
        twins=[Twin(1, 1, "reference")],
        same=[SameContent(content, 0, 3, 1, 1), SameContent(b"c" * 32, None, 0, 2, 2)],
        near=[NearPicture(content, b"o" * 32, 1, 17, 1)],
        cameras=[SameCamera(1, "Maker", "Model", "00123", False, 6, 1, 4)],
        grades=[GradedBefore(content, "OP/1", "C. Examiner", WHEN, samples.CATEGORY_A)],
    )


def store_one_of_each(case: CaseWriter) -> None:
    """What the busy case lacks: metadata, looks, films, withheld matches, a ledger, grades, a sampling ..."""
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
    case.state({("", "contact-phone"): "101", ("ABC/1", "seized"): "2026-03-01"})
    case.keep_sampling(*samples.sampling())
    case.keep_block_searches([samples.block_search()])
    journal = Journal(case.folder)
    facts = facts_of([graded.sha256], samples.CATEGORY_C, "as listed")
    journal.append(DECIDED, "A. Examiner", **facts)
    journal.append(WITHDRAWN, "A. Examiner", of=1)
    journal.append(REMARKED, "B. Examiner", **facts_of([graded.sha256], None, "see the report"))
    case.take_journal()
    case.keep_look(one_link_of_each(graded.sha256))
    held = Withheld("flood", "pdq", "unit-set", "g2", 120, 3, 31, 5)
    after = [samples.record(300 + n, metadata=(("taken", "2021"),)) for n in range(5)]
    case.write_batch(1, after, [matches("g2")] * 5, [], 400, [(held,)] * 5)
