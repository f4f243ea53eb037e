"""The ledger of a scanned image: whole, the same for any number of workers, and the same when a scan was resumed."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from support.carvables import noise
from support.cli import comparable_reports, run_command
from support.containers import udif
from support.ledgers import check_tiling

from caid_triage.model import LedgerRange
from caid_triage.synth.mbr import Partition, build_mbr
from caid_triage.synth.ntfs import build_ntfs
from caid_triage.synth.plan import PlannedFile

PLAN = [PlannedFile(f"/f{number}.bin", noise(number, 90_000), deleted=number % 4 == 3) for number in range(12)]


@pytest.fixture(scope="module")
def disk() -> bytes:
    locked = b"LUKS\xba\xbe\0\1" + noise(1, (1 << 20) - 8)
    return bytes(
        build_mbr([Partition(7, bytes(build_ntfs(PLAN, size=8 << 20))), Partition(0x83, locked)], tail=1 << 20)
    )


@pytest.fixture(scope="module")
def damaged(disk: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image with a compressed block that cannot be unpacked, which only reading finds."""
    path = tmp_path_factory.mktemp("damaged") / "disk.dmg"
    run = 64 * 512
    data = bytearray(udif(disk))
    place = disk.index(PLAN[5].content[:512]) // run * run + run  # a run that is wholly the file's
    whole = disk[place : place + run]
    import zlib

    at = data.index(zlib.compress(whole))
    data[at + 100 : at + 200] = bytes(100)
    path.write_bytes(data)
    return path


def ledger_of(case: Path) -> list[LedgerRange]:
    with (case / "reports" / "ledger.csv").open(encoding="utf-8", newline="") as file:
        return [
            LedgerRange(int(row["start"]), int(row["end"]), row["volume"], row["kind"]) for row in csv.DictReader(file)
        ]


def scanned(image: Path, case: Path, *options: object, code: int = 3) -> Path:
    done = run_command("scan", str(image), "--case", str(case), "--quiet", "--exhibit", "E/1", *map(str, options))
    assert done.returncode == code, done.stderr
    return case


@pytest.mark.parametrize(("profile", "kind"), [("quick", "unallocated"), ("standard", "unallocated_searched")])
def test_the_ledger_of_an_image_is_whole_and_the_same_for_any_executor(
    profile: str, kind: str, disk: bytes, tmp_path: Path
) -> None:
    image = tmp_path / "disk.dd"
    image.write_bytes(disk)
    pool = scanned(image, tmp_path / "pool", "--profile", profile, "--workers", 2)
    serial = scanned(image, tmp_path / "serial", "--profile", profile, "--executor", "serial")
    lines = ledger_of(pool)
    check_tiling(lines, len(disk))
    slack = {"slack", "slack_searched"} if profile == "standard" else set()
    assert {line.kind for line in lines if line.volume == "p1"} == {"metadata", "file_content", kind, *slack}
    assert {line.kind for line in lines if line.volume == "p2"} == {"encrypted"}
    assert lines == ledger_of(serial)
    summaries = [json.loads((case / "reports" / "summary.json").read_text("utf-8")) for case in (pool, serial)]
    assert summaries[0]["ledger"] == summaries[1]["ledger"]
    coverage = summaries[0]["coverage"]["bytes"]
    assert sum(coverage.values()) == len(disk)
    in_use = sum(line.end - line.start for line in lines if line.kind in ("metadata", "file_content"))
    assert coverage["file_system"] == in_use
    assert "What became of every byte" in (pool / "reports" / "report.html").read_text("utf-8")


def test_what_could_not_be_read_stays_in_the_ledger_when_the_scan_is_run_again(damaged: Path, tmp_path: Path) -> None:
    case = scanned(damaged, tmp_path / "case", "--workers", 1, "--profile", "quick")
    lost = [line for line in ledger_of(case) if line.kind == "unreadable"]
    assert sum(line.end - line.start for line in lost) >= 512
    before = comparable_reports(case / "reports")
    scanned(
        damaged, case, "--workers", 1, "--profile", "quick"
    )  # every file is stored already: nothing is read but that
    assert comparable_reports(case / "reports") == before
