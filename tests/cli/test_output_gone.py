"""Nobody reads what a command prints: a pipe, a terminal or a disk that is gone is no bug of ours and no lost night."""

from __future__ import annotations

import errno
import io
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from caid_triage.cli.console import GoneTerminal

COMMAND = [sys.executable, "-P", "-m", "caid_triage"]
FULL = Path("/dev/full")
ON_FULL = pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
ON_HANGUP = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no terminal hangs up on this system")


def test_a_reader_that_is_gone_changes_no_exit_code() -> None:
    with subprocess.Popen([*COMMAND, "schemes"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
        assert (process.wait(60), said) == (0, "")


@ON_FULL
def test_a_result_that_cannot_be_printed_is_said() -> None:
    with FULL.open("w") as full:
        done = subprocess.run([*COMMAND, "schemes"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 6
    assert "cannot be written: No space left on device" in done.stderr


@ON_FULL
def test_an_error_that_cannot_be_printed_has_its_exit_code(tmp_path: Path) -> None:
    with FULL.open("w") as full:
        done = subprocess.run([*COMMAND, "verify", str(tmp_path)], stderr=full, check=False)
    assert done.returncode == 6


class Closed(io.StringIO):
    """A terminal that was closed."""

    def write(self, text: str) -> int:
        raise OSError(errno.EIO, text)

    def flush(self) -> None:
        raise OSError(errno.EIO, "")


def test_a_live_display_outlives_its_terminal() -> None:
    terminal = GoneTerminal(Closed())
    assert terminal.write("a line") == 6
    terminal.flush()


HANGS_UP = """
import os, signal
{before}
from caid_triage.cli import interrupts
try:
    with interrupts.interruptible():
        os.kill(os.getpid(), signal.SIGHUP)
        print("goes on")
except KeyboardInterrupt:
    interrupts.leave()
"""


@ON_HANGUP
@pytest.mark.parametrize(("before", "code", "said"), [
    ("signal.signal(signal.SIGHUP, signal.SIG_DFL)", 130, ""),  # the tests themselves may run under nohup
    ("signal.signal(signal.SIGHUP, signal.SIG_IGN)", 0, "goes on\n"),
])  # fmt: skip
def test_a_terminal_that_is_closed_interrupts_but_for_nohup(before: str, code: int, said: str) -> None:
    script = HANGS_UP.format(before=before)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (code, said), done.stderr
