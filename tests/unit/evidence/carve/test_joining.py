"""Files that lie around other files, or go on in the next free range: of every kind, put together exactly."""

from __future__ import annotations

import io
import zipfile

import pytest
from support.carvables import carvables, noise, ogg, ogg_checksum, pdf, with_tagged_data

from caid_triage.evidence.carve.documents import carve_pdf
from caid_triage.evidence.carve.films import carve_ogg
from caid_triage.evidence.carve.jpeg import carve_jpeg
from caid_triage.evidence.carve.search import Area, Carved, Search
from caid_triage.evidence.carve.space import Space, Stretch
from caid_triage.synth.sample_pictures import picture

FILES = carvables()
INNER = ("waves.webp", "open-end.avif", "paper.docx", "discs.png", "sound.ogg")
# a script is too short to be cut, and half of the drawn sound is no row of frames yet
OUTER = sorted(set(FILES) - {"run.sh", "sound.mp3"})


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def searched(data: bytes, *ranges: tuple[int, int]) -> dict[bytes, Carved]:
    space = Space(lambda offset, length: data[offset : offset + length], len(data))
    found = Search(space, thorough=False).run([Area("p0", ranges or ((0, len(data)),))])
    return {b"".join(data[offset : offset + length] for offset, length in one.extents): one for one in found}


@pytest.mark.parametrize("name", OUTER)
def test_a_file_around_another_comes_back_and_so_does_the_other(name) -> None:
    outer = FILES[name]
    cut = len(outer) // 2 // 512 * 512
    for inner in set(INNER) - {name}:
        data = padded(noise(1, 1024)) + outer[:cut] + padded(FILES[inner]) + padded(outer[cut:]) + noise(3, 2048)
        found = searched(data)
        assert found[outer].remark == "joined", inner
        assert FILES[inner] in found, inner


def test_a_file_around_two_others_comes_back() -> None:
    outer = FILES["film.mp4"]
    between = padded(FILES["waves.webp"]) + padded(FILES["discs.png"])
    found = searched(outer[:2048] + between + padded(outer[2048:]) + noise(3, 2048))
    assert {FILES["film.mp4"], FILES["waves.webp"], FILES["discs.png"]} <= set(found)


@pytest.mark.parametrize("name", OUTER)
def test_a_file_goes_on_in_the_next_free_range(name) -> None:
    data = FILES[name]
    cut = len(data) // 2 // 512 * 512
    disk = noise(1, 1024) + data[:cut] + noise(2, 1536) + padded(data[cut:]) + noise(3, 2048)
    found = searched(disk, (0, 1024 + cut), (1024 + cut + 1536, len(disk)))
    assert found[data].remark == "joined"
    assert found[data].extents == ((1024, cut), (1024 + cut + 1536, len(data) - cut))


def test_files_that_are_whole_are_not_joined_to_anything() -> None:
    """Each ends at the end of its free range, and another begins in the next."""
    disk, ranges = b"", []
    for number, data in enumerate(FILES.values()):
        disk += noise(number, 512)
        ranges.append((len(disk), len(disk) + len(padded(data))))
        disk += padded(data)
    found = searched(disk, *ranges)
    assert {name for name, data in FILES.items() if data not in found or found[data].remark} == set()


def test_inside_the_last_part_of_a_film_without_an_end_mark_no_films_of_its_own_kind_are_found() -> None:
    for name in ("film.ts", "sound.mp3"):
        frames = FILES[name][20:-128] if name == "sound.mp3" else FILES[name]
        data = frames * 20
        assert list(searched(padded(data) + noise(3, 2048))) == [data]


def stretch(data: bytes) -> Stretch:
    return Stretch(Space(lambda offset, length: data[offset : offset + length], len(data)), [(0, len(data))], 1 << 30)


def test_an_ogg_whose_page_is_damaged_or_whose_streams_have_not_ended_is_not_whole() -> None:
    good = ogg()
    found = carve_ogg(stretch(good + bytes(512)))
    assert found is not None
    assert found.whole
    assert found.length == len(good)
    damaged = bytearray(good)
    damaged[-500] ^= 1
    found = carve_ogg(stretch(bytes(damaged)))
    assert found is not None
    assert not found.whole
    page = len(good) // 5
    found = carve_ogg(stretch(good[: 4 * page] + bytes(512)))
    assert found is not None
    assert not found.whole
    assert found.length == 4 * page
    assert ogg_checksum(b"") == 0


def test_a_pdf_whose_table_is_not_where_it_says_is_not_whole() -> None:
    good = pdf()
    found = carve_pdf(stretch(good + bytes(512)))
    assert found is not None
    assert found.whole
    assert found.length == len(good)
    found = carve_pdf(stretch(good[:600] + bytes(512) + good[600:]))
    assert found is not None
    assert not found.whole


@pytest.mark.parametrize("place", [-1, -5, -28])
def test_the_named_blocks_of_a_telephone_belong_to_its_picture_only_where_their_directory_fits(place) -> None:
    plain = picture("marble.jpg")
    data = with_tagged_data(plain)
    found = carve_jpeg(stretch(data + noise(1, 600)))
    assert found is not None
    assert found.length == len(data)
    damaged = bytearray(data)
    damaged[place] ^= 1
    found = carve_jpeg(stretch(bytes(damaged) + noise(1, 600)))
    assert found is not None
    assert found.length == len(plain)


def zipped(*members: tuple[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as made:
        for name, data in members:
            made.writestr(zipfile.ZipInfo(name), data)
    return target.getvalue()


def test_the_entries_of_a_zip_that_breaks_are_not_followed_again_from_each_and_one_inside_it_is_found() -> None:
    count, inner = 2000, zipped(("a.txt", noise(4, 3000)), ("b.txt", noise(5, 3000)))
    whole = zipped(*((f"part{number}", noise(number, 40)) for number in range(count)), ("inner.zip", inner))
    broken = whole[: whole.index(inner) + len(inner)] + noise(9, 5000)  # its directory is gone
    disk = noise(1, 512) + broken
    search = Search(Space(lambda offset, length: disk[offset : offset + length], len(disk)), thorough=True)
    found = [disk[one.start : one.start + one.size] for one in search.run([Area("p0", ((0, len(disk)),))])]
    assert found == [inner]
    assert search._wasted < 4 * len(broken) + count * 400  # each entry was looked at a few times, not a thousand
