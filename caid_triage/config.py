"""Options of a scan, parsed once into frozen objects and kept in the case for repeatability.

Only what can change a result is kept with the case (:meth:`ScanOptions.result_options`): the number of
workers and the executor must not matter (law 7), so they go to the audit trail alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from caid_triage.errors import UsageError
from caid_triage.model import STRONG_BITS

EXECUTORS = ("pool", "serial", "dask")
PROFILES = ("quick", "standard", "full")
CARVING = {"quick": "none", "standard": "fast", "full": "thorough"}
"""How free space is searched in each profile (evidence/carve, docs/formats/carving.md)."""

UPGRADES = {"quick": ("standard", "full")}
"""What a case begun in a profile may be continued in: free space comes after all that the quick profile looks at."""
ORDERS = ("yield", "walk")
"""In which order a quick scan examines: by what is likely to be known (scan/order.py), or as the walk goes."""

# How far beyond the strong distance leads are looked for: as the sizes allow, not at all, or up to so many bits.
AUTO, OFF = "auto", "off"
MOST_LEAD_BITS = 100

CPU_MARGIN = 10


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """What a worker may use before it is killed; seconds are of the coordinator's monotonic clock.

    A decode may take ``decode_seconds`` plus ``decode_seconds_per_mb`` for each 10**6 bytes of content,
    counted from the moment a ready worker has been sent the last byte. ``memory_bytes`` caps the address
    space (POSIX only); ``start_seconds`` is the longest a worker may take to say that it is ready;
    ``tasks`` is how many files a worker examines before a fresh one takes its place.
    """

    decode_seconds: float = 60.0
    decode_seconds_per_mb: float = 2.0
    chunk_seconds: float = 60.0
    start_seconds: float = 120.0
    memory_bytes: int = 4 << 30
    tasks: int = 20_000

    def deadline_for(self, size: int) -> float:
        """Seconds that the decode of ``size`` bytes may take."""
        return self.decode_seconds + self.decode_seconds_per_mb * size / 1e6

    def cpu_for(self, size: int) -> float:
        """Seconds of CPU time that a worker may use for ``size`` bytes before the system ends it.

        Many times what the deadlines allow: those judge. This holds where nobody is left to judge.
        """
        return CPU_MARGIN * (self.deadline_for(size) + self.chunk_seconds + self.start_seconds)


@dataclass(frozen=True, slots=True)
class ParserLimits:
    """What the process that parses a source may use before it is ended and started again (scan/remote.py).

    ``step_seconds`` is the processor time of one step: a folder, a record, a piece of content; opening a volume, or
    the ledger, may take ``long_steps`` times that. ``idle_seconds`` is how long a step may take without using the
    processor and without waiting for a disk. ``memory_bytes`` caps the address space (POSIX only). What a process died
    of is tried ``retries`` times more; after ``deaths`` the rest of a source is given up.
    """

    step_seconds: float = 60.0
    long_steps: int = 10
    idle_seconds: float = 900.0
    memory_bytes: int = 8 << 30
    retries: int = 2
    deaths: int = 200


def default_workers() -> int:
    """One worker for each core."""
    return max(1, os.cpu_count() or 1)


def checked_leads(text: str) -> str:
    """ "auto", "off" or a number of bits, as --leads has it; UsageError if it is none of them."""
    if text in (AUTO, OFF):
        return text
    if not (text.isascii() and text.isdecimal() and STRONG_BITS < int(text) <= MOST_LEAD_BITS):
        raise UsageError(f"--leads is {AUTO}, {OFF} or {STRONG_BITS + 1} to {MOST_LEAD_BITS} bits, not {text!r}")
    return str(int(text))


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """Where the cluster of ``executor="dask"`` is, and how evidence is found and talk is protected there.

    ``scheduler`` is an address ("" for a cluster on this machine, made for the scan). ``maps`` are pairs of roots: what
    lies below the first here lies below the second on a worker. The three files are PEM, as TLS has them; all three
    or none (then what Dask's own configuration says).
    """

    scheduler: str = ""
    maps: tuple[tuple[str, str], ...] = ()
    tls_ca: str = ""
    tls_cert: str = ""
    tls_key: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be meant, with exit code 2."""
        given = [bool(one) for one in (self.tls_ca, self.tls_cert, self.tls_key)]
        if any(given) and not all(given):
            raise UsageError("--tls-ca, --tls-cert and --tls-key belong together: give all three")
        if any(given) and not self.scheduler:
            raise UsageError("--tls-ca, --tls-cert and --tls-key are for a --scheduler; nobody reaches a local cluster")
        if any(not here or not there for here, there in self.maps):
            raise UsageError("--map is COORDINATOR-PATH=WORKER-PATH: both sides are a path")


@dataclass(frozen=True, slots=True)
class StopAfter:
    """When a scan stops early: seconds from its beginning, exact notable hits, whichever comes first; None: never."""

    seconds: float | None = None
    hits: int | None = None


_STOP = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)\s*([a-z]*)")
_SECONDS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("", "min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hour", "hours"), 3600.0),
}


