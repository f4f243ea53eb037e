"""The frames between coordinator and worker: what a hostile worker says is refused, what a good one says survives."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caid_triage.model import DecodeState, Digests, Examination, Kind, PerceptualHash, Problem, Severity
from caid_triage.scan import protocol

DIGESTS = Digests(bytes(16), bytes(range(20)), bytes(range(32)))
numbers = st.none() | st.integers(0, 1 << 40)
examinations = st.builds(
    Examination,
    digests=st.just(DIGESTS),
    bytes_read=st.integers(0, 1 << 50),
    kind=st.sampled_from(Kind),
    media_type=st.text(max_size=100),
    decode_state=st.sampled_from(DecodeState),
    width=numbers,
    height=numbers,
    duration_s=st.none() | st.floats(0, 1e9, allow_nan=False),
    hashes=st.lists(
        st.builds(
            PerceptualHash,
            algorithm=st.sampled_from(["pdq", "phash", "x-plugin"]),
            value=st.binary(max_size=64),
            quality=st.none() | st.integers(0, 100),
            frame_time=st.none() | st.floats(0, 1e6, allow_nan=False),
        ),
        max_size=4,
    ).map(tuple),
    problems=st.lists(
        st.builds(
            Problem,
            step=st.text(max_size=40),
            code=st.text(max_size=80),
            detail=st.text(max_size=200),
            severity=st.sampled_from(Severity),
        ),
        max_size=3,
    ).map(tuple),
)


@given(examinations)
def test_an_examination_survives_the_pipe(found: Examination) -> None:
    stream = io.BytesIO()
    protocol.write_frame(stream, protocol.EXAMINED, protocol.to_json(protocol.examination_to_plain(found)))
    stream.seek(0)
    kind, payload = protocol.read_frame(stream, protocol.MAX_REPLY)
    assert kind == protocol.EXAMINED
    assert protocol.examination_from_plain(protocol.from_json(payload), DIGESTS) == found


def test_a_surrogate_in_a_text_survives() -> None:
    payload = protocol.to_json({"detail": "\udcff"})
    assert protocol.from_json(payload) == {"detail": "\udcff"}


@pytest.mark.parametrize("cut", [1, 4, 5, 9])
def test_a_cut_frame_is_refused(cut: int) -> None:
    stream = io.BytesIO()
    protocol.write_frame(stream, protocol.CHUNK, b"12345")
    with pytest.raises(protocol.ProtocolError, match="cut"):
        protocol.read_frame(io.BytesIO(stream.getvalue()[:cut]), 100)


def test_a_frame_longer_than_allowed_is_refused_before_it_is_read() -> None:
    header = protocol.HEADER.pack(protocol.CHUNK, 0xFFFFFFFF)
    with pytest.raises(protocol.ProtocolError, match="at most"):
        protocol.read_frame(io.BytesIO(header), protocol.MAX_REPLY)


def test_a_clean_end_is_an_end() -> None:
    with pytest.raises(EOFError):
        protocol.read_frame(io.BytesIO(), 10)


GOOD = protocol.examination_to_plain(Examination(DIGESTS, 5))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("bytes_read", -1),
        ("bytes_read", True),
        ("bytes_read", "5"),
        ("kind", "spreadsheet"),
        ("media_type", "x" * 101),
        ("decode_state", None),
        ("width", -3),
        ("width", 1.5),
        ("duration_s", "long"),
        ("hashes", {"pdq": "00"}),
        ("hashes", [["pdq", "zz", 1, None]]),
        ("hashes", [["pdq", "00"]]),
        ("problems", [["a", "b", "c", "disaster"]]),
        ("problems", 7),
    ],
)
def test_a_wrong_field_is_refused(field: str, value: object) -> None:
    with pytest.raises(protocol.ProtocolError):
        protocol.examination_from_plain(GOOD | {field: value}, DIGESTS)


@pytest.mark.parametrize("field", sorted(GOOD))
def test_a_missing_field_is_refused(field: str) -> None:
    plain = {name: value for name, value in GOOD.items() if name != field}
    with pytest.raises(protocol.ProtocolError):
        protocol.examination_from_plain(plain, DIGESTS)


@pytest.mark.parametrize("payload", [b"", b"[1]", b"\xff", b"{", b"nul"])
def test_a_payload_that_is_no_object_is_refused(payload: bytes) -> None:
    with pytest.raises(protocol.ProtocolError):
        protocol.from_json(payload)


@pytest.mark.parametrize("value", ["00", "zz" * 16, None, 5])
def test_a_digest_of_the_wrong_length_is_refused(value: object) -> None:
    with pytest.raises(protocol.ProtocolError):
        protocol.digests_from_plain(protocol.digests_to_plain(DIGESTS) | {"md5": value})
