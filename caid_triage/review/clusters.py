"""Groups of pictures that look alike, so that one look and one key may do for all of them.

Two pictures are joined where their PDQ hashes (of quality 50 and more) are within 31 bits of 256, and groups are what
is joined over any number of steps: no bound on a chain, so that the groups are exactly those of the naive way, whatever
the order (docs/decisions/0039). They are derived from the case and kept beside it, and no part of its record.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from caid_triage.case.review import ReviewReader
from caid_triage.case.schema import is_stranger
from caid_triage.hashset.hamming import near_hashes
from caid_triage.hashset.mih import LEAST_ENTRIES, chunks_for, index_of
from caid_triage.model import STRONG_BITS

CLUSTERS_FILE = "clusters.npz"
LEAST_QUALITY = 50
QUERIES = 2000  # at once, so that a crowd of look-alikes does not fill the memory

Numbers = NDArray[np.int64]


def clusters_of(hashes: NDArray[np.uint8], show: Callable[[int, int], None] | None = None) -> Numbers:
    """For each PDQ hash, uint8[n, 32], the place of the first one in its group.

    ``show`` is told how many of how many different hashes were looked up.
    """
    words = np.ascontiguousarray(hashes).view(">u8").reshape(-1, 4).astype(np.uint64)
    order = np.lexsort(words.T[::-1])
    is_first = np.ones(len(order), np.bool_)
    is_first[1:] = (words[order[1:]] != words[order[:-1]]).any(axis=1)
    number = np.empty(len(order), np.int64)
    number[order] = np.cumsum(is_first) - 1
    group = _groups(np.ascontiguousarray(words[order[is_first]].T), show)[number]
    first = np.full(len(order), len(order), np.int64)
    np.minimum.at(first, group, np.arange(len(order)))
    found: Numbers = first[group]
    return found


def _groups(words: NDArray[np.uint64], show: Callable[[int, int], None] | None) -> Numbers:
    """For each of different hashes, uint64[4, n], the least number of those that it is joined with."""
    total = words.shape[1]
    # A hash of one tone only would join whatever is as empty.
    empty = (words == 0).all(axis=0) | (words == np.uint64(0xFFFF_FFFF_FFFF_FFFF)).all(axis=0)
    labels = np.arange(total)
    columns = [words[number] for number in range(4)]
    index = index_of("pdq", columns, chunks_for("pdq", total)) if total >= LEAST_ENTRIES else None
    for begin in range(0, total, QUERIES):
        queries, entries, _ = near_hashes(columns, index, words[:, begin : begin + QUERIES].T, STRONG_BITS)
        queries = queries + begin
        counts = (entries > queries) & ~empty[queries] & ~empty[entries]  # each pair comes from both its sides
        join(labels, queries[counts], entries[counts])
        if show is not None:
            show(min(begin + QUERIES, total), total)
    return labels


def join(labels: Numbers, one: Numbers, other: Numbers) -> None:
    """Join pairs: afterwards ``labels`` has for each number the least one of its group, if it had so before."""
    while True:
        low, high = np.minimum(labels[one], labels[other]), np.maximum(labels[one], labels[other])
        apart = low != high
        if not apart.any():
            return
        np.minimum.at(labels, high[apart], low[apart])
        while (labels[labels] != labels).any():
            labels[:] = labels[labels]


def clusters_of_case(reader: ReviewReader, show: Callable[[int, int], None] | None = None) -> tuple[Numbers, Numbers]:
    """The pictures of a case that have a hash to go by, as ids of files, and the first file of the group of each."""
    found = np.fromiter(reader.pdq(LEAST_QUALITY), np.dtype([("id", "i8"), ("hash", "S32")]))
    ids = found["id"].copy()
    hashes = np.ascontiguousarray(found["hash"]).view(np.uint8).reshape(-1, 32)
    return ids, ids[clusters_of(hashes, show)]


def save_clusters(folder: Path, stamp: tuple[int, int], ids: Numbers, clusters: Numbers) -> None:
    """Keep groups in a folder, whole or not at all. Errors: OSError."""
    path = folder / CLUSTERS_FILE
    part = path.with_name(path.name + ".part")
    try:
        part.unlink(missing_ok=True)  # of a run that was killed; or a link that a stranger's case has there
        with part.open("xb") as file:
            np.savez(file, stamp=np.array(stamp, np.int64), ids=ids, clusters=clusters)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def load_clusters(folder: Path, stamp: tuple[int, int]) -> tuple[Numbers, Numbers] | None:
    """The groups that were kept, None where there are none or the case has other hashes by now."""
    if is_stranger(folder / CLUSTERS_FILE):  # a pipe would be waited for without end
        return None
    try:
        with np.load(folder / CLUSTERS_FILE, allow_pickle=False) as kept:
            arrays: dict[str, NDArray[Any]] = {name: kept[name] for name in ("stamp", "ids", "clusters")}
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None
    ids, clusters = arrays["ids"], arrays["clusters"]
    whole = ids.dtype == clusters.dtype == np.int64 and ids.ndim == 1 and ids.shape == clusters.shape
    return (ids, clusters) if whole and tuple(arrays["stamp"].tolist()) == stamp else None
