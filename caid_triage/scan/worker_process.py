"""One worker process and its private pipe, started the same way on every operating system."""

from __future__ import annotations

import json
import os
import signal
import site
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, BinaryIO, cast

from caid_triage.config import WorkerLimits

WORKER_MODULE = "caid_triage.scan.worker_start"
# What a worker is told of the examiner's surroundings: how Python and its libraries are found, and what words and times
# look like. Neither a home nor a path of a case, nor what else may stand in an environment (proxies, keys).
PASSED_ON = frozenset(
    ("DYLD_FALLBACK_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "PYTHONHOME",
     "PYTHONNOUSERSITE", "PYTHONUTF8", "TZ")
)  # fmt: skip
PASSED_ON_WINDOWS = frozenset(
    ("NUMBER_OF_PROCESSORS", "PATH", "PROCESSOR_ARCHITECTURE", "SYSTEMDRIVE", "SYSTEMROOT", "WINDIR")
)
# A plug-in that a unit has installed may need settings of its own (docs/formats/plugins.md).
PLUGIN_PREFIX = "CAID_TRIAGE_PLUGIN_"


def worker_environment(known: Mapping[str, str]) -> dict[str, str]:
    """The environment of a worker, made of that of this process."""
    passed = PASSED_ON | (PASSED_ON_WINDOWS if sys.platform == "win32" else frozenset())
    found = {name: value for name, value in known.items() if name.upper() in passed or name.startswith(PLUGIN_PREFIX)}
    if paths := [os.path.abspath(path) for path in known.get("PYTHONPATH", "").split(os.pathsep) if path]:  # noqa: PTH100 - lexical
        found["PYTHONPATH"] = os.pathsep.join(paths)  # whole ones: a worker lives in another folder
    if site.ENABLE_USER_SITE and "PYTHONNOUSERSITE" not in found:
        found["PYTHONUSERBASE"] = site.getuserbase()  # where HOME would lead
    return found | {
        # One thread a worker: the pool is the parallelism, and sums do not depend on the machine's cores.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }


def neutral_folder() -> str:
    """Where a worker lives: no folder of the examiner's, the case's or a suspect's, and none that keeps a disk busy."""
    return os.environ.get("SYSTEMROOT", "C:\\") if sys.platform == "win32" else "/"


class WorkerProcess:
    """One worker and its private pipe."""

    def __init__(self, limits: WorkerLimits, without: tuple[str, ...] = (), canary: bool = False) -> None:
        """Start it. The pool (scan/pool.py) waits until it says that it is ready, and keeps count of what it does.

        ``without`` are layers of its confinement to leave out; with ``canary`` it tries itself first (scan/trial.py).
        """
        options: dict[str, Any] = (
            {"creationflags": 0x08000000}  # CREATE_NO_WINDOW
            if sys.platform == "win32"
            else {"start_new_session": True}
        )
        orders = {
            "limits": [
                limits.memory_bytes,
                limits.decode_seconds,
                limits.decode_seconds_per_mb,
                limits.chunk_seconds,
                limits.start_seconds,
            ],
            "without": without,
            "canary": canary,
            "parent": os.getpid(),
        }
        # -P: the current folder, which may be a suspect's, is never searched for modules.
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-P", "-m", WORKER_MODULE, json.dumps(orders)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=worker_environment(os.environ),
            cwd=neutral_folder(),
            close_fds=True,
            **options,
        )
        self.sink = cast(BinaryIO, self._process.stdin)
        self.source = cast(BinaryIO, self._process.stdout)
        self.tasks = 0
        self.ready = False
        self.hung = False
        self.loads = 0
        self.canary = canary
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


def why_no_start(module: str = "") -> str:
    """The last line that a worker (or another process of ours) says when it is started by hand."""
    modules = module or f"{WORKER_MODULE}, caid_triage.scan.worker"
    finished = subprocess.run(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-P", "-c", f"import {modules}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=worker_environment(os.environ),
        cwd=neutral_folder(),
    )
    lines = finished.stderr.strip().splitlines()
    return lines[-1] if lines else "it can be imported; is the memory limit too low?"
