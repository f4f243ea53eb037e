"""Whole scans of an image whose evidence process is killed, or whose coordinator is: nothing shows, nothing is left."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.cli import comparable_reports, picture, run_command

from caid_triage.synth.mbr import Partition, build_mbr
from caid_triage.synth.ntfs import build_ntfs
from caid_triage.synth.plan import PlannedFile

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sends POSIX signals and looks into /proc")
FILES = 60


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures with names, one of them damaged, one deleted; and two behind them with none."""
    plan = [PlannedFile(f"/d{n % 7}/{n:03}.jpg", picture("coast.jpg") + b"%d" % n) for n in range(FILES)]
    plan += [
        PlannedFile("/damaged.jpg", picture("coast.jpg")[:9000]),
        PlannedFile("/gone.jpg", picture("town.jpg"), deleted=True),
        PlannedFile("/film.avi", picture("ball.avi")),
    ]
    behind = b"".join(picture(name) + bytes(-len(picture(name)) % 512) for name in ("discs.png", "orchard.jpg"))
    path = tmp_path_factory.mktemp("exhibit") / "disk.dd"
    path.write_bytes(build_mbr([Partition(7, build_ntfs(plan, size=16 << 20))]) + behind)
    return path


@pytest.fixture(scope="module")
def calm(image: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the serial executor says, which parses in its own process: the oracle."""
    case = tmp_path_factory.mktemp("calm") / "case"
    done = run_command("scan", image, "--case", case, "--executor", "serial", "--quiet")
    assert done.returncode == 3, done.stderr
    return comparable_reports(case / "reports")


def begin(image: Path, case: Path) -> subprocess.Popen[str]:
    words = [sys.executable, "-P", "-m", "caid_triage", "scan", image, "--case", case, "--workers", "2", "--quiet"]
    return subprocess.Popen(list(map(str, words)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def children_of(process: int, module: str) -> list[int]:
    found: list[int] = []
    for listing in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            children = map(int, listing.read_text().split())
            found += [one for one in children if module.encode() in Path(f"/proc/{one}/cmdline").read_bytes()]
        except OSError:
            continue
    return found


def evidence_process_of(process: subprocess.Popen[str]) -> int | None:
    """The evidence process of a scan, waited for; None where the scan has ended."""
    while process.poll() is None:
        for child in children_of(process.pid, "evidence_process"):
            return child
        time.sleep(0.01)
    return None


def wait_until_opened(scan: subprocess.Popen[str], case: Path) -> None:
    """The case says that the scan of the source has begun."""
    audit = case / "audit.jsonl"
    while scan.poll() is None and not (audit.exists() and "source-opened" in audit.read_text()):
        time.sleep(0.01)
    assert scan.poll() is None, "the scan ended before anybody could disturb it"


def is_gone(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def assert_gone(process: int) -> None:
    for _ in range(250):
        if is_gone(process):
            return
        time.sleep(0.02)
    pytest.fail("the evidence process outlived its scan")


def test_a_quick_scan_goes_on_behind_its_listing_with_another_process(image: Path, tmp_path: Path) -> None:
    """The new process has not walked: it reads what the old one listed, and walks before it accounts for every byte."""
    calm, case = tmp_path / "calm", tmp_path / "case"
    quick = ["--profile", "quick"]
    assert run_command("scan", image, "--case", calm, "--executor", "serial", "--quiet", *quick).returncode == 3
    words = [sys.executable, "-P", "-m", "caid_triage", "scan", image, "--case", case, "--workers", "2", *quick]
    scan = subprocess.Popen([*map(str, words), "--json-progress"], stdout=subprocess.PIPE, text=True)
    assert scan.stdout is not None
    stage = ""
    while not stage.startswith("examining "):
        stage = str(json.loads(scan.stdout.readline()).get("stage"))
    pid = evidence_process_of(scan)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    scan.communicate(timeout=120)
    assert scan.returncode == 3
    assert comparable_reports(case / "reports") == comparable_reports(calm / "reports")


@pytest.mark.slow
def test_an_evidence_process_killed_at_random_moments_changes_nothing(
    image: Path, calm: dict[str, str], tmp_path: Path
) -> None:
    moments = random.Random(int(os.environ.get("CAID_TRIAGE_MOMENTS", "20261129")))
    killed, nights = 0, int(os.environ.get("CAID_TRIAGE_NIGHTS", "1"))
    for attempt in range(nights + 30):
        if attempt >= nights and killed >= 2:  # on a fast machine a scan may end before its moments come
            break
        case = tmp_path / f"case{attempt}"
        scan = begin(image, case)
        for _ in range(3):
            pid = evidence_process_of(scan)
            if pid is None:
                break
            time.sleep(moments.uniform(0, 1.2))
            if not is_gone(pid):
                os.kill(pid, signal.SIGKILL)
                killed += 1
            while not is_gone(pid):
                time.sleep(0.01)
        _, errors = scan.communicate()
        assert scan.returncode == 3, errors
        assert comparable_reports(case / "reports") == calm
    assert killed >= 2, "hardly a process was killed: the test shows nothing"


def test_serial_and_pool_say_the_same_of_a_calm_scan(image: Path, calm: dict[str, str], tmp_path: Path) -> None:
    scan = begin(image, tmp_path / "case")
    pid = evidence_process_of(scan)
    assert pid is not None, "the pool parses in the coordinator: the test shows nothing"
    assert scan.communicate()[1] == ""
    assert comparable_reports(tmp_path / "case" / "reports") == calm
    assert_gone(pid)


def test_a_killed_coordinator_leaves_no_evidence_process_and_resumes(
    image: Path, calm: dict[str, str], tmp_path: Path
) -> None:
    scan = begin(image, tmp_path / "case")
    pid = evidence_process_of(scan)
    assert pid is not None
    wait_until_opened(scan, tmp_path / "case")
    scan.kill()
    scan.communicate()
    assert_gone(pid)
    assert run_command("scan", image, "--case", tmp_path / "case", "--workers", 2, "--quiet").returncode == 3
    assert comparable_reports(tmp_path / "case" / "reports") == calm


def test_ctrl_c_ends_the_evidence_process_and_the_case_can_be_resumed(
    image: Path, calm: dict[str, str], tmp_path: Path
) -> None:
    for attempt in range(5):
        case = tmp_path / str(attempt)
        scan = begin(image, case)
        pid = evidence_process_of(scan)
        assert pid is not None
        wait_until_opened(scan, case)
        scan.send_signal(signal.SIGINT)
        said = scan.communicate(timeout=120)
        assert_gone(pid)
        if scan.returncode != 3:  # else this process was kept waiting, and the scan was done before it was asked
            break
    assert scan.returncode == 130, said
    assert run_command("scan", image, "--case", case, "--workers", 2, "--quiet").returncode == 3
    assert comparable_reports(case / "reports") == calm
    assert "scan-interrupted" in (case / "audit.jsonl").read_text()
