"""What a file system has in use and no folder names: files whose name was damaged away, told by the tables of records.

Sleuth Kit lists what names lead to, and as orphans the records that are *not* in use. A record that is in use while no
name leads to it any more it does not list, and a folder that cannot be read (on NTFS: whose index is damaged) costs all
files in it. So the tables of records are compared with what the walk met. ext: ext_records.py. NTFS: the records of
``$MFT`` that say that they are in use; their names stand in themselves. FAT and exFAT: the clusters in use that belong
to no file (fat_chains.py); where they hold names, those are a folder's that nothing leads to.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice

import numpy as np
import pytsk3

from caid_triage.errors import EvidenceError
from caid_triage.evidence.ext_records import UnmetRecords, parent_in, unmet_records
from caid_triage.evidence.fat import FatVolume, FolderSlot
from caid_triage.evidence.fat_chains import FatChains
from caid_triage.evidence.faults import LIBRARY_ERRORS, evidence_faults
from caid_triage.evidence.file_system import EXT_KINDS, OpenFileSystem
from caid_triage.evidence.numbers import NumberSet
from caid_triage.evidence.proxied import read_range
from caid_triage.evidence.ranges import Range, total
from caid_triage.evidence.steps import LeftOut
from caid_triage.model import Severity

ORPHANS = "/$OrphanFiles"
"""The folder, in paths, of what no name leads to."""
_TYPE_REG = int(pytsk3.TSK_FS_META_TYPE_REG)
_TYPE_DIR = int(pytsk3.TSK_FS_META_TYPE_DIR)
_PIECE = 1 << 20
_MOST_LOOKED_AT = 1 << 16
_FIRST_NTFS_FILE = 24
_FILE_RECORD = int.from_bytes(b"FILE", "little")
_FILE_NAME, _MAP_OF_RECORDS = 0x30, 0xB0
_SHORT_NAME = 2


@dataclass(frozen=True, slots=True)
class Nameless:
    """A file or folder in use that no folder names: its number, what to call it, and its open record."""

    inode: int
    name: bytes
    file: pytsk3.File
    is_folder: bool


@dataclass(frozen=True, slots=True)
class Told:
    """What there is to say of a volume's records: a code of docs/problem-codes.md, a sentence, how much it matters."""

    code: str
    detail: str
    severity: Severity = Severity.PROBLEM


@dataclass(frozen=True, slots=True)
class Unmet:
    """Records in use that were not met: folders and files by their numbers, each ascending, and how many more make no
    sense. ``told`` is what else there is to say."""

    folders: list[int]
    files: list[int]
    senseless: int
    told: tuple[Told, ...] = ()


def nameless(
    system: OpenFileSystem,
    met: NumberSet,
    listed: Container[int],
    owners: Sequence[int],
    begins: Callable[[int], None] = lambda _inode: None,
) -> Iterator[Nameless | Told]:
    """What is in use, is not among the ``met`` and was not ``listed`` as deleted; then what is to be said of it.

    ``owners`` are, of FAT and exFAT, two numbers for each living file (FatVolume.owned_from), one pair after the other.
    A folder comes before what may lie in it: who takes it adds what it lists to ``met`` and ``owners`` before asking
    on. ``begins`` is told of every record before it is opened; it may raise LeftOut.
    """
    if system.fat is not None:
        yield from _of_fat(system, system.fat, met, owners, begins)
        return
    try:
        begins(0)
    except LeftOut as error:
        yield Told(error.code, f"{error.detail}; which file records are in use and have no name was not looked up")
        return
    try:
        with evidence_faults("walk", "metadata-unreadable", "which file records are in use could not be told"):
            unmet = _unmet(system, met)
    except (EvidenceError, struct.error) as error:
        detail = error.detail if isinstance(error, EvidenceError) else "the tables of file records make no sense"
        yield Told("volume-unaccounted", detail)
        return
    if unmet is None:
        return
    found, senseless = 0, unmet.senseless
    for inode in [*_tops(system, unmet.folders, begins), *unmet.folders, *unmet.files]:
        if inode in met or inode in listed:
            continue
        one = _opened(system, inode, begins)
        if one is None:
            senseless += 1
            continue
        if isinstance(one, Told):
            yield one
            continue
        found += 1
        yield one
        met.add(inode)
    if found:
        detail = f"files and folders in use that no folder names, listed by their records under {ORPHANS}: {found}"
        yield Told("file-without-name", detail, Severity.NOTE)
    if senseless:
        detail = f"{senseless} file records are in use, no folder names them, and none of them can be read as a file"
        yield Told("volume-unaccounted", detail)
    yield from unmet.told


