"""The ledger in the case and its reports: ledger.csv, summary.json and the bars of report.html say the same."""

from __future__ import annotations

import csv
import json
import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from support.ledgers import check_tiling, sums_of
from unit.case import samples
from unit.report import exhibits

from caid_triage.case.store import create_case
from caid_triage.case.view import open_case
from caid_triage.evidence.coverage import LEDGER_KINDS
from caid_triage.evidence.fold import fold
from caid_triage.model import LedgerRange
from caid_triage.report.ledger import FILLS, SHOWN, SUMMARY_RANGES, VOLUMES_SHOWN, WIDTH, ledger_facts, source_ledgers
from caid_triage.report.write import write_reports

TB = 1 << 40
WIDE = exhibits.WIDE_LEDGER


def made(folder: Path, lines: Sequence[LedgerRange], names: Sequence[str] = ("p1", "p2", "p2/<b>root")) -> Path:
    with create_case(folder / "case", exhibits.HEADER) as case:
        source_id = case.add_source(samples.source(), {"size": 1})
        volumes = [samples.volume(name) for name in names]
        case.set_volumes(source_id, volumes, [], {"file_system": 1}, [LedgerRange(0, 9, "p1", "metadata")])
        case.set_volumes(source_id, volumes, [], {"file_system": 1}, iter(lines))
        case.finish_source(source_id, 0, 0)
        other = case.add_source(samples.source(exhibit="ABC/2", source="folder"), {"size": 2})
        case.set_volumes(other, [], [], {"files": 0})
        case.finish_source(other, 0, 0)
    with open_case(folder / "case") as view:
        write_reports(view, folder / "case" / "reports")
    return folder / "case"


def many_lines(count: int) -> list[LedgerRange]:
    lines, at = [], 0
    for number in range(count):
        length = 4096 * (1 + number % 7)
        lines.append(LedgerRange(at, at + length, f"p{number * 3 // count}", LEDGER_KINDS[number % 3]))
        at += length
    return lines


