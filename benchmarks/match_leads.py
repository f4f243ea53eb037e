"""What it costs to look for leads: near search at their distances, where every entry is compared.

python benchmarks/match_leads.py --entries 25000 1000000 10000000 --radius 75 --keep

CPU microseconds a query (one hash) on one thread, in numpy and compiled (extra "fast"), medians over batches of random
hashes, and of the strong distance beside it in the same run; the pairs of both ways must be the same. With how many
questions of a picture a set of that size is asked by itself, and what that costs a picture (``auto``).
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from store_bench import about_the_run, finish, peak_mb

from caid_triage.hashset.hamming import Pairs, near_entries, near_entries_compiled
from caid_triage.hashset.kernels import compiled
from caid_triage.match.lead_limits import ALL_LOOKS, UPRIGHT_LOOKS, limits_for
from caid_triage.match.options import MatchOptions

Array = np.ndarray[Any, Any]
STRONG = 31
QUESTIONS = {"all": ALL_LOOKS, "upright": UPRIGHT_LOOKS, "stored": 1, "none": 0}


def microseconds(way: Callable[[Array], Pairs], batches: list[Array]) -> float:
    """CPU time a query, median over the batches after the first."""
    times = []
    for batch in batches:
        began = time.process_time()
        way(batch)
        times.append((time.process_time() - began) / len(batch) * 1e6)
    return round(float(np.median(times[1:])), 1)


def measured(entries: int, radius: int, rng: np.random.Generator) -> dict[str, Any]:
    """The times of one size of set."""
    words = tuple(rng.integers(0, 1 << 64, entries, dtype=np.uint64) for _ in range(4))
    kernels = compiled()
    few = 32 if entries > 2_000_000 else 128
    batches = [rng.integers(0, 1 << 64, (few, 4), dtype=np.uint64) for _ in range(6)]
    # Every other query lies near an entry, so that there are pairs to compare.
    some = rng.integers(0, entries, few // 2)
    batches[0][::2] = np.stack([word[some] for word in words], axis=1) ^ np.uint64(0xFFFF)
    ways: dict[str, Callable[[Array, int], Pairs]] = {"numpy": lambda q, r: near_entries(words, q, r)}
    if kernels is not None:
        kernel = kernels[4]
        ways["compiled"] = lambda q, r: near_entries_compiled(kernel, words, q, r)
    found = [way(batches[0], radius) for way in ways.values()]
    same = all(np.array_equal(a, b) for other in found for a, b in zip(found[0], other, strict=True))
    times = {
        f"{name}_{distance}": microseconds(
            lambda q, way=way, distance=distance: way(q, distance),  # type: ignore[misc]
            batches if name == "compiled" else [batch[:16] for batch in batches],
        )
        for name, way in ways.items()
        for distance in (STRONG, radius)
    }
    auto = limits_for(entries, MatchOptions(leads="auto"))
    return {
        "entries": entries,
        "pairs": len(found[0][0]),
        "same_pairs": same,
        "us_a_query": times,
        "ns_a_comparison": {name: round(1000 * value / entries, 3) for name, value in times.items()},
        "auto": {"asked": auto.asked.value, "stored": auto.stored, "looks": auto.looks},
        "auto_ms_a_picture": {
            name: round(times[f"{name}_{radius}"] * QUESTIONS[auto.asked.value] / 1000, 2) for name in ways
        },
    }


def main() -> None:
    """Measure every size, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, nargs="+", default=[25_000, 1_000_000])
    parser.add_argument("--radius", type=int, default=75)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    rng = np.random.default_rng(11)
    sizes = [measured(entries, options.radius, rng) for entries in options.entries]
    figures = {**about_the_run(), "radius": options.radius, "sizes": sizes, "peak_mb": peak_mb()}
    finish("match-leads", figures, options.keep)


if __name__ == "__main__":
    main()
