"""One source of evidence used by several threads, one read at a time; its free space is searched beside."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TypeVar

from caid_triage.evidence.source import EvidenceSource
from caid_triage.model import FileEntry, Searching
from caid_triage.scan.results import Walked

Item = TypeVar("Item")
WAIT_SECONDS = 0.2
"""Between two looks at a search of free space that has not ended yet."""


class LockedSource:
    """An EvidenceSource used by several threads: one read of the evidence at a time (pytsk3 handles are not shared)."""

    def __init__(self, source: EvidenceSource) -> None:
        """Wrap; the source stays the caller's to close."""
        self._source = source
        self._lock = threading.Lock()

    @contextmanager
    def searching(self) -> Iterator[None]:
        """Search free space meanwhile, in a thread that takes the lock for each read of the evidence."""
        beside = self._source.search_beside(self._lock)
        if beside is None:
            yield
            return
        with closing(beside):
            beside.begin()
            yield

    def walk(self) -> Iterator[Walked]:
        """The walk, each step under the lock; while a search of free space is waited for, the others have it."""
        for item in self._steps(self._source.walk()):
            if isinstance(item, Searching) and item.files is None:
                time.sleep(WAIT_SECONDS)
            yield item

    def read(self, entry: FileEntry) -> Iterator[bytes]:
        """The content of an entry, each chunk under the lock."""
        return self._steps(self._source.chunks(entry))

    def read_at(self, entry: FileEntry, offset: int, length: int) -> bytes:
        """Bytes of an entry from anywhere in it, under the lock."""
        with self._lock:
            return self._source.read_at(entry, offset, length)

    def beside(self, entry: FileEntry, name: str) -> FileEntry | None:
        """The living file of that name in the folder of an entry, under the lock."""
        with self._lock:
            return self._source.beside(entry, name)

    def _steps(self, steps: Iterator[Item]) -> Iterator[Item]:
        while True:
            with self._lock:
                item = next(steps, None)
            if item is None:
                return
            yield item
