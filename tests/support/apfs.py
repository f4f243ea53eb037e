"""Snapshots put into a real APFS container of one volume, as Apple's reference and the Linux driver lay them out.

What stood in the container is kept as the snapshot: a copy of the volume's superblock without an object map, and a
record of it. The living volume gets a new version of its file system tree under a later transaction, next to the old
one in the object map that both share. Free blocks at the end of the container take what is new.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

BLOCK = 4096
Record = tuple[bytes, bytes]


def fletcher(block: bytes) -> bytes:
    """The checksum of an object, word by word."""
    low = high = 0
    for (word,) in struct.iter_unpack("<I", block[8:]):
        low = (low + word) % 0xFFFFFFFF
        high = (high + low) % 0xFFFFFFFF
    first = 0xFFFFFFFF - (low + high) % 0xFFFFFFFF
    return struct.pack("<II", first, 0xFFFFFFFF - (low + first) % 0xFFFFFFFF)


def signed(block: bytes) -> bytes:
    return fletcher(block) + block[8:]


def records_of(node: bytes, *, fixed: tuple[int, int] | None = None) -> list[Record]:
    """The records of a tree that is one node."""
    count, at, length = struct.unpack_from("<IHH", node, 36)
    keys, end, found = 56 + at + length, BLOCK - 40, []
    for place in range(count):
        if fixed:
            key, value = struct.unpack_from("<HH", node, 56 + at + 4 * place)
            key_length, value_length = fixed
        else:
            key, key_length, value, value_length = struct.unpack_from("<HHHH", node, 56 + at + 8 * place)
        found.append((node[keys + key :][:key_length], node[end - value :][:value_length]))
    return found


def node_of(records: Sequence[Record], like: bytes, number: int, transaction: int) -> bytes:
    """A tree of one node with these records; its kind, flags and information are those of another one."""
    node = bytearray(BLOCK)
    node[8:56] = like[8:56]
    node[-40:] = like[-40:]
    struct.pack_into("<QQ", node, 8, number, transaction)
    fixed = bool(struct.unpack_from("<H", like, 32)[0] & 4)
    room = -(-len(records) * (4 if fixed else 8) // 64) * 64
    struct.pack_into("<IHH", node, 36, len(records), 0, room)
    key_at, value_at = 0, 0
    for place, (key, value) in enumerate(records):
        node[56 + room + key_at :][: len(key)] = key
        node[56 + room + key_at : 56 + room + key_at + len(key)] = key
        value_at += len(value)
        node[BLOCK - 40 - value_at : BLOCK - 40 - value_at + len(value)] = value
        entry = (key_at, value_at) if fixed else (key_at, len(key), value_at, len(value))
        struct.pack_into(f"<{len(entry)}H", node, 56 + place * 2 * len(entry), *entry)
        key_at += len(key)
    struct.pack_into("<HHHHHH", node, 44, key_at, BLOCK - 40 - 56 - room - key_at - value_at, 0xFFFF, 0, 0xFFFF, 0)
    struct.pack_into("<Q", node, BLOCK - 16, len(records))
    assert 56 + room + key_at <= BLOCK - 40 - value_at
    return signed(bytes(node))


class Disk:
    """A container of one volume that is changed in memory."""

    def __init__(self, image: bytes) -> None:
        self.data = bytearray(image)
        newest = max(
            (self.at(number) for number in range(9) if self.at(number)[32:36] == b"NXSB"),
            key=lambda block: struct.unpack_from("<Q", block, 16),
        )
        (omap,) = struct.unpack_from("<Q", newest, 160)
        (tree,) = struct.unpack_from("<Q", self.at(omap), 48)
        (_, value) = records_of(self.at(tree), fixed=(16, 16))[-1]
        (self.volume,) = struct.unpack_from("<Q", value, 8)
        self._free = len(image) // BLOCK
        (self.transaction,) = struct.unpack_from("<Q", self.at(self.volume), 16)

    def at(self, number: int) -> bytes:
        return bytes(self.data[number * BLOCK : (number + 1) * BLOCK])

    def put(self, number: int, block: bytes) -> None:
        assert len(block) == BLOCK
        self.data[number * BLOCK : (number + 1) * BLOCK] = block

    def free(self) -> int:
        """The number of a block that nobody uses."""
        while True:
            self._free -= 1
            if not self.at(self._free).strip(b"\0"):
                return self._free

    def take_snapshot(self, name: str, created: int) -> None:
        """Keep the present state as a snapshot."""
        volume = bytearray(self.at(self.volume))
        omap, _, _, list_at = struct.unpack_from("<QQQQ", volume, 128)
        place = self.free()
        kept = bytearray(volume)
        struct.pack_into("<Q", kept, 8, place)
        struct.pack_into("<I", kept, 24, 0x4000000D)
        struct.pack_into("<Q", kept, 128, 0)
        struct.pack_into("<QQ", kept, 144, 0, 0)
        self.put(place, signed(bytes(kept)))
        listed = self.at(list_at)
        key = struct.pack("<Q", 1 << 60 | self.transaction)
        text = name.encode() + b"\0"
        value = struct.pack("<QQQQQIIH", 0, place, created, created, 0, 0, 0, len(text)) + text
        records = sorted([*records_of(listed), (key, value)])
        self.put(list_at, node_of(records, listed, list_at, self.transaction))
        struct.pack_into("<Q", volume, 216, struct.unpack_from("<Q", volume, 216)[0] + 1)
        self.put(self.volume, signed(bytes(volume)))
        assert omap

    def change(self, change: Callable[[list[Record]], list[Record]], *, put_aside: bool = True) -> None:
        """A new version of the file system tree in a new transaction; the old one stays where it is."""
        self.transaction += 1
        volume = bytearray(self.at(self.volume))
        omap, root = struct.unpack_from("<QQ", volume, 128)
        (tree,) = struct.unpack_from("<Q", self.at(omap), 48)
        versions = records_of(self.at(tree), fixed=(16, 16))
        (_, last) = versions[-1]
        old = self.at(struct.unpack_from("<Q", last, 8)[0])
        place = self.free()
        self.put(place, node_of(change(records_of(old)), old, root, self.transaction))
        new = (struct.pack("<QQ", root, self.transaction), last[:8] + struct.pack("<Q", place))
        versions = [*versions, new] if put_aside else [*versions[:-1], new]
        self.put(tree, node_of(versions, self.at(tree), tree, self.transaction))
        struct.pack_into("<Q", volume, 16, self.transaction)
        self.put(self.volume, signed(bytes(volume)))


def key_of(number: int, kind: int) -> bytes:
    return struct.pack("<Q", kind << 60 | number)


def without_name(name: str) -> Callable[[list[Record]], list[Record]]:
    """Take a name out of its folder."""

    def change(records: list[Record]) -> list[Record]:
        kept = [(key, value) for key, value in records if not key.endswith(name.encode() + b"\0")]
        assert len(kept) == len(records) - 1
        return kept

    return change


def content_at(number: int, block: int) -> Callable[[list[Record]], list[Record]]:
    """Let the content of a file begin at another block."""

    def change(records: list[Record]) -> list[Record]:
        found = 0
        out = []
        for key, value in records:
            new = value
            if key[:8] == key_of(number, 8):
                new = value[:8] + struct.pack("<Q", block) + value[16:]
                found += 1
            out.append((key, new))
        assert found == 1
        return out

    return change
