"""The order of examination that a scan has: as its walk goes, or (profile quick) what is likely to be known first."""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from typing import TYPE_CHECKING

from caid_triage.case.store import CaseWriter
from caid_triage.config import ScanOptions
from caid_triage.model import SourceInfo
from caid_triage.scan.evidence_words import Owner
from caid_triage.scan.results import Walked
from caid_triage.scan.stopping import Extent

if TYPE_CHECKING:
    from caid_triage.hashset.store import HashSet
    from caid_triage.scan.order import ListedSizes


class Ordering:
    """The order of one scan. ``sizes`` are those that the hash sets state, None where they play no part."""

    def __init__(
        self, case: CaseWriter, notable: Sequence[HashSet], confirmed: Collection[str], options: ScanOptions
    ) -> None:
        """Errors: CaseError. How good the order can be is put on record. ``confirmed``: names of schemes."""
        self._folder = case.folder
        self.sizes: ListedSizes | None = None
        if options.by_yield:
            from caid_triage.scan.order import listed_sizes  # noqa: PLC0415 - NumPy, for a quick scan alone

            sizes = self.sizes = listed_sizes(notable, confirmed)
            facts = {"records": sizes.records, "without_size": sizes.missing, "sizes": len(sizes.values)}
            case.audit("order-by-yield", **facts, not_pertinent=sizes.apart)

    def notes(self) -> list[str]:
        """What there is to say of it."""
        if self.sizes is None or not self.sizes.missing:
            return []
        return [
            f"{self.sizes.missing:,} of {self.sizes.records:,} records of the hash sets{self.sizes.of_whom} state no "
            "size: files of listed sizes were only examined first, and none is ruled out by its size"
        ]

    def of(
        self, walk: Generator[Walked, None, None], info: SourceInfo, extent: Extent
    ) -> Generator[Walked, None, None]:
        """A walk in this order."""
        if self.sizes is None:
            return walk
        from caid_triage.scan.waiting import in_order  # noqa: PLC0415

        return in_order(walk, Owner(info.exhibit, info.source), self.sizes, self._folder, extent)
