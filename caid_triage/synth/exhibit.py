"""Build the demonstration exhibit: a small disk with four file systems and everything known about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from caid_triage.synth.exfat import build_exfat
from caid_triage.synth.ext import build_ext2
from caid_triage.synth.fat import build_fat
from caid_triage.synth.mbr import ALIGN, SECTOR, Partition, build_mbr, partition_starts
from caid_triage.synth.ntfs import build_ntfs
from caid_triage.synth.plan import DAY_ZERO, Planned, PlannedFile, PlannedFolder, write_sparse
from caid_triage.synth.sample_pictures import (
    GRADED,
    KNOWN_GOOD,
    MD5_ONLY,
    NEAR,
    known_program,
    listed_document,
    picture,
)
from caid_triage.synth.truth import TruthRow, TruthVolume, rows_of, write_truth

IMAGE_NAME = "demo-exhibit.dd"
TRUTH_NAME = "demo-exhibit.truth.json"
CUT_NAME, CUT_AT = "marble-cut.jpg", 18000
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class DemoTruth:
    """Where the exhibit and its truth were written, and the truth itself."""

    image: Path
    truth: Path
    volumes: tuple[TruthVolume, ...]
    rows: tuple[TruthRow, ...]


def build_demo_exhibit(folder: Path) -> DemoTruth:
    """Write demo-exhibit.dd and its truth into the folder; the same bytes every time."""
    folder.mkdir(parents=True, exist_ok=True)
    plans: tuple[tuple[str, list[Planned]], ...] = (
        ("ntfs", ntfs_plan()),
        ("fat16", fat_plan()),
        ("exfat", exfat_plan()),
        ("ext2", ext_plan()),
    )
    # Where a partition starts must be known before its boot sector is written.
    sizes = (Partition(7, bytes(10 * MIB)), Partition(6, bytes(6 * MIB)))
    logical = (Partition(7, bytes(6 * MIB)), Partition(0x83, bytes(6 * MIB)))
    starts = partition_starts(sizes, logical)
    contents = (
        build_ntfs(plans[0][1], size=10 * MIB, label="System", hidden_sectors=starts[0]),
        build_fat(plans[1][1], size=6 * MIB, bits=16, cluster=1024, label="CAMERA", hidden_sectors=starts[1]),
        build_exfat(plans[2][1], size=6 * MIB, label="Stick", hidden_sectors=ALIGN),
        build_ext2(plans[3][1], size=6 * MIB, label="backup"),
    )
    image = build_mbr(
        [Partition(part.kind, content) for part, content in zip(sizes, contents[:2], strict=True)],
        [Partition(part.kind, content) for part, content in zip(logical, contents[2:], strict=True)],
        tail=MIB,
    )
    volumes, rows = [], []
    for number, ((kind, plan), start, content) in enumerate(zip(plans, starts, contents, strict=True), start=1):
        name = f"p{number}"
        volumes.append(TruthVolume(name, kind, start * SECTOR, len(content)))
        rows += [expected(row) for row in rows_of(name, plan)]
    made = DemoTruth(folder / IMAGE_NAME, folder / TRUTH_NAME, tuple(volumes), tuple(rows))
    write_sparse(made.image, image)
    write_truth(made.truth, IMAGE_NAME, made.volumes, made.rows)
    return made


def expected(row: TruthRow) -> TruthRow:
    """The row with what the sample hash sets must say about it."""
    for name, code in [*GRADED.items(), *MD5_ONLY.items()]:
        if row.sha256 == _sha256(picture(name)):
            algorithm = "md5" if name in MD5_ONLY else "sha1"
            return replace(row, match="exact", algorithm=algorithm, category=code, like=name)
    if row.sha256 == _sha256(listed_document()):
        return replace(row, match="exact", algorithm="sha1", category="3")
    for name, original in NEAR.items():
        if row.sha256 == _sha256(picture(name)):
            return replace(row, match="near", algorithm="pdq", category=GRADED[original], like=original)
    if row.path.endswith(CUT_NAME):
        return replace(row, match="damaged", like="marble.jpg")
    if row.sha256 in {_sha256(content) for content in (known_program(), *map(picture, KNOWN_GOOD))}:
        return replace(row, match="known-good", algorithm="sha256")
    return row


def _sha256(content: bytes) -> str:
    return rows_of("", [PlannedFile("/x", content)])[0].sha256


def _day(number: int) -> datetime:
    return DAY_ZERO + timedelta(days=number, hours=number % 7, minutes=number * 13 % 60)


def _notes(folder: str, count: int) -> list[PlannedFile]:
    """Ordinary small texts, some in the record itself and some in clusters."""
    return [
        PlannedFile(
            f"{folder}/note {number:03d}.txt",
            (f"Note {number}: water the plants, call the plumber.\n" * (1 + number % 40)).encode(),
            _day(number),
        )
        for number in range(count)
    ]


def ntfs_plan() -> list[Planned]:
    """The system partition: live and deleted pictures, a stream, a hard link, wrong extensions."""
    home = "/Users/sam"
    return [
        PlannedFile("/Windows/System32/kernel.dll", known_program(), _day(0)),
        PlannedFile("/Windows/System32/icon.bmp", picture("icon.bmp"), _day(0)),
        PlannedFile(
            f"{home}/Pictures/IMG_0001.jpg", picture("coast.jpg"), _day(3), links=(f"{home}/Desktop/beach.jpg",)
        ),
        PlannedFile(f"{home}/Pictures/IMG_0002.jpg", picture("town.jpg"), _day(4), pieces=4),
        PlannedFile(f"{home}/Pictures/IMG_0003.jpg", picture("meadow.jpg"), _day(5)),
        PlannedFile(f"{home}/Pictures/IMG_0004.jpg", picture("coast-small-bright.jpg"), _day(6)),
        PlannedFile(f"{home}/Pictures/clouds.jpg", picture("clouds.jpg"), _day(6)),
        PlannedFile(f"{home}/Pictures/половодье 水.png", picture("discs.png"), _day(7)),
        PlannedFile(f"{home}/Documents/{CUT_NAME}", picture("marble.jpg")[:CUT_AT], _day(8)),
        PlannedFile(f"{home}/Documents/mspaint.dll", picture("marble.jpg"), _day(8)),
        PlannedFile(f"{home}/Documents/recipe.txt", listed_document(), _day(9)),
        PlannedFile(
            f"{home}/Documents/letter.txt",
            b"Dear aunt, the garden is in bloom. Yours, Sam\n",
            _day(9),
            streams=(("hidden.jpg", picture("orchard.jpg")),),
        ),
        PlannedFile(f"{home}/Documents/not-a-picture.jpg", b"this is plain text with a picture's name\n" * 30, _day(9)),
        *_notes(f"{home}/Documents/notes", 120),
        PlannedFile(f"{home}/Pictures/IMG_0005.jpg", picture("waves.webp"), _day(10), deleted=True, name_left=True),
        PlannedFile(f"{home}/Pictures/IMG_0006.gif", picture("fans.gif"), _day(11), deleted=True),
        PlannedFile(f"{home}/Pictures/IMG_0007.jpg", picture("dunes.jpg"), _day(12), deleted=True),
        PlannedFolder(f"{home}/old album", _day(13), deleted=True),
        PlannedFile(f"{home}/old album/town.jpg", picture("town-again.jpg"), _day(13)),
        PlannedFile(f"{home}/Videos/ball.avi", picture("ball.avi"), _day(14)),
    ]


def fat_plan() -> list[Planned]:
    """The camera card: pictures, and a deleted folder of several clusters."""
    return [
        PlannedFile("/DCIM/100CAM/DSC00001.JPG", picture("boxes.jpg"), _day(20)),
        PlannedFile("/DCIM/100CAM/DSC00002.JPG", picture("orchard.jpg"), _day(21), pieces=3),
        PlannedFile("/DCIM/100CAM/a picture from the hill.jpg", picture("lagoon.jpg"), _day(22)),
        PlannedFile("/DCIM/100CAM/holiday in town.jpg", picture("town.jpg"), _day(22), deleted=True),
        PlannedFile("/DCIM/100CAM/second try of the town.jpg", picture("town-again.jpg"), _day(23), deleted=True),
        PlannedFolder("/DCIM/101CAM trip", _day(24), deleted=True),
        *_notes("/DCIM/101CAM trip", 30),
        PlannedFile("/DCIM/101CAM trip/last picture of the trip.jpg", picture("coast.jpg"), _day(24)),
    ]


def exfat_plan() -> list[Planned]:
    """The memory stick: a folder longer than a cluster and without a chain, and deleted files."""
    return [
        PlannedFolder("/many", _day(30), contiguous=True),
        *_notes("/many", 60),
        PlannedFile("/many/zz last.jpg", picture("marble.jpg"), _day(31)),
        PlannedFile("/film/ball.avi", picture("ball.avi"), _day(32), pieces=3),
        PlannedFile("/film/ball copy.avi", picture("ball.avi"), _day(32), deleted=True),
        PlannedFile("/gone.png", picture("discs.png"), _day(33), deleted=True),
        PlannedFile("/stack.jpg", picture("coast-small-bright.jpg"), _day(33)),
    ]


def ext_plan() -> list[Planned]:
    """The backup: a copy twice by hard link, a sparse file, deleted files."""
    gap = 1 * MIB
    disk = picture("dunes.jpg").ljust(28672, b"\0") + bytes(gap) + b"end of the sparse file\n"
    return [
        PlannedFile("/home/sam/copy.jpg", picture("coast.jpg"), _day(40), links=("/home/sam/again.jpg",)),
        PlannedFile("/home/sam/waves.txt", picture("waves.webp"), _day(41)),
        PlannedFile("/home/sam/disk.img", disk, _day(41), holes=((28672, 28672 + gap),)),
        PlannedFile("/home/sam/.cache/fans", picture("fans.gif"), _day(42), deleted=True),
        PlannedFile("/home/sam/.cache/lagoon", picture("lagoon.jpg"), _day(43), deleted=True),
        PlannedFile("/home/sam/.cache/keep", b"kept\n", datetime(2019, 8, 1, tzinfo=UTC)),
    ]


def truth_rows(rows: Sequence[TruthRow], match: str) -> list[TruthRow]:
    """The rows of one kind of match."""
    return [row for row in rows if row.match == match]
