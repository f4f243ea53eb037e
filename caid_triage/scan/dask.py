"""A cluster of Dask (scan/dask_start.py joins or makes it): its workers are checked before a scan, and given tasks.

    with opened_cluster(options, workforce) as cluster:
        cluster.check(sources, border)           # ClusterError, UnseenError: each worker must come to the same results
        cluster.begin(order.to_bytes(entries), done)

Only the modules scan/dask*.py know of Dask. What Dask pickles of ours is the name of one
function; orders and answers are bytes (scan/cluster_words.py), and of what a worker sends nothing is unpickled but the
kind of an error.
"""

from __future__ import annotations

import secrets as random_names
import threading
import time
from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import asdict, dataclass

from distributed import Client, Future, KilledWorker

from caid_triage.config import ScanOptions
from caid_triage.errors import ClusterError, UnseenError
from caid_triage.model import Problem, Severity
from caid_triage.scan.addresses import in_clear
from caid_triage.scan.cluster_desk import Desk, program_digest, whole_program
from caid_triage.scan.cluster_words import CHECKED, UNFIT, Border, Order, SourceOrder, frames_of
from caid_triage.scan.dask_worker import answer_order, leave_scan
from caid_triage.scan.protocol import ProtocolError, problems_from_plain, text
from caid_triage.scan.same_program import differences, program_from_plain

WORKERS_SECONDS = 15.0
"""How long the first worker is waited for."""
CHECK_SECONDS = 600.0
"""How long a worker may take to open the sources: it may be busy with another scan, or try many secrets."""
LEAVE_SECONDS = 10.0
"""How long a worker may take to hear that a scan leaves: one that hangs is not waited for."""
LOOK_SECONDS = 1.0
IN_FLIGHT = 2
"""Tasks for each thread of the cluster: one that is worked at and one that waits."""
_NOTE = Severity.NOTE
LOST = (KilledWorker, CancelledError, OSError, TimeoutError, RuntimeError, TypeError)
"""What asking for the answer of a task may raise: its workers, the scheduler or the way to them are gone."""


@dataclass(frozen=True, slots=True)
class Joined:
    """What is on record of a cluster: workers, their threads, and whether all talk is encrypted or stays here."""

    workers: int
    threads: int
    local: bool
    encrypted: bool


@dataclass(slots=True)
class Tally:
    """What is on record of a scan: batches given out, those given out once more, entries examined here after all."""

    batches: int = 0
    again: int = 0
    here: int = 0


