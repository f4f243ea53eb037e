"""What the summary and the unit's figures show: every exhibit, damaged cases too, and nothing that a name could do."""

from __future__ import annotations

import csv
import errno
import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.page_case import make_page_case
from unit.case import samples
from unit.report import exhibits

from caid_triage.batch.figures import case_figures
from caid_triage.batch.journal import Journal, State
from caid_triage.batch.pages import link, moment, span
from caid_triage.batch.queue import Exhibit, Fault
from caid_triage.batch.rows import exhibit_rows
from caid_triage.batch.summary import Summary, write_summary
from caid_triage.batch.unit_figures import UnitRow, totals, unit_rows, write_figures
from caid_triage.case.lock import CaseLock
from caid_triage.case.view import open_case
from caid_triage.errors import UsageError
from caid_triage.model import MatchKind
from caid_triage.validate.reports import parsed
from caid_triage.visible import shown

NOW = datetime.now(UTC) + timedelta(days=40)
HOSTILE = '<script>alert(1)</script>&"\u202e'


def unit(folder: Path) -> Path:
    """A batch's folder: one done with hits, one in work, one damaged, one that waits, one that failed."""
    cases = folder / "cases"
    cases.mkdir()
    make_page_case(cases / "done", (40, 12))
    exhibits.make_case(cases / "unconfirmed", exhibits.busy_items())
    (cases / "damaged").mkdir()
    (cases / "damaged" / "case.db").write_bytes(b"no database at all" * 99)
    with Journal(cases) as journal:
        for reference, case in [("waits", "waits"), (HOSTILE, "failed"), ("done", "done"), ("damaged", "damaged")]:
            journal.tell("queued", reference, definition="d", case=case, priority=5, size=1000)
        for reference in (HOSTILE, "done", "damaged"):
            journal.tell("began", reference, workers=1)
        journal.tell("ended", HOSTILE, state=State.FAILED, code=4, tries=1, seconds=2, sentences=["=1+1 " + HOSTILE])
        journal.tell("ended", "done", state=State.DONE, code=0, tries=1, seconds=3661)
        journal.tell("ended", "damaged", state=State.DONE, code=0, tries=1, seconds=1)
    return cases


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unit(tmp_path_factory.mktemp("unit"))


def test_the_figures_of_a_case_are_those_of_its_reports(cases: Path) -> None:
    figures = case_figures(cases / "done")
    with open_case(cases / "done") as view:
        rows = [row for row in view.counts() if row.match_kind is MatchKind.EXACT]
        leads = [row for row in view.counts() if row.match_kind is not MatchKind.EXACT]
        assert figures.files == view.conservation().stored
    assert figures.exact == sum(row.files for row in rows) > 0
    assert figures.leads == sum(row.files for row in leads)
    assert {(hit.label, hit.scheme) for hit in figures.hits} == {(row.category_label, row.scheme) for row in rows}
    for hit in figures.hits:
        assert hit.files == sum(
            row.files for row in rows if (row.category_label, row.scheme) == (hit.label, hit.scheme)
        )
        assert 1 <= hit.unique <= hit.files


def test_a_case_that_is_being_written_to_is_in_work(tmp_path: Path) -> None:
    exhibits.make_case(tmp_path / "case", exhibits.busy_items())
    lock = CaseLock(tmp_path / "case")
    try:
        assert case_figures(tmp_path / "case").state is State.IN_WORK
    finally:
        lock.release()
    assert case_figures(tmp_path / "case").state in (State.DONE, State.PROBLEMS)


@pytest.mark.parametrize(
    ("batch_says", "profile", "state"),
    [
        ("looked", "quick", State.STOPPED),
        ("looked", "standard", State.PROBLEMS),  # a scan by hand has gone on since
        ("ended", "quick", State.PROBLEMS),  # the queue wants no more
    ],
)
def test_a_first_look_that_came_to_its_end_is_not_a_done_exhibit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch_says: str, profile: str, state: State
) -> None:
    make_page_case(tmp_path / "a", (40, 12))
    assert case_figures(tmp_path / "a").state is State.PROBLEMS
    monkeypatch.setattr("caid_triage.batch.unit_figures.profile_of", lambda folder: profile)
    with Journal(tmp_path) as journal:
        journal.tell("queued", "A", definition="d", case="a")
        journal.tell("began", "A", workers=1, first=True)
        journal.tell("looked", "A", whole=True)
        if batch_says == "ended":
            journal.tell("ended", "A", state=State.PROBLEMS, code=3, seconds=1.0)
    assert [row.state for row in unit_rows([tmp_path], NOW)] == [state]


