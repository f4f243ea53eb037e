"""One digest in several categories of a set, counted as plain Python counts it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caid_triage.hashset import contradictions
from caid_triage.hashset.build import build_hashset_from_arrays
from caid_triage.hashset.contradictions import digests_in_several_categories
from caid_triage.hashset.store import open_hashset


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of equal digests cross the edges of blocks."""
    monkeypatch.setattr(contradictions, "BLOCK", 3)


@pytest.mark.usefixtures("small_blocks")
@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 4), st.sampled_from("123")), min_size=1, max_size=25))
def test_counted_as_in_plain_python(rows: list[tuple[int, str]]) -> None:
    said: dict[int, set[str]] = {}
    for digest, code in rows:
        said.setdefault(digest, set()).add(code)
    expected = sum(len(codes) > 1 for codes in said.values())
    md5 = np.array([[digest] * 16 for digest, _ in rows], dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        build_hashset_from_arrays(Path(folder) / "x.chs", md5=md5, category=[code for _, code in rows])
        hashset = open_hashset(Path(folder) / "x.chs")
        assert digests_in_several_categories(hashset) == ({"md5": expected} if expected else {})
        del hashset
