"""The CSV lists and summary.json: exact columns, exact spelling, nothing of the evidence altered."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from unit.case import samples
from unit.report import exhibits

from caid_triage.case.view import CaseView, open_case
from caid_triage.report.text import brief, cell, iso, shown, size
from caid_triage.report.write import write_reports

FILES = (
    "exhibit,source,volume,path,state,kind,media_type,size,md5,sha1,sha256,pdq,pdq_quality,phash,width,height,duration_s,"
    "created,modified,accessed,changed,physical_offset,parent_path,problems,container_state,decode_state,path_bytes"
)
MATCHES = (
    "exhibit,source,volume,path,state,kind,media_type,size,md5,sha1,sha256,match_kind,algorithm,distance,threshold,"
    "category_code,category_label,scheme,hashset,media_id,created,modified,accessed,changed,physical_offset,parent_path,decision"
    ",orientation,quality,look,frames,frames_met,listed_frames,listed_frames_met,first_s,last_s"
    ",listed_first_s,listed_last_s,expected_chance,tier,location,accessibility,container_state,stated,series,path_bytes"
)
PROBLEMS = "exhibit,source,volume,path,step,code,detail"


@pytest.fixture
def view(tmp_path: Path) -> Iterator[CaseView]:
    folder = exhibits.make_case(tmp_path / "case", exhibits.busy_items())
    with open_case(folder) as case:
        write_reports(case, tmp_path)
        yield case


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


@pytest.mark.parametrize(("name", "header"), [("files", FILES), ("matches", MATCHES), ("problems", PROBLEMS)])
def test_the_columns_are_those_of_the_contract(view: CaseView, tmp_path: Path, name: str, header: str) -> None:
    content = (tmp_path / f"{name}.csv").read_bytes()
    assert content.split(b"\n")[0].decode() == header
    assert b"\r" not in content


def test_a_file_is_spelt_out(view: CaseView, tmp_path: Path) -> None:
    digests = samples.digests(b"same")
    assert rows(tmp_path / "files.csv")[0] == {
        "exhibit": "ABC/1",
        "source": "disk.E01",
        "volume": "p1",
        "path": "/pictures/0.jpg",
        "state": "allocated",
        "kind": "image",
        "media_type": "image/jpeg",
        "size": "100",
        "md5": digests.md5.hex(),
        "sha1": digests.sha1.hex(),
        "sha256": digests.sha256.hex(),
        "pdq": bytes(range(32)).hex(),
        "pdq_quality": "100",
        "phash": "0001020304050607",
        "width": "640",
        "height": "480",
        "duration_s": "",
        "created": "2020-01-02T03:04:05Z",
        "modified": "2020-01-02T03:04:05Z",
        "accessed": "",
        "changed": "",
        "physical_offset": "0",
        "parent_path": "/pictures",
        "problems": "",
        "container_state": "",
        "decode_state": "decoded",
        "path_bytes": "",
    }


def test_every_file_has_one_row_and_hostile_names_come_through_unaltered(view: CaseView, tmp_path: Path) -> None:
    paths = [row["path"] for row in rows(tmp_path / "files.csv")]
    assert paths == [record.entry.path for record, _ in exhibits.busy_items()]


def test_a_file_without_digests_has_empty_cells_and_says_why(view: CaseView, tmp_path: Path) -> None:
    row = rows(tmp_path / "files.csv")[8]
    assert (row["md5"], row["sha1"], row["sha256"], row["pdq"], row["problems"]) == ("", "", "", "", "read-failed")


def test_matches_are_one_row_each_with_their_distance(view: CaseView, tmp_path: Path) -> None:
    found = [
        (row["path"], row["match_kind"], row["algorithm"], row["distance"], row["threshold"], row["category_code"])
        for row in rows(tmp_path / "matches.csv")
        if row["path"] in {"/pictures/4.jpg", "/pictures/5.jpg", "/pictures/3.jpg"}
    ]
    assert found == [
        ("/pictures/3.jpg", "exact", "md5", "0", "0", "77"),
        ("/pictures/4.jpg", "near", "pdq", "8", "31", "1"),
        ("/pictures/4.jpg", "near", "pdq", "2", "31", "3"),
        ("/pictures/5.jpg", "exact", "sha256", "0", "0", "3"),
        ("/pictures/5.jpg", "near", "pdq", "12", "31", "1"),
    ]


def test_problems_name_the_file_or_the_volume(view: CaseView, tmp_path: Path) -> None:
    assert [(r["volume"], r["path"], r["step"], r["code"]) for r in rows(tmp_path / "problems.csv")] == [
        ("p2", "", "open", "volume-not-understood"),
        ("p1", "/pictures/7.jpg", "decode", "decode-failed"),
        ("p1", "/pictures/8.jpg", "read", "read-failed"),
        ("p1", "/pictures/9.jpg", "read", "odd-name"),
    ]


def test_the_summary_has_the_keys_and_figures_of_the_contract(view: CaseView, tmp_path: Path) -> None:
    summary: dict[str, Any] = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    total = len(exhibits.busy_items())
    assert (summary["walked"], summary["examined"], summary["stored"]) == (total, total, total)
    assert set(summary["tool"]) >= {"name", "version"}
    assert summary["case"]["reference"] == "OP/7"
    assert summary["case"]["sources"][0]["segments"] == ["disk.E01", "disk.E02"]
    (hashset,) = summary["hashsets"]
    assert (hashset["name"], hashset["source_sha256"], hashset["entries"], hashset["scheme"]) == (
        "unit-set",
        "ab" * 32,
        12,
        "uk",
    )
    assert all(
        list(row) == ["category_code", "category_label", "scheme", "kind", "state", "match_kind", "files", "unique"]
        for row in summary["counts"]
    )
    assert summary["counts"][0] | {"files": 0, "unique": 0} == {
        "category_code": "1",
        "category_label": "Category A",
        "scheme": "uk",
        "kind": "image",
        "state": "allocated",
        "match_kind": "exact",
        "files": 0,
        "unique": 0,
    }
    exact = [row for row in summary["counts"] if row["match_kind"] == "exact"]
    near = [row for row in summary["counts"] if row["match_kind"] == "near"]
    assert (sum(row["files"] for row in exact), sum(row["files"] for row in near)) == (
        5 + len(exhibits.HOSTILE_NAMES),
        2,
    )
    coverage = summary["coverage"]
    assert coverage["bytes"] == {"file_system": 9000, "unpartitioned": 1000}
    assert coverage["volumes_not_understood"] == ["ABC/1 disk.E01 p2"]
    assert coverage["encrypted"] == []
    assert coverage["problems_by_code"] == {
        "decode-failed": 1,
        "odd-name": 1,
        "read-failed": 1,
        "volume-not-understood": 1,
    }
    assert (summary["started"], summary["finished"]) == ("2026-11-22T08:00:00Z", "2026-11-22T08:05:00Z")


def test_a_time_is_utc_with_a_fraction_only_when_there_is_one() -> None:
    moment = datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert (iso(moment), iso(moment.replace(microsecond=120000))) == (
        "1999-12-31T23:59:59Z",
        "1999-12-31T23:59:59.120000Z",
    )
    assert iso(None) == ""


def test_a_value_without_a_spelling_is_refused() -> None:
    with pytest.raises(TypeError):
        cell(object())


def test_invisible_and_turning_characters_are_shown_as_escapes() -> None:
    assert shown("a\u202eb\u200b\u00ad\n\udcff") == "a\\u{202e}b\\u{200b}\\u{00ad}\\u{000a}\\u{dcff}"
    assert shown("写真 é.jpg") == "写真 é.jpg"


def test_a_very_long_path_keeps_its_beginning_and_its_end_on_a_page() -> None:
    path = "/begin" + "x" * 994 + "/end.jpg"
    assert len(path) == 1008
    assert brief(path) == path[:200] + " [... 608 characters, see matches.csv ...] " + path[-200:]
    assert brief(path[:400]) == path[:400]


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (None, "not known"),
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (999_999, "1 MB"),
        (64_000_000_000, "64 GB"),
        (4_000_000_000_000_000, "4,000 TB"),
    ],
)
def test_sizes_are_worded(count: int | None, words: str) -> None:
    assert size(count) == words
