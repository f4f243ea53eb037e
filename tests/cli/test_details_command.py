"""Case reference, operation, examiner, contact and seizure: from the command line into every document, on record."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import docx
import openpyxl
import pytest
from support.cli import Small, comparable_reports, run_command
from support.vics_rules import read_checked

FORMATS = ("sfr-docx", "schedule-docx", "summary", "vics", "xlsx", "html")
CONTACT = """organisation = "Example Police"
name = "P. Contact"
title = "Head of unit"
phone = "+44 20 0000"
email = "dfu@example.org"
"""


def texts_of(path: Path) -> Iterator[str]:
    """Every text of a Word file or a workbook."""
    if path.suffix == ".xlsx":
        for sheet in openpyxl.load_workbook(path, read_only=True):
            yield from (str(cell) for row in sheet.iter_rows(values_only=True) for cell in row if cell is not None)
        return
    word = docx.Document(str(path))
    yield from (paragraph.text for paragraph in word.paragraphs)
    yield from (cell.text for table in word.tables for row in table.rows for cell in row.cells)


def stated(case: Path) -> list[tuple[dict[str, str], dict[str, str]]]:
    lines = map(json.loads, (case / "audit.jsonl").read_text().splitlines())
    return [(line["before"], line["after"]) for line in lines if line["action"] == "case-stated"]


def written(case: Path, *formats: str) -> Path:
    words = [word for name in formats or FORMATS for word in ("--format", name)]
    done = run_command("report", "--case", case, *words)
    assert done.returncode == 0, done.stderr
    return case / "reports"


def details(case: Path, *words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = run_command("details", "--case", case, *words)
    assert done.returncode == code, (done.stdout, done.stderr)
    return done


@pytest.fixture(scope="module")
def contact(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("unit") / "unit.toml"
    path.write_text(CONTACT)
    return path


def test_what_is_stated_with_the_scan_stands_in_every_document_and_can_be_corrected(
    small: Small, contact: Path, tmp_path: Path
) -> None:
    case = tmp_path / "case"
    done = run_command(
        "scan", small.image, "--case", case, "--hashset", small.hashset, "--workers", 1, "--exhibit", "A/1",
        "--case-reference", "OP/7/26", "--operation", "Larch", "--examiner", "DC 1234 Example",
        "--seized", "2026-03-02", env={"CAID_TRIAGE_CONTACT": str(contact)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    ((before, after),) = stated(case)
    assert before["reference"] == "A/1"
    assert (after["reference"], after["operation"], after["examiner"]) == ("OP/7/26", "Larch", "DC 1234 Example")
    assert (after["contact-email"], after["seized A/1"]) == ("dfu@example.org", "2026-03-02")
    reports = written(case)
    for name in ("sfr.docx", "schedule.docx", "report.xlsx"):
        text = "\n".join(texts_of(next(reports.glob(name if name != "report.xlsx" else "*.xlsx"))))
        assert all(word in text for word in ("OP/7/26", "Larch", "DC 1234 Example", "2026-03-02", "+44 20 0000")), name
        assert "not stated" not in text, name
    summary = json.loads((reports / "summary.json").read_text())["case"]
    assert (summary["reference"], summary["operation"], summary["examiner"]) == ("OP/7/26", "Larch", "DC 1234 Example")
    assert summary["contact"]["organisation"] == "Example Police"
    assert summary["seized"] == {"A/1": "2026-03-02"}
    (vics,) = read_checked(reports / "vics.json")
    assert (vics["ContactName"], vics["ContactOrganization"], vics["ContactTitle"], vics["ContactPhone"]) == (
        "P. Contact", "Example Police", "Head of unit", "+44 20 0000",
    )  # fmt: skip
    assert (vics["ContactEmail"], vics["SeizureDate"]) == ("dfu@example.org", "2026-03-02T00:00:00")
    assert {one["PropertyName"]: one["PropertyValue"] for one in vics["CaseMetadata"]} == {
        "CaseReference": "OP/7/26", "Operation": "Larch",
    }  # fmt: skip
    assert "DC 1234 Example" in (reports / "report.html").read_text(encoding="utf-8")

    shown = details(case)
    assert "operation: Larch" in shown.stdout
    assert "contact-name: P. Contact" in shown.stdout
    length = len((case / "audit.jsonl").read_bytes())
    details(case, "--operation", "Larch")  # as it is: nothing is written
    assert len((case / "audit.jsonl").read_bytes()) == length

    (tmp_path / "less.toml").write_text('name = "Q. Contact"\n')
    corrected = details(
        case, "--operation", "Birch", "--case-examiner", "DC 99", "--contact", tmp_path / "less.toml",
        "--seized", "A/1=2026-03-03T10:15Z", "--examiner", "S. Corrector",
    )  # fmt: skip
    assert "operation: Birch (it was: Larch)" in corrected.stdout
    before, after = stated(case)[1]
    assert before["operation"] == "Larch"
    assert before["examiner"] == "DC 1234 Example"
    assert (after["operation"], after["examiner"], after["contact-phone"]) == ("Birch", "DC 99", "")
    command = [
        line for line in map(json.loads, (case / "audit.jsonl").read_text().splitlines()) if line["action"] == "command"
    ][-1]
    assert (command["command"], command["user"]) == ("details", "S. Corrector")
    (vics,) = read_checked(reports / "vics.json")
    assert (vics["ContactName"], vics["SeizureDate"]) == ("Q. Contact", "2026-03-03T10:15:00Z")
    assert "ContactPhone" not in vics
    text = "\n".join(texts_of(reports / "sfr.docx"))  # written again with the others, for it lies beside them
    assert "Birch" in text
    assert "Larch" not in text
    assert run_command("verify", case).returncode == 0

    details(case, "--operation", "", "--seized", "A/1=")
    assert stated(case)[2] == (
        {"operation": "Birch", "seized A/1": "2026-03-03T10:15:00Z"}, {"operation": "", "seized A/1": ""},
    )  # fmt: skip
    assert run_command("verify", case).returncode == 0
    summary = json.loads((reports / "summary.json").read_text())["case"]
    assert (summary["operation"], "seized" in summary) == ("", False)
    for words in (["--case-reference", ""], ["--operation", "a\u202eb"], ["--seized", "B/2=2026-03-02"],
                  ["--seized", "2026-03-02"], ["--seized", "A/1=3/2/26"]):  # fmt: skip
        assert "caid-triage: " in details(case, *words, code=2).stderr
    assert len(stated(case)) == 3


def test_a_case_of_which_nothing_is_stated_says_what_it_said(small: Small, tmp_path: Path) -> None:
    """Its reports are the same again, and a statement that is taken back leaves no trace in them."""
    case = tmp_path / "case"
    arguments = ["--hashset", small.hashset, "--workers", 1, "--exhibit", "A/1", "--quiet"]
    assert (
        run_command("scan", small.image, "--case", case, *arguments, env={"CAID_TRIAGE_EXAMINER": ""}).returncode == 0
    )
    assert stated(case) == []
    before = comparable_reports(case / "reports")
    summary = json.loads((case / "reports" / "summary.json").read_text())["case"]
    assert list(summary) == ["reference", "operation", "examiner", "options", "sources"]
    (vics,) = read_checked(case / "reports" / "vics.json")
    assert set(vics) == {
        "CaseID", "CaseNumber", "ContactName", "SourceApplicationName", "SourceApplicationVersion", "TotalMediaFiles",
        "TotalPrecategorized", "CaseMetadata", "Media",
    }  # fmt: skip
    exact = (case / "reports" / "summary.json").read_bytes()
    assert run_command("report", "--case", case).returncode == 0
    assert (case / "reports" / "summary.json").read_bytes() == exact
    details(case, "--operation", "Larch")
    assert comparable_reports(case / "reports") != before
    details(case, "--operation", "")
    assert comparable_reports(case / "reports") == before


def test_a_scan_into_the_case_of_another_operation_is_refused_before_anything_is_changed(
    small: Small, tmp_path: Path
) -> None:
    case = tmp_path / "case"
    scan = [
        "scan",
        small.image,
        "--case",
        case,
        "--hashset",
        small.hashset,
        "--workers",
        1,
        "--exhibit",
        "A/1",
        "--quiet",
    ]
    assert run_command(*scan, "--examiner", "DC 1").returncode == 0
    later = run_command(*scan, "--operation", "Larch", "--case-reference", "OP/7", "--examiner", "DC 2")
    assert later.returncode == 0, later.stderr  # nothing was stated of either, and the examiner stays
    assert stated(case)[-1][1] == {"reference": "OP/7", "operation": "Larch"}
    content = (case / "audit.jsonl").read_bytes()
    refused = run_command(*scan, "--operation", "Birch")
    assert refused.returncode == 6
    assert "has the operation Larch, not Birch" in refused.stderr
    assert (case / "audit.jsonl").read_bytes() == content
    assert run_command("verify", case).returncode == 0


def test_options_that_do_not_fit_are_refused_before_a_case_is_made(small: Small, tmp_path: Path) -> None:
    for words in (["--operation", ""], ["--case-reference", "a\nb"], ["--seized", "soon"], ["--contact", "none.toml"],
                  ["--seized", "2026-03-02", "--seized", "2026-03-03"], ["--operation", "x" * 201]):  # fmt: skip
        done = run_command("scan", small.image, "--case", tmp_path / "case", "--workers", 1, *words)
        assert (done.returncode, (tmp_path / "case").exists()) == (2, False), words


def test_an_exhibit_is_seized_once(small: Small, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    words = ["scan", tmp_path / "a", tmp_path / "b", "--case", tmp_path / "case", "--workers", 1, "--quiet"]
    two = ["--seized", "2026-03-02", "--seized", "2026-03-03"]
    assert "it was seized once" in run_command(*words, "--exhibit", "A/1", *two).stderr
    assert run_command(*words, "--exhibit", "A/1", "--exhibit", "A=2", *two, "--case-reference", "OP/7").returncode == 0
    (first, second) = read_checked(tmp_path / "case" / "reports" / "vics.json")
    assert (first["SeizureDate"], second["SeizureDate"]) == ("2026-03-02T00:00:00", "2026-03-03T00:00:00")
    details(tmp_path / "case", "--seized", "A=2=2026-03-04")
    assert stated(tmp_path / "case")[-1][1] == {"seized A=2": "2026-03-04"}
    page = (tmp_path / "case" / "reports" / "report.html").read_text(encoding="utf-8")
    assert "<dt>Case</dt><dd><bdi>OP/7</bdi></dd>" in page
