"""Small structures that hold metadata, written here by the rules of each format."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

TYPES = {"text": 2, "short": 3, "long": 4, "ratio": 5, "bytes": 7}
Tags = Mapping[int, tuple[str, Any]]


def _value(order: str, kind: str, value: Any) -> tuple[int, bytes]:
    if kind == "text":
        raw = value.encode() + b"\0"
        return len(raw), raw
    if kind == "bytes":
        return len(value), value
    if kind == "ratio":
        return len(value), b"".join(struct.pack(order + "II", *pair) for pair in value)
    return 1, struct.pack(order + ("H" if kind == "short" else "I"), value)


def _ifd(order: str, tags: Tags, start: int) -> bytes:
    """One table at ``start`` with its values behind it."""
    entries, tail = b"", b""
    after = start + 2 + 12 * len(tags) + 4
    for tag, (kind, value) in sorted(tags.items()):
        count, raw = _value(order, kind, value)
        if len(raw) > 4:
            place = struct.pack(order + "I", after + len(tail))
            tail += raw + b"\0" * (len(raw) % 2)
        else:
            place = raw.ljust(4, b"\0")
        entries += struct.pack(order + "HHI", tag, TYPES[kind], count) + place
    return struct.pack(order + "H", len(tags)) + entries + b"\0\0\0\0" + tail


def tiff(picture: Tags, exif: Tags | None = None, gps: Tags | None = None, order: str = "<") -> bytes:
    """A TIFF structure of up to three tables."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    tags = dict(picture)
    for pointer, table in ((0x8769, exif), (0x8825, gps)):
        if table is not None:
            tags[pointer] = "long", 0
    end = 8 + len(_ifd(order, tags, 8))
    tables = b""
    for pointer, table in ((0x8769, exif), (0x8825, gps)):
        if table is not None:
            tags[pointer] = "long", end + len(tables)
            tables += _ifd(order, table, end + len(tables))
    return head + _ifd(order, tags, 8) + tables


def jpeg(*segments: tuple[int, bytes]) -> bytes:
    """The beginning of a JPEG with these segments and no picture."""
    parts = (struct.pack(">BBH", 0xFF, code, len(body) + 2) + body for code, body in segments)
    return b"\xff\xd8" + b"".join(parts) + b"\xff\xda\0\x02\xff\xd9"


def jpeg_with(exif: bytes = b"", xmp: bytes = b"") -> bytes:
    """A JPEG with an EXIF block and an XMP packet."""
    segments = [(0xE1, b"Exif\0\0" + exif)] * bool(exif) + [(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp)] * bool(xmp)
    return jpeg(*segments)


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of these chunks and no picture."""
    every = [*chunks, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in every
    )


def webp(*chunks: tuple[bytes, bytes]) -> bytes:
    """A WebP of these chunks and no picture."""
    body = b"".join(name + struct.pack("<I", len(part)) + part + b"\0" * (len(part) % 2) for name, part in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def box(name: bytes, body: bytes) -> bytes:
    """One box of the ISO base media format."""
    return struct.pack(">I", len(body) + 8) + name + body


def heif(items: Sequence[tuple[bytes, bytes]], *, in_idat: bool = False) -> bytes:
    """A HEIF file of items (type, content) and no picture."""
    entries = b""
    for number, (kind, _) in enumerate(items, start=1):
        more = b"application/rdf+xml\0" if kind == b"mime" else b""
        entries += box(b"infe", b"\2\0\0\0" + struct.pack(">HH", number, 0) + kind + b"\0" + more)
    iinf = box(b"iinf", b"\0\0\0\0" + struct.pack(">H", len(items)) + entries)
    contents = b"".join(content for _, content in items)
    start = 0
    for _ in range(2):
        iloc, at = b"", start
        for number, (_, content) in enumerate(items, start=1):
            iloc += struct.pack(">HHHHII", number, int(in_idat), 0, 1, at, len(content))
            at += len(content)
        iloc = box(b"iloc", b"\1\0\0\0\x44\0" + struct.pack(">H", len(items)) + iloc)
        idat = box(b"idat", contents) if in_idat else b""
        whole = box(b"ftyp", b"heic\0\0\0\0heic") + box(b"meta", b"\0\0\0\0" + iinf + iloc + idat)
        start = 0 if in_idat else len(whole) + 8
    return whole if in_idat else whole + box(b"mdat", contents)


def psd(*resources: tuple[int, bytes]) -> bytes:
    """A Photoshop file of these image resources and no picture."""
    body = b"".join(
        b"8BIM" + struct.pack(">H", number) + b"\0\0" + struct.pack(">I", len(part)) + part + b"\0" * (len(part) % 2)
        for number, part in resources
    )
    return b"8BPS\0\1".ljust(26, b"\0") + struct.pack(">I", 0) + struct.pack(">I", len(body)) + body


PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/"
  xmlns:stEvt="http://ns.adobe.com/xap/1.0/sType/ResourceEvent#" xmlns:dc="http://purl.org/dc/elements/1.1/"
  xmlns:stRef="http://ns.adobe.com/xap/1.0/sType/ResourceRef#" xmlns:exif="http://ns.adobe.com/exif/1.0/"
  xmlns:aux="http://ns.adobe.com/exif/1.0/aux/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"
  {attributes}>{elements}</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""


def packet(attributes: str = "", elements: str = "") -> bytes:
    """An XMP packet of one description."""
    return PACKET.format(attributes=attributes, elements=elements).encode()
