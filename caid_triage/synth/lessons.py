"""Small images of the traps that cost other tools evidence, each with its truth.

Every lesson is one file system whose right reading is known. They are built when they are
needed (seconds), not stored. See fixtures/README.md for the list and why each is there.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from caid_triage.synth.exfat import build_exfat
from caid_triage.synth.ext import build_ext2
from caid_triage.synth.fat import build_fat
from caid_triage.synth.iso9660 import build_iso
from caid_triage.synth.ntfs import build_ntfs
from caid_triage.synth.plan import Planned, PlannedFile, PlannedFolder
from caid_triage.synth.sample_pictures import picture
from caid_triage.synth.truth import TruthRow, rows_of

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Lesson:
    """One trap: what it says, the image of one file system, and every file that must be found."""

    name: str
    says: str
    file_system: str
    image: bytearray
    rows: tuple[TruthRow, ...]


def lesson_names() -> list[str]:
    """The names of all lessons, sorted."""
    return sorted(_LESSONS)


def build_lesson(name: str) -> Lesson:
    """One lesson by its name; KeyError for a name that is none."""
    says, file_system, make_plan, write = _LESSONS[name]
    plan = make_plan()
    return Lesson(name, says, file_system, write(plan), tuple(rows_of("p0", plan)))


def crowd(count: int, *, size: int = 3000, folder_size: int = 100) -> list[Planned]:
    """Many small files in folders, for measuring a walk."""
    filler = random.Random(7).randbytes(size + count)  # noqa: S311 - content, not a secret
    return [
        PlannedFile(f"/crowd/folder {n // folder_size:04d}/file {n:06d}.jpg", filler[n : n + size])
        for n in range(count)
    ]


def _noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)  # noqa: S311 - content, not a secret


def _odd_types() -> list[Planned]:
    """Types that a gate on known types never hashes."""
    pixels = _noise(1, 3 * 40 * 30)
    return [
        PlannedFile("/photo.ppm", b"P6\n40 30\n255\n" + pixels),
        PlannedFile("/drawing.xcf", b"gimp xcf v011\0" + _noise(2, 5000)),
        PlannedFile("/sound.ogg", b"OggS\0\2" + _noise(3, 6000)),
        PlannedFile("/book.epub", b"PK\3\4" + _noise(4, 4000)),
        PlannedFile("/no extension", _noise(5, 1234)),
        PlannedFile("/empty.jpg", b""),
        PlannedFile("/one byte.bin", b"x"),
        PlannedFile("/resident.txt", b"lies in the record itself\n"),
        PlannedFile("/exactly a cluster.bin", _noise(6, 4096)),
        PlannedFile("/a\ttab.txt", b"a tab in the name\n"),
        PlannedFile("/caf\u00e9 \u6c34 \U0001f600.jpg", picture("meadow.jpg")),
    ]


def _odd_names() -> list[Planned]:
    """The odd types, and a name that is not UTF-8 (ext keeps names as bytes)."""
    return [*_odd_types(), PlannedFile(b"/latin caf\xe9.jpg".decode(errors="surrogateescape"), picture("boxes.jpg"))]


def _sparse() -> list[Planned]:
    """Holes at the start, in the middle, over indirect blocks, and at the end; one file nothing but a hole."""
    unit = 65536
    middle = _noise(11, unit) + bytes(4 * unit) + _noise(12, unit) + b"tail"
    start = bytes(2 * unit) + _noise(13, unit + 77)
    far = picture("dunes.jpg").ljust(unit, b"\0") + bytes(80 * unit) + _noise(14, 999)
    return [
        PlannedFile("/middle.bin", middle, holes=((unit, 5 * unit),)),
        PlannedFile("/start.bin", start, holes=((0, 2 * unit),)),
        PlannedFile("/far.bin", far, holes=((unit, 81 * unit),)),
        PlannedFile("/end.bin", _noise(15, unit) + bytes(3 * unit), holes=((unit, 4 * unit),)),
        PlannedFile("/all hole.bin", bytes(2 * unit), holes=((0, 2 * unit),)),
        PlannedFile("/not sparse.bin", middle),
    ]


def _long_folder() -> list[Planned]:
    """A folder of many clusters whose entries lie in one run without a chain, and one with a chain."""
    return [
        PlannedFolder("/contiguous", contiguous=True),
        *(PlannedFile(f"/contiguous/picture number {n:03d}.jpg", _noise(100 + n, 600)) for n in range(200)),
        PlannedFolder("/chained"),
        *(PlannedFile(f"/chained/picture number {n:03d}.jpg", _noise(400 + n, 600)) for n in range(200)),
        PlannedFile("/chained/below/deep.jpg", picture("boxes.jpg")),
    ]


def _deleted_long_folder() -> list[Planned]:
    """A deleted folder of several clusters, its files deleted with it."""
    return [
        PlannedFile("/kept.jpg", picture("meadow.jpg")),
        PlannedFolder("/album", deleted=True),
        *(PlannedFile(f"/album/picture number {n:03d}.jpg", _noise(700 + n, 900 + n)) for n in range(100)),
        PlannedFile("/album/last of all.jpg", picture("coast.jpg")),
        PlannedFile("/after.jpg", picture("boxes.jpg")),
    ]


def _fragmented() -> list[Planned]:
    """Files in pieces, the later pieces before the earlier ones on disk."""
    return [
        PlannedFile("/whole.jpg", picture("town.jpg")),
        PlannedFile("/two.jpg", picture("coast.jpg"), pieces=2),
        PlannedFile("/five.jpg", picture("marble.jpg"), pieces=5),
        PlannedFile("/nine.bin", _noise(21, 200_001), pieces=9),
    ]


def _deleted() -> list[Planned]:
    """Deleted files in one piece, whose clusters nobody took."""
    return [
        PlannedFile("/here.jpg", picture("meadow.jpg")),
        PlannedFile("/sub/here too.jpg", picture("boxes.jpg")),
        PlannedFile("/sub/was here.jpg", picture("coast.jpg"), deleted=True),
        PlannedFile("/was here.png", picture("discs.png"), deleted=True),
        PlannedFile("/sub/was small.txt", b"a few bytes\n", deleted=True),
    ]


def _told_apart() -> list[Planned]:
    """One folder in which a name left behind may mean four different things."""
    return [
        PlannedFile("/box/alive.jpg", picture("meadow.jpg")),
        PlannedFile("/box/gone, name left.jpg", picture("coast.jpg"), deleted=True, name_left=True),
        PlannedFile("/box/gone, name gone.jpg", picture("discs.png"), deleted=True),
        PlannedFile("/box/new name.jpg", picture("orchard.jpg"), formerly="/box/old name.jpg"),
        PlannedFile("/box/victim.jpg", picture("marble.jpg"), deleted=True),
        PlannedFile("/box/taker.jpg", picture("town.jpg"), in_record_of="/box/victim.jpg"),
        PlannedFile("/box/linked.jpg", picture("fans.gif"), links=("/other/same file.jpg",)),
        PlannedFile("/other/stream.dll", b"MZ" + bytes(800), streams=(("here", picture("waves.webp")), ("tiny", b"t"))),
    ]


def _data_cd() -> list[Planned]:
    """A data CD: a folder of several sectors, an empty file, files of odd sizes."""
    return [
        PlannedFile("/PHOTO.JPG", picture("town.jpg")),
        PlannedFile("/EMPTY"),
        PlannedFile("/ALBUM/SUB/DEEP.PNG", picture("discs.png")),
        *(PlannedFile(f"/ALBUM/PICTURE_{n:03d}.JPG", _noise(900 + n, 500 + n)) for n in range(150)),
    ]


def _late_name() -> list[Planned]:
    """A name left in an index after 2020, which The Sleuth Kit takes for rubbish; its record still has it."""
    late = datetime(2024, 5, 1, tzinfo=UTC)
    return [
        PlannedFile("/box/alive.jpg", picture("meadow.jpg"), late),
        PlannedFile("/box/gone.jpg", picture("coast.jpg"), late, deleted=True, name_left=True),
    ]


def _ntfs(plan: list[Planned]) -> bytearray:
    return build_ntfs(plan, size=8 * MIB)


def _fat32(plan: list[Planned]) -> bytearray:
    return build_fat(plan, size=34 * MIB, bits=32, cluster=512)


def _fat16(plan: list[Planned]) -> bytearray:
    return build_fat(plan, size=8 * MIB, bits=16, cluster=1024)


def _fat12(plan: list[Planned]) -> bytearray:
    return build_fat(plan, size=2 * MIB, bits=12, cluster=1024)


def _exfat(plan: list[Planned]) -> bytearray:
    return build_exfat(plan, size=8 * MIB)


def _ext2(plan: list[Planned]) -> bytearray:
    return build_ext2(plan, size=8 * MIB)


def _iso(plan: list[Planned]) -> bytearray:
    return build_iso(plan)


_Row = tuple[str, str, Callable[[], list[Planned]], Callable[[list[Planned]], bytearray]]
_SPARSE_SAYS = "A sparse file's holes are zeros; its stored parts joined are another file."
_PIECES_SAYS = "A fragmented file follows its chain or runs, not the clusters behind its first."
_ALL_SAYS = "Every file is hashed whatever its type, or named as not."
_DELETED_SAYS = "A deleted file in one untouched piece is read whole."
_LESSONS: dict[str, _Row] = {
    "every-file-ntfs": (_ALL_SAYS, "ntfs", _odd_types, _ntfs),
    "every-file-ext2": (_ALL_SAYS, "ext2", _odd_names, _ext2),
    "sparse-ntfs": (_SPARSE_SAYS, "ntfs", _sparse, _ntfs),
    "sparse-ext2": (_SPARSE_SAYS, "ext2", _sparse, _ext2),
    "fragmented-ntfs": (_PIECES_SAYS, "ntfs", _fragmented, _ntfs),
    "fragmented-fat12": (_PIECES_SAYS, "fat12", _fragmented, _fat12),
    "fragmented-fat16": (_PIECES_SAYS, "fat16", _fragmented, _fat16),
    "fragmented-fat32": (_PIECES_SAYS, "fat32", _fragmented, _fat32),
    "fragmented-exfat": (_PIECES_SAYS, "exfat", _fragmented, _exfat),
    "fragmented-ext2": (_PIECES_SAYS, "ext2", _fragmented, _ext2),
    "deleted-ntfs": (_DELETED_SAYS, "ntfs", _deleted, _ntfs),
    "deleted-fat12": (_DELETED_SAYS, "fat12", _deleted, _fat12),
    "deleted-fat16": (_DELETED_SAYS, "fat16", _deleted, _fat16),
    "deleted-fat32": (_DELETED_SAYS, "fat32", _deleted, _fat32),
    "deleted-exfat": (_DELETED_SAYS, "exfat", _deleted, _exfat),
    "deleted-ext2": (_DELETED_SAYS, "ext2", _deleted, _ext2),
    "long-folder-exfat": (
        "An exFAT folder without a FAT chain is listed to its end, not to its first cluster.",
        "exfat", _long_folder, _exfat,
    ),
    "deleted-long-folder-fat32": (
        "A deleted FAT folder's names behind its first cluster are found too.",
        "fat32", _deleted_long_folder, _fat32,
    ),
    "deleted-long-folder-fat16": (
        "A deleted FAT folder's names behind its first cluster are found too.",
        "fat16", _deleted_long_folder, _fat16,
    ),
    "every-file-iso9660": (_ALL_SAYS, "iso9660", _data_cd, _iso),
    "told-apart-ntfs": (
        "Renamed, hard-linked, deleted and taken-over records are told apart by their sequence numbers.",
        "ntfs", _told_apart, _ntfs,
    ),
    "late-name-ntfs": (
        "A deleted file of after 2020 is found by its record though the name in the index is not believed.",
        "ntfs", _late_name, _ntfs,
    ),
}  # fmt: skip
