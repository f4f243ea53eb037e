"""How long a user waits for the smallest of each command, beside Python alone and importing imagehash and Pillow.

    python benchmarks/startup.py --rounds 15

Each round runs every command once, in turn, in a process of its own. ``cpu`` is the CPU time, user and system, of the
process and of all that it started (the workers of a scan too); ``wall`` is what the user waits, which on a busy machine
says more of the machine. Medians. ``hashset lookup`` is in the project's sample set; ``scan`` is of an empty folder and
of a folder with one small picture, both into a new case, with two workers and all reports.
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
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
SAMPLE = PROJECT / "hashsets" / "sample-vics-2.0.json"
PROGRAM = ["-m", "caid_triage"]
QUIETLY = ["--workers", "2", "--quiet"]


def commands(scratch: Path) -> dict[str, list[str]]:
    """The arguments of Python by what they are called; cases go to ``scratch``/case."""
    from PIL import Image

    known, empty, one = scratch / "sample.chs", scratch / "empty", scratch / "one"
    subprocess.run(
        [sys.executable, *PROGRAM, "hashset", "build", str(SAMPLE), "--out", str(known)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    empty.mkdir()
    one.mkdir()
    Image.radial_gradient("L").resize((640, 480)).save(one / "drawing.jpg")
    case = ["--case", str(scratch / "case")]
    return {
        "python": ["-c", "pass"],
        "import imagehash and PIL": ["-c", "import imagehash, PIL.Image"],
        "imagehash.phash of one picture": [
            "-c",
            "import imagehash, sys, PIL.Image; imagehash.phash(PIL.Image.open(sys.argv[1]))",
            str(one / "drawing.jpg"),
        ],
        "--help": [*PROGRAM, "--help"],
        "scan --help": [*PROGRAM, "scan", "--help"],
        "hashset lookup": [*PROGRAM, "hashset", "lookup", str(known), "d41d8cd98f00b204e9800998ecf8427e"],
        "scan of nothing": [*PROGRAM, "scan", str(empty), *case, *QUIETLY],
        "scan of one picture": [*PROGRAM, "scan", str(one), *case, *QUIETLY],
        "scan of one picture with a hash set": [*PROGRAM, "scan", str(one), *case, *QUIETLY, "--hashset", str(known)],
    }


def seconds(arguments: list[str]) -> tuple[float, float]:
    """Wall and CPU seconds of a process that must succeed, with those that it started."""
    before, began = os.times(), time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wall, after = time.perf_counter() - began, os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return wall, spent


def main() -> None:
    """Run them all in turn, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch_name:
        scratch = Path(scratch_name)
        every = commands(scratch)
        wall: dict[str, list[float]] = {name: [] for name in every}
        cpu: dict[str, list[float]] = {name: [] for name in every}
        for _ in range(options.rounds + 1):  # the first is not counted: it fills the page cache and writes bytecode
            for name, arguments in every.items():
                waited, spent = seconds(arguments)
                wall[name].append(waited)
                cpu[name].append(spent)
                shutil.rmtree(scratch / "case", ignore_errors=True)
    report = {
        "rounds": options.rounds,
        "wall_ms_median": {name: round(1e3 * statistics.median(values[1:])) for name, values in wall.items()},
        "wall_ms_least": {name: round(1e3 * min(values[1:])) for name, values in wall.items()},
        "cpu_ms_median": {name: round(1e3 * statistics.median(values[1:])) for name, values in cpu.items()},
        "load": [round(value, 1) for value in os.getloadavg()],
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
