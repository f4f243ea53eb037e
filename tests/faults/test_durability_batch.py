"""A batch that is killed at any moment, or whose journal's disk fails: no scan outlives it, and run again it comes to

the same. CI tries a moment of each kind, `make faults` many.
"""

from __future__ import annotations

import random
import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest
from support.cli import comparable_reports, many_pictures, picture
from support.nights import Calm, Ended, Job, assert_same, killed_after, run, spread, survive, told
from support.queues import exhibit_table, write_queue
from support.trail import verify_audit

from caid_triage.batch.journal import JOURNAL, read_journal
from caid_triage.synth.fat import build_fat
from caid_triage.synth.plan import PlannedFile

pytestmark = [
    pytest.mark.durability,
    pytest.mark.skipif(sys.platform != "linux", reason="sends SIGKILL and looks into /proc"),
]


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two exhibits that can be scanned, a folder and a stick, and one that cannot."""
    evidence = tmp_path_factory.mktemp("evidence")
    (evidence / "phone").mkdir(parents=True)
    many_pictures(evidence / "phone", 3)
    plan = [PlannedFile("/a.jpg", picture("town.jpg")), PlannedFile("/b.jpg", picture("coast.jpg"), deleted=True)]
    (evidence / "stick.dd").write_bytes(bytes(build_fat(plan, size=4 << 20, cluster=512)))
    (evidence / "empty.dd").touch()
    return evidence


def result(folder: Path) -> dict[str, object]:
    """The reports of the two, and what the journal says of all three."""
    cases = folder / "cases"
    records = read_journal(cases).records.values()
    found: dict[str, object] = {record.reference: (str(record.state), record.code) for record in records}
    for name in ("PHONE", "STICK.DD"):
        assert verify_audit(cases / name) == []
        found |= {f"{name} {report}": text for report, text in comparable_reports(cases / name / "reports").items()}
    return found


def between(folder: Path) -> None:
    """Whatever was cut short, the journal can be read, and says only what was told."""
    records = read_journal(folder / "cases").records
    assert set(records) <= {"PHONE", "EMPTY.DD", "STICK.DD"}


@pytest.fixture(scope="module")
def job(evidence: Path) -> Job:
    """A batch of the three."""

    def prepare(folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        write_queue(
            folder, *(exhibit_table(name.upper(), evidence / name) for name in ("phone", "empty.dd", "stick.dd"))
        )

    return Job(prepare, lambda folder: ["batch", folder / "queue.toml", "--quiet"], "cases", result, between, code=4)


@pytest.fixture(scope="module")
def whole(job: Job, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a batch that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    job.prepare(folder)
    done = run(job.arguments(folder))
    assert done.code == job.code, done.said
    return folder


@pytest.fixture(scope="module")
def calm(job: Job, whole: Path) -> Calm:
    return Calm(job.result(whole), 0, 3.0)


def test_killed_by_the_clock(
    job: Job, calm: Calm, tmp_path: Path, faults: int, chance: random.Random, happened: Counter[str]
) -> None:
    """SIGKILL for the batch alone: its scans must end by themselves, and close their cases in order."""
    killed = 0
    for number, moment in enumerate(spread(chance, faults, 0.1, 2 * calm.seconds)):
        with told(moment=moment):
            ends = survive(job, tmp_path / str(number), calm, [killed_after(moment)])
        killed += sum(ended.code == -9 for ended in ends)
        shutil.rmtree(tmp_path / str(number))
    happened["batch killed by the clock"] += killed


def test_killed_behind_each_event_of_the_journal(
    job: Job, whole: Path, calm: Calm, tmp_path: Path, faults: int, chance: random.Random, happened: Counter[str]
) -> None:
    """As a kill leaves the journal behind a line or in the middle of one; the cases are farther than it says."""
    content = (whole / "cases" / JOURNAL).read_bytes()
    for number in range(faults):
        folder = tmp_path / str(number)
        shutil.copytree(whole, folder)
        size = chance.randrange(len(content))
        (folder / "cases" / JOURNAL).write_bytes(content[:size])
        with told(bytes=size, of=len(content)):
            between(folder)
            ended: Ended = run(job.arguments(folder))
            assert ended.code == job.code, ended.said
            assert_same(job.result(folder), calm.result)
        happened["batch's journal cut"] += 1
        shutil.rmtree(folder)
