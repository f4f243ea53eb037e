"""The account of every byte of a disk: which kind of area it lies in (law 2, as far as walking reaches)."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from caid_triage.model import Volume

KIND_OF_STATUS = {
    "examined": "file_system",
    "not-understood": "not_understood",
    "encrypted": "encrypted",
    "unreadable": "unreadable",
    "empty": "not_understood",
}
KINDS = (
    "file_system", "unallocated", "unallocated_searched", "not_understood", "not_understood_searched", "encrypted",
    "unreadable", "unpartitioned", "unpartitioned_searched", "partition_table",
)  # fmt: skip
"""Those with ``_searched`` were searched for files by their structure; carve/carving.py tells them apart."""


def account_bytes(size: int, volumes: Iterable[Volume], table_areas: Iterable[tuple[int, int]]) -> dict[str, int]:
    """Bytes by kind, summing to ``size``.

    Where areas overlap, each byte counts once: for the first of file_system, encrypted, not_understood,
    unreadable, partition_table that claims it. Areas behind the end of the disk do not count.
    """
    order = ["file_system", "encrypted", "not_understood", "unreadable", "partition_table"]
    claims = [(v.offset, v.offset + v.length, order.index(KIND_OF_STATUS[v.status])) for v in volumes]
    claims += [(start, start + length, order.index("partition_table")) for start, length in table_areas]
    claims = [(max(0, a), min(size, b), rank) for a, b, rank in claims if a < size and b > a]
    cuts = sorted({0, size, *(a for a, _, _ in claims), *(b for _, b, _ in claims)})
    totals = dict.fromkeys(KINDS, 0)
    for left, right in pairwise(cuts):
        ranks = [rank for a, b, rank in claims if a <= left and right <= b]
        totals[order[min(ranks)] if ranks else "unpartitioned"] += right - left
    return totals
