"""What pictures say of their origin, from the exhibit to the reports: the same by any executor, and in no log."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from support.cli import Run, comparable_reports, picture, vics_record, write_vics
from unit.examine import metadata_files as files

SERIAL, PLACE = "SN7654321", "51.507350"


@pytest.fixture(scope="module")
def exhibit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("origin")
    (folder / "phone").mkdir()
    tags = {0x010F: ("text", "Maker"), 0x0110: ("text", "Model 7")}
    gps = {1: ("text", "N"), 2: ("ratio", [(51, 1), (30, 1), (2646, 100)]),
           3: ("text", "W"), 4: ("ratio", [(0, 1), (7, 1), (4012, 100)])}  # fmt: skip
    for number, name in enumerate(("coast.jpg", "town.jpg", "marble.jpg")):
        exif = {0x9003: ("text", f"2014:07:1{number} 16:17:10"), 0xA431: ("text", SERIAL)}
        block = b"Exif\0\0" + files.tiff(tags, exif, gps if number else None)
        content = picture(name)
        segment = b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block
        (folder / "phone" / name).write_bytes(content[:2] + segment + content[2:])
    (folder / "phone" / "boxes.jpg").write_bytes(picture("boxes.jpg"))
    return folder / "phone"


def test_leads_and_places_are_the_same_by_any_executor_and_in_no_log(run: Run, exhibit: Path, tmp_path: Path) -> None:
    listed = (exhibit / "coast.jpg").read_bytes()
    hashset = tmp_path / "set.chs"
    done = run("hashset", "build", write_vics(tmp_path / "set.json", [vics_record(1, listed, 1)]), "--out", hashset)
    assert done.returncode == 0, done.stderr
    found = []
    for name, options in {"serial": ["--executor", "serial"], "pool": ["--workers", "2"]}.items():
        case = tmp_path / name
        done = run("scan", exhibit, "--case", case, "--hashset", hashset, "--json-progress", *options)
        assert done.returncode == 0, done.stderr
        logged = done.stdout + done.stderr + (case / "audit.jsonl").read_text(encoding="utf-8")
        assert not any(word in logged for word in (SERIAL, PLACE, "Model 7"))
        found.append(comparable_reports(case / "reports"))
    assert found[0] == found[1]
    rows = {row["path"]: row for row in csv.DictReader(found[0]["metadata.csv"].splitlines())}
    assert {path: (row["camera_serial"], row["camera_lead"]) for path, row in rows.items()} == {
        "/coast.jpg": (SERIAL, "listed"),
        "/marble.jpg": (SERIAL, "lead"),
        "/town.jpg": (SERIAL, "lead"),
    }
    assert rows["/town.jpg"]["latitude"] == PLACE
    assert "A lead, not proof" in found[0]["report.html"]
    assert run("verify", tmp_path / "pool").returncode == 0
