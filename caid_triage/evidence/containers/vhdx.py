"""VHDX (fixed, dynamic, differencing): read here, by its own tables.

libvhdi is not used: of a differencing disk it gives other bytes, without an error, where a block is the parent's and
no sector of its neighbours is kept apart (it takes the first bytes of the file for the missing bitmap).

Format: [MS-VHDX], little-endian: two headers at 64 and 128 KiB (the one with the higher sequence number counts), a
region table at 192 KiB that places the block table (BAT) and the metadata. A BAT entry has a state in its low 3
bits and the place in MiB from bit 20 on; after every 2^23 * sector / block payload entries comes one of a bitmap, which
says for the blocks of state 7 which sectors are this disk's own. The log is not replayed; that is said.
"""

from __future__ import annotations

import struct
import uuid
from collections import OrderedDict
from collections.abc import Sequence
from io import RawIOBase
from pathlib import Path

import numpy as np

from caid_triage.evidence.containers.blocks import behind_end, table_at
from caid_triage.evidence.containers.chained import Chained, open_with_parents
from caid_triage.evidence.containers.mixed import behind, read_mixed
from caid_triage.evidence.containers.reader import OpenContainer, Range, parents_fact
from caid_triage.model import Problem

_WHAT = "VHDX virtual disk"


def _guid(text: str) -> bytes:
    return uuid.UUID(text).bytes_le


_BAT = _guid("2dc27766-f623-4200-9d64-115e9bfd4a08")
_METADATA = _guid("8b7ca206-4790-4b9a-b8fe-575f050f886e")
_PARAMETERS = _guid("caa16737-fa36-4d43-b3b6-33f0aa44e76b")
_DISK_SIZE = _guid("2fa54224-cd1b-4876-b211-5dbed83bf4b8")
_SECTOR_SIZE = _guid("8141bf1d-a96f-4709-ba47-f233a8faab5f")
_PARENT_LOCATOR = _guid("a8d35f2d-b30b-454d-abf7-d3d84834ab0c")
_PARENTS, _WHOLE, _PARTLY = 0, 6, 7  # states of a block; the others are zeros
_HAS_PARENT = 2
_MIB = 1 << 20
_KEEP_BITMAPS = 8
_NAMES = ("relative_path", "absolute_win32_path", "volume_path")


def is_vhdx(head: bytes, _tail: bytes) -> bool:
    """Whether a file begins as a VHDX."""
    return head.startswith(b"vhdxfile")


def open_vhdx(path: Path) -> OpenContainer:
    """Open a VHDX and the disks that it builds on. Errors: SourceError."""
    chain: list[Path] = []
    reader, problems = open_with_parents(path, chain, _WHAT, VhdxReader)
    facts = {"identifier": str(uuid.UUID(bytes_le=reader.identifier))}
    if reader.creator:
        facts["creator"] = reader.creator
    facts |= parents_fact(chain)
    return OpenContainer("vhdx", reader, tuple(chain), facts, tuple(problems))


def _not_closed(path: Path) -> Problem:
    detail = (
        f"{path.name} was not closed cleanly: its log of last changes was not replayed, so files changed just "
        "before may be damaged or missing. Convert it with 'qemu-img convert', which replays it, and scan that"
    )
    return Problem("open", "container-not-closed", detail)


