"""What the page says first, where and when, on several exhibits: each figure equals a naive recount of the case."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.page_case import STATING, make_page_case
from unit.case import samples
from unit.report import exhibits

from caid_triage.case.page_rows import MonthCount
from caid_triage.case.rows import MatchRow
from caid_triage.case.store import open_case_for_writing
from caid_triage.case.view import CaseView, open_case
from caid_triage.model import FileTimes, Kind, MatchKind
from caid_triage.report.hits import HitTable
from caid_triage.report.near import Chance
from caid_triage.report.page import Page, page
from caid_triage.report.timeline import MONTHS_DRAWN, months_drawn
from caid_triage.report.write import write_reports

COMPARE = (
    "sha256,md5,sha1,kind,media_type,size,exhibits,listed,category_code,category_label,scheme,exhibit,source,volume,path,"
    "state,created,modified,container_state"
)


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> CaseView:
    return open_case(make_page_case(tmp_path_factory.mktemp("page") / "case", (180, 40, 25)))


@pytest.fixture(scope="module")
def found(view: CaseView) -> Page:
    return page(view)


@pytest.fixture(scope="module")
def listed(view: CaseView) -> list[MatchRow]:
    """One exact match of each file that has one (here each file has one match at most)."""
    return [row for row in view.matches() if row.match_kind is MatchKind.EXACT]


def test_listed_files_are_those_of_the_verdict(found: Page, listed: list[MatchRow]) -> None:
    assert found.listed == len(listed) == found.whereabouts.total > 50
    assert found.verdict.sentence.startswith(f"{len(listed)} files (")


def test_statements_are_counted_as_the_entries_make_them(found: Page, listed: list[MatchRow]) -> None:
    counts = {row.word: row for row in found.stated.counts}
    for word in ("victim-identified", "distributed"):
        with_it = [row for row in listed if word in row.stated]
        without = [row for row in listed if word not in row.stated]
        assert counts[word].files == len(with_it) > 0
        assert counts[word].unique == len({row.sha256 for row in with_it})
        assert counts[word].not_stated == len(without) > 0
        assert counts[word].not_stated_unique == len({row.sha256 for row in without})
        assert counts[word].others == 0
    # No set states it of any entry: that it is absent says nothing.
    assert (counts["self-generated"].not_stated, counts["self-generated"].others) == (0, len(listed))
    in_series = [row for row in listed if row.series]
    assert [(row.series, row.files, row.unique) for row in found.stated.series] == [
        ("Harbour", len(in_series), len({row.sha256 for row in in_series}))
    ]
    assert found.stated.unknown == ["unit-own states nothing of identified victims, distribution and series"]


def test_what_to_look_at_first_rests_on_those_figures(found: Page) -> None:
    headlines = [one.headline for one in found.attention]
    counts = {row.word: row for row in found.stated.counts}
    assert headlines[0].startswith(f"Victim not stated as identified: {counts['victim-identified'].not_stated} files")
    assert headlines[1] == "Known series: 1"
    assert headlines[2].startswith(f"Distributed material: {counts['distributed'].files} files")
    assert headlines[3] == f"Perhaps made with the same camera: {found.origin.leads_total} files not listed"
    cloud_and_chat = found.whereabouts.files["cloud"] + found.whereabouts.files["chat"]
    assert headlines[4].endswith(f"programs: {cloud_and_chat} files")


def test_nothing_is_to_be_looked_at_first_where_nothing_is_listed(tmp_path: Path) -> None:
    items = [(samples.record(0), (samples.near(),)), (samples.record(1), (samples.match(exhibits.IGNORABLE),))]
    with open_case(exhibits.make_case(tmp_path / "case", items, hashsets=(exhibits.CONFIRMED,))) as case:
        found = page(case)
    assert (found.listed, found.attention, found.whereabouts.lines) == (0, [], [])


def test_of_a_set_that_an_earlier_version_matched_it_is_said_that_nothing_is_known(tmp_path: Path) -> None:
    with open_case(exhibits.make_case(tmp_path / "case", [(samples.record(0), (samples.match(),))])) as case:
        found = page(case)
    assert found.attention == []
    assert found.stated.unknown[0].startswith("unit-set was matched by an earlier version")


def test_a_statement_of_one_of_several_entries_counts_and_a_contradicted_one_does_not(tmp_path: Path) -> None:
    said = {"stated": ("victim-identified",), "series": "S"}
    items = [
        (samples.record(0), (samples.match(), samples.match(record_row=5, **said))),
        (samples.record(1), (samples.match(), samples.match(record_row=5, contradicted=True, **said))),
        (samples.record(2), (samples.match(), samples.near(record_row=6, **said))),
    ]
    info = {**STATING, "name": "unit-set"}
    with open_case(exhibits.make_case(tmp_path / "case", items, hashsets=(info,))) as case:
        found = page(case)
    counts = found.stated.counts[0]
    assert (counts.word, counts.files, counts.not_stated) == ("victim-identified", 1, 2)
    assert [(row.series, row.files) for row in found.stated.series] == [("S", 1)]


def test_cache_and_folders_equal_a_naive_recount(found: Page, listed: list[MatchRow]) -> None:
    lines: defaultdict[tuple[str, str], list[MatchRow]] = defaultdict(list)
    folders: defaultdict[tuple[str, str], list[MatchRow]] = defaultdict(list)
    for row in listed:
        lines[row.exhibit, row.category_label].append(row)
        folders[row.exhibit, row.path.rpartition("/")[0]].append(row)
    for line in found.whereabouts.lines:
        rows = lines.pop((line.exhibit, line.label))
        cached = sum("/Cache/" in row.path for row in rows)
        assert (line.files, line.unique) == (len(rows), len({row.sha256 for row in rows}))
        assert (line.stills, line.films) == tuple(sum(r.kind is k for r in rows) for k in (Kind.IMAGE, Kind.VIDEO))
        assert (line.cache.files, line.thumbnails.files, line.elsewhere.files) == (cached, 0, len(rows) - cached)
        assert line.cache.share == (
            "0%" if not cached else f"{100 * cached / len(rows):.1f}%".replace("100.0%", "100%")
        )
    assert not lines
    assert found.whereabouts.folders_total == len(folders)
    shown = {(row.exhibit, row.folder): (row.files, row.unique) for row, _ in found.whereabouts.folders}
    assert shown == {key: (len(rows), len({r.sha256 for r in rows})) for key, rows in folders.items()}
    counts = [row.files for row, _ in found.whereabouts.folders]
    assert counts == sorted(counts, reverse=True)


def test_the_timeline_equals_a_naive_recount(found: Page, view: CaseView, listed: list[MatchRow]) -> None:
    panels = {panel.identity: panel for panel in found.timeline}
    assert sorted(panels) == ["listed-created", "listed-modified", "media-created", "media-modified"]
    files = list(view.files())
    for field in ("created", "modified"):
        for identity, rows in ((f"listed-{field}", listed), (f"media-{field}", files)):
            months = Counter(getattr(row, field).strftime("%Y-%m") for row in rows)
            panel = panels[identity]
            table = {
                f"{line.year}-{month:02d}": count
                for line in panel.lines
                for month, count in enumerate(line.months, start=1)
                if count
            }
            assert table == months
            assert (panel.total, panel.without, panel.not_drawn, panel.not_in_table) == (len(rows), 0, 0, 0)
            assert [bar.words for bar in panel.bars] == [f"{m}: {months[m]}" for m in sorted(months)]
            tallest = max(panel.bars, key=lambda bar: bar.height)
            assert (tallest.height, panel.most) == (60, max(months.values()))


def test_what_is_not_drawn_is_counted(tmp_path: Path) -> None:
    times = [datetime(1601, 1, 1, tzinfo=UTC), datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), None]
    times += [datetime(2019, 5, day, tzinfo=UTC) for day in (1, 2, 3)] + [datetime(2107, 1, 1, tzinfo=UTC)]
    items = [
        (samples.record(n, times=FileTimes(created=when)), (samples.match(),) if n > 4 else ())
        for n, when in enumerate(times)
    ]
    with open_case(exhibits.make_case(tmp_path / "case", items)) as case:
        panels = {panel.identity: panel for panel in page(case).timeline}
    media = panels["media-created"]
    assert [bar.words for bar in media.bars] == ["2019-05: 3"]
    assert (media.total, media.without, media.not_drawn, media.not_in_table) == (7, 1, 3, 0)
    assert [(line.year, line.total) for line in media.lines] == [("1601", 1), ("1969", 1), ("2019", 3), ("2107", 1)]
    assert media.lines[1].months[11] == 1
    assert [bar.words for bar in panels["listed-created"].bars] == ["2019-05: 1"]
    assert panels["listed-created"].not_drawn == 1
    assert (panels["media-modified"].total, panels["media-modified"].without, panels["media-modified"].bars) == (
        7,
        7,
        (),
    )


def test_the_months_drawn_are_the_stretch_with_the_most_listed_files() -> None:
    months = [MonthCount(f"{year}-01", 5, int(year in (1990, 1995))) for year in range(1970, 2020)]
    drawn = months_drawn(months)
    assert len(drawn) == MONTHS_DRAWN
    assert {1990 * 12, 1995 * 12} <= set(drawn)
    assert months_drawn([MonthCount(None, 3, 3)]) == range(0)


@pytest.mark.parametrize("last", ["2026-01", "2026-11", "2026-12"])
def test_no_years_are_drawn_behind_the_last_file(last: str) -> None:
    """An old picture and a disk used this year: the figure does not go on ten years into the future."""
    drawn = months_drawn([MonthCount("2004-06", 5, 0), MonthCount(last, 3, 3)])
    assert drawn == range(2017 * 12, 2027 * 12)
    late = months_drawn([MonthCount("1970-03", 1, 0), MonthCount("2019-11", 1, 1), MonthCount("2029-09", 1, 1)])
    assert (len(late), late[0]) == (MONTHS_DRAWN, 2019 * 12 + 10)


def test_what_exhibits_share_equals_a_naive_recount(found: Page, view: CaseView, tmp_path: Path) -> None:
    on: defaultdict[bytes, Counter[str]] = defaultdict(Counter)
    known = {row.sha256 for row in view.matches() if row.match_kind is MatchKind.EXACT}
    for row in view.files():
        if row.sha256 is not None:
            on[row.sha256][row.exhibit] += 1
    shared = {sha256: places for sha256, places in on.items() if len(places) > 1}
    assert found.shared is not None
    assert found.shared.figures.contents == len(shared) == 20
    assert found.shared.figures.listed == len(known & set(shared)) == 5
    pairs = {
        (one, other): [sha256 for sha256, places in shared.items() if one in places and other in places]
        for one, other in (("ABC/1", "ABC/2"), ("ABC/1", "ABC/3"), ("ABC/2", "ABC/3"))
    }
    assert {(pair.exhibit, pair.other): (pair.contents, pair.listed) for pair in found.shared.pairs} == {
        names: (len(both), len(known & set(both))) for names, both in pairs.items()
    }
    assert [content.row.listed for content in found.shared.contents] == [1] * 5 + [0] * 15
    assert all(content.files == sum(shared[content.row.sha256].values()) for content in found.shared.contents)
    write_reports(view, tmp_path, ["shared"])
    lines = (tmp_path / "compare.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + sum(sum(places.values()) for places in shared.values())
    assert lines[0].startswith(
        "sha256,md5,sha1,kind,media_type,size,exhibits,listed,category_code,category_label,scheme,"
    )


def test_an_empty_file_and_one_that_nobody_could_read_are_shared_by_none(tmp_path: Path) -> None:
    with open_case(make_page_case(tmp_path / "case", (4,))) as case:
        assert page(case).shared is None
    with open_case_for_writing(tmp_path / "case") as writer:
        second = writer.add_source(samples.source(exhibit="E/2", source="b"), {"size": 9})
        third = writer.add_source(samples.source(exhibit="E/3", source="c"), {"size": 8})
        for source_id, exhibit, source in ((second, "E/2", "b"), (third, "E/3", "c")):
            of = {"exhibit": exhibit, "source": source}
            records = [samples.record(0, content=b"", **of), samples.record(1, digests=None, **of)]
            records.append(samples.record(2, content=b"a program", kind=Kind.OTHER, **of))
            writer.write_batch(source_id, records, [()] * 3, [], 3)
    with open_case(tmp_path / "case") as case:
        shared = page(case).shared
    assert shared is not None
    assert (shared.figures.contents, shared.pairs, shared.contents) == (0, [], [])


def test_the_latest_release_is_compared_with_the_one_before(tmp_path: Path) -> None:
    folder = exhibits.make_case(tmp_path / "case", [(samples.record(n), (samples.match(),)) for n in range(3)])
    with open_case(folder) as case:
        assert page(case).regrade is None
    info = {**samples.NOTABLE, "generation": "g2"}
    with open_case_for_writing(folder) as case:
        records = [record for _, batch in case.records() for record in batch]
        now = [(), (samples.match(samples.CATEGORY_C, generation="g2"),), (samples.match(generation="g2"),)]
        case.replace_matches([info], [(1, records, now)])
    with open_case(folder) as case:
        found = page(case).regrade
    assert found is not None
    assert [(row.change, row.path) for row in found.changes] == [
        ("gone", "/pictures/0.jpg"),
        ("changed", "/pictures/1.jpg"),
    ]
    assert (found.total, found.row.files_gone, found.row.files_changed) == (2, 1, 1)


def test_the_data_of_the_table_is_the_matches_and_is_bounded(
    found: Page, view: CaseView, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = list(view.matches())
    exact = [row for row in rows if row.match_kind is MatchKind.EXACT]
    leads = [row for row in rows if row.match_kind is not MatchKind.EXACT]
    assert len(leads) > 7
    for table, some in ((found.hits, exact), (found.look_alikes, leads)):
        assert_data_is(table, some)
    data = json.loads("".join(found.look_alikes.data()))
    chance = Chance(view)
    assert [data["chance"]["values"][place][1] for place in data["chance"]["rows"]] == list(map(chance.of_match, leads))
    monkeypatch.setattr("caid_triage.report.hits.HITS_INLINE", 7)
    cut = page(view)
    assert (cut.hits.total, cut.look_alikes.total) == (len(exact), len(leads))
    assert cut.hits.held + cut.look_alikes.held == 7
    held = json.loads("".join(cut.hits.data()))
    assert held["held"] == len(held["names"]) == cut.hits.held > 0
    monkeypatch.setattr("caid_triage.report.hits.HITS_INLINE", 1000)
    monkeypatch.setattr("caid_triage.report.hits.INLINE_LETTERS", 100)
    assert 0 < page(view).hits.held < 7


def assert_data_is(table: HitTable, rows: list[MatchRow]) -> None:
    text = "".join(table.data())
    assert "<" not in text
    data = json.loads(text)
    assert (data["total"], data["held"]) == (len(rows), len(rows))
    where = [data["where"]["values"][place] for place in data["where"]["rows"]]
    folders = [data["folder"]["values"][place] for place in data["folder"]["rows"]]
    assert [(exhibit, f + name) for (exhibit, _), f, name in zip(where, folders, data["names"], strict=True)] == [
        (row.exhibit, row.path) for row in rows
    ]
    assert data["bytes"] == [row.size for row in rows]
    categories = [data["category"]["values"][place] for place in data["category"]["rows"]]
    assert [category[0] for category in categories] == [row.category_label for row in rows]
    ranks = {"Category A": 0, "Category B": 1, "Category C": 2}
    assert {category[0]: category[2] for category in categories}.items() <= ranks.items()


def test_the_page_is_the_same_in_other_batches_and_another_folder(tmp_path: Path) -> None:
    pages = []
    for name, batch in (("one", 7), ("other", 1000)):
        with open_case(make_page_case(tmp_path / name, (60, 30), batch)) as case:
            write_reports(case, tmp_path / name / "reports", ["html", "shared"])
        lines = (tmp_path / name / "reports" / "report.html").read_text(encoding="utf-8").splitlines()
        pages.append([line for line in lines if 'id="run-times"' not in line])
        pages[-1].append((tmp_path / name / "reports" / "compare.csv").read_text(encoding="utf-8"))
    assert pages[0] == pages[1]
