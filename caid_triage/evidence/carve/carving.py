"""Carving of one site: where to look, what was found as FileEntries, and how to read those.

A site is the disk or the inside of a volume (site.py). What was found is kept, so that a second walk of the same source
costs nothing and gives the same entries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice

import numpy as np

from caid_triage.errors import EvidenceError
from caid_triage.evidence.account import Inside
from caid_triage.evidence.carve.beside import SearchBeside
from caid_triage.evidence.carve.ext_blocks import ExtBlocks
from caid_triage.evidence.carve.free_space import FreeSpace, free_space, free_space_of_apfs
from caid_triage.evidence.carve.search import MOST_FILES, Area, Carved, Search
from caid_triage.evidence.carve.site import Remainder, Site
from caid_triage.evidence.carve.slack import NO_SLACK, Slack, SlackRoll, header_places
from caid_triage.evidence.carve.space import Space, cut_extents
from caid_triage.evidence.faults import check_range, evidence_faults
from caid_triage.evidence.file_system import OpenFileSystem
from caid_triage.evidence.layers.library_fs import LibraryFileSystem
from caid_triage.evidence.layers.view import spans_on_source
from caid_triage.evidence.ledger import Ranges
from caid_triage.evidence.own_areas import OwnAreas, own_areas
from caid_triage.evidence.partitions import ReadAt
from caid_triage.evidence.ranges import Range, clipped, merged, total, without
from caid_triage.evidence.steps import NOBODY, LeftOut, Step, Steps
from caid_triage.model import INSIDE, FileEntry, Problem, Severity, SourceInfo, State, Volume

MODES = ("none", "fast", "thorough")
"""not searched; on sector starts; at every place, with what lies in two pieces put together."""
PIECE = 1 << 20
_MARK = -1  # the first number of a carved entry's locator, less its site's; that of a walked one is its volume's place
_MOST_PLACES = 4 * MOST_FILES
_REMARKS = {
    "partial": ("carved-partial", "the beginning of a file, up to the place where its structure breaks"),
    "joined": ("carved-joined", "put together of {count} pieces that lie apart, whose structure fits"),
    "doubtful": ("carved-doubtful", "its data stops making sense at byte {fault}: the rest may be another file's"),
}


Met = set[tuple[str, tuple[Range, ...]]]
"""What was carved by its ending and its place on the source (:meth:`Site.place_of`)."""


@dataclass(frozen=True, slots=True)
class SearchedSpace:
    """The bytes that no file system's file has, by kind: ranges that are sorted and share no byte."""

    unallocated: list[Range]
    unpartitioned: list[Range]
    not_understood: list[Range]

    def all(self) -> tuple[list[Range], list[Range], list[Range]]:
        """The three of them."""
        return self.unallocated, self.unpartitioned, self.not_understood


