"""Where a source is while it works: said before each step that reads structures a suspect may have forged.

The libraries below are C code. Where they run in a process of their own (scan/evidence_process.py) and it dies or does
not come back, the place that was said last is to blame. The next process is given a list of such places: at one of
them :meth:`Steps.at` raises, and the walk goes on behind it with a Problem. Here nothing is said to anybody.
"""

from __future__ import annotations

from contextvars import ContextVar
from enum import IntEnum
from typing import NamedTuple

from caid_triage.errors import EvidenceError

MASK = (1 << 64) - 1
"""What the numbers of a place are cut to."""
DIED, HUNG = "parser-died", "parser-hung"
LEFT_OUT = frozenset((DIED, HUNG))
"""The codes of Problems that name a place which was left out."""


class Step(IntEnum):
    """The kinds of places. ``FOLDER`` to ``STREAMS`` lie in a volume, by its place among all volumes."""

    IDLE = 0
    OPENING = 1  # the container, the partition tables
    VOLUME = 2  # first: how often all volumes were opened before; second: counts them
    ROOT = 3  # what a walk reads of a volume before its first name
    FOLDER = 4  # first: the folder's record
    NAME = 5  # first: the folder's record; second: counts its names
    RECORD = 6  # first: the record
    STREAMS = 7  # first: the record
    LISTED = 8  # of a logical image; second: counts its files
    READING = 9  # first: the number of an entry
    VERIFYING = 10
    SEARCH = 11  # of free space; volume: the site; first: which MiB of it
    SPACE = 12  # what is free in a volume; volume: the site, first: its place among all volumes
    SITE = 13  # the search of a site; volume: the site
    LEDGER = 14


class Place(NamedTuple):
    """A place: a Step and up to three numbers that say which."""

    step: int
    volume: int = 0
    first: int = 0
    second: int = 0


class LeftOut(EvidenceError):  # noqa: N818 - an order, not an error
    """This place was left out, because a process died of it or did not come back: ``code`` and ``detail`` say so."""


class VolumeEnds(Exception):  # noqa: N818 - an order, not an error
    """The rest of this volume is left out, because leaving out the place alone did not help."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class Steps:
    """Nobody listens: nothing is said and nothing is left out."""

    def at(self, step: Step, volume: int = 0, first: int = 0, second: int = 0) -> None:
        """Say what is begun. Raises LeftOut or VolumeEnds where that is to be left out."""

    def searches(self, site: int, offset: int) -> None:
        """Say that the search of free space reads at a byte of a site. Raises OSError where that is to be left out."""

    def goes_on(self) -> None:
        """Say that work goes on, where it lasts long at one place."""


NOBODY = Steps()
told_of_steps: ContextVar[Steps] = ContextVar("told_of_steps", default=NOBODY)
"""Who is told by a source that is opened now."""
