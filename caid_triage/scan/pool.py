"""The supervised worker pool: one task in flight a worker, a private pipe each, a deadline from the ready message.

Why our own (measured, measurements/hostile.md section 1): when two workers die, ProcessPoolExecutor loses 73 of
100 tasks and multiprocessing.Pool waits for ever. Here a killed or hung worker costs one file its decode:

* died: the file is tried twice more, alone, in a fresh worker (the death may have been somebody else's, and so may
  the second: a machine short of memory kills what it likes);
* died each time, or hung: the decode is given up with a Problem; the digests, sent before the decode, are kept,
  and if even they are missing, they are retried alone without any decoder;
* every entry ends as exactly one ScanRecord (law 1), and so does every file inside it (scan/inside.py).

A worker that examines a large video asks for bytes of it again (scan/protocol.py). Its clock stands still only while
the evidence is being read, and what it may ask for is counted, so that asking does not put off its deadline.

The decoders that few files need are loaded by a worker when the first such file comes. It says so before and after,
and meanwhile the clock is that of a worker's start: no file is charged for it (how often is counted).

Each worker is fed by one thread of the coordinator, which blocks on the pipe; a watchdog thread kills the
worker whose deadline has passed, which ends the blocking call on every operating system alike.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from concurrent.futures import Future
from contextlib import ExitStack

from caid_triage.config import ScanOptions
from caid_triage.model import FileEntry
from caid_triage.scan.answers import Answers
from caid_triage.scan.clock import WATCH_SECONDS, Watch
from caid_triage.scan.results import Beside, Read, ReadAt, Result, Walked
from caid_triage.scan.slot import ScanStopped, Slot
from caid_triage.scan.workforce import Workforce
from caid_triage.threads import Handover, JoinedThreads


def examine_in_pool(
    walked: Iterator[Walked],
    read: Read,
    options: ScanOptions,
    read_at: ReadAt | None = None,
    workforce: Workforce | None = None,
    beside: Beside | None = None,
    answers: Answers | None = None,
) -> Generator[Result, None, None]:
    """Examine entries with ``options.workers`` processes; yields each record as it is done, problems of the walk too.

    The processes come from ``workforce`` and go back to it; without one they are started here and ended at the end.

    ``walked``, ``read``, ``read_at`` and ``beside`` are called from several threads, one at a time for ``walked``; the
    others, and ``answers``, must be safe by themselves. Without ``read_at`` the frames of large videos are not hashed,
    without ``beside`` caches of two files have no pictures, without ``answers`` every content is decoded. Nothing
    is held but one file a worker and a short queue of results: memory does not grow with the walk.
    """
    with ExitStack() as ours:
        yield from _examine_with(
            workforce or ours.enter_context(Workforce(options.limits)), walked, read, options, read_at, beside, answers
        )


def _examine_with(
    workforce: Workforce,
    walked: Iterator[Walked],
    read: Read,
    options: ScanOptions,
    read_at: ReadAt | None,
    beside: Beside | None,
    answers: Answers | None,
) -> Generator[Result, None, None]:
    walk_lock = threading.Lock()
    results: Handover[Result | Future[None]] = Handover(4 * options.batch_files)
    stopping = threading.Event()
    slots = [Slot(read, options.limits, stopping, workforce, read_at, beside, answers) for _ in range(options.workers)]

    def deliver(result: Result | Future[None]) -> None:
        while not stopping.is_set() and not results.put(result, timeout=0.2):
            pass

    def feed(slot: Slot) -> None:
        try:
            while not stopping.is_set():
                with walk_lock:
                    item = next(walked, None)
                if item is None:
                    slot.leave()
                    return
                deliver(slot.examine(item, deliver) if isinstance(item, FileEntry) else item)
        except ScanStopped:
            return
        finally:
            slot.retire()

    def watch() -> None:
        clock = Watch()
        while not stopping.wait(WATCH_SECONDS):
            now, stood_still = clock.look()
            for slot in slots:
                if stood_still:  # a suspended machine, a paused virtual one, a stopped job: nobody is late
                    slot.postpone(stood_still)
                slot.kill_if_late(now)

    watchdog = threading.Thread(target=watch, name="watchdog", daemon=True)
    with JoinedThreads(len(slots), "worker-slot") as threads:
        running = 0
        try:
            watchdog.start()
            for slot in slots:
                threads.submit(feed, slot).add_done_callback(deliver)
                running += 1
            while running:
                try:
                    result = results.get(timeout=0.5)  # without an end, Windows would not let Ctrl+C through
                except queue.Empty:
                    continue
                if isinstance(result, Future):
                    running -= 1
                    result.result()  # an error of ours in a thread stops the scan here
                else:
                    yield result
        finally:
            stopping.set()
            for slot in slots:
                slot.kill()
    watchdog.join()
