"""Write an NTFS 3.1 volume: its metafiles, folders with real indexes, and what deletion leaves behind.

Holds alternate data streams, hard links, sparse and fragmented files, deleted files (with their
name left in the folder's index or not), renamed files, and records taken over by another file.
Deleting does what Windows does: the record's "in use" flag goes, its sequence number grows by
one, and everything else stays.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from mmap import mmap
from pathlib import Path

from caid_triage.synth import ntfs_parts as parts
from caid_triage.synth.ntfs_parts import CLUSTER, RECORD, Entry, Run, reference
from caid_triage.synth.plan import (
    DAY_ZERO,
    Node,
    Planned,
    cluster_taker,
    grow_tree,
    how_many,
    in_pieces,
    runs_of,
    split_path,
    walk_tree,
)

ROOT, FIRST_USER_RECORD = 5, 64
METAFILES = (
    "$MFT", "$MFTMirr", "$LogFile", "$Volume", "$AttrDef", ".", "$Bitmap", "$Boot", "$BadClus", "$Secure",
    "$UpCase", "$Extend",
)  # fmt: skip
RESIDENT_MOST = 500
SPARSE_UNIT = 16 * CLUSTER
LOG_BYTES = 64 * CLUSTER


def build_ntfs(plan: Iterable[Planned], *, size: int, label: str = "SYNTH", hidden_sectors: int = 0) -> bytearray:
    """An NTFS volume of ``size`` bytes (whole 4 KiB clusters) that holds the plan.

    Raises ValueError when the plan does not fit or asks for what NTFS cannot hold.
    """
    image = bytearray(_checked(size))
    _Volume(grow_tree(plan, links=True, streams=True, holes=True), image, label, hidden_sectors).build()
    return image


def write_ntfs(path: Path, plan: Iterable[Planned], *, size: int, label: str = "SYNTH") -> None:
    """The same volume as a new sparse file: for sizes that are not to be held in memory."""
    with path.open("x+b") as file:
        file.truncate(_checked(size))
        with mmap(file.fileno(), size) as image:
            _Volume(grow_tree(plan, links=True, streams=True, holes=True), image, label, 0).build()


def _checked(size: int) -> int:
    if size % CLUSTER or size < 1024 * CLUSTER // 4:
        raise ValueError("an NTFS volume here is whole clusters of 4096 bytes and at least 1 MiB")
    return size


class _Volume:
    """One volume while it is being laid out."""

    def __init__(self, root: Node, image: bytearray | mmap, label: str, hidden_sectors: int) -> None:
        size, self.image = len(image), image
        self.root = root
        self.label = label
        self.hidden_sectors = hidden_sectors
        # The last sector of the partition is the backup boot sector: NTFS does not count it.
        self.clusters = size // CLUSTER - 1
        self.take = cluster_taker(2, self.clusters, "the NTFS volume")
        self.used = bytearray(self.clusters)
        self.used[:2] = b"\1\1"
        self.nodes = walk_tree(root)
        self.sequences: dict[int, int] = {}
        self.stale: dict[int, list[Entry]] = {}
        root.number = ROOT
        self.sequences[ROOT] = ROOT
        self.records = self._number_records()

    def _number_records(self) -> int:
        """Give every file and folder its record; return how many records there are."""
        by_path = {node.path: node for node in self.nodes}
        following = FIRST_USER_RECORD
        for node in self.nodes:
            if node.target is not None:
                node.number = node.target.number
                continue
            if not node.is_folder and node.file.in_record_of:
                former = by_path[node.file.in_record_of]
                if not former.deleted or former.is_folder:
                    raise ValueError(f"{node.path}: only a deleted file's record can be taken over")
                node.number = former.number
                self.sequences[node.number] = 2
                continue
            node.number = following
            self.sequences[following] = 1
            following += 1
        return following

    def reference_to(self, node: Node, sequence: int | None = None) -> int:
        """The file reference of a node, as names that were made with it hold it."""
        return reference(node.number, self.sequences[node.number] if sequence is None else sequence)

    def build(self) -> None:
        """Write the whole volume."""
        mft_clusters = self.take(how_many(self.records * RECORD, CLUSTER))
        self.mft_first = mft_clusters[0]
        self._mark(mft_clusters)
        self.written: dict[int, bytes] = {}
        names: dict[int, list[tuple[Node, bytes]]] = {}
        for node in self.nodes:
            names.setdefault(id(node.target or node), []).append((node, self._name_of(node)))
        taken_over = {node.file.in_record_of for node in self.nodes if not node.is_folder}
        for node in self.nodes:
            if not node.is_folder and node.target is None:
                self._put_file(node, names[id(node)], gone=node.path in taken_over)
        for folder in [self.root, *(node for node in self.nodes if node.is_folder)]:
            if folder is not self.root:
                self._put_folder(folder, names[id(folder)][0][1])
        self._put_metafiles(mft_clusters)
        for number in range(self.records):
            content = self.written.get(number) or parts.record(number, max(number, 1), 0, 0, ())
            at = self.mft_first * CLUSTER + number * RECORD
            self.image[at : at + RECORD] = content

    def _mark(self, clusters: Sequence[int]) -> None:
        for number in clusters:
            self.used[number] = 1

    def _name_of(self, node: Node) -> bytes:
        assert node.parent is not None
        flags = parts.FOLDER_FLAG if node.is_folder else _flags_of(node)
        size = 0 if node.is_folder else len(node.file.content)
        return parts.file_name(self.reference_to(node.parent), node.plan.modified, size, flags, node.name)

    def _store(self, content: bytes, *, pieces: int = 1, live: bool = True) -> list[Run]:
        clusters = in_pieces(self.take(how_many(len(content), CLUSTER)), pieces)
        for index, number in enumerate(clusters):
            piece = content[index * CLUSTER : (index + 1) * CLUSTER]
            self.image[number * CLUSTER : number * CLUSTER + len(piece)] = piece
        if live:
            self._mark(clusters)
        return list(runs_of(clusters))

    def _data(self, content: bytes, node: Node, *, name: str = "") -> bytes:
        file, live = node.file, not node.deleted
        if file.holes and not name:
            return parts.nonresident(parts.DATA, self._sparse_runs(node), len(content), sparse=True)
        if len(content) <= RESIDENT_MOST and not (name and file.content):
            return parts.resident(parts.DATA, content, name=name)
        runs = self._store(content, pieces=file.pieces, live=live)
        return parts.nonresident(parts.DATA, runs, len(content), name=name)

    def _sparse_runs(self, node: Node) -> list[Run]:
        """Runs with holes where whole units of 16 clusters lie inside a planned hole."""
        content = node.file.content
        runs: list[Run] = []
        for start in range(0, len(content), SPARSE_UNIT):
            end = min(start + SPARSE_UNIT, len(content))
            count = how_many(end - start, CLUSTER)
            if any(low <= start and end <= high for low, high in node.file.holes):
                if runs and runs[-1][0] is None:
                    runs[-1] = (None, runs[-1][1] + count)
                else:
                    runs.append((None, count))
            else:
                for first, length in self._store(content[start:end], live=not node.deleted):
                    before = runs[-1] if runs else (None, 0)
                    if before[0] is not None and before[0] + before[1] == first:
                        runs[-1] = (before[0], before[1] + length)
                    else:
                        runs.append((first, length))
        return runs

    def _put_file(self, node: Node, names: Sequence[tuple[Node, bytes]], *, gone: bool) -> None:
        file = node.file
        data = [self._data(file.content, node)]
        data += [self._data(content, node, name=name) for name, content in sorted(file.streams)]
        sequence = self.sequences[node.number]
        if gone:  # the record is another file's now: only the name is left, with the old sequence number
            self._leave_name(node, sequence - 1)
            return
        if node.deleted and file.name_left:
            self._leave_name(node, sequence)
        if file.formerly:
            head, name = split_path(file.formerly)
            folder = next(n for n in [self.root, *self.nodes] if n.is_folder and n.path == head)
            old = parts.file_name(self.reference_to(folder), file.modified, len(file.content), parts.ARCHIVE_FLAG, name)
            self.stale.setdefault(id(folder), []).append(Entry(reference(node.number, sequence), old))
        attributes = [
            parts.resident(parts.STANDARD_INFORMATION, parts.standard_information(file.modified, _flags_of(node)))
        ]
        attributes += [parts.resident(parts.FILE_NAME, name, indexed=True) for _, name in names]
        self.written[node.number] = parts.record(
            node.number,
            sequence + int(node.deleted),
            len(names),
            0 if node.deleted else parts.IN_USE,
            attributes + data,
        )

    def _leave_name(self, node: Node, sequence: int) -> None:
        assert node.parent is not None
        entry = Entry(reference(node.number, sequence), self._name_of(node))
        self.stale.setdefault(id(node.parent), []).append(entry)

    def _index(self, folder: Node, extra: Sequence[Entry] = ()) -> list[bytes]:
        """The index attributes of a folder; in a deleted folder its names stand as they stood."""
        kept = [n for n in folder.children if not n.deleted or (folder.deleted and n.is_folder)]
        entries = [*extra, *(Entry(self.reference_to(n), self._name_of(n)) for n in kept)]
        root, blocks = parts.build_index(entries, self.stale.get(id(folder), ()))
        attributes = [parts.resident(parts.INDEX_ROOT, root, name="$I30")]
        if blocks:
            runs = self._store(blocks, live=not folder.deleted)
            count = len(blocks) // parts.INDEX_BLOCK
            bits = ((1 << count) - 1).to_bytes(how_many(count, 64) * 8, "little")
            attributes.append(parts.nonresident(parts.INDEX_ALLOCATION, runs, len(blocks), name="$I30"))
            attributes.append(parts.resident(parts.BITMAP, bits, name="$I30"))
        return attributes

    def _put_folder(self, folder: Node, name: bytes) -> None:
        attributes = [
            parts.resident(parts.STANDARD_INFORMATION, parts.standard_information(folder.plan.modified, 0)),
            parts.resident(parts.FILE_NAME, name, indexed=True),
            *self._index(folder),
        ]
        flags = parts.DIRECTORY | (0 if folder.deleted else parts.IN_USE)
        sequence = self.sequences[folder.number] + int(folder.deleted)
        self.written[folder.number] = parts.record(folder.number, sequence, 1, flags, attributes)

    def _put_metafiles(self, mft_clusters: Sequence[int]) -> None:
        root_reference = reference(ROOT, ROOT)
        mft_size = self.records * RECORD
        mirror = self._store(bytes(4 * RECORD))
        log = self._store(b"\xff" * LOG_BYTES)
        definitions = self._store(attribute_definitions())
        table = self._store(struct.pack("<65536H", *map(parts.upcase_unit, range(65536))))
        bitmap_clusters = self.take(how_many(how_many(self.clusters, 8), CLUSTER))
        self._mark(bitmap_clusters)
        bitmap_size = how_many(self.clusters, 64) * 8
        mft_bits = sum(1 << n for n in self._records_in_use()).to_bytes(how_many(self.records, 64) * 8, "little")
        mft_bitmap = parts.nonresident(parts.BITMAP, self._store(mft_bits), len(mft_bits))
        whole = self.clusters * CLUSTER
        data = {
            0: [parts.nonresident(parts.DATA, runs_of(mft_clusters), mft_size), mft_bitmap],
            1: [parts.nonresident(parts.DATA, mirror, 4 * RECORD)],
            2: [parts.nonresident(parts.DATA, log, LOG_BYTES)],
            3: [
                parts.resident(parts.VOLUME_NAME, self.label.encode("utf-16-le")),
                parts.resident(parts.VOLUME_INFORMATION, struct.pack("<QBBH", 0, 3, 1, 0)),
                parts.resident(parts.DATA, b""),
            ],
            4: [parts.nonresident(parts.DATA, definitions, len(attribute_definitions()))],
            6: [parts.nonresident(parts.DATA, runs_of(bitmap_clusters), bitmap_size)],
            7: [parts.nonresident(parts.DATA, [(0, 2)], 2 * CLUSTER)],
            8: [
                parts.resident(parts.DATA, b""),
                parts.nonresident(parts.DATA, [(None, self.clusters)], whole, name="$Bad"),
            ],
            9: self._secure(),
            10: [parts.nonresident(parts.DATA, table, 131072)],
            11: [parts.resident(parts.INDEX_ROOT, parts.build_index((), ())[0], name="$I30")],
        }
        sizes = {0: mft_size, 1: 4 * RECORD, 2: LOG_BYTES, 4: 2560, 6: bitmap_size, 7: 2 * CLUSTER, 10: 131072}
        names = {}
        for number, name in enumerate(METAFILES):
            flags = parts.SYSTEM_FLAGS | (parts.FOLDER_FLAG if number in (5, 11) else 0)
            names[number] = parts.file_name(root_reference, DAY_ZERO, sizes.get(number, 0), flags, name)
        extra = [Entry(reference(n, max(n, 1)), key) for n, key in names.items()]
        data[ROOT] = self._index(self.root, extra)
        information = parts.standard_information(DAY_ZERO, parts.SYSTEM_FLAGS)
        for number, attributes in data.items():
            flags = parts.IN_USE | (parts.DIRECTORY if number in (ROOT, 11) else 0)
            head = [
                parts.resident(parts.STANDARD_INFORMATION, information),
                parts.resident(parts.FILE_NAME, names[number], indexed=True),
            ]
            self.written[number] = parts.record(number, max(number, 1), 1, flags, head + attributes)
        for number in range(12, 16):
            self.written[number] = parts.record(
                number, number, 0, parts.IN_USE, [parts.resident(parts.STANDARD_INFORMATION, information)]
            )
        self._put_bitmap(bitmap_clusters, bitmap_size)
        first = mirror[0][0]
        assert first is not None
        self.image[first * CLUSTER : first * CLUSTER + 4 * RECORD] = b"".join(self.written[n] for n in range(4))
        self._put_boot(first)

    def _secure(self) -> list[bytes]:
        """$Secure with no descriptors: every file then has the default."""
        empty = parts.index_entry(0, b"")
        views = []
        for name, collation in (("$SDH", 0x12), ("$SII", 0x10)):
            head = struct.pack("<IIIB3x", 0, collation, parts.INDEX_BLOCK, 1)
            content = head + struct.pack("<IIIB3x", 16, 16 + len(empty), 16 + len(empty), 0) + empty
            views.append(parts.resident(parts.INDEX_ROOT, content, name=name))
        return [parts.resident(parts.DATA, b"", name="$SDS"), *views]

    def _records_in_use(self) -> list[int]:
        live = {node.number for node in self.nodes if not node.deleted}
        return [*range(16), *sorted(live)]

    def _put_bitmap(self, clusters: Sequence[int], size: int) -> None:
        bits = bytearray(size)
        for number, used in enumerate(self.used):
            if used:
                bits[number >> 3] |= 1 << (number & 7)
        for number in range(self.clusters, size * 8):  # beyond the end of the volume counts as used
            bits[number >> 3] |= 1 << (number & 7)
        at = clusters[0] * CLUSTER
        self.image[at : at + size] = bits

    def _put_boot(self, mirror: int) -> None:
        boot = bytearray(512)
        boot[:11] = b"\xeb\x52\x90NTFS    "
        struct.pack_into("<HBHBHHBHHHII", boot, 11, 512, CLUSTER // 512, 0, 0, 0, 0, 0xF8, 0, 63, 255,
                         self.hidden_sectors, 0)  # fmt: skip
        # Records of 1024 bytes are written as -10 (2 ** 10), index blocks as 1 cluster.
        struct.pack_into("<IQQQb3xb3xQ", boot, 36, 0x00800080, len(self.image) // 512 - 1, self.mft_first, mirror,
                         -10, 1, 0x5EED0CA1D5EED001)  # fmt: skip
        boot[510:512] = b"\x55\xaa"
        self.image[:512] = boot
        self.image[-512:] = boot


def _flags_of(node: Node) -> int:
    return parts.ARCHIVE_FLAG | (parts.SPARSE_FLAG if node.file.holes else 0)


def attribute_definitions() -> bytes:
    """The $AttrDef table of NTFS 3.1."""
    rows = (
        ("$STANDARD_INFORMATION", 0x10, 0x40, 0x30, 0x48), ("$ATTRIBUTE_LIST", 0x20, 0x80, 0, -1),
        ("$FILE_NAME", 0x30, 0x42, 0x44, 0x242), ("$OBJECT_ID", 0x40, 0x40, 0, 0x100),
        ("$SECURITY_DESCRIPTOR", 0x50, 0x80, 0, -1), ("$VOLUME_NAME", 0x60, 0x40, 2, 0x100),
        ("$VOLUME_INFORMATION", 0x70, 0x40, 0xC, 0xC), ("$DATA", 0x80, 0, 0, -1),
        ("$INDEX_ROOT", 0x90, 0x40, 0, -1), ("$INDEX_ALLOCATION", 0xA0, 0x80, 0, -1), ("$BITMAP", 0xB0, 0x80, 0, -1),
        ("$REPARSE_POINT", 0xC0, 0x80, 0, 0x4000), ("$EA_INFORMATION", 0xD0, 0x40, 8, 8),
        ("$EA", 0xE0, 0, 0, 0x10000), ("$LOGGED_UTILITY_STREAM", 0x100, 0x80, 0, 0x10000),
    )  # fmt: skip
    made = b"".join(
        name.encode("utf-16-le").ljust(128, b"\0") + struct.pack("<IIIIqq", kind, 0, 0, flags, least, most)
        for name, kind, flags, least, most in rows
    )
    return made.ljust(2560, b"\0")
