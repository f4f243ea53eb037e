"""A case of several exhibits says which of them has the material, on its first screen and on the terminal."""

from __future__ import annotations

import html
import io
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import pytest
from unit.case import samples
from unit.report import exhibits

from caid_triage.case.store import create_case
from caid_triage.case.view import open_case
from caid_triage.cli.verdict import verdict_lines
from caid_triage.model import Match, MatchKind
from caid_triage.report.html import write_html
from caid_triage.report.on_exhibits import OnExhibit, besides, found_on, named, words_of_case
from caid_triage.scan.outcome import ScanOutcome

HIT, LEAD, NOTHING = (samples.match(),), (samples.near(),), ()
CONTRADICTED = (samples.match(contradicted=True),)
IGNORABLE = (samples.match(exhibits.IGNORABLE),)


def make_case(
    folder: Path,
    met: Mapping[str, Sequence[tuple[Match, ...]]],
    *,
    unfinished: Collection[str] = (),
    hashsets: Sequence[dict[str, object]] = (exhibits.CONFIRMED,),
) -> Path:
    """A case with a source for each exhibit, whose files met this."""
    with create_case(folder, exhibits.HEADER) as case:
        run = case.begin_run("scan", exhibits.STARTED)
        for info in hashsets:
            case.record_hashset(info)
        for exhibit, files in met.items():
            of_it = {"exhibit": exhibit, "source": f"{exhibit}.E01"}
            source = case.add_source(samples.source(**of_it), {"of": exhibit})
            records = [
                samples.record(number, content=f"{exhibit} {number}".encode(), **of_it) for number in range(len(files))
            ]
            case.write_batch(source, records, files, [], len(files))
            if exhibit not in unfinished:
                case.finish_source(source, len(files), len(files))
        case.end_run(run, exhibits.STARTED.replace(minute=5), "finished")
    return folder


SEVERAL = {
    "A/1": [HIT, HIT, NOTHING],
    "A/2": [NOTHING],
    "A/3": [HIT] * 12 + [LEAD],
    "A/4": [LEAD, LEAD],
    "A/5": [CONTRADICTED],
    "A/6": [IGNORABLE],
    "A/7": [NOTHING],
    "A/8": [],
}
TOLD = [
    "Files identical to a listed item: A/3 (12), A/1 (2); none on A/2; none so far on A/7.",
    "Contradictions to check, in no count: A/5 (1).",
    "Leads alone, to check by eye: A/4 (2).",
    "Identical to an item in a category that its scheme ranks as not pertinent, in no other count: A/6 (1).",
    "No file examined of: A/8.",
]


def test_the_first_screen_and_the_terminal_say_which_exhibit_has_it(tmp_path: Path) -> None:
    folder = make_case(tmp_path / "case", SEVERAL, unfinished=["A/7"])
    with open_case(folder) as view:
        assert words_of_case(view) == TOLD
        out = io.StringIO()
        write_html(view, out)
        said = verdict_lines(view, ScanOutcome())
    page = html.unescape(out.getvalue())
    answer = page[page.index('id="verdict"') : page.index('id="at-a-glance"')]
    assert [words in answer for words in TOLD] == [True] * len(TOLD)
    # The answer counts 14 and the table 15: which line makes the difference is said in it.
    table = page[page.index('id="at-a-glance"') : page.index('id="not-examined"')]
    (ignorable,) = re.findall(r"<tr.*ranked as not pertinent.*", table)
    assert "Ignorable" in ignorable
    assert said[2 : 2 + len(TOLD)] == [f"  {words}" for words in TOLD]


@pytest.mark.parametrize(
    ("met", "told"),
    [
        ({"A/1": [HIT, NOTHING]}, []),  # of one exhibit the answer itself says it
        ({"A/1": [NOTHING], "A/2": [NOTHING]}, []),
        ({"A/1": [HIT], "A/2": [NOTHING]}, ["Files identical to a listed item: A/1 (1); none on A/2."]),
        ({"A/1": [NOTHING], "A/2": []}, ["No file examined of: A/2."]),
        ({"A/1": [NOTHING], "A/2": [LEAD]}, ["Leads alone, to check by eye: A/2 (1)."]),
    ],
)
def test_what_the_answer_says_of_all_of_them_is_not_said_again(
    tmp_path: Path, met: Mapping[str, Sequence[tuple[Match, ...]]], told: list[str]
) -> None:
    with open_case(make_case(tmp_path / "case", met)) as view:
        assert words_of_case(view) == told


def test_the_counts_of_the_exhibits_are_those_of_their_matches(tmp_path: Path) -> None:
    with open_case(make_case(tmp_path / "case", SEVERAL)) as view:
        exact = {(row.exhibit, row.path) for row in view.matches() if row.match_kind is MatchKind.EXACT}
        (first, *_) = words_of_case(view)
        contradicted = {(row.exhibit, row.source, row.volume, row.path) for row in view.contradicted_matches()}
        assert view.contradicted_files() == Counter(exhibit for exhibit, *_ in contradicted) == {"A/5": 1}
    for exhibit in ("A/1", "A/3"):
        assert f"{exhibit} ({sum(of == exhibit for of, _ in exact)})" in first


def test_a_rank_that_nobody_confirmed_and_a_case_without_a_set_are_told_so(tmp_path: Path) -> None:
    met = {"A/1": [IGNORABLE], "A/2": [NOTHING]}
    with open_case(make_case(tmp_path / "unsure", met, hashsets=[samples.NOTABLE])) as view:
        assert words_of_case(view) == ["Files listed in a category whose meaning is not confirmed: A/1 (1)."]
    bare = {"A/1": [NOTHING], "A/2": [NOTHING]}
    with open_case(make_case(tmp_path / "bare", bare, hashsets=[samples.KNOWN_GOOD])) as view:
        assert words_of_case(view) == ["Nothing was compared, for no hash set of known material was given: A/1, A/2."]


def test_many_exhibits_are_named_as_far_as_a_sentence_goes() -> None:
    assert named(["A"], 2) == "A"
    assert named([str(number) for number in range(1003)], 2) == "0, 1, 1,001 more"
    facts = {"ignorable": 0, "confirmed": True, "leads": 0, "contradicted": 0, "files": 9, "compared": True}
    parts = [
        OnExhibit(reference=name, found=0, fragments=count, fragment_files=1, done=True, **facts)
        for name, count in (("A/1", 1), ("A/2", 1200))
    ]
    assert found_on(parts) == ["No file identical to a listed item."]
    assert besides(parts) == [
        "Parts of known files, in no other count: A/2 (fragments: 1,200 of 1 file), A/1 (fragments: 1 of 1 file)."
    ]
