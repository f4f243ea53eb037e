"""Windows dynamic disks (LDM): the volumes that the disk's own database describes, simple, spanned, striped, mirrored.

Source: the Linux kernel, block/partitions/ldm.c and ldm.h (numbers are big-endian, places in sectors of 512 bytes): a
header PRIVHEAD in sector 6 of an MBR disk, in the last sector of the table's partition of a GPT disk, and in the
database; the database has a VMDB with records of volumes, their components, and the components' partitions on disks.
A volume goes on where the partition table says nothing of it, so the table alone would lose it.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from caid_triage.evidence.faults import LIBRARY_ERRORS
from caid_triage.evidence.layers.layer import UNWRAPPED, Area, Child, Unwrapped
from caid_triage.evidence.layers.view import Run, view_of_runs
from caid_triage.evidence.proxied import read_range
from caid_triage.evidence.secrets import Secrets
from caid_triage.model import Problem, Severity, Volume

NAME = "Windows dynamic disk"
_SECTOR = 512
_DATABASE = 2048  # sectors
_VMDB = 17
_MOST_SECTORS = 1 << 53
_MOST_RECORDS = 32_768
_MOST_DATABASE = 64 << 20
_VOLUME, _COMPONENT, _PARTITION, _DISK3, _DISK4 = 0x51, 0x32, 0x33, 0x34, 0x44
_STRIPES, _ONE_AFTER_ANOTHER = 1, 2
_KINDS = {1: "striped", 2: "spanned", 3: "RAID 5"}


@dataclass(frozen=True, slots=True)
class _Header:
    disk: uuid.UUID
    start: int
    size: int
    database: int
    length: int


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a component: where on which disk, where in the volume, its place among the stripes; in sectors."""

    start: int
    offset: int
    size: int
    disk: int
    index: int


@dataclass(slots=True)
class _Component:
    kind: int
    volume: int
    chunk: int
    parts: list[_Part] = field(default_factory=list)


def unwrap_ldm(area: Area, _secrets: Secrets) -> Unwrapped | None:
    """The volumes of a dynamic disk that begin in this partition; None for one that is no part of a dynamic disk.

    The partition table must call it so: the header stays behind when a disk is made a basic one again.
    """
    if not area.description.startswith(NAME):
        return None
    try:
        header = _header(area)
    except (*LIBRARY_ERRORS, struct.error):
        return None
    if header is None:
        return None
    first, end = header.start * _SECTOR, (header.start + header.size) * _SECTOR
    if not first <= area.offset < end:
        if not area.offset <= header.database * _SECTOR < area.offset + area.length:
            return None
        claims = ((area.offset, area.length, "partition_table"),)
        return Unwrapped(f"{NAME} table", UNWRAPPED, claims=claims, beside=True)
    try:
        return _unwrapped(area, header, _Database(area, header))
    except (*LIBRARY_ERRORS, struct.error, IndexError, KeyError) as error:
        problem = _not_read(str(error) if isinstance(error, ValueError) else "it is damaged", area.name)
        return Unwrapped(NAME, "not-understood", problems=(problem,))


def dynamic_disk_problems(volumes: Sequence[Volume]) -> list[Problem]:
    """A Problem for a disk whose table has partitions of a dynamic disk, where none was opened as such."""
    claimed = [one for one in volumes if one.description.startswith(NAME)]
    if not claimed or any(one.file_system.startswith(NAME) for one in volumes):
        return []
    return [_not_read("it is not where it should be", claimed[0].name)]


def _not_read(reason: str, where: str) -> Problem:
    detail = (
        f"this disk is a {NAME} and its database could not be read: {reason}. Its volumes may begin and go on where "
        f"the partition table does not say; let Windows or ldmtool show a copy of it, image the volumes and scan them"
    )
    return Problem("open", "layer-damaged", detail, volume=where)


def _header(area: Area) -> _Header | None:
    """The disk's PRIVHEAD; None where there is none."""
    places = [6 * _SECTOR]
    places += [at + size - _SECTOR for at, size in (*area.beside, (area.offset, area.length))
               if size == _DATABASE * _SECTOR]  # fmt: skip
    for place in places:
        block = read_range(area.image, place, _SECTOR)
        if block[:8] != b"PRIVHEAD" or len(block) < _SECTOR:
            continue
        if struct.unpack_from(">H", block, 12)[0] != 2:
            continue
        start, size, database, length = struct.unpack_from(">QQQQ", block, 0x11B)
        text = block[0x30:0x70].partition(b"\0")[0].decode("ascii", "replace")
        if size and length and database < 1 << 54:
            return _Header(uuid.UUID(text), start, size, database, length)
    return None


