"""The searches of all sites of a source, one after the other: at the end of a walk, or beside it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from caid_triage.evidence.carve.beside import SearchBeside
from caid_triage.evidence.carve.carving import Carving, Met
from caid_triage.evidence.carve.slack import SlackRoll
from caid_triage.model import FileEntry, Problem, Searching

Known = Mapping[int, Mapping[int, int]]
"""By the number of a site the deleted files met by name on it: first byte to size."""


@dataclass(slots=True)
class Searches:
    """The carvings of a source, and the slack that a walk of it noted."""

    carvings: Sequence[Carving]
    _rolls: dict[int, SlackRoll] = field(default_factory=dict)
    _noting: bool = False  # whether the walk that began last notes slack
    _noted: bool = False  # whether such a walk came to its end
    _beside: SearchBeside | None = None
    _seconds: float = 0.0  # that a search beside has taken

    def carve(self, mode: str) -> None:
        """Search in the walks to come, as carving.MODES say."""
        for carving in self.carvings:
            carving.mode = mode

    def rolls_to_fill(self) -> Mapping[int, SlackRoll]:
        """Where a walk that begins notes the slack of each volume, by its place; nothing when that is known already.

        Nor where nothing is to be searched. The walk says by :meth:`noted` that it came to its end.
        """
        self._noting = not self._noted and any(carving.outstanding for carving in self.carvings)
        if not self._noting:
            return {}
        self._rolls = {place: SlackRoll() for carving in self.carvings for place, _ in carving.site.systems}
        return self._rolls

    def noted(self) -> None:
        """A walk has come to its end: what slack there is, is known."""
        self._noted = self._noted or self._noting

    def beside(self, turn: AbstractContextManager[object]) -> SearchBeside | None:
        """A search to be begun now, whose end :meth:`waited` tells; None where nothing is to be searched (any more).

        None too before any walk came to its end: then nobody knows where slack is, and the walk searches by itself.
        """
        if not self._noted or not any(carving.outstanding for carving in self.carvings):
            return None
        self._beside = SearchBeside(turn, self._search)
        return self._beside

    def _search(self) -> None:
        beside = self._beside
        for carving in self.carvings:
            if carving.outstanding:
                carving.search(self._rolls, beside)
        if beside is not None:
            self._seconds = time.monotonic() - beside.began

    def progress(self) -> Searching:
        """How far the search is."""
        told = [carving.progress() for carving in self.carvings]
        beside, seconds = self._beside, self._seconds  # of one moment: another thread may be at the end of the walk
        if beside is not None and not seconds:
            seconds = time.monotonic() - beside.began
        return Searching(sum(done for done, _ in told), sum(total for _, total in told), seconds)

    def waited(self, known: Known) -> Iterator[Searching]:
        """While a search that was begun beside still runs: how far it is. Then, once, what it found."""
        if self._beside is None:
            return
        while not self._beside.finished:
            yield self.progress()
        told = self.progress()
        self._beside = None
        met = self._met()
        sizes = [
            one.size
            for carving in self.carvings
            for one in carving.listed(known[carving.site.number], self._rolls, met)
        ]
        yield Searching(told.total, told.total, told.seconds, len(sizes), sum(sizes))

    def _met(self) -> Met | None:
        """To tell what several sites have in common; None, and nothing is looked up, where there is no such thing."""
        return set() if any(carving.site.shares for carving in self.carvings) else None

    def entries(self, known: Known, number: int) -> Iterator[FileEntry | Problem]:
        """What was carved as entries numbered from ``number``, site by site."""
        met = self._met()
        for carving in self.carvings:
            for item in carving.entries(known[carving.site.number], number, self._rolls, met):
                number += isinstance(item, FileEntry)
                yield item
