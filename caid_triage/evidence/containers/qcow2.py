"""QCOW2 (QEMU), versions 2 and 3, with backing files: read here, by its own two levels of tables.

libqcow is not used: it gives other bytes for compressed clusters without an error, and takes no raw backing file.
What is not read here (Zstandard, encryption, sub-clusters, a disk whose content lies in another file) is refused
with the command that converts it.

Format: QEMU, docs/interop/qcow2.txt, all big-endian: header of 72 bytes (version 3: 104), a level 1 table of offsets
of level 2 tables, each of one cluster, each with entries of 8 bytes: bits 9 to 55 the place of the cluster, bit 62
compressed, bit 0 (version 3) reads as zeros. Of a compressed cluster the low 62 - (cluster bits - 8) bits are its
place in bytes, the bits above how many further sectors of 512 bytes it reaches into; it is deflated without a header.
"""

from __future__ import annotations

import struct
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import ExitStack
from io import RawIOBase
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from caid_triage.evidence.containers.blocks import behind_end, table_at
from caid_triage.evidence.containers.libyal import open_file
from caid_triage.evidence.containers.mixed import behind
from caid_triage.evidence.containers.reader import (
    CONVERT_QEMU,
    OpenContainer,
    Range,
    damaged,
    file_named,
    missing_blocks,
    parents_fact,
    refuse_circle,
    refused,
)
from caid_triage.evidence.faults import LIBRARY_ERRORS
from caid_triage.model import Problem

MAGIC = b"QFI\xfb"
_PLACE = np.uint64(0x00FFFFFFFFFFFE00)
_COMPRESSED = np.uint64(1 << 62)
_ZERO = np.uint64(1)
_MOST_L1 = (32 << 20) // 8
_KEEP_TABLES = 64
_KEEP_BYTES = 4 << 20
_WHAT = "QCOW2 (QEMU) virtual disk"
_FEATURES = {
    2: "whose content lies in another file",
    3: "with compressed clusters (of another kind than zlib)",
    4: "with sub-clusters",
}


def is_qcow2(head: bytes, _tail: bytes) -> bool:
    """Whether a file begins as a QCOW of any version."""
    return head.startswith(MAGIC)


def open_qcow2(path: Path) -> OpenContainer:
    """Open a QCOW2 and the disks that it builds on. Errors: SourceError."""
    chain: list[Path] = []
    reader, problems = _opened(path, chain)
    problems = [*missing_blocks(reader.unreadable(), reader.size), *problems]
    return OpenContainer("qcow2", reader, tuple(chain), parents_fact(chain), tuple(problems))


def _opened(path: Path, chain: list[Path]) -> tuple[Qcow2Reader, list[Problem]]:
    refuse_circle(path, chain, _WHAT)
    chain.append(path)
    backing: Qcow2Reader | RawReader | None = None
    with ExitStack() as undo:
        file = undo.enter_context(open_file(path))
        try:
            header = (file.read(104) or b"").ljust(104, b"\0")
            problems = _refuse_what_is_not_read(path, header)
            named = _backing_name(path, file, header)
            if named:
                parent = file_named(path, named, "the disk it was made from (its backing file)")
                if _begins_as_qcow2(parent):
                    backing, more = _opened(parent, chain)
                    problems += [*more, *missing_blocks(backing.unreadable(), backing.size)]
                else:
                    chain.append(parent)
                    backing = RawReader(open_file(parent))
                undo.callback(backing.close)
            reader = Qcow2Reader(file, header, backing)
        except LIBRARY_ERRORS as error:
            raise damaged(path, _WHAT, error) from error
        undo.pop_all()
    return reader, problems


def _refuse_what_is_not_read(path: Path, header: bytes) -> list[Problem]:
    (version,) = struct.unpack_from(">I", header, 4)
    (bits,) = struct.unpack_from(">I", header, 20)
    method, l1_size = struct.unpack_from(">II", header, 32)
    (snapshots,) = struct.unpack_from(">I", header, 60)
    (features,) = struct.unpack_from(">Q", header, 72) if version >= 3 else (0,)
    if version not in (2, 3):
        name = "QCOW" if version == 1 else "QCOW2"
        raise refused(path, f"{name} (QEMU) virtual disk of version {version}", CONVERT_QEMU)
    if method:
        advice = "decrypt it with 'qemu-img convert' and its key, and scan the result"
        raise refused(path, f"QCOW2 (QEMU) virtual disk that is encrypted ({'LUKS' if method == 2 else 'AES'})", advice)
    for bit in range(2, 64):
        if features >> bit & 1:
            raise refused(path, f"{_WHAT} {_FEATURES.get(bit, f'with an unknown feature ({bit})')}", CONVERT_QEMU)
    if not 9 <= bits <= 21 or l1_size > _MOST_L1:
        raise damaged(path, _WHAT, "its header contradicts itself")
    problems = []
    if features >> 1 & 1:
        detail = f"{path.name} was marked as damaged by the program that wrote it: parts of the disk may be wrong"
        problems.append(Problem("open", "container-not-closed", detail))
    if snapshots:
        detail = (
            f"{path.name} keeps {snapshots} earlier states of the disk (internal snapshots), which were not examined. "
            f"'qemu-img convert -l NAME -O raw' writes one out; 'qemu-img snapshot -l' lists them"
        )
        problems.append(Problem("open", "container-snapshots-not-examined", detail))
    return problems


def _backing_name(path: Path, file: RawIOBase, header: bytes) -> str:
    offset, length = struct.unpack_from(">QI", header, 8)
    if not offset:
        return ""
    if length > 1023:
        raise damaged(path, _WHAT, "the name of its backing file is too long")
    file.seek(min(offset, file.seek(0, 2)))
    return (file.read(length) or b"").decode("utf-8", "surrogateescape")


