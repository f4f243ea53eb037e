"""metadata.csv, the section on cameras and places, and their figures in summary.json."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
from unit.case import samples
from unit.report import exhibits

from caid_triage.case.view import open_case
from caid_triage.examine.metadata import HISTORY, NAMES
from caid_triage.report import origin
from caid_triage.report.metadata_csv import columns
from caid_triage.report.write import write_reports

CAMERA = (("camera-make", "Maker <b>"), ("camera-model", "M\u202e1"), ("camera-serial", "A1234567"))


def items() -> list[exhibits.Item]:
    place = (("latitude", "51.507350"), ("longitude", "-0.127811"))
    return [
        (samples.record(0, metadata=(*CAMERA, ("taken", "2014-07-12T16:17:10.5+02:00"))), (samples.match(),)),
        (samples.record(1, metadata=(*CAMERA, ("taken", "2015-01-01T00:00:00 zone unknown"), *place)), ()),
        (samples.record(2, metadata=(("description", "=cmd|' /C calc'!A0"), ("taken", "x (not a valid time)"))), ()),
        (samples.record(3, metadata=(("location", "+00.0000+000.0000/"), ("brand", "new"), ("odd", "1"))), ()),
        (samples.record(4, metadata=(("gps-time", "2014-07-12T15:17:09Z"), ("history", "a"), ("history", "b"))), ()),
        (samples.record(5), ()),
    ]


def written(tmp_path: Path, found: list[exhibits.Item]) -> Path:
    folder = exhibits.make_case(tmp_path / "case", found)
    with open_case(folder) as view:
        write_reports(view, tmp_path / "out")
    return tmp_path / "out"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def test_the_columns_are_documented_and_hold_every_name() -> None:
    document = Path(__file__).parents[3].joinpath("docs", "formats", "reports.md").read_text(encoding="utf-8")
    assert f"`{','.join(columns())}`" in document
    renamed = {"modified": "modified_in_file", "created": "created_in_file"}
    assert {renamed.get(name, name.replace("-", "_")) for name in (*NAMES, HISTORY)} <= set(columns())


def test_one_row_a_file_and_nothing_left_out(tmp_path: Path) -> None:
    found = rows(written(tmp_path, items()) / "metadata.csv")
    filled = [{name: value for name, value in row.items() if value and name not in columns()[:8]} for row in found]
    camera = {"camera_make": "Maker <b>", "camera_model": "M\u202e1", "camera_serial": "A1234567"}
    assert filled == [
        {"camera_lead": "listed", **camera, "taken": "2014-07-12T16:17:10.5", "taken_zone": "+02:00"},
        {"camera_lead": "lead", **camera, "taken": "2015-01-01T00:00:00", "taken_zone": "unknown",
         "latitude": "51.507350", "longitude": "-0.127811"},
        {"taken": "x", "taken_zone": "not a valid time", "description": "'=cmd|' /C calc'!A0"},
        {"latitude": "0.000000", "longitude": "0.000000",
         "other": "location=+00.0000+000.0000/ | brand=new | odd=1"},
        {"gps_time": "2014-07-12T15:17:09Z", "history": "a | b"},
    ]  # fmt: skip
    assert found[0]["sha256"] == samples.digests(b"content 0").sha256.hex()
    assert [row["path"] for row in found] == [f"/pictures/{number}.jpg" for number in range(5)]


def test_the_summary_says_which_cameras_are_leads(tmp_path: Path) -> None:
    summary: dict[str, Any] = json.loads((written(tmp_path, items()) / "summary.json").read_text(encoding="utf-8"))
    found = summary["metadata"]
    assert (found["files"], found["files_with_place"], found["cameras_seen"]) == (5, 2, 1)
    assert found["camera_leads"] == [
        {
            "make": "Maker <b>", "model": "M\u202e1", "serial": "A1234567", "internal": False, "unlinked": "",
            "files": 2, "unique": 2, "first_taken": "2014-07-12T16:17:10", "last_taken": "2015-01-01T00:00:00",
            "listed_exactly": 1, "listed_exactly_unique": 1, "other_files": 1,
        }
    ]  # fmt: skip
    assert "not proof" in found["camera_leads_note"]
    assert summary["counts"][0]["files"] == 1


def test_the_page_words_a_lead_as_one(tmp_path: Path) -> None:
    page = (written(tmp_path, items()) / "report.html").read_text(encoding="utf-8")
    section = page[page.index('id="origin"') : page.index('id="hash-sets"')]
    words = re.sub(r"<[^>]+>|\s+", " ", section)
    assert "A lead, not proof" in words
    assert "Files with a place: 2" in words
    assert "usually: not known to the device" in words
    assert "Maker &lt;b&gt;" in section
    assert "M\\u{202e}1" in section
    assert "/pictures/1.jpg" in section[section.index("camera-lead-files") : section.index('id="places"')]


def test_a_case_without_metadata_says_so(tmp_path: Path) -> None:
    out = written(tmp_path, [(samples.record(0), (samples.match(),))])
    assert "No file says anything of its own origin." in (out / "report.html").read_text(encoding="utf-8")
    assert rows(out / "metadata.csv") == []


def test_long_lists_are_cut_on_the_page_and_whole_in_the_csv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LEADS_SHOWN", "PLACES_SHOWN", "CAMERAS_SHOWN"):
        monkeypatch.setattr(origin, name, 2)
    place = (("latitude", "1.000000"), ("longitude", "2.000000"))
    many = [(samples.record(0, metadata=CAMERA), (samples.match(),))]
    many += [(samples.record(number, metadata=(*CAMERA, *place)), ()) for number in range(1, 8)]
    many += [(samples.record(n, metadata=(*CAMERA[:1], ("camera-model", f"X{n}"))), ()) for n in range(8, 12)]
    out = written(tmp_path, many)
    page = (out / "report.html").read_text(encoding="utf-8")
    for words in ("the first 2 of 7;", "the first 2 of 4", "Files with a place: 7"):
        assert words in page
    assert len(rows(out / "metadata.csv")) == 12
