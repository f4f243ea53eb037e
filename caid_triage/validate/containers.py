"""Files that hold pictures inside: an archive, a document, a message, a database ... and what lies in each.

Each is written from its public description or by Python's standard library; none by a library that the tool reads with.
"""

from __future__ import annotations

import base64
import io
import sqlite3
import struct
import tarfile
import zipfile
import zlib

EPOCH = (2019, 6, 1, 12, 0, 0)


def zipped(members: dict[str, bytes], *, packed: bool = True) -> bytes:
    """A zip of these members."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name, EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
            archive.writestr(info, content)
    return out.getvalue()


def locked_zip(name: str, content: bytes) -> bytes:
    """A zip whose one member says that it is encrypted (its bytes are noise to whom has no key)."""
    plain = bytearray(zipped({name: bytes(byte ^ 0x5A for byte in content)}, packed=False))
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = plain.rindex(mark) + at
        plain[place] |= 1
    return bytes(plain)


def tarred(members: dict[str, bytes]) -> bytes:
    """A tar in gzip."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def message(name: str, content: bytes) -> bytes:
    """An e-mail with one attachment. Source: RFC 5322, RFC 2045."""
    lines = base64.encodebytes(content).replace(b"\n", b"\r\n")
    head = (
        "From: a@example.org\r\nTo: b@example.org\r\nSubject: a drawing\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/mixed; boundary="edge"\r\n\r\n--edge\r\nContent-Type: text/plain\r\n\r\nsee below\r\n'
        f'--edge\r\nContent-Type: image/png; name="{name}"\r\nContent-Transfer-Encoding: base64\r\n'
        f'Content-Disposition: attachment; filename="{name}"\r\n\r\n'
    )
    return head.encode() + lines + b"--edge--\r\n"


def database(content: bytes) -> bytes:
    """An SQLite database with the content in a cell."""
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE picture (id INTEGER PRIMARY KEY, data BLOB)")
    connection.execute("INSERT INTO picture (data) VALUES (?)", (content,))
    connection.commit()
    kept: bytes = connection.serialize()
    connection.close()
    return kept


def pdf(jpeg: bytes, width: int, height: int) -> bytes:
    """A PDF of one page that shows a JPEG. Source: ISO 32000-1, 7.5 and 8.9."""
    page = f"q {width} 0 0 {height} 0 0 cm /P Do Q".encode()
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 %d %d]/Resources<</XObject<</P 5 0 R>>>>/Contents 4 0 R>>"
        % (width, height),
        b"<</Length %d>>stream\n%s\nendstream" % (len(page), page),
        b"<</Type/XObject/Subtype/Image/Width %d/Height %d/ColorSpace/DeviceRGB/BitsPerComponent 8/Filter/DCTDecode"
        b"/Length %d>>stream\n%s\nendstream" % (width, height, len(jpeg), jpeg),
    ]
    out, places = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table_at = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, table_at)
    return bytes(out)


def with_thumbnail(jpeg: bytes, thumbnail: bytes) -> bytes:
    """A JPEG with another as its EXIF thumbnail. Source: CIPA DC-008 (EXIF 2.3), 4.5."""
    first = struct.pack("<H", 0) + struct.pack("<I", 14)  # no entries, then where the second directory lies
    second = struct.pack("<HHHIIHHII", 2, 0x0201, 4, 1, 14 + 2 + 24 + 4, 0x0202, 4, 1, len(thumbnail))
    tiff = b"II*\0" + struct.pack("<I", 8) + first + second + struct.pack("<I", 0) + thumbnail
    segment = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + jpeg[2:]


def huge_png(side: int) -> bytes:
    """A PNG of a few hundred bytes that claims ``side`` times ``side`` pixels: a bomb that is refused by its header."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(10_000))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in parts
    )