@dataclass(slots=True)
class Carving:
    """The carving of one site, read through ``read``; ``mode`` is one of MODES."""

    site: Site
    read: ReadAt
    mode: str
    exhibit: str
    source: str
    steps: Steps = NOBODY
    _free: list[tuple[int, Volume, FreeSpace]] | None = None
    _left: list[Range] | None = None
    _found: list[Carved] | None = None
    _slack: dict[int, Slack] = field(default_factory=dict)
    _owners: dict[int, tuple[str, bytes]] = field(default_factory=dict)
    _running: Search | None = None
    _to_search: int = 0
    _problems: list[Problem] = field(default_factory=list)
    _unreadable: list[Range] = field(default_factory=list)
    _not_told: list[Problem] = field(default_factory=list)  # of volumes whose free space was not asked for
    _gave_up: bool = False

    # ------------------------------------------------------------ where

    def _free_spaces(self) -> list[tuple[int, Volume, FreeSpace]]:
        """The free space of each open file system; of bytes that two of them claim, the first's word counts."""
        if self._free is None:
            self._free = []
            taken = self.left_out()
            for place, one in self.site.opened:
                volume = one.volume
                try:
                    if one.system is not None:
                        self.steps.at(Step.SPACE, self.site.number, place)
                        space = free_space(one.system, self.read)
                    elif volume.name in self.site.shared:
                        self.steps.at(Step.SPACE, self.site.number, place)
                        space = free_space_of_apfs(volume, self.read)
                    else:
                        continue
                except LeftOut as error:
                    space = FreeSpace([], (512, volume.offset), error.detail)
                    self._not_told.append(self._problem(error.code, error.detail, Severity.PROBLEM, volume.name))
                ranges = without(clipped(space.ranges, 0, self.site.size), taken)
                self._free.append((place, one.volume, FreeSpace(ranges, space.block, space.fault)))
                taken = merged([*taken, (one.volume.offset, one.volume.offset + one.volume.length)])
        return self._free

    def left_out(self) -> list[Range]:
        """What of the site is not searched: it lies on another disk, was never written, or the site around has it."""
        if self._left is None:
            only = self.site.only
            self._left = [] if only is None else without([(0, self.site.size)], only)
        return self._left

    def _remainders(self) -> dict[str, Remainder]:
        """What there is to search beside free space by the name of a volume ("" for none), each byte once."""
        left_out = self.left_out()
        return {
            name: Remainder(without(one.unpartitioned, left_out), without(one.not_understood, left_out))
            for name, one in self.site.remainders().items()
        }

    def space(self) -> SearchedSpace:
        """What there is to search beside slack."""
        rest = self._remainders().values()
        return SearchedSpace(
            merged(one for _, _, free in self._free_spaces() for one in free.ranges),
            merged(part for one in rest for part in one.unpartitioned),
            merged(part for one in rest for part in one.not_understood),
        )

    def _areas(self, space: Space, search: Search, rolls: Mapping[int, SlackRoll]) -> Iterator[Area]:
        """The areas in the order of the volumes, each one's slack behind its free space; last what lies in none."""
        rest = self._remainders()
        free = {place: one for place, _, one in self._free_spaces()}
        cuts = frozenset(start for start, _ in self.left_out())
        for place, one in self.site.opened:
            volume, found = one.volume, free.get(place)
            if found is not None:
                yield Area(volume.name, tuple(found.ranges), found.block, _maps(one.system, space), cuts=cuts)
                if isinstance(one.system, OpenFileSystem) and place in rolls:
                    yield from self._slack_area(place, one.system, rolls[place], space, search)
            elif volume.name in rest:
                ranges = merged([*rest[volume.name].unpartitioned, *rest[volume.name].not_understood])
                yield Area(volume.name, tuple(ranges), (512, volume.offset), cuts=cuts)
        name = self.site.opened[0][1].volume.name if self.site.number else ""
        yield Area(name, tuple(rest[""].unpartitioned), cuts=cuts)

    def _slack_area(
        self, place: int, system: OpenFileSystem, roll: SlackRoll, space: Space, search: Search
    ) -> Iterator[Area]:
        """The places in a file system's slack where headers stand, with its free space: a file may go on there."""
        taken = [*self.left_out()]
        for other, before, free in self._free_spaces():
            taken += free.ranges
            if other < place:
                taken.append((before.offset, before.offset + before.length))
        volume = system.volume
        end = min(volume.offset + volume.length, self.site.size)
        slack = self._slack[place] = roll.slack(volume.offset, end, merged(taken))
        looked_at = slack if self.mode == "thorough" else slack.on_sectors()
        found = header_places(space, looked_at, thorough=self.mode == "thorough")
        places = tuple(islice(found, _MOST_PLACES))
        search.searched_elsewhere(looked_at.size)
        self._to_search += looked_at.size
        search.full = search.full or next(found, None) is not None
        if places:
            mine = next(free for other, _, free in self._free_spaces() if other == place)
            pieces = (looked_at.piece_at(one) for one in places)
            ranges = merged([*mine.ranges, *(piece[:2] for piece in pieces if piece is not None)])
            yield Area(volume.name, tuple(ranges), mine.block, places=places)

    # ------------------------------------------------------------ what

    @property
    def outstanding(self) -> bool:
        """Whether the site is still to be searched."""
        return self.mode != "none" and self._found is None

    def progress(self) -> tuple[int, int]:
        """(bytes searched, bytes to search), as far as that is known."""
        return (0 if self._running is None else min(self._running.searched, self._to_search)), self._to_search

    def search(self, rolls: Mapping[int, SlackRoll], beside: SearchBeside | None = None) -> list[Carved]:
        """What there is of files, by area and place; searched once.

        ``rolls`` are the slack that a walk noted, by the place of its volume. With ``beside`` in turn with others that
        read.
        """
        if self._found is not None:
            return self._found
        try:
            self.steps.at(Step.SITE, self.site.number)
            self._found = self._searched_through(rolls, beside)
        except LeftOut as error:
            detail = f"{error.detail}; the free space of this part of the source was not searched"
            self._problems = [self._problem(error.code, detail, Severity.PROBLEM)]
            self._gave_up, self._found = True, []
        finally:
            self.steps.at(Step.IDLE)
        return self._found

    def _searched_through(self, rolls: Mapping[int, SlackRoll], beside: SearchBeside | None) -> list[Carved]:
        with nullcontext() if beside is None else beside.turn:  # the maps of free space are read here
            self._to_search = sum(total(ranges) for ranges in self.space().all())
        if beside is None:
            space = Space(self._read_told, self.site.size, self.steps.goes_on)
        else:
            space = Space(beside.reading(self._read_told), self.site.size, partial(self._checked, beside))
        self._running = search = Search(space, thorough=self.mode == "thorough")
        found = search.run(self._areas(space, search, rolls))
        for one in found:
            if one.in_slack:
                place, owner = next(
                    (place, piece[2])
                    for place, slack in self._slack.items()
                    if (piece := slack.piece_at(one.start)) is not None
                )
                self._owners[one.start] = rolls[place].owner(owner)
        self._unreadable = without(space.unreadable, self.left_out())  # it reads in blocks, over the edge of a hole
        self._problems = [*self._faults(search), *self._not_told]
        return found

    def _read_told(self, offset: int, length: int) -> bytes:
        """A read of the search, which says where it is. OSError where that place is left out."""
        self.steps.searches(self.site.number, offset)
        return self.read(offset, length)

    def _checked(self, beside: SearchBeside) -> None:
        beside.check()
        self.steps.goes_on()

    def _faults(self, search: Search) -> Iterator[Problem]:
        for _, volume, free in self._free_spaces():
            if free.fault:
                what = "free space told of there alone" if free.ranges else "the free space of this volume"
                detail = f"{free.fault}; {what} was not searched"
                yield self._problem("free-space-unknown", detail, Severity.NOTE, volume.name)
        if self._unreadable:
            detail = f"{total(self._unreadable)} bytes of the space searched for deleted files could not be read"
            name = self.site.opened[0][1].volume.name if self.site.number else ""
            yield self._problem("source-unreadable", detail, Severity.PROBLEM, name)
        if search.full:
            detail = f"more than {MOST_FILES} files were found by carving; the search was ended there"
            yield self._problem("carving-limit", detail, Severity.PROBLEM)
        if search.short:
            detail = "so many beginnings of files came to nothing that some were not followed as far as usual"
            yield self._problem("carving-limit", detail, Severity.NOTE)

    def _problem(self, code: str, detail: str, severity: Severity, volume: str = "", path: str = "") -> Problem:
        return Problem("walk", code, detail, severity, self.exhibit, self.source, volume, path)

    def listed(
        self, known: Mapping[int, int], rolls: Mapping[int, SlackRoll], met: Met | None = None
    ) -> Iterator[Carved]:
        """What was carved but for the deleted files met by name and those ``met`` on sites before (:meth:`entries`)."""
        for one in self.search(rolls):
            place = None if met is None else self.site.place_of(one.extents)
            if met is not None and place is not None:
                if (one.suffix, place) in met:
                    continue
                met.add((one.suffix, place))
            size = known.get(one.start)
            if size is None or (size != one.size and one.remark != "partial"):
                yield one

    def entries(
        self,
        known: Mapping[int, int],
        number: int,
        rolls: Mapping[int, SlackRoll] | None = None,
        met: Met | None = None,
    ) -> Iterator[FileEntry | Problem]:
        """What was carved as entries numbered from ``number``.

        ``known`` are the deleted files met by name, first byte on the site to size: what begins at such a place and is
        the same, or only a part, is that file and not listed again. ``rolls`` are the slack that the walk noted, by the
        place of its volume. ``met`` is where that lies which was carved on the sites before: of the same bytes of the
        source (snapshots in a thin pool) it is listed once, on the first of them; what this site has is added.
        """
        if self.mode == "none":
            return
        for one in self.listed(known, rolls or {}, met):
            name, state = f"{one.start:014d}.{one.suffix}", State.CARVED
            path = f"/$Carved/{one.volume or 'unpartitioned'}/{name}"
            raw = path.encode()
            if one.in_slack:
                owner, raw = self._owners[one.start]
                path, raw, state = _in_slack(owner, name), raw + _in_slack("", name).encode(), State.SLACK
            problems: tuple[Problem, ...] = ()
            if one.remark:
                code, detail = _REMARKS[one.remark]
                detail = detail.format(count=len(one.extents), fault=one.fault)
                problems = (self._problem(code, detail, Severity.NOTE, one.volume, path),)
            locator = (_MARK - self.site.number, *(number for extent in one.extents for number in extent))
            yield FileEntry(
                self.exhibit, self.source, one.volume, number, path, raw, state, one.size,
                physical_offset=self.site.on_source(one.start), locator=locator, problems=problems,
            )  # fmt: skip
            number += 1
        yield from self._problems

    # ------------------------------------------------------------ for parts of known files

    def spare(self) -> Iterator[tuple[str, str, np.ndarray]]:
        """What was searched as (name of the volume, kind, spans int64[n, 2], sorted and apart); slack to its bytes."""
        if self._found is None or self._gave_up:
            return
        for _, volume, free in self._free_spaces():
            yield volume.name, "unallocated", np.array(free.ranges, dtype=np.int64).reshape(-1, 2)
        for place, system in self.site.systems:
            yield system.volume.name, "slack", self._slack.get(place, NO_SLACK).spans
        outer = self.site.opened[0][1].volume.name if self.site.number else ""
        for name, rest in self._remainders().items():
            yield name or outer, "unpartitioned", np.array(rest.unpartitioned, dtype=np.int64).reshape(-1, 2)
            yield name or outer, "not_understood", np.array(rest.not_understood, dtype=np.int64).reshape(-1, 2)

    def free_of(self, place: int) -> list[Range]:
        """The free ranges of the file system at this place among the volumes of the source."""
        return next((free.ranges for other, _, free in self._free_spaces() if other == place), [])

    # ------------------------------------------------------------ for the ledger

    def insides(self) -> Iterator[Inside]:
        """What is known of the inside of each file system, in ranges of the source; nothing of shadow copies."""
        on_source = self.site.ranges_on_source
        if not on_source([(0, self.site.size)]):
            return
        systems = dict(self.site.systems)
        for place, volume, free in self._free_spaces():
            own = own_areas(systems[place], self.read) if place in systems else OwnAreas([], whole=False)
            slack = spans_on_source(self.site.image, self._slack.get(place, NO_SLACK).spans)
            yield Inside(
                volume.name,
                on_source([(volume.offset, volume.offset + volume.length)]),
                on_source(free.ranges),
                on_source(own.ranges),
                NO_SLACK.spans if slack is None else slack,
                told=own.whole and not free.fault,
            )

    def searched(self) -> list[Ranges]:
        """What was searched so far, in ranges of the source: nothing, or all of :meth:`space` and slack."""
        if self._found is None or self._gave_up:
            return []
        space = self.space()
        return [
            self.site.ranges_on_source(merged(one for ranges in space.all() for one in ranges)),
            *self.searched_slack().values(),
        ]

    def unreadable(self) -> list[Range]:
        """What of the source was found unreadable on the way, also beside what was to be searched."""
        return self.site.ranges_on_source(self._unreadable)

    def searched_slack(self) -> dict[str, np.ndarray]:
        """By the name of its volume the slack that was searched, int64[n, 2]: (first byte, byte behind) on the source.

        Sorted and apart. What cannot be placed on the source (shadow copies, Core Storage) is not told.
        """
        found = {}
        for place, system in self.site.systems:
            slack = self._slack.get(place, NO_SLACK)
            looked_at = slack if self.mode == "thorough" else slack.on_sectors()
            spans = spans_on_source(self.site.image, looked_at.spans)
            if spans is not None and len(spans):
                found[system.volume.name] = spans
        return found