def _begins_as_qcow2(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == MAGIC


class RawReader:
    """A raw backing file."""

    def __init__(self, file: RawIOBase) -> None:
        self._file = file
        self.size = file.seek(0, 2)

    def read(self, offset: int, length: int) -> bytes:
        """The bytes at ``offset``."""
        self._file.seek(offset)
        return self._file.read(length) or b""

    def unreadable(self) -> Sequence[Range]:
        """Nothing: the file has what it has."""
        return ()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Qcow2Reader:
    """The disk inside a QCOW2. Errors on construction: OSError, ValueError."""

    def __init__(self, file: RawIOBase, header: bytes, backing: Qcow2Reader | RawReader | None) -> None:
        self._file = file
        self._backing = backing
        self._zero_flag = struct.unpack_from(">I", header, 4)[0] >= 3
        bits: int
        self.size: int
        bits, self.size = struct.unpack_from(">IQ", header, 20)
        l1_size, l1_at = struct.unpack_from(">4xIQ", header, 32)
        self._cluster = 1 << bits
        self._entries = self._cluster // 8
        self._end = file.seek(0, 2)
        needed = -(-self.size // (self._cluster * self._entries))
        self._l1 = table_at(file, l1_at, min(l1_size, needed), ">u8") & _PLACE
        if not 0 < self.size < 1 << 63 or len(self._l1) < needed:
            raise ValueError("its first table is cut off or does not cover the disk")
        self._place_bits = 62 - (bits - 8)
        self._l2: OrderedDict[int, NDArray[np.uint64]] = OrderedDict()
        self._inflated: OrderedDict[int, bytes] = OrderedDict()
        self._missing = self._checked()

    def read(self, offset: int, length: int) -> bytes:
        """The bytes at ``offset``: of its own clusters, zeros, or of the backing file."""
        pieces = []
        while length > 0:
            number, start = divmod(offset, self._cluster)
            wanted = min(length, self._cluster - start)
            index, at = divmod(number, self._entries)
            entry = int(self._table(int(self._l1[index]))[at]) if self._l1[index] else 0
            place = entry & int(_PLACE)
            if entry & int(_COMPRESSED):
                pieces.append(self._decompressed(entry)[start : start + wanted])
            elif self._zero_flag and entry & 1:
                pieces.append(bytes(wanted))
            elif place:
                self._file.seek(place + start)
                piece = self._file.read(wanted) or b""
                if len(piece) < wanted:
                    raise OSError("the image ends early")
                pieces.append(piece)
            else:
                pieces.append(behind(self._backing, offset, wanted))
            offset += wanted
            length -= wanted
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _decompressed(self, entry: int) -> bytes:
        """The content of a compressed cluster. OSError when it is damaged."""
        found = self._inflated.get(entry)
        if found is not None:
            self._inflated.move_to_end(entry)
            return found
        place, further = entry & (1 << self._place_bits) - 1, (entry & int(_COMPRESSED) - 1) >> self._place_bits
        self._file.seek(place)
        data = self._file.read((further + 1) * 512 - place % 512) or b""
        try:
            cluster = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, self._cluster)
        except zlib.error as error:
            raise OSError("a compressed cluster of the image is damaged") from error
        if len(cluster) != self._cluster:
            raise OSError("a compressed cluster of the image is cut off")
        self._inflated[entry] = cluster
        if len(self._inflated) * self._cluster > _KEEP_BYTES:
            self._inflated.popitem(last=False)
        return cluster

    def _table(self, place: int) -> NDArray[np.uint64]:
        found = self._l2.get(place)
        if found is not None:
            self._l2.move_to_end(place)
            return found
        table = table_at(self._file, place, self._entries, ">u8")
        if len(table) < self._entries:
            raise OSError("a table lies behind the end of the image")
        self._l2[place] = table
        if len(self._l2) > _KEEP_TABLES:
            self._l2.popitem(last=False)
        return table

    def _checked(self) -> list[Range]:
        """Look through every table once: what lies behind the end of the file."""
        missing: list[Range] = []
        span = self._cluster * self._entries
        kept: dict[int, list[Range] | None] = {}
        for index in np.flatnonzero(self._l1):
            place, first = int(self._l1[index]), int(index) * span
            if place not in kept:
                kept[place] = self._lost_of(place)
            lost = kept[place]
            missing += [(first, span)] if lost is None else [(first + offset, length) for offset, length in lost]
            if len(missing) > _MOST_L1:
                raise ValueError("its tables point behind its end everywhere")
        return missing

    def _lost_of(self, place: int) -> list[Range] | None:
        """What a table's clusters lack behind the end of the file, from its first on; None: the table itself."""
        entries = table_at(self._file, place, self._entries, ">u8")
        if len(entries) < self._entries:
            return None
        packed = entries & _COMPRESSED != 0
        places = entries & _PLACE
        own = ~packed & (places != 0)
        if self._zero_flag:
            own &= entries & _ZERO == 0
        starts = np.where(packed, entries & np.uint64((1 << self._place_bits) - 1), places)
        lengths = np.where(own, np.uint64(self._cluster), packed.astype(np.uint64))
        return behind_end(starts, lengths, self._end, self._cluster)

    def unreadable(self) -> Sequence[Range]:
        """What the tables point to behind the end of the file, where the disk does not have it otherwise."""
        return self._missing

    def close(self) -> None:
        """Close the file and those it builds on."""
        self._file.close()
        if self._backing is not None:
            self._backing.close()
