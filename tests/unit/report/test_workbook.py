"""workbook.xlsx: its figures and lists, read by openpyxl and LibreOffice; its limits; its bytes."""

from __future__ import annotations

import csv
import re
import tracemalloc
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from support.hostile_case import make_hostile_case
from support.recount import counted_files
from unit.case import samples
from unit.report import exhibits
from unit.report.documents import make_mixed_case, written

from caid_triage.case.view import open_case
from caid_triage.report import workbook
from caid_triage.report.guard import unguarded
from caid_triage.report.write import write_reports

LISTS = {"Matches": "matches.csv", "Files": "files.csv", "Problems": "problems.csv"}


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_mixed_case(tmp_path_factory.mktemp("workbook") / "case")


def opened(content: bytes) -> Any:
    return openpyxl.load_workbook(BytesIO(content))


def values(sheet: Any) -> list[tuple[Any, ...]]:
    return list(sheet.iter_rows(values_only=True))


def unescaped(text: str) -> str:
    """A text as a spreadsheet reads it (ECMA-376, part 1, 22.4.2.4)."""
    return re.sub("_x([0-9A-Fa-f]{4})_", lambda found: chr(int(found[1], 16)), text)


def plain(value: object) -> str:
    """A cell as text: numbers as CSV has them, an empty cell as nothing."""
    return "" if value is None else unescaped(str(value))


def test_the_figures_of_the_first_sheet_are_a_naive_recount(case: Path, tmp_path: Path) -> None:
    rows = values(opened(written(case, tmp_path, "xlsx"))["Summary"])
    files = counted_files(case)
    for exact, title in ((True, "Files identical"), (False, "Leads: only look")):
        start = next(place for place, row in enumerate(rows) if str(row[0]).startswith(title)) + 2
        counted = [file for file in files if file.exact is exact]
        found = {}
        for label, scheme, _, kind, *figures in rows[start:]:
            found[label, scheme or "", kind] = tuple(figures[:10])
            if kind == "all kinds":
                break
        words = {"image": "still", "video": "moving", "other": "other file"}
        keys = {(file.label, file.scheme, words[file.kind]) for file in counted} | {("All categories", "", "all kinds")}
        assert set(found) == keys
        for (label, scheme, kind), figures in found.items():
            some = [
                file for file in counted
                if kind == "all kinds" or (file.label, file.scheme, words[file.kind]) == (label, scheme, kind)
            ]  # fmt: skip
            expected: list[int] = []
            for place in ("live", "inside", "deleted", "other", None):
                there = [file for file in some if place in (None, file.place)]
                expected += [len(there), len({file.content for file in there})]
            assert figures == tuple(expected)


def test_every_list_has_the_rows_of_its_csv_file(case: Path, tmp_path: Path) -> None:
    book = opened(written(case, tmp_path, "xlsx"))
    with open_case(case) as view:
        write_reports(view, tmp_path, ["matches", "files", "problems"])
    for title, file in LISTS.items():
        with (tmp_path / file).open(encoding="utf-8", newline="") as opened_file:
            header, *expected = csv.reader(opened_file)
        first, *rows = values(book[title])
        assert list(first[: len(header)]) == header
        found = [[plain(value) for value in row[: len(header)]] for row in rows]
        for one, other in zip(found, expected, strict=True):
            assert [_number(text) for text in one] == [_number(unguarded(text)) for text in other]
    confirmed = {(row[17], row[-1]) for row in values(book["Matches"])[1:]}
    assert confirmed == {("uk", "confirmed"), ("us", "NOT CONFIRMED")}


def _number(text: str) -> object:
    """Numbers as such (1.0 and 1 are one), all else as it is."""
    return float(text) if re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", text) and len(text) < 16 else text


def test_digests_and_times_are_text_and_sizes_are_numbers(tmp_path: Path) -> None:
    digits = samples.digests(b"x")
    record = samples.record(0, digests=type(digits)(bytes.fromhex("12" * 16), digits.sha1, digits.sha256))
    huge = samples.record(1, size=2**63 + 1, path="/huge.jpg")
    exhibits.make_case(tmp_path / "case", [(record, ()), (huge, ())])
    sheet = opened(written(tmp_path / "case", tmp_path, "xlsx"))["Files"]
    header, first, second = values(sheet)
    row = dict(zip(header, first, strict=True))
    assert row["md5"] == "12" * 16
    assert row["size"] == 100
    assert row["created"] == "2020-01-02T03:04:05Z"
    assert dict(zip(header, second, strict=True))["size"] == str(2**63 + 1)
    assert sheet.freeze_panes == "A2"
    assert sheet.auto_filter.ref == "A1:AA3"


