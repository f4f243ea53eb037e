"""The small pictures inside a picture are files of their own: always by their bytes, by their look if it adds one."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

import pytest
from PIL import Image
from support.embedded import PICTURE, codes, examined_alone, exif_with, inside, looked_into, with_thumbnails, zipped

from caid_triage.examine.embedded.walk import Again, Found, Step
from caid_triage.examine.limits import Limits
from caid_triage.examine.thumbnail import MOST_LISTED, thumbnails
from caid_triage.model import DecodeState

Make = Callable[..., bytes]


@pytest.fixture
def same() -> tuple[bytes, bytes]:
    """A picture and a small version of it."""
    stream = io.BytesIO()
    Image.open(io.BytesIO(PICTURE)).resize((160, 120)).save(stream, "JPEG", quality=90)
    return PICTURE, stream.getvalue()


@pytest.fixture
def other(encoded: Make) -> bytes:
    """A small picture of something else."""
    return encoded("JPEG", size=(200, 150), seed=9)


def test_a_thumbnail_of_the_picture_has_digests_and_its_look_with_the_picture(same: tuple[bytes, bytes]) -> None:
    (one,), whole = inside(with_thumbnails(*same))
    assert (one.names, one.size, one.readable) == ((b"thumbnail.jpg",), len(same[1]), True)
    assert one.examination.digests == examined_alone(same[1]).digests
    assert one.examination.decode_state is DecodeState.WITH_ITS_PICTURE
    assert (one.examination.width, one.examination.height, one.examination.media_type) == (160, 120, "image/jpeg")
    assert (one.examination.hashes, codes(one)) == ((), [])
    assert whole.inside == 1
    assert whole.hashes == examined_alone(with_thumbnails(*same)).hashes


def test_the_look_of_another_thumbnail_is_one_of_the_picture(same: tuple[bytes, bytes], other: bytes) -> None:
    (one,), whole = inside(with_thumbnails(same[0], other))
    assert one.examination.decode_state is DecodeState.WITH_ITS_PICTURE
    assert any(item.algorithm == "pdq-thumbnail" for item in whole.hashes)
    assert codes(whole) == ["thumbnail-differs"]


def test_a_thumbnail_that_is_no_look_of_its_picture_has_its_own(
    same: tuple[bytes, bytes], other: bytes, encoded: Make
) -> None:
    third = encoded("JPEG", size=(140, 100), seed=4)
    found, _ = inside(with_thumbnails(same[0], same[1], other, third))
    assert [one.names for one in found] == [(b"thumbnail.jpg",), (b"thumbnail-2.jpg",), (b"thumbnail-3.jpg",)]
    states = [one.examination.decode_state for one in found]
    assert states == [DecodeState.WITH_ITS_PICTURE, DecodeState.WITH_ITS_PICTURE, DecodeState.DECODED]
    assert found[2].examination == examined_alone(third)


def test_what_is_left_of_a_picture_that_nobody_can_decode_is_its_thumbnail(same: tuple[bytes, bytes]) -> None:
    data = with_thumbnails(*same)
    broken = data[: data.index(same[1]) + len(same[1]) + 20]
    (one,), whole = inside(broken)
    assert whole.decode_state is DecodeState.UNDECODABLE
    assert one.examination == examined_alone(same[1])
    assert one.examination.hashes


def test_a_blank_picture_does_not_speak_for_its_thumbnail(encoded: Make, other: bytes) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (640, 480), "grey").save(stream, "JPEG")
    (one,), _ = inside(with_thumbnails(stream.getvalue(), other))
    assert one.examination == examined_alone(other)


def photoshop(inner: bytes) -> bytes:
    """A picture of 1 x 1 in Photoshop's format with a thumbnail (resource 1036)."""
    body = struct.pack(">6I", 1, 160, 120, 480, 57600, len(inner)) + struct.pack(">HH", 24, 1) + inner
    resource = b"8BIM" + struct.pack(">HHI", 1036, 0, len(body)) + body + b"\0" * (len(body) & 1)
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 1, 1, 8, 3)
    return head + bytes(4) + struct.pack(">I", len(resource)) + resource + bytes(4) + b"\0\0\1\2\3"


