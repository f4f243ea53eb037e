"""The columns of a hash set while it is built: packed bytes that grow, never a Python object an entry."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caid_triage.errors import HashSetError
from caid_triage.hashset.algorithms import DIGEST_BYTES, PHOTODNA_BYTES, Bytes, big_endian_words
from caid_triage.hashset.rows import HAS_DIGEST, Row
from caid_triage.hashset.search import sorted_order

Column = NDArray[Any]
Columns = dict[str, Column]
QUALITY_UNKNOWN = 255
SIZE_UNKNOWN = -1
_MAX_RECORDS = 2**32 - 1
_MAX_CODES = 2**16


class TextColumn:
    """Texts one after another in UTF-8, and where each ends."""

    def __init__(self) -> None:
        self._text = bytearray()
        self._ends = array("Q")

    def append(self, text: str) -> None:
        """Add one text."""
        self._text += text.encode("utf-8", "replace")
        self._ends.append(len(self._text))

    def columns(self, name: str) -> Columns:
        """The two columns ``name``.npy (uint8) and ``name``_end.npy (uint64)."""
        return {
            f"{name}.npy": np.frombuffer(bytes(self._text), dtype=np.uint8),
            f"{name}_end.npy": np.array(self._ends, dtype=np.uint64),
        }


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


class RecordColumns:
    """Takes Rows one by one; ``finish`` gives the sorted columns of the store. Record i is the i-th Row."""

    def __init__(self) -> None:
        self.codes = TextCodes()
        self._series = TextCodes()
        self._series.number("")
        self._digests = {name: (bytearray(), array("I")) for name in DIGEST_BYTES}
        self._pdq, self._pdq_rec, self._pdq_quality = bytearray(), array("I"), array("B")
        self._phash, self._phash_rec = bytearray(), array("I")
        self._photodna, self._photodna_rec = bytearray(), array("I")
        self._category, self._source, self._flags = array("H"), array("H"), array("H")
        self._series_number, self._size = array("I"), array("q")
        self._media_id = TextColumn()

    def __len__(self) -> int:
        return len(self._category)

    def add(self, row: Row, source: int) -> None:
        """Add one entry; ``source`` is the number of the file it comes from."""
        record = len(self)
        if record >= _MAX_RECORDS:
            raise HashSetError(f"more than {_MAX_RECORDS} entries: split the set. Nothing was imported.")
        flags = row.flags
        for name, (packed, records) in self._digests.items():
            digest = getattr(row, name)
            if digest is not None:
                packed.extend(digest)
                records.append(record)
                flags |= HAS_DIGEST[name]
        for pdq, quality in row.pdq:
            self._pdq += pdq
            self._pdq_rec.append(record)
            self._pdq_quality.append(QUALITY_UNKNOWN if quality is None else quality)
        for phash in row.phash:
            self._phash += phash
            self._phash_rec.append(record)
        if row.photodna is not None:
            self._photodna += row.photodna
            self._photodna_rec.append(record)
        code = self.codes.number(row.category)
        if code >= _MAX_CODES:
            raise HashSetError(f"more than {_MAX_CODES} different category codes. Nothing was imported.")
        self._category.append(code)
        self._source.append(source)
        self._flags.append(flags)
        self._series_number.append(self._series.number(row.series))
        self._size.append(SIZE_UNKNOWN if row.size is None else row.size)
        self._media_id.append(row.media_id)

    def finish(self) -> Columns:
        """The columns by their file names inside the set."""
        series = TextColumn()
        for text in self._series.texts:
            series.append(text)
        columns = record_columns(
            category=np.array(self._category, dtype=np.uint16),
            media_id=self._media_id,
            size=np.array(self._size, dtype=np.int64),
            flags=np.array(self._flags, dtype=np.uint16),
            source=np.array(self._source, dtype=np.uint16),
            series=np.array(self._series_number, dtype=np.uint32),
            series_texts=series,
        )
        for name, (packed, records) in self._digests.items():
            columns |= digest_columns(name, _packed(packed, DIGEST_BYTES[name]), _numbers(records))
        columns |= pdq_columns(
            _packed(self._pdq, 32), _numbers(self._pdq_rec), np.array(self._pdq_quality, dtype=np.uint8)
        )
        columns |= phash_columns(_packed(self._phash, 8), _numbers(self._phash_rec))
        columns |= photodna_columns(_packed(self._photodna, PHOTODNA_BYTES), _numbers(self._photodna_rec))
        return columns


def record_columns(
    *,
    category: NDArray[np.uint16],
    media_id: TextColumn,
    size: NDArray[np.int64],
    flags: NDArray[np.uint16],
    source: NDArray[np.uint16],
    series: NDArray[np.uint32],
    series_texts: TextColumn,
) -> Columns:
    """The columns with one row a record, and the two text tables."""
    return {
        "records/category.npy": category,
        "records/size.npy": size,
        "records/flags.npy": flags,
        "records/source.npy": source,
        "records/series.npy": series,
        **media_id.columns("records/media_id"),
        **series_texts.columns("records/series_text"),
    }


def digest_columns(name: str, digests: Bytes, records: NDArray[np.uint32]) -> Columns:
    """Sorted digests as words, and the record of each; nothing if there are none."""
    if not len(digests):
        return {}
    words = big_endian_words(digests)
    order = sorted_order(words)
    return {f"{name}/rows.npy": words[order], f"{name}/rec.npy": records[order]}


def pdq_columns(hashes: Bytes, records: NDArray[np.uint32], quality: NDArray[np.uint8]) -> Columns:
    """PDQ as four arrays of words (the search reads two of them for most pairs); nothing if there are none."""
    if not len(hashes):
        return {}
    words = np.ascontiguousarray(big_endian_words(hashes).T)
    return {"pdq/words.npy": words, "pdq/rec.npy": records, "pdq/quality.npy": quality}


def phash_columns(hashes: Bytes, records: NDArray[np.uint32]) -> Columns:
    """pHash as one array of words; nothing if there are none."""
    if not len(hashes):
        return {}
    return {"phash/values.npy": big_endian_words(hashes)[:, 0].copy(), "phash/rec.npy": records}


def photodna_columns(hashes: Bytes, records: NDArray[np.uint32]) -> Columns:
    """PhotoDNA bytes as they came; nothing if there are none."""
    return {"photodna/vec.npy": hashes, "photodna/rec.npy": records} if len(hashes) else {}


def count_columns(columns: Columns) -> dict[str, int]:
    """How many records there are and how many hashes of each kind."""
    kinds = {name: f"{name}/rec.npy" for name in (*DIGEST_BYTES, "pdq", "phash", "photodna")}
    counts = {"records": len(columns["records/category.npy"])}
    return counts | {name: len(columns[file]) if file in columns else 0 for name, file in kinds.items()}


def _packed(packed: bytearray, length: int) -> Bytes:
    return np.frombuffer(bytes(packed), dtype=np.uint8).reshape(-1, length)


def _numbers(values: Iterable[int]) -> NDArray[np.uint32]:
    return np.array(values, dtype=np.uint32)
