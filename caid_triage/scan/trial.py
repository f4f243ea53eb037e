"""What the workers of a scan are held to, settled before the first of them is given a byte of evidence.

The first worker of a scan confines itself (scan/confine.py), tries to do what it should not be able to
(scan/escape.py), reads one known file of every format (scan/canary.py), and tells all that with READY. From this
follows:

* everything holds and every canary sings: the scan begins;
* a layer is missing here (an old kernel, another system), or something is possible all the same: a note in the case,
  ``workers-less-confined``, says what workers could still do;
* a canary is silent that sings without the confinement: the layer at fault is looked for by leaving out one after the
  other, and left out for this scan. Never a format lost in silence; the note names layer and format;
* a canary is silent either way: the installation cannot read that format: the problem ``canary-failed``.

Nothing of it is kept from one scan to the next: what an update of the kernel or of a library changes shows at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from caid_triage.model import Problem, Severity
from caid_triage.scan import protocol
from caid_triage.scan.clock import WATCH_SECONDS, Watch
from caid_triage.scan.confine import LAYERS, OPTIONAL_LAYERS
from caid_triage.scan.escape import WORDS
from caid_triage.scan.protocol import ABSENT, SINGS
from caid_triage.scan.worker_process import WorkerProcess
from caid_triage.scan.workforce import Workforce

MOST_CANARIES = 200
MOST_TRIES = 3
STEP = "confine"


@dataclass(frozen=True, slots=True)
class Told:
    """What a worker says of itself with READY: layers that hold it, why others do not, what is still possible.

    ``canary``: outcome by format ("sings", "absent": not installed, else what went wrong), empty if it did not try.
    """

    active: tuple[str, ...] = ()
    missing: tuple[tuple[str, str], ...] = ()
    landlock: int = 0
    possible: tuple[str, ...] = ()
    canary: tuple[tuple[str, str], ...] = ()

    @property
    def silent(self) -> frozenset[str]:
        """The canaries that should sing and do not."""
        return frozenset(name for name, outcome in self.canary if outcome not in (SINGS, ABSENT))


@dataclass(frozen=True, slots=True)
class Settled:
    """How the workers of a scan are confined: what they told, layers left out on purpose, and for which formats."""

    told: Told
    without: tuple[str, ...] = ()
    harmed: tuple[str, ...] = ()
    unreadable: tuple[tuple[str, str], ...] = field(default=())

    def facts(self) -> dict[str, Any]:
        """For the audit trail."""
        outcomes = [outcome for _, outcome in self.told.canary]
        return {
            "layers": list(self.told.active),
            "landlock_version": self.told.landlock,
            "missing": dict(self.told.missing),
            "left_out": list(self.without),
            "left_out_for": list(self.harmed),
            "still_possible": list(self.told.possible),
            "formats_read": outcomes.count(SINGS),
            "formats_not_installed": sorted(name for name, outcome in self.told.canary if outcome == ABSENT),
            "formats_not_readable": [name for name, _ in self.unreadable],
        }

    def problems(self) -> list[Problem]:
        """For the case: nothing where every layer holds."""
        found = []
        if self.told.missing or self.told.possible:
            parts = []
            if self.told.possible:
                parts.append(
                    "a worker that was taken over could " + ", ".join(WORDS[name] for name in self.told.possible)
                )
            others = [f"{name} ({why})" for name, why in self.told.missing if name not in self.without]
            if others:
                parts.append("not on this machine: " + ", ".join(others))
            if self.without:
                harmed = ", ".join(self.harmed) or "any worker"
                parts.append(f"left out, because it kept {harmed} from being read: " + ", ".join(self.without))
            found.append(Problem(STEP, "workers-less-confined", "; ".join(parts), severity=Severity.NOTE))
        if self.unreadable:
            text = ", ".join(f"{name} ({outcome})" for name, outcome in self.unreadable)
            found.append(Problem(STEP, "canary-failed", f"known good files of these kinds cannot be read here: {text}"))
        return found


NOT_TRIED = Problem(
    STEP,
    "workers-less-confined",
    "no worker could be tried before the evidence was read (each ended, or was not ready in time): what a worker that "
    "was taken over could do, and which formats this installation reads, is not known",
    severity=Severity.NOTE,
)
"""Of a scan whose workers start all the same; a worker that tries itself needs more memory than one that does not."""

Try = Callable[[tuple[str, ...]], "Told | None"]


def told_from_plain(value: dict[str, Any]) -> Told:
    """What a worker told, every field's type and range checked; ProtocolError otherwise."""
    try:
        return Told(
            active=_known(value["active"], LAYERS),
            missing=_pairs(value["missing"], LAYERS),
            landlock=protocol.integer(value["landlock"], 0, 1000),
            possible=_known(value.get("possible", []), tuple(WORDS)),
            canary=_pairs(value.get("canary", {}), None),
        )
    except (KeyError, TypeError) as error:
        raise protocol.ProtocolError("a worker that does not say how it is confined") from error


