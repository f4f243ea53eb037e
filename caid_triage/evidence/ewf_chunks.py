"""Read the chunks of an E01 set by its own tables, and check each one's checksum.

libewf (20260924) answers a read of a damaged chunk with zeros and without an error, which would be hashed as
if the disk held them; and it inflates a chunk again for every small read of it (measured: 55 MB a CPU second
by file, against several hundred here). So libewf opens the set and gives its facts, and this module reads it.

Format: libyal, "Expert Witness Compression Format", sections "sectors", "table" and "table2". A table is a
count (u32), 4 bytes, a base offset (u64), 4 bytes, an adler32 of those 20, then one u32 for each chunk: its offset
from the base, the top bit telling that it is compressed. A chunk ends where the next begins, the last of a
table where its sectors section ends. A chunk that is not compressed ends with its adler32.
"""

from __future__ import annotations

import struct
import zlib
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path
from sys import byteorder

from caid_triage.evidence.unpack import inflated_chunk

_SECTION = 76
_TABLE_HEADER = 24
_COMPRESSED = 0x80000000
_MAX_SECTIONS = 1_000_000
_KEEP_TABLES = 16
_KEEP_FILES = 32
_KEEP_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class _Table:
    """Where a table of chunks lies: its segment, the offset and count of its entries, its base, its data's end."""

    segment: int
    entries_at: int
    count: int
    base: int
    data_end: int


