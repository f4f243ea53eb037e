"""The disks and the disc that a validation scans: file systems from nothing, with living, deleted and lost pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from caid_triage.synth.ewf import write_e01
from caid_triage.synth.exfat import build_exfat
from caid_triage.synth.ext import build_ext2
from caid_triage.synth.fat import build_fat
from caid_triage.synth.gpt import BASIC_DATA, LINUX, GptPartition, build_gpt
from caid_triage.synth.iso9660 import build_iso
from caid_triage.synth.mbr import ALIGN, SECTOR, Partition, build_mbr, partition_starts
from caid_triage.synth.ntfs import build_ntfs
from caid_triage.synth.plan import Planned, PlannedFile, PlannedFolder, write_sparse
from caid_triage.synth.truth import shown
from caid_triage.validate import containers
from caid_triage.validate.draw import Pixels, decoded, drawing, grey, jpeg, png
from caid_triage.validate.truth import Exhibit, Planted

MIB = 1 << 20
FREE_TAIL = MIB  # so much before a volume's end no planned file lies
WIDTH, HEIGHT = 128, 96
PIECE = 4096


class Pictures:
    """Different pictures without end, one after the other from one seed; ``kept``: the pixels of PNGs by SHA-256."""

    def __init__(self, rng: Random, more: int) -> None:
        """``more``: how many further small pictures each volume gets, living and deleted and in free space."""
        self._rng = rng
        self.more = more
        self.kept: dict[str, Pixels] = {}

    def pixels(self) -> Pixels:
        """The next drawing."""
        return drawing(self._rng, WIDTH, HEIGHT)

    def png(self) -> bytes:
        """The next drawing as a PNG."""
        pixels = self.pixels()
        content = png(pixels)
        self.kept[hashlib.sha256(content).hexdigest()] = pixels
        return content

    def jpeg(self) -> bytes:
        """The next drawing as a JPEG."""
        return jpeg(self.pixels(), 80)

    def little(self) -> bytes:
        """The next drawing as a PNG of few pixels: for numbers."""
        return png(drawing(self._rng, 40, 30))

    def small(self) -> bytes:
        """A grey PNG of some 300 bytes: small enough for what is left of a cluster."""
        return png(grey(drawing(self._rng, 16, 16)))


@dataclass(slots=True)
class Volume:
    """A file system in the making: what was planned, the bytes, and what was planted in it (offsets in the volume)."""

    kind: str
    plan: list[Planned]
    planted: list[Planted]
    image: bytearray


def _named(kind: str, pictures: Pictures, rng: Random) -> tuple[list[Planned], list[Planted]]:
    """Living and deleted files of every sort, for any file system that deletes."""
    note = f"note {rng.randrange(10**6)}\n".encode() * rng.randint(30, 300)
    live = [
        PlannedFile("/photos/first.png", pictures.png()),
        PlannedFile("/photos/second.jpg", pictures.jpeg()),
        PlannedFile("/photos/in three pieces.png", pictures.png(), pieces=3),
        PlannedFile("/photos/deep/er/third.jpg", pictures.jpeg()),
        PlannedFile("/photos/половодье 水.png", pictures.png()),
        PlannedFile("/papers/a picture.txt", pictures.png()),
        PlannedFile("/papers/not a picture.jpg", note),
        PlannedFile("/papers/empty.bin"),
    ]
    gone = [
        PlannedFile("/photos/gone first.png", pictures.png(), deleted=True),
        PlannedFile("/photos/gone second.jpg", pictures.jpeg(), deleted=True),
        PlannedFile("/papers/gone note.txt", note[::-1], deleted=True),
        PlannedFile("/photos/gone third.png", pictures.png(), deleted=True),
    ]
    live += [PlannedFile(f"/album/{number:02d}.png", pictures.little()) for number in range(pictures.more)]
    gone += [
        PlannedFile(f"/album/gone {number:02d}.png", pictures.little(), deleted=True) for number in range(pictures.more)
    ]
    planted = [
        Planted(kind, "deleted" if file.deleted else "allocated", file.path, file.content) for file in live + gone
    ]
    return [*live, *gone], planted


def _album(kind: str, pictures: Pictures) -> tuple[list[Planned], list[Planted]]:
    """A deleted folder with two pictures."""
    files = [PlannedFile(f"/gone album/{number}.png", pictures.png()) for number in (1, 2)]
    planted = [Planted(kind, "deleted", file.path, file.content, "in a deleted folder") for file in files]
    return [PlannedFolder("/gone album", deleted=True), *files], planted


def _slack_hosts(rng: Random, cluster: int) -> list[PlannedFile]:
    """Files that end soon behind the beginning of their second cluster."""
    return [
        PlannedFile(f"/papers/host {number}.bin", rng.randbytes(cluster + rng.randint(60, 120))) for number in range(3)
    ]


def _put_slack(volume: Volume, hosts: Sequence[PlannedFile], pictures: Pictures) -> None:
    """Put a picture behind each host's end, at the next sector's start of its last cluster."""
    for host in hosts:
        tail, picture = host.content[-48:], pictures.small()
        end = volume.image.index(tail) + len(tail)
        start = -(-end // SECTOR) * SECTOR
        _put(volume, start, picture)
        volume.planted.append(Planted(volume.kind, "slack", f"{host.path}//$Slack/", picture, "slack", start))


def _put_lost(volume: Volume, pictures: Pictures) -> None:
    """Put pictures that no name leads to into the free end of a volume, one of them in two pieces."""
    at = len(volume.image) - FREE_TAIL
    lost = [("PNG", pictures.png()), ("JPEG", pictures.jpeg()), ("PNG", pictures.png())]
    for name, content in [*lost, *(("PNG", pictures.little()) for _ in range(pictures.more))]:
        _put(volume, at, content)
        volume.planted.append(Planted(volume.kind, "carved", "", content, name, at))
        at += (len(content) // PIECE + 2) * PIECE
    broken = pictures.png()
    first = max(PIECE, len(broken) // 2 // PIECE * PIECE)
    _put(volume, at, broken[:first])
    _put(volume, at + first + 2 * PIECE, broken[first:])
    volume.planted.append(Planted(volume.kind, "carved", "", broken, "PNG in two pieces", at))


def _put(volume: Volume, at: int, content: bytes) -> None:
    if any(volume.image[at : at + len(content)]):
        raise ValueError(f"the place at {at} of the {volume.kind} volume is not free")
    volume.image[at : at + len(content)] = content


def _insides(pictures: Pictures) -> list[tuple[PlannedFile, list[tuple[str, bytes]]]]:
    """Containers, and the names and contents of the pictures in each."""
    one, two, deep, paper, mailed, celled = (pictures.png() for _ in range(6))
    shown, carrier, small, packed = pictures.jpeg(), pictures.jpeg(), pictures.jpeg(), pictures.png()
    height, width = decoded(shown).shape[:2]
    inner = containers.zipped({"deep.png": deep})
    return [
        (PlannedFile("/inside/a.zip", containers.zipped({"one.png": one, "sub/two.png": two})),
         [("one.png", one), ("sub/two.png", two)]),
        (PlannedFile("/inside/nested.zip", containers.zipped({"inner.zip": inner})), [("inner.zip//deep.png", deep)]),
        (PlannedFile("/inside/letter.docx", containers.zipped({"word/media/image1.png": paper})),
         [("word/media/image1.png", paper)]),
        (PlannedFile("/inside/some.tar.gz", containers.tarred({"packed.png": packed})), [("", packed)]),
        (PlannedFile("/inside/mail.eml", containers.message("drawing.png", mailed)), [("drawing.png", mailed)]),
        (PlannedFile("/inside/cells.db", containers.database(celled)), [("", celled)]),
        (PlannedFile("/inside/page.pdf", containers.pdf(shown, width, height)), [("", shown)]),
        (PlannedFile("/inside/camera.jpg", containers.with_thumbnail(carrier, small)), [("", small)]),
    ]  # fmt: skip


def _ntfs(pictures: Pictures, rng: Random, start: int) -> Volume:
    plan, planted = _named("ntfs", pictures, rng)
    album, of_album = _album("ntfs", pictures)
    stream, linked = pictures.png(), pictures.jpeg()
    hosts = _slack_hosts(rng, 4096)
    plan += [
        *album,
        PlannedFile("/papers/letter.txt", b"Dear aunt\n", streams=(("hidden.png", stream),)),
        PlannedFile("/photos/linked.jpg", linked, links=("/papers/linked too.jpg",)),
        *hosts,
    ]
    planted += [
        *of_album,
        Planted("ntfs", "allocated", "/papers/letter.txt:hidden.png", stream, "alternate data stream"),
        Planted("ntfs", "allocated", "/photos/linked.jpg", linked, "hard link"),
        Planted("ntfs", "allocated", "/papers/linked too.jpg", linked, "hard link"),
    ]
    for container, members in _insides(pictures):
        plan.append(container)
        planted.append(Planted("ntfs", "allocated", container.path, container.content))
        planted += [
            Planted("ntfs", "embedded", f"{container.path}//{name}", content, container.path.rpartition(".")[2])
            for name, content in members
        ]
    volume = Volume("ntfs", plan, planted, build_ntfs(plan, size=8 * MIB, label="System", hidden_sectors=start))
    _put_slack(volume, hosts, pictures)
    _put_lost(volume, pictures)
    return volume


def _fat16(pictures: Pictures, rng: Random, start: int) -> Volume:
    plan, planted = _named("fat16", pictures, rng)
    orphans = [PlannedFile(f"/LOST/ORPHAN{number}.PNG", pictures.png()) for number in range(max(2, pictures.more))]
    hosts = _slack_hosts(rng, 1024)
    plan += [PlannedFolder("/LOST", deleted=True), *orphans, *hosts]
    planted += [Planted("fat16", "orphan", "/$OrphanFiles/", file.content, "orphan") for file in orphans]
    image = build_fat(plan, size=6 * MIB, bits=16, cluster=1024, label="CAMERA", hidden_sectors=start)
    entry = image.index(b"\xe5OST       ")
    image[entry + 20 : entry + 22] = image[entry + 26 : entry + 28] = bytes(2)  # where the folder lay is forgotten
    volume = Volume("fat16", plan, planted, image)
    _put_slack(volume, hosts, pictures)
    _put_lost(volume, pictures)
    return volume


def _exfat(pictures: Pictures, rng: Random) -> Volume:
    plan, planted = _named("exfat", pictures, rng)
    album, of_album = _album("exfat", pictures)
    hosts = _slack_hosts(rng, 4096)
    plan += [*album, *hosts]
    volume = Volume("exfat", plan, [*planted, *of_album], build_exfat(plan, size=6 * MIB, hidden_sectors=ALIGN))
    _put_slack(volume, hosts, pictures)
    _put_lost(volume, pictures)
    return volume


def _ext2(pictures: Pictures, rng: Random) -> Volume:
    plan, planted = _named("ext2", pictures, rng)
    hosts = _slack_hosts(rng, 4096)
    plan += hosts
    volume = Volume("ext2", plan, planted, build_ext2(plan, size=6 * MIB))
    _put_slack(volume, hosts, pictures)
    _put_lost(volume, pictures)
    return volume


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk: the exhibit, its bytes, and the pixels of the PNGs on it by SHA-256."""

    exhibit: Exhibit
    content: bytes
    pixels: Mapping[str, Pixels]


