"""A disk (an image of any container, or a device) as an EvidenceSource: its volumes, their files and their content."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial

import pytsk3

from caid_triage.errors import EvidenceError
from caid_triage.evidence.account import DiskAccount
from caid_triage.evidence.bad_places import BadPlaces, unreadable_of_file
from caid_triage.evidence.carve.beside import SearchBeside
from caid_triage.evidence.carve.carving import Carving, carved_at, carved_chunks, is_carved, met_by_name, site_of
from caid_triage.evidence.carve.searches import Searches
from caid_triage.evidence.carve.site import Site, sites_of
from caid_triage.evidence.containers.reader import HashedParts, known_unreadable
from caid_triage.evidence.coverage import gaps_between
from caid_triage.evidence.faults import check_range, evidence_faults
from caid_triage.evidence.file_system import OpenedVolume, OpenFileSystem
from caid_triage.evidence.layers.chain import VolumeOpener, claims_of, gap_problems, is_understood
from caid_triage.evidence.layers.ldm import dynamic_disk_problems
from caid_triage.evidence.layers.library_fs import MAIN, LibraryFileSystem, LibraryWalk
from caid_triage.evidence.ledger import Ledger
from caid_triage.evidence.partitions import SECTOR, Partition, PartitionTable, ReadAt, read_partition_table
from caid_triage.evidence.proxied import read_range
from caid_triage.evidence.secrets import NO_SECRETS, Secrets
from caid_triage.evidence.spare import Content, Spare, places, spare_space
from caid_triage.evidence.steps import LeftOut, Step, VolumeEnds, told_of_steps
from caid_triage.evidence.streams import COMPRESSED_KIND, DEFAULT_ID, first_byte
from caid_triage.evidence.walk import VolumeWalk
from caid_triage.model import Digests, FileEntry, Problem, Searching, Severity, SourceInfo, State, Volume

PIECE = 1 << 20
_SMALL_PIECE = 4096


class DiskSource:
    """The EvidenceSource of anything that is a disk to pytsk3."""

    def __init__(
        self,
        info: SourceInfo,
        image: pytsk3.Img_Info,
        problems: Sequence[Problem] = (),
        hashed: HashedParts | None = None,
    ) -> None:
        self.info = info
        self.hashed = hashed
        self._image = image
        self._size = int(image.get_size())
        self._given = tuple(problems)
        self._carved = "none"
        self._bad = BadPlaces()
        self._steps = told_of_steps.get()
        self._times_opened = 0
        self._open(NO_SECRETS)

    def unlock(self, secrets: Secrets) -> None:
        """Open the volumes again with secrets where any is encrypted; a note names each that they opened."""
        if secrets.items and any(volume.status == "encrypted" for volume in self._volumes):
            self._open(secrets)

    def _open(self, secrets: Secrets) -> None:
        table = read_partition_table(partial(read_range, self._image), self._size, self._image)
        opened = self._open_volumes(table, VolumeOpener(secrets, steps=self._steps, before=self._times_opened))
        self._steps.at(Step.OPENING, first=1)
        self._times_opened += 1
        self._volumes = [one.volume for one in opened]
        if not any(problem.code == "layer-damaged" for one in opened for problem in one.problems):
            table.problems += dynamic_disk_problems(self._volumes)
        self._systems: list[OpenFileSystem | LibraryFileSystem | None] = [one.system for one in opened]
        self._table_areas = table.table_areas
        self._claims = [claim for one in opened if not one.volume.parent for claim in claims_of(one)]
        gaps = gaps_between(self._size, self._volumes, self._table_areas) if table.scheme else []
        random_gaps, claims = gap_problems(partial(read_range, self._image), gaps)
        self._claims += claims
        problems = (problem for one in opened for problem in one.problems)
        self._problems = [self._named(problem) for problem in (*self._given, *table.problems, *random_gaps, *problems)]
        self.has_partition_table = bool(table.scheme)
        # Free space is searched on the disk and inside every volume; what looks random is left alone.
        alone = [*table.table_areas, *((start, length) for start, length, *_ in claims)]
        self._carvings = [
            Carving(
                site,
                partial(read_range, site.image),
                self._carved,
                self.info.exhibit,
                self.info.source,
                steps=self._steps,
            )
            for site in sites_of(opened, self._image, self._size, alone)
        ]
        self._searches = Searches(self._carvings)

    def carve(self, mode: str) -> None:
        """Search free space in the walks to come, as carve/carving.py's ``MODES`` say; "none" until then."""
        self._carved = mode
        self._searches.carve(mode)

    def _open_volumes(self, table: PartitionTable, opener: VolumeOpener) -> list[OpenedVolume]:
        """Each slot of the table, or the whole disk where there is no table or nothing in it is understood."""
        opened = [
            one
            for number, partition in enumerate(table.partitions, 1)
            for one in opener.open_chain(self._image, self._size, f"p{number}", partition, table=table.partitions)
        ]
        if any(is_understood(one) for one in opened):
            return opened
        inside = opener.open_chain(self._image, self._size, "p0", Partition(0, self._size, "whole disk"))
        whole = inside[0]
        if not opened:
            if table.scheme and not is_understood(whole):
                detail = f"the {table.scheme} partition table has no partition that could be opened"
                table.problems.append(Problem("open", "no-volume", detail))
                return []
            return inside
        if whole.system is None and len(inside) == 1:
            return opened
        detail = "a file system covers the whole disk; the partition table in its first sector was not used"
        table.problems = [Problem("open", "partition-table-ignored", detail, Severity.NOTE)]
        table.table_areas = []
        table.scheme = ""
        return inside

    def _named(self, problem: Problem) -> Problem:
        return replace(problem, exhibit=self.info.exhibit, source=self.info.source)

    def volumes(self) -> Sequence[Volume]:
        """Every volume of the disk, also those whose files cannot be reached."""
        return tuple(self._volumes)

    def add_findings(self, facts: Mapping[str, str], problems: Sequence[Problem]) -> None:
        """Add to the facts of the acquisition and to the Problems: what verifying the image found."""
        self.info = replace(self.info, acquisition={**self.info.acquisition, **facts})
        self._problems += [self._named(problem) for problem in problems]

    @property
    def image(self) -> pytsk3.Img_Info:
        """The whole disk, as pytsk3 sees it."""
        return self._image

    def problems(self) -> Sequence[Problem]:
        """What was found amiss with the disk and its volumes on opening."""
        return tuple(self._problems)

    def search_beside(self, turn: AbstractContextManager[object]) -> SearchBeside | None:
        """The search of free space as something that runs beside the walk, each read within ``turn``."""
        return self._searches.beside(turn)

    def progress(self) -> Searching:
        """How far that search is."""
        return self._searches.progress()

    def walk(self, *, named_only: bool = False) -> Iterator[FileEntry | Problem | Searching]:
        """Every file of every volume, in the order of the partition table and each file system; then what is carved."""
        number = 0
        site_of_volume = {place: carving.site for carving in self._carvings for place, _ in carving.site.opened}
        known: dict[int, dict[int, int]] = {carving.site.number: {} for carving in self._carvings}
        rolls = self._searches.rolls_to_fill()
        for index, system in enumerate(self._systems):
            if system is None:
                continue
            exhibit, name = self.info.exhibit, self.info.source
            walk: LibraryWalk | VolumeWalk
            try:
                self._steps.at(Step.ROOT, index)
            except LeftOut as error:
                yield self._left_out(system, error)
                continue
            if isinstance(system, LibraryFileSystem):
                walk = LibraryWalk(system, index, exhibit, name, number, self._steps)
            else:
                walk = VolumeWalk(system, index, exhibit, name, number, rolls.get(index), self._steps)
            site = site_of_volume.get(index)
            mine = known[site.number] if site is not None else {}
            place_of = partial(_place_on, site, system)
            try:
                for item in walk:
                    met_by_name(item, mine, place_of)
                    yield item
            except VolumeEnds as error:
                yield self._left_out(system, error)
            number = walk.number
        self._searches.noted()
        if not named_only:
            yield from self._searches.waited(known)
            yield from self._searches.entries(known, number)

    def _left_out(self, system: OpenFileSystem | LibraryFileSystem, error: LeftOut | VolumeEnds) -> Problem:
        detail = f"{error.detail}; the files of this volume that come after were not listed"
        return self._named(Problem("walk", error.code, detail, volume=system.volume.name))

    def chunks(self, entry: FileEntry) -> Iterator[bytes]:
        """The content of an entry in pieces of at most 1 MiB.

        Errors: EvidenceError (step "read") at a fault, after what could be read before it.
        """
        if is_carved(entry):
            yield from carved_chunks(self._read_of(entry), entry)
            return
        system, inode, kind, identifier, size = self._located(entry)
        if isinstance(system, LibraryFileSystem):
            yield from system.pieces(inode, kind, identifier, size)
            return
        with evidence_faults("read", "read-failed", "the record of this file could not be read"):
            file = system.fs.open_meta(inode)
        if system.guard is not None and inode in system.guard.emptied:  # known once the record was read
            yield from system.guard.pieces(inode)
            return
        offset = 0
        while offset < size:
            piece = self._read(system, file, offset, min(PIECE, size - offset), kind, identifier)
            if not piece:
                detail = f"the content ended after {offset} of {size} bytes"
                raise EvidenceError("read", "short-read", detail)
            yield piece
            offset += len(piece)

    def read_at(self, entry: FileEntry, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes of the content of an entry from ``offset``.

        Errors: EvidenceError (step "read") at a fault, beyond the end, and with the code "no-random-access" where a
        file is mapped so deep that only :meth:`chunks` can follow it.
        """
        if is_carved(entry):
            return carved_at(self._read_of(entry), entry, offset, length)
        system, inode, kind, identifier, size = self._located(entry)
        check_range(offset, length, size)
        if isinstance(system, LibraryFileSystem):
            return system.read_at(inode, kind, identifier, offset, length)
        with evidence_faults("read", "read-failed", "the record of this file could not be read"):
            file = system.fs.open_meta(inode)
        if system.guard is not None and inode in system.guard.emptied:
            raise EvidenceError("read", "no-random-access", "this file can only be read from its beginning")
        pieces = []
        end = offset + length
        while offset < end:
            piece = self._read(system, file, offset, min(PIECE, end - offset), kind, identifier)
            if not piece:
                raise EvidenceError("read", "short-read", f"the content ended after {offset} of {size} bytes")
            pieces.append(piece)
            offset += len(piece)
        return b"".join(pieces)

    def beside(self, entry: FileEntry, name: str) -> FileEntry | None:
        """The living file of that name in the folder of a living file with a name, None where there is none."""
        if is_carved(entry) or entry.state is not State.ALLOCATED or entry.stream or len(entry.locator) != 4:
            return None
        index = entry.locator[0]
        system = self._systems[index] if 0 <= index < len(self._systems) else None
        if system is None:
            return None
        # Nothing is compared with a volume's other state here: what its snapshots have in common is no matter.
        exhibit, source = self.info.exhibit, self.info.source
        if isinstance(system, LibraryFileSystem):
            return LibraryWalk(replace(system, shared=None), index, exhibit, source, entry.number).beside(entry, name)
        return VolumeWalk(replace(system, shared=None), index, exhibit, source, entry.number).beside(entry, name)

    def _read_of(self, entry: FileEntry) -> ReadAt:
        """How the site is read on which a carved entry lies."""
        number = site_of(entry)
        if not self._systems or number >= len(self._carvings):
            raise EvidenceError("read", "not-readable", "the volume of this entry is not open")
        return partial(read_range, self._carvings[number].site.image)

    def _located(self, entry: FileEntry) -> tuple[OpenFileSystem | LibraryFileSystem, int, int, int, int]:
        """The file system of an entry, its record, its stream's type and id, and its size."""
        if not entry.readable or entry.size is None or len(entry.locator) != 4:
            raise EvidenceError("read", "not-readable", "no content belongs to this entry")
        index, inode, kind, identifier = entry.locator
        system = self._systems[index] if 0 <= index < len(self._systems) else None
        if system is None:
            raise EvidenceError("read", "not-readable", "the volume of this entry is not open")
        if kind == COMPRESSED_KIND and isinstance(system, OpenFileSystem) and system.compressed is not None:
            return system.compressed, inode, MAIN, 0, entry.size
        return system, inode, kind, identifier, entry.size

    def disagreements(self, _entry: FileEntry, _digests: Digests) -> tuple[Problem, ...]:
        """None: no hash is kept of single files."""
        return ()

    def _read(
        self, system: OpenFileSystem, file: pytsk3.File, offset: int, length: int, kind: int, identifier: int
    ) -> bytes:
        """A piece of a file; what of the disk turns out to be unreadable is remembered for the ledger."""
        try:
            return _read(file, offset, length, kind, identifier)
        except EvidenceError:
            self._bad.add(unreadable_of_file(system, file, offset, min(length, _SMALL_PIECE), kind, identifier))
            raise

    def spare(self, whole: Iterable[Content], damaged: Iterable[Content]) -> list[Spare]:
        """The bytes that belong to no whole file, as far as the walk searched free space: spare.py."""
        return list(spare_space(self._carvings, self._systems, whole, damaged, self._steps))

    def places(self, site: int, spans: Iterable[tuple[int, int]]) -> list[int | None]:
        """Where on the source each (first byte, bytes) of a site stands in one piece as it is read, or None."""
        return places(self._carvings, site, spans)

    @property
    def bad_places(self) -> BadPlaces:
        """What of the disk turned out to be unreadable while files were read."""
        return self._bad

    def ledger(self) -> Ledger:
        """Every byte of the disk by what became of it, as far as it was searched and read until now."""
        lost = [(start, start + length) for start, length in known_unreadable(self.image)]
        return DiskAccount(
            self._size,
            self._volumes,
            self._claims,
            self._table_areas,
            [inside for carving in self._carvings for inside in carving.insides()],
            [ranges for carving in self._carvings for ranges in carving.searched()],
            [*lost, *self._bad.ranges, *(one for carving in self._carvings for one in carving.unreadable())],
        ).ledger()

    def coverage(self) -> dict[str, int]:
        """Bytes by kind, summing to the size of the disk: the sums of :meth:`ledger`."""
        return self.ledger().coverage()

    def close(self) -> None:
        """Let go of the disk. Entries cannot be read afterwards."""
        self._systems = []
        self._image.close()


def _place_on(site: Site | None, system: OpenFileSystem | LibraryFileSystem, entry: FileEntry) -> int | None:
    """Where on its site an entry begins: on the disk that is its place on the source. None where it has no site."""
    if site is None:
        return None
    if not site.number:
        return entry.physical_offset
    if isinstance(system, LibraryFileSystem) or len(entry.locator) != 4:
        return None
    return first_byte(system, *entry.locator[1:])


def _read(file: pytsk3.File, offset: int, length: int, kind: int, identifier: int) -> bytes:
    """A piece of a file; where a large read fails, a small one, so that what is good before a fault is had."""
    arguments = () if identifier == DEFAULT_ID else (kind, identifier)
    try:
        with evidence_faults("read", "read-failed", f"the content could not be read at byte {offset}"):
            data: bytes = file.read_random(offset, length, *arguments)
            return data
    except EvidenceError:
        if length <= _SMALL_PIECE:
            raise
    return _read(file, offset, max(_SMALL_PIECE, length // 16 // SECTOR * SECTOR), kind, identifier)
