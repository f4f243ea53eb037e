"""The life of an evidence process: started, watched and ended by one thread that outlives it.

Linux ends the process with the thread that started it (scan/confine.py), so one thread starts every process of a
source, whichever thread asks. Between it watches that the process comes to an end with each step it begins.

The clock is the processor time of the thread that the process works with, not the time of day: a slow or failing disk
is no hang, nor is a busy machine. A thread that neither uses the processor nor waits for a disk is one that the library
has locked out of itself; it is given much longer. Where the system tells no processor time, the time of day stands in
for it, so many times as long.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

from caid_triage.config import ParserLimits
from caid_triage.evidence.steps import Step
from caid_triage.scan.evidence_page import ANSWERING, SEARCHING, Page, new_page
from caid_triage.scan.worker_process import widen_pipe

MODULE = "caid_triage.scan.evidence_process"
WATCH_SECONDS = 0.25
STALL_SECONDS = 1.0
_LONG_STEPS = frozenset((Step.OPENING, Step.VOLUME, Step.ROOT, Step.SPACE, Step.SITE, Step.LEDGER, Step.VERIFYING))
_KEPT = (
    "HOME", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED",
    "PYTHONHOME", "PYTHONPATH", "PYTHONPYCACHEPREFIX", "PYTHONUTF8", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR", "TZ",
)  # fmt: skip
"""What of the environment the process gets: nothing that somebody may have put there for another program."""
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
_KEEP_PAGES = {"MALLOC_MMAP_THRESHOLD_": str(16 << 20), "MALLOC_TRIM_THRESHOLD_": str(64 << 20)}
"""glibc keeps the memory of a piece of content for the next: system time of the process 0.6 ms a MB instead of 1.9."""


@dataclass(slots=True)
class _Clock:
    """What one thread of a process has used since it last said that it goes on."""

    count: int = -1
    began: float | None = None
    used: float = 0.0
    idle: float = 0.0


@dataclass(slots=True)
class EvidenceProcess:
    """One process and its private pipe. ``hung`` is the slot of the thread that did not come back, None for none."""

    process: subprocess.Popen[bytes]
    page: Page
    sink: BinaryIO = field(init=False)
    source: BinaryIO = field(init=False)
    owes: bool = False
    searches: bool = False
    hung: int | None = None
    clocks: tuple[_Clock, _Clock] = field(default_factory=lambda: (_Clock(), _Clock()))

    def __post_init__(self) -> None:
        self.sink = cast(BinaryIO, self.process.stdin)
        self.source = cast(BinaryIO, self.process.stdout)

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    def kill(self) -> None:
        """End it and whatever it started, at once."""
        if self.process.poll() is not None:
            return
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            self.process.kill()

    def close(self) -> int:
        """Kill, reap and close the pipe; returns how it ended, as the operating system tells it."""
        self.kill()
        ended = self.process.wait()
        for stream in (self.sink, self.source):
            with suppress(OSError):  # what was still buffered for a dead process
                stream.close()
        return ended


class Keeper:
    """Starts the processes of one source and watches the last one; use :meth:`close` at the end."""

    def __init__(self, limits: ParserLimits, module: str = MODULE) -> None:
        """``module`` is what a process runs."""
        self._limits = limits
        self._module = module
        self._orders: queue.SimpleQueue[Future[EvidenceProcess] | None] = queue.SimpleQueue()
        self._current: EvidenceProcess | None = None
        self._thread = threading.Thread(target=self._keep, name="evidence-keeper", daemon=True)
        self._thread.start()

    def start(self) -> EvidenceProcess:
        """A new process. Errors: OSError and what else subprocess raises."""
        order: Future[EvidenceProcess] = Future()
        self._orders.put(order)
        return order.result()

    def close(self) -> None:
        """End the process that runs and the thread."""
        current = self._current
        if current is not None:
            current.close()
        self._orders.put(None)
        self._thread.join()

    def _keep(self) -> None:
        last = time.monotonic()
        while True:
            try:
                order = self._orders.get(timeout=WATCH_SECONDS)
            except queue.Empty:
                now = time.monotonic()
                passed, last = now - last, now
                current = self._current
                if current is not None and passed < STALL_SECONDS:  # else all stood still: nobody is late
                    self._watch(current, passed)
                continue
            if order is None:
                return
            try:
                self._current = self._started()
            except (OSError, ValueError, subprocess.SubprocessError) as error:
                order.set_exception(error)
            else:
                order.set_result(self._current)

    def _started(self) -> EvidenceProcess:
        page, descriptor = new_page()
        try:
            environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
            environment |= _ONE_THREAD | _KEEP_PAGES
            # -P: the current folder, which may be a suspect's, is never searched for modules.
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-P", "-m", self._module, str(self._limits.memory_bytes), str(descriptor)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
                pass_fds=(descriptor,),
                start_new_session=True,
            )
        finally:
            os.close(descriptor)
        started = EvidenceProcess(process, page)
        widen_pipe(started.sink.fileno())
        widen_pipe(started.source.fileno())
        return started

    # ------------------------------------------------------------ the clock

    def _watch(self, current: EvidenceProcess, passed: float) -> None:
        for slot, works in ((ANSWERING, current.owes), (SEARCHING, current.searches)):
            clock, count = current.clocks[slot], current.page.count(slot)
            step = current.page.place(slot).step
            if not works or count != clock.count or (slot == SEARCHING and step == Step.IDLE):
                clock.count, clock.began, clock.idle = count, None, 0.0
                continue
            thread = current.pid if slot == ANSWERING else current.page.thread(slot)
            told = _thread_times(current.pid, thread)
            long = self._limits.long_steps if step in _LONG_STEPS or not count else 1
            if told is None:  # the system does not tell: the time of day, and so many times as long
                clock.idle += passed
                late = clock.idle > self._limits.step_seconds * self._limits.long_steps * long
            else:
                used, sleeps = told
                if clock.began is None:
                    clock.began = clock.used = used
                clock.idle = clock.idle + passed if used == clock.used and sleeps else 0.0
                clock.used = used
                late = used - clock.began > self._limits.step_seconds * long or clock.idle > self._limits.idle_seconds
            if late:
                current.hung = slot
                current.kill()
                return


def _thread_times(process: int, thread: int) -> tuple[float, bool] | None:
    """Processor seconds of a thread, and whether it sleeps; None where nobody tells.

    One that waits for a disk, for its turn on the processor or to be continued does not sleep.
    """
    try:
        facts = Path(f"/proc/{process}/task/{thread}/stat").read_text("latin-1").rpartition(")")[2].split()
        return (int(facts[11]) + int(facts[12])) / os.sysconf("SC_CLK_TCK"), facts[0] == "S"
    except (OSError, ValueError, IndexError):
        return None
