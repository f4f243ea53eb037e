"""Entries that were listed and wait for their turn: on disk, in a file without a name, 33 bytes each in memory.

The source is walked once. An entry is a locator, and every source reads by locator in any order (folders by path,
disks and logical images by record or offset), so nothing is walked or read twice for the order. The file lies in the
case folder, where the same names are kept anyway, has no name there, and is gone with the process.
"""

from __future__ import annotations

import json
import os
from array import array
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryFile

from caid_triage.case.schema import storage_faults
from caid_triage.model import FileEntry
from caid_triage.scan.evidence_words import Owner, entry_from_plain, entry_to_plain
from caid_triage.scan.order import TURN_WORDS, Facts, ListedSizes
from caid_triage.scan.results import Listed, Skipped, Walked
from caid_triage.scan.stopping import Extent

_TELL = 4096  # entries between two words on how far the listing is
_BUFFER = 1 << 20
# What is rare goes first at once, while the rest is still being listed; what is not, waits to be put in order: one in
# fifty of what was listed, and a few more so that a small source begins with them too.
_RARE = 50
_FEW = 64


class Waiting:
    """Entries of one source on the disk of a case: added one after the other, taken by row in any order."""

    def __init__(self, folder: Path, owner: Owner) -> None:
        """CaseError, here and in what follows: the disk is full or fails."""
        self._folder = folder
        self._owner = owner
        self._ends = array("Q")
        self._end = 0
        self._unwritten = bytearray()
        with storage_faults(folder):
            self._file = TemporaryFile(dir=folder)  # noqa: SIM115 - closed by close()

    def add(self, entry: FileEntry) -> None:
        """Keep an entry behind those that were added."""
        self._unwritten += json.dumps(entry_to_plain(entry), separators=(",", ":")).encode("ascii")
        self._ends.append(self._end + len(self._unwritten))
        if len(self._unwritten) >= _BUFFER:
            self._write()

    def entry(self, row: int) -> FileEntry:
        """The entry that was added as number ``row``, counted from 0."""
        if self._unwritten:
            self._write()
        begin = self._ends[row - 1] if row else 0
        with storage_faults(self._folder):
            self._file.seek(begin)
            text = self._file.read(self._ends[row] - begin)
        return entry_from_plain(json.loads(text), self._owner)

    def _write(self) -> None:
        with storage_faults(self._folder):
            self._file.seek(0, os.SEEK_END)
            self._file.write(self._unwritten)
            self._file.flush()
        self._end += len(self._unwritten)
        self._unwritten.clear()

    def close(self) -> None:
        """Give the space back."""
        self._file.close()


def in_order(
    walk: Iterator[Walked], owner: Owner, sizes: ListedSizes, folder: Path, extent: Extent
) -> Generator[Walked, None, None]:
    """A walk in the order of scan/order.py: the same items, each once; what are no new entries pass at once.

    ``folder`` is that of the case. Words of how far it is (Listed) come between.
    """
    facts = Facts()
    early = 0
    with closing(Waiting(folder, owner)) as waiting:
        for item in walk:
            if not isinstance(item, FileEntry | Skipped):
                yield item
                continue
            entry = item.entry if isinstance(item, Skipped) else item
            listed = entry.readable and sizes.has(entry.size)
            extent.files += 1
            extent.size += entry.size or 0 if entry.readable else 0
            extent.by_size += listed
            if isinstance(item, Skipped) or (listed and not extent.only_count and early < _FEW + extent.files // _RARE):
                early += isinstance(item, FileEntry)
                extent.by_size_given += listed
                yield item
            elif not extent.only_count:
                facts.add(entry)
                waiting.add(entry)
            if extent.files % _TELL == 0:
                yield Listed(extent.files, extent.size, extent.by_size)
        extent.whole = True
        if extent.only_count:
            return
        for turn, rows in facts.ordered(sizes):
            yield Listed(extent.files, extent.size, extent.by_size, TURN_WORDS[turn])
            for row in rows:
                entry = waiting.entry(int(row))
                extent.by_size_given += entry.readable and sizes.has(entry.size)
                yield entry
