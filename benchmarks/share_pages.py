"""Four processes open one set and look up in it: how much memory its columns take, counted once and counted by each.

python benchmarks/share_pages.py --entries 10000000 --keep    (Linux: reads /proc/self/smaps)

"rss_mb" is what each process sees of the columns; summed over the processes it counts a shared page as often as it is
shared. "pss_mb" gives each process its share of a page, so that the sum is the memory that is really taken.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from store_bench import about_the_run, finish, made_hashes

from caid_triage.hashset.build import build_hashset_from_arrays

# A worker looks up, says so, waits until all did, and measures: pages count as shared while the others hold them.
WORKER = """
import json, sys, numpy as np
from caid_triage.hashset.store import open_hashset
hashset, md5 = open_hashset(sys.argv[1]), np.load(sys.argv[2], mmap_mode="r")
rng, found = np.random.default_rng(int(sys.argv[3])), 0
for _ in range(int(sys.argv[4])):
    queries = rng.integers(0, 256, (10_000, 16), dtype=np.uint8)
    queries[::10] = md5[np.sort(rng.integers(0, len(md5), 1_000))]
    found += len(hashset.exact("md5", queries)[0])
print(found, flush=True)
sys.stdin.readline()
print(json.dumps(open("/proc/self/smaps").read()), flush=True)
sys.stdin.readline()
"""
MAPPING = re.compile(r"[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \S+ *(.*)")


def memory_of(smaps: str, folder: Path) -> dict[str, float]:
    """Megabytes of the mapped columns and of everything else of a process."""
    figures, ours = dict.fromkeys(("columns_rss", "columns_pss", "columns_private", "other_pss"), 0), False
    for line in smaps.splitlines():
        mapping = MAPPING.fullmatch(line)
        if mapping:
            ours = mapping[1].startswith(str(folder))
            continue
        field, _, value = line.partition(":")
        kilobytes = int(value.split()[0]) if value.endswith(" kB") else 0
        if ours and field in ("Rss", "Pss"):
            figures[f"columns_{field.lower()}"] += kilobytes
        elif ours and field in ("Private_Dirty", "Private_Clean"):
            figures["columns_private"] += kilobytes
        elif field == "Pss":
            figures["other_pss"] += kilobytes
    return {f"{name}_mb": round(value / 1024, 1) for name, value in figures.items()}


def asked(workers: list[subprocess.Popen[str]], answer: bool) -> list[str]:
    """A line of every worker, after a line to every worker if they wait for one."""
    if answer:
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("\n")
            worker.stdin.flush()
    return [worker.stdout.readline() for worker in workers if worker.stdout is not None]


def main() -> None:
    """Build, start the workers, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--batches", type=int, default=100, help="of 10,000 queries, one in ten known")
    parser.add_argument("--folder", help="where the set is made (default: a temporary folder)")
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    figures: dict[str, Any] = {**about_the_run(), "entries": options.entries, "batches_a_worker": options.batches}
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name).resolve()
        source, out = folder / "md5.npy", folder / "set.chs"
        build_hashset_from_arrays(out, md5=made_hashes(source, options.entries, 16, 1))
        figures["md5_columns_mb"] = round(sum(file.stat().st_size for file in out.rglob("md5/*.npy")) / 2**20, 1)
        command = [sys.executable, "-c", WORKER, str(out), str(source)]
        workers = [
            subprocess.Popen(
                [*command, str(seed), str(options.batches)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for seed in range(options.workers)
        ]
        found = [int(line) for line in asked(workers, answer=False)]
        assert min(found) >= 1_000 * options.batches
        maps = [json.loads(line) for line in asked(workers, answer=True)]
        for worker in workers:
            worker.communicate("\n")
        figures["workers"] = each = [memory_of(one, out) for one in maps]
        rss, pss = (sum(one[f"columns_{kind}_mb"] for one in each) for kind in ("rss", "pss"))
        figures |= {
            "columns_rss_sum_mb": round(rss, 1),
            "columns_pss_sum_mb": round(pss, 1),
            "rss_over_pss": round(rss / pss, 2),
            "pss_sum_over_columns": round(pss / figures["md5_columns_mb"], 2),
        }
    finish("share-pages", figures, options.keep)


if __name__ == "__main__":
    main()