class _Database:
    """The records of a database. Errors on construction: ValueError, struct.error, IndexError, those of reading."""

    def __init__(self, area: Area, header: _Header) -> None:
        self.volumes: dict[int, tuple[str, int]] = {}  # name, sectors
        self.components: dict[int, _Component] = {}
        self.disks: dict[int, tuple[str, uuid.UUID]] = {}
        parts: list[tuple[int, _Part]] = []
        for record in _records(area, header):
            kind = record[0x13]
            if kind == _VOLUME:
                self._volume(record)
            elif kind == _COMPONENT:
                self._component(record)
            elif kind == _PARTITION:
                parts.append(_part(record))
            elif kind in (_DISK3, _DISK4):
                self._disk(record, kind)
        for component, part in parts:
            if component not in self.components:
                raise ValueError("a part of it belongs to no volume")
            self.components[component].parts.append(part)

    def _volume(self, record: bytes) -> None:
        number, name = _number(record, 0x18), _after(record, 0x18)
        kind = _after(record, name)
        state = _after(record, _after(record, kind))  # behind the mark for no drive letter
        child = _after(record, state + 0x15)
        self.volumes[number] = _text(record, name), _number(record, child + 0x10)

    def _component(self, record: bytes) -> None:
        number, name = _number(record, 0x18), _after(record, 0x18)
        state = _after(record, name)
        kind = _after(record, state)
        child = _after(record, kind + 5)
        parent = child + 0x10
        chunk = _number(record, _after(record, parent) + 1) if record[0x12] & 0x10 else 0
        self.components[number] = _Component(record[kind], _number(record, parent), chunk)

    def _disk(self, record: bytes, kind: int) -> None:
        number, name = _number(record, 0x18), _after(record, 0x18)
        place = _after(record, name)
        is_text = kind == _DISK3
        identifier = uuid.UUID(_text(record, place)) if is_text else uuid.UUID(bytes=record[place : place + 16])
        self.disks[number] = _text(record, name), identifier


def _records(area: Area, header: _Header) -> Iterator[bytes]:
    """The records of the database, those in several pieces put together; places count from the first piece's head."""
    base = header.database * _SECTOR
    head = read_range(area.image, base + _VMDB * _SECTOR, _SECTOR)
    if head[:4] != b"VMDB":
        raise ValueError("its list of volumes (VMDB) is not where it should be")
    last, size, offset = struct.unpack_from(">III", head, 4)
    if struct.unpack_from(">H", head, 16)[0] != 1:
        raise ValueError("it was being changed when the disk was last used")
    if not 32 <= size <= _SECTOR or _SECTOR % size or last > _MOST_RECORDS or last * size > _MOST_DATABASE:
        raise ValueError("it is damaged")
    pieces: dict[int, dict[int, bytes]] = {}
    counts: dict[int, int] = {}
    data = read_range(area.image, base + _VMDB * _SECTOR + offset, max(0, last * size - offset))
    for at in range(0, len(data) - size + 1, size):
        piece = data[at : at + size]
        if piece[:4] != b"VBLK":
            raise ValueError("a record of it is damaged")
        group, place, count = struct.unpack_from(">IHH", piece, 8)
        if not count:
            continue  # free
        pieces.setdefault(group, {})[place] = piece
        counts[group] = count
    for group, found in pieces.items():
        if sorted(found) != list(range(counts[group])):
            raise ValueError("a record of it is not whole")
        record = found[0][:16] + b"".join(found[place][16:] for place in range(counts[group]))
        if record[0x13]:
            yield record


def _after(record: bytes, place: int) -> int:
    """Where the field behind a field of its own length begins."""
    return place + 1 + record[place]


def _number(record: bytes, place: int) -> int:
    length = record[place]
    if length > 8 or place + 1 + length > len(record):
        raise ValueError("a number in it is damaged")
    return int.from_bytes(record[place + 1 : place + 1 + length], "big")


def _text(record: bytes, place: int) -> str:
    return record[place + 1 : place + 1 + record[place]].decode("utf-8", "replace")


def _part(record: bytes) -> tuple[int, _Part]:
    """A part, and the number of its component."""
    place = _after(record, _after(record, 0x18))  # behind the name
    start, offset = struct.unpack_from(">QQ", record, place + 0x0C)
    size = place + 0x1C
    parent = _after(record, size)
    disk = _after(record, parent)
    index = _number(record, _after(record, disk)) if record[0x12] & 8 else 0
    return _number(record, parent), _Part(start, offset, _number(record, size), _number(record, disk), index)


# ---------------------------------------------------------------- volumes


