"""The tables of matches and of leads in a real browser: filters, order, pages, keys, print; the same without script."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from browser.test_report_page import Seen
from markupsafe import Markup
from support.page_case import make_page_case
from unit.report import exhibits

from caid_triage.case.rows import MatchRow
from caid_triage.case.view import open_case
from caid_triage.model import MatchKind
from caid_triage.report.hits import hit_tables
from caid_triage.report.html import page_policy, prepared_page
from caid_triage.report.near import Chance, is_lead
from caid_triage.report.page import page
from caid_triage.report.write import write_reports


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_page_case(tmp_path_factory.mktemp("hits") / "case", (390, 80), varied=True)
    with open_case(folder) as view:
        write_reports(view, folder / "reports", ["html"])
    return folder


@pytest.fixture(scope="module")
def matches(case: Path) -> list[MatchRow]:
    with open_case(case) as view:
        return [row for row in view.matches() if row.match_kind is MatchKind.EXACT]


@pytest.fixture(scope="module")
def leads(case: Path) -> list[MatchRow]:
    with open_case(case) as view:
        return [row for row in view.matches() if row.match_kind is not MatchKind.EXACT and not is_lead(row)]


@pytest.fixture
def seen(browser: Any, case: Path) -> Iterator[Seen]:
    seen = Seen(browser, (case / "reports" / "report.html").as_uri())
    yield seen
    assert seen.said == []
    assert len(seen.asked) == 1
    seen.page.close()


def paths_of(table: str) -> str:
    return f"[...document.querySelectorAll('#{table} tbody tr')].map(r => r.querySelector('.path > bdi').textContent)"


PATHS = paths_of("hits")


def status(seen: Seen, table: str = "hits") -> str:
    return str(seen.page.inner_text(f"#{table}-said"))


TURNED = """() => {
    const size = document.getElementById("TABLE-size"), on = document.getElementById("TABLE-on");
    size.selectedIndex = 0;
    size.dispatchEvent(new Event("change"));
    document.getElementById("TABLE-first").click();
    const found = PATHS;
    while (on.getAttribute("aria-disabled") === "false") {
        on.click();
        found.push(...PATHS);
    }
    return found;
}"""


def all_paths(seen: Seen, table: str = "hits") -> list[str]:
    """The paths of every page of 50, turned one by one."""
    return list(seen.page.evaluate(TURNED.replace("PATHS", paths_of(table)).replace("TABLE", table)))


def test_every_match_is_on_one_of_the_pages_in_the_order_of_the_report(seen: Seen, matches: list[MatchRow]) -> None:
    assert status(seen) == f"Shown: 1 to 100 of {len(matches)} matches."
    assert all_paths(seen) == [row.path for row in matches]
    pages = -(-len(matches) // 50)
    assert seen.page.inner_text("#hits-page") == f"Page {pages} of {pages}"
    seen.page.evaluate("document.getElementById('hits-on').click()")  # the last page is the last
    assert seen.page.inner_text("#hits-page") == f"Page {pages} of {pages}"
    seen.page.click("#hits-first")
    assert seen.page.evaluate(PATHS)[0] == matches[0].path


FILTERS: dict[str, tuple[str, Callable[[MatchRow], bool]]] = {
    "category": ("Category B", lambda row: row.category_label == "Category B"),
    "match": ("MD5 only", lambda row: row.algorithm == "md5"),
    "state": ("deleted", lambda row: row.state.value == "deleted"),
    "kind": ("moving", lambda row: row.kind.value == "video"),
    "exhibit": ("ABC/2", lambda row: row.exhibit == "ABC/2"),
    "hashset": ("unit-own", lambda row: row.hashset == "unit-own"),
}


def test_a_filter_shows_what_fits_and_nothing_else(seen: Seen, matches: list[MatchRow]) -> None:
    for facet, (choice, fits) in FILTERS.items():
        seen.page.select_option(f"#hits-controls select[data-facet={facet}]", label=choice)
        wanted = [row.path for row in matches if fits(row)]
        assert 0 < len(wanted) < len(matches)
        assert f" of {len(wanted)} that fit, of {len(matches)} matches." in status(seen), facet
        assert all_paths(seen) == wanted, facet
        seen.page.click("#hits-clear")
        assert " that fit" not in status(seen)


def test_text_is_looked_for_in_path_item_and_series_and_filters_add_up(seen: Seen, matches: list[MatchRow]) -> None:
    seen.page.select_option("#hits-controls select[data-facet=category]", label="Category C")
    seen.page.fill("#hits-text", "CACHE harbour")
    wanted = [
        row.path
        for row in matches
        if row.category_label == "Category C" and "/Cache/" in row.path and row.series == "Harbour"
    ]
    seen.page.wait_for_timeout(300)
    assert wanted
    assert all_paths(seen) == wanted
    seen.page.fill("#hits-text", "no such thing")
    seen.page.wait_for_timeout(300)
    assert status(seen) == f"No match fits, of {len(matches)} matches."
    seen.page.click("#hits-clear")
    assert f" of {len(matches)} matches." in status(seen)


ORDERS: dict[str, Callable[[MatchRow], Any]] = {
    "size": lambda row: row.size,
    "file": lambda row: (f"{row.exhibit} {row.source} {row.volume}".lower(), row.path.lower()),
    "category": lambda row: row.category_label,
    "state": lambda row: row.state.value,
    "kind": lambda row: row.media_type,
    "modified": lambda row: row.modified and row.modified.replace(microsecond=0),
    "match": lambda row: row.algorithm,
    "set": lambda row: (row.hashset, row.media_id),
}


def test_a_column_sorts_up_and_down_stably_and_back(seen: Seen, matches: list[MatchRow]) -> None:
    for column, key in ORDERS.items():
        heading = f"#hits th[data-sort={column}]"
        assert seen.page.get_attribute(heading, "aria-sort") == "none"
        seen.page.focus(f"{heading} button")
        seen.page.keyboard.press("Enter")
        assert seen.page.get_attribute(heading, "aria-sort") == "ascending"
        assert seen.page.locator("#hits th[aria-sort]:not([aria-sort=none])").count() == 1
        assert all_paths(seen) == [row.path for row in sorted(matches, key=key)], column
        seen.page.focus(f"{heading} button")
        seen.page.keyboard.press("Space")
        assert seen.page.get_attribute(heading, "aria-sort") == "descending"
        assert all_paths(seen) == [row.path for row in sorted(matches, key=key, reverse=True)], column
        seen.page.click(f"{heading} button")
        assert seen.page.locator("#hits th[aria-sort]:not([aria-sort=none])").count() == 0
    assert all_paths(seen) == [row.path for row in matches]


def test_leads_are_filtered_sorted_and_paged_in_a_table_of_their_own(
    seen: Seen, case: Path, leads: list[MatchRow], matches: list[MatchRow]
) -> None:
    with open_case(case) as view:
        chance = {(row.exhibit, row.path): Chance(view).of_match(row) for row in leads}
    assert len(set(chance.values())) > 2
    assert status(seen, "look-alikes") == f"Shown: 1 to {len(leads)} of {len(leads)} leads."
    assert all_paths(seen, "look-alikes") == [row.path for row in leads]
    orders: dict[str, Callable[[MatchRow], Any]] = {
        "match": lambda row: row.distance, "chance": lambda row: chance[row.exhibit, row.path],
        "size": lambda row: row.size,
    }  # fmt: skip
    for column, key in orders.items():
        seen.page.click(f"#look-alikes th[data-sort={column}] button")
        assert all_paths(seen, "look-alikes") == [row.path for row in sorted(leads, key=key)], column
        seen.page.click(f"#look-alikes th[data-sort={column}] button")
        assert all_paths(seen, "look-alikes") == [row.path for row in sorted(leads, key=key, reverse=True)], column
        seen.page.click(f"#look-alikes th[data-sort={column}] button")
    seen.page.select_option("#look-alikes-controls select[data-facet=state]", label="deleted")
    gone = [row.path for row in leads if row.state.value == "deleted"]
    assert 0 < len(gone) < len(leads)
    assert all_paths(seen, "look-alikes") == gone
    assert status(seen) == f"Shown: 1 to 100 of {len(matches)} matches."  # the other table is as it was


OF_BOTH = "#hits tbody tr, #look-alikes tbody tr"
ROWS = f"[...document.querySelectorAll('{OF_BOTH}')].map(r => r.outerHTML.replace(/ class=\"\"/g, ''))"


@pytest.mark.parametrize("hostile", [False, True])
def test_the_rows_are_the_same_with_and_without_script(
    browser: Any,
    case: Path,
    tmp_path: Path,
    hostile: bool,
) -> None:
    if hostile:
        case = exhibits.make_case(tmp_path / "case", exhibits.busy_items())
        with open_case(case) as view:
            write_reports(view, case / "reports", ["html"])
    address = (case / "reports" / "report.html").as_uri()
    plain = Seen(browser, address, java_script_enabled=False)
    rows = plain.page.evaluate(ROWS)
    assert plain.page.locator("#hits-controls").is_hidden()
    plain.page.close()
    drawn = Seen(browser, address)
    drawn.page.select_option("#hits-size", "500")
    drawn.page.select_option("#look-alikes-size", "500")
    assert drawn.page.evaluate(ROWS) == rows
    assert len(rows) > 10
    assert drawn.said == []
    drawn.page.close()


def test_all_of_it_can_be_used_by_keyboard(seen: Seen) -> None:
    seen.page.focus("#hits-controls select")
    reached = []
    for _ in range(24):
        reached.append(seen.page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
        seen.page.keyboard.press("Tab")
    for part in ("hits-text", "hits-size", "hits-clear", "Match", "Size", "hits-first", "hits-on"):
        assert part in reached, reached
    seen.page.focus("#hits-on")
    seen.page.keyboard.press("Enter")
    assert seen.page.inner_text("#hits-page").startswith("Page 2 of ")
    assert seen.page.evaluate("document.activeElement.id") == "hits-on"
    outline = seen.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_what_is_filtered_is_printed_and_says_how_much_it_is(
    seen: Seen, matches: list[MatchRow], tmp_path: Path
) -> None:
    pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed")
    seen.page.select_option("#hits-controls select[data-facet=category]", label="Category A")
    wanted = [row.path for row in matches if row.category_label == "Category A"]
    seen.page.pdf(path=tmp_path / "page.pdf")
    lefts: list[float] = []

    def met(text: str, page: Any, place: Any, *_: Any) -> None:
        if text.strip():
            lefts.append(float(page[0] * place[4] + page[2] * place[5] + page[4]))

    sheets = [sheet.extract_text() for sheet in pypdf.PdfReader(tmp_path / "page.pdf").pages]
    pypdf.PdfReader(tmp_path / "page.pdf").pages[0].extract_text(visitor_text=met)
    assert min(lefts) > 20  # points: whoever prints cuts nothing off, whatever margin the printer needs
    # Ligatures of the printed type (ffi) as letters again, and no matter where lines are broken.
    text = "".join(unicodedata.normalize("NFKC", "".join(sheets)).split())
    said = f"Printed:{len(wanted)}of{len(wanted)}matchesthatthefiltershows(categoryCategoryA);thecasehas{len(matches)}."
    assert said in text
    after = text[text.index(said) :]
    assert all(path.rpartition("/")[2] in after for path in wanted)
    assert "Rowsapage" not in text
    seen.page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert seen.page.locator("#hits-printed").is_hidden()
    assert seen.page.locator("#hits tbody tr").count() == min(100, len(wanted))


def test_no_text_can_be_made_markup_by_whoever_writes_to_the_page(seen: Seen) -> None:
    """The policy's own rule (trusted types), tried: the console's complaint is expected and taken away."""
    refused = seen.page.evaluate(
        "(() => { try { document.body.innerHTML = '<b>x</b>'; return false; } catch (fault) { return true; } })()"
    )
    assert refused
    assert seen.page.locator("#verdict").count() == 1
    seen.said.clear()


def test_twenty_thousand_matches_are_all_reachable_in_a_page_of_few_bytes_each(
    browser: Any,
    case: Path,
    matches: list[MatchRow],
    tmp_path: Path,
) -> None:
    """As benchmarks/report_page.py with 100,000, of which a page may have 40 MB: 400 bytes each."""
    count = 20_000
    with open_case(case) as view:
        shown, chance = page(view), Chance(view)
    rows = (
        replace(matches[n % len(matches)], path=f"/folder {n % 700}/a picture with a name {n:06d}.jpg", media_id=str(n))
        for n in range(count)
    )
    hits, look_alikes = hit_tables(rows, chance, [("Category A", "uk")], (2000, 500))
    template, style, script = prepared_page()
    ours = {"style": Markup(style), "script": Markup(script), "policy": page_policy(style, script)}
    large = replace(shown, hits=hits, look_alikes=look_alikes)
    with (tmp_path / "page.html").open("w", encoding="utf-8", newline="") as file:
        file.writelines(template.generate(page=large, **ours))
    # The first 2,000 stand there twice, once as rows for a browser without script.
    assert (tmp_path / "page.html").stat().st_size < 400 * count
    assert sum(map(len, hits.data())) < 120 * count
    seen = Seen(browser, (tmp_path / "page.html").as_uri())
    assert status(seen).startswith("Shown: 1 to 100 of 20,000 matches.")
    seen.page.click("#hits-last")
    assert seen.page.evaluate(PATHS)[-1] == f"/folder {19_999 % 700}/a picture with a name 019999.jpg"
    seen.page.click("#hits th[data-sort=set] button")
    assert status(seen).startswith("Shown: 1 to 100 of 20,000 matches.")
    seen.page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert seen.page.locator("#hits tbody tr").count() == 2000
    words = seen.page.locator("#hits-printed").inner_text()
    assert words.startswith("Printed: the first 2,000 of 20,000 matches that the filter shows (no filter)")
    assert seen.said == []
    seen.page.close()
