"""Telling somebody: a file, a command without a shell, and what fails there stops nothing."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest

from caid_triage.batch.notify import Notifier
from caid_triage.batch.queue import Notify

COPY = "import sys, pathlib; pathlib.Path(sys.argv[1]).open('a').write(sys.stdin.read() + '|')"


def test_a_line_in_the_file_and_on_the_commands_input(tmp_path: Path) -> None:
    file, copy = tmp_path / "told.jsonl", tmp_path / "copy; touch shell"
    with Notifier(Notify(file, (sys.executable, "-c", COPY, str(copy)))) as notifier:
        notifier.tell(event="exhibit-ended", reference="$(touch x)")
        notifier.tell(event="batch-ended")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert lines == [{"event": "exhibit-ended", "reference": "$(touch x)"}, {"event": "batch-ended"}]
    assert copy.read_text() == "".join(line + "\n|" for line in file.read_text().splitlines())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy; touch shell", "told.jsonl"]
    assert notifier.faults() == []


def test_what_fails_is_told_once_with_its_number(tmp_path: Path) -> None:
    with Notifier(Notify(tmp_path, (sys.executable, "-c", "raise SystemExit(3)"))) as notifier:
        notifier.tell(a=1)
        notifier.tell(a=2)
    assert notifier.faults() == [
        "the notice file could not be written: Is a directory (2 times)",
        "the notice command ended with 3 (2 times)",
    ]


def test_a_command_that_is_not_there_or_does_not_end(tmp_path: Path) -> None:
    with Notifier(Notify(None, (str(tmp_path / "none"),))) as notifier:
        notifier.tell(a=1)
    assert "could not be run" in notifier.faults()[0]
    with Notifier(Notify(None, (sys.executable, "-c", "import time; time.sleep(60)")), seconds=0.3) as notifier:
        for number in range(9):
            notifier.tell(a=number)
    assert notifier.faults()[0].endswith("was ended (3 times)")  # then it is left alone


def test_nobody_to_tell_is_fine() -> None:
    with Notifier(Notify()) as notifier:
        notifier.tell(a=1)
    assert notifier.faults() == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="makes a named pipe")
def test_a_pipe_that_nobody_reads_holds_no_batch(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with Notifier(Notify(file=tmp_path / "pipe")) as notifier:
        notifier.tell(event="exhibit-ended")
    assert notifier.faults() == ["the notice file could not be written: it is a pipe"]


def is_alive(pid: int) -> bool:
    """Whether a process runs, or could."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_command_that_is_ended_leaves_nothing_behind_and_may_print_what_it_likes(tmp_path: Path) -> None:
    """A script's own command would go on: it holds the night's disk, or the network."""
    script = 'sleep 60 & echo $! > "$0"; exec yes'
    with Notifier(Notify(None, ("/bin/sh", "-c", script, str(tmp_path / "pid"))), seconds=2) as notifier:
        notifier.tell(a=1)
    assert "was ended" in notifier.faults()[0]
    end = time.monotonic() + 20  # it is killed by then, and sleeps for a minute; on a busy core that takes a moment
    while is_alive(int((tmp_path / "pid").read_text())):
        assert time.monotonic() < end
        time.sleep(0.02)
