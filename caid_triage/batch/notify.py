"""Telling somebody that an exhibit is done: a line in a file, a line to a command. Nothing is sent anywhere by us.

A line holds the exhibit's reference and figures: no hash, no path, no name of a file. What fails here is a sentence of
the summary and stops nothing.
"""

from __future__ import annotations

import errno
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Self

from caid_triage.batch.queue import Notify

COMMAND_SECONDS = 60.0
MOST_TIMEOUTS = 3
"""A command that did not end so often is not begun again: nobody waits for it at the end of a batch."""


class Notifier:
    """Tells, one after the other, in a thread of its own; use it as a context manager, behind which all is told."""

    def __init__(self, notify: Notify, seconds: float = COMMAND_SECONDS) -> None:
        """``seconds`` is how long the command may take for one line before it is ended."""
        self._notify, self._seconds = notify, seconds
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._faults: Counter[str] = Counter()
        self._timeouts = 0
        self._thread: threading.Thread | None = None
        if notify.file is not None or notify.command:
            self._thread = threading.Thread(target=self._work, name="notify", daemon=True)
            self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def tell(self, **facts: object) -> None:
        """Tell these facts, soon; nobody waits for it."""
        if self._thread is not None:
            self._lines.put(json.dumps(facts))

    def close(self) -> None:
        """Wait until all is told. May be called twice."""
        if self._thread is not None and self._thread.is_alive():
            self._lines.put(None)
            self._thread.join()

    def faults(self) -> list[str]:
        """What could not be told, a sentence for each reason."""
        return [f"{sentence} ({count} times)" if count > 1 else sentence for sentence, count in self._faults.items()]

    def _work(self) -> None:
        while (line := self._lines.get()) is not None:
            if self._notify.file is not None:
                self._append(line)
            if self._notify.command and self._timeouts < MOST_TIMEOUTS:
                self._run(line)

    def _append(self, line: str) -> None:
        assert self._notify.file is not None
        try:
            if self._notify.file.is_fifo():  # one that nobody reads would hold the batch for good
                raise OSError(errno.EINVAL, "it is a pipe")
            with self._notify.file.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            self._faults[f"the notice file could not be written: {error.strerror or error}"] += 1

    def _run(self, line: str) -> None:
        try:
            code = _told(self._notify.command, line + "\n", self._seconds)
        except subprocess.TimeoutExpired:
            self._timeouts += 1
            self._faults[f"the notice command took longer than {self._seconds:.0f} seconds and was ended"] += 1
        except OSError as error:
            self._faults[f"the notice command could not be run: {error.strerror or error}"] += 1
        else:
            if code:
                self._faults[f"the notice command ended with {code}"] += 1


def _told(command: Sequence[str], line: str, seconds: float) -> int:
    """Run a command with a line as its input; its exit code. TimeoutExpired where it was ended, with all it started.

    It has a process group of its own: Ctrl+C at the terminal is for the batch, which still has its end to tell.
    """
    group: dict[str, Any] = {} if sys.platform == "win32" else {"process_group": 0}
    with subprocess.Popen(  # noqa: S603 - the unit's own command, as a list of words, without a shell
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **group
    ) as process:
        try:
            process.communicate(line.encode(), seconds)
        except subprocess.TimeoutExpired:
            if sys.platform != "win32":
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            raise
        return process.returncode