def test_every_exhibit_is_a_row_of_the_units_figures(cases: Path, tmp_path: Path) -> None:
    rows = {row.reference: row for row in unit_rows([cases], NOW)}
    assert {row.folder: str(row.state) for row in rows.values()} == {
        "waits": "waiting",
        "failed": "failed",
        "damaged": "failed",
        "done": str(case_figures(cases / "done").state),
        "unconfirmed": str(case_figures(cases / "unconfirmed").state),
    }
    waits, damaged, done = rows["waits"], rows["damaged"], rows["done"]
    assert 39.9 < (waits.age_days or 0) <= 40.1
    assert (waits.waited_days, waits.worked_days, waits.bytes) == (waits.age_days, None, 1000)
    assert damaged.note
    assert (damaged.files, damaged.hits) == (None, "")
    assert done.exact
    assert (done.age_days or 0) < 39  # the clock stands still once it is done
    still = [row for row in unit_rows([cases], NOW) if row.state not in (State.DONE, State.PROBLEMS)]
    ages = [row.age_days or 0 for row in still]
    assert ages == sorted(ages, reverse=True)
    sums = totals(list(rows.values()))
    assert sums.states[State.FAILED] == 2
    assert sum(hit.files for hit, _ in sums.hits) == sum(row.exact or 0 for row in rows.values())
    written = write_figures(tmp_path / "out", list(rows.values()), NOW)
    with written[0].open(encoding="utf-8", newline="") as lines:
        table = list(csv.DictReader(lines, strict=True))
    assert [row["reference"] for row in table] == list(rows)
    assert next(row["note"] for row in table if row["folder"] == "failed").startswith("'=1+1")  # no formula
    page = parsed(written[1].read_text(encoding="utf-8"))
    assert not page.scripts
    assert [row[0] for row in page.tables["unit"] if len(row) == 12][1:] == [page_name(row) for row in rows.values()]


def page_name(row: UnitRow) -> str:
    """The first cell of a row: the reference, and the folder where that is called otherwise."""
    return shown(row.reference) + (f" {row.folder}" if row.folder != row.reference else "")


def test_a_case_alone_a_folder_of_cases_and_one_of_batches_are_found_once(cases: Path) -> None:
    alone = unit_rows([cases / "done"], NOW)
    assert [row.reference for row in alone] == ["done"]
    assert alone[0].queued is not None  # its batch lies beside it
    assert len(unit_rows([cases.parent], NOW)) == 5
    assert len(unit_rows([cases, cases / "done", cases.parent], NOW)) == 5
    with pytest.raises(UsageError, match="holds no case"):
        unit_rows([Path(__file__).parent], NOW)


@pytest.mark.parametrize(("hashsets", "said"), [([samples.NOTABLE], True), ([exhibits.CONFIRMED], False)])
def test_a_scheme_that_nobody_confirmed_is_said_to_be_so(
    tmp_path: Path, hashsets: list[dict[str, object]], said: bool
) -> None:
    exhibits.make_case(tmp_path / "case", exhibits.busy_items(), hashsets=hashsets)
    page = write_figures(tmp_path / "out", unit_rows([tmp_path / "case"], NOW), NOW)[1].read_text(encoding="utf-8")
    assert ("A category scheme is not confirmed" in page) == said


