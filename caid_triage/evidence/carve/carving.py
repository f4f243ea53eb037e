"""Carving of one disk: where to look, what was found as FileEntries, how to read those, and the account of the bytes.

What was found is kept, so that a second walk of the same source costs nothing and gives the same entries.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from caid_triage.errors import EvidenceError
from caid_triage.evidence.carve.beside import SearchBeside
from caid_triage.evidence.carve.ext_blocks import ExtBlocks
from caid_triage.evidence.carve.free_space import FreeSpace, free_space
from caid_triage.evidence.carve.search import MOST_FILES, Area, Carved, Search
from caid_triage.evidence.carve.space import Space, cut_extents
from caid_triage.evidence.faults import check_range, evidence_faults
from caid_triage.evidence.file_system import OpenFileSystem
from caid_triage.evidence.partitions import ReadAt
from caid_triage.evidence.ranges import Range, clipped, merged, total, without
from caid_triage.model import FileEntry, Problem, Searching, Severity, State, Volume

MODES = ("none", "fast", "thorough")
"""not searched; on sector starts; at every place, with what lies in two pieces put together."""
PIECE = 1 << 20
_MARK = -1  # the first number of a carved entry's locator; that of a walked one is its volume's place
# Volumes whose bytes are their own: their free space, if any, is told by their file systems.
_TAKEN = frozenset(("examined", "encrypted", "possibly-encrypted", "unwrapped", "unlocked", "empty"))
_REMARKS = {
    "partial": ("carved-partial", "the beginning of a file, up to the place where its structure breaks"),
    "joined": ("carved-joined", "put together of {count} pieces that lie apart, whose structure fits"),
    "doubtful": ("carved-doubtful", "its data stops making sense at byte {fault}: the rest may be another file's"),
}


@dataclass(frozen=True, slots=True)
class SearchedSpace:
    """The bytes that no file system's file has, by kind: ranges that are sorted and share no byte."""

    unallocated: list[Range]
    unpartitioned: list[Range]
    not_understood: list[Range]


