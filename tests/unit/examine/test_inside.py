"""Looking inside contents: each kind of container with a known picture in it, and what hostile ones cost."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import sqlite3
import struct
import tarfile
import zipfile
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any

import pikepdf
import py7zr
import pytest
import zstandard

from caid_triage.examine.embedded.walk import Again, Found, Step
from caid_triage.examine.examine import Examiner
from caid_triage.examine.limits import Limits
from caid_triage.model import DecodeState, Examination, Kind, Severity
from caid_triage.synth.sample_pictures import picture as sample

PICTURE = sample("coast.jpg")
FILM = sample("ball.avi")
ADDRESS = b"https://example.org/a/coast.jpg"


def looked_into(data: bytes, limits: Limits | None = None, again: Again | None = None) -> tuple[list[Any], Examination]:
    """Everything that comes out of looking inside, and the examination of the whole."""
    run = Examiner(limits).begin("", len(data))
    for start in range(0, len(data), 1 << 20):
        run.update(data[start : start + (1 << 20)])
    items = list(run.inside(again or Again()))
    return items, run.finish()


def examined_alone(data: bytes) -> Examination:
    run = Examiner().begin("", len(data))
    run.update(data)
    return run.finish()


def inside(data: bytes, limits: Limits | None = None) -> tuple[list[Found], Examination]:
    items, whole = looked_into(data, limits)
    found = [item for item in items if isinstance(item, Found)]
    assert whole.inside == len(found) == (found[-1].part if found else 0)
    return found, whole


def codes(found: Found | Examination) -> list[str]:
    own = [problem.code for problem in found.problems]
    return own + [problem.code for problem in found.examination.problems] if isinstance(found, Found) else own


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def seven_zipped(files: dict[str, bytes], **options: Any) -> bytes:
    stream = io.BytesIO()
    with py7zr.SevenZipFile(stream, "w", **options) as archive:
        for name, content in files.items():
            archive.writestr(content, name)
    return stream.getvalue()


def pdf_with(content: bytes, filters: list[str], **options: Any) -> bytes:
    document = pikepdf.new()
    document.add_blank_page()
    image = pikepdf.Stream(document, content)
    image.Subtype, image.Width, image.Height = pikepdf.Name.Image, 320, 240
    image.ColorSpace, image.BitsPerComponent = pikepdf.Name.DeviceRGB, 8
    if filters:
        image.Filter = pikepdf.Array([pikepdf.Name(name) for name in filters])
    document.Root.Picture = document.make_indirect(image)
    stream = io.BytesIO()
    document.save(stream, **options)
    return stream.getvalue()


def locked_zip() -> bytes:
    data = bytearray(zipped({"a.jpg": PICTURE}))
    directory = data.rindex(b"PK\x01\x02")
    data[6] |= 1
    data[directory + 8] |= 1
    return bytes(data)


def message_with(content: bytes) -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@example.org", "b@example.org", "holiday"
    message["Date"] = "Mon, 01 Jan 2024 10:00:00 +0000"
    message.set_content("see attached")
    message.add_attachment(content, maintype="image", subtype="jpeg", filename="coast.jpg")
    return message.as_bytes()


def mailbox_with(content: bytes) -> bytes:
    one = message_with(content)
    return b"".join(b"From a@example.org Mon Jan  1 10:00:00 2024\n" + one + b"\n" for _ in range(2))


def database_with(content: bytes) -> bytes:
    connection = sqlite3.connect(":memory:")
    connection.execute('CREATE TABLE "odd ""name" (words TEXT, cell BLOB)')
    connection.execute('INSERT INTO "odd ""name" VALUES (?, ?)', ("words", content))
    connection.execute("CREATE TABLE keyed (name TEXT PRIMARY KEY, cell BLOB) WITHOUT ROWID")
    connection.commit()
    data = bytearray(connection.serialize())
    data[18:20] = b"\x02\x02"  # as telephones leave it: in WAL mode
    return bytes(data)


def thumbcache_with(content: bytes, version: int) -> bytes:
    key, name = 0x1122334455667788, "abcd".encode("utf-16-le")
    extension = "jpg\0".encode("utf-16-le") if version == 20 else b""
    lengths = struct.pack("<III", len(name), 4, len(content))
    rest = bytes({20: 20, 21: 20, 32: 28}[version])
    size = 16 + len(extension) + 12 + len(rest) + len(name) + 4 + len(content)
    entry = b"CMMM" + struct.pack("<IQ", size, key) + extension + lengths + rest + name + bytes(4) + content
    return b"CMMM" + struct.pack("<5I", version, 0, 24, 24, 1) + entry


def chromium_entry(content: bytes) -> bytes:
    headers = b"HTTP/1.1 200\0content-type:image/jpeg\0\0"
    head = struct.pack("<QIII", 0xFCFB6D1BA7725C30, 5, len(ADDRESS), 0) + bytes(4) + ADDRESS
    ends = [
        struct.pack("<QIIII", 0xF4FA6F45970D41D8, *numbers, 0)
        for numbers in ((1, 0, len(content)), (3, 0, len(headers)))
    ]
    return head + content + ends[0] + headers + bytes(32) + ends[1]


def firefox_entry(content: bytes) -> bytes:
    key = b"O^partitionKey=x,:" + ADDRESS
    metadata = struct.pack(">8I", 3, 1, 0, 0, 0, 0, len(key), 0) + key + b"\0response-head\0HTTP/2 200\0"
    checksums = bytes(4 + 2 * -(-len(content) // (256 * 1024)))
    return content + checksums + metadata + struct.pack(">I", len(content))


# Every kind of container, with the names that lead to the picture in it.
CONTAINERS: dict[str, tuple[Callable[[bytes], bytes], tuple[bytes, ...]]] = {
    "zip deflated": (lambda p: zipped({"a/b.jpg": p}), (b"a/b.jpg",)),
    "zip stored": (lambda p: zipped({"b.jpg": p}, zipfile.ZIP_STORED), (b"b.jpg",)),
    "zip bzip2": (lambda p: zipped({"b.jpg": p}, zipfile.ZIP_BZIP2), (b"b.jpg",)),
    "zip lzma": (lambda p: zipped({"b.jpg": p}, zipfile.ZIP_LZMA), (b"b.jpg",)),
    "docx": (lambda p: zipped({"[Content_Types].xml": b"<x/>", "word/media/1.jpg": p}), (b"word/media/1.jpg",)),
    "tar": (lambda p: tarred({"b.jpg": p}), (b"b.jpg",)),
    "tar.gz": (lambda p: gzip.compress(tarred({"b.jpg": p})), (b"b.jpg",)),
    "gzip": (gzip.compress, (b"content",)),
    "bzip2": (bz2.compress, (b"content",)),
    "xz": (lzma.compress, (b"content",)),
    "zstd": (lambda p: zstandard.ZstdCompressor().compress(p), (b"content",)),
    "7z": (lambda p: seven_zipped({"a/b.jpg": p}), (b"a/b.jpg",)),
    "7z in zip in tar": (
        lambda p: tarred({"o.zip": zipped({"i.7z": seven_zipped({"b.jpg": p})})}),
        (b"o.zip", b"i.7z", b"b.jpg"),
    ),
    "pdf": (lambda p: pdf_with(p, ["/DCTDecode"]), (b"image-3.jpg",)),
    "mail": (message_with, (b"coast.jpg",)),
    "mailbox": (mailbox_with, (b"message-2/coast.jpg",)),
    "sqlite": (database_with, (b'odd "name/1/cell',)),
    "thumbcache of Vista": (lambda p: thumbcache_with(p, 20), (b"1122334455667788",)),
    "thumbcache of Windows 7": (lambda p: thumbcache_with(p, 21), (b"1122334455667788",)),
    "thumbcache of Windows 10": (lambda p: thumbcache_with(p, 32), (b"1122334455667788",)),
    "Chromium's cache": (chromium_entry, (b"https:||example.org|a|coast.jpg",)),
    "Firefox's cache": (firefox_entry, (b"https:||example.org|a|coast.jpg",)),
}


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
