"""The extents of a VMDK: flat, of zeros, and sparse ones, whose grains are found through two levels of tables.

Format: VMware, "Virtual Disk Format 5.0", little-endian, places in sectors of 512 bytes. Hosted sparse ("KDMV"): flags
at 8 (0x4 an entry of 1 means zeros, 0x10000 compressed, 0x20000 each grain has a marker), capacity 12, grain 20,
entries a table 44, directory 56 (all ones: the copy of the header in the last kilobyte counts). ESX sparse ("COWD"):
capacity 12, grain 16, directory 20, 4096 entries a table. A table entry of 0 is a grain of the parent.
"""

from __future__ import annotations

import struct
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from io import RawIOBase
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from caid_triage.evidence.containers.blocks import behind_end, ranges_of, table_at
from caid_triage.evidence.containers.reader import Range

SECTOR = 512
Piece = tuple[bytes | None, int]
"""Bytes (None where the parent has them) and how many of them there are."""

_ZEROED, _COMPRESSED, _MARKED = 0x4, 0x10000, 0x20000
_AT_END = 0xFFFFFFFFFFFFFFFF
_MOST_GRAIN = 1 << 26
_KEEP_TABLES = 256
_KEEP_BYTES = 4 << 20


class Extent(Protocol):
    """A part of the disk."""

    size: int

    def pieces(self, offset: int, length: int) -> Iterator[Piece]:
        """The bytes at ``offset`` of the extent, in order. OSError where they cannot be had."""
        ...

    def unreadable(self) -> list[Range]:
        """Ranges of the extent that should lie behind the end of its file."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


class ZeroExtent:
    """An extent that keeps nothing: zeros."""

    def __init__(self, size: int) -> None:
        self.size = size

    def pieces(self, offset: int, length: int) -> Iterator[Piece]:
        """Zeros."""
        yield bytes(length), length

    def unreadable(self) -> list[Range]:
        """Nothing."""
        return []

    def close(self) -> None:
        """Nothing is open."""


class FlatExtent:
    """An extent that lies in its file as it is, from ``start`` on."""

    def __init__(self, file: RawIOBase, start: int, size: int) -> None:
        self._file = file
        self._start = start
        self.size = size

    def pieces(self, offset: int, length: int) -> Iterator[Piece]:
        """The bytes of the file."""
        yield _exactly(self._file, self._start + offset, length), length

    def unreadable(self) -> list[Range]:
        """What is behind the end of the file."""
        has = max(0, self._file.seek(0, 2) - self._start)
        return [(has, self.size - has)] if has < self.size else []

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class SparseExtent:
    """An extent of grains. Errors on construction: OSError, ValueError, struct.error."""

    def __init__(self, file: RawIOBase, size: int) -> None:
        self._file = file
        self._end = file.seek(0, 2)
        self.size = size
        header = self._header(0)
        if header.startswith(b"COWD"):
            self._flags, self._per_table = 0, 4096
            grain, directory = struct.unpack_from("<II", header, 16)
        elif header.startswith(b"KDMV"):
            if struct.unpack_from("<Q", header, 56)[0] == _AT_END:
                header = self._header(self._end - 1024)
                if not header.startswith(b"KDMV"):
                    raise ValueError("its end is missing, and with it the table of what it holds")
            (self._flags,) = struct.unpack_from("<I", header, 8)
            (grain,) = struct.unpack_from("<Q", header, 20)
            (self._per_table,) = struct.unpack_from("<I", header, 44)
            (directory,) = struct.unpack_from("<Q", header, 56)
        else:
            raise ValueError("one of its extents is not what the descriptor says")
        self._grain = grain * SECTOR
        if not 0 < self._grain <= _MOST_GRAIN or not 0 < self._per_table <= 1 << 16:
            raise ValueError("the header of an extent contradicts itself")
        self._span = self._grain * self._per_table
        count = -(-size // self._span)
        self._tables = table_at(file, directory * SECTOR, count, "<u4")
        if len(self._tables) < count:
            raise ValueError("the directory of its grains is cut off")
        self._kept: OrderedDict[int, NDArray[np.uint64]] = OrderedDict()
        self._inflated: OrderedDict[int, bytes] = OrderedDict()

    def _header(self, offset: int) -> bytes:
        self._file.seek(max(0, offset))
        return (self._file.read(SECTOR) or b"").ljust(SECTOR, b"\0")

    def pieces(self, offset: int, length: int) -> Iterator[Piece]:
        """Grain by grain; None for those that the parent has."""
        while length > 0:
            number, start = divmod(offset, self._grain)
            wanted = min(length, self._grain - start)
            entry = self._entry(number)
            if entry == 0:
                yield None, wanted
            elif entry == 1 and self._flags & _ZEROED:
                yield bytes(wanted), wanted
            elif self._flags & _COMPRESSED:
                piece = self._decompressed(entry)[start : start + wanted]
                if len(piece) < wanted:
                    raise OSError("a compressed grain of the image is cut off")
                yield piece, wanted
            else:
                yield _exactly(self._file, entry * SECTOR + start, wanted), wanted
            offset += wanted
            length -= wanted

    def _entry(self, number: int) -> int:
        index, at = divmod(number, self._per_table)
        place = int(self._tables[index])
        if place == 0:
            return 0
        table = self._kept.get(place)
        if table is None:
            table = table_at(self._file, place * SECTOR, self._per_table, "<u4")
            if len(table) < self._per_table:
                raise OSError("a table lies behind the end of the image")
            self._kept[place] = table
            if len(self._kept) > _KEEP_TABLES:
                self._kept.popitem(last=False)
        return int(table[at])

    def _decompressed(self, entry: int) -> bytes:
        """The content of a compressed grain. OSError when it is damaged."""
        found = self._inflated.get(entry)
        if found is not None:
            self._inflated.move_to_end(entry)
            return found
        start, length = entry * SECTOR, min(self._grain, self._end - entry * SECTOR)
        if self._flags & _MARKED:
            length = int.from_bytes(_exactly(self._file, start + 8, 4), "little")
            start += 12
        if not 0 < length <= 2 * self._grain + 1024:
            raise OSError("a compressed grain of the image is damaged")
        inflater = zlib.decompressobj()
        try:
            grain = inflater.decompress(_exactly(self._file, start, length), self._grain + 1)
        except zlib.error as error:
            raise OSError("a compressed grain of the image is damaged") from error
        if not inflater.eof or len(grain) > self._grain:  # its checksum stands at its end
            raise OSError("a compressed grain of the image is damaged")
        self._inflated[entry] = grain
        if len(self._inflated) * self._grain > _KEEP_BYTES:
            self._inflated.popitem(last=False)
        return grain

    def unreadable(self) -> list[Range]:
        """Grains that should lie behind the end of the file. ValueError when the tables cannot be of a real disk."""
        gone = self._tables * np.uint64(SECTOR) + np.uint64(4 * self._per_table) > self._end
        missing = ranges_of((self._tables != 0) & gone, self._span)
        present = np.flatnonzero((self._tables != 0) & ~gone)
        if len(np.unique(self._tables[present])) < len(present):
            raise ValueError("two parts of its table are one and the same")
        for index in present:
            first = int(index) * self._span
            grains = table_at(self._file, int(self._tables[index]) * SECTOR, self._per_table, "<u4")
            if int(grains.max()) * SECTOR + self._grain <= self._end:
                continue
            # a compressed grain says its own length when it is read; the last one of a disk may be kept short
            lengths = np.clip(self.size - first - np.arange(self._per_table) * self._grain, 0, self._grain)
            if self._flags & _COMPRESSED:
                lengths = np.minimum(lengths, 1)
            lengths[(grains == 0) | ((grains == 1) & bool(self._flags & _ZEROED))] = 0
            starts = grains * np.uint64(SECTOR)
            missing += behind_end(starts, lengths.astype(np.uint64), self._end, self._grain, first)
        return missing

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _exactly(file: RawIOBase, offset: int, length: int) -> bytes:
    file.seek(offset)
    data = file.read(length) or b""
    if len(data) < length:
        raise OSError("a part of the disk lies behind the end of the image")
    return data
