"""What it costs that the parsers of the evidence run in a process of their own (docs/decisions/0034).

    python benchmarks/evidence_process.py --photos ../shared/photos --count 150 --rounds 5

Every figure is of two sides in one run, in turn: ``apart`` as scans are, ``together`` with the parsers in the
coordinator. Medians and ratios; CPU seconds of all processes together, and wall seconds.

- ``photographs``: scans of a raw image and (with ewfacquire) an E01 of re-encoded photographs, with 2 workers; and
  ``apart`` with 1 worker, for how much the second one adds.
- ``names``: counting and walking ``--names`` files of 40 to 400 bytes in an NTFS volume, nothing read.
- ``contents``: the same volume, every file read as well, and nothing done with it.
- ``start``: scans of a folder and of a small image of two files.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from layers_cost import make_disk, make_e01, pictures
from walk_ntfs import make_image

PROJECT = Path(__file__).resolve().parents[1]
RUN = "from caid_triage.cli.main import main; main()"
TOGETHER = "from caid_triage.scan import sources; sources.is_parsed_apart = lambda *_: False\n"
Seconds = tuple[float, float]


def timed(work: Callable[[], object]) -> Seconds:
    """(CPU seconds of this process and those that it started, wall seconds)."""
    before, began = os.times(), time.perf_counter()
    work()
    wall, after = time.perf_counter() - began, os.times()
    return sum(after[:4]) - sum(before[:4]), wall


def scan(source: Path, case: Path, before: str = "", workers: int = 2) -> None:
    """A scan into a new case, which is removed."""
    options = ["--case", str(case), "--workers", str(workers), "--quiet"]
    command = [sys.executable, "-c", before + RUN, "scan", str(source), *options]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(PROJECT)}, capture_output=True)
    shutil.rmtree(case)


def walk(path: Path, *, apart: bool, read: bool) -> None:
    """Count, walk and perhaps read every file of an image."""
    from caid_triage.evidence.source import EvidenceSource, open_source
    from caid_triage.model import FileEntry
    from caid_triage.scan.remote import RemoteSource
    from caid_triage.scan.sources import counted

    opened: EvidenceSource = RemoteSource(path, "E", "s").open() if apart else open_source(path, "E", "s")
    with closing(opened) as source:
        counted(source, lambda: None)
        for item in source.walk():
            if read and isinstance(item, FileEntry) and item.readable:
                for _ in source.chunks(item):
                    pass


def compared(sides: dict[str, Callable[[], object]], rounds: int) -> dict[str, Any]:
    """All sides in turn; the first round is not counted."""
    seconds: dict[str, list[Seconds]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name in list(sides)[:: 1 if number % 2 else -1]:
            found = timed(sides[name])
            if number:
                seconds[name].append(found)
    medians = {
        name: [statistics.median(one[at] for one in values) for at in (0, 1)] for name, values in seconds.items()
    }
    report: dict[str, Any] = {
        "cpu_seconds": {name: [round(cpu, 3) for cpu, _ in values] for name, values in seconds.items()},
        "wall_seconds": {name: [round(wall, 3) for _, wall in values] for name, values in seconds.items()},
        "apart_over_together_cpu": round(medians["apart"][0] / medians["together"][0], 3),
        "apart_over_together_wall": round(medians["apart"][1] / medians["together"][1], 3),
    }
    if "apart, one worker" in medians:
        report["two_workers_over_one"] = round(medians["apart, one worker"][1] / medians["apart"][1], 2)
    return report


def main() -> None:
    """Make the disks, run the sides in turn, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, default=Path("../shared/photos"))
    parser.add_argument("--count", type=int, default=150)
    parser.add_argument("--names", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=["photographs", "names", "contents", "start"])
    options = parser.parse_args()
    report: dict[str, Any] = {"wanted": "at most 1.03 on photographs, two workers at least 1.9 times as fast as one"}
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        case = scratch / "case"

        def scans(path: Path, workers: bool = True) -> dict[str, Callable[[], object]]:
            sides: dict[str, Callable[[], object]] = {
                "apart": lambda: scan(path, case),
                "together": lambda: scan(path, case, TOGETHER),
            }
            return sides | ({"apart, one worker": lambda: scan(path, case, workers=1)} if workers else {})

        if options.only in (None, "photographs"):
            disk = scratch / "disk.raw"
            files = pictures(options.photos, scratch / "photos", options.count, mixed=False)
            report["megabytes"] = round(sum(path.stat().st_size for path in files) / 1e6)
            report["made_by"] = make_disk(disk, files)
            report["photographs, raw"] = compared(scans(disk), options.rounds)
            image = make_e01(disk)
            if image is not None:
                report["photographs, E01"] = compared(scans(image, workers=False), options.rounds)
        if options.only in (None, "names", "contents"):
            named = scratch / "names.dd"
            make_image(named, options.names)
            for what, read in (("names", False), ("contents", True)):
                if options.only in (None, what):
                    report[what] = compared(
                        {
                            "apart": lambda read=read: walk(named, apart=True, read=read),
                            "together": lambda read=read: walk(named, apart=False, read=read),
                        },
                        options.rounds,
                    )
        if options.only in (None, "start"):
            small = scratch / "small"
            small.mkdir()
            for name in ("a.txt", "b.txt"):
                (small / name).write_bytes(name.encode())
            make_image(scratch / "small.dd", 2)
            report["start, folder"] = compared(scans(small, workers=False), options.rounds)
            report["start, image"] = compared(scans(scratch / "small.dd", workers=False), options.rounds)
    report["load"] = [round(value, 1) for value in os.getloadavg()]
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
