"""Looking inside contents: each kind of container with a known picture in it, and what hostile ones cost."""

from __future__ import annotations

import hashlib
import io
import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from support.embedded import (
    CONTAINERS,
    FILM,
    PICTURE,
    archived,
    codes,
    compound_file,
    database_with,
    examined_alone,
    inside,
    locked_zip,
    looked_into,
    message_with,
    pdf_with,
    rar_five,
    rar_four,
    seven_zipped,
    with_thumbnails,
    zipped,
)
from support.inside_seeds import SEEDS
from support.quicklook import cache_of

from caid_triage.examine.embedded.content import Content
from caid_triage.examine.embedded.inner import Inner
from caid_triage.examine.embedded.other_archives import archive_files
from caid_triage.examine.embedded.walk import Again, Found, Step
from caid_triage.examine.limits import Limits
from caid_triage.examine.video_bytes import in_memory
from caid_triage.model import DecodeState, Kind, Severity
from caid_triage.synth.sample_pictures import picture as sample


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


class Store:
    """What pypff gives of a store with one message: there is no writer of such stores (real ones were read by hand)."""

    def __init__(self) -> None:
        self.number_of_orphan_items = 1

    def open_file_object(self, content: Any) -> None:
        assert content.read(4) == b"!BDN"

    def close(self) -> None:
        """Nothing is open."""

    def get_number_of_orphan_items(self) -> int:
        return 1

    def get_orphan_item(self, _number: int) -> StoredMessage:
        return StoredMessage(FILM, "gone.avi")

    def get_root_folder(self) -> StoredFolder:
        return StoredFolder()


class StoredFolder:
    """A folder with a message, in a folder without a name."""

    def __init__(self, depth: int = 0) -> None:
        self.depth = depth

    def get_number_of_sub_messages(self) -> int:
        return self.depth

    def get_sub_message(self, _number: int) -> StoredMessage:
        return StoredMessage(PICTURE, "coast.jpg")

    def get_number_of_sub_folders(self) -> int:
        return 1 - self.depth

    def get_sub_folder(self, _number: int) -> StoredFolder:
        return StoredFolder(1)

    def get_name(self) -> str:
        return "Inbox"


class StoredMessage:
    """A message with an attachment and one that cannot be read."""

    def __init__(self, content: bytes, name: str) -> None:
        self.attachment = StoredAttachment(content, name)

    def get_number_of_attachments(self) -> int:
        return 2

    def get_attachment(self, number: int) -> StoredAttachment:
        if number:
            raise OSError("libpff: unable to read")
        return self.attachment


class StoredAttachment:
    """An attachment as pypff has it since 2026; earlier ones have no name."""

    def __init__(self, content: bytes, name: str) -> None:
        self.long_filename = name
        self._stream = io.BytesIO(content)
        self._size = len(content)

    def get_size(self) -> int:
        return self._size

    def seek_offset(self, offset: int, whence: int) -> None:
        self._stream.seek(offset, whence)

    def read_buffer(self, size: int) -> bytes:
        return self._stream.read(size)


def test_attachments_of_an_outlook_store_come_by_folder_and_message(monkeypatch: pytest.MonkeyPatch) -> None:
    import pypff

    for made, real in ((Store, pypff.file), (StoredFolder, pypff.folder), (StoredMessage, pypff.message)):
        asked = {name for name in vars(made) if not name.startswith("_")}
        assert asked <= set(dir(real)), "the library has no such function"
    assert {"get_size", "seek_offset", "read_buffer", "long_filename"} <= set(dir(pypff.attachment))
    monkeypatch.setattr(pypff, "file", Store)
    found, _ = inside(b"!BDN" + bytes(4) + b"SM" + struct.pack("<HH", 23, 19) + bytes(600))
    assert [(one.names[0], codes(one)) for one in found] == [
        (b"Inbox/message-1/coast.jpg", []),
        (b"Inbox/message-1/attachment-2", ["inside-unreadable"]),
        (b"recovered-0/gone.avi", []),
        (b"recovered-0/attachment-2", ["inside-unreadable"]),
    ]
    assert found[0].examination.digests == examined_alone(PICTURE).digests


def test_a_message_of_outlook_gives_its_attachment_whatever_it_is() -> None:
    stream = "__substg1.0_37010102"
    found, _ = inside(compound_file({stream: PICTURE, "__substg1.0_1000001F": b"words " * 1000}))
    assert [one.names for one in found] == [(stream.encode(),)]
    packed = zipped({"in.jpg": PICTURE}, zipfile.ZIP_STORED)
    found, _ = inside(compound_file({stream: packed}))
    assert [one.names for one in found] == [(stream.encode(), b"in.jpg"), (stream.encode(),)]


