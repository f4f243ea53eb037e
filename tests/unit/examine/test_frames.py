"""An animation is found by any of its frames, and one of a hundred thousand frames costs no more than its bound."""

from __future__ import annotations

import io
import struct
import time

import numpy as np
import pytest
from PIL import Image

from caid_triage.examine.decode import decode
from caid_triage.examine.frames import distinct, most_frames
from caid_triage.examine.identify import identify
from caid_triage.examine.limits import Limits
from caid_triage.model import DecodeState, Severity

FORMS = {"GIF": "image/gif", "WEBP": "image/webp", "PNG": "image/apng", "AVIF": "image/avif"}
BLACK = np.zeros((240, 320, 3), dtype=np.uint8)


def animation(form: str, pictures: list[np.ndarray], duration: int = 200) -> bytes:
    frames = [Image.fromarray(picture) for picture in pictures]
    options = {"WEBP": {"lossless": True}, "AVIF": {"quality": 90, "speed": 9}}.get(form, {})
    stream = io.BytesIO()
    frames[0].save(stream, form, save_all=True, append_images=frames[1:], duration=duration, **options)
    return stream.getvalue()


def decoded(data: bytes, limits: Limits | None = None):
    return decode(data, identify(data[:65536], len(data)).media_type, limits or Limits())


def near(first: np.ndarray, second: np.ndarray) -> bool:
    return float(np.abs(first.astype(int) - second).mean()) < 12


@pytest.mark.parametrize("form", FORMS)
def test_a_black_first_frame_hides_nothing(examined, picture, form: str) -> None:
    shown = picture(seed=9)
    data = animation(form, [BLACK, shown, picture(seed=10)])
    assert identify(data[:65536], len(data)).media_type == FORMS[form]
    found = decoded(data)
    assert found.state is DecodeState.DECODED
    assert found.pixels.max() < 8
    assert [seconds for seconds, _ in found.frames] == [0.2, 0.4]
    assert near(found.frames[0][1], shown)
    hashes = [(item.algorithm, item.frame_time) for item in examined(data).hashes]
    timed = [item for item in hashes if item[1] is not None]
    assert timed == [("pdq", 0.2), ("phash", 0.2), ("pdq", 0.4), ("phash", 0.4)]
    assert ("pdq", None) in hashes


@pytest.mark.parametrize("form", FORMS)
def test_middle_and_last_of_many(picture, form: str) -> None:
    pictures = [picture(seed=seed) for seed in range(1, 8)]
    found = decoded(animation(form, pictures, duration=100))
    assert [seconds for seconds, _ in found.frames] == [0.3, 0.6]
    assert near(found.pixels, pictures[0])
    assert near(found.frames[0][1], pictures[3])
    assert near(found.frames[1][1], pictures[-1])
    assert found.problems == ()


def test_frames_that_show_nothing_new_are_no_frames(picture) -> None:
    one, other = picture(seed=1), picture(seed=2)
    found = decoded(animation("WEBP", [one, BLACK, other, one, BLACK]))
    assert [seconds for seconds, _ in found.frames] == [0.4]
    assert decoded(animation("GIF", [one, BLACK])).frames == ()
    assert decoded(animation("GIF", [one])).frames == ()


def test_one_picture_among_black_ones_is_found_wherever_it_is(picture) -> None:
    for place in (1, 5, 11):
        frames = [BLACK + np.uint8(number % 3) for number in range(12)]
        frames[place] = picture(seed=3)
        found = decoded(animation("WEBP", frames))
        assert len(found.frames) == 1, place
        assert near(found.frames[0][1], frames[place])


def test_the_choice_among_very_many_is_bounded_and_spread() -> None:
    rng = np.random.default_rng(1)
    many = [(float(number), rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)) for number in range(1, 400)]
    chosen = distinct(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8), iter(many))
    assert chosen[1][0] == 399.0
    assert 120 < chosen[0][0] < 280


def test_a_file_cut_between_frames_is_partial_and_keeps_what_it_has(picture) -> None:
    data = animation("GIF", [picture(seed=seed) for seed in range(1, 6)])
    found = decoded(data[: len(data) * 3 // 4])
    assert found.state is DecodeState.PARTIAL
    assert found.frames
    assert (found.width, found.height) == (320, 240)


def test_the_bound_of_frames_is_said(picture) -> None:
    data = animation("GIF", [picture(seed=seed) for seed in range(1, 9)])
    found = decoded(data, Limits(max_frames=4))
    assert [problem.code for problem in found.problems] == ["frames-cut"]
    assert found.problems[0].severity is Severity.NOTE
    assert found.state is DecodeState.DECODED
    assert [seconds for seconds, _ in found.frames] == [0.4, 0.6]
    assert most_frames(10_000, 9_000, Limits()) == 2
    assert most_frames(4_000, 3_000, Limits()) == 8
    assert most_frames(1, 1, Limits()) == Limits().max_frames


def test_a_hundred_thousand_frames_cost_no_more_than_the_bound() -> None:
    control = b"\x21\xf9\x04\x04\x05\x00\x00\x00"
    dot = control + b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    screen = struct.pack("<HHBBB", 2000, 2000, 0x81, 0, 0)
    bomb = b"GIF89a" + screen + bytes(range(12)) + dot * 100_000 + b";"
    started = time.process_time()
    found = decoded(bomb)
    assert time.process_time() - started < 8
    assert found.state is DecodeState.DECODED
    assert [problem.code for problem in found.problems] == ["frames-cut"]
