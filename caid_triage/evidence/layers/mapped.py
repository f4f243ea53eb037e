"""Volumes whose chunks lie anywhere in another: thin volumes and old snapshots of the device mapper.

Sources: the Linux kernel, drivers/md/dm-thin-metadata.c and persistent-data/dm-btree-internal.h (thin pools: a
superblock and B-trees in blocks of 4 KiB, each with a CRC-32C), drivers/md/dm-snap-persistent.c (snapshots: areas of
pairs "old chunk, new chunk"). tests/unit/evidence/test_mapped.py compares with thin_restore where that is installed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

import numpy as np

from caid_triage.evidence.account import NamedClaim
from caid_triage.evidence.layers.view import ReadAt, View, joined
from caid_triage.evidence.proxied import read_range
from caid_triage.evidence.ranges import Range, clipped

_SECTOR = 512
_BLOCK = 4096
_THIN_MAGIC, _THIN_CSUM, _TREE_CSUM = 27022010, 160774, 121107
_INTERNAL, _LEAF = 1, 2
_DEEPEST = 16
_MOST_CHUNKS = 1 << 24
_BATCH = 1024
_SNAPSHOT_MAGIC = 0x70416E53


class NotMapped(Exception):  # noqa: N818 - told in a Problem
    """Why the tables of a volume cannot be followed."""


class MappedView(View):
    """``size`` bytes in chunks: chunk ``numbers[n]`` is chunk ``places[n]`` of ``store``, the others are ``behind``'s.

    Without ``behind`` they are zeros: they were never written. ``numbers`` is sorted; both are int64[n].
    """

    def __init__(
        self, store: View, size: int, chunk: int, numbers: np.ndarray, places: np.ndarray, behind: View | None = None
    ) -> None:
        self._store, self._chunk, self._numbers, self._places, self._behind = store, chunk, numbers, places, behind
        super().__init__(store.outer, size, self._piece, verbatim=True, keep=(store, behind))

    def _place(self, number: int) -> int | None:
        at = int(np.searchsorted(self._numbers, number))
        found = at < len(self._numbers) and int(self._numbers[at]) == number
        return int(self._places[at]) if found else None

    def _piece(self, offset: int, size: int) -> bytes:
        number, inside = divmod(offset, self._chunk)
        size = min(size, self._chunk - inside)
        place = self._place(number)
        if place is not None:
            return read_range(self._store, place * self._chunk + inside, size)
        if self._behind is None or offset >= self._behind.get_size():
            return bytes(size)
        return read_range(self._behind, offset, size)

    def on_source(self, offset: int) -> int | None:
        """Where on the source the byte at ``offset`` stands as it is read; None for one that was never written."""
        number, inside = divmod(offset, self._chunk)
        place = self._place(number)
        if place is not None:
            return self._store.on_source(place * self._chunk + inside)
        return self._behind.on_source(offset) if self._behind is not None else None

    @property
    def has_places(self) -> bool:
        """Always: the chunks of its own, and no others."""
        return True

    def spans_outside(self, spans: np.ndarray) -> np.ndarray | None:
        """Spans of the inside as those of the disk that hold them; what was never written, or is behind's, not."""
        return self._store.spans_outside(self._in_store(spans))

    def _in_store(self, spans: np.ndarray) -> np.ndarray:
        """Spans of the inside (int64[n, 2], sorted, apart) as those of the store that hold them, sorted and joined."""
        starts, ends = spans.T
        low = np.searchsorted(self._numbers, starts // self._chunk)
        count = np.searchsorted(self._numbers, -(-ends // self._chunk)) - low
        span = np.repeat(np.arange(len(spans)), count)  # of each chunk that a span touches
        chunk = np.arange(len(span)) + (low - (np.cumsum(count) - count))[span]
        first = self._numbers[chunk] * self._chunk
        part = np.stack([np.maximum(first, starts[span]), np.minimum(first + self._chunk, ends[span])], axis=1)
        part += ((self._places - self._numbers)[chunk] * self._chunk)[:, None]
        return joined(part)

    def own_ranges(self) -> list[Range]:
        """The chunks of its own that are on this disk: the others hold nothing, or what the volume behind it holds."""
        numbers, store = self._numbers, self._store.own_ranges()
        if store is not None:
            spans, places = np.array(store, dtype=np.int64).reshape(-1, 2), self._places
            at = np.searchsorted(spans[:, 1], places * self._chunk, "right")
            here = np.append(spans[:, 0], np.iinfo(np.int64).max)[at] < (places + 1) * self._chunk
            numbers = numbers[here]
        first = np.flatnonzero(np.diff(numbers, prepend=-2) != 1)  # of each row of chunks, which may be millions
        last = np.append(first[1:], len(numbers))[: len(first)] - 1
        rows = np.stack([numbers[first], numbers[last] + 1], axis=1) * self._chunk
        return clipped(((start, end) for start, end in rows.tolist()), 0, self._size)

    def claims_outside(self, claims: Iterable[NamedClaim]) -> list[NamedClaim]:
        """Claims on bytes of chunks of its own, joined where they lie next to each other in the store."""
        found: list[NamedClaim] = []
        for start, length, kind, name in claims:
            spans = self._in_store(np.array([[start, start + length]], dtype=np.int64))
            found += self._store.claims_outside((at, end - at, kind, name) for at, end in spans.tolist())
        return found


# ---------------------------------------------------------------- thin pools


def thin_mapping(read: ReadAt, size: int, device: int, chunk: int) -> tuple[np.ndarray, np.ndarray]:
    """The chunks of a thin volume by the pool's tables of ``size`` bytes: their numbers, sorted, and their places.

    int64[n] each. Errors: NotMapped; those of reading.
    """
    head = read(0, _BLOCK)
    if len(head) < _BLOCK or struct.unpack_from("<Q", head, 32)[0] != _THIN_MAGIC:
        raise NotMapped("the tables of its pool have no superblock")
    (checksum,) = struct.unpack_from("<I", head)
    if int(checksums(np.frombuffer(head, np.uint8)[None, 4:])[0]) ^ _THIN_CSUM != checksum:
        raise NotMapped("the superblock of its pool does not agree with its checksum")
    root, _, sectors, block = struct.unpack_from("<QQII", head, 320)
    if sectors * _SECTOR != chunk or block * _SECTOR != _BLOCK:
        raise NotMapped("its pool has chunks of another size than its description says")
    tree = _Tree(read, size // _BLOCK)
    devices, roots = tree.leaves(root)
    at = np.flatnonzero(devices == device)
    if len(at) != 1:
        raise NotMapped("the tables of its pool do not know it")
    numbers, values = tree.leaves(int(roots[at[0]]))
    return numbers, (values >> np.uint64(24)).astype(np.int64)  # the lower bits say when it was written


class _Tree:
    """B-trees of 64-bit keys and values, in blocks of 4 KiB (struct btree_node)."""

    def __init__(self, read: ReadAt, blocks: int) -> None:
        self._read = read
        self._blocks = blocks

    def leaves(self, root: int) -> tuple[np.ndarray, np.ndarray]:
        """All keys, which rise (int64[n]), and their values (uint64[n]). Errors: NotMapped."""
        level = np.array([root], dtype=np.int64)
        for _ in range(_DEEPEST):
            keys, values, flags = self._level(level)
            if flags == _LEAF:
                if len(keys) > 1 and not (np.diff(keys) > 0).all():
                    break
                return keys, values
            level = values.astype(np.int64)
        raise NotMapped("the tables of its pool are damaged: they go in a circle or are out of order")

    def _level(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
        """The keys and values of the nodes of one level of a tree, and the kind of these nodes."""
        if len(numbers) > self._blocks:
            raise NotMapped("the tables of its pool name more blocks than there are")
        keys, values, kinds, total = [], [], set(), 0
        for start in range(0, len(numbers), _BATCH):
            batch = numbers[start : start + _BATCH]
            nodes = np.frombuffer(b"".join(map(self._node, batch.tolist())), np.uint8).reshape(-1, _BLOCK)
            heads = np.ascontiguousarray(nodes[:, :32]).view("<u4")
            if (checksums(nodes[:, 4:]) ^ _TREE_CSUM != heads[:, 0]).any():
                raise NotMapped("the tables of its pool are damaged: a block does not agree with its checksum")
            places = np.ascontiguousarray(nodes[:, 8:16]).view("<u8")[:, 0]
            if (places != batch.astype(np.uint64)).any() or (heads[:, 6] != 8).any():
                raise NotMapped("the tables of its pool are damaged: a block is not where it says it is")
            for node, flags, count, room in zip(nodes, heads[:, 1], heads[:, 4], heads[:, 5], strict=True):
                if not count <= room <= (_BLOCK - 32) // 16 or not (count or len(numbers) == 1):
                    raise NotMapped("the tables of its pool are damaged: a block holds more than it can")
                at = 32 + 8 * int(room)
                keys.append(node[32 : 32 + 8 * int(count)].view("<u8"))
                values.append(node[at : at + 8 * int(count)].view("<u8"))
                kinds.add(int(flags))
                total += int(count)
            if total > _MOST_CHUNKS:
                raise NotMapped(f"it has more than {_MOST_CHUNKS} chunks")
        if kinds not in ({_INTERNAL}, {_LEAF}):
            raise NotMapped("the tables of its pool are damaged: they are not level")
        return np.concatenate(keys).astype(np.int64), np.concatenate(values), kinds.pop()

    def _node(self, number: int) -> bytes:
        block = self._read(number * _BLOCK, _BLOCK) if 0 <= number < self._blocks else b""
        if len(block) < _BLOCK:
            raise NotMapped("the tables of its pool are damaged: they point behind their end")
        return block


def _crc_table() -> np.ndarray:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, table >> np.uint32(1) ^ np.uint32(0x82F63B78), table >> np.uint32(1))
    return table


_CRC = _crc_table()


def checksums(rows: np.ndarray) -> np.ndarray:
    """The CRC-32C of each row of bytes as the device mapper takes it: begun with ones, not inverted at the end.

    uint8[n, m] -> uint32[n]; all rows at once, a column after the other.
    """
    found = np.full(len(rows), 0xFFFFFFFF, dtype=np.uint32)
    for column in np.ascontiguousarray(rows.T):
        found = _CRC[(found ^ column) & np.uint32(0xFF)] ^ found >> np.uint32(8)
    return found


# ---------------------------------------------------------------- snapshots


def exceptions_of(read: ReadAt, size: int) -> tuple[int, np.ndarray, np.ndarray]:
    """The bytes of a chunk, the chunks that a snapshot's store holds (sorted), and where. Errors: NotMapped ..."""
    magic, valid, version, sectors = struct.unpack("<4I", read(0, 16))
    if magic != _SNAPSHOT_MAGIC or version != 1 or not 8 <= sectors <= 1 << 16 or sectors & (sectors - 1):
        raise NotMapped("the store of this snapshot has no header")
    if not valid:
        raise NotMapped("the store of this snapshot had filled up, and Linux gave the snapshot up")
    chunk = sectors * _SECTOR
    each = chunk // 16
    pairs = []
    for at in range(1, size // chunk, each + 1):
        area = np.frombuffer(read(at * chunk, chunk), "<u8").reshape(-1, 2)
        used = int(np.argmin(area[:, 1] != 0)) if (area[:, 1] == 0).any() else len(area)
        pairs.append(area[:used])
        if used < each:
            break
        if len(pairs) * each > _MOST_CHUNKS:
            raise NotMapped(f"it has more than {_MOST_CHUNKS} chunks")
    every = np.concatenate(pairs).astype(np.int64) if pairs else np.zeros((0, 2), np.int64)
    order = np.argsort(every[:, 0], kind="stable")
    numbers, places = every[order, 0], every[order, 1]
    if (len(numbers) > 1 and not (np.diff(numbers) > 0).all()) or (places >= size // chunk).any():
        raise NotMapped("the store of this snapshot is damaged")
    return chunk, numbers, places
