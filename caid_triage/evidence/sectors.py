"""Reading places of a disk, many of them: several reads in flight where the bytes lie in files or on a device.

Places come sorted, so that a disk with heads sweeps over them; up to eight reads are asked for at once, which such a
disk puts in order by itself and a solid-state one answers side by side. A container is read by its library, one place
after another.
"""

from __future__ import annotations

import bisect
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import ExitStack
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import Self

from caid_triage.errors import SourceError
from caid_triage.evidence.faults import LIBRARY_ERRORS, plain_reason
from caid_triage.evidence.images import OpenDisk, open_disk
from caid_triage.evidence.proxied import read_range
from caid_triage.evidence.sector_places import TOGETHER, Place
from caid_triage.evidence.steps import Step, told_of_steps
from caid_triage.model import Problem, SourceInfo
from caid_triage.threads import JoinedThreads

IN_FLIGHT = 8
_WAITING = 4 * IN_FLIGHT
_STILL_SECONDS = 1.0


class Sectors:
    """The bytes of a disk, open for reading only. Use it as a context manager."""

    def __init__(self, disk: OpenDisk) -> None:
        self.info: SourceInfo = disk.info
        self.problems: tuple[Problem, ...] = disk.problems
        self.size = int(disk.image.get_size())
        self._image = disk.image
        self._steps = told_of_steps.get()
        self._stack = ExitStack()
        self._stack.callback(disk.image.close)
        self._files: list[int] = []
        self._ends: list[int] = []
        self._pool: JoinedThreads | None = None
        if disk.info.kind in ("raw", "split-raw", "device") and hasattr(os, "pread"):
            self._open_files([Path(segment) for segment in disk.info.segments])

    def _open_files(self, segments: Sequence[Path]) -> None:
        """Files of our own, that several threads can read at once."""
        try:
            for path in segments:
                file = os.open(path, os.O_RDONLY)
                self._stack.callback(os.close, file)
                if hasattr(os, "posix_fadvise"):  # what stands behind a place is not wanted
                    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_RANDOM)
                self._files.append(file)
        except OSError as error:
            self._stack.close()
            raise SourceError(f"{segments[0]} could not be opened: {plain_reason(error)}") from error
        self._ends = list(accumulate(os.lseek(file, 0, os.SEEK_END) for file in self._files))
        self._pool = JoinedThreads(IN_FLIGHT, "sectors")
        self._stack.callback(self._pool.shutdown, wait=True, cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._stack.close()

    def read(self, start: int, length: int) -> bytes | None:
        """The bytes from ``start``, exactly ``length`` of them; None where any of them cannot be read."""
        try:
            data = self._from_files(start, length) if self._files else read_range(self._image, start, length)
        except LIBRARY_ERRORS:
            return None
        return data if len(data) == length else None

    def _from_files(self, start: int, length: int) -> bytes:
        pieces = []
        while length > 0 and start < self.size:
            index = bisect.bisect_right(self._ends, start)
            before = self._ends[index - 1] if index else 0
            piece = os.pread(self._files[index], min(length, self._ends[index] - start), start - before)
            if not piece:
                break
            pieces.append(piece)
            start, length = start + len(piece), length - len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def read_each(self, places: Sequence[Place], first: int = 0) -> Iterator[bytes | None]:
        """What :meth:`read` gives of each place, in their order; several are read at once where that can be.

        ``first`` is the number of the first place for who is told of steps.
        """
        if self._pool is None:
            for number, (start, length) in enumerate(places, first):
                self._steps.at(Step.READING, 0, number)
                yield self.read(start, length)
            return
        waiting: deque[tuple[int, Future[list[bytes | None]]]] = deque()
        for at in range(0, len(places), TOGETHER):
            waiting.append((first + at, self._pool.submit(self._read_group, places[at : at + TOGETHER])))
            if len(waiting) >= _WAITING:
                yield from self._waited_for(*waiting.popleft())
        while waiting:
            yield from self._waited_for(*waiting.popleft())

    def _waited_for(self, number: int, reading: Future[list[bytes | None]]) -> list[bytes | None]:
        """What a group of reads gave; while a slow disk is waited for, who is told hears that work goes on."""
        self._steps.at(Step.READING, 0, number)
        while not reading.done() and not wait((reading,), _STILL_SECONDS).done:
            self._steps.goes_on()
        return reading.result()

    def _read_group(self, places: Sequence[Place]) -> list[bytes | None]:
        return [self.read(start, length) for start, length in places]


def open_sectors(path: Path, exhibit: str, name: str) -> Sectors:
    """Open a block device or the image of a disk to read its sectors. Errors: SourceError, saying what to do."""
    try:
        path.stat()
    except OSError as error:
        message = f"{path} could not be opened: {plain_reason(error)}. Check the name, and that the disk is connected"
        raise SourceError(message) from error
    return Sectors(open_disk(path, exhibit, name))
