"""Every figure of docs/projection.md, worked out again from the kept runs that it names, by another reckoning."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[2]
PAGE = (PROJECT / "docs" / "projection.md").read_text(encoding="utf-8")
# What the page says in words of disks: megabytes a second, milliseconds to find a file.
DISKS = {"hard disk": (150, 12.0), "SATA SSD": (500, 0.1), "NVMe SSD": (3000, 0.02)}
HALF_HOUR = 1800
FILM_MB_A_SECOND = 10 / 8


def rows_under(title: str) -> list[list[str]]:
    """The cells of the first table under a heading, its head first."""
    text = PAGE.split(f"### {title}\n")[1].split("\n### ")[0]
    block = text.strip().split("\n\n")[0]
    lines = [line for line in block.splitlines() if not line.startswith("|---")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def run(suffix: str) -> Any:
    """The kept run that the page names."""
    (name,) = set(re.findall(rf"`(benchmarks/runs/[\w-]+-{suffix}\.json)`", PAGE))
    return json.loads((PROJECT / name).read_text(encoding="utf-8"))


MEASURED = run("rates")["kinds"]
CAMERA, MEDIUM = run("scan-photos-camera-size-1000"), run("examine-speed")["2 MP"]
COMPOSITION = {row[0]: dict(zip(rows_under("Composition, in GB")[0][1:], map(int, row[1:]), strict=True))
               for row in rows_under("Composition, in GB")[1:]}  # fmt: skip


def slope(who: str) -> float:
    """Milliseconds for a megabyte more, of files that are no media."""
    large, small = MEASURED["large others"], MEASURED["others"]
    return float((large[who] - small[who]) / (large["megabytes_a_file"] - small["megabytes_a_file"]))


PASSING, DIGESTING = slope("coordinator_ms_median"), slope("worker_ms_median")
FILM = max(run("video-speed")["cpu_s_a_minute"]["ours"].values()) * 1000 / 60


def kinds() -> dict[str, tuple[float, float, float]]:
    """Megabytes, and milliseconds of the worker and of the coordinator, for a file of each kind."""
    found = {kind: (row["megabytes_a_file"], row["worker_ms_median"], row["coordinator_ms_median"])
             for kind, row in MEASURED.items()}  # fmt: skip
    small_mb, _, small_coordinator = found["small"]

    def coordinator(megabytes: float) -> float:
        return small_coordinator + PASSING * (megabytes - small_mb)

    camera_mb, medium_mb = CAMERA["megabytes"] / CAMERA["files"], MEDIUM["median_kilobytes"] / 1000
    (all_of_it,) = sorted(CAMERA["cpu_seconds"]["caid-triage scan, one worker"])[1:2]
    own = coordinator(camera_mb)
    found["camera"] = camera_mb, 1000 * all_of_it / CAMERA["files"] - own, own
    found["medium"] = medium_mb, MEDIUM["cpu_ms_median"]["ours"], coordinator(medium_mb)
    found["known"] = camera_mb, found["others"][1] + DIGESTING * (camera_mb - found["others"][0]), own
    return found


KINDS = kinds()
(WALK,) = (
    row["seconds_with"] / row["entries"] * 1e3
    for row in run("slack")["figures"]
    if (row["image"], row["profile"]) == ("NTFS, 46 KB files", "standard")
)
READING = 1e3 / run("layers-cost")["mixed"]["by_file"]["megabytes_a_cpu_second"]["raw, ours"]
SETS = run("carve")["sets"].values()
SEARCHING = 1e9 * sum(one["fast"]["cpu_s"] for one in SETS) / sum(one["bytes"] for one in SETS)
SHARE = CAMERA["two_workers_over_one"] / 2


def spent(name: str, profile: str) -> dict[str, float]:
    """Seconds of each part, and megabytes and files, of one exhibit."""
    parts = {"files": 0.0, "mb": 0.0, "writer": 0.0, "workers": 0.0}
    for kind, gigabytes in COMPOSITION[name].items():
        if kind == "free":
            continue
        files = gigabytes if kind == "films" else 1000 * gigabytes / KINDS[kind][0]
        parts["files"] += files
        parts["mb"] += 1000 * gigabytes
        if kind == "films":
            parts["workers"] += 1000 * gigabytes * (DIGESTING + FILM / FILM_MB_A_SECOND) / 1000
            parts["writer"] += (1000 * gigabytes * PASSING + gigabytes * KINDS["others"][2]) / 1000
        else:
            parts["workers"] += files * KINDS[kind][1] / 1000
            parts["writer"] += files * KINDS[kind][2] / 1000
    searched = 1000 * COMPOSITION[name]["free"] * (profile == "standard")
    parts["parser"] = (
        parts["files"] * WALK + parts["mb"] * (READING + PASSING) + searched * (READING + SEARCHING)
    ) / 1000
    parts["mb"] += searched
    return parts


def test_the_rates_are_those_of_the_runs() -> None:
    for kind, *cells in rows_under("Rates of one core")[1:]:
        megabytes, worker, coordinator = KINDS[kind]
        assert cells == [f"{megabytes:.3f}", f"{worker:.2f}", f"{coordinator:.2f}"]
        assert min(megabytes, worker, coordinator) > 0
    assert {row[0] for row in rows_under("Rates of one core")[1:]} == set(KINDS)
    figures = re.findall(r"^\| [^|]+ \| ([\d,.]+)(?: ms| us| MB/s|) \|$", PAGE, re.MULTILINE)
    assert figures == [
        f"{DIGESTING:.2f}", f"{PASSING:.2f}", f"{FILM:.2f}", f"{WALK * 1e3:.0f}", f"{1e3 / READING:,.0f}",
        f"{1e3 / SEARCHING:,.0f}", f"{SHARE:.2f}",
    ]  # fmt: skip


def test_every_time_of_the_table_follows_from_the_rates() -> None:
    head, *rows = rows_under("Minutes for 1 TB, and what is waited for")
    cores = [int(cell.split()[0]) for cell in head[3:]]
    assert cores == [2, 4, 8, 16, 32]
    assert [tuple(row[:3]) for row in rows] == [
        (name, profile, disk) for name in COMPOSITION for profile in ("quick", "standard") for disk in DISKS
    ]
    for name, profile, disk, *cells in rows:
        parts, (speed, find) = spent(name, profile), DISKS[disk]
        reading = parts["mb"] / speed + parts["files"] * find / 1000
        together = parts["workers"] + parts["writer"] + parts["parser"]
        for count, cell in zip(cores, cells, strict=True):
            waits = {"disk": reading, "parser": parts["parser"], "writer": parts["writer"],
                     "cores": together / count / SHARE}  # fmt: skip
            minutes, what = cell.split()
            assert waits[what] == pytest.approx(max(waits.values()))
            assert int(minutes.replace(",", "")) == math.ceil(round(waits[what] / 60, 9)), (name, profile, disk, count)


def test_what_half_an_hour_needs_follows_from_the_rates() -> None:
    for name, profile, speed, cores, parser, writer in rows_under("What 30 minutes would need")[1:]:
        parts = spent(name, profile)
        assert int(speed) == math.ceil(parts["mb"] / HALF_HOUR)
        together = parts["workers"] + parts["writer"] + parts["parser"]
        assert int(cores) == math.ceil(together / HALF_HOUR / SHARE)
        assert int(parser) == math.ceil(parts["parser"] / 60)
        assert int(writer) == math.ceil(parts["writer"] / 60)


def test_each_exhibit_is_of_a_terabyte() -> None:
    assert {sum(sizes.values()) for sizes in COMPOSITION.values()} == {1000}
    assert len(COMPOSITION) >= 3


def test_the_disks_are_those_of_the_words() -> None:
    said = re.search(r"\(hard disk (\d+) MB/s and (\d+) ms, SATA SSD (\d+) MB/s and ([\d.]+) ms, "
                     r"NVMe SSD ([\d,]+) MB/s and ([\d.]+) ms\)", PAGE)  # fmt: skip
    assert said is not None
    numbers = [float(text.replace(",", "")) for text in said.groups()]
    assert list(zip(numbers[::2], numbers[1::2], strict=True)) == [tuple(map(float, disk)) for disk in DISKS.values()]
