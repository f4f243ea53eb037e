"""What it costs a scan to look for parts of known files: CPU time with and without a block set, on the same image.

    python benchmarks/block_search.py [--mib 512] [--rounds 3]

An NTFS volume of a few files whose free space is noise, and one of 20,000 small files, all with slack: the worst
case for reading. "look" is the search itself, MB a CPU second of the coordinator and the process that reads for it
together, in that process ("remote") and in one ("local"); "scan" the CPU seconds of whole scans with the pool: with the
digests of the same set alone (the peer), with it as a block set. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from caid_triage.case.rows import CaseHeader  # noqa: E402
from caid_triage.case.store import create_case  # noqa: E402
from caid_triage.config import ScanOptions  # noqa: E402
from caid_triage.evidence.source import open_source  # noqa: E402
from caid_triage.hashset.build import build_hashset  # noqa: E402
from caid_triage.hashset.make_blocks import make_block_set  # noqa: E402
from caid_triage.hashset.store import open_hashset  # noqa: E402
from caid_triage.scan.block_search import BlockLook  # noqa: E402
from caid_triage.scan.remote import RemoteSource  # noqa: E402
from caid_triage.scan.run import run_scan  # noqa: E402
from caid_triage.scan.sources import SourceRequest  # noqa: E402
from caid_triage.synth.ntfs import build_ntfs  # noqa: E402
from caid_triage.synth.plan import PlannedFile  # noqa: E402


def noise(seed: int, length: int) -> bytes:
    """Bytes that nobody chose."""
    return np.random.default_rng(seed).bytes(length)


def images(folder: Path, mib: int) -> dict[str, Path]:
    """The two images; of the first nearly all is free, of the second nothing but slack is much."""
    free = build_ntfs([PlannedFile(f"/{n}.bin", noise(n, 5000)) for n in range(20)], size=mib << 20)
    begin = len(free) // 8
    free[begin:] = noise(7, len(free) - begin)
    free[-512:] = free[:512]  # NTFS keeps a copy of its first sector in its last
    content = noise(8, 100_000)
    slack = build_ntfs(
        [PlannedFile(f"/d{n // 200}/{n}.bin", content[n:][:1500]) for n in range(20_000)], size=128 << 20
    )
    found = {"free": folder / "free.dd", "slack": folder / "slack.dd"}
    found["free"].write_bytes(free)
    found["slack"].write_bytes(slack)
    return found


def sets(folder: Path) -> dict[str, Path]:
    """A block set of 40 MB of files, for each size of blocks, and one of their digests alone."""
    (folder / "graded" / "1").mkdir(parents=True)
    for number in range(40):
        (folder / "graded" / "1" / f"{number}.bin").write_bytes(noise(100 + number, 1_000_000))
    made = {}
    for size in (512, 4096):
        made[str(size)] = folder / f"{size}.chs"
        make_block_set(folder / "graded", made[str(size)], size)
    rows = ["sha1"] + [f"{number:040x}" for number in range(1, 41)]
    (folder / "plain.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    made["digests"] = folder / "plain.chs"
    build_hashset([folder / "plain.csv"], made["digests"], name="plain", role="notable", scheme="none")
    return made


def cpu(children: bool = True) -> float:
    """CPU seconds of this process, and of its children that have ended."""
    used = time.process_time()
    if children:
        of = resource.getrusage(resource.RUSAGE_CHILDREN)
        used += of.ru_utime + of.ru_stime
    return used


def looked(path: Path, hashset: Path, folder: Path, *, remote: bool) -> dict[str, float]:
    """The search alone: CPU seconds of both processes, and bytes."""
    source: Any = RemoteSource(path, "E", path.name, carving="fast").open() if remote else open_source(
        path, "E", path.name, carving="fast"
    )  # fmt: skip
    with create_case(folder, CaseHeader(reference="E")) as case:
        for _ in source.walk():
            pass
        before, reader = time.process_time(), reader_cpu(source)
        look = BlockLook(source, case, 1, [open_hashset(hashset)], free_space=True)
        assert look.run(lambda: False, lambda: None)
        own, other = time.process_time() - before, reader_cpu(source) - reader
    source.close()
    return {"bytes": look.size, "coordinator": own, "reader": other}


def reader_cpu(source: Any) -> float:
    """CPU seconds of the process that reads, 0.0 where there is none."""
    number = getattr(source, "process_id", None)
    if number is None:
        return 0.0
    fields = Path(f"/proc/{number}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def scanned(path: Path, hashset: Path, case: Path) -> float:
    """CPU seconds of a whole scan."""
    before = cpu()
    run_scan([SourceRequest(path, "E", path.name)], case, [hashset], ScanOptions(workers=2))
    return cpu() - before


def main() -> None:
    """Measure, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    report: dict[str, Any] = {"load": os.getloadavg()[0], "look": [], "scan": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made, given = images(folder, options.mib), sets(folder)
        count = 0
        for kind, path in made.items():
            times: dict[str, list[float]] = {"digests": [], "512": [], "4096": []}
            for _ in range(options.rounds):
                for size, spent in times.items():
                    count += 1
                    spent.append(scanned(path, given[size], folder / f"case{count}"))
            medians = {size: round(statistics.median(spent), 2) for size, spent in times.items()}
            report["scan"].append({"image": kind, "cpu_seconds": medians})
            for size in ("512", "4096"):
                for remote in (False, True):
                    rounds = []
                    for _ in range(options.rounds):
                        count += 1
                        rounds.append(looked(path, given[size], folder / f"case{count}", remote=remote))
                    told = min(rounds, key=lambda one: one["coordinator"] + one["reader"])
                    spent_all = told["coordinator"] + told["reader"]
                    report["look"].append(
                        {
                            "image": kind,
                            "block": int(size),
                            "way": "remote" if remote else "local",
                            "bytes": told["bytes"],
                            "coordinator_s": round(told["coordinator"], 3),
                            "reader_s": round(told["reader"], 3),
                            "mb_a_cpu_second": round(told["bytes"] / 1e6 / max(spent_all, 1e-9)),
                        }
                    )
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
