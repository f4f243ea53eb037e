"""EnCase hash sets (.hash): a head of 1,152 bytes, then 18 bytes an entry, the first 16 of which are an MD5."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from caid_triage.hashset.batch import HashColumn, RowBatch, batch_of_hashes, one_by_one
from caid_triage.hashset.rows import Row, SourceFile
from caid_triage.model import RefusedRow

_MAGIC = b"HASH\r\n\xff\x00"
_FIRST = 1_152
_LENGTH = 18
_BLOCK = _LENGTH * 16_384


class EncaseReader:
    """Reads the MD5 of every entry. The layout is the one The Sleuth Kit reads (tsk/hashdb/encase.cpp)."""

    name = "encase"
    title = "EnCase hash set (.hash)"

    def detects(self, head: bytes) -> bool:
        """Whether the file begins with EnCase's mark."""
        return head.startswith(_MAGIC)

    def read(self, source: SourceFile) -> Iterator[Row | RefusedRow]:
        """A Row an entry; refused ones carry their byte."""
        return one_by_one(self.read_batches(source))

    def read_batches(self, source: SourceFile) -> Iterator[RowBatch | RefusedRow]:
        """The same in batches."""
        source.stream.read(_FIRST)
        offset = _FIRST
        while block := source.stream.read(_BLOCK):
            count = len(block) // _LENGTH
            entries = np.frombuffer(block, dtype=np.uint8, count=count * _LENGTH).reshape(-1, _LENGTH)
            there = entries[:, :16].any(axis=1)
            for number in np.flatnonzero(~there).tolist():
                yield RefusedRow(source.name, f"byte {offset + number * _LENGTH}", "MD5 is all zeros")
            if there.any():
                places = offset + np.flatnonzero(there) * _LENGTH
                digests = np.ascontiguousarray(entries[there, :16])
                column = HashColumn(digests, np.arange(len(digests), dtype=np.uint32))
                yield batch_of_hashes({"md5": column}, len(digests), places, "byte")
            if len(block) % _LENGTH:
                yield RefusedRow(source.name, f"byte {offset + count * _LENGTH}", "the entry is cut short")
            offset += len(block)
