"""Films on the command line: a set made of graded videos, matched against a stored case without the exhibit."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

from support import clips
from support.cli import Run


def test_a_re_encoded_film_is_a_lead_in_every_report_and_in_no_count(run: Run, tmp_path: Path) -> None:
    exhibit, graded, case = tmp_path / "exhibit", tmp_path / "graded", tmp_path / "case"
    exhibit.mkdir()
    (exhibit / "holiday.webm").write_bytes(clips.clip(1, seconds=7, edit=clips.grey, container="webm", codec="libvpx"))
    (exhibit / "other.mp4").write_bytes(clips.clip(2, seconds=7))
    (graded / "1").mkdir(parents=True)
    (graded / "1" / "known.mp4").write_bytes(clips.clip(1, seconds=7))
    made = run("hashset", "make", graded, "--out", tmp_path / "films.chs", "--scheme", "none")
    assert made.returncode == 0, made.stderr
    assert run("scan", exhibit, "--case", case, "--workers", "1", "--quiet").returncode == 0
    shutil.rmtree(exhibit)
    done = run("match", "--case", case, "--hashset", tmp_path / "films.chs")
    assert done.returncode == 0, done.stderr
    assert "1 files, video: code 1" in done.stdout
    with (case / "reports" / "matches.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["path"], row["match_kind"], row["algorithm"], row["threshold"]) == (
        "/holiday.webm",
        "video",
        "vpdq",
        "31",
    )
    # Of the graded film a frame each eighth of a second is listed: the scene moves between those that the file shows.
    assert (row["frames"], row["frames_met"], row["listed_frames"]) == ("7", "7", "56")
    assert 7 <= int(row["listed_frames_met"]) < 56
    assert (row["first_s"], row["last_s"], row["expected_chance"]) == ("0.0", "6.0", "")
    summary = json.loads((case / "reports" / "summary.json").read_text())
    assert summary["videos"] == {"pairs": 1, "files": 1, "listed_videos": 1}
    assert [count["match_kind"] for count in summary["counts"]] == ["video"]
    page = (case / "reports" / "report.html").read_text()
    assert "No identical file found; leads to check" in page
    assert 'id="films"' in page
    assert 'aria-label="This file: 7 of 7 frames (100%) agree, best part 0:00.0 to 0:06.0."' in page
    assert page.count('class="met"') == 7 + int(row["listed_frames_met"])
    vics = (case / "reports" / "vics.json").read_text()
    assert '"IsSuspected": "true"' in vics or '"IsSuspected":"true"' in vics
    assert '"Category"' not in vics
