"""One scan as a process of its own: the command line, its JSON lines, how it ended, and what that means."""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any, Protocol

from caid_triage.batch.cluster import cluster_words
from caid_triage.batch.journal import State
from caid_triage.batch.queue import Exhibit
from caid_triage.config import AUTO

LEASH = "caid_triage.batch.leash"
# -P: the current folder, which may be a suspect's, is never searched for modules.
PROGRAM = (sys.executable, "-P", "-m", LEASH)
INTERRUPTED = 130
LAST_LINES = 12
CLOSED_SECONDS = 10.0
OURS = "caid-triage: "
WARNING = f"{OURS}WARNING: "
FRAME = re.compile(r"[\w<>]+ in \S.*\.py:\d+")
"""A line of where a bug of ours is (cli/main.py)."""
LONGEST_LINE = 1 << 20


def scan_words(exhibit: Exhibit, workers: int, profile: str | None = None, stop_after: int | None = None) -> list[str]:
    """The words of the command that scans an exhibit, as a person would type them behind ``caid-triage``.

    ``profile`` and ``stop_after`` (seconds) are those of a first look; else the exhibit's own, without a limit. A first
    look that another scan follows compares no looks with those of the unit's memory: that one does.
    """
    words = ["scan", *map(str, exhibit.sources), f"--case={exhibit.case}", f"--exhibit={exhibit.reference}"]
    words += [f"--hashset={path}" for path in exhibit.hashsets]
    words += [] if exhibit.cluster.scheduler else [f"--workers={workers}"]  # a cluster that runs has its own
    words += [f"--profile={profile or exhibit.profile}", "--json-progress"]
    words += cluster_words(exhibit.executor, exhibit.cluster)
    words += [f"--distance={text}" for text in exhibit.distances]
    if exhibit.leads != AUTO:
        words.append(f"--leads={exhibit.leads}")
    if exhibit.verify_source:
        words.append("--verify-source")
    if exhibit.password_file is not None:
        words.append(f"--password-file={exhibit.password_file}")
    if exhibit.examiner:
        words.append(f"--examiner={exhibit.examiner}")
    stated = {"case-reference": exhibit.case_reference, "operation": exhibit.operation, "seized": exhibit.seized}
    words += [f"--{name}={text}" for name, text in stated.items() if text]
    if exhibit.contact is not None:
        words.append(f"--contact={exhibit.contact}")
    if stop_after is not None:
        # Where the unit keeps a memory, comparing looks with those of all its cases may take longer than the look has.
        words += ["--no-look-alikes"] * (exhibit.profile != profile)
        words.append(f"--stop-after={stop_after}s")
    return words


@dataclass(frozen=True, slots=True)
class Ending:
    """How a scan ended. ``code`` is its exit code, negative for the signal that ended it; ``hung``: by us."""

    code: int
    hung: bool
    sentences: tuple[str, ...]

    @property
    def died(self) -> bool:
        """Whether it ended in a way that a second try may not: killed, out of memory, hung, a bug of ours."""
        return self.hung or self.code < 0 or self.code == 1

    @property
    def exit_code(self) -> int:
        """What it counts as among exit codes: a process that died is 1."""
        return 1 if self.died else self.code

    @property
    def state(self) -> State:
        """Where the exhibit is then."""
        known = {0: State.DONE, 3: State.PROBLEMS, INTERRUPTED: State.STOPPED}
        return State.FAILED if self.died else known.get(self.code, State.FAILED)

    def told(self) -> tuple[str, ...]:
        """Why it failed, in sentences: its own, and one for what it could not say itself."""
        if self.hung:
            return ("the scan did not say anything for too long and was ended", *self.sentences)
        if self.code < 0:
            word = signal.Signals(-self.code).name if -self.code in set(signal.Signals) else str(-self.code)
            why = ": most often memory was full" if word == "SIGKILL" else ""
            return (f"the scan was ended by {word}{why}", *self.sentences)
        return self.sentences or ("the scan ended without a word of why",) * self.died


