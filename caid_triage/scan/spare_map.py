"""What a search for parts of known files reads: the ranges of a source that belong to no whole file, piece by piece.

Which they are the source says (evidence/spare.py); the search itself is scan/block_search.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caid_triage.evidence.layers.view import joined as joined_spans
from caid_triage.evidence.spare import Spare
from caid_triage.hashset.block_hash import SECTOR

PIECE = 1 << 20
"""So many bytes are read at once: of one range, or of many short ones together."""
_MOST_TOGETHER = 1024

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Stretch:
    """``length`` bytes of a site from ``offset`` on, read at once; blocks that begin in the first ``body`` of them are
    looked for, the rest is there for those to end in."""

    site: int
    offset: int
    length: int
    body: int


def sector_spans(spans: Sequence[Numbers], least: int) -> Numbers:
    """The whole sectors of all these spans together, int64[n, 2], where at least ``least`` bytes lie in one piece."""
    every = joined_spans(np.concatenate([np.zeros((0, 2), dtype=np.int64), *spans]))
    every = np.stack([-(-every[:, 0] // SECTOR) * SECTOR, every[:, 1] // SECTOR * SECTOR], axis=1)
    return np.asarray(every[every[:, 1] - every[:, 0] >= least])


def stretches(spans: dict[int, Numbers], reach: int) -> Iterator[Stretch]:
    """What is read of the spans of each site, in order; ``reach`` bytes of what follows a piece are read with it."""
    for site in sorted(spans):
        for start, end in spans[site].tolist():
            for at in range(start, end, PIECE):
                body = min(PIECE, end - at)
                yield Stretch(site, at, min(body + reach, end - at), body)


def together(each: Iterator[Stretch]) -> Iterator[list[Stretch]]:
    """Stretches that are read with one question: of one site, about PIECE bytes."""
    batch: list[Stretch] = []
    size = 0
    for one in each:
        if batch and (one.site != batch[0].site or size + one.length > PIECE or len(batch) >= _MOST_TOGETHER):
            yield batch
            batch, size = [], 0
        batch.append(one)
        size += one.length
    if batch:
        yield batch


class SpareMap:
    """What a source has to search, by site, and whose each byte is."""

    def __init__(self, groups: Sequence[Spare], least: int) -> None:
        self.groups: dict[int, list[Spare]] = {}
        for one in groups:
            if len(one.spans):
                self.groups.setdefault(one.site, []).append(one)
        made = {site: sector_spans([one.spans for one in groups], least) for site, groups in self.groups.items()}
        self.spans = {site: spans for site, spans in made.items() if len(spans)}
        self.size = sum(int((spans[:, 1] - spans[:, 0]).sum()) for spans in self.spans.values())

    def is_placed(self, site: int) -> bool:
        """Whether the bytes of a site stand on the source as they are read."""
        return self.groups[site][0].placed

    def plan(self, reach: int) -> str:
        """A digest of what is searched, and how it is read."""
        state = hashlib.sha256(f"{PIECE} {reach}\n".encode())
        for site in sorted(self.spans):
            state.update(f"{site} {self.is_placed(site)} {len(self.spans[site])}\n".encode())
            state.update(self.spans[site].astype("<i8").tobytes())
        return state.hexdigest()

    def whose(self, site: int, offsets: Numbers) -> tuple[list[str], list[str]]:
        """The volume and the kind of single bytes of a site: of what has two, the first that was told."""
        volumes, kinds = [""] * len(offsets), [""] * len(offsets)
        for one in reversed(self.groups[site]):
            at = np.searchsorted(one.spans[:, 0], offsets, side="right") - 1
            inside = (at >= 0) & (offsets < one.spans[np.maximum(at, 0), 1])
            for place in np.flatnonzero(inside).tolist():
                volumes[place], kinds[place] = one.volume, one.kind
        return volumes, kinds
