"""Where a case lies and when: full, read-only, vanished folders, two writers at once, clocks that jump, a sleep.

What test_case_faults.py and tests/cli/test_bad_input.py show of the case's own calls is shown here of whole commands.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.cli import Small, comparable_reports, many_pictures, picture, run_command, vics_record, write_vics
from support.nights import assert_same, processes_of, run, spread, started

pytestmark = [
    pytest.mark.durability,
    pytest.mark.skipif(sys.platform != "linux", reason="mounts small disks, sends POSIX signals and looks into /proc"),
]


@pytest.fixture(scope="module")
def exhibit(tmp_path_factory: pytest.TempPathFactory) -> Small:
    folder = tmp_path_factory.mktemp("exhibit")
    pictures = folder / "pictures"
    pictures.mkdir()
    many_pictures(pictures, 12)
    vics = write_vics(folder / "set.json", [vics_record(1, picture("coast.jpg") + b"7", 1)])
    assert run_command("hashset", "build", vics, "--out", folder / "set.chs").returncode == 0
    return Small(pictures, vics, folder / "set.chs")


@pytest.fixture(scope="module")
def calm(exhibit: Small, tmp_path_factory: pytest.TempPathFactory) -> Path:
    case = tmp_path_factory.mktemp("calm") / "case"
    done = run(scan(exhibit, case))
    assert done.code == 0, done.said
    return case


def scan(exhibit: Small, case: Path) -> list[object]:
    return ["scan", exhibit.image, "--hashset", exhibit.hashset, "--case", case, "--workers", 2, "--quiet"]


def assert_as_calm(case: Path, calm: Path) -> None:
    assert_same(comparable_reports(case / "reports"), comparable_reports(calm / "reports"))
    verified = run_command("verify", case)
    assert verified.returncode == 0, verified.stderr


@contextmanager
def small_disk(place: Path, size: int) -> Iterator[None]:
    """A tmpfs of so many KiB; skips the test where none can be mounted."""
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "none", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a small disk can be mounted by root only; failing calls are injected in test_durability.py")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def resized(place: Path, size: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}k", str(place)], check=True)


def test_a_real_disk_that_is_full_of_any_size(
    exhibit: Small, calm: Path, tmp_path: Path, faults: int, chance: random.Random, happened: Counter[str]
) -> None:
    """One disk after another, each larger: it is full at another moment. With room at last, all is as if calm."""
    disk = tmp_path / "disk"
    with small_disk(disk, 16):
        stopped = 0
        for size in sorted(int(size) for size in spread(chance, faults + 2, 8, 420)):
            resized(disk, size)
            done = run(scan(exhibit, disk / "case"))
            assert done.code in (0, 6), done.said
            if done.code == 6:
                stopped += 1
                assert str(disk / "case") in done.said
                assert "pace" in done.said, done.said  # free some space, no space is left
        assert stopped >= 2, "the disk was never full: the test shows nothing"
        happened["scan on a real disk that was full"] += stopped
        resized(disk, 40_000)
        done = run(scan(exhibit, disk / "case"))
        assert done.code == 0, done.said
        assert_as_calm(disk / "case", calm)


def test_a_full_disk_for_reports_elsewhere_harms_nothing(calm: Path, tmp_path: Path, happened: Counter[str]) -> None:
    disk = tmp_path / "disk"
    with small_disk(disk, 20):
        for size in (8, 20, 40):
            resized(disk, size)
            done = run(["report", "--case", calm, "--out", disk / "out"])
            assert done.code == 6, done.said
            assert str(disk / "out") in done.said
            assert "Free some space or choose another folder with --out" in done.said
            assert [path.name for path in (disk / "out").iterdir()] == []
            happened["report elsewhere on a real disk that was full"] += 1
        resized(disk, 20_000)
        assert run(["report", "--case", calm, "--out", disk / "out"]).code == 0
        assert comparable_reports(disk / "out") == comparable_reports(calm / "reports")


def test_no_room_for_temporary_files_is_no_fault_of_a_file(exhibit: Small, calm: Path, tmp_path: Path) -> None:
    """TMPDIR full: pictures are examined all the same, and the case is what it is."""
    disk = tmp_path / "disk"
    with small_disk(disk, 4):
        (disk / "filler").write_bytes(b"x" * 4096)
        done = run(scan(exhibit, tmp_path / "case"), TMPDIR=str(disk), SQLITE_TMPDIR=str(disk))
    assert done.code == 0, done.said
    assert_as_calm(tmp_path / "case", calm)


@pytest.mark.parametrize("limit", [1, 60_000])
def test_files_that_may_not_grow(exhibit: Small, calm: Path, tmp_path: Path, limit: int) -> None:
    """RLIMIT_FSIZE needs no root: no file of the command may be longer."""
    code = (
        "import resource, runpy, sys\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.RLIM_INFINITY))\n"
        "sys.argv[0] = 'caid-triage'\n"
        "runpy.run_module('caid_triage', run_name='__main__', alter_sys=True)\n"
    )
    with started(["-c", code, *scan(exhibit, tmp_path / "case")]) as running:
        said, _ = running.communicate(timeout=120)
    assert running.returncode == 6, said
    assert str(tmp_path / "case") in said
    assert "run" in said.splitlines()[-1]
    assert run(scan(exhibit, tmp_path / "case")).code == 0
    assert_as_calm(tmp_path / "case", calm)


def test_a_case_on_a_disk_that_cannot_be_written_to(exhibit: Small, calm: Path, tmp_path: Path) -> None:
    """Read-only: reports can be written elsewhere and the case verifies, scan and match end with 6 and say why."""
    disk = tmp_path / "disk"
    with small_disk(disk, 20_000):
        shutil.copytree(calm, disk / "case")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        for command in (scan(exhibit, disk / "case"), ["match", "--case", disk / "case", "--hashset", exhibit.hashset]):
            done = run(command)
            assert done.code == 6, done.said
            assert str(disk / "case") in done.said
            assert "cannot be written to" in done.said
        done = run(["report", "--case", disk / "case"])
        assert done.code == 6, done.said
        assert str(disk / "case") in done.said
        assert run(["report", "--case", disk / "case", "--out", tmp_path / "out"]).code == 0
        assert comparable_reports(tmp_path / "out") == comparable_reports(calm / "reports")
        assert run(["verify", disk / "case"]).code == 0


def test_a_case_folder_that_vanishes(exhibit: Small, tmp_path: Path, happened: Counter[str]) -> None:
    """Deleted or moved away while the scan runs: it does not go on into a file that nobody can open any more."""
    many = tmp_path / "many"
    many.mkdir()
    many_pictures(many, 150)
    case = tmp_path / "case"
    with started(["-m", "caid_triage", "scan", many, "--case", case, "--workers", 1, "--quiet"]) as running:
        while not (case / "audit.jsonl").exists() and running.poll() is None:
            time.sleep(0.01)
        case.rename(tmp_path / "moved")
        said, _ = running.communicate(timeout=120)
    assert running.returncode == 6, said
    assert str(case) in said
    assert "is gone" in said
    assert not case.exists()
    (tmp_path / "moved").rename(case)
    done = run(["scan", many, "--case", case, "--workers", 2, "--quiet"])
    assert done.code == 0, done.said
    assert run_command("verify", case).returncode == 0
    happened["case folder moved away"] += 1


def test_a_case_behind_a_link_is_the_same_case(exhibit: Small, calm: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real", target_is_directory=True)
    assert run(scan(exhibit, tmp_path / "link")).code == 0
    assert run(scan(exhibit, tmp_path / "real")).code == 0
    assert_as_calm(tmp_path / "real", calm)
    (tmp_path / "nowhere").symlink_to("not there")
    done = run(scan(exhibit, tmp_path / "nowhere"))
    assert done.code == 6, done.said


def test_two_scans_begun_at_once_into_one_new_folder(exhibit: Small, calm: Path, tmp_path: Path, faults: int) -> None:
    for number in range(max(1, faults // 5)):
        case = tmp_path / f"case {number}"
        command = ["-m", "caid_triage", *scan(exhibit, case)]
        with started(command) as one, started(command) as other:
            said = [one.communicate(timeout=120)[0], other.communicate(timeout=120)[0]]
        codes = sorted([one.returncode, other.returncode])
        assert codes in ([0, 6], [0, 0]), said  # both in turn, where the first had ended before the second came to it
        if 6 in codes:
            assert any("in use by another process" in text for text in said), said
        assert_as_calm(case, calm)


JUMPING = """
import datetime, runpy, sys, time
real, began = datetime.datetime, time.monotonic()
class Kind(type(real)):
    def __instancecheck__(self, value):
        return isinstance(value, real)
