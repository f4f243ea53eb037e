"""Containers made by the tests, each around one known picture, and what comes out of looking into one."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sqlite3
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pikepdf
import py7zr
from backports import zstd

from caid_triage.examine.embedded.walk import Again, Found
from caid_triage.examine.examine import Examiner
from caid_triage.examine.limits import Limits
from caid_triage.model import Examination
from caid_triage.synth.sample_pictures import picture as sample

PICTURE = sample("coast.jpg")
FILM = sample("ball.avi")
Fill = Callable[[sqlite3.Connection], object]
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


def archived(content: bytes) -> bytes:
    """An ar archive, which libarchive reads like RAR and CAB: there is no writer of those."""
    head = b"b.jpg/".ljust(16) + b"0".ljust(12) + b"0".ljust(6) * 2 + b"100644".ljust(8) + b"%d" % len(content)
    return b"!<arch>\n" + head.ljust(58) + b"`\n" + content + b"\n" * (len(content) % 2)


def cabinet(content: bytes) -> bytes:
    """A cabinet (MS-CAB) of one file that is not packed."""
    name = b"b.jpg\0"
    data = struct.pack("<IHH", 0, len(content), len(content)) + content  # a checksum of 0 is not checked
    file = struct.pack("<IIHHHH", len(content), 0, 0, 0x5821, 0, 0x20) + name
    folder_at = 36
    file_at = folder_at + 8
    data_at = file_at + len(file)
    size = data_at + len(data)
    head = b"MSCF" + struct.pack("<IIIIIBBHHHHH", 0, size, 0, file_at, 0, 3, 1, 1, 1, 0, 7, 0)
    return head + struct.pack("<IHH", data_at, 1, 0) + file + data


def rar_five(content: bytes, extra: bytes = b"") -> bytes:
    """A RAR 5 archive of one file that is not packed, with extra records in its header."""

    def number(value: int) -> bytes:
        out = b""
        while value > 0x7F:
            out += bytes([value & 0x7F | 0x80])
            value >>= 7
        return out + bytes([value])

    def block(body: bytes) -> bytes:
        sized = number(len(body)) + body
        return struct.pack("<I", zlib.crc32(sized)) + sized

    size = number(len(content))
    of_file = number(4) + size + number(0o644) + struct.pack("<I", zlib.crc32(content)) + number(0) + number(1)
    flags = number(2 | bool(extra)) + (number(len(extra)) if extra else b"")
    file = number(2) + flags + size + of_file + number(5) + b"b.jpg" + extra
    ends = block(number(5) + number(0) + number(0))
    return b"Rar!\x1a\x07\x01\0" + block(number(1) + number(0) + number(0)) + block(file) + content + ends


def rar_four(content: bytes) -> bytes:
    """A RAR 4 archive of one file that is not packed."""

    def block(body: bytes) -> bytes:
        return struct.pack("<H", zlib.crc32(body) & 0xFFFF) + body

    main = block(struct.pack("<BHH6x", 0x73, 0, 13))
    name = b"b.jpg"
    sizes = struct.pack(
        "<IIBIIBBHI", len(content), len(content), 3, zlib.crc32(content), 0x58210000, 20, 0x30, len(name), 0o644
    )
    file = block(struct.pack("<BHH", 0x74, 0x8000, 7 + len(sizes) + len(name)) + sizes + name)
    return b"Rar!\x1a\x07\0" + main + file + content + block(struct.pack("<BHH", 0x7B, 0x4000, 7))


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


def with_thumbnails(picture: bytes, *small: bytes) -> bytes:
    """A JPEG with thumbnails, each in an EXIF segment (IFD1) of its own."""
    segments = b""
    for inner in small:
        body = b"Exif\0\0" + exif_with(inner)
        segments += b"\xff\xe1" + (len(body) + 2).to_bytes(2) + body
    return picture[:2] + segments + picture[2:]


def exif_with(inner: bytes) -> bytes:
    """An EXIF block whose second table (IFD1) names a JPEG."""
    head = b"MM\0*\0\0\0\x08" + b"\0\0" + b"\0\0\0\x0e"
    directory = b"\0\x02" + b"\x02\x01\0\x04\0\0\0\x01\0\0\0\x2c"
    directory += b"\x02\x02\0\x04\0\0\0\x01" + len(inner).to_bytes(4) + bytes(4)
    return head + directory + inner


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


def database_of(fill: Fill) -> bytes:
    """A database as it lies on a disk: one in memory lets go of what is deleted."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "made.db"
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA secure_delete = OFF")
        fill(connection)
        connection.commit()
        connection.close()
        return path.read_bytes()