class Cluster:
    """A cluster that was joined. Its methods may be called from several threads.

    ``unfit`` are workers that must not examine, and why; ``remarks`` what the examiner should hear of it.
    """

    def __init__(self, client: Client, options: ScanOptions, desk: Desk | None = None) -> None:
        """``desk`` is that of the one worker of a local cluster, which is in this process."""
        self.scan = random_names.token_hex(8)
        self.remarks: list[str] = []
        self.border: list[Problem] = []
        self.tally = Tally()
        self.sources: tuple[SourceOrder, ...] = ()
        self._client = client
        self._address = str(client.scheduler.address)
        self._options = options
        self._desk = desk
        self._lock = threading.Lock()
        self._program: dict[str, str] = {}
        self._border = Border((), (), ())
        self._threads: dict[str, int] = {}
        self._unfit: dict[str, str] = {}
        self._looked = 0.0
        self.look()

    # ------------------------------------------------------------ who is there

    def look(self) -> None:
        """Ask the scheduler which workers it has; at most once in ``LOOK_SECONDS``."""
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        told: Mapping[str, dict[str, int]] = {}
        if not self.is_lost:
            try:
                # Not scheduler_info(): a copy without workers may take the place of its own before it is read.
                told = self._client.sync(self._client.scheduler.identity, n_workers=-1)["workers"]
            except LOST:
                return  # not heard: as far as is known all is as it was
        with self._lock:
            self._threads = {address: int(facts.get("nthreads", 1)) for address, facts in told.items()}

    @property
    def is_lost(self) -> bool:
        """Whether there is no scheduler any more."""
        return str(self._client.status) not in ("running", "connecting")

    @property
    def alive(self) -> dict[str, int]:
        """The workers that may examine, as of the last look, and the threads of each."""
        with self._lock:
            return {
                address: threads
                for address, threads in self._threads.items()
                if address not in self._unfit and not (self.has_secrets and self._is_open(address))
            }

    def _is_open(self, address: str) -> bool:
        """Whether what is sent to a worker can be read by others: it goes by the scheduler."""
        return in_clear(address) or in_clear(self._address)

    @property
    def has_secrets(self) -> bool:
        """Whether orders carry secrets, which go only where nobody else reads them."""
        return any(source.secrets for source in self.sources)

    def refuse(self, address: str, why: str) -> None:
        """Give a worker nothing more, and say so."""
        with self._lock:
            if address in self._unfit:
                return
            self._unfit[address] = why
        self.remarks.append(f"a worker of the cluster ({address}) was given nothing: {why}")

    def joined(self) -> Joined:
        """What is on record."""
        alive = self.alive
        return Joined(len(alive), sum(alive.values()), self._desk is not None, not any(map(self._is_open, alive)))

    def left(self) -> dict[str, object]:
        """What is on record in the end."""
        return asdict(self.tally) | {"refused": len(self._unfit)}

    # ------------------------------------------------------------ before the start

    def check(self, sources: Sequence[SourceOrder], border: Border, known: Container[str] = ()) -> None:
        """Have every worker open every source. Errors: ClusterError (no worker, another program), UnseenError.

        ``border`` is that of the workers of this machine; ``known`` is what is said of them: not to be said twice.
        """
        self.sources = tuple(sources)
        self._border, self._program = border, whole_program(border)
        if self._desk is not None:
            self._desk.trust(self._options.limits, border, self._program)
        end = time.monotonic() + WORKERS_SECONDS
        self.look()
        while not self._threads:
            if time.monotonic() > end or self.is_lost:
                raise ClusterError(
                    "the scheduler has no workers: start some with 'dask worker' (docs/guide/cluster.md)"
                )
            time.sleep(0.2)
            self.look()
        if self.has_secrets and (plain := sorted(one for one in self._threads if self._is_open(one))):
            raise ClusterError(
                f"--password-file: secrets are not sent over a network in clear, and the worker {plain[0]} is joined "
                "without TLS: see docs/guide/cluster.md for certificates"
            )
        workers = sorted(self._threads)
        asked = {
            (address, place): self._submitted(self.order(place).to_bytes(), [address])
            for place in range(len(sources))
            for address in workers
        }
        self._wait_for(asked)
        told: Counter[str] = Counter()
        for (address, place), future in asked.items():
            details = self._checked(address, self.sources[place], future)
            told.update(detail for detail in details if not place and detail not in known)
        self.border = [
            Problem(
                "confine", "workers-less-confined", f"on {count} of {len(workers)} cluster workers: {detail}", _NOTE
            )
            for detail, count in sorted(told.items())
        ]

    @property
    def _patience(self) -> float:
        """How long a worker may take to answer: no longer than the scan itself."""
        return min(CHECK_SECONDS, self._options.stop_after.seconds or CHECK_SECONDS)

    def _wait_for(self, asked: Mapping[tuple[str, int], Future]) -> None:
        """Until all are answered, too late, or of a worker that is not there any more."""
        end = time.monotonic() + self._patience
        waiting = dict(asked)
        while waiting and time.monotonic() < end and not self.is_lost:
            time.sleep(0.05)
            self.look()
            waiting = {
                key: future for key, future in waiting.items() if future.status == "pending" and key[0] in self._threads
            }

    def _checked(self, address: str, source: SourceOrder, future: Future) -> list[str]:
        """What a worker says of its border. Errors: ClusterError, UnseenError."""
        if future.status == "pending":
            raise ClusterError(
                f"the worker {address} did not answer in {self._patience:.0f} s, or was lost: is it busy with other "
                "scans, or hung?"
            )
        if future.status != "finished":
            raise ClusterError(
                f"the worker {address} could not be asked: is caid-triage installed there, in the same version, with "
                "the extra 'cluster'? Its own log says what went wrong"
            )
        try:
            kind, value = next(frames_of(future.result()), (b"", {}))
            if kind == UNFIT:
                why, words = self.why_unfit(value)
                error = UnseenError if why in ("missing", "evidence") else ClusterError
                raise error(f"the worker {address} cannot examine {source.name}: {words}")
            if kind != CHECKED:
                raise ProtocolError("something else came than the outcome of a check")
            return [one.detail for one in problems_from_plain(value.get("border"))]
        except ProtocolError as error:
            raise ClusterError(f"the worker {address} does not speak as this version does: {error}") from error
        except LOST as error:
            raise ClusterError(f"the worker {address} was lost while it was asked; start again") from error

    def why_unfit(self, value: dict[str, object]) -> tuple[str, str]:
        """Why a worker must not examine: its word for it, and a sentence. Errors: ProtocolError."""
        why, detail = text(value.get("why"), 40), text(value.get("detail"), 100_000)
        if why == "program":
            return why, differences(self._program, program_from_plain(value.get("program")))
        if why == "missing":
            return why, (
                f"{detail} could not be opened there: is the share connected and readable, and is it mapped with --map "
                "HERE=THERE or CAID_TRIAGE_MAP?"
            )
        if why == "evidence":
            return why, f"what lies there is not the evidence of this machine, it differs in: {detail}"
        if why == "start":
            return why, f"its decoder processes do not start: {detail}"
        return why, detail or why

    # ------------------------------------------------------------ tasks

    def order(self, place: int) -> Order:
        """What every task about the source of that place is told."""
        options = self._options
        return Order(
            self.scan,
            place,
            program_digest(self._program),
            self.sources[place],
            options.limits,
            options.parser,
            options.cluster.maps,
            self._border if self._desk is not None else None,
        )

    def begin(self, payload: bytes, done: Callable[[], None]) -> tuple[Future, frozenset[str]]:
        """Have an order answered by any worker that may; ``done`` is called in another thread when that has an end.

        Returns its future and the workers that it is bound to, none where any may do it.
        """
        alive = self.alive
        bound = frozenset(alive) if len(alive) < len(self._threads) or self.has_secrets else frozenset()
        future = self._submitted(payload, sorted(bound))
        future.add_done_callback(lambda _: done())
        return future, bound

    def _submitted(self, payload: bytes, workers: list[str]) -> Future:
        return self._client.submit(
            answer_order, payload, pure=False, workers=workers or None, allow_other_workers=False, retries=0
        )

    def leave(self) -> None:
        """Have the workers let go of this scan's sources and children."""
        if self._desk is not None:
            self._desk.close()
            return
        if self.is_lost:
            return
        with suppress(*LOST):
            # Not Client.run: that waits without an end for the word of a worker that hangs.
            self._client.sync(
                self._client._run, leave_scan, self.scan, wait=False, on_error="ignore", callback_timeout=LEAVE_SECONDS
            )


def facts_of(joined: Joined) -> dict[str, object]:
    """For the audit trail."""
    return asdict(joined)
