"""How many scans run at once, and with how many workers each: memory, cores, and one reader a spinning disk.

An exhibit needs one coordinator, one process for its image and its workers. What they take by experience
(docs/decisions/0041): a worker up to 600 MB, the rest of a scan 400 MB. The caps that end a process which runs
wild (config.py) are many times that; a machine is not planned by them, and what runs into them costs one exhibit.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from caid_triage.batch.disks import SMALL, Disk
from caid_triage.batch.queue import BudgetWords

SCAN_MEMORY = 400 * 10**6
WORKER_MEMORY = 600 * 10**6
LOCAL_MEMORY = 250 * 10**6
"""More for each worker of a Dask cluster that a scan makes: a process of Dask's, and one that reads the image."""
SILENCE = 2 * 3600


class Place(Enum):
    """Where a scan examines. On a cluster that runs, this machine is planned with one worker: it matches, writes, and

    examines what the cluster gives back.
    """

    POOL = "pool"
    LOCAL_CLUSTER = "local cluster"
    CLUSTER = "cluster"


def place_of(executor: str, scheduler: str) -> Place:
    """Where a scan with these options examines."""
    if executor != "dask":
        return Place.POOL
    return Place.CLUSTER if scheduler else Place.LOCAL_CLUSTER


@dataclass(frozen=True, slots=True)
class Budget:
    """What the batch may use. Bytes, seconds.

    ``at_once``: scans; ``cores``: workers of all of them together; ``workers``: of each, None: as the cores allow;
    ``silence``: a scan that said nothing for so long is taken for hung.
    """

    at_once: int
    cores: int
    memory: int
    workers: int | None = None
    worker_memory: int = WORKER_MEMORY
    silence: int = SILENCE

    def need(self, workers: int, place: Place = Place.POOL) -> int:
        """Bytes that a scan with so many workers on this machine takes."""
        return SCAN_MEMORY + workers * (self.worker_memory + LOCAL_MEMORY * (place is Place.LOCAL_CLUSTER))


@dataclass(frozen=True, slots=True)
class Load:
    """A scan that runs, or that could: how many workers it has, what it reads from, and how much that is."""

    disks: frozenset[Disk]
    size: int
    workers: int = 0
    place: Place = Place.POOL


def budget_of(words: BudgetWords, cores: int | None = None, memory: int | None = None) -> Budget:
    """The budget as the queue says it, the rest worked out from the machine (or from ``cores`` and ``memory``)."""
    cores = cores or usable_cores()
    memory = words.memory or memory or usable_memory()
    worker_memory = words.worker_memory or WORKER_MEMORY
    least = SCAN_MEMORY + (words.workers or 1) * worker_memory
    by_cores = max(1, cores // (words.workers or 1))
    at_once = words.at_once or max(1, min(by_cores, memory // least))
    return Budget(at_once, cores, memory, words.workers, worker_memory, words.silence or SILENCE)


def workers_for(budget: Budget, candidate: Load, running: Iterable[Load], others: Iterable[Load]) -> int | None:
    """How many workers a scan may be started with now beside those that run; None: it has to wait.

    ``others`` are those that wait behind it. The cores that are free are shared with those of them that could start
    too, so the last exhibit of a queue, or the only one that a disk takes, gets all.
    """
    busy = list(running)
    if len(busy) >= budget.at_once or not disks_free(candidate, busy):
        return None
    could = 1
    beside = [*busy, candidate]
    for other in others:
        if len(beside) >= budget.at_once:
            break
        if disks_free(other, beside):
            beside.append(other)
            could += 1
    free = max(1, budget.cores - sum(load.workers for load in busy))
    said = budget.workers if candidate.place is not Place.CLUSTER else 1
    workers = said or max(1, free // could)
    room = budget.memory - sum(budget.need(load.workers, load.place) for load in busy)
    while workers > 1 and said is None and budget.need(workers, candidate.place) > room:
        workers -= 1
    # One scan always runs: a machine with too little memory for it finds that out in the scan.
    return workers if not busy or budget.need(workers, candidate.place) <= room else None


def disks_free(candidate: Load, running: Iterable[Load]) -> bool:
    """Whether every disk that a scan reads takes one reader more. What is small is read at once, and asks nobody."""
    if candidate.size < SMALL:
        return True
    large = [load for load in running if load.size >= SMALL]
    return all(
        disk.readers is None or sum(disk in load.disks for load in large) < disk.readers for disk in candidate.disks
    )


def usable_cores() -> int:
    """The cores that this process may use: those it is held to, and the share of them that its group has."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _first_line(Path("/sys/fs/cgroup/cpu.max")).split()
    if len(quota) == 2 and all(part.isdecimal() for part in quota) and int(quota[1]):
        cores = min(cores, max(1, int(quota[0]) // int(quota[1])))
    return cores


def usable_memory(system: Path = Path("/")) -> int:
    """Bytes of memory that are free for scans: what the system has available, and what its group leaves of it.

    4 GB where the system does not tell.
    """
    amounts = []
    try:
        for line in (system / "proc/meminfo").read_text(encoding="ascii", errors="replace").splitlines():
            word, _, rest = line.partition(":")
            if word == "MemAvailable":
                amounts.append(int(rest.split()[0]) * 1024)
    except (OSError, ValueError, IndexError):
        amounts = []
    group = system / "sys/fs/cgroup"
    most, used = _first_line(group / "memory.max"), _first_line(group / "memory.current")
    if not most:  # the first version of control groups
        most = _first_line(group / "memory/memory.limit_in_bytes")
        used = _first_line(group / "memory/memory.usage_in_bytes")
    if most.isdecimal():
        amounts.append(max(0, int(most) - max(0, int(used or 0) - _cached(group))))
    return min(amounts, default=4 * 10**9)


def _cached(group: Path) -> int:
    """What a control group counts as used and gives back when it is asked for: files that were read."""
    for place in (group / "memory.stat", group / "memory/memory.stat"):
        try:
            words = dict(line.split() for line in place.read_text(encoding="ascii", errors="replace").splitlines())
        except (OSError, ValueError):
            continue
        value = words.get("inactive_file", "0")
        return int(value) if value.isdecimal() else 0
    return 0


def _first_line(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").split("\n", 1)[0].strip()
    except OSError:
        return ""
