"""A Dask cluster of real processes on this machine (or in network namespaces of it), as a unit would start one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

WAIT_SECONDS = 60.0


@dataclass
class DaskCluster:
    """A scheduler and workers without nannies: a worker that is killed stays dead. Logs lie in ``folder``."""

    folder: Path
    host: str = "127.0.0.1"
    tls: Sequence[str] = ()
    around: dict[str, Sequence[str]] = field(default_factory=dict)
    """Words in front of the command of "scheduler" or of a worker by its name, as ``ip netns exec NAME``."""
    address: str = ""
    scheduler: subprocess.Popen[bytes] | None = None
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start_scheduler(self, port: int = 0) -> None:
        place = self.folder / "scheduler.json"
        words = ["--host", self.host, "--port", str(port), "--no-dashboard", "--scheduler-file", str(place)]
        self.scheduler = self._started("scheduler", "scheduler", [*words, *self.tls])
        until(place.exists, "a scheduler")
        until(lambda: bool(place.read_text().strip()), "its address")
        self.address = json.loads(place.read_text())["address"]

    def start_worker(
        self, *words: str, threads: int = 1, env: dict[str, str] | None = None, name: str = "", nanny: bool = False
    ) -> subprocess.Popen[bytes]:
        scratch = self.folder / f"scratch-{len(self.workers)}"
        own = ["--nthreads", str(threads), "--no-dashboard", "--local-directory", str(scratch), *words]
        own += [] if nanny else ["--no-nanny"]
        called = name or f"worker-{len(self.workers)}"
        process = self._started("worker", called, [self.address, *own, *self.tls], env)
        self.workers.append(process)
        log = self.folder / f"{called}.log"
        until(lambda: b"Registered to" in log.read_bytes() or process.poll() is not None, "a worker")
        assert process.poll() is None, log.read_text()
        return process

    def _started(
        self, kind: str, name: str, words: Sequence[str], env: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        command = [*self.around.get(name, ()), sys.executable, "-P", "-m", f"distributed.cli.dask_{kind}", *words]
        with (self.folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=os.environ | (env or {}), cwd=self.folder
            )

    def logs(self) -> str:
        return "".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log")))

    def close(self) -> None:
        processes = [*self.workers, *([self.scheduler] if self.scheduler else [])]
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def dask_cluster(folder: Path, workers: int = 2, **options: object) -> Iterator[DaskCluster]:
    """A scheduler and so many workers of one thread, ended at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    cluster = DaskCluster(folder, **options)  # type: ignore[arg-type]
    try:
        cluster.start_scheduler()
        for _ in range(workers):
            cluster.start_worker()
        yield cluster
    finally:
        cluster.close()


def until(holds: object, what: str) -> None:
    """Wait until something holds."""
    assert callable(holds)
    end = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < end, f"waited for {what} for {WAIT_SECONDS:.0f} s"
        time.sleep(0.05)


def authority(folder: Path) -> dict[str, Path]:
    """A certificate authority and a certificate of it, made with the commands that docs/guide/cluster.md gives."""
    assert shutil.which("openssl")
    folder.mkdir(parents=True, exist_ok=True)
    for words in (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 -subj /CN=unit-cluster-ca "
        "-keyout ca-key.pem -out ca.pem",
        "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=unit-cluster -keyout node-key.pem "
        "-out node.csr",
        "x509 -req -in node.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 365 -out node.pem",
    ):
        subprocess.run(["openssl", *words.split()], cwd=folder, check=True, capture_output=True)
    return {"ca": folder / "ca.pem", "cert": folder / "node.pem", "key": folder / "node-key.pem"}