def _of_fat(
    system: OpenFileSystem, fat: FatVolume, met: NumberSet, owners: Sequence[int], begins: Callable[[int], None]
) -> Iterator[Nameless | Told]:
    found = 0
    try:
        with evidence_faults("walk", "metadata-unreadable", "the table of clusters could not be read"):
            chains = FatChains(fat, fat.read)
            left = chains.unowned(zip(owners[::2], owners[1::2], strict=True))
            folders = _folders_in(fat, left)
        inside = {fat.owned_from(slot.address)[0] for slots in folders.values() for slot in slots}
        for cluster in [*(one for one in folders if one not in inside), *folders]:
            for slot in folders[cluster]:
                if slot.address in met:  # the folder was come to by another
                    continue
                one = _opened(system, slot.address, begins, slot.name)
                if one is not None:
                    yield one
                if isinstance(one, Nameless):
                    found += 1
                    met.add(slot.address)
        if found:
            detail = f"files and folders in use, in folders that nothing leads to, listed under {ORPHANS}: {found}"
            yield Told("file-without-name", detail, Severity.NOTE)
            with evidence_faults("walk", "metadata-unreadable", "the table of clusters could not be read"):
                left = chains.unowned(zip(owners[::2], owners[1::2], strict=True))
        differing, begins_right = fat.differing_entries(), fat.begins_right()
    except EvidenceError as error:
        yield Told("volume-unaccounted", error.detail)
        return
    if not begins_right:
        yield Told("volume-unaccounted", "the beginning of the table of clusters is damaged: files may be missing")
    if differing:
        detail = f"the two copies of the table of clusters differ in {differing} bytes: one of them is damaged"
        yield Told("volume-unaccounted", detail)
    if chains.doubled:
        detail = f"{chains.doubled} clusters are claimed by more than one file: an entry or the table is damaged"
        yield Told("volume-unaccounted", detail)
    if left:
        detail = (
            f"{total(left)} clusters ({total(left) * fat.cluster_size} bytes) are in use and belong to no file or "
            "folder that could be listed: files may be missing"
        )
        yield Told("volume-unaccounted", detail)


def _folders_in(fat: FatVolume, ranges: list[Range]) -> dict[int, list[FolderSlot]]:
    """The names in those clusters of the ranges that are a folder's, by cluster; only so many clusters are asked."""
    found = {}
    for cluster in islice(chain.from_iterable(range(*one) for one in ranges), _MOST_LOOKED_AT):
        slots = list(fat.names_in(cluster))
        if slots:
            found[cluster] = slots
    return found


def _unmet(system: OpenFileSystem, met: NumberSet) -> Unmet | None:
    """None where the tables of a kind of file system are not read."""
    if system.kind in EXT_KINDS:
        found = unmet_records(partial(read_range, system.image), system.base, met, system.capacity)
        return Unmet(found.folders, found.files, found.senseless, tuple(_told_of_ext(found)))
    return _unmet_of_ntfs(system, met) if system.kind == "NTFS" else None


def _told_of_ext(unmet: UnmetRecords) -> Iterator[Told]:
    if unmet.unread:
        detail = f"the file records of {unmet.unread} of {unmet.groups} block groups could not be read"
        yield Told("volume-unaccounted", detail)
    if unmet.claimed is not None and unmet.claimed != unmet.in_use:
        detail = (
            f"the superblock counts {unmet.claimed} file records in use, the maps of records {unmet.in_use}: "
            "one of the two is damaged"
        )
        yield Told("volume-unaccounted", detail)


def _tops(system: OpenFileSystem, folders: list[int], begins: Callable[[int], None]) -> Iterator[int]:
    """Those folders that lie in none of the others."""
    among = set(folders)
    for inode in folders:
        try:
            begins(inode)
            if system.kind == "NTFS":
                above, _ = _name_of_ntfs(system.fs.open_meta(inode))
            else:
                above = parent_in(system.fs.open_meta(inode).read_random(0, 24))
        except (*LIBRARY_ERRORS, LeftOut):
            above = None
        if above not in among:
            yield inode


def _opened(
    system: OpenFileSystem, inode: int, begins: Callable[[int], None], name: bytes = b""
) -> Nameless | Told | None:
    """None for a record that the library cannot read as a file or folder; Told of one that is to be left out."""
    try:
        begins(inode)
        file = system.fs.open_meta(inode)
        meta = file.info.meta
        kind = int(meta.type) if meta is not None else 0
        name = _name_of_ntfs(file)[1] if system.kind == "NTFS" else name
    except LeftOut as error:
        return Told(error.code, f"{error.detail}; the file or folder of record {inode} was not listed")
    except LIBRARY_ERRORS:
        return None
    if kind not in (_TYPE_REG, _TYPE_DIR):
        return None
    return Nameless(inode, name or b"OrphanFile-%d" % inode, file, kind == _TYPE_DIR)  # as Sleuth Kit calls them


