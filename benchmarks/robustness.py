"""How often a known picture is found again after an edit, and how near different pictures come: PDQ and pHash.

    python benchmarks/robustness.py --source NAME LICENCE FOLDER [--source ...] [--half A|B] [--limit N] [--out FILE]

Every picture of the sources that differs from the others is shrunk to at most 800 pixels a side and hashed as a list
holds it (one PDQ, one pHash, upright). Each is then edited in all ways of robustness_edits.py, encoded, and
examined by ``Examiner`` as a file of an exhibit is; a hash set would be asked about every look and orientation that
comes out. The distance of a pair (edited file, listed picture) is the least of all those hashes: a pair counts once.

Pictures of a quality below 50 are listed as well, as sets without qualities have them, and asked about in a few edits:
for the different pairs that they make, which are counted by themselves.

Beside it in the same run: ``imagehash.phash`` and ``pdqhash.compute`` of the same files, as a plain script takes
them. Everything is seeded by the picture's content. ``--half`` measures the edits of one half of the pictures (told
by their content) against all of them, so that what is improved on one half can be judged on the other.

Prints JSON (or writes it to --out): the corpus by source, recall by edit at 31, at the measured limit and at others,
false pairs by distance, and how far the limit of the stored pixels may lie above that of all other looks. ``--plot
FILE`` draws the curves as SVG.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import platform
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import imagehash
import numpy as np
import pdqhash
from PIL import Image
from robustness_edits import EDITS, Picture
from robustness_plot import plot

from caid_triage.examine.examine import Examiner, prepare_decoders
from caid_triage.examine.pdq import grid_of, pdq_turned
from caid_triage.examine.phash import phash
from caid_triage.examine.recut import MISSING, TILTED, recut
from caid_triage.perceptual import HASH_BYTES, hash_name

SEED, SIDE, LEAST_SIDE, LEAST_QUALITY, SAME = 2026, 800, 200, 50, 70
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
RATE = 1e-6
# Two different pictures can be each other's negative: such files are no measure of how near different ones come.
NEGATIVE = "invert"
# What of a file is asked about: its stored pixels, those in eight orientations, every look. Then the peers.
WAYS = ("pdq", "pdq upright", "pdq turned", "phash", "phash upright", "imagehash.phash", "pdqhash")
# Parts of "pdq" that may have limits of their own: the stored pixels upright, those turned, parts and other
# conventions of the picture, guesses at what was cropped or tilted. A pair is kept if any of them is as near as NEAR.
GROUPS = ("stored", "turned", "looks", "guesses")
NEAR, NO_HASH = 87, 999
# What the pictures of a low quality are asked about in.
OF_GATED = ("identity, PNG", "jpeg q50", "brightness x0.6", "contrast x0.3", "blur s8", "phone screenshot, gallery")
# The same for pairs of which one or both are of a low quality.
OF_LOW = "low quality: "
LOW = tuple(f"{OF_LOW}{way}" for way in WAYS)
BITS = {way: 64 if "phash" in way else 256 for way in (*WAYS, *LOW)}
Words = np.ndarray


@dataclass
class Source:
    """Pictures of one origin, and what became of them."""

    name: str
    licence: str
    folder: Path
    counts: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Known:
    """One picture as a list holds it."""

    path: Path
    key: str
    pdq: bytes
    phash: bytes


def load(path: Path) -> Picture | None:
    """The picture in RGB, at most SIDE pixels a side; None for one that is too small or cannot be read."""
    try:
        with Image.open(path, formats=("JPEG", "PNG", "WEBP")) as image:
            image.draft("RGB", (2 * SIDE, 2 * SIDE))
            picture = image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return picture if min(picture.size) >= LEAST_SIDE else None


def words(hashes: list[bytes]) -> Words:
    return np.frombuffer(b"".join(hashes), dtype=np.uint64).reshape(len(hashes), -1)


def distances(queries: Words, known: Words) -> np.ndarray:
    """uint16[queries, known] of bits."""
    return np.bitwise_count(queries[:, None, :] ^ known[None, :, :]).sum(axis=2, dtype=np.uint16)


def one_known(task: tuple[Path, Path]) -> tuple[str, list[bytes], bytes, bool] | str:
    """Key, PDQ in every way that tells the same picture (upright first), pHash, and whether PDQ's quality will do.

    Of one file; or why it is left out.

    The shrunk picture is kept in the folder.
    """
    path, folder = task
    picture = load(path)
    if picture is None:
        return "unreadable or small"
    pixels = np.asarray(picture)
    grid = grid_of(pixels, *pixels.shape[:2])
    turned, quality = pdq_turned(pixels, grid)
    key = hashlib.sha256(pixels.tobytes()).hexdigest()[:16]
    picture.save(folder / f"{key}.png", compress_level=1)
    ways = [*turned, *(value for _, value in recut(grid, *pixels.shape[:2]))]
    return key, ways, phash(pixels), quality >= LEAST_QUALITY


def corpus(sources: list[Source], folder: Path, pool: ProcessPoolExecutor) -> tuple[list[Known], list[Known]]:
    """The different pictures of all sources, and those of a low quality; which are left out is counted by source.

    The same picture in another shape, crop or orientation is no different picture: at most SAME bits in any of eight
    orientations or of the guesses at crops and tilts. Of the corpus at hand the eight pairs nearer than that
    were looked at (seven the same in another crop or colour, one two scans of one kind); the next lies at 86.
    """
    found: list[Known] = []
    gated: list[Known] = []
    listed = np.empty((0, 4), dtype=np.uint64)
    for source in sources:
        paths = sorted(path for path in source.folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
        source.counts["files"] = len(paths)
        for answer in pool.map(one_known, [(path, folder) for path in paths], chunksize=4):
            if isinstance(answer, str):
                source.counts[answer] += 1
                continue
            key, turned, small, good = answer
            if len(listed) and distances(words(turned), listed).min() <= SAME:
                source.counts[f"within {SAME} bits of another, turned or cropped"] += 1
                continue
            source.counts["kept" if good else "quality below 50"] += 1
            (found if good else gated).append(Known(folder / f"{key}.png", key, turned[0], small))
            listed = np.concatenate([listed, words(turned[:1])])
    return found, gated


def group_of(look: str, turned: bool) -> str:
    """Which of GROUPS a look belongs to."""
    if look in ("", "levels"):
        return "turned" if turned else "stored"
    return "guesses" if look in (*MISSING, *TILTED) else "looks"


def asked(data: bytes) -> dict[str, list[bytes]]:
    """The single hashes that a hash set is asked about for a file, by way, with the matcher's gate of quality."""
    run = Examiner().begin("", len(data))
    run.update(data)
    found: dict[str, list[bytes]] = {way: [] for way in (*WAYS, *GROUPS)}
    for item in run.finish().hashes:
        name = hash_name(item.algorithm)
        if name.algorithm not in ("pdq", "phash") or (item.quality is not None and item.quality < LEAST_QUALITY):
            continue
        length = HASH_BYTES[name.algorithm]
        single = [item.value[start : start + length] for start in range(0, len(item.value), length)]
        found[name.algorithm] += single
        if name.look in ("", "levels") and not name.turned:
            found[f"{name.algorithm} upright"] += single
        if name.look in ("", "levels") and name.algorithm == "pdq":
            found["pdq turned"] += single
        if name.algorithm == "pdq":
            found[group_of(name.look, name.turned)] += single
    with Image.open(io.BytesIO(data)) as image:
        picture = image.convert("RGB")  # HEIC by pillow-heif
    found["imagehash.phash"] = [np.packbits(imagehash.phash(picture).hash.ravel()).tobytes()]
    vector, quality = pdqhash.compute(np.asarray(picture))
    found["pdqhash"] = [np.packbits(vector).tobytes()] if quality >= LEAST_QUALITY else []
    return found


