"""A bad night: the scan killed, stopped or starved at any moment, then run again, tells what a calm one tells."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
import zipfile
from contextlib import closing
from pathlib import Path

import pytest
from support.cli import (
    Small,
    comparable_reports,
    many_pictures,
    picture,
    run_command,
    vics_record,
    write_vics,
)
from support.processes import children

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sends POSIX signals and looks into /proc")
FILES = 70


@pytest.fixture(scope="module")
def exhibit(tmp_path_factory: pytest.TempPathFactory) -> Small:
    folder = tmp_path_factory.mktemp("night")
    pictures = folder / "exhibit"
    pictures.mkdir()
    many_pictures(pictures, FILES)
    (pictures / "damaged.jpg").write_bytes(picture("coast.jpg")[:9000])
    vics = write_vics(folder / "set.json", [vics_record(1, (pictures / "0007.jpg").read_bytes(), 1)])
    assert run_command("hashset", "build", vics, "--out", folder / "set.chs").returncode == 0
    return Small(pictures, vics, folder / "set.chs")


@pytest.fixture(scope="module")
def calm(exhibit: Small, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    case = tmp_path_factory.mktemp("calm") / "case"
    assert run_command(*arguments(exhibit, case)).returncode == 3
    return comparable_reports(case / "reports")


def arguments(exhibit: Small, case: Path) -> list[str]:
    given = [exhibit.image, "--hashset", exhibit.hashset, "--case", case, "--workers", 2]
    return ["scan", *map(str, given), "--quiet"]


def begin(exhibit: Small, case: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-P", "-m", "caid_triage", *arguments(exhibit, case)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def gone(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


def assert_gone(workers: list[int]) -> None:
    for _ in range(1500):  # one that was just started ends when it looks for its coordinator: seconds on a busy machine
        if all(map(gone, workers)):
            return
        time.sleep(0.02)
    pytest.fail("a worker outlived its scan")


def assert_as_calm(exhibit: Small, case: Path, calm: dict[str, str]) -> None:
    """One more run ends the scan, and nothing shows that the night was not calm."""
    done = run_command(*arguments(exhibit, case))
    assert done.returncode == 3, done.stderr
    assert comparable_reports(case / "reports") == calm
    assert sorted(path.name for path in case.iterdir()) == ["audit.jsonl", "case.db", "case.lock", "reports"]
    assert not [path.name for path in (case / "reports").iterdir() if path.suffix == ".part"]
    assert run_command("verify", case).returncode == 0


@pytest.mark.slow
def test_killed_at_any_moment_it_resumes_to_the_same_reports(
    exhibit: Small, calm: dict[str, str], tmp_path: Path
) -> None:
    case, workers, killed = tmp_path / "case", [], 0
    moments = random.Random(20261122)
    for attempt in range(10):
        process = begin(exhibit, case)
        seen: list[int] = []
        while attempt % 2 and process.poll() is None and not seen:  # every second time the workers are at it
            seen = children(process.pid)
            time.sleep(0.02)
        time.sleep(moments.uniform(0, 0.8))
        workers += seen + children(process.pid)
        if process.poll() is None:
            process.kill()
            killed += 1
        _, errors = process.communicate()
        assert process.returncode in (3, -signal.SIGKILL), errors
    assert killed >= 5, "hardly a scan was killed: the test shows nothing"
    assert workers, "no worker was ever seen: the test shows nothing"
    assert_gone(workers)
    assert_as_calm(exhibit, case, calm)


STAGES = {
    "the case is being made": lambda case: (case / "case.db").exists(),
    "the first batch is stored": lambda case: (
        (case / "case.db-wal").exists() and (case / "case.db-wal").stat().st_size > 30_000
    ),
    "the reports are being written": lambda case: any((case / "reports").glob("*.part")),
}


@pytest.mark.parametrize("stage", STAGES)
def test_killed_at_a_stage_it_resumes(exhibit: Small, calm: dict[str, str], tmp_path: Path, stage: str) -> None:
    case = tmp_path / "case"
    process = begin(exhibit, case)
    reached = False
    while process.poll() is None and not reached:
        reached = STAGES[stage](case)  # no sleep: a stage may last a few milliseconds
    process.kill()
    process.communicate()
    assert reached, "the stage was never seen: the test shows nothing"
    assert_as_calm(exhibit, case, calm)


def test_killed_in_the_middle_of_an_archive_it_resumes_with_every_inner_file_once(tmp_path: Path) -> None:
    """Part of the inside is stored, the archive is not: what was stored of it is dropped, and all of it comes again."""
    folder = tmp_path / "exhibit"
    folder.mkdir()
    with zipfile.ZipFile(folder / "many.zip", "w") as archive:
        for number in range(500):
            archive.writestr(f"{number:03}.jpg", picture("coast.jpg") + b"%d" % number)
    (folder / "z.jpg").write_bytes(picture("town.jpg"))
    vics = write_vics(tmp_path / "set.json", [vics_record(1, picture("coast.jpg") + b"400", 1)])
    assert run_command("hashset", "build", vics, "--out", tmp_path / "set.chs").returncode == 0
    exhibit = Small(folder, vics, tmp_path / "set.chs")
    undisturbed = tmp_path / "calm"
    assert run_command(*arguments(exhibit, undisturbed)).returncode == 0
    case = tmp_path / "case"
    process = begin(exhibit, case)
    while process.poll() is None and not stored_entries(case):
        time.sleep(0.02)
    process.kill()
    process.communicate()
    numbers = stored_entries(case)
    assert numbers, "nothing was stored yet: the test shows nothing"
    assert not [number for number in numbers if number >> 20 == numbers[0] >> 20 and not number & (1 << 20) - 1]
    done = run_command(*arguments(exhibit, case))
    assert done.returncode == 0, done.stderr
    assert comparable_reports(case / "reports") == comparable_reports(undisturbed / "reports")
    assert len(stored_entries(case)) == 502
    assert run_command("verify", case).returncode == 0
    matches = (case / "reports" / "matches.csv").read_text()
    assert "many.zip//400.jpg" in matches


def stored_entries(case: Path) -> list[int]:
    """The numbers of the entries that a case holds so far."""
    try:
        with closing(sqlite3.connect(f"file:{case / 'case.db'}?mode=ro", uri=True)) as connection:
            return [number for (number,) in connection.execute("SELECT id FROM entry ORDER BY id")]
    except sqlite3.Error:  # not made yet
        return []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_it_says_so_and_leaves_nobody_behind(
    exhibit: Small, calm: dict[str, str], tmp_path: Path, number: signal.Signals
) -> None:
    case = tmp_path / "case"
    process = begin(exhibit, case)
    while not (workers := children(process.pid)) and process.poll() is None:
        time.sleep(0.02)
    time.sleep(0.3)
    process.send_signal(number)
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, output) == (130, "")
    assert errors == "caid-triage: interrupted; the case is consistent, run the same command again to resume\n"
    assert_gone(workers)
    assert_as_calm(exhibit, case, calm)


def test_killed_workers_change_nothing(exhibit: Small, calm: dict[str, str], tmp_path: Path) -> None:
    case = tmp_path / "case"
    process = begin(exhibit, case)
    killed: set[int] = set()
    while process.poll() is None:
        fresh = [child for child in children(process.pid) if child not in killed]
        if fresh and len(killed) < 2:
            time.sleep(0.7)  # let it become ready and get a file
            for child in fresh[:1]:
                killed.add(child)
                if not gone(child):
                    os.kill(child, signal.SIGKILL)
        time.sleep(0.02)
    _, errors = process.communicate()
    assert killed
    assert process.returncode == 3, errors
    assert comparable_reports(case / "reports") == calm


PAUSED = """
import sys
sys.path[:0] = {here!r}
from test_pool_faults import *
pool_limits = WorkerLimits(decode_seconds=2, decode_seconds_per_mb=0, chunk_seconds=2)
if __name__ == "__main__":
    import caid_triage.scan.worker_process as worker_process
    worker_process.WORKER_MODULE = "hostile_worker"
    contents = [b"nap", b"b"]
    options = ScanOptions(workers=1, limits=pool_limits)
    print("begun", flush=True)
    for result in examine_in_pool(iter(entries(contents)), reader(contents), options):
        print(result.entry.number, [problem.code for problem in result.problems], flush=True)
