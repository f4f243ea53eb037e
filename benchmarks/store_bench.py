"""What the store's benchmarks share: CPU time, made hashes, a set built in a temporary folder."""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

BLOCK = 1 << 20


def cpu_seconds(work: Callable[[], Any], rounds: int) -> float:
    """The median CPU time of this process (all its threads) for one call."""
    times = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return statistics.median(times)


def made_hashes(path: Path, count: int, length: int, seed: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Random hashes in a memory-mapped file, so that a benchmark of memory does not hold them itself."""
    file = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(count, length))
    rng = np.random.default_rng(seed)
    for start in range(0, count, BLOCK):
        stop = min(start + BLOCK, count)
        file[start:stop] = rng.integers(0, 256, (stop - start, length), dtype=np.uint8)
    file.flush()
    del file
    return np.load(path, mmap_mode="r")


def peak_mb() -> float:
    """The most memory this process had, mapped files that it touched included, in MB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def about_the_run() -> dict[str, Any]:
    """When, with what, and how busy the machine was."""
    return {
        "when": datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ"),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }


def finish(name: str, figures: dict[str, Any], keep: bool) -> None:
    """Print the figures as JSON; keep them, dated, if wanted."""
    text = json.dumps(figures, indent=1)
    if keep:
        folder = Path(__file__).resolve().parent / "runs"
        folder.mkdir(exist_ok=True)
        (folder / f"{datetime.now(UTC):%Y-%m-%dT%H%MZ}-{name}.json").write_text(text + "\n")
    sys.stdout.write(text + "\n")
