"""Read a disk through libmodi (another libyal library would be asked in the same way), and open files for reading."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from io import RawIOBase
from pathlib import Path
from typing import Protocol

from caid_triage.evidence.containers.reader import Range
from caid_triage.evidence.faults import LIBRARY_ERRORS


class Handle(Protocol):
    """What a libyal handle can do, as far as it is used here."""

    def get_media_size(self) -> int:
        """The bytes of the disk."""
        ...

    def read_buffer_at_offset(self, size: int, offset: int) -> bytes:
        """The bytes at an offset; may be shorter."""
        ...

    def close(self) -> None:
        """Let go of the files."""
        ...


class LibyalReader:
    """The DiskReader of a libyal handle; ``files`` are what it reads from."""

    def __init__(self, handle: Handle, files: Sequence[RawIOBase]) -> None:
        self._handle = handle
        self._files = files
        self.size = int(handle.get_media_size())

    def read(self, offset: int, length: int) -> bytes:
        """The bytes at ``offset``."""
        data = self._handle.read_buffer_at_offset(length, offset)
        while data and len(data) < length:  # some of the libraries stop at the border of a block
            more = self._handle.read_buffer_at_offset(length - len(data), offset + len(data))
            if not more:
                break
            data += more
        return data

    def unreadable(self) -> Sequence[Range]:
        """Nothing that is known beforehand: the library says so when it is asked."""
        return ()

    def close(self) -> None:
        """Close the handle, then the files."""
        close_all(self._handle, self._files)


def close_all(handle: Handle, files: Sequence[RawIOBase]) -> None:
    """Close a handle and its files; a handle that was never opened says so, which does not matter."""
    with suppress(*LIBRARY_ERRORS):
        handle.close()
    for file in files:
        file.close()


def open_file(path: Path) -> RawIOBase:
    """A file for reading only."""
    return path.open("rb", buffering=0)
