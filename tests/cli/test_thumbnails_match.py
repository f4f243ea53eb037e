"""A thumbnail that is a listed file is found by its bytes, in a stored case also by a set that comes later."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from support.cli import Run, picture, vics_record, write_vics
from support.embedded import with_thumbnails

from caid_triage.synth.fat import build_fat
from caid_triage.synth.plan import PlannedFile

SMALL = picture("coast-small-bright.jpg")
PICTURES = {"/DCIM/same.jpg": picture("coast.jpg"), "/DCIM/other.jpg": picture("town.jpg")}


def matches(case: Path) -> dict[str, tuple[str, str]]:
    with (case / "reports" / "matches.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["match_kind"] == "exact"]
    return {row["path"]: (row["media_id"], row["container_state"]) for row in rows}


@pytest.mark.parametrize("later", [False, True])
def test_a_listed_thumbnail_is_found_by_its_bytes(run: Run, tmp_path: Path, later: bool) -> None:
    plan = [PlannedFile(path, with_thumbnails(data, SMALL)) for path, data in PICTURES.items()]
    plan.append(PlannedFile("/DCIM/gone.jpg", with_thumbnails(picture("marble.jpg"), SMALL), deleted=True))
    (tmp_path / "stick.dd").write_bytes(bytes(build_fat(plan, size=6 << 20, cluster=1024)))
    write_vics(tmp_path / "set.json", [vics_record(7, SMALL, 1)])
    assert run("hashset", "build", tmp_path / "set.json", "--out", tmp_path / "set.chs").returncode == 0
    case = tmp_path / "case"
    now = () if later else ("--hashset", tmp_path / "set.chs")
    assert run("scan", tmp_path / "stick.dd", "--case", case, "--quiet", *now).returncode == 0
    if later:
        (tmp_path / "stick.dd").unlink()
        assert run("match", "--case", case, "--hashset", tmp_path / "set.chs").returncode == 0
    assert matches(case) == {
        "/DCIM/same.jpg//thumbnail.jpg": ("7", "allocated"),
        "/DCIM/other.jpg//thumbnail.jpg": ("7", "allocated"),
        "/DCIM/gone.jpg//thumbnail.jpg": ("7", "deleted"),
    }
    page = (case / "reports" / "report.html").read_text(encoding="utf-8")
    assert ", of them 3 inside others" in page