def test_pictures_one_behind_the_other_in_a_file_of_no_known_type_are_found() -> None:
    """As telephones keep thumbnails (.thumbdata): slots of a fixed size, each with a few bytes before its JPEG."""
    slots = [b"\x01" + bytes(12) + PICTURE, b"\x01" + bytes(12) + sample("town.jpg")]
    data = bytes(30_000) + b"".join(slot.ljust(30_000, b"\0") for slot in slots)
    found, whole = inside(data)
    assert whole.media_type == "application/octet-stream"
    assert [one.names[0] for one in found] == [b"picture-at-30013.jpg", b"picture-at-60013.jpg"]
    assert found[0].examination.digests == examined_alone(PICTURE).digests
    block = b"\xc3\xca\x04\xc1" + bytes(8188) + PICTURE
    assert inside(block)[0][0].examination.digests == examined_alone(PICTURE).digests
    plist = b"bplist00" + b"\x4f\x12" + struct.pack(">I", len(PICTURE)) + PICTURE + bytes(32)
    assert inside(plist)[0][0].examination.digests == examined_alone(PICTURE).digests


def test_ordinary_files_of_no_known_type_are_not_searched() -> None:
    for data in (bytes(100_000), bytes(range(1, 256)) * 1000, b"\xff\xd8\xff" * 30_000):
        assert looked_into(data)[0] == []