class Jumping(real, metaclass=Kind):
    @classmethod
    def now(cls, tz=None):
        seconds = int((time.monotonic() - began) * 20)
        return real.now(tz) + datetime.timedelta(days=400 * (seconds % 3 - 1))
datetime.datetime = Jumping
clock = time.time
time.time = lambda: clock() + 86400 * 400 * (int((time.monotonic() - began) * 20) % 3 - 1)
sys.argv[0] = "caid-triage"
runpy.run_module("caid_triage", run_name="__main__", alter_sys=True)
"""


def test_a_wall_clock_that_jumps(exhibit: Small, calm: Path, tmp_path: Path) -> None:
    """Set back and forward by more than a year, again and again: no deadline trips, the chain verifies."""
    with started(["-c", JUMPING, *scan(exhibit, tmp_path / "case")]) as running:
        said, _ = running.communicate(timeout=120)
    assert running.returncode == 0, said
    assert_as_calm(tmp_path / "case", calm)


# The whole command with deadlines of two seconds, so that a stop is longer than any of them.
STRICT = """
import runpy, sys
from caid_triage import config
config.WorkerLimits.deadline_for = lambda self, size: 2.0
sys.argv[0] = "caid-triage"
runpy.run_module("caid_triage", run_name="__main__", alter_sys=True)
"""


def test_a_machine_that_slept_blames_nobody(exhibit: Small, calm: Path, tmp_path: Path, happened: Counter[str]) -> None:
    """SIGSTOP for the whole tree for longer than the deadlines, several times, then SIGCONT in any order."""
    mark = f"asleep {tmp_path}"
    with started(["-c", STRICT, *scan(exhibit, tmp_path / "case")], mark) as running:
        for pause in (0.5, 0.3):
            time.sleep(pause)
            tree = processes_of(mark)
            for process in tree:
                os.kill(process, signal.SIGSTOP)
            time.sleep(3)
            for process in sorted(tree):
                os.kill(process, signal.SIGCONT)
            happened["machine asleep"] += 1
        said, _ = running.communicate(timeout=120)
    assert running.returncode == 0, said
    assert_as_calm(tmp_path / "case", calm)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_at_any_moment_it_ends_with_130(
    exhibit: Small, tmp_path: Path, faults: int, chance: random.Random, number: signal.Signals, happened: Counter[str]
) -> None:
    """From the first line of ours on (a file says that it was reached), twice or three times in a row as well."""
    code = (
        "import sys, pathlib\n"
        "from caid_triage.__main__ import end_when_asked, main\n"
        "end_when_asked()\n"
        "print('ready', flush=True)\n"
        "sys.argv[0] = 'caid-triage'\n"
        "main()\n"
    )
    sentence = "caid-triage: interrupted; the case is consistent, run the same command again to resume"
    for place, moment in enumerate(spread(chance, 2 + faults, 0.0, 0.9)):
        case = tmp_path / str(place)
        with started(["-c", code, *scan(exhibit, case)]) as running:
            assert running.stdout is not None
            assert running.stdout.readline() == "ready\n"
            time.sleep(moment)
            ended = running.poll() is not None
            for _ in range(place % 3 + 1):
                running.send_signal(number)
            said, _ = running.communicate(timeout=60)
        if running.returncode == 0 and moment > 0.3:
            continue  # it was quicker
        assert not ended
        assert running.returncode == 130, (moment, running.returncode, said)
        assert said.splitlines()[-1] == sentence, (moment, said)
        happened[f"asked to stop ({number.name})"] += 1
        if case.exists():
            done = run(scan(exhibit, case))
            assert done.code == 0, done.said
