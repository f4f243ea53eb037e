"""Write a disk as an E01 (Expert Witness Compression Format, version 1), in one segment file or more.

Source: J. Metz, "Expert Witness Compression Format specification" (libewf); the sections of EnCase 5: header, volume,
sectors, table, table2, digest, hash, and next or done. The writer shares no code with the readers (evidence/ewf*.py).
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

SECTOR, CHUNK_SECTORS = 512, 64
CHUNK = SECTOR * CHUNK_SECTORS
SIGNATURE = b"EVF\x09\x0d\x0a\xff\x00"
MOST_SEGMENTS = 99
DESCRIPTOR = 76
COMPRESSED = 1 << 31


def write_e01(
    folder: Path,
    stem: str,
    disk: bytes | bytearray,
    *,
    segments: int = 1,
    case_number: str = "",
    acquired: bytes | bytearray | None = None,
) -> Path:
    """Write ``disk`` as STEM.E01, STEM.E02 ... with its MD5 and SHA-1; returns the first segment.

    Chunks of 32 KiB, deflated where that makes them smaller. ``acquired`` is the disk whose hashes are stored, where it
    is not the one written: so an image looks that was changed after its acquisition. ValueError for half sectors or
    too many segments.
    """
    chunks = [bytes(disk[at : at + CHUNK]) for at in range(0, len(disk), CHUNK)]
    if len(disk) % SECTOR or not 1 <= segments <= min(MOST_SEGMENTS, len(chunks)):
        raise ValueError("an E01 here is whole sectors in 1 to 99 segments, each with a chunk of 32 KiB")
    each = -(-len(chunks) // segments)
    paths = [folder / f"{stem}.E{number:02d}" for number in range(1, segments + 1)]
    for number, path in enumerate(paths, start=1):
        segment = bytearray(SIGNATURE + struct.pack("<BHH", 1, number, 0))
        if number == 1:
            _add(segment, b"header", zlib.compress(_header_text(case_number)))
            _add(segment, b"volume", _volume(len(chunks), len(disk) // SECTOR))
        _add_chunks(segment, chunks[(number - 1) * each : number * each])
        if number == segments:
            hashed = disk if acquired is None else acquired
            md5 = hashlib.md5(hashed, usedforsecurity=False).digest()
            sha1 = hashlib.sha1(hashed, usedforsecurity=False).digest()
            _add(segment, b"digest", _summed(md5 + sha1 + bytes(40)))
            _add(segment, b"hash", _summed(md5 + bytes(16)))
        _add_end(segment, b"done" if number == segments else b"next")
        path.write_bytes(segment)
    return paths[0]


def _summed(content: bytes) -> bytes:
    return content + struct.pack("<I", zlib.adler32(content))


def _add(segment: bytearray, name: bytes, content: bytes) -> None:
    size = DESCRIPTOR + len(content)
    segment += _summed(struct.pack("<16sQQ40x", name, len(segment) + size, size)) + content


def _add_end(segment: bytearray, name: bytes) -> None:
    """The last section of a segment names itself as the one that follows."""
    segment += _summed(struct.pack("<16sQQ40x", name, len(segment), DESCRIPTOR))


def _header_text(case_number: str) -> bytes:
    fields = ("c", "n", "a", "e", "t", "av", "ov", "m", "u", "p")
    values = (
        case_number,
        "1",
        "made for a validation",
        "",
        "",
        "5.0",
        "none",
        "2019 6 1 12 0 0",
        "2019 6 1 12 0 0",
        "0",
    )
    return "\r\n".join(("1", "main", "\t".join(fields), "\t".join(values), "", "")).encode()


def _volume(chunks: int, sectors: int) -> bytes:
    """The 1,052 bytes of the volume section: a fixed disk, physical."""
    head = struct.pack("<B3xIIIQIIIB3xI4xIB3xI4x16s", 1, chunks, CHUNK_SECTORS, SECTOR, sectors, 0, 0, 0, 3, 0, 0, 1,
                       CHUNK_SECTORS, bytes(range(16)))  # fmt: skip
    return _summed(head.ljust(1048, b"\0"))


def _add_chunks(segment: bytearray, chunks: Sequence[bytes]) -> None:
    """The sections sectors, table and table2 of the chunks of one segment; offsets count from its first byte."""
    at = len(segment) + DESCRIPTOR
    entries, stored = [], []
    for chunk in chunks:
        packed = zlib.compress(chunk, 1)
        small = len(packed) < len(chunk)
        entries.append(at | COMPRESSED if small else at)
        stored.append(packed if small else _summed(chunk))
        at += len(stored[-1])
    if at >= COMPRESSED:
        raise ValueError("a segment here is smaller than 2 GiB")
    _add(segment, b"sectors", b"".join(stored))
    table = _summed(struct.pack("<IIQI", len(entries), 0, 0, 0)) + _summed(struct.pack(f"<{len(entries)}I", *entries))
    _add(segment, b"table", table)
    _add(segment, b"table2", table)
