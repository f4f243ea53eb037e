"""The supervised worker pool: one task in flight a worker, a private pipe each, a deadline from the ready message.

Why our own (measured, measurements/hostile.md section 1): when two workers die, ProcessPoolExecutor loses 73 of
100 tasks and multiprocessing.Pool waits for ever. Here a killed or hung worker costs one file its decode:

* died: the file is tried once more, alone, in a fresh worker (the death may have been somebody else's);
* died again, or hung: the decode is given up with a Problem; the digests, sent before the decode, are kept,
  and if even they are missing, they are retried alone without any decoder;
* every entry ends as exactly one ScanRecord (law 1).

Each worker is fed by one thread of the coordinator, which blocks on the pipe; a watchdog thread kills the
worker whose deadline has passed, which ends the blocking call on every operating system alike.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from caid_triage.config import ScanOptions, WorkerLimits
from caid_triage.errors import CaidTriageError, EvidenceError
from caid_triage.model import DecodeState, Digests, Examination, FileEntry, Kind, Problem, ScanRecord
from caid_triage.scan import protocol
from caid_triage.scan.worker_name import MEMORY_VARIABLE, WORKER_MODULE


@dataclass(frozen=True, slots=True)
class Skipped:
    """An entry that is stored in the case already: it passes by unexamined."""

    entry: FileEntry


Read = Callable[[FileEntry], Iterator[bytes]]
Walked = FileEntry | Problem | Skipped
Result = ScanRecord | Problem | Skipped

MOST_STARTS = 3
WATCH_SECONDS = 0.05


def not_examined(entry: FileEntry) -> ScanRecord:
    """The record of an entry that no content can belong to; the entry's own problems say why."""
    return ScanRecord(entry, Examination(None, bytes_read=0, media_type="", decode_state=DecodeState.NOT_ATTEMPTED))


def unreadable(entry: FileEntry, error: EvidenceError, bytes_read: int) -> ScanRecord:
    """The record of an entry whose content could not be read to its end: no digest of a part is kept as one of all."""
    problem = Problem(error.step, error.code, error.detail)
    return ScanRecord(
        entry,
        Examination(
            None, bytes_read=bytes_read, media_type="", decode_state=DecodeState.NOT_ATTEMPTED, problems=(problem,)
        ),
    )


