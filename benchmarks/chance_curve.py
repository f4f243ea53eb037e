"""How far the PDQ and pHash of unrelated pictures lie apart: the data of caid_triage/match/chance_curves.json.

    python benchmarks/chance_curve.py PHOTOS... [--crops 150] [--out FILE]

Each picture gives itself and random crops (35 to 100 of 100 of each side, scaled to 256 x 256); only pairs of crops
of *different* pictures are counted. PDQ of quality below 50 is left out, as the matcher leaves it out. No
picture and no hash is written, only how many pairs lie at each distance.
"""

from __future__ import annotations

import argparse
import json
import platform
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np

from caid_triage.examine.pdq import pdq
from caid_triage.examine.phash import phash

SIDE, LEAST_QUALITY, SEED = 256, 50, 2026


def crops(path: Path, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    picture = cv2.imread(str(path))
    if picture is None:
        return []
    picture = picture[:, :, ::-1]
    scale = min(1.0, 800 / min(picture.shape[:2]))
    picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    height, width = picture.shape[:2]
    found = []
    for number in range(count):
        part = rng.uniform(0.35, 1.0) if number else 1.0
        tall, wide = int(height * part), int(width * part)
        top, left = rng.integers(0, height - tall + 1), rng.integers(0, width - wide + 1)
        cut = picture[top : top + tall, left : left + wide]
        found.append(np.ascontiguousarray(cv2.resize(cut, (SIDE, SIDE), interpolation=cv2.INTER_AREA)))
    return found


def pairs_by_distance(hashes: list[bytes], owners: list[int], length: int) -> list[int]:
    words = np.frombuffer(b"".join(hashes), dtype=np.uint64).reshape(len(hashes), -1)
    own = np.array(owners)
    counts = np.zeros(8 * length + 1, dtype=np.int64)
    for place in range(len(words) - 1):
        distances = np.bitwise_count(words[place] ^ words[place + 1 :]).sum(axis=1, dtype=np.int64)
        counts += np.bincount(distances[own[place + 1 :] != own[place]], minlength=len(counts))
    return counts.tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+", type=Path, help="folders of unrelated photographs")
    parser.add_argument("--crops", type=int, default=150)
    parser.add_argument("--origin", default="", help="what the photographs are, for the record")
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args()
    rng = np.random.default_rng(SEED)
    paths = [path for folder in options.photos for path in sorted(folder.rglob("*.jp*g"))]
    found: dict[str, tuple[list[bytes], list[int]]] = {"pdq": ([], []), "phash": ([], [])}
    for owner, path in enumerate(paths):
        for cut in crops(path, options.crops, rng):
            value, quality = pdq(cut)
            if quality >= LEAST_QUALITY:
                found["pdq"][0].append(value)
                found["pdq"][1].append(owner)
            found["phash"][0].append(phash(cut))
            found["phash"][1].append(owner)
    curves = {}
    for algorithm, (hashes, owners) in found.items():
        counts = pairs_by_distance(hashes, owners, len(hashes[0]))
        curves[algorithm] = {
            "bits": len(counts) - 1,
            "pictures": len(set(owners)),
            "hashes": len(hashes),
            "pairs": sum(counts),
            "pairs_by_distance": counts,
        }
    result = {
        "provenance": {
            "script": "benchmarks/chance_curve.py",
            "measured": datetime.now(UTC).strftime("%Y-%m-%d"),
            "pictures": options.origin or f"{len(paths)} photographs",
            "crops": options.crops,
            "least_pdq_quality": LEAST_QUALITY,
            "seed": SEED,
            "numpy": np.__version__,
            "opencv": cv2.__version__,
            "python": platform.python_version(),
        },
        "curves": curves,
    }
    text = json.dumps(result) + "\n"
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
