"""How far a scan is: plain counters that the coordinator keeps and a display reads. Never a path or a hash."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from caid_triage.model import FileEntry, ScanRecord, Searching


@dataclass(frozen=True, slots=True)
class FirstHit:
    """That an exhibit was found to hold something of a category, the first time in this run; seconds from its start."""

    exhibit: str
    code: str
    label: str
    scheme: str
    seconds: float

    def as_json(self) -> dict[str, object]:
        """The same for other programs."""
        return {
            "event": "first-hit",
            "exhibit": self.exhibit,
            "category_code": self.code,
            "category_label": self.label,
            "scheme": self.scheme,
            "seconds": round(self.seconds, 1),
        }


@dataclass(slots=True)
class Progress:
    """The counters of a running scan. ``total_files`` and ``total_bytes`` are None until counted.

    ``hits`` counts files by printed category label, exact matches only; ``not_pertinent`` those of categories that a
    confirmed scheme ranks as not pertinent, which are in no ``hits``; ``leads`` counts files with near matches alone;
    these, and ``problems``, are of this run. ``resumed_files`` and ``resumed_bytes`` were already in the
    case, whose earlier hits are in its reports. ``secrets`` are those that are being tried on an
    encrypted volume, 0 afterwards. ``searching`` is how far the search of the present source's free space is; what it
    finds is in no total before it has ended. ``first_hits`` has each exhibit's first exact hit of each category, in the
    order in which they were met. Times are seconds of the monotonic clock.
    """

    files: int = 0
    bytes: int = 0
    resumed_files: int = 0
    resumed_bytes: int = 0
    total_files: int | None = None
    total_bytes: int | None = None
    problems: int = 0
    secrets: int = 0
    secrets_tried: int = 0
    leads: int = 0
    hits: Counter[str] = field(default_factory=Counter)
    not_pertinent: Counter[str] = field(default_factory=Counter)
    first_hits: list[FirstHit] = field(default_factory=list)
    searching: Searching = field(default_factory=lambda: Searching(0, 0))
    stage: str = "opening"
    started: float = field(default_factory=time.monotonic)

    def take(self, record: ScanRecord) -> None:
        """Count a file that was examined; what lies inside one is in no total."""
        if not record.entry.part:
            self.files += 1
            self.bytes += record.examination.bytes_read

    def resume(self, entry: FileEntry) -> None:
        """Count a file that the case has already."""
        self.resumed_files += 1
        self.resumed_bytes += (entry.size or 0) if entry.readable else 0

    def seconds(self) -> float:
        """Seconds since the scan began."""
        return max(time.monotonic() - self.started, 1e-9)

    def seconds_left(self) -> float | None:
        """The estimate of the time left, None while it cannot be made; of what is not found yet it knows nothing."""
        if self.stage == "finished":
            return 0.0
        if self.stage in ("verifying", "counting", "listing"):  # the files of this source are in no total yet
            return None
        left, told = self._examining_left(), self.searching
        if told.searched >= told.total:
            return left
        if not told.searched:
            return None
        return max(left or 0.0, (told.total - told.searched) * told.seconds / told.searched)

    def _examining_left(self) -> float | None:
        if not self.files or self.total_files is None:
            return None
        files_left = max(self.total_files - self.resumed_files - self.files, 0)
        by_files = files_left / self.files
        if not self.bytes or not self.total_bytes:
            return by_files * self.seconds()
        by_bytes = max(self.total_bytes - self.resumed_bytes - self.bytes, 0) / self.bytes
        return (by_files + by_bytes) / 2 * self.seconds()

    def as_json(self) -> dict[str, object]:
        """The counters for other programs."""
        left = self.seconds_left()
        return {
            "event": "progress",
            "stage": self.stage,
            "files": self.files,
            "bytes": self.bytes,
            "resumed_files": self.resumed_files,
            "total_files": self.total_files,
            "total_bytes": self.total_bytes,
            "free_space_bytes": self.searching.searched,
            "free_space_total": self.searching.total,
            "free_space_bytes_per_second": round(self.searching.rate),
            "files_per_second": round(self.files / self.seconds(), 1),
            "bytes_per_second": round(self.bytes / self.seconds()),
            "hits": dict(sorted(self.hits.items())),
            "not_pertinent": dict(sorted(self.not_pertinent.items())),
            "leads": self.leads,
            "problems": self.problems,
            "secrets": self.secrets,
            "secrets_tried": self.secrets_tried,
            "seconds": round(self.seconds(), 1),
            "seconds_left": None if left is None else round(left),
        }


Show = Callable[[Progress], None]