"""


def test_a_machine_that_stood_still_blames_no_file(tmp_path: Path) -> None:
    """A paused virtual machine or a stopped job lasts longer than any deadline; no decode is given up for it."""
    script = tmp_path / "paused.py"
    script.write_text(PAUSED.format(here=[str(Path(__file__).parent), str(Path(__file__).parents[1])]))
    searched = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": searched.rstrip(os.pathsep)}
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    while not (workers := children(process.pid)):
        time.sleep(0.02)
    wait_until_napping(workers[0])
    for one in (process.pid, workers[0]):
        os.kill(one, signal.SIGSTOP)
    time.sleep(3)
    os.kill(process.pid, signal.SIGCONT)
    time.sleep(0.5)  # the watchdog looks at the clock before the worker can answer
    os.kill(workers[0], signal.SIGCONT)
    output, _ = process.communicate(timeout=60)
    assert output == "0 []\n1 []\n"


def wait_until_napping(worker: int) -> None:
    """The worker says by the name of its first thread that it has begun to decode."""
    for _ in range(1500):
        if Path(f"/proc/{worker}/comm").read_text() == "napping\n":
            return
        time.sleep(0.02)
    pytest.fail("the worker never began")


def test_a_worker_without_memory_costs_pictures_not_files(exhibit: Small, tmp_path: Path) -> None:
    case = tmp_path / "case"
    script = tmp_path / "starved.py"
    script.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "from caid_triage.config import ScanOptions, WorkerLimits\n"
        "from caid_triage.scan.run import run_scan\n"
        "from caid_triage.scan.sources import SourceRequest\n"
        "limits = WorkerLimits(memory_bytes=int(sys.argv[3]) << 20)\n"
        "request = SourceRequest(Path(sys.argv[1]), 'E', 's')\n"
        "outcome = run_scan([request], Path(sys.argv[2]), [], ScanOptions(workers=2, limits=limits))\n"
        "print(outcome.walked, outcome.examined, outcome.stored)\n"
    )
    large = tmp_path / "exhibit"
    large.mkdir()
    (large / "large.bmp").write_bytes(wide_bitmap(9000, 9000))
    (large / "small.jpg").write_bytes(picture("coast.jpg"))
    done = subprocess.run(
        [sys.executable, str(script), str(large), str(case), "575"], capture_output=True, text=True, check=False
    )
    assert done.stdout == "2 2 2\n", done.stderr
    assert run_command("report", "--case", case).returncode == 0
    problems = (case / "reports" / "problems.csv").read_text()
    assert "decoder-out-of-memory" in problems or "decoder-died" in problems
    files = (case / "reports" / "files.csv").read_text().splitlines()
    assert len(files) == 3
    summary = json.loads((case / "reports" / "summary.json").read_text())
    assert summary["coverage"]["decode_states"]["decoded"] == 1


def wide_bitmap(width: int, height: int) -> bytes:
    """A one-bit bitmap: few bytes, many pixels."""
    row = -(-width // 32) * 4
    head = (62 + row * height).to_bytes(4, "little")
    info = b"".join(n.to_bytes(4, "little") for n in (40, width, height))
    rest = (1).to_bytes(2, "little") + (1).to_bytes(2, "little") + bytes(24)
    content = bytes(range(256)) * (row * height // 256 + 1)
    return (
        b"BM"
        + head
        + bytes(4)
        + (62).to_bytes(4, "little")
        + info
        + rest
        + b"\0\0\0\0\xff\xff\xff\0"
        + (content[: row * height])
    )


def test_the_pieces_of_this_test_see_what_they_look_for() -> None:
    """A process that sleeps is not gone; one that ended is."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        assert not gone(process.pid)
    finally:
        process.kill()
        process.wait()
    assert gone(process.pid)
