"""The tables of a thin pool and the store of an old snapshot, written from the kernel's description of them."""

from __future__ import annotations

import struct
from collections.abc import Mapping

_BLOCK = 4096
_ROOM = 252


def crc32c(data: bytes) -> int:
    """CRC-32C begun with ones, not inverted at the end, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc


class _Writer:
    """Blocks of 4 KiB, numbered from 1: the superblock is 0."""

    def __init__(self, most: int) -> None:
        self.blocks: list[bytes] = []
        self._most = most

    def _node(self, flags: int, items: list[tuple[int, int]]) -> int:
        number = len(self.blocks) + 1
        block = bytearray(_BLOCK)
        struct.pack_into("<IQIII", block, 4, flags, number, len(items), _ROOM, 8)
        for place, (key, value) in enumerate(items):
            struct.pack_into("<Q", block, 32 + 8 * place, key)
            struct.pack_into("<Q", block, 32 + 8 * (_ROOM + place), value)
        struct.pack_into("<I", block, 0, crc32c(bytes(block[4:])) ^ 121107)
        self.blocks.append(bytes(block))
        return number

    def tree(self, items: Mapping[int, int]) -> int:
        """The number of the root of a tree of these keys and values."""
        ordered = sorted(items.items())
        level = [ordered[at : at + self._most] for at in range(0, len(ordered), self._most)] or [[]]
        nodes = [(part[0][0] if part else 0, self._node(2, part)) for part in level]
        while len(nodes) > 1:
            parts = [nodes[at : at + self._most] for at in range(0, len(nodes), self._most)]
            nodes = [(part[0][0], self._node(1, part)) for part in parts]
        return nodes[0][1]


def build_thin(devices: Mapping[int, Mapping[int, int]], *, chunk: int, most: int = _ROOM) -> bytes:
    """The tables of a pool: for each device its chunks and where they are; nodes hold at most ``most`` entries."""
    writer = _Writer(most)
    roots = {
        device: writer.tree({number: place << 24 | 5 for number, place in chunks.items()})
        for device, chunks in devices.items()
    }
    root = writer.tree(roots)
    head = bytearray(_BLOCK)
    struct.pack_into("<QII", head, 32, 27022010, 2, 7)
    struct.pack_into("<QQIIQ", head, 320, root, 0, chunk // 512, _BLOCK // 512, len(writer.blocks) + 1)
    struct.pack_into("<I", head, 0, crc32c(bytes(head[4:])) ^ 160774)
    return bytes(head) + b"".join(writer.blocks)


def build_snapshot_store(chunks: Mapping[int, bytes], *, chunk: int, valid: int = 1) -> bytes:
    """The store of a snapshot: the old contents of some chunks of its volume, in an order of its own."""
    each = chunk // 16
    out = bytearray(struct.pack("<4I", 0x70416E53, valid, 1, chunk // 512).ljust(chunk, b"\0"))
    items = sorted(chunks.items(), key=lambda item: item[0] * 7919 % 1009)
    for start in range(0, len(items) + 1, each):
        area, content = bytearray(chunk), b""
        for place, (number, data) in enumerate(items[start : start + each]):
            struct.pack_into("<QQ", area, 16 * place, number, len(out) // chunk + 1 + place)
            content += data
        out += area + content
    return bytes(out)
