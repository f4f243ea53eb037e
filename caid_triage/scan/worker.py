"""The worker process: reads frames of file content, examines them, answers.

Started by scan/worker_start.py with its ORDERS (JSON, scan/worker_process.py). It is given bytes, never a path of
evidence, a hash set or the case; of a large video it asks for the bytes that it needs, by their place in the file (and
of one file beside an index of thumbnails, by a fixed name: scan/protocol.py). Before the first byte it gives up what it
will not need (scan/confine.py), and says in READY which of that the system holds it to. It may be killed at any moment:
the coordinator then marks one file (scan/pool.py).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from caid_triage.config import WorkerLimits
from caid_triage.examine.embedded.walk import Again, Step
from caid_triage.examine.examine import Examiner, Run, prepare_pictures
from caid_triage.examine.libraries import told_of_loading
from caid_triage.examine.limits import Limits
from caid_triage.examine.video_bytes import ReadAt
from caid_triage.model import Digests
from caid_triage.scan import protocol
from caid_triage.scan.confine import allow_cpu, confine, die_with_parent
from caid_triage.scan.inside import again_from_plain, found_to_plain
from caid_triage.scan.intake import say_step, take_in
from caid_triage.scan.private_pipe import private_streams


@dataclass(frozen=True, slots=True)
class Orders:
    """What a worker is started with: its limits, layers to leave out, whether to try itself, and by which process."""

    limits: WorkerLimits
    without: tuple[str, ...] = ()
    canary: bool = False
    parent: int = 0


def orders_from(text: str) -> Orders:
    """The orders of a command line."""
    value = protocol.from_json(text.encode())
    memory, decode, per_mb, chunk, start = value["limits"]
    limits = WorkerLimits(
        decode_seconds=decode,
        decode_seconds_per_mb=per_mb,
        chunk_seconds=chunk,
        start_seconds=start,
        memory_bytes=memory,
    )
    return Orders(limits, tuple(value["without"]), value["canary"] is True, value["parent"])


def answer_task(
    examiner: Examiner, header: dict[str, object], source: BinaryIO, sink: BinaryIO, limits: WorkerLimits
) -> None:
    """Examine one file: digests are sent before the decode, so that a decoder's death costs only the decode."""
    size = header.get("size")

    def read_at(offset: int, length: int) -> bytes:
        return ask(offset, length, source, sink)

    def beside(name: str) -> tuple[int, ReadAt]:
        (stated,) = protocol.SIZE.unpack(_asked({"beside": name}, protocol.SIZE.size, source, sink))
        return stated, lambda offset, length: ask(offset, length, source, sink, name)

    if header.get("mode") in (protocol.Mode.SMALL, protocol.Mode.CONTENT):
        from caid_triage.scan.look_task import answer_look  # noqa: PLC0415 - a scan has no use for it

        answer_look(header, source, sink, limits, read_at, beside)
        return
    random = header.get("random") is True
    run = examiner.begin(
        size=size if isinstance(size, int) else None,
        read_at=read_at if random else None,
        beside=beside if random else None,
    )
    if not take_in(run, source, limits):
        return
    digests: Digests = run.digests()
    identified = run.identified()
    waits = header.get("asks") is True and run.has_work
    early = protocol.digests_to_plain(digests) | {
        "kind": identified.kind.value,
        "media_type": identified.media_type,
        "bytes_read": run.bytes_read,
        "waits": waits,
    }
    protocol.write_frame(sink, protocol.DIGESTS, protocol.to_json(early))
    sink.flush()
    answer = _answer(source) if waits else protocol.Answer.GO_ON
    if answer is protocol.Answer.KNOWN_GOOD:
        run.leave_undecoded()
    if header.get("mode") == protocol.Mode.FULL and answer is not protocol.Answer.EXAMINED:
        look_inside(run, again_from_plain(header.get("again")), sink, limits)
        found = run.finish()
        protocol.write_frame(sink, protocol.EXAMINED, protocol.to_json(protocol.examination_to_plain(found)))
        sink.flush()


