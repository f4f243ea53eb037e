"""report.html of a case whose every text is hostile, in a real browser: nothing runs, is asked for or comes apart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from browser.test_report_page import Seen
from laws.test_hostile_page import MARKUP
from support.hostile_case import make_hostile_case

from caid_triage.case.view import open_case
from caid_triage.report.write import write_reports

LONG = 64 * 1024
TEXTS = {
    "markup": "".join(MARKUP),
    "long": "unbroken" * (LONG // 8),
    "marks": "e" + "\u0301" * 2000 + " plain",
    "turned": "\u202e\u2066\u2067\u200farab \u05d0\u05d1\u05d2 123 \u0627\u0644",
}


@pytest.fixture(scope="module", params=sorted(TEXTS))
def seen(browser: Any, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    folder = make_hostile_case(tmp_path_factory.mktemp("hostile") / "case", TEXTS[request.param])
    with open_case(folder) as view:
        write_reports(view, folder / "reports", ["html"])
    seen = Seen(browser, (folder / "reports" / "report.html").as_uri())
    yield seen
    seen.page.close()


def test_nothing_runs_and_nothing_is_asked_for(seen: Seen) -> None:
    assert seen.page.evaluate("typeof window.hacked") == "undefined"
    assert seen.said == []
    assert len(seen.asked) == 1
    links = seen.page.evaluate("[...document.querySelectorAll('a')].map(link => link.getAttribute('href'))")
    assert links
    assert all(link.startswith("#") for link in links)
    assert seen.page.locator("img, iframe, object, embed, form, foreignObject").count() == 0
    assert seen.page.locator("script").count() == 3


def test_the_page_is_no_wider_than_the_screen_and_its_parts_are_in_order(seen: Seen) -> None:
    """No text reaches over its neighbours: each section begins behind the one before it."""
    for width in (1280, 480):
        seen.page.set_viewport_size({"width": width, "height": 900})
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
        tops = seen.page.evaluate("[...document.querySelectorAll('section')].map(s => s.getBoundingClientRect().top)")
        assert len(tops) >= 7
        assert tops == sorted(tops)
    assert seen.page.evaluate("getComputedStyle(document.querySelector('#matches')).direction") == "ltr"
    assert seen.page.locator("#verdict").inner_text().startswith("Known material found: YES")
