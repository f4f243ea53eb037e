"""The fast searches for headers give exactly the places of the plain one."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.carvables import carvables, noise

from caid_triage.evidence.carve.found import SECTOR
from caid_triage.evidence.carve.headers import (
    HEADERS,
    any_places,
    have_hyperscan,
    naive_places,
    plain_search,
    sector_places,
)

PIECES = [header.magic for header in HEADERS] + [
    b"G" + bytes(187),
    b"\0" * 4,
    b"\0" * 300,
    b"\xff\xd8",
    b"ftypisom",
    b"abc",
]


def bytes_full_of_headers(seed: int, length: int) -> bytes:
    choose = random.Random(seed)
    made = bytearray()
    while len(made) < length:
        if choose.random() < 0.5:
            made += bytes(-len(made) % SECTOR)
        made += choose.choice(PIECES) * choose.choice((1, 1, 1, 4)) + choose.randbytes(choose.randrange(0, 40))
    return bytes(made[:length])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 30), st.integers(0, 3000))
def test_both_ways_find_what_the_plain_search_finds(seed: int, length: int) -> None:
    data = bytes_full_of_headers(seed, length)
    assert sector_places(data) == naive_places(data, anywhere=False)
    assert any_places(data) == naive_places(data, anywhere=True)


def test_every_kind_is_found_on_a_sector() -> None:
    for name, data in carvables().items():
        assert SECTOR in sector_places(noise(1, SECTOR) + data[:4000]), name


def test_the_search_with_hyperscan_is_the_plain_one() -> None:
    if not have_hyperscan():
        pytest.skip("hyperscan (extra carve) is not installed")
    from caid_triage.evidence.carve.headers import _with_hyperscan

    data = bytes_full_of_headers(7, 200_000)
    assert set(_with_hyperscan()(data)) == set(plain_search(data))