def checked_stops(texts: Iterable[str]) -> StopAfter:
    """What --stop-after says, each time it is given: "20min", "90s", "2h", "3hits"; a bare number is minutes.

    Of several of one kind the smallest holds. UsageError for anything else, for nothing and for parts of a hit.
    """
    seconds: list[float] = []
    hits: list[int] = []
    for text in texts:
        found = _STOP.fullmatch(text.strip().lower()) if text.isascii() else None
        number, unit = found.groups() if found else ("0", "")
        if unit in ("hit", "hits") and number.isdecimal() and int(number):
            hits.append(int(number))
        elif unit in _SECONDS and float(number):
            seconds.append(float(number) * _SECONDS[unit])
        else:
            raise UsageError(f"--stop-after is a time or a number of hits (20min, 90s, 2h, 3hits), not {text!r}")
    return StopAfter(min(seconds, default=None), min(hits, default=None))


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """How a scan is run. Bits for the radii, PDQ quality 0..100 for the gate.

    ``set_radii`` are distances for single hash sets: (name, algorithm, distance). ``leads``: "auto", "off" or bits.
    ``verify_source``: read each image once before and compare it with the hashes it stores of its acquisition.
    ``order`` is of the quick profile alone. Neither it nor ``stop_after`` changes what comes of a file once examined.
    ``decode_known_good``: decode pictures and films that a known-good set holds too. ``kept_bytes`` of examinations are
    kept in memory, for further files of the same content (0: each file is decoded).
    """

    workers: int = field(default_factory=default_workers)
    executor: str = "pool"
    profile: str = "standard"
    batch_files: int = 256
    batch_seconds: float = 2.0
    pdq_radius: int = 31
    pdq_min_quality: int = 50
    phash_radius: int = 8
    set_radii: tuple[tuple[str, str, int], ...] = ()
    leads: str = AUTO
    verify_source: bool = False
    order: str = "yield"
    stop_after: StopAfter = StopAfter()
    decode_known_good: bool = False
    kept_bytes: int = 128 << 20
    limits: WorkerLimits = WorkerLimits()
    parser: ParserLimits = ParserLimits()
    cluster: ClusterOptions = ClusterOptions()

    def __post_init__(self) -> None:
        """Refuse what cannot be run, with exit code 2."""
        if self.workers < 1:
            raise UsageError(f"--workers must be at least 1, not {self.workers}")
        if self.executor not in EXECUTORS:
            raise UsageError(f"--executor must be one of {', '.join(EXECUTORS)}, not {self.executor!r}")
        if self.profile not in PROFILES:
            raise UsageError(f"--profile must be one of {', '.join(PROFILES)}, not {self.profile!r}")
        if self.order not in ORDERS:
            raise UsageError(f"the order must be one of {', '.join(ORDERS)}, not {self.order!r}")
        checked_leads(self.leads)
        if self.executor != "dask" and self.cluster != ClusterOptions():
            raise UsageError("--scheduler, --map and the --tls options are for --executor dask")

    @property
    def by_yield(self) -> bool:
        """Whether files are examined in the order of what is likely to be known."""
        return self.profile == "quick" and self.order == "yield"

    def result_options(self) -> dict[str, object]:
        """The options that a result depends on, as JSON-able values."""
        own: dict[str, object] = {}
        if self.set_radii:
            own["set_radii"] = [list(item) for item in sorted(self.set_radii)]
        if self.leads != OFF:  # a case that says nothing of leads was matched without them
            own["leads"] = self.leads
        verify = {"verify_source": True} if self.verify_source else {}
        if self.decode_known_good:
            own["decode_known_good"] = True
        if self.parser != ParserLimits():
            own["parser"] = asdict(self.parser)
        return {
            **own,
            **verify,
            "profile": self.profile,
            "pdq_radius": self.pdq_radius,
            "pdq_min_quality": self.pdq_min_quality,
            "phash_radius": self.phash_radius,
            "decode_seconds": self.limits.decode_seconds,
            "decode_seconds_per_mb": self.limits.decode_seconds_per_mb,
            "memory_bytes": self.limits.memory_bytes,
        }