class Process(Protocol):
    """What a batch needs of a process that runs a scan; subprocess.Popen has it."""

    @property
    def stdout(self) -> IO[bytes] | None:
        """What it prints."""

    @property
    def stderr(self) -> IO[bytes] | None:
        """What it prints of errors."""

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, negative for a signal; subprocess.TimeoutExpired if it has not ended in time."""

    def send_signal(self, sig: int) -> None:
        """Send it a signal, if it has not ended."""

    def kill(self) -> None:
        """End it at once."""


def opened(words: Sequence[str], program: Sequence[str] = PROGRAM) -> subprocess.Popen[bytes]:
    """A new process for a scan of these words. OSError where the system gives no process more.

    ``program`` is what runs, with the id of this process and then the words; tests put another in its place.
    """
    options: dict[str, Any] = (
        {"creationflags": 0x200}  # CREATE_NEW_PROCESS_GROUP
        if sys.platform == "win32"
        else {"process_group": 0}  # Ctrl+C at the terminal reaches the batch alone, which asks its scans in order
    )
    return subprocess.Popen(  # noqa: S603 - our own interpreter and module
        [*program, str(os.getpid()), *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


Told = queue.SimpleQueue[tuple["Child", Mapping[str, Any] | None]]


class Child:
    """A scan that runs. Its JSON lines come as (child, line) through ``told``, (child, None) behind the last."""

    def __init__(self, process: Process, told: Told) -> None:
        self._process = process
        self.began = self.heard = time.monotonic()
        self.progress: Mapping[str, Any] = {}
        self.finished: Mapping[str, Any] = {}
        self.refused_by_cluster = False
        self._hung = False
        self._said: deque[str] = deque(maxlen=LAST_LINES)
        self._threads = [
            threading.Thread(target=self._read_lines, args=(told,), daemon=True),
            threading.Thread(target=self._read_errors, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _read_lines(self, told: Told) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            while line := lines.readline(LONGEST_LINE):
                try:
                    value = json.loads(line)
                except ValueError:
                    continue  # a line that a library printed
                if isinstance(value, dict):
                    # Not in take(): its end may be seen before its lines are heard.
                    self.refused_by_cluster |= value.get("event") == "cluster-refused"
                    told.put((self, value))
        with suppress(subprocess.TimeoutExpired):  # it has closed its output and goes on
            self._process.wait(CLOSED_SECONDS)
        told.put((self, None))  # now, so that the next one begins at once

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as lines:
            while line := lines.readline(LONGEST_LINE):
                self._said.append(line.decode("utf-8", errors="replace").strip())

    def take(self, line: Mapping[str, Any]) -> None:
        """Learn from one of its lines."""
        self.heard = time.monotonic()
        if line.get("event") == "progress":
            self.progress = line
        elif line.get("event") == "finished":
            self.finished = line

    def silent(self) -> float:
        """Seconds since it last said something."""
        return time.monotonic() - self.heard

    def interrupt(self) -> None:
        """Ask it to end as Ctrl+C does: it closes its case, which can be resumed."""
        with suppress(OSError):
            self._process.send_signal(1 if sys.platform == "win32" else signal.SIGINT)  # 1: CTRL_BREAK_EVENT

    def kill(self, *, hung: bool = False) -> None:
        """End it at once; its workers end with it."""
        self._hung |= hung
        self._process.kill()

    def wait(self, seconds: float | None = None) -> bool:
        """Whether it has ended, waiting for it so long."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def ending(self) -> Ending:
        """How it ended; waits for it."""
        code = self._process.wait()
        for thread in self._threads:
            thread.join(5.0)  # what it started may hold its streams open a little longer
        # Libraries print there too, and may quote the evidence: only what this program says itself is kept.
        # A warning (no TLS, a shared memory of the unit) is no reason why it ended as it did.
        kept = [line for line in self._said if line.startswith(OURS) or FRAME.fullmatch(line)]
        ours = [line.removeprefix(OURS) for line in kept if not line.startswith(WARNING)]
        return Ending(code, self._hung, tuple(ours))
