"""Building a set of very many MD5s in bounded memory, and how fast it then is beside one of ten million.

python benchmarks/build_scale.py --entries 100000000 --small 10000000 --folder /var/tmp --keep    (some 9 GB of disk)

The build runs in a process of its own, whose most memory is measured by the system: touched pages of the
memory-mapped input count too. "over_columns_mb" is that less the size of the columns; the aim is at most 2,048.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from store_bench import about_the_run, finish, made_hashes

from caid_triage.hashset.store import HashSet, open_hashset

BUILD = """
import json, resource, sys, time
import numpy as np
from caid_triage.hashset.build import build_hashset_from_arrays
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
md5 = np.load(sys.argv[1], mmap_mode="r")
began = time.perf_counter(), time.process_time()
build_hashset_from_arrays(sys.argv[2], md5=md5)
print(json.dumps({"build_s": round(time.perf_counter() - began[0], 1),
                  "build_cpu_s": round(time.process_time() - began[1], 1), "peak_before_mb": round(before, 1),
                  "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)}))
"""


def built(folder: Path, entries: int) -> tuple[HashSet, Path, dict[str, Any]]:
    """A set of random MD5s, the file they came from, and what its build cost."""
    source, out = folder / f"md5-{entries}.npy", folder / f"{entries}.chs"
    if out.exists():
        return open_hashset(out), source, {"entries": entries, "built": "by an earlier run"}
    made_hashes(source, entries, 16, entries)
    done = subprocess.run([sys.executable, "-c", BUILD, source, out], check=True, capture_output=True, text=True)
    columns = sum(file.stat().st_size for file in out.rglob("*.npy")) / 2**20
    facts = {"entries": entries, "columns_mb": round(columns, 1), **json.loads(done.stdout)}
    facts["over_columns_mb"] = round(facts["peak_mb"] - columns, 1)
    return open_hashset(out), source, facts


def nanoseconds(hashset: HashSet, source: Path, batch: int, rounds: int, seed: int) -> list[float]:
    """CPU time a query, batch by batch; one in a thousand is known, and is found."""
    rng, md5, times = np.random.default_rng(seed), np.load(source, mmap_mode="r"), []
    for _ in range(rounds):
        queries = rng.integers(0, 256, (batch, 16), dtype=np.uint8)
        queries[::1000] = md5[np.sort(rng.integers(0, len(md5), len(queries[::1000])))]
        began = time.process_time()
        found, _ = hashset.exact("md5", queries)
        times.append((time.process_time() - began) / batch * 1e9)
        assert np.isin(np.arange(0, batch, 1000), found).all()
    return times


def main() -> None:
    """Build both, look up in turn, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=2_000_000)
    parser.add_argument("--small", type=int, default=200_000)
    parser.add_argument("--batch", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=600)
    parser.add_argument("--sets", type=Path, help="keep the sets here, and use those of an earlier run")
    parser.add_argument("--folder", help="where the sets are made (default: a temporary folder)")
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    figures: dict[str, Any] = {**about_the_run(), "batch": options.batch}
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = options.sets or Path(name)
        large, large_source, figures["large"] = built(folder, options.entries)
        small, small_source, figures["small"] = built(folder, options.small)
        times: list[list[float]] = [[], []]
        for part in range(30):  # in turn: a shared machine is not as fast now as it was then
            times[0] += nanoseconds(small, small_source, options.batch, options.rounds // 30, part)
            times[1] += nanoseconds(large, large_source, options.batch, options.rounds // 30, part)
        # At first every page is new to the process, and the system maps it; later they are there. The median says
        # what a batch takes, the mean also has the batches in which most pages were mapped.
        third = len(times[0]) // 3
        for when, part in (("first_third", slice(0, third)), ("last_third", slice(-third, None))):
            few, many = (float(np.median(one[part])) for one in times)
            figures[when] = {
                "small_ns": round(few, 1),
                "large_ns": round(many, 1),
                "large_over_small": round(many / few, 2),
                "small_mean_ns": round(float(np.mean(times[0][part])), 1),
                "large_mean_ns": round(float(np.mean(times[1][part])), 1),
            }
        figures["first_batch_ms"] = {
            name: round(one[0] * options.batch / 1e6, 1) for name, one in zip(("small", "large"), times, strict=True)
        }
    finish(f"build-scale-{options.entries}", figures, options.keep)


if __name__ == "__main__":
    main()
