"""report.html in a real browser: what a reader sees, and that hostile names stay names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from unit.case import samples
from unit.report import exhibits

from caid_triage.case.store import create_case
from caid_triage.case.view import open_case
from caid_triage.report.write import write_reports


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = exhibits.make_case(tmp_path_factory.mktemp("report") / "case", exhibits.busy_items())
    with open_case(folder) as view:
        write_reports(view, folder / "reports")
    return folder / "reports" / "report.html"


@pytest.fixture(scope="module")
def ledger_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a case whose bytes are accounted for, a wide disk with small volumes."""
    folder = tmp_path_factory.mktemp("ledger") / "case"
    with create_case(folder, exhibits.HEADER) as case:
        source_id = case.add_source(samples.source(), {"size": 1})
        volumes = [samples.volume(), samples.volume("p2", status="unlocked"), samples.volume("p2/<b>root")]
        case.set_volumes(source_id, volumes, [], {"encrypted": 1}, exhibits.WIDE_LEDGER)
        case.finish_source(source_id, 0, 0)
    with open_case(folder) as view:
        write_reports(view, folder / "reports")
    return folder / "reports" / "report.html"


class Seen:
    """A page and everything it said or asked for."""

    def __init__(self, browser: Any, address: str, **context: Any) -> None:
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page = browser.new_page(viewport={"width": 1280, "height": 900}, **context)
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: self.said.append(dialog.message))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(address)


@pytest.fixture(scope="module")
def seen(browser: Any, report: Path) -> Iterator[Seen]:
    seen = Seen(browser, report.as_uri())
    yield seen
    seen.page.close()


def table(page: Any, identity: str) -> list[list[str]]:
    rows = page.locator(f"#{identity} tbody tr").all()
    return [[cell.inner_text().strip() for cell in row.locator("th, td").all()] for row in rows]


def test_the_answer_is_on_the_first_screen(seen: Seen) -> None:
    verdict = seen.page.locator("#verdict")
    assert verdict.is_visible()
    found = 5 + len(exhibits.HOSTILE_NAMES)
    assert verdict.inner_text().startswith("Known material found: YES")
    assert f"{found} files ({found - 1} different contents) are identical to a listed item." in verdict.inner_text()
    for part in ("#verdict", "#at-a-glance", "#not-examined"):
        box = seen.page.locator(part).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= 900, part


def test_the_glance_has_a_line_a_category_and_a_total(seen: Seen) -> None:
    hostile = len(exhibits.HOSTILE_NAMES)
    lines = table(seen.page, "at-a-glance")
    # files, unique; still, moving, other files; live, in live files, deleted, other places
    assert lines == [
        ["Category A scheme uk", *map(str, (2 + hostile, 1 + hostile, 2 + hostile, 0, 0, 1 + hostile, 0, 1, 0))],
        ["Category C scheme uk", "2", "2", "1", "1", "0", "2", "0", "0", "0"],
        ["code 77 (scheme unknown) scheme uk", "1", "1", "1", "0", "0", "0", "0", "0", "1"],
        ["All categories", *map(str, (5 + hostile, 4 + hostile, 4 + hostile, 1, 0, 3 + hostile, 0, 1, 1))],
    ]


def test_leads_are_in_a_table_of_their_own(seen: Seen) -> None:
    assert table(seen.page, "counts-near") == [
        ["Category A scheme uk", "still", "1", "1", "0", "0", "0", "0", "0", "0", "1", "1"],
        ["Category C scheme uk", "still", "0", "0", "0", "0", "0", "0", "1", "1", "1", "1"],
        ["All categories", "all kinds", "1", "1", "0", "0", "0", "0", "1", "1", "2", "2"],
    ]
    assert table(seen.page, "counts-exact")[-1][-2] == str(5 + len(exhibits.HOSTILE_NAMES))
    for name, tags in (("hits", {"exact"}), ("look-alikes", {"lead, strong"})):
        assert set(seen.page.locator(f"#{name} .tag").all_text_contents()) == tags
    distances = seen.page.locator("#look-alikes td.how").all_text_contents()
    assert sorted(distances) == [f"lead, strongpdq {bits} of 31 bits" for bits in (12, 12, 2, 8)]
    assert len(seen.page.locator("#look-alikes td.rate").all_text_contents()) == 4


def test_what_was_not_examined_and_the_balance_are_visible(seen: Seen) -> None:
    gaps = seen.page.locator("#not-examined")
    assert "ABC/1 disk.E01 p2: file system not understood" in gaps.inner_text()
    assert "Linux LVM <0x8e>" in gaps.inner_text()
    total = len(exhibits.busy_items())
    balance = seen.page.locator("#conservation").inner_text()
    assert balance == f"Files walked {total} = examined {total} = stored {total}"


def test_hostile_names_are_shown_as_names_and_do_nothing(seen: Seen) -> None:
    shown = [name.strip() for name in seen.page.locator("td.path bdi").all_text_contents()]
    assert "/<script>window.hacked=1</script>.jpg" in shown
    assert "/<img src=x onerror=window.hacked=1>.jpg" in shown
    assert "/{{ 7*7 }}{% raw %}.jpg" in shown
    assert "/annexe\\u{202e}gpj.exe" in shown
    assert "/invisible\\u{200b}\\u{2066}\\u{00ad}name.jpg" in shown
    assert "/&lt;b&gt;&#0;.jpg" in shown
    assert "/ünï/写真/\U0001f4f7.jpg" in shown
    assert seen.page.evaluate("window.hacked") is None
    assert seen.page.locator("img, iframe, object, embed, form").count() == 0
    assert seen.page.locator("script").count() == 3
    assert seen.page.locator("a:not([href^='#'])").count() == 0


