"""Volume shadow copies of NTFS: each is a volume of its own; what it shares with the living volume is not read twice.

A stream of a shadow copy is *unchanged* when the living volume has, under the same path and in the same state, a
stream of the same record number, sequence number, name, size and times whose content lies in the very same clusters
(or, inside the record, is the same bytes), and none of those clusters was copied into the store of this shadow copy or
of a newer one. Windows copies a block of 16 KiB before it is first overwritten, so a block that no such store holds
reads in the shadow copy as it reads in the living volume (or as zeros, where it was free then). Times alone would not
do: they can be set back after an overwriting. Unchanged streams are counted in a note and not listed again.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytsk3
import pyvshadow

from caid_triage.evidence.faults import LIBRARY_ERRORS, plain_reason
from caid_triage.evidence.layers.layer import Area, Child
from caid_triage.evidence.layers.view import view_of_library
from caid_triage.evidence.ranges import Range, merged
from caid_triage.model import FileEntry, Problem

_PLACE = 0x1E00
_MARK = bytes.fromhex("6b87083876c1484eb7ae04046e6cc752")
_BLOCK = 16 << 10
_MOST_STORES = 512  # Windows keeps at most 512 of a volume
_NONRESIDENT = int(pytsk3.TSK_FS_ATTR_NONRES)
_NO_BLOCK = int(pytsk3.TSK_FS_ATTR_RUN_FLAG_FILLER) | int(pytsk3.TSK_FS_ATTR_RUN_FLAG_SPARSE)
STORE_NAME = b"{3808876b-c176-4e48-b7ae-04046e6cc752}"
"""What the names of the files in which shadow copies are stored end with."""


@dataclass(frozen=True, slots=True)
class CopiedBlocks:
    """The numbers of the blocks of 16 KiB that were copied for a shadow copy or a newer one, sorted.

    ``own`` are those of its own store: only there it may hold what neither a newer copy nor the living volume has.
    """

    numbers: np.ndarray
    own: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def ranges(self) -> list[Range]:
        """The bytes of the volume in its own blocks."""
        return merged((number * _BLOCK, (number + 1) * _BLOCK) for number in self.own.tolist())

    def touch(self, offset: int, length: int) -> bool:
        """Whether any byte of a part of the volume was copied."""
        first, last = offset // _BLOCK, (offset + length - 1) // _BLOCK
        at = int(np.searchsorted(self.numbers, first))
        return at < len(self.numbers) and int(self.numbers[at]) <= last


def has_shadow_copies(area: Area) -> bool:
    """Whether an NTFS volume carries the mark of shadow copies."""
    return area.head[_PLACE : _PLACE + 16] == _MARK


def shadow_copies(area: Area) -> tuple[list[tuple[Child, CopiedBlocks]], list[Problem]]:
    """The shadow copies of an NTFS volume, the oldest first, and what is amiss. Never raises for its faults."""
    try:
        volume = pyvshadow.volume()
        volume.open_file_object(area.file())
        count = int(volume.number_of_stores)
    except (*LIBRARY_ERRORS, MemoryError) as error:
        detail = f"this volume has shadow copies that could not be read: {plain_reason(error)[:200]}"
        return [], [Problem("open", "shadow-copies-unreadable", detail, volume=area.name)]
    problems = []
    if count > _MOST_STORES:
        detail = (
            f"this volume names {count} shadow copies, more than Windows keeps; the first {_MOST_STORES} were opened"
        )
        problems.append(Problem("open", "shadow-copies-unreadable", detail, volume=area.name))
    found: list[tuple[Child, CopiedBlocks]] = []
    newer = np.zeros(0, dtype=np.int64)
    for place in reversed(range(min(count, _MOST_STORES))):
        child, blocks = _store(area, volume, place)
        newer = np.union1d(newer, blocks)
        found.append((child, CopiedBlocks(newer, blocks)))
    return found[::-1], problems


def _store(area: Area, volume: Any, place: int) -> tuple[Child, np.ndarray]:
    name = f"vss{place + 1}"
    blocks = np.zeros(0, dtype=np.int64)
    description = f"shadow copy {place + 1}"
    try:
        store = volume.get_store(place)
        taken = store.creation_time
        if taken is not None:
            description += f" of {taken:%Y-%m-%d %H:%M:%S} UTC"
        if not store.has_in_volume_data():
            raise ValueError("its blocks lie on another volume")
        size = int(store.volume_size)
        offsets = [int(store.get_block(number).original_offset) for number in range(int(store.number_of_blocks))]
        blocks = np.unique(np.array(offsets, dtype=np.int64) // _BLOCK)
        if not 0 < size <= 2 * area.length:
            raise ValueError(f"it claims {size} bytes")
        view = view_of_library(area.image, store, size, keep=volume)
        view.exact(0, 512)
        return Child(name, description, view), blocks
    except (*LIBRARY_ERRORS, MemoryError) as error:
        detail = f"this shadow copy could not be read: {plain_reason(error)[:200]}. None of its files were examined"
        problem = Problem("open", "shadow-copies-unreadable", detail, volume=f"{area.name}/{name}")
        return Child(name, description, None, "unreadable", problems=(problem,)), blocks


class SharedStreams:
    """The streams of a living volume by fingerprint, to tell which of a shadow copy are the same.

    Memory: about 100 bytes a stream, only for a volume that has shadow copies.
    """

    def __init__(self) -> None:
        self._known: set[bytes] = set()

    def add(self, entry: FileEntry, file: pytsk3.File | None) -> None:
        """Keep a stream of the living volume."""
        mark, _ = _fingerprint(entry, file)
        self._known.add(mark)

    def holds(self, entry: FileEntry, file: pytsk3.File | None, copied: CopiedBlocks, block_size: int) -> bool:
        """Whether a stream of a shadow copy is unchanged. Errors: those of pytsk3."""
        mark, runs = _fingerprint(entry, file)
        if mark not in self._known:
            return False
        return not any(copied.touch(first * block_size, count * block_size) for first, count in runs)


def _fingerprint(entry: FileEntry, file: pytsk3.File | None) -> tuple[bytes, list[tuple[int, int]]]:
    """A digest of all that says which content a stream has and what is listed of it; and its runs on the volume.

    ``file`` is None for a name to which no content belongs.
    """
    digest = hashlib.blake2b(digest_size=16)
    times = (entry.times.created, entry.times.modified, entry.times.accessed, entry.times.changed)
    problems = tuple(problem.code for problem in entry.problems)
    sequence = int(file.info.meta.seq) if file is not None else None
    facts = (
        entry.raw_path,
        entry.state,
        entry.inode,
        sequence,
        entry.stream,
        entry.size,
        times,
        entry.readable,
        problems,
    )
    digest.update(repr(facts).encode("utf-8", "surrogatepass"))
    runs: list[tuple[int, int]] = []
    if file is None:
        return digest.digest(), runs
    for attribute in file:
        info = attribute.info
        if (int(info.type), int(info.id)) != entry.locator[2:]:
            continue
        if not int(info.flags) & _NONRESIDENT:
            digest.update(file.read_random(0, int(info.size), int(info.type), int(info.id)) if info.size else b"")
            continue
        for run in attribute:
            flags = int(run.flags)
            digest.update(struct.pack("<QQQ", int(run.addr), int(run.len), flags))
            if not flags & _NO_BLOCK:
                runs.append((int(run.addr), int(run.len)))
    return digest.digest(), runs
