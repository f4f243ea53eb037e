"""What known-good sets and contents that are met again save, and what asking costs where they save nothing.

    python benchmarks/known_good.py --keep                                  a few minutes
    python benchmarks/known_good.py --entries 100000000 --folder /var/tmp   a set as large as NSRL's: 25 GB of disk

Three things, each both ways in one run, rounds in turn; read the ratios of the medians:

* "scan": an exhibit of real photographs of which 70% are in a known-good set, 10% are others and 20% are further files
  of those. "decoding all" is the same scan told to decode what is known-good and to remember no examination. Both must
  have the same matches (by digest and by look) and the same digests of every file.
* "asking": exhibits in which nothing is known and nothing is met twice, of pictures as cameras make them and of small
  ones: with the question before each decode, and without.
* "look_up": the question itself, CPU time each, against that set and a notable one.

The known-good set has ``--entries`` rows with SHA-1 and SHA-256, made by chance, beside those of the exhibit.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from scan_photos import make_photographs
from store_bench import about_the_run, finish, made_hashes

from caid_triage.case.view import open_case
from caid_triage.examine.examine import examine_file
from caid_triage.hashset.build import build_hashset_from_arrays
from caid_triage.hashset.store import open_hashset
from caid_triage.match.known_good import is_known_good
from caid_triage.model import Digests, Role

KNOWN, OTHERS, AGAIN = 70, 10, 20  # of a hundred files
LENGTHS = {"sha1": 20, "sha256": 32}
# One scan in a process of its own: where, the case, the sets, whether to save decodes.
RUN = """
import json, resource, sys, time
from pathlib import Path
from caid_triage.config import ScanOptions
from caid_triage.scan.run import SourceRequest, run_scan
source, case, sets, saving, workers = json.loads(sys.argv[1])
more = {} if saving else {"decode_known_good": True, "kept_bytes": 0}
options = ScanOptions(workers=workers, **more)
began = time.perf_counter()
run_scan([SourceRequest(Path(source), "E", "s")], Path(case), [Path(one) for one in sets], options)
usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(json.dumps([time.perf_counter() - began, sum(one.ru_utime + one.ru_stime for one in usage),
                  usage[0].ru_maxrss / 1024]))
"""


def digest_rows(files: list[Path], name: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The digests of these files, a row each."""
    values = b"".join(hashlib.new(name, file.read_bytes()).digest() for file in files)
    return np.frombuffer(values, dtype=np.uint8).reshape(len(files), -1)


def known_good_set(folder: Path, entries: int, files: list[Path]) -> tuple[Path, dict[str, Any]]:
    """A set of ``entries`` rows by chance and of these files, and what building it took."""
    columns = {}
    for name, length in LENGTHS.items():
        rows = made_hashes(folder / f"{name}.npy", entries + len(files), length, length)
        own = np.load(folder / f"{name}.npy", mmap_mode="r+")
        own[entries:] = digest_rows(files, name)
        own.flush()
        columns[name] = rows
    out = folder / "known-good.chs"
    began = time.perf_counter(), time.process_time()
    build_hashset_from_arrays(out, **columns, role=Role.KNOWN_GOOD, name="known-good")
    facts = {
        "entries": entries + len(files),
        "build_wall_s": round(time.perf_counter() - began[0], 1),
        "build_cpu_s": round(time.process_time() - began[1], 1),
        "columns_mb": round(sum(file.stat().st_size for file in out.rglob("*.npy")) / 2**20),
    }
    return out, facts


def notable_set(folder: Path, by_digest: list[Path], by_look: list[Path]) -> Path:
    """A set that lists some files by SHA-1 and others by their PDQ alone."""
    looks = [next(one.value for one in examine_file(file).hashes if one.algorithm == "pdq") for file in by_look]
    count = len(by_digest) + len(by_look)
    first = np.arange(count) < len(by_digest)
    sha1, pdq = np.zeros((count, 20), np.uint8), np.zeros((count, 32), np.uint8)
    sha1[first] = digest_rows(by_digest, "sha1")
    pdq[~first] = np.frombuffer(b"".join(looks), np.uint8).reshape(-1, 32)
    out = folder / "notable.chs"
    build_hashset_from_arrays(
        out, sha1=sha1, sha1_present=first, pdq=pdq, pdq_present=~first, category=["1"] * count, name="notable"
    )
    return out


def scanned(source: Path, sets: list[Path], *, saving: bool, workers: int) -> tuple[list[float], dict[str, Any]]:
    """Wall seconds, CPU seconds and the coordinator's megabytes of one scan, and what it found."""
    with tempfile.TemporaryDirectory() as name:
        case = Path(name) / "case"
        order = json.dumps([str(source), str(case), [str(one) for one in sets], saving, workers])
        done = subprocess.run([sys.executable, "-c", RUN, order], check=True, capture_output=True, text=True)
        with open_case(case) as view:
            found = {
                "matches": sorted((row.path, row.match_kind, row.algorithm, row.distance) for row in view.matches()),
                "digests": sorted((row.path, row.sha256) for row in view.files() if "//" not in row.path),
                "states": view.decode_states(),
            }
    return json.loads(done.stdout), found


