"""The chunks of an Ex01 or Lx01 by its sector tables, each one's checksum checked.

libewf (20260924) reads Ex01, but gives zeros or what it could unpack for a damaged chunk without an error, opens no set
with a table missing, and does not unpack bzip2. So it is not asked.

Format: libyal, "Expert Witness Compression Format 2", "sector table": the number of its first chunk u64, the count of
its entries u32, adler32 of those at 16; from 32 on the entries of 16 bytes: offset in the segment file u64, size u32,
flags u32 (1 compressed, 2 followed by its adler32, 4 no data: the offset is a pattern of 8 bytes that fills the chunk);
then their adler32.
"""

from __future__ import annotations

import struct
import zlib
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from caid_triage.evidence.containers.ewf2_sections import (
    BZIP2,
    TABLE,
    Ewf2Set,
    Section,
    checked_rows,
    table_header,
)
from caid_triage.evidence.containers.reader import Range, merged
from caid_triage.evidence.unpack import inflated, unbzipped

LARGEST_CHUNK = 64 << 20
_ENTRY = 16
_MOST_ENTRIES = 1 << 22
_PACKED, _SUMMED, _PATTERN = 1, 2, 4
_KEEP_TABLES = 16
_KEEP_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class _Table:
    """A sound table: the number of its first chunk, how many it describes, its section."""

    first: int
    count: int
    section: Section


class Ewf2Chunks:
    """The DiskReader of an Ex01 set, and the media data of an Lx01.

    Errors: ValueError on construction when the set describes no chunk soundly, or one twice; OSError from ``read``
    when a chunk is damaged.
    """

    def __init__(self, image: Ewf2Set, size: int, chunk_size: int) -> None:
        if not 0 < chunk_size <= LARGEST_CHUNK:
            raise ValueError(f"its chunks are of {chunk_size} bytes")
        self.size = size
        self._image = image
        self._chunk_size = chunk_size
        self._count = -(-size // chunk_size)
        found = (_sound_table(image, section) for section in image.sections if section.kind == TABLE)
        self._tables = sorted(
            (table for table in found if table is not None and table.first < self._count),
            key=lambda table: table.first,
        )
        if not self._tables and size:
            raise ValueError("none of its sector tables is sound")
        for table, following in zip(self._tables, self._tables[1:], strict=False):
            if table.first + table.count > following.first:
                raise ValueError(f"its sector tables describe chunk {following.first} twice")
        self._firsts = [table.first for table in self._tables]
        self._rows: OrderedDict[int, bytes] = OrderedDict()
        self._chunks: OrderedDict[int, bytes] = OrderedDict()
        self._keep_chunks = max(2, _KEEP_BYTES // chunk_size)

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``; the caller stays inside the disk. OSError when it cannot."""
        end = min(offset + length, self.size)
        pieces = []
        while offset < end:
            number, start = divmod(offset, self._chunk_size)
            piece = self._chunk(number)[start : start + end - offset]
            if not piece:
                raise OSError(f"chunk {number} is shorter than it should be")
            pieces.append(piece)
            offset += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def unreadable(self) -> Sequence[Range]:
        """The chunks that no sound table describes."""
        missing, at = [], 0
        for table in self._tables:
            missing.append((at * self._chunk_size, (table.first - at) * self._chunk_size))
            at = table.first + table.count
        missing.append((at * self._chunk_size, max(0, self._count - at) * self._chunk_size))
        return merged(missing, self.size)

    def close(self) -> None:
        """Close every segment."""
        self._image.close()

    def _chunk(self, number: int) -> bytes:
        found = self._chunks.get(number)
        if found is not None:
            self._chunks.move_to_end(number)
            return found
        index = bisect_right(self._firsts, number) - 1
        if index < 0 or number >= self._tables[index].first + self._tables[index].count:
            raise OSError(f"no sound table of the image describes chunk {number}")
        table = self._tables[index]
        rows = self._rows_of(index)
        at, size, flags = struct.unpack_from("<QII", rows, _ENTRY * (number - table.first))
        expected = min(self._chunk_size, self.size - number * self._chunk_size)
        try:
            chunk = self._content(table.section.segment, at, size, flags, expected)
        except OSError as error:
            raise OSError(f"chunk {number} of the image is damaged: {error}") from error
        if len(chunk) < expected:
            raise OSError(f"chunk {number} of the image is shorter than it should be")
        self._chunks[number] = chunk
        if len(self._chunks) > self._keep_chunks:
            self._chunks.popitem(last=False)
        return chunk

    def _content(self, segment: int, at: int, size: int, flags: int, expected: int) -> bytes:
        """The content of a chunk, which may be longer than ``expected`` at the end of the disk."""
        if flags & _PACKED and flags & _PATTERN:
            return (struct.pack("<Q", at) * -(-self._chunk_size // 8))[: self._chunk_size]
        if not 0 < size <= 2 * self._chunk_size + 1024:
            raise OSError(f"its size is given as {size} bytes")
        if at >= 1 << 63:
            raise OSError("its offset is beyond every file")
        data = self._image.read(segment, at, size)
        if flags & _PACKED:
            unpack = unbzipped if self._image.method == BZIP2 else inflated
            return unpack(data, self._chunk_size)
        if not flags & _SUMMED:
            return data
        for length in (size - 4, expected, self._chunk_size):  # the size may count the padding behind the checksum
            sum_of = data[length : length + 4] if 0 < length <= size - 4 else b""
            if len(sum_of) == 4 and zlib.adler32(data[:length]) == int.from_bytes(sum_of, "little"):
                return data[:length]
        raise OSError("its checksum is another")

    def _rows_of(self, index: int) -> bytes:
        found = self._rows.get(index)
        if found is not None:
            self._rows.move_to_end(index)
            return found
        table = self._tables[index]
        rows = _rows(self._image, table.section, table.count)
        if rows is None:
            raise OSError("a sector table of the image is not any more what it was when it was opened")
        self._rows[index] = rows
        if len(self._rows) > _KEEP_TABLES:
            self._rows.popitem(last=False)
        return rows


def _sound_table(image: Ewf2Set, section: Section) -> _Table | None:
    """A table, or None where a checksum of it is another: its chunks are then unreadable."""
    try:
        header = table_header(image.read(section.segment, section.start, min(section.size, 32)))
        if header is None:
            return None
        first, count = struct.unpack_from("<QI", header)
        if not 0 < count <= _MOST_ENTRIES or section.size < 32 + count * _ENTRY + 4:
            return None
        sound = _rows(image, section, count) is not None
    except OSError:
        return None
    return _Table(first, count, section) if sound else None


def _rows(image: Ewf2Set, section: Section, count: int) -> bytes | None:
    """The entries of a table, None where their checksum is another. Only they are read, however large the section."""
    return checked_rows(image.read(section.segment, section.start, 32 + count * _ENTRY + 4), count, _ENTRY)
