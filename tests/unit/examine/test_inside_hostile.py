"""Containers made to hurt: bombs, loops, lies and rubbish end by a count, with rows and reasons, and in little time."""

from __future__ import annotations

import gzip
import io
import random
import sqlite3
import struct
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from PIL import Image
from support.embedded import (
    CONTAINERS,
    PICTURE,
    codes,
    inside,
    looked_into,
    pdf_with,
    thumbs_db,
    zipped,
)

from caid_triage.examine.embedded.walk import Found, Step
from caid_triage.examine.limits import Limits

# Of this process, so that a busy machine does not matter; each of these took a hundredth of it.
MOST_SECONDS = 30.0


@contextmanager
def in_time() -> Iterator[None]:
    begun = time.process_time()
    yield
    assert time.process_time() - begun < MOST_SECONDS


def nested(levels: int, each: int) -> bytes:
    """A zip of ``each`` zips, and so on: 42.zip in small."""
    data = zipped({"0": bytes(1 << 20)})
    for _ in range(levels):
        data = zipped({f"{number}.zip": data for number in range(each)})
    return data


def test_zips_in_zips_that_grow_without_end_are_stopped_by_counts() -> None:
    with in_time():
        found, whole = inside(nested(5, 8), Limits(max_inside_files=500, max_inside_bytes=64 << 20))
    assert codes(whole) == ["inside-budget"]
    assert len(found) <= 500 + Limits().max_inside_depth  # the zips that were open


def test_a_zip_that_holds_itself_is_opened_to_a_depth() -> None:
    """The directory's one entry is stored, and its data are the zip's own beginning: the same again at each depth."""
    found, _ = inside(self_containing())
    assert max(len(one.names) for one in found) == Limits().max_inside_depth
    assert "inside-too-deep" in [code for one in found for code in codes(one)]


@pytest.mark.parametrize("far", [True, False])
def test_a_directory_that_points_before_the_beginning_repeats_nothing(far: bool) -> None:
    """A directory's place that is too late makes every header lie before byte 0: the file's beginning was read there.

    16 MiB of it, again and again, from 420 bytes; found by fuzzing.
    """
    data = bytearray(zipped({"a.jpg": PICTURE, "b.txt": b"bread" * 20}))
    end = data.rindex(b"PK\5\6")
    place = int.from_bytes(data[end + 16 : end + 20], "little")
    data[end + 16 : end + 20] = (0xFFFFFD56 if far else place + 1_000).to_bytes(4, "little")
    # The first file is stored, and the directory claims 16 MiB for it.
    first = data.index(b"PK\1\2")
    data[8:10], data[first + 20 : first + 24] = bytes(2), (1 << 24).to_bytes(4, "little")
    with in_time():
        found, _ = inside(bytes(data))
    assert sum(one.size or 0 for one in found) < 4 * len(data)
    named = {one.names[0] for one in found if one.readable}
    assert {b"a.jpg", b"b.txt"} <= named, "its files are found by their own headers"


def self_containing() -> bytes:
    """A zip whose one entry unpacks to the zip itself: a stored entry over all of it, header included."""
    name = b"r.zip"
    local = struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, 0, 0, 0, 0, 0, 0, 0, len(name), 0) + name
    # Two entries in a row, each of whose content is what follows it.
    tail = zipped({"p.jpg": PICTURE})
    data = tail
    for _ in range(9):
        head = bytearray(local)
        head[18:26] = struct.pack("<II", len(data), len(data))
        data = bytes(head) + data
    return data


def test_names_of_every_kind_are_kept_and_long_ones_cut_with_words() -> None:
    names = [b"a\0b.jpg", b"../../x.jpg", b"/abs.jpg", b"\xff\xfe.jpg", b"n" * 65000, b"//", b"."]
    data = b""
    for name in names:
        data += struct.pack(
            "<4s5H3I2H", b"PK\x03\x04", 20, 0, 0, 0, 0, zlib.crc32(PICTURE), len(PICTURE), len(PICTURE), len(name), 0
        )
        data += name + PICTURE
    found, _ = inside(data)
    assert [one.names[0] for one in found] == [name[:4096] for name in names]
    assert [codes(one) for one in found] == [["inside-name-cut"] if len(name) > 4096 else [] for name in names]


def test_an_archive_that_claims_much_does_not_make_anybody_wait_longer() -> None:
    data = bytearray(zipped({"a.jpg": PICTURE}))
    for at in (22, data.rindex(b"PK\x01\x02") + 24):
        data[at : at + 4] = struct.pack("<I", 0xFFFFFFF0)
    items, _ = looked_into(bytes(data))
    assert max(item.size for item in items if isinstance(item, Step)) <= 512 << 20


def test_a_zip_of_very_many_entries_costs_each_its_share() -> None:
    """Twice as many take about twice as long."""

    def seconds(count: int) -> float:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            for number in range(count):
                archive.writestr(f"{number}", b"x")
        data = stream.getvalue()
        begun = time.process_time()
        found, _ = inside(data)
        assert len(found) == count
        return time.process_time() - begun

    few, many = seconds(1500), seconds(6000)
    assert many < 4 * few * 2.5


def test_rubbish_behind_a_packed_file_is_left_alone() -> None:
    for more in (b"rubbish", b"\0" * 100 + b"\x1f", gzip.compress(b"second")[:1] + b"x"):
        found, whole = inside(gzip.compress(PICTURE) + more)
        assert [codes(one) for one in found] == [[]]
        assert found[0].size == len(PICTURE)
        assert codes(whole) == []
    found, _ = inside(gzip.compress(PICTURE[:900]) + b"\0\0" + gzip.compress(PICTURE[900:]))
    assert (codes(found[0]), found[0].size) == ([], len(PICTURE))


