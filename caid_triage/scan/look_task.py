"""What a worker does for a review: a small picture of one content, or one content from inside another, as its bytes.

    coordinator -> worker   TASK {"mode":"small"|"content","size","sha256","inside","side","kind","media_type"}
                            CHUNK bytes ... END   (not for a film that is too large to be held: it is read by NEED)
    worker -> coordinator   NEED ...   STEP   (scan/protocol.py)
                            PIXELS {"width","height","channels"}, then CHUNK with so many bytes
                            CONTENT, then CHUNK bytes ..., then END
                            NOTHING {"why"}

Pixels are what a hostile content can show and nothing else; the coordinator makes the picture file of them itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, BinaryIO

from caid_triage.config import WorkerLimits
from caid_triage.examine.embedded.walk import Step
from caid_triage.examine.limits import Limits
from caid_triage.examine.small import LEAST_SIDE, MOST_SIDE, small_film, small_of
from caid_triage.examine.taken import Taking, Wanted
from caid_triage.examine.video_bytes import ReadAt, VideoBytes
from caid_triage.model import Kind
from caid_triage.scan import protocol
from caid_triage.scan.confine import allow_cpu
from caid_triage.scan.intake import say_step, take_in

PIECE = 1 << 19


def answer_look(
    header: dict[str, Any],
    source: BinaryIO,
    sink: BinaryIO,
    limits: WorkerLimits,
    read_at: ReadAt,
    beside: Callable[[str], tuple[int, ReadAt]],
) -> None:
    """Answer one task of a review."""
    size = protocol.integer(header.get("size"), 0, 1 << 62)
    side = protocol.integer(header.get("side"), LEAST_SIDE, MOST_SIDE)
    wanted = Wanted(bytes.fromhex(protocol.text(header.get("sha256"), 64)))
    allow_cpu(limits.cpu_for(0))
    if header.get("streamed") is not True:
        file = VideoBytes(size, read_at, Limits().max_reread_bytes)
        _say(small_film(file, protocol.text(header.get("media_type"), 200), Limits(), side), sink)
        return
    run = Taking(Limits(), size, wanted, read_at, beside)
    if not take_in(run, source, limits):
        return
    if header.get("inside") is True:
        for item in run.search():
            if isinstance(item, Step):
                say_step(item, sink, limits)
    else:
        run.digests()
    if wanted.content is None or wanted.what is None:
        text = "it was not found again in the file that it lay in" if header.get("inside") is True else CHANGED
        _nothing(text, sink)
    elif header.get("mode") == protocol.Mode.SMALL:
        allow_cpu(limits.cpu_for(len(wanted.content)))
        if wanted.what.kind is Kind.OTHER:
            _nothing("it is no picture and no film", sink)
            return
        _say(small_of(wanted.what.kind, wanted.content, wanted.what.media_type, Limits(), side), sink)
    else:
        protocol.write_frame(sink, protocol.CONTENT)
        for begin in range(0, len(wanted.content), PIECE):
            protocol.write_frame(sink, protocol.CHUNK, wanted.content[begin : begin + PIECE])
        protocol.write_frame(sink, protocol.END)
        sink.flush()


CHANGED = "the file has other content now than when it was examined"


def _say(found: Any, sink: BinaryIO) -> None:
    """Hand over pixels, or why there are none."""
    if isinstance(found, str):
        _nothing(found, sink)
        return
    height, width = found.shape[:2]
    channels = 1 if found.ndim == 2 else found.shape[2]
    told = {"width": width, "height": height, "channels": channels}
    protocol.write_frame(sink, protocol.PIXELS, protocol.to_json(told))
    protocol.write_frame(sink, protocol.CHUNK, found.tobytes())
    sink.flush()


def _nothing(why: str, sink: BinaryIO) -> None:
    protocol.write_frame(sink, protocol.NOTHING, protocol.to_json({"why": why[:500]}))
    sink.flush()
