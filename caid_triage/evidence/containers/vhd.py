"""VHD (fixed, dynamic, differencing), with its parents: read here, by its own tables.

libvhdi is not used: of a differencing disk it takes every sector of a block for the disk's own, without an error,
where the bitmap of the block says that sectors are the parent's.

Format: Microsoft, "Virtual Hard Disk Image Format Specification" 1.0 (2006), big-endian: a footer of 512 bytes (older
ones 511) at the end, which all but fixed disks have as their first bytes too; a header "cxsparse" with the block
table; each block is a bitmap in whole sectors (the first sector is the highest bit), then its content.
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

_WHAT = "VHD virtual disk"
_FOOTER = b"conectix"
_NO_BLOCK = 0xFFFFFFFF
_FIXED, _DYNAMIC, _DIFFERENCING = 2, 3, 4
_SECTOR = 512
_KEEP_BITMAPS = 1024


def is_vhd(head: bytes, tail: bytes) -> bool:
    """Whether a file ends with the footer of a VHD, or begins with the copy that all but fixed ones have."""
    return head.startswith(_FOOTER + b"\0\0\0") or _FOOTER in (tail[-512:][:8], tail[-511:][:8])


def open_vhd(path: Path) -> OpenContainer:
    """Open a VHD and the disks that it builds on. Errors: SourceError."""
    chain: list[Path] = []
    reader, problems = open_with_parents(path, chain, _WHAT, VhdReader)
    facts = {"identifier": str(uuid.UUID(bytes=reader.identifier))}
    if reader.creator:
        facts["creator"] = reader.creator
    facts |= parents_fact(chain)
    return OpenContainer("vhd", reader, tuple(chain), facts, tuple(problems))


class VhdReader:
    """The disk inside a VHD. A differencing one is to adopt its parent.

    Errors on construction: OSError, ValueError, struct.error.
    """

    def __init__(self, file: RawIOBase) -> None:
        self._file = file
        self._end = file.seek(0, 2)
        self.parent: VhdReader | None = None
        footer = self._footer()
        header_at, self.size = struct.unpack_from(">16xQ24xQ", footer)
        (self.kind,) = struct.unpack_from(">I", footer, 60)
        self.identifier = footer[68:84]
        self.creator = footer[28:32].decode("latin-1").strip("\0 ")
        self._parent_identifier, self._parent_name = b"", ""
        self._block = 0
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        if self.kind not in (_FIXED, _DYNAMIC, _DIFFERENCING) or not 0 < self.size < 1 << 63:
            raise ValueError("its footer contradicts itself")
        if self.kind == _FIXED:
            return
        header = self._bytes(header_at, 1024)
        if not header.startswith(b"cxsparse") or len(header) < 1024:
            raise ValueError("its header is damaged")
        table_at_byte, count, self._block = struct.unpack_from(">16xQ4xII", header)
        self._parent_identifier = header[40:56]
        self._parent_name = header[64:576].decode("utf-16-be", "replace").partition("\0")[0]
        if not _SECTOR <= self._block <= 1 << 30 or self._block % _SECTOR or count * self._block < self.size:
            raise ValueError("its header contradicts itself")
        count = -(-self.size // self._block)
        self._bitmap_size = -(-(self._block // _SECTOR) // 4096) * _SECTOR
        self._table = table_at(file, table_at_byte, count, ">u4")
        if len(self._table) < count:
            raise ValueError("its block table is cut off")

    def _footer(self) -> bytes:
        for offset, length in ((self._end - 512, 512), (self._end - 511, 511)):
            footer = self._bytes(max(0, offset), length)
            if footer.startswith(_FOOTER) and len(footer) == length:
                return footer
        raise ValueError("its end is missing (the footer that stands in its first bytes too)")

    def _bytes(self, offset: int, length: int) -> bytes:
        """Bytes of the file; fewer at its end."""
        self._file.seek(min(offset, self._end))
        return self._file.read(length) or b""

    # ------------------------------------------------------------ Chained

    @property
    def named_parent(self) -> str | None:
        """The parent's name; None for a disk that is not differencing."""
        return self._parent_name if self.kind == _DIFFERENCING else None

    def adopt(self, parent: Chained) -> bool:
        """Take a parent, if it is the one that the header identifies."""
        if not isinstance(parent, VhdReader) or parent.identifier != self._parent_identifier:
            return False
        self.parent = parent
        return True

    def remarks(self, _path: Path) -> list[Problem]:
        """Nothing."""
        return []

    # ------------------------------------------------------------ DiskReader

    def read(self, offset: int, length: int) -> bytes:
        """The bytes at ``offset``: of its own blocks, zeros, or of the parent."""
        if self.kind == _FIXED:
            return self._own(0, offset, length)
        pieces = []
        while length > 0:
            number, start = divmod(offset, self._block)
            wanted = min(length, self._block - start)
            entry = int(self._table[number])
            if entry == _NO_BLOCK:
                pieces.append(behind(self.parent, offset, wanted))
            elif self.kind == _DYNAMIC:
                pieces.append(self._own(entry * _SECTOR + self._bitmap_size, start, wanted))
            else:
                pieces.append(self._mixed(number, entry * _SECTOR, start, wanted))
            offset += wanted
            length -= wanted
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _own(self, place: int, start: int, length: int) -> bytes:
        data = self._bytes(place + start, length)
        if len(data) < length:
            raise OSError("a block lies behind the end of the image")
        return data

    def _mixed(self, number: int, place: int, start: int, length: int) -> bytes:
        bitmap = self._kept.get(place)
        if bitmap is None:
            bitmap = self._own(place, 0, self._bitmap_size)
            self._kept[place] = bitmap
            if len(self._kept) > _KEEP_BITMAPS:
                self._kept.popitem(last=False)
        first, last = start // _SECTOR, (start + length - 1) // _SECTOR
        bits = np.unpackbits(np.frombuffer(bitmap[first // 8 : last // 8 + 1], np.uint8))
        return read_mixed(
            bits[first % 8 : first % 8 + last - first + 1] == 1,
            _SECTOR,
            start,
            length,
            lambda at, size: self._own(place + self._bitmap_size, at, size),
            lambda at, size: behind(self.parent, number * self._block + at, size),
        )

    def unreadable(self) -> Sequence[Range]:
        """The blocks that should lie behind the end of the file."""
        if self.kind == _FIXED:
            return [(self._end, self.size - self._end)] if self.size > self._end else []
        starts = self._table * np.uint64(_SECTOR) + np.uint64(self._bitmap_size)
        lengths = np.where(self._table == _NO_BLOCK, 0, self._block)
        lengths[-1] = min(int(lengths[-1]), self.size - (len(lengths) - 1) * self._block)
        return behind_end(starts, lengths.astype(np.uint64), self._end, self._block)

    def close(self) -> None:
        """Close the file and those it builds on."""
        self._file.close()
        if self.parent is not None:
            self.parent.close()
