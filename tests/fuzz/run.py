"""`make fuzz`: every target for some time, each in processes of its own; ends with 1 if anything was found.

    python tests/fuzz/run.py [TARGET...] [--seconds 600] [--work .fuzz] [--engine guided|plain]

Seconds are of processor time and for each target. What it finds is kept in WORK/TARGET/findings: an input (.bin) and
what was said of it (.txt). An input that ended the process, or hung in a library, is kept likewise.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import shutil
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from fuzz.engine import has_atheris
from fuzz.target import PRODUCT

HERE = Path(__file__).parent
TARGETS = tuple(sorted(one.stem for one in (HERE / "targets").glob("[a-z]*.py")))
MOST_DEATHS = 20
# Processor seconds of one process: the engine keeps more with every input (in ten minutes 3.8 GB beside the carver,
# whose own memory stays what it is), until a library has none left. The next one goes on from the same corpus.
ROUND = 200.0
NO_ATHERIS = (
    "fuzz: atheris is not installed (no wheel for this Python or system?): inputs are made by plain seeded damage, "
    "which is not led by the lines it reaches."
)


def run_target(name: str, work: Path, seconds: float, engine: str) -> dict[str, Any]:
    """Run one target until its time is over, again after each input that ends its process; the sum of its runs."""
    folder = work / name.rpartition(".")[2]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    deaths: Counter[str] = Counter()
    left, number = seconds, 1
    with (folder / "log.txt").open("wb") as log:
        while left > 0 and sum(deaths.values()) < MOST_DEATHS:
            command = [
                sys.executable,
                str(HERE / "child.py"),
                name,
                str(folder),
                str(min(left, ROUND)),
                str(number),
                engine,
            ]
            process = subprocess.Popen(command, stdout=log, stderr=log)
            ended = process.wait()
            spent = _facts_of(folder, process.pid).get("seconds", 0.0)
            left -= max(1.0, spent)
            number += 1
            if ended != 0:
                deaths[_kept_death(folder, ended)] += 1
    return _sum(name, folder, deaths)


def _facts_of(folder: Path, pid: int) -> dict[str, Any]:
    path = folder / f"run-{pid}.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def _kept_death(folder: Path, ended: int) -> str:
    """Keep the input that was under way when a process ended; what is said of it."""
    raw = (folder / "now").read_bytes() if (folder / "now").exists() else bytes(8)
    data = raw[8 : 8 + int.from_bytes(raw[:8], "little")]
    said = f"the process ended with {ended}"
    kept = folder / "findings" / f"death-{hashlib.sha256(data).hexdigest()[:8]}"
    kept.parent.mkdir(exist_ok=True)
    kept.with_suffix(".bin").write_bytes(data)
    kept.with_suffix(".txt").write_text(f"{said}\n\n{(folder / 'log.txt').read_text(errors='replace')[-4000:]}")
    return said


def _sum(name: str, folder: Path, deaths: Counter[str]) -> dict[str, Any]:
    """The runs of a target added up."""
    words: Counter[str] = Counter()
    faults: Counter[str] = Counter(deaths)
    seconds, executions, slowest, engine = 0.0, 0, 0.0, ""
    for one in sorted(folder.glob("run-*.json")):
        facts = json.loads(one.read_text())
        seconds += facts["seconds"]
        executions += facts["executions"]
        slowest = max(slowest, facts["slowest"])
        engine = facts["engine"]
        words.update(facts["words"])
        faults.update(facts["faults"])
    corpus = folder / "corpus"
    return {
        "target": name,
        "engine": engine,
        "seconds": round(seconds, 1),
        "executions": executions,
        "corpus": len(list(corpus.iterdir())) if corpus.is_dir() else 0,
        "slowest": slowest,
        "words": dict(words.most_common()),
        "findings": dict(faults),
    }


def commit() -> str:
    """What was run, as git names it."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=10"],
        capture_output=True, text=True, check=False, cwd=HERE,
    )  # fmt: skip
    return done.stdout.strip() or "unknown"


def main() -> int:
    """Run the targets one after another and print a line of JSON for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of: {', '.join(TARGETS)} (all)")
    parser.add_argument("--seconds", type=float, default=600, help="processor time for each target")
    parser.add_argument("--work", type=Path, default=Path(".fuzz"), help="folder for what is found, made anew")
    parser.add_argument("--engine", choices=("guided", "plain"), help="guided where atheris is installed")
    options = parser.parse_args()
    unknown = set(options.targets) - set(TARGETS)
    if unknown:
        parser.error(f"no target {', '.join(sorted(unknown))}; there are: {', '.join(TARGETS)}")
    if options.engine is None and not has_atheris():
        sys.stderr.write(NO_ATHERIS + "\n")
    engine = options.engine or ("guided" if has_atheris() else "plain")
    work = options.work.resolve()
    found = 0
    for name in options.targets or TARGETS:
        facts = run_target(name, work, options.seconds, engine)
        found += len(facts["findings"])
        dated = {
            **facts,
            "ended": datetime.now(UTC).isoformat(timespec="seconds"),
            "commit": commit(),
            "python": platform.python_version(),
        }
        sys.stdout.write(json.dumps(dated) + "\n")
        sys.stdout.flush()
        with (work / "runs.jsonl").open("a") as runs:
            runs.write(json.dumps(dated) + "\n")
    if found:
        sys.stderr.write(f"fuzz: {found} faults of {PRODUCT} or its libraries: see {work}/*/findings\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
