"""Exact lookup of MD5s beside its peers in one run: np.searchsorted, a Python set, SQLite with an index, a C kernel.

"numpy_sorted" is np.searchsorted after the batch was sorted, "c_present" the C kernel with our presence bits in front.

python benchmarks/match_exact.py --entries 10000000 --keep
python benchmarks/match_exact.py --entries 100000000 --small 10000000 --peers numpy,c --keep    (some 9 GB of disk)

Nanoseconds a query, CPU time, median of batches; batches of 10,000 with 0.1% hits, and the first batch's pairs are
compared between all. Read ratios, not absolute figures: machines are shared.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from store_bench import about_the_run, finish, made_hashes, peak_mb

from caid_triage.hashset.algorithms import big_endian_words
from caid_triage.hashset.build import build_hashset_from_arrays
from caid_triage.hashset.store import HashSet, open_hashset

Array = np.ndarray[Any, Any]
BATCHES = 40


def batches(md5: Array, size: int, hits: float, seed: int) -> list[Array]:
    """Batches of queries of which a share is known."""
    rng = np.random.default_rng(seed)
    result = []
    for _ in range(BATCHES):
        queries = rng.integers(0, 256, (size, 16), dtype=np.uint8)
        known = rng.random(size) < hits
        queries[known] = md5[np.sort(rng.integers(0, len(md5), int(known.sum())))]
        result.append(queries)
    return result


def searchsorted(hashset: HashSet, *, sort: bool) -> Callable[[Array], int]:
    rows, _ = hashset.digests("md5")
    first, second = np.ascontiguousarray(rows[:, 0]), np.ascontiguousarray(rows[:, 1])

    def lookup(queries: Array) -> int:
        words = big_endian_words(queries)
        if sort:
            words = words[np.argsort(words[:, 0])]
        place = np.minimum(np.searchsorted(first, words[:, 0]), len(first) - 1)
        return int(((first[place] == words[:, 0]) & (second[place] == words[:, 1])).sum())

    return lookup


def python_set(md5: Array) -> Callable[[Array], int]:
    known: set[bytes] = set()
    for start in range(0, len(md5), 1 << 20):
        data = md5[start : start + (1 << 20)].tobytes()
        known.update(data[i : i + 16] for i in range(0, len(data), 16))

    def lookup(queries: Array) -> int:
        # The fastest way we know: one call makes all bytes objects, no Python code runs a query.
        return sum(map(known.__contains__, queries.view("V16").ravel().tolist()))

    return lookup


def sqlite(hashset: HashSet, folder: Path) -> Callable[[Array], int]:
    rows, _ = hashset.digests("md5")
    connection = sqlite3.connect(folder / "peer.db")
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("PRAGMA journal_mode=OFF")
    connection.execute("PRAGMA cache_size=-1000000")
    connection.execute("CREATE TABLE known (md5 BLOB PRIMARY KEY) WITHOUT ROWID")
    for start in range(0, len(rows), 1 << 18):
        data = rows[start : start + (1 << 18)].astype(">u8").tobytes()
        connection.executemany(
            "INSERT OR IGNORE INTO known VALUES (?)", ((data[i : i + 16],) for i in range(0, len(data), 16))
        )
    connection.commit()

    def lookup(queries: Array) -> int:
        data = queries.tobytes()
        ask = connection.execute
        return sum(
            ask("SELECT 1 FROM known WHERE md5 = ?", (data[i : i + 16],)).fetchone() is not None
            for i in range(0, len(data), 16)
        )

    return lookup


def c_kernel(hashset: HashSet, folder: Path, *, presence: bool) -> Callable[[Array], int] | None:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        return None
    library = folder / "exact_kernel.so"
    source = Path(__file__).with_name("exact_kernel.c")
    subprocess.run([compiler, "-O3", "-march=native", "-shared", "-fPIC", "-o", library, source], check=True)
    exact = ctypes.CDLL(str(library)).exact
    exact.restype = ctypes.c_size_t
    data = hashset.path / hashset.manifest["folder"] / "md5"
    names = ("rows", "table", "fp32", "present")
    rows, table, fp32, present = (np.load(data / f"{name}.npy", mmap_mode="r") for name in names)
    bits = (len(table) - 1).bit_length() - 1

    def pointer(array: Array) -> ctypes.c_void_p:
        return ctypes.c_void_p(array.ctypes.data)

    def lookup(queries: Array) -> int:
        words = big_endian_words(queries)
        q, e = np.empty(len(words), np.int64), np.empty(len(words), np.int64)
        first = pointer(present) if presence else None
        arrays = (pointer(rows), pointer(table), pointer(fp32), first, ctypes.c_int(bits), pointer(words))
        return int(exact(*arrays, ctypes.c_size_t(len(words)), pointer(q), pointer(e)))

    return lookup


def timed(lookup: Callable[[Array], int], asked: list[Array]) -> float:
    """Nanoseconds a query."""
    return beside(lookup, None, asked)[0]


def beside(
    ours: Callable[[Array], int], peer: Callable[[Array], int] | None, asked: list[Array]
) -> tuple[float, float]:
    """Nanoseconds a query of both, in turn ten batches each: a shared machine is not as fast now as it was then.

    The first two of ten are not counted: they find the caches full of the other's data.
    """
    times: tuple[list[float], list[float]] = ([], [])
    for start in range(0, len(asked), 10):
        for lookup, kept in zip((ours, peer or ours), times, strict=True):
            for number, batch in enumerate(asked[start : start + 10]):
                began = time.process_time()
                lookup(batch)
                if number >= 2:
                    kept.append((time.process_time() - began) / len(batch) * 1e9)
    return round(float(np.median(times[0])), 1), round(float(np.median(times[1])), 1)


def open_cost(path: Path) -> dict[str, float]:
    """Milliseconds to open the set in a new process, beyond the import of numpy; and how much it then holds."""
    script = (
        "import numpy, time, sys\n"
        "began, cpu = time.perf_counter(), time.process_time()\n"
        "from caid_triage.hashset.store import open_hashset\n"
        "imported = time.perf_counter()\n"
        "open_hashset(sys.argv[1])\n"
        "opened = time.perf_counter()\n"
        "print((imported - began) * 1e3, (opened - imported) * 1e3, (time.process_time() - cpu) * 1e3)\n"
    )
    # The package's compiled modules are kept, as pip keeps those of an installed one.
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(path.parent / "pyc"), "PYTHONDONTWRITEBYTECODE": ""}
    runs = []
    for _ in range(17):
        done = subprocess.run(
            [sys.executable, "-c", script, path], capture_output=True, text=True, check=True, env=environment
        )
        runs.append([float(word) for word in done.stdout.split()])
    times = np.array(runs[2:])
    imports, opening, cpu = np.median(times, axis=0).tolist()
    return {
        "import_of_the_store_ms": round(imports, 1),
        "open_ms": round(opening, 1),
        "both_ms": round(imports + opening, 1),
        "both_cpu_ms": round(cpu, 1),
        "both_worst_ms": round(float((times[:, 0] + times[:, 1]).max()), 1),
    }


def build(folder: Path, entries: int) -> tuple[Array, HashSet, dict[str, Any]]:
    md5 = made_hashes(folder / f"md5-{entries}.npy", entries, 16, entries)
    began = time.perf_counter(), time.process_time()
    build_hashset_from_arrays(folder / f"{entries}.chs", md5=md5)
    facts = {
        "entries": entries,
        "build_s": round(time.perf_counter() - began[0], 1),
        "build_cpu_s": round(time.process_time() - began[1], 1),
        "columns_mb": round(sum(f.stat().st_size for f in (folder / f"{entries}.chs").rglob("*.npy")) / 2**20, 1),
        "peak_mb_after_build": peak_mb(),
    }
    return md5, open_hashset(folder / f"{entries}.chs"), facts


def main() -> None:
    """Build, ask every peer the same, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--small", type=int, help="a second, smaller set to compare the larger one with")
    parser.add_argument("--batch", type=int, default=10_000)
    parser.add_argument("--peers", default="numpy,numpy_sorted,set,sqlite,c,c_present")
    parser.add_argument("--folder", help="where the sets are made (default: a temporary folder)")
    parser.add_argument("--keep", action="store_true", help="keep the figures in benchmarks/runs")
    options = parser.parse_args()
    figures: dict[str, Any] = {**about_the_run(), "batch": options.batch}
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        md5, hashset, figures["build"] = build(folder, options.entries)
        asked, half = batches(md5, options.batch, 0.001, 1), batches(md5, options.batch, 0.5, 2)

        def ours(queries: Array) -> int:
            return len(hashset.exact("md5", queries)[0])

        makers: dict[str, Callable[[], Callable[[Array], int] | None]] = {
            "numpy": lambda: searchsorted(hashset, sort=False),
            "numpy_sorted": lambda: searchsorted(hashset, sort=True),
            "c": lambda: c_kernel(hashset, folder, presence=False),
            "c_present": lambda: c_kernel(hashset, folder, presence=True),
            "set": lambda: python_set(md5),
            "sqlite": lambda: sqlite(hashset, folder),
        }
        figures["ns_a_query"] = times = {"ours": timed(ours, asked), "ours_half_hits": timed(ours, half)}
        figures["ns_a_query_batch_256"] = timed(ours, [batch[:256] for batch in asked])
        for peer in options.peers.split(","):
            lookup = makers[peer]()
            if lookup is None:
                continue
            assert all(lookup(batch) == ours(batch) for batch in (asked[0], half[0])), peer
            few = asked[: 20 if peer == "sqlite" else BATCHES]
            times[f"ours_beside_{peer}"], times[peer] = beside(ours, lookup, few)
        figures["ratio"] = {
            peer: round(times[peer] / times[f"ours_beside_{peer}"], 2) for peer in makers if peer in times
        }
        figures["open"] = open_cost(hashset.path)
        if options.small:
            small_md5, small, figures["small"] = build(folder, options.small)
            small_asked = batches(small_md5, options.batch, 0.001, 3)
            pair = [(timed(lambda q: len(small.exact("md5", q)[0]), small_asked), timed(ours, asked)) for _ in range(3)]
            few, many = np.median(np.array(pair), axis=0).tolist()
            figures["small"] |= {
                "ns_a_query": few,
                "larger_ns_a_query": many,
                "larger_over_small": round(many / few, 2),
            }
    finish("match-exact", figures, options.keep)


if __name__ == "__main__":
    main()
