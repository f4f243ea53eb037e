"""Near search beside its peers in one run: numpy and compiled (extra "fast"), faiss Flat and MultiHash, recall.

python benchmarks/match_near.py --kind pdq --entries 1000000 --data uniform --keep
python benchmarks/match_near.py --kind pdq --entries 10000000 --peers flat --keep
python benchmarks/match_near.py --kind phash --entries 10000000 --radius 8 --keep
python benchmarks/match_near.py --kind photodna --entries 1000000 --keep

Microseconds a query, CPU time on one thread; ours one query at a time and in batches. Every way must give the
same pairs as brute force: recall is counted, not assumed. faiss is a benchmark's dependency
only: pip install faiss-cpu.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from store_bench import BLOCK, about_the_run, finish, peak_mb

from caid_triage.hashset.algorithms import big_endian_words
from caid_triage.hashset.build import build_hashset_from_arrays
from caid_triage.hashset.hamming import near_entries, near_indexed
from caid_triage.hashset.kernels import compiled
from caid_triage.hashset.store import HashSet, open_hashset

Array = np.ndarray[Any, Any]
LENGTHS = {"pdq": 32, "phash": 8, "photodna": 144}


def real_pdq(photos: Path, crops: int, rng: np.random.Generator) -> Array:
    """PDQ hashes of random crops of real photographs, as they are; random ones if there are no photographs."""
    from caid_triage.examine.pdq import pdq

    cv2 = import_module("cv2")
    pictures = [cv2.imread(str(path), cv2.IMREAD_REDUCED_GRAYSCALE_4) for path in sorted(photos.glob("*.jpg"))]
    pictures = [picture for picture in pictures if picture is not None and min(picture.shape) > 150]
    if not pictures:
        return rng.integers(0, 256, (crops, 32), dtype=np.uint8)
    found = []
    for number in range(crops):
        picture = pictures[number % len(pictures)]
        side = [int(rng.integers(100, length)) for length in picture.shape]
        top, left = (int(rng.integers(0, length - part + 1)) for length, part in zip(picture.shape, side, strict=True))
        found.append(pdq(np.ascontiguousarray(picture[top : top + side[0], left : left + side[1]]))[0])
    return np.frombuffer(b"".join(found), dtype=np.uint8).reshape(-1, 32)


def flipped(hashes: Array, most: int, rng: np.random.Generator) -> Array:
    """The same hashes with up to ``most`` bits turned over."""
    result, rows = hashes.copy(), np.arange(len(hashes))
    turns = rng.integers(0, most + 1, len(hashes))
    for turn in range(most):
        some = rows[turns > turn]
        bits = rng.integers(0, 8 * hashes.shape[1], len(some))
        result[some, bits // 8] ^= (1 << (bits % 8)).astype(np.uint8)
    return result


def made(kind: str, data: str, entries: int, photos: Path, rng: np.random.Generator) -> Array:
    """The set's hashes."""
    length = LENGTHS[kind]
    if kind == "photodna":
        return np.minimum(rng.gamma(1.2, 25, (entries, length)), 255).astype(np.uint8)
    hashes = np.empty((entries, length), dtype=np.uint8)
    real = real_pdq(photos, 3_000, rng) if data == "clustered" else np.zeros((0, length), dtype=np.uint8)
    for start in range(0, entries, BLOCK):
        block = hashes[start : start + BLOCK]
        if data == "clustered":
            block[:] = flipped(real[rng.integers(0, len(real), len(block)), :length], 89, rng)
        else:
            block[:] = rng.integers(0, 256, block.shape, dtype=np.uint8)
    if data == "adversarial":  # a twentieth nearly flat, and another twentieth flat in one half
        some = rng.permutation(entries)[: entries // 10]
        hashes[some[::2]] = flipped(np.zeros((len(some[::2]), length), dtype=np.uint8), 6, rng)
        hashes[some[1::2], : length // 2] = 0
    return hashes


def asked(kind: str, hashes: Array, count: int, radius: int, rng: np.random.Generator) -> Array:
    """Queries: every other one near some entry, the others anything."""
    queries = rng.integers(0, 256, (count, LENGTHS[kind]), dtype=np.uint8)
    picked = hashes[rng.integers(0, len(hashes), len(queries[::2]))]
    if kind == "photodna":
        noise = rng.integers(-8, 9, picked.shape)
        queries[::2] = np.clip(picked.astype(np.int64) + noise, 0, 255).astype(np.uint8)
        queries[1::2] = np.minimum(rng.gamma(1.2, 25, queries[1::2].shape), 255).astype(np.uint8)
    else:
        queries[::2] = flipped(picked, radius, rng)
    return queries


def microseconds(work: Callable[[Array], Any], batches: list[Array]) -> float:
    """CPU time a query, median over the batches after the first."""
    times = []
    for batch in batches:
        began = time.process_time()
        work(batch)
        times.append((time.process_time() - began) / len(batch) * 1e6)
    return round(float(np.median(times[1:] or times)), 1)


def binary_peers(kind: str, hashes: Array, radius: int, wanted: list[str]) -> dict[str, Callable[[Array], Any]]:
    """faiss' indexes; its range search is strict, so r + 1."""
    faiss = import_module("faiss")
    faiss.omp_set_num_threads(1)
    bits, found = 8 * LENGTHS[kind], {}
    if "flat" in wanted:
        flat = faiss.IndexBinaryFlat(bits)
        flat.add(np.ascontiguousarray(hashes))
        found["faiss_flat"] = lambda queries: flat.range_search(queries, radius + 1)
    if "multihash" in wanted:
        chunks = bits // 16
        multi = faiss.IndexBinaryMultiHash(bits, chunks, 16)
        multi.nflip = radius // chunks
        multi.add(np.ascontiguousarray(hashes))
        found["faiss_multihash"] = lambda queries: multi.range_search(queries, radius + 1)
    return found


def near_bits(options: argparse.Namespace, hashset: HashSet, hashes: Array, rng: np.random.Generator) -> dict[str, Any]:
    """Hamming search: times and recall."""
    kind, radius = options.kind, options.radius
    words, index = hashset.perceptual_words(kind), hashset.near_index(kind)
    kernels = compiled()
    ways: dict[str, Callable[[Array], Any]] = {}
    if index is not None:
        table = index
        ways["numpy"] = lambda queries: near_indexed(words, table, big_endian_words(queries), radius, None)
        if kernels is not None:
            kernel = kernels[len(words)]
            ways["compiled"] = lambda queries: near_indexed(words, table, big_endian_words(queries), radius, kernel)
    ways["numpy_brute"] = lambda queries: near_entries(words, big_endian_words(queries), radius)
    checked = asked(kind, hashes, options.check, radius, rng)
    truth = near_entries(words, big_endian_words(checked), radius)
    figures: dict[str, Any] = {"pairs_in_truth": len(truth[0]), "recall": {}, "same_pairs": {}, "us_a_query": {}}
    for name, way in ways.items():
        found = way(checked)
        pairs = set(zip(*(column.tolist() for column in found), strict=True))
        expected = set(zip(*(column.tolist() for column in truth), strict=True))
        figures["recall"][name] = len(pairs & expected) / max(len(expected), 1)
        figures["same_pairs"][name] = all(np.array_equal(a, b) for a, b in zip(found, truth, strict=True))
    times = figures["us_a_query"]
    many = [asked(kind, hashes, options.batch, radius, rng) for _ in range(3)]
    singles = [batch[i : i + 1] for batch in many for i in range(12)]
    peers = binary_peers(kind, hashes, radius, options.peers.split(",")) if options.peers else {}
    for name in ("numpy", "compiled"):
        if name in ways:
            times[f"{name}_single"] = microseconds(ways[name], singles)
            times[f"{name}_batch_{options.batch}"] = microseconds(ways[name], many)
    few = [batch[:8] for batch in many]
    times["numpy_brute_batch_8"] = microseconds(ways["numpy_brute"], few)
    for name, peer in peers.items():
        times[f"{name}_batch"] = microseconds(peer, [batch[: options.peer_batch] for batch in many])
        limits = peer(checked)[0]
        expected_counts = np.bincount(hashset.near(kind, checked, radius)[0], minlength=len(checked))
        figures["recall"][name] = round(float(np.diff(limits).sum() / max(expected_counts.sum(), 1)), 6)
        for ours in ("numpy", "compiled"):
            for size in ("single", f"batch_{options.batch}"):
                if f"{ours}_{size}" in times:
                    ratio = times[f"{name}_batch"] / times[f"{ours}_{size}"]
                    figures.setdefault("ratio", {})[f"{name}_over_{ours}_{size}"] = round(ratio, 2)
    return figures


def near_photodna(
    options: argparse.Namespace, hashset: HashSet, vectors: Array, rng: np.random.Generator
) -> dict[str, Any]:
    """Squared L2 search: times, and agreement with plain integer arithmetic."""
    threshold = options.threshold
    checked = asked("photodna", vectors, 4, 0, rng)
    q, r, d = hashset.near_photodna(checked, threshold)
    truth = []
    for start in range(0, len(vectors), 1 << 16):
        block = vectors[start : start + (1 << 16)].astype(np.int32)
        for number, query in enumerate(checked):
            distances = ((block - query.astype(np.int32)) ** 2).sum(axis=1)
            truth += [
                (number, start + row, int(distances[row])) for row in np.flatnonzero(distances <= threshold).tolist()
            ]
    pairs = list(zip(q.tolist(), r.tolist(), d.tolist(), strict=True))
    figures: dict[str, Any] = {"pairs_in_truth": len(truth), "same_pairs": pairs == sorted(truth), "us_a_query": {}}
    times = figures["us_a_query"]
    many = [asked("photodna", vectors, 32, 0, rng) for _ in range(3)]
    times["numpy_batch_32"] = microseconds(lambda queries: hashset.near_photodna(queries, threshold), many)
    times["numpy_single"] = microseconds(
        lambda queries: hashset.near_photodna(queries, threshold), [batch[:1] for batch in many]
    )
    if options.peers:
        faiss = import_module("faiss")
        faiss.omp_set_num_threads(1)
        flat = faiss.IndexFlatL2(144)
        for start in range(0, len(vectors), BLOCK // 4):
            flat.add(vectors[start : start + BLOCK // 4].astype(np.float32))
        for size in (8, 32):
            times[f"faiss_flat_batch_{size}"] = microseconds(
                lambda queries: flat.range_search(queries.astype(np.float32), threshold + 0.5),
                [batch[:size] for batch in many],
            )
        best = min(times["faiss_flat_batch_8"], times["faiss_flat_batch_32"])
        figures["ratio"] = {"faiss_flat_best_over_numpy_batch_32": round(best / times["numpy_batch_32"], 2)}
    return figures


def main() -> None:
    """Make the set, ask everybody, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=list(LENGTHS), default="pdq")
    parser.add_argument("--data", choices=["uniform", "clustered", "adversarial"], default="uniform")
    parser.add_argument("--entries", type=int, default=100_000)
    # 31 of pHash's 64 bits would be near half of everything.
    parser.add_argument("--radius", type=int, help="bits; default 31 for pdq, 8 for phash")
    parser.add_argument("--threshold", type=int, default=5_000, help="squared L2, for photodna")
    parser.add_argument("--batch", type=int, default=1_000)
    parser.add_argument("--peer-batch", type=int, default=32)
    parser.add_argument("--check", type=int, default=40, help="queries whose pairs are compared with brute force")
    parser.add_argument("--peers", default="flat,multihash", help="flat, multihash, or empty")
    parser.add_argument("--photos", type=Path, default=Path("../shared/photos"))
    parser.add_argument("--folder", help="where the set is made (default: a temporary folder)")
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    options.radius = {"pdq": 31, "phash": 8}.get(options.kind) if options.radius is None else options.radius
    rng = np.random.default_rng(11)
    facts = {key: getattr(options, key) for key in ("kind", "data", "entries", "radius", "threshold", "peer_batch")}
    figures: dict[str, Any] = {**about_the_run(), **facts}
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        hashes = made(options.kind, options.data, options.entries, options.photos, rng)
        began = time.process_time()
        arrays: dict[str, Any] = {options.kind: hashes}
        build_hashset_from_arrays(Path(name) / "x.chs", **arrays)
        figures["build_cpu_s"] = round(time.process_time() - began, 1)
        hashset = open_hashset(Path(name) / "x.chs")
        size = sum(file.stat().st_size for file in (hashset.path / hashset.manifest["folder"] / options.kind).iterdir())
        figures["bytes_an_entry"] = round(size / options.entries, 1)
        search = near_photodna if options.kind == "photodna" else near_bits
        figures |= search(options, hashset, hashes, rng)
    figures["peak_mb"] = peak_mb()
    finish(f"match-near-{options.kind}-{options.data}-{options.entries}", figures, options.keep)


if __name__ == "__main__":
    main()