@dataclass(slots=True)
class Carving:
    """The carving of a disk of ``size`` bytes, read through ``read``; ``mode`` is one of MODES.

    ``volumes`` and ``systems`` are those that lie on the disk itself, ``table_areas`` (offset, length) what is neither
    theirs nor to be searched, ``lost`` the ranges that the image is known not to have.
    """

    read: ReadAt
    size: int
    mode: str
    exhibit: str
    source: str
    volumes: Sequence[Volume]
    systems: Sequence[OpenFileSystem | None]
    table_areas: Sequence[tuple[int, int]]
    lost: list[Range] = field(default_factory=list)
    _free: list[tuple[OpenFileSystem, FreeSpace]] | None = None
    _found: list[Carved] | None = None
    _beside: SearchBeside | None = None
    _running: Search | None = None
    _to_search: int = 0
    _seconds: float = 0.0  # that a search beside has taken
    _problems: list[Problem] = field(default_factory=list)
    _unreadable: list[Range] = field(default_factory=list)

    # ------------------------------------------------------------ where

    def _free_spaces(self) -> list[tuple[OpenFileSystem, FreeSpace]]:
        """The free space of each open file system; of bytes that two of them claim, the first's word counts."""
        if self._free is None:
            self._free = []
            taken: list[Range] = []
            for system in self.systems:
                if system is None:
                    continue
                space = free_space(system, self.read)
                ranges = without(clipped(space.ranges, 0, self.size), taken)
                self._free.append((system, FreeSpace(ranges, space.block, space.fault)))
                taken = merged([*taken, (system.volume.offset, system.volume.offset + system.volume.length)])
        return self._free

    def space(self) -> SearchedSpace:
        """What there is to search."""
        extents = [(volume.offset, volume.offset + volume.length, volume.status) for volume in self.volumes]
        readable = merged((a, b) for a, b, status in extents if status in _TAKEN)
        other = merged((a, b) for a, b, status in extents if status in ("not-understood", "unreadable"))
        tables = merged((start, start + length) for start, length in self.table_areas)
        whole = [(0, self.size)]
        unallocated = merged(one for _, free in self._free_spaces() for one in free.ranges)
        return SearchedSpace(
            unallocated,
            without(whole, merged([*readable, *other, *tables])),
            clipped(without(other, readable), 0, self.size),
        )

    def _areas(self) -> list[Area]:
        """The areas in the order of the volumes, then what lies in no partition."""
        areas = []
        space = self.space()
        free = {id(system): one for system, one in self._free_spaces()}
        rest = space.not_understood
        for volume, system in zip(self.volumes, self.systems, strict=True):
            if system is not None:
                found = free[id(system)]
                areas.append(Area(volume.name, tuple(found.ranges), found.block))
            elif volume.status in ("not-understood", "unreadable"):
                mine = [(volume.offset, volume.offset + volume.length)]
                areas.append(Area(volume.name, tuple(clipped(rest, *mine[0])), (512, volume.offset)))
                rest = without(rest, mine)
        areas.append(Area("", tuple(space.unpartitioned)))
        return areas

    # ------------------------------------------------------------ what

    def _search(self) -> list[Carved]:
        if self._found is not None:
            return self._found
        beside = self._beside
        with beside.turn if beside is not None else nullcontext():
            areas = self._areas()
        space = Space(self.read if beside is None else beside.reading(self.read), self.size)
        self._to_search = sum(total(area.ranges) for area in areas)
        self._running = search = Search(space, thorough=self.mode == "thorough")
        found = search.run([self._with_maps(area, space) for area in areas])
        self._unreadable = space.unreadable
        self._problems = list(self._faults(search))
        self._found = found
        if beside is not None:
            self._seconds = time.monotonic() - beside.began
        return found

    def _with_maps(self, area: Area, space: Space) -> Area:
        """The area with its volume's old block maps, where its file system keeps such."""
        for system in self.systems:
            if system is not None and system.volume.name == area.volume and system.kind in ("ext2", "ext3"):
                count = system.volume.length // system.block_size
                maps = ExtBlocks(space, system.volume.offset, system.block_size, count)
                return Area(area.volume, area.ranges, area.block, maps)
        return area

    def _faults(self, search: Search) -> Iterator[Problem]:
        for system, free in self._free_spaces():
            if free.fault:
                detail = f"{free.fault}; the free space of this volume was not searched"
                yield self._problem("free-space-unknown", detail, Severity.NOTE, system.volume.name)
        if self._unreadable:
            detail = f"{total(self._unreadable)} bytes of the space searched for deleted files could not be read"
            yield self._problem("source-unreadable", detail, Severity.PROBLEM)
        if search.full:
            detail = f"more than {MOST_FILES} files were found by carving; the search was ended there"
            yield self._problem("carving-limit", detail, Severity.PROBLEM)
        if search.short:
            detail = "so many beginnings of files came to nothing that some were not followed as far as usual"
            yield self._problem("carving-limit", detail, Severity.NOTE)

    def _problem(self, code: str, detail: str, severity: Severity, volume: str = "", path: str = "") -> Problem:
        return Problem("walk", code, detail, severity, self.exhibit, self.source, volume, path)

    def search_beside(self, turn: AbstractContextManager[object]) -> SearchBeside | None:
        """A search to be begun now, whose end :meth:`waited` tells; None where nothing is to be searched (any more)."""
        if self.mode == "none" or self._found is not None:
            return None
        self._beside = SearchBeside(turn, self._search)
        return self._beside

    def progress(self) -> Searching:
        """How far the search is."""
        searched = 0 if self._running is None else min(self._running.searched, self._to_search)
        beside, seconds = self._beside, self._seconds
        if beside is not None and not seconds:
            seconds = time.monotonic() - beside.began
        return Searching(searched, self._to_search, seconds)

    def waited(self, known: Mapping[int, int]) -> Iterator[Searching]:
        """While a search that was begun beside still runs: how far it is. Then, once, what it found."""
        if self._beside is None:
            return
        while not self._beside.finished:
            yield self.progress()
        told = self.progress()
        self._beside = None
        sizes = [one.size for one in self._listed(known)]
        yield Searching(told.total, told.total, told.seconds, len(sizes), sum(sizes))

    def _listed(self, known: Mapping[int, int]) -> Iterator[Carved]:
        """What was carved but for the deleted files met by name (:meth:`entries`)."""
        for one in self._search():
            size = known.get(one.start)
            if size is None or (size != one.size and one.remark != "partial"):
                yield one

    def entries(self, known: Mapping[int, int], number: int) -> Iterator[FileEntry | Problem]:
        """What was carved as entries numbered from ``number``.

        ``known`` are the deleted files met by name, first byte to size: what begins at such a place and is the same, or
        only a part, is that file and not listed again.
        """
        if self.mode == "none":
            return
        for one in self._listed(known):
            path = f"/$Carved/{one.volume or 'unpartitioned'}/{one.start:014d}.{one.suffix}"
            problems: tuple[Problem, ...] = ()
            if one.remark:
                code, detail = _REMARKS[one.remark]
                detail = detail.format(count=len(one.extents), fault=one.fault)
                problems = (self._problem(code, detail, Severity.NOTE, one.volume, path),)
            locator = (_MARK, *(number for extent in one.extents for number in extent))
            yield FileEntry(
                self.exhibit, self.source, one.volume, number, path, path.encode(), State.CARVED, one.size,
                physical_offset=one.start, locator=locator, problems=problems,
            )  # fmt: skip
            number += 1
        yield from self._problems

    # ------------------------------------------------------------ the account

    def account(self, totals: dict[str, int]) -> dict[str, int]:
        """The bytes by kind with the free space told apart, and what was searched; the sum stays the same."""
        space = self.space()
        counted = dict(totals)
        searched = self._found is not None
        met = without(self._unreadable, self.lost)
        for kind, base, all_ranges in (
            ("unallocated", "file_system", space.unallocated),
            ("unpartitioned", "unpartitioned", space.unpartitioned),
            ("not_understood", "not_understood", space.not_understood),
        ):
            ranges = without(all_ranges, self.lost)  # what the image does not have counts as that already
            bad = [part for one in met for part in clipped(ranges, *one)]
            whole, lost = total(ranges), total(bad)
            if kind == "not_understood":  # a volume whose beginning cannot be read was told as unreadable
                moved = min(whole, counted[base])
                counted[base] -= moved
                if searched:
                    counted["unreadable"] -= whole - moved
                else:
                    whole = moved
            else:
                counted[base] -= whole
            counted[f"{kind}_searched" if searched else kind] += whole - lost
            counted["unreadable"] += lost
        return counted


