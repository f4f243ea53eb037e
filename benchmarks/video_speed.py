"""CPU time that a minute of video costs: ours against vPDQ and the plain ways, all in one run on the same clips.

    python benchmarks/video_speed.py FOLDER [--repeat N] [--keep FILE]

Prints JSON: CPU seconds a minute of video of each clip, the best of N, and how many times ours each other way costs.
"ours" is examine_file: reading, type, three digests, frames with PDQ, container facts. "vpdq, 1 fps" is Meta's vPDQ
with one hash a second at native size; "PyAV, 1 fps + pdqhash" decodes every frame and hashes one a second, which is
what vPDQ does, and stands for it where that is not installed; "cv2 read" decodes every frame and hashes none.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import av
import cv2
import pdqhash

from caid_triage.examine.examine import examine_file, prepare_decoders
from caid_triage.examine.limits import Limits

try:
    import vpdq
except ImportError:
    vpdq = None

SUFFIXES = {".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".3gp"}


def ours(path: Path) -> int:
    return len(examine_file(path).hashes)


def ours_dense(path: Path) -> int:
    return len(examine_file(path, Limits(dense_video=True)).hashes)


def with_vpdq(path: Path) -> int:
    return len(vpdq.computeHash(str(path), seconds_per_hash=1.0, thread_count=1))


def with_pyav(path: Path) -> int:
    hashed, due = 0, 0.0
    with av.open(str(path)) as film:
        stream = film.streams.video[0]
        stream.codec_context.thread_count = 1
        for frame in film.decode(stream):
            if frame.time >= due:
                pdqhash.compute(frame.to_ndarray(format="rgb24"))
                hashed, due = hashed + 1, due + 1.0
    return hashed


def with_cv2(path: Path) -> int:
    film, read = cv2.VideoCapture(str(path)), 0
    while film.read()[0]:
        read += 1
    return read


WAYS: dict[str, Callable[[Path], int]] = {
    "ours": ours,
    "ours, a frame of every second": ours_dense,
    **({"vpdq, 1 fps": with_vpdq} if vpdq else {}),
    "PyAV, 1 fps + pdqhash": with_pyav,
    "cv2 read": with_cv2,
}


def known_version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="write the same JSON to this file")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    clips = [path for path in sorted(options.folder.iterdir()) if path.suffix.lower() in SUFFIXES]
    prepare_decoders()
    minutes = {path: (examine_file(path).duration_s or 0.0) / 60 for path in clips}
    clips = [path for path in clips if minutes[path]]
    best = {name: dict.fromkeys(clips, float("inf")) for name in WAYS}
    hashes: dict[str, dict[str, int]] = {name: {} for name in WAYS}
    for _ in range(options.repeat):
        # All ways take turns on one clip, so that another job on the machine disturbs them alike.
        for path in clips:
            for name, way in WAYS.items():
                started = time.process_time()
                hashes[name][path.name] = way(path)
                best[name][path] = min(best[name][path], time.process_time() - started)
    mine = best["ours"]
    result = {
        "clips": {path.name: {"seconds": round(minutes[path] * 60, 2)} for path in clips},
        "repeat": options.repeat,
        "load": [round(load, 1) for load in os.getloadavg()],
        "cpu_s_a_minute": {
            name: {path.name: round(times[path] / minutes[path], 3) for path in clips} for name, times in best.items()
        },
        "hashes": hashes,
        "times_ours": {
            name: {
                "median_of_clips": round(statistics.median(times[path] / mine[path] for path in clips), 1),
                "least": round(min(times[path] / mine[path] for path in clips), 1),
                "all_clips_together": round(sum(times.values()) / sum(mine.values()), 1),
            }
            for name, times in best.items()
            if name != "ours"
        },
        "versions": {
            "python": platform.python_version(),
            **{name: known_version(name) for name in ("numpy", "av", "vpdq", "pdqhash", "opencv-python-headless")},
        },
    }
    text = json.dumps(result, indent=2) + "\n"
    sys.stdout.write(text)
    if options.keep:
        options.keep.write_text(text)


if __name__ == "__main__":
    main()
