"""Which records of a scan have the digests of a set's entries, and by which digest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caid_triage.hashset.algorithms import DIGEST_BYTES, Bytes, Rows, first_of_runs
from caid_triage.hashset.rows import HAS_DIGEST
from caid_triage.hashset.store import HashSet
from caid_triage.model import ScanRecord

# Strongest first: the first that agrees names the match.
STRENGTH = ("sha256", "sha1", "md5")


@dataclass(frozen=True, slots=True)
class ExactPairs:
    """Pairs of a record of the batch and a record of the set, sorted by both, each pair once.

    ``strength`` is the place of the strongest agreeing digest in STRENGTH; ``contradicted`` is true where
    the entry carries a stronger digest that the file does not have.
    """

    queries: Rows
    rows: Rows
    strength: NDArray[np.int8]
    contradicted: NDArray[np.bool_]


def digest_columns(records: Sequence[ScanRecord]) -> tuple[dict[str, Bytes], Rows]:
    """The digests of a batch as arrays, and which record each row is of (records without digests have none)."""
    with_digests = [(i, r.examination.digests) for i, r in enumerate(records) if r.examination.digests is not None]
    positions = np.array([position for position, _ in with_digests], dtype=np.int64)
    columns = {
        name: np.frombuffer(b"".join(getattr(digests, name) for _, digests in with_digests), dtype=np.uint8).reshape(
            -1, length
        )
        for name, length in DIGEST_BYTES.items()
    }
    return columns, positions


def exact_pairs(hashset: HashSet, digests: Mapping[str, Bytes]) -> ExactPairs:
    """All agreements of a batch (uint8[n, 16 | 20 | 32] a digest) with a set."""
    found = [hashset.exact(name, digests[name]) for name in STRENGTH]
    queries = np.concatenate([q for q, _ in found])
    rows = np.concatenate([r for _, r in found])
    strength = np.repeat(np.arange(len(STRENGTH), dtype=np.int8), [len(q) for q, _ in found])
    order = np.lexsort((strength, rows, queries))
    queries, rows, strength = queries[order], rows[order], strength[order]
    first = first_of_runs(queries, rows)
    queries, rows, strength = queries[first], rows[first], strength[first]
    # Had an entry's stronger digest agreed, the pair would carry that strength: to have one is to contradict.
    flags = hashset.records["flags"][rows]
    contradicted = np.zeros(len(rows), dtype=np.bool_)
    for place, name in enumerate(STRENGTH):
        contradicted |= (strength > place) & ((flags & np.uint16(HAS_DIGEST[name])) != 0)
    return ExactPairs(queries, rows, strength, contradicted)