def test_a_tar_of_before_posix_is_known_by_its_sum() -> None:
    head = bytearray(512)
    head[:5], head[100:107], head[124:135], head[136:147] = b"a.jpg", b"0000644", b"%011o" % len(PICTURE), b"%011o" % 0
    head[148:156] = b" " * 8
    head[148:155] = b"%06o\0" % sum(head)
    found, _ = inside(bytes(head) + PICTURE.ljust(-(-len(PICTURE) // 512) * 512, b"\0") + bytes(1024))
    assert found[0].examination.digests == examined_alone(PICTURE).digests


def test_a_film_in_a_box_of_a_heif_picture_is_a_film_of_its_own() -> None:
    import pillow_heif
    from PIL import Image

    stream = io.BytesIO()
    pillow_heif.from_pillow(Image.open(io.BytesIO(PICTURE))).save(stream)
    film = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + b"\0\0\1\0free" + bytes(248)
    found, whole = inside(stream.getvalue() + struct.pack(">I", len(film) + 8) + b"mpvd" + film)
    assert whole.decode_state is DecodeState.DECODED
    assert [one.examination.kind for one in found] == [Kind.VIDEO]
    assert found[0].examination.digests == examined_alone(film).digests


def test_a_thumbnail_inside_a_picture_is_a_file_of_its_own() -> None:
    """More of them: test_thumbnails.py."""
    (one,), _ = inside(with_thumbnails(PICTURE, sample("coast-small-bright.jpg")))
    assert one.examination.digests == examined_alone(sample("coast-small-bright.jpg")).digests


def test_a_log_has_a_test_module_of_its_own() -> None:
    """More of them: test_sqlite_wal.py."""
    found, _ = inside(SEEDS["write-ahead log"]())
    assert [one.names for one in found] == [(b"page-2/row-1/column-2",), (b"page-2/row-2/column-2",)]


def test_a_cache_of_quicklook_has_a_test_module_of_its_own() -> None:
    """More of them: test_quicklook.py."""
    found, whole = inside(cache_of([("/a.jpg", PICTURE)]).index())
    assert (found, codes(whole)) == ([], ["inside-no-samples"])


def test_the_second_picture_of_a_multi_picture_file_is_found() -> None:
    second = sample("town.jpg")
    marker = b"\xff\xe2" + struct.pack(">H", 18) + b"MPF\0" + bytes(12)
    data = PICTURE[:2] + marker + PICTURE[2:] + second
    found, _ = inside(data)
    assert [one.examination.digests for one in found] == [examined_alone(second).digests]


def test_a_telephones_backup_with_its_report_is_a_zip_like_any_other() -> None:
    """UFDR: the files under files/ and a report.xml that is read by nobody here, whatever it refers to."""
    report = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><project>&e;</project>'
    found, whole = inside(
        zipped({"report.xml": report, "files/Image/coast.jpg": PICTURE, "chat.db": database_with(PICTURE)})
    )
    assert codes(whole) == []
    assert [one.names[-1] for one in found if one.examination.kind is Kind.IMAGE] == [
        b"files/Image/coast.jpg",
        b'odd "name/1/cell',
    ]


@pytest.mark.parametrize(("make", "mark"), [(rar_four, rar_four(b"")[-7:]), (rar_five, rar_five(b"")[-8:])])
def test_a_rar_without_its_end_mark_gives_its_files(make: Callable[[bytes], bytes], mark: bytes) -> None:
    """Old ones have none. (What a binding of libarchive made of that ended the process.)"""
    data = make(PICTURE)
    for end in (b"", mark, mark[:5], mark[:2]):
        (one,), whole = inside(data[: -len(mark)] + end)
        assert one.examination.digests == examined_alone(PICTURE).digests
        assert (codes(one), codes(whole)) == ([], [])


@pytest.mark.parametrize("make", [rar_four, rar_five, archived])
def test_of_an_archive_that_libarchive_reads_a_piece_at_a_time_is_held(make: Callable[[bytes], bytes]) -> None:
    large = PICTURE + random.Random(1).randbytes(9 << 20)
    content = Content(in_memory(make(large)))
    most = 0

    def read(size: int = -1, real: Callable[[int], bytes] = content.read) -> bytes:
        nonlocal most
        most = max(most, size if size >= 0 else content.size)
        return real(size)

    content.read = read  # type: ignore[method-assign]
    listed = archive_files(content)
    one = next(listed)
    assert isinstance(one, Inner)
    assert one.pieces is not None
    assert b"".join(one.pieces()) == large
    assert list(listed) == []
    assert most <= 1 << 20
    assert list(one.pieces()) == []  # the archive is closed


def test_a_file_of_a_rar_that_needs_a_password_is_named() -> None:
    """RAR 5 keeps how a file is encrypted in an extra record of its header."""
    record = b"\x01" + b"\0\0\x0f" + bytes(16) + bytes(16)
    (one,), _ = inside(rar_five(PICTURE, extra=bytes([len(record)]) + record))
    assert (one.names, one.readable, codes(one)) == ((b"b.jpg",), False, ["inside-encrypted"])


def test_apples_mail_has_a_line_of_its_own_before_the_message() -> None:
    found, _ = inside(b"123456  \n" + message_with(PICTURE))
    assert found[0].examination.digests == examined_alone(PICTURE).digests


@pytest.mark.parametrize("short", range(9))
def test_a_size_some_bytes_too_small_of_an_entry_of_a_thumbnail_cache_hides_no_other(short: int) -> None:
    made = CONTAINERS["thumbcache of Windows 10"][0](PICTURE)
    head, first, second = made[:24], bytearray(made[24:]), bytearray(made[24:])
    struct.pack_into("<I", first, 4, len(first) + 8 - short)
    second[8:16] = bytes(range(8))
    found, _ = inside(head + bytes(first) + bytes(8) + bytes(second))
    assert [one.names[0] for one in found] == [b"1122334455667788", b"0706050403020100"]


def test_a_zip_that_ends_in_its_lzma_properties_says_what_is_amiss() -> None:
    data = zipped({"a.jpg": PICTURE}, zipfile.ZIP_LZMA)
    (one,), _ = inside(data[: data.index(b"a.jpg") + 5 + 3])
    assert codes(one) == ["inside-unreadable"]
    assert "properties are not those of zip" in one.problems[0].detail


# Beginning of a row of docs/formats/inside.md -> the containers of these tests that try it; others have a test by name.
TRIED = {
    "zip,": ["zip deflated", "zip stored", "zip bzip2", "zip lzma", "docx"],
    "7-Zip": ["7z"],
    "tar,": ["tar", "tar.gz"],
    "gzip,": ["gzip", "bzip2", "xz", "zstd"],
    "PDF": ["pdf"],
    "Office up to 2003": ["Thumbs.db"],
    "mail:": ["mail", "mailbox"],
    "Thumbs.db": ["Thumbs.db", "Thumbs.db with sides"],
    "thumbcache": ["thumbcache of Vista", "thumbcache of Windows 7", "thumbcache of Windows 10"],
    "SQLite": ["sqlite"],
    "macOS QuickLook": "test_a_cache_of_quicklook_has_a_test_module_of_its_own",
    "write-ahead logs": "test_a_log_has_a_test_module_of_its_own",
    "Chromium's simple": ["Chromium's cache"],
    "Firefox": ["Firefox's cache"],
    "RAR": ["rar 4", "rar 5", "cab", "ar"],
    "Outlook message": "test_a_message_of_outlook_gives_its_attachment_whatever_it_is",
    "Outlook stores": "test_attachments_of_an_outlook_store_come_by_folder_and_message",
    "Chromium's block": "test_pictures_one_behind_the_other_in_a_file_of_no_known_type_are_found",
    "film behind": "test_a_film_in_a_box_of_a_heif_picture_is_a_film_of_its_own",
    "thumbnails of": "test_a_thumbnail_inside_a_picture_is_a_file_of_its_own",
}


def test_the_table_of_containers_says_what_these_tests_try() -> None:
    page = Path(__file__).parents[3] / "docs" / "formats" / "inside.md"
    rows = [line.split("|") for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    read = [cells[1].strip() for cells in rows if cells[2].strip() == "yes"]
    assert len(read) == len(TRIED)
    for row in read:
        tried = [by for start, by in TRIED.items() if row.startswith(start)]
        assert len(tried) == 1, row
        assert tried[0] in globals() if isinstance(tried[0], str) else set(tried[0]) <= set(CONTAINERS)