def log_of(fill: Fill, before: Fill | None = None) -> bytes:
    """The write-ahead log of a database while it is in use; ``before`` is in the database when it begins."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "made.db"
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA page_size = 1024")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        if before is not None:
            before(connection)
            connection.commit()
            connection.execute("PRAGMA wal_checkpoint(RESTART)")
        fill(connection)
        connection.commit()
        log = Path(f"{path}-wal").read_bytes()
        connection.close()
        return log


def thumbcache_with(content: bytes, version: int) -> bytes:
    key, name = 0x1122334455667788, "abcd".encode("utf-16-le")
    extension = "jpg\0".encode("utf-16-le") if version == 20 else b""
    lengths = struct.pack("<III", len(name), 4, len(content))
    rest = bytes({20: 20, 21: 20, 32: 28}[version])
    size = 16 + len(extension) + 12 + len(rest) + len(name) + 4 + len(content)
    entry = b"CMMM" + struct.pack("<IQ", size, key) + extension + lengths + rest + name + bytes(4) + content
    return b"CMMM" + struct.pack("<5I", version, 0, 24, 24, 1) + entry


def chromium_entry(content: bytes, encoding: bytes = b"") -> bytes:
    headers = b"HTTP/1.1 200\0content-type:image/jpeg\0" + (encoding and b"Content-Encoding: %b\0" % encoding) + b"\0"
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


def thumbs_db(pictures: list[bytes], header: int = 12) -> bytes:
    """Thumbs.db as Windows XP writes it: a compound file (MS-CFB) with numbered streams, each a header and a JPEG."""
    streams = {"Catalog": b"\x10\0\x07\0" + bytes(12)}
    for number, content in enumerate(pictures, 1):
        rest = bytes(header - 12)
        streams[str(number)[::-1]] = struct.pack("<III", header, number, len(content)) + rest + content
    return compound_file(
        {name: data.ljust(4096, b"\0") if name == "Catalog" else data for name, data in streams.items()}
    )


def compound_file(streams: dict[str, bytes]) -> bytes:
    """A compound file of version 3 whose streams, each of 4096 bytes or more, lie one behind the other in its root."""
    sectors: list[bytes] = []
    table: list[int] = []

    def add(data: bytes) -> int:
        first, count = len(sectors), max(1, -(-len(data) // 512))
        for number in range(count):
            sectors.append(data[512 * number : 512 * (number + 1)].ljust(512, b"\0"))
            table.append(first + number + 1 if number + 1 < count else 0xFFFFFFFE)
        return first

    starts = {name: add(data) for name, data in streams.items()}
    entries = [directory_entry("Root Entry", 5, 0xFFFFFFFE, 0, child=1)]
    names = sorted(streams, key=lambda name: (len(name), name.upper()))
    for number, name in enumerate(names, 1):  # a tree that leans to the right
        right = number + 1 if number < len(names) else 0xFFFFFFFF
        entries.append(directory_entry(name, 2, starts[name], len(streams[name]), right=right))
    directory = add(b"".join(entries))
    needed = 1
    while needed * 128 < len(table) + needed:
        needed += 1
    first = len(sectors)
    table += [0xFFFFFFFD] * needed
    packed = struct.pack(f"<{len(table)}I", *table).ljust(512 * needed, b"\xff")
    head = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<5H", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
    head += struct.pack("<9I", 0, needed, directory, 0, 4096, 0xFFFFFFFE, 0, 0xFFFFFFFE, 0)
    head += struct.pack(f"<{needed}I", *range(first, first + needed)).ljust(436, b"\xff")
    return head + b"".join(sectors) + packed


def directory_entry(
    name: str, kind: int, start: int, size: int, *, child: int = 0xFFFFFFFF, right: int = 0xFFFFFFFF
) -> bytes:
    raw = (name + "\0").encode("utf-16-le")
    return (
        raw.ljust(64, b"\0")
        + struct.pack("<HBBIII", len(raw), kind, 1, 0xFFFFFFFF, right, child)
        + bytes(36)
        + struct.pack("<IQ", start, size)
    )


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
    "zstd": (zstd.compress, (b"content",)),
    "ar": (archived, (b"b.jpg",)),
    "cab": (cabinet, (b"b.jpg",)),
    "rar 4": (rar_four, (b"b.jpg",)),
    "rar 5": (rar_five, (b"b.jpg",)),
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
    "Thumbs.db": (lambda p: thumbs_db([p]), (b"1",)),
    "Thumbs.db with sides": (lambda p: thumbs_db([p], 24), (b"1",)),
    "Chromium's cache": (chromium_entry, (b"https:||example.org|a|coast.jpg",)),
    "Firefox's cache": (firefox_entry, (b"https:||example.org|a|coast.jpg",)),
}
