"""Write an ISO 9660 image (level 2 names, no extensions), as on an old data CD.

Source: ECMA-119. Nothing is deleted on a CD, nothing fragmented; names are upper case, digits and
underscore, with one dot, at most 31 characters.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Sequence
from datetime import datetime

from caid_triage.synth.plan import Node, Planned, cluster_taker, grow_tree, how_many, walk_tree

SECTOR = 2048
DESCRIPTORS = 16  # the first sectors belong to the system
RUN_OUT = 150  # empty sectors at the end, as every CD has
_NAME = re.compile(r"[A-Z0-9_]{1,30}(\.[A-Z0-9_]{0,29})?")


def build_iso(plan: Iterable[Planned], *, label: str = "SYNTH") -> bytearray:
    """An ISO 9660 image just big enough for the plan; ValueError for what a CD cannot hold."""
    root = grow_tree(plan)
    nodes = [root, *walk_tree(root)]
    for node in nodes[1:]:
        _refuse_what_a_cd_cannot_hold(node)
    folders = _by_level(root)
    table_size = sum(8 + len(name) + len(name) % 2 for name in (folder.name or "\0" for folder in folders))
    table_sectors = how_many(table_size, SECTOR)
    tables_at = DESCRIPTORS + 2
    take = cluster_taker(tables_at + 2 * table_sectors, 1 << 20, "an ISO 9660 image")
    for node in nodes:
        node.clusters = take(_sectors_of(node) if node.is_folder else how_many(len(node.file.content), SECTOR))
    image = bytearray((take(1)[0] + RUN_OUT) * SECTOR)

    def put(sector: int, content: bytes) -> None:
        image[sector * SECTOR : sector * SECTOR + len(content)] = content

    for node in nodes:
        if node.clusters:
            put(node.clusters[0], _folder(node) if node.is_folder else node.file.content)
    for number, order in enumerate("<>"):
        put(tables_at + number * table_sectors, _path_table(folders, order))
    put(DESCRIPTORS, _volume(root, label, len(image) // SECTOR, table_size, (tables_at, tables_at + table_sectors)))
    put(DESCRIPTORS + 1, b"\xffCD001\x01")
    return image


def _refuse_what_a_cd_cannot_hold(node: Node) -> None:
    if node.deleted or (not node.is_folder and node.file.pieces > 1):
        raise ValueError(f"{node.path}: nothing on a CD is deleted or fragmented")
    if not _NAME.fullmatch(node.name) or len(node.name) > 31:
        raise ValueError(f"{node.path}: not a name of ISO 9660 level 2")


def _by_level(root: Node) -> list[Node]:
    """The folders in the order of a path table: level by level, by parent, by name."""
    ordered, level = [root], [root]
    while level:
        level = [child for node in level for child in sorted(node.children, key=_identifier) if child.is_folder]
        ordered += level
    return ordered


def _both(value: int, size: int) -> bytes:
    """A number in both byte orders, as most numbers of ISO 9660 are."""
    return value.to_bytes(size, "little") + value.to_bytes(size, "big")


def _identifier(node: Node) -> bytes:
    """The name as it is stored: files have a dot and version 1."""
    if node.is_folder:
        return node.name.encode()
    return (node.name if "." in node.name else node.name + ".").encode() + b";1"


def _record(name: bytes, first: int, size: int, when: datetime, *, folder: bool) -> bytes:
    """One directory record."""
    stamp = bytes([when.year - 1900, when.month, when.day, when.hour, when.minute, when.second, 0])
    body = b"\0" + _both(first, 4) + _both(size, 4) + stamp + bytes([2 if folder else 0, 0, 0]) + _both(1, 2)
    body += bytes([len(name)]) + name + b"\0" * (len(name) % 2 == 0)
    return bytes([len(body) + 1]) + body


def _record_of(node: Node, name: bytes) -> bytes:
    """The record of a node (its place may not be known yet) under a name."""
    size = len(node.clusters) * SECTOR if node.is_folder else len(node.file.content)
    return _record(name, node.clusters[0] if node.clusters else 0, size, node.plan.modified, folder=node.is_folder)


def _folder(folder: Node) -> bytes:
    """A folder's content: itself, its parent, its names in order; no record crosses a sector's end."""
    records = [_record_of(folder, b"\0"), _record_of(folder.parent or folder, b"\1")]
    records += [_record_of(child, _identifier(child)) for child in sorted(folder.children, key=_identifier)]
    out = bytearray()
    for record in records:
        if len(out) % SECTOR + len(record) > SECTOR:
            out += bytes(-len(out) % SECTOR)
        out += record
    return bytes(out) + bytes(-len(out) % SECTOR)


def _sectors_of(folder: Node) -> int:
    return len(_folder(folder)) // SECTOR


def _path_table(folders: Sequence[Node], order: str) -> bytes:
    """All folders with their parents' numbers, in one byte order ("<" little, ">" big)."""
    numbers = {id(folder): number for number, folder in enumerate(folders, start=1)}
    out = bytearray()
    for folder in folders:
        name = folder.name.encode() or b"\0"
        above = numbers[id(folder.parent or folder)]
        out += struct.pack(f"{order}BBIH", len(name), 0, folder.clusters[0], above) + name + bytes(len(name) % 2)
    return bytes(out)


def _volume(root: Node, label: str, sectors: int, table_size: int, tables: tuple[int, int]) -> bytes:
    """The primary volume descriptor."""
    when = root.plan.modified.strftime("%Y%m%d%H%M%S00").encode() + b"\0"
    never = b"0" * 16 + b"\0"
    head = b"\x01CD001\x01\0" + b" " * 32 + label.encode().ljust(32) + bytes(8) + _both(sectors, 4) + bytes(32)
    head += _both(1, 2) + _both(1, 2) + _both(SECTOR, 2) + _both(table_size, 4)
    head += struct.pack("<II", tables[0], 0) + struct.pack(">II", tables[1], 0) + _record_of(root, b"\0")
    head += b" " * (128 * 4 + 37 * 3) + when + when + never + never + b"\x01\0"
    return head.ljust(SECTOR, b"\0")
