"""The columns of a hash set while it is built: packed bytes that grow, never a Python object an entry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caid_triage.errors import HashSetError
from caid_triage.hashset.algorithms import DIGEST_BYTES, PERCEPTUAL_BYTES, PHOTODNA_BYTES
from caid_triage.hashset.batch import NO_FRAME, HashColumn, RowBatch, frame_words
from caid_triage.hashset.column_files import ColumnWriter
from caid_triage.hashset.hash_columns import HashBlock, hash_part
from caid_triage.hashset.manifest import QUALITY_UNKNOWN, SIZE_UNKNOWN
from caid_triage.hashset.rows import HAS_DIGEST, Row
from caid_triage.hashset.spool import Spool

__all__ = ["QUALITY_UNKNOWN", "SIZE_UNKNOWN", "Column", "Columns", "Part", "RecordColumns", "TextColumn"]

Column = NDArray[Any]
Part = Callable[[ColumnWriter], None]
HASH_BYTES = {**DIGEST_BYTES, **PERCEPTUAL_BYTES, "photodna": PHOTODNA_BYTES}
_MAX_RECORDS = 2**32 - 1
_MAX_CODES = 2**16
# How many records are kept in memory before they go to disk: some ten megabytes.
_SPILL_RECORDS = 1 << 16


@dataclass(frozen=True, slots=True)
class Columns:
    """What is to be written: each part writes some columns. ``counts``: records and hashes by kind.

    ``sized`` of the records state a size above 0.
    """

    parts: tuple[Part, ...]
    counts: dict[str, int]
    sized: int


class TextColumn:
    """Texts one after another in UTF-8, and where each ends."""

    def __init__(self, folder: Path | None = None) -> None:
        self._text, self._ends, self._end = Spool("bytes", 1, folder), Spool("Q", 1, folder), 0
        self.spools = (self._text, self._ends)

    def append(self, text: str) -> None:
        """Add one text."""
        encoded = text.encode("utf-8", "replace")
        self._text.pending += encoded
        self._end += len(encoded)
        self._ends.pending.append(self._end)

    def extend(self, text: bytes, ends: NDArray[np.uint64]) -> None:
        """Add many texts that stand end to end."""
        self._text.pending += text
        self._ends.pending.frombytes((ends + np.uint64(self._end)).tobytes())
        self._end += len(text)

    def part(self, name: str) -> Part:
        """Writes the two columns ``name``.npy (uint8) and ``name``_end.npy (uint64)."""

        def write(writer: ColumnWriter) -> None:
            column_part(f"{name}.npy", np.uint8, self._text.blocks)(writer)
            column_part(f"{name}_end.npy", np.uint64, self._ends.blocks)(writer)

        return write


class TextCodes:
    """Few texts that many records share: each record keeps a small number."""

    def __init__(self) -> None:
        self._number: dict[str, int] = {}

    def number(self, text: str) -> int:
        """The number of a text, the next free one if it is new."""
        return self._number.setdefault(text, len(self._number))

    @property
    def texts(self) -> list[str]:
        """The texts, in the order of their numbers."""
        return list(self._number)


class _HashSpool:
    """Hashes of one kind, the record of each, its quality where the kind has one, and its frame if it is a video's."""

    def __init__(self, length: int, folder: Path | None) -> None:
        self.hashes = Spool("bytes", length, folder)
        self.records = Spool("I", 1, folder)
        self.quality = Spool("B", 1, folder)
        self.frames = Spool("Q", 1, folder)  # stays empty until the first frame of a video comes
        self.spools = (self.hashes, self.records, self.quality, self.frames)

    def add(self, value: bytes, record: int, quality: int | None = None, frame: int = NO_FRAME) -> None:
        if frame != NO_FRAME:
            self._fill_frames()
            self.frames.pending.append(frame)
        self.hashes.pending += value
        self.records.pending.append(record)
        self.quality.pending.append(QUALITY_UNKNOWN if quality is None else quality)

    def extend(self, column: HashColumn, first: int) -> None:
        """Add the hashes of a batch whose entries are records from ``first`` on."""
        if column.frames is not None:
            self._fill_frames()
            self.frames.pending.frombytes(column.frames.tobytes())
        self.hashes.pending += column.values.tobytes()
        self.records.pending.frombytes((column.rows + np.uint32(first)).astype(np.uint32).tobytes())
        unknown = np.full(len(column.values), QUALITY_UNKNOWN, dtype=np.uint8)
        self.quality.pending.frombytes((unknown if column.quality is None else column.quality).tobytes())

    def blocks(self) -> Iterator[HashBlock]:
        """The blocks of the three spools, cut alike."""
        records, quality, frames = (_Rest(spool.blocks()) for spool in (self.records, self.quality, self.frames))
        for hashes in self.hashes.blocks():
            count = len(hashes)
            frame = frames.take(count) if len(self.frames) else None
            yield HashBlock(hashes, records.take(count), quality.take(count), frame)

    def finish(self) -> None:
        """No more hashes will come."""
        if len(self.frames):
            self._fill_frames()

    def _fill_frames(self) -> None:
        """Say of every hash so far that has said nothing that it is no video's frame."""
        while missing := len(self.records) - len(self.frames):
            words = np.full(min(missing, _SPILL_RECORDS), NO_FRAME, dtype=np.uint64)
            self.frames.pending.frombytes(words.tobytes())
            self.frames.spill()


class _Rest:
    """Values that come in blocks of one size and are taken in another."""

    def __init__(self, blocks: Iterator[Column]) -> None:
        self._blocks, self._left = blocks, np.zeros(0, dtype=np.uint8)

    def take(self, count: int) -> Column:
        parts = [self._left[:0]]
        while count > len(self._left):
            parts.append(self._left)
            count -= len(self._left)
            self._left = next(self._blocks)
        parts.append(self._left[:count])
        self._left = self._left[count:]
        return np.concatenate([part for part in parts if len(part)] or parts[-1:])


