"""Workers that are started before there is a task for them, and kept from one source to the next.

Starting a worker takes some tenths of a second of its own. It needs nothing that the command is about to open, so the
workers are started first and get ready while the hash sets are opened, the case is made and the walk is counted.
This module imports next to nothing, so that it can be the first thing that a scan does.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Self

from caid_triage.config import ScanOptions, WorkerLimits
from caid_triage.scan.worker_process import WorkerProcess

if TYPE_CHECKING:
    from caid_triage.scan.trial import Settled


class Workforce:
    """Idle workers; use it as a context manager, at the end of which none is left. Safe for several threads.

    The first that is started tries its confinement and every decoder before it says that it is ready (scan/trial.py).

    Linux ends a worker with the thread that started it (scan/confine.py): the thread that makes this must outlive it,
    and only workers of that thread are kept. A workforce of another thread may have this one ``behind`` it: it takes
    idle workers from there before it starts one, and gives them back there.
    """

    def __init__(self, limits: WorkerLimits, count: int = 0, behind: Workforce | None = None) -> None:
        """Start ``count`` workers; nobody waits for them here."""
        self._limits = limits
        self._behind = behind
        self._lock = threading.Lock()
        self._closed = False
        self._maker = threading.get_ident()
        self._without: tuple[str, ...] = ()
        self._layers: frozenset[str] = frozenset()
        self.settled: Settled | None = None
        self._idle: deque[WorkerProcess] = deque()
        try:
            for number in range(count):
                self._idle.append(WorkerProcess(limits, canary=number == 0))
        except OSError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def take(self) -> WorkerProcess:
        """The idle worker that was started first, or a new one; it is the caller's to close or to give back."""
        idle = self.take_idle()
        if idle is None and self._behind is not None and self._behind.limits == self._limits:
            idle = self._behind.take_idle()
        return idle or WorkerProcess(self._limits, self._without)

    def take_idle(self) -> WorkerProcess | None:
        """The idle worker that was started first, None where there is none; like :meth:`take`."""
        with self._lock:
            return self._idle.popleft() if self._idle else None

    def take_canary(self) -> WorkerProcess | None:
        """The idle worker that tries itself, None where there is none; like :meth:`take`."""
        with self._lock:
            for worker in self._idle:
                if worker.canary:
                    self._idle.remove(worker)
                    return worker
        return None

    @property
    def limits(self) -> WorkerLimits:
        """What a worker may use."""
        return self._limits

    def settle(self, layers: frozenset[str], without: tuple[str, ...]) -> None:
        """From now on workers leave out the layers ``without`` of their confinement and must have those in ``layers``.

        Idle ones that were started otherwise are ended, and as many others started.
        """
        with self._lock:
            self._layers, changed, self._without = layers, without != self._without, without
            idle = list(self._idle) if changed else []
            if changed:
                self._idle.clear()
        for worker in idle:
            worker.close()
        for _ in idle:
            self.give_back(WorkerProcess(self._limits, without))

    def accepts(self, layers: frozenset[str]) -> bool:
        """Whether a worker that those layers hold may be given a file."""
        return self._layers <= layers

    def give_back(self, worker: WorkerProcess) -> None:
        """Keep a worker that waits for its next task; one that comes too late or would end by itself is ended."""
        with self._lock:
            if not self._closed and worker.starter == self._maker:
                self._idle.append(worker)
                return
        if self._behind is not None and worker.starter != self._maker:
            self._behind.give_back(worker)
            return
        worker.close()

    def close(self) -> None:
        """End every idle worker, and those that are given back from now on. May be called twice."""
        with self._lock:
            self._closed = True
            idle = list(self._idle)
            self._idle.clear()
        for worker in idle:  # all of them first: they end side by side
            worker.kill()
        for worker in idle:
            worker.close()


def started_workers(options: ScanOptions) -> Workforce:
    """The workers of a scan, getting ready: none for the serial executor, one for what a cluster gives back.

    A local cluster has those of this process, as the pool has.
    """
    with_cluster = 1 if options.cluster.scheduler else options.workers
    return Workforce(options.limits, {"pool": options.workers, "dask": with_cluster}.get(options.executor, 0))
