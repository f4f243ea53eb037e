"""Scans that are forked are the command: the same words, output and exit codes, and they end as they should."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cli import run_command
from support.processes import children

from caid_triage.batch.nursery import Born, Nursery

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="scans are forked on Linux alone")


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery() as made:
        yield made


def ended(process: object) -> tuple[int, str, str]:
    """Its exit code, and what it printed on both streams."""
    assert isinstance(process, Born | subprocess.Popen)
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout as out, process.stderr as error:
        texts = out.read().decode(), error.read().decode()
    return process.wait(60), *texts


def test_the_same_words_say_and_come_to_the_same(nursery: Nursery, tmp_path: Path) -> None:
    for words in (
        ["scan", "--help"],
        ["scan"],
        ["scan", str(tmp_path / "none"), f"--case={tmp_path / 'x'}"],
        ["--version"],
    ):
        alone = run_command(*words)
        assert ended(nursery.begin(words)) == (alone.returncode, alone.stdout, alone.stderr)


def scanning(nursery: Nursery, tmp_path: Path, name: str) -> Born:
    """A scan that takes its time."""
    source = tmp_path / f"source{name}"
    source.mkdir()
    for number in range(3000):
        (source / f"{number}.txt").write_bytes(b"%d" % number)
    process = nursery.begin(["scan", str(source), f"--case={tmp_path / name}", "--workers=1", "--quiet"])
    assert isinstance(process, Born)
    until = time.monotonic() + 60
    while not (tmp_path / name / "case.db").exists():
        assert time.monotonic() < until
        time.sleep(0.01)
    return process


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_a_signal_reaches_the_scan_and_it_alone(nursery: Nursery, tmp_path: Path, sign: int, code: int) -> None:
    process = scanning(nursery, tmp_path, "case")
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0)
    process.send_signal(sign)
    assert ended(process)[0] == code
    process.send_signal(signal.SIGKILL)  # nobody has its id any more that a signal could reach
    assert ended(nursery.begin(["--version"]))[0] == 0


def test_a_scan_holds_none_of_the_files_of_the_process_it_was_born_in(nursery: Nursery, tmp_path: Path) -> None:
    process = scanning(nursery, tmp_path, "case")
    assert nursery._process is not None
    parent = nursery._process.pid
    (born,) = children(parent)
    held, own = ({str(file.readlink()) for file in Path(f"/proc/{one}/fd").iterdir()} for one in (parent, born))
    assert own & held <= {"/dev/null"}
    assert os.getpgid(born) == born  # Ctrl+C at the terminal does not reach it
    process.kill()
    ended(process)


def test_where_it_dies_its_scans_end_and_the_next_are_started_anew(tmp_path: Path) -> None:
    with Nursery() as nursery:
        process = scanning(nursery, tmp_path, "case")
        assert nursery._process is not None
        (born,) = children(nursery._process.pid)
        nursery._process.kill()
        assert ended(process)[0] == -signal.SIGKILL
        until = time.monotonic() + 30
        while Path(f"/proc/{born}").exists() and "Z" not in Path(f"/proc/{born}/stat").read_text().split(")")[1][:3]:
            assert time.monotonic() < until
            time.sleep(0.02)
        again = nursery.begin(["--version"])
        assert isinstance(again, subprocess.Popen)
        assert ended(again)[0] == 0


def test_a_scan_imports_hardly_anything_more(tmp_path: Path) -> None:
    """Else the start of each costs again what this is here to save."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a.txt").write_bytes(b"a")
    script = """
import sys
from caid_triage.batch.nursery_process import prepare
prepare()
before = set(sys.modules)
from caid_triage.cli.main import program
try:
    program.main(["scan", *sys.argv[1:], "--workers", "1", "--json-progress"])
except SystemExit:
    pass
more = set(sys.modules) - before
print(len(before), *sorted(name for name in more if name.startswith("caid_triage")), file=sys.stderr)
"""
    words = [sys.executable, "-P", "-c", script, str(tmp_path / "source"), f"--case={tmp_path / 'case'}"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
    count, *more = done.stderr.split()
    assert int(count) > 300
    assert more == []
