"""Rows that come one by one and may be more than memory holds: the older ones wait in a nameless file."""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from caid_triage.errors import HashSetError

_BLOCK_BYTES = 4 << 20


class Spool:
    """Values of one kind, appended to ``pending`` by whoever holds it; ``spill`` moves them to disk.

    The file has no name (or goes when it is closed): a killed build leaves no hashes behind in it.
    Without a folder everything stays in memory.
    """

    def __init__(self, typecode: str, width: int, folder: Path | None) -> None:
        self.pending: Any = bytearray() if typecode == "bytes" else array(typecode)
        self._dtype = np.dtype(np.uint8 if typecode == "bytes" else typecode)
        self._width = width
        self._folder = folder
        self._file: IO[bytes] | None = None
        self._spilled = 0  # bytes

    def __len__(self) -> int:
        return self._spilled // (self._dtype.itemsize * self._width) + len(self.pending) // self._width

    def spill(self) -> None:
        """Move what is in memory to disk; HashSetError if the disk is full."""
        if self._folder is None or not self.pending:
            return
        try:
            if self._file is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._file = nameless_file(self._folder)
            self._spilled += self._file.write(self.pending)
        except OSError as error:
            raise HashSetError(
                f"the rows could not be kept on disk while they were read: {error.strerror or error}. "
                "Nothing was imported."
            ) from error
        del self.pending[:]

    def blocks(self) -> Iterator[NDArray[Any]]:
        """All values in order, [n] or [n, width], some megabytes at a time."""
        row_bytes = self._dtype.itemsize * self._width
        step = max(_BLOCK_BYTES // row_bytes, 1) * row_bytes
        if self._file is not None:
            for start in range(0, self._spilled, step):
                self._file.seek(start)
                yield self._shaped(self._file.read(min(step, self._spilled - start)))
            self._file.seek(0, 2)
        memory = memoryview(self.pending).cast("B")
        for start in range(0, len(memory), step):
            yield self._shaped(memory[start : start + step].tobytes())

    def close(self) -> None:
        """Give the disk space back."""
        if self._file is not None:
            # What still waits in memory goes too: that a full disk has no room for it is no fault any more.
            with suppress(OSError):
                self._file.close()
            self._file = None

    def _shaped(self, data: bytes) -> NDArray[Any]:
        values = np.frombuffer(data, dtype=self._dtype)
        return values if self._width == 1 else values.reshape(-1, self._width)


def nameless_file(folder: Path) -> IO[bytes]:
    """A temporary file that only this process can reach, on the disk of ``folder``."""
    return tempfile.TemporaryFile(dir=folder)
