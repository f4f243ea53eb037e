"""What looking at file slack costs: CPU time of the walk with carving, with and without slack, on the same images.

python benchmarks/slack.py --files 10000 --rounds 5
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from caid_triage.evidence.carve.carving import Carving
from caid_triage.evidence.source import open_source
from caid_triage.model import FileEntry
from caid_triage.synth.fat import build_fat
from caid_triage.synth.ntfs import build_ntfs
from caid_triage.synth.plan import PlannedFile


def images(folder: Path, files: int) -> Iterator[tuple[str, Path]]:
    """NTFS of 2 KB files, NTFS and FAT32 of 2 to 90 KB; every 50th is deleted. Little space is free: the worst case."""
    choose = random.Random(1)
    noise = choose.randbytes(200_000)

    def plan(size: int) -> list[PlannedFile]:
        return [
            PlannedFile(
                f"/folder {n // 200:03}/picture {n:05}.jpg",
                noise[n % 100_000 :][: size or choose.randrange(2000, 90_000)],
                deleted=n % 50 == 49,
            )
            for n in range(files)
        ]

    mib = files // 13
    for name, build in (
        ("NTFS, 2 KB files", lambda: build_ntfs(plan(2000), size=max(64 << 20, files * 8192))),
        ("NTFS, 46 KB files", lambda: build_ntfs(plan(0), size=max(64, mib) << 20)),
        (
            "FAT32, 46 KB files, clusters of 16 KiB",
            lambda: build_fat(plan(0), size=max(1200, mib) << 20, bits=32, cluster=16384),
        ),
    ):
        path = folder / "image.dd"
        path.write_bytes(build())
        yield name, path


def seconds(path: Path, carving: str, *, slack: bool) -> tuple[float, int, int]:
    """CPU seconds of opening, walking and carving; entries; bytes of slack searched."""
    with mock.patch.object(Carving, "wants_slack", property(lambda _: slack)):
        began = time.process_time()
        source = open_source(path, "E", path.name, carving=carving)
        entries = sum(isinstance(item, FileEntry) for item in source.walk())
        spent = time.process_time() - began
    searched = source.coverage()["slack_searched"]
    source.close()
    return spent, entries, searched


def main() -> None:
    """Measure, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    report = []
    with tempfile.TemporaryDirectory() as folder:
        for name, path in images(Path(folder), options.files):
            for profile, carving in (("standard", "fast"), ("full", "thorough")):
                rounds = [
                    (seconds(path, carving, slack=False), seconds(path, carving, slack=True))
                    for _ in range(options.rounds)
                ]
                without, with_it = (statistics.median(one[place][0] for one in rounds) for place in (0, 1))
                entries, searched = rounds[0][1][1:]
                report.append(
                    {
                        "image": name,
                        "profile": profile,
                        "entries": entries,
                        "slack_bytes": searched,
                        "seconds_without": round(without, 3),
                        "seconds_with": round(with_it, 3),
                        "ratio": round(with_it / without, 2),
                        "microseconds_an_entry": round((with_it - without) / entries * 1e6, 1),
                    }
                )
    print(json.dumps({"load": os.getloadavg()[0], "figures": report}, indent=2))


if __name__ == "__main__":
    main()
