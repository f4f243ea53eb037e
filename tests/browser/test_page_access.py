"""report.html for everybody: axe-core, first screen, zoom, print, motion, the parts that a screen reader goes by."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from browser.test_report_page import Seen
from support.page_case import make_page_case
from unit.case import samples
from unit.report import exhibits

from caid_triage.case.store import open_case_for_writing
from caid_triage.case.view import open_case
from caid_triage.report.write import write_reports


def busy(folder: Path) -> Path:
    """A case with hostile names, problems and contradictions, matched again."""
    exhibits.make_case(folder, exhibits.busy_items())
    with open_case_for_writing(folder) as case:
        records = [record for _, batch in case.records() for record in batch]
        found = [(samples.match(generation="g2"),) for _ in records]
        case.replace_matches([{**samples.NOTABLE, "generation": "g2"}], [(1, records, found)])
    return folder


@pytest.fixture(scope="module", params=["page", "busy", "empty"])
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param) / "case"
    if request.param == "page":
        make_page_case(folder, (80, 24))
    elif request.param == "busy":
        busy(folder)
    else:
        exhibits.make_case(folder, [], hashsets=())
    with open_case(folder) as view:
        write_reports(view, folder / "reports", ["html"])
    return folder / "reports" / "report.html"


@pytest.fixture(scope="module")
def page(browser: Any, report: Path) -> Iterator[Seen]:
    seen = Seen(browser, report.as_uri())
    yield seen
    seen.page.close()


@pytest.fixture
def seen(page: Seen) -> Iterator[Seen]:
    """The page on a desk's screen again, whatever the test before made of it."""
    page.page.set_viewport_size({"width": 1280, "height": 900})
    page.page.emulate_media(reduced_motion="null", color_scheme="null", media="null")
    yield page
    assert page.said == []


def test_axe_finds_nothing_serious(seen: Seen) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    # axe is put into the page by the debugger, which the page's policy does not bind.
    violations = axe.Axe().run(seen.page).response["violations"]
    grave = [
        (found["id"], [node["target"] for node in found["nodes"]][:5])
        for found in violations
        if found["impact"] in ("serious", "critical")
    ]
    assert grave == []
    assert [found["id"] for found in violations] == []


def test_headings_go_down_one_by_one_and_landmarks_have_names(seen: Seen) -> None:
    levels = seen.page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(h => Number(h.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    for landmark in ("main", "header", "footer", "nav[aria-label=Contents]"):
        assert seen.page.locator(landmark).count() == 1, landmark
    for table in seen.page.locator("table").all():
        assert table.locator("caption").count() == 1
        assert table.locator("th:not([scope])").count() == 0
    first = "document.querySelector('a, button, input, select, [tabindex]')"
    seen.page.evaluate(f"{first}.focus()")
    assert seen.page.evaluate("document.activeElement.getAttribute('href')") == "#verdict"
    assert seen.page.locator(".skip").bounding_box()["x"] >= 0
    seen.page.evaluate("document.activeElement.blur()")


def test_the_page_works_at_twice_the_size(seen: Seen) -> None:
    """200% on a screen 1280 wide is a page 640 wide (WCAG 1.4.4, 1.4.10 at 400%: 320)."""
    for width in (640, 320):
        seen.page.set_viewport_size({"width": width, "height": 400})
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    for part in ("#verdict", "#not-examined", "#attention"):
        assert seen.page.locator(part).is_visible()


def test_nothing_moves_and_print_is_dark_on_white(seen: Seen) -> None:
    seen.page.emulate_media(reduced_motion="reduce", color_scheme="dark", media="print")
    assert seen.page.evaluate("document.getAnimations().length") == 0
    colours = seen.page.evaluate(
        "[getComputedStyle(document.documentElement).backgroundColor, getComputedStyle(document.body).color]"
    )
    assert colours == ["rgb(255, 255, 255)", "rgb(27, 36, 48)"]
    seen.page.set_viewport_size({"width": 720, "height": 1000})
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= 720


def test_the_first_screen_has_the_answer_the_counts_what_is_missing_and_what_to_look_at(seen: Seen) -> None:
    seen.page.set_viewport_size({"width": 1280, "height": 800})
    parts = ["dl.facts", "#verdict", "#not-examined", "#attention"]
    parts += ["#at-a-glance"] * seen.page.locator("#at-a-glance").count()
    for part in parts:
        box = seen.page.locator(part).first.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= 800, part


def test_the_bars_of_the_months_say_what_the_table_says(seen: Seen) -> None:
    for figure in seen.page.locator(".timeline").all():
        if figure.locator("svg").count():
            words = figure.locator("svg").get_attribute("aria-label")
            assert figure.locator("table").count() == 1
            assert figure.locator("caption").inner_text() in words
            widths = figure.locator("rect.month").evaluate_all("bars => bars.map(b => b.getBoundingClientRect().width)")
            assert all(width > 0.5 for width in widths)