class EwfChunks:
    """The bytes of the disk inside an E01 set, every chunk checked.

    Errors: ValueError on construction when the tables do not describe exactly the chunks of the disk (then
    the set is of another make, or damaged); OSError from ``read`` when a chunk is damaged.
    """

    def __init__(self, segments: Sequence[Path], size: int, chunk_size: int, what: str = "E01") -> None:
        self._what = what
        self._segments = segments
        self._size = size
        self._chunk_size = chunk_size
        self._files: OrderedDict[int, RawIOBase] = OrderedDict()
        self._offsets: OrderedDict[int, array[int]] = OrderedDict()
        self._chunks: OrderedDict[int, bytes] = OrderedDict()
        self._same = b"", b""  # the last one inflated: free space is the same chunk of zeros again and again
        self._keep_chunks = max(2, _KEEP_BYTES // chunk_size)
        self._tables: list[_Table] = []
        self._first_chunks: list[int] = []
        try:
            total = 0
            for segment in range(len(segments)):
                for table in self._tables_of(segment):
                    self._tables.append(table)
                    self._first_chunks.append(total)
                    total += table.count
        except OSError:
            self.close()
            raise
        if total != -(-size // chunk_size):
            self.close()
            message = f"the tables describe {total} chunks, the disk has {-(-size // chunk_size)}"
            raise ValueError(message)

    def read(self, offset: int, size: int) -> bytes:
        """The bytes at ``offset``; shorter only at the end of the disk."""
        end = min(offset + size, self._size)
        pieces = []
        while offset < end:
            number, start = divmod(offset, self._chunk_size)
            chunk = self._chunk(number)
            piece = chunk[start : start + end - offset]
            if not piece:
                raise OSError(f"chunk {number} of the {self._what} image is shorter than it should be")
            pieces.append(piece)
            offset += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        """Close every segment."""
        while self._files:
            self._files.popitem()[1].close()

    # ------------------------------------------------------------ chunks

    def _chunk(self, number: int) -> bytes:
        found = self._chunks.get(number)
        if found is not None:
            self._chunks.move_to_end(number)
            return found
        index = bisect_right(self._first_chunks, number) - 1
        table = self._tables[index]
        offsets = self._entries(index)
        at = number - self._first_chunks[index]
        entry = offsets[at]
        start = table.base + (entry & ~_COMPRESSED)
        end = table.base + (offsets[at + 1] & ~_COMPRESSED) if at + 1 < table.count else table.data_end
        if not 0 < end - start <= 2 * self._chunk_size + 1024:
            raise OSError(f"the table of the {self._what} image is damaged at chunk {number}")
        data = self._bytes(table.segment, start, end - start)
        chunk = self._checked(number, data, compressed=bool(entry & _COMPRESSED))
        self._chunks[number] = chunk
        if len(self._chunks) > self._keep_chunks:
            self._chunks.popitem(last=False)
        return chunk

    def _checked(self, number: int, data: bytes, *, compressed: bool) -> bytes:
        expected = min(self._chunk_size, self._size - number * self._chunk_size)
        if compressed:
            if data == self._same[0]:
                chunk = self._same[1]
            else:
                try:
                    chunk = inflated_chunk(data, self._chunk_size)
                except OSError as error:
                    raise OSError(f"chunk {number} of the {self._what} image is damaged") from error
                self._same = data, chunk
        else:
            chunk = data[:-4]
            if zlib.adler32(chunk) != int.from_bytes(data[-4:], "little"):
                raise OSError(f"chunk {number} of the {self._what} image is damaged: its checksum is wrong")
        if len(chunk) < expected:
            raise OSError(f"chunk {number} of the {self._what} image is shorter than it should be")
        return chunk

    # ------------------------------------------------------------ tables

    def _tables_of(self, segment: int) -> list[_Table]:
        """The tables of one segment; where a table's header is damaged, its copy in table2."""
        tables: list[_Table] = []
        offset, data_end, wanted = 13, 0, False
        for _ in range(_MAX_SECTIONS):
            section = self._bytes(segment, offset, _SECTION)
            kind = section[:16].rstrip(b"\0")
            following, length = struct.unpack_from("<QQ", section, 16)
            if kind == b"sectors":
                data_end, wanted = offset + length, True
            elif kind in (b"table", b"table2") and wanted:
                table = self._table_at(segment, offset + _SECTION, length - _SECTION, data_end)
                if table is not None:
                    tables.append(table)
                    wanted = False
            if following <= offset:
                break
            offset = following
        return tables

    def _table_at(self, segment: int, offset: int, length: int, data_end: int) -> _Table | None:
        header = self._bytes(segment, offset, _TABLE_HEADER)
        count, base = struct.unpack_from("<I4xQ", header)
        if zlib.adler32(header[:20]) != int.from_bytes(header[20:24], "little"):
            return None
        entries_at, size = offset + _TABLE_HEADER, 4 * count
        if not count or _TABLE_HEADER + size > length:
            return None
        if length >= _TABLE_HEADER + size + 4:  # the entries' own adler32 follows them
            entries = self._bytes(segment, entries_at, size + 4)
            if zlib.adler32(entries[:-4]) != int.from_bytes(entries[-4:], "little"):
                return None
        return _Table(segment, entries_at, count, base, data_end)

    def _entries(self, index: int) -> array[int]:
        found = self._offsets.get(index)
        if found is not None:
            self._offsets.move_to_end(index)
            return found
        table = self._tables[index]
        entries = array("I" if array("I").itemsize == 4 else "L")
        entries.frombytes(self._bytes(table.segment, table.entries_at, 4 * table.count))
        if byteorder == "big":
            entries.byteswap()
        self._offsets[index] = entries
        if len(self._offsets) > _KEEP_TABLES:
            self._offsets.popitem(last=False)
        return entries

    def _bytes(self, segment: int, offset: int, length: int) -> bytes:
        file = self._files.get(segment)
        if file is None:
            file = self._segments[segment].open("rb", buffering=0)
            self._files[segment] = file
            if len(self._files) > _KEEP_FILES:
                self._files.popitem(last=False)[1].close()
        else:
            self._files.move_to_end(segment)
        if offset >= 1 << 63:  # seek takes no such number
            raise OSError(f"the {self._what} image points behind the end of every file")
        file.seek(offset)
        data = file.read(length) or b""
        if len(data) < length:
            raise OSError(f"segment {segment + 1} of the {self._what} image ends early")
        return data
