"""Write a FAT12, FAT16 or FAT32 file system, with long names and what deletion leaves behind.

Deleting does what Windows does: the first byte of every directory entry becomes 0xE5 and the
chain in the FAT is freed; the content and the first cluster number stay. Source: Microsoft,
"FAT: General Overview of On-Disk Format", version 1.03. Times are written as they are given,
since FAT keeps local time without a zone.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from caid_triage.synth.plan import Node, Planned, cluster_taker, grow_tree, how_many, in_pieces, walk_tree

SECTOR = 512
END_OF_CHAIN = {12: 0xFFF, 16: 0xFFFF, 32: 0x0FFFFFFF}
MEDIA = 0xF8
PLAIN_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'()-@^_`{}~")


@dataclass(frozen=True, slots=True)
class Shape:
    """Where things lie on one FAT volume, in sectors of 512 bytes."""

    bits: int
    sectors: int
    per_cluster: int
    reserved: int
    fat_sectors: int
    root_entries: int

    @property
    def data_start(self) -> int:
        """First sector of cluster 2."""
        return self.reserved + 2 * self.fat_sectors + self.root_entries * 32 // SECTOR

    @property
    def clusters(self) -> int:
        """How many clusters of data there are."""
        return (self.sectors - self.data_start) // self.per_cluster


def build_fat(
    plan: Iterable[Planned],
    *,
    size: int,
    bits: int = 16,
    cluster: int = 2048,
    label: str = "SYNTH",
    hidden_sectors: int = 0,
) -> bytearray:
    """A FAT volume of ``size`` bytes that holds the plan; ``bits`` is 12, 16 or 32.

    Raises ValueError when size and cluster do not give the wanted kind of FAT, or on no room.
    """
    shape = shape_for(size, bits, cluster)
    root = grow_tree(plan)
    image = bytearray(size)
    take = cluster_taker(2, 2 + shape.clusters, "the FAT volume")
    fat = [0] * (shape.clusters + 2)
    fat[0], fat[1] = (END_OF_CHAIN[bits] & ~0xFF) | MEDIA, END_OF_CHAIN[bits]
    nodes = walk_tree(root)
    entries_of = {id(folder): _entry_slots(folder) for folder in [root, *nodes] if folder.is_folder}
    if bits == 32:
        root.clusters = take(max(1, how_many((entries_of[id(root)] + 1) * 32, cluster)))
    elif (entries_of[id(root)] + 1) > shape.root_entries:
        raise ValueError("the root folder of FAT12 and FAT16 holds 512 entries")
    for node in nodes:
        if node.is_folder:
            node.clusters = take(max(1, how_many(entries_of[id(node)] * 32, cluster)))
        else:
            node.clusters = in_pieces(take(how_many(len(node.file.content), cluster)), node.file.pieces)
            _put_clusters(image, shape, node.clusters, node.file.content)
    for node in [root, *nodes]:
        if not node.deleted:
            _chain(fat, node.clusters, bits)
        if node.is_folder:
            content = _folder_content(node, label)
            if node is root and bits != 32:
                start = (shape.reserved + 2 * shape.fat_sectors) * SECTOR
                image[start : start + len(content)] = content
            else:
                _put_clusters(image, shape, node.clusters, content)
    packed = _pack_fat(fat, bits)
    for copy in range(2):
        start = (shape.reserved + copy * shape.fat_sectors) * SECTOR
        image[start : start + len(packed)] = packed
    _put_boot(image, shape, label, hidden_sectors, root, free=fat.count(0))
    return image


def shape_for(size: int, bits: int, cluster: int) -> Shape:
    """The layout of a volume of so many bytes; ValueError when the cluster count is not of that FAT."""
    if bits not in END_OF_CHAIN or size % SECTOR or cluster % SECTOR:
        raise ValueError("bits must be 12, 16 or 32, sizes whole sectors")
    reserved, root_entries = (32, 0) if bits == 32 else (1, 512)
    fat_sectors = 1
    while True:
        shape = Shape(bits, size // SECTOR, cluster // SECTOR, reserved, fat_sectors, root_entries)
        needed = how_many((shape.clusters + 2) * bits, 8 * SECTOR)
        if needed <= fat_sectors:
            break
        fat_sectors = needed
    low, high = {12: (1, 4084), 16: (4085, 65524), 32: (65525, 0x0FFFFFF4)}[bits]
    if not low <= shape.clusters <= high:
        raise ValueError(f"{size} bytes in clusters of {cluster} give {shape.clusters} clusters: not FAT{bits}")
    return shape


def _put_clusters(image: bytearray, shape: Shape, clusters: list[int], content: bytes) -> None:
    step = shape.per_cluster * SECTOR
    for index, number in enumerate(clusters):
        start = shape.data_start * SECTOR + (number - 2) * step
        piece = content[index * step : (index + 1) * step]
        image[start : start + len(piece)] = piece


def _chain(fat: list[int], clusters: list[int], bits: int) -> None:
    for here, following in pairwise([*clusters, END_OF_CHAIN[bits]]):
        fat[here] = following


def _pack_fat(fat: list[int], bits: int) -> bytes:
    if bits == 16:
        return struct.pack(f"<{len(fat)}H", *fat)
    if bits == 32:
        return struct.pack(f"<{len(fat)}I", *fat)
    padded = fat + [0] * (len(fat) % 2)
    return b"".join((padded[at] | padded[at + 1] << 12).to_bytes(3, "little") for at in range(0, len(padded), 2))


def _put_boot(image: bytearray, shape: Shape, label: str, hidden: int, root: Node, *, free: int) -> None:
    sectors16 = shape.sectors if shape.sectors < 65536 and shape.bits != 32 else 0
    head = b"\xeb\x58\x90" + b"SYNTH1.0" + struct.pack(
        "<HBHBHHBHHHII",
        SECTOR, shape.per_cluster, shape.reserved, 2, shape.root_entries, sectors16, MEDIA,
        0 if shape.bits == 32 else shape.fat_sectors, 63, 255, hidden, 0 if sectors16 else shape.sectors,
    )  # fmt: skip
    tail = struct.pack("<BBBI11s8s", 0x80, 0, 0x29, 0x5EED0001, _padded(label), f"FAT{shape.bits}   ".encode())
    if shape.bits == 32:
        head += struct.pack("<IHHIHH12x", shape.fat_sectors, 0, 0, root.clusters[0], 1, 6)
    boot = bytearray(SECTOR)
    boot[: len(head) + len(tail)] = head + tail
    boot[510:512] = b"\x55\xaa"
    image[:SECTOR] = boot
    if shape.bits == 32:
        info = bytearray(SECTOR)
        struct.pack_into("<I", info, 0, 0x41615252)
        struct.pack_into("<IIII", info, 484, 0x61417272, free, 0xFFFFFFFF, 0)
        info[510:512] = b"\x55\xaa"
        for start in (0, 6):  # the boot sector and its backup, each followed by the free-space hints
            image[start * SECTOR : (start + 1) * SECTOR] = boot
            image[(start + 1) * SECTOR : (start + 2) * SECTOR] = info


def _padded(label: str) -> bytes:
    return label.upper().encode("ascii")[:11].ljust(11)


def _entry_slots(folder: Node) -> int:
    dots = 0 if folder.parent is None else 2
    return dots + sum(1 + _long_slots(child.name) for child in folder.children)


def _long_slots(name: str) -> int:
    return 0 if _is_short(name) else how_many(len(name.encode("utf-16-le")), 26)


def _is_short(name: str) -> bool:
    stem, dot, extension = name.partition(".")
    return (
        1 <= len(stem) <= 8
        and len(extension) <= 3
        and bool(dot) == bool(extension)
        and set(stem + extension) <= PLAIN_CHARACTERS
    )


def short_name(name: str, taken: set[bytes]) -> bytes:
    """The 11 bytes of the short name, unique among those taken (which it joins)."""
    stem, _, extension = name.rpartition(".") if "." in name.lstrip(".") else (name, "", "")
    if _is_short(name):
        made = stem.encode().ljust(8) + extension.encode().ljust(3)
    else:
        plain = "".join(c for c in stem.upper() if c in PLAIN_CHARACTERS) or "FILE"
        ending = "".join(c for c in extension.upper() if c in PLAIN_CHARACTERS)[:3].encode().ljust(3)
        number = 1
        while True:
            tail = f"~{number}"
            made = (plain[: 8 - len(tail)] + tail).encode().ljust(8) + ending
            if made not in taken:
                break
            number += 1
    taken.add(made)
    return made


def _folder_content(folder: Node, label: str) -> bytes:
    out = bytearray()
    if folder.parent is None:
        out += _entry(_padded(label), 0x08, 0, 0, folder.plan.modified)
    else:
        up = folder.parent
        above = 0 if up.parent is None else up.clusters[0]
        out += _entry(b".          ", 0x10, folder.clusters[0], 0, folder.plan.modified)
        out += _entry(b"..         ", 0x10, above, 0, up.plan.modified)
    taken: set[bytes] = set()
    for child in folder.children:
        short = short_name(child.name, taken)
        first = child.clusters[0] if child.clusters else 0
        size = 0 if child.is_folder else len(child.file.content)
        attributes = 0x10 if child.is_folder else 0x20
        entries = [*_long_entries(child.name, short), _entry(short, attributes, first, size, child.plan.modified)]
        for entry in entries:
            out += b"\xe5" + entry[1:] if child.deleted else entry
    return bytes(out)


def _entry(short: bytes, attributes: int, first: int, size: int, when: datetime) -> bytes:
    day, time = fat_time(when)
    return short + struct.pack(
        "<BBBHHHHHHHI", attributes, 0, 0, time, day, day, first >> 16, time, day, first & 0xFFFF, size
    )


def fat_time(when: datetime) -> tuple[int, int]:
    """Date and time words of FAT (2-second steps, no zone: the fields are taken as they stand)."""
    return (
        (when.year - 1980) << 9 | when.month << 5 | when.day,
        when.hour << 11 | when.minute << 5 | when.second // 2,
    )


def _long_entries(name: str, short: bytes) -> list[bytes]:
    slots = _long_slots(name)
    if not slots:
        return []
    checksum = 0
    for byte in short:
        checksum = ((checksum & 1) << 7 | checksum >> 1) + byte & 0xFF
    units = name.encode("utf-16-le")
    if len(units) < slots * 26:
        units = (units + b"\0\0").ljust(slots * 26, b"\xff")
    made = []
    for index in range(slots):
        part = units[index * 26 : (index + 1) * 26]
        order = index + 1 | (0x40 if index + 1 == slots else 0)
        made.append(bytes([order]) + part[:10] + bytes([0x0F, 0, checksum]) + part[10:22] + b"\0\0" + part[22:26])
    return made[::-1]
