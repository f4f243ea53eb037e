"""How soon a quick scan meets what is known on an NTFS volume of very many files, beside the same scan as it walks.

    python benchmarks/quick_first_hit.py [--files 20000] [--known 20] [--decoys 500] [--workers 2] [--folder DISK]

The volume is made here (sparse; drawn pictures, texts, other files, of many sizes, in folders of a system, of programs
and of users). The known files are spread evenly over it, a quarter of them under names that say nothing. The hash set
lists them by MD5, SHA-1 and size among ``--decoys`` entries that are nowhere on the disk and have sizes as its files
have. Both sides come to the same files.csv and matches.csv, or this fails. Prints JSON.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from caid_triage.case.view import open_case
from caid_triage.config import ScanOptions
from caid_triage.hashset.build import build_hashset_from_arrays
from caid_triage.report.write import write_reports
from caid_triage.scan.progress import Progress
from caid_triage.scan.run import run_scan
from caid_triage.scan.sources import SourceRequest
from caid_triage.synth.ntfs import write_ntfs
from caid_triage.synth.plan import DAY_ZERO, PlannedFile

# (share of the files, folder, names' endings): a Windows disk in small.
PLACES = (
    (0.25, "/Windows/WinSxS/part {}", (".dll", ".png", ".man", ".cat")),
    (0.15, "/Program Files/app {}", (".png", ".js", ".dat", ".html")),
    (0.15, "/Users/ada/AppData/Local/app {}", (".log", ".dat", ".png", ".json")),
    (0.20, "/Users/ada/Documents/papers {}", (".txt", ".pdf", ".docx", ".jpg")),
    (0.25, "/Users/ada/Pictures/album {}", (".jpg", ".jpg", ".jpeg", ".png")),
)
IN_A_FOLDER = 200


def drawn(chance: random.Random) -> bytes:
    """A small JPEG of coloured waves: 2 to 12 kB."""
    wide, high = chance.choice(((160, 120), (200, 150), (240, 320)))
    x, y = np.meshgrid(np.linspace(0, 1, wide), np.linspace(0, 1, high))
    waves = [
        np.sin(chance.uniform(2, 40) * x + chance.uniform(2, 40) * y + chance.uniform(0, 6)) * 127 + 128
        for _ in range(3)
    ]
    made = io.BytesIO()
    Image.fromarray(np.stack(waves, axis=2).astype(np.uint8)).save(made, "JPEG", quality=85)
    return made.getvalue()


def plan_of(files: int, known: int, chance: random.Random) -> tuple[list[PlannedFile], list[bytes]]:
    """The files of the volume, and the contents of those that are known."""
    pictures = [drawn(chance) for _ in range(64)]
    at = {(2 * number + 1) * files // (2 * known): number for number in range(known)}
    listed: list[bytes] = []
    plan: list[PlannedFile] = []
    folders = [place for place in PLACES for _ in range(max(1, round(place[0] * files / IN_A_FOLDER)))]
    for number in range(files):
        _, folder, endings = folders[min(number // IN_A_FOLDER, len(folders) - 1)]
        ending = chance.choice(endings)
        more = chance.randbytes(8) * chance.randrange(1, 900)  # behind a picture's end, where no decoder looks
        more = more[: len(more) - chance.randrange(8)]
        if number in at:
            ending = ".dat" if at[number] % 4 == 3 else ".jpg"
            content = drawn(chance) + more
            listed.append(content)
        elif ending in (".jpg", ".jpeg", ".png"):
            content = chance.choice(pictures) + more
        else:
            content = b"text of no account %d " % number + more
        path = f"{folder.format(number // IN_A_FOLDER)}/{chance.randrange(1 << 32):08x} {number}{ending}"
        moment = DAY_ZERO - timedelta(minutes=chance.randrange(3_000_000))
        plan.append(PlannedFile(path, content, moment))
    return plan, listed


def make(folder: Path, files: int, known: int, decoys: int, seed: int) -> dict[str, Any]:
    """The volume and the hash set."""
    chance = random.Random(seed)
    plan, listed = plan_of(files, known, chance)
    sizes = [len(content) for content in listed] + [len(chance.choice(plan).content) for _ in range(decoys)]
    random_digests = np.frombuffer(chance.randbytes(36 * decoys), dtype=np.uint8).reshape(-1, 36)
    own = [hashlib.md5(content).digest() + hashlib.sha1(content).digest() for content in listed]
    digests = np.vstack([np.frombuffer(b"".join(own), dtype=np.uint8).reshape(-1, 36), random_digests])
    build_hashset_from_arrays(
        folder / "set.chs",
        md5=np.ascontiguousarray(digests[:, :16]),
        sha1=np.ascontiguousarray(digests[:, 16:]),
        size=np.array(sizes, dtype=np.int64),
        category="1",
    )
    clusters = sum(-(-len(one.content) // 4096) for one in plan) + files // 2
    write_ntfs(folder / "disk.dd", plan, size=(clusters + 16384) * 4096)
    set_sizes = set(sizes)
    of_listed_size = sum(len(one.content) in set_sizes for one in plan)
    return {
        "files": files,
        "known": known,
        "decoys": decoys,
        "bytes": sum(len(one.content) for one in plan),
        "different_sizes": len({len(one.content) for one in plan}),
        "files_of_a_listed_size": of_listed_size,
        "image_bytes": (folder / "disk.dd").stat().st_size,
        "image_bytes_on_disk": (folder / "disk.dd").stat().st_blocks * 512,
    }


def peak_mb() -> int | None:
    """The most memory that this process had, None where the system does not say; ru_maxrss has the parent's too."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM")), None)


