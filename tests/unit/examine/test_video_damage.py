"""Films that are cut, damaged, empty of pictures or made to hurt: what decodes is hashed, and the rest is said."""

from __future__ import annotations

import random
import struct
from pathlib import Path
from typing import Any

import pytest
from support import clips

from caid_triage.errors import EvidenceError
from caid_triage.examine.examine import Examiner, examine_file
from caid_triage.examine.libraries import library
from caid_triage.examine.limits import Limits
from caid_triage.examine.video_bytes import BLOCK, VideoBytes, in_memory
from caid_triage.examine.video_open import NothingElseOpens, open_container
from caid_triage.examine.video_structure import missing_end
from caid_triage.model import DecodeState, Examination

av: Any = pytest.importorskip("av", reason="films are read with PyAV (extra: video)")
FRONT = {"moov_size": "30000"}


def examined(content: bytes, limits: Limits | None = None, read_at: Any = None) -> Examination:
    run = Examiner(limits).begin(size=len(content), read_at=read_at or (lambda at, length: content[at : at + length]))
    run.update(content)
    found = run.finish()
    assert found.digests is not None
    return found


def codes(found: Examination) -> list[str]:
    return [problem.code for problem in found.problems]


@pytest.mark.parametrize(
    ("container", "codec", "muxer", "keep"),
    [
        ("mp4", "libx264", FRONT, 0.6),
        ("mov", "mpeg4", FRONT, 0.5),
        ("matroska", "libx264", None, 0.6),
        ("avi", "mpeg4", None, 0.6),
        ("avi", "mjpeg", None, 0.6),
    ],
)
def test_a_film_cut_in_the_middle_shows_what_it_still_has(
    container: str, codec: str, muxer: dict[str, str] | None, keep: float
) -> None:
    whole = clips.clip(1, 10, container=container, codec=codec, muxer=muxer)
    found, full = examined(whole[: int(len(whole) * keep)]), examined(whole)
    assert full.problems == ()
    assert (found.decode_state, codes(found)) == (DecodeState.PARTIAL, ["video-damaged"])
    assert 3 <= len(found.hashes) < len(full.hashes)
    assert set(found.hashes) <= set(full.hashes)
    assert "longer than the file" in found.problems[0].detail


def test_a_film_without_its_index_is_undecodable_and_the_library_says_why() -> None:
    whole = clips.clip(2, 4)
    found = examined(whole[: whole.index(b"moov") - 4])
    assert (found.decode_state, codes(found)) == (DecodeState.UNDECODABLE, ["video-undecodable"])
    assert "moov atom not found" in found.problems[0].detail
    assert "0x" not in found.problems[0].detail
    assert found.hashes == ()


@pytest.mark.parametrize("container", ["mp4", "matroska", "avi", "mpegts"])
def test_garbage_inside_costs_the_frames_that_it_hit(container: str) -> None:
    whole = bytearray(clips.clip(3, 10, container=container, muxer=FRONT if container == "mp4" else None))
    noise = random.Random(3)
    for at in range(int(len(whole) * 0.4), int(len(whole) * 0.5)):
        whole[at] = noise.randrange(256)
    found, full = examined(bytes(whole)), examined(clips.clip(3, 10, container=container))
    assert found.decode_state is DecodeState.PARTIAL
    assert codes(found) == ["video-damaged"]
    values = {item.value for item in full.hashes}
    assert sum(item.value in values for item in found.hashes) >= 4


def test_what_was_said_of_one_film_is_not_said_of_the_next() -> None:
    cut = clips.clip(2, 4)
    cut = cut[: cut.index(b"moov") - 4]
    nothing = b"RIFF\x10\0\0\0AVI LIST" + bytes(100_000)
    alone = examined(nothing)
    assert codes(alone) == ["video-undecodable"]
    examined(cut)
    assert examined(nothing) == alone
    assert examined(cut) == examined(cut)


def test_any_bytes_end_in_a_state_and_never_in_an_error() -> None:
    noise = random.Random(4)
    films = [clips.clip(4, 3, container=one) for one in ("mp4", "matroska", "avi", "mpegts", "flv")]
    films.append(clips.clip(4, 3, container="mpeg", codec="mpeg2video", rate=25))
    states = set()
    for turn in range(120):
        film = bytearray(films[turn % len(films)])
        start = 0 if turn % 3 else 12
        for _ in range(1 + turn % 40):
            film[noise.randrange(start, len(film))] = noise.randrange(256)
        if turn % 5 == 0:
            del film[noise.randrange(len(film)) :]
        found = examined(bytes(film))
        states.add(found.decode_state)
        assert all(item.frame_time is None or item.frame_time >= 0 for item in found.hashes)
        assert len(found.hashes) <= Limits().max_video_frames
    assert {DecodeState.DECODED, DecodeState.PARTIAL, DecodeState.UNDECODABLE} <= states


