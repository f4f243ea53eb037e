"""What one worker of a cluster does with an order: opens the source where it lies here, and feeds confined children.

The process that Dask runs decodes nothing and parses nothing: a folder is read in it, an image by an evidence process
of its own (scan/remote.py), and what is read goes to a confined worker, one for each thread that Dask gives work to
(scan/slot.py). A decoder that dies or hangs kills that child. Linux ends a child with the thread that started it, and
Dask keeps its threads.

How a source is opened and read here: scan/desk_source.py. A source that nobody asked for in ``IDLE_SECONDS`` is closed,
and with the last one the children end: so they do when a coordinator is gone that could not say so.

The worker of a local cluster is in the coordinator's own process (scan/dask_start.py). Its desk knows what the
coordinator found out of this machine, and takes the children that were started while the scan began.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from caid_triage.actor import actor
from caid_triage.config import WorkerLimits
from caid_triage.errors import CaidTriageError
from caid_triage.model import FileEntry, Problem, ScanRecord
from caid_triage.scan import protocol
from caid_triage.scan.cluster_words import (
    CHECKED,
    HERE,
    LATER,
    NO_EVIDENCE,
    UNFIT,
    Answer,
    Border,
    Order,
    order_from_bytes,
    record_frame,
)
from caid_triage.scan.desk_source import Reading, SourceHere, Unfit, open_here
from caid_triage.scan.same_program import program_here
from caid_triage.scan.slot import ScanStopped, Slot
from caid_triage.scan.trial import Settled, settle
from caid_triage.scan.watched import watched
from caid_triage.scan.workforce import Workforce

IDLE_SECONDS = 60.0
MOST_SECONDS = 20.0
"""What of an order was not begun by then is left for another one: a lost worker loses little, the last wait less."""
MOST_INSIDE = 32 << 20
"""Bytes of records of one entry: the coordinator takes those of a larger archive as they come."""
_SWEEP_SECONDS = 2.0


class TooMuch(Exception):  # noqa: N818 - an order, not an error
    """More lies inside an entry than an answer should hold."""


class Named:
    """Holds back an exception that nobody expected; what is told of it is its name, for its text could quote evidence.

    Dask writes what a task raises into its logs, with the arguments of the task.
    """

    name = ""

    def __enter__(self) -> Named:
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: BaseException | None, _: TracebackType | None) -> bool:
        if kind is None or not issubclass(kind, Exception):
            return False
        self.name = kind.__name__
        return True


def program_digest(program: dict[str, str]) -> str:
    """What an order says of a program."""
    return hashlib.sha256(protocol.to_json(dict(sorted(program.items())))).hexdigest()


def border_of(settled: Settled | None) -> Border:
    """What the first worker of this machine tells: the layers that hold it, and the formats that it reads."""
    if settled is None:
        return Border((), (), ())
    read = sorted(name for name, outcome in settled.told.canary if outcome == protocol.SINGS)
    return Border(settled.told.active, settled.without, tuple(read))


def whole_program(border: Border) -> dict[str, str]:
    """What results depend on here, with the formats that the workers of this machine read."""
    return program_here() | {"formats read": ", ".join(border.formats)}


class Desk:
    """The sources and the children of one worker process. Safe for several threads."""

    def __init__(self, address: str = "", behind: Workforce | None = None) -> None:
        """``address`` is what the cluster calls this worker; ``behind`` are children of the coordinator's own."""
        self._address = address
        self._behind = behind
        self._closed = False
        self._lock = threading.Lock()
        self._settling = threading.Lock()
        self._sources: dict[tuple[str, int], SourceHere] = {}
        self._forces: dict[tuple[int, WorkerLimits], Workforce] = {}
        self._borders: dict[WorkerLimits, tuple[Border, list[Problem]]] = {}
        self._programs: dict[WorkerLimits, dict[str, str]] = {}
        self._sweeper: threading.Thread | None = None
        self._busy = 0

    def trust(self, limits: WorkerLimits, border: Border, program: dict[str, str]) -> None:
        """Take over what the coordinator, whose process this is, found out of this machine."""
        self._borders[limits] = border, []
        self._programs[limits] = program

    def answer(self, payload: bytes) -> bytes:
        """The answer to an order, whatever happens."""
        answer = Answer()
        with Named() as unexpected, self._at_work():
            try:
                self._obey(order_from_bytes(payload), answer)
            except Unfit as unfit:
                answer = Answer()
                answer.say(UNFIT, self._told(unfit))
        if unexpected.name:
            answer = Answer()
            answer.say(UNFIT, self._told(Unfit("other", f"something unexpected happened ({unexpected.name})")))
        return answer.ended()

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """While in here, no child is ended for want of work, and somebody sees to it that one is behind it."""
        with self._lock:
            self._busy += 1
            if self._sweeper is None:
                self._sweeper = threading.Thread(target=self._sweep, name="sweeper", daemon=True)
                self._sweeper.start()
        try:
            yield
        finally:
            with self._lock:
                self._busy -= 1

    def _told(self, unfit: Unfit) -> dict[str, object]:
        program = next(iter(self._programs.values()), {}) if unfit.why == "program" else {}
        return {"why": unfit.why, "detail": unfit.detail, "program": program, "address": self._address}

    def _obey(self, order: Order, answer: Answer) -> None:
        if self._closed:
            raise Unfit("stopped")
        workforce = self._workforce(order)
        program = self._programs[order.limits]
        if program_digest(program) != order.program:
            raise Unfit("program")
        if order.source.path != NO_EVIDENCE:
            with self._source(order) as here:
                if order.entries:
                    self._examine(order, here, workforce, answer)
                    return
        border = protocol.problems_to_plain(self._borders[order.limits][1])
        answer.say(CHECKED, {"host": actor().get("host", ""), "address": self._address, "border": border})

    # ------------------------------------------------------------ children

    def _workforce(self, order: Order) -> Workforce:
        """That of this thread: a child lives as long as the thread that started it."""
        with self._settling:
            key = threading.get_ident(), order.limits
            workforce = self._forces.get(key)
            if workforce is not None:
                return workforce
            known = self._borders.get(order.limits)
            tries = known is None and order.border is None
            workforce = Workforce(order.limits, 1 if tries else 0, self._behind)
            if tries:
                settled = settle(workforce)
                border, problems = border_of(settled), [] if settled is None else settled.problems()
            else:
                border, problems = known or (order.border or Border((), (), ()), [])
                workforce.settle(frozenset(border.layers), border.without)
            self._borders[order.limits] = border, problems
            if order.limits not in self._programs:
                self._programs[order.limits] = whole_program(border)
            self._forces[key] = workforce
            return workforce

    # ------------------------------------------------------------ sources

    @contextmanager
    def _source(self, order: Order) -> Iterator[SourceHere]:
        """The source of an order, opened, and kept open meanwhile. Raises Unfit."""
        key = order.scan, order.place
        with self._lock:
            here = self._sources.setdefault(key, SourceHere())
            here.users += 1
        try:
            with here.opening:
                if here.source is None:
                    open_here(order, here)
            yield here
        finally:
            with self._lock:
                here.users -= 1
                here.used = time.monotonic()
                closes = not here.users and (here.source is None or here.stopping.is_set())
                if closes:
                    self._sources.pop(key, None)
            if closes:
                here.stack.close()

    def leave(self, scan: str) -> None:
        """A scan has ended or is being stopped: end what is done for it."""
        with self._lock:
            mine = [(key, here) for key, here in self._sources.items() if key[0] == scan]
            for _, here in mine:
                here.stopping.set()
            idle = [self._sources.pop(key) for key, here in mine if not here.users]
            busy = [(slot, here.remote) for _, here in mine for slot in here.slots]
        for slot, remote in busy:
            slot.kill()
            if remote is not None:
                remote.stop()
        for here in idle:
            here.stack.close()
        self._end_children_if_idle()

    def close(self) -> None:
        """End what is done for any scan, and do nothing more: the scan of this process has ended."""
        self._closed = True
        with self._lock:
            scans = {scan for scan, _ in self._sources}
        for scan in scans:
            self.leave(scan)
        self._end_children_if_idle()

    def _sweep(self) -> None:
        while True:
            time.sleep(_SWEEP_SECONDS)
            now = time.monotonic()
            with self._lock:
                old = [key for key, here in self._sources.items() if not here.users and now - here.used > IDLE_SECONDS]
                closing = [self._sources.pop(key) for key in old]
            for here in closing:
                here.stack.close()
            self._end_children_if_idle()
            with self._lock:
                if not (self._sources or self._busy or self._forces):
                    self._sweeper = None
                    return

    def _end_children_if_idle(self) -> None:
        """End the children where no source is open and nobody works."""
        with self._lock:
            if self._sources or self._busy:
                return
            forces = list(self._forces.values())
            self._forces.clear()
            self._borders.clear()
            self._programs.clear()
        for force in forces:
            force.close()

    # ------------------------------------------------------------ entries

    def _examine(self, order: Order, here: SourceHere, workforce: Workforce, answer: Answer) -> None:
        assert here.source is not None
        reading = Reading(here.source)
        slot = Slot(reading.read, order.limits, here.stopping, workforce, reading.read_at, reading.beside)
        began = time.monotonic()
        try:
            with self._registered(here, slot), watched(slot):
                for entry in order.entries:
                    late = answer.size and time.monotonic() - began > MOST_SECONDS
                    if late or answer.size > MOST_INSIDE:
                        answer.say(LATER)
                        continue
                    _examine_one(entry, slot, reading, answer)
        except ScanStopped as stopped:
            raise Unfit("stopped") from stopped
        except CaidTriageError as error:
            raise Unfit("start", str(error)) from error

    @contextmanager
    def _registered(self, here: SourceHere, slot: Slot) -> Iterator[None]:
        """While in here, the slot is one that :meth:`leave` ends; behind it its child waits for the next order."""
        with self._lock:
            here.slots.append(slot)
        try:
            yield
            slot.leave()
        finally:
            slot.retire()
            with self._lock:
                here.slots.remove(slot)


def _examine_one(entry: FileEntry, slot: Slot, reading: Reading, answer: Answer) -> None:
    frames: list[bytes] = []
    size = 0

    def give(record: ScanRecord) -> None:
        nonlocal size
        frames.append(record_frame(record))
        size += len(frames[-1])
        if size > MOST_INSIDE:
            raise TooMuch

    reading.failed = False
    try:
        give(slot.examine(entry, give))
    except TooMuch:
        slot.retire()
        answer.say(HERE)
        return
    if reading.failed:
        answer.say(HERE)
    else:
        answer.add(frames)
