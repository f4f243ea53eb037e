"""What Dask costs over the pool: the same scan of camera-size JPEGs, the same number of worker processes.

    python benchmarks/dask_overhead.py --photos ../shared/photos --count 160 --rounds 3

Three ways, one after the other in every round, the order turned by one each time: the pool; ``--executor dask`` with
its own local cluster; and ``--scheduler`` with a cluster that runs already on this machine, started as
docs/guide/cluster.md says: a scheduler, and one worker process with a thread for each worker, without Dask's statistics
(``--plain-cluster``: a process for each worker, and Dask as it comes). All examine with ``--workers`` children. The
figures are the ratios of the medians, of wall seconds and of CPU seconds of all processes together: this process adopts
whatever is left of a scan (PR_SET_CHILD_SUBREAPER, Linux), so that nothing that a killed parent had started is
forgotten. The CPU seconds of the running cluster are read from /proc before and after. Start-up is included everywhere;
``start`` is a scan of one file each way, so that what a large exhibit pays can be told: (ours - start of ours) / (pool
- start of pool), and milliseconds a file. ``--copies`` makes the files by a number behind the end of a photograph, so
that each is a content of its own.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scan_photos import make_photographs

PR_SET_CHILD_SUBREAPER = 36
TICKS = os.sysconf("SC_CLK_TCK")


def reaped() -> float:
    """CPU seconds of all processes that have ended below this one, after waiting for those that are ending."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                if not orphans():
                    break
                time.sleep(0.05)
        except ChildProcessError:
            break
    times = os.times()
    return times.children_user + times.children_system


def parents() -> dict[int, int]:
    """The parent of every process."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            found[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    return found


CLUSTER: set[int] = set()


def orphans() -> list[int]:
    """Processes below this one that are not of the running cluster."""
    return [pid for pid, parent in parents().items() if parent == os.getpid() and pid not in CLUSTER]


def running(roots: set[int]) -> float:
    """CPU seconds of these processes, of those below them, and of their children that have ended."""
    tree, known = set(roots), parents()
    while more := {pid for pid, parent in known.items() if parent in tree} - tree:
        tree |= more
    total = 0
    for pid in tree:
        try:
            facts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(map(int, facts[11:15]))
    return total / TICKS


def scanned(folder: Path, case: Path, words: list[str]) -> tuple[float, float]:
    """Wall and CPU seconds of a scan into a new case, which is removed."""
    before, cluster, began = reaped(), running(CLUSTER), time.perf_counter()
    command = [sys.executable, "-m", "caid_triage", "scan", str(folder), "--case", str(case), "--quiet", *words]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall = time.perf_counter() - began
    cpu = reaped() - before + running(CLUSTER) - cluster
    shutil.rmtree(case)
    return wall, cpu


QUIET = """
distributed:
  scheduler: {active-memory-manager: {start: false}}
  worker: {profile: {enabled: false}, memory: {monitor-interval: 1s}}
  admin: {tick: {interval: 1s}, system-monitor: {interval: 10s}}
