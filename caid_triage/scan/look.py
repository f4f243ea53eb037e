"""A review looks at single contents: a worker, confined as those of a scan are, makes a small picture, or takes one
content out of another. Whatever becomes of the worker, the answer is there in time, and is pixels, bytes or words.

Used by one thread: Linux ends a worker with the thread that started it (scan/confine.py).
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from caid_triage.config import WorkerLimits
from caid_triage.errors import EvidenceError
from caid_triage.evidence.source import EvidenceSource
from caid_triage.examine.limits import Limits
from caid_triage.model import Kind, ScanRecord
from caid_triage.scan import protocol
from caid_triage.scan.clock import WATCH_SECONDS, Watch
from caid_triage.scan.rereads import Rereads
from caid_triage.scan.trial import heard
from caid_triage.scan.worker_process import WorkerProcess, why_no_start

MOST_SIDE = 512
LOOK_SECONDS = 10.0
"""So long may a small picture take; looking inside a container as long as a scan gives it."""
ANSWER_SECONDS = 10.0
MOST_STARTS = 2
MOST_STEPS = 4_000_000
INSIDE_SECONDS = 120.0
"""And so long, all steps together, may a small picture of what lies inside another file: an examiner waits for it."""
T = TypeVar("T")
Answer = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Pixels:
    """A small picture: ``channels`` is 1 (grey) or 3 (RGB), ``data`` rows of so many bytes a pixel, top first."""

    width: int
    height: int
    channels: int
    data: bytes


@dataclass(slots=True)
class Looker:
    """One worker that looks; it is started at the first question, and another one after it died."""

    limits: WorkerLimits = field(default_factory=WorkerLimits)
    seconds: float = LOOK_SECONDS
    _worker: WorkerProcess | None = None

    def close(self) -> None:
        """End the worker."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.close()

    def picture(self, source: EvidenceSource, record: ScanRecord, sha256: bytes, side: int) -> Pixels | str:
        """A small picture of the content of that SHA-256, which is that of a record or lies inside it; or why not."""
        assert side <= MOST_SIDE

        def answered(worker: WorkerProcess, answer: Answer, clock: _Clock) -> Pixels | str:
            return _picture(worker, answer, clock, side)

        return self._asked(protocol.Mode.SMALL, source, record, sha256, side, answered)

    def content(self, source: EvidenceSource, record: ScanRecord, sha256: bytes, put: Callable[[bytes], None]) -> str:
        """Give the content of that SHA-256, which lies inside a record's, to ``put`` piece by piece; why not, or ""."""

        def answered(worker: WorkerProcess, answer: Answer, clock: _Clock) -> str:
            return _content(worker, answer, clock, sha256, put)

        return self._asked(protocol.Mode.CONTENT, source, record, sha256, MOST_SIDE, answered)

    def _asked(
        self,
        mode: protocol.Mode,
        source: EvidenceSource,
        record: ScanRecord,
        sha256: bytes,
        side: int,
        answered: Callable[[WorkerProcess, Answer, _Clock], T],
    ) -> T | str:
        entry, found = record.entry, record.examination
        inside = found.digests is None or found.digests.sha256 != sha256
        streamed = inside or found.kind is not Kind.VIDEO or (entry.size or 0) <= Limits().max_video_bytes
        header = {
            "mode": mode.value,
            "size": entry.size or 0,
            "sha256": sha256.hex(),
            "inside": inside,
            "side": side,
            "streamed": streamed,
            "media_type": found.media_type,
        }
        worker = self._ready()
        if worker is None:
            return f"no worker could be started: {why_no_start()}"
        rereads = Rereads(entry, entry.size or 0, source.read_at, source.beside)
        seconds = self.limits.deadline_for(entry.size or 0) if inside else self.seconds
        clock = _Clock(worker)
        try:
            self._give(worker, header, source.chunks(entry) if streamed else (), clock)
            most = INSIDE_SECONDS if mode is protocol.Mode.SMALL else float("inf")
            return answered(worker, self._first(worker, rereads, clock, seconds, most if inside else 0.0), clock)
        except EvidenceError as error:
            self.close()  # it waits for the rest
            return f"the evidence could not be read: {error.detail}"
        except (EOFError, OSError, protocol.ProtocolError):
            self.close()
            return "a decoder did not end in time and was stopped" if clock.is_late else "a decoder ended its process"
        finally:
            clock.stop()

    def _ready(self) -> WorkerProcess | None:
        """The worker, started now where there is none; None where none starts."""
        for _ in range(MOST_STARTS):
            if self._worker is not None and self._worker.tasks < self.limits.tasks:
                self._worker.tasks += 1
                return self._worker
            self.close()
            self._worker = WorkerProcess(self.limits)
            if heard(self._worker, self.limits.start_seconds) is None:
                self.close()
        return None

    def _give(self, worker: WorkerProcess, header: dict[str, Any], chunks: Iterable[bytes], clock: _Clock) -> None:
        """Give a worker its task; while the evidence is read nobody is late."""
        with clock.running(self.limits.chunk_seconds):
            protocol.write_frame(worker.sink, protocol.TASK, protocol.to_json(header))
        for chunk in chunks:
            with clock.running(self.limits.chunk_seconds):
                protocol.write_frame(worker.sink, protocol.CHUNK, chunk)
        with clock.running(self.limits.chunk_seconds):
            if header["streamed"]:
                protocol.write_frame(worker.sink, protocol.END)
            worker.sink.flush()

    def _first(
        self, worker: WorkerProcess, rereads: Rereads, clock: _Clock, seconds: float, most: float = 0.0
    ) -> Answer:
        """What the worker answers in the end, after it was given the bytes that it asked for.

        Its steps show that it goes on with what lies inside a content, for which it has ``most`` seconds in all; where
        nothing is to be looked for inside there are none (0), or a worker that was taken over would go on for good.
        """
        left, loads, steps = seconds, 0, 0
        while True:
            given = left
            with clock.running(given):
                kind, payload = protocol.read_frame(worker.source, protocol.MAX_REPLY)
            left = clock.left
            most -= given - left
            if kind in (protocol.PIXELS, protocol.CONTENT, protocol.NOTHING):
                return kind, payload
            if kind == protocol.LOADING and loads < protocol.MOST_LOADS:
                loads += 1
                with clock.running(self.limits.start_seconds):
                    kind, _ = protocol.read_frame(worker.source, protocol.MAX_REPLY)
                if kind != protocol.LOADED:
                    raise protocol.ProtocolError("something else came than that a library is loaded")
            elif kind == protocol.NEED:
                kind, payload = rereads.answer(protocol.from_json(payload))
                with clock.running(self.limits.chunk_seconds):
                    protocol.write_frame(worker.sink, kind, payload)
                    worker.sink.flush()
            elif kind == protocol.STEP and steps < MOST_STEPS and most > 0:
                steps += 1
                left = min(max(left, self.limits.deadline_for(0)), most)
            else:
                raise protocol.ProtocolError("an unexpected answer")


