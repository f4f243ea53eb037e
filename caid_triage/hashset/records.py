"""What a set's records state, column by column, as it is read from the memory-mapped files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caid_triage.errors import HashSetError
from caid_triage.hashset.algorithms import Rows
from caid_triage.hashset.manifest import SIZE_UNKNOWN
from caid_triage.hashset.rows import RecordFlag

Column = NDArray[Any]


class Records(Mapping[str, Column]):
    """The columns of a set's records, each an array with one row a record.

    category and media_id: text; size: masked where the source states none; flags: RecordFlag bits;
    series: text; source: number of the source file in the manifest. Text is made on first use and
    kept; to look at a few rows of a large set use ``media_ids``, ``codes_of`` and ``series_of``.
    """

    def __init__(self, columns: Mapping[str, Column], codes: tuple[str, ...], name: str) -> None:
        self._columns = columns
        self._name = name
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
        return np.asarray(self._columns["records/category.npy"])[rows]

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

    def flags_of(self, rows: Rows) -> list[RecordFlag]:
        """The flags of each of these records."""
        return [RecordFlag(value) for value in np.asarray(self._columns["records/flags.npy"])[rows].tolist()]

    def _make(self, name: str) -> Column:
        if name == "category":
            with damage_refused(self._name):
                return np.take(self._codes, np.asarray(self._columns["records/category.npy"]))
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
        with damage_refused(self._name):
            after = ends[rows].tolist()
            before = np.where(rows > 0, ends[np.maximum(rows, 1) - 1], 0).tolist()
            return [text[a:b].tobytes().decode("utf-8") for a, b in zip(before, after, strict=True)]


@contextmanager
def damage_refused(name: str) -> Iterator[None]:
    """Refuse a set whose numbers point beyond it, or whose texts are none: opening does not look for that."""
    try:
        yield
    except (IndexError, UnicodeDecodeError) as error:
        message = f"{name}: what its records state is damaged. Run hashset verify, or build the set again."
        raise HashSetError(message) from error
