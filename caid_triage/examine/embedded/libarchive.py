"""libarchive, read from front to back through callbacks: of an archive of any size a few MiB are in memory at a time.

The library is the one that the package archi brings; its own functions are called, not archi's binding, which holds no
reference to the bytes that it has libarchive read, takes the absence of a message for a text, and reads the whole
archive into memory (3.8.10: damaged archives ended the process, whole ones could come out changed).

Source: libarchive's archive.h and archive_entry.h, version 3.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from ctypes import POINTER, byref, c_char, c_char_p, c_int, c_int64, c_size_t, c_ssize_t, c_uint, c_void_p
from dataclasses import dataclass
from typing import Any

from caid_triage.examine.embedded.content import Content
from caid_triage.examine.embedded.inner import PIECE

END, OK, WARNED = 1, 0, -20
FORMATS = ("rar", "rar5", "cab", "ar")
FOLDER, KIND = 0o040000, 0o170000
LONGEST_SAID = 300

_READ = ctypes.CFUNCTYPE(c_ssize_t, c_void_p, c_void_p, POINTER(c_void_p))
_SKIP = ctypes.CFUNCTYPE(c_int64, c_void_p, c_void_p, c_int64)
_SEEK = ctypes.CFUNCTYPE(c_int64, c_void_p, c_void_p, c_int64, c_int)
# Name -> result and arguments of the functions that are called.
_FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "archive_read_new": (c_void_p, ()),
    "archive_read_free": (c_int, (c_void_p,)),
    **{f"archive_read_support_format_{name}": (c_int, (c_void_p,)) for name in FORMATS},
    "archive_read_set_seek_callback": (c_int, (c_void_p, _SEEK)),
    "archive_read_open2": (c_int, (c_void_p, c_void_p, c_void_p, _READ, _SKIP, c_void_p)),
    "archive_read_next_header": (c_int, (c_void_p, POINTER(c_void_p))),
    "archive_read_data": (c_ssize_t, (c_void_p, c_void_p, c_size_t)),
    "archive_error_string": (c_char_p, (c_void_p,)),
    "archive_entry_pathname_utf8": (c_char_p, (c_void_p,)),
    "archive_entry_pathname": (c_char_p, (c_void_p,)),
    "archive_entry_size_is_set": (c_int, (c_void_p,)),
    "archive_entry_size": (c_int64, (c_void_p,)),
    "archive_entry_mode": (c_uint, (c_void_p,)),
    "archive_entry_is_data_encrypted": (c_int, (c_void_p,)),
}


class ArchiveFault(Exception):  # noqa: N818 - what is wrong with an archive, in libarchive's words
    """The archive cannot be read on."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry as the archive lists it; ``size`` is None where it states none."""

    name: bytes
    size: int | None
    is_folder: bool
    is_encrypted: bool


def load(path: str) -> Any:
    """The functions of the libarchive that a shared library is or was linked with. Raises OSError, AttributeError."""
    found = ctypes.CDLL(path)
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(found, name)
        function.restype, function.argtypes = result, list(arguments)
    return found


class Archive:
    """One archive, read once from its beginning. Use it as a context manager."""

    def __init__(self, libarchive: Any, content: Content) -> None:
        """``libarchive`` is what :func:`load` returns. Errors: ArchiveFault."""
        self._library = libarchive
        self._content = content
        self._piece = ctypes.create_string_buffer(b"", 1)  # what libarchive reads in until it asks for more
        self._buffer = (c_char * PIECE)()
        self._callbacks = _READ(self._read), _SKIP(self._skip), _SEEK(self._seek)  # they must live as long
        self._archive = libarchive.archive_read_new()
        if not self._archive:
            raise MemoryError
        content.seek(0)

    def __enter__(self) -> Archive:
        for name in FORMATS:
            getattr(self._library, f"archive_read_support_format_{name}")(self._archive)
        read, skip, seek = self._callbacks
        self._library.archive_read_set_seek_callback(self._archive, seek)
        self._checked(self._library.archive_read_open2(self._archive, None, None, read, skip, None))
        return self

    def __exit__(self, *_: object) -> None:
        archive, self._archive = self._archive, None
        self._library.archive_read_free(archive)

    def entries(self) -> Iterator[Entry]:
        """The entries in order; the content of each is there until the next one is asked for."""
        call, entry = self._library, c_void_p()
        while self._checked(call.archive_read_next_header(self._archive, byref(entry))) != END:
            name = call.archive_entry_pathname_utf8(entry) or call.archive_entry_pathname(entry) or b""
            size = call.archive_entry_size(entry) if call.archive_entry_size_is_set(entry) else None
            is_folder = call.archive_entry_mode(entry) & KIND == FOLDER
            yield Entry(name, size, is_folder, bool(call.archive_entry_is_data_encrypted(entry)))

    def pieces(self) -> Iterator[bytes]:
        """The content of the entry that was given last, at most 1 MiB at a time."""
        while self._archive is not None:
            length = self._library.archive_read_data(self._archive, self._buffer, PIECE)
            if length <= 0:
                self._checked(length)
                return
            yield ctypes.string_at(self._buffer, length)

    def _checked(self, result: int) -> int:
        if result in (OK, END, WARNED):
            return result
        said = self._library.archive_error_string(self._archive)
        text = said.decode("utf-8", "replace")[:LONGEST_SAID] if said else "no reason is given; it may be cut"
        raise ArchiveFault(text)

    # What is raised in a callback goes nowhere: Content raises nothing but MemoryError, which ends the archive there.

    def _read(self, _archive: int, _data: int, out: Any) -> int:
        try:
            piece = self._content.read(PIECE)
            self._piece = ctypes.create_string_buffer(piece, max(len(piece), 1))
        except MemoryError:
            return -1
        out[0] = ctypes.addressof(self._piece)
        return len(piece)

    def _skip(self, _archive: int, _data: int, count: int) -> int:
        at = self._content.tell()
        return self._content.seek(max(at, min(self._content.size, at + count))) - at

    def _seek(self, _archive: int, _data: int, offset: int, whence: int) -> int:
        return self._content.seek(offset, whence)
