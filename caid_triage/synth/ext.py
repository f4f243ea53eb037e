"""Write an ext2 (revision 1) file system: files with holes, hard links, and deleted files.

One block group of 4 KiB blocks, so at most 128 MiB. Deleting does what Linux does on ext2: the
directory entry is swallowed by the one before it, the inode gets its deletion time and no links,
its blocks are freed and its block pointers stay. Source: the layout described in the kernel's
documentation of ext2 ("The Second Extended Filesystem") and checked with e2fsck.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from caid_triage.synth.plan import Node, Planned, cluster_taker, grow_tree, how_many, in_pieces, walk_tree

BLOCK = 4096
INODE = 128
POINTERS = BLOCK // 4
ROOT, LOST_FOUND, FIRST_USER = 2, 11, 12
FILE_MODE, FOLDER_MODE = 0o100644, 0o040755
TYPE_FILE, TYPE_FOLDER = 1, 2


def build_ext2(plan: Iterable[Planned], *, size: int, label: str = "SYNTH") -> bytearray:
    """An ext2 file system of ``size`` bytes (whole 4 KiB blocks, at most 128 MiB) that holds the plan."""
    if size % BLOCK or not 64 * BLOCK <= size <= 32768 * BLOCK:
        raise ValueError("an ext2 file system here is whole blocks of 4096 bytes, 256 KiB to 128 MiB")
    return _FileSystem(grow_tree(plan, links=True, holes=True), size, label).build()


class _FileSystem:
    """One file system while it is being laid out."""

    def __init__(self, root: Node, size: int, label: str) -> None:
        self.image = bytearray(size)
        self.root = root
        self.label = label
        self.blocks = size // BLOCK
        self.nodes = walk_tree(root)
        following = FIRST_USER
        root.number = ROOT
        for node in self.nodes:
            if node.target is not None:
                node.number = node.target.number
            else:
                node.number = following
                following += 1
        self.inodes = how_many(max(following, 64), 32) * 32
        self.table = 4  # block 0 superblock, 1 group descriptor, 2 and 3 the bitmaps
        first = self.table + self.inodes * INODE // BLOCK
        self.take = cluster_taker(first, self.blocks, "the ext2 file system")
        self.used = set(range(first))
        self.time = int(root.plan.modified.timestamp())
        self.folders = 2

    def build(self) -> bytearray:
        """The whole file system."""
        self._inode(LOST_FOUND, FOLDER_MODE, BLOCK, self._folder([], LOST_FOUND, ROOT), 2, self.time)
        links: dict[int, int] = {}
        for node in self.nodes:
            links[node.number] = links.get(node.number, 0) + 1
        for node in self.nodes:
            if node.is_folder:
                self._put_folder(node)
            elif node.target is None:
                self._put_file(node, links[node.number])
        self._put_folder(self.root)
        self._put_bitmaps()
        self._put_superblock()
        return self.image

    def _put_file(self, node: Node, links: int) -> None:
        file = node.file
        wanted = how_many(len(file.content), BLOCK)
        kept = [n for n in range(wanted) if not _in_hole(n, len(file.content), file.holes)]
        clusters = in_pieces(self.take(len(kept)), file.pieces)
        pointers = [0] * wanted
        for index, number in zip(kept, clusters, strict=True):
            pointers[index] = number
            piece = file.content[index * BLOCK : (index + 1) * BLOCK]
            self.image[number * BLOCK : number * BLOCK + len(piece)] = piece
        self._keep(clusters, live=not node.deleted)
        when = int(file.modified.timestamp())
        self._inode(node.number, FILE_MODE, len(file.content), pointers, links, when, deleted=node.deleted)

    def _put_folder(self, node: Node) -> None:
        above = ROOT if node.parent is None else node.parent.number
        pointers = self._folder(node.children, node.number, above, lost_found=node is self.root)
        below = sum(1 for child in node.children if child.is_folder and not child.deleted)
        links = 2 + below + int(node is self.root)
        when = int(node.plan.modified.timestamp())
        size = len(pointers) * BLOCK
        self._inode(node.number, FOLDER_MODE, size, pointers, links, when, deleted=node.deleted)
        if node.deleted:
            self.used.difference_update(pointers)
        elif node is not self.root:
            self.folders += 1

    def _folder(self, children: list[Node], own: int, above: int, *, lost_found: bool = False) -> list[int]:
        """Write a folder's blocks; return them. A deleted name lies inside the entry before it."""
        entries = [(own, b".", TYPE_FOLDER, False), (above, b"..", TYPE_FOLDER, False)]
        if lost_found:
            entries.append((LOST_FOUND, b"lost+found", TYPE_FOLDER, False))
        for child in children:
            kind = TYPE_FOLDER if child.is_folder else TYPE_FILE
            entries.append((child.number, child.name.encode(errors="surrogateescape"), kind, child.deleted))
        blocks: list[list[tuple[int, bytes, int, bool]]] = [[]]
        room = BLOCK
        for entry in entries:
            length = _entry_length(entry[1])
            if length > room:
                blocks.append([])
                room = BLOCK
            blocks[-1].append(entry)
            room -= length
        numbers = self.take(len(blocks))
        for number, block in zip(numbers, blocks, strict=True):
            self.image[number * BLOCK : (number + 1) * BLOCK] = _folder_block(block)
        self._keep(numbers, live=True)
        return numbers

    def _keep(self, clusters: list[int], *, live: bool) -> None:
        if live:
            self.used.update(clusters)

    def _inode(
        self, number: int, mode: int, size: int, pointers: list[int], links: int, when: int, *, deleted: bool = False
    ) -> None:
        direct, extra = self._pointers(pointers, live=not deleted)
        stored = (sum(1 for p in pointers if p) + extra) * (BLOCK // 512)
        gone = when + 86400 if deleted else 0
        content = struct.pack(
            "<HHIIIIIHHIII15I", mode, 0, size, when, when, when, gone, 0, 0 if deleted else links, stored, 0, 0,
            *direct,
        )  # fmt: skip
        at = self.table * BLOCK + (number - 1) * INODE
        self.image[at : at + len(content)] = content

    def _pointers(self, pointers: list[int], *, live: bool) -> tuple[list[int], int]:
        """The 15 pointers of an inode, and how many indirect blocks were needed."""
        direct = pointers[:12] + [0] * (12 - len(pointers[:12]))
        rest = pointers[12:]
        single, made = self._indirect(rest[:POINTERS], live=live)
        rest = rest[POINTERS:]
        if not rest:
            return [*direct, single, 0, 0], made
        if len(rest) > POINTERS * POINTERS:
            raise ValueError("a file here has at most two levels of indirect blocks (about 4 GiB)")
        tops = []
        for at in range(0, len(rest), POINTERS):
            block, count = self._indirect(rest[at : at + POINTERS], live=live)
            tops.append(block)
            made += count
        double, count = self._indirect(tops, live=live)
        return [*direct, single, double, 0], made + count

    def _indirect(self, pointers: list[int], *, live: bool) -> tuple[int, int]:
        """Write one indirect block (none when all it would hold is a hole); its number and 1, or 0 and 0."""
        if not any(pointers):
            return 0, 0
        (number,) = self.take(1)
        self._keep([number], live=live)
        packed = struct.pack(f"<{len(pointers)}I", *pointers)
        self.image[number * BLOCK : number * BLOCK + len(packed)] = packed
        return number, 1

    def _live_inodes(self) -> set[int]:
        return {*range(1, FIRST_USER), *(node.number for node in self.nodes if not node.deleted)}

    def _put_bitmaps(self) -> None:
        for block, count, used in (
            (2, self.blocks, self.used),
            (3, self.inodes, {number - 1 for number in self._live_inodes()}),
        ):
            bits = bytearray(BLOCK)
            for number in [*used, *range(count, BLOCK * 8)]:  # beyond the end counts as used
                bits[number >> 3] |= 1 << (number & 7)
            self.image[block * BLOCK : (block + 1) * BLOCK] = bits

    def _put_superblock(self) -> None:
        free_blocks = self.blocks - len(self.used)
        free_inodes = self.inodes - len(self._live_inodes())
        group = struct.pack("<IIIHHH14x", 2, 3, self.table, free_blocks, free_inodes, self.folders)
        self.image[BLOCK : BLOCK + len(group)] = group
        head = struct.pack(
            "<IIIIIIIIIIIIIHHHHHHIIIIHHIHHIII",
            self.inodes, self.blocks, 0, free_blocks, free_inodes, 0, 2, 2, 32768, 32768, self.inodes,
            0, self.time, 0, 0xFFFF, 0xEF53, 1, 1, 0, self.time, 0, 0, 1, 0, 0,
            FIRST_USER - 1, INODE, 0, 0, 0x2, 0x1,
        )  # fmt: skip
        uuid = bytes(range(0x50, 0x60))
        self.image[1024 : 1024 + len(head)] = head
        self.image[1024 + 104 : 1024 + 120] = uuid
        self.image[1024 + 120 : 1024 + 136] = self.label.encode()[:16].ljust(16, b"\0")


def _in_hole(block: int, size: int, holes: tuple[tuple[int, int], ...]) -> bool:
    start, end = block * BLOCK, min((block + 1) * BLOCK, size)
    return any(low <= start and end <= high for low, high in holes)


def _entry_length(name: bytes) -> int:
    return how_many(8 + len(name), 4) * 4


def _folder_block(entries: list[tuple[int, bytes, int, bool]]) -> bytes:
    """One block of a folder: live entries reach to the next live one, so deleted ones lie in between."""
    out = bytearray(BLOCK)
    starts = []
    at = 0
    for _, name, _, _ in entries:
        starts.append(at)
        at += _entry_length(name)
    live = [start for start, entry in zip(starts, entries, strict=True) if not entry[3]]
    for start, (number, name, kind, deleted) in zip(starts, entries, strict=True):
        length = _entry_length(name)
        if not deleted:
            length = min((other for other in live if other > start), default=BLOCK) - start
        elif start == 0:
            number, length = 0, min(live, default=BLOCK)  # noqa: PLW2901 - nothing before it can swallow it
        head = struct.pack("<IHBB", number, length, len(name), kind)
        out[start : start + 8 + len(name)] = head + name
    if not entries:
        struct.pack_into("<IH", out, 0, 0, BLOCK)
    return bytes(out)
