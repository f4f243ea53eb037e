"""What a set says against itself: one digest listed in several categories."""

from __future__ import annotations

import numpy as np

from caid_triage.hashset.algorithms import DIGEST_BYTES
from caid_triage.hashset.store import HashSet

BLOCK = 1 << 20


def digests_in_several_categories(hashset: HashSet) -> dict[str, int]:
    """How many different digests of each kind stand in more than one category of the set; kinds without any left out.

    Read block by block: what is held does not grow with the set, but for the record of each digest.
    """
    found = {name: _in_several(hashset, name) for name in DIGEST_BYTES if hashset.counts[name]}
    return {name: count for name, count in found.items() if count}


def _in_several(hashset: HashSet, algorithm: str) -> int:
    words, records = hashset.digests(algorithm)
    total, counted = 0, -1  # counted: first row of the last run of equal digests that was counted
    start = 0  # first row of the run that the block before ended in
    for low in range(1, len(words), BLOCK):
        high = min(low + BLOCK, len(words))
        block = np.asarray(words[low - 1 : high])
        codes = hashset.records.codes_of(records[low - 1 : high])
        same = (block[1:] == block[:-1]).all(axis=1)
        rows = np.arange(low, high)
        starts = np.maximum.accumulate(np.where(same, 0, rows))
        starts = np.where(starts == 0, start, starts)
        runs = np.unique(starts[same & (codes[1:] != codes[:-1])])
        total += len(runs) - int(bool(len(runs)) and int(runs[0]) == counted)
        counted = int(runs[-1]) if len(runs) else counted
        start = int(starts[-1])
    return total
