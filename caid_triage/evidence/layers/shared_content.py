"""Which streams of a snapshot of an APFS volume the volume still has.

A stream of a snapshot is *unchanged* when the volume has, under the same path, one of the same number, name, size and
times whose content lies in the very same places, or, where none is told, is the same bytes: it is the same content.
"""

from __future__ import annotations

import hashlib
from typing import Any

from caid_triage.model import FileEntry

_LARGEST_COMPARED = 64 << 10


class SharedContent:
    """The streams of a volume by fingerprint, to tell which of its snapshots' are the same.

    Memory: about 100 bytes a stream, only for a volume that has snapshots.
    """

    def __init__(self) -> None:
        self._known: set[bytes] = set()

    def add(self, entry: FileEntry, file: Any, stream: Any) -> None:
        """Keep a stream of the volume itself. Errors: those of the library."""
        mark = fingerprint(entry, file, stream)
        if mark is not None:
            self._known.add(mark)

    def holds(self, entry: FileEntry, file: Any, stream: Any) -> bool:
        """Whether a stream of a snapshot is unchanged. Errors: those of the library."""
        return fingerprint(entry, file, stream) in self._known


def fingerprint(entry: FileEntry, file: Any, stream: Any) -> bytes | None:
    """A digest of all that is listed of a stream and of where its content lies; None where that cannot be said.

    Where the content lies in no place of its own (inside a record, or compressed) it is the content's digest, but not
    of more than 64 KiB.
    """
    places = [tuple(map(int, stream.get_extent(number))) for number in range(int(stream.number_of_extents))]
    compressed = any(
        file.get_extended_attribute(number).name == "com.apple.decmpfs"
        for number in range(int(file.number_of_extended_attributes))
    )
    content = b""
    if compressed or (entry.size and sum(length for _, length, _ in places) < entry.size):
        if entry.size is None or entry.size > _LARGEST_COMPARED:
            return None
        places = []
        content = hashlib.sha256(stream.read_buffer_at_offset(entry.size, 0) if entry.size else b"").digest()
    times = (entry.times.created, entry.times.modified, entry.times.accessed, entry.times.changed)
    codes = tuple(problem.code for problem in entry.problems)
    facts = (entry.raw_path, entry.inode, entry.stream, entry.size, times, entry.readable, codes, places, content)
    return hashlib.blake2b(repr(facts).encode("utf-8", "surrogatepass"), digest_size=16).digest()
