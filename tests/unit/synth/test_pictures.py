"""The sample pictures decode, are small, and lie far apart, so that a near match is never chance."""

from __future__ import annotations

import io
from itertools import combinations

import pytest
from PIL import Image

from caid_triage.synth.sample_pictures import ALL_PICTURES, NEAR, picture

STILLS = [name for name in ALL_PICTURES if not name.endswith(".avi")]


def test_all_together_are_small() -> None:
    assert sum(len(picture(name)) for name in ALL_PICTURES) < 600_000


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(KeyError):
        picture("../__init__.py")


@pytest.mark.parametrize("name", STILLS)
def test_decodes(name: str) -> None:
    with Image.open(io.BytesIO(picture(name))) as opened:
        opened.load()
        assert min(opened.size) >= 120


def test_every_frame_of_the_video_is_a_picture() -> None:
    content = picture("ball.avi")
    assert content[:4] == b"RIFF"
    assert content[8:12] == b"AVI "
    assert int.from_bytes(content[4:8], "little") == len(content) - 8
    starts = [
        at
        for at in range(len(content) - 4)
        if content[at : at + 4] == b"00dc" and content[at + 8 : at + 10] == b"\xff\xd8"
    ]
    assert len(starts) == 20
    for at in starts:
        length = int.from_bytes(content[at + 4 : at + 8], "little")
        with Image.open(io.BytesIO(content[at + 8 : at + 8 + length])) as frame:
            frame.load()
            assert frame.size == (320, 240)


def test_pdq_quality_is_high_and_distances_are_large_but_for_the_altered_copies() -> None:
    pdqhash = pytest.importorskip("pdqhash", reason="the reference PDQ is not installed")
    np = pytest.importorskip("numpy")
    hashes = {}
    for name in STILLS:
        with Image.open(io.BytesIO(picture(name))) as opened:
            hashes[name], quality = pdqhash.compute(np.asarray(opened.convert("RGB")))
        assert quality >= 80, name
    for one, other in combinations(hashes, 2):
        distance = int((hashes[one] != hashes[other]).sum())
        if NEAR.get(one) == other or NEAR.get(other) == one:
            assert 0 < distance <= 31, (one, other)
        else:
            assert distance >= 80, (one, other)