def listed(case: Path) -> list[dict[str, str]]:
    with (case / "reports" / "ledger.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def summarised(case: Path) -> list[dict[str, Any]]:
    ledgers: list[dict[str, Any]] = json.loads((case / "reports" / "summary.json").read_text("utf-8"))["ledger"]
    return ledgers


def test_what_is_stored_is_replaced_and_comes_back_as_it_was(tmp_path: Path) -> None:
    lines = list(fold(lambda: many_lines(50), 9))
    assert any(line.parts for line in lines)
    with open_case(made(tmp_path, lines)) as view:
        first, second = view.sources()
        assert list(view.ledger(first.id)) == lines
        assert list(view.ledger(second.id)) == []
        assert [ledger.source for ledger in source_ledgers(view)] == ["disk.E01"]


def test_an_impossible_size_is_kept_exactly(tmp_path: Path) -> None:
    size = 51_200_000_000_000_000_000
    lines = [LedgerRange(0, 9, "", "metadata"), LedgerRange(9, 1 << 64, "p1", "encrypted")]
    lines.append(LedgerRange(1 << 64, size, "", "unpartitioned"))
    case = made(tmp_path, lines)
    with open_case(case) as view:
        assert list(view.ledger(view.sources()[0].id)) == lines
    assert summarised(case)[0]["size"] == size == int(listed(case)[-1]["end"])


def test_ledger_csv_has_every_range_of_the_case(tmp_path: Path) -> None:
    lines = list(fold(lambda: many_lines(2000), 700))
    rows = listed(made(tmp_path, lines))
    assert list(rows[0]) == ["exhibit", "source", "volume", "start", "end", "length", "kind", "parts"]
    assert len(rows) == len(lines) > SUMMARY_RANGES
    for row, line in zip(rows, lines, strict=True):
        assert (int(row["start"]), int(row["end"]), row["volume"], row["kind"]) == (
            line.start, line.end, line.volume, line.kind,
        )  # fmt: skip
        assert int(row["length"]) == line.end - line.start
        parts = [part.split("=") for part in row["parts"].split(";") if part]
        assert sum(int(count) for _, count in parts) == (line.end - line.start if line.parts else 0)


def test_the_summary_has_exact_sums_and_few_ranges(tmp_path: Path) -> None:
    lines = many_lines(5000)
    (facts,) = summarised(made(tmp_path, lines))
    assert (facts["exhibit"], facts["source"], facts["size"]) == ("ABC/1", "disk.E01", lines[-1].end)
    assert facts["ranges_in_ledger_csv"] == 5000
    sums = {(v["volume"], kind): count for v in facts["volumes"] for kind, count in v["bytes"].items()}
    assert sums == sums_of(lines)
    ranges = [
        LedgerRange(r["start"], r["end"], r["volume"], r["kind"], tuple(r.get("parts", {}).items()))
        for r in facts["ranges"]
    ]
    assert len(ranges) <= SUMMARY_RANGES
    check_tiling(ranges, facts["size"])
    assert sums_of(ranges) == sums_of(lines)


def page_of(case: Path) -> str:
    return (case / "reports" / "report.html").read_text("utf-8")


def figures(page: str) -> list[ET.Element]:
    """The bars of the page, which must be well-formed by themselves."""
    found = re.findall(r'<figure class="bar.*?</figure>', page, re.DOTALL)
    return [ET.fromstring(figure) for figure in found]


def test_the_page_has_a_bar_and_exact_figures_for_each_volume(tmp_path: Path) -> None:
    page = page_of(made(tmp_path, WIDE))
    bars = figures(page)
    names = [" ".join("".join(bar.find("figcaption").itertext()).split()) for bar in bars]  # type: ignore[union-attr]
    assert [name.split()[0] for name in names] == ["The", "p1", "p2", "p2/<b>root", "Outside"]
    for bar in bars:
        svg = bar.find("svg")
        assert svg is not None
        assert svg.get("role") == "img"
        assert svg.get("aria-label")
        assert svg.find("title") is not None
        rects = [(float(r.get("x", "")), float(r.get("width", ""))) for r in svg.iter("rect")]
        assert rects[0][0] == 0
        assert sum(width for _, width in rects) == pytest.approx(WIDTH, abs=0.1)
        assert min(width for _, width in rects) > 5.9
        for (x, width), (following, _) in pairwise(rects):
            assert x + width == pytest.approx(following, abs=0.01)
    for (volume, kind), count in sums_of(WIDE).items():
        assert f">{count:,}<" in page, (volume, kind)
    table = re.search(r'<table class="ledger-table">.*?</table>', page, re.DOTALL)
    assert table is not None
    numbers = [int(text.replace(",", "")) for text in re.findall(r'class="n">([\d,]+)<', table.group())]
    assert sum(numbers[:-1]) == numbers[-1] == WIDE[-1].end
    assert "<b>root" not in page
    assert "no volume, 1.05 MB; p1, 105 MB; p2," in page


def test_a_slice_of_a_wide_source_is_named_and_never_told_as_nothing(tmp_path: Path) -> None:
    with open_case(made(tmp_path, WIDE)) as view:
        (facts,) = ledger_facts(view)
    assert any("p1, 105 MB" in words for words in facts.stretches_words)
    (outside,) = [volume for volume in facts.volumes if not volume.name]
    assert [(line.words, line.share) for line in outside.lines] == [
        ("Tables of the disk, headers", "<0.1%"),
        ("Given to no volume, NOT searched", ">99.9%"),
    ]


def test_every_kind_has_words_and_a_fill_that_can_be_told_without_colour() -> None:
    assert set(SHOWN) == set(LEDGER_KINDS)
    assert {fill for _, fill in SHOWN.values()} == {fill for fill, _ in FILLS}
    assert len({words for words, _ in SHOWN.values()}) == len(SHOWN)


def test_more_volumes_and_stretches_than_a_page_holds_are_counted(tmp_path: Path) -> None:
    lines = [LedgerRange(n * 512, n * 512 + 512, f"p{n}", "encrypted") for n in range(300)]
    case = made(tmp_path, lines, [f"p{n}" for n in range(300)])
    page = page_of(case)
    assert page.count("<figure class=") == VOLUMES_SHOWN
    assert f"The first {VOLUMES_SHOWN} of 300 volumes" in page
    assert "240 more in ledger.csv" in page
    assert len(summarised(case)[0]["volumes"]) == 300


def test_a_case_of_folders_has_no_section_and_an_empty_list(tmp_path: Path) -> None:
    case = made(tmp_path, [])
    assert 'id="ledger"' not in page_of(case)
    assert 'href="#ledger"' not in page_of(case)
    assert listed(case) == []
    assert summarised(case) == []


def test_sums_of_the_shown_lines_are_those_of_the_ranges(tmp_path: Path) -> None:
    lines = many_lines(900)
    with open_case(made(tmp_path, lines)) as view:
        (facts,) = ledger_facts(view)
    for volume in facts.volumes:
        expected = Counter({kind: n for (name, kind), n in sums_of(lines).items() if name == volume.name})
        assert sorted(line.count for line in volume.lines) == sorted(expected.values())
        assert volume.total == expected.total()
