"""Small files of every kind that is carved, made from nothing or drawn: name -> bytes. Benign, a few KB each."""

from __future__ import annotations

import random
import struct
import zlib

from caid_triage.synth.sample_pictures import picture

PICTURES = (
    "coast.jpg",
    "marble.jpg",
    "town.jpg",
    "orchard.jpg",
    "discs.png",
    "waves.webp",
    "fans.gif",
    "icon.bmp",
    "ball.avi",
)


def noise(seed: int, length: int) -> bytes:
    return random.Random(seed).randbytes(length)


def box(name: bytes, content: bytes, *, length: int | None = None) -> bytes:
    return struct.pack(">I", 8 + len(content) if length is None else length) + name + content


def open_ended_avif() -> bytes:
    """An AVIF whose last box goes "to the end of the file": its length is only in iloc."""
    media = noise(1, 3000)
    ftyp = box(b"ftyp", b"avif\0\0\0\0avifmif1")

    def meta(offset: int) -> bytes:
        iloc = b"\0\0\0\0" + bytes((0x44, 0x00)) + struct.pack(">H", 1)
        iloc += struct.pack(">HHH", 1, 0, 1) + struct.pack(">II", offset, len(media))
        return box(b"meta", b"\0\0\0\0" + box(b"hdlr", bytes(24)) + box(b"iloc", iloc))

    offset = len(ftyp) + len(meta(0)) + 8
    return ftyp + meta(offset) + box(b"mdat", media, length=0)


def open_ended_meta() -> bytes:
    """An AVIF whose meta box holds everything and has no length itself."""
    inner = box(b"hdlr", bytes(24)) + box(b"idat", noise(2, 2000))
    return box(b"ftyp", b"avif\0\0\0\0avifmif1") + box(b"meta", b"\0\0\0\0" + inner, length=0)


def film(*, open_end: bool = False, wide: bool = False) -> bytes:
    """An MP4 whose one track has two chunks; with ``open_end`` its mdat has no length, with ``wide`` one of 64 bits."""
    media = noise(3, 5000)
    ftyp = box(b"ftyp", b"isom\0\0\0\0isommp42")

    def moov(first: int) -> bytes:
        tables = box(b"stco", struct.pack(">IIII", 0, 2, first, first + 3000))
        tables += box(b"stsc", struct.pack(">IIIII", 0, 1, 1, 2, 1)) + box(
            b"stsz", struct.pack(">IIIIIII", 0, 0, 4, 1000, 2000, 500, 1500)
        )
        return box(b"moov", box(b"mvhd", bytes(100)) + box(b"trak", box(b"mdia", box(b"minf", box(b"stbl", tables)))))

    head = 16 if wide else 8
    start = len(ftyp) + len(moov(0)) + head
    if wide:
        return ftyp + moov(start) + struct.pack(">I4sQ", 1, b"mdat", 16 + len(media)) + media
    return ftyp + moov(start) + box(b"mdat", media, length=0 if open_end else None)


def element(name: int, content: bytes, *, unknown: bool = False) -> bytes:
    width = (name.bit_length() + 7) // 8
    size = b"\x01" + b"\xff" * 7 if unknown else (1 << 56 | len(content)).to_bytes(8, "big")
    return name.to_bytes(width, "big") + size + content


def matroska(*, unknown: bool = False) -> bytes:
    cluster = element(0xE7, b"\0") + element(0xA3, noise(4, 2000)) + element(0xA3, noise(5, 900))
    inside = element(0x1549A966, noise(6, 60)) + element(0x1654AE6B, noise(7, 80))
    inside += element(0x1F43B675, cluster, unknown=unknown) + element(0x1F43B675, cluster, unknown=unknown)
    return element(0x1A45DFA3, element(0x4282, b"matroska")) + element(0x18538067, inside, unknown=unknown)


def flash() -> bytes:
    parts = [b"FLV\x01\x05\0\0\0\x09\0\0\0\0"]
    for number, length in enumerate((300, 1200, 700)):
        tag = bytes((9 if number else 18,)) + length.to_bytes(3, "big") + b"\0\0\0\0\0\0\0"
        parts.append(tag + noise(number, length) + (11 + length).to_bytes(4, "big"))
    return b"".join(parts)


def asf() -> bytes:
    length = 30 + 104 + 2000
    facts = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365") + (104).to_bytes(8, "little") + bytes(16)
    facts += (length + 2000).to_bytes(8, "little") + bytes(56)
    head = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + (30 + 104).to_bytes(8, "little") + bytes(6) + facts
    data = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c") + (4000).to_bytes(8, "little") + noise(8, 3976)
    return head + data


def transport_stream() -> bytes:
    return b"".join(b"G" + noise(number, 187) for number in range(40))


def program_stream() -> bytes:
    parts = []
    for number in range(6):
        parts.append(b"\0\0\x01\xba\x44" + bytes(8) + b"\xf8")
        parts.append(b"\0\0\x01\xe0" + (1000).to_bytes(2, "big") + noise(number, 1000))
    return b"".join(parts) + b"\0\0\x01\xb9"