def layers_told(payload: bytes) -> frozenset[str]:
    """The layers that hold a worker, by the payload of its READY. ProtocolError."""
    return frozenset(told_from_plain(protocol.from_json(payload)).active)


def _known(names: Any, known: tuple[str, ...]) -> tuple[str, ...]:
    if not isinstance(names, list) or len(names) > len(known) or not all(name in known for name in names):
        raise protocol.ProtocolError("names that are none of ours")
    return tuple(names)


def _pairs(values: Any, known: tuple[str, ...] | None) -> tuple[tuple[str, str], ...]:
    if not isinstance(values, dict) or len(values) > MOST_CANARIES:
        raise protocol.ProtocolError("no short table")
    names = tuple(protocol.text(name, 80) for name in values)
    if known is not None and not all(name in known for name in names):
        raise protocol.ProtocolError("names that are none of ours")
    return tuple((name, protocol.text(value, 300)) for name, value in values.items())


def settle(workforce: Workforce) -> Settled | None:
    """Hear what the first worker tells, leave out what does harm, and hold all others to the same. None without one.

    Waits for that worker; the others get ready meanwhile. A workforce that is settled already stays so.
    """
    if workforce.settled is not None:
        return workforce.settled
    first = workforce.take_canary()
    if first is None:
        return None

    def again(without: tuple[str, ...]) -> Told | None:
        worker = WorkerProcess(workforce.limits, without, canary=True)
        try:
            return heard(worker, workforce.limits.start_seconds)
        finally:
            worker.close()

    with ExitStack() as ours:
        ours.callback(first.close)
        told = heard(first, workforce.limits.start_seconds)
        tries = 1
        while told is None and tries < MOST_TRIES and not first.hung:  # a machine short of memory kills what it likes
            first = WorkerProcess(workforce.limits, canary=True)
            ours.callback(first.close)
            told = heard(first, workforce.limits.start_seconds)
            tries += 1
        settled = judged(told, again)
        if settled is None:
            return None  # no worker starts at all, however it is confined: the pool says so, and why
        workforce.settle(frozenset(settled.told.active), settled.without)
        workforce.settled = settled
        if tries == 1 and told is not None and not settled.without:
            ours.pop_all()
            workforce.give_back(first)
    return settled


def judged(told: Told | None, again: Try) -> Settled | None:
    """What to leave out, if anything; ``again`` starts a worker that tries itself without some layers.

    None: no worker starts, however it is confined.
    """
    if told is not None and not told.silent:
        return Settled(told)
    bare = again(OPTIONAL_LAYERS)
    if bare is None:
        return None if told is None else Settled(told, unreadable=_outcomes(told, told.silent))
    if told is not None and told.silent <= bare.silent:
        return Settled(told, unreadable=_outcomes(told, told.silent))
    harmed = tuple(sorted(told.silent - bare.silent)) if told is not None else ()
    for layer in OPTIONAL_LAYERS:
        without = again((layer,))
        if without is not None and without.silent <= bare.silent:
            return Settled(without, (layer,), harmed, _outcomes(without, without.silent))
    return Settled(bare, OPTIONAL_LAYERS, harmed, _outcomes(bare, bare.silent))


def _outcomes(told: Told, names: frozenset[str]) -> tuple[tuple[str, str], ...]:
    return tuple((name, outcome) for name, outcome in told.canary if name in names)


def heard(worker: WorkerProcess, seconds: float) -> Told | None:
    """What a worker tells when it is ready; None if it ends, lies or takes longer."""

    done = threading.Event()

    def watch() -> None:
        clock = Watch()
        end = clock.look()[0] + seconds
        while not done.wait(WATCH_SECONDS):
            now, stood_still = clock.look()
            end += stood_still
            if now > end:
                worker.hung = True
                worker.kill()
                return

    watchdog = threading.Thread(target=watch, name="start-watchdog", daemon=True)
    watchdog.start()
    try:
        kind, payload = protocol.read_frame(worker.source, protocol.MAX_REPLY)
        told = told_from_plain(protocol.from_json(payload)) if kind == protocol.READY else None
    except (EOFError, OSError, protocol.ProtocolError):
        return None
    finally:
        done.set()
        watchdog.join()
    worker.ready = told is not None
    return told
