"""Pictures of other cases that look like those of one: all within so many bits of PDQ, of which the nearest are kept.

Pictures are compared as they are stored, not turned. The memory keeps them as columns (rows.py), which are searched
by the same code that searches hash sets: with an index made for the purpose where many are asked about, else all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caid_triage.case.links import NEAR_BITS
from caid_triage.hashset.algorithms import big_endian_words
from caid_triage.hashset.hamming import near_hashes
from caid_triage.hashset.mih import LEAST_ENTRIES, chunks_for, index_of
from caid_triage.unit.rows import PictureBlock

NEAREST = 10  # of one picture; the others are counted
# Making the index costs as much CPU time as comparing so many pictures with all (measured: 210 of 300,000, 300 of 2e6).
QUERIES_FOR_INDEX = 300
QUERIES_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class NearPair:
    """A picture asked about, one of the memory, the exhibit that has it, the distance, and how many lie so near."""

    sha256: bytes
    other: bytes
    exhibit_id: int
    distance: int
    pictures: int


def near_pictures(
    asked: Sequence[tuple[bytes, bytes]], blocks: Iterable[PictureBlock], radius: int = NEAR_BITS
) -> list[NearPair]:
    """The nearest pictures of other contents to each (SHA-256, PDQ) that was asked about, within ``radius`` bits.

    By what was asked, distance, content and exhibit. The same content is no look-alike of itself.
    """
    every = list(blocks)
    if not asked or not every:
        return []
    contents = np.concatenate([block.contents for block in every])
    pdqs = np.concatenate([block.pdqs for block in every])
    exhibits = np.repeat([block.exhibit_id for block in every], [len(block.pdqs) for block in every])
    words = [np.ascontiguousarray(column) for column in big_endian_words(pdqs).T]
    entries = len(pdqs)
    del every, pdqs
    hashes = np.frombuffer(b"".join(pdq for _, pdq in asked), np.uint8).reshape(-1, 32)
    queries = big_endian_words(hashes)
    index = None
    if entries >= LEAST_ENTRIES and len(queries) >= QUERIES_FOR_INDEX:
        index = index_of("pdq", words, chunks_for("pdq", entries))
    found: list[NearPair] = []
    for start in range(0, len(queries), QUERIES_AT_ONCE):
        some = queries[start : start + QUERIES_AT_ONCE]
        query, entry, distance = near_hashes(words, index, np.ascontiguousarray(some), radius)
        found += _nearest(asked[start : start + QUERIES_AT_ONCE], query, entry, distance, contents, exhibits)
    return sorted(found, key=lambda one: (one.sha256, one.distance, one.other, one.exhibit_id))


def _nearest(
    asked: Sequence[tuple[bytes, bytes]],
    query: NDArray[np.int64],
    entry: NDArray[np.int64],
    distance: NDArray[np.uint16],
    contents: NDArray[np.uint8],
    exhibits: NDArray[np.int64],
) -> list[NearPair]:
    """Of each query the nearest NEAREST (content, exhibit); ``query`` ascends."""
    found = []
    ends = np.searchsorted(query, np.arange(len(asked) + 1))
    for number, (sha256, _) in enumerate(asked):
        rows = range(int(ends[number]), int(ends[number + 1]))
        if not rows:
            continue
        met = {
            (int(distance[row]), other, int(exhibits[entry[row]]))
            for row in rows
            if (other := contents[entry[row]].tobytes()) != sha256
        }
        others = len({other for _, other, _ in met})
        found += [NearPair(sha256, other, exhibit, bits, others) for bits, other, exhibit in sorted(met)[:NEAREST]]
    return found