def test_nothing_is_loaded_and_nothing_is_complained_about(seen: Seen, report: Path) -> None:
    assert seen.asked == [report.as_uri()]
    assert seen.said == []


@pytest.mark.parametrize("width", [1280, 800, 480])
def test_a_very_long_name_does_not_push_the_page_wide(seen: Seen, width: int) -> None:
    seen.page.set_viewport_size({"width": width, "height": 900})
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    seen.page.set_viewport_size({"width": 1280, "height": 900})


def test_no_column_of_a_table_of_files_is_cut_off_on_a_desk_s_screen(seen: Seen) -> None:
    seen.page.evaluate("document.querySelectorAll('.later').forEach(e => { e.style.contentVisibility = 'visible'; })")
    widths = seen.page.evaluate("[...document.querySelectorAll('.wide')].map(e => [e.scrollWidth, e.clientWidth])")
    assert widths
    assert all(inner <= outer for inner, outer in widths), widths


def test_every_contents_link_leads_somewhere(seen: Seen) -> None:
    targets = [link.get_attribute("href") for link in seen.page.locator("a[href^='#']").all()]
    assert targets
    for target in targets:
        assert seen.page.locator(target).count() == 1, target


def test_every_table_has_a_caption_and_scoped_headings(seen: Seen) -> None:
    tables = seen.page.locator("table").all()
    assert len(tables) >= 9
    for each in tables:
        assert each.locator("caption").count() == 1
        assert each.locator("th:not([scope])").count() == 0


def test_the_page_reads_the_same_without_scripts_in_the_browser(browser: Any, report: Path, seen: Seen) -> None:
    plain = Seen(browser, report.as_uri(), java_script_enabled=False)
    assert plain.page.locator("#verdict").inner_text() == seen.page.locator("#verdict").inner_text()
    plain.page.close()


def test_the_style_is_applied_under_the_page_s_own_policy(seen: Seen) -> None:
    colour = seen.page.locator("#verdict").evaluate("element => getComputedStyle(element).borderLeftColor")
    assert colour == "rgb(140, 28, 19)"


# ---------------------------------------------------------------- the ledger


@pytest.mark.parametrize("width", [1280, 700])
def test_the_bars_of_the_ledger_are_drawn_whole_and_every_piece_can_be_seen(
    browser: Any, ledger_report: Path, width: int
) -> None:
    seen = Seen(browser, ledger_report.as_uri())
    seen.page.set_viewport_size({"width": width, "height": 900})
    bars = seen.page.locator(".bar svg").all()
    assert len(bars) == 5
    for bar in bars:
        box = bar.bounding_box()
        assert box["width"] > 400
        assert box["height"] > 10
        for piece in bar.locator("rect").all():
            part = piece.bounding_box()
            assert part["width"] >= 3
            assert part["x"] >= box["x"] - 1.5
            assert part["x"] + part["width"] <= box["x"] + box["width"] + 1.5
        for group in bar.locator("g:has(text)").all():  # what is written in a piece fits into it
            text, rect = group.locator("text").bounding_box(), group.locator("rect").bounding_box()
            assert rect["x"] <= text["x"]
            assert text["x"] + text["width"] <= rect["x"] + rect["width"]
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    assert seen.said == []
    assert seen.asked == [ledger_report.as_uri()]
    seen.page.close()


def test_the_fills_of_the_ledger_can_be_told_apart_without_colour(browser: Any, ledger_report: Path) -> None:
    seen = Seen(browser, ledger_report.as_uri())
    looks = {}
    for swatch in seen.page.locator(".key span").all():
        lines = swatch.locator("path").evaluate_all(
            "paths => paths.map(path => [path.getAttribute('class'), getComputedStyle(path).strokeDasharray])"
        )
        ground = swatch.locator("rect").evaluate("element => getComputedStyle(element).fill")
        looks[swatch.inner_text().strip()] = (ground, str(lines))
    assert len(looks) == 7
    by_lines = {words: lines for words, (_, lines) in looks.items()}
    plain = {words for words, lines in by_lines.items() if lines == "[]"}
    assert plain == {"in use by files and folders", "not searched", "unreadable"}
    black, blue, white = sorted(sum(map(int, looks[words][0][4:-1].split(", "))) for words in plain)
    assert black < 90
    assert 150 < blue < 300
    assert white == 3 * 255
    assert len({lines for words, lines in by_lines.items() if words not in plain}) == 4
    seen.page.close()


def test_the_ledger_is_read_out_in_words(browser: Any, ledger_report: Path) -> None:
    seen = Seen(browser, ledger_report.as_uri())
    labels = [bar.get_attribute("aria-label") for bar in seen.page.locator(".bar svg[role=img]").all()]
    assert labels[0].startswith("In order: no volume, 1.05 MB; p1, 105 MB; p2, 212 MB; no volume, 2 TB")
    assert labels[1].startswith("Files and folders 30,408,704 bytes (29.0%)")
    assert "Encrypted 104,857,600 bytes (99.0%)" in labels[2]
    assert seen.page.locator(".bar b").count() == 0
    seen.page.close()


def test_the_ledger_prints_within_the_page(browser: Any, ledger_report: Path) -> None:
    seen = Seen(browser, ledger_report.as_uri())
    seen.page.emulate_media(media="print")
    seen.page.set_viewport_size({"width": 720, "height": 1000})
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= 720
    for bar in seen.page.locator(".bar").all():
        assert bar.evaluate("element => getComputedStyle(element).breakInside") == "avoid"
    kept = seen.page.locator(".ledger svg").first.evaluate("element => getComputedStyle(element).printColorAdjust")
    assert kept == "exact"
    seen.page.close()
