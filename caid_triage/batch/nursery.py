"""The batch's side of the process that scans are born in (:mod:`caid_triage.batch.nursery_process`)."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import BinaryIO, Self, cast

from caid_triage.batch.child import Process, opened

MODULE = "caid_triage.batch.nursery_process"


class Born:
    """A scan that was forked: what :class:`subprocess.Popen` gives, as far as a batch needs it."""

    def __init__(self, nursery: Nursery, number: int, out: int, error: int) -> None:
        self._nursery, self._number = nursery, number
        self.stdout: BinaryIO = os.fdopen(out, "rb")
        self.stderr: BinaryIO = os.fdopen(error, "rb")
        self._ended = threading.Event()
        self._code = 0

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, negative for a signal; subprocess.TimeoutExpired if it has not ended in time."""
        if not self._ended.wait(timeout):
            raise subprocess.TimeoutExpired(MODULE, timeout or 0.0)
        return self._code

    def send_signal(self, sig: int) -> None:
        """Send it a signal, if it has not ended."""
        self._nursery.send(id=self._number, signal=sig)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def end(self, code: int) -> None:
        """It has ended with this code."""
        self._code = code
        self._ended.set()


class Nursery:
    """Starts scans, forked where that is possible, else each anew; use it as a context manager.

    The process that they are forked from is begun with the first of them.
    """

    def __init__(self) -> None:
        self._channel: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._born: dict[int, Born] = {}
        self._count = 0

    def _open(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-P", "-m", MODULE, str(os.getpid())],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                process_group=0,
            )
        self._channel = ours
        threading.Thread(target=self._listen, args=(ours,), name="nursery", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process; scans of it that still run are asked to end. May be called twice."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        with self._lock:
            if self._channel is not None:
                self._channel.close()
                self._channel = None

    def begin(self, words: Sequence[str]) -> Process:
        """Start the scan of these words. OSError where the system gives no process more."""
        with self._lock:
            if self._process is None and sys.platform == "linux":
                self._open()
            channel = self._channel
            if channel is None:
                return opened(words)
            out, out_end = os.pipe()
            error, error_end = os.pipe()
            self._count += 1
            made = self._born[self._count] = Born(self, self._count, out, error)
            line = json.dumps({"id": self._count, "words": list(words)}).encode() + b"\n"
            try:
                socket.send_fds(channel, [line], [out_end, error_end])
            except OSError:  # it has died: what waits for an answer is told so below
                made.end(-signal.SIGKILL)
            finally:
                os.close(out_end)
                os.close(error_end)
        return made

    def send(self, **asked: object) -> None:
        """Ask the process for something; where it has died there is nobody left to ask."""
        with self._lock, suppress(OSError):
            if self._channel is not None:
                self._channel.sendall(json.dumps(asked).encode() + b"\n")

    def _listen(self, channel: socket.socket) -> None:
        """Hear of scans that have ended, until the process has; then all of them have, or are about to."""
        with suppress(OSError), channel.makefile("rb") as lines:
            for line in lines:
                told = cast("dict[str, int]", json.loads(line))
                with self._lock:
                    born = self._born.pop(told["id"], None)
                if born is not None:
                    born.end(told.get("code", -signal.SIGKILL))
        with self._lock:
            self._channel = None if self._channel is channel else self._channel
            left, self._born = list(self._born.values()), {}
        channel.close()
        for born in left:
            born.end(-signal.SIGKILL)
