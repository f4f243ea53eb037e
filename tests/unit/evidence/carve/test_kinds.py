"""Each kind of file is carved by its own structure: its exact end, never behind a cut, and no hostile bytes hurt."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.carvables import carvables, noise, png

from caid_triage.evidence.carve.found import Found
from caid_triage.evidence.carve.headers import HEADERS, REACH, TRANSPORT, headers_at
from caid_triage.evidence.carve.space import Space, Stretch
from caid_triage.synth.sample_pictures import picture

FILES = carvables()


def carve(data: bytes, most: int = 1 << 30) -> list[Found]:
    """What every carver whose header fits says of bytes."""
    space = Space(lambda offset, length: data[offset : offset + length], len(data))
    tried = [header.carver(Stretch(space, [(0, len(data))], most)) for header in headers_at(data[:REACH])]
    return [one for one in tried if one is not None]


@pytest.mark.parametrize("name", sorted(FILES))
def test_the_exact_end_is_found_before_zeros_and_before_other_bytes(name: str) -> None:
    data = FILES[name]
    suffix = name.rpartition(".")[2]
    filled = data + bytes(-len(data) % 512)
    behind = [bytes(40_000)] if suffix == "sh" else [bytes(40_000), noise(99, 40_000), FILES["coast.jpg"]]
    for following in behind:
        # a file's last sector is filled with zeros by every file system that reuses none of it
        found = carve((filled if following != behind[0] else data) + following)
        assert [(one.length, one.whole) for one in found if one.suffix == suffix] == [(len(data), True)], found


@pytest.mark.parametrize(
    "name", sorted(set(FILES) - {"film.ts", "sound.mp3", "sound.ogg", "film.mpg", "film.flv", "live.mkv"})
)
def test_a_file_whose_end_is_missing_is_not_whole(name: str) -> None:
    data = FILES[name]
    for found in carve(data[: len(data) * 2 // 3]):
        assert not found.whole
        assert found.length <= len(data) * 2 // 3


def test_a_thumbnail_never_ends_a_picture() -> None:
    inner, outer = picture("coast.jpg"), picture("town.jpg")
    assert len(inner) < 65000
    segment = b"\xff\xe1" + (len(inner) + 8).to_bytes(2, "big") + b"Exif\0\0" + inner
    made = outer[:2] + segment + outer[2:]
    assert [(one.length, one.whole) for one in carve(made + bytes(512))] == [(len(made), True)]


def test_pictures_behind_a_picture_belong_to_it_unless_they_begin_a_sector() -> None:
    first, second = picture("coast.jpg"), picture("town.jpg")
    assert len(first) % 512
    assert [one.length for one in carve(first + second + bytes(512))] == [len(first) + len(second)]
    filled = first + bytes(-len(first) % 512)
    assert [one.length for one in carve(filled + second)] == [len(first)]


def test_a_picture_is_kept_up_to_the_sector_in_which_other_bytes_begin() -> None:
    data = picture("town.jpg")
    cut = len(data) // 2 // 512 * 512
    (found,) = carve(data[:cut] + noise(5, 50_000))
    assert (found.whole, found.worth) == (False, True)
    assert cut <= found.length <= cut + 1024


def test_a_wrong_checksum_ends_a_png_only_where_no_chunk_follows() -> None:
    data = bytearray(png(200, 200))
    data[5000] ^= 1
    assert [(one.length, one.whole) for one in carve(bytes(data) + bytes(99))] == [(len(data), True)]
    cut = 9 * 4096
    (found,) = carve(png(200, 200)[:cut] + noise(6, 200_000))
    assert not found.whole
    assert found.length <= cut + 8192


@pytest.mark.parametrize("name", sorted(FILES))
def test_damage_anywhere_hurts_nothing(name: str) -> None:
    choose = random.Random(name)
    for _ in range(60):
        data = bytearray(FILES[name] + noise(choose.randrange(9), 2000))
        for _ in range(choose.randrange(1, 12)):
            at = choose.randrange(4, len(data))
            data[at : at + 4] = choose.choice((bytes(4), b"\xff" * 4, choose.randbytes(4)))[: len(data) - at]
        for found in carve(bytes(data)):
            assert 0 <= found.length <= len(data) or not found.whole


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([*HEADERS, TRANSPORT]), st.binary(max_size=3000))
def test_no_carver_raises_for_any_bytes_behind_its_header(header, content: bytes) -> None:
    data = content[: header.offset].ljust(header.offset, b"\1") + header.magic + content
    space = Space(lambda offset, length: data[offset : offset + length], len(data))
    found = header.carver(Stretch(space, [(0, len(data))], 1 << 24))
    assert found is None or 0 < found.length <= len(data)


@pytest.mark.parametrize("most", [0, 600, 5000])
def test_a_carver_that_may_read_no_more_ends(most: int) -> None:
    for data in FILES.values():
        for found in carve(data + bytes(1 << 20), most):
            assert 0 < found.length <= len(data) + (1 << 20)
    space = Space(lambda offset, length: bytes(length), 1 << 40)
    stretch = Stretch(space, [(0, 1 << 40)], most)
    assert sum(len(stretch.at(place, 100)) for place in range(0, 1 << 20, 100)) <= most
