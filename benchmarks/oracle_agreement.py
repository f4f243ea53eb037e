"""Two million random queries against random sets: the store's answers beside the naive oracle's, which must be equal.

python benchmarks/oracle_agreement.py --operations 2000000 --keep

An operation is one query put to one set: exact by MD5, SHA-1 or SHA-256, near by PDQ, pHash or PhotoDNA. Every set is
built on disk, opened and asked; the near ones are also asked through multi-index hashing, in numpy and (with the extra
"fast") compiled. Hashes tie, share prefixes, are flat, complementary, or a few bits from each other; records lack some,
or have several. Most sets are sorted on disk in runs of a few rows; half have their index on disk too; some come from
arrays, some row by row and in batches that wait on disk; most have up to 24 records, one in twenty several hundred.
The seed is fixed: the same run can be made again. Ends with exit code 1 if anything differs.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from store_bench import about_the_run, finish

from caid_triage.hashset import columns, hash_columns
from caid_triage.hashset.algorithms import big_endian_words
from caid_triage.hashset.batch import batch_of
from caid_triage.hashset.build import build_hashset_from_arrays, facts_of, save
from caid_triage.hashset.columns import RecordColumns
from caid_triage.hashset.hamming import near_indexed, nearest_per_record
from caid_triage.hashset.kernels import compiled
from caid_triage.hashset.mih import LEAST_ENTRIES, index_of
from caid_triage.hashset.rows import Row
from caid_triage.hashset.schemes import load_scheme
from caid_triage.hashset.store import HashSet, open_hashset
from caid_triage.match import naive
from caid_triage.model import Role

Array = np.ndarray[Any, np.dtype[np.uint8]]
LENGTHS = {"md5": 16, "sha1": 20, "sha256": 32, "pdq": 32, "phash": 8, "photodna": 144}
QUERIES = {"md5": 900, "sha1": 300, "sha256": 300, "pdq": 300, "phash": 300, "photodna": 60}
CHUNKS = {"pdq": (16, 19, 32), "phash": (4, 5, 8)}
# Of one run of the sort, in bytes: two rows and a few rows (so that runs are merged), or all in memory.
RUN_BYTES = (1, 150, 400, 2_000, 24 << 20)
Pairs = list[tuple[int, ...]]
Hashes = dict[str, list[list[bytes]]]
_sorted_blocks, _write_index = hash_columns.sorted_blocks, hash_columns._write_index


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


def choose_how_it_is_written(rng: np.random.Generator) -> bool:
    """Set how the next set is sorted and whether its index goes to disk; True if it is sorted in several runs."""
    run_bytes = int(rng.choice(RUN_BYTES))
    hash_columns.sorted_blocks = functools.partial(_sorted_blocks, run_bytes=run_bytes)
    least = int(rng.choice([1, LEAST_ENTRIES]))
    hash_columns._write_index = functools.partial(_write_index, least=least)
    chunks = {kind: int(rng.choice(some)) for kind, some in CHUNKS.items()}
    hash_columns.chunks_for = lambda kind, _: chunks[kind]
    return run_bytes < RUN_BYTES[-1]


def built_from_arrays(rng: np.random.Generator, out: Path, count: int) -> Hashes:
    """A set from arrays, and the hashes of each record as the oracle takes them."""
    values = {kind: made(rng, count, length) for kind, length in LENGTHS.items()}
    masks = {kind: rng.random(count) < rng.choice([0.3, 0.8, 1.0]) for kind in LENGTHS}
    present: dict[str, Any] = {f"{kind}_present": mask for kind, mask in masks.items()}
    build_hashset_from_arrays(out, **values, **present)
    return {
        kind: [[value.tobytes()] if there else [] for value, there in zip(values[kind], masks[kind], strict=True)]
        for kind in LENGTHS
    }


def built_from_rows(rng: np.random.Generator, out: Path, count: int) -> Hashes:
    """A set from Rows, singly and in batches, that wait on disk; a record may have several perceptual hashes."""
    hashes: Hashes = {}
    for kind, length in LENGTHS.items():
        most = 4 if kind in CHUNKS else 2
        numbers = rng.integers(0, most, count)
        values = iter(made(rng, int(numbers.sum()), length))
        hashes[kind] = [[next(values).tobytes() for _ in range(number)] for number in numbers.tolist()]
    rows = []
    for number in range(count):
        one = {kind: hashes[kind][number] for kind in LENGTHS}
        quality = rng.integers(0, 101, len(one["pdq"])).tolist()
        row = Row(
            **{kind: one[kind][0] if one[kind] else None for kind in ("md5", "sha1", "sha256", "photodna")},
            pdq=tuple(zip(one["pdq"], quality, strict=True)),
            phash=tuple(one["phash"]),
            position=f"line {number}",
        )
        if rng.random() < 0.2:
            row.frames = tuple((number, 40 * number) for number in range(len(row.pdq)))
        rows.append(row)
    columns._SPILL_RECORDS = int(rng.choice([3, 1 << 16]))
    made_columns, begin = RecordColumns(out.parent), 0
    while begin < count:
        step = int(rng.integers(1, 9))
        if step == 1:
            made_columns.add(rows[begin], 0)
        else:
            made_columns.add_batch(batch_of(rows[begin : begin + step]), 0)
        begin += step
    facts = facts_of(out, None, Role.NOTABLE, load_scheme("none"), "a benchmark", made_columns.codes.texts, [])
    save(out, made_columns.finish(), facts, load_scheme("none"))
    made_columns.close()
    return hashes


def by_index(hashset: HashSet, kind: str, queries: Array, radius: int, chunks: int) -> list[Pairs]:
    """The answers of multi-index hashing, both ways: through the set's index, one in memory if it has none."""
    if not hashset.counts[kind]:
        return []
    words = hashset.perceptual_words(kind)
    index, kernels = hashset.near_index(kind) or index_of(kind, words, chunks), compiled() or {}
    answers = []
    for kernel in {None, kernels.get(len(words))}:
        q, unique, d = near_indexed(words, index, big_endian_words(queries), radius, kernel)
        entries, source = hashset.entries_of(kind, unique)
        rows = hashset.entry_records(kind, entries)
        answers.append(pairs_of(nearest_per_record(q[source], rows, d[source])[:3]))
    return answers


