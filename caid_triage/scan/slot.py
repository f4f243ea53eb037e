"""One worker of the pool, the thread's side of it: its clock, its life, and what happens to one file.

scan/pool.py says why and by which rules; here is how they are kept. Everything of a worker that is awaited has an end:
the watchdog of the pool kills a worker whose deadline has passed, and the blocking read of its pipe ends with it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from caid_triage.config import WorkerLimits
from caid_triage.errors import CaidTriageError, EvidenceError
from caid_triage.model import Examination, FileEntry, ScanRecord
from caid_triage.scan import protocol
from caid_triage.scan.answers import Answers, Kept, Notes
from caid_triage.scan.inside import SoFar, found_from_plain, record_inside
from caid_triage.scan.rereads import Rereads
from caid_triage.scan.results import (
    Beside,
    Early,
    Read,
    ReadAt,
    examined,
    given_up,
    inside_given_up,
    not_examined,
    unreadable,
)
from caid_triage.scan.trial import layers_told
from caid_triage.scan.worker_process import WorkerProcess, why_no_start
from caid_triage.scan.workforce import Workforce

MOST_STARTS = 3
# A worker that somebody else kills while it starts (a machine short of memory) could have started.
MOST_KILLED_STARTS = 20
MOST_RETRIES = 2
# What the operating system says of a process that was killed; Windows tells nothing by which to know it.
KILLED = -9


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


class Slot:
    """One worker, the thread that feeds it, and its deadline."""

    def __init__(
        self,
        read: Read,
        limits: WorkerLimits,
        stopping: threading.Event,
        workforce: Workforce,
        read_at: ReadAt | None = None,
        beside: Beside | None = None,
        answers: Answers | None = None,
    ) -> None:
        """A slot takes its worker from the ``workforce`` at the first task; ``answers`` may save it a decode."""
        self._read = read
        self._read_at = read_at
        self._beside = beside
        self._answers = answers
        self._limits = limits
        self._stopping = stopping
        self._workforce = workforce
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

    def _pause(self) -> float:
        """Stop the clock; how many seconds were left on it."""
        with self._lock:
            deadline, self._deadline = self._deadline, None
        return 0.0 if deadline is None else max(0.0, deadline - time.monotonic())

    def kill_if_late(self, now: float) -> None:
        """Called by the watchdog: kill the worker whose deadline has passed."""
        with self._lock:
            if self._deadline is not None and now > self._deadline and self._worker is not None:
                self._hung = True
                self._deadline = None
                self._worker.kill()

    def postpone(self, seconds: float) -> None:
        """Called by the watchdog: this program itself stood still, which no worker is to blame for."""
        with self._lock:
            if self._deadline is not None:
                self._deadline += seconds

    def kill(self) -> None:
        """Kill the worker, whatever it does: the scan is being stopped."""
        with self._lock:
            if self._worker is not None:
                self._worker.kill()

    # -- the worker's life -------------------------------------------------------------------------------

    def _ready_worker(self) -> WorkerProcess:
        if self._worker is not None and self._worker.tasks >= self._limits.tasks:
            self.retire()
        unable = killed = 0
        while unable < MOST_STARTS and killed < MOST_KILLED_STARTS:
            if self._worker is None:
                with self._lock:
                    if self._stopping.is_set():
                        raise ScanStopped
                    self._worker = self._workforce.take()
                    self._hung = False
            worker = self._worker
            if worker.ready:
                return worker
            self._arm(self._limits.start_seconds)
            try:
                kind, payload = protocol.read_frame(worker.source, protocol.MAX_REPLY)
                worker.ready = kind == protocol.READY and self._workforce.accepts(layers_told(payload))
            except (EOFError, OSError, protocol.ProtocolError):
                kind = b""
            self._disarm()
            if worker.ready:
                return worker
            if self._stopping.is_set():
                raise ScanStopped
            if self.retire() == KILLED and not kind and not self._hung:
                killed += 1
            else:
                unable += 1
        if killed >= MOST_KILLED_STARTS:
            raise CaidTriageError(
                f"worker processes were killed {killed} times while they started: is the machine short of memory?"
            )
        raise CaidTriageError(f"a worker process did not start in {MOST_STARTS} tries: {why_no_start()}")

    def retire(self) -> int | None:
        """End the worker, the next task gets a fresh one; returns how it ended (None: there was none)."""
        with self._lock:
            worker, self._worker = self._worker, None
            self._deadline = None
        return None if worker is None else worker.close()

    def leave(self) -> None:
        """Give the worker, which waits for its next task, back to the workforce."""
        with self._lock:
            worker, self._worker = self._worker, None
            self._deadline = None
        if worker is not None:
            self._workforce.give_back(worker)

    # -- one file ----------------------------------------------------------------------------------------

    def examine(self, entry: FileEntry, give: Callable[[ScanRecord], None]) -> ScanRecord:
        """The one ScanRecord of ``entry``, whatever happens to the worker; ``give`` gets those of its inside before."""
        if not entry.readable:
            return not_examined(entry)
        so_far = SoFar()

        def attempted(mode: protocol.Mode = protocol.Mode.FULL) -> Attempt:
            return self._attempt(entry, mode, so_far, give)

        attempt = attempted()
        retries = 0
        unfinished = False
        while attempt.fault:
            if so_far.step:  # it was an inner file
                if not so_far.blame(attempt.fault):
                    unfinished = attempt.early is not None
                    break
            elif attempt.fault != "died" or retries >= MOST_RETRIES:
                break
            else:
                retries += 1
            again = attempted()
            attempt = again if again.early is not None or attempt.early is None else attempt
        fault = attempt.fault
        if fault and attempt.early is None:
            attempt = attempted(protocol.Mode.DIGESTS_ONLY)
        if attempt.found is not None:
            return examined(entry, attempt.found)
        if attempt.read_error is not None:
            record = unreadable(entry, attempt.read_error, attempt.bytes_sent)
        elif unfinished and attempt.early is not None:
            record = ScanRecord(entry, inside_given_up(attempt.early, len(so_far.left_out)))
        else:
            record = ScanRecord(entry, given_up(attempt.early, fault or attempt.fault))
        return replace(record, examination=replace(record.examination, inside=so_far.delivered))

    def _attempt(
        self, entry: FileEntry, mode: protocol.Mode, so_far: SoFar, give: Callable[[ScanRecord], None]
    ) -> Attempt:
        worker = self._ready_worker()
        worker.tasks += 1
        sent = 0
        early: Early | None = None
        try:
            header = protocol.to_json(
                {
                    "mode": mode.value,
                    "size": entry.size,
                    "random": self._read_at is not None,
                    "again": so_far.again(),
                    "asks": self._answers is not None and mode is protocol.Mode.FULL,
                }
            )
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
            early = _early(self._digests(worker), sent)
            if mode is protocol.Mode.DIGESTS_ONLY:
                self._disarm()
                return Attempt(early=early, bytes_sent=sent)
            notes = Notes()
            if early.waits:
                answer, kept = self._answered(worker, entry, early, fresh=so_far.is_fresh)
                if kept is not None:
                    self._disarm()
                    return Attempt(early=early, found=_copied(entry, early, kept, give), bytes_sent=sent)
                notes.usable = answer is protocol.Answer.GO_ON and so_far.is_fresh
            found = self._examined(worker, entry, early, so_far, give, notes)
            self._disarm()
        except (EOFError, OSError, protocol.ProtocolError):
            self._disarm()
            fault = "hung" if self._hung else "died"
            self.retire()
            return Attempt(early=early, bytes_sent=sent, fault=fault)
        return Attempt(early=early, found=found, bytes_sent=sent)

    def _answer(self, worker: WorkerProcess) -> tuple[bytes, bytes]:
        """The worker's next answer as (kind, payload); the time in which it loads a library is not the file's."""
        while True:
            kind, payload = protocol.read_frame(worker.source, protocol.MAX_REPLY)
            if kind != protocol.LOADING:
                return kind, payload
            worker.loads += 1
            if worker.loads > protocol.MOST_LOADS:
                raise protocol.ProtocolError("the worker loads more than there is to load")
            left = self._pause()
            self._arm(self._limits.start_seconds)
            kind, _ = protocol.read_frame(worker.source, protocol.MAX_REPLY)
            if kind != protocol.LOADED:
                raise protocol.ProtocolError("something else came than that a library is loaded")
            self._arm(left)

    def _digests(self, worker: WorkerProcess) -> dict[str, Any]:
        kind, payload = self._answer(worker)
        if kind != protocol.DIGESTS:
            raise protocol.ProtocolError("an unexpected answer")
        return protocol.from_json(payload)

    def _answered(
        self, worker: WorkerProcess, entry: FileEntry, early: Early, *, fresh: bool
    ) -> tuple[protocol.Answer, Kept | None]:
        """The word on the digests, which the worker was told; while a hash set is read its clock stands still."""
        if self._answers is None:
            raise protocol.ProtocolError("a worker waits for an answer that it was not promised")
        left = self._pause()
        answer, kept = self._answers.of(entry, early.digests, fresh=fresh)
        self._arm(left)
        protocol.write_frame(worker.sink, protocol.ANSWER, protocol.to_json(protocol.answer_to_plain(answer)))
        worker.sink.flush()
        return answer, kept

    def _examined(
        self,
        worker: WorkerProcess,
        entry: FileEntry,
        early: Early,
        so_far: SoFar,
        give: Callable[[ScanRecord], None],
        notes: Notes,
    ) -> Examination:
        """The worker's answer, after it was given the bytes of the file that it asked for again.

        What it finds inside is given on as it comes.
        """
        sent = early.bytes_read
        rereads = None if self._read_at is None else Rereads(entry, sent, self._read_at, self._beside)
        while True:
            kind, payload = self._answer(worker)
            value = protocol.from_json(payload)
            if kind == protocol.EXAMINED:
                found = protocol.examination_from_plain(value, early.digests)
                if found.inside != so_far.delivered:
                    raise protocol.ProtocolError("another number of inner files than were given")
                if early.waits and self._answers is not None and not (rereads and rereads.asked_beside):
                    self._answers.keep(entry, early.digests, notes.examined(found, payload))
                return found
            if kind == protocol.STEP:
                size = so_far.begins(value, sent)
                self._arm(self._limits.deadline_for(size if so_far.step else sent))
                continue
            if kind == protocol.FOUND:
                inner = found_from_plain(value)
                so_far.takes(inner)
                notes.found(inner, payload)
                left = self._pause()  # a full queue of results is no fault of the worker's
                give(record_inside(entry, inner))
                self._arm(left)
                continue
            if kind != protocol.NEED or rereads is None:
                raise protocol.ProtocolError("an unexpected answer")
            left = self._pause()
            kind, payload = rereads.answer(value)
            self._arm(left)
            protocol.write_frame(worker.sink, kind, payload)
            worker.sink.flush()

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


def _copied(entry: FileEntry, early: Early, kept: Kept, give: Callable[[ScanRecord], None]) -> Examination:
    """The examination of another file of this content; what lies inside is given on as rows below this one."""
    for inner in kept.found_inside():
        give(record_inside(entry, inner))
    return kept.examined(early.digests)


def _early(value: dict[str, Any], sent: int) -> Early:
    early = Early(*protocol.early_from_plain(value))
    if early.bytes_read != sent:
        raise protocol.ProtocolError("digests of something else than was sent")
    return early