@pytest.mark.parametrize(
    "text",
    [
        "=1+1", "+cmd|' /C calc'!A0", "@SUM(1)", "-2", "https://example.invalid/x", "\t=1", "mailto:a@b", "0012", "1e5",
        "a\x00b\x1f\r\n", "_x0041_ _x005F_", "\ufffe\uffff", "\udcff", "\u202egpj.exe", "  two  ", "\U0001f4f7",
    ],
)  # fmt: skip
def test_any_text_comes_back_exactly_and_none_is_a_formula_or_a_link(tmp_path: Path, text: str) -> None:
    content = written(make_hostile_case(tmp_path / "case", text), tmp_path, "xlsx")
    stored = text.encode("utf-8", "backslashreplace").decode("utf-8")
    book = opened(content)
    header, *rows = values(book["Matches"])
    labels = [plain(row[header.index("category_label")]) for row in rows]
    assert labels == [stored] * len(rows)
    assert rows
    with zipfile.ZipFile(BytesIO(content)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    assert not [name for name, part in parts.items() if b"<f>" in part or b"hyperlink" in part or b"External" in part]


def test_written_twice_from_another_folder_in_other_batches_the_bytes_are_the_same(case: Path, tmp_path: Path) -> None:
    first = written(case, tmp_path / "a", "xlsx")
    assert written(case, tmp_path / "b", "xlsx") == first
    assert written(make_mixed_case(tmp_path / "other" / "case", batch=7), tmp_path / "c", "xlsx") == first
    with zipfile.ZipFile(BytesIO(first)) as archive:
        everything = b"".join(map(archive.read, archive.namelist()))
    assert str(tmp_path).encode() not in everything
    assert b"/evidence" not in everything


def test_a_list_that_is_too_long_for_a_sheet_goes_on_in_the_next_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbook, "MOST_ROWS", 12)
    exhibits.make_case(tmp_path / "case", [(samples.record(n), ()) for n in range(25)], unseen=False)
    book = opened(written(tmp_path / "case", tmp_path, "xlsx"))
    assert book.sheetnames == ["Summary", "Matches", "Files", "Files 2", "Files 3", "Problems", "Hash sets"]
    sheets = [values(book[name]) for name in ("Files", "Files 2", "Files 3")]
    assert [len(rows) for rows in sheets] == [12, 12, 6]
    assert [rows[-1][0] for rows in sheets[:2]] == [f"The list goes on in the sheet Files {n}." for n in (2, 3)]
    paths = [row[3] for rows in (sheets[0][1:-1], sheets[1][1:-1], sheets[2][1:]) for row in rows]
    assert paths == [f"/pictures/{n}.jpg" for n in range(25)]
    assert book["Files 2"].auto_filter.ref == "A1:AA11"
    said = [row[0] for row in values(book["Summary"])]
    assert "Files has more rows than a sheet can have (12): it goes on in the next one." in said


@pytest.mark.parametrize("text", ["p" * 40_000, "\x01" * 32_000, "\U0001f4f7" * 20_000, "_x" * 20_000])
def test_a_text_that_no_cell_can_hold_is_cut_and_says_where_it_is_whole(text: str) -> None:
    cell = workbook.fitting(text, "files.csv")
    kept, note = cell.split(" [cut here: ")
    assert text.startswith(kept)
    assert len(kept) > 4000
    assert note == f"{len(text):,} characters in all, whole in files.csv]"
    written_out = re.sub("[\x00-\x08]", "_x0001_", re.sub("_x", "_x005F_x", cell))
    assert len(written_out.encode("utf-16-le")) // 2 <= workbook.MOST_CHARACTERS
    assert workbook.fitting("p" * 32_767, "files.csv") == "p" * 32_767


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    peaks = []
    for rows in (100, 900):
        folder = tmp_path / str(rows)
        exhibits.make_case(folder, [(samples.record(n), ()) for n in range(rows)], batch=500)
        with open_case(folder) as view, (tmp_path / "out").open("wb") as out:
            tracemalloc.start()
            workbook.write_workbook(view, out)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0] + 200_000