def raw(*previews: bytes) -> bytes:
    return b"FUJIFILMCCD-RAW 0201FF129502" + bytes(4000) + bytes(33).join(previews) + bytes(2000)


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_the_exif_of_other_formats_holds_them_too(encoded: Make, other: bytes, form: str) -> None:
    data = encoded(form, size=(640, 480), exif=b"Exif\0\0" + exif_with(other))
    (one,), _ = inside(data)
    assert one.names == (b"thumbnail.jpg",)
    assert one.examination == examined_alone(other)


def test_photoshop_and_camera_raw_keep_them_as_jpeg(same: tuple[bytes, bytes], other: bytes) -> None:
    (one,), _ = inside(photoshop(other))
    assert one.examination == examined_alone(other)
    # The largest preview is what a raw file is compared by; the thumbnail inside the preview is the preview's.
    found, whole = inside(raw(same[1], with_thumbnails(same[0], same[1] + b""), other))
    assert [one.size for one in found] == [len(same[1]), len(with_thumbnails(*same)), len(other)]
    states = [one.examination.decode_state.value for one in found]
    assert states == ["with-its-picture", "with-its-picture", "decoded"]
    assert codes(whole) == ["preview-hashed"]


def test_a_content_is_listed_once_and_the_largest_are(same: tuple[bytes, bytes], encoded: Make) -> None:
    small = [encoded("JPEG", size=(40 + 8 * n, 40), seed=n, quality=60 + n) for n in range(MOST_LISTED + 2)]
    data = with_thumbnails(same[0], small[0], small[0], *small[1:])
    listed = [one.data for one in thumbnails(data, "image/jpeg")]
    assert listed == [one for one in small if one in sorted(small, key=len)[-MOST_LISTED:]]
    assert (
        thumbnails(data[:100], "image/jpeg")
        == thumbnails(b"", "image/png")
        == thumbnails(b"", "image/x-sony-arw")
        == ()
    )


def archive(same: tuple[bytes, bytes], other: bytes) -> bytes:
    return zipped(
        {"a.jpg": with_thumbnails(same[0], same[1], other), "b.txt": b"words", "c.jpg": with_thumbnails(*same)}
    )


def test_in_an_archive_they_come_before_their_picture(same: tuple[bytes, bytes], other: bytes) -> None:
    found, _ = inside(archive(same, other))
    assert [b"//".join(one.names) for one in found] == [
        b"a.jpg//thumbnail.jpg", b"a.jpg//thumbnail-2.jpg", b"a.jpg", b"b.txt", b"c.jpg//thumbnail.jpg", b"c.jpg",
    ]  # fmt: skip
    assert [one.part for one in found] == [1, 2, 3, 4, 5, 6]


def test_a_walk_that_is_taken_up_again_gives_the_rest(same: tuple[bytes, bytes], other: bytes) -> None:
    for data in (archive(same, other), with_thumbnails(same[0], same[1], other)):
        items, whole = looked_into(data)
        found = [item for item in items if isinstance(item, Found)]
        steps = [item.number for item in items if isinstance(item, Step)]
        for delivered in range(len(found) + 1):
            again, rest = looked_into(data, again=Again(delivered))
            assert [item for item in again if isinstance(item, Found)] == found[delivered:]
            assert rest == whole
        assert [number for number in steps if number] == list(range(1, max(steps) + 1))


def test_a_thumbnail_that_ends_the_decoder_keeps_its_digests(same: tuple[bytes, bytes], other: bytes) -> None:
    data = with_thumbnails(same[0], same[1], other)
    items, _ = looked_into(data, again=Again(0, {1: "decoder-died"}))
    first, second = (item for item in items if isinstance(item, Found))
    assert codes(first) == ["decoder-died"]
    assert first.examination.decode_state is DecodeState.UNDECODABLE
    assert first.examination.digests == examined_alone(same[1]).digests
    assert codes(second) == []


def test_they_do_not_use_up_the_number_of_files(same: tuple[bytes, bytes], other: bytes) -> None:
    found, whole = inside(archive(same, other), Limits(max_inside_files=3))
    assert (len(found), codes(whole)) == (6, [])
    found, whole = inside(archive(same, other), Limits(max_inside_files=2))
    assert (len(found), codes(whole)) == (4, ["inside-budget"])
