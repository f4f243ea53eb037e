"""Import of hash sets: VICS JSON and NSRL minimal, each beside its peers in the same run. Prints JSON.

    python benchmarks/import_sets.py                       # 300,000 VICS records, 500,000 NSRL rows
    python benchmarks/import_sets.py --vics 10000000 --nsrl 10000000 --skip-peers   # the issue's size

Every row is measured in a process of its own: CPU seconds (user + system) and peak resident memory.
Hashes are random; no real list is read. Files go to a temporary folder (6 GB at full size).
"""

from __future__ import annotations

import argparse
import base64
import json
import platform
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

CONTEXT = "http://github.com/VICSDATAMODEL/ProjectVic/DataModels/2.0.xml/UK/$metadata#Media"
PEERS = ("ijson", "json.load", "orjson", "msgspec")


def write_vics(path: Path, count: int) -> None:
    """A hash set with the fields of a Project VIC 2.0 set, PhotoDNA in each, a SHA-1 in two of three."""
    rng = np.random.default_rng(1)
    with path.open("w") as file:
        file.write(f'{{"@odata.context":"{CONTEXT}","value":[')
        for first in range(0, count, 10_000):
            n = min(10_000, count - first)
            noise = rng.integers(0, 256, (n, 180), dtype=np.uint8)
            for i, row in enumerate(noise):
                number = first + i
                md5 = row[:16].tobytes().hex().upper()
                sha1 = "" if number % 3 == 0 else f'"SHA1":"{row[16:36].tobytes().hex().upper()}",'
                exif = (
                    "" if number % 5 else f',"Exifs":[{{"MD5":"{md5}","PropertyName":"Software","PropertyValue":"x"}}]'
                )
                file.write(
                    f'{"," if number else ""}{{"MediaID":{number},"Category":{number % 6},"MD5":"{md5}",{sha1}'
                    f'"MediaSize":{1000 + number},"PhotoDNA":"{base64.b64encode(row[36:].tobytes()).decode()}",'
                    f'"DateUpdated":"2023-06-07T02:31:49.8300Z","IsPrecategorized":"false","VictimIdentified":"true",'
                    f'"OffenderIdentified":"false","IsDistributed":"true","Series":"series {number % 50}"{exif}}}'
                )
        file.write("]}")


def write_nsrl(path: Path, count: int) -> None:
    """An RDS 3 minimal set: FILE is a table."""
    rng = np.random.default_rng(2)
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE FILE (sha256 VARCHAR, sha1 VARCHAR, md5 VARCHAR, file_name VARCHAR, "
                     "file_size INTEGER, package_id INTEGER)")  # fmt: skip
    for first in range(0, count, 10_000):
        noise = [
            row.tobytes().hex().upper() for row in rng.integers(0, 256, (min(10_000, count - first), 68), np.uint8)
        ]
        database.executemany("INSERT INTO FILE VALUES (?, ?, ?, ?, ?, ?)", (
            (text[:64], text[64:104], text[104:136], f"file{first + i}.dll", first + i, 7)
            for i, text in enumerate(noise)
        ))  # fmt: skip
    database.commit()
    database.close()


def read_set(path: Path) -> int:
    """Our reader alone: batches of columns, sha256 of the file included."""
    from caid_triage.hashset.readers.registry import read_batches, reader_for
    from caid_triage.hashset.rows import SourceFile

    source = SourceFile(path)
    count = sum(getattr(batch, "count", 0) for batch in read_batches(reader_for(source), source))
    source.finish()
    return count


def build(path: Path) -> int:
    """The whole import: read, sort, write, fsync."""
    from caid_triage.hashset.build import build_hashset

    return int(build_hashset([path], path.with_suffix(".chs")).counts["records"])


def peer(name: str, path: Path) -> int:
    """What others do with the file: only decode it. Nothing is checked, hashed or kept."""
    if name == "ijson":
        import ijson

        with path.open("rb") as file:
            return sum(1 for _ in ijson.items(file, "value.item"))
    if name == "json.load":
        with path.open("rb") as file:
            return len(json.load(file)["value"])
    if name == "orjson":
        import orjson

        return len(orjson.loads(path.read_bytes())["value"])
    if name == "msgspec":
        import msgspec

        return len(msgspec.json.decode(path.read_bytes())["value"])
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    return sum(1 for _ in database.execute("SELECT sha256, sha1, md5, file_size FROM FILE"))


def measure(task: str, path: Path, repeats: int) -> dict[str, Any] | None:
    """Median rate and peak memory of a task, each run in a new process; None if a peer is not installed."""
    runs = []
    for _ in range(repeats):
        done = subprocess.run(
            [sys.executable, __file__, "--task", task, str(path)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            return {"task": task, "missing": done.stderr.strip().splitlines()[-1:]}
        runs.append(json.loads(done.stdout))
    rates = [run["count"] / run["cpu_s"] for run in runs]
    return {
        "task": task,
        "count": runs[0]["count"],
        "per_cpu_second_median": round(statistics.median(rates)),
        "per_cpu_second": [round(rate) for rate in rates],
        "wall_s": [round(run["wall_s"], 2) for run in runs],
        "peak_mb": max(run["peak_mb"] for run in runs),
    }


def one_task(task: str, path: Path) -> None:
    """Run one task in this process and print what it cost."""
    wall, cpu = time.perf_counter(), time.process_time()
    kind, _, name = task.partition(":")
    count = {"read": read_set, "build": build}.get(kind, lambda path: peer(name, path))(path)
    print(json.dumps({
        "count": count,
        "cpu_s": time.process_time() - cpu,
        "wall_s": time.perf_counter() - wall,
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }))  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vics", type=int, default=300_000)
    parser.add_argument("--nsrl", type=int, default=500_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--skip-peers", action="store_true")
    parser.add_argument("--skip-build", action="store_true")
    parser.add_argument("--task", nargs=2, metavar=("TASK", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        one_task(options.task[0], Path(options.task[1]))
        return
    results: dict[str, Any] = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "targets": {"vics_per_s": 60_000, "vics_peak_mb": 300, "nsrl_per_s": 200_000},
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        for kind, count, write, peers in (
            ("vics", options.vics, write_vics, PEERS), ("nsrl", options.nsrl, write_nsrl, ("sqlite rows",))
        ):  # fmt: skip
            if not count:
                continue
            path = Path(folder) / (f"{kind}.json" if kind == "vics" else f"{kind}.db")
            write(path, count)
            tasks = ["read", *([] if options.skip_build else ["build"])]
            tasks += [] if options.skip_peers else [f"peer:{name}" for name in peers]
            results[kind] = {
                "bytes": path.stat().st_size,
                "rows": [measure(task, path, options.repeats) for task in tasks],
            }
            path.unlink()
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
