"""A known picture in a 7-Zip archive in a ZIP on an NTFS volume in an E01: found by its hash, with its whole chain."""

from __future__ import annotations

import csv
import shutil
import subprocess
from pathlib import Path

import pytest
from support.cli import Run, picture, vics_record, write_vics
from support.embedded import seven_zipped, zipped

from caid_triage.synth.mbr import Partition, build_mbr
from caid_triage.synth.ntfs import build_ntfs
from caid_triage.synth.plan import PlannedFile


def test_a_known_picture_in_a_7z_in_a_zip_in_an_e01(run: Run, tmp_path: Path) -> None:
    if shutil.which("ewfacquire") is None:
        pytest.skip("ewfacquire (ewf-tools), which makes the E01, is not installed")
    data = picture("coast.jpg")
    nested = zipped({"b/c.7z": seven_zipped({"d/coast.jpg": data})})
    raw = tmp_path / "disk.raw"
    raw.write_bytes(build_mbr([Partition(7, build_ntfs([PlannedFile("/sent/a.zip", nested)], size=4 << 20))]))
    subprocess.run(
        ["ewfacquire", "-u", "-q", "-f", "encase6", "-c", "deflate:best", "-t", str(tmp_path / "disk"), str(raw)],
        check=True,
        capture_output=True,
        timeout=120,
    )
    vics = write_vics(tmp_path / "set.json", [vics_record(1, data, 1)])
    assert run("hashset", "build", vics, "--out", tmp_path / "set.chs").returncode == 0
    done = run("scan", tmp_path / "disk.E01", "--case", tmp_path / "case", "--hashset", tmp_path / "set.chs")
    assert done.returncode == 0, done.stderr
    with (tmp_path / "case" / "reports" / "matches.csv").open(encoding="utf-8", newline="") as file:
        (row,) = [row for row in csv.DictReader(file) if row["match_kind"] == "exact"]
    assert row["path"] == "/sent/a.zip//b/c.7z//d/coast.jpg"
    assert row["parent_path"] == "/sent/a.zip//b/c.7z"
    assert (row["state"], row["container_state"], row["volume"]) == ("embedded", "allocated", "p1")
