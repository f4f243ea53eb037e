"""How surely sampling finds 20 MiB of known files on a disk of 1 TB, what its statement is worth, and what it costs.

    python benchmarks/sampling.py --folder DISK [--seeds 100] [--virtual 20000] [--photos DIR] [--strangers DIR ...]

"find": a sparse image of 1 TB for each seed, with 20 MiB of blocks of a set at a random sector; the reads until the
first block is met, all draws in rounds as the command makes them, then the gaps. "coverage": the share of virtual seeds
whose sample misses 5,120 known cells though they are there, in one piece, scattered, and in ten pieces: the statement
is untrue that often, and the confidence allows one in a hundred. No disk is read for that. "whole": what the command
takes for all draws, beside the time that reading all of a disk would take at the rate measured here of matching alone
(the peer: everything is read). "strangers": blocks of a set of every second photograph that stand, at any sector, in
files that are not in it, which should be none; and how many of the blocks of those in it are kept. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from caid_triage.case.sampling import Fragment  # noqa: E402
from caid_triage.evidence.sectors import open_sectors  # noqa: E402
from caid_triage.hashset.block_hash import SECTOR  # noqa: E402
from caid_triage.hashset.make_blocks import make_block_set  # noqa: E402
from caid_triage.hashset.store import HashSet, open_hashset  # noqa: E402
from caid_triage.match.draws import draws, gap_cells  # noqa: E402
from caid_triage.match.hypergeometric import chance_of_none, samples_needed  # noqa: E402
from caid_triage.scan.sample_plan import CELL, SampleOptions  # noqa: E402
from caid_triage.scan.sampling import SampleProgress, Sampler  # noqa: E402

DISK, TARGET, MOST_READS = 10**12, 20 << 20, 250_000
CONFIDENCE = Fraction(99, 100)


class FoundError(Exception):
    """The first block of a known file was met."""


def block_set(folder: Path) -> tuple[HashSet, bytes]:
    """A set of a file whose first block is a header and whose others are 20 MiB, and those."""
    content = np.random.default_rng(20).bytes(CELL + TARGET)
    (folder / "graded" / "1").mkdir(parents=True)
    (folder / "graded" / "1" / "film.bin").write_bytes(content)
    make_block_set(folder / "graded", folder / "set.chs")
    return open_hashset(folder / "set.chs"), content[CELL:]


def facts_of(hashset: HashSet) -> dict[str, Any]:
    return {"name": hashset.name, "generation": hashset.generation, "blocks": hashset.manifest["blocks"]}


def made_disk(path: Path, known: bytes, offset: int) -> None:
    with path.open("wb") as file:
        file.truncate(DISK)
        file.seek(offset)
        file.write(known)


def find(folder: Path, hashset: HashSet, known: bytes, seeds: int) -> dict[str, Any]:
    """The reads until the first hit, a seed."""
    reads, by_draws, in_gaps = [], 0, 0
    began = time.process_time()
    for seed in range(seeds):
        offset = random.Random(seed).randrange((DISK - TARGET) // SECTOR) * SECTOR
        disk = folder / f"{seed}.dd"
        made_disk(disk, known, offset)
        seen = SampleProgress()

        def told(_one: Fragment) -> None:
            raise FoundError

        with open_sectors(disk, "EX/1", "disk.dd") as sectors:
            sampler = Sampler(sectors, hashset, facts_of(hashset), SampleOptions(seed=seed), told=told)
            try:
                sampler.draw()
                drawn = sampler.sampling.drawn
                sampler.fill()
            except FoundError:
                seen = sampler.progress
                # The batch under way counts whole: its cells are read together.
                count = seen.done + 256
                reads.append(count)
                if sampler.sampling.drawn < sampler.sampling.wanted:
                    by_draws += 1
                else:
                    in_gaps += 1
                    assert count > drawn
            else:
                print(f"seed {seed}: not found", file=sys.stderr)
        disk.unlink()
    found = sorted(reads)
    return {
        "seeds": seeds,
        "found": len(found),
        "found_in_at_most_250000_reads": sum(count <= MOST_READS for count in found),
        "met_by_draws": by_draws,
        "met_in_gaps": in_gaps,
        "reads_median": found[len(found) // 2],
        "reads_most": found[-1],
        "cpu_s_a_seed": (time.process_time() - began) / seeds,
    }


def coverage(virtual: int) -> dict[str, Any]:
    """How often a sample misses known cells that are there, by how they lie; without any disk."""
    population, present = -(-DISK // CELL), TARGET // CELL
    needed = samples_needed(population, present, CONFIDENCE)
    chance = float(chance_of_none(population, present, needed))
    missed = dict.fromkeys(("one piece", "ten pieces", "scattered"), 0)
    gaps = []
    for seed in range(virtual):
        # Random places are drawn apart from the seed of the sample, as a suspect's files are.
        rng = np.random.default_rng(seed + 10**6)
        drawn = np.sort(draws(seed, population, 0, needed))
        starts = {
            "one piece": rng.integers(0, population - present, 1),
            "ten pieces": rng.integers(0, population - present, 10),
        }
        for name, first in starts.items():
            length = present // len(first)
            places = np.searchsorted(drawn, [first, first + length])
            missed[name] += int((places[0] == places[1]).all())
        cells = rng.integers(0, population, present)
        at = np.minimum(np.searchsorted(drawn, cells), needed - 1)
        missed["scattered"] += int(not (drawn[at] == cells).any())
        if seed < 100:
            gaps.append(len(gap_cells(drawn, population, present)))
    return {
        "virtual_seeds": virtual,
        "population": population,
        "known_cells": present,
        "samples": needed,
        "chance_of_a_miss_exactly": chance,
        "share_missed": {name: count / virtual for name, count in missed.items()},
        "standard_error": (chance * (1 - chance) / virtual) ** 0.5,
        "reads_in_gaps_mean": sum(gaps) / len(gaps),
        "samples_with_replacement": 219_589,
    }


def whole(folder: Path, hashset: HashSet) -> dict[str, Any]:
    """All draws on an empty disk of 1 TB, and the rate of looking for blocks in all that is read."""
    disk = folder / "empty.dd"
    made_disk(disk, b"", 0)
    began, wall = time.process_time(), time.monotonic()
    with open_sectors(disk, "EX/1", "disk.dd") as sectors:
        sampler = Sampler(sectors, hashset, facts_of(hashset), SampleOptions(seed=1))
        sampler.draw()
        sampler.fill()
    drawn = {"cpu_s": time.process_time() - began, "wall_s": time.monotonic() - wall}
    disk.unlink()
    data = np.random.default_rng(1).bytes(64 << 20)
    began = time.process_time()
    assert hashset.blocks is not None
    hashset.blocks.find(data)
    rate = len(data) / (time.process_time() - began)
    return {
        "reads": sampler.sampling.drawn + sampler.sampling.filled,
        **drawn,
        "matching_bytes_a_cpu_s": rate,
        "reading_all_matching_alone_cpu_s": DISK / rate,
        "reading_all_at_150_MB_a_s_s": DISK / 150e6,
        "drawing_at_120_reads_a_s_s": sampler.sampling.drawn / 120,
    }


def strangers(folder: Path, photos: Path, others: list[Path]) -> dict[str, Any]:
    """Blocks of a set of every second photograph in files that are not in it, at any sector."""
    files = sorted(path for path in photos.iterdir() if path.suffix in (".jpg", ".png", ".tif", ".webp"))
    (folder / "photos" / "1").mkdir(parents=True)
    for path in files[::2]:
        (folder / "photos" / "1" / path.name).symlink_to(path)
    for path in (folder / "photos" / "1").iterdir():  # links are not followed: copies
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)
    looked = [*files[1::2], *(path for other in others for path in every_file(other))]
    result: dict[str, Any] = {"files_in_the_set": len(files[::2]), "files_looked_at": len(looked)}
    for size in (512, 4096):
        make_block_set(folder / "photos", folder / f"photos-{size}.chs", size)
        opened = open_hashset(folder / f"photos-{size}.chs")
        blocks = opened.blocks
        assert blocks is not None
        hits = total = 0
        for path in looked:
            try:
                data = path.read_bytes()
            except OSError:
                continue
            total += len(data)
            hits += len(blocks.find(data))
        own = sum(len(blocks.find(path.read_bytes())) for path in files[::2])
        every = sum(path.stat().st_size // size for path in files[::2])
        result[f"blocks_of_{size}"] = {
            "bytes_looked_at": total,
            "false_hits": hits,
            "blocks_of_the_files": every,
            "kept_and_found": own,
            "left_out": opened.manifest["blocks"]["left_out"],
        }
    return result


def every_file(folder: Path) -> list[Path]:
    return [
        path
        for place, _, names in os.walk(folder)
        for path in (Path(place) / name for name in sorted(names))
        if path.is_file() and not path.is_symlink()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=None, help="on a file system that keeps sparse files")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--virtual", type=int, default=2_000)
    parser.add_argument("--photos", type=Path, default=None)
    parser.add_argument("--strangers", type=Path, nargs="*", default=[])
    options = parser.parse_args()
    result: dict[str, Any] = {"load": os.getloadavg()[0], "disk": DISK, "target": TARGET}
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        hashset, known = block_set(folder)
        if options.seeds:
            result["find"] = find(folder, hashset, known, options.seeds)
            print(json.dumps(result["find"]), file=sys.stderr, flush=True)
        if options.virtual:
            result["coverage"] = coverage(options.virtual)
        result["whole"] = whole(folder, hashset)
        if options.photos is not None:
            result["strangers"] = strangers(folder, options.photos, options.strangers)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
