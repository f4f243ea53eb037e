"""Two million random queries against random sets: the store's answers beside the naive oracle's, which must be equal.

python benchmarks/oracle_agreement.py --operations 2000000 --keep

An operation is one query put to one set: exact by MD5, SHA-1 or SHA-256, near by PDQ, pHash or PhotoDNA. Every set is
built on disk, opened and asked; the near ones are also asked through multi-index hashing, in numpy and (with the extra
"fast") compiled. Hashes tie, share prefixes, are flat, complementary, or a few bits from each other; records lack some.
The seed is fixed: the same run can be made again. Ends with exit code 1 if anything differs.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from store_bench import about_the_run, finish

from caid_triage.hashset.algorithms import big_endian_words
from caid_triage.hashset.build import build_hashset_from_arrays
from caid_triage.hashset.hamming import near_indexed
from caid_triage.hashset.kernels import compiled
from caid_triage.hashset.mih import index_of
from caid_triage.hashset.store import HashSet, open_hashset
from caid_triage.match import naive

Array = np.ndarray[Any, np.dtype[np.uint8]]
LENGTHS = {"md5": 16, "sha1": 20, "sha256": 32, "pdq": 32, "phash": 8, "photodna": 144}
QUERIES = {"md5": 900, "sha1": 300, "sha256": 300, "pdq": 300, "phash": 300, "photodna": 60}
CHUNKS = {"pdq": (16, 19, 32), "phash": (4, 5, 8)}
Pairs = list[tuple[int, ...]]


def made(rng: np.random.Generator, count: int, length: int) -> Array:
    """Hashes of all sorts, so that many meet."""
    values = rng.integers(0, 256, (count, length), dtype=np.uint8)
    for row in range(count):
        sort = rng.integers(0, 8)
        if sort == 0:  # flat
            values[row] = rng.choice([0, 1, 127, 128, 255])
        elif sort == 1:  # a shared beginning
            values[row, : rng.integers(0, length + 1)] = 0x5A
        elif sort == 2 and row:  # a few bits from another
            values[row] = values[rng.integers(0, row)]
            for bit in rng.integers(0, 8 * length, rng.integers(0, 40)):
                values[row, bit // 8] ^= 1 << (bit % 8)
        elif sort == 3 and row:  # the complement of another
            values[row] = ~values[rng.integers(0, row)]
        elif sort == 4 and row:  # the same as another
            values[row] = values[rng.integers(0, row)]
        elif sort == 5 and row:  # the same but for its end
            values[row] = values[rng.integers(0, row)]
            values[row, -1] ^= rng.integers(0, 3)
    return values


def asked(rng: np.random.Generator, values: Array, length: int, count: int) -> Array:
    """Queries: entries, entries with some bits or values changed, and anything."""
    queries = made(rng, count, length)
    if len(values):
        some = np.flatnonzero(rng.random(count) < 0.6)
        queries[some] = values[rng.integers(0, len(values), len(some))]
        for row in some[::2]:
            for bit in rng.integers(0, 8 * length, rng.integers(0, 12)):
                queries[row, bit // 8] ^= 1 << (bit % 8)
    return queries


def pairs_of(found: tuple[Any, ...]) -> Pairs:
    return list(zip(*(column.tolist() for column in found), strict=True))


def same_by_index(kind: str, values: Array, queries: Array, radius: int, expected: Pairs, chunks: int) -> bool:
    """Multi-index hashing over the different hashes, both ways."""
    unique, inverse = np.unique(values, axis=0, return_inverse=True)
    if not len(unique):
        return True
    words = list(np.ascontiguousarray(big_endian_words(unique).T))
    index, kernels = index_of(kind, words, chunks), compiled() or {}
    rows_of = [np.flatnonzero(inverse.ravel() == number).tolist() for number in range(len(unique))]
    for kernel in {None, kernels.get(len(words))}:
        found = pairs_of(near_indexed(words, index, big_endian_words(queries), radius, kernel))
        if sorted((q, row, d) for q, entry, d in found for row in rows_of[entry]) != expected:
            return False
    return True


def differences(
    hashset: HashSet, kind: str, rng: np.random.Generator, values: Array, mask: np.ndarray[Any, Any]
) -> int:
    """Put this kind's queries to the set and the oracle; 1 if they differ."""
    queries = asked(rng, values[mask], LENGTHS[kind], QUERIES[kind])
    plain, rows = [query.tobytes() for query in queries], np.flatnonzero(mask)
    if kind in ("md5", "sha1", "sha256"):
        entries = [value.tobytes() if there else None for value, there in zip(values, mask, strict=True)]
        return int(pairs_of(hashset.exact(kind, queries)) != naive.exact(entries, plain))
    if kind == "photodna":
        threshold = int(rng.choice([0, 5_000, 100_000, 3_000_000]))
        there = [value.tobytes() for value in values[mask]]
        expected = [(q, int(rows[r]), d) for q, r, d in naive.near_photodna(there, plain, threshold)]
        return int(pairs_of(hashset.near_photodna(queries, threshold)) != expected)
    radius = int(rng.choice([0, 8, 15, 23, 31, 40] if kind == "pdq" else [0, 4, 8, 10, 16]))
    lists = [[value.tobytes()] if there else [] for value, there in zip(values, mask, strict=True)]
    expected = naive.near(lists, plain, radius)
    if pairs_of(hashset.near(kind, queries, radius)) != expected:
        return 1
    inner = {int(row): place for place, row in enumerate(rows)}
    by_place: Pairs = [(q, inner[row], d) for q, row, d in expected]
    chunks = int(rng.choice(CHUNKS[kind]))
    return int(not same_by_index(kind, values[mask], queries, radius, by_place, chunks))


def main() -> None:
    """Run until there are enough operations, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--operations", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=20261122)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    rng, done, different, sets = np.random.default_rng(options.seed), Counter[str](), 0, 0
    began = time.perf_counter()
    # The sets live for a moment; that they reach the disk is the fault tests' to show.
    os.fsync = lambda _: None
    with tempfile.TemporaryDirectory() as name:
        while done.total() < options.operations:
            count = int(rng.integers(0, 25))
            values = {kind: made(rng, count, length) for kind, length in LENGTHS.items()}
            masks = {kind: rng.random(count) < rng.choice([0.3, 0.8, 1.0]) for kind in LENGTHS}
            present: dict[str, Any] = {f"{kind}_present": mask for kind, mask in masks.items()}
            build_hashset_from_arrays(Path(name) / "a.chs", **values, **present)
            hashset = open_hashset(Path(name) / "a.chs")
            sets += 1
            for kind, queries in QUERIES.items():
                done[kind] += queries
                different += differences(hashset, kind, rng, values[kind], masks[kind])
    figures = {**about_the_run(), "seed": options.seed, "sets": sets, "operations": done.total()}
    figures |= {"by_kind": dict(done), "differences": different, "compiled_too": compiled() is not None}
    finish("oracle-agreement", {**figures, "seconds": round(time.perf_counter() - began, 1)}, options.keep)
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
