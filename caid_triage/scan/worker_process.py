"""One worker process and its private pipe, started the same way on every operating system."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from typing import Any, BinaryIO, cast

from caid_triage.config import WorkerLimits

WORKER_MODULE = "caid_triage.scan.worker"


class WorkerProcess:
    """One worker and its private pipe."""

    def __init__(self, limits: WorkerLimits) -> None:
        """Start it. The pool (scan/pool.py) waits until it says that it is ready, and keeps count of what it does."""
        environment = os.environ | {
            # One thread a worker: the pool is the parallelism, and sums do not depend on the machine's cores.
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
        }
        options: dict[str, Any] = (
            {"creationflags": 0x08000000}  # CREATE_NO_WINDOW
            if sys.platform == "win32"
            else {"start_new_session": True}
        )
        # -P: the current folder, which may be a suspect's, is never searched for modules.
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-P", "-m", WORKER_MODULE, str(limits.memory_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            **options,
        )
        self.sink = cast(BinaryIO, self._process.stdin)
        self.source = cast(BinaryIO, self._process.stdout)
        self.tasks = 0
        self.ready = False
        self.loads = 0
        self.starter = threading.get_ident()
        widen_pipe(self.sink.fileno())

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def kill(self) -> None:
        """End the worker and whatever it started, at once."""
        if sys.platform != "win32":
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                self._process.kill()
        else:
            self._process.kill()

    def close(self) -> int:
        """Kill, reap and close the pipe; returns how it ended, as the operating system tells it."""
        self.kill()
        ended = self._process.wait()
        for stream in (self.sink, self.source):
            with suppress(OSError):  # what was still buffered for a dead worker
                stream.close()
        return ended


def widen_pipe(descriptor: int) -> None:
    """Let a pipe hold a whole chunk, so that feeding a worker is one switch and not sixteen (Linux only)."""
    if sys.platform == "linux":
        import fcntl  # noqa: PLC0415 - POSIX only

        with suppress(OSError):  # over the user's limit for pipes: slower, not wrong
            fcntl.fcntl(descriptor, 1031, 1 << 20)  # F_SETPIPE_SZ


def why_no_start(module: str = WORKER_MODULE) -> str:
    """The last line that a worker (or another process of ours) says when it is started by hand."""
    finished = subprocess.run(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-P", "-c", f"import {module}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    lines = finished.stderr.strip().splitlines()
    return lines[-1] if lines else "it can be imported; is the memory limit too low?"
