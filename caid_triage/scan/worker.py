"""The worker process: reads frames of file content, examines them, answers.

Run as ``python -m caid_triage.scan.worker BYTES`` with its cap on memory. It is given bytes, never a path of evidence,
a hash set or the case; of a large video it asks for the bytes that it needs, by their place in the file (and of one
file beside an index of thumbnails, by a fixed name: scan/protocol.py). It may be killed at any moment: the coordinator
then marks one file (scan/pool.py).
"""

from __future__ import annotations

import sys
from typing import BinaryIO

from caid_triage.examine.embedded.walk import Again, Step
from caid_triage.examine.examine import Examiner, Run, prepare_pictures
from caid_triage.examine.libraries import told_of_loading
from caid_triage.examine.limits import Limits
from caid_triage.examine.video_bytes import ReadAt
from caid_triage.model import Digests
from caid_triage.scan import protocol
from caid_triage.scan.confine import die_with_parent, limit_memory
from caid_triage.scan.inside import again_from_plain, found_to_plain
from caid_triage.scan.private_pipe import private_streams


def answer_task(examiner: Examiner, header: dict[str, object], source: BinaryIO, sink: BinaryIO) -> None:
    """Examine one file: digests are sent before the decode, so that a decoder's death costs only the decode."""
    size = header.get("size")

    def read_at(offset: int, length: int) -> bytes:
        return ask(offset, length, source, sink)

    def beside(name: str) -> tuple[int, ReadAt]:
        (stated,) = protocol.SIZE.unpack(_asked({"beside": name}, protocol.SIZE.size, source, sink))
        return stated, lambda offset, length: ask(offset, length, source, sink, name)

    random = header.get("random") is True
    run = examiner.begin(
        size=size if isinstance(size, int) else None,
        read_at=read_at if random else None,
        beside=beside if random else None,
    )
    while True:
        kind, payload = protocol.read_frame(source, protocol.MAX_CHUNK)
        if kind == protocol.CHUNK:
            run.update(payload)
        elif kind == protocol.END:
            break
        elif kind == protocol.ABORT:
            return
        else:
            raise protocol.ProtocolError("an unexpected frame inside a task")
    digests: Digests = run.digests()
    identified = run.identified()
    early = protocol.digests_to_plain(digests) | {
        "kind": identified.kind.value,
        "media_type": identified.media_type,
        "bytes_read": run.bytes_read,
    }
    protocol.write_frame(sink, protocol.DIGESTS, protocol.to_json(early))
    sink.flush()
    if header.get("mode") == protocol.Mode.FULL:
        look_inside(run, again_from_plain(header.get("again")), sink)
        found = run.finish()
        protocol.write_frame(sink, protocol.EXAMINED, protocol.to_json(protocol.examination_to_plain(found)))
        sink.flush()


def look_inside(run: Run, again: Again, sink: BinaryIO) -> None:
    """Say what lies inside the file, one inner file after the other, and before each what is begun."""
    told = False
    for item in run.inside(again):
        if isinstance(item, Step):
            protocol.write_frame(sink, protocol.STEP, protocol.to_json({"step": item.number, "size": item.size}))
            told = True
        else:
            protocol.write_frame(sink, protocol.FOUND, protocol.to_json(found_to_plain(item)))
        sink.flush()
    if told:
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


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer tasks until the coordinator closes the pipe."""
    examiner = Examiner(Limits())
    prepare_pictures()

    def tell(began: bool) -> None:
        protocol.write_frame(sink, protocol.LOADING if began else protocol.LOADED)
        sink.flush()

    told_of_loading.set(tell)
    protocol.write_frame(sink, protocol.READY, b"{}")
    sink.flush()
    while True:
        try:
            kind, payload = protocol.read_frame(source, protocol.MAX_CHUNK)
        except EOFError:
            return
        if kind != protocol.TASK:
            raise protocol.ProtocolError("a task was expected")
        answer_task(examiner, protocol.from_json(payload), source, sink)


def main() -> int:
    """Confine the process, then serve."""
    source, sink = private_streams()
    die_with_parent()
    limit_memory(int(sys.argv[1]))
    try:
        serve(source, sink)
    except BrokenPipeError:
        return 0  # the coordinator is gone
    return 0


if __name__ == "__main__":
    sys.exit(main())
