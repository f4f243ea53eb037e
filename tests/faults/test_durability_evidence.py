"""Evidence that fails while it is read: its unreadable ranges are on record, the scan goes on, and ends, and says so.

Run again when the disk is well, the case is as if it had always been. The disk is a file system of our own
(support/bad_mount.py) through which the command reads image files and a folder.
"""

from __future__ import annotations

import csv
import errno
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.bad_mount import BadMount, bad_mount, unmount
from support.cli import comparable_reports, many_pictures, picture, run_command
from support.evidence_files import ex01, written
from support.nights import assert_same, run

from caid_triage.synth.ntfs import build_ntfs
from caid_triage.synth.plan import PlannedFile

pytestmark = [
    pytest.mark.durability,
    pytest.mark.skipif(sys.platform != "linux", reason="mounts a FUSE file system of its own"),
]
SOURCES = ["raw.dd", "split.001", "made.Ex01", "folder"]
HURT = "/f0/2.jpg"
FIRST, LAST = 4096, 6000
"""The bytes of that file that cannot be read, of its place on the disk."""


@dataclass(frozen=True)
class Evidence:
    """One NTFS disk in three forms of image and a folder, mounted; where the file that is hurt lies on the disk."""

    mount: BadMount
    place: int
    calm: dict[str, str]

    def scan(self, case: Path) -> tuple[int, str]:
        sources = [self.mount.place / name for name in SOURCES]
        ended = run(["scan", *sources, "--case", case, "--workers", 2, "--quiet"])
        assert "Traceback" not in ended.said
        assert "bug of ours" not in ended.said
        return ended.code, ended.said


@pytest.fixture(scope="module")
def mounted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evidence]:
    base = tmp_path_factory.mktemp("evidence")
    folder = base / "sources"
    (folder / "folder" / "sub").mkdir(parents=True)
    coast = picture("coast.jpg")
    plan = [PlannedFile(f"/f{n % 2}/{n}.jpg", coast + b"%d" % n, deleted=n % 4 == 3) for n in range(6)]
    disk = bytes(build_ntfs(plan, size=2 << 20))
    place = disk.index(coast + b"2")
    (folder / "raw.dd").write_bytes(disk)
    cut = place + 4500  # what cannot be read lies in both segments
    (folder / "split.001").write_bytes(disk[:cut])
    (folder / "split.002").write_bytes(disk[cut:])
    written(folder, "Ex01", ex01(disk))
    many_pictures(folder / "folder", 3)
    many_pictures(folder / "folder" / "sub", 3)
    with bad_mount(folder, base / "mount") as mount:
        evidence = Evidence(mount, place, {})
        code, said = evidence.scan(base / "calm")
        assert code == 0, said
        yield Evidence(mount, place, comparable_reports(base / "calm" / "reports"))


@pytest.fixture
def evidence(mounted: Evidence) -> Iterator[Evidence]:
    yield mounted
    mounted.mount.fails = lambda _path, _offset, _length: 0


