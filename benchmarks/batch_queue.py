"""40 small exhibits, five of them broken in different ways: a batch, beside scanning them one at a time.

    python benchmarks/batch_queue.py --rounds 3

Both sides run the same program on the same exhibits with the same hash set, in turn, ``--rounds`` times, behind a
scan that is not counted. ``one_at_a_time`` is a loop over ``caid-triage scan`` as a person would write it, each with
the workers that it takes by itself. ``batch`` is one ``caid-triage batch``. ``other_splits`` are further ways to share
the cores (scans at once, workers of each), one round each. ``wall_s`` is what somebody waits for; ``cpu_s`` the CPU
time of all processes: cores times ``wall_s`` cannot be less, so ``bound`` is what ``cpu_s`` would allow on two free
cores. The outcome is checked: 35 done, five failed, the lists of each case the same as of its scan alone.

The five: an E01 whose sections are noise, an image without a byte, a QCOW2 header over noise, a case folder whose
database is damaged, a case folder that another program writes to.
"""

from __future__ import annotations

import argparse
import csv
import fcntl
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from caid_triage.synth.fat import build_fat
from caid_triage.synth.mbr import Partition, build_mbr
from caid_triage.synth.plan import PlannedFile

SOUND, BROKEN = 35, 5
PROGRAM = [sys.executable, "-P", "-m", "caid_triage"]
DRAWINGS = ("coast.jpg", "town.jpg", "marble.jpg")


def made_exhibits(folder: Path, files: int, seed: int) -> list[tuple[str, Path]]:
    """The references and sources of 40 exhibits; each sound one is an image with so many pictures of its own."""
    chance = random.Random(seed)
    drawings = [resources.files("caid_triage.synth").joinpath("pictures", name).read_bytes() for name in DRAWINGS]
    made = []
    for number in range(SOUND):
        plan = [
            PlannedFile(f"/DCIM/{n:03}.jpg", drawings[n % 3] + b"%d of %d" % (n, number), deleted=n % 5 == 4)
            for n in range(files)
        ]
        content = build_mbr([Partition(6, bytes(build_fat(plan, size=8 << 20, cluster=1024)))])
        made.append((f"OK/{number:02}", folder / f"ok{number:02}.dd"))
        made[-1][1].write_bytes(content)
    broken = {
        "noise.E01": b"EVF\x09\x0d\x0a\xff\x00\x01\x01\x00\x00\x00" + chance.randbytes(4000),
        "empty.dd": b"",
        "noise.qcow2": b"QFI\xfb\x00\x00\x00\x03" + chance.randbytes(4000),
        "damaged.dd": (folder / "ok00.dd").read_bytes(),
        "locked.dd": (folder / "ok01.dd").read_bytes(),
    }
    for name, content in broken.items():
        (folder / name).write_bytes(content)
        made.append((f"BAD/{name}", folder / name))
    chance.shuffle(made)
    return made


def case_of(reference: str) -> str:
    """The name of the case folder."""
    return reference.replace("/", "-")


@contextmanager
def prepared(cases: Path) -> Iterator[None]:
    """An empty folder of cases, but for one that is damaged and one that is in use."""
    shutil.rmtree(cases, ignore_errors=True)
    for name in ("BAD-damaged.dd", "BAD-locked.dd"):
        (cases / name).mkdir(parents=True)
    (cases / "BAD-damaged.dd" / "case.db").write_bytes(b"SQLite format 3\x00" + b"\xff" * 9000)
    with (cases / "BAD-locked.dd" / "case.lock").open("ab") as lock:
        fcntl.flock(lock.fileno(), fcntl.LOCK_EX)
        yield


def timed(run: list[list[str]]) -> tuple[float, float, list[int]]:
    """Wall and CPU seconds of commands one after the other, with all that they start, and their exit codes."""
    before, began = os.times(), time.perf_counter()
    codes = [
        subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode
        for words in run
    ]
    wall, after = time.perf_counter() - began, os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return wall, spent, codes


