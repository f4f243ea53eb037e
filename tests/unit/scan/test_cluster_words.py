"""Orders come out as they went in; of an answer nothing is believed that is not exactly what was asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caid_triage.config import ParserLimits, WorkerLimits
from caid_triage.evidence.secrets import Secret
from caid_triage.model import (
    INSIDE,
    DecodeState,
    Digests,
    Examination,
    FileEntry,
    FileTimes,
    Kind,
    PerceptualHash,
    Problem,
    ScanRecord,
    Severity,
    State,
)
from caid_triage.scan import cluster_words as words
from caid_triage.scan.protocol import ProtocolError, to_json, write_frame

ORDER = words.Order(
    "0123456789abcdef",
    3,
    "digest",
    words.SourceOrder(
        "/nas/\udcffodd/E01", "E/1", "disk.dd", "full", (Secret("password", "päss\udce4"),), {"sizes": "5, 6"}
    ),
    WorkerLimits(decode_seconds=7),
    ParserLimits(deaths=3),
    (("/nas", "/mnt/\udcfe"),),
    words.Border(("memory",), ("seccomp",), ("JPEG", "PNG")),
)
OWNER = ORDER.source.owner
PARENT = FileEntry(
    "E/1", "disk.dd", "p1", 7, "/a\ud800b.zip", b"/a\xffb.zip", State.ALLOCATED, 90, locator=(0, 1, 2, 3)
)
DIGESTS = Digests(b"m" * 16, b"s" * 20, b"h" * 32)
OWN = Examination(
    DIGESTS,
    90,
    Kind.IMAGE,
    "image/jpeg",
    DecodeState.DECODED,
    10,
    20,
    None,
    (PerceptualHash("pdq", b"p" * 32, 100, None),),
    (("camera-make", "Maker <b>"),),
    (Problem("decode", "partial-decode", "the end is missing", Severity.NOTE),),
)


def inner(part: int, **other: Any) -> FileEntry:
    told = {
        "path": PARENT.path + INSIDE + "x.jpg",
        "raw_path": PARENT.raw_path + INSIDE.encode() + b"x.jpg",
        "times": FileTimes(zone_note="local time, zone unknown"),
        "problems": (Problem("inside", "inside-cut", "cut", Severity.PROBLEM, "E/1", "disk.dd", "p1", "/a"),),
    }
    return FileEntry("E/1", "disk.dd", "p1", 7, state=State.EMBEDDED, size=None, part=part, **(told | other))  # type: ignore[arg-type]


def records(count: int = 2) -> list[ScanRecord]:
    inside = [ScanRecord(inner(part), replace(OWN, digests=None, bytes_read=0)) for part in range(1, count + 1)]
    return [*inside, ScanRecord(PARENT, replace(OWN, inside=count))]


def answer_of(*frames: bytes) -> bytes:
    answer = words.Answer()
    answer.add(frames)
    return answer.ended()


def read(payload: bytes, *entries: FileEntry) -> list[words.Answered]:
    return list(words.answers_from_frames(words.frames_of(payload), entries or [PARENT], OWNER))


def test_an_order_comes_out_as_it_went_in() -> None:
    entries = [PARENT, replace(PARENT, number=8, size=None, readable=False, problems=())]
    assert words.order_from_bytes(ORDER.to_bytes(entries)) == replace(ORDER, entries=tuple(entries))
    plain = replace(ORDER, border=None, maps=())
    assert words.order_from_bytes(plain.to_bytes()) == plain


def test_a_secret_shows_in_no_text_of_an_order() -> None:
    assert "päss" not in repr(ORDER)


@pytest.mark.parametrize("payload", [b"", b"[]", b"{}", b"\xff"])
def test_orders_that_are_none_are_nonsense(payload: bytes) -> None:
    with pytest.raises(ProtocolError):
        words.order_from_bytes(payload)


def test_records_come_out_as_they_went_in() -> None:
    other = replace(PARENT, number=9)
    payload = answer_of(*map(words.record_frame, records()), words.record_frame(ScanRecord(other, OWN)))
    first, second = read(payload, PARENT, other)
    assert first == words.Answered(PARENT, tuple(records()))
    assert second.records == (ScanRecord(other, OWN),)


def test_an_entry_may_be_left_to_the_coordinator() -> None:
    answer = words.Answer()
    answer.say(words.HERE)
    answer.say(words.LATER)
    other = replace(PARENT, number=9)
    assert read(answer.ended(), PARENT, other) == [
        words.Answered(PARENT, outcome="here"),
        words.Answered(other, outcome="later"),
    ]


def lie(**other: Any) -> bytes:
    found = words.record_frame(ScanRecord(inner(1, **other), OWN))
    return answer_of(found, words.record_frame(ScanRecord(PARENT, replace(OWN, inside=1))))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        answer_of(),
        answer_of(*map(words.record_frame, records()))[:-5],
        answer_of(*map(words.record_frame, records())) + b"x",
        answer_of(*map(words.record_frame, records()), words.record_frame(ScanRecord(PARENT, OWN))),
        answer_of(*map(words.record_frame, records()[1:])),
        answer_of(words.record_frame(records()[0])),
        answer_of(words.record_frame(ScanRecord(PARENT, replace(OWN, inside=1)))),
        lie(path="/another//x.jpg"),
        lie(locator=(1, 2)),
        lie(inode=5),
        answer_of(words.record_frame(ScanRecord(replace(inner(1), volume="p2"), OWN))),
        answer_of(words.record_frame(ScanRecord(replace(inner(1), number=8), OWN))),
        answer_of(words.record_frame(ScanRecord(replace(inner(1), state=State.ALLOCATED), OWN))),
    ],
)
def test_answers_that_are_not_what_was_asked_for_are_nonsense(payload: bytes) -> None:
    with pytest.raises(ProtocolError):
        read(payload)


@given(st.binary(max_size=200))
def test_any_bytes_are_records_or_nonsense(payload: bytes) -> None:
    try:
        read(payload)
    except ProtocolError:
        return
    pytest.fail("arbitrary bytes were taken for an answer")


@given(st.sampled_from([words.OWN, words.INSIDE, words.HERE]), st.dictionaries(st.text(max_size=9), st.integers()))
def test_frames_of_other_fields_are_nonsense(kind: bytes, value: dict[str, int]) -> None:
    import io

    stream = io.BytesIO()
    write_frame(stream, kind, to_json(value))
    write_frame(stream, words.END)
    if kind == words.HERE:
        assert read(stream.getvalue())[0].outcome == "here"
        return
    with pytest.raises(ProtocolError):
        read(stream.getvalue())
