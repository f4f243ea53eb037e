"""An exhibit of a batch that waits, and a scan of one that runs."""

from __future__ import annotations

from dataclasses import dataclass

from caid_triage.batch.budget import Load
from caid_triage.batch.child import Child
from caid_triage.batch.queue import Exhibit


@dataclass(slots=True)
class Job:
    """An exhibit that waits: ``first`` for its first look in a time box. ``tries`` scans were started for it.

    ``left``: a scan that died, or whose batch did, left it in work; ``locked`` is since when its case was seen in use,
    ``until`` when its first look ends.
    """

    exhibit: Exhibit
    load: Load
    place: int
    first: bool = False
    tries: int = 0
    seconds: float = 0.0
    left: bool = False
    locked: float | None = None
    until: float = 0.0

    @property
    def turn(self) -> tuple[bool, int, int]:
        """First looks come first, then by priority, then as they stand in the file."""
        return not self.first, self.exhibit.priority, self.place


@dataclass(slots=True)
class Active:
    """A scan that runs."""

    job: Job
    child: Child
    load: Load
