"""Looking inside contents: each kind of container with a known picture in it, and what hostile ones cost."""

from __future__ import annotations

import hashlib
import io
import struct
import zipfile
from collections.abc import Callable

import pikepdf
import pytest
from support.containers import (
    CONTAINERS,
    FILM,
    PICTURE,
    codes,
    examined_alone,
    inside,
    locked_zip,
    looked_into,
    pdf_with,
    seven_zipped,
    zipped,
)

from caid_triage.examine.embedded.walk import Again, Found, Step
from caid_triage.examine.limits import Limits
from caid_triage.model import DecodeState, Kind, Severity


@pytest.mark.parametrize("kind", CONTAINERS)
def test_a_picture_in_a_container_is_found_by_its_exact_bytes_and_by_look(kind: str) -> None:
    make, names = CONTAINERS[kind]
    found, _ = inside(make(PICTURE))
    pictures = [one for one in found if one.names == names]
    assert len(pictures) == 1
    examination = pictures[0].examination
    assert examination.digests is not None
    assert examination.digests.sha256 == hashlib.sha256(PICTURE).digest()
    assert examination.decode_state is DecodeState.DECODED
    assert examination.hashes == examined_alone(PICTURE).hashes
    assert codes(pictures[0]) == []


def test_a_film_behind_a_photograph_is_a_film_of_its_own() -> None:
    data = PICTURE + b"MotionPhoto_Data" + b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + b"\0\0\1\0free" + bytes(248)
    found, whole = inside(data)
    assert (whole.media_type, whole.decode_state) == ("image/jpeg", DecodeState.DECODED)
    assert [(one.examination.kind, one.names) for one in found] == [
        (Kind.VIDEO, (b"film-at-%d.mp4" % (len(PICTURE) + 16),))
    ]


def test_most_photographs_cost_no_walk_for_what_may_follow_them() -> None:
    items, _ = looked_into(PICTURE)
    assert items == []


def test_what_the_directory_of_a_zip_does_not_list_is_found_and_named() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in ("kept.jpg", "removed.jpg"):
            archive.writestr(name, PICTURE)
        archive.filelist.pop()
        archive.NameToInfo.pop("removed.jpg")
    found, _ = inside(stream.getvalue())
    assert [(one.names, codes(one)) for one in found] == [
        ((b"kept.jpg",), []),
        ((b"removed.jpg",), ["inside-unlisted"]),
    ]
    assert found[1].problems[0].severity is Severity.NOTE
    assert found[1].examination.digests == found[0].examination.digests


def test_a_zip_without_its_directory_gives_its_files_and_says_that_it_is_damaged() -> None:
    found, whole = inside(zipped({"a.jpg": PICTURE, "b.jpg": PICTURE})[:-120])
    assert [one.names for one in found] == [(b"a.jpg",), (b"b.jpg",)]
    assert codes(whole) == ["inside-damaged"]


def test_a_size_that_lies_hides_nothing() -> None:
    data = bytearray(zipped({"a.jpg": PICTURE}))
    directory = data.rindex(b"PK\x01\x02")
    for at in (22, directory + 24):
        data[at : at + 4] = struct.pack("<I", 1000)
    found, _ = inside(bytes(data))
    assert found[0].examination.digests == examined_alone(PICTURE).digests
    assert codes(found[0]) == ["inside-other-size"]


def test_names_are_printed_and_never_followed() -> None:
    found, _ = inside(zipped({"../../etc/x.jpg": PICTURE, "/abs.jpg": PICTURE}))
    assert [one.names for one in found] == [(b"../../etc/x.jpg",), (b"/abs.jpg",)]
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("same.jpg", PICTURE)
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("same.jpg", FILM)
    found, _ = inside(stream.getvalue())
    assert [one.examination.kind for one in found] == [Kind.IMAGE, Kind.VIDEO]


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda: seven_zipped({"a.jpg": PICTURE}, password="secret"), [b"a.jpg"]),
        (lambda: seven_zipped({"a.jpg": PICTURE}, password="secret", header_encryption=True), []),
        (lambda: pdf_with(PICTURE, ["/DCTDecode"], encryption=pikepdf.Encryption(owner="o", user="u")), []),
        (locked_zip, [b"a.jpg"]),
    ],
    ids=["7z", "7z with its names", "pdf", "zip"],
)
def test_what_needs_a_password_is_named_and_counted_as_not_examined(
    make: Callable[[], bytes], names: list[bytes]
) -> None:
    found, whole = inside(make())
    assert [one.names[0] for one in found] == names
    problems = [*whole.problems, *(problem for one in found for problem in one.problems)]
    assert [(p.code, p.severity) for p in problems] == [("inside-encrypted", Severity.PROBLEM)]
    assert all(not one.readable and one.examination.digests is None for one in found)