class RecordColumns:
    """Takes Rows one by one; ``finish`` gives the columns of the store. Record i is the i-th Row.

    With a folder the rows wait on its disk, in nameless files, so that memory does not grow with the set;
    call ``close`` when the set is written. Without one they wait in memory.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.codes = TextCodes()
        self._series = TextCodes()
        self._series.number("")
        self._hashes = {name: _HashSpool(length, folder) for name, length in HASH_BYTES.items()}
        self._digests = [(name, self._hashes[name], HAS_DIGEST[name]) for name in DIGEST_BYTES]
        self._category, self._source, self._flags = (Spool("H", 1, folder) for _ in range(3))
        self._series_number, self._size = Spool("I", 1, folder), Spool("q", 1, folder)
        self._media_id = TextColumn(folder)
        self._records = self._in_memory = self._sized = 0
        self._spools = [spool for kind in self._hashes.values() for spool in kind.spools]
        self._spools += [self._category, self._source, self._flags, self._series_number, self._size]
        self._spools += self._media_id.spools

    def __len__(self) -> int:
        return self._records

    def add(self, row: Row, source: int) -> None:
        """Add one entry; ``source`` is the number of the file it comes from."""
        record = self._records
        self._refuse_too_many(1)
        flags = row.flags
        for name, spool, bit in self._digests:
            digest = getattr(row, name)
            if digest is not None:
                spool.add(digest, record)
                flags |= bit
        for (pdq, quality), frame in zip(row.pdq, frame_words(row), strict=True):
            self._hashes["pdq"].add(pdq, record, quality, frame)
        for phash in row.phash:
            self._hashes["phash"].add(phash, record)
        if row.photodna is not None:
            self._hashes["photodna"].add(row.photodna, record)
        self._category.pending.append(self._code(row.category))
        self._source.pending.append(source)
        self._flags.pending.append(flags)
        self._series_number.pending.append(self._series.number(row.series))
        self._size.pending.append(SIZE_UNKNOWN if row.size is None else row.size)
        self._sized += (row.size or 0) > 0
        self._media_id.append(row.media_id)
        self._added(1)

    def add_batch(self, batch: RowBatch, source: int) -> None:
        """Add many entries at once; the same as adding their Rows one by one."""
        self._refuse_too_many(batch.count)
        for name, column in batch.hashes.items():
            self._hashes[name].extend(column, self._records)
        codes = np.array([self._code(text) for text in batch.category_texts], dtype=np.uint16)
        series = np.array([self._series.number(text) for text in batch.series_texts], dtype=np.uint32)
        self._category.pending.frombytes(codes[batch.category].tobytes())
        self._series_number.pending.frombytes(series[batch.series].tobytes())
        self._source.pending.frombytes(np.full(batch.count, source, dtype=np.uint16).tobytes())
        self._flags.pending.frombytes(batch.flags.astype(np.uint16).tobytes())
        self._size.pending.frombytes(batch.size.astype(np.int64).tobytes())
        self._sized += int(np.count_nonzero(batch.size > 0))
        self._media_id.extend(batch.media_id, batch.media_id_ends)
        self._added(batch.count)

    def _refuse_too_many(self, more: int) -> None:
        if self._records + more > _MAX_RECORDS:
            raise HashSetError(f"more than {_MAX_RECORDS} entries: split the set. Nothing was imported.")

    def _code(self, text: str) -> int:
        code = self.codes.number(text)
        if code >= _MAX_CODES:
            raise HashSetError(f"more than {_MAX_CODES} different category codes. Nothing was imported.")
        return code

    def _added(self, count: int) -> None:
        self._records += count
        self._in_memory += count
        if self._in_memory >= _SPILL_RECORDS:
            self._in_memory = 0
            for one in self._spools:
                one.spill()

    def finish(self) -> Columns:
        """What is to be written: the columns, by their file names inside the set."""
        series = TextColumn()
        for text in self._series.texts:
            series.append(text)
        parts = record_parts(
            category=self._category.blocks,
            size=self._size.blocks,
            flags=self._flags.blocks,
            source=self._source.blocks,
            series=self._series_number.blocks,
            media_id=self._media_id.part("records/media_id"),
            series_texts=series,
        )
        counts = {"records": self._records} | {name: len(kind.records) for name, kind in self._hashes.items()}
        for name, kind in self._hashes.items():
            kind.finish()
            if counts[name]:
                parts.append(hash_part(name, kind.blocks, counts[name], frames=len(kind.frames) > 0))
        return Columns(tuple(parts), counts, self._sized)

    def close(self) -> None:
        """Give back the disk space in which rows waited."""
        for spool in self._spools:
            spool.close()


Blocks = Callable[[], Iterable[Column]]


def column_part(name: str, dtype: Any, blocks: Blocks) -> Part:
    """Writes one column, block after block."""

    def write(writer: ColumnWriter) -> None:
        with writer.create(name, dtype) as file:
            for block in blocks():
                file.append(block)

    return write


def record_parts(
    *,
    category: Blocks,
    size: Blocks,
    flags: Blocks,
    source: Blocks,
    series: Blocks,
    media_id: Part,
    series_texts: TextColumn,
) -> list[Part]:
    """The columns with one row a record, and the two text tables."""
    return [
        column_part("records/category.npy", np.uint16, category),
        column_part("records/size.npy", np.int64, size),
        column_part("records/flags.npy", np.uint16, flags),
        column_part("records/source.npy", np.uint16, source),
        column_part("records/series.npy", np.uint32, series),
        media_id,
        series_texts.part("records/series_text"),
    ]
