"""Workers of the coordinator itself, for the entries that a cluster gives back: the pool's slots, fed one by one."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

from caid_triage.config import WorkerLimits
from caid_triage.model import FileEntry, ScanRecord
from caid_triage.scan.answers import Answers
from caid_triage.scan.results import Beside, Read, ReadAt
from caid_triage.scan.slot import ScanStopped, Slot
from caid_triage.scan.watched import watched
from caid_triage.scan.workforce import Workforce
from caid_triage.threads import JoinedThreads


class OwnSlots:
    """At most ``count`` threads with a worker each, started when there is work; to be stopped.

    ``deliver`` is called with each record, from several threads; ``done`` after the last record of each entry;
    ``ended`` with the outcome of a thread, which has an error of ours or is of no matter.
    """

    def __init__(
        self,
        count: int,
        read: Read,
        limits: WorkerLimits,
        stopping: threading.Event,
        workforce: Workforce,
        read_at: ReadAt | None,
        beside: Beside | None,
        deliver: Callable[[ScanRecord], None],
        done: Callable[[], None],
        ended: Callable[[Future[None]], None],
        answers: Answers | None = None,
    ) -> None:
        self._count = count
        self._stopping = stopping
        self._deliver = deliver
        self._done = done
        self._ended = ended
        self._work: queue.SimpleQueue[FileEntry | None] = queue.SimpleQueue()
        self._threads = JoinedThreads(count, "own-slot")
        self._slots: list[Slot] = []
        self._make = partial(Slot, read, limits, stopping, workforce, read_at, beside, answers)

    def put(self, entry: FileEntry) -> None:
        """Have an entry examined here. Called by one thread."""
        self._work.put(entry)
        if len(self._slots) < self._count:
            self._slots.append(self._make())
            self._threads.submit(self._serve, self._slots[-1]).add_done_callback(self._ended)

    def _serve(self, slot: Slot) -> None:
        try:
            with watched(slot):
                while (entry := self._work.get()) is not None and not self._stopping.is_set():
                    self._deliver(slot.examine(entry, self._deliver))
                    self._done()
                slot.leave()
        except ScanStopped:
            return
        finally:
            slot.retire()

    def stop(self) -> None:
        """End the threads; their workers too where the scan is being stopped."""
        if self._stopping.is_set():
            for slot in self._slots:
                slot.kill()
        for _ in self._slots:
            self._work.put(None)
        self._threads.shutdown()
