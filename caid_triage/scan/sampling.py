"""Sampling a disk: random cells against a block set, the statement that they allow, and a full read of the rest.

The population is the disk's cells of 4,096 bytes. To read a cell is to look at every block that begins in it, at each
of its eight sectors: two blocks that do not overlap begin in different cells, so ``target`` bytes of blocks of the set
stand in at least ``target / 4096`` cells, wherever partitions and clusters begin. Draws are made in rounds, each read
in the order of the disk. What was read around a hit, or from the disk's beginning on, is no draw and enters no chance.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caid_triage.case.sampling import Fragment, Sampling
from caid_triage.case.store import CaseWriter
from caid_triage.errors import CaseError, EvidenceError, HashSetError, SourceError, UsageError
from caid_triage.evidence.sector_places import DiskBytes
from caid_triage.hashset.block_hash import SECTOR
from caid_triage.hashset.blocks import BlockHits, BlockSet
from caid_triage.hashset.store import HashSet
from caid_triage.match.draws import draws, gap_cells
from caid_triage.match.fragments import Run, joined, runs_of
from caid_triage.match.hypergeometric import samples_needed
from caid_triage.model import Severity
from caid_triage.scan.sample_counts import CellCounts
from caid_triage.scan.sample_plan import (
    CELL,
    LARGEST_DISK,
    SampleOptions,
    cells_of,
    cells_of_target,
    default_seed,
    fingerprint_of,
    joined_mark,
)

ROUND = 16_384
"""Draws that are read in one sweep over the disk, and kept in one transaction."""
_BATCH = 256
_PIECE = 4 << 20
_AROUND = 1 << 20
MOST_AROUND = 2 << 30
"""Bytes read around hits in one run: of a disk that is full of known files the rest is for a full read."""
_KEEP_SECONDS = 20.0
NOT_READ = "the rest of the disk was not read"


@dataclass(slots=True)
class SampleProgress:
    """What a display reads: ``done`` of ``wanted`` draws, or bytes of a full read, since ``started``."""

    stage: str = "sampling"
    done: int = 0
    wanted: int = 0
    before: int = 0
    fragments: int = 0
    blocks: int = 0
    unread: int = 0
    started: float = field(default_factory=time.monotonic)

    def seconds_left(self) -> float | None:
        """The estimate of the time left; None before anything was done."""
        made = self.done - self.before
        if made <= 0:
            return None
        return (time.monotonic() - self.started) / made * (self.wanted - self.done)


Show = Callable[[SampleProgress], None]
Told = Callable[[Fragment], None]


class Sampler:
    """One sampling under way: what it found is in ``sampling`` and ``fragments``, kept in a case where there is one."""

    def __init__(
        self,
        sectors: DiskBytes,
        hashset: HashSet,
        facts: dict[str, Any],
        options: SampleOptions,
        case: CaseWriter | None = None,
        show: Show = lambda _progress: None,
        told: Told = lambda _fragment: None,
    ) -> None:
        """``facts`` are what the case keeps of the set; ``told`` hears of the first block found, at once.

        HashSetError: the set has no blocks. UsageError, CaseError: the case has another seed, or another disk.
        """
        if hashset.blocks is None:
            raise HashSetError(
                f"{hashset.name}: holds no blocks, and a sample is of blocks. "
                "Make a block set of graded files: caid-triage hashset make DIR --blocks --out NAME.chs"
            )
        if not sectors.size:
            raise SourceError("the disk has no bytes: there is nothing to sample")
        if sectors.size >= LARGEST_DISK:
            raise SourceError(f"the image says that its disk has {sectors.size} bytes: no disk is so large")
        self._sectors, self._hashset, self._case, self._show, self._told = sectors, hashset, case, show, told
        self._blocks: BlockSet = hashset.blocks
        self._around: list[tuple[int, int]] = []
        self._bytes_around = 0
        self._fresh: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]] = []
        self.progress = SampleProgress()
        self.sampling, self._runs = self._taken_up(facts, options)
        self._plan(options)
        self._take_notes()

    def _taken_up(self, facts: dict[str, Any], options: SampleOptions) -> tuple[Sampling, list[Run]]:
        info = self._sectors.info
        mark = fingerprint_of(self._sectors)
        stored = None if self._case is None else self._case.sampling_of(
            info.exhibit, info.source, self._hashset.generation
        )  # fmt: skip
        if stored is None:
            seed = default_seed(info, self._hashset) if options.seed is None else options.seed
            size = self._sectors.size
            return Sampling(info.exhibit, info.source, mark, size, facts, seed, cells_of(size)), []
        sampling, found = stored
        known = joined_mark(sampling.fingerprint, mark)
        if known is None:
            raise CaseError(
                f"the case was begun with another {info.source} of exhibit {info.exhibit} (its kind, size, stored "
                "hashes, first or last bytes differ); give this one another --exhibit, or use a new case folder"
            )
        sampling.fingerprint = known
        if options.seed not in (None, sampling.seed):
            raise UsageError(
                f"this sampling was begun with seed {sampling.seed}; go on without --seed. Trying other seeds until "
                "nothing is met would make its statement untrue"
            )
        sampling.notes = tuple(note for note in sampling.notes if not note.startswith(NOT_READ))  # it is tried again
        return sampling, [Run(one.offset, one.record, one.first_block, one.blocks) for one in found]

    def _plan(self, options: SampleOptions) -> None:
        sampling = self.sampling
        sampling.confidence, sampling.target = str(options.confidence), options.target
        known = cells_of_target(options.target, sampling.population)
        self._needed = samples_needed(sampling.population, known, options.confidence)
        asked = self._needed if options.samples is None else min(options.samples, sampling.population)
        sampling.wanted = max(asked, sampling.drawn)

    @property
    def fragments(self) -> list[Fragment]:
        """The runs of blocks found so far, with what the set says of their files."""
        return [self._fragment(run) for run in self._runs]

    def run(self, *, whole: bool) -> bool:
        """Make what draws are wanted and fill the gaps, or read the ``whole`` disk; whether it came to its end.

        It does not where the process that reads the disk died too often: what was kept stays, and a note says so.
        """
        try:
            if whole:
                self.read_all()
            else:
                self.draw()
                self.fill()
        except EvidenceError as error:
            self.sampling.notes = (*self.sampling.notes, f"{NOT_READ}: {error.detail}")
            self.keep()
            return False
        self.keep()
        return True

    def keep(self) -> None:
        """Store how far the sampling is, in the case if there is one."""
        self._settle()
        self._take_notes()
        if self._case is not None:
            self._hashset.check_unchanged()
            self._case.keep_sampling(self.sampling, self.fragments)

    def _take_notes(self) -> None:
        """Note what is amiss with the disk: as it was opened, and places where the process that reads it died."""
        amiss = (one.detail for one in self._sectors.problems if one.severity is Severity.PROBLEM)
        self.sampling.notes = tuple(dict.fromkeys((*self.sampling.notes, *amiss)))

    # -- random draws --------------------------------------------------------------------------------------------------

    def draw(self) -> None:
        """Make all draws that are wanted and not made yet, round after round; each round is kept whole or not at all.

        Stopped in the midst of a round (Ctrl+C), the case keeps the blocks that it met, and draws the round again.
        """
        sampling, progress = self.sampling, self.progress
        progress.stage, progress.wanted = "sampling", sampling.wanted
        progress.done = progress.before = sampling.drawn
        self._say()
        while sampling.drawn < sampling.wanted:
            count = min(ROUND, sampling.wanted - sampling.drawn)
            cells = np.sort(draws(sampling.seed, sampling.population, sampling.drawn, count))
            try:
                told = self._round(cells)
            except BaseException:
                self.keep()
                raise
            sampling.drawn += count
            told.add_to(sampling)
            self.keep()

    def fill(self) -> None:
        """Read a cell every ``target`` bytes in each gap between the draws that is as wide: an area in one piece does
        not fall between them. These are no draws and enter no chance; there are about as many as a hundredth of them.
        """
        sampling = self.sampling
        if sampling.drawn < self._needed or sampling.drawn == sampling.population:
            return  # fewer samples were asked for, and not a grid over the whole disk; or nothing is left
        drawn = draws(sampling.seed, sampling.population, 0, sampling.drawn)
        widest = cells_of_target(sampling.target, sampling.population)
        cells = gap_cells(drawn, sampling.population, widest)
        self.progress.wanted += len(cells)
        told = self._round(cells)
        sampling.filled = told.read
        sampling.gapless = 0 if sampling.unread or told.unread else widest * CELL
        self.keep()

    def _round(self, cells: NDArray[np.int64]) -> CellCounts:
        told = CellCounts()
        for first in range(0, len(cells), _BATCH):
            batch = cells[first : first + _BATCH].tolist()
            places = [self._place_of(cell) for cell in batch]
            whole, alike = [], []
            for place, data in zip(places, self._sectors.read_each(places), strict=True):
                if data is None:
                    told.unread += 1
                    self.progress.unread += 1
                    continue
                told.take(data[:CELL])
                if place[1] == self._reach:
                    whole.append(place[0])
                    alike.append(data)
                else:  # the disk's last cells
                    told.met += self._look([place[0]], data)
            if whole:
                told.met += self._look(whole, b"".join(alike))
            self.progress.done += len(batch)
            self._say()
        self._settle()
        return told

    @property
    def _reach(self) -> int:
        """The bytes that are read of a cell: up to the end of the last block that begins in it."""
        return CELL + self._blocks.size - SECTOR

    def _place_of(self, cell: int) -> tuple[int, int]:
        start = cell * CELL
        return start, min(self._reach, self._sectors.size - start)

    def _look(self, cells: list[int], data: bytes) -> int:
        """Take in the blocks that begin in cells (their first bytes), whose reach stands end to end in ``data``.

        Returns in how many of the cells one does.
        """
        reach, begin = self._reach // SECTOR, CELL // SECTOR
        count = max(len(data) // SECTOR - self._blocks.size // SECTOR + 1, 0)
        starts = (np.arange(len(cells))[:, None] * reach + np.arange(begin)).ravel()
        found = self._blocks.find(data, starts[starts < count])
        if not len(found):
            return 0
        cell = found.sectors // reach
        places = np.array(cells, dtype=np.int64)[cell] + (found.sectors - cell * reach) * SECTOR
        self._take(places, found)
        if self._bytes_around < MOST_AROUND:
            for place in np.unique(places).tolist():
                if not any(low <= place < high for low, high in self._around):
                    self._read_around(place)
        return len(np.unique(cell))

    def _take(self, places: NDArray[np.int64], found: BlockHits) -> None:
        """Take in blocks at bytes of the disk; who wants to know is told of the first one at once."""
        if not self._runs and not self._fresh:
            self._told(self._fragment(Run(int(places[0]), int(found.records[0]), int(found.numbers[0]), 1)))
        self._fresh.append((places, found.records, found.numbers))
        self.progress.blocks += len(found)

    def _settle(self) -> None:
        """Put what was taken in together with the runs there were."""
        if self._fresh:
            size = self._blocks.size
            places, records, numbers = (np.concatenate(columns) for columns in zip(*self._fresh, strict=True))
            self._runs = joined([*self._runs, *runs_of(places, records, numbers, size)], size)
            self._fresh = []
        self.progress.fragments = len(self._runs)
        self.progress.blocks = sum(run.blocks for run in self._runs)

    def _read_around(self, place: int) -> None:
        """Read on from a hit to both sides, as long as every further piece has a block of the set in it."""
        low = high = place // CELL * CELL
        step = (_AROUND - self._blocks.size) // CELL * CELL  # each piece reaches a block's length into the next
        while high < self._sectors.size and self._has_more(high):
            high += step
        while low > 0 and self._has_more(max(low - step, 0)):
            low = max(low - step, 0)
        self._around.append((low, max(high, low + CELL)))

    def _has_more(self, start: int) -> bool:
        if self._bytes_around >= MOST_AROUND:
            return False
        data = self._sectors.read(start, min(_AROUND, self._sectors.size - start))
        if data is None:
            return False
        self._bytes_around += len(data)
        return self._search(start, data)

    # -- the whole disk ------------------------------------------------------------------------------------------------

    def read_all(self) -> None:
        """Read the disk from where an earlier full read stopped to its end, every cell of it."""
        sampling, progress = self.sampling, self.progress
        progress.stage, progress.wanted, progress.started = "reading all", sampling.size, time.monotonic()
        progress.done = progress.before = sampling.scanned
        kept = time.monotonic()
        try:
            while sampling.scanned < sampling.size:
                places = [
                    (start, min(_PIECE + self._blocks.size - SECTOR, sampling.size - start))
                    for start in range(sampling.scanned, min(sampling.scanned + 4 * _PIECE, sampling.size), _PIECE)
                ]
                for (start, _), data in zip(places, self._sectors.read_each(places), strict=True):
                    unread = 0
                    if data is None:
                        unread = self._read_piecemeal(start, min(_PIECE, sampling.size - start))
                    else:
                        self._search(start, data)
                    sampling.scanned_unread += unread
                    sampling.scanned = min(start + _PIECE, sampling.size)
                    progress.done = sampling.scanned
                    self._say()
                if time.monotonic() - kept >= _KEEP_SECONDS:
                    self.keep()
                    kept = time.monotonic()
        finally:
            self.keep()

    def _search(self, start: int, data: bytes) -> bool:
        """Take in every block in the bytes from ``start`` on; whether there is any."""
        found = self._blocks.find(data)
        if len(found):
            self._take(found.sectors * SECTOR + start, found)
        return len(found) > 0

    def _read_piecemeal(self, start: int, length: int) -> int:
        """Read of a piece that cannot be read whole every cell that can; returns how many cannot."""
        unread = 0
        for place in range(start, start + length, CELL):
            wanted = self._place_of(place // CELL)
            data = self._sectors.read(*wanted)
            if data is None:
                unread += 1
                self.progress.unread += 1
            else:
                self._search(place, data)
        return unread

    # -- what the set says -------------------------------------------------------------------------------------------

    def _fragment(self, run: Run) -> Fragment:
        rows = np.array([run.record], dtype=np.int64)
        category = self._hashset.categories(rows)[0]
        media_id = self._hashset.records.media_ids(rows)[0]
        size = self._hashset.records.sizes(rows)[0] or 0
        return Fragment(
            run.offset, run.record, run.first, run.blocks, size // self._blocks.size, media_id,
            category.code, category.label, category.scheme,
        )  # fmt: skip

    def _say(self) -> None:
        self._show(self.progress)