def _unmet_of_ntfs(system: OpenFileSystem, met: NumberSet) -> Unmet:
    """The records of ``$MFT`` in use that are not met. Errors: those of pytsk3."""
    table = system.fs.open_meta(0)
    size_of_record = ntfs_record_size(read_range(system.image, system.base, 512))
    if not size_of_record:
        raise EvidenceError("walk", "metadata-unreadable", "the size of the volume's file records makes no sense")
    records = min(int(table.info.meta.size), system.capacity) // size_of_record
    together = max(1, _PIECE // size_of_record)
    found = Unmet([], [], 0)
    senseless = unread = 0
    for first in range(0, records, together):
        count = min(together, records - first)
        try:
            data = table.read_random(first * size_of_record, count * size_of_record)
        except LIBRARY_ERRORS:
            unread += count
            continue
        count = len(data) // size_of_record
        words = np.frombuffer(data, dtype="<u4", count=count * size_of_record // 4).reshape(count, -1)
        state = words[:, 5] >> 16  # 1: in use, 2: a folder
        own = np.arange(first, first + count) >= _FIRST_NTFS_FILE
        unmet = own & ~met.within(first, count)
        is_record = words[:, 0] == _FILE_RECORD
        # a record that goes on with another is that one's
        wanted = unmet & is_record & (state & 1 == 1) & (words[:, 8] == 0) & (words[:, 9] & 0xFFFF == 0)
        found.folders.extend((np.flatnonzero(wanted & (state & 2 == 2)) + first).tolist())
        found.files.extend((np.flatnonzero(wanted & (state & 2 == 0)) + first).tolist())
        lost = np.flatnonzero(own & ~is_record)
        if len(lost):
            used = _ntfs_records_in_use(table, first, count)
            senseless += int(np.count_nonzero(used[lost[lost < len(used)]]))
    told = []
    if unread:
        told.append(Told("volume-unaccounted", f"{unread} of {records} file records of the volume could not be read"))
    return Unmet(found.folders, found.files, senseless, tuple(told))


def _ntfs_records_in_use(table: pytsk3.File, first: int, count: int) -> np.ndarray:
    """Of ``count`` records from ``first`` (a multiple of 8) whether $MFT's own bitmap says that they are in use."""
    for attribute in table:
        if int(attribute.info.type) == _MAP_OF_RECORDS:
            size = int(attribute.info.size)
            wanted = min(-(-count // 8), size - first // 8)
            data = table.read_random(first // 8, wanted, _MAP_OF_RECORDS, int(attribute.info.id)) if wanted > 0 else b""
            bits: np.ndarray = np.unpackbits(np.frombuffer(data, dtype=np.uint8), bitorder="little")[:count]
            return bits
    return np.zeros(0, dtype=np.uint8)


def ntfs_record_size(boot: bytes) -> int:
    """Bytes of a file record by the boot sector of an NTFS volume; 0 where that makes no sense."""
    if len(boot) < 512:
        return 0
    sector, per_cluster = int.from_bytes(boot[11:13], "little"), boot[13]
    said = int.from_bytes(boot[64:65], "little", signed=True)
    size = sector * per_cluster * said if said > 0 else 1 << -said if said > -32 else 0
    return size if size in (512, 1024, 2048, 4096, 8192, 16384, 32768, 65536) else 0


def _name_of_ntfs(file: pytsk3.File) -> tuple[int | None, bytes]:
    """The number of the folder in which a record says that it lies, and its name; (None, b"") where it says none.

    Of several names the first that is not a short one for DOS. Errors: those of pytsk3.
    """
    best: tuple[int | None, bytes] = (None, b"")
    for attribute in file:
        size = int(attribute.info.size)
        if int(attribute.info.type) != _FILE_NAME or not 0x42 < size <= 0x42 + 2 * 255:
            continue
        data = file.read_random(0, size, _FILE_NAME, int(attribute.info.id))
        length = data[0x40] if len(data) > 0x42 else 0
        text = data[0x42 : 0x42 + 2 * length].decode("utf-16-le", "surrogatepass")
        name = text.encode("utf-8", "surrogatepass").replace(b"/", b"_")
        above = int.from_bytes(data[:6], "little")
        if data[0x41:0x42] != bytes((_SHORT_NAME,)):
            return above, name
        best = (above, name)
    return best
