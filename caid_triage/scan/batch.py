"""What is stored in one transaction, and when; and which category was met first when, for who waits for it."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from caid_triage.config import ScanOptions
from caid_triage.match.policy import counts_as_hit
from caid_triage.model import Digests, Problem, Role, ScanRecord

if TYPE_CHECKING:
    from caid_triage.hashset.store import HashSet

DIGESTS = ("sha256", "sha1", "md5")
SHOWN_AGAIN = 1.0
"""Seconds between two batches that are stored early for what they hold: each waits for the disk."""
NEVER = float("-inf")


@dataclass(slots=True)
class Batch:
    """Due by count of files, by age so that a slow file delays nothing, or (``urgent``) for a hit that it holds."""

    records: list[ScanRecord] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    begun: float = field(default_factory=time.monotonic)
    urgent: bool = False

    def is_due(self, options: ScanOptions) -> bool:
        """Whether the batch is to be stored now."""
        filled = len(self.records) + len(self.problems)
        return self.urgent or filled >= options.batch_files or time.monotonic() - self.begun >= options.batch_seconds


class HitWatch:
    """Looks at each record for digests that a notable hash set lists, so that a source's first hit is shown at once.

    What counts as no hit (match/policy.py) is not urgent: a disk may be full of it.

    It decides nothing: what a hit is worth, matching says of the stored batch. Those that follow are shown with their
    batch, so that a disk full of them does not wait for the case at each.
    """

    def __init__(self, hashsets: Sequence[HashSet], confirmed: Collection[str] = (), *, every: bool = False) -> None:
        """``every`` hit is as urgent: somebody counts them. ``confirmed``: names of schemes."""
        self._every = every
        self._confirmed = confirmed
        self._lists = [
            (hashset, name)
            for hashset in hashsets
            if hashset.role is Role.NOTABLE
            for name in DIGESTS
            if hashset.counts.get(name, 0)
        ]
        self._last = NEVER
        self._waits = True

    def begin(self) -> None:
        """Wait for the first hit of another source."""
        self._waits, self._last = True, NEVER

    def met(self) -> None:
        """A hit was shown: no other one of this source is as urgent."""
        self._waits = self._every

    def is_urgent(self, record: ScanRecord) -> bool:
        """Whether a record is to be stored at once; at most once a second."""
        digests = record.examination.digests
        if not self._waits or not self._lists or digests is None:
            return False
        now = time.monotonic()
        if (now - self._last < SHOWN_AGAIN and not self._every) or not self._is_listed(digests):
            return False
        self._last = now
        return True

    def _is_listed(self, digests: Digests) -> bool:
        import numpy as np  # noqa: PLC0415 - only where there is a hash set

        rows = {name: np.frombuffer(getattr(digests, name), dtype=np.uint8).reshape(1, -1) for name in DIGESTS}
        return any(
            counts_as_hit(category.severity, category.scheme, self._confirmed)
            for hashset, name in self._lists
            for category in hashset.categories(hashset.exact(name, rows[name])[1])
        )
