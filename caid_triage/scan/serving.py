"""What the processes that hold evidence do alike: confine themselves, open what they are told to, answer, and end.

Each is run as ``python -P -m MODULE BYTES FD`` with its cap on memory and the open file of the page that it shares with
the coordinator, which asks over their pipe (scan/evidence_link.py).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, BinaryIO, NoReturn

from caid_triage.cores import leave_no_core
from caid_triage.errors import SourceError
from caid_triage.evidence.steps import Place, Step, told_of_steps
from caid_triage.scan import evidence_words as words
from caid_triage.scan.confine import die_with_parent, limit_memory
from caid_triage.scan.evidence_page import Leaving, Page, PageSteps
from caid_triage.scan.private_pipe import private_streams
from caid_triage.scan.protocol import ProtocolError, from_json, read_frame, to_json, write_frame

Value = Mapping[str, Any]
Answer = Callable[[bytes, Value], None]
Open = Callable[[Value, PageSteps, BinaryIO], tuple[dict[str, Any], Answer]]
"""Opens what a request names: what there is to say of it, and what answers each request after. Errors: SourceError."""


def left_out_from_plain(rows: list[list[Any]]) -> dict[Place, Leaving]:
    """The places that the coordinator wants to be left out."""
    return {Place(*place): Leaving(code, detail, ends) for place, code, detail, ends in rows}


def serve(source: BinaryIO, sink: BinaryIO, page: Page, open_it: Open) -> None:
    """Open, then answer until the coordinator closes the pipe."""

    def say(kind: bytes, value: dict[str, Any]) -> None:
        write_frame(sink, kind, to_json(value))
        sink.flush()

    kind, payload = read_frame(source, words.MOST_REQUEST)
    if kind != words.OPEN:
        raise ProtocolError("something else was asked before a source was opened")
    value = from_json(payload)
    steps = PageSteps(page, left_out_from_plain(value["left_out"]))
    told_of_steps.set(steps)
    steps.at(Step.OPENING)
    try:
        told, answer = open_it(value, steps, sink)
    except SourceError as error:
        say(words.REFUSED, {"message": str(error)})
        return
    say(words.OPENED, told)
    while True:
        steps.at(Step.IDLE)
        try:
            kind, payload = read_frame(source, words.MOST_REQUEST)
        except EOFError:
            return
        answer(kind, from_json(payload))
        sink.flush()


def tell_ending(page: Page) -> None:
    """Have the page say what kind of exception ends this process, and nothing else: it could quote the evidence."""

    def hook(kind: type[BaseException], _error: BaseException, _trace: TracebackType | None) -> None:
        page.say_ending(kind.__name__)
        os._exit(1)  # a search that still runs is not waited for

    sys.excepthook = hook


def serve_and_end(open_it: Open) -> NoReturn:
    """What such a process is from its beginning to its end; what else confines it would keep it from opening things."""
    source, sink = private_streams()
    die_with_parent()
    leave_no_core()
    limit_memory(int(sys.argv[1]))
    page = Page(int(sys.argv[2]))
    tell_ending(page)
    code = 1
    with suppress(BrokenPipeError):  # the coordinator is gone
        serve(source, sink, page, open_it)
        sink.close()
        code = 0
    os._exit(code)  # neither a search that still runs nor a read that a failing disk does not end is waited for