def is_carved(entry: FileEntry) -> bool:
    """Whether an entry is one of :meth:`Carving.entries`."""
    return entry.state is State.CARVED and entry.locator[:1] == (_MARK,)


def met_by_name(item: FileEntry | Problem, known: dict[int, int]) -> None:
    """Remember where a deleted file that was met by its name begins; the first MOST_FILES of them."""
    if (
        isinstance(item, FileEntry)
        and item.state is not State.ALLOCATED
        and item.physical_offset is not None
        and item.readable
        and item.size is not None
        and len(known) < MOST_FILES
    ):
        known.setdefault(item.physical_offset, item.size)


def carved_chunks(read: ReadAt, entry: FileEntry) -> Iterator[bytes]:
    """The content of a carved entry in pieces of at most 1 MiB. Errors: EvidenceError (step "read") at a fault."""
    for offset, length in _extents(entry):
        for at in range(offset, offset + length, PIECE):
            yield _exactly(read, at, min(PIECE, offset + length - at))


def carved_at(read: ReadAt, entry: FileEntry, offset: int, length: int) -> bytes:
    """Exactly ``length`` bytes of a carved entry from ``offset``. Errors: EvidenceError (step "read")."""
    check_range(offset, length, entry.size or 0)
    pieces = []
    for start, size in cut_extents(_extents(entry), offset + length):
        if offset < size:
            taken = size - offset
            pieces.append(_exactly(read, start + offset, taken))
            offset = 0
        else:
            offset -= size
    return b"".join(pieces)


def _extents(entry: FileEntry) -> list[tuple[int, int]]:
    return list(zip(entry.locator[1::2], entry.locator[2::2], strict=True))


def _exactly(read: ReadAt, offset: int, length: int) -> bytes:
    with evidence_faults("read", "read-failed", f"the disk could not be read at byte {offset}"):
        data = read(offset, length)
    if len(data) < length:
        raise EvidenceError("read", "short-read", f"the disk ended after {offset + len(data)} bytes")
    return data
