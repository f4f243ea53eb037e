"""Write an exFAT volume: files and folders with or without a FAT chain, and deleted entries.

Deleting clears the "in use" bit of the entries (0x85 becomes 0x05 ...), frees the clusters in
the allocation bitmap and the chain in the FAT. Source: Microsoft, "exFAT file system
specification", revision 1.00. Times are written as UTC (offset 0 and marked valid).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise

from caid_triage.synth.fat import fat_time
from caid_triage.synth.plan import Node, Planned, cluster_taker, grow_tree, how_many, in_pieces, walk_tree

SECTOR, CLUSTER = 512, 4096
FAT_START = 24  # sectors: behind the two boot regions of 12 sectors each
END_OF_CHAIN = 0xFFFFFFFF
IN_USE = 0x80


def build_exfat(plan: Iterable[Planned], *, size: int, label: str = "SYNTH", hidden_sectors: int = 0) -> bytearray:
    """An exFAT volume of ``size`` bytes in clusters of 4 KiB that holds the plan.

    A file in one piece is stored without a FAT chain, as Windows does; so is a folder planned
    as ``contiguous``. Raises ValueError when the plan does not fit.
    """
    if size % CLUSTER or size < 1 << 20:
        raise ValueError("an exFAT volume here is whole clusters of 4096 bytes and at least 1 MiB")
    root = grow_tree(plan)
    image = bytearray(size)
    sectors = size // SECTOR
    fat_sectors = how_many((size // CLUSTER + 2) * 4, SECTOR)
    heap = how_many(FAT_START + fat_sectors, 8) * 8
    count = (sectors - heap) // 8
    fat = [0] * (count + 2)
    fat[0], fat[1] = 0xFFFFFFF8, END_OF_CHAIN
    take = cluster_taker(2, 2 + count, "the exFAT volume")
    used: set[int] = set()

    def put(clusters: list[int], content: bytes) -> None:
        for index, number in enumerate(clusters):
            piece = content[index * CLUSTER : (index + 1) * CLUSTER]
            start = heap * SECTOR + (number - 2) * CLUSTER
            image[start : start + len(piece)] = piece

    def chain(clusters: list[int]) -> None:
        for here, following in pairwise([*clusters, END_OF_CHAIN]):
            fat[here] = following

    bitmap = take(how_many(how_many(count, 8), CLUSTER))
    table = upcase_table()
    upcase = take(how_many(len(table), CLUSTER))
    nodes = walk_tree(root)
    head = 3 * 32
    root.clusters = take(how_many(_folder_bytes(root) + head + 32, CLUSTER))
    for node in nodes:
        size_of = _folder_bytes(node) + 32 if node.is_folder else len(node.file.content)
        clusters = take(how_many(size_of, CLUSTER))
        node.clusters = clusters if node.is_folder else in_pieces(clusters, node.file.pieces)
        if not node.is_folder:
            put(node.clusters, node.file.content)
    for node in nodes:
        if node.is_folder:
            put(node.clusters, b"".join(_entry_set(child) for child in node.children))
        if not node.deleted:
            used.update(node.clusters)
            if not _without_chain(node):
                chain(node.clusters)
    for clusters in (bitmap, upcase, root.clusters):
        used.update(clusters)
        chain(clusters)
    bits = bytearray(how_many(count, 8))
    for number in used:
        bits[number - 2 >> 3] |= 1 << (number - 2 & 7)
    put(bitmap, bytes(bits))
    put(upcase, table)
    system = _label_entry(label)
    system += struct.pack("<BB18xIQ", 0x81, 0, bitmap[0], len(bits))
    system += struct.pack("<B3xI12xIQ", 0x82, _table_checksum(table), upcase[0], len(table))
    put(root.clusters, system + b"".join(_entry_set(child) for child in root.children))
    packed = struct.pack(f"<{len(fat)}I", *fat)
    image[FAT_START * SECTOR : FAT_START * SECTOR + len(packed)] = packed
    region = _boot_region(sectors, fat_sectors, heap, count, root.clusters[0], hidden_sectors, len(used))
    image[: len(region)] = region
    image[len(region) : 2 * len(region)] = region
    return image


def _without_chain(node: Node) -> bool:
    """True when the clusters are one run and the entry says so (NoFatChain)."""
    if not node.clusters:
        return False
    if not node.is_folder:
        return node.file.pieces <= 1
    return bool(getattr(node.plan, "contiguous", False))


def _folder_bytes(folder: Node) -> int:
    return sum(32 * (2 + how_many(len(_units(child)), 30)) for child in folder.children)


def _units(node: Node) -> bytes:
    return node.name.encode("utf-16-le")


def _label_entry(label: str) -> bytes:
    units = label[:11].encode("utf-16-le")
    return (struct.pack("<BB", 0x83, len(units) // 2) + units).ljust(32, b"\0")


def _entry_set(node: Node) -> bytes:
    """The file, stream and name entries of one node, checksum set, in-use bits cleared when deleted."""
    units = _units(node)
    names = how_many(len(units), 30)
    stamp = _stamp(node.plan.modified)
    size = len(node.clusters) * CLUSTER if node.is_folder else len(node.file.content)
    flags = 0x03 if _without_chain(node) else 0x01
    first = node.clusters[0] if node.clusters else 0
    out = bytearray(
        struct.pack("<BBHHHIIIBBBBB7x", 0x85, 1 + names, 0, 0x10 if node.is_folder else 0x20, 0, stamp, stamp, stamp,
                    0, 0, IN_USE, IN_USE, IN_USE)
    )  # fmt: skip
    out += struct.pack("<BBBBHHQIIQ", 0xC0, flags, 0, len(units) // 2, _name_hash(node.name), 0, size, 0, first, size)
    for index in range(names):
        out += b"\xc1\0" + units[index * 30 : (index + 1) * 30].ljust(30, b"\0")
    checksum = 0
    for index, byte in enumerate(out):
        if index not in (2, 3):
            checksum = ((checksum & 1) << 15 | checksum >> 1) + byte & 0xFFFF
    struct.pack_into("<H", out, 2, checksum)
    if node.deleted:
        for at in range(0, len(out), 32):
            out[at] &= ~IN_USE
    return bytes(out)


def _stamp(when: datetime) -> int:
    day, time = fat_time(when)
    return day << 16 | time


def _upper(unit: int) -> int:
    return unit - 0x20 if 0x61 <= unit <= 0x7A or (0xE0 <= unit <= 0xFE and unit != 0xF7) else unit


def _name_hash(name: str) -> int:
    value = 0
    for (unit,) in struct.iter_unpack("<H", name.encode("utf-16-le")):
        for byte in struct.pack("<H", _upper(unit)):
            value = ((value & 1) << 15 | value >> 1) + byte & 0xFFFF
    return value


def upcase_table() -> bytes:
    """The up-case table: ASCII and Latin-1 letters, all else as it is, in the compressed form."""
    return struct.pack("<256H", *map(_upper, range(256))) + struct.pack("<HH", 0xFFFF, 0x10000 - 256)


def _table_checksum(content: bytes) -> int:
    checksum = 0
    for byte in content:
        checksum = ((checksum & 1) << 31 | checksum >> 1) + byte & 0xFFFFFFFF
    return checksum


def _boot_region(sectors: int, fat_sectors: int, heap: int, count: int, root: int, hidden: int, used: int) -> bytes:
    boot = bytearray(SECTOR)
    boot[:11] = b"\xeb\x76\x90EXFAT   "
    struct.pack_into(
        "<QQIIIIIIHHBBBBB", boot, 64, hidden, sectors, FAT_START, fat_sectors, heap, count, root, 0x5EED0002,
        0x0100, 0, 9, 3, 1, 0x80, min(100, used * 100 // count),
    )  # fmt: skip
    boot[510:512] = b"\x55\xaa"
    extended = bytearray(SECTOR)
    extended[508:512] = b"\x00\x00\x55\xaa"
    region = bytes(boot) + bytes(extended) * 8 + bytes(2 * SECTOR)
    checksum = 0
    for index, byte in enumerate(region):
        if index not in (106, 107, 112):  # volume flags and percent in use may change
            checksum = ((checksum & 1) << 31 | checksum >> 1) + byte & 0xFFFFFFFF
    return region + struct.pack("<I", checksum) * (SECTOR // 4)
