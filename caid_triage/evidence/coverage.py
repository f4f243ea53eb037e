"""The words for areas of a disk, and what lies between its volumes. The account itself is the ledger (ledger.py)."""

from __future__ import annotations

from collections.abc import Iterable

from caid_triage.model import Volume

KIND_OF_STATUS = {
    "examined": "file_system",
    "not-understood": "not_understood",
    "no-files": "not_understood",
    "encrypted": "encrypted",
    "possibly-encrypted": "possibly_encrypted",
    "unreadable": "unreadable",
    "empty": "not_understood",
}
KINDS = (
    "file_system",
    "slack",
    "slack_searched",
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
"""Those with ``_searched`` were searched for files by their structure."""
IN_USE = ("file_content", "metadata")
"""Kinds that only the ledger has: in the coverage both are ``file_system``, in use."""
LEDGER_KINDS = (*IN_USE, *KINDS)


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