_known: dict[int, Words] = {}
_of_good_quality: list[int] = []


def begin(pdqs: list[bytes], phashes: list[bytes], good: int) -> None:
    """A worker's start: what a list holds, the first ``good`` of it of a quality that matches."""
    _of_good_quality.append(good)
    prepare_decoders()
    if library := sys.modules.get("pillow_heif"):
        library.register_heif_opener()
    _known[256], _known[64] = words(pdqs), words(phashes)


def measure(task: tuple[int, Path, str, bool]) -> tuple[dict[str, dict[str, int]], dict[str, np.ndarray], list[Any]]:
    """Of one picture: the distance to itself by edit and way (-1: no hash), pairs by distance, the nearest others.

    Of the nearest others: the distance in each of GROUPS, the edit and the other's number.
    """
    number, path, key, gated = task
    picture = load(path)
    assert picture is not None
    own: dict[str, dict[str, int]] = {}
    pairs = {way: np.zeros(BITS[way] + 1, dtype=np.int64) for way in (*WAYS, *LOW)}
    nearest: list[Any] = []
    others = np.delete(np.arange(len(_known[64])), number)
    for place, (edit, change) in enumerate(EDITS.items()):
        if gated and edit not in OF_GATED:
            continue
        data = change(picture, np.random.default_rng([SEED, place, int(key, 16)]))
        found = asked(data)
        least = {way: nearest_of(hashes, _known[BITS.get(way, 256)]) for way, hashes in found.items()}
        own[edit] = {way: int(of[number]) if found[way] else -1 for way, of in least.items()}
        if edit == NEGATIVE:
            continue
        good = np.zeros(len(others), dtype=bool) if gated else others < _of_good_quality[0]
        for way in (*WAYS, *LOW):
            of_way = least[way.removeprefix(OF_LOW)][others]
            counted = of_way[good] if way in WAYS else of_way[~good]
            pairs[way] += np.bincount(np.minimum(counted, BITS[way]), minlength=BITS[way] + 1)
        by_group = np.array([least[group][others] for group in GROUPS])
        near = np.flatnonzero(by_group.min(axis=0) <= NEAR)
        nearest += [(*by_group[:, place].tolist(), edit, int(others[place])) for place in near]
    return own, pairs, nearest


