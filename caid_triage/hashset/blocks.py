"""Finding the blocks of a set in the bytes of a disk: every place where one begins, whatever its sector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caid_triage.errors import HashSetError
from caid_triage.hashset.algorithms import Rows, Words
from caid_triage.hashset.block_hash import BLOCK_SIZES, SECTOR, probes, sector_sums, sha_words
from caid_triage.hashset.prefix import perhaps_present
from caid_triage.hashset.search import DigestIndex, exact_pairs

COLUMNS = ("rows", "rec", "number", "fp32", "table", "present")


@dataclass(frozen=True, slots=True)
class BlockHits:
    """Blocks of a set that stand in some bytes, in the order of their places.

    ``sectors`` int64[n]: the sector each begins at, from the first of the bytes; ``records`` int64[n]: the record of
    its file in the set; ``numbers`` int64[n]: which of the file's blocks it is, from 0.
    """

    sectors: Rows
    records: Rows
    numbers: Rows

    def __len__(self) -> int:
        return len(self.sectors)


class BlockIndex:
    """The sorted blocks of a set. ``size`` is the bytes of a block."""

    def __init__(self, size: int, rows: Words, table: NDArray[np.uint32], fp32: NDArray[np.uint32],
                 present: NDArray[np.uint8]) -> None:  # fmt: skip
        self.size = size
        self.rows = rows
        # Answers are places in the table, not records: behind each stand a record and the number of the block.
        places = np.arange(len(rows), dtype=np.uint32)
        self._probes = DigestIndex(rows[:, :1], places, table, fp32, present)
        self._whole = DigestIndex(rows, places, table, fp32, present)

    def contains(self, words: Words) -> NDArray[np.bool_]:
        """Which of these blocks (their three words, uint64[n, 3]) the set has."""
        found = np.zeros(len(words), dtype=np.bool_)
        if len(self.rows):
            found[exact_pairs(self._whole, words)[0]] = True
        return found

    def find(self, data: bytes | memoryview, starts: Rows | None = None) -> tuple[Rows, Rows]:
        """Every place in some bytes where a block of the set stands: (sectors, places in the table), sorted by both.

        ``starts`` are the sectors to look at, ascending (None: each at which a whole block can begin).
        """
        nothing = np.zeros(0, dtype=np.int64)
        if not len(self.rows):
            return nothing, nothing
        wanted = probes(sector_sums(data), self.size)
        if starts is not None:
            wanted = wanted[starts]
        perhaps = perhaps_present(self._probes.present, wanted)
        query, place = exact_pairs(self._probes, wanted[perhaps][:, None])
        if not query.size:
            return nothing, nothing
        at = perhaps[query] if starts is None else starts[perhaps[query]]
        sectors, same = np.unique(at, return_inverse=True)
        view = memoryview(data)
        words = sha_words([view[first : first + self.size] for first in (sectors * SECTOR).tolist()])
        agree = (words[same] == self.rows[place][:, 1:]).all(axis=1)
        return at[agree], place[agree]


class BlockSet:
    """The blocks of an open set, with the record and number behind each."""

    def __init__(self, columns: Mapping[str, NDArray[Any]], facts: Mapping[str, Any], records: int, where: str) -> None:
        """``facts`` are the manifest's field ``blocks``; ``where`` names the set in a HashSetError."""
        self.facts = dict(facts)
        self.size = int(facts["size"])
        if self.size not in BLOCK_SIZES:
            raise ValueError("block size")
        rows, self._records, self._numbers, fp32, table, present = (
            np.asarray(columns[f"blocks/{name}.npy"]) for name in COLUMNS
        )
        self.index = BlockIndex(self.size, rows, table, fp32, present)
        self._count, self._where = records, where

    def __len__(self) -> int:
        return len(self._records)

    def find(self, data: bytes | memoryview, starts: Rows | None = None) -> BlockHits:
        """The blocks of the set that stand in some bytes; see :meth:`BlockIndex.find`."""
        sectors, places = self.index.find(data, starts)
        records = self._records[places].astype(np.int64)
        if records.size and int(records.max()) >= self._count:
            raise HashSetError(f"{self._where}: blocks/rec.npy is damaged. Run hashset verify.")
        return BlockHits(sectors, records, self._numbers[places].astype(np.int64))
