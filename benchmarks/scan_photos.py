"""The scan of a folder of real photographs, 2 workers, beside a plain script with 2 processes, on the same files.

    python benchmarks/scan_photos.py --photos ../shared/photos --count 1000 --rounds 3
    python benchmarks/scan_photos.py --megapixels 9 --count 160 --one-worker   what cameras make

The photographs are re-encoded with shifted crops, so that each file is another one; both sides read them warm. The
plain script is what an investigator writes in an afternoon: imagehash.phash and hashlib (MD5, SHA-1, SHA-256) of each
file in a ProcessPoolExecutor. Ours does the whole job: the same digests, PDQ and pHash, identification, matching,
an SQLite case with synchronous=FULL, all reports. The order alternates; the ratio of the medians is the figure.
Start-up is included on both sides. ``--one-worker`` scans with one worker too, for how much the second one adds.
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
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

PLAIN = """
import hashlib, pathlib, sys
from concurrent.futures import ProcessPoolExecutor
import imagehash
from PIL import Image

def one(path):
    data = pathlib.Path(path).read_bytes()
    digests = [hashlib.new(name, data).hexdigest() for name in ("md5", "sha1", "sha256")]
    try:
        with Image.open(path) as image:
            return path, digests, str(imagehash.phash(image))
    except Exception:
        return path, digests, None

if __name__ == "__main__":
    files = sorted(str(p) for p in pathlib.Path(sys.argv[1]).rglob("*") if p.is_file())
    with ProcessPoolExecutor(2) as pool:
        rows = list(pool.map(one, files, chunksize=4))
    print(len(rows))
"""


def encode(task: tuple[Path, Path, int]) -> None:
    """One re-encoded photograph, quality between 80 and 92: a crop that is shifted by a few pixels.

    All of one original have one size, as the photographs of one camera have.
    """
    from PIL import Image

    source, target, number = task
    with Image.open(source) as image:
        picture = image.convert("RGB")
        shift = number % 24
        box = (shift, shift // 2, picture.width - 24 + shift, picture.height - 12 + shift // 2)
        picture.crop(box).save(target, quality=80 + number % 13)


def make_photographs(source: Path, folder: Path, count: int, least_pixels: float) -> None:
    """``count`` photographs made of those in ``source`` of at least 500 px on both sides and so many pixels."""
    from PIL import Image

    originals = []
    for path in sorted(source.glob("*.jpg")):
        with Image.open(path) as image:
            if min(image.size) >= 500 and image.width * image.height >= least_pixels:
                originals.append(path)
    folder.mkdir(parents=True)
    tasks = [(originals[n % len(originals)], folder / f"IMG_{n:05}.jpg", n // len(originals)) for n in range(count)]
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(encode, tasks, chunksize=8))


def timed(command: list[str]) -> tuple[float, float]:
    """Wall seconds of a command that must succeed, and the CPU seconds of it and all that it started."""
    before, began = os.times(), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wall, after = time.perf_counter() - began, os.times()
    return wall, after.children_user + after.children_system - before.children_user - before.children_system


def scanned(folder: Path, case: Path, workers: int) -> tuple[float, float]:
    """Wall and CPU seconds of a scan into a new case, which is removed."""
    scan = [sys.executable, "-m", "caid_triage", "scan", str(folder), "--case", str(case)]
    seconds = timed([*scan, "--workers", str(workers), "--quiet"])
    shutil.rmtree(case)
    return seconds


def main() -> None:
    """Make the files, run both sides in turn, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, default=Path("../shared/photos"))
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megapixels", type=float, default=0.0, help="only of photographs at least so large")
    parser.add_argument("--one-worker", action="store_true", help="scan with one worker too")
    parser.add_argument("--keep", type=Path, help="folder of the made photographs, used again if it is there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch_name:
        scratch = Path(scratch_name)
        folder = options.keep or scratch / "photos"
        if not folder.exists():
            make_photographs(options.photos, folder, options.count, options.megapixels * 1e6)
        script = scratch / "plain.py"
        script.write_text(PLAIN)
        size = sum(path.stat().st_size for path in folder.iterdir())
        for path in folder.iterdir():
            path.read_bytes()  # both sides read from the page cache
        times: dict[str, list[tuple[float, float]]] = {"plain script": [], "caid-triage scan": []}
        for _ in range(options.rounds):
            times["plain script"].append(timed([sys.executable, str(script), str(folder)]))
            times["caid-triage scan"].append(scanned(folder, scratch / "case", 2))
            if options.one_worker:
                times.setdefault("caid-triage scan, one worker", []).append(scanned(folder, scratch / "case", 1))
    medians = {name: statistics.median(wall for wall, _ in values) for name, values in times.items()}
    report = {
        "files": options.count,
        "megabytes": round(size / 1e6),
        "seconds": {name: [round(wall, 2) for wall, _ in values] for name, values in times.items()},
        "cpu_seconds": {name: [round(cpu, 2) for _, cpu in values] for name, values in times.items()},
        "median_seconds": {name: round(value, 2) for name, value in medians.items()},
        "ratio": round(medians["plain script"] / medians["caid-triage scan"], 2),
        "wanted": "at least 5" if options.megapixels >= 8 else "at least 2",
        "megapixels_at_least": options.megapixels,
        "load": [round(value, 1) for value in os.getloadavg()],
    }
    if options.one_worker:
        one = medians["caid-triage scan, one worker"]
        report["two_workers_over_one"] = round(one / medians["caid-triage scan"], 2)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
