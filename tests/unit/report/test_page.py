"""The words of the page: a clear answer that never claims more than was examined."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from unit.case import samples
from unit.report import exhibits

from caid_triage.case.rows import Conservation, ProblemRow, VolumeRow
from caid_triage.case.store import open_case_for_writing
from caid_triage.case.view import CaseView, open_case
from caid_triage.model import Decision, DecodeState, Kind, MatchKind, Severity, VideoAgreement
from caid_triage.report.court import is_unverified
from caid_triage.report.gaps import not_examined
from caid_triage.report.html import write_html
from caid_triage.report.page import Page, page


def page_of(tmp_path: Path, items: list[exhibits.Item], **choices: Any) -> Page:
    with open_case(exhibits.make_case(tmp_path / "case", items, **choices)) as view:
        return page(view)


@pytest.mark.parametrize(
    ("met", "word", "headline", "sentence"),
    [
        ([(samples.match(),)] * 2, "found", "Known material found: YES",
         "2 files (2 different contents) are identical to a listed item."),
        ([(samples.match(samples.UNKNOWN),)], "found", "Known material found: YES",
         "1 file (1 different content) is identical to a listed item. "
         "It carries no category, or a code that no scheme explains, which may also mean not pertinent."),
        ([(samples.match(),), (samples.match(samples.UNKNOWN),)], "found", "Known material found: YES",
         "2 files (2 different contents) are identical to a listed item. "
         "1 of them carries no category, or a code that no scheme explains, which may also mean not pertinent."),
        ([(samples.match(), samples.match(samples.CATEGORY_C))], "found", "Known material found: YES",
         "1 file (1 different content) is identical to a listed item. 1 file is listed in categories that contradict "
         "each other: it counts once, under the gravest. See Contradictions."),
        ([(samples.match(), samples.near())], "found", "Known material found: YES",
         "1 file (1 different content) is identical to a listed item."),
        ([(samples.match(),), (samples.near(),)], "found", "Known material found: YES",
         "1 file (1 different content) is identical to a listed item. "
         "A further 1 file (1 different content) only looks like a listed item: a lead to check by eye, in no count."),
        ([(samples.near(),)], "leads", "No identical file found; leads to check",
         "1 file (1 different content) only looks like a listed item: a lead to check by eye, in no count."),
        ([(samples.match(contradicted=True),)], "leads", "No identical file found; contradictions to check",
         "1 file with contradicting digests: see Contradictions."),
        ([()] * 3, "none", "Known material found: NO", "3 files examined: none is listed."),
        ([], "leads", "No file was found to examine",
         "Nothing was compared: look whether the right source was given, and at what was examined."),
    ],
)  # fmt: skip
def test_the_verdict(tmp_path: Path, met: list[Any], word: str, headline: str, sentence: str) -> None:
    verdict = page_of(tmp_path, [(samples.record(n), matches) for n, matches in enumerate(met)]).verdict
    assert (verdict.word, verdict.headline, verdict.sentence) == (word, headline, sentence)


@pytest.mark.parametrize(
    ("met", "headline"),
    [
        (samples.match(), "Known material found: YES"),
        (samples.near(), "No identical file found so far; leads to check"),
        (samples.match(contradicted=True), "No identical file found so far; contradictions to check"),
    ],
)
def test_whatever_was_found_a_scan_that_was_stopped_early_says_that_there_may_be_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, met: Any, headline: str
) -> None:
    whole = CaseView.conservation
    monkeypatch.setattr(CaseView, "conservation", lambda view: replace(whole(view), complete=False, stopped_early=True))
    said = page_of(tmp_path, [(samples.record(0), (met,))]).verdict
    assert said.headline == headline
    assert said.sentence.endswith("The scan was stopped early, after 1 file: there may be more.")


def test_that_a_scan_was_stopped_early_is_told_once() -> None:
    figures = Conservation(9, 4, 4, complete=False, stopped_early=True)
    told = ProblemRow("ABC/1", "disk.dd", "", "", "source", "stopped-early", "5 of 9 files were not examined")
    assert list(not_examined(figures, [], [told], [], {})) == [
        ("ABC/1 disk.dd: The scan was stopped early", "5 of 9 files were not examined")
    ]
    ((headline, _),) = not_examined(replace(figures, stopped_early=False), [], [], [], {})
    assert headline == "The scan is not complete"


@pytest.mark.parametrize(
    ("info", "headline", "more"),
    [
        (exhibits.CONFIRMED, "Known material found: NO", "1 file examined: none is listed in any other category."),
        (samples.NOTABLE, "Listed files found; what their category means is not confirmed",
         "Confirm the category scheme before this is an answer."),
    ],
)  # fmt: skip
def test_a_not_pertinent_category_counts_as_such_only_when_confirmed(
    tmp_path: Path, info: dict[str, object], headline: str, more: str
) -> None:
    items = [(samples.record(0), (samples.match(exhibits.IGNORABLE),))]
    found = page_of(tmp_path, items, hashsets=(info,)).verdict
    words = "1 file is identical to an item in a category that its scheme ranks as not pertinent."
    assert (found.headline, found.sentence) == (headline, f"{words} {more}")


def test_what_examiners_graded_is_said_beside_any_answer(tmp_path: Path) -> None:
    items = [(samples.record(number), ()) for number in range(3)]
    folder = exhibits.make_case(tmp_path / "case", items)
    with open_case(folder) as view:
        assert "examiner" not in page(view).verdict.sentence
        content = next(row.sha256 for row in view.files())
    assert content is not None
    with open_case_for_writing(folder) as case:
        case.decide(content, Decision("A", exhibits.STARTED, samples.CATEGORY_A, ""))
    with open_case(folder) as view:
        answer = page(view).verdict
    assert answer.headline == "Known material found: NO"
    assert answer.sentence == (
        "3 files examined: none is listed. 1 file has an examiner's grade: see Graded by examiners; no figure here "
        "follows it."
    )


def test_a_stored_hash_that_was_not_compared_is_said_so(tmp_path: Path) -> None:
    stored = {"md5": "12" * 16}
    assert [is_unverified(facts) for facts in ({}, {"notes": "x"}, stored, {**stored, "verified": "md5"})] == [
        False, False, True, False,
    ]  # fmt: skip


def test_without_a_hash_set_the_answer_is_not_a_no(tmp_path: Path) -> None:
    assert page_of(tmp_path, [(samples.record(0), ())], hashsets=()).verdict.headline == "No hash set was given"
    with open_case(tmp_path / "case") as view, io.StringIO() as out:
        write_html(view, out)
        told = out.getvalue()
    assert told.count("No hash set of known material was given, so no file was compared.") == 2  # first screen, matches
    assert "No file is identical" not in told


def test_the_count_tables_add_up_and_never_mix_leads_in(tmp_path: Path) -> None:
    found = page_of(tmp_path, exhibits.busy_items())
    hostile = len(exhibits.HOSTILE_NAMES)
    exact = [
        (line.label, line.kind, *((line.cells[place].files, line.cells[place].unique) for place in line.cells))
        for line in found.exact.lines
    ]
    # (files, unique) live, in live files, deleted, other, all
    assert exact == [
        ("Category A", "still", (1 + hostile, 1 + hostile), (0, 0), (1, 1), (0, 0), (2 + hostile, 1 + hostile)),
        ("Category C", "still", (1, 1), (0, 0), (0, 0), (0, 0), (1, 1)),
        ("Category C", "moving", (1, 1), (0, 0), (0, 0), (0, 0), (1, 1)),
        ("code 77 (scheme unknown)", "still", (0, 0), (0, 0), (0, 0), (1, 1), (1, 1)),
    ]
    assert (found.exact.total.cells["all"].files, found.exact.total.cells["all"].unique) == (5 + hostile, 4 + hostile)
    leads = [(line.label, line.cells["live"].files, line.cells["other"].files) for line in found.leads.lines]
    assert leads == [("Category A", 1, 0), ("Category C", 0, 1)]
    assert [(e, x.files, near.files) for e, x, near in found.by_exhibit] == [("ABC/1", 5 + hostile, 2), ("ABC/2", 0, 0)]


def test_what_was_not_examined_names_each_gap_once(tmp_path: Path) -> None:
    gaps = page_of(tmp_path, exhibits.busy_items()).not_examined
    assert [headline for headline, _ in gaps] == [
        "ABC/1 disk.E01 p2: file system not understood, no file of it was seen by its name",
        "1 file: picture cannot be decoded",
        "The content could not be read to its end",
    ]


def test_a_volume_that_was_not_seen_is_named_with_its_reason_and_hides_no_other_problem(tmp_path: Path) -> None:
    figures = page_of(tmp_path, []).figures
    volume = VolumeRow("E", "disk.dd", "p0", 0, 512, "Linux (GPT)", "LUKS1", "encrypted")
    locked = [replace(volume, name=f"p{number}") for number in range(20)]
    quiet = replace(volume, name="p99", status="no-files", file_system="Linux swap")
    wide = [
        ProblemRow("E", "disk.dd", one.name, "", "open", "volume-encrypted", f"{one.name} has no key") for one in locked
    ]
    wide += [ProblemRow("E", "disk.dd", f"q{number}", "", "open", "image-truncated", "cut") for number in range(14)]
    gaps = list(not_examined(figures, [*locked, quiet], wide, [], {}))
    assert gaps[19] == ("E disk.dd p19: encrypted, no file of it was seen", "512 bytes, Linux (GPT): p19 has no key")
    assert [headline.partition(":")[0] for headline, _ in gaps[20:32]] == [f"E disk.dd q{n}" for n in range(12)]
    assert gaps[32:] == [("2 more of the whole source or a volume", "problems.csv lists all")]


def test_free_space_that_was_not_searched_is_a_gap_and_searched_space_is_none(tmp_path: Path) -> None:
    figures = page_of(tmp_path, []).figures
    ((headline, explanation),) = not_examined(figures, [], [], [], {}, 5_000_000)
    assert headline == "Free space of file systems was not searched for deleted files"
    assert explanation.startswith("5 MB: the profiles standard and full")
    assert list(not_examined(figures, [], [], [], {})) == []


def test_a_scan_that_is_not_complete_says_so_first(tmp_path: Path) -> None:
    found = page_of(tmp_path, [(samples.record(0), ())], finish=False)
    assert found.not_examined[0][0] == "The scan is not complete"
    assert found.finished == "not finished"
    assert (found.verdict.word, found.verdict.headline) == ("leads", "Nothing found so far: the scan is not complete")


def test_what_was_found_before_the_scan_was_complete_is_a_yes(tmp_path: Path) -> None:
    found = page_of(tmp_path, [(samples.record(0), (samples.match(),))], finish=False)
    assert found.verdict.headline == "Known material found: YES"


def test_a_note_is_no_gap(tmp_path: Path) -> None:
    items = [(samples.record(0, found=(samples.problem("x", severity=Severity.NOTE),)), ())]
    found = page_of(tmp_path, items, unseen=False)
    assert found.not_examined == []
    assert [row.code for row, _ in found.problems] == ["x"]


@pytest.mark.parametrize(("info", "unconfirmed"), [(samples.NOTABLE, True), (exhibits.CONFIRMED, False)])
def test_an_unconfirmed_scheme_is_called_so(tmp_path: Path, info: dict[str, object], unconfirmed: bool) -> None:
    found = page_of(tmp_path, [], hashsets=(info,))
    assert found.unconfirmed is unconfirmed
    assert (found.hashsets[0].confirmed == "NOT CONFIRMED") is unconfirmed


def test_a_long_list_of_matches_is_cut_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("caid_triage.report.page.MATCHES_SHOWN", 3)
    found = page_of(tmp_path, [(samples.record(n), (samples.match(),)) for n in range(7)])
    assert (len(found.hits.shown), found.hits.held, found.hits.total) == (3, 7, 7)


def test_a_file_whose_kind_is_not_known_is_not_called_media(tmp_path: Path) -> None:
    items = [
        (samples.record(0, kind=Kind.VIDEO, decode_state=DecodeState.NOT_ATTEMPTED), ()),
        (samples.record(1, kind=Kind.OTHER, decode_state=DecodeState.NOT_ATTEMPTED), ()),
    ]
    found = page_of(tmp_path, items, unseen=False)
    assert [headline for headline, _ in found.not_examined] == ["1 file: media not decoded"]


def test_refused_rows_of_a_hash_set_are_summed_over_its_files(tmp_path: Path) -> None:
    (facts,) = page_of(tmp_path, []).hashsets
    assert (facts.refused, facts.sources) == (1, [("unit-set.json", "ab" * 32)])


def test_a_film_is_shown_by_its_figures_and_strips(tmp_path: Path) -> None:
    strip = ((0.0, 100), (61.5, 50), (700.0, 0), (4000.0, None))
    agreement = VideoAgreement(12, 9, 40, 10, 1.5, 3723.0, None, None, strip, ((None, 100), (None, 0)))
    met = samples.near(match_kind=MatchKind.VIDEO, algorithm="vpdq", agreement=agreement, orientation="mirrored")
    found = page_of(tmp_path, [(samples.record(kind=Kind.VIDEO), (met, samples.near(look="frame at 2.0 s")))])
    assert found.exact.total.cells["all"].files == 0
    assert found.verdict.word == "leads"
    (film,) = found.films
    assert (film.share, film.listed_share) == ("9 of 12 frames (75%)", "10 of 40 frames (25%)")
    assert (film.part, film.listed_part) == ("0:01.5 to 1:02:03", "times not listed")
    drawn, listed = film.strips
    assert drawn.ticks == ["0:00.0", "1:01.5", "11:40", "1:06:40"]
    assert listed.ticks == []
    assert [(bar.height, bar.agrees) for bar in drawn.bars] == [(24, True), (12, True), (3, False)]
    assert drawn.words == "This file: 9 of 12 frames (75%) agree, best part 0:01.5 to 1:02:03."