@dataclass(frozen=True, slots=True)
class Early:
    """What a worker says before it decodes."""

    digests: Digests
    kind: Kind
    media_type: str
    bytes_read: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one try at one file ended: ``fault`` is "" (it went well), "died" or "hung"."""

    early: Early | None = None
    found: Examination | None = None
    read_error: EvidenceError | None = None
    bytes_sent: int = 0
    fault: str = ""


class ScanStopped(Exception):  # noqa: N818 - an order, not an error
    """The scan is being stopped: a slot must not start another worker."""


class WorkerProcess:
    """One worker and its private pipe."""

    def __init__(self, limits: WorkerLimits) -> None:
        """Start it; :meth:`await_ready` before the first task."""
        environment = os.environ | {
            MEMORY_VARIABLE: str(limits.memory_bytes),
            # One thread a worker: the pool is the parallelism, and sums do not depend on the machine's cores.
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
        }
        options: dict[str, Any] = (
            {"creationflags": 0x08000000}  # CREATE_NO_WINDOW
            if sys.platform == "win32"
            else {"start_new_session": True}
        )
        # -P: the current folder, which may be a suspect's, is never searched for modules.
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-P", "-m", WORKER_MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            **options,
        )
        self.sink = cast(BinaryIO, self._process.stdin)
        self.source = cast(BinaryIO, self._process.stdout)
        self.tasks = 0
        _widen_pipe(self.sink.fileno())

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def kill(self) -> None:
        """End the worker and whatever it started, at once."""
        if sys.platform != "win32":
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                self._process.kill()
        else:
            self._process.kill()

    def close(self) -> None:
        """Kill, reap and close the pipe."""
        self.kill()
        self._process.wait()
        for stream in (self.sink, self.source):
            with suppress(OSError):  # what was still buffered for a dead worker
                stream.close()


def _widen_pipe(descriptor: int) -> None:
    """Let a pipe hold a whole chunk, so that feeding a worker is one switch and not sixteen (Linux only)."""
    if sys.platform == "linux":
        import fcntl  # noqa: PLC0415 - POSIX only

        with suppress(OSError):  # over the user's limit for pipes: slower, not wrong
            fcntl.fcntl(descriptor, 1031, 1 << 20)  # F_SETPIPE_SZ


class Slot:
    """One worker, the thread that feeds it, and its deadline."""

    def __init__(self, read: Read, limits: WorkerLimits, stopping: threading.Event) -> None:
        """A slot starts its worker at the first task."""
        self._read = read
        self._limits = limits
        self._stopping = stopping
        self._worker: WorkerProcess | None = None
        self._lock = threading.Lock()
        self._deadline: float | None = None
        self._hung = False

    # -- the clock ---------------------------------------------------------------------------------------

    def _arm(self, seconds: float) -> None:
        with self._lock:
            self._deadline = time.monotonic() + seconds

    def _disarm(self) -> None:
        with self._lock:
            self._deadline = None

    def kill_if_late(self, now: float) -> None:
        """Called by the watchdog: kill the worker whose deadline has passed."""
        with self._lock:
            if self._deadline is not None and now > self._deadline and self._worker is not None:
                self._hung = True
                self._deadline = None
                self._worker.kill()

    def kill(self) -> None:
        """Kill the worker, whatever it does: the scan is being stopped."""
        with self._lock:
            if self._worker is not None:
                self._worker.kill()

    # -- the worker's life -------------------------------------------------------------------------------

    def _ready_worker(self) -> WorkerProcess:
        if self._worker is not None and self._worker.tasks >= self._limits.tasks:
            self.retire()
        for _ in range(MOST_STARTS):
            if self._worker is not None:
                return self._worker
            with self._lock:
                if self._stopping.is_set():
                    raise ScanStopped
                worker = self._worker = WorkerProcess(self._limits)
                self._hung = False
            self._arm(self._limits.start_seconds)
            try:
                kind, _ = protocol.read_frame(worker.source, protocol.MAX_REPLY)
            except (EOFError, OSError, protocol.ProtocolError):
                kind = b""
            self._disarm()
            if kind != protocol.READY:
                self.retire()
        if self._worker is None:
            raise CaidTriageError(f"a worker process did not start in {MOST_STARTS} tries: {_why_no_start()}")
        return self._worker

    def retire(self) -> None:
        """End the worker; the next task gets a fresh one."""
        with self._lock:
            worker, self._worker = self._worker, None
            self._deadline = None
        if worker is not None:
            worker.close()

    # -- one file ----------------------------------------------------------------------------------------

    def examine(self, entry: FileEntry) -> ScanRecord:
        """The one ScanRecord of ``entry``, whatever happens to the worker."""
        if not entry.readable:
            return not_examined(entry)
        attempt = self._attempt(entry, protocol.Mode.FULL)
        if attempt.fault == "died":
            again = self._attempt(entry, protocol.Mode.FULL)
            attempt = again if again.early is not None or attempt.early is None else attempt
        fault = attempt.fault
        if fault and attempt.early is None:
            attempt = self._attempt(entry, protocol.Mode.DIGESTS_ONLY)
        if attempt.read_error is not None:
            return unreadable(entry, attempt.read_error, attempt.bytes_sent)
        if attempt.found is not None:
            return ScanRecord(entry, attempt.found)
        return ScanRecord(entry, _given_up(attempt.early, fault or attempt.fault))

    def _attempt(self, entry: FileEntry, mode: protocol.Mode) -> Attempt:
        worker = self._ready_worker()
        worker.tasks += 1
        sent = 0
        early: Early | None = None
        try:
            header = protocol.to_json({"mode": mode.value, "size": entry.size})
            self._arm(self._limits.chunk_seconds)
            protocol.write_frame(worker.sink, protocol.TASK, header)
            try:
                for chunk in self._chunks_unwatched(entry):
                    self._arm(self._limits.chunk_seconds)
                    protocol.write_frame(worker.sink, protocol.CHUNK, chunk)
                    sent += len(chunk)
            except EvidenceError as error:
                self._arm(self._limits.chunk_seconds)
                protocol.write_frame(worker.sink, protocol.ABORT)
                worker.sink.flush()
                self._disarm()
                return Attempt(read_error=error, bytes_sent=sent)
            self._arm(self._limits.deadline_for(sent))
            protocol.write_frame(worker.sink, protocol.END)
            worker.sink.flush()
            early = _early(_expect(worker, protocol.DIGESTS))
            if mode is protocol.Mode.DIGESTS_ONLY:
                self._disarm()
                return Attempt(early=early, bytes_sent=sent)
            found = protocol.examination_from_plain(_expect(worker, protocol.EXAMINED), early.digests)
            self._disarm()
        except (EOFError, OSError, protocol.ProtocolError):
            self._disarm()
            fault = "hung" if self._hung else "died"
            self.retire()
            return Attempt(early=early, bytes_sent=sent, fault=fault)
        return Attempt(early=early, found=found, bytes_sent=sent)

    def _chunks_unwatched(self, entry: FileEntry) -> Iterator[bytes]:
        """The content; while the evidence is being read the worker's clock stands still (a slow disk is no hang)."""
        chunks = self._read(entry)
        while True:
            self._disarm()
            try:
                chunk = next(chunks)
            except StopIteration:
                return
            yield chunk