def _unwrapped(area: Area, header: _Header, database: _Database) -> Unwrapped:
    children, elsewhere, beside = [], 0, 0
    for number, (name, sectors) in sorted(database.volumes.items()):
        components = [one for one in database.components.values() if one.volume == number]
        own = [part for one in components for part in one.parts if _is_here(database, header, part)]
        if not own:
            elsewhere += 1
            continue
        first = (header.start + min(part.start for part in own)) * _SECTOR
        if not _hosts(area, first):
            beside += 1
            continue
        children.append(_child(area, header, database, number, name, sectors, components))
    problems = []
    if elsewhere:
        detail = (
            f"{elsewhere} volumes of this disk group lie on other disks alone and were not examined: scan those too"
        )
        problems.append(Problem("open", "volume-group-spread", detail, volume=area.name))
    if beside:
        detail = f"{beside} volumes of this dynamic disk are listed with another partition of it"
        problems.append(Problem("open", "volume-group-beside", detail, Severity.NOTE, volume=area.name))
    return Unwrapped(NAME, UNWRAPPED, tuple(children), tuple(problems), beside=beside > 0)


def _hosts(area: Area, place: int) -> bool:
    """Whether a volume that begins at a byte of the disk is listed with this partition."""
    every = sorted([(area.offset, area.length), *area.beside])
    around = [one for one in every if one[0] <= place < one[0] + one[1]]
    return (around[0] if around else every[0]) == (area.offset, area.length)


def _is_here(database: _Database, header: _Header, part: _Part) -> bool:
    return part.disk in database.disks and database.disks[part.disk][1] == header.disk


def _child(
    area: Area, header: _Header, database: _Database, number: int, name: str, sectors: int, components: list[_Component]
) -> Child:
    kind = "mirrored" if len(components) > 1 else "simple" if len(components[0].parts) == 1 else ""
    kind = kind or _KINDS.get(components[0].kind, "unknown")
    safe = "".join(letter for letter in name if letter.isalnum() or letter in " ._-")
    safe = safe if safe == name and name else f"{safe}-{number}"
    description = f"{kind} volume {name} of a {NAME}"
    where = f"{area.name}/{safe}"
    best: tuple[list[Run], list[str]] | None = None
    for component in components:
        found = _runs(header, database, component)
        if found is not None and (best is None or len(found[1]) < len(best[1])):
            best = found
    if best is None or not best[0]:
        detail = f"this volume could not be put together: it is {kind}. None of its files were examined"
        return Child(safe, description, None, problems=(Problem("open", "volume-incomplete", detail, volume=where),))
    runs, missing = best
    problems = []
    if missing:
        detail = (
            f"this volume has parts that are not on this disk: {'; '.join(missing[:5])}. Files there could not be "
            f"read; scan an image of the whole volume, made with all its disks together"
        )
        problems.append(Problem("open", "volume-incomplete", detail, volume=where))
    content = view_of_runs(area.image, runs, min(sectors, _MOST_SECTORS) * _SECTOR)
    return Child(safe, description, content, problems=tuple(problems))


def _runs(header: _Header, database: _Database, component: _Component) -> tuple[list[Run], list[str]] | None:
    """Where a component lies on this disk and what of it is elsewhere; None for a kind that is not put together."""
    parts = sorted(component.parts, key=lambda one: (one.offset, one.index))
    piece = step = 0
    if component.kind == _STRIPES and len(parts) > 1:
        piece, step = component.chunk * _SECTOR, component.chunk * _SECTOR * len(parts)
        parts.sort(key=lambda one: one.index)
        if not piece or sorted(one.index for one in parts) != list(range(len(parts))):
            return None
    elif component.kind not in (_STRIPES, _ONE_AFTER_ANOTHER):
        return None
    if not piece and any(one.offset + one.size > other.offset for one, other in pairwise(parts)):
        return None  # two parts for the same bytes: which of them holds is not told
    runs, missing = [], []
    for place, part in enumerate(parts):
        start = place * piece if piece else part.offset * _SECTOR
        if not _is_here(database, header, part):
            name = database.disks[part.disk][0] if part.disk in database.disks else "a disk that is not described"
            of = f"every {len(parts)}th stripe" if piece else f"from byte {start} on"
            missing.append(f"{part.size * _SECTOR} bytes {of} on {name}")
            continue
        if part.start + part.size > header.size or part.offset + part.size > _MOST_SECTORS:
            raise ValueError("a part of a volume lies behind the end of the disk")
        runs.append(Run(start, part.size * _SECTOR, (header.start + part.start) * _SECTOR, piece, step))
    return runs, missing