def both_ways(source: Path, sets: list[Path], rounds: int, workers: int) -> dict[str, Any]:
    """The scan saving decodes and without, in turn; the ratios say how many times faster saving is."""
    taken: dict[bool, list[list[float]]] = {True: [], False: []}
    states: dict[bool, dict[str, int]] = {}
    for number in range(rounds):
        found = {}
        for saving in (True, False) if number % 2 else (False, True):
            figures, found[saving] = scanned(source, sets, saving=saving, workers=workers)
            taken[saving].append(figures)
            states[saving] = found[saving]["states"]
        for what in ("matches", "digests"):
            assert found[True][what] == found[False][what], f"another scan, other {what}"
    names = {True: "saving", False: "decoding all"}
    wall, cpu = ({names[way]: statistics.median(one[place] for one in taken[way]) for way in names} for place in (0, 1))
    return {
        "files": sum(1 for _ in source.iterdir()),
        "megabytes": round(sum(file.stat().st_size for file in source.iterdir()) / 1e6),
        "matches": len(found[True]["matches"]),
        "decode_states": {names[way]: states[way] for way in names},
        "wall_seconds": {names[way]: [round(one[0], 2) for one in taken[way]] for way in names},
        "cpu_seconds": {names[way]: [round(one[1], 2) for one in taken[way]] for way in names},
        "coordinator_mb": {names[way]: round(max(one[2] for one in taken[way])) for way in names},
        "wall_ratio": round(wall["decoding all"] / wall["saving"], 3),
        "cpu_ratio": round(cpu["decoding all"] / cpu["saving"], 3),
    }


def look_ups(sets: list[Path], members: list[Path]) -> dict[str, float]:
    """Microseconds of CPU time for one question: about strangers, and about contents that the set holds."""
    opened = [open_hashset(one) for one in sets]

    def digests_of(content: bytes) -> Digests:
        return Digests(*(hashlib.new(name, content).digest() for name in ("md5", "sha1", "sha256")))

    asked = {
        "strangers": [digests_of(b"stranger %d" % number) for number in range(20_000)],
        "members": [digests_of(file.read_bytes()) for file in members] * 10,
    }
    figures = {}
    for name, all_digests in asked.items():
        answers = {is_known_good(digests, opened) for digests in all_digests}  # once before: warm pages
        assert answers == {name == "members"}
        began = time.process_time()
        for digests in all_digests:
            is_known_good(digests, opened)
        figures[name] = round((time.process_time() - began) / len(all_digests) * 1e6, 2)
    return figures


def make_exhibit(photographs: Path, folder: Path) -> tuple[list[Path], list[Path]]:
    """The files of the exhibit out of distinct photographs: those that are known, and the others once each."""
    files = sorted(photographs.iterdir())
    known = len(files) * KNOWN // (KNOWN + OTHERS)
    folder.mkdir()
    for file in files:
        shutil.copy(file, folder / file.name)
    others = files[known:]
    for number in range(len(others) * AGAIN // OTHERS):
        file = others[number % len(others)]
        shutil.copy(file, folder / f"{file.stem} again {number // len(others)}.jpg")
    return files[:known], others


def make_small(source: Path, folder: Path, count: int) -> None:
    """Small pictures, 160 pixels wide, as caches and messengers keep them."""
    from PIL import Image

    folder.mkdir()
    files = sorted(source.glob("*.jpg"))
    for number in range(count):
        with Image.open(files[number % len(files)]) as image:
            image.draft("RGB", (160, 120))
            turned = image.convert("RGB").resize((160, 120)).rotate(number // len(files) % 7)
            turned.save(folder / f"{number:05}.jpg", quality=70 + number % 25, comment=b"%d" % number)


def main() -> None:
    """Make the files and sets, scan both ways, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=Path("../shared/photos"))
    parser.add_argument("--count", type=int, default=240, help="different photographs")
    parser.add_argument("--small", type=int, default=1_500, help="small pictures")
    parser.add_argument("--megapixels", type=float, default=9.0, help="only of photographs at least so large")
    parser.add_argument("--entries", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", help="where files and sets are made (default: the temporary folder)")
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    figures: dict[str, Any] = {**about_the_run(), "rounds": options.rounds, "workers": options.workers}
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        make_photographs(options.photos, folder / "photographs", options.count, options.megapixels * 1e6)
        known, others = make_exhibit(folder / "photographs", folder / "exhibit")
        make_small(folder / "photographs", folder / "small", options.small)
        good, figures["set"] = known_good_set(folder, options.entries, known)
        sets = [good, notable_set(folder, others[:5], others[5:10])]
        figures["look_up_us"] = look_ups(sets, known)
        figures["scan"] = both_ways(folder / "exhibit", sets, options.rounds, options.workers)
        strangers = folder / "strangers"  # what nobody knows, each content once
        strangers.mkdir()
        for file in (folder / "photographs").iterdir():
            (strangers / file.name).write_bytes(file.read_bytes() + b"another file")
        figures["asking"] = {
            "camera size": both_ways(strangers, sets, options.rounds, options.workers),
            "small": both_ways(folder / "small", sets, options.rounds, options.workers),
        }
    figures["load_at_the_end"] = os.getloadavg()[0]
    finish("known-good", figures, options.keep)


if __name__ == "__main__":
    main()
