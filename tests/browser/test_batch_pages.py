"""The summary of a batch and the unit's figures, as a supervisor's browser and a screen reader have them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from browser.test_report_page import Seen
from unit.batch.test_pages import unit

from caid_triage.batch.journal import Journal
from caid_triage.batch.queue import Exhibit
from caid_triage.batch.rows import exhibit_rows
from caid_triage.batch.summary import Summary, write_summary
from caid_triage.batch.unit_figures import unit_rows, write_figures

NOW = datetime.now(UTC) + timedelta(days=400)


@pytest.fixture(scope="module", params=["batch.html", "unit-figures.html"])
def seen(request: pytest.FixtureRequest, browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    folder = tmp_path_factory.mktemp("pages")
    cases = unit(folder)
    write_figures(folder, unit_rows([cases], NOW), NOW)
    with Journal(cases) as journal:
        records = journal.known.records
    made = [Exhibit(reference, (Path("/x"),), cases / record.case) for reference, record in records.items()]
    rows = list(exhibit_rows(made, records, ["done"], (), cases))
    write_summary(folder, Summary(4, False, True, 3700.0, NOW, rows, ["the notice command ended with 3"]))
    shown = Seen(browser, (folder / request.param).as_uri())
    yield shown
    assert shown.said == []
    shown.page.close()


def test_axe_finds_nothing(seen: Seen) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    violations = axe.Axe().run(seen.page).response["violations"]
    assert [(found["id"], [node["target"] for node in found["nodes"]][:5]) for found in violations] == []


def test_headings_go_down_one_by_one_and_nothing_runs_or_is_loaded(seen: Seen) -> None:
    levels = seen.page.evaluate("[...document.querySelectorAll('h1,h2,h3')].map(h => Number(h.tagName[1]))")
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert seen.page.locator("script, img, iframe, link").count() == 0
    assert seen.page.evaluate("performance.getEntriesByType('resource').length") == 0


@pytest.mark.parametrize("width", [1280, 420])
def test_the_page_fits_its_window(seen: Seen, width: int) -> None:
    seen.page.set_viewport_size({"width": width, "height": 900})
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    if width == 1280:
        wide = "[...document.querySelectorAll('.wide')].map(box => box.scrollWidth - box.clientWidth)"
        assert max(seen.page.evaluate(wide)) <= 0
