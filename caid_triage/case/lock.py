"""One writer a case: an operating-system lock, which the death of its process releases by itself."""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from typing import BinaryIO

from caid_triage.case.schema import is_stranger, storage_faults
from caid_triage.errors import CaseError

LOCK_FILE = "case.lock"

if sys.platform == "win32":
    import msvcrt

    def _take(handle: BinaryIO) -> None:
        handle.seek(0)
        msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)

    def _give_back(handle: BinaryIO) -> None:
        handle.seek(0)
        msvcrt.locking(handle.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _take(handle: BinaryIO) -> None:
        fcntl.flock(handle.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _give_back(handle: BinaryIO) -> None:
        fcntl.flock(handle.fileno(), fcntl.LOCK_UN)


def exclusive(handle: BinaryIO) -> bool:
    """Whether this process now holds the right to a file that several wait for; closing the file gives it back."""
    try:
        _take(handle)
    except OSError as fault:
        if fault.errno not in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
            raise
        return False
    return True


class CaseLock:
    """The right to write to a case; held until released or until the process ends.

    The lock is on the open file, not on its existence: a file left behind by a dead process blocks nobody.
    """

    def __init__(self, folder: Path) -> None:
        with storage_faults(folder):
            if is_stranger(folder / LOCK_FILE):  # a pipe would be waited for without end
                raise CaseError(f"the case in {folder}: {LOCK_FILE} is no file: it was put there; remove it")
            handle = (folder / LOCK_FILE).open("ab")
        try:
            _take(handle)
        except OSError as fault:
            handle.close()
            message = f"the case in {folder} is in use by another process; wait until that has ended, then run again"
            raise CaseError(message) from fault
        self._handle = handle

    def release(self) -> None:
        """Let another process write to the case. May be called twice."""
        if not self._handle.closed:
            _give_back(self._handle)
            self._handle.close()


def is_locked(folder: Path) -> bool:
    """Whether another process holds the right to write to the case; nothing of it is changed by asking."""
    if is_stranger(folder / LOCK_FILE):
        return False
    try:
        with (folder / LOCK_FILE).open("rb") as handle:
            _take(handle)
            _give_back(handle)
    except BlockingIOError:
        return True
    except PermissionError:
        return sys.platform == "win32"  # there a held lock is a refusal; elsewhere the file cannot be opened
    except OSError:  # there is no lock file, or the file system knows no locks
        return False
    return False
