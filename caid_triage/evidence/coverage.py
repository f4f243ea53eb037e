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
    "possibly-encrypted": "possibly_encrypted",
    "unreadable": "unreadable",
    "empty": "not_understood",
}
KINDS = (
    "file_system",
    "unallocated",
    "unallocated_searched",
    "not_understood",
    "not_understood_searched",
    "encrypted",
    "possibly_encrypted",
    "unreadable",
    "unpartitioned",
    "unpartitioned_searched",
    "partition_table",
)
"""Those with ``_searched`` were searched for files by their structure; carve/carving.py tells them apart."""


def account_bytes(
    size: int,
    volumes: Iterable[Volume],
    table_areas: Iterable[tuple[int, int]],
    inside: Iterable[tuple[int, int, str]] = (),
    unreadable: Sequence[tuple[int, int]] = (),
) -> dict[str, int]:
    """Bytes by kind, summing to ``size``.

    Where areas overlap, each byte counts once: for the first of file_system, encrypted, possibly_encrypted,
    not_understood, unreadable, partition_table that claims it. Areas behind the end of the disk do not count, nor do
    volumes inside others: for a volume that holds others, ``inside`` says (offset, length, kind) of its parts.
    ``unreadable`` are ranges (offset, length), in order and apart, that the image does not have: they count as such
    wherever they lie.
    """
    order = ["file_system", "encrypted", "possibly_encrypted", "not_understood", "unreadable", "partition_table"]
    claims = [
        (v.offset, v.offset + v.length, order.index(KIND_OF_STATUS[v.status]))
        for v in volumes
        if not v.parent and v.status in KIND_OF_STATUS
    ]
    claims += [(start, start + length, order.index(kind)) for start, length, kind in inside]
    claims += [(start, start + length, order.index("partition_table")) for start, length in table_areas]
    claims = [(max(0, a), min(size, b), rank) for a, b, rank in claims if a < size and b > a]
    changes: dict[int, list[int]] = {0: [0] * len(order), size: [0] * len(order)}
    for a, b, rank in claims:  # how many claims of a rank begin at a place, less those that end there
        changes.setdefault(a, [0] * len(order))[rank] += 1
        changes.setdefault(b, [0] * len(order))[rank] -= 1
    totals = dict.fromkeys(KINDS, 0)
    open_claims = [0] * len(order)
    for left, right in pairwise(sorted(changes)):
        open_claims = [now + more for now, more in zip(open_claims, changes[left], strict=True)]
        kind = next((order[rank] for rank, count in enumerate(open_claims) if count), "unpartitioned")
        lost = _bytes_before(unreadable, right) - _bytes_before(unreadable, left)
        totals[kind] += right - left - lost
        totals["unreadable"] += lost
    return totals


def _bytes_before(ranges: Sequence[tuple[int, int]], end: int) -> int:
    """How many bytes of ranges, in order and apart, lie before a place."""
    before = bisect_left(ranges, (end, 0))
    whole = sum(length for _, length in ranges[:before])
    return whole - max(0, sum(ranges[before - 1]) - end) if before else 0


def gaps_between(size: int, volumes: Iterable[Volume], table_areas: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The (offset, length) of what no volume of the disk and no partition table covers."""
    areas = sorted([*((v.offset, v.length) for v in volumes if not v.parent), *table_areas])
    gaps, at = [], 0
    for start, length in areas:
        if start > at:
            gaps.append((at, min(start, size) - at))
        at = max(at, start + length)
    if at < size:
        gaps.append((at, size - at))
    return [gap for gap in gaps if gap[1] > 0]
