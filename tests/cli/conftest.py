"""A small exhibit and hash set for the command-line tests."""

from __future__ import annotations

import pytest
from support.cli import Run, Small, picture, run_command, vics_record, write_vics

from caid_triage.synth.fat import build_fat
from caid_triage.synth.mbr import Partition, build_mbr
from caid_triage.synth.plan import PlannedFile


@pytest.fixture(scope="session")
def run() -> Run:
    return run_command


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    folder = tmp_path_factory.mktemp("small")
    plan = [
        PlannedFile("/DCIM/coast.jpg", picture("coast.jpg")),
        PlannedFile("/DCIM/town.jpg", picture("town.jpg"), deleted=True),
        PlannedFile("/DCIM/marble.txt", picture("marble.jpg")),
        PlannedFile("/notes.txt", b"milk, bread\n"),
        PlannedFile("/empty.jpg", b""),
    ]
    image = folder / "small.dd"
    image.write_bytes(build_mbr([Partition(6, bytes(build_fat(plan, size=6 << 20, cluster=1024)))]))
    vics = write_vics(
        folder / "set.json",
        [
            vics_record(1, picture("coast.jpg"), 1),
            vics_record(2, picture("town.jpg"), 2),
            vics_record(3, picture("marble.jpg"), 3),
            vics_record(4, b"never met", 1),
        ],
    )
    hashset = folder / "set.chs"
    built = run_command("hashset", "build", vics, "--out", hashset)
    assert built.returncode == 0, built.stderr
    return Small(image, vics, hashset)