class VhdxReader:
    """The disk inside a VHDX. A differencing one is to adopt its parent.

    Errors on construction: OSError, ValueError, struct.error.
    """

    def __init__(self, file: RawIOBase) -> None:
        self._file = file
        self._end = file.seek(0, 2)
        self.parent: VhdxReader | None = None
        header = self._header()
        self.identifier = header[32:48]
        self.log_is_open = header[48:64] != bytes(16)
        self.creator = self._bytes(8, 512).decode("utf-16-le", "replace").partition("\0")[0].strip()
        regions = self._regions()
        if _BAT not in regions or _METADATA not in regions:
            raise ValueError("its region table is damaged")
        items = self._items(regions[_METADATA][0])
        self._block, flags = struct.unpack("<II", items[_PARAMETERS][:8])
        (self._sector,) = struct.unpack("<I", items[_SECTOR_SIZE][:4])
        self.size: int = struct.unpack("<Q", items[_DISK_SIZE][:8])[0]
        if (
            not _MIB <= self._block <= 256 * _MIB
            or self._block & (self._block - 1)
            or self._sector not in (512, 4096)
            or not 0 < self.size < 1 << 63
        ):
            raise ValueError("its metadata contradicts itself")
        self._parent_facts = self._read_parent_facts(items[_PARENT_LOCATOR]) if flags & _HAS_PARENT else None
        self._ratio = (self._sector << 23) // self._block
        count = -(-self.size // self._block)
        offset, length = regions[_BAT]
        chunks = -(-count // self._ratio)
        entries = table_at(file, offset, min(length // 8, chunks * (self._ratio + 1)), "<u8")
        if len(entries) < count + (count - 1) // self._ratio:
            raise ValueError("its block table is cut off")
        of_bitmap = np.arange(len(entries)) % (self._ratio + 1) == self._ratio
        self._entries = entries[~of_bitmap][:count]
        self._bitmaps = entries[of_bitmap]
        self._kept: OrderedDict[int, bytes] = OrderedDict()

    def _bytes(self, offset: int, length: int) -> bytes:
        """Bytes of the file; fewer at its end."""
        self._file.seek(min(offset, self._end))
        return self._file.read(length) or b""

    def _header(self) -> bytes:
        headers = [self._bytes(offset, 80) for offset in (0x10000, 0x20000)]
        sound = [header for header in headers if header.startswith(b"head") and len(header) == 80]
        if not sound:
            raise ValueError("both of its headers are damaged")
        return max(sound, key=lambda header: int.from_bytes(header[8:16], "little"))

    def _regions(self) -> dict[bytes, tuple[int, int]]:
        for at in (0x30000, 0x40000):
            table = self._bytes(at, 0x10000)
            if table.startswith(b"regi") and len(table) >= 16:
                count = min(int.from_bytes(table[8:12], "little"), 2047, (len(table) - 16) // 32)
                places = range(16, 16 + 32 * count, 32)
                return {table[at : at + 16]: struct.unpack_from("<QI", table, at + 16) for at in places}
        return {}

    def _items(self, offset: int) -> dict[bytes, bytes]:
        table = self._bytes(offset, 0x10000)
        if not table.startswith(b"metadata") or len(table) < 32:
            raise ValueError("its metadata is damaged")
        found = dict.fromkeys((_PARAMETERS, _DISK_SIZE, _SECTOR_SIZE, _PARENT_LOCATOR), b"")
        count = min(int.from_bytes(table[10:12], "little"), (len(table) - 32) // 32)
        for at in range(32, 32 + 32 * count, 32):
            place, length = struct.unpack_from("<II", table, at + 16)
            if table[at : at + 16] in found:
                found[table[at : at + 16]] = self._bytes(offset + place, min(length, _MIB))
        return found

    @staticmethod
    def _read_parent_facts(locator: bytes) -> dict[str, str]:
        """What a parent locator says: 20 bytes, then pairs of places of a name and its text, in UTF-16."""
        facts = {}
        (count,) = struct.unpack_from("<H", locator, 18)
        for at in range(20, 20 + 12 * count, 12):
            key, value, key_length, value_length = struct.unpack_from("<IIHH", locator, at)
            name = locator[key : key + key_length].decode("utf-16-le", "replace")
            facts[name] = locator[value : value + value_length].decode("utf-16-le", "replace")
        return facts

    # ------------------------------------------------------------ Chained

    @property
    def named_parent(self) -> str | None:
        """The parent's name; None for a disk that is not differencing."""
        if self._parent_facts is None:
            return None
        return next((self._parent_facts[name] for name in _NAMES if self._parent_facts.get(name)), "")

    def adopt(self, parent: Chained) -> bool:
        """Take a parent, if it is one that the locator identifies."""
        facts = self._parent_facts or {}
        links = [facts.get(name, "").lower() for name in ("parent_linkage", "parent_linkage2")]
        if not isinstance(parent, VhdxReader) or f"{{{uuid.UUID(bytes_le=parent.identifier)}}}" not in links:
            return False
        self.parent = parent
        return True

    def remarks(self, path: Path) -> list[Problem]:
        """That the log of last changes was not replayed."""
        return [_not_closed(path)] if self.log_is_open else []

    # ------------------------------------------------------------ DiskReader

    def read(self, offset: int, length: int) -> bytes:
        """The bytes at ``offset``: of its own blocks, zeros, or of the parent."""
        pieces = []
        while length > 0:
            number, start = divmod(offset, self._block)
            wanted = min(length, self._block - start)
            entry = int(self._entries[number])
            state = entry & 7
            if state == _WHOLE:
                pieces.append(self._own(entry, start, wanted))
            elif state == _PARTLY and self.parent is not None:
                pieces.append(self._mixed(number, entry, start, wanted))
            elif state == _PARENTS and self.parent is not None:
                pieces.append(behind(self.parent, offset, wanted))
            elif state == _PARTLY:
                raise OSError("a block of the image says that it is in part a parent's, and there is none")
            else:
                pieces.append(bytes(wanted))
            offset += wanted
            length -= wanted
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _own(self, entry: int, start: int, length: int) -> bytes:
        data = self._bytes((entry >> 20) * _MIB + start, length)
        if len(data) < length:
            raise OSError("a block lies behind the end of the image")
        return data

    def _mixed(self, number: int, entry: int, start: int, length: int) -> bytes:
        """A part of a block of which some sectors are its own: each bit of the bitmap says so of one sector."""
        chunk, place = divmod(number, self._ratio)
        before = place * self._block // self._sector  # sectors of the chunk before the block
        first, last = before + start // self._sector, before + (start + length - 1) // self._sector
        bits = np.frombuffer(self._bitmap(chunk)[first // 8 : last // 8 + 1], np.uint8)
        own = np.unpackbits(bits, bitorder="little")[first % 8 : first % 8 + last - first + 1] == 1
        return read_mixed(
            own,
            self._sector,
            start,
            length,
            lambda at, size: self._own(entry, at, size),
            lambda at, size: behind(self.parent, number * self._block + at, size),
        )

    def _bitmap(self, chunk: int) -> bytes:
        found = self._kept.get(chunk)
        if found is None:
            entry = int(self._bitmaps[chunk]) if chunk < len(self._bitmaps) else 0
            if entry & 7 != _WHOLE:
                raise OSError("the image does not say which sectors of a block are its own")
            found = self._own(entry, 0, _MIB)
            self._kept[chunk] = found
            if len(self._kept) > _KEEP_BITMAPS:
                self._kept.popitem(last=False)
        return found

    def unreadable(self) -> Sequence[Range]:
        """The blocks that should lie behind the end of the file."""
        states = self._entries & np.uint64(7)
        starts = self._entries >> np.uint64(20) << np.uint64(20)
        lengths = np.where(states == _WHOLE, self._block, 0).astype(np.uint64)
        return behind_end(starts, lengths, self._end, self._block)

    def close(self) -> None:
        """Close the file and those it builds on."""
        self._file.close()
        if self.parent is not None:
            self.parent.close()