def ogg() -> bytes:
    pages = []
    for number in range(5):
        flags = 2 if not number else 4 if number == 4 else 0
        head = b"OggS\0" + bytes((flags,)) + bytes(8) + b"\1\0\0\0" + number.to_bytes(4, "little") + bytes(4)
        page = head + bytes((2, 255, 100)) + noise(number, 355)
        pages.append(page[:22] + ogg_checksum(page).to_bytes(4, "little") + page[26:])
    return b"".join(pages)


def ogg_checksum(page: bytes) -> int:
    """Bit by bit, as RFC 3533 says it."""
    rest = 0
    for byte in page:
        rest ^= byte << 24
        for _ in range(8):
            rest = (rest << 1 ^ (0x04C11DB7 if rest & 0x80000000 else 0)) & 0xFFFFFFFF
    return rest


def mp3() -> bytes:
    frame = b"\xff\xfb\x90\x00"  # 128 kbit/s, 44.1 kHz: 417 bytes
    return (
        b"ID3\x03\0\0\0\0\0\x0a" + bytes(10) + b"".join(frame + noise(n, 413) for n in range(30)) + b"TAG" + bytes(125)
    )


def pdf() -> bytes:
    body = (
        b"%PDF-1.4\n1 0 obj\n<</Length 900>>\nstream\n"
        + noise(9, 900).replace(b"%%EOF", b"")
        + b"\nendstream\nendobj\n"
    )
    first = body + b"xref\n0 1\ntrailer<<>>\nstartxref\n%d\n%%%%EOF\n" % len(body)
    more = first + b"2 0 obj\n<<>>\nendobj\n"
    return more + b"xref\n0 1\ntrailer<<>>\nstartxref\n%d\n%%%%EOF\n" % len(more)


def plain_ppm() -> bytes:
    samples = b"".join(
        b"%d%s" % (value, b"\n" if place % 7 == 6 else b" ") for place, value in enumerate(noise(5, 720))
    )
    return b"P3\n# written out\n20 12\n255\n" + samples.strip() + b"\n"


def with_tagged_data(picture: bytes) -> bytes:
    """A JPEG as Samsung's telephones write it: named blocks behind it, then their directory."""
    named = ((0x0A01, b"Image_UTC_Data", b"1510110846929"), (0x0A30, b"MotionPhoto_Data", noise(6, 5000)))
    blocks = [
        b"\0\0" + kind.to_bytes(2, "little") + len(name).to_bytes(4, "little") + name + data
        for kind, name, data in named
    ]
    rows, before = [], sum(map(len, blocks))
    for (kind, _, _), block in zip(named, blocks, strict=True):
        rows.append(
            b"\0\0"
            + b"".join((kind.to_bytes(2, "little"), before.to_bytes(4, "little"), len(block).to_bytes(4, "little")))
        )
        before -= len(block)
    directory = b"SEFH" + (106).to_bytes(4, "little") + len(rows).to_bytes(4, "little") + b"".join(rows)
    return picture + b"".join(blocks) + directory + len(directory).to_bytes(4, "little") + b"SEFT"


def archive() -> bytes:
    import io
    import zipfile

    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
        for number in range(3):
            made.writestr(zipfile.ZipInfo(f"word/part{number}.xml"), noise(number, 700))
    return target.getvalue()


def tiff() -> bytes:
    strip = noise(10, 64 * 64 * 3)
    rows = ((256, 3, 1, 64), (257, 3, 1, 64), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 2),
            (273, 4, 1, 8 + 2 + 12 * 8 + 4),
            (277, 3, 1, 3), (279, 4, 1, len(strip)))  # fmt: skip
    return (
        b"II*\0"
        + struct.pack("<IH", 8, len(rows))
        + b"".join(struct.pack("<HHII", *row) for row in rows)
        + bytes(4)
        + strip
    )


def png(width: int = 40, height: int = 30, *, chunk: int = 4096, seed: int = 11) -> bytes:
    """A PNG of noise in chunks of at most ``chunk`` bytes."""

    def part(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    rows = noise(seed, width * height * 3)
    packed = zlib.compress(b"".join(b"\0" + rows[at : at + width * 3] for at in range(0, len(rows), width * 3)))
    data = b"".join(part(b"IDAT", packed[at : at + chunk]) for at in range(0, len(packed), chunk))
    return (
        b"\x89PNG\r\n\x1a\n"
        + part(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + data
        + part(b"IEND", b"")
    )


def carvables() -> dict[str, bytes]:
    """One or more of each kind."""
    return {name: picture(name) for name in PICTURES} | {
        "open-end.avif": open_ended_avif(),
        "open-meta.avif": open_ended_meta(),
        "film.mp4": film(),
        "open-end.mp4": film(open_end=True),
        "wide.mp4": film(wide=True),
        "film.mkv": matroska(),
        "live.mkv": matroska(unknown=True),
        "film.flv": flash(),
        "film.wmv": asf(),
        "film.ts": transport_stream(),
        "film.mpg": program_stream(),
        "sound.ogg": ogg(),
        "sound.mp3": mp3(),
        "paper.pdf": pdf(),
        "paper.docx": archive(),
        "scan.tif": tiff(),
        "noise.png": png(),
        "grey.pgm": b"P5\n# drawn\n40 30\n255\n" + noise(12, 1200),
        "written-out.ppm": plain_ppm(),
        "telephone.jpg": with_tagged_data(picture("marble.jpg")),
        "run.sh": b"#!/bin/sh\necho milk\n",
    }
