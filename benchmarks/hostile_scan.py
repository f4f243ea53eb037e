"""A corpus of malformed files scanned whole, three ways: as a folder, on an NTFS volume, and inside one zip.

    python benchmarks/hostile_scan.py CORPUS [--ways folder ntfs zip] [--every N] [--workers 2]

CORPUS is a folder or a tar archive. Every way is one ``caid-triage scan`` in a process of its own. Meanwhile the memory
of the whole tree of processes is added up ten times a second (PSS: pages that several share are counted once; Linux).
Then its reports are checked against the files themselves: every file has its one record with the right SHA-256,
whatever became of its decoder; the time lies within what the deadlines allow; the memory within ``--most-memory``.
Prints JSON; ends with exit code 1 if a check fails.

The NTFS volume is made with mkntfs and ntfscp (ntfs-3g); without those that way is left out and the figures say so.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caid_triage.config import WorkerLimits

PROJECT = Path(__file__).resolve().parents[1]
SAMPLE_SECONDS = 0.1
# Beside the deadlines: what the files take that are no trouble, many times what is measured (seconds a file).
USUAL_SECONDS = 0.5
FAULTS = ("decoder-died", "decoder-hung", "digests-lost")


def contents(corpus: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of every file of the corpus."""
    if corpus.is_dir():
        for path in sorted(path for path in corpus.rglob("*") if path.is_file()):
            yield path.relative_to(corpus).as_posix(), path.read_bytes()
        return
    with tarfile.open(corpus) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            if file is not None:
                yield member.name, file.read()


def unpacked(corpus: Path, folder: Path, every: int) -> dict[str, str]:
    """SHA-256 by name of every n-th file of the corpus, written to ``folder`` under that name."""
    found: dict[str, str] = {}
    for number, (name, content) in enumerate(contents(corpus)):
        if number % every == 0:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            found[name] = hashlib.sha256(content).hexdigest()
    return found


