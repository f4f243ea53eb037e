"""One page of memory that the coordinator and the evidence process share: where the process is, told at no cost.

It is written before every step of a walk (a third of a microsecond) and read when the process died, or now and then
to see whether it goes on. It holds nothing but numbers; what a process that was taken over writes there can put the
blame on a wrong place of its own source and no more.
"""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from caid_triage.evidence.steps import MASK, LeftOut, Place, Step, Steps, VolumeEnds
from caid_triage.model import Searching

SIZE = 4096
ANSWERING, SEARCHING = 0, 1
"""The two threads of a process: the one that answers, and the one that searches free space beside it."""
_SLOT = 64
_COUNT = struct.Struct("<Q")
_PLACE = struct.Struct("<QQQQQ")  # how many steps were said, and the last one
_THREAD = struct.Struct("<Q")
_THREAD_AT = 40
_PROGRESS = struct.Struct("<QQd")
_PROGRESS_AT = 256
_WORD_AT, _WORD_LENGTH = 512, 64
_TOLD_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Leaving:
    """That a place is left out: what its Problem says, and whether the rest of its volume is left out with it."""

    code: str
    detail: str
    ends: bool = False


class Page:
    """The shared page, of either side."""

    def __init__(self, descriptor: int) -> None:
        """Map the page behind an open file."""
        self._memory = mmap.mmap(descriptor, SIZE)

    def say(self, slot: int, count: int, step: int, volume: int, first: int, second: int) -> None:
        """Write where a thread is."""
        _PLACE.pack_into(self._memory, slot * _SLOT, count, step, volume, first, second)

    def say_count(self, slot: int, count: int) -> None:
        """Write that a thread goes on."""
        _COUNT.pack_into(self._memory, slot * _SLOT, count)

    def say_thread(self, slot: int, thread: int) -> None:
        """Write the system's number of a thread."""
        _THREAD.pack_into(self._memory, slot * _SLOT + _THREAD_AT, thread)

    def say_progress(self, told: Searching) -> None:
        """Write how far the search is."""
        _PROGRESS.pack_into(self._memory, _PROGRESS_AT, min(told.searched, MASK), min(told.total, MASK), told.seconds)

    def say_ending(self, word: str) -> None:
        """Write what kind of exception ends the process."""
        data = word.encode("ascii", "replace")[:_WORD_LENGTH]
        self._memory[_WORD_AT : _WORD_AT + _WORD_LENGTH] = data.ljust(_WORD_LENGTH, b"\0")

    def count(self, slot: int) -> int:
        """How many steps a thread has said."""
        return int(_COUNT.unpack_from(self._memory, slot * _SLOT)[0])

    def place(self, slot: int) -> Place:
        """Where a thread is; IDLE where that is no place."""
        _, step, volume, first, second = _PLACE.unpack_from(self._memory, slot * _SLOT)
        return Place(step, volume, first, second) if step in _STEPS else Place(Step.IDLE)

    def thread(self, slot: int) -> int:
        """The system's number of a thread, 0 for none."""
        return int(_THREAD.unpack_from(self._memory, slot * _SLOT + _THREAD_AT)[0])

    def progress(self) -> Searching:
        """How far the search is."""
        searched, total, seconds = _PROGRESS.unpack_from(self._memory, _PROGRESS_AT)
        return Searching(min(searched, total), total, seconds if 0 <= seconds <= 1e9 else 0.0)

    def ending(self) -> str:
        """What kind of exception ended the process, "" for none."""
        word = self._memory[_WORD_AT : _WORD_AT + _WORD_LENGTH].rstrip(b"\0").decode("ascii", "replace")
        return word if word.isidentifier() else ""

    def close(self) -> None:
        """Let go of the page."""
        self._memory.close()


_STEPS = frozenset(map(int, Step))


def new_page() -> tuple[Page, int]:
    """A page and an open file of it, which is the caller's to close."""
    sealed = hasattr(os, "memfd_create")
    if sealed:
        descriptor = os.memfd_create("caid-triage", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    else:
        descriptor, name = tempfile.mkstemp(prefix="caid-triage-")
        os.unlink(name)  # noqa: PTH108 - it lives as long as it is open
    os.truncate(descriptor, SIZE)
    if sealed:
        import fcntl  # noqa: PLC0415 - POSIX only

        # Whoever looks into memory that was cut away is killed by the system: a process that was taken over would
        # end the scan so.
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return Page(descriptor), descriptor


class PageSteps(Steps):
    """Writes each step into the page, and leaves out what it was told to leave out."""

    def __init__(self, page: Page, left_out: Mapping[Place, Leaving]) -> None:
        """Made in the thread that answers."""
        self.progress: Callable[[], Searching] = lambda: Searching(0, 0)
        self._page = page
        self._left_out = left_out
        self._counts = [0, 0]
        self._answering = threading.get_ident()
        self._next = 0.0

    def at(self, step: Step, volume: int = 0, first: int = 0, second: int = 0) -> None:
        """Write the place. Raises LeftOut or VolumeEnds where it is to be left out."""
        slot = ANSWERING if threading.get_ident() == self._answering else SEARCHING
        self._counts[slot] = count = self._counts[slot] + 1
        if slot == SEARCHING:
            self._page.say_thread(slot, threading.get_native_id())
        self._page.say(slot, count, step, volume, first & MASK, second & MASK)
        if self._left_out:
            leaving = self._left_out.get(Place(step, volume, first & MASK, second & MASK))
            if leaving is not None:
                if leaving.ends:
                    raise VolumeEnds(leaving.code, leaving.detail)
                raise LeftOut("walk", leaving.code, leaving.detail)

    def searches(self, site: int, offset: int) -> None:
        """Write which MiB of a site is searched. Raises OSError where that is left out."""
        try:
            self.at(Step.SEARCH, site, offset >> 20)
        except LeftOut as error:
            raise OSError(error.detail) from error
        self.goes_on()

    def goes_on(self) -> None:
        """Write that a thread goes on, and ten times a second how far the search is."""
        slot = ANSWERING if threading.get_ident() == self._answering else SEARCHING
        self._counts[slot] = count = self._counts[slot] + 1
        self._page.say_count(slot, count)
        if time.monotonic() >= self._next:
            self.tell_progress()

    def tell_progress(self) -> None:
        """Write how far the search of free space is."""
        self._next = time.monotonic() + _TOLD_SECONDS
        self._page.say_progress(self.progress())