def nearest_of(hashes: list[bytes], known: Words) -> np.ndarray:
    """Of each listed picture how near it is to any of the hashes."""
    return distances(words(hashes), known).min(axis=0) if hashes else np.full(len(known), NO_HASH, dtype=np.uint16)


def limit_of(pairs: np.ndarray, rate: float = RATE) -> int:
    """The largest distance within which at most ``rate`` of the different pairs lie."""
    within = np.cumsum(pairs)
    return int(np.searchsorted(within, rate * within[-1], side="right")) - 1


def recall(own: list[int], distance: int) -> float:
    """Per cent of the edited files that lie within ``distance`` of the picture they were made of."""
    return round(100 * sum(0 <= value <= distance for value in own) / len(own), 1) if own else 0.0


def table(own: dict[str, dict[str, list[int]]], within: dict[str, int]) -> dict[str, dict[str, float]]:
    """Recall by edit and way, each way at its distance."""
    return {edit: {way: recall(values, within[way]) for way, values in by_way.items()} for edit, by_way in own.items()}


def stored_limits(near: list[Any], pairs: int) -> dict[int, int]:
    """By the limit of everything else, the longest limit of the stored pixels at which RATE of the pairs come near."""
    allowed = int(RATE * pairs)
    found = {}
    for limit in range(63, NEAR, 2):
        stored = sorted(row[0] for row in near if min(row[1:4]) > limit)
        left = allowed - sum(min(row[1:4]) <= limit for row in near)
        if left >= 0:
            found[limit] = max(limit, min([*stored, NEAR + 1][left:][0] - 1, NEAR))
    return found