def test_a_mailbox_without_a_second_message_is_read_once() -> None:
    head = b"From a@example.org Mon Jan  1 10:00:00 2024\nFrom: a@example.org\nTo: b\nSubject: x\n\n"
    with in_time():
        _, whole = inside(head + b"From here on, words without end.\n" * 1_200_000)
    assert codes(whole) == []


def test_a_message_nested_very_deep_ends_with_words() -> None:
    body = b"Content-Type: image/jpeg; name=p.jpg\n\n" + PICTURE
    for number in range(1000):
        border = b"b%d" % number
        body = b"Content-Type: multipart/mixed; boundary=%b\n\n--%b\n%b\n--%b--\n" % (border, border, body, border)
    with in_time():
        found, whole = inside(b"From: a@example.org\nTo: b@example.org\nSubject: x\n" + body)
    assert found or codes(whole) == ["inside-damaged"]


def test_a_document_of_very_many_objects_is_read_once() -> None:
    count = 60_000
    objects = b"".join(b"%d 0 obj\n<<>>\nendobj\n" % number for number in range(3, count))
    data = (
        b"%PDF-1.4\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n2 0 obj\n<</Type/Pages/Kids[]/Count 0>>\nendobj\n"
    )
    with in_time():
        _, whole = inside(data + objects + b"trailer\n<</Root 1 0 R>>\n%%EOF\n")
    assert "inside-budget" not in codes(whole)


def test_a_picture_in_a_document_that_unpacks_to_gigabytes_is_not_unpacked() -> None:
    bomb = zlib.compress(bytes(600 << 20), 1)
    with in_time():
        found, _ = inside(pdf_with(bomb, ["/FlateDecode", "/DCTDecode"]))
    assert [codes(one) for one in found] == [["inside-unreadable"]]


def test_beginnings_of_pictures_without_an_end_are_counted() -> None:
    data = b"\xc3\xca\x04\xc1" + b"\xff\xd8\xff\xe0\0\x02\xff\xd8" * 100_000
    with in_time():
        _, whole = inside(data)
    assert codes(whole) == ["inside-budget"]
    with in_time():
        inside(b"\xc3\xca\x04\xc1" + b"\xff\xd8\xff" * 100_000)


def test_a_database_cannot_have_anything_computed() -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute(
        "CREATE TABLE t (cell BLOB, bomb BLOB AS (zeroblob(400000000)), kept BLOB AS (hex(cell)) STORED, "
        "more BLOB AS (printf('%.*c', 300000000, 'x')) VIRTUAL)"
    )
    connection.execute("INSERT INTO t (cell) VALUES (?)", (PICTURE,))
    connection.execute("CREATE VIEW v AS SELECT zeroblob(400000000)")
    connection.execute("CREATE INDEX i ON t (cell)")
    connection.commit()
    with in_time():
        found, whole = inside(bytes(connection.serialize()))
    assert [one.names for one in found] == [(b"t/1/cell",)]
    assert codes(whole) == []


def test_a_database_whose_tree_runs_in_circles_ends_by_a_count() -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("PRAGMA page_size=512")
    connection.execute("CREATE TABLE t (a)")
    connection.executemany("INSERT INTO t VALUES (?)", [(bytes(200),)] * 40_000)
    connection.commit()
    data = bytearray(connection.serialize())
    root = connection.execute("SELECT rootpage FROM sqlite_master").fetchone()[0]
    page = (root - 1) * 512
    assert data[page] == 5, "the root is no inner page: the test shows nothing"
    # Every child of the root, and of the root's children, is the same page.
    for _ in range(2):
        cells = struct.unpack_from(">H", data, page + 3)[0]
        places = [struct.unpack_from(">H", data, page + 12 + 2 * n)[0] for n in range(cells)]
        child = data[page + places[0] : page + places[0] + 4]
        for place in places:
            data[page + place : page + place + 4] = child
        page = (int.from_bytes(child, "big") - 1) * 512
    with in_time():
        _, whole = inside(bytes(data))
    assert codes(whole) in (["inside-damaged"], ["inside-budget"], [])


def test_a_compound_file_whose_streams_claim_more_than_there_is_ends() -> None:
    data = bytearray(thumbs_db([PICTURE] * 8))
    # Every entry of the directory claims a gigabyte.
    for at in range(len(data) - 128, 0, -128):
        if data[at + 66] == 2:
            data[at + 120 : at + 128] = struct.pack("<Q", 1 << 30)
    with in_time():
        _, whole = inside(bytes(data))
    assert codes(whole) == ["inside-damaged"]


def small_picture() -> bytes:
    """A PNG that is looked at in no time."""
    stream = io.BytesIO()
    Image.frombytes("RGB", (16, 16), random.Random(5).randbytes(768)).save(stream, "PNG")
    return stream.getvalue()


SMALL = small_picture()


@pytest.mark.parametrize("kind", CONTAINERS)
def test_mutated_containers_end_with_rows_and_reasons(kind: str) -> None:
    whole = CONTAINERS[kind][0](SMALL)
    chance = random.Random(kind)
    limits = Limits(max_inside_bytes=32 << 20, max_inside_files=2000)
    with in_time():
        for _ in range(25):
            data = bytearray(whole)
            for _ in range(chance.choice((1, 3, 20))):
                data[chance.randrange(len(data))] = chance.choice((0, 0xFF, chance.randrange(256)))
            if chance.random() < 0.2:
                del data[chance.randrange(len(data)) :]
            items, examination = looked_into(bytes(data), limits)
            found = [item for item in items if isinstance(item, Found)]
            assert examination.inside == len(found)
            assert examination.digests is not None
            assert all(one.examination.digests or codes(one) for one in found)
