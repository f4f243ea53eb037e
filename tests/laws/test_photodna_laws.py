"""PhotoDNA vectors: the matrix products find exactly what plain arithmetic finds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caid_triage.hashset.build import build_hashset_from_arrays
from caid_triage.hashset.photodna import MOST, near_vectors, squared_lengths
from caid_triage.hashset.store import open_hashset
from caid_triage.match import naive

Array = np.ndarray[Any, np.dtype[np.uint8]]


def vectors_of(rng: np.random.Generator, count: int) -> Array:
    """Vectors of all kinds: ends of the range, near each other, dim and bright."""
    values = rng.integers(0, 256, (count, 144), dtype=np.uint8)
    values[: count // 6] = 255
    values[count // 6 : count // 4] = 0
    values[count // 4 : count // 2] = np.clip(values[:1].astype(int) + rng.integers(-9, 10, (1, 144)), 0, 255)
    return values


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(0, 25), data=st.data())
def test_it_is_the_oracle_at_every_threshold(seed: int, count: int, data: st.DataObject) -> None:
    rng = np.random.default_rng(seed)
    values, queries = vectors_of(rng, count), vectors_of(rng, 6)
    queries[5:] = values[:1] if count else 7
    distances = [
        sum((a - b) ** 2 for a, b in zip(query.tolist(), value.tolist(), strict=True))
        for query in queries
        for value in values
    ]
    near_ones = [t for d in distances for t in (d - 1, d, d + 1) if 0 <= t <= MOST]
    threshold = data.draw(st.one_of(st.sampled_from([0, MOST, *near_ones]), st.integers(0, MOST)))
    q, r, d = near_vectors(values, squared_lengths(values), queries, threshold)
    assert (q.dtype, r.dtype, d.dtype) == (np.int64, np.int64, np.uint32)
    expected = naive.near_photodna([v.tobytes() for v in values], [v.tobytes() for v in queries], threshold)
    assert list(zip(q.tolist(), r.tolist(), d.tolist(), strict=True)) == expected


def test_a_set_answers_with_records_over_several_blocks(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    values = rng.integers(0, 256, (20_000, 144), dtype=np.uint8)
    present = rng.random(20_000) < 0.9
    queries = values[[0, 8_191, 8_192, 19_999]].copy()
    queries[:, :50] ^= 1
    build_hashset_from_arrays(tmp_path / "a.chs", photodna=values, photodna_present=present)
    hashset = open_hashset(tmp_path / "a.chs")
    _, r, d = hashset.near_photodna(queries, 50)
    rows = [row for row in (0, 8_191, 8_192, 19_999) if present[row]]
    assert r.tolist() == rows
    assert d.tolist() == [50] * len(rows)
    assert hashset.near_photodna(queries, 49)[0].tolist() == []
    many = hashset.near_photodna(np.repeat(queries, 100, axis=0), 50)
    assert len(many[0]) == 100 * len(rows)
    assert many[0].tolist() == sorted(many[0].tolist())
    for bad in ((queries[:, :10], 50), (queries, -1), (queries, MOST + 1)):
        with pytest.raises(ValueError, match=r"."):
            hashset.near_photodna(*bad)


def test_a_set_without_vectors_has_no_pairs(tmp_path: Path) -> None:
    build_hashset_from_arrays(tmp_path / "a.chs", md5=np.ones((3, 16), np.uint8))
    q, r, d = open_hashset(tmp_path / "a.chs").near_photodna(np.zeros((2, 144), np.uint8), 5_000)
    assert len(q) == len(r) == len(d) == 0