def test_the_summary_tells_what_needs_somebody_first(cases: Path, tmp_path: Path) -> None:
    with Journal(cases) as journal:
        records = journal.known.records
    made = [
        Exhibit("done", (Path("/d"),), cases / "done"),
        Exhibit(HOSTILE, (Path("/f"),), cases / "failed", priority=1),
        Exhibit("waits", (Path("/w"),), cases / "waits"),
        Exhibit("damaged", (Path("/x"),), tmp_path / "elsewhere" / "damaged"),
    ]
    faulty = [Fault("its source /gone does not exist", 4, 7, "GONE", "GONE")]
    rows = list(exhibit_rows(made, records, ["done"], faulty, cases))
    assert [(row.reference, str(row.state), row.earlier) for row in rows] == [
        ("done", "done", "yes"), (HOSTILE, "failed", ""), ("waits", "waiting", ""), ("damaged", "failed", ""),
        ("GONE", "failed", ""),
    ]  # fmt: skip
    paths = write_summary(tmp_path, Summary(4, False, True, 3700.0, NOW, rows, ["the notice command ended with 3"]))
    assert [path.name for path in paths] == ["batch.json", "batch.csv", "batch.html"]
    text = paths[2].read_text(encoding="utf-8")
    page = parsed(text)
    assert not page.scripts
    assert "<script" not in text
    assert [row[0] for row in page.tables["attention"][1:]] == [
        '<script>alert(1)</script>&"\\u{202e}',
        "waits",
        "damaged",
        "GONE",
    ]
    assert '<p class="headline">Known material found: YES, on 1 of 5 exhibits</p>' in text
    assert "1 of 5 exhibits done, 3 failed, 1 still to do." in text
    assert page.tables["attention"][-1][-1].startswith("its source /gone does not exist")
    assert "connected and readable? Then run the batch again." in page.tables["attention"][-1][-1]
    assert "The time was up." in text
    assert len(page.tables["all"]) == 6
    content = json.loads(paths[0].read_text(encoding="utf-8"))
    assert (content["exit_code"], content["states"]) == (4, {"done": 1, "failed": 3, "waiting": 1})
    assert content["rows"][0]["hits"][0].keys() == {"label", "scheme", "files", "unique"}
    with paths[1].open(encoding="utf-8", newline="") as lines:
        assert len(list(csv.DictReader(lines, strict=True))) == 5


