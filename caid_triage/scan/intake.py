"""What a worker does with a task whatever it is for: takes the bytes of the file in, and says which step it begins."""

from __future__ import annotations

from typing import BinaryIO, Protocol

from caid_triage.config import WorkerLimits
from caid_triage.examine.embedded.walk import Step
from caid_triage.scan import protocol
from caid_triage.scan.confine import allow_cpu


class Taker(Protocol):
    """What the bytes of a file are given to."""

    @property
    def bytes_read(self) -> int:
        """How many bytes it was given."""

    def update(self, data: bytes, /) -> None:
        """Take the next bytes."""


def take_in(run: Taker, source: BinaryIO, limits: WorkerLimits) -> bool:
    """Give a file's bytes to ``run``; False where the coordinator gave the task up. ProtocolError: another frame."""
    while True:
        kind, payload = protocol.read_frame(source, protocol.MAX_CHUNK)
        if kind == protocol.CHUNK:
            allow_cpu(limits.cpu_for(0))
            run.update(payload)
        elif kind == protocol.END:
            allow_cpu(limits.cpu_for(run.bytes_read))
            return True
        elif kind == protocol.ABORT:
            return False
        else:
            raise protocol.ProtocolError("an unexpected frame inside a task")


def say_step(step: Step, sink: BinaryIO, limits: WorkerLimits) -> None:
    """Say what is begun, which has its own processor time."""
    protocol.write_frame(sink, protocol.STEP, protocol.to_json({"step": step.number, "size": step.size}))
    allow_cpu(limits.cpu_for(step.size))
    sink.flush()
