"""``--profile``: how far free space is searched, and that a case keeps to the profile it was begun with."""

from __future__ import annotations

import csv
import json

import pytest
from support.cli import comparable_reports, picture

from caid_triage.synth.fat import build_fat
from caid_triage.synth.plan import PlannedFile


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    """A FAT volume with a living picture, and one without a name on a sector of free space, another between two."""
    image = bytearray(build_fat([PlannedFile("/coast.jpg", picture("coast.jpg"))], size=6 << 20, cluster=1024))
    image[3 << 20 : (3 << 20) + len(picture("town.jpg"))] = picture("town.jpg")
    at = (4 << 20) + 77
    image[at : at + len(picture("marble.jpg"))] = picture("marble.jpg")
    image[5 << 20 : (5 << 20) + 30_000] = picture("town.jpg")[:30_000]  # the rest of it is gone
    path = tmp_path_factory.mktemp("profiles") / "disk.dd"
    path.write_bytes(image)
    return path


def carved_paths(case) -> set[str]:
    with (case / "reports" / "files.csv").open(encoding="utf-8", newline="") as file:
        return {row["path"] for row in csv.DictReader(file) if row["state"] == "carved"}


def test_each_profile_searches_as_far_as_it_says(run, disk, tmp_path) -> None:
    head = f"/$Carved/p0/{5 << 20:014d}.jpg"
    town, marble = f"/$Carved/p0/{3 << 20:014d}.jpg", f"/$Carved/p0/{(4 << 20) + 77:014d}.jpg"
    for profile, wanted in (("quick", set()), ("standard", {town, head}), ("full", {town, marble, head})):
        case = tmp_path / profile
        done = run("scan", disk, "--case", case, "--profile", profile, "--workers", 1)
        assert done.returncode == 0, done.stderr
        assert carved_paths(case) == wanted
        with (case / "reports" / "files.csv").open(encoding="utf-8", newline="") as file:
            told = {row["path"]: (row["problems"], bool(row["pdq"])) for row in csv.DictReader(file)}
        if profile != "quick":  # its beginning is seen, compared by look, and no fault of the scan
            assert told[head] == ("carved-partial;partial-decode", True)
        summary = json.loads((case / "reports" / "summary.json").read_text())
        counted = summary["coverage"]["bytes"]
        assert sum(counted.values()) == 6 << 20
        assert bool(counted["unallocated"]) is (profile == "quick")
        assert bool(counted["unallocated_searched"]) is (profile != "quick")


def test_a_case_keeps_its_profile_and_resumes_with_it(run, disk, tmp_path) -> None:
    case = tmp_path / "case"
    assert run("scan", disk, "--case", case, "--workers", 1).returncode == 0
    before = comparable_reports(case / "reports")
    refused = run("scan", disk, "--case", case, "--profile", "full")
    assert refused.returncode == 6
    assert run("scan", disk, "--case", case, "--executor", "serial").returncode == 0
    assert comparable_reports(case / "reports") == before


def test_progress_tells_how_far_free_space_is_searched(run, disk, tmp_path) -> None:
    done = run("scan", disk, "--case", tmp_path / "json", "--workers", 1, "--json-progress")
    told = [event for event in map(json.loads, done.stdout.splitlines()) if event["event"] == "progress"]
    assert told[-1]["free_space_bytes"] == told[-1]["free_space_total"] > 5 << 20
    assert told[-1]["free_space_bytes_per_second"] > 0
    assert told[-1]["total_files"] == told[-1]["files"]  # with what was found in free space
    plain = run("scan", disk, "--case", tmp_path / "plain", "--workers", 1)
    assert "free space: 6.2 MB of 6.2 MB searched" in plain.stderr
    quick = run("scan", disk, "--case", tmp_path / "quick", "--workers", 1, "--profile", "quick")
    assert "free space" not in quick.stderr