def scan(folder: Path, order: str, known: int, workers: int) -> dict[str, Any]:
    """One scan in this process; when what was met, in seconds and in files, and the memory it took."""
    import resource

    began = time.perf_counter()
    met: dict[str, dict[str, float]] = {}
    listed = [0.0]

    def show(progress: Progress) -> None:
        hits = sum(progress.hits.values())
        moment = {"seconds": round(time.perf_counter() - began, 3), "files": progress.files}
        if hits:
            met.setdefault("first", moment)
        if hits >= known:
            met.setdefault("all", moment)
        if progress.stage == "listing":
            listed[0] = time.perf_counter() - began

    options = ScanOptions(profile="quick", order=order, workers=workers, leads="off")
    case = folder / order
    outcome = run_scan([SourceRequest(folder / "disk.dd", "B/1", "disk.dd")], case, [folder / "set.chs"], options, show)
    seconds = time.perf_counter() - began
    own, others = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    with open_case(case) as view:
        write_reports(view, folder / f"{order} reports", ["files", "matches"])
    return {
        "seconds": round(seconds, 3),
        "files": outcome.stored,
        "met": met,
        "listed_after_s": round(listed[0], 3),
        "cpu_s": round(own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime, 1),
        "coordinator_cpu_s": round(own.ru_utime + own.ru_stime, 1),
        "coordinator_peak_mb": peak_mb(),
    }


def main() -> int:
    """Make the disk, scan it both ways, print JSON; 1 where the two differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--known", type=int, default=20)
    parser.add_argument("--decoys", type=int, default=500)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=43)
    parser.add_argument("--folder", type=Path, default=None, help="where there is room for the disk")
    parser.add_argument("--side", choices=("yield", "walk"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(scan(options.folder, options.side, options.known, options.workers)))
        return 0
    folder = Path(tempfile.mkdtemp(prefix="quick ", dir=options.folder))
    try:
        report: dict[str, Any] = {"load": round(os.getloadavg()[0], 1)}
        report["disk"] = make(folder, options.files, options.known, options.decoys, options.seed)
        for side in ("yield", "walk"):
            command = [sys.executable, __file__, "--side", side, "--folder", str(folder)]
            command += ["--known", str(options.known), "--workers", str(options.workers)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            report[side] = json.loads(done.stdout.splitlines()[-1])
        whole = report["walk"]
        for name, moment in report["yield"]["met"].items():
            report[f"{name}_hit_percent_of_the_time"] = round(100 * moment["seconds"] / whole["seconds"], 2)
            report[f"{name}_hit_percent_of_the_files"] = round(100 * moment["files"] / whole["files"], 2)
        report["wanted"] = {"first_hit_percent_of_the_time": 5, "all_hit_percent_of_the_time": 25}
        names = [f"{side} reports" for side in ("yield", "walk")]
        same = all(
            (folder / names[0] / name).read_bytes() == (folder / names[1] / name).read_bytes()
            for name in ("files.csv", "matches.csv")
        )
        report["same_reports"] = same
        print(json.dumps(report, indent=2))
        return 0 if same else 1
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
