"""Containers made for the tests: by qemu-img where it is installed, else by hand from the formats' documents."""

from __future__ import annotations

import bz2
import hashlib
import io
import plistlib
import random
import shutil
import struct
import subprocess
import uuid
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

AFF4 = "http://aff4.org/Schema#"
SNAPPY = "http://code.google.com/p/snappy/"
DEFLATE = "https://www.ietf.org/rfc/rfc1950.txt"
STORED = AFF4 + "NullCompressor"


def qemu_img(*arguments: object, tool: str = "qemu-img") -> None:
    """Run qemu-img (or qemu-io); the test is skipped where it is not installed."""
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} (qemu-utils) is not installed")
    subprocess.run([tool, *map(str, arguments)], check=True, capture_output=True, timeout=60)


def converted(raw: Path, out: Path, form: str, *options: str) -> Path:
    """``raw`` as a virtual disk that qemu-img makes. Options are -o options, or "compressed"."""
    packed = ["-c"] if "compressed" in options else []
    chosen = [part for option in options if option != "compressed" for part in ("-o", option)]
    qemu_img("convert", "-f", "raw", "-O", form, *packed, *chosen, raw, out)
    return out


def by_qemu(disk: Path, out: Path, form: str) -> bytes:
    """The disk inside a virtual disk as qemu-img reads it."""
    qemu_img("convert", "-f", form, "-O", "raw", disk, out)
    return out.read_bytes()


# ---------------------------------------------------------------- VHD


def _vhd_footer(size: int, kind: int, own: bytes, offset: int) -> bytes:
    footer = struct.pack(
        ">8sIIQI4sI4sQQHBBI4x16s",
        b"conectix",
        2,
        0x10000,
        offset,
        0,
        b"test",
        1,
        b"Wi2k",
        size,
        size,
        1,
        1,
        1,
        kind,
        own,
    )
    footer = footer.ljust(512, b"\0")
    total = ~sum(footer) & 0xFFFFFFFF
    return footer[:64] + struct.pack(">I", total) + footer[68:]


