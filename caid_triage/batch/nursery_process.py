"""The process that scans are born in: it has imported what every scan needs, and forks one when it is asked to.

Starting a scan of a small exhibit costs half a second of importing and of compiling the report's template, for every
exhibit anew. Here it is done once. What is forked goes on as ``python -m caid_triage scan ...`` would: the same words,
the same code, streams of its own, a process group of its own, and it ends with this process as this one does with the
batch. This process reads nothing of the evidence, holds no hash set and has one thread: forking it is safe.

Run as ``python -m caid_triage.batch.nursery_process PARENT`` with a socket as standard input. A line in (JSON, with two
open files, standard output and error): ``{"id": 1, "words": ["scan", ...]}`` or ``{"id": 1, "signal": 2}``. A line out:
``{"id": 1, "code": 0}`` when it has ended, as subprocess tells it; ``{"id": 1, "refused": "..."}`` where the system
gives no process more.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
from contextlib import suppress

from caid_triage.batch.leash import hold

# What a scan imports before it has ended, in any case (tests/unit/batch/test_nursery.py: nearly all of it is here).
NEEDED = (
    "caid_triage.cli.main",
    "caid_triage.cli.scan",
    "caid_triage.cli.display",
    "caid_triage.cli.verdict",
    "caid_triage.case.command",
    "caid_triage.evidence.secrets",
    "caid_triage.hashset.store",
    "caid_triage.match.match",
    "caid_triage.match.options",
    "caid_triage.report.on_record",
    "caid_triage.scan.addresses",
    "caid_triage.scan.run",
)
LONGEST_MESSAGE = 1 << 16


class Nursery:
    """The loop of this process; what is forked leaves it."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._running: dict[int, int] = {}  # process id -> the number that the batch gave it
        self._text = b""
        self._files: list[int] = []
        self._woken, self._waker = os.pipe()
        for end in (self._woken, self._waker):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)

    def serve(self) -> list[str] | None:
        """Fork scans until the batch has gone: None. In a process that was forked: the words of its command."""
        while True:
            ready, _, _ = select.select([self._channel.fileno(), self._woken], [], [])
            if self._woken in ready:
                with suppress(BlockingIOError):
                    os.read(self._woken, 4096)
            self._reap()
            if self._channel.fileno() in ready:
                text, files, _, _ = socket.recv_fds(self._channel, LONGEST_MESSAGE, 16)
                if not text:
                    return None
                self._text += text
                self._files += files
                while b"\n" in self._text:
                    line, _, self._text = self._text.partition(b"\n")
                    words = self._obey(json.loads(line))
                    if words is not None:
                        return words

    def _obey(self, asked: dict[str, object]) -> list[str] | None:
        """Do what one line asks; the words of the command in the process that was forked for it."""
        number = asked["id"]
        assert isinstance(number, int)
        if "signal" in asked:
            for process, known in self._running.items():
                if known == number:  # not waited for yet: nobody else can have its id
                    os.kill(process, int(str(asked["signal"])))
            return None
        out, error = self._files[:2]
        del self._files[:2]
        parent = os.getpid()
        try:
            process = os.fork()
        except OSError as fault:
            self._say(id=number, refused=fault.strerror or str(fault))
            process = -1
        if process == 0:
            self._become(parent, out, error)
            words = asked["words"]
            assert isinstance(words, list)
            return words
        if process > 0:
            self._running[process] = number
        os.close(out)
        os.close(error)
        return None

    def _become(self, parent: int, out: int, error: int) -> None:
        """Make this process, which was just forked, one like any that is started anew."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setpgid(0, 0)
        hold(parent)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for given, place in ((nothing, 0), (out, 1), (error, 2)):
            os.dup2(given, place)
        # Those of before take their files for what they were: /dev/null can be sought in, a pipe cannot.
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - for as long as the process
        sys.stdout = open(1, "w", encoding=sys.stdout.encoding, closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", 1, sys.stderr.encoding, "backslashreplace", closefd=False)  # noqa: SIM115
        for used in {nothing, out, error, *self._files, self._woken, self._waker, self._channel.detach()} - {0, 1, 2}:
            os.close(used)

    def _reap(self) -> None:
        """Tell of every scan that has ended."""
        while self._running:
            process, status = os.waitpid(-1, os.WNOHANG)
            if process == 0:
                return
            number = self._running.pop(process, None)
            if number is not None:
                self._say(id=number, code=os.waitstatus_to_exitcode(status))

    def _say(self, **told: object) -> None:
        self._channel.sendall(json.dumps(told).encode() + b"\n")


def prepare() -> None:
    """Import what a scan needs and compile its page."""
    for name in NEEDED:
        importlib.import_module(name)
    importlib.import_module("caid_triage.report.html").prepared_page()
    gc.freeze()  # what is here stays shared with what is forked


if __name__ == "__main__":
    hold(int(sys.argv[1]), signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    prepare()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    command = Nursery(socket.socket(fileno=os.dup(0))).serve()
    if command is not None:
        sys.argv[1:] = command
        runpy.run_module("caid_triage", run_name="__main__", alter_sys=True)