def test_after_a_time_box_the_first_lines_say_on_which_exhibit_something_is_and_of_which_nothing_is_known(
    tmp_path: Path,
) -> None:
    make_page_case(tmp_path / "hits", (40, 12))
    with Journal(tmp_path) as journal:
        for reference, whole in (("hits", True), ("cut", False)):
            journal.tell("queued", reference, definition="d", case=reference)
            journal.tell("began", reference, workers=1, first=True)
            journal.tell("looked", reference, whole=whole)
        journal.tell("queued", HOSTILE, definition="d", case="w")
    with Journal(tmp_path) as journal:  # as the next run reads it
        records = journal.known.records
    made = [Exhibit(name, (Path("/d"),), tmp_path / name) for name in ("hits", "cut")]
    made.append(Exhibit(HOSTILE, (Path("/w"),), tmp_path / "w"))
    rows = list(exhibit_rows(made, records, [], [], tmp_path))
    assert [row.look for row in rows] == ["whole", "cut short", ""]
    summary = Summary(3, False, True, 60.0, NOW, rows, [])
    assert summary.found_words == [
        f"Files identical to a listed item: hits ({rows[0].exact}).",
        f"No file examined of: cut, {HOSTILE}.",
    ]
    empty = replace(summary, rows=[rows[0], replace(rows[1], reference="blank", state=State.DONE, files=0)])
    assert empty.found_words[-1] == "No file examined of: blank."
    text = write_summary(tmp_path, summary)[2].read_text(encoding="utf-8")
    attention = parsed(text).tables["attention"]
    assert [row[0] for row in attention[1:]] == ["hits", "cut", shown(HOSTILE)]
    assert rows[0].found[0].told() in " ".join(attention[1])
    assert "First look done." in attention[1][-1]
    assert "First look cut short" in attention[2][-1]
    assert "First look" not in attention[3][-1]
    assert text.index('id="found-on"') < text.index('id="attention"')
    cut_off = replace(summary, rows=[replace(rows[2], state=State.STOPPED)])
    said = parsed(write_summary(tmp_path, cut_off)[2].read_text(encoding="utf-8")).tables["attention"]
    assert "Stopped in its first look" in said[1][-1]
    parts = [replace(rows[0], fragments=1200, fragment_files=3), replace(rows[1], fragments=1, fragment_files=1)]
    told = "hits (fragments: 1,200 of 3 files), cut (fragments: 1 of 1 file)"
    with_parts = replace(summary, rows=parts)
    assert f"Parts of known files, in no other count: {told}." in with_parts.found_words
    written = write_summary(tmp_path, with_parts)
    assert "1,200 of 3 files" in parsed(written[2].read_text(encoding="utf-8")).tables["all"][1]
    assert json.loads(written[0].read_text(encoding="utf-8"))["rows"][0]["fragment_files"] == 3
    with written[1].open(encoding="utf-8", newline="") as lines:
        assert next(csv.DictReader(lines))["fragments"] == "1200"
    done = replace(rows[0], state=State.DONE, exact=0, leads=0, found=())
    apart = Summary(0, False, False, 1.0, NOW, [replace(done, not_pertinent=1200)], [])
    assert apart.answer == "Known material found: NO"
    assert apart.found_words == [
        "No file identical to a listed item of another category.",
        "In categories that their scheme ranks as not pertinent, in no other count: hits (1,200).",
    ]
    written = write_summary(tmp_path, apart)
    assert "not pertinent: 1,200 files" in parsed(written[2].read_text(encoding="utf-8")).tables["all"][1]
    assert json.loads(written[0].read_text(encoding="utf-8"))["rows"][0]["not_pertinent"] == 1200
    assert Summary(0, False, False, 1.0, NOW, [done], []).found_words == ["No file identical to a listed item."]
    assert Summary(0, False, False, 1.0, NOW, [done], []).headline == "1 of 1 exhibit done"
    assert Summary(0, False, False, 1.0, NOW, [done], []).answer == "Known material found: NO"
    for gap in (replace(done, state=State.FAILED), replace(done, state=State.STOPPED), replace(done, files=0)):
        assert Summary(0, False, False, 1.0, NOW, [done, gap], []).answer == "Known material found: not so far"
    assert Summary(0, False, False, 1.0, NOW, [done], []).problem_words == []
    open_ = [
        replace(done, reference=name, state=State.PROBLEMS, problems=count) for name, count in (("a", 1), ("b", 7))
    ]
    said = Summary(3, False, False, 1.0, NOW, open_, []).problem_words
    assert said[0].startswith("Done, but not everything in them could be examined: b (7), a (1); ")
    many = [replace(done, reference=f"L{place}", leads=20 - place) for place in range(10)]
    assert Summary(0, False, False, 1.0, NOW, many, []).found_words[1] == (
        "Leads alone, to check by eye: L0 (20), L1 (19), L2 (18), L3 (17), L4 (16), L5 (15), L6 (14), L7 (13), 2 more."
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (3661, "1 h 1 min"),
        (86400 * 3 + 3600 * 4, "3 d 4 h"),
        (None, "\u2013"),
    ],
)
def test_how_long_in_words(seconds: float | None, text: str) -> None:
    assert span(seconds) == text


def test_a_link_leads_to_a_file_and_nowhere_else() -> None:
    assert link("javascript:alert(1)") == "./javascript%3Aalert%281%29"
    assert link('a"b#c/reports/report.html') == "./a%22b%23c/reports/report.html"
    assert link("/cases/x y") == "file:///cases/x%20y"
    assert moment(None) == "\u2013"


def test_links_that_lead_back_and_folders_that_cannot_be_are_no_end(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.tell("queued", "A", definition="d", case="x" * 300, priority=5, size=1)
        journal.tell("queued", "B", definition="d", case="B", priority=5, size=1)
    for name in ("again", "and again"):
        (tmp_path / name).symlink_to(".")
    rows = {row.reference: row for row in unit_rows([tmp_path], NOW)}
    assert {name: str(row.state) for name, row in rows.items()} == {"A": "failed", "B": "waiting"}
    assert rows["A"].note


def test_a_folder_that_keeps_its_answer_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As who may not look into it finds it: asking whether something lies there is refused already."""
    closed, real = tmp_path / "closed", Path.stat
    closed.mkdir()

    def refused(path: Path, **more: Any) -> os.stat_result:
        if path.parent == closed:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, **more)

    monkeypatch.setattr(Path, "stat", refused)
    (row,) = unit_rows([tmp_path], NOW)
    assert (row.folder, row.state) == ("closed", State.FAILED)
    assert row.note