def build_disk(folder: Path, rng: Random, more: int) -> Disk:
    """A disk with an MBR and four file systems, pictures in every state."""
    pictures = Pictures(rng, more)
    sizes = (Partition(7, bytes(8 * MIB)), Partition(6, bytes(6 * MIB)))
    logical = (Partition(7, bytes(6 * MIB)), Partition(0x83, bytes(6 * MIB)))
    starts = partition_starts(sizes, logical)
    volumes = [
        _ntfs(pictures, rng, starts[0]),
        _fat16(pictures, rng, starts[1]),
        _exfat(pictures, rng),
        _ext2(pictures, rng),
    ]
    kinds = (7, 6, 7, 0x83)
    parts = [Partition(kind, volume.image) for kind, volume in zip(kinds, volumes, strict=True)]
    image = build_mbr(parts[:2], parts[2:], tail=MIB)
    planted = [
        replace(item, volume=f"p{number}", offset=None if item.offset is None else item.offset + start * SECTOR)
        for number, (volume, start) in enumerate(zip(volumes, starts, strict=True), start=1)
        for item in volume.planted
    ]
    at = len(image) - MIB // 2
    for name, content in (("PNG", pictures.png()), ("JPEG", pictures.jpeg())):
        image[at : at + len(content)] = content
        planted.append(Planted("unpartitioned", "carved", "", content, name, at))
        at += (len(content) // PIECE + 2) * PIECE
    path = folder / "disk.dd"
    write_sparse(path, image)
    return Disk(Exhibit("DISK/1", path, tuple(planted), len(image)), bytes(image), pictures.kept)


def build_copies(folder: Path, disk: bytes, planted: Sequence[Planted]) -> list[Exhibit]:
    """The same disk as an E01 of two segments, and cut into three raw pieces."""
    e01 = write_e01(folder, "copy", disk, segments=2, case_number="validation")
    third = len(disk) // 3 // SECTOR * SECTOR
    pieces = [disk[:third], disk[third : 2 * third], disk[2 * third :]]
    for number, piece in enumerate(pieces, start=1):
        write_sparse(folder / f"split.{number:03d}", piece)
    split = folder / "split.001"
    return [
        Exhibit("E01/1", e01, tuple(planted), len(disk)),
        Exhibit("SPLIT/1", split, tuple(planted), len(disk)),
    ]


NAMES = (
    "/=1+1.png",
    "/@SUM(A1).png",
    "/<img src=x onerror=alert(1)>.png",
    '/quoted "and"; parted, so.png',
    "/two\nlines.png",
    "/turned \u202egnp.exe",
    "/'); DROP TABLE entry;--.png",
    "/&lt;b&gt;.png",
)
"""Names that mean something to a spreadsheet, a browser, a CSV reader or a database."""


def build_small_disk(rng: Random) -> bytes:
    """A disk that is one FAT12 volume with a few files."""
    plan, _ = _named("fat12", Pictures(rng, 1), rng)
    return bytes(build_fat(plan, size=2 * MIB, bits=12, cluster=1024))


def build_other_volumes(folder: Path, rng: Random, more: int) -> list[Exhibit]:
    """A disk with a GPT: FAT12, FAT32, and ext2 with names made to do harm; and a data CD."""
    pictures = Pictures(rng, more)
    made: list[tuple[str, Callable[[list[Planned]], bytearray]]] = [
        ("fat12", lambda plan: build_fat(plan, size=2 * MIB, bits=12, cluster=1024)),
        ("fat32", lambda plan: build_fat(plan, size=36 * MIB, bits=32, cluster=512)),
    ]
    planted, parts = [], []
    for number, (kind, build) in enumerate(made, start=1):
        plan, found = _named(kind, pictures, rng)
        planted += [replace(item, volume=f"p{number}") for item in found]
        parts.append(GptPartition(BASIC_DATA, kind, build(plan)))
    hostile = [PlannedFile(name, pictures.png()) for name in NAMES]
    parts.append(GptPartition(LINUX, "names", build_ext2(hostile, size=2 * MIB)))
    planted += [
        Planted("ext2", "allocated", shown(file.path), file.content, "hostile name", volume="p3") for file in hostile
    ]
    image = build_gpt(parts)
    disk = folder / "other.dd"
    write_sparse(disk, image)
    files = [
        PlannedFile("/PHOTOS/FIRST.PNG", pictures.png()),
        PlannedFile("/PHOTOS/SECOND.JPG", pictures.jpeg()),
        PlannedFile("/PAPERS/NOTE.TXT", b"note on a disc\n" * rng.randint(10, 400)),
        PlannedFile("/EMPTY.BIN"),
    ]
    disc = folder / "disc.iso"
    content = build_iso(files)
    disc.write_bytes(content)
    of_disc = tuple(Planted("iso9660", "allocated", file.path, file.content, volume="p0") for file in files)
    return [
        Exhibit("OTHER/1", disk, tuple(planted), len(image)),
        Exhibit("DISC/1", disc, of_disc, len(content)),
    ]