def differencing_vhd(
    content: bytes, parent: Path, changed: dict[int, bytes], block: int = 1 << 16, bits: int = 0xFF
) -> bytes:
    """A VHD with only the blocks (number -> content) that differ from the parent's; ``content`` gives the size.

    ``bits`` says of each eight sectors which are its own (the first is the highest bit).
    """
    parent_id = parent.read_bytes()[-512:][68:84]
    size = len(content)
    count = -(-size // block)
    footer = _vhd_footer(size, 4, uuid.uuid4().bytes, 512)
    table_at = 512 + 1024
    name = parent.name.encode("utf-16-be")
    header = struct.pack(
        ">8sQQIII4x16sI4x512s", b"cxsparse", 0xFFFFFFFFFFFFFFFF, table_at, 0x10000, count, block, parent_id, 0, name
    ).ljust(1024, b"\0")
    total = ~sum(header) & 0xFFFFFFFF
    header = header[:36] + struct.pack(">I", total) + header[40:]
    table_size = -(-4 * count // 512) * 512
    entries, data = [0xFFFFFFFF] * count, b""
    bitmap = bytes([bits]) * (block // 512 // 8)
    bitmap = bitmap.ljust(-(-len(bitmap) // 512) * 512, b"\0")
    for number, piece in changed.items():
        entries[number] = (table_at + table_size + len(data)) // 512
        data += bitmap + piece.ljust(block, b"\0")
    table = struct.pack(f">{count}I", *entries).ljust(table_size, b"\xff")
    return footer + header + table + data + footer


# ---------------------------------------------------------------- Apple


def udif(content: bytes, codec: str = "zlib", run: int = 64) -> bytes:
    """A DMG (UDIF) of runs of ``run`` sectors: "zlib", "bzip2" or "raw"; runs of zeros are kept as such."""
    pack: Callable[[bytes], bytes]
    kind, pack = {
        "zlib": (0x80000005, zlib.compress),
        "bzip2": (0x80000006, bz2.compress),
        "raw": (1, bytes),
    }[codec]
    sectors = len(content) // 512
    data, runs = b"", b""
    for start in range(0, sectors, run):
        count = min(run, sectors - start)
        piece = content[512 * start : 512 * (start + count)]
        if piece.count(0) == len(piece):
            runs += struct.pack(">IIQQQQ", 2, 0, start, count, len(data), 0)
            continue
        packed = pack(piece)
        runs += struct.pack(">IIQQQQ", kind, 0, start, count, len(data), len(packed))
        data += packed
    runs += struct.pack(">IIQQQQ", 0xFFFFFFFF, 0, sectors, 0, len(data), 0)
    checksum = struct.pack(">II128s", 2, 32, b"")
    table = struct.pack(">4sIQQQII24x", b"mish", 1, 0, sectors, 0, run + 8, 0) + checksum
    table += struct.pack(">I", len(runs) // 40) + runs
    blkx = [{"Attributes": "0x0050", "CFName": "whole disk", "Data": table, "ID": "0", "Name": "whole disk"}]
    xml = plistlib.dumps({"resource-fork": {"blkx": blkx}})
    trailer = (
        struct.pack(">4sIIIQQQQQII16s", b"koly", 4, 512, 1, 0, 0, len(data), 0, 0, 1, 1, uuid.uuid4().bytes) + checksum
    )
    trailer += struct.pack(">QQ120x", len(data), len(xml)) + checksum + struct.pack(">IQ12x", 1, sectors)
    assert len(trailer) == 512
    return data + xml + trailer


def sparse_image(content: bytes, band_sectors: int = 128) -> bytes:
    """A .sparseimage of one file: the bands that are not zeros, in reverse order."""
    band = band_sectors * 512
    count = -(-len(content) // band)
    bands = [content[n * band : (n + 1) * band].ljust(band, b"\0") for n in range(count)]
    kept = [number for number in reversed(range(count)) if any(bands[number])]
    header = struct.pack(">4sIIIII", b"sprs", 3, band_sectors, 1, len(content) // 512, 0).ljust(64, b"\0")
    header += b"".join(struct.pack(">I", number + 1) for number in kept)
    return header.ljust(4096, b"\0") + b"".join(bands[number] for number in kept)


def sparse_bundle(folder: Path, content: bytes, band: int = 1 << 16) -> Path:
    """A .sparsebundle: bands of zeros are left out, others end where only zeros follow."""
    (folder / "bands").mkdir(parents=True)
    facts = {"diskimage-bundle-type": "com.apple.diskimage.sparsebundle", "band-size": band, "size": len(content)}
    (folder / "Info.plist").write_bytes(plistlib.dumps(facts))
    (folder / "token").write_bytes(b"")
    for number in range(-(-len(content) // band)):
        piece = content[number * band : (number + 1) * band].rstrip(b"\0")
        if piece:
            (folder / "bands" / f"{number:x}").write_bytes(piece)
    return folder


# ---------------------------------------------------------------- AFF4


def snappy(data: bytes) -> bytes:
    """A Snappy block: literals, and copies where the last bytes repeat. Not clever; right."""
    out, length = bytearray(), len(data)
    while length >= 0x80:
        out.append(length & 0x7F | 0x80)
        length >>= 7
    out.append(length)
    at = 0
    while at < len(data):
        piece = data[at : at + 64]
        back = data.rfind(piece, max(0, at - 2000), at + len(piece) - 1) if len(piece) >= 4 else -1
        if 0 <= back < at and data[back : back + len(piece)] == piece:
            out += bytes([(len(piece) - 1) << 2 | 2]) + (at - back).to_bytes(2, "little")
        else:
            out += bytes([60 << 2, len(piece) - 1]) + piece
        at += len(piece)
    return bytes(out)


def aff4(
    content: bytes,
    method: str = SNAPPY,
    *,
    unreadable: tuple[tuple[int, int], ...] = (),
    unknown: tuple[tuple[int, int], ...] = (),
    chunk: int = 4096,
    in_bevy: int = 64,
    mapped: bool = True,
    facts: str = "",
) -> bytes:
    """An AFF4 image: zero chunks go to aff4:Zero, ranges that could not be read to aff4:UnreadableData."""
    pack = {SNAPPY: snappy, DEFLATE: zlib.compress, STORED: bytes}.get(method, zlib.compress)
    volume, image, map_name, stream = (f"aff4://{uuid.UUID(int=n)}" for n in (1, 2, 3, 4))
    targets = [stream, AFF4 + "Zero", AFF4 + "UnreadableData", AFF4 + "UnknownData"]
    entries, kept = [], []
    for at in range(0, len(content), chunk):
        piece = content[at : at + chunk]
        target = 1 if not any(piece) and mapped else 0
        target = 2 if any(start <= at < start + length for start, length in unreadable) else target
        target = 3 if any(start <= at < start + length for start, length in unknown) else target
        entries.append(struct.pack("<QQQI", at, len(piece), len(kept) * chunk if target == 0 else at, target))
        if target == 0:
            kept.append(piece)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.comment = volume.encode()
        archive.writestr("container.description", volume)
        archive.writestr("version.txt", "major=1\nminor=0\ntool=test\n")
        folder = stream.replace("aff4://", "aff4%3A%2F%2F")
        for bevy in range(-(-len(kept) // in_bevy)):
            chunks = kept[bevy * in_bevy : (bevy + 1) * in_bevy]
            data, index, hashes = b"", b"", b""
            for piece in chunks:
                packed = pack(piece)
                packed = piece if len(packed) >= len(piece) else packed
                index += struct.pack("<QI", len(data), len(packed))
                hashes += hashlib.md5(piece).digest()
                data += packed
            archive.writestr(f"{folder}/{bevy:08d}", data)
            archive.writestr(f"{folder}/{bevy:08d}.index", index, zipfile.ZIP_DEFLATED)
            archive.writestr(f"{folder}/{bevy:08d}.blockHash.md5", hashes, zipfile.ZIP_DEFLATED)
        map_folder = map_name.replace("aff4://", "aff4%3A%2F%2F")
        points = b"".join(entries)
        if mapped:
            archive.writestr(f"{map_folder}/map", points, zipfile.ZIP_DEFLATED)
            archive.writestr(f"{map_folder}/idx", "\n".join(targets))
        streamed = b"".join(kept)
        turtle = f"""@prefix : <{volume}> .
@prefix rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
@prefix aff4: <{AFF4}> .
# a comment, with "marks" ; and . in it
<{image}> a aff4:ContiguousImage , aff4:DiskImage ; aff4:dataStream <{map_name if mapped else stream}> ;
    aff4:caseNumber "17 \\"b\\"" ; aff4:size "{len(content)}"^^xsd:long {facts}.
<{map_name}> a aff4:Map ; aff4:size "{len(content)}"^^xsd:long ; aff4:mapGapDefaultStream aff4:Zero ;
    aff4:mapPointHash "{hashlib.sha512(points).hexdigest()}"^^aff4:SHA512 .
<{stream}> a aff4:ImageStream ; aff4:chunkSize "{chunk}"^^xsd:int ; aff4:chunksInSegment "{in_bevy}"^^xsd:int ;
    aff4:compressionMethod <{method}> ; aff4:size "{len(streamed)}"^^xsd:long ;
    aff4:hash "{hashlib.md5(streamed).hexdigest()}"^^aff4:MD5 , "{hashlib.sha1(streamed).hexdigest()}"^^aff4:SHA1 .
"""
        archive.writestr("information.turtle", turtle, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def damaged_copies(content: bytes, count: int, seed: int) -> list[bytes]:
    """``count`` copies with bytes changed anywhere, near the start or near the end, or with the end cut off."""
    copies = []
    for number in range(count):
        rng = random.Random(seed * 1000 + number)
        copy = bytearray(content)
        where = [len(copy), 2048, 70000][number % 3]
        for _ in range(rng.choice((1, 4, 40))):
            at = rng.randrange(min(where, len(copy)))
            if number % 4 == 1:
                at = len(copy) - 1 - at
            copy[at] = rng.choice((0, 0xFF, rng.randrange(256)))
        if number % 10 == 9:
            del copy[rng.randrange(len(copy)) :]
        copies.append(bytes(copy))
    return copies


# ---------------------------------------------------------------- VHDX


def differencing_vhdx(sparse: bytes, parent: Path, path_key: str = "absolute_win32_path") -> bytes:
    """A VHDX as qemu-img made it (blocks of zeros left out), made to build on ``parent`` for what it leaves out."""
    own, parent_bytes = bytearray(sparse), parent.read_bytes()
    headers = [parent_bytes[at : at + 64] for at in (0x10000, 0x20000)]
    linkage = max(headers, key=lambda header: header[8:16][::-1])[32:48]  # what identifies the parent's data
    regions = {}
    for at in range(0x30010, 0x30010 + 64, 32):
        regions[bytes(own[at : at + 16])] = struct.unpack_from("<Q", own, at + 16)[0]
    metadata = regions[uuid.UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e").bytes_le]
    count = struct.unpack_from("<H", own, metadata + 10)[0]
    entries = {bytes(own[at : at + 16]): at for at in range(metadata + 32, metadata + 32 + 32 * count, 32)}
    parameters = struct.unpack_from("<I", own, entries[uuid.UUID("caa16737-fa36-4d43-b3b6-33f0aa44e76b").bytes_le] + 16)
    own[metadata + parameters[0] + 4] |= 2  # has a parent
    pairs = {"parent_linkage": f"{{{uuid.UUID(bytes_le=linkage)}}}", path_key: f"C:\\disks\\{parent.name}"}
    texts, table, place = b"", b"", 20 + 12 * len(pairs)
    for key, value in pairs.items():
        one, two = key.encode("utf-16-le"), value.encode("utf-16-le")
        table += struct.pack("<IIHH", place, place + len(one), len(one), len(two))
        texts += one + two
        place += len(one) + len(two)
    kind = uuid.UUID("b04aefb7-d19e-4a81-b789-25b8e9445913").bytes_le
    locator = kind + struct.pack("<HH", 0, len(pairs)) + table + texts
    where = 0x20000  # within the region, behind qemu's own items
    own[metadata + where : metadata + where + len(locator)] = locator
    item = uuid.UUID("a8d35f2d-b30b-454d-abf7-d3d84834ab0c").bytes_le
    struct.pack_into("<16sIIII", own, metadata + 32 + 32 * count, item, where, len(locator), 4, 0)
    struct.pack_into("<H", own, metadata + 10, count + 1)
    return bytes(own)


def with_own_sectors(disk: bytes, number: int, bitmap: bytes) -> bytes:
    """A differencing VHDX whose block ``number`` is its own only where the bitmap (1 MiB) has a bit."""
    own = bytearray(disk.ljust(-(-len(disk) // (1 << 20)) << 20, b"\0"))
    table = next(
        struct.unpack_from("<Q", own, at + 16)[0]
        for at in range(0x30010, 0x30010 + 64, 32)
        if bytes(own[at : at + 16]) == uuid.UUID("2dc27766-f623-4200-9d64-115e9bfd4a08").bytes_le
    )
    own[table + 8 * number] = own[table + 8 * number] & ~7 | 7
    ratio = (512 << 23) // (1 << 20)
    struct.pack_into("<Q", own, table + 8 * ratio, len(own) >> 20 << 20 | 6)
    return bytes(own) + bitmap
