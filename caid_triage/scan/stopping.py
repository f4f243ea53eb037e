"""Stopping a scan early, in order: no file is begun any more, those under way are finished, all is stored.

Every executor takes entries from one walk. It ends here, so stopping is the same for all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from caid_triage.config import StopAfter
from caid_triage.model import FileEntry, Problem, SourceInfo
from caid_triage.scan.results import Skipped, Walked

if TYPE_CHECKING:
    from caid_triage.scan.order import ListedSizes


class Stopping:
    """Whether a scan is to stop: the clock runs from the beginning of the command, over all of its sources."""

    def __init__(self, after: StopAfter, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` gives seconds that never go back."""
        self._after = after
        self._clock = clock
        self._began = clock()
        self.hits = 0
        self.reason = ""  # once it is due: what was asked for, in words

    def is_due(self) -> bool:
        """Whether the time is up or there are hits enough; once it is, it stays so."""
        if not self.reason:
            hits = self._after.hits
            if hits is not None and self.hits >= hits:
                self.reason = f"after {hits} exact hit{'' if hits == 1 else 's'}"
            elif self.is_time_up():
                self.reason = f"after {self._after.seconds:g} s"
        return bool(self.reason)

    def is_time_up(self) -> bool:
        """Whether there is no time left, not even to count what is left."""
        return self._after.seconds is not None and self._clock() - self._began >= self._after.seconds


@dataclass(slots=True)
class Tally:
    """How many entries the walk has given so far, and whether it was ended early; filled in the executor's threads,

    one at a time.
    """

    files: int = 0
    cut: bool = False


@dataclass(slots=True)
class Extent:
    """How much a source has, as far as it was listed: files, bytes of those that can be read; ``whole`` at the end.

    ``by_size`` of the files have a size that a notable hash set states, ``by_size_given`` of these were given on.
    ``only_count`` asks the listing to go on to its end and to give no file any more.
    """

    files: int = 0
    size: int = 0
    by_size: int = 0
    by_size_given: int = 0
    whole: bool = False
    only_count: bool = False


def until(
    walk: Generator[Walked, None, None], stopping: Stopping, tally: Tally, extent: Extent
) -> Generator[Walked, None, None]:
    """The walk up to the moment to stop; what it gives is counted.

    Where there is time, a listing goes on to its end then: what was not examined is to be said with its number.
    """
    with closing(walk):
        while not stopping.is_due():
            item = next(walk, None)
            if item is None:
                return
            tally.files += isinstance(item, FileEntry | Skipped)
            yield item
        tally.cut = True
        extent.only_count = True
        while tally.files and not extent.whole and not stopping.is_time_up():
            item = next(walk, None)
            if item is None:
                return
            if not isinstance(item, FileEntry):
                tally.files += isinstance(item, Skipped)
                yield item


def left_out(
    info: SourceInfo,
    reason: str,
    examined: tuple[int, int],
    extent: Extent,
    sizes: ListedSizes | None,
    *,
    searched: bool,
) -> Problem:
    """What a scan that was stopped has not examined of a source: the Problem ``stopped-early``.

    ``examined`` are files and bytes, those of earlier runs among them; ``sizes`` those of the hash sets where the order
    went by them; ``searched`` says whether free space is searched.
    """
    return Problem(
        "walk",
        "stopped-early",
        f"the scan was stopped early, {reason}: {'; '.join(_left(*examined, extent, sizes, searched=searched))}. "
        "Run the same scan without --stop-after: it goes on",
        exhibit=info.exhibit,
        source=info.source,
    )


def _left(files: int, size: int, extent: Extent, sizes: ListedSizes | None, *, searched: bool) -> Iterator[str]:
    if not files and not extent.files:
        yield "nothing of this source was listed or examined"
        return
    if not extent.whole:
        yield f"{files:,} files were examined, and how many there are was not counted to the end"
    else:
        left = max(extent.files - files, 0)
        yield f"{left:,} of {extent.files:,} files, {max(extent.size - size, 0):,} bytes, were not examined"
        if left and sizes is not None and sizes.records:
            yield _left_by_size(extent.by_size - extent.by_size_given, sizes)
    if searched:
        yield "free space was not searched to its end"


def _left_by_size(count: int, sizes: ListedSizes) -> str:
    """What the sizes that hash sets state say of files that were not examined."""
    if count:
        return f"{count:,} of them have a size that the hash sets state{sizes.of_whom}"
    none = f"none of them has a size that the hash sets state{sizes.of_whom}"
    if sizes.whole:
        match = "an exact match of one" if sizes.apart else "an exact match"
        return f"{none}, so as a whole none is {match} (files inside them and look-alikes may be)"
    return f"{none}, which rules out nothing: {sizes.missing:,} of {sizes.records:,} records state none"
