"""The bricks of NTFS: attributes, records with their fixups, run lists, and B-tree index blocks.

Source of the layouts: the Linux-NTFS documentation of NTFS 3.1 structures, checked against The
Sleuth Kit and ntfs-3g by the tests.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

CLUSTER = 4096
RECORD = 1024
INDEX_BLOCK = 4096
SECTOR = 512
STANDARD_INFORMATION, FILE_NAME, SECURITY, VOLUME_NAME, VOLUME_INFORMATION = 0x10, 0x30, 0x50, 0x60, 0x70
DATA, INDEX_ROOT, INDEX_ALLOCATION, BITMAP = 0x80, 0x90, 0xA0, 0xB0
IN_USE, DIRECTORY = 1, 2
SPARSE = 0x8000
FOLDER_FLAG, SYSTEM_FLAGS, ARCHIVE_FLAG, SPARSE_FLAG = 0x10000000, 0x06, 0x20, 0x200
ROOT_ROOM = 480  # bytes of index entries that a folder's record keeps for itself
_FIRST_FILETIME = datetime(1601, 1, 1, tzinfo=UTC)

Run = tuple[int | None, int]
"""First cluster (None for a hole) and number of clusters."""


def filetime(when: datetime) -> int:
    """100-nanosecond steps since 1601, UTC."""
    since = when - _FIRST_FILETIME
    return (since.days * 86400 + since.seconds) * 10_000_000 + since.microseconds * 10


def upcase(text: str) -> str:
    """Upper case by this volume's own table: ASCII and Latin-1 only, so that it never changes."""
    return "".join(chr(upcase_unit(ord(c))) if ord(c) < 0x10000 else c for c in text)


def upcase_unit(unit: int) -> int:
    """One UTF-16 code unit in upper case by this volume's table."""
    if 0x61 <= unit <= 0x7A or (0xE0 <= unit <= 0xFE and unit != 0xF7):
        return unit - 0x20
    return 0x178 if unit == 0xFF else unit


def collation_key(name: str) -> bytes:
    """Names in the order of a folder's index: by upper-cased UTF-16 code units."""
    return upcase(name).encode("utf-16-be")


def reference(record: int, sequence: int) -> int:
    """A file reference: record number in 48 bits, sequence number above."""
    return record | sequence << 48


def standard_information(when: datetime, flags: int) -> bytes:
    """The content of $STANDARD_INFORMATION, version 3 (72 bytes)."""
    return struct.pack("<QQQQIIIIIIQQ", *([filetime(when)] * 4), flags, 0, 0, 0, 0, 0, 0, 0)


