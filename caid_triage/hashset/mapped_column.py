"""One column of a set, opened and memory-mapped, and whether its file is still what was opened."""

from __future__ import annotations

import math
import mmap
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from tokenize import TokenError
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from caid_triage.errors import HashSetError
from caid_triage.evidence.below import open_below
from caid_triage.hashset.layout import fits
from caid_triage.hashset.rows import printable

Column = NDArray[Any]
REBUILD = "Build the set again from its source files."


class OpenFile:
    """A mapped file and what it was like when it was opened."""

    def __init__(self, path: Path, mapped: mmap.mmap, facts: os.stat_result) -> None:
        self._path = path
        self._mapped = mapped
        self._facts = facts.st_dev, facts.st_ino, facts.st_mtime_ns
        self._size = facts.st_size

    def changed(self) -> bool:
        """Whether the mapped file has another length now, or was written to. Another file under its name is not it."""
        if self._mapped.size() != self._size:
            return True
        try:
            now = self._path.stat()
        except OSError:  # moved or removed: what is mapped stays
            return False
        *place, modified = self._facts
        return [now.st_dev, now.st_ino] == place and now.st_mtime_ns != modified


def _array_header(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order and type that an array file states. Errors: ValueError for any other beginning.

    Of nonsense NumPy lets out what Python's own parser says of it.
    """
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("version")
    try:
        return np.lib.format.read_array_header_1_0(file)
    except (TokenError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError("header") from error


def open_column(path: Path, folder: str, name: str, facts: Mapping[str, Any]) -> tuple[Column, OpenFile]:
    """One column, memory-mapped, after its size and header were checked against the manifest.

    As ``np.load`` with a memory map would, in a third of the time: that asks the system for each folder above. No link
    inside the set is followed, and a pipe in a file's place does not hang.
    """
    where = f"{printable(path.name)}: {name}"
    if not fits(name, facts["dtype"], tuple(facts["shape"])):
        raise HashSetError(f"{where} is not a column that a set has, or of another type. {REBUILD}")
    try:
        with open(open_below(str(path), (folder, *name.split("/"))), "rb") as file:  # noqa: PTH123 - a descriptor
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise HashSetError(f"{where} is not a file. {REBUILD}")
            size = found.st_size
            if size != facts["bytes"]:
                raise HashSetError(f"{where} has {size} bytes, {facts['bytes']} were written. {REBUILD}")
            shape, columnwise, dtype = _array_header(file)
            begin = file.tell()
            if dtype.str != facts["dtype"] or list(shape) != facts["shape"]:
                raise HashSetError(f"{where} is {dtype.str}{list(shape)}, not what was built. {REBUILD}")
            if columnwise or dtype.hasobject or begin + math.prod(shape) * dtype.itemsize != size:
                raise ValueError("layout")
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError as error:
        raise HashSetError(f"{where} is missing. {REBUILD}") from error
    except OSError as error:
        raise HashSetError(f"{where} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise HashSetError(f"{where} is damaged (its header). {REBUILD}") from error
    return np.ndarray(shape, dtype, mapped, begin), OpenFile(path / folder / name, mapped, found)
