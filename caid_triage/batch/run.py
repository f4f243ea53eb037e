"""The batch itself: starts scans as the budget allows, hears them, and lets the failure of one cost that one.

    queue, by priority -> a child process each -> its JSON lines -> journal, progress, notices

One thread decides everything. A scan that dies is resumed once; what is complete is not done again; Ctrl+C asks the
scans to end in the order in which they were started and leaves all of them resumable.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from caid_triage.batch.budget import Budget, Load, place_of, workers_for
from caid_triage.batch.check import check_arrival, worst_of
from caid_triage.batch.child import INTERRUPTED, Child, Ending, Process, Told, opened, scan_words
from caid_triage.batch.cluster import NO_CLUSTER
from caid_triage.batch.disks import disks_of, size_of
from caid_triage.batch.figures import QUICK, case_figures, profile_of
from caid_triage.batch.job import Active, Job
from caid_triage.batch.journal import ENDED_WELL, Journal, Record, State
from caid_triage.batch.notify import Notifier
from caid_triage.batch.progress import BatchProgress, Happened, InWork, Show, Tell
from caid_triage.batch.queue import Exhibit, Fault, Queue
from caid_triage.batch.rows import beside
from caid_triage.batch.watch import Watcher, exhibit_of
from caid_triage.case.lock import is_locked
from caid_triage.config import ClusterOptions
from caid_triage.errors import CaidTriageError, CaseError, UsageError

TRIES = 2
LISTEN_SECONDS = 0.25
LOOK_SECONDS = 2.0
LEAST_SHARE = 10
LOOK_OVERHEAD = 5
"""Seconds that a first look takes beside its share, to start and to write its reports: what the end of the box cuts off

