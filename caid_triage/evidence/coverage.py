"""The account of every byte of a disk: which kind of area it lies in (law 2, as far as walking reaches)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import pairwise

from caid_triage.model import Volume

KIND_OF_STATUS = {
    "examined": "file_system",
    "not-understood": "not_understood",
    "encrypted": "encrypted",
    "unreadable": "unreadable",
    "empty": "not_understood",
}
KINDS = ("file_system", "not_understood", "encrypted", "unreadable", "unpartitioned", "partition_table")


def account_bytes(
    size: int,
    volumes: Iterable[Volume],
    table_areas: Iterable[tuple[int, int]],
    unreadable: Sequence[tuple[int, int]] = (),
) -> dict[str, int]:
    """Bytes by kind, summing to ``size``.

    Where areas overlap, each byte counts once: for the first of file_system, encrypted, not_understood,
    unreadable, partition_table that claims it. Areas behind the end of the disk do not count. ``unreadable`` are
    ranges (offset, length), in order and apart, that the image does not have: they count as such wherever they lie.
    """
    order = ["file_system", "encrypted", "not_understood", "unreadable", "partition_table"]
    claims = [(v.offset, v.offset + v.length, order.index(KIND_OF_STATUS[v.status])) for v in volumes]
    claims += [(start, start + length, order.index("partition_table")) for start, length in table_areas]
    claims = [(max(0, a), min(size, b), rank) for a, b, rank in claims if a < size and b > a]
    cuts = sorted({0, size, *(a for a, _, _ in claims), *(b for _, b, _ in claims)})
    totals = dict.fromkeys(KINDS, 0)
    for left, right in pairwise(cuts):
        ranks = [rank for a, b, rank in claims if a <= left and right <= b]
        lost = _bytes_before(unreadable, right) - _bytes_before(unreadable, left)
        totals[order[min(ranks)] if ranks else "unpartitioned"] += right - left - lost
        totals["unreadable"] += lost
    return totals


def _bytes_before(ranges: Sequence[tuple[int, int]], end: int) -> int:
    """How many bytes of ranges, in order and apart, lie before a place."""
    before = bisect_left(ranges, (end, 0))
    whole = sum(length for _, length in ranges[:before])
    return whole - max(0, sum(ranges[before - 1]) - end) if before else 0
