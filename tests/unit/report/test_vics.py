"""vics.json: a VICS 2.0 case that the strictest known readers would take."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from unit.case import samples
from unit.report import exhibits

from caid_triage.case.view import open_case
from caid_triage.report.write import write_reports


def vics(tmp_path: Path, **choices: Any) -> dict[str, Any]:
    folder = exhibits.make_case(tmp_path / "case", exhibits.busy_items(), **choices)
    with open_case(folder) as view:
        write_reports(view, tmp_path, ["vics"])
    content = (tmp_path / "vics.json").read_bytes()
    assert not content.startswith(b"\xef\xbb\xbf")
    return json.loads(content)


def test_the_context_comes_first_then_value_and_nothing_else(tmp_path: Path) -> None:
    case = vics(tmp_path)
    assert list(case) == ["@odata.context", "value"]
    assert case["@odata.context"] == (
        "http://github.com/VICSDATAMODEL/ProjectVic/DataModels/2.0.xml/UK/$metadata#Cases"
    )


@pytest.mark.parametrize(("scheme", "region"), [("projectvic-us", "US"), ("uk", "UK"), ("none", "UK"), ("bus-1", "UK")])
def test_the_region_follows_the_scheme(tmp_path: Path, scheme: str, region: str) -> None:
    context = vics(tmp_path, hashsets=({**samples.NOTABLE, "scheme": scheme},))["@odata.context"]
    assert f"/2.0.xml/{region}/" in context


def test_each_exhibit_is_a_case_of_its_own_also_without_a_match(tmp_path: Path) -> None:
    first, second = vics(tmp_path)["value"]
    assert [first["CaseNumber"], second["CaseNumber"]] == ["ABC/1", "ABC/2"]
    assert second["Media"] == []
    assert uuid.UUID(first["CaseID"]) != uuid.UUID(second["CaseID"])
    assert (first["SourceApplicationName"], first["SourceApplicationVersion"]) == ("caid-triage", "9.9")


def test_media_are_the_matched_contents_with_all_their_files(tmp_path: Path) -> None:
    media = vics(tmp_path)["value"][0]["Media"]
    assert [item["MediaID"] for item in media] == list(range(1, len(media) + 1))
    assert len(media) == 6 + len(exhibits.HOSTILE_NAMES)
    first, digests = media[0], samples.digests(b"same")
    assert (first["MD5"], first["SHA1"]) == (digests.md5.hex().upper(), digests.sha1.hex().upper())
    assert (first["MediaSize"], first["MimeType"], first["Category"]) == (100, "image/jpeg", 1)
    live, deleted = first["MediaFiles"]
    assert (live["FilePath"], live["FileName"], live["SourceID"]) == ("p1/pictures/", "0.jpg", "disk.E01")
    assert "Deleted" not in live
    assert (deleted["FilePath"], deleted["FileName"], deleted["Deleted"]) == ("p1/", "gone.jpg", "true")
    assert (live["Created"], live["Written"], live["PhysicalLocation"]) == (
        "2020-01-02T03:04:05Z",
        "2020-01-02T03:04:05Z",
        0,
    )
    assert "Accessed" not in live


def test_a_carved_file_is_unallocated_too(tmp_path: Path) -> None:
    (file,) = vics(tmp_path)["value"][0]["Media"][2]["MediaFiles"]
    assert (file["Deleted"], file["Unallocated"]) == ("true", "true")


def test_a_near_match_carries_no_category_and_says_so(tmp_path: Path) -> None:
    media = {item["MediaFiles"][0]["FileName"]: item for item in vics(tmp_path)["value"][0]["Media"]}
    near = media["4.jpg"]
    assert "Category" not in near
    assert (near["IsSuspected"], near["Tags"]) == ("true", "near match, not confirmed")
    # An exact match in C with a look-alike in A stays what the exact match says.
    assert media["5.jpg"]["Category"] == 3


def test_a_code_that_is_no_number_stays_a_comment(tmp_path: Path) -> None:
    items = [(samples.record(0), (samples.match(type(samples.CATEGORY_A)("A", "Category A", "uk", 50)),))]
    folder = exhibits.make_case(tmp_path / "case", items)
    with open_case(folder) as view:
        write_reports(view, tmp_path, ["vics"])
    (media,) = json.loads((tmp_path / "vics.json").read_text(encoding="utf-8"))["value"][0]["Media"]
    assert "Category" not in media
    assert media["Comments"] == "Category A"
