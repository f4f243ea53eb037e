"""Asking a set about single hashes, as a person does: hexadecimal text in, records out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from caid_triage.errors import UsageError
from caid_triage.hashset.algorithms import DIGEST_BYTES, hash_bytes
from caid_triage.hashset.rows import RecordFlag
from caid_triage.hashset.store import HashSet
from caid_triage.model import Category

_BY_DIGITS = {2 * length: name for name, length in DIGEST_BYTES.items()}


@dataclass(frozen=True, slots=True)
class KnownRecord:
    """One record that carries the hash asked for."""

    row: int
    category: Category
    media_id: str
    size: int | None
    flags: RecordFlag
    series: str


@dataclass(frozen=True, slots=True)
class Lookup:
    """The answer for one hash; ``records`` is empty where the set does not know it."""

    text: str
    algorithm: str
    records: tuple[KnownRecord, ...]

    @property
    def known(self) -> bool:
        """Whether the set holds this hash."""
        return bool(self.records)


def lookup(hashset: HashSet, text: str) -> Lookup:
    """The records with this MD5, SHA-1 or SHA-256 (told apart by length); UsageError if it is none of them."""
    algorithm = _BY_DIGITS.get(len(text.strip()))
    if algorithm is None:
        raise UsageError(f"a hash has 32, 40 or 64 hexadecimal digits, this one has {len(text.strip())}")
    try:
        digest = hash_bytes(text, DIGEST_BYTES[algorithm])
    except ValueError as error:
        raise UsageError(f"the hash {error}") from None
    _, rows = hashset.exact(algorithm, np.frombuffer(digest, dtype=np.uint8)[None, :])
    columns = zip(
        rows.tolist(),
        hashset.categories(rows),
        hashset.records.media_ids(rows),
        hashset.records.sizes(rows),
        hashset.records.flags_of(rows),
        hashset.records.series_of(rows),
        strict=True,
    )
    return Lookup(text.strip(), algorithm, tuple(KnownRecord(*values) for values in columns))
