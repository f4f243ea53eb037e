"""CPU time a photograph costs: ours against the reference packages, all in one run on the same files.

    python benchmarks/examine_speed.py FOLDER [--repeat N]

Prints JSON: median and mean CPU milliseconds a file. "ours" is begin/update/finish: type, three
digests, decode, PDQ with quality and pHash. The others do less: "imagehash" three digests and
pHash, "pdqhash" PDQ alone; "both references" is what a script needs for the same answers as ours.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import imagehash
import numpy as np
import pdqhash
from PIL import Image

from caid_triage.examine.examine import Examiner, prepare_decoders

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


def ours(data: bytes) -> None:
    run = Examiner().begin("", len(data))
    for start in range(0, len(data), 1 << 20):
        run.update(data[start : start + (1 << 20)])
    run.finish()


def digests(data: bytes) -> None:
    for name in ("md5", "sha1", "sha256"):
        hashlib.new(name, data).digest()


def with_imagehash(data: bytes) -> None:
    digests(data)
    with Image.open(io.BytesIO(data)) as image:
        imagehash.phash(image)


def with_pdqhash(data: bytes) -> None:
    with Image.open(io.BytesIO(data)) as image:
        pdqhash.compute(np.asarray(image.convert("RGB")))


def with_both(data: bytes) -> None:
    digests(data)
    with Image.open(io.BytesIO(data)) as image:
        imagehash.phash(image)
        pdqhash.compute(np.asarray(image.convert("RGB")))


WAYS: dict[str, Callable[[bytes], None]] = {
    "ours": ours,
    "hashlib + imagehash": with_imagehash,
    "pdqhash, full decode": with_pdqhash,
    "hashlib + imagehash + pdqhash": with_both,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    contents = [path.read_bytes() for path in sorted(options.folder.iterdir()) if path.suffix.lower() in SUFFIXES]
    prepare_decoders()
    for way in WAYS.values():
        way(contents[0])
    best = {name: [float("inf")] * len(contents) for name in WAYS}
    for _ in range(options.repeat):
        # All ways take turns on one file, so that another job on the machine disturbs them alike.
        for number, data in enumerate(contents):
            for name, way in WAYS.items():
                started = time.process_time()
                way(data)
                best[name][number] = min(best[name][number], time.process_time() - started)
    rows = {
        name: {"median_ms": round(statistics.median(times) * 1e3, 2), "mean_ms": round(statistics.mean(times) * 1e3, 2)}
        for name, times in best.items()
    }
    result = {
        "files": len(contents),
        "megabytes": round(sum(map(len, contents)) / 1e6, 1),
        "repeat": options.repeat,
        "cpu_ms_a_file": rows,
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "pillow", "imagehash", "pdqhash", "opencv-python-headless")},
        },
    }
    json.dump(result, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