def _answer(source: BinaryIO) -> protocol.Answer:
    """The coordinator's word on the digests. Errors: ProtocolError for anything else."""
    kind, payload = protocol.read_frame(source, protocol.MAX_REPLY)
    if kind != protocol.ANSWER:
        raise protocol.ProtocolError("something else came than an answer to the digests")
    return protocol.answer_from_plain(protocol.from_json(payload))


def look_inside(run: Run, again: Again, sink: BinaryIO, limits: WorkerLimits) -> None:
    """Say what lies inside the file, one inner file after the other, and before each what is begun."""
    told = False
    for item in run.inside(again):
        if isinstance(item, Step):
            say_step(item, sink, limits)
            told = True
        else:
            protocol.write_frame(sink, protocol.FOUND, protocol.to_json(found_to_plain(item)))
            sink.flush()
    if told:
        allow_cpu(limits.cpu_for(run.bytes_read))
        protocol.write_frame(sink, protocol.STEP, protocol.to_json({"step": 0, "size": 0}))
        sink.flush()


def ask(offset: int, length: int, source: BinaryIO, sink: BinaryIO, beside: str = "") -> bytes:
    """The bytes at a place of this task's file, or of the one ``beside`` it of that name, which the coordinator reads.

    EvidenceError if it cannot.
    """
    wanted: dict[str, object] = {"offset": offset, "length": length}
    return _asked(wanted | {"beside": beside} if beside else wanted, length, source, sink)


def _asked(wanted: dict[str, object], length: int, source: BinaryIO, sink: BinaryIO) -> bytes:
    """The coordinator's answer of ``length`` bytes to a NEED. Errors: EvidenceError."""
    protocol.write_frame(sink, protocol.NEED, protocol.to_json(wanted))
    sink.flush()
    kind, payload = protocol.read_frame(source, protocol.MAX_CHUNK)
    if kind == protocol.ABORT:
        raise protocol.fault_from_plain(protocol.from_json(payload))
    if kind != protocol.CHUNK or len(payload) != length:
        raise protocol.ProtocolError("something else came than the bytes that were asked for")
    return payload


def confined(orders: Orders) -> dict[str, Any]:
    """Give up what a worker does not need; what came of it, for READY (scan/trial.py reads it)."""
    installed = None
    if orders.canary:
        from caid_triage.scan.canary import installed_libraries, sing  # noqa: PLC0415 - one worker of a scan needs it

        installed = installed_libraries()
    told = confine(memory=orders.limits.memory_bytes, without=orders.without)
    allow_cpu(orders.limits.cpu_for(0))
    facts: dict[str, Any] = {"active": told.active, "missing": dict(told.missing), "landlock": told.landlock}
    if installed is not None:
        from caid_triage.scan.escape import still_possible  # noqa: PLC0415 - likewise

        facts |= {"possible": still_possible(), "canary": sing(installed, Limits())}
    return facts


def serve(
    source: BinaryIO, sink: BinaryIO, examiner: Examiner, limits: WorkerLimits, facts: Mapping[str, Any] | None = None
) -> None:
    """Answer tasks until the coordinator closes the pipe; ``facts`` are what came of being confined."""

    def tell(began: bool) -> None:
        protocol.write_frame(sink, protocol.LOADING if began else protocol.LOADED)
        sink.flush()

    told_of_loading.set(tell)
    protocol.write_frame(sink, protocol.READY, protocol.to_json(dict(facts or {})))
    sink.flush()
    while True:
        try:
            kind, payload = protocol.read_frame(source, protocol.MAX_CHUNK)
        except EOFError:
            return
        if kind != protocol.TASK:
            raise protocol.ProtocolError("a task was expected")
        answer_task(examiner, protocol.from_json(payload), source, sink, limits)


def main() -> int:
    """Serve, confined."""
    source, sink = private_streams()
    orders = orders_from(sys.argv[1])
    die_with_parent(orders.parent)
    examiner = Examiner(Limits())
    prepare_pictures()  # what a unit has installed may lie anywhere, and is trusted like this program
    facts = confined(orders)
    try:
        serve(source, sink, examiner, orders.limits, facts)
    except BrokenPipeError:
        return 0  # the coordinator is gone
    return 0
