"""Comparing two sets of reports: every difference, and no difference where there is none."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caid_triage.report.compare import Difference, compare_reports, compare_values

Table = list[list[str]]
CELLS = st.sampled_from(["a", "b", "c", 'x,"y"', "two\nlines", ""])
TABLES = st.lists(st.tuples(CELLS, CELLS, CELLS).map(list), max_size=12)


def folder_of(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text, encoding="utf-8", newline="")
    return folder


def table(rows: Table, header: str = "one,two,three") -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([header.split(","), *rows])
    return out.getvalue()


def naive(before: Table, after: Table) -> tuple[Counter[tuple[str, ...]], Counter[tuple[str, ...]]]:
    """The plain way: all rows of both in memory."""
    one, other = Counter(map(tuple, before)), Counter(map(tuple, after))
    return one - other, other - one


@given(TABLES, TABLES)
def test_a_table_differs_by_the_rows_that_only_one_side_has(
    tmp_path_factory: pytest.TempPathFactory, before: Table, after: Table
) -> None:
    room = tmp_path_factory.mktemp("tables")
    one, other = folder_of(room / "1", rows_csv=table(before)), folder_of(room / "2", rows_csv=table(after))
    found = list(compare_reports(one, other))
    gone, new = naive(before, after)
    if before != after and not gone and not new:
        assert [difference.place for difference in found] == ["order of the rows"]
        return
    # A table without a key of its own: a row is itself.
    assert Counter(d.place for d in found if d.after is None) == Counter(
        [" ".join(filter(None, row)) for row in gone.elements()]
    )
    assert Counter(d.place for d in found if d.before is None) == Counter(
        [" ".join(filter(None, row)) for row in new.elements()]
    )


def test_a_changed_cell_is_named_by_its_file_and_column(tmp_path: Path) -> None:
    header = "exhibit,source,volume,path,size,sha256"
    one = folder_of(
        tmp_path / "1", files_csv=table([["E", "s", "p1", "/a", "1", "ff"], ["E", "s", "p1", "/b", "2", ""]], header)
    )
    other = folder_of(
        tmp_path / "2", files_csv=table([["E", "s", "p1", "/c", "9", "00"], ["E", "s", "p1", "/b", "3", ""]], header)
    )
    assert list(compare_reports(one, other)) == [
        Difference("files.csv", "E s p1 /a", "", None),
        Difference("files.csv", "E s p1 /b, size", "2", "3"),
        Difference("files.csv", "E s p1 /c", None, ""),
    ]


def test_the_times_of_a_run_are_no_difference_and_everything_else_is(tmp_path: Path) -> None:
    def summary(**more: object) -> str:
        return json.dumps({"walked": 3, "started": "then", "audit": {"sha256": "x"}, **more})

    page = '<p>same</p>\n<p id="run-times">{}</p>\n<p>{}</p>\n'
    one = folder_of(tmp_path / "1", summary_json=summary(), report_html=page.format("then", "3 files"))
    other = folder_of(
        tmp_path / "2", summary_json=summary(started="now", audit=1), report_html=page.format("now", "3 files")
    )
    assert list(compare_reports(one, other)) == []
    folder_of(other, summary_json=summary(walked=4, case={"started": "x"}), report_html=page.format("now", "4 files"))
    assert list(compare_reports(one, other)) == [
        Difference("report.html", "a line", "<p>3 files</p>", "<p>4 files</p>"),
        Difference("summary.json", "walked", "3", "4"),
        Difference("summary.json", "case", None, '{"started": "x"}'),
    ]


def test_a_report_on_one_side_only_and_other_columns(tmp_path: Path) -> None:
    one = folder_of(tmp_path / "1", a_csv=table([]), delta_json="{}", MANIFEST_sha256="x")
    other = folder_of(tmp_path / "2", a_csv=table([], "one,two"), MANIFEST_sha256="y")
    assert list(compare_reports(one, other)) == [
        Difference("a.csv", "columns", "one,two,three", "one,two"),
        Difference("delta.json", "", "", None),
    ]


@pytest.mark.parametrize(
    ("before", "after", "place"),
    [
        (1, True, "x"),
        (0, 0.0, "x"),
        ([1, 2], [1], "x[1]"),
        ([{"name": "a", "n": 1}, {"name": "b"}], [{"name": "b"}, {"name": "a", "n": 2}], "x.a.n"),
        ([{"name": "a"}, {"name": "b"}], [{"name": "b"}, {"name": "a"}], "x, order"),
        ({"k": None}, {}, "x.k"),
        ("1", 1, "x"),
    ],
)
def test_values_that_only_look_alike_differ(before: object, after: object, place: str) -> None:
    assert compare_values("f", {"x": before}, {"x": before}, "") is not None
    assert list(compare_values("f", {"x": before}, {"x": before})) == []
    assert place in [difference.place for difference in compare_values("f", {"x": before}, {"x": after})]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    )
)
def test_a_value_agrees_with_itself(value: object) -> None:
    assert list(compare_values("f", {"x": value}, json.loads(json.dumps({"x": value})))) == []