def as_zip(files: Path, names: list[str], target: Path) -> None:
    """One zip of all the files."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.write(files / name, name)


def as_ntfs(files: Path, names: list[str], target: Path) -> str:
    """An NTFS volume of all the files; returns what made it, "" where nothing can."""
    if not (shutil.which("mkntfs") and shutil.which("ntfscp")):
        return ""
    size = sum((files / name).stat().st_size + 8192 for name in names) * 2 + (64 << 20)
    with target.open("wb") as image:
        image.truncate(size)
    quietly("mkntfs", "-F", "-Q", "-p", "0", "-H", "16", "-S", "63", target)
    if mounted(files, target):
        return "mkntfs and ntfs-3g"
    for number, name in enumerate(names):  # ntfscp makes no folders
        quietly("ntfscp", "-f", target, files / name, f"{number:05}-{Path(name).name[-80:]}")
    return "mkntfs and ntfscp"


def mounted(files: Path, image: Path) -> bool:
    """Copy the files by way of a mount; whether that could be done."""
    if not shutil.which("ntfs-3g"):
        return False
    place = image.with_suffix(".mounted")
    place.mkdir()
    if subprocess.run(["ntfs-3g", image, place], capture_output=True, check=False).returncode:
        place.rmdir()
        return False
    try:
        shutil.copytree(files, place, dirs_exist_ok=True, copy_function=shutil.copyfile)
    finally:
        quietly("umount", place)
    place.rmdir()
    return True


def quietly(*words: object) -> None:
    subprocess.run([str(word) for word in words], check=True, capture_output=True)


@dataclass
class Memory:
    """The largest sum of the memory of a tree of processes, in bytes, and of its parts at that moment."""

    most: int = 0
    parts: tuple[int, ...] = ()

    def watch(self, root: int, done: threading.Event) -> None:
        while not done.wait(SAMPLE_SECONDS):
            parts = [share for share in map(proportional, tree(root)) if share]
            if sum(parts) > self.most:
                self.most, self.parts = sum(parts), tuple(sorted(parts, reverse=True))


def tree(root: int) -> list[int]:
    """A process and all that it started, and so on."""
    found, waiting = [], [root]
    while waiting:
        found.append(waiting.pop())
        try:
            for thread in Path(f"/proc/{found[-1]}/task").iterdir():
                waiting += map(int, (thread / "children").read_text().split())
        except OSError:  # it has ended
            continue
    return found


def proportional(process: int) -> int:
    """The memory of a process in bytes, pages that several share divided among them; 0 if it has ended."""
    try:
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def scanned(source: Path, case: Path, workers: int) -> dict[str, Any]:
    """Scan it; the exit code, seconds and memory."""
    command = [
        sys.executable,
        "-P",
        "-m",
        "caid_triage",
        "scan",
        source,
        "--case",
        case,
        "--workers",
        workers,
        "--quiet",
    ]
    memory, done = Memory(), threading.Event()
    before, began = os.times(), time.monotonic()
    with subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        watcher = threading.Thread(target=memory.watch, args=(process.pid, done))
        watcher.start()
        said = process.communicate()[0].decode()
        done.set()
        watcher.join()
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return {
        "exit_code": process.returncode,
        "said": said if process.returncode not in (0, 3) else "",
        "wall_s": round(time.monotonic() - began, 1),
        "cpu_s": round(cpu, 1),
        "most_memory_mib": round(memory.most / 2**20),
        "memory_by_process_mib": [round(part / 2**20) for part in memory.parts],
    }


def checked(
    case: Path, wanted: dict[str, str], way: str, run: dict[str, Any], options: argparse.Namespace
) -> dict[str, Any]:
    """What the reports say beside the files themselves, and every check that failed in a sentence."""
    with (case / "reports" / "files.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with (case / "reports" / "problems.csv").open(encoding="utf-8", newline="") as file:
        problems = Counter(row["code"] for row in csv.DictReader(file))
    summary = json.loads((case / "reports" / "summary.json").read_text(encoding="utf-8"))
    depth = 1 if way == "zip" else 0
    own = [row for row in rows if row["path"].count("//") == depth and row["state"] in ("allocated", "embedded")]
    digests = Counter(row["sha256"] for row in own)
    missing = Counter(wanted.values()) - digests
    faults = []
    if missing:
        faults.append(f"{missing.total()} files have no record with their SHA-256")
    # The records of system files of the volume itself are more than was wanted; a file twice is not.
    twice = {path: count for path, count in Counter(row["path"] for row in own).items() if count > 1}
    if twice:
        faults.append(f"{len(twice)} files have more than one record")
    if not summary["walked"] == summary["examined"] == summary["stored"] == len(rows):
        faults.append("walked, examined and stored are not the number of rows")
    limits = WorkerLimits()
    late = sum(problems[code] for code in FAULTS)
    allowed = (late * 3 * limits.decode_seconds + USUAL_SECONDS * len(rows)) / options.workers + limits.start_seconds
    if run["wall_s"] > allowed:
        faults.append(f"it took {run['wall_s']} s where the deadlines allow {allowed:.0f}")
    if run["most_memory_mib"] > options.most_memory:
        faults.append(f"the processes took {run['most_memory_mib']} MiB, at most {options.most_memory} are wanted")
    return {
        "files": len(wanted),
        "records": len(rows),
        "allowed_s": round(allowed),
        "problems_by_code": dict(sorted(problems.items())),
        "decode_states": summary["coverage"]["decode_states"],
        "files_that_ended_or_held_up_a_worker": sorted(
            row["path"][-120:] for row in rows if set(row["problems"].split(";")) & set(FAULTS)
        ),
        "faults": faults,
    }


def main() -> None:
    """Scan every way, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--ways", nargs="*", default=["folder", "ntfs", "zip"], choices=["folder", "ntfs", "zip"])
    parser.add_argument("--every", type=int, default=1, help="only every n-th file")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--most-memory", type=int, default=2048, help="MiB of all processes together")
    parser.add_argument("--scratch", type=Path, help="where to work: some hundred megabytes")
    options = parser.parse_args()
    report: dict[str, Any] = {"python": platform.python_version(), "load": [round(one, 1) for one in os.getloadavg()]}
    with tempfile.TemporaryDirectory(dir=options.scratch) as name:
        scratch = Path(name)
        files = scratch / "files"
        files.mkdir()
        wanted = unpacked(options.corpus, files, options.every)
        for way in options.ways:
            source = files
            if way == "zip":
                source = scratch / "zipped"
                source.mkdir()
                as_zip(files, list(wanted), source / "all.zip")
            made_by = ""
            if way == "ntfs":
                source = scratch / "volume.dd"
                made_by = as_ntfs(files, list(wanted), source)
                if not made_by:
                    report[way] = "left out: mkntfs or ntfscp is not installed"
                    continue
            case = scratch / f"case-{way}"
            run = scanned(source, case, options.workers)
            report[way] = {**({"made_by": made_by} if made_by else {}), **run}
            report[way] |= (
                {"faults": ["the scan did not end well"]} if run["said"] else checked(case, wanted, way, run, options)
            )
    print(json.dumps(report, indent=1))
    sys.exit(any(report[way]["faults"] for way in options.ways if isinstance(report.get(way), dict)))


if __name__ == "__main__":
    main()