def reports(case: Path) -> dict[str, bytes]:
    """The lists of a case, which are the same whatever ran beside."""
    return {name: (case / "reports" / name).read_bytes() for name in ("files.csv", "matches.csv", "problems.csv")}


def main() -> None:
    """Run both in turn, check what they came to, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--files", type=int, default=20, help="pictures in each exhibit")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--splits", default="1x2,3x1,2x2", help="scans at once x workers, to be tried too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch_name:
        scratch = Path(scratch_name)
        made = made_exhibits(scratch, options.files, options.seed)
        known = scratch / "sample.chs"
        sample = Path(__file__).resolve().parents[1] / "hashsets" / "sample-vics-2.0.json"
        subprocess.run(
            [*PROGRAM, "hashset", "build", str(sample), "--out", str(known)], check=True, capture_output=True
        )
        queue, cases, alone = scratch / "queue.toml", scratch / "cases", scratch / "alone"
        lines = [f'[defaults]\nhashsets = "{known}"\n']
        lines += [f'[[exhibit]]\nreference = "{reference}"\nsource = "{source}"\n' for reference, source in made]
        queue.write_text("\n".join(lines), encoding="utf-8")
        batch = [*PROGRAM, "batch", str(queue), "--quiet"]
        one_by_one = [
            [*PROGRAM, "scan", str(source), "--case", str(alone / case_of(reference)), "--exhibit", reference,
             "--hashset", str(known), "--quiet"]
            for reference, source in made
        ]  # fmt: skip
        figures: dict[str, list[tuple[float, float]]] = {"batch": [], "one_at_a_time": []}
        with prepared(alone):
            timed(one_by_one[:1])
        for _ in range(options.rounds):
            with prepared(cases):
                wall, cpu, codes = timed([batch])
            figures["batch"].append((wall, cpu))
            with prepared(alone):
                wall, cpu, single = timed(one_by_one)
            figures["one_at_a_time"].append((wall, cpu))
            with (cases / "batch.csv").open(encoding="utf-8", newline="") as table:
                states = Counter(row["state"] for row in csv.DictReader(table))
            assert states == {"done": SOUND, "failed": BROKEN}, states
            assert codes == [6], codes
            assert Counter(single)[0] == SOUND, single
            for reference, _ in made:
                if reference.startswith("OK"):
                    assert reports(cases / case_of(reference)) == reports(alone / case_of(reference)), reference
        with prepared(cases):
            splits = {}
            for split in filter(None, options.splits.split(",")):
                at_once, workers = split.split("x")
                (cases / "batch.jsonl").unlink(missing_ok=True)
                for reference, _ in made:
                    if reference.startswith("OK"):
                        shutil.rmtree(cases / case_of(reference), ignore_errors=True)
                splits[split] = timed([[*batch, "--at-once", at_once, "--workers", workers]])[:2]
    wall = {name: statistics.median(wall for wall, _ in rounds) for name, rounds in figures.items()}
    cpu = {name: statistics.median(cpu for _, cpu in rounds) for name, rounds in figures.items()}
    cores = len(os.sched_getaffinity(0))
    report = {
        "exhibits": SOUND + BROKEN,
        "files_each": options.files,
        "cores": cores,
        "rounds": {
            name: [{"wall_s": round(w, 1), "cpu_s": round(c, 1)} for w, c in rounds]
            for name, rounds in figures.items()
        },
        "wall_s_median": {name: round(value, 1) for name, value in wall.items()},
        "cpu_s_median": {name: round(value, 1) for name, value in cpu.items()},
        "one_at_a_time_over_batch": round(wall["one_at_a_time"] / wall["batch"], 2),
        "bound": round(wall["one_at_a_time"] / (cpu["batch"] / cores), 2),
        "other_splits": {name: {"wall_s": round(w, 1), "cpu_s": round(c, 1)} for name, (w, c) in splits.items()},
        "same_reports": True,
        "load": [round(value, 1) for value in os.getloadavg()],
    }  # fmt: skip
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