# -- limits -----------------------------------------------------------------------------------------------------


def test_frames_larger_than_allowed_are_refused_before_any_is_decoded() -> None:
    film = clips.clip(5, 2)
    found = examined(film, Limits(max_pixels=320 * 240 - 1))
    assert (found.decode_state, codes(found)) == (DecodeState.REFUSED, ["too-many-pixels"])
    assert (found.width, found.height, found.hashes) == (320, 240, ())


def test_a_film_of_few_keyframes_too_costly_to_go_through_is_said_to_be_seen_in_part() -> None:
    film = clips.clip(6, 12, 10, gop=1000, options={"sc_threshold": "0"})
    found = examined(film, Limits(max_video_pixels=320 * 240 * 45))
    assert (found.decode_state, codes(found)) == (DecodeState.PARTIAL, ["video-frames-limited"])
    assert 2 <= len(found.hashes) <= 5


def test_a_film_that_lies_of_its_rate_is_stopped_at_the_same_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    film = clips.clip(6, 12, 25, gop=1000, options={"sc_threshold": "0"})
    monkeypatch.setattr("caid_triage.examine.video_frames.frame_rate", lambda _stream: 0.5)
    found = examined(film, Limits(max_video_pixels=320 * 240 * 45))
    assert (found.decode_state, codes(found)) == (DecodeState.PARTIAL, ["video-frames-limited"])
    assert 1 <= len(found.hashes) <= 3


def test_no_more_is_read_again_than_is_allowed() -> None:
    film = clips.clip(7, 10, container="mov", codec="mjpeg")
    assert len(film) > 4 * BLOCK
    read = []

    def read_at(offset: int, length: int) -> bytes:
        read.append(length)
        return film[offset : offset + length]

    found = examined(film, Limits(max_video_bytes=1, max_reread_bytes=3 * BLOCK), read_at)
    assert sum(read) <= 3 * BLOCK
    assert found.decode_state is DecodeState.PARTIAL
    assert codes(found) == ["video-frames-limited"]


@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_fault_of_the_source_costs_the_frames_that_it_hides(after: int) -> None:
    film = clips.clip(7, 10, container="mov", codec="mjpeg", muxer=FRONT)
    calls = []

    def read_at(offset: int, length: int) -> bytes:
        calls.append(offset)
        if len(calls) > after:
            raise EvidenceError("read", "read-failed", "sector 7 could not be read")
        return film[offset : offset + length]

    found = examined(film, Limits(max_video_bytes=1), read_at)
    assert codes(found) == ["video-not-read"]
    assert "sector 7" in found.problems[0].detail
    assert found.decode_state is (DecodeState.PARTIAL if found.hashes else DecodeState.NOT_ATTEMPTED)
    assert len(calls) == after + 1
    if after == 3:
        assert found.hashes


def test_a_long_film_that_cannot_be_read_again_is_a_problem() -> None:
    film = clips.clip(7, 2)
    run = Examiner(Limits(max_video_bytes=100)).begin(size=len(film))
    run.update(film)
    found = run.finish()
    assert (found.decode_state, codes(found)) == (DecodeState.NOT_ATTEMPTED, ["video-not-read"])
    assert found.digests is not None


def test_a_library_that_is_too_old_is_said_and_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(av.stream, "Discard")
    found = examined(clips.clip(7, 2))
    assert (found.decode_state, codes(found)) == (DecodeState.NOT_ATTEMPTED, ["video-frames-not-hashed"])
    assert "too old" in found.problems[0].detail


def test_the_bytes_of_a_film_read_as_a_file() -> None:
    content = random.Random(8).randbytes(3 * BLOCK + 77)
    file = in_memory(content)
    for offset, length in ((0, 10), (BLOCK - 3, 7), (5, 2 * BLOCK), (len(content) - 4, 100), (len(content) + 9, 5)):
        assert file.seek(offset) == offset
        assert file.read(length) == content[offset : offset + length]
        assert file.tell() == max(offset, min(len(content), offset + length))
    assert file.seek(-5, 2) == len(content) - 5
    assert file.read() == content[-5:]
    bounded = VideoBytes(len(content), lambda at, length: content[at : at + length], BLOCK)
    assert len(bounded.read()) == BLOCK
    assert bounded.spent


