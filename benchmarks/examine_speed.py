"""CPU time a camera's JPEG costs: ours against the reference packages, all in one run on the same files.

    python benchmarks/examine_speed.py FOLDER [--repeat N] [--most-kilobytes N] [--out FILE]

The JPEGs of the folder are taken as they are, in three classes by size: 0.3, 2 and 12 megapixels (all within a third
of that; fewer than ``--at-least`` in a class and it is filled with reduced copies of larger ones, quality 90; the JSON
counts what was made). ``--most-kilobytes`` encodes what is larger again, at the highest quality that keeps within it:
how much of the time is entropy decoding hangs on the bytes a picture has, not on its pixels alone. All ways take turns
on each file, so that another job on the machine disturbs them alike; of the repetitions the least counts, of the files
the median. CPU time of one thread.

"ours" is begin/update/finish: type, three digests, decode, every look's PDQ with quality and pHash, thumbnail, notes.
"ours, five hashes" is the part of it that the peers' figures can be set beside: three digests, decode, PDQ with quality
and pHash of the stored pixels, by the same functions. The others do less: each row's name says what. "floor" is what no
tool that needs the picture's coefficients and three digests can do without: OpenCV's decode at 1/8 in grey and hashlib.
"targets" says what was wanted of the five hashes and what came out, with all looks as well.
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
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import cv2
import imagehash
import numpy as np
import pdqhash
from PIL import Image

from caid_triage.examine.decode import decode
from caid_triage.examine.digests import Digesting
from caid_triage.examine.examine import Examiner, prepare_decoders
from caid_triage.examine.limits import Limits
from caid_triage.examine.pdq import pdq, pdq_reduced
from caid_triage.examine.phash import phash_of_tiny, tiny

SUFFIXES = {".jpg", ".jpeg"}
SIZES = {"0.3 MP": 0.3e6, "2 MP": 2e6, "12 MP": 12e6}
NEAR = 1.34

# (size, what is compared, at least this many times ours; or "at most" for the floor)
TARGETS: tuple[tuple[str, str, float], ...] = (
    ("12 MP", "threatexchange PDQ", 14.0),
    ("12 MP", "Pillow + imagehash.phash", 4.0),
    ("2 MP", "Pillow + imagehash.phash", 2.5),
    ("0.3 MP", "Pillow + imagehash.phash", 1.0),
)
MOST_OVER_FLOOR = 1.2
FIVE = "ours, five hashes"
FLOOR = "floor: cv2 1/8 grey + hashlib"


def ours(data: bytes) -> None:
    run = Examiner().begin("", len(data))
    for start in range(0, len(data), 1 << 20):
        run.update(data[start : start + (1 << 20)])
    run.finish()


def five_hashes(data: bytes) -> None:
    digesting = Digesting()
    digesting.update(data)
    digesting.digests()
    decoded = decode(data, "image/jpeg", Limits())
    pixels = decoded.pixels
    if pixels is None:
        raise ValueError("a picture of the benchmark cannot be decoded")
    if decoded.near:
        pdq_reduced(pixels, decoded.height or pixels.shape[0], decoded.width or pixels.shape[1])
    else:
        pdq(pixels)
    phash_of_tiny(tiny(pixels if decoded.grey is None else decoded.grey, reduced=decoded.near))


def digests(data: bytes) -> None:
    for name in ("md5", "sha1", "sha256"):
        hashlib.new(name, data).digest()


def floor(data: bytes) -> None:
    digests(data)
    cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_8)


def only_imagehash(data: bytes) -> None:
    with Image.open(io.BytesIO(data)) as image:
        imagehash.phash(image)


def with_imagehash(data: bytes) -> None:
    digests(data)
    only_imagehash(data)


def with_pdqhash(data: bytes) -> None:
    with Image.open(io.BytesIO(data)) as image:
        pdqhash.compute(np.asarray(image.convert("RGB")))


def with_both(data: bytes) -> None:
    digests(data)
    with Image.open(io.BytesIO(data)) as image:
        imagehash.phash(image)
        pdqhash.compute(np.asarray(image.convert("RGB")))


def threatexchange_pdq() -> tuple[str, Callable[[bytes], Any]]:
    """ThreatExchange's PDQ of a file's bytes; the same calls by hand where the package is not installed."""
    try:
        from threatexchange.signal_type.pdq.pdq_hasher import pdq_from_bytes
    except ImportError:
        return "pdqhash on Pillow's full decode, as threatexchange calls it", with_pdqhash
    return f"threatexchange {version('threatexchange')} pdq_from_bytes", pdq_from_bytes


def ways() -> tuple[dict[str, Callable[[bytes], Any]], str]:
    """What is timed, and what stands behind "threatexchange PDQ"."""
    name, threatexchange = threatexchange_pdq()
    found: dict[str, Callable[[bytes], Any]] = {
        "ours": ours,
        FIVE: five_hashes,
        FLOOR: floor,
        "Pillow + imagehash.phash": only_imagehash,
        "hashlib + imagehash": with_imagehash,
        "threatexchange PDQ": threatexchange,
        "pdqhash, full decode": with_pdqhash,
        "hashlib + imagehash + pdqhash": with_both,
    }
    return found, name


def encoded(image: Image.Image, most: int) -> bytes:
    """A JPEG of at most so many bytes, of the highest of some qualities that allows it; of the lowest if none does."""
    data = b""
    for quality in range(90, 45, -5):
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=quality)
        data = stream.getvalue()
        if len(data) <= most:
            break
    return data


def lighter(data: bytes, most: int) -> bytes:
    """The file as it is, or encoded again where it is larger."""
    if len(data) <= most:
        return data
    with Image.open(io.BytesIO(data)) as image:
        return encoded(image.convert("RGB"), most)


def pictures(folder: Path, at_least: int, most: int = sys.maxsize) -> dict[str, tuple[list[bytes], int]]:
    """The files of each size, and how many of them are made of others: reduced, or encoded again to ``most`` bytes."""
    found: list[tuple[int, bytes]] = []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in SUFFIXES:
            with Image.open(path) as image:
                found.append((image.width * image.height, path.read_bytes()))
    classes: dict[str, tuple[list[bytes], int]] = {}
    for name, pixels in SIZES.items():
        real = [data for size, data in found if pixels / NEAR <= size <= pixels * NEAR]
        heavy = sum(len(data) > most for data in real)
        real = [lighter(data, most) for data in real]
        larger = [(size, data) for size, data in found if size > pixels * NEAR]
        made = []
        for size, data in larger[: max(0, at_least - len(real))]:
            with Image.open(io.BytesIO(data)) as image:
                scale = (pixels / size) ** 0.5
                smaller = image.convert("RGB").resize((round(image.width * scale), round(image.height * scale)))
            made.append(encoded(smaller, most))
        classes[name] = [*real, *made], len(made) + heavy
    return classes


def measured(contents: list[bytes], repeat: int, timed: dict[str, Callable[[bytes], Any]]) -> dict[str, list[float]]:
    """Least CPU milliseconds of each file, by way."""
    best = {name: [float("inf")] * len(contents) for name in timed}
    for _ in range(repeat):
        for number, data in enumerate(contents):
            for name, way in timed.items():
                started = time.process_time()
                way(data)
                best[name][number] = min(best[name][number], (time.process_time() - started) * 1e3)
    return best


def figures(contents: list[bytes], made: int, best: dict[str, list[float]]) -> dict[str, Any]:
    """Medians of one size, and how ours compares: medians over medians, and the median of each file's ratio."""
    median = {name: statistics.median(times) for name, times in best.items()}

    def over(own: str) -> dict[str, Any]:
        peers = {name: times for name, times in best.items() if name not in ("ours", FIVE)}
        return {
            "of medians": {name: round(median[name] / median[own], 2) for name in peers},
            "median of files": {
                name: round(statistics.median(t / o for t, o in zip(times, best[own], strict=True)), 2)
                for name, times in peers.items()
            },
        }

    return {
        "files": len(contents),
        "made_copies": made,
        "median_kilobytes": round(statistics.median(map(len, contents)) / 1e3),
        "cpu_ms_median": {name: round(value, 2) for name, value in median.items()},
        "peer_over_ours": over("ours"),
        "peer_over_five_hashes": over(FIVE),
        "over_floor": {own: round(median[own] / median[FLOOR], 3) for own in (FIVE, "ours")},
        "cpu_ms": {name: [round(value, 2) for value in times] for name, times in best.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--at-least", type=int, default=5, help="files of each size")
    parser.add_argument("--most-kilobytes", type=int, default=sys.maxsize // 1000)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    prepare_decoders()
    cv2.setNumThreads(1)
    timed, behind = ways()
    report: dict[str, Any] = {"repeat": options.repeat, "threatexchange PDQ": behind}
    found = pictures(options.folder, options.at_least, options.most_kilobytes * 1000)
    for name, (contents, made) in found.items():
        if contents:
            for way in timed.values():
                way(contents[0])
            report[name] = figures(contents, made, measured(contents, options.repeat, timed))
    report["targets"] = {
        f"{size}: {peer} over ours, at least {least:g}": {
            own: report[size][own]["of medians"][peer] for own in ("peer_over_five_hashes", "peer_over_ours")
        }
        for size, peer, least in TARGETS
        if size in report
    }
    if "12 MP" in report:
        report["targets"][f"12 MP: ours over the floor, at most {MOST_OVER_FLOOR}"] = report["12 MP"]["over_floor"]
    report["load"] = [round(value, 1) for value in os.getloadavg()]
    report["versions"] = {
        "python": platform.python_version(),
        **{name: version(name) for name in ("numpy", "pillow", "imagehash", "pdqhash", "opencv-python-headless")},
    }
    text = json.dumps(report, indent=1) + "\n"
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
