"""The Dask executor: the same walk and the same records, examined by the workers of a cluster (scan/cluster_desk.py).

The coordinator walks, and gives out small batches of entries; at most ``IN_FLIGHT`` for each thread of the cluster are
on their way, so memory grows neither with the walk nor with a slow case. Whatever becomes of a worker, every entry ends
as exactly one record:

* a lost worker: Dask runs its batch again on another, as often as its scheduler allows (3 times, "allowed-failures");
* lost each time: the entries of the batch one by one; one that is lost each time even so is examined here;
* a worker that does not fit (another version, no share) gets nothing more, its batch goes to another;
* what a known-good set answers for (docs/decisions/0046) is examined here once more, undecoded: workers have no sets;
* what a worker could not read, or holds more than an answer should: examined here, by slots like those of the pool.
  What cannot be read is found so by the coordinator, as in the pool: its account of unreadable bytes is whole, and a
  network that fails is no fault of the evidence;
* no worker for ``ALONE_SECONDS``, or no scheduler any more: all is examined here, until there are workers again.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future as Ending
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

from distributed import Future

from caid_triage.config import ScanOptions
from caid_triage.model import FileEntry, ScanRecord, Searching
from caid_triage.scan.answers import Answers
from caid_triage.scan.cluster_words import UNFIT, Answered, answers_from_frames, frames_of
from caid_triage.scan.dask import IN_FLIGHT, LOOK_SECONDS, LOST, Cluster
from caid_triage.scan.own_slots import OwnSlots
from caid_triage.scan.protocol import ProtocolError, text
from caid_triage.scan.results import Beside, Listed, Read, ReadAt, Result, Walked, not_examined
from caid_triage.scan.workforce import Workforce
from caid_triage.threads import Handover, JoinedThreads

MOST_FILES, MOST_BYTES = 64, 32 << 20
"""A batch has so many entries, or so many bytes of content (the last may go beyond)."""
FEW_FILES, FEW_BYTES = 8, 4 << 20
"""The same while a worker has nothing to do."""
MOST_UNFIT = 8
"""How often a batch may meet a worker that does not fit."""
MOST_OWN = 256
"""Entries that wait to be examined here before the walk waits too."""
ALONE_SECONDS = 20.0


@dataclass(slots=True)
class Batch:
    """Entries that were given out together; ``bound`` are the workers that may do it, none: any."""

    entries: tuple[FileEntry, ...]
    future: Future | None = None
    bound: frozenset[str] = frozenset()
    unfit: int = 0


@dataclass(frozen=True, slots=True)
class _Done:
    """A batch has an end, good or bad."""

    number: int


@dataclass(frozen=True, slots=True)
class _Fed:
    """The walk has come to its end."""


@dataclass(frozen=True, slots=True)
class _OwnDone:
    """The records of an entry that was examined here are all delivered."""


@dataclass(frozen=True, slots=True)
class _Ended:
    """A thread has ended; with an error of ours, or without."""

    outcome: Ending[None] = field(repr=False)


_Event = Result | _Done | _Fed | _OwnDone | _Ended


def examine_in_dask(
    walked: Iterator[Walked],
    read: Read,
    options: ScanOptions,
    cluster: Cluster,
    place: int,
    read_at: ReadAt | None = None,
    workforce: Workforce | None = None,
    beside: Beside | None = None,
    answers: Answers | None = None,
) -> Generator[Result, None, None]:
    """Examine the entries of the cluster's source number ``place``; yields as scan/pool.py does.

    ``read``, ``read_at``, ``beside``, ``answers`` and the ``workforce`` are for what is examined here; ``walked`` is
    called by one thread.
    """
    with ExitStack() as ours:
        workers = workforce or ours.enter_context(Workforce(options.limits))
        run = _Run(walked, options, cluster, place, answers)
        run.own = OwnSlots(
            options.workers, read, options.limits, run.stopping, workers, read_at, beside, run.pass_on, run.own_done,
            run.ended, answers,
        )  # fmt: skip
        ours.callback(run.stop)
        yield from run.results()


class _Run:
    """One source's examination: what is given out, and what comes back."""

    own: OwnSlots

    def __init__(
        self, walked: Iterator[Walked], options: ScanOptions, cluster: Cluster, place: int, answers: Answers | None
    ) -> None:
        self._walked = walked
        self._answers = answers
        self._cluster = cluster
        self._order = cluster.order(place)
        self._events: Handover[_Event] = Handover(4 * options.batch_files)
        self.stopping = threading.Event()
        # Instead of a Condition: Ctrl+C within one can leave its lock taken for ever.
        self._lock = threading.Lock()
        self._changed: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._batches: dict[int, Batch] = {}
        self._given = 0
        self._waiting_own = 0
        self._alone = False
        self._looked = self._had_workers = time.monotonic()
        self._feeder = JoinedThreads(1, "feeder")

    # ------------------------------------------------------------ called by other threads

    def pass_on(self, item: Result) -> None:
        """Deliver something as soon as there is room for it."""
        while not self.stopping.is_set() and not self._events.put(item, timeout=0.2):
            pass

    def own_done(self) -> None:
        """All records of an entry that was examined here are delivered."""
        self._events.put_at_once(_OwnDone())

    def ended(self, outcome: Ending[None]) -> None:
        """A thread has ended."""
        self._events.put_at_once(_Ended(outcome))

    def _feed(self) -> None:
        bundle: list[FileEntry] = []
        size = 0
        while not self.stopping.is_set():
            item = next(self._walked, None)
            if isinstance(item, FileEntry):
                if not item.readable:
                    self.pass_on(not_examined(item))
                    continue
                bundle.append(item)
                size += item.size or 0
                most = (FEW_FILES, FEW_BYTES) if self._somebody_is_idle() else (MOST_FILES, MOST_BYTES)
                if len(bundle) < most[0] and size < most[1]:
                    continue
            elif item is not None and not isinstance(item, Searching | Listed):
                self.pass_on(item)
                continue
            if bundle:
                self._give_when_there_is_room(tuple(bundle))
                bundle, size = [], 0
            if item is None:
                self._events.put_at_once(_Fed())
                return
            if isinstance(item, Searching | Listed):
                self.pass_on(item)

    def _somebody_is_idle(self) -> bool:
        return len(self._batches) < sum(self._cluster.alive.values())

    def _give_when_there_is_room(self, entries: tuple[FileEntry, ...]) -> None:
        while not self.stopping.is_set():
            with self._lock:
                if self._waiting_own < MOST_OWN:
                    if self._alone:
                        self._examine_here(entries)
                        return
                    if len(self._batches) < IN_FLIGHT * sum(self._cluster.alive.values()):
                        self._give(Batch(entries))
                        return
            with suppress(queue.Empty):
                self._changed.get(timeout=0.5)

    # ------------------------------------------------------------ giving out; under the lock

    def _give(self, batch: Batch) -> None:
        """Give a batch out, or examine it here where there is nobody."""
        if self._cluster.is_lost or not self._cluster.alive:
            self._examine_here(batch.entries)
            return
        number = self._given = self._given + 1
        self._batches[number] = batch
        self._cluster.tally.batches += 1
        payload = self._order.to_bytes(batch.entries)
        try:
            batch.future, batch.bound = self._cluster.begin(payload, lambda: self._events.put_at_once(_Done(number)))
        except LOST:
            del self._batches[number]
            self._examine_here(batch.entries)

    def _examine_here(self, entries: Sequence[FileEntry]) -> None:
        self._cluster.tally.here += len(entries)
        self._waiting_own += len(entries)
        for entry in entries:
            self.own.put(entry)

    # ------------------------------------------------------------ what comes back

    def results(self) -> Iterator[Result]:
        """Everything, until each entry of the walk has its record."""
        self._feeder.submit(self._feed).add_done_callback(self.ended)
        fed = False
        while not fed or self._batches or self._waiting_own or not self._events.empty():
            if time.monotonic() - self._looked >= LOOK_SECONDS:
                self._look_around()
            try:
                event = self._events.get(timeout=0.5)
            except queue.Empty:
                continue
            if isinstance(event, _Fed):
                fed = True
            elif isinstance(event, _Ended):
                event.outcome.result()  # an error of ours stops the scan here
            elif isinstance(event, _OwnDone):
                with self._lock:
                    self._waiting_own -= 1
                    self._changed.put(None)
            elif isinstance(event, _Done):
                yield from self._taken(event.number)
            else:
                yield event

    def _taken(self, number: int) -> Iterator[ScanRecord]:
        """The records of a batch; what has none yet is given out again or examined here."""
        with self._lock:  # whoever gives it out has done so
            batch = self._batches.get(number)
        if batch is None:
            return  # it was taken back
        answered, words = self._answer_of(batch)
        answered = [Answered(one.entry, outcome="here") if self._is_known_good(one) else one for one in answered]
        for one in answered:
            yield from one.records
        with self._lock:
            del self._batches[number]
            self._go_on_with(batch, answered, words)
            self._changed.put(None)

    def _is_known_good(self, one: Answered) -> bool:
        """Whether a set answers for what a worker, which has none, decoded."""
        if self._answers is None or not one.records:
            return False
        return self._answers.leaves_undecoded(one.records[-1].examination)

    def _answer_of(self, batch: Batch) -> tuple[list[Answered], str]:
        """What became of each entry; none and "lost", "unfit" or "nonsense"."""
        assert batch.future is not None
        if batch.future.status != "finished":
            return [], "lost"
        try:
            payload = batch.future.result()
        except LOST:
            return [], "lost"
        try:
            if not isinstance(payload, bytes):
                raise ProtocolError("an answer that is no bytes")
            frames = list(frames_of(payload))
            if frames and frames[0][0] == UNFIT:
                self._unfit(frames[0][1])
                return [], "unfit"
            return list(answers_from_frames(iter(frames), batch.entries, self._order.source.owner)), ""
        except ProtocolError:
            return [], "nonsense"

    def _unfit(self, value: dict[str, object]) -> None:
        address = text(value.get("address"), 1000)
        _, words = self._cluster.why_unfit(value)
        self._cluster.refuse(address, words)

    def _go_on_with(self, batch: Batch, answered: list[Answered], words: str) -> None:
        entries = batch.entries
        if not words:
            self._examine_here([one.entry for one in answered if one.outcome == "here"])
            later = tuple(one.entry for one in answered if one.outcome == "later")
            if later:
                self._give(Batch(later))
            return
        self._cluster.tally.again += 1
        if words == "unfit" and batch.unfit < MOST_UNFIT:
            self._give(Batch(entries, unfit=batch.unfit + 1))
        elif words == "lost" and len(entries) > 1:
            for entry in entries:
                self._give(Batch((entry,)))
        else:
            self._examine_here(entries)

    def _look_around(self) -> None:
        """Who is there; take back what nobody can do."""
        self._cluster.look()
        self._looked = time.monotonic()
        alive = self._cluster.alive
        if alive:
            self._had_workers = self._looked
        alone = self._cluster.is_lost or self._looked - self._had_workers > ALONE_SECONDS
        with self._lock:
            if alone and not self._alone:
                self._cluster.remarks.append(
                    "the cluster was lost (no scheduler, or no worker): what it had not examined was examined on this "
                    "machine"
                )
            self._alone = alone
            for number, batch in list(self._batches.items()):
                if alone or (batch.bound and not batch.bound & alive.keys()):
                    self._take_back(number, batch)
                elif batch.future is not None and batch.future.status != "pending":
                    self._events.put_at_once(_Done(number))  # Dask has no word where it cannot start a thread to say it
            self._changed.put(None)

    def _take_back(self, number: int, batch: Batch) -> None:
        del self._batches[number]
        if batch.future is not None and not self._cluster.is_lost:
            batch.future.cancel()
        self._cluster.tally.again += 1
        self._give(Batch(batch.entries))

    def stop(self) -> None:
        """End all threads; what is on its way is taken back."""
        finished = not self._batches and not self._waiting_own
        if not finished:
            self.stopping.set()
        self._changed.put(None)
        with ExitStack() as ends:  # the feeder is waited for whatever becomes of the others: it walks the evidence
            ends.callback(self._feeder.shutdown)
            ends.callback(self.stopping.set)
            ends.callback(self.own.stop)
            for batch in list(self._batches.values()):
                if batch.future is not None and not self._cluster.is_lost:
                    with suppress(*LOST):
                        batch.future.cancel()
