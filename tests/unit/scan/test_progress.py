"""What a display says of a running scan: no time left at its end, and no claim about what an earlier run met."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from caid_triage.cli.display import progress_line
from caid_triage.config import ScanOptions
from caid_triage.model import Searching
from caid_triage.scan.progress import Progress
from caid_triage.scan.run import SourceRequest, run_scan
from caid_triage.synth.mbr import Partition, build_mbr

ENCRYPTED = b"LUKS\xba\xbe\0\1" + bytes((1 << 20) - 8)


def ten_seconds_in(**counters: object) -> Progress:
    progress = Progress(started=time.monotonic() - 10)
    for name, value in counters.items():
        setattr(progress, name, value)
    return progress


def test_the_time_left_of_a_resumed_scan_counts_what_this_run_still_has_to_do() -> None:
    whole = ten_seconds_in(files=10, bytes=1000, total_files=20, total_bytes=2000)
    resumed = ten_seconds_in(
        files=10, bytes=1000, total_files=120, total_bytes=902_000, resumed_files=100, resumed_bytes=900_000
    )
    assert whole.seconds_left() == pytest.approx(10, abs=0.1)
    assert resumed.seconds_left() == pytest.approx(10, abs=0.1)


def test_a_scan_that_has_nothing_left_to_do_says_so() -> None:
    assert ten_seconds_in(total_files=7, total_bytes=70, resumed_files=7, resumed_bytes=70).seconds_left() == 0
    assert ten_seconds_in(total_files=0, total_bytes=0).seconds_left() == 0
    searching = ten_seconds_in(total_files=7, total_bytes=70, resumed_files=7, resumed_bytes=70)
    searching.searching = Searching(50, 100, 5.0)
    assert searching.seconds_left() == pytest.approx(5)
    assert Progress().seconds_left() is None


def test_a_resumed_scan_does_not_say_that_nothing_is_known() -> None:
    assert "| known: none |" in progress_line(ten_seconds_in())
    assert "| known since resumed: none |" in progress_line(ten_seconds_in(resumed_files=3))


def test_problems_of_volumes_and_sources_are_counted_while_the_scan_runs(tmp_path: Path) -> None:
    image = tmp_path / "disk.dd"
    image.write_bytes(bytes(build_mbr([Partition(0x83, ENCRYPTED), Partition(0x83, ENCRYPTED)])))
    requests = [SourceRequest(image, "E", "disk.dd"), SourceRequest(tmp_path / "gone.dd", "F", "gone.dd")]
    shown: list[Progress] = []
    options = ScanOptions(executor="serial", workers=1)
    run_scan(requests, tmp_path / "case", [], options, lambda progress: shown.append(replace(progress)))
    examining = next(progress for progress in shown if progress.stage == "examining")
    assert (examining.problems, shown[-1].problems) == (3, 3)
    assert asdict(shown[-1])["stage"] == "finished"
