"""The files of a set's columns while they are written: block by block, private, on disk before they count."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from caid_triage.hashset.manifest import file_sha256
from caid_triage.hashset.spool import nameless_file


class ColumnWriter:
    """Makes the column files in one folder; ``described`` says of each what the manifest keeps."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.described: dict[str, dict[str, Any]] = {}

    def create(self, name: str, dtype: DTypeLike, *inner: int) -> ColumnFile:
        """A new column of shape [n, *inner]; use it with ``with`` and append to it."""
        path = self._folder / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        return ColumnFile(path, np.dtype(dtype).newbyteorder("<"), inner, self._describe)

    def save(self, name: str, values: NDArray[Any]) -> None:
        """Write a whole column at once."""
        with self.create(name, values.dtype, *values.shape[1:]) as file:
            file.append(values)

    def open(self, name: str) -> NDArray[Any]:
        """A finished column, memory-mapped."""
        return np.asarray(np.load(self._folder / name, mmap_mode="r", allow_pickle=False))

    def scratch(self) -> IO[bytes]:
        """A nameless temporary file on the same disk."""
        return nameless_file(self._folder)

    def _describe(self, path: Path, facts: dict[str, Any]) -> None:
        self.described[path.relative_to(self._folder).as_posix()] = facts


class ColumnFile:
    """One .npy file, little-endian, that grows by blocks."""

    def __init__(self, path: Path, dtype: np.dtype[Any], inner: tuple[int, ...], describe: Any) -> None:
        self._path, self._dtype, self._inner, self._describe = path, dtype, inner, describe
        self._rows = 0
        self._file = create_private(path)
        try:
            self._write_header()
        except OSError:
            self._file.close()
            raise

    def __enter__(self) -> ColumnFile:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._file.close()

    def append(self, block: NDArray[Any]) -> None:
        """Add rows; their type is the column's."""
        self._file.write(np.ascontiguousarray(block, dtype=self._dtype).data)
        self._rows += len(block)

    def _write_header(self) -> None:
        """numpy leaves room in the header for the first axis to grow, so that it keeps its length."""
        shape = (self._rows, *self._inner)
        header = {"descr": self._dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)

    def _finish(self) -> None:
        self._file.seek(0)
        self._write_header()
        sync(self._file)
        facts = {"dtype": self._dtype.str, "shape": [self._rows, *self._inner], "bytes": self._path.stat().st_size}
        self._describe(self._path, {**facts, "sha256": file_sha256(self._path)})


def create_private(path: Path) -> Any:
    """A new file that only its owner can read (where the system has such a thing)."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(path, flags, 0o600), "wb")


def sync(file: Any) -> None:
    """What was written is on disk when this returns."""
    file.flush()
    os.fsync(file.fileno())
