"""Law 3, no silent miss: HashSet.exact and HashSet.near give exactly the pairs of the naive oracle."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caid_triage.hashset.algorithms import DIGEST_BYTES, PERCEPTUAL_BYTES, big_endian_words, bytes_of_words
from caid_triage.hashset.build import build_hashset_from_arrays, facts_of, save
from caid_triage.hashset.columns import RecordColumns
from caid_triage.hashset.hamming import near_entries
from caid_triage.hashset.rows import Row
from caid_triage.hashset.schemes import load_scheme
from caid_triage.hashset.search import digest_index, exact_pairs, sorted_order
from caid_triage.hashset.store import open_hashset
from caid_triage.match import naive
from caid_triage.model import Role

Array = np.ndarray[Any, np.dtype[np.uint8]]


def stacked(values: list[bytes], length: int) -> Array:
    return np.frombuffer(b"".join(values), dtype=np.uint8).reshape(len(values), length)


def digests(length: int) -> st.SearchStrategy[bytes]:
    """Digests that tie, share prefixes of any length, and sit at the ends of the range."""
    few = st.sampled_from([b"\x00", b"\x01", b"\x7f", b"\x80", b"\xff"])
    tied = st.builds(lambda head, tail: head * (length - 1) + tail, few, few)
    prefixed = st.builds(lambda keep, tail: b"\x5a" * keep + tail[keep:], st.integers(0, length), st.binary(
        min_size=length, max_size=length))  # fmt: skip
    return st.one_of(tied, prefixed, st.binary(min_size=length, max_size=length))


def similar(length: int) -> st.SearchStrategy[bytes]:
    """Perceptual hashes: flat, complementary, a few bits from each other, or anything."""
    base = st.sampled_from(
        [b"\x00" * length, b"\xff" * length, bytes(range(length)), b"\xaa" * length, b"\x55" * length]
    )
    flips = st.lists(st.integers(0, 8 * length - 1), max_size=40)

    def flip(value: bytes, bits: list[int]) -> bytes:
        number = int.from_bytes(value)
        for bit in bits:
            number ^= 1 << bit
        return number.to_bytes(length)

    return st.one_of(base, st.builds(flip, base, flips), st.binary(min_size=length, max_size=length))


@pytest.mark.parametrize("algorithm", list(DIGEST_BYTES))
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_exact_is_the_oracle(algorithm: str, data: st.DataObject) -> None:
    length = DIGEST_BYTES[algorithm]
    entries = data.draw(st.lists(digests(length), max_size=40))
    wanted = data.draw(
        st.lists(st.one_of(digests(length), st.sampled_from(entries or [b"\x00" * length])), max_size=20)
    )
    index = digest_index(big_endian_words(stacked(entries, length)))
    q, r = exact_pairs(index, big_endian_words(stacked(wanted, length)))
    assert list(zip(q.tolist(), r.tolist(), strict=True)) == naive.exact(entries, wanted)


@pytest.mark.parametrize("algorithm", list(PERCEPTUAL_BYTES))
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_near_is_the_oracle_at_every_radius(algorithm: str, data: st.DataObject) -> None:
    length = PERCEPTUAL_BYTES[algorithm]
    entries = data.draw(st.lists(similar(length), max_size=30))
    wanted = data.draw(st.lists(similar(length), max_size=20))
    radius = data.draw(st.one_of(st.integers(0, 8 * length), st.sampled_from([0, 8, 31, 8 * length])))
    words = np.ascontiguousarray(big_endian_words(stacked(entries, length)).T)
    q, e, d = near_entries(words, big_endian_words(stacked(wanted, length)), radius)
    assert d.dtype == np.uint16
    assert list(zip(q.tolist(), e.tolist(), d.tolist(), strict=True)) == naive.near(
        [[v] for v in entries], wanted, radius
    )


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_set_on_disk_answers_as_the_oracle(data: st.DataObject) -> None:
    count = data.draw(st.integers(0, 25))
    columns = {
        name: data.draw(st.lists(maker(length), min_size=count, max_size=count))
        for name, length, maker in [
            ("md5", 16, digests),
            ("sha1", 20, digests),
            ("pdq", 32, similar),
            ("phash", 8, similar),
        ]
    }
    present = {name: data.draw(st.lists(st.booleans(), min_size=count, max_size=count)) for name in columns}
    radius = data.draw(st.integers(0, 64))
    with tempfile.TemporaryDirectory() as folder:
        arrays: dict[str, Any] = {
            name: stacked(values, len((values or [b""])[0]) or _width(name)) for name, values in columns.items()
        }
        masks: dict[str, Any] = {f"{name}_present": np.array(mask, dtype=bool) for name, mask in present.items()}
        build_hashset_from_arrays(Path(folder) / "x.chs", **arrays, **masks)
        hashset = open_hashset(Path(folder) / "x.chs")
        hashset.verify()
        for name in ("md5", "sha1"):
            entries = [value if there else None for value, there in zip(columns[name], present[name], strict=True)]
            q, r = hashset.exact(name, arrays[name])
            assert list(zip(q.tolist(), r.tolist(), strict=True)) == naive.exact(entries, columns[name])
        for name in ("pdq", "phash"):
            lists = [[value] if there else [] for value, there in zip(columns[name], present[name], strict=True)]
            q, r, d = hashset.near(name, arrays[name], radius)
            assert list(zip(q.tolist(), r.tolist(), d.tolist(), strict=True)) == naive.near(
                lists, columns[name], radius
            )
        del hashset


def _width(name: str) -> int:
    return {**DIGEST_BYTES, **PERCEPTUAL_BYTES}[name]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(similar(32), max_size=3), min_size=1, max_size=12), similar(32), st.integers(0, 256))
def test_a_record_with_several_hashes_answers_once_with_its_nearest(
    hashes: list[list[bytes]], wanted: bytes, radius: int
) -> None:
    columns = RecordColumns()
    for values in hashes:
        columns.add(Row(pdq=tuple((value, None) for value in values)), 0)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "x.chs"
        facts = facts_of(out, None, Role.NOTABLE, load_scheme("none"), "a test", columns.codes.texts, [])
        save(out, columns.finish(), facts, load_scheme("none"))
        hashset = open_hashset(out)
        q, r, d = hashset.near("pdq", stacked([wanted], 32), radius)
        assert list(zip(q.tolist(), r.tolist(), d.tolist(), strict=True)) == naive.near(hashes, [wanted], radius)
        del hashset


@given(st.integers(1, 40), st.data())
def test_words_keep_byte_order_and_come_back(length: int, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.binary(min_size=length, max_size=length), max_size=10))
    words = big_endian_words(stacked(values, length))
    assert bytes_of_words(words, length).tobytes() == b"".join(values)
    order = sorted_order(words).tolist()
    assert [values[i] for i in order] == sorted(values)


def test_a_complementary_hash_is_256_bits_away_not_0() -> None:
    value = bytes(range(32))
    other = bytes(255 - byte for byte in value)
    words = np.ascontiguousarray(big_endian_words(stacked([other], 32)).T)
    q, _, d = near_entries(words, big_endian_words(stacked([value], 32)), 255)
    assert q.tolist() == []
    assert near_entries(words, big_endian_words(stacked([value], 32)), 256)[2].tolist() == [256]
    assert d.tolist() == []


def test_blocks_meet_without_a_gap() -> None:
    """More entries and queries than one block of each: compared with one plain numpy expression."""
    rng = np.random.default_rng(5)
    entries, queries = (
        rng.integers(0, 256, (40_000, 32), dtype=np.uint8),
        rng.integers(0, 256, (19, 32), dtype=np.uint8),
    )
    entries[[0, 16_383, 16_384, 39_999]] = queries[[0, 7, 8, 18]]
    distances = np.array([np.bitwise_count(entries ^ query).sum(axis=1, dtype=np.int64) for query in queries])
    expected = np.argwhere(distances <= 100)
    words = np.ascontiguousarray(big_endian_words(entries).T)
    q, e, d = near_entries(words, big_endian_words(queries), 100)
    assert np.array_equal(np.stack([q, e], axis=1), expected)
    assert np.array_equal(d, distances[expected[:, 0], expected[:, 1]])
    assert len(expected) >= 4


def test_a_million_equal_prefixes_are_right_and_fast() -> None:
    """Adversarial: every entry shares its first 64 bits. Searching the ties one by one would take hours."""
    count = 1_000_000
    entries = np.zeros((count, 16), dtype=np.uint8)
    entries[:, 8:] = np.random.default_rng(6).permutation(count).astype(">u8").view(np.uint8).reshape(count, 8)
    words = big_endian_words(entries)
    queries = np.concatenate([words[:5000], words[:5000] + np.array([0, count], dtype=np.uint64)])
    q, r = exact_pairs(digest_index(words), queries)
    assert q.tolist() == r.tolist() == list(range(5000))
