"""Whether one content is known to be harmless, asked before it is decoded: the rule of docs/decisions/0046.

The same rule as in :mod:`caid_triage.match.match`, where a record that a negative set holds by SHA-1 or SHA-256 gets no
near matches; and stricter: only sets of known-good files count, and no notable set may hold the content by any digest.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from caid_triage.hashset.store import HashSet
from caid_triage.match.exact import STRENGTH, exact_pairs
from caid_triage.model import Digests, Role

# An MD5 can be made to order, so it excludes nothing.
STRONG = STRENGTH[: STRENGTH.index("md5")]


def is_known_good(digests: Digests, hashsets: Sequence[HashSet]) -> bool:
    """Whether a known-good set holds this content by SHA-1 or SHA-256, and no notable set by anything.

    An entry that states another SHA-256 than the content's is about another content, whatever its SHA-1. A notable
    entry speaks against it even where a stronger digest contradicts that: what is in doubt is decoded.
    """
    good = [hashset for hashset in hashsets if hashset.role is Role.KNOWN_GOOD]
    if not any(hashset.may_hold(name, getattr(digests, name)) for hashset in good for name in STRONG):
        return False
    columns = {name: np.frombuffer(getattr(digests, name), dtype=np.uint8).reshape(1, -1) for name in STRENGTH}
    if not any(_holds_strongly(hashset, columns) for hashset in good):
        return False
    notable = (hashset for hashset in hashsets if hashset.role is Role.NOTABLE)
    return not any(len(hashset.exact(name, columns[name])[0]) for hashset in notable for name in STRENGTH)


def _holds_strongly(hashset: HashSet, columns: dict[str, np.ndarray]) -> bool:
    pairs = exact_pairs(hashset, columns)
    return bool(((pairs.strength < STRENGTH.index("md5")) & ~pairs.contradicted).any())
