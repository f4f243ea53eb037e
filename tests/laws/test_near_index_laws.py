"""No near match is missed: multi-index hashing, in numpy and compiled, gives the pairs of the oracle at any radius."""

from __future__ import annotations

import tempfile
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caid_triage.errors import HashSetError
from caid_triage.hashset import hamming
from caid_triage.hashset.algorithms import big_endian_words
from caid_triage.hashset.build import build_hashset_from_arrays
from caid_triage.hashset.hamming import near_entries, near_hashes, near_indexed
from caid_triage.hashset.kernels import compiled, have_compiled
from caid_triage.hashset.mih import (
    LEAST_ENTRIES,
    chunk_bits,
    chunk_values,
    chunks_for,
    expected_work,
    index_of,
    masks,
    probes,
)
from caid_triage.hashset.store import open_hashset
from caid_triage.match import naive

Array = np.ndarray[Any, np.dtype[np.uint8]]
BITS = {"pdq": 256, "phash": 64}
# More chunks than the store makes as well: their tables are small, and the plan must hold for any number.
CHUNKS = {"pdq": (16, 19, 24, 32), "phash": (4, 5, 6, 8)}
STORED = {"pdq": (13, 16), "phash": (3, 4)}


def hashes_of(kind: str, rng: np.random.Generator, count: int, most: int) -> Array:
    """Hashes of every sort: random, flat, complementary, and some bits from each other."""
    length = BITS[kind] // 8
    values = rng.integers(0, 256, (count, length), dtype=np.uint8)
    values[count // 2 :] = values[: count - count // 2]
    values[: count // 8] = 0
    values[count // 8 : count // 6] = 255
    values[count // 6 : count // 5, : length // 2] = 0
    for row in range(count // 10, count):
        for bit in rng.integers(0, BITS[kind], rng.integers(0, most + 1)):
            values[row, bit // 8] ^= 1 << (bit % 8)
    return values


def columns_of(values: Array) -> list[np.ndarray[Any, np.dtype[np.uint64]]]:
    return list(np.ascontiguousarray(big_endian_words(values).T))


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(["pdq", "phash"]),
    chunks=st.integers(0, 3),
    count=st.integers(1, 60),
    radius=st.one_of(st.integers(0, 40), st.sampled_from([0, 8, 15, 31, 32])),
    seed=st.integers(0, 2**32),
)
def test_the_index_finds_the_oracles_pairs(kind: str, chunks: int, count: int, radius: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    number = CHUNKS[kind][chunks % len(CHUNKS[kind])]
    radius = min(radius, 3 * number)
    values = np.unique(hashes_of(kind, rng, count, 40), axis=0)
    wanted = np.concatenate([hashes_of(kind, rng, 5, 20), values[rng.integers(0, len(values), 5)]])
    for row in range(5, 10):
        for bit in rng.integers(0, BITS[kind], radius):
            wanted[row, bit // 8] ^= 1 << (bit % 8)
    columns, queries = columns_of(values), big_endian_words(wanted)
    index = index_of(kind, columns, number)
    expected = naive.near([[value.tobytes()] for value in values], [query.tobytes() for query in wanted], radius)
    kernels = compiled() or {}
    for kernel in {None, kernels.get(len(columns))}:
        q, e, d = near_indexed(columns, index, queries, radius, kernel)
        assert (q.dtype, e.dtype, d.dtype) == (np.int64, np.int64, np.uint16)
        assert list(zip(q.tolist(), e.tolist(), d.tolist(), strict=True)) == expected


@pytest.mark.parametrize(("kind", "radius"), [("pdq", 31), ("pdq", 23), ("phash", 8), ("phash", 10)])
def test_every_split_of_the_flips_is_found(kind: str, radius: int) -> None:
    """faiss' MultiHash with one flip a chunk misses a pair with two flips in each of 16 chunks; the plan does not."""
    for number in STORED[kind]:
        bits = chunk_bits(kind, number)
        begins = np.concatenate([[0], np.cumsum(bits)[:-1]])
        rng = np.random.default_rng(number)
        value = rng.integers(0, 256, (1, BITS[kind] // 8), dtype=np.uint8)
        rows = []
        for _ in range(60):  # as even as can be over randomly ordered chunks: the hardest to find
            row, order = value[0].copy(), rng.permutation(number)
            for flip in range(radius):
                chunk = order[flip % number]
                place = int(begins[chunk]) + (flip // number) % bits[chunk]
                row[place // 8] ^= 128 >> (place % 8)
            rows.append(row)
        columns = columns_of(np.unique(np.array(rows), axis=0))
        index = index_of(kind, columns, number)
        q, _, d = near_indexed(columns, index, big_endian_words(value), radius, None)
        assert len(q) == len(columns[0])
        assert set(d.tolist()) == {radius}


def test_the_plan_and_the_masks_are_what_they_say() -> None:
    assert [(p.number, p.flips) for p in probes((64,) * 4, 9)] == [(0, 2), (1, 2), (2, 1), (3, 1)]
    assert [p.flips for p in probes(chunk_bits("pdq", 16), 31)] == [1] * 16
    assert [p.flips for p in probes(chunk_bits("pdq", 16), 15)] == [0] * 16
    assert [p.number for p in probes(chunk_bits("pdq", 16), 3)] == [0, 1, 2, 3]
    assert expected_work(chunk_bits("pdq", 16), 31, 65536) == (272.0, 272.0)
    for bits, flips in ((1, 0), (5, 2), (16, 1), (7, 7)):
        found = masks(bits, flips).tolist()
        expected = {
            sum(1 << i for i in some) for count in range(flips + 1) for some in combinations(range(bits), count)
        }
        assert len(found) == len(set(found))
        assert set(found) == expected
    for kind, total in BITS.items():
        for entries in (1, 1_000_000, 10_000_000, 2**32):
            bits = chunk_bits(kind, chunks_for(kind, entries))
            assert sum(bits) == total
            values = np.random.default_rng(entries).integers(0, 256, (3, total // 8), dtype=np.uint8)
            columns, offset, text = columns_of(values), 0, [f"{int.from_bytes(v.tobytes()):0{total}b}" for v in values]
            for width in bits:
                assert chunk_values(columns, offset, width).tolist() == [
                    int(one[offset : offset + width], 2) for one in text
                ]
                offset += width


def test_many_queries_and_many_candidates_meet_without_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small steps, little room, no query or every query compared with all entries: the same pairs as brute force."""
    rng = np.random.default_rng(9)
    values = np.unique(hashes_of("pdq", rng, 3_000, 30), axis=0)
    columns, queries = columns_of(values), big_endian_words(values[rng.integers(0, len(values), 150)])
    index = index_of("pdq", columns, 16)
    truth = near_entries(columns, queries, 31)
    kernels = compiled() or {}
    for kernel in {None, kernels.get(4)}:
        for probes_at_once, candidates, room, heavy in (
            (1, 7, 1, 99.0),
            (3_000, 100, 100, 0.0),
            (1 << 20, 1 << 20, 4_096, 0.5),
            (500, 5_000, 1 << 20, 2.0),
        ):
            monkeypatch.setattr(hamming, "_PROBES", probes_at_once)
            monkeypatch.setattr(hamming, "_CANDIDATES", candidates)
            monkeypatch.setattr(hamming, "_ROOM", room)
            monkeypatch.setattr(hamming, "_HEAVY", heavy)
            monkeypatch.setattr(hamming, "_HEAVY_COMPILED", heavy)
            few = slice(0, 20) if probes_at_once == 1 else slice(None)
            found = near_indexed(columns, index, queries[few], 31, kernel)
            inside = truth[0] < len(queries[few])
            assert all(np.array_equal(a, b[inside]) for a, b in zip(found, truth, strict=True))
    assert len(truth[0]) > 1_000


@pytest.mark.skipif(not have_compiled(), reason="the extra fast (numba) is not installed")
def test_compiled_brute_force_finds_numpys_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also over several blocks of entries and of queries, and at radius 0 and the whole length."""
    kernels, rng = compiled(), np.random.default_rng(2)
    assert kernels is not None
    monkeypatch.setattr(hamming, "_BRUTE_QUERIES", 3)
    for kind, words in (("pdq", 4), ("phash", 1)):
        for count in (1, 2_047, 4_500):
            values = hashes_of(kind, rng, count, 12)
            columns, queries = columns_of(values), big_endian_words(values[rng.integers(0, count, 8)])
            for radius in (0, 8, 31, BITS[kind]):
                found = hamming.near_entries_compiled(kernels[words], columns, queries, radius)
                truth = near_entries(columns, queries, radius)
                assert all(np.array_equal(a, b) for a, b in zip(found, truth, strict=True))


@pytest.mark.skipif(not have_compiled(), reason="the extra fast (numba) is not installed")
def test_kernels_start_no_threads() -> None:
    """Workers share the machine's cores: a search runs on the thread that asks for it."""
    kernels, rng = compiled(), np.random.default_rng(3)
    assert kernels is not None
    values = hashes_of("pdq", rng, 2_000, 6)
    columns, queries = columns_of(values), big_endian_words(values[:50])
    index, before = index_of("pdq", columns, 16), len(list(Path("/proc/self/task").glob("*")))
    near_indexed(columns, index, queries, 31, kernels[4])
    hamming.near_entries_compiled(kernels[4], columns, queries, 31)
    assert len(list(Path("/proc/self/task").glob("*"))) == before


@pytest.mark.skipif(not have_compiled(), reason="the extra fast (numba) is not installed")
def test_a_damaged_index_is_an_error_and_more_pairs_than_room_are_all_found() -> None:
    kernels = compiled()
    assert kernels is not None
    rng = np.random.default_rng(4)
    for kind, words in (("pdq", 4), ("phash", 1)):
        values = np.unique(hashes_of(kind, rng, 2_500, 3), axis=0)
        columns, queries = columns_of(values), big_endian_words(values)
        index = index_of(kind, columns, STORED[kind][-1])
        truth = near_entries(columns, queries, 8)
        found = near_indexed(columns, index, queries, 8, kernels[words])
        assert len(truth[0]) > 4_096
        assert all(np.array_equal(a, b) for a, b in zip(found, truth, strict=True))
        index.start[-1] += 7
        index.start[1::2] += np.uint32(2**31)
        with pytest.raises(HashSetError, match="damaged"):
            near_indexed(columns, index, queries, 8, kernels[words])


@pytest.mark.parametrize("kind", ["pdq", "phash"])
def test_a_large_set_keeps_an_index_and_its_records(tmp_path: Path, kind: str) -> None:
    """Equal hashes stand once in the set, their records all answer, and all ways agree."""
    rng = np.random.default_rng(8)
    count, radius = LEAST_ENTRIES + 5_000, {"pdq": 31, "phash": 8}[kind]
    values = rng.integers(0, 256, (count, BITS[kind] // 8), dtype=np.uint8)
    values[:500] = values[500:1_000]
    values[1_000:1_700] = 0
    arrays: dict[str, Any] = {kind: values}
    build_hashset_from_arrays(tmp_path / "a.chs", **arrays)
    hashset = open_hashset(tmp_path / "a.chs")
    hashset.verify()
    index, words = hashset.near_index(kind), hashset.perceptual_words(kind)
    assert index is not None
    assert index.entries == len(words[0]) == len(np.unique(values, axis=0))
    wanted = np.concatenate(
        [values[:40], values[1_000:1_001], rng.integers(0, 256, (9, values.shape[1]), dtype=np.uint8)]
    )
    wanted[:40, 1] ^= 0b1010
    distances = np.array([np.bitwise_count(values ^ query).sum(axis=1, dtype=np.int64) for query in wanted])
    expected = np.argwhere(distances <= radius)
    q, r, d = hashset.near(kind, wanted, radius)
    assert np.array_equal(np.stack([q, r], axis=1), expected)
    assert np.array_equal(d, distances[expected[:, 0], expected[:, 1]])
    assert np.bincount(q)[40] == 700
    queries = big_endian_words(wanted)
    truth = near_entries(words, queries, radius)
    found = near_hashes(words, index, queries, radius)
    assert all(np.array_equal(a, b) for a, b in zip(found, truth, strict=True))
    wide = {"pdq": 100, "phash": 24}[kind]  # too wide for the index: brute force
    found, truth = near_hashes(words, index, queries[:2], wide), near_entries(words, queries[:2], wide)
    assert all(np.array_equal(a, b) for a, b in zip(found, truth, strict=True))


@settings(max_examples=25, deadline=None)
@given(
    data=st.sampled_from(["uniform", "clustered"]),
    count=st.integers(1, 50),
    copies=st.integers(0, 3),
    asked=st.integers(0, 12),
    radius=st.integers(60, 90),
    seed=st.integers(0, 2**32),
)
def test_a_set_finds_the_oracles_pairs_at_the_distances_of_leads(
    data: str, count: int, copies: int, asked: int, radius: int, seed: int
) -> None:
    """Entries and queries on both sides of the distance; the same hash in several records; no query at all."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 256, (count, 32), dtype=np.uint8)
    if data == "clustered":
        values = hashes_of("pdq", rng, count, 90)
    values = np.concatenate([values, values[: min(copies, count)]])
    wanted = values[rng.integers(0, len(values), asked)].copy()
    for row in range(asked):
        for bit in rng.permutation(256)[: radius + int(rng.integers(-2, 3))]:
            wanted[row, bit // 8] ^= 1 << (bit % 8)
    with tempfile.TemporaryDirectory() as folder:
        build_hashset_from_arrays(Path(folder) / "s.chs", pdq=values)
        hashset = open_hashset(Path(folder) / "s.chs")
        found = [column.tolist() for column in hashset.near("pdq", wanted, radius)]
        kernels, words = compiled(), hashset.perceptual_words("pdq")
        if kernels is not None:
            queries = big_endian_words(wanted)
            by_kernel = hamming.near_entries_compiled(kernels[4], words, queries, radius)
            assert all(map(np.array_equal, by_kernel, near_entries(words, queries, radius)))
        del hashset, words
    expected = naive.near([[value.tobytes()] for value in values], [query.tobytes() for query in wanted], radius)
    assert list(zip(*found, strict=True)) == expected


def test_the_kernel_is_loaded_once_a_process_has_searched_for_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(8)
    columns = columns_of(rng.integers(0, 256, (3_000, 32), dtype=np.uint8))
    queries = big_endian_words(rng.integers(0, 256, (20, 32), dtype=np.uint8))
    asked = []
    monkeypatch.setattr(hamming, "are_compiled", lambda: False)
    monkeypatch.setattr(hamming, "have_compiled", lambda: True)
    monkeypatch.setattr(hamming, "compiled", lambda: asked.append(1))
    monkeypatch.setattr(hamming, "_spent_ns", 0.0)
    once = 3_000 * 20 * hamming._PAIR_NS
    monkeypatch.setattr(hamming, "_COMPILE_NS", 2.5 * once)
    found = [near_hashes(columns, None, queries, 100) for _ in range(3)]
    assert asked == [1]
    assert len(found[0][0]) > 0
    assert all(np.array_equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))
