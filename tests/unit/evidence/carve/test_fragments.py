"""Pictures in two pieces are put together exactly, and never wrongly."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.carvables import noise, png

from caid_triage.evidence.carve.fragments import Effort, Ground, _candidates, jpeg_fault, mend_jpeg, mend_png
from caid_triage.evidence.carve.huffman import DONE, Follower, Position, _compiled, read_plan
from caid_triage.evidence.carve.jpeg import JpegWalk
from caid_triage.evidence.carve.search import Area, Search
from caid_triage.evidence.carve.space import Space, Stretch
from caid_triage.synth.sample_pictures import picture

JPEGS = ("coast.jpg", "marble.jpg", "town.jpg", "orchard.jpg", "lagoon.jpg", "clouds.jpg", "meadow.jpg", "dunes.jpg")
UNIT = 512
GAPS = {
    "noise": noise(1, 20 * UNIT),
    "zeros": bytes(16 * UNIT),
    "text": (b"stir the flour into the bowl and wait for a while, then eat " * 300)[: 24 * UNIT],
    "a picture": picture("fans.gif") + bytes(-len(picture("fans.gif")) % UNIT),
}


def space_of(data: bytes) -> Space:
    return Space(lambda offset, length: data[offset : offset + length], len(data))


def filled(data: bytes) -> bytes:
    return data + bytes(-len(data) % UNIT)


def baseline(name: str) -> bool:
    data = picture(name)
    walk = JpegWalk(Stretch(space_of(data), [(0, len(data))], 1 << 30))
    walk.run()
    return read_plan(data[: walk.first_data]) is not None


def joined(data: bytes, extents) -> bytes:
    return b"".join(data[offset : offset + length] for offset, length in extents)


@pytest.mark.parametrize("name", [name for name in JPEGS if baseline(name)])
def test_every_unit_of_a_whole_picture_is_followed(name: str) -> None:
    data = picture(name)
    assert jpeg_fault(space_of(data), [(0, len(data))], Effort(1 << 30)) == 0


@pytest.mark.parametrize("gap", sorted(GAPS))
def test_a_picture_in_two_pieces_is_put_together(gap: str) -> None:
    choose = random.Random(gap)
    names = [name for name in JPEGS if baseline(name) and len(picture(name)) > 12 * UNIT]
    assert len(names) >= 3
    found = 0
    for name in names:
        data = filled(picture(name))
        cut = choose.randrange(len(data) // UNIT // 3, len(data) // UNIT * 2 // 3) * UNIT
        disk = noise(3, 4 * UNIT) + data[:cut] + GAPS[gap] + data[cut:] + noise(4, 8 * UNIT)
        whole = [(0, len(disk))]
        extents = mend_jpeg(space_of(disk), 4 * UNIT, Ground(whole, whole, (UNIT, 0)), Effort(1 << 30))
        if extents is not None:
            assert joined(disk, extents) == picture(name), name
            found += 1
    assert found * 10 >= len(names) * 7


def test_pictures_whose_pieces_alternate_are_told_apart() -> None:
    first, second = filled(picture("town.jpg")), filled(picture("orchard.jpg"))
    a, b = len(first) // UNIT // 2 * UNIT, len(second) // UNIT // 2 * UNIT
    disk = first[:a] + second[:b] + first[a:] + second[b:] + noise(5, 40 * UNIT)
    search = Search(space_of(disk), thorough=True)
    found = {joined(disk, one.extents) for one in search.run([Area("p1", ((0, len(disk)),), (UNIT, 0))])}
    assert {picture("town.jpg"), picture("orchard.jpg")} <= found


def two_pieces(name: str, gap: bytes) -> bytes:
    data = filled(picture(name))
    cut = len(data) // 2 // UNIT * UNIT
    return noise(3, 4 * UNIT) + data[:cut] + gap + data[cut:] + noise(4, 8 * UNIT)


def on_sectors(disk: bytes, elsewhere: int = 1 << 30) -> dict[bytes, str]:
    """What the search of sector starts finds on a disk that is a part of a larger one: effort grows with the search."""
    search = Search(space_of(disk), thorough=False)
    search.searched_elsewhere(elsewhere)
    found = search.run([Area("p1", ((0, len(disk)),), (UNIT, 0))])
    return {joined(disk, one.extents): one.remark for one in found}


@pytest.mark.parametrize("compiled", [True, False])
def test_on_sector_starts_near_gaps_are_searched_too_with_and_without_the_compiled_follower(
    compiled, monkeypatch
) -> None:
    if not compiled:
        monkeypatch.setattr("caid_triage.evidence.carve.huffman._compiled", lambda: None)
    # a gap of text or zeros is no break of the markers: only its sectors look like no compressed data
    for gap in (noise(7, 20 * UNIT), b"milk and bread, the garden was green; " * 400, bytes(16 * UNIT)):
        assert on_sectors(two_pieces("town.jpg", filled(gap))).get(picture("town.jpg")) == "joined"


def test_on_sector_starts_the_effort_to_mend_is_bounded_and_goes_to_the_smallest_first(monkeypatch) -> None:
    disk = two_pieces("town.jpg", noise(7, 20 * UNIT)) + two_pieces("coast.jpg", noise(8, 20 * UNIT))
    assert {picture("town.jpg"), picture("coast.jpg")} <= set(on_sectors(disk))
    monkeypatch.setattr("caid_triage.evidence.carve.search.LEAST_EFFORT", 2 * len(picture("coast.jpg")))
    found = on_sectors(disk, elsewhere=0)
    assert picture("coast.jpg") in found
    assert picture("town.jpg") not in found


def test_the_rest_before_a_picture_is_sought_before_its_start_and_not_in_itself() -> None:
    data = filled(picture("town.jpg"))
    cut = len(data) // 2 // UNIT * UNIT
    disk = noise(3, 4 * UNIT) + data[cut:] + noise(4, 30 * UNIT) + data[:cut] + noise(5, 9 * UNIT)
    whole = [(0, len(disk))]
    start = disk.index(data[:cut])
    ground = Ground(whole, whole, (UNIT, 0))
    near = list(_candidates(space_of(disk), start, start + cut, ground, False, -(1 << 20), 0))
    assert near
    assert all(place < start for place in near)
    assert on_sectors(disk).get(picture("town.jpg")) == "joined"


def test_pictures_that_are_whole_are_not_suspected(monkeypatch) -> None:
    """Following codes costs: only what looks wrong is followed on sector starts."""
    monkeypatch.setattr("caid_triage.evidence.carve.search.jpeg_fault", lambda *_: pytest.fail("followed"))
    for name in JPEGS:
        assert on_sectors(filled(picture(name)) + noise(4, 8 * UNIT)) == {picture(name): ""}


def test_a_broken_picture_without_its_rest_is_kept_as_a_beginning() -> None:
    data = filled(picture("town.jpg"))
    cut = len(data) // 2 // UNIT * UNIT
    disk = data[:cut] + noise(6, 100 * UNIT)
    for thorough in (False, True):
        (found,) = Search(space_of(disk), thorough=thorough).run([Area("p1", ((0, len(disk)),), (UNIT, 0))])
        assert found.remark == "partial"
        assert found.extents[0][0] == 0
        assert found.size <= cut + 1024


def test_a_png_in_two_pieces_is_put_together_by_its_checksums() -> None:
    data = filled(png(120, 100, chunk=8192))
    for cut in range(12 * UNIT, len(data) - 20 * UNIT, 11 * UNIT):
        disk = data[:cut] + noise(cut, 20 * UNIT) + data[cut:] + noise(8, 9 * UNIT)
        whole = [(0, len(disk))]
        extents = mend_png(space_of(disk), 0, Ground(whole, whole, (UNIT, 0)), Effort(1 << 30))
        assert extents is not None, cut
        assert joined(disk, extents) == png(120, 100, chunk=8192)


def test_a_file_goes_on_behind_a_whole_one_that_lies_in_it() -> None:
    outer, inner = filled(picture("town.jpg")), filled(picture("fans.gif"))
    cut = len(outer) // 2 // UNIT * UNIT
    disk = outer[:cut] + inner + outer[cut:] + bytes(4 * UNIT)
    found = Search(space_of(disk), thorough=False).run([Area("p1", ((0, len(disk)),), (UNIT, 0))])
    assert {joined(disk, one.extents) for one in found} == {picture("town.jpg"), picture("fans.gif")}
    assert {one.remark for one in found} == {"", "joined"}


def test_a_file_goes_on_behind_space_in_use() -> None:
    data = filled(picture("coast.jpg"))
    cut = len(data) // 2 // UNIT * UNIT
    disk = data[:cut] + noise(9, 7 * UNIT) + data[cut:]
    area = Area("p1", ((0, cut), (cut + 7 * UNIT, len(disk))), (UNIT, 0))
    (found,) = Search(space_of(disk), thorough=False).run([area])
    assert joined(disk, found.extents) == picture("coast.jpg")


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1 << 30))
def test_the_compiled_follower_is_the_plain_one(seed: int) -> None:
    if _compiled() is None:
        pytest.skip("numba (extra fast) is not installed")
    choose = random.Random(seed)
    name = choose.choice([name for name in JPEGS if baseline(name)])
    data = bytearray(picture(name))
    walk = JpegWalk(Stretch(space_of(bytes(data)), [(0, len(data))], 1 << 30))
    walk.run()
    for _ in range(choose.randrange(3)):
        data[choose.randrange(walk.first_data, len(data))] = choose.randrange(256)
    cut = choose.choice((len(data), choose.randrange(walk.first_data, len(data))))
    plan = read_plan(bytes(data[: walk.first_data]))
    assert plan is not None
    stop = choose.choice((1 << 40, walk.first_data + 3000))
    answers = [
        Follower(plan, compiled=compiled).follow(bytes(data[:cut]), Position(walk.first_data), stop)
        for compiled in (True, False)
    ]
    assert answers[0] == answers[1]


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400))
def test_no_header_makes_the_follower_fail(content: bytes) -> None:
    plan = read_plan(picture("town.jpg")[:200] + content)
    if plan is not None:
        why, position = Follower(plan, compiled=False).follow(content, Position(0), len(content) + 1)
        assert why == DONE or position.place <= len(content)


def test_what_is_wrong_soon_shows() -> None:
    data = picture("town.jpg")
    walk = JpegWalk(Stretch(space_of(data), [(0, len(data))], 1 << 30))
    walk.run()
    plan = read_plan(data[: walk.first_data])
    assert plan is not None
    late = []
    for seed in range(30):
        cut = (walk.first_data + len(data)) // 2
        mixed = data[:cut] + noise(seed, 20_000).replace(b"\xff", b"\xfe")
        why, position = Follower(plan).follow(mixed, Position(walk.first_data), len(mixed) + 1)
        assert why != DONE
        late.append(position.place - cut)
    assert np.median(late) < 1000