# -- nothing else is opened ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["m3u8", "concat", "sdp", "mpd"])
def test_a_playlist_opens_nothing(kind: str, tmp_path: Path) -> None:
    film = tmp_path / "film.ts"
    film.write_bytes(clips.clip(9, 2, container="mpegts"))
    text = {
        "m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\n{film}\n#EXT-X-ENDLIST\n",
        "concat": f"ffconcat version 1.0\nfile '{film}'\n",
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
        "mpd": f'<?xml version="1.0"?><MPD><Period><BaseURL>{film}</BaseURL></Period></MPD>',
    }[kind]
    if kind == "m3u8":  # FFmpeg left to itself does play it
        (tmp_path / "list.m3u8").write_text(text)
        with av.open(str(tmp_path / "list.m3u8")) as playing:
            assert len(list(playing.decode(video=0))) == 20
    for media_type in ("video/mp4", "video/x-matroska", "video/mp2t", "application/x-mpegurl"):
        with pytest.raises((av.FFmpegError, NothingElseOpens)):
            open_container(library("av"), in_memory(text.encode()), Limits(), media_type)


def boxed(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def pointing_elsewhere(film: bytes, target: Path) -> bytes:
    """The film with its data reference turned into a Macintosh alias of another file (QuickTime File Format, dref)."""
    folder = str(target.parent)
    alias = bytearray(150)
    struct.pack_into(">H", alias, 2, 2)
    path = str(target).encode()
    record = bytes(alias) + struct.pack(">hH", 2, len(path)) + path + bytes(len(path) % 2)
    record += struct.pack(">hH", 18, len(folder)) + folder.encode() + bytes(len(folder) % 2) + struct.pack(">hH", -1, 0)
    dref = boxed(b"dref", bytes(4) + struct.pack(">I", 1) + boxed(b"alis", bytes(4) + record))

    def rebuilt(data: bytes) -> bytes:
        out, at = b"", 0
        while at < len(data):
            length, kind = struct.unpack_from(">I4s", data, at)
            content = data[at + 8 : at + length]
            if kind in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
                content = rebuilt(content)
            out += dref if kind == b"dref" else boxed(kind, content)
            at += length
        return out

    return rebuilt(film)


def test_a_film_whose_pictures_are_in_another_file_does_not_open_it(tmp_path: Path) -> None:
    outside = tmp_path / "outside.mov"
    film = clips.clip(10, 2, container="mov", codec="mjpeg")
    outside.write_bytes(film)
    hostile = pointing_elsewhere(film, outside)
    start = hostile.index(b"mdat") + 4
    end = start - 8 + int.from_bytes(hostile[start - 8 : start - 4], "big")
    hostile = hostile[:start] + bytes(end - start) + hostile[end:]  # its own pictures are gone
    found = examined(hostile)
    assert found.hashes == ()
    assert found.decode_state is DecodeState.UNDECODABLE


def test_a_box_that_ends_behind_the_file_is_seen_at_once() -> None:
    whole = clips.clip(11, 2, muxer=FRONT)
    assert missing_end(in_memory(whole)) == ""
    assert '"mdat" box is longer than the file by 1 bytes' in missing_end(in_memory(whole[:-1]))
    assert missing_end(in_memory(whole + b"trailing rubbish that is no box")) == ""
    mkv = clips.clip(11, 2, container="matroska")
    assert missing_end(in_memory(mkv)) == ""
    assert "by 100 bytes" in missing_end(in_memory(mkv[:-100]))
    assert missing_end(in_memory(b"RIFF\x05\0\0\0AVI ")) == ""
    assert missing_end(in_memory(b"RIFF\x08\0\0\0AVI ")) != ""
    assert missing_end(in_memory(b"")) == ""


def test_real_damaged_films_end_in_a_state(shared: Path) -> None:
    for path in sorted((shared / "video").glob("chair-19*.mp4")):
        content = path.read_bytes()
        found = examined(content[: len(content) // 2])
        assert codes(found) in (["video-damaged"], ["video-undecodable"])
        assert examine_file(path).problems == ()
