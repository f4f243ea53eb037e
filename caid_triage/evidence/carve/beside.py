"""The search of free space in a thread of its own, beside the reading of files: it takes its turn for every read.

Nothing else is shared: what is found is handed over when the search has ended.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager

from caid_triage.evidence.partitions import ReadAt
from caid_triage.threads import JoinedThreads


class SearchStopped(Exception):  # noqa: N818 - an order, not an error
    """The scan is being stopped: nothing more is read."""


class SearchBeside:
    """One search that runs beside a scan; ``turn`` is held for each read of the source, and for nothing else."""

    def __init__(self, turn: AbstractContextManager[object], search: Callable[[], object]) -> None:
        self.turn = turn
        self.began = time.monotonic()
        self._stopping = threading.Event()
        self._search = search
        self._threads = JoinedThreads(1, "free-space")
        self._run: Future[object] | None = None

    def begin(self) -> None:
        """Begin the search."""
        self._run = self._threads.submit(self._search)

    def reading(self, read: ReadAt) -> ReadAt:
        """``read``, in turn with the others that read the source; SearchStopped once :meth:`close` was called."""

        def in_turn(offset: int, length: int) -> bytes:
            self.check()
            with self.turn:
                return read(offset, length)

        return in_turn

    def check(self) -> None:
        """Raises SearchStopped once :meth:`close` was called: for work that reads nothing new for long."""
        if self._stopping.is_set():
            raise SearchStopped

    @property
    def finished(self) -> bool:
        """Whether the search has ended; raises what it ended with, if that was an error of ours."""
        if self._run is None or not self._run.done():
            return False
        self._run.result()
        return True

    def close(self) -> None:
        """Stop the search, if it still runs, and wait for its thread."""
        self._stopping.set()
        self._threads.shutdown(wait=True)