def _expect(worker: WorkerProcess, wanted: bytes) -> dict[str, Any]:
    kind, payload = protocol.read_frame(worker.source, protocol.MAX_REPLY)
    if kind != wanted:
        raise protocol.ProtocolError("an unexpected answer")
    return protocol.from_json(payload)


def _early(value: dict[str, Any]) -> Early:
    try:
        return Early(
            protocol.digests_from_plain(value), Kind(value["kind"]), str(value["media_type"]), int(value["bytes_read"])
        )
    except (KeyError, ValueError, TypeError) as error:
        raise protocol.ProtocolError("early digests with a missing or wrong field") from error


def _given_up(early: Early | None, fault: str) -> Examination:
    """What stands in the record of a file whose worker died twice or hung."""
    if early is None:
        lost = Problem("hash", "digests-lost", "the worker process ended three times on this file before its digests")
        return Examination(None, 0, media_type="", decode_state=DecodeState.NOT_ATTEMPTED, problems=(lost,))
    what = "hung and was killed at its deadline" if fault == "hung" else "ended the worker process twice"
    problem = Problem("decode", f"decoder-{fault}", f"the decoder {what}; digests are kept, no perceptual hash")
    return Examination(
        early.digests,
        early.bytes_read,
        kind=early.kind,
        media_type=early.media_type,
        decode_state=DecodeState.UNDECODABLE,
        problems=(problem,),
    )


def _why_no_start() -> str:
    """The last line that a worker says when it is started by hand."""
    finished = subprocess.run(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-P", "-c", f"import {WORKER_MODULE}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    lines = finished.stderr.strip().splitlines()
    return lines[-1] if lines else "it can be imported; is the memory limit too low?"


def examine_in_pool(walked: Iterator[Walked], read: Read, options: ScanOptions) -> Generator[Result, None, None]:
    """Examine entries with ``options.workers`` processes; yields each record as it is done, problems of the walk too.

    ``walked`` and ``read`` are called from several threads, one at a time for ``walked``; ``read`` must be safe by
    itself. Nothing is held but one file a worker and a short queue of results: memory does not grow with the walk.
    """
    walk_lock = threading.Lock()
    results: queue.Queue[Result | Future[None]] = queue.Queue(maxsize=4 * options.batch_files)
    stopping = threading.Event()
    slots = [Slot(read, options.limits, stopping) for _ in range(options.workers)]

    def deliver(result: Result | Future[None]) -> None:
        while not stopping.is_set():
            try:
                results.put(result, timeout=0.2)
            except queue.Full:
                continue
            return

    def feed(slot: Slot) -> None:
        try:
            while not stopping.is_set():
                with walk_lock:
                    item = next(walked, None)
                if item is None:
                    return
                deliver(slot.examine(item) if isinstance(item, FileEntry) else item)
        except ScanStopped:
            return
        finally:
            slot.retire()

    def watch() -> None:
        while not stopping.wait(WATCH_SECONDS):
            now = time.monotonic()
            for slot in slots:
                slot.kill_if_late(now)

    watchdog = threading.Thread(target=watch, name="watchdog", daemon=True)
    watchdog.start()
    with ThreadPoolExecutor(len(slots), thread_name_prefix="worker-slot") as threads:
        running = 0
        try:
            for slot in slots:
                threads.submit(feed, slot).add_done_callback(deliver)
                running += 1
            while running:
                result = results.get()
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
