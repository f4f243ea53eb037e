"""What every look inside a content is held to, for the targets that damage containers."""

from __future__ import annotations

import hashlib
import json
import struct
import sys
import traceback
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import Any

from caid_triage.errors import EvidenceError
from caid_triage.examine import boundary
from caid_triage.examine.embedded.content import Content
from caid_triage.examine.embedded.inner import Inner
from caid_triage.examine.embedded.walk import Again, Found, Step
from caid_triage.examine.examine import Examiner, Run, prepare_decoders
from caid_triage.examine.limits import Limits
from caid_triage.examine.video_bytes import Beside
from caid_triage.model import MOST_PARTS, Examination, Problem
from caid_triage.scan import protocol
from caid_triage.scan.inside import found_from_plain, found_to_plain
from fuzz.target import PRODUCT, expect

LIMITS = Limits(
    max_inside_files=2_000, max_inside_bytes=32 << 20, max_video_frames=8, max_frames=8, max_pixels=1 << 22,
    max_jpeg_pixels=1 << 22, max_scan_pixels=1 << 24, max_frame_pixels=1 << 22, max_video_pixels=1 << 24,
)  # fmt: skip
"""Smaller than a scan's, so that an input of some KiB costs little; the code is the same."""

# What a parser of ours must foresee, where the boundary would make "failed in a way that is not foreseen" of it.
UNFORESEEN = (IndexError, KeyError, struct.error, TypeError, AttributeError, ZeroDivisionError, UnboundLocalError,
              AssertionError, RecursionError, UnicodeError, OverflowError, NotImplementedError)  # fmt: skip
_Boundary = Callable[[Callable[[], Any]], Any]
_PLAIN: _Boundary = boundary.at_the_boundary


def prepare() -> None:
    """Load every decoder, so that no input's time is charged for it."""
    prepare_decoders()


@contextmanager
def watched() -> Iterator[list[BaseException]]:
    """The boundary keeps what was raised in a line of ours while this lasts: a library may raise anything, we may not.

    A module that is loaded meanwhile is not watched before the next input.
    """
    met: list[BaseException] = []

    def watching(step: Callable[[], Any]) -> Any:
        def one() -> Any:
            try:
                return step()
            except UNFORESEEN as error:
                if PRODUCT in traceback.extract_tb(error.__traceback__)[-1].filename:
                    met.append(error)
                raise

        return _PLAIN(one)

    modules = _with_boundary(len(sys.modules))
    for module in modules:
        module.at_the_boundary = watching
    try:
        yield met
    finally:
        for module in modules:
            module.at_the_boundary = _PLAIN


@lru_cache(maxsize=1)
def _with_boundary(_loaded: int) -> list[Any]:
    """The modules that have the boundary by its name, as long as no other is loaded."""
    named = [(name, module) for name, module in sys.modules.items() if name.startswith(PRODUCT)]
    return [module for _, module in named if getattr(module, "at_the_boundary", None) is _PLAIN]


def looked_into(data: bytes, beside: Beside | None = None, again: Again | None = None) -> tuple[list[Found], Run]:
    """What lies inside, and the finished run of the whole."""
    run = Examiner(LIMITS).begin("", len(data), None, beside)
    run.update(data)
    found = []
    last = 0
    for item in run.inside(again or Again()):
        if isinstance(item, Step):
            expect(item.number in (0, last + 1), "steps are not counted one by one")
            last = item.number or last
        else:
            found.append(item)
    return found, run


def check_inside(data: bytes, beside: Beside | None = None) -> str:
    """The laws of looking inside; what came of it in a word."""
    with watched() as met:
        found, run = looked_into(data, beside)
        whole = run.finish()
    if met:
        raise met[0]
    expect([one.part for one in found] == list(range(1, len(found) + 1)), "parts are not counted one by one")
    expect(whole.inside == len(found) <= MOST_PARTS, "the count of what lies inside is another")
    expect(whole.bytes_read == len(data), "other bytes were counted than were given")
    digests = whole.digests
    expect(digests is not None and digests.sha256 == hashlib.sha256(data).digest(), "another digest of the whole")
    for one in found:
        reason = one.problems or one.examination.problems
        expect(one.examination.digests is not None or bool(reason), "no digests and no reason")
        expect(bool(one.names), "an inner file without a name")
    _through_the_pipe(found, whole)
    if zlib.crc32(data) % 4 == 0:
        _recomputed(found, run)
        again, rerun = looked_into(data, beside)
        expect(again == found and rerun.finish() == whole, "a second look is another")
        half = len(found) // 2
        rest, third = looked_into(data, beside, Again(delivered=half))
        expect(rest == found[half:] and third.finish().inside == whole.inside, "going on in the middle is another")
    if not found:
        return "nothing, said so" if whole.problems else "nothing"
    return "found, with problems" if whole.problems or any(one.problems for one in found) else "found"


def _through_the_pipe(found: list[Found], whole: Examination) -> None:
    """What a worker says, the coordinator understands as the same."""
    for one in found:
        said = protocol.to_json(found_to_plain(one))
        expect(len(said) <= protocol.MAX_REPLY, "a frame longer than the coordinator takes")
        expect(found_from_plain(json.loads(said)) == one, "an inner file is another behind the pipe")
    said = protocol.to_json(protocol.examination_to_plain(whole))
    expect(len(said) <= protocol.MAX_REPLY, "a frame longer than the coordinator takes")
    expect(protocol.examination_from_plain(json.loads(said), whole.digests) == whole, "it is another behind the pipe")


def _recomputed(found: list[Found], run: Run) -> None:
    """What lies at the first level, unpacked once more and digested without the walk."""
    container = run.container()
    if container is None or isinstance(container, Problem):
        return
    lister, file = container
    stated = [one for one in found if len(one.names) == 1 and not one.names[0].startswith(b"thumbnail")]
    plain: list[tuple[bytes, bytes | None]] = []
    budget = LIMITS.max_inside_bytes
    listed = lister(Content(file))
    while True:
        item = _PLAIN(partial(next, listed, None))
        if item is None or isinstance(item, boundary.Failure):
            break
        if not isinstance(item, Inner):
            continue
        hashed, length = hashlib.sha256(), 0
        pieces = item.pieces() if item.pieces is not None else iter(())
        while isinstance(piece := _PLAIN(partial(next, pieces, None)), bytes):
            hashed.update(piece)
            length += len(piece)
            budget -= len(piece)
            if budget < 0:
                return
        plain.append((item.name, hashed.digest() if length else None))
        if len(plain) > 200:
            return
    walked = [(one.names[0], one.examination.digests) for one in stated]
    if len(walked) != len(plain) or any("inside-budget" in one.code for one in run.finish().problems):
        expect(len(walked) <= len(plain) or len(plain) > 200, "more inner files than the container lists")
        return
    for (name, digests), (listed_name, digest) in zip(walked, plain, strict=True):
        expect(name == listed_name[: len(name)], "an inner file of another name")
        if digests is not None and digest is not None:
            expect(digests.sha256 == digest, "another digest than that of a plain reading")


def neighbour(data: bytes) -> Beside:
    """A file beside the content, held in memory."""

    def beside(name: str) -> tuple[int, Callable[[int, int], bytes]]:
        if name not in protocol.BESIDE:
            raise EvidenceError("read", "read-failed", "no such file")

        def read_at(offset: int, length: int) -> bytes:
            if offset + length > len(data):
                raise EvidenceError("read", "short-read", "the file ended")
            return data[offset : offset + length]

        return len(data), read_at

    return beside