def test_containers_in_each_other_are_opened_to_a_depth_and_it_says_so() -> None:
    data = PICTURE
    for number in range(9):
        data = zipped({f"{number}.zip" if number else "p.jpg": data})
    found, _ = inside(data)
    assert max(len(one.names) for one in found) == Limits().max_inside_depth
    assert [code for one in found for code in codes(one)] == ["inside-too-deep"]


def test_a_bomb_is_stopped_by_counting_bytes_and_the_files_before_it_are_kept() -> None:
    data = zipped({"a.jpg": PICTURE, "bomb": bytes(64 << 20), "c.jpg": PICTURE})
    limits = Limits(max_inside_bytes=8 << 20, max_inside_ratio=1)
    found, whole = inside(data, limits)
    assert [one.names[0] for one in found] == [b"a.jpg", b"bomb"]
    assert (codes(found[1]), codes(whole)) == (["inside-cut"], ["inside-budget"])
    found, whole = inside(zipped({f"{n}.txt": b"x" for n in range(50)}), Limits(max_inside_files=20))
    assert (len(found), codes(whole)) == (20, ["inside-budget"])


def test_entries_that_lie_over_each_other_end_by_the_budget() -> None:
    body = zipped({"a": bytes(1 << 20)})
    directory = body.rindex(b"PK\x01\x02")
    entry, count = body[directory : body.rindex(b"PK\x05\x06")], 3000
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, count, count, len(entry) * count, directory, 0)
    found, whole = inside(body[:directory] + entry * count + end, Limits(max_inside_bytes=100 << 20))
    assert len(found) == 101
    assert codes(whole) == ["inside-budget"]


def test_a_walk_that_begins_again_gives_what_is_missing_and_leaves_out_what_it_is_told() -> None:
    data = zipped({"a.jpg": PICTURE, "i.zip": zipped({"x.jpg": PICTURE, "y.avi": FILM}), "z.jpg": PICTURE})
    items, whole = looked_into(data)
    found = [item for item in items if isinstance(item, Found)]
    assert [item.number for item in items if isinstance(item, Step)] == list(range(1, len(items) - len(found) + 1))
    for delivered in range(len(found) + 1):
        rest, again = looked_into(data, again=Again(delivered))
        assert [item for item in rest if isinstance(item, Found)] == found[delivered:]
        assert again == whole
    for left_out in range(1, len(items) - len(found) + 1):
        some, other = looked_into(data, again=Again(0, {left_out: "decoder-died"}))
        named = [one for one in some if isinstance(one, Found) and "decoder-died" in codes(one)]
        assert len(named) + codes(other).count("decoder-died") == 1
        # What stood before the step is what it was.
        first = next((one for one in some if isinstance(one, Found)), None)
        assert left_out == 1 or (first and first.names == (b"a.jpg",))


def test_a_picture_made_of_samples_says_that_its_digests_are_of_no_file() -> None:
    found, _ = inside(pdf_with(bytes(range(256)) * 900, []))
    assert [codes(one)[0] for one in found] == ["inside-rebuilt"]
    assert found[0].examination.kind is Kind.IMAGE


@pytest.mark.parametrize("kind", CONTAINERS)
def test_damaged_containers_end_with_files_and_reasons(kind: str) -> None:
    whole = CONTAINERS[kind][0](PICTURE)
    for step in range(5):
        data = bytearray(whole)
        for place in range(7):
            at = (step * 7919 + place * 104_729) % len(data)
            data[at] ^= 1 + (step * 31 + place) % 255
        _, examination = inside(bytes(data))
        assert examination.digests is not None
        _, examination = inside(whole[: len(whole) * step // 5])
        assert examination.digests is not None