has none, and does not say what it left out."""
PATIENCE = 120.0
REFUSED_SECONDS = 1800.0
"""So long a cluster that did not take a scan is asked by no other: a worker that hangs costs each of them minutes."""
LOCK_PATIENCE = 60.0


@dataclass(slots=True)
class Outcome:
    """What a batch came to. ``skipped``: references that an earlier run had completed; ``notes``: sentences."""

    interrupted: bool = False
    time_up: bool = False
    skipped: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Batch:
    """One run over a queue. ``show`` gets the progress now and then, ``tell`` what happened."""

    def __init__(
        self,
        queued: Queue,
        generations: Mapping[Path, str],
        budget: Budget,
        journal: Journal,
        notifier: Notifier,
        show: Show,
        tell: Tell,
        watcher: Watcher | None = None,
        watch_until: float | None = None,
        begin: Callable[[Sequence[str]], Process] = opened,
        *,
        problems_again: bool = False,
    ) -> None:
        """``watch_until`` is a moment of the monotonic clock, at which nothing more is taken in.

        ``problems_again``: what an earlier run completed with problems is scanned once more, which reads what could not
        be read. ``begin`` starts a scan of its words; tests put another program in its place.
        """
        self._queue, self._generations, self._budget = queued, generations, budget
        self._journal, self._notifier, self._show, self._tell = journal, notifier, show, tell
        self._watcher, self._watch_until, self._looked = watcher, watch_until, float("-inf")
        self._told: Told = queue.SimpleQueue()
        self._begin, self._problems_again = begin, problems_again
        self._waiting: list[Job] = []
        self._active: list[Active] = []
        self._refused: dict[ClusterOptions, float] = {}
        self.exhibits: list[Exhibit] = []
        self.progress = BatchProgress()
        self.outcome = Outcome()
        self._ends = None if queued.time_box is None else time.monotonic() + queued.time_box

    # -- the loop -----------------------------------------------------------------------------------------------------

    def run(self) -> Outcome:
        """Work until nothing is left to do, the time is up or somebody interrupts. CaseError: the journal is full."""
        began = time.monotonic()
        try:
            for exhibit in self._queue.exhibits:
                self._take_in(exhibit)
            while self._goes_on():
                self._arrivals()
                self._start_what_fits()
                self._listen()
                self._reap()
                self._show_progress()
        except KeyboardInterrupt:
            self.outcome.interrupted = True
        finally:
            self._stop_all()  # where all have ended, nothing
        self.outcome.seconds = time.monotonic() - began
        self._show_progress()
        return self.outcome

    def _goes_on(self) -> bool:
        if self._ends is not None and time.monotonic() >= self._ends and (self._waiting or self._active):
            self.outcome.time_up = True
            self._tell(Happened("time-up", "", "the time is up: what runs is stopped, and can be resumed"))
            self._stop_all()
            return False
        return bool(self._waiting or self._active) or self._watching()

    def _watching(self) -> bool:
        return self._watcher is not None and (self._watch_until is None or time.monotonic() < self._watch_until)

    # -- what there is to do ------------------------------------------------------------------------------------------

    def _take_in(self, exhibit: Exhibit) -> None:
        """Queue an exhibit, or skip it because an earlier run has done this very work."""
        definition = exhibit.definition(self._generations)
        before = self._journal.known.records.get(exhibit.reference)
        size = size_of(exhibit.sources)
        self.exhibits.append(exhibit)
        self.progress.bytes += size
        whole = before is not None and (before.size == size or not _has_exact_size(exhibit))
        if before is not None and before.definition == definition and whole and self._is_done(before, exhibit):
            self.outcome.skipped.append(exhibit.reference)
            self.progress.bytes_before += size
            self.progress.states[before.state] += 1
            told = f"{before.state} since an earlier run"
            self._tell(Happened("exhibit-skipped", exhibit.reference, told, {"state": before.state}))
            return
        if before is None or before.definition != definition or before.state in ENDED_WELL:
            case = beside(exhibit.case, self._queue.cases)
            facts = {"definition": definition, "case": case, "priority": exhibit.priority, "size": size}
            self._journal.tell("queued", exhibit.reference, **facts)
        record = self._journal.known.records[exhibit.reference]
        place = place_of(exhibit.executor, exhibit.cluster.scheduler)
        load = Load(frozenset(disks_of(exhibit.sources, self._queue.readers)), size, place=place)
        # A case that a further profile was begun in goes on in that: it cannot be looked at quickly any more.
        first = self._ends is not None and not record.looked and profile_of(exhibit.case) in ("", QUICK)
        left = record.state is State.IN_WORK
        self._waiting.append(Job(exhibit, load, len(self.exhibits), first, left=left))
        self.progress.states[State.WAITING] += 1

    def _is_done(self, record: Record, exhibit: Exhibit) -> bool:
        if record.state is State.PROBLEMS and self._problems_again:
            return False
        return record.state in ENDED_WELL and not case_figures(exhibit.case).fault

    def _arrivals(self) -> None:
        """Take in what has come into the watched folder."""
        self.progress.watching = self._watching()
        if self._watcher is None or not self._watching() or time.monotonic() - self._looked < LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        before = self._watcher.fault
        for arrival in self._watcher.arrivals():
            exhibit = exhibit_of(arrival, self._queue.cases, self._queue.defaults)
            if any(source in other.sources for source in exhibit.sources for other in self.exhibits):
                continue  # the queue's file names it too
            try:
                check_arrival(exhibit, self.exhibits)
            except CaidTriageError as error:
                self._note(f"{exhibit.reference} in the watched folder was not taken in: {error}")
                continue
            self._tell(Happened("exhibit-arrived", exhibit.reference, "has come into the watched folder"))
            self._take_in(exhibit)
        if self._watcher.fault and self._watcher.fault != before:
            self._note(self._watcher.fault)

    def _note(self, sentence: str) -> None:
        self.outcome.notes.append(sentence)
        self._tell(Happened("note", "", sentence))

    # -- starting -----------------------------------------------------------------------------------------------------

    def _start_what_fits(self) -> None:
        for job in self._waiting:
            refused = self._refused.get(job.exhibit.cluster)
            if job.exhibit.executor == "dask" and refused is not None and time.monotonic() - refused < REFUSED_SECONDS:
                self._examine_here(job, "it had refused another exhibit shortly before")
        for job in sorted(self._waiting, key=lambda one: one.turn):
            if len(self._active) >= self._budget.at_once:
                return
            if job.left and not self._lock_is_free(job):
                continue
            others = [other.load for other in self._waiting if other is not job]
            workers = workers_for(self._budget, job.load, [one.load for one in self._active], others)
            if workers is not None:
                self._start(job, workers)

    @staticmethod
    def _lock_is_free(job: Job) -> bool:
        """Whether nobody writes to the case any more: the scan of a batch that was killed may be closing it still."""
        if not is_locked(job.exhibit.case):
            return True
        job.locked = job.locked or time.monotonic()
        return time.monotonic() - job.locked > LOCK_PATIENCE  # then the scan itself says who has it

    def _start(self, job: Job, workers: int) -> None:
        profile = QUICK if job.first else None
        share = self._share() if job.first else None
        job.until = time.monotonic() + (share or 0) + LOOK_OVERHEAD
        words = scan_words(job.exhibit, workers, profile, share)
        self._journal.tell("began", job.exhibit.reference, workers=workers, first=job.first)
        try:
            child = Child(self._begin(words), self._told)
        except OSError as error:
            raise CaseError(f"no process could be started for a scan: {error.strerror or error}") from error
        self._waiting.remove(job)
        job.tries += 1
        self._active.append(Active(job, child, replace(job.load, workers=workers)))
        self.progress.states[State.WAITING] -= 1
        self.progress.states[State.IN_WORK] += 1
        told = f"{'first look' if job.first else 'scan'} began{'' if job.tries == 1 else ' again, where it was'}"
        self._tell(Happened("exhibit-began", job.exhibit.reference, told, {"workers": workers, "first": job.first}))

    def _share(self) -> int:
        """Seconds that a first look may take, so that there is one for every exhibit before the time is up."""
        assert self._ends is not None
        now = time.monotonic()
        left = self._ends - now
        busy = [max(0.0, one.job.until - now) for one in self._active if one.job.first]
        looks = max(1, sum(job.first for job in self._waiting))
        slots = min(self._budget.at_once, looks + len(busy))
        return max(LEAST_SHARE, int(min(left, (left * slots - sum(busy)) / looks)) - LOOK_OVERHEAD)

    # -- hearing ------------------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        """Hear what the scans say, for a moment."""
        until = time.monotonic() + LISTEN_SECONDS
        while (left := until - time.monotonic()) > 0:
            try:
                child, line = self._told.get(timeout=left)
            except queue.Empty:
                return
            if line is None:
                return  # it has ended, or is about to
            child.take(line)

    def _reap(self) -> None:
        for one in list(self._active):
            if one.child.silent() > self._budget.silence:
                one.child.kill(hung=True)
                one.child.wait(PATIENCE)
            if one.child.wait(0):
                self._ended(one, one.child.ending())

    def _ended(self, one: Active, ending: Ending, *, stopping: bool = False) -> None:
        """Put on record what became of a scan, and what follows from it."""
        job = one.job
        self._active.remove(one)
        self.progress.states[State.IN_WORK] -= 1
        job.seconds += time.monotonic() - one.child.began
        if ending.died and job.tries < TRIES and not stopping:
            why = ending.told()[:1]
            self._tell(Happened("exhibit-died", job.exhibit.reference, f"{''.join(why)}; it is resumed once"))
            job.left = True  # what it started may hold its case a moment longer
            self._wait_again(job)
            return
        if one.child.refused_by_cluster and ending.state is State.FAILED and not stopping:
            if ending.code == UsageError.exit_code:  # else it is about this one exhibit
                self._refused[job.exhibit.cluster] = time.monotonic()
            self._examine_here(job, "".join(ending.told()[:1]))
            self._wait_again(job)
            return
        if job.first and ending.state in ENDED_WELL and not self._is_whole(job, ending):
            whole = case_figures(job.exhibit.case).state in ENDED_WELL
            self._journal.tell("looked", job.exhibit.reference, whole=whole)
            looked = {"exit_code": ending.code, **_found(job.exhibit.case)}
            became = f"first look {'done' if whole else 'cut short: not everything with a name was examined'}"
            self._tell(Happened("exhibit-looked", job.exhibit.reference, became, looked | {"whole": whole}))
            job.first, job.tries = False, 0
            self._wait_again(job)
            return
        # Asked by us, it may have died of that: the case is consistent all the same, and nothing is wrong with it.
        unbegun = ending.died or one.child.refused_by_cluster
        state = State.STOPPED if stopping and ending.state is State.FAILED and unbegun else ending.state
        told = ending.told() if state is State.FAILED else ()
        if state in ENDED_WELL and _has_exact_size(job.exhibit) and size_of(job.exhibit.sources) != job.load.size:
            self._note(
                f"{job.exhibit.reference}: its source has another size now than when its scan began: was it still "
                "being copied? Run the batch again once it is whole"
            )
        self._journal.tell(
            "ended",
            job.exhibit.reference,
            state=state,
            code=ending.code,
            tries=job.tries,
            seconds=round(job.seconds, 1),
            sentences=list(told),
        )
        self.progress.states[state] += 1
        self.progress.bytes_done += 0 if state is State.STOPPED else job.load.size
        facts: dict[str, object] = {"state": state, "exit_code": ending.exit_code, "seconds": round(job.seconds, 1)}
        facts |= {} if state is State.STOPPED else _found(job.exhibit.case)
        self._tell(Happened("exhibit-ended", job.exhibit.reference, _told(state, told), facts))
        self._notifier.tell(event="exhibit-ended", reference=job.exhibit.reference, **facts)

    def _examine_here(self, job: Job, why: str) -> None:
        """Give an exhibit that its cluster does not take to this machine: a night is not lost with a scheduler."""
        self._note(f"{job.exhibit.reference}: its cluster did not take it, so this machine examines it ({why})")
        job.exhibit = replace(job.exhibit, executor="pool", cluster=NO_CLUSTER)
        job.load = replace(job.load, place=place_of("pool", ""))
        job.tries = 0  # nothing was begun

    @staticmethod
    def _is_whole(job: Job, ending: Ending) -> bool:
        """Whether the first look was all that was wanted."""
        return job.exhibit.profile == QUICK and ending.state is State.DONE

    def _wait_again(self, job: Job) -> None:
        self._waiting.append(job)
        self.progress.states[State.WAITING] += 1

    # -- stopping -----------------------------------------------------------------------------------------------------

    def _stop_all(self) -> None:
        """Ask every scan to end, in the order they were started, and wait; one that does not is ended."""
        for one in self._active:
            one.child.interrupt()
        until = time.monotonic() + PATIENCE
        for one in list(self._active):
            if not one.child.wait(max(0.0, until - time.monotonic())):
                one.child.kill()
            with suppress(CaseError):  # the journal is full: the next run finds the case itself
                self._ended(one, one.child.ending(), stopping=True)

    def _show_progress(self) -> None:
        self.progress.in_work = [
            InWork(one.job.exhibit.reference, one.load.workers, one.load.size, one.child.progress)
            for one in self._active
        ]
        self._show(self.progress)


def _has_exact_size(exhibit: Exhibit) -> bool:
    """Whether the size of its sources is known to the byte: of a folder it is counted for a moment only."""
    return all(source.is_file() for source in exhibit.sources)


def exit_code_of(
    outcome: Outcome, exhibits: Sequence[Exhibit], known: Mapping[str, Record], faulty: Sequence[Fault]
) -> int:
    """130 when interrupted; else the worst of all exhibits: 3 for one that is not done, its own for one that failed."""
    if outcome.interrupted:
        return INTERRUPTED
    return worst_of([_code_of(known.get(one.reference)) for one in exhibits] + [fault.code for fault in faulty])


def _code_of(record: Record | None) -> int:
    if record is None or record.state in (State.WAITING, State.IN_WORK, State.STOPPED):
        return 3
    if record.state is State.FAILED:
        return Ending(record.code if record.code is not None else 1, hung=False, sentences=()).exit_code
    return 0 if record.state is State.DONE else 3


def _found(case: Path) -> dict[str, object]:
    """How many files a case has, how many are identical to listed ones, what was not examined."""
    figures = case_figures(case)
    if figures.fault:
        return {}
    keys = ("files", "exact", "not_pertinent", "leads", "problems")
    return {key: getattr(figures, key) for key in keys}


def _told(state: State, sentences: Sequence[str]) -> str:
    return f"{state}: {sentences[0]}" if sentences else str(state)