def _in_slack(owner: str, name: str) -> str:
    """The path of what begins in the slack of a file: inside that file, which is its parent."""
    return f"{owner}{INSIDE}$Slack/{name}"


def _maps(system: OpenFileSystem | LibraryFileSystem | None, space: Space) -> ExtBlocks | None:
    """A volume's old block maps, where its file system keeps such."""
    if not isinstance(system, OpenFileSystem) or system.kind not in ("ext2", "ext3"):
        return None
    return ExtBlocks(space, system.volume.offset, system.block_size, system.volume.length // system.block_size)


def is_carved(entry: FileEntry) -> bool:
    """Whether an entry is one of :meth:`Carving.entries`."""
    return entry.state in (State.CARVED, State.SLACK) and () < entry.locator[:1] < (0,)


def site_of(entry: FileEntry) -> int:
    """The number of the site on which a carved entry lies."""
    return site_of_locator(entry.locator)


def site_of_locator(locator: Sequence[int]) -> int:
    """The same by the locator of such an entry."""
    return _MARK - locator[0]


def entry_of_ranges(info: SourceInfo, number: int, site: int, extents: Iterable[tuple[int, int]]) -> FileEntry:
    """An entry whose content are these (first byte, bytes) of a site, one behind the other: no file, for reading."""
    flat = tuple(chain.from_iterable(extents))
    return FileEntry(
        info.exhibit, info.source, "", number, "/$Spare", b"/$Spare", State.CARVED, sum(flat[1::2]),
        locator=(_MARK - site, *flat),
    )  # fmt: skip


def met_by_name(item: FileEntry | Problem, known: dict[int, int], place_of: Callable[[FileEntry], int | None]) -> None:
    """Remember where a deleted file that was met by its name begins; the first MOST_FILES of them.

    ``place_of`` says where on its site an entry begins.
    """
    if (
        isinstance(item, FileEntry)
        and item.state is not State.ALLOCATED
        and item.readable
        and item.size is not None
        and len(known) < MOST_FILES
    ):
        place = place_of(item)
        if place is not None:
            known.setdefault(place, item.size)


def carved_chunks(read: ReadAt, entry: FileEntry) -> Iterator[bytes]:
    """The content of a carved entry in pieces of at most 1 MiB. Errors: EvidenceError (step "read") at a fault."""
    for offset, length in extents_of(entry.locator):
        for at in range(offset, offset + length, PIECE):
            yield _exactly(read, at, min(PIECE, offset + length - at))


def carved_at(read: ReadAt, entry: FileEntry, offset: int, length: int) -> bytes:
    """Exactly ``length`` bytes of a carved entry from ``offset``. Errors: EvidenceError (step "read")."""
    check_range(offset, length, entry.size or 0)
    pieces = []
    for start, size in cut_extents(extents_of(entry.locator), offset + length):
        if offset < size:
            taken = size - offset
            pieces.append(_exactly(read, start + offset, taken))
            offset = 0
        else:
            offset -= size
    return b"".join(pieces)


def extents_of(locator: Sequence[int]) -> list[tuple[int, int]]:
    """The (first byte, bytes) on its site that the locator of a carved entry names."""
    return list(zip(locator[1::2], locator[2::2], strict=True))


def _exactly(read: ReadAt, offset: int, length: int) -> bytes:
    with evidence_faults("read", "read-failed", f"the disk could not be read at byte {offset}"):
        data = read(offset, length)
    if len(data) < length:
        raise EvidenceError("read", "short-read", f"the disk ended after {offset + len(data)} bytes")
    return data