def rows(case: Path, name: str) -> list[dict[str, str]]:
    with (case / "reports" / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def hurt_files(case: Path) -> set[tuple[str, str]]:
    """Source and path of the files that have no digest and a problem that says why."""
    return {
        (row["source"], row["path"])
        for row in rows(case, "files.csv")
        if not row["sha256"] and {"read-failed", "file-unreadable"} & set(row["problems"].split(";"))
    }


def assert_healed(evidence: Evidence, case: Path) -> None:
    """Run again with a disk that is well, nothing shows that it was not; the audit trail alone does."""
    evidence.mount.fails = lambda _path, _offset, _length: 0
    code, said = evidence.scan(case)
    assert code == 0, said
    assert_same(comparable_reports(case / "reports"), evidence.calm)
    assert '"action":"read-again"' in (case / "audit.jsonl").read_text()
    verified = run_command("verify", case)
    assert verified.returncode == 0, verified.stderr


def test_sectors_that_cannot_be_read(evidence: Evidence, tmp_path: Path, happened: Counter[str]) -> None:
    """EIO for all reads that touch the middle of one file: that file is hurt, the others are not."""
    first, last = evidence.place + FIRST, evidence.place + LAST
    cut = evidence.place + 4500
    of_segment = {"raw.dd": (first, last), "split.001": (first, cut), "split.002": (0, last - cut)}
    assert "unreadable" not in evidence.calm["ledger.csv"]

    def fails(path: str, offset: int, length: int) -> int:
        low, high = of_segment.get(path, (0, 0))
        return errno.EIO if length and offset < high and offset + length > low else 0

    evidence.mount.fails = fails
    case = tmp_path / "case"
    code, said = evidence.scan(case)
    assert code == 3, said
    assert hurt_files(case) == {("raw.dd", HURT), ("split.001", HURT)}
    calm = {line for line in evidence.calm["files.csv"].splitlines() if f",{HURT}," not in line}
    assert calm <= set((case / "reports" / "files.csv").read_text(encoding="utf-8").splitlines())
    for source in ("raw.dd", "split.001"):
        ranges = [
            (int(row["start"]), int(row["start"]) + int(row["length"]))
            for row in rows(case, "ledger.csv")
            if row["source"] == source and row["kind"] == "unreadable"
        ]
        assert ranges, source
        assert ranges[0][0] <= first, "an unreadable byte is not on record"
        assert ranges[-1][1] >= last, "an unreadable byte is not on record"
        assert ranges[0][0] > first - 4096, "more is on record than could not be read"
        assert ranges[-1][1] < last + 4096, "more is on record than could not be read"
    assert_healed(evidence, case)
    happened["source with sectors that cannot be read, healed"] += 2


def test_a_source_that_is_pulled_out(evidence: Evidence, tmp_path: Path, happened: Counter[str]) -> None:
    """ENODEV for everything from some read on: the scan ends soon and says in words what is missing."""
    calm_reads = evidence.mount.reads
    code, said = evidence.scan(tmp_path / "counted")
    assert code == 0, said
    calm_reads = evidence.mount.reads - calm_reads
    for number, part in enumerate((0.4, 0.9)):
        evidence.mount.reads = 0
        evidence.mount.fails = lambda _path, _offset, _length, last=part * calm_reads: (
            errno.ENODEV if evidence.mount.reads > last else 0
        )
        case = tmp_path / str(number)
        began = time.monotonic()
        code, said = evidence.scan(case)
        assert time.monotonic() - began < 120
        assert code in (3, 4), said  # 4: a later source could not even be opened
        assert "not everything was examined" in said
        assert any("No such device" in row["detail"] for row in rows(case, "problems.csv"))
        evidence.mount.fails = lambda _path, _offset, _length: 0
        code, said = evidence.scan(case)
        # Where the walk itself had missed files, those behind them have other numbers: that is said, and nothing mixed.
        if code == 6:
            assert "has changed since the scan began" in said
        else:
            assert code == 0, said
            assert_same(comparable_reports(case / "reports"), evidence.calm)
        happened[f"source pulled out, connected again: exit {code}"] += 1


def test_a_folder_that_is_unmounted(tmp_path: Path, happened: Counter[str]) -> None:
    """What is left at its place is an empty folder: it is not taken for the source, which would have no files."""
    sources = tmp_path / "sources"
    sources.mkdir()
    many_pictures(sources, 20)
    place = tmp_path / "mount"
    with bad_mount(sources, place) as mount:

        def fails(path: str, offset: int, length: int) -> int:
            if path == "0004.jpg" and length:
                threading.Thread(target=unmount, args=[place]).start()
                time.sleep(0.5)
            return 0

        mount.fails = fails
        ended = run(["scan", place, "--case", tmp_path / "case", "--workers", 1, "--quiet"])
        assert ended.code == 3, ended.said
        assert not list(place.iterdir())
    assert len(hurt_files(tmp_path / "case")) >= 10
    assert len(rows(tmp_path / "case", "files.csv")) == 20
    ended = run(["scan", place, "--case", tmp_path / "case", "--workers", 1, "--quiet"])
    assert ended.code == 6, ended.said
    happened["folder unmounted in the middle of its scan"] += 1


def test_another_folder_in_the_place_of_the_source_is_not_taken_for_it(tmp_path: Path) -> None:
    from caid_triage.evidence.directory import DirectorySource

    folder = tmp_path / "stick"
    folder.mkdir()
    many_pictures(folder, 2)
    source = DirectorySource(folder, "E", "s")
    folder.rename(tmp_path / "gone")
    folder.mkdir()
    (found,) = source.walk()
    assert getattr(found, "code", "") == "folder-unreadable"
    assert "another folder has taken its place" in getattr(found, "detail", "")
