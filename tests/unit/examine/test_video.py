"""Frames of films: which are hashed, at which time, and what the container says."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import clips

from caid_triage.examine.examine import Examiner, examine_file
from caid_triage.examine.limits import Limits
from caid_triage.examine.pdq import pdq
from caid_triage.examine.video_frames import Stream
from caid_triage.examine.video_luma import frame_pdq
from caid_triage.model import DecodeState, Examination, Kind, PerceptualHash

av = pytest.importorskip("av", reason="films are read with PyAV (extra: video)")

FORMATS = [
    ("mp4", "libx264"),
    ("mp4", "mpeg4"),
    ("matroska", "libx264"),
    ("webm", "libvpx"),
    ("avi", "mpeg4"),
    ("avi", "mjpeg"),
    ("mpegts", "libx264"),
    ("mpeg", "mpeg2video"),
    ("flv", "libx264"),
    ("asf", "wmv2"),
    ("h264", "libx264"),
]


def examined(content: bytes, limits: Limits | None = None) -> Examination:
    run = Examiner(limits).begin(size=len(content), read_at=lambda at, length: content[at : at + length])
    run.update(content)
    return run.finish()


def codes(found: Examination) -> list[str]:
    return [problem.code for problem in found.problems]


def bits(one: bytes, other: bytes) -> int:
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).bit_count()


def timed(found: Examination) -> list[tuple[float, PerceptualHash]]:
    return [(item.frame_time, item) for item in found.hashes if item.frame_time is not None]


def share_met(found: Examination, among: Examination) -> float:
    """Which share of the frames of one film lies within 31 bits of a frame of the other."""
    near = [min(bits(item.value, other.value) for other in among.hashes) <= 31 for item in found.hashes]
    return sum(near) / len(near)


@pytest.mark.parametrize(("container", "codec"), FORMATS)
def test_every_second_of_a_short_film_is_seen_in_every_container(container: str, codec: str) -> None:
    rate = 25 if container in ("mpeg", "h264") else 10  # MPEG-2 has few rates, a bare stream has no clock
    found = examined(clips.clip(3, 6, rate, container=container, codec=codec, gop=rate))
    assert (found.kind, found.decode_state, codes(found)) == (Kind.VIDEO, DecodeState.DECODED, [])
    assert (found.width, found.height) == (320, 240)
    times = [time for time, _ in timed(found)]
    assert times == sorted(set(times))
    assert len(times) >= 6
    drawn = list(clips.frames(6, rate, 3))
    for time, item in timed(found):
        assert item.algorithm == "pdq"
        around = drawn[max(0, round(time * rate) - 1) : round(time * rate) + 2]
        assert min(bits(item.value, pdq(one)[0]) for one in around) <= 12, time
    assert found.duration_s == pytest.approx(6, abs=0.35)


def test_a_clip_of_one_keyframe_gives_a_frame_a_second_and_more_only_when_asked() -> None:
    film = clips.clip(4, 8, 25, gop=250, options={"bf": "2", "sc_threshold": "0"})
    times = [time for time, _ in timed(examined(film))]
    assert len(times) == 8
    assert max(np.diff(times)) <= 1.2
    many = clips.clip(4, 14, 10, gop=10)
    assert len(examined(many).hashes) == 14
    half = clips.clip(4, 24, 10, gop=20, options={"sc_threshold": "0"})
    assert len(examined(half).hashes) == 12
    assert len(examined(half, Limits(dense_video=True)).hashes) == 24


PYRAMID = {"preset": "medium", "bf": "3", "refs": "4", "sc_threshold": "0"}  # later frames go back to B-frames too


@pytest.mark.parametrize(
    ("container", "codec", "gop", "options"),
    [
        ("mp4", "libx264", 250, PYRAMID),
        ("mp4", "libx264", 20, {**PYRAMID, "crf": "40"}),
        ("matroska", "libx264", 250, PYRAMID),
        ("mp4", "libx264", 10, {**PYRAMID, "crf": "40"}),  # keyframes alone
        ("mp4", "libx265", 250, {"preset": "fast", "x265-params": "log-level=none:pools=none"}),
        ("mp4", "mpeg4", 250, {"bf": "2"}),
        ("webm", "libvpx", 50, {}),
    ],
)
def test_a_hash_is_that_of_the_frame_which_a_player_shows_at_its_time(
    container: str, codec: str, gop: int, options: dict[str, str]
) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"this build of FFmpeg has no encoder {codec}")
    film = clips.clip(14, 12, container=container, codec=codec, gop=gop, options=options)
    with av.open(io.BytesIO(film)) as player:
        shown = {round(frame.time, 3): frame_pdq(frame, 240, 320) for frame in player.decode(video=0)}
    found = timed(examined(film))
    assert len(found) >= 12
    for time, item in found:
        value, quality = shown[time]
        assert (bits(item.value, value), item.quality) == (0, quality), time


@pytest.mark.parametrize("container", ["mp4", "matroska", "mpegts"])
def test_nothing_is_decoded_behind_the_last_frame_that_is_wanted(
    container: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[float] = []
    decode = Stream._decode

    def counted(self: Stream, packet: Any) -> list[Any]:
        if packet is not None:
            given.append(self.seconds(packet.pts))
        return decode(self, packet)

    film = clips.clip(4, 8, 25, container=container, gop=250, options={"bf": "3", "sc_threshold": "0"})
    with av.open(io.BytesIO(film)) as player:
        start = player.streams.video[0].start_time
        order = [float((one.pts - start) * one.time_base) for one in player.demux(video=0) if one.size]
    monkeypatch.setattr(Stream, "_decode", counted)
    times = [time for time, _ in timed(examined(film))]
    assert len(times) == 8
    last = next(place for place, time in enumerate(order) if time >= 6.98)
    assert given == pytest.approx(order[: last + 1])
    assert times[-1] == pytest.approx(order[last], abs=0.001)


def test_a_long_film_is_sampled_evenly_to_the_bound() -> None:
    film = clips.clip(5, 40, 5, gop=5)
    found = examined(film, Limits(max_video_frames=10))
    times = [time for time, _ in timed(found)]
    assert len(times) == 10
    assert (times[0], times[-1]) == (0.0, 39.0)
    assert max(np.diff(times)) <= 5.0
    assert found.decode_state is DecodeState.DECODED


def test_a_film_that_stands_still_is_one_hash_and_its_first_time_is_kept() -> None:
    still = clips.scene(6)
    found = examined(clips.encode([still] * 50, codec="ffv1", container="avi", gop=1))
    assert [time for time, _ in timed(found)] == [0.0]
    assert found.duration_s == pytest.approx(5.0)


def test_the_edits_of_a_film_are_found_from_each_other_and_another_film_is_not() -> None:
    plain = clips.clip(7, 8)
    variants = [examined(plain)] + [
        examined(clips.clip(7, 8, edit=edit, codec=codec, gop=gop))
        for edit, codec, gop in (
            (clips.grey, "libx264", 10),
            (clips.sepia, "mpeg4", 10),
            (clips.with_logo, "libx264", 40),
        )
    ]
    other = examined(clips.clip(8, 8))
    for one in variants:
        assert share_met(one, other) == 0
        for two in variants:
            assert share_met(one, two) >= 0.9


def test_every_pixel_format_gives_the_same_look() -> None:
    picture = clips.scene(9, 400, 300)
    whole = av.VideoFrame.from_ndarray(picture, format="rgb24")
    expected, quality = pdq(picture)
    for name in ("yuv420p", "yuvj420p", "yuv444p", "nv12", "yuv420p10le", "p010le", "yuv422p12le", "yuyv422", "rgb24",
                 "bgr0", "gray", "gray10le", "yuva420p", "gbrp", "yuv420p10be"):  # fmt: skip
        value, seen = frame_pdq(whole.reformat(format=name), 300, 400)
        assert bits(value, expected) <= 6, name
        assert abs(seen - quality) <= 2, name
    assert frame_pdq(whole, 4, 400) is None


def test_a_frame_decoded_smaller_looks_as_large_as_it_is() -> None:
    drawn = [clips.scene(20 + number, 1280, 960) for number in range(3)]
    film = clips.encode(drawn, container="avi", codec="mjpeg", rate=1)
    reduced, whole = examined(film), examined(film, Limits(min_reduced_side=0))
    assert [time for time, _ in timed(reduced)] == [time for time, _ in timed(whole)] == [0.0, 1.0, 2.0]
    for (_, one), (_, other) in zip(timed(reduced), timed(whole), strict=True):
        assert bits(one.value, other.value) <= 4
    assert (reduced.width, reduced.height) == (1280, 960)


def test_what_the_container_says_is_kept() -> None:
    said = {
        "creation_time": "2021-05-04T12:30:00+02:00",
        "com.apple.quicktime.make": "Apple",
        "com.apple.quicktime.model": "iPhone\x0712",
        "com.apple.quicktime.software": "14.5",
        "com.apple.quicktime.location.ISO6709": "+51.5014-000.1419+012.000/",
    }
    found = examined(clips.clip(10, 2, muxer={"movflags": "use_metadata_tags"}, container="mov", metadata=said))
    assert dict(found.metadata) | {"encoder": ""} == {
        "camera-make": "Apple",
        "camera-model": "iPhone 12",
        "container-created": "2021-05-04T10:30:00+00:00",
        "container-format": "QuickTime / MOV",
        "encoder": "",
        "frame-rate": "10",
        "location": "+51.5014-000.1419+012.000/",
        "software": "14.5",
        "video-codec": "h264",
    }


def test_a_rotation_is_said_and_not_applied() -> None:
    film = bytearray(clips.clip(10, 2))
    plain = examined(bytes(film))
    at = film.index(b"tkhd") + 44  # ISO/IEC 14496-12, 8.3.2: the matrix of a version 0 header
    struct.pack_into(">9i", film, at, 0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000)
    found = examined(bytes(film))
    assert dict(found.metadata)["rotation"] == "270"
    assert "rotation" not in dict(plain.metadata)
    assert (found.hashes, found.width, found.height) == (plain.hashes, 320, 240)


def test_every_stream_of_pictures_is_seen_up_to_a_few() -> None:
    one = len(examined(clips.clip(11, 3)).hashes)
    found = examined(clips.clip(11, 3, streams=2))
    assert (len(found.hashes), codes(found)) == (2 * one, [])
    found = examined(clips.clip(11, 3, streams=6))
    assert (len(found.hashes), codes(found)) == (4 * one, ["video-streams-not-examined"])


def test_a_picture_attached_to_a_film_is_a_still() -> None:
    cover = clips.scene(99)
    found = examined(clips.with_cover(cover))
    assert found.problems == ()
    assert [item.frame_time for item in found.hashes] == [0.0, 1.0, 2.0, None]
    assert bits(found.hashes[-1].value, pdq(cover)[0]) <= 6


def test_a_container_of_sound_is_no_film() -> None:
    found = examined(clips.sound())
    assert (found.kind, found.media_type) == (Kind.VIDEO, "video/mp4")
    assert (found.decode_state, codes(found)) == (DecodeState.NOT_MEDIA, ["video-no-pictures"])
    assert found.problems[0].severity == "note"
    assert found.hashes == ()


def test_a_file_of_the_unit_is_seen_in_memory_and_read_again_alike(tmp_path: Path) -> None:
    path = tmp_path / "film"
    for container, codec in (("mp4", "libx264"), ("avi", "mpeg4"), ("mov", "mpeg4")):
        path.write_bytes(clips.clip(12, 6, container=container, codec=codec))
        held = examine_file(path)
        assert held.decode_state is DecodeState.DECODED
        assert examine_file(path, Limits(max_video_bytes=1)) == held


@pytest.mark.parametrize(("container", "codec"), [("matroska", "libx264"), ("mpegts", "libx264"), ("h264", "libx264")])
def test_a_long_film_without_an_index_is_entered_at_many_times(container: str, codec: str) -> None:
    film = clips.clip(13, 20, 25, container=container, codec=codec, gop=25)
    found = examined(film, Limits(max_video_bytes=1))
    assert found.hashes == examined(film).hashes
    found = examined(film, Limits(max_video_bytes=1, max_reread_bytes=2 * len(film) - 2))
    assert found.decode_state is DecodeState.DECODED or container == "h264"
    assert len(found.hashes) >= 19
    assert share_met(found, examined(film)) == 1


SAMPLES = ("chair-orig-22-sd-bar", "chair-22-sd-grey-bar", "chair-22-with-small-logo-bar", "chair-19-sd-bar",
           "doorknob-hd-no-bar", "pattern-sd-grey-bar")  # fmt: skip


def published(folder: Path, name: str) -> list[tuple[float, int, bytes]]:
    lines = (folder / "vpdq-sample-hashes" / f"{name}.txt").read_text().split()
    rows = [line.split(",") for line in lines]
    return [(float(row[3]), int(row[1]), bytes.fromhex(row[2])) for row in rows]


def test_published_frame_hashes_are_met_within_6_bits(shared: Path) -> None:
    compared = 0
    for name in SAMPLES:
        known = published(shared / "video", name)
        for time, item in timed(examine_file(shared / "video" / f"{name}.mp4")):
            second, quality, value = min(known, key=lambda row: abs(row[0] - time))
            assert abs(second - time) < 0.02
            if quality >= 50:  # a frame that shows nothing has any hash
                compared += 1
                assert bits(item.value, value) <= 6, (name, time)
    assert compared >= 50


def test_the_sample_clips_are_found_from_their_edits_and_nothing_else(shared: Path) -> None:
    seen: dict[str, Any] = {name: examine_file(shared / "video" / f"{name}.mp4") for name in SAMPLES}
    for one in SAMPLES[:3]:
        for two in SAMPLES[:3]:
            assert share_met(seen[one], seen[two]) >= 0.9
    for one, two in ((0, 4), (0, 5), (3, 4), (3, 5), (4, 5), (4, 0), (5, 0), (5, 4)):
        assert share_met(seen[SAMPLES[one]], seen[SAMPLES[two]]) == 0
