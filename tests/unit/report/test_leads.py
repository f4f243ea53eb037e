"""Leads on the page and in the figures: apart, the least to be expected by chance first, and what was not searched."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from unit.case import samples
from unit.report.exhibits import make_case

from caid_triage.case.view import open_case
from caid_triage.match.lead_limits import limits_for
from caid_triage.match.options import MatchOptions
from caid_triage.report.html import write_html
from caid_triage.report.near import Chance, leads_not_searched
from caid_triage.report.page import page


def a_set(entries: int, leads: str = "auto", **changes: Any) -> dict[str, Any]:
    """What a case is told of a set of so many PDQ hashes."""
    limits = limits_for(entries, MatchOptions(leads=leads)).facts()
    return {**samples.NOTABLE, "counts": {"pdq": entries}, "distances": {"pdq": 31}, "leads": limits, **changes}


@pytest.mark.parametrize(
    ("info", "said"),
    [
        (a_set(400_000), ""),
        (a_set(0), ""),
        (a_set(30_000_000, "60"), ""),
        (a_set(30_000_000, role="known-good"), ""),
        (
            a_set(1_000_000),
            "leads beyond 31 bits were searched in unit-set by the looks that are not turned or mirrored: "
            "it has 1,000,000 entries; --leads 67 searches them by all looks",
        ),
        (
            a_set(10_000_000),
            "leads beyond 31 bits were searched in unit-set by the stored pixels alone: "
            "it has 10,000,000 entries; --leads 65 searches them by all looks",
        ),
        (
            a_set(30_000_000),
            "leads beyond 31 bits were not searched in unit-set: it has 30,000,000 entries; --leads 63 searches them",
        ),
        (a_set(5, "off"), "leads beyond 31 bits were not searched in unit-set (--leads off)"),
        (
            {**samples.NOTABLE, "counts": {"pdq": 5}},
            "leads beyond 31 bits were not searched in unit-set (--leads off)",
        ),
    ],
)
def test_what_was_not_searched_is_said(info: dict[str, Any], said: str) -> None:
    assert leads_not_searched(info) == said


def test_the_page_keeps_leads_apart_and_says_where_there_are_none_to_be_had(tmp_path: Path) -> None:
    items = [
        (samples.record(0, path="/a-far.jpg"), (samples.near(distance=70, threshold=71),)),
        (samples.record(1, path="/b-nearer.jpg"), (samples.near(distance=40, threshold=69),)),
        (samples.record(2, path="/c-strong.jpg"), (samples.near(distance=31),)),
        (samples.record(3, path="/d-exact.jpg"), (samples.match(samples.CATEGORY_C),)),
    ]
    folder = make_case(tmp_path / "case", items, hashsets=(a_set(1_000_000),))
    with open_case(folder) as view:
        found = page(view)
        assert [row.folder + row.name for row in found.hits.shown] == ["/d-exact.jpg"]
        assert [row.folder + row.name for row in found.look_alikes.shown] == ["/c-strong.jpg"]
        assert [row.path for row, _ in found.far_matches] == ["/b-nearer.jpg", "/a-far.jpg"]
        assert found.far_total == 2
        assert [table.total.cells["all"].files for table in (found.exact, found.strong_leads, found.far_leads)] == [
            1,
            1,
            2,
        ]
        assert found.leads.total.cells["all"].files == 3
        strong, far = Chance(view).by_set()
        assert (strong.tier, strong.distance, strong.looks_distance) == ("strong", 31, None)
        assert (far.tier, far.distance, far.looks_distance, far.entries) == ("lead", 71, 67, 1_000_000)
        assert far.expected_chance_matches is not None
        assert 0 < far.expected_chance_matches <= 1
        # Beyond the limit of the other looks only the stored pixels were asked about.
        lookups = view.lead_hashes(50)
        assert lookups.stored <= lookups.upright <= lookups.all
        with (tmp_path / "report.html").open("w", encoding="utf-8") as out:
            write_html(view, out)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    marks = (
        'id="matches"', 'id="hits"', "/d-exact.jpg", 'id="leads"', 'id="look-alikes"', "/c-strong.jpg",
        'id="leads-table"', "/b-nearer.jpg", "/a-far.jpg",
    )  # fmt: skip
    order = [text.index(mark) for mark in marks]
    assert order == sorted(order)
    assert "Leads beyond 31 bits were searched in unit-set by the looks" in re.sub(r"</?bdi>", "", text)
    assert 'id="counts-leads"' in text
    assert "40 of 69" in text
