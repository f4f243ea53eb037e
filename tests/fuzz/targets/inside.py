"""Files that hold files: archives, compressed streams, mail, documents, PDF, databases, pictures with more behind them.

As a worker does it: what a library raises becomes a problem of the file, what ends the process costs that file alone
(fuzz/inner.py has the laws). Caches of thumbnails and browsers are a target of their own.
"""

from __future__ import annotations

from support.inside_seeds import SEEDS

from fuzz.inner import check_inside, prepare
from fuzz.target import Target
from fuzz.targets.caches import CACHES


def seeds() -> dict[str, bytes]:
    """Every container of the tests around a small picture."""
    return {name: made() for name, made in SEEDS.items() if name not in CACHES}


TARGET = Target(
    "inside", "what lies inside archives, mail, documents and databases", seeds, check_inside, (),
    longest=1 << 15, seconds=10.0, prepare=prepare,
)  # fmt: skip
