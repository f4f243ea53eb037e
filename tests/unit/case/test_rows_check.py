"""Which rows of a unit differ: told of long units in the time of their length, whoever made them."""

from __future__ import annotations

import random
import time
from array import array

import pytest

from caid_triage.case.digests import RowDigest
from caid_triage.case.rows_check import _row_faults

ROWS = 30_000


def faults_of(before: list[int], now: list[int]) -> list[str]:
    found = RowDigest(len(now), b"", array("I", now), [(number,) for number in range(len(now))])
    begun = time.process_time()
    faults = [str(fault) for fault in _row_faults("unit", "source", array("I", before), found)]
    assert time.process_time() - begun < 5
    return faults


def test_every_second_row_of_a_long_unit_is_named() -> None:
    before = random.Random(5).sample(range(1 << 32), ROWS)
    now = [mark ^ (number % 2) for number, mark in enumerate(before)]
    faults = faults_of(before, now)
    assert len(faults) == ROWS // 2
    assert all(
        f"row id {number}: was changed" in fault for number, fault in zip(range(1, ROWS, 2), faults, strict=True)
    )


@pytest.mark.parametrize("more", [-7, 7])
def test_rows_of_forged_check_sums_are_told_in_one_sentence(more: int) -> None:
    (fault,) = faults_of([9, *[1, 2] * ROWS], [8, *[1, 3] * ROWS, *[4] * 7][: 2 * ROWS + 1 + more])
    assert f"{2 * ROWS + 1} rows were there and {2 * ROWS + 1 + more} are" in fault
    assert "from row id 0 on" in fault


def test_a_row_that_was_removed_or_added_in_a_short_unit_is_named() -> None:
    assert faults_of([1, 2, 3, 4], [1, 3, 4]) == ["unit: 1 row was removed after row id 0"]
    assert faults_of([1, 3, 4], [1, 2, 3, 4]) == ["unit, row id 1: was added outside"]
