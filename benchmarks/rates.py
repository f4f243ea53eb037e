"""What one core does: CPU time a file and a megabyte of each kind, of the workers and of the coordinator apart.

    python benchmarks/rates.py --keep        some minutes

For docs/projection.md, which benchmarks/projection.py works out of a kept run of this and of others. Each kind is
scanned twice in each round, with some files and with three times as many: the difference is what the further files
cost, without the start. One worker; CPU time of the coordinator (which walks, reads, matches, stores) and of the
worker. Reports are not in it, they are written afterwards.

Kinds: "small" pictures of 160 pixels, "others" of 64 KB and "large others" of 4 MB that are no media. What larger
pictures and films cost other runs say (scan_photos.py, examine_speed.py, video_speed.py).
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
from pathlib import Path
from typing import Any

import numpy as np
from known_good import make_small
from store_bench import about_the_run, finish

MORE = 3
RUN = """
import json, resource, sys
from pathlib import Path
from caid_triage.config import ScanOptions
from caid_triage.scan.run import SourceRequest, run_scan
source, case = json.loads(sys.argv[1])
request = SourceRequest(Path(source), "E", "s")
run_scan([request], Path(case), [], ScanOptions(workers=1))
usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(json.dumps([one.ru_utime + one.ru_stime for one in usage]))
"""


def make_others(folder: Path, count: int, size: int) -> None:
    """Files of nothing that any decoder knows."""
    folder.mkdir()
    rng = np.random.default_rng(size)
    for number in range(count):
        (folder / f"{number:05}.bin").write_bytes(b"none" + rng.bytes(size - 4))


def measured(source: Path) -> tuple[float, float]:
    """CPU seconds of the coordinator and of the worker in one scan."""
    with tempfile.TemporaryDirectory() as name:
        order = json.dumps([str(source), str(Path(name) / "case")])
        done = subprocess.run([sys.executable, "-c", RUN, order], check=True, capture_output=True, text=True)
    own, children = json.loads(done.stdout)
    return own, children


def rates(kinds: list[Path], scratch: Path, rounds: int) -> dict[str, Any]:
    """Of each kind milliseconds a file by who spends them, medians of the rounds."""
    figures: dict[str, Any] = {}
    taken: dict[str, list[tuple[float, float]]] = {folder.name: [] for folder in kinds}
    for number in range(rounds):
        for folder in kinds:
            files = sorted(folder.iterdir())
            some = scratch / f"some {folder.name} {number}"
            some.mkdir()
            for file in files[: len(files) // MORE]:
                os.link(file, some / file.name)
            (own, worker), (own_more, worker_more) = measured(some), measured(folder)
            further = len(files) - len(files) // MORE
            taken[folder.name].append(((own_more - own) / further * 1e3, (worker_more - worker) / further * 1e3))
            figures[folder.name] = {
                "files": len(files),
                "megabytes_a_file": round(sum(file.stat().st_size for file in files) / len(files) / 1e6, 5),
                "coordinator_ms": [round(one, 4) for one, _ in taken[folder.name]],
                "worker_ms": [round(one, 4) for _, one in taken[folder.name]],
                "coordinator_ms_median": round(statistics.median(one for one, _ in taken[folder.name]), 4),
                "worker_ms_median": round(statistics.median(one for _, one in taken[folder.name]), 4),
            }
            shutil.rmtree(some)
    return figures


def main() -> None:
    """Make the files, scan, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=Path("../shared/photos"))
    parser.add_argument("--scale", type=float, default=1.0, help="how many files, in times the usual number")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", help="where the files are made (default: the temporary folder)")
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()

    def count(usual: int) -> int:
        return max(MORE, round(usual * options.scale))

    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        make_small(options.photos, folder / "small", count(1_500))
        make_others(folder / "others", count(1_500), 64_000)
        make_others(folder / "large others", count(120), 4_000_000)
        kinds = [folder / "small", folder / "others", folder / "large others"]
        figures = {
            **about_the_run(),
            "rounds": options.rounds,
            "kinds": rates(kinds, folder, options.rounds),
            "load_at_the_end": os.getloadavg()[0],
        }
    finish("rates", figures, options.keep)


if __name__ == "__main__":
    main()