def differences(
    hashset: HashSet, kind: str, rng: np.random.Generator, hashes: list[list[bytes]], asked_for: int
) -> int:
    """Put this kind's queries to the set and the oracle; 1 if they differ."""
    flat = b"".join(value for values in hashes for value in values)
    queries = asked(rng, np.frombuffer(flat, np.uint8).reshape(-1, LENGTHS[kind]), LENGTHS[kind], asked_for)
    plain = [query.tobytes() for query in queries]
    if kind in ("md5", "sha1", "sha256"):
        entries = [values[0] if values else None for values in hashes]
        return int(pairs_of(hashset.exact(kind, queries)) != naive.exact(entries, plain))
    if kind == "photodna":
        threshold = int(rng.choice([0, 5_000, 100_000, 3_000_000]))
        rows = [row for row, values in enumerate(hashes) if values]
        there = [values[0] for values in hashes if values]
        expected = [(q, rows[r], d) for q, r, d in naive.near_photodna(there, plain, threshold)]
        return int(pairs_of(hashset.near_photodna(queries, threshold)) != expected)
    radius = int(rng.choice([0, 8, 15, 23, 31, 40] if kind == "pdq" else [0, 4, 8, 10, 16]))
    expected = naive.near(hashes, plain, radius)
    answers = [pairs_of(hashset.near(kind, queries, radius))]
    answers += by_index(hashset, kind, queries, radius, int(rng.choice(CHUNKS[kind])))
    return int(any(answer != expected for answer in answers))


def main() -> None:
    """Run until there are enough operations, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--operations", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=20261122)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    rng, done, different = np.random.default_rng(options.seed), Counter[str](), 0
    sets = Counter[str]()
    began = time.perf_counter()
    # The sets live for a moment; that they reach the disk is the fault tests' to show.
    os.fsync = lambda _: None
    with tempfile.TemporaryDirectory() as name:
        while done.total() < options.operations:
            large = rng.random() < 0.05
            count = int(rng.integers(200, 600) if large else rng.integers(0, 25))
            in_runs, from_rows = choose_how_it_is_written(rng), bool(count and rng.random() < 0.4)
            hashes = (built_from_rows if from_rows else built_from_arrays)(rng, Path(name) / "a.chs", count)
            hashset = open_hashset(Path(name) / "a.chs")
            said = {"large": large, "sorted_in_runs": in_runs, "from_rows": from_rows}
            sets.update(["all", *(word for word, true in said.items() if true)])
            for kind, queries in QUERIES.items():
                asked_for = queries // 10 if large else queries  # the oracle is slow
                done[kind] += asked_for
                different += differences(hashset, kind, rng, hashes[kind], asked_for)
    figures = {**about_the_run(), "seed": options.seed, "sets": dict(sets), "operations": done.total()}
    figures |= {"by_kind": dict(done), "differences": different, "compiled_too": compiled() is not None}
    finish("oracle-agreement", {**figures, "seconds": round(time.perf_counter() - began, 1)}, options.keep)
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
