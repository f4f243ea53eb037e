"""What a set's records state, column by column, as it is read from the memory-mapped files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caid_triage.errors import HashSetError
from caid_triage.hashset.algorithms import Rows
from caid_triage.hashset.manifest import SIZE_UNKNOWN
from caid_triage.hashset.rows import STATED_WORDS, RecordFlag

Column = NDArray[Any]
ROWS_AT_ONCE = 1 << 20


class Records(Mapping[str, Column]):
    """The columns of a set's records, each an array with one row a record.

    category and media_id: text; size: masked where the source states none; flags: RecordFlag bits;
    series: text; source: number of the source file in the manifest. Text is made on first use and
    kept; to look at a few rows of a large set use ``media_ids``, ``codes_of`` and ``series_of``.
    """

    def __init__(self, columns: Mapping[str, Column], codes: tuple[str, ...], where: str = "the hash set") -> None:
        """``where`` names the set in a HashSetError: a column may hold what leads outside of the set or is no text."""
        self._columns = columns
        self._where = where
        self._codes = np.array(codes or ("",), dtype=np.str_)
        self._made: dict[str, Column] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(("category", "media_id", "size", "flags", "series", "source"))

    def __len__(self) -> int:
        return 6

    def __getitem__(self, name: str) -> Column:
        if name in ("flags", "source"):
            return np.asarray(self._columns[f"records/{name}.npy"])
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def codes_of(self, rows: Rows) -> NDArray[np.uint16]:
        """The number of the category code of each of these records, in the manifest's list."""
        codes: NDArray[np.uint16] = np.asarray(self._columns["records/category.npy"])[rows]
        if codes.size and int(codes.max()) >= len(self._codes):
            raise self._damaged("category")
        return codes

    def media_ids(self, rows: Rows) -> list[str]:
        """The media id of each of these records, "" where there is none."""
        return self._texts("media_id", rows)

    def series_of(self, rows: Rows) -> list[str]:
        """The series of each of these records, "" where there is none."""
        return self._texts("series_text", np.asarray(self._columns["records/series.npy"])[rows].astype(np.int64))

    def sizes(self, rows: Rows) -> list[int | None]:
        """The size in bytes that each of these records states, None where it states none."""
        sizes = np.asarray(self._columns["records/size.npy"])[rows].tolist()
        return [None if size == SIZE_UNKNOWN else size for size in sizes]

    def stated_sizes(self) -> NDArray[np.int64]:
        """The size of every record in bytes, SIZE_UNKNOWN (-1) where it states none: the column as it lies on disk."""
        return np.asarray(self._columns["records/size.npy"])

    def flags_of(self, rows: Rows) -> list[RecordFlag]:
        """The flags of each of these records."""
        return [RecordFlag(value) for value in np.asarray(self._columns["records/flags.npy"])[rows].tolist()]

    def stated_counts(self) -> dict[str, int]:
        """How many records state what (words of STATED_WORDS), and how many a series."""
        flags, series = (np.asarray(self._columns[f"records/{name}.npy"]) for name in ("flags", "series"))
        found = dict.fromkeys((*STATED_WORDS.values(), "series"), 0)
        for begin in range(0, len(flags), ROWS_AT_ONCE):
            part = flags[begin : begin + ROWS_AT_ONCE]
            for flag, word in STATED_WORDS.items():
                found[word] += int(np.count_nonzero(part & int(flag)))
            found["series"] += int(np.count_nonzero(series[begin : begin + ROWS_AT_ONCE]))
        return found

    def _make(self, name: str) -> Column:
        if name == "category":
            return np.take(self._codes, self.codes_of(np.arange(len(self._columns["records/category.npy"]))))
        if name == "size":
            sizes = np.asarray(self._columns["records/size.npy"])
            return np.ma.MaskedArray(sizes, mask=sizes == SIZE_UNKNOWN)
        every = np.arange(len(self._columns["records/category.npy"]), dtype=np.int64)
        if name == "media_id":
            return np.array(self.media_ids(every), dtype=np.str_)
        if name == "series":
            return np.array(self.series_of(every), dtype=np.str_)
        raise KeyError(name)

    def _texts(self, name: str, rows: Rows) -> list[str]:
        text = np.asarray(self._columns[f"records/{name}.npy"])
        ends = np.asarray(self._columns[f"records/{name}_end.npy"])
        if rows.size and int(rows.max()) >= len(ends):
            raise self._damaged(name)
        after = ends[rows].tolist()
        before = np.where(rows > 0, ends[np.maximum(rows, 1) - 1], 0).tolist()
        if any(not a <= b <= len(text) for a, b in zip(before, after, strict=True)):
            raise self._damaged(name)
        try:
            return [text[a:b].tobytes().decode("utf-8") for a, b in zip(before, after, strict=True)]
        except UnicodeDecodeError:
            raise self._damaged(name) from None

    def _damaged(self, name: str) -> HashSetError:
        return HashSetError(
            f"{self._where}: records/{name}.npy is damaged. Run hashset verify. "
            "Build the set again from its source files."
        )