"""
"""As docs/guide/cluster.md gives it."""


@contextmanager
def cluster(workers: int, scratch: Path, *, plain: bool) -> Iterator[str]:
    """The address of a scheduler with so many threads in one worker process, or (``plain``) in one each."""
    script = Path(sys.executable).with_name("dask")
    processes_threads = (workers, 1) if plain else (1, workers)
    quiet = scratch / "quiet.yaml"
    quiet.write_text("" if plain else QUIET)
    with (scratch / "cluster.log").open("wb") as log:
        file = scratch / "scheduler.json"
        common = {"stdout": log, "stderr": log, "cwd": scratch, "env": os.environ | {"DASK_CONFIG": str(quiet)}}
        words = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)]
        processes = [subprocess.Popen([str(script), "scheduler", *words], **common)]
        while not file.exists():
            time.sleep(0.1)
        words = ["--nworkers", str(processes_threads[0]), "--nthreads", str(processes_threads[1]), "--no-dashboard"]
        words += ["--local-directory", str(scratch)]
        processes.append(subprocess.Popen([str(script), "worker", "--scheduler-file", str(file), *words], **common))
        CLUSTER.update(process.pid for process in processes)
        time.sleep(5)
        try:
            yield json.loads(file.read_text())["address"]
        finally:
            for process in reversed(processes):
                process.terminate()
                process.wait()


def copied(source: Path, folder: Path, count: int, least_pixels: float) -> None:
    """``count`` copies of the photographs of at least so many pixels, each with a number behind its end."""
    from PIL import Image

    originals = []
    for path in sorted(source.glob("*.jpg")):
        with Image.open(path) as image:
            if image.width * image.height >= least_pixels:
                originals.append(path.read_bytes())
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"IMG_{number:05}.jpg").write_bytes(originals[number % len(originals)] + b"%08d" % number)


def main() -> None:
    """Make the files, scan them each way in turn, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, default=Path("../shared/photos"))
    parser.add_argument("--count", type=int, default=160)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megapixels", type=float, default=9.0, help="only of photographs at least so large")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--copies", action="store_true", help="copies with a number behind their end, not re-encoded")
    parser.add_argument("--plain-cluster", action="store_true", help="the running cluster as Dask starts it by itself")
    parser.add_argument("--keep", type=Path, help="folder of the made photographs, used again if it is there")
    options = parser.parse_args()
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with tempfile.TemporaryDirectory() as scratch_name:
        scratch = Path(scratch_name)
        folder = options.keep or scratch / "photos"
        if not folder.exists():
            (copied if options.copies else make_photographs)(
                options.photos, folder, options.count, options.megapixels * 1e6
            )
        one = scratch / "one"
        one.mkdir()
        shutil.copy(next(folder.iterdir()), one)
        files = sum(1 for _ in folder.iterdir())
        size = sum(len(path.read_bytes()) for path in folder.iterdir())  # all read from the page cache
        load = [round(value, 1) for value in os.getloadavg()]
        with cluster(options.workers, scratch, plain=options.plain_cluster) as address:
            ways = {
                "pool": ["--workers", str(options.workers)],
                "dask, local cluster": ["--workers", str(options.workers), "--executor", "dask"],
                "dask, running cluster": ["--executor", "dask", "--scheduler", address],
            }
            times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
            starts: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
            for turn in range(options.rounds):
                names = list(ways)[turn % 3 :] + list(ways)[: turn % 3]
                for name in names:
                    starts[name].append(scanned(one, scratch / "case", ways[name]))
                    times[name].append(scanned(folder, scratch / "case", ways[name]))
                    told = [round(value, 2) for value in (*starts[name][-1], *times[name][-1])]
                    print(f"round {turn + 1}, {name}: start wall, cpu, whole wall, cpu: {told}", file=sys.stderr)
    figures = {}
    for place, unit in enumerate(("wall", "cpu")):
        median = {name: statistics.median(value[place] for value in values) for name, values in times.items()}
        start = {name: statistics.median(value[place] for value in values) for name, values in starts.items()}
        peer = median["pool"]
        figures[unit] = {
            "seconds": {name: [round(value[place], 2) for value in values] for name, values in times.items()},
            "start_seconds": {name: [round(value[place], 2) for value in values] for name, values in starts.items()},
            "median": {name: round(value, 2) for name, value in median.items()},
            "over_pool": {name: round(value / peer, 3) for name, value in median.items() if name != "pool"},
            "over_pool_without_start": {
                name: round((value - start[name]) / (peer - start["pool"]), 3)
                for name, value in median.items()
                if name != "pool"
            },
            "start": {name: round(value, 2) for name, value in start.items()},
            "milliseconds_a_file_after_the_start": {
                name: round(1000 * (value - start[name]) / (files - 1), 1) for name, value in median.items()
            },
        }
    report = {
        "files": files,
        "megabytes": round(size / 1e6),
        "workers": options.workers,
        "running_cluster": "as Dask starts it" if options.plain_cluster else "as docs/guide/cluster.md",
        "rounds": options.rounds,
        **figures,
        "wanted": "at most 1.10 over the pool",
        "load_before": load,
        "load_after": [round(value, 1) for value in os.getloadavg()],
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