def file_name(parent: int, when: datetime, size: int, flags: int, name: str) -> bytes:
    """The content of $FILE_NAME, Win32 name space."""
    stored = _up(size, CLUSTER)
    units = name.encode("utf-16-le")
    times = [filetime(when)] * 4
    return struct.pack("<QQQQQQQIIBB", parent, *times, stored, size, flags, 0, len(units) // 2, 1) + units


def resident(kind: int, content: bytes, *, name: str = "", indexed: bool = False) -> bytes:
    """An attribute whose content lies in the record."""
    units = name.encode("utf-16-le")
    at = _up(24 + len(units), 8)
    body = units.ljust(at - 24, b"\0") + content
    length = _up(24 + len(body), 8)
    head = struct.pack("<IIBBHHHIHBB", kind, length, 0, len(name), 24, 0, 0, len(content), at, int(indexed), 0)
    return (head + body).ljust(length, b"\0")


def nonresident(kind: int, runs: Sequence[Run], size: int, *, name: str = "", sparse: bool = False) -> bytes:
    """An attribute whose content lies in clusters."""
    units = name.encode("utf-16-le")
    base = 72 if sparse else 64
    at = _up(base + len(units), 8)
    packed = pack_runs(runs)
    length = _up(at + len(packed), 8)
    clusters = sum(count for _, count in runs)
    head = struct.pack(
        "<IIBBHHHQQHHIQQQ",
        kind, length, 1, len(name), base, SPARSE if sparse else 0, 0, 0, max(clusters - 1, 0) if clusters else
        0xFFFFFFFFFFFFFFFF, at, 4 if sparse else 0, 0, clusters * CLUSTER, size, size,
    )  # fmt: skip
    if sparse:
        head += struct.pack("<Q", sum(count for first, count in runs if first is not None) * CLUSTER)
    return (head + units.ljust(at - base, b"\0") + packed).ljust(length, b"\0")


def pack_runs(runs: Sequence[Run]) -> bytes:
    """A mapping-pairs array: each run as length and signed distance from the run before."""
    out = bytearray()
    before = 0
    for first, count in runs:
        length = _signed(count)
        if first is None:
            out += bytes([len(length)]) + length
            continue
        distance = _signed(first - before)
        before = first
        out += bytes([len(distance) << 4 | len(length)]) + length + distance
    return bytes(out + b"\0")


def _signed(value: int) -> bytes:
    length = 1
    while not -(1 << 8 * length - 1) <= value < 1 << 8 * length - 1:
        length += 1
    return value.to_bytes(length, "little", signed=True)


def _up(value: int, step: int) -> int:
    return (value + step - 1) // step * step


def record(number: int, sequence: int, links: int, flags: int, attributes: Sequence[bytes]) -> bytes:
    """One FILE record of 1024 bytes, fixups applied; ValueError when the attributes do not fit."""
    out = bytearray(RECORD)
    at = 0x38
    for identity, attribute in enumerate(attributes):
        numbered = bytearray(attribute)
        struct.pack_into("<H", numbered, 14, identity)
        if at + len(numbered) + 8 > RECORD:
            raise ValueError(f"record {number}: its attributes do not fit into {RECORD} bytes")
        out[at : at + len(numbered)] = numbered
        at += len(numbered)
    struct.pack_into("<I", out, at, 0xFFFFFFFF)
    head = struct.pack(
        "<4sHHQHHHHIIQHHI",
        b"FILE", 0x30, 3, 0, sequence, links, 0x38, flags, at + 8, RECORD, 0, len(attributes), 0, number,
    )  # fmt: skip
    out[: len(head)] = head
    return _fix_up(out, 0x30)


def _fix_up(block: bytearray, at: int, mark: int = 1) -> bytes:
    struct.pack_into("<H", block, at, mark)
    for index in range(len(block) // SECTOR):
        end = (index + 1) * SECTOR - 2
        block[at + 2 + 2 * index : at + 4 + 2 * index] = block[end : end + 2]
        struct.pack_into("<H", block, end, mark)
    return bytes(block)


def index_entry(target: int, key: bytes, below: int | None = None) -> bytes:
    """One entry of a folder's index; an empty key makes the end entry, ``below`` the block under it."""
    length = _up(16 + len(key), 8) + (8 if below is not None else 0)
    flags = (1 if below is not None else 0) | (0 if key else 2)
    head = struct.pack("<QHHHH", target, length, len(key), flags, 0)
    out = (head + key).ljust(_up(16 + len(key), 8), b"\0")
    return out if below is None else out + struct.pack("<Q", below)


@dataclass(frozen=True, slots=True)
class Entry:
    """A name in a folder's index before it is laid out: reference and $FILE_NAME content."""

    target: int
    key: bytes

    @property
    def order(self) -> bytes:
        """What the index is sorted by."""
        return collation_key(self.key[66:].decode("utf-16-le", "surrogatepass"))


def build_index(entries: Sequence[Entry], stale: Sequence[Entry]) -> tuple[bytes, bytes]:
    """The content of $INDEX_ROOT and of $INDEX_ALLOCATION (empty when the root holds all).

    ``stale`` entries are put behind the end of an index block, where a split of the block
    leaves the names that moved away; they need a block, so with them there always is one.
    """
    ordered = sorted(entries, key=lambda e: e.order)
    plain = b"".join(index_entry(e.target, e.key) for e in ordered)
    if len(plain) <= ROOT_ROOM and not stale:
        return _index_root(plain + index_entry(0, b""), has_blocks=False), b""
    blocks: list[bytes] = []
    slack = [index_entry(e.target, e.key) for e in stale]
    level: list[tuple[Entry, int | None]] = [(e, None) for e in ordered]
    last: int | None = None
    while True:
        packed = [index_entry(e.target, e.key, below) for e, below in level]
        if blocks and sum(map(len, packed)) <= ROOT_ROOM:
            return _index_root(b"".join(packed) + index_entry(0, b"", last), has_blocks=True), b"".join(blocks)
        level, last = _one_level(blocks, level, last, slack)
        slack = []


def _one_level(
    blocks: list[bytes], level: Sequence[tuple[Entry, int | None]], last: int | None, slack: Sequence[bytes]
) -> tuple[list[tuple[Entry, int | None]], int]:
    """Fill blocks with one level of the tree; return the separators for the level above and the last block."""
    room = 2400  # of about 4000: blocks in life are never full, and what is stale needs room too
    above: list[tuple[Entry, int | None]] = []
    body = bytearray()
    waiting = list(slack)
    for entry, below in level:
        if len(body) > room:
            above.append((entry, len(blocks)))
            blocks.append(
                _index_block(len(blocks), bytes(body) + index_entry(0, b"", below), waiting, below is not None)
            )
            body = bytearray()
        else:
            body += index_entry(entry.target, entry.key, below)
    blocks.append(_index_block(len(blocks), bytes(body) + index_entry(0, b"", last), waiting, last is not None))
    if waiting:
        raise ValueError("the stale names do not fit into the folder's index blocks")
    return above, len(blocks) - 1


def _index_root(body: bytes, *, has_blocks: bool) -> bytes:
    head = struct.pack("<IIIB3x", FILE_NAME, 1, INDEX_BLOCK, INDEX_BLOCK // CLUSTER)
    return head + struct.pack("<IIIB3x", 16, 16 + len(body), 16 + len(body), int(has_blocks)) + body


def _index_block(number: int, body: bytes, waiting: list[bytes], has_below: bool) -> bytes:
    block = bytearray(INDEX_BLOCK)
    block[:24] = struct.pack("<4sHHQQ", b"INDX", 0x28, 9, 0, number * (INDEX_BLOCK // CLUSTER))
    struct.pack_into("<IIIB3x", block, 24, 0x28, 0x28 + len(body), INDEX_BLOCK - 24, int(has_below))
    at = 0x40
    block[at : at + len(body)] = body
    at += len(body)
    while waiting and at + len(waiting[0]) <= INDEX_BLOCK - 16:
        stale = waiting.pop(0)
        block[at : at + len(stale)] = stale
        at += len(stale)
    return _fix_up(block, 0x28)
