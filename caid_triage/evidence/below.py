"""Opening what lies below a folder part by part, each in the folder opened before: no link below it is ever followed.

A path opened in one piece follows a link that has taken the place of any folder on the way since it was listed
(time of check to time of use; openat(2) gives this as its reason). Deep trees can be longer than a path may be, too.
Where the system cannot open relative to a folder (Windows) the whole path is opened.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

# O_NONBLOCK: a file swapped for a pipe after the walk must not hang the scan; the others exist on some systems only
FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
)
ROOT_FLAGS = FLAGS & ~getattr(os, "O_NOFOLLOW", 0)  # the folder that was asked for may be named by a link
# Of a folder on the way only what lies in it is looked up. O_DIRECTORY: what O_PATH opens could be a link itself.
_ON_THE_WAY = getattr(os, "O_PATH", 0) | getattr(os, "O_DIRECTORY", 0)
RELATIVE = {os.open, os.stat} <= os.supports_dir_fd


def open_below(root: str, parts: Sequence[str], flags: int = FLAGS) -> int:
    """A descriptor for reading of what lies below the folder ``root``, of the folder itself for no parts.

    It leaves the access time alone where the system lets us ask for that. Errors: OSError, for a link on the way too.
    """
    if not parts:
        return _open_untouched(root, ROOT_FLAGS)
    if not RELATIVE:
        return _open_untouched(os.path.join(root, *parts), flags)  # noqa: PTH118 - Path would normalise names
    with folder_below(root, parts[:-1]) as folder:
        return _open_untouched(parts[-1], flags, folder)


@contextmanager
def folder_below(root: str, parts: Sequence[str]) -> Iterator[int]:
    """A folder below ``root``, open to look names up in. Errors: OSError."""
    handle = os.open(root, ROOT_FLAGS | _ON_THE_WAY)
    try:
        for part in parts:
            inner = os.open(part, FLAGS | _ON_THE_WAY, dir_fd=handle)
            os.close(handle)
            handle = inner
        yield handle
    finally:
        os.close(handle)


def _open_untouched(path: str, flags: int, folder: int | None = None) -> int:
    try:
        return os.open(path, flags | getattr(os, "O_NOATIME", 0), dir_fd=folder)
    except PermissionError:  # only the owner and root may ask (open(2)); a folder on a read-only mount needs no asking
        return os.open(path, flags, dir_fd=folder)


class Looked:
    """Looks at what lies below a folder, and keeps the folder of the last look open: a walk comes to it again."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._parts: tuple[str, ...] | None = None
        self._handle = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        self._let_go()

    def facts(self, parts: Sequence[str]) -> os.stat_result:
        """What the system says of it, of a link itself. Errors: OSError."""
        if not RELATIVE:
            return os.stat(os.path.join(self._root, *parts), follow_symlinks=False)  # noqa: PTH116, PTH118
        folder = tuple(parts[:-1])
        if folder != self._parts:
            self._let_go()
            with folder_below(self._root, folder) as handle:
                self._handle = os.dup(handle)
            self._parts = folder
        return os.stat(parts[-1], dir_fd=self._handle, follow_symlinks=False)

    def _let_go(self) -> None:
        if self._parts is not None:
            self._parts = None
            os.close(self._handle)
