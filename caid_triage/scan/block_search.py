"""Blocks of known files in the bytes of a source that belong to no whole file: what a scan with a block set looks for.

Beside the files, and after them: which bytes those are depends on what came of every file. The bytes come from the
process that reads the evidence; they are compared here, in the coordinator: hash lists are personal data, and no other
process has any of it (docs/decisions/0047). What is searched is a list of ranges worked out from the stored case and
the source alone, and read in its order, so nothing depends on workers, executor, or where an earlier run was stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from caid_triage.case.block_search import BlockSearch, FoundFragment
from caid_triage.case.sampling import Fragment
from caid_triage.case.store import CaseWriter
from caid_triage.errors import EvidenceError
from caid_triage.evidence.carve.carving import entry_of_ranges
from caid_triage.evidence.ledger import SEARCHED
from caid_triage.evidence.source import EvidenceSource
from caid_triage.evidence.spare import Content
from caid_triage.evidence.steps import LEFT_OUT
from caid_triage.hashset.block_hash import SECTOR
from caid_triage.match.fragments import Run, joined, runs_of
from caid_triage.model import Problem, SourceInfo
from caid_triage.scan.rematch import hashset_facts
from caid_triage.scan.spare_map import Numbers, SpareMap, Stretch, stretches, together

if TYPE_CHECKING:
    from caid_triage.hashset.blocks import BlockSet
    from caid_triage.hashset.store import HashSet

_CELL = 4096
_KEEP_SECONDS, _KEEP_SHARE, _MOST_KEEP_SECONDS = 20.0, 20, 600.0
"""Storing begins so many seconds after the last, or so many times what that took (all that was found is written), and
not later than the last of these: a search that is killed loses no more."""
_MOST_ASKED = 4096
_FIRST_NUMBER = 1 << 48
"""What is read is called by numbers that no entry of a walk has, where a process dies of it."""
_NO_USE = frozenset((*LEFT_OUT, "parser-gave-up"))
_LARGE_FACTS = ("scheme_file", "sources", "stated")


def set_facts(hashset: HashSet) -> dict[str, Any]:
    """What a case keeps of a block set beside what was found with it."""
    facts = {**hashset_facts(hashset), "blocks": hashset.manifest.get("blocks")}
    return {name: value for name, value in facts.items() if name not in _LARGE_FACTS}


@dataclass(slots=True)
class _OfSet:
    """The search for the blocks of one set: where runs of them stand, by volume ("": on the source), and the hits that
    were not put together yet: (site, sites' bytes, records, numbers)."""

    hashset: HashSet
    blocks: BlockSet
    search: BlockSearch
    runs: dict[str, list[Run]] = field(default_factory=dict)
    fresh: list[tuple[int, Numbers, Numbers, Numbers]] = field(default_factory=list)


class BlockLook:
    """One look through one source for the blocks of sets."""

    def __init__(
        self,
        source: EvidenceSource,
        case: CaseWriter,
        source_id: int,
        hashsets: Sequence[HashSet],
        *,
        free_space: bool,
    ) -> None:
        """``hashsets`` all hold blocks; ``free_space``: the profile searches that for files too."""
        self._source, self._case = source, case
        self._free_space = free_space
        self._number = _FIRST_NUMBER
        pairs = [(one, one.blocks) for one in hashsets]
        sizes = [blocks.size for _, blocks in pairs if blocks is not None]
        self._reach = max(sizes) - SECTOR
        whole, damaged = case.whole_and_damaged(source_id)
        self._map = SpareMap(
            source.spare(
                [Content(one.locator, one.in_use) for one in whole],
                [Content(one.locator, one.in_use) for one in damaged],
            ),
            min(sizes),
        )
        plan = self._map.plan(self._reach)
        self._sets = [self._taken_up(one, blocks, plan) for one, blocks in pairs if blocks is not None]
        if len({one.search.searched for one in self._sets}) > 1:  # a set is new: all of them from the beginning
            for one in self._sets:
                one.search.searched = one.search.unread = 0
                one.runs = {}

    def _taken_up(self, hashset: HashSet, blocks: BlockSet, plan: str) -> _OfSet:
        info = self._source.info
        search = BlockSearch(info.exhibit, info.source, set_facts(hashset), plan, self._free_space, self._map.size)
        stored = self._case.block_search_of(info.exhibit, info.source, hashset.generation)
        made = _OfSet(hashset, blocks, search)
        if stored is not None and stored[0].plan == plan:
            made.search = replace(search, searched=stored[0].searched, unread=stored[0].unread, id=stored[0].id)
            for found in stored[1]:
                one = found.fragment
                made.runs.setdefault(found.volume, []).append(Run(one.offset, one.record, one.first_block, one.blocks))
        return made

    @property
    def size(self) -> int:
        """Bytes to look at."""
        return self._map.size

    @property
    def searched(self) -> int:
        """Of them those that were looked at."""
        return self._sets[0].search.searched

    @property
    def unread(self) -> int:
        """Of these those that could not be read."""
        return self._sets[0].search.unread

    @property
    def complete(self) -> bool:
        """Whether nothing is left to look at."""
        return self.searched >= self.size

    @property
    def is_stored(self) -> bool:
        """Whether the case has how far the search is."""
        return all(one.search.id for one in self._sets)

    def run(self, is_due: Callable[[], bool], show: Callable[[], None]) -> bool:
        """Search on to the end, or to the moment to stop; whether the end was reached. All is stored in the case."""
        due = time.monotonic() + _KEEP_SECONDS
        behind = 0
        try:
            for batch in together(stretches(self._map.spans, self._reach)):
                behind += sum(one.body for one in batch)
                if behind <= self.searched:
                    continue
                if is_due():
                    break
                unread = self._look(batch)
                for one in self._sets:
                    one.search.searched = behind
                    one.search.unread += unread
                show()
                began = time.monotonic()
                if began >= due:
                    self._keep()
                    ended = time.monotonic()
                    due = ended + min(max(_KEEP_SECONDS, _KEEP_SHARE * (ended - began)), _MOST_KEEP_SECONDS)
        finally:
            self._keep()
        return self.complete

    # ------------------------------------------------------------ reading and looking

    def _look(self, batch: list[Stretch]) -> int:
        """Take in the blocks that stand in stretches; how many bytes of them could not be read."""
        read: list[tuple[Stretch, bytes]] = []
        unread = self._read(batch, read)
        if read:
            self._find([one for one, _ in read], b"".join(data for _, data in read) if len(read) > 1 else read[0][1])
        return unread

    def _read(self, batch: list[Stretch], read: list[tuple[Stretch, bytes]]) -> int:
        """Add to ``read`` what can be read of stretches, in whole sectors; how many bytes of their bodies cannot."""
        try:
            data = self._bytes_of(batch)
        except EvidenceError as error:
            if error.code in _NO_USE:
                return sum(one.body for one in batch)
        else:
            if len(batch) == 1:
                read.append((batch[0], data))
                return 0
            at = 0
            for one in batch:
                read.append((one, data[at : at + one.length]))
                at += one.length
            return 0
        if len(batch) > 1:
            return sum(self._read([one], read) for one in batch)
        return self._read_piecemeal(batch[0], read)

    def _bytes_of(self, batch: list[Stretch]) -> bytes:
        """Errors: EvidenceError where any of the bytes cannot be read."""
        self._number += 1
        extents = [(one.offset, one.length) for one in batch]
        entry = entry_of_ranges(self._source.info, self._number, batch[0].site, extents)
        return self._source.read_at(entry, 0, entry.size or 0)

    def _read_piecemeal(self, one: Stretch, read: list[tuple[Stretch, bytes]]) -> int:
        """Of a stretch every sector that can be read, those that follow each other as one."""
        unread = 0
        pieces: list[bytes] = []
        begin = 0

        def closed(end: int) -> None:
            if pieces:
                length = end - begin
                body = max(0, min(one.body - begin, length))
                read.append((Stretch(one.site, one.offset + begin, length, body), b"".join(pieces)))
                pieces.clear()

        for cell in range(0, one.length, _CELL):
            length = min(_CELL, one.length - cell)
            for at, data in self._sectors_of(one, cell, length):
                if data is None:
                    closed(at)
                    unread += SECTOR if at < one.body else 0
                    continue
                if not pieces:
                    begin = at
                pieces.append(data)
        closed(one.length)
        return unread

    def _sectors_of(self, one: Stretch, cell: int, length: int) -> Iterator[tuple[int, bytes | None]]:
        """A cell of a stretch as (place in it, bytes), in one or sector by sector; None of one that is unreadable."""
        for step in (length, SECTOR):
            whole: list[tuple[int, bytes | None]] = []
            for at in range(cell, cell + length, step):
                try:
                    data = self._bytes_of([Stretch(one.site, one.offset + at, step, step)])
                except EvidenceError:
                    whole.append((at, None))
                else:
                    whole.append((at, data))
            if step == SECTOR or whole[0][1] is not None:
                yield from whole
                return

    def _find(self, each: list[Stretch], data: bytes) -> None:
        """Take in the blocks that stand in stretches whose bytes lie end to end in ``data``."""
        sectors = np.array([one.length // SECTOR for one in each], dtype=np.int64)
        bases = np.cumsum(sectors) - sectors
        offsets = np.array([one.offset for one in each], dtype=np.int64)
        bodies = np.array([one.body // SECTOR for one in each], dtype=np.int64)
        for of_set in self._sets:
            size = of_set.blocks.size
            counts = np.maximum(np.minimum(bodies, sectors - size // SECTOR + 1), 0)
            starts = None  # of one range all its sectors, as nearly always
            if len(each) > 1 or counts[0] != max(int(sectors[0]) - size // SECTOR + 1, 0):
                within = np.arange(int(counts.sum()), dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)
                starts = np.repeat(bases, counts) + within
            found = of_set.blocks.find(data, starts)
            if len(found):
                of = np.searchsorted(bases, found.sectors, side="right") - 1
                places = offsets[of] + (found.sectors - bases[of]) * SECTOR
                of_set.fresh.append((each[0].site, places, found.records, found.numbers))

    # ------------------------------------------------------------ placing and keeping

    def _keep(self) -> None:
        for one in self._sets:
            self._settle(one)
            one.hashset.check_unchanged()
        self._case.keep_block_searches([(one.search, self._found(one)) for one in self._sets])

    def _settle(self, one: _OfSet) -> None:
        """Put the hits that were taken in together with the runs there were, each at its place."""
        if not one.fresh:
            return
        size = one.blocks.size
        for site in sorted({place for place, *_ in one.fresh}):
            columns = zip(*(hits for place, *hits in one.fresh if place == site), strict=True)
            places, records, numbers = (np.concatenate(list(column)) for column in columns)
            for volume, runs in self._placed(site, runs_of(places, records, numbers, size), size).items():
                one.runs[volume] = joined([*one.runs.get(volume, ()), *runs], size)
        one.fresh = []

    def _placed(self, site: int, runs: list[Run], size: int) -> dict[str, list[Run]]:
        """Runs of a site by the volume that their places count in: "" where they stand on the source as they are."""
        if site == 0:
            return {"": runs}
        found: dict[str, list[Run]] = {}
        waiting = list(runs)
        apart: list[Run] = [] if self._map.is_placed(site) else waiting
        while waiting and self._map.is_placed(site):
            asked, waiting = waiting[:_MOST_ASKED], waiting[_MOST_ASKED:]
            spans = [(run.offset, run.blocks * size) for run in asked]
            for run, place in zip(asked, self._source.places(site, spans), strict=True):
                if place is not None:
                    found.setdefault("", []).append(replace(run, offset=place))
                elif run.blocks == 1:
                    apart.append(run)
                else:  # it may lie in two pieces of the volume that stand apart: each half by itself
                    half = run.blocks // 2
                    waiting.append(replace(run, blocks=half))
                    waiting.append(Run(run.offset + half * size, run.record, run.first + half, run.blocks - half))
        single = [
            Run(run.offset + number * size, run.record, run.first + number, 1)
            for run in apart
            for number in range(run.blocks)
        ]
        volumes, _ = self._map.whose(site, np.array([run.offset for run in single], dtype=np.int64))
        for volume, run in zip(volumes, single, strict=True):
            found.setdefault(volume, []).append(run)
        return {volume: joined(listed, size) for volume, listed in found.items()}

    def _found(self, one: _OfSet) -> list[FoundFragment]:
        """The fragments found so far: on the source, then volume by volume, in the order of their places."""
        sites = {group.volume: site for site in sorted(self._map.groups) if site for group in self._map.groups[site]}
        found = []
        for volume in sorted(one.runs):
            runs = one.runs[volume]
            kinds = [""] * len(runs)
            if volume:
                kinds = self._map.whose(sites[volume], np.array([run.offset for run in runs], dtype=np.int64))[1]
                kinds = [SEARCHED.get(kind, kind) if self._free_space else kind for kind in kinds]
            found += [
                FoundFragment(volume, kind, fragment_of(one.hashset, run, one.blocks.size))
                for run, kind in zip(runs, kinds, strict=True)
            ]
        return found


def fragment_of(hashset: HashSet, run: Run, size: int) -> Fragment:
    """A run of blocks of ``size`` bytes with what its set says of the file."""
    rows = np.array([run.record], dtype=np.int64)
    category = hashset.categories(rows)[0]
    length = hashset.records.sizes(rows)[0] or 0
    return Fragment(
        run.offset, run.record, run.first, run.blocks, length // size, hashset.records.media_ids(rows)[0],
        category.code, category.label, category.scheme,
    )  # fmt: skip


def not_looked_at(info: SourceInfo, reason: str, look: BlockLook) -> Problem:
    """What a scan that was stopped has not looked through: the Problem ``stopped-early``."""
    detail = (
        f"the scan was stopped early, {reason}: all files were examined, and {look.searched:,} of {look.size:,} bytes "
        "that belong to no whole file were looked through for parts of known ones. Run the same scan without "
        "--stop-after: it goes on"
    )
    return Problem("walk", "stopped-early", detail, exhibit=info.exhibit, source=info.source)


def not_begun(info: SourceInfo, reason: str) -> Problem:
    """What a scan has not done that was stopped on its way to the search, all files having been examined before."""
    detail = (
        f"the scan was stopped early, {reason}: an earlier one has examined all files, and what belongs to no whole "
        "file was not looked through for parts of known ones, or not to its end. Run the same scan without "
        "--stop-after: it goes on"
    )
    return Problem("walk", "stopped-early", detail, exhibit=info.exhibit, source=info.source)
