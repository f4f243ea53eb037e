"""How long an exhibit of 1 TB would take, worked out of kept runs of the benchmarks: the tables of docs/projection.md.

    python benchmarks/projection.py            print them
    python benchmarks/projection.py --write    put them into docs/projection.md, between its marks

Nothing is measured here. The rates of one core are those of the runs named in RUNS, medians as they were kept; what is
assumed of disks and exhibits stands below and in the tables. tests/unit/test_projection.py works every figure of the
tables out again, from the same runs and by its own reckoning.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "projection.md"
BEGIN, END = "<!-- tables: python benchmarks/projection.py --write -->", "<!-- end of the tables -->"
RUNS = {
    "rates": "2026-11-29T1730Z-rates.json",
    "carve": "2026-11-29T0702Z-carve.json",
    "layers": "2026-11-29T0720Z-layers-cost.json",
    "walk": "2026-11-29T0616Z-slack.json",
    "camera": "2026-11-29T0713Z-scan-photos-camera-size-1000.json",
    "medium": "2026-11-29T0706Z-examine-speed.json",
    "films": "2026-11-29T0720Z-video-speed.json",
}
CORES = (2, 4, 8, 16, 32)
GOAL_S = 30 * 60
# Megabytes a second, one after the other; milliseconds to find another place.
DISKS = {"hard disk": (150, 12.0), "SATA SSD": (500, 0.1), "NVMe SSD": (3000, 0.02)}
# Gigabytes of each kind in files with names; "free" is what standard and full search besides. Each is 1,000 GB.
EXHIBITS: Mapping[str, Mapping[str, int]] = {
    "a drive full of media": {"camera": 400, "films": 550, "large others": 50, "free": 0},
    "a family's computer": {
        "camera": 100, "medium": 20, "small": 2, "films": 150, "others": 28, "large others": 200, "free": 500,
    },
    "the same, 70% of its photographs known-good": {
        "camera": 30, "known": 70, "medium": 20, "small": 2, "films": 150, "others": 28, "large others": 200,
        "free": 500,
    },
    "a computer with little on it": {
        "camera": 20, "medium": 5, "small": 3, "films": 20, "others": 42, "large others": 110, "free": 800,
    },
}  # fmt: skip
FILM_MB_A_SECOND = 1.25  # 10 Mbit/s
PROFILES = ("quick", "standard")


@dataclass(frozen=True)
class Rates:
    """What the kept runs say of one core: seconds, megabytes."""

    worker_s: Mapping[str, float]  # a file of each kind
    coordinator_s: Mapping[str, float]
    megabytes: Mapping[str, float]
    worker_s_a_mb: float
    coordinator_s_a_mb: float
    film_s_a_second: float
    walk_s: float
    read_mb_a_s: float
    search_mb_a_s: float
    efficiency: float


@dataclass(frozen=True)
class Times:
    """What one scan keeps busy for how many seconds: the disk, two processes there are one of, all processors."""

    disk: float
    evidence: float
    coordinator: float
    work: float

    def taken(self, cores: int, efficiency: float) -> tuple[float, str]:
        """How long it takes, and what it waits for."""
        return max(
            (self.disk, "disk"), (self.evidence, "parser"), (self.coordinator, "writer"),
            (self.work / (cores * efficiency), "cores"),
        )  # fmt: skip


def kept(name: str) -> Any:
    """A kept run."""
    return json.loads((HERE / "runs" / RUNS[name]).read_text("utf-8"))


def rates() -> Rates:
    """The rates of one core by the kept runs."""
    kinds, camera, medium = kept("rates")["kinds"], kept("camera"), kept("medium")["2 MP"]
    large, others, small = (kinds[kind] for kind in ("large others", "others", "small"))
    further = large["megabytes_a_file"] - others["megabytes_a_file"]
    worker_a_mb, passing = (
        (large[f"{who}_ms_median"] - others[f"{who}_ms_median"]) / 1e3 / further for who in ("worker", "coordinator")
    )
    megabytes = {
        "camera": camera["megabytes"] / camera["files"],
        "medium": medium["median_kilobytes"] / 1e3,
        **{kind: row["megabytes_a_file"] for kind, row in kinds.items()},
        "known": camera["megabytes"] / camera["files"],
    }
    # What a picture costs the coordinator: as a small one, and passing its bytes on.
    coordinator = {
        kind: small["coordinator_ms_median"] / 1e3 + (megabytes[kind] - megabytes["small"]) * passing
        for kind in ("camera", "medium", "known")
    } | {kind: row["coordinator_ms_median"] / 1e3 for kind, row in kinds.items()}
    whole = statistics.median(camera["cpu_seconds"]["caid-triage scan, one worker"]) / camera["files"]
    worker = {
        "camera": whole - coordinator["camera"],
        "medium": medium["cpu_ms_median"]["ours"] / 1e3,
        # What is not decoded costs what a file of that size costs which is no picture.
        "known": others["worker_ms_median"] / 1e3 + (megabytes["known"] - megabytes["others"]) * worker_a_mb,
    } | {kind: row["worker_ms_median"] / 1e3 for kind, row in kinds.items()}
    ntfs = next(
        row for row in kept("walk")["figures"] if row["image"] == "NTFS, 46 KB files" and row["profile"] == "standard"
    )
    carve = kept("carve")["sets"].values()
    searched, spent = sum(one["bytes"] for one in carve) / 1e6, sum(one["fast"]["cpu_s"] for one in carve)
    return Rates(
        worker_s=worker,
        coordinator_s=coordinator,
        megabytes=megabytes,
        worker_s_a_mb=worker_a_mb,
        coordinator_s_a_mb=passing,
        film_s_a_second=max(kept("films")["cpu_s_a_minute"]["ours"].values()) / 60,
        walk_s=ntfs["seconds_with"] / ntfs["entries"],
        read_mb_a_s=kept("layers")["mixed"]["by_file"]["megabytes_a_cpu_second"]["raw, ours"],
        search_mb_a_s=searched / spent,
        efficiency=camera["two_workers_over_one"] / 2,
    )


def times(exhibit: Mapping[str, int], profile: str, disk: tuple[float, float], rate: Rates) -> Times:
    """What a scan of an exhibit keeps busy, and for how long."""
    workers = coordinator = files = named_mb = 0.0
    for kind, gigabytes in exhibit.items():
        if kind == "free":
            continue
        mb = gigabytes * 1e3
        named_mb += mb
        if kind == "films":  # long ones: a file now and then
            count = mb / 1e3
            workers += mb * rate.worker_s_a_mb + mb / FILM_MB_A_SECOND * rate.film_s_a_second
            coordinator += mb * rate.coordinator_s_a_mb + count * rate.coordinator_s["others"]
        else:
            count = mb / rate.megabytes[kind]
            workers += count * rate.worker_s[kind]
            coordinator += count * rate.coordinator_s[kind]
        files += count
    free_mb = exhibit["free"] * 1e3 if profile == "standard" else 0.0
    evidence = (
        files * rate.walk_s
        + named_mb * (1 / rate.read_mb_a_s + rate.coordinator_s_a_mb)
        + free_mb * (1 / rate.read_mb_a_s + 1 / rate.search_mb_a_s)
    )
    speed, find_ms = disk
    return Times(
        disk=(named_mb + free_mb) / speed + files * find_ms / 1e3,
        evidence=evidence,
        coordinator=coordinator,
        work=workers + coordinator + evidence,
    )


def minutes(seconds: float) -> str:
    """Whole minutes, never fewer than they are."""
    return f"{math.ceil(seconds / 60):,}"


def tables() -> Iterator[str]:
    """The lines between the marks of the page."""
    rate = rates()
    yield "### Rates of one core"
    yield ""
    yield "| kind of file | MB each | worker, ms a file | coordinator, ms a file |"
    yield "|---|---|---|---|"
    for kind, megabytes in rate.megabytes.items():
        worker, coordinator = rate.worker_s[kind] * 1e3, rate.coordinator_s[kind] * 1e3
        yield f"| {kind} | {megabytes:.3f} | {worker:.2f} | {coordinator:.2f} |"
    yield ""
    yield "| what | figure |"
    yield "|---|---|"
    yield f"| digests, worker, a megabyte | {rate.worker_s_a_mb * 1e3:.2f} ms |"
    yield f"| passing on, a megabyte | {rate.coordinator_s_a_mb * 1e3:.2f} ms |"
    yield f"| a film, beside its digests, for each second that it plays | {rate.film_s_a_second * 1e3:.2f} ms |"
    yield f"| walking, a file | {rate.walk_s * 1e6:.0f} us |"
    yield f"| reading a raw image | {rate.read_mb_a_s:,.0f} MB/s |"
    yield f"| searching free space (standard) | {rate.search_mb_a_s:,.0f} MB/s |"
    yield f"| of further cores this share is of use | {rate.efficiency:.2f} |"
    yield ""
    yield "### Minutes for 1 TB, and what is waited for"
    yield ""
    yield "| exhibit | profile | disk | " + " | ".join(f"{cores} cores" for cores in CORES) + " |"
    yield "|---" * (3 + len(CORES)) + "|"
    for name, exhibit in EXHIBITS.items():
        for profile in PROFILES:
            for disk, speed in DISKS.items():
                found = [times(exhibit, profile, speed, rate).taken(cores, rate.efficiency) for cores in CORES]
                cells = " | ".join(f"{minutes(seconds)} {what}" for seconds, what in found)
                yield f"| {name} | {profile} | {disk} | {cells} |"
    yield ""
    yield "### What 30 minutes would need"
    yield ""
    yield "| exhibit | profile | MB/s from the disk | cores | parser alone, minutes | writer alone, minutes |"
    yield "|---|---|---|---|---|---|"
    for name, exhibit in EXHIBITS.items():
        for profile in PROFILES:
            free = exhibit["free"] if profile == "standard" else 0
            megabytes = 1e3 * (free + sum(size for kind, size in exhibit.items() if kind != "free"))
            need = times(exhibit, profile, (1, 0), rate)
            cores = math.ceil(need.work / (GOAL_S * rate.efficiency))
            alone = f"{minutes(need.evidence)} | {minutes(need.coordinator)}"
            yield f"| {name} | {profile} | {math.ceil(megabytes / GOAL_S)} | {cores} | {alone} |"
    yield ""
    yield "### Composition, in GB"
    yield ""
    kinds = list(dict.fromkeys(kind for exhibit in EXHIBITS.values() for kind in exhibit))
    yield "| exhibit | " + " | ".join(kinds) + " |"
    yield "|---" * (1 + len(kinds)) + "|"
    for name, exhibit in EXHIBITS.items():
        yield f"| {name} | " + " | ".join(str(exhibit.get(kind, 0)) for kind in kinds) + " |"
    yield ""
    yield "Kept runs: " + ", ".join(f"`benchmarks/runs/{run}`" for run in RUNS.values()) + "."
    run = kept("rates")
    loads = f"{run['load']:.1f} to {run['load_at_the_end']:.1f}"
    yield f"The rates were measured on a machine of {run['cores']} cores with a load of {loads}."


def main() -> None:
    """Print the tables, or put them into the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    text = "\n".join(tables())
    if parser.parse_args().write:
        before, rest = PAGE.read_text("utf-8").split(BEGIN)
        after = rest.split(END)[1]
        PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", "utf-8")
    else:
        sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
