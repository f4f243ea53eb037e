"""The walk of an NTFS image of 10,000 files with records, in CPU time an entry, beside the walk of `fls -r`.

python benchmarks/walk_ntfs.py --files 10000 --rounds 5
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from caid_triage.evidence.source import open_source
from caid_triage.model import FileEntry
from caid_triage.synth.ntfs import build_ntfs
from caid_triage.synth.plan import PlannedFile


def make_image(path: Path, files: int) -> None:
    """An NTFS volume of small files in folders of 200; every 50th is deleted."""
    plan = [
        PlannedFile(f"/folder {n // 200:03}/picture {n:05}.jpg", b"%d" % n * 40, deleted=n % 50 == 49)
        for n in range(files)
    ]
    path.write_bytes(build_ntfs(plan, size=max(64 << 20, files * 8192)))


def children_cpu() -> float:
    """CPU seconds of finished child processes."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Walk the image several times, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    ours: list[float] = []
    fls: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "ntfs.dd"
        make_image(image, options.files)
        entries = 0
        for _ in range(options.rounds):
            began = time.process_time()
            source = open_source(image, "E", "ntfs.dd")
            entries = sum(isinstance(item, FileEntry) for item in source.walk())
            source.close()
            ours.append((time.process_time() - began) / entries * 1e6)
            if shutil.which("fls"):
                began = children_cpu()
                subprocess.run(["fls", "-r", "-p", str(image)], check=True, stdout=subprocess.DEVNULL)
                fls.append((children_cpu() - began) / entries * 1e6)
    report = {
        "entries": entries,
        "microseconds_of_cpu_an_entry": {
            "caid-triage walk, with records": [round(value, 1) for value in ours],
            "fls -r -p": [round(value, 1) for value in fls],
        },
        "median": round(statistics.median(ours), 1),
        "median_fls": round(statistics.median(fls), 1) if fls else None,
        "wanted": "at most 60",
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
