"""Known pictures in file slack and in the free space of volumes inside others are hits of a scan, in every executor."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from support.carvables import noise, png
from support.cli import Run, comparable_reports, picture, vics_record, write_vics
from support.volumes import EXTENT, VolumeGroup, build_luks, build_lvm, linear

from caid_triage.synth.ext import build_ext2
from caid_triage.synth.fat import build_fat
from caid_triage.synth.mbr import Partition, build_mbr
from caid_triage.synth.ntfs import build_ntfs
from caid_triage.synth.plan import PlannedFile

KEPT = PlannedFile("/letters/kept.txt", noise(1, 16_384 + 700))
SLACK = {"fat": png(24, 18), "ext": png(25, 18), "ntfs": png(26, 18)}
FREE = {"ext": picture("coast.jpg"), "ntfs": picture("marble.jpg")}


def filled(image: bytearray, slack: bytes, free: bytes = b"", place: int = 0) -> bytes:
    """The volume with a picture behind the end of its file, on the next sector, and one in free space."""
    at = -(-(image.index(KEPT.content) + len(KEPT.content)) // 512) * 512
    image[at : at + len(slack)] = slack
    image[place : place + len(free)] = free
    return bytes(image)


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """FAT12 with clusters of 8 KiB, an ext2 in a logical volume, NTFS in LUKS."""
    folder = tmp_path_factory.mktemp("insides")
    fat = filled(build_fat([KEPT], size=6 << 20, bits=12, cluster=8192), SLACK["fat"])
    ext = filled(build_ext2([KEPT], size=2 << 20), SLACK["ext"], FREE["ext"], 1 << 20)
    ntfs = filled(build_ntfs([KEPT], size=8 << 20), SLACK["ntfs"], FREE["ntfs"], 4 << 20)
    parts = [ext[at : at + EXTENT] for at in range(0, len(ext), EXTENT)]
    half = len(parts) // 2
    group = VolumeGroup({"home": [linear(half, len(parts) - half), linear(len(parts) - half, 0)]})
    lvm = bytes(build_lvm(group, parts[half:] + parts[:half]))
    path = folder / "disk.dd"
    path.write_bytes(
        build_mbr([Partition(6, fat), Partition(0x8E, lvm), Partition(0x83, build_luks(folder, ntfs, "geheim"))])
    )
    (folder / "words").write_text("geheim\n", encoding="utf-8")
    return path


def test_they_are_hits_by_their_hashes_in_every_executor(run: Run, disk: Path, tmp_path: Path) -> None:
    pictures = [*SLACK.values(), *FREE.values()]
    vics = write_vics(tmp_path / "set.json", [vics_record(n, data, 1) for n, data in enumerate(pictures, 1)])
    assert run("hashset", "build", vics, "--out", tmp_path / "set.chs").returncode == 0
    given = ["--hashset", tmp_path / "set.chs", "--password-file", disk.parent / "words"]
    reports = {}
    for name, options in {
        "serial": ["--executor", "serial"],
        "pool": ["--workers", "2"],
        "full": ["--workers", "2", "--profile", "full"],
        "quick": ["--workers", "1", "--profile", "quick"],
    }.items():
        case = tmp_path / name
        done = run("scan", disk, "--case", case, *given, *options)
        assert done.returncode == 0, done.stderr
        reports[name] = comparable_reports(case / "reports")
    assert reports["serial"] == reports["pool"]
    for name in ("pool", "full"):
        with (tmp_path / name / "reports" / "matches.csv").open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["match_kind"] == "exact"]
        told = {(row["volume"], row["state"], row["path"].split("/$")[0], bool(row["physical_offset"])) for row in rows}
        assert told == {
            ("p1", "slack", "/letters/kept.txt/", True),
            ("p2/home", "carved", "", True),
            ("p2/home", "slack", "/letters/kept.txt/", True),
            ("p3/luks", "carved", "", False),
            ("p3/luks", "slack", "/letters/kept.txt/", False),
        }
        assert len(rows) == 5
        for row in rows:
            assert row["parent_path"] == (
                "/letters/kept.txt" if row["state"] == "slack" else f"/$Carved/{row['volume']}"
            )
        summary = json.loads((tmp_path / name / "reports" / "summary.json").read_text(encoding="utf-8"))
        counted = summary["coverage"]["bytes"]
        assert counted["slack_searched"] > 3 * 3000
        assert counted["unallocated"] == 0
        assert sum(counted.values()) == disk.stat().st_size
    with (tmp_path / "quick" / "reports" / "matches.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.DictReader(file)) == []
