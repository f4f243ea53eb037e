"""Evidence that is held in memory: entry n has the n-th of some contents."""

from __future__ import annotations

from collections.abc import Iterator

from caid_triage.model import FileEntry
from caid_triage.scan.results import Read, ReadAt


def readers(contents: list[bytes]) -> tuple[Read, ReadAt]:
    """How a scan reads those contents: from the first byte to the last, and at a place."""

    def read(entry: FileEntry) -> Iterator[bytes]:
        content = contents[entry.number]
        for start in range(0, len(content), 1 << 20):
            yield content[start : start + (1 << 20)]

    def read_at(entry: FileEntry, offset: int, length: int) -> bytes:
        return contents[entry.number][offset : offset + length]

    return read, read_at
