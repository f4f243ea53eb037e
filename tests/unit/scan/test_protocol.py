"""The frames between coordinator and worker: what a hostile worker says is refused, what a good one says survives."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.examine import metadata_files

from caid_triage.errors import EvidenceError
from caid_triage.examine.embedded.walk import Again, Found
from caid_triage.examine.metadata import picture_metadata
from caid_triage.model import DecodeState, Digests, Examination, FileTimes, Kind, PerceptualHash, Problem, Severity
from caid_triage.scan import protocol, worker
from caid_triage.scan.inside import again_from_plain, found_from_plain, found_to_plain

DIGESTS = Digests(bytes(16), bytes(range(20)), bytes(range(32)))
words = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)
numbers = st.none() | st.integers(0, 1 << 40)
examinations = st.builds(
    Examination,
    digests=st.just(DIGESTS),
    bytes_read=st.integers(0, 1 << 50),
    kind=st.sampled_from(Kind),
    media_type=words,
    decode_state=st.sampled_from(DecodeState),
    width=numbers,
    height=numbers,
    duration_s=st.none() | st.floats(0, 1e9, allow_nan=False),
    hashes=st.lists(
        st.one_of(
            st.builds(
                PerceptualHash,
                algorithm=st.just(algorithm),
                value=st.binary(min_size=least, max_size=most),
                quality=st.none() | st.integers(0, 100),
                frame_time=st.none() | st.floats(0, 1e6, allow_nan=False),
            )
            for algorithm, least, most in (
                ("pdq", 32, 32),
                ("pdq-trimmed-turned", 224, 224),
                ("phash", 8, 8),
                ("x-plugin", 0, 64),
            )
        ),
        max_size=4,
    ).map(tuple),
    metadata=st.lists(st.tuples(words, st.text(max_size=60)), max_size=3).map(tuple),
    problems=st.lists(
        st.builds(
            Problem,
            step=words,
            code=words,
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
        ("media_type", "image/png\n"),
        ("media_type", "\ud800"),
        ("decode_state", None),
        ("width", -3),
        ("width", 1.5),
        ("duration_s", "long"),
        ("duration_s", 10**400),
        ("duration_s", float("nan")),
        ("duration_s", -1.0),
        ("hashes", {"pdq": "00"}),
        ("hashes", [["pdq", "zz", 1, None]]),
        ("hashes", [["pdq", "00"]]),
        ("hashes", [["pdq", "00" * 31, 50, None]]),
        ("hashes", [["phash", "00" * 32, None, None]]),
        ("hashes", [["pdq", "00" * 32, 101, None]]),
        ("hashes", [["pdq\n", "00", 1, None]]),
        ("hashes", [["pdq-turned", "00" * 32, 50, None]]),
        ("metadata", [["camera-make"]]),
        ("metadata", [["camera-make", 7]]),
        ("metadata", [["camera\nmake", "x"]]),
        ("metadata", [["camera-make", "x" * 1001]]),
        ("metadata", [["camera-make", "x"]] * 201),
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


@pytest.mark.parametrize("payload", [b"", b"[1]", b"\xff", b"{", b"nul", b'{"a":' + b"[" * 200_000])
def test_a_payload_that_is_no_object_is_refused(payload: bytes) -> None:
    with pytest.raises(protocol.ProtocolError):
        protocol.from_json(payload)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("bytes_read", float("inf")),
        ("bytes_read", "7"),
        ("media_type", "x" * 101),
        ("kind", "spreadsheet"),
        ("md5", ""),
        ("waits", 1),
        ("waits", None),
    ],
)
def test_early_digests_with_a_wrong_field_are_refused(field: str, value: object) -> None:
    good = protocol.digests_to_plain(DIGESTS) | {"kind": "image", "media_type": "image/png", "bytes_read": 7}
    good["waits"] = True
    assert protocol.early_from_plain(dict(good)) == (DIGESTS, Kind.IMAGE, "image/png", 7, True)
    with pytest.raises(protocol.ProtocolError):
        protocol.early_from_plain(good | {field: value})


@pytest.mark.parametrize("value", ["00", "zz" * 16, None, 5])
def test_a_digest_of_the_wrong_length_is_refused(value: object) -> None:
    with pytest.raises(protocol.ProtocolError):
        protocol.digests_from_plain(protocol.digests_to_plain(DIGESTS) | {"md5": value})


@given(st.integers(1, 1 << 40), st.data())
def test_a_worker_may_ask_for_what_lies_in_its_file(size: int, data: st.DataObject) -> None:
    offset = data.draw(st.integers(0, size - 1))
    length = data.draw(st.integers(1, min(protocol.MAX_NEED, size - offset)))
    assert protocol.need_from_plain({"offset": offset, "length": length}, size) == (offset, length)


@pytest.mark.parametrize(
    ("offset", "length"),
    [(-1, 5), (0, 0), (0, -5), (0, 101), (99, 2), (100, 1), (101, 1), (None, 5), (0, "5"), (True, 5), (0.5, 1)],
)
def test_anything_else_that_a_worker_asks_for_is_refused(offset: object, length: object) -> None:
    with pytest.raises(protocol.ProtocolError):
        protocol.need_from_plain({"offset": offset, "length": length}, 100)
    with pytest.raises(protocol.ProtocolError):
        protocol.need_from_plain({}, 100)
    with pytest.raises(protocol.ProtocolError):
        protocol.need_from_plain({"offset": 0, "length": protocol.MAX_NEED + 1}, 1 << 40)


def test_a_fault_of_the_evidence_survives_the_pipe() -> None:
    error = EvidenceError("read", "short-read", "the content ended after 5 of 7 bytes")
    found = protocol.fault_from_plain(protocol.from_json(protocol.to_json(protocol.fault_to_plain(error))))
    assert (found.step, found.code, found.detail) == ("read", "short-read", "the content ended after 5 of 7 bytes")
    with pytest.raises(protocol.ProtocolError):
        protocol.fault_from_plain({"code": "x"})


def test_a_worker_is_given_exactly_what_it_asked_for() -> None:
    def answered(kind: bytes, payload: bytes) -> bytes:
        source, sink = io.BytesIO(), io.BytesIO()
        protocol.write_frame(source, kind, payload)
        source.seek(0)
        found = worker.ask(3, 4, source, sink)
        sink.seek(0)
        kind, payload = protocol.read_frame(sink, 100)
        assert (kind, protocol.from_json(payload)) == (protocol.NEED, {"offset": 3, "length": 4})
        return found

    assert answered(protocol.CHUNK, b"abcd") == b"abcd"
    for kind, payload in ((protocol.CHUNK, b"abc"), (protocol.END, b"")):
        with pytest.raises(protocol.ProtocolError):
            answered(kind, payload)
    with pytest.raises(EvidenceError, match="sector 7"):
        answered(protocol.ABORT, b'{"code":"read-failed","detail":"sector 7"}')


def test_the_longest_metadata_fits_in_an_answer() -> None:
    """Texts of characters that JSON spells in twelve letters, as many as a file may hold."""
    step = "".join(f'<rdf:li stEvt:action="{chr(0x1F600 + number) * 2000}"/>' for number in range(50))
    history = f"<xmpMM:History><rdf:Seq>{step}</rdf:Seq></xmpMM:History>"
    names = " ".join(f'{name}="{chr(0x1F4F7) * 3000}"' for name in ("tiff:Make", "tiff:Model", "xmp:CreatorTool"))
    chunks = [
        (b"XMP ", metadata_files.packet(names, history.replace("\U0001f600", chr(0x1F900 + n)))) for n in range(8)
    ]
    found = picture_metadata(metadata_files.webp(*chunks), "image/webp")
    assert sum(len(text) for _, text in found) > 35_000
    said = protocol.to_json(protocol.examination_to_plain(Examination(DIGESTS, 5, metadata=found)))
    assert len(said) < protocol.MAX_REPLY * 3 // 4
    assert protocol.examination_from_plain(protocol.from_json(said), DIGESTS).metadata == found


def test_what_a_worker_says_of_a_zone_can_be_kept() -> None:
    """Half a surrogate pair is a text to JSON and to Python; SQLite ended the scan on it."""
    item = Found(1, (b"a",), 5, FileTimes(zone_note="local time, zone unknown"), True, (), Examination(DIGESTS, 5))
    plain = found_to_plain(item)
    assert found_from_plain(plain) == item
    for note in ("\ud800", "\u00e9", "a\nb", "x" * 101):
        with pytest.raises(protocol.ProtocolError):
            found_from_plain(plain | {"zone_note": note})


@pytest.mark.parametrize("value", [5, [1], [1, 2], [1, [3]], [1, [[2]]], ["x", []], [-1, []], [0, [["a", "b"]]], {}])
def test_how_to_walk_again_is_said_in_one_way(value: object) -> None:
    assert again_from_plain(None) == Again()
    assert again_from_plain([3, [[2, "decoder-died"], [4, "other"]]]) == Again(3, {2: "decoder-died"})
    with pytest.raises(protocol.ProtocolError):
        again_from_plain(value)
