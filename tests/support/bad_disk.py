"""Run a command on a disk that fails: ``python bad_disk.py COMMAND...``, where and how it fails in BAD_DISK as JSON.

    below    only what changes a file below this folder counts as a step
    at       the step at which it happens, from 1 (0: never, the steps are only counted)
    do       "kill" (SIGKILL, of a write half is done) or the name of an error number ("ENOSPC")
    last     to which step the error stays, null for ever: the disk of a step is full once, or from then on
    count    a file to which the number of steps is written at the end

Steps are the calls that change a disk: making, writing, cutting, renaming, removing and syncing files, by Python and by
SQLite alike. SQLite's own calls are met through the table by which its VFS lets a test replace them
(xSetSystemCall, https://sqlite.org/c3ref/vfs.html). No root, no tracer and no preloaded library is needed.
"""

from __future__ import annotations

import atexit
import builtins
import ctypes
import errno
import io
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

PLAN = json.loads(os.environ["BAD_DISK"])
WRITING = frozenset("wax+")
ERROR = 0 if PLAN["do"] == "kill" else getattr(errno, PLAN["do"])


class Steps:
    """Counts the steps and says of each what happens at it."""

    taken = 0

    @classmethod
    def fails(cls, where: object) -> bool:
        """Count one step if it is below the folder; whether it fails, or is the one to be killed at."""
        if not path_of(where).startswith(PLAN["below"]):
            return False
        cls.taken += 1
        last = PLAN.get("last")
        return bool(PLAN["at"]) and PLAN["at"] <= cls.taken and (last is None or cls.taken <= last)


def path_of(where: object) -> str:
    """The path of a path or of an open file; "" of a pipe and the like."""
    if isinstance(where, int):
        try:
            return str(Path(f"/proc/self/fd/{where}").readlink()) if where >= 0 else ""
        except OSError:
            return ""
    return str(Path.cwd() / os.fsdecode(where))  # type: ignore[call-overload]


def end() -> None:
    """What happens at the step: the process is gone, or the call is refused."""
    if not ERROR:
        os.kill(os.getpid(), signal.SIGKILL)
    raise OSError(ERROR, os.strerror(ERROR))


class BadFile(io.FileIO):
    """A file whose writes and cuts are steps; of the write that we are killed at half is done."""

    def write(self, data: Any) -> int:
        if Steps.fails(self.fileno()):
            if not ERROR:
                super().write(memoryview(data).cast("B")[: len(data) // 2])
            end()
        return super().write(data)

    def truncate(self, size: int | None = None) -> int:
        if Steps.fails(self.fileno()):
            end()
        return super().truncate(size)


def opened(
    file: Any, mode: str = "r", buffering: int = -1, encoding: Any = None, errors: Any = None, newline: Any = None,
    closefd: bool = True, opener: Any = None, real: Any = io.open,
) -> Any:  # fmt: skip
    """``open``, whose files for writing are :class:`BadFile`."""
    if not WRITING & set(mode) or not path_of(file).startswith(PLAN["below"]):
        return real(file, mode, buffering, encoding, errors, newline, closefd, opener)
    if not isinstance(file, int) and Steps.fails(file):
        end()
    raw = BadFile(file, "".join(sorted(set(mode) - set("bt"), key="rwxa+".index)), closefd, opener)
    if "b" in mode and buffering == 0:
        return raw
    buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
    return buffered if "b" in mode else io.TextIOWrapper(buffered, encoding, errors, newline)


def deadly(owner: Any, name: str, place: int = 0) -> None:
    """Make a function of the system a step; its argument at ``place`` is the file."""
    real = getattr(owner, name)

    def call(*arguments: Any, **options: Any) -> Any:
        if Steps.fails(arguments[place]):
            end()
        return real(*arguments, **options)

    setattr(owner, name, call)


class Vfs(ctypes.Structure):
    """struct sqlite3_vfs, version 3."""

    _fields_ = (
        ("iVersion", ctypes.c_int), ("szOsFile", ctypes.c_int), ("mxPathname", ctypes.c_int),
        ("pNext", ctypes.c_void_p), ("zName", ctypes.c_char_p), ("pAppData", ctypes.c_void_p),
        *((name, ctypes.c_void_p) for name in (
            "xOpen", "xDelete", "xAccess", "xFullPathname", "xDlOpen", "xDlError", "xDlSym", "xDlClose", "xRandomness",
            "xSleep", "xCurrentTime", "xGetLastError", "xCurrentTimeInt64", "xSetSystemCall", "xGetSystemCall",
        )),
    )  # fmt: skip


INT, LONG, POINTER, SIZE, TEXT = ctypes.c_int, ctypes.c_long, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p
# Each call that changes a disk, as SQLite's table names it: the type of its result and those of its arguments.
CALLS = {
    "open": (INT, TEXT, INT, INT),
    "write": (LONG, INT, POINTER, SIZE),
    "pwrite": (LONG, INT, POINTER, SIZE, LONG),
    "pwrite64": (LONG, INT, POINTER, SIZE, LONG),
    "ftruncate": (INT, INT, LONG),
    "unlink": (INT, TEXT),
}
KEPT: list[object] = []  # what C holds pointers to


def spoil_sqlite() -> None:
    """Put our own calls into the table of SQLite's VFS."""
    import _sqlite3

    library = ctypes.CDLL(getattr(_sqlite3, "__file__", None))
    library.sqlite3_vfs_find.restype = ctypes.POINTER(Vfs)
    vfs = library.sqlite3_vfs_find(None)
    take = ctypes.CFUNCTYPE(POINTER, POINTER, TEXT)(vfs.contents.xGetSystemCall)
    put = ctypes.CFUNCTYPE(INT, POINTER, TEXT, POINTER)(vfs.contents.xSetSystemCall)
    for name, types in CALLS.items():
        address = take(ctypes.cast(vfs, POINTER), name.encode())
        if address is None:
            continue
        form = ctypes.CFUNCTYPE(*types, use_errno=True)
        replaced = form(of_sqlite(name, form(address)))
        KEPT.append(replaced)
        put(ctypes.cast(vfs, POINTER), name.encode(), ctypes.cast(replaced, POINTER))


def of_sqlite(name: str, real: Any) -> Callable[..., int]:
    """The call that stands in for ``real``."""

    def call(file: Any, *rest: Any) -> int:
        if name == "open" and not rest[0] & os.O_CREAT:
            return int(real(file, *rest))
        if Steps.fails(file):
            if ERROR:
                ctypes.set_errno(ERROR)
                return -1
            if "write" in name:
                real(file, rest[0], rest[1] // 2, *rest[2:])
            end()
        return int(real(file, *rest))

    return call


def main() -> None:
    """Spoil the disk, then run the command as ``python -m caid_triage`` does."""
    builtins.open = io.open = opened  # type: ignore[assignment]
    for name in ("fsync", "replace", "rename", "unlink", "remove", "mkdir", "rmdir"):
        deadly(os, name)
    spoil_sqlite()
    if PLAN.get("count"):
        atexit.register(lambda: Path(PLAN["count"]).write_text(str(Steps.taken)))
    sys.argv[0] = "caid-triage"
    from caid_triage.__main__ import main as command

    command()


if __name__ == "__main__":
    main()
