"""How many scans run at once and with how many workers: a table, and laws over any load."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caid_triage.batch.budget import (
    LOCAL_MEMORY,
    SCAN_MEMORY,
    SILENCE,
    WORKER_MEMORY,
    Budget,
    Load,
    Place,
    budget_of,
    disks_free,
    usable_cores,
    usable_memory,
    workers_for,
)
from caid_triage.batch.disks import SMALL, Disk
from caid_triage.batch.queue import BudgetWords

GB = 10**9
SPINNING, QUICK_DISK, SHARE = Disk("sda", 1), Disk("nvme0n1", None), Disk("nas", 2)
LARGE = 10 * SMALL


def load(disk: Disk = QUICK_DISK, size: int = LARGE, workers: int = 0) -> Load:
    return Load(frozenset({disk}), size, workers)


@pytest.mark.parametrize(
    ("words", "cores", "memory", "at_once"),
    [
        (BudgetWords(), 2, 8 * GB, 2),
        (BudgetWords(), 16, 8 * GB, 8),
        (BudgetWords(), 16, GB // 2, 1),  # one always runs
        (BudgetWords(workers=4), 16, 64 * GB, 4),
        (BudgetWords(at_once=3), 1, GB, 3),
        (BudgetWords(memory=4 * GB), 16, 64 * GB, 4),
        (BudgetWords(worker_memory=3600 * 10**6), 16, 8 * GB, 2),
    ],
)
def test_how_many_at_once(words: BudgetWords, cores: int, memory: int, at_once: int) -> None:
    made = budget_of(words, cores, memory)
    assert made.at_once == at_once
    assert made.silence == SILENCE
    assert made.need(2) == SCAN_MEMORY + 2 * (words.worker_memory or WORKER_MEMORY)


@pytest.mark.parametrize(
    ("at_once", "cores", "disk", "running", "others", "workers"),
    [
        (2, 2, QUICK_DISK, [], [load()] * 38, 1),  # two at once, one worker each
        (2, 2, QUICK_DISK, [1], [load()] * 38, 1),
        (2, 2, QUICK_DISK, [1, 1], [], None),
        (2, 2, QUICK_DISK, [], [], 2),  # the last one gets all
        (8, 8, SPINNING, [], [load(SPINNING)] * 5, 8),  # the only one that the disk takes gets all
        (8, 8, SHARE, [], [load(SHARE)] * 5, 4),
        (4, 16, QUICK_DISK, [], [load()] * 9, 4),
        (4, 16, QUICK_DISK, [4, 4, 4], [load()] * 9, 4),
    ],
)
def test_how_many_workers(
    at_once: int, cores: int, disk: Disk, running: list[int], others: list[Load], workers: int | None
) -> None:
    busy = [load(disk, workers=count) for count in running]
    assert workers_for(Budget(at_once, cores, 100 * GB), load(disk), busy, others) == workers


def test_one_reader_a_spinning_disk_and_small_exhibits_wait_for_none() -> None:
    assert not disks_free(load(SPINNING), [load(SPINNING)])
    assert disks_free(load(SPINNING), [load(QUICK_DISK)])
    assert disks_free(load(SPINNING, SMALL - 1), [load(SPINNING)])
    assert disks_free(load(SPINNING), [load(SPINNING, SMALL - 1)])
    assert disks_free(load(SHARE), [load(SHARE)])
    assert not disks_free(load(SHARE), [load(SHARE)] * 2)
    both = Load(frozenset({SPINNING, QUICK_DISK}), LARGE)
    assert not disks_free(both, [load(SPINNING)])


def test_memory_takes_workers_away_before_it_lets_one_wait() -> None:
    assert workers_for(Budget(4, 8, SCAN_MEMORY + 3 * WORKER_MEMORY), load(), [], []) == 3
    assert workers_for(Budget(4, 8, GB), load(), [load(workers=1)], []) is None
    assert workers_for(Budget(4, 8, 1), load(), [], []) == 1
    assert workers_for(Budget(4, 8, 1, workers=5), load(), [], []) == 5  # as somebody said


_LOADS = st.builds(load, st.sampled_from([SPINNING, QUICK_DISK, SHARE]), st.sampled_from([SMALL - 1, LARGE]))


@given(st.integers(1, 8), st.integers(1, 32), st.integers(1, 64), st.lists(_LOADS, min_size=1, max_size=30))
def test_whatever_waits_the_budget_is_kept_and_something_runs(
    at_once: int, cores: int, gigabytes: int, waiting: list[Load]
) -> None:
    budget = Budget(at_once, cores, gigabytes * GB)
    running: list[Load] = []
    left = list(waiting)
    for one in waiting:
        others = [other for other in left if other is not one]
        workers = workers_for(budget, one, running, others)
        if workers is not None:
            running.append(Load(one.disks, one.size, workers))
            left.remove(one)
    assert 1 <= len(running) <= at_once
    assert sum(one.workers for one in running) <= max(cores, len(running))
    assert len(running) == 1 or sum(budget.need(one.workers) for one in running) <= budget.memory
    for disk in (SPINNING, SHARE):
        assert sum(disk in one.disks and one.size >= SMALL for one in running) <= (disk.readers or 0)


def system(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        place = folder / name.replace("__", "/").replace("_DOT_", ".")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return folder


def test_memory_is_what_the_system_has_or_what_its_group_leaves(tmp_path: Path) -> None:
    info = "MemTotal:  16000000 kB\nMemAvailable:    8000000 kB\n"
    assert usable_memory(system(tmp_path, proc__meminfo=info)) == 8_192_000_000
    group = {"sys__fs__cgroup__memory_DOT_max": "4000000000\n", "sys__fs__cgroup__memory_DOT_current": "3000000000\n"}
    assert usable_memory(system(tmp_path, **group)) == GB
    stat = "anon 5\ninactive_file 500000000\n"
    assert usable_memory(system(tmp_path, sys__fs__cgroup__memory_DOT_stat=stat)) == 1_500_000_000
    assert usable_memory(system(tmp_path, sys__fs__cgroup__memory_DOT_max="max\n")) == 8_192_000_000
    assert usable_memory(tmp_path / "nothing") == 4 * GB


def test_this_machine_has_cores_and_memory() -> None:
    assert usable_cores() >= 1
    assert usable_memory() > 0


def test_a_scan_on_a_running_cluster_is_one_worker_of_this_machine() -> None:
    """However many workers are said for those in the pool; a local cluster needs more memory than the pool."""
    budget = budget_of(BudgetWords(workers=4), 4, 8 * GB)
    away, local = replace(load(), place=Place.CLUSTER), replace(load(), place=Place.LOCAL_CLUSTER)
    assert workers_for(budget, away, [], []) == 1
    assert workers_for(budget_of(BudgetWords(), 4, 8 * GB), away, [], []) == 1
    assert budget.need(2, Place.LOCAL_CLUSTER) == SCAN_MEMORY + 2 * (WORKER_MEMORY + LOCAL_MEMORY)
    tight = budget_of(BudgetWords(), 8, SCAN_MEMORY + 4 * WORKER_MEMORY)
    assert (workers_for(tight, load(), [], []), workers_for(tight, local, [], [])) == (4, 2)
