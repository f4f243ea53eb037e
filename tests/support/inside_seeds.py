"""Small contents of every kind that is looked into, for damaging, each around a picture that is looked at at once."""

from __future__ import annotations

import io
import random
import sqlite3
import struct
from collections.abc import Callable
from functools import partial

from PIL import Image

from support.embedded import CONTAINERS, compound_file, database_of, exif_with, log_of, with_thumbnails

FILM = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + b"\0\0\1\0free" + bytes(248)


def drawn(form: str, side: int = 16, **options: object) -> bytes:
    """A few pixels of noise in a format."""
    stream = io.BytesIO()
    Image.frombytes("RGB", (side, side), random.Random(5).randbytes(3 * side * side)).save(stream, form, **options)
    return stream.getvalue()


JPEG, PNG = drawn("JPEG", 24), drawn("PNG")
# Streams of a compound file of the tests have 4,096 bytes or more.
LARGER = drawn("JPEG", 80, quality=92)


def message_of_outlook(content: bytes) -> bytes:
    streams = {"__substg1.0_37010102": content.ljust(4096, b"\0"), "__substg1.0_1000001F": b"words " * 1000}
    return compound_file(streams)


def deleted_rows(connection: sqlite3.Connection) -> None:
    """Pictures that are deleted: some with their page, some in a page that is in use."""
    connection.execute("PRAGMA page_size = 512")
    connection.execute("CREATE TABLE old (cell BLOB)")
    connection.execute("INSERT INTO old VALUES (?)", (bytes(9000),))
    connection.execute("CREATE TABLE t (cell BLOB, words TEXT)")
    connection.executemany("INSERT INTO t VALUES (?, ?)", [(JPEG, "a"), (PNG, "b"), (LARGER, "c"), (JPEG, "d" * 100)])
    connection.execute("CREATE TABLE u (words TEXT, cell BLOB)")
    connection.executemany("INSERT INTO u VALUES (?, ?)", [("a" * 90, b""), ("b", LARGER), ("c" * 90, b"")])
    connection.commit()
    connection.execute("DROP TABLE old")
    connection.execute("DELETE FROM u WHERE words = 'b'")
    connection.execute("DELETE FROM t WHERE words <> 'a'")


def added(connection: sqlite3.Connection, content: bytes) -> None:
    """A table that is made and filled in two transactions."""
    connection.execute("CREATE TABLE t (words TEXT, cell BLOB)")
    connection.execute("INSERT INTO t VALUES ('a', ?)", (content,))
    connection.commit()
    connection.execute("INSERT INTO t VALUES ('b', ?)", (content + b"b",))


def slots(content: bytes) -> bytes:
    """A store of thumbnails of a telephone (.thumbdata)."""
    return bytes(3000) + b"".join((b"\x01" + bytes(12) + content).ljust(3000, b"\0") for _ in range(3))


def multi_picture(content: bytes) -> bytes:
    marker = b"\xff\xe2" + struct.pack(">H", 18) + b"MPF\0" + bytes(12)
    return content[:2] + marker + content[2:] + content


def heic_with_film(_content: bytes) -> bytes:
    import pillow_heif

    stream = io.BytesIO()
    pillow_heif.from_pillow(Image.open(io.BytesIO(JPEG)).resize((64, 64))).save(stream)
    return stream.getvalue() + struct.pack(">I", len(FILM) + 8) + b"mpvd" + FILM


def photoshop(content: bytes) -> bytes:
    """A picture of 1 x 1 in Photoshop's format with a thumbnail (resource 1036)."""
    body = struct.pack(">6I", 1, 160, 120, 480, 57600, len(content)) + struct.pack(">HH", 24, 1) + content
    resource = b"8BIM" + struct.pack(">HHI", 1036, 0, len(body)) + body + b"\0" * (len(body) & 1)
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 1, 1, 8, 3)
    return head + bytes(4) + struct.pack(">I", len(resource)) + resource + bytes(4) + b"\0\0\1\2\3"


def old_tar(content: bytes) -> bytes:
    head = bytearray(512)
    head[:5], head[100:107], head[124:135], head[136:147] = b"a.jpg", b"0000644", b"%011o" % len(content), b"%011o" % 0
    head[148:156] = b" " * 8
    head[148:155] = b"%06o\0" % sum(head)
    return bytes(head) + content.ljust(-(-len(content) // 512) * 512, b"\0") + bytes(1024)


def _around(kind: str) -> bytes:
    return CONTAINERS[kind][0](LARGER if kind.startswith("Thumbs") else JPEG)


# Kind -> the content. Stores of Outlook have no writer: what there is of one is its header.
SEEDS: dict[str, Callable[[], bytes]] = {
    **{kind: partial(_around, kind) for kind in CONTAINERS},
    "sqlite with deleted rows": lambda: database_of(deleted_rows),
    "write-ahead log": lambda: log_of(partial(added, content=JPEG)),
    "outlook message": lambda: message_of_outlook(JPEG),
    "outlook store": lambda: b"!BDN" + bytes(4) + b"SM" + struct.pack("<HH", 23, 19) + bytes(600),
    "thumbdata": lambda: slots(JPEG),
    "block file": lambda: b"\xc3\xca\x04\xc1" + bytes(8188) + JPEG + bytes(100) + PNG,
    "property list": lambda: b"bplist00" + b"\x4f\x12" + struct.pack(">I", len(JPEG)) + JPEG + bytes(32),
    "motion photo": lambda: JPEG + b"MotionPhoto_Data" + FILM,
    "multi-picture": lambda: multi_picture(JPEG),
    "heic with film": lambda: heic_with_film(JPEG),
    "old tar": lambda: old_tar(JPEG),
    "jpeg with thumbnails": lambda: with_thumbnails(drawn("JPEG", 64), JPEG, drawn("JPEG", 32)),
    "png with thumbnail": lambda: drawn("PNG", 64, exif=b"Exif\0\0" + exif_with(JPEG)),
    "webp with thumbnail": lambda: drawn("WEBP", 64, exif=b"Exif\0\0" + exif_with(JPEG)),
    "photoshop": lambda: photoshop(JPEG),
    "camera raw": lambda: (
        b"FUJIFILMCCD-RAW 0201FF129502" + bytes(400) + JPEG + bytes(33) + drawn("JPEG", 64) + bytes(99)
    ),
}