def results(measured: Iterator[Any], good: int, gated: int) -> dict[str, Any]:
    """Recall and false pairs of everything that was measured, the ``gated`` last ones for their pairs only.

    The first ``good`` of what is listed are of a quality that matches.
    """
    own: dict[str, dict[str, list[int]]] = {edit: {way: [] for way in (*WAYS, *GROUPS)} for edit in EDITS}
    pairs = {way: np.zeros(BITS[way] + 1, dtype=np.int64) for way in (*WAYS, *LOW)}
    nearest: list[Any] = []
    everything = list(measured)
    for number, (of_one, pairs_of_one, near) in enumerate(everything):
        if number < len(everything) - gated:
            for edit, by_way in of_one.items():
                for way, value in by_way.items():
                    own[edit][way].append(value)
        for way in (*WAYS, *LOW):
            pairs[way] += pairs_of_one[way]
        nearest += [(*row, number) for row in near]
    limits = {way: limit_of(pairs[way]) for way in WAYS}
    with_low = pairs["pdq"] + pairs[f"{OF_LOW}pdq"]
    edited = len(everything) - gated
    of_good = [row for row in nearest if row[5] < good and row[6] < edited]
    usual = {way: 31 if BITS[way] == 256 else 8 for way in WAYS}
    return {
        "pairs": int(pairs["pdq"].sum()),
        "limit_at_1_in_1e6": limits,
        "nearest_different_pair": {way: int(np.flatnonzero(pairs[way])[0]) for way in WAYS},
        "recall_percent_at_limit": {edit: {way: recall(own[edit][way], limits[way]) for way in WAYS} for edit in EDITS},
        "recall_percent_at_31_or_8": {
            edit: {way: recall(own[edit][way], usual[way]) for way in WAYS} for edit in EDITS
        },
        "recall_percent_by_distance": {
            way: {str(d): {edit: recall(own[edit][way], d) for edit in EDITS} for d in steps(BITS[way])}
            for way in ("pdq", "phash")
        },
        "pairs_within": {way: np.cumsum(pairs[way])[: BITS[way] // 2].tolist() for way in WAYS},
        "longest_stored_limit_by_limit_of_others": stored_limits(of_good, int(pairs["pdq"].sum())),
        "with_pictures_of_low_quality": {
            "pairs": int(with_low.sum()),
            "limit_at_1_in_1e6": limit_of(with_low),
            "pairs_within": np.cumsum(with_low)[: NEAR + 1].tolist(),
            "limit_at_1_in_1e6_by_way": {way: limit_of(pairs[way] + pairs[f"{OF_LOW}{way}"]) for way in WAYS},
            "longest_stored_limit_by_limit_of_others": stored_limits(nearest, int(with_low.sum())),
        },
        "near_pairs_stored_turned_looks_guesses_edit_listed_picture": sorted(nearest, key=lambda row: min(row[:4])),
        "own_distances": {edit: {way: own[edit][way] for way in ("pdq", "phash", *GROUPS)} for edit in EDITS},
    }


def steps(bits: int) -> range:
    return range(1, 100, 6) if bits == 256 else range(0, 17, 2)


def main() -> None:
    options = parsed()
    with tempfile.TemporaryDirectory() as scratch:
        report = run(options, Path(scratch))
    text = json.dumps(report) + "\n"
    if options.plot:
        options.plot.write_text(plot(report), encoding="utf-8")
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", nargs=3, action="append", required=True, metavar=("NAME", "LICENCE", "FOLDER"))
    parser.add_argument("--half", choices=("A", "B", "both"), default="both")
    parser.add_argument("--limit", type=int, default=0, help="edit at most so many pictures (0: all)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--plot", type=Path)
    return parser.parse_args()


def run(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Make the corpus in ``folder``, edit, examine and compare."""
    began = time.perf_counter()
    sources = [Source(name, licence, Path(folder)) for name, licence, folder in options.source]
    with ProcessPoolExecutor(options.workers) as pool:
        known, gated = corpus(sources, folder, pool)
    # Which half a picture is in is told by its content, and so is the order: a limit takes a fair sample.
    order = sorted(range(len(known)), key=lambda number: known[number].key)
    chosen = [n for n in order if options.half == "both" or (int(known[n].key, 16) % 2 == 0) == (options.half == "A")]
    edited = chosen[: options.limit or None]
    everything = [*known, *gated]
    tasks = [
        (number, everything[number].path, everything[number].key, number >= len(known))
        for number in (*edited, *range(len(known), len(everything)))
    ]
    listed = [item.pdq for item in everything], [item.phash for item in everything], len(known)
    with ProcessPoolExecutor(options.workers, initializer=begin, initargs=listed) as pool:
        found = results(pool.map(measure, tasks, chunksize=2), len(known), len(gated))
    return {
        "corpus": {
            "sources": [{"name": s.name, "licence": s.licence, **s.counts} for s in sources],
            "different_pictures": len(known),
            "edited_pictures": len(edited),
            "pictures_of_low_quality": len(gated),
            "half": options.half,
            "edits": len(EDITS),
            "largest_side": SIDE,
            "seed": SEED,
        },
        **found,
        "wall_s": round(time.perf_counter() - began),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "pillow", "imagehash", "pdqhash", "opencv-python-headless")},
        },
    }


if __name__ == "__main__":
    main()