def _picture(worker: WorkerProcess, answer: Answer, clock: _Clock, side: int) -> Pixels | str:
    """Pixels, of a size that was asked for. Errors: ProtocolError."""
    kind, payload = answer
    if kind == protocol.NOTHING:
        return _why(payload)
    if kind != protocol.PIXELS:
        raise protocol.ProtocolError("an unexpected answer")
    told = protocol.from_json(payload)
    width, height = (protocol.integer(told.get(name), 1, side) for name in ("width", "height"))
    channels = protocol.integer(told.get("channels"), 1, 3)
    with clock.running(ANSWER_SECONDS):
        kind, data = protocol.read_frame(worker.source, protocol.MAX_REPLY)
    if kind != protocol.CHUNK or channels == 2 or len(data) != width * height * channels:
        raise protocol.ProtocolError("pixels that are none")
    return Pixels(width, height, channels, data)


def _content(worker: WorkerProcess, answer: Answer, clock: _Clock, sha256: bytes, put: Callable[[bytes], None]) -> str:
    """A content in pieces, which together have that SHA-256. Errors: ProtocolError."""
    kind, payload = answer
    if kind == protocol.NOTHING:
        return _why(payload)
    if kind != protocol.CONTENT:
        raise protocol.ProtocolError("an unexpected answer")
    state, size = hashlib.sha256(), 0
    while True:
        with clock.running(ANSWER_SECONDS):
            kind, payload = protocol.read_frame(worker.source, protocol.MAX_REPLY)
        if kind == protocol.END:
            break
        size += len(payload)
        if kind != protocol.CHUNK or size > Limits().max_content_bytes:
            raise protocol.ProtocolError("an unexpected answer")
        state.update(payload)
        put(payload)
    return "" if state.digest() == sha256 else "it was given otherwise than it was asked for"


def _why(payload: bytes) -> str:
    said = protocol.text(protocol.from_json(payload).get("why"), 1000)
    return "".join(letter if letter.isprintable() else " " for letter in said) or "no reason is known"


class _Clock:
    """Kills a worker that is late, and counts only while it runs and this program does."""

    def __init__(self, worker: WorkerProcess) -> None:
        self._worker = worker
        self._lock = threading.Lock()
        self._end: float | None = None
        self._stopped = threading.Event()
        self.left = 0.0
        self.is_late = False
        self._thread = threading.Thread(target=self._watch, name="look-watchdog", daemon=True)
        self._thread.start()

    @contextmanager
    def running(self, seconds: float) -> Iterator[None]:
        """Kill the worker if what is inside takes longer; ``left`` is then how much of it was not used."""
        with self._lock:
            self._end = time.monotonic() + seconds
        try:
            yield
        finally:
            with self._lock:
                end, self._end = self._end, None
            self.left = 0.0 if end is None else max(0.0, end - time.monotonic())

    def stop(self) -> None:
        """Watch no longer."""
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        clock = Watch()
        while not self._stopped.wait(WATCH_SECONDS):
            now, stood_still = clock.look()
            with self._lock:
                if self._end is None:
                    continue
                self._end += stood_still
                if now > self._end:
                    self._end, self.is_late = None, True
                    self._worker.kill()
