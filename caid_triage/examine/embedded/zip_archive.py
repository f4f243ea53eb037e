"""Zip archives and the documents that are zips: what the central directory lists, and what lies between without a name.

Readers that trust the central directory miss entries that were taken out of it; readers that go from local header to
local header miss what the directory alone knows. Both are done here: the directory first, then every gap that no
listed entry covers. Sizes are claims: an entry is inflated to the end of its stream, whatever its header says.

Source: PKWARE APPNOTE 6.3.10, sections 4.3.7 (local header), 4.3.12 (central directory), 4.4.5 (methods).
"""

from __future__ import annotations

import bz2
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from caid_triage.examine.embedded.content import Content
from caid_triage.examine.embedded.inner import Inner, Listed, locked, problem, unread
from caid_triage.examine.embedded.unpack import ZSTANDARD_MAGIC, unpacked, zstandard_unpacker
from caid_triage.model import FileTimes, Problem, Severity

LOCAL = b"PK\x03\x04"
LOCAL_HEADER = struct.Struct("<4s5H3I2H")
ENCRYPTED = 0x1
DESCRIPTOR = 0x8
NAMES_IN_UTF8 = 0x800
ZIP64 = 0x0001
SEARCHED = 1 << 20
ZONE_NOTE = "local time, zone unknown"
MASKED = 0x2000  # the central directory is encrypted: what local headers say is masked


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry as its local header has it; ``start`` and ``packed`` are where its data lie and how long they are."""

    name: bytes
    flags: int
    method: int
    start: int
    packed: int | None
    size: int | None
    crc: int
    times: FileTimes


def zip_files(content: Content) -> Iterator[Listed]:
    """The entries of a zip: those of its directory in its order, then those that only their own headers name."""
    covered: list[tuple[int, int]] = []
    listed: list[zipfile.ZipInfo] = []
    extra: tuple[int, int] | None = None
    try:
        archive = zipfile.ZipFile(content)
        listed = archive.infolist()
        extra = archive.start_dir, content.size
    except (zipfile.BadZipFile, OSError, ValueError, struct.error, NotImplementedError, EOFError):
        text = "the archive has no whole directory; its files are taken from their own headers"
        yield problem("inside-damaged", text)
    for info in listed:
        entry = _local(content, info.header_offset)
        if entry is None:
            name = _name_of(info)
            if not name.endswith(b"/"):
                yield unread(name, "the archive's directory points to a place where no file begins", info.file_size)
            continue
        packed = info.compress_size
        covered.append((info.header_offset, entry.start + packed))
        name = _name_of(info)
        if name.endswith(b"/") and not packed:
            continue
        yield _inner(content, name, entry, packed, info.file_size, info.CRC)
    if extra:
        covered.append(extra)
    yield from _unlisted(content, covered, note=extra is not None)


def _name_of(info: zipfile.ZipInfo) -> bytes:
    return info.orig_filename.encode("utf-8" if info.flag_bits & NAMES_IN_UTF8 else "cp437", "surrogateescape")


def _local(content: Content, offset: int) -> _Entry | None:
    """The entry whose local header lies at a place, None where none does."""
    head = content.at(offset, LOCAL_HEADER.size)
    if len(head) < LOCAL_HEADER.size or not head.startswith(LOCAL):
        return None
    _, _, flags, method, time, date, crc, packed, size, name_length, extra_length = LOCAL_HEADER.unpack(head)
    rest = content.read(name_length + extra_length)
    name, extra = rest[:name_length], rest[name_length:]
    start = offset + LOCAL_HEADER.size + name_length + extra_length
    known_packed: int | None = packed
    known_size: int | None = size
    if 0xFFFFFFFF in (packed, size):
        known_size, known_packed = _zip64(extra, size, packed)
    if flags & DESCRIPTOR and not packed:
        known_packed = known_size = None
    return _Entry(name, flags, method, start, known_packed, known_size, crc, _times(date, time))


def _zip64(extra: bytes, size: int, packed: int) -> tuple[int | None, int | None]:
    """Size and packed size from the ZIP64 field of a local header."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == ZIP64:
            numbers = [int.from_bytes(extra[at + 4 + 8 * i : at + 12 + 8 * i], "little") for i in range(length // 8)]
            real_size = numbers.pop(0) if size == 0xFFFFFFFF and numbers else size
            real_packed = numbers.pop(0) if packed == 0xFFFFFFFF and numbers else packed
            return real_size, real_packed
        at += 4 + length
    return None, None


def _times(date: int, time: int) -> FileTimes:
    """DOS date and time, carried as if they were UTC and saying so."""
    try:
        moment = datetime(
            1980 + (date >> 9), date >> 5 & 15, date & 31, time >> 11, time >> 5 & 63, (time & 31) * 2, tzinfo=UTC
        )
    except ValueError:
        return FileTimes()
    return FileTimes(modified=moment, zone_note=ZONE_NOTE)


def _inner(
    content: Content, name: bytes, entry: _Entry, packed: int | None, size: int | None, crc: int, *, note: bool = False
) -> Inner:
    if entry.flags & ENCRYPTED:
        return locked(name, "a zip archive", size, entry.times)
    unpacker = UNPACKERS.get(entry.method)
    if unpacker is None:
        reason = f"it is packed by method {entry.method} of zip, which cannot be unpacked here"
        return unread(name, reason, size, entry.times)
    problems: tuple[Problem, ...] = ()
    if note:
        text = "the archive's own directory does not list this file: it was removed from it, or hidden"
        problems = (problem("inside-unlisted", text, Severity.NOTE),)
    length = content.size - entry.start if packed is None else packed
    return Inner(name, partial(unpacker, content, entry.start, length), size, entry.times, problems)


def _unlisted(content: Content, covered: list[tuple[int, int]], *, note: bool) -> Iterator[Inner]:
    """The entries in the gaps between what the directory lists."""
    reached = 0
    for start, end in sorted(covered):
        if start > reached:
            yield from _in_gap(content, reached, start, note=note)
        reached = max(reached, end)
    if reached < content.size:
        yield from _in_gap(content, reached, content.size, note=note)


def _in_gap(content: Content, start: int, end: int, *, note: bool) -> Iterator[Inner]:
    while end - start > LOCAL_HEADER.size:
        at = _find(content, start, end)
        if at is None:
            return
        entry = _local(content, at)
        if entry is None or entry.start > end or not entry.name or entry.flags & MASKED:
            start = at + len(LOCAL)
            continue
        most = end - entry.start
        packed = most if entry.packed is None else min(entry.packed, most)
        empty_folder = entry.name.endswith(b"/") and not entry.size
        if not empty_folder:
            yield _inner(content, entry.name, entry, packed, entry.size, entry.crc, note=note)
        start = entry.start + (packed if entry.packed is not None else 0)


def _find(content: Content, start: int, end: int) -> int | None:
    """Where the next local header begins in a gap."""
    while start < end:
        part = content.at(start, min(SEARCHED, end - start))
        place = part.find(LOCAL)
        if place >= 0:
            return start + place
        if len(part) < SEARCHED:
            return None
        start += len(part) - len(LOCAL) + 1
    return None


def _stored(content: Content, start: int, length: int) -> Iterator[bytes]:
    yield from content.pieces(start, length)


def _unpacked(make: Callable[[], Any], content: Content, start: int, length: int) -> Iterator[bytes]:
    return unpacked(make, content.pieces(start, length))


def _lzma(content: Content, start: int, length: int) -> Iterator[bytes]:
    """LZMA as zip has it: version, length of the properties, properties, raw stream."""
    head = content.at(start, 9)
    properties = head[4:]
    if head[2:4] != b"\x05\0" or len(properties) < 5:
        message = "the LZMA properties are not those of zip"
        raise ValueError(message)
    position, low = divmod(properties[0], 9)
    fast, context = position // 5, position % 5
    chain = [{"id": lzma.FILTER_LZMA1, "lc": low, "lp": context, "pb": fast,
              "dict_size": int.from_bytes(properties[1:5], "little")}]  # fmt: skip
    make = partial(lzma.LZMADecompressor, lzma.FORMAT_RAW, None, chain)
    yield from _unpacked(make, content, start + 9, length - 9)


def _zstandard(content: Content, start: int, length: int) -> Iterator[bytes]:
    make = zstandard_unpacker()
    if make is None:
        message = "Zstandard is not installed"
        raise ValueError(message)
    return unpacked(make, content.pieces(start, length), members=ZSTANDARD_MAGIC)


UNPACKERS: dict[int, Callable[[Content, int, int], Iterator[bytes]]] = {
    0: _stored,
    8: partial(_unpacked, partial(zlib.decompressobj, -zlib.MAX_WBITS)),
    12: partial(_unpacked, bz2.BZ2Decompressor),
    14: _lzma,
    93: _zstandard,
}
"""How each method of zip is unpacked."""
