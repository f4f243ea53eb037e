"""What Sleuth Kit does not tell about FAT and exFAT, read from the directory entries themselves.

- times: Sleuth Kit sends FAT's local times through this machine's zone, and ignores exFAT's UTC offsets;
- whether the clusters of a deleted file are free or belong to another file now;
- the rest of a deleted folder: Sleuth Kit lists only its first cluster.

The address ("inode") of a directory entry is its number counted in 32-byte slots from the first sector of
the data area, plus 3. Sources: Microsoft FAT specification 1.03; Microsoft exFAT specification.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from caid_triage.errors import EvidenceError
from caid_triage.evidence.faults import evidence_faults
from caid_triage.evidence.times import LOCAL_ZONE_NOTE, dos_time
from caid_triage.model import FileTimes

_FIRST_SLOT = 3
_MAX_FOLDER_CLUSTERS = 4096
_LONG_NAME = 0x0F
_ONE_TABLE = 0x80  # of FAT32: the copies of the table are not kept
_PIECE = 1 << 20
_WINDOW = 4096
_DOT = b".          "


@dataclass(frozen=True, slots=True)
class FolderSlot:
    """A name found behind the first cluster of a deleted FAT folder: its slot address and its name."""

    address: int
    name: bytes


@dataclass(frozen=True, slots=True)
class FatLayout:
    """Where a volume keeps what: bytes from its start, bits of an entry, its last cluster (the first is 2).

    ``bitmap`` is 0 for FAT, which has none.
    """

    table: int
    heap: int
    bitmap: int
    bits: int
    last: int


class FatVolume:
    """The geometry of a FAT or exFAT volume, and questions about its entries and clusters.

    ``read(offset, length)`` reads the volume (offset 0 is its boot sector). Errors: EvidenceError when
    the boot sector makes no sense.
    """

    def __init__(self, read: Callable[[int, int], bytes]) -> None:
        self._read = read
        self._fat_offset = self._data = self._heap = self._last = self._bits = self._bitmap_offset = 0
        self._root = self._end = self._copy = 0
        self._window = 0, b""
        self.cluster_size = 0
        boot = self._bytes(0, 512)
        self.is_exfat = boot[3:11] == b"EXFAT   "
        if self.is_exfat:
            self._open_exfat(boot)
        else:
            self._open_fat(boot)

    def _open_fat(self, boot: bytes) -> None:
        sector, per_cluster, reserved, fats, root_entries, small, _, fat_small = struct.unpack_from(
            "<HBHBHHBH", boot, 11
        )
        total, fat_large = struct.unpack_from("<I", boot, 32)[0], struct.unpack_from("<I", boot, 36)[0]
        if sector not in (512, 1024, 2048, 4096) or not per_cluster or not fats:
            raise EvidenceError("open", "file-system-damaged", "the FAT boot sector makes no sense")
        fat_sectors, total = fat_small or fat_large, small or total
        self._fat_offset = reserved * sector
        self._data = (reserved + fats * fat_sectors) * sector
        self._heap = self._data + -(-root_entries * 32 // sector) * sector
        self.cluster_size = per_cluster * sector
        self._last = (total * sector - self._heap) // self.cluster_size + 1
        count = self._last - 1
        self._bits = 12 if count < 4085 else 16 if count < 65525 else 32
        self._end = total * sector
        if root_entries == 0:
            self._bits = 32
            (self._root,) = struct.unpack_from("<I", boot, 44)
        self._bitmap_offset = 0
        (flags,) = struct.unpack_from("<H", boot, 40) if not fat_small else (0,)
        if fats > 1 and not flags & _ONE_TABLE:
            self._copy = (reserved + fat_sectors) * sector

    def _open_exfat(self, boot: bytes) -> None:
        fat_at, _, heap_at, count, root = struct.unpack_from("<IIIII", boot, 80)
        sector_shift, cluster_shift = boot[108], boot[109]
        if not 9 <= sector_shift <= 12 or cluster_shift > 25 - sector_shift:
            raise EvidenceError("open", "file-system-damaged", "the exFAT boot sector makes no sense")
        self._fat_offset = fat_at << sector_shift
        self._data = self._heap = heap_at << sector_shift
        self.cluster_size = 1 << (sector_shift + cluster_shift)
        self._last = count + 1
        self._bits = 32
        self._root, self._end = root, struct.unpack_from("<Q", boot, 72)[0] << sector_shift
        self._bitmap_offset = self._find_bitmap(root)

    def _find_bitmap(self, root: int) -> int:
        """Where the allocation bitmap of an exFAT volume begins (its entry is in the root folder)."""
        cluster = root
        for _ in range(64):  # it is among the first entries; a root of 64 clusters without one has none
            if not 2 <= cluster <= self._last:
                break
            data = self._bytes(self._offset(cluster), self.cluster_size)
            for at in range(0, len(data) - 31, 32):
                if data[at] == 0x81 and not data[at + 1] & 1:
                    return self._offset(int.from_bytes(data[at + 20 : at + 24], "little"))
            cluster = self._chain_value(cluster) & 0x0FFFFFFF
        raise EvidenceError("open", "file-system-damaged", "the exFAT volume has no allocation bitmap")

    def own_areas(self) -> Iterator[tuple[int, int]]:
        """What the volume keeps for itself, as (start, end) in its bytes.

        All before the first cluster, the rest behind the last one that is too small for a cluster, the root folder
        where it is a chain of clusters, and of exFAT the bitmap and the table of upper case. Errors: EvidenceError.
        """
        yield 0, self._heap
        yield self._offset(self._last + 1), max(self._offset(self._last + 1), self._end)
        cluster = self._root
        for _ in range(_MAX_FOLDER_CLUSTERS):
            if not 2 <= cluster <= self._last:
                break
            start = self._offset(cluster)
            yield start, start + self.cluster_size
            if self.is_exfat:
                yield from self._system_files(start)
            cluster = self._chain_value(cluster)

    def _system_files(self, start: int) -> Iterator[tuple[int, int]]:
        """The bitmap and the table of upper case, whose entries stand in a cluster of exFAT's root folder."""
        data = self._bytes(start, self.cluster_size)
        for at in range(0, len(data) - 31, 32):
            if data[at] in (0x81, 0x82):
                cluster, length = struct.unpack_from("<IQ", data, at + 20)
                if 2 <= cluster <= self._last:
                    first = self._offset(cluster)
                    yield first, first + -(-length // self.cluster_size) * self.cluster_size

    def _bytes(self, offset: int, length: int) -> bytes:
        with evidence_faults("walk", "metadata-unreadable", "an area of the FAT volume could not be read"):
            data = self._read(offset, length)
        if len(data) < length:
            raise EvidenceError("walk", "metadata-unreadable", f"the volume ends before byte {offset + length}")
        return data

    def _offset(self, cluster: int) -> int:
        return self._heap + (cluster - 2) * self.cluster_size

    def _chain_value(self, cluster: int) -> int:
        """What the allocation table says of a cluster (0 is free)."""
        if self._bits == 12:
            pair = int.from_bytes(self._bytes(self._fat_offset + cluster * 3 // 2, 2), "little")
            return pair >> 4 if cluster & 1 else pair & 0xFFF
        width = self._bits // 8
        value = int.from_bytes(self._bytes(self._fat_offset + cluster * width, width), "little")
        return value & 0x0FFFFFFF if width == 4 else value

    @property
    def layout(self) -> FatLayout:
        """Where the table, the clusters and the bitmap are."""
        return FatLayout(self._fat_offset, self._heap, self._bitmap_offset, self._bits, self._last)

    def is_allocated(self, cluster: int) -> bool:
        """Whether a cluster belongs to a living file now."""
        if self.is_exfat:
            bit = cluster - 2
            return bool(self._bytes(self._bitmap_offset + bit // 8, 1)[0] >> (bit % 8) & 1)
        return self._chain_value(cluster) != 0

    @property
    def read(self) -> Callable[[int, int], bytes]:
        """How the volume is read (offset 0 is its boot sector)."""
        return self._read

    def differing_entries(self) -> int:
        """In how many bytes the first two copies of the allocation table differ; 0 where there is one. Errors: those of
        reading."""
        if not self._copy:
            return 0
        length = min(self._copy - self._fat_offset, (self._last + 1) * self._bits // 8)
        differing = 0
        for at in range(0, length, _PIECE):
            size = min(_PIECE, length - at)
            one, other = self._bytes(self._fat_offset + at, size), self._bytes(self._copy + at, size)
            if one != other:
                differing += sum(a != b for a, b in zip(one, other, strict=True))
        return differing

    def cluster_at(self, offset: int) -> int:
        """The cluster of a byte of the volume that lies behind the start of the clusters."""
        return 2 + (offset - self._heap) // self.cluster_size

    def slot(self, address: int, count: int = 1) -> bytes:
        """The 32 bytes of a directory entry (or of ``count`` that follow each other)."""
        at, length = self._data + (address - _FIRST_SLOT) * 32, 32 * count
        start, window = self._window
        if not start <= at <= start + len(window) - length:  # the entries of a folder are asked for one by one
            start = at // _WINDOW * _WINDOW
            if at + length > start + _WINDOW:
                return self._bytes(at, length)
            try:
                window = self._bytes(start, _WINDOW)
            except EvidenceError:
                return self._bytes(at, length)
            self._window = start, window
        return window[at - start : at - start + length]

    # ------------------------------------------------------------ times

    def times(self, address: int) -> FileTimes:
        """The times of a directory entry, as true to UTC as the entry allows."""
        entry = self.slot(address)
        return _exfat_times(entry) if self.is_exfat else _fat_times(entry)

    # ------------------------------------------------------------ deleted files

    def is_file_entry(self, address: int) -> bool:
        """Whether a slot in the data area is an entry of a file or folder, as far as can be told.

        Sleuth Kit finds orphans by looking at every free slot of the volume; on exFAT it takes one in a
        few thousand slots of picture data for an entry. A true one is followed by its stream extension and name.
        """
        if not self.is_exfat:
            return True
        try:
            types = self.slot(address, 3)[::32]
        except EvidenceError:
            return False
        return bytes(kind & 0x7F for kind in types) == b"\x05\x40\x41"

    def first_cluster(self, address: int) -> int:
        """The first cluster of the file of a directory entry; 0 for an empty file."""
        if self.is_exfat:
            return int.from_bytes(self.slot(address, 2)[52:56], "little")
        entry = self.slot(address)
        high = entry[20:22] if self._bits == 32 else b"\0\0"
        return int.from_bytes(entry[26:28] + high, "little")

    def owned_from(self, address: int) -> tuple[int, int]:
        """The first cluster of a living entry, and how many follow it without a chain (0: the table tells them)."""
        if not self.is_exfat:
            return self.first_cluster(address), 0
        entry = self.slot(address, 2)
        if entry[0] & 0x7F != 0x05:  # the label, the bitmap, the table of upper case
            return 0, 0
        first, length = struct.unpack_from("<IQ", entry, 52)
        return first, min(-(-length // self.cluster_size), self._last) if entry[33] & 2 else 0

    def names_itself(self, address: int) -> bool:
        """Whether the folder of a living entry begins with a name for itself, as every one of FAT but the root does."""
        cluster = self.first_cluster(address)
        if self.is_exfat or not 2 <= cluster <= self._last:
            return self.is_exfat
        return self._bytes(self._offset(cluster), 11) == _DOT

    def begins_right(self) -> bool:
        """Whether the first entry of the table of FAT is the kind of medium that the boot sector says."""
        return self.is_exfat or self._bytes(self._fat_offset, 1) == self._bytes(21, 1)

    def names_in(self, cluster: int) -> Iterator[FolderSlot]:
        """The living names in a cluster that is one of a folder, by all that stands in it; none in any other."""
        head = self._bytes(self._offset(cluster), 32)
        if not (head[0] & 0x3F <= 0x05 if self.is_exfat else head[11] == _LONG_NAME or _plausible(head)) or not head[0]:
            return
        data = self._bytes(self._offset(cluster), self.cluster_size)
        base = (self._offset(cluster) - self._data) // 32 + _FIRST_SLOT
        if self.is_exfat:
            found: list[tuple[int, bytes]] | None = _exfat_names(data)
        else:
            entries = _folder_entries(data, first=data.startswith(_DOT))
            found = None if entries is None else entries.names
        for index, name in found or ():
            if data[index * 32] != 0xE5:
                yield FolderSlot(base + index, name)

    def lies_in_one_piece(self, address: int) -> bool:
        """Whether an exFAT entry says that its clusters follow each other without a chain (NoFatChain)."""
        return self.is_exfat and bool(self.slot(address, 2)[33] & 2)

    def reused_clusters(self, address: int, size: int) -> tuple[int, int]:
        """How many of the clusters of a deleted file belong to living files now, and whether the first does (1 or 0).

        Only the first is known to have been the file's, except where exFAT says that it lay in one piece.
        """
        first = self.first_cluster(address)
        if size == 0 or not 2 <= first <= self._last:
            return 0, 0
        head = int(self.is_allocated(first))
        if not self.lies_in_one_piece(address):
            return head, head
        end = min(first + -(-size // self.cluster_size), self._last + 1)
        return self._count_allocated(first, end), head

    def _count_allocated(self, first: int, end: int) -> int:
        """How many of the clusters first..end-1 the exFAT bitmap has as used."""
        low, high = (first - 2) // 8, (end - 3) // 8
        bits = int.from_bytes(self._bytes(self._bitmap_offset + low, high - low + 1), "little")
        bits >>= (first - 2) % 8
        return (bits & ((1 << (end - first)) - 1)).bit_count()

    def rest_of_deleted_folder(self, address: int) -> Iterator[FolderSlot]:
        """The names of a deleted FAT folder that lie behind its first cluster.

        The chain is gone, so the clusters that follow are taken as long as they are free and hold nothing
        but directory entries; a folder's own end mark ends it.
        """
        if self.is_exfat:
            return  # an exFAT entry keeps its folder's size: Sleuth Kit lists it whole
        cluster = self.first_cluster(address)
        if not 2 <= cluster <= self._last or self.is_allocated(cluster):
            return
        entries = _folder_entries(self._bytes(self._offset(cluster), self.cluster_size), first=True)
        if entries is None or entries.ended:
            return
        pieces = entries.open_pieces
        for following in range(cluster + 1, min(cluster + _MAX_FOLDER_CLUSTERS, self._last + 1)):
            if self.is_allocated(following):
                return
            entries = _folder_entries(self._bytes(self._offset(following), self.cluster_size), pieces=pieces)
            if entries is None:
                return
            base = (self._offset(following) - self._data) // 32 + _FIRST_SLOT
            for index, name in entries.names:
                yield FolderSlot(base + index, name)
            if entries.ended:
                return
            pieces = entries.open_pieces


@dataclass(slots=True)
class _Entries:
    """One cluster read as a folder: (slot, name) of its files and folders, whether its end mark is in it."""

    names: list[tuple[int, bytes]]
    ended: bool
    open_pieces: list[bytes]


def _folder_entries(data: bytes, *, first: bool = False, pieces: list[bytes] | None = None) -> _Entries | None:
    """The names in a cluster of a FAT folder, or None when it is something else."""
    found = _Entries([], ended=False, open_pieces=list(pieces or []))
    for index in range(len(data) // 32):
        entry = data[index * 32 : index * 32 + 32]
        if entry[0] == 0:
            found.ended = True
            return found if index or first else None
        if entry[11] == _LONG_NAME:
            if entry[12] or entry[26:28] != b"\0\0":
                return None
            found.open_pieces.append(entry)
            continue
        if not _plausible(entry) or (entry.startswith((b".  ", b".. ")) and not first):
            return None
        if not entry[11] & 0x08 and entry[0] != 0x2E:
            found.names.append((index, _name(entry, found.open_pieces)))
        found.open_pieces = []
    return found


def _exfat_names(data: bytes) -> list[tuple[int, bytes]]:
    """(slot, name) of the sets of entries in a cluster of an exFAT folder that are whole: their checksum is right."""
    found = []
    for index in range(len(data) // 32):
        entry = data[index * 32 : index * 32 + 32]
        together = data[index * 32 : (index + entry[1] + 1) * 32]
        if entry[0] != 0x85 or not 2 <= entry[1] <= 18 or len(together) < (entry[1] + 1) * 32:
            continue
        total = 0
        for place, byte in enumerate(together):
            if place not in (2, 3):
                total = ((total << 15 | total >> 1) & 0xFFFF) + byte & 0xFFFF
        if total == int.from_bytes(entry[2:4], "little"):
            units = b"".join(together[at + 2 : at + 32] for at in range(64, len(together), 32))
            found.append((index, units[: 2 * together[35]].decode("utf-16-le", "replace").encode("utf-8")))
    return found


def _plausible(entry: bytes) -> bool:
    """Whether 32 bytes can be a short directory entry: attributes, case bits, name and dates all make sense."""
    if entry[11] & 0xC0 or entry[12] & ~0x18 or entry[13] > 199:
        return False
    if any(byte < 0x20 or byte in b'"*+,/:;<=>?[\\]|' for byte in entry[1:11]):
        return False
    written, written_date = struct.unpack_from("<HH", entry, 22)
    return dos_time(written_date, written) is not None


def _name(entry: bytes, pieces: list[bytes]) -> bytes:
    """The long name before a short entry when its pieces belong together, else the short name, in UTF-8."""
    if pieces and len({piece[13] for piece in pieces}) == 1:
        units = b"".join(piece[1:11] + piece[14:26] + piece[28:32] for piece in reversed(pieces))
        text = units.decode("utf-16-le", "replace").split("\0")[0].rstrip("\uffff")
        if text:
            return text.encode("utf-8")
    first = b"_" if entry[0] == 0xE5 else entry[:1]
    base, extension = (first + entry[1:8]).rstrip(b" "), entry[8:11].rstrip(b" ")
    if entry[12] & 0x08:
        base = base.lower()
    if entry[12] & 0x10:
        extension = extension.lower()
    name = base + (b"." + extension if extension else b"")
    return bytes(byte if byte < 0x80 else 0x5E for byte in name)  # the code page is unknown: as Sleuth Kit, "^"


def _fat_times(entry: bytes) -> FileTimes:
    tenths, made, made_date, read_date = struct.unpack_from("<BHHH", entry, 13)
    written, written_date = struct.unpack_from("<HH", entry, 22)
    return FileTimes(
        created=dos_time(made_date, made, tenths),
        modified=dos_time(written_date, written),
        accessed=dos_time(read_date, 0),
        zone_note=LOCAL_ZONE_NOTE,
    )


def _exfat_times(entry: bytes) -> FileTimes:
    if entry[0] & 0x7F != 0x05:  # a label, the bitmap or the upcase table: those have no times
        return FileTimes(zone_note=LOCAL_ZONE_NOTE)
    made, written, read = struct.unpack_from("<III", entry, 8)
    zones = [_utc_offset(byte) for byte in entry[22:25]]
    known = all(zone is not None for zone in zones)
    moments = [
        dos_time(stamp >> 16, stamp & 0xFFFF, tenths)
        for stamp, tenths in ((made, entry[20]), (written, entry[21]), (read, 0))
    ]
    if known:
        moments = [m - timedelta(minutes=z or 0) if m else None for m, z in zip(moments, zones, strict=True)]
    created, modified, accessed = moments
    return FileTimes(created, modified, accessed, None, "" if known else LOCAL_ZONE_NOTE)


def _utc_offset(byte: int) -> int | None:
    """Minutes east of UTC in an exFAT offset byte; None when its top bit says that it is not valid."""
    if not byte & 0x80:
        return None
    quarter = byte & 0x7F
    return 15 * (quarter - 128 if quarter >= 64 else quarter)
