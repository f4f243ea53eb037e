"""Open the file system of one volume, or say by name why its files cannot be reached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import pytsk3

from caid_triage.errors import EvidenceError
from caid_triage.evidence.account import NamedClaim
from caid_triage.evidence.ext_guard import ExtGuard
from caid_triage.evidence.fat import FatVolume
from caid_triage.evidence.faults import LIBRARY_ERRORS, evidence_faults
from caid_triage.evidence.layers.hfs import open_compressed
from caid_triage.evidence.layers.library_fs import LibraryFileSystem
from caid_triage.evidence.layers.shadow import CopiedBlocks, SharedStreams
from caid_triage.evidence.layers.view import View, on_source
from caid_triage.evidence.partitions import BIOS_BOOT, Partition, ReadAt
from caid_triage.evidence.proxied import read_head, read_range
from caid_triage.evidence.recognise import HEAD_LENGTH, VolumeName, name_far_in, name_of_volume
from caid_triage.model import Problem, Severity, Volume

_ZERO_CHECK_LIMIT = 1 << 30
_PIECE = 1 << 20
_MOST_CUT = 16  # a file system that claims to be so many times as large as its image is not a cut one but a lie
_ROUNDING = 4096  # a file system that claims less than a cluster too much has lost no file

FAT_KINDS = frozenset(("FAT12", "FAT16", "FAT32", "exFAT"))
EXT_KINDS = frozenset(("ext2", "ext3", "ext4"))


def _kind_names() -> dict[int, str]:
    """The file systems that are walked, by Sleuth Kit's number. Others that it opens are not taken."""
    return {
        int(pytsk3.TSK_FS_TYPE_NTFS): "NTFS",
        int(pytsk3.TSK_FS_TYPE_FAT12): "FAT12",
        int(pytsk3.TSK_FS_TYPE_FAT16): "FAT16",
        int(pytsk3.TSK_FS_TYPE_FAT32): "FAT32",
        int(pytsk3.TSK_FS_TYPE_EXFAT): "exFAT",
        int(pytsk3.TSK_FS_TYPE_EXT2): "ext2",
        int(pytsk3.TSK_FS_TYPE_EXT3): "ext3",
        int(pytsk3.TSK_FS_TYPE_EXT4): "ext4",
        int(pytsk3.TSK_FS_TYPE_HFS): "HFS+",
        int(pytsk3.TSK_FS_TYPE_ISO9660): "ISO9660",
        int(pytsk3.TSK_FS_TYPE_FFS1): "UFS1",
        int(pytsk3.TSK_FS_TYPE_FFS2): "UFS2",
    }


_KINDS = _kind_names()


@dataclass(frozen=True, slots=True)
class OpenFileSystem:
    """A file system ready to be walked.

    ``capacity`` is the bytes it may hold, more than the volume has where the image is cut;
    ``fat`` answers what Sleuth Kit does not know about FAT and exFAT; ``guard`` stands between it and ext.
    ``image`` is the disk (or the inside of another volume) on which it begins at byte ``base``. ``shared`` is set for
    an NTFS volume with shadow copies and for each of those, ``copied`` for a shadow copy only. ``compressed`` reads
    the compressed files of HFS+. ``start`` is ``base`` for one that lies on the source itself, None inside a volume.
    """

    fs: pytsk3.FS_Info
    volume: Volume
    image: pytsk3.Img_Info
    base: int
    kind: str
    block_size: int
    fat: FatVolume | None
    capacity: int
    guard: ExtGuard | None = None
    shared: SharedStreams | None = None
    copied: CopiedBlocks | None = None
    compressed: LibraryFileSystem | None = None
    start: int | None = None

    def on_source(self, offset: int) -> int | None:
        """Where on the source byte ``offset`` of the file system stands; None where it does not stand as it is read."""
        return on_source(self.image, self.base + offset)


@dataclass(frozen=True, slots=True)
class OpenedVolume:
    """What became of a partition: its Volume, its file system when there is one, and Problems.

    ``claims`` are the account of the bytes of a volume that holds others (evidence/layers/chain.py). ``image`` is the
    disk (or the inside of another volume) on which it lies, None where its bytes can only be had through a library.
    """

    volume: Volume
    system: OpenFileSystem | LibraryFileSystem | None
    problems: tuple[Problem, ...]
    claims: tuple[NamedClaim, ...] = ()
    image: pytsk3.Img_Info | None = None


def open_volume(image: pytsk3.Img_Info, size: int, name: str, partition: Partition) -> OpenedVolume:
    """Open what lies in a partition of a disk of ``size`` bytes. Never raises for a fault of the evidence."""
    problems: list[Problem] = []
    length = min(partition.length, size - partition.offset)
    if length < partition.length:
        short = partition.length - length
        detail = f"this volume ends {short} bytes behind the end of the image: the image is incomplete"
        problems.append(Problem("open", "image-truncated", detail, volume=name))

    def closed(status: str, system: str, problem: Problem) -> OpenedVolume:
        volume = Volume(name, partition.offset, length, partition.description, system, status)
        return OpenedVolume(volume, None, (*problems, problem))

    try:
        with evidence_faults("open", "volume-unreadable", "the start of this volume could not be read"):
            head = read_head(image, partition.offset, min(HEAD_LENGTH, length))
    except EvidenceError as error:
        return closed("unreadable", "", Problem(error.step, error.code, error.detail, volume=name))

    known = name_of_volume(head)
    if known is not None and known.encrypted:
        detail = f"this volume is encrypted ({known.name}): none of its files could be examined without its key"
        return closed("encrypted", known.name, Problem("open", "volume-encrypted", detail, volume=name))
    fs, reason = _open(image, partition.offset, head)
    if fs is None:
        known = known or _name_far_in(image, partition.offset, length)
        if known is None and _is_all_zero(partial(read_range, image), partition.offset, length):
            detail = f"this volume of {length} bytes holds nothing but zeros"
            return closed("empty", "", Problem("open", "volume-empty", detail, Severity.NOTE, volume=name))
        if (known is not None and known.no_files) or partition.description.startswith(BIOS_BOOT):
            what = known.name if known is not None else BIOS_BOOT
            detail = f"this volume ({what}) keeps no files; in standard and full it is searched like free space"
            return closed("no-files", what, Problem("open", "no-file-system", detail, Severity.NOTE, volume=name))
        what = f"it is {known.name}, which cannot be read yet" if known is not None else reason
        detail = f"the file system of this volume was not understood: {what}. No file of it was seen by its name"
        detail += f": {known.advice}" if known is not None else ""
        carried = known.name if known is not None else ""
        return closed("not-understood", carried, Problem("open", "file-system-not-understood", detail, volume=name))

    kind = _KINDS[int(fs.info.ftype)]
    volume = Volume(name, partition.offset, length, partition.description, kind, "examined")
    missing = int(fs.info.last_block) - int(fs.info.last_block_act)
    if missing > 0 and length == partition.length:
        missing *= int(fs.info.block_size)
        detail = f"the {kind} file system is {missing} bytes larger than what the image holds"
        severity = Severity.NOTE if missing <= _ROUNDING else Severity.PROBLEM
        problems.append(Problem("open", "image-truncated", detail, severity, volume=name))
    fat = None
    if kind in FAT_KINDS:
        try:
            fat = FatVolume(_reader(image, partition.offset))
        except EvidenceError as error:
            problems.append(Problem(error.step, error.code, error.detail, volume=name))
    guard = None
    if kind in EXT_KINDS:
        guard = ExtGuard(image, partition.offset, length)
        try:
            with evidence_faults("open", "volume-unreadable", "the file system of this volume could not be read"):
                fs = pytsk3.FS_Info(guard, offset=partition.offset, type=fs.info.ftype)
        except EvidenceError as error:
            return closed("unreadable", kind, Problem(error.step, error.code, error.detail, volume=name))
    compressed = None
    if kind == "HFS+":
        try:
            with evidence_faults("open", "compressed-not-read", "compressed files of this volume cannot be read"):
                compressed = open_compressed(image, volume, partition.offset)
        except EvidenceError as error:
            problems.append(Problem(error.step, error.code, error.detail, volume=name))
    block_size = int(fs.info.block_size)
    claimed = (int(fs.info.last_block) + 1) * block_size
    capacity = min(max(length, claimed), _MOST_CUT * length)
    system = OpenFileSystem(fs, volume, image, partition.offset, kind, block_size, fat, capacity, guard)
    start = None if isinstance(image, View) else partition.offset
    system = replace(system, compressed=compressed, start=start)
    return OpenedVolume(volume, system, tuple(problems))


def _name_far_in(image: pytsk3.Img_Info, base: int, length: int) -> VolumeName | None:
    def read(offset: int, size: int) -> bytes:
        return read_range(image, base + offset, size) if offset + size <= length else b""

    try:
        return name_far_in(read)
    except LIBRARY_ERRORS:
        return None


def _reader(image: pytsk3.Img_Info, base: int) -> Callable[[int, int], bytes]:
    def read(offset: int, length: int) -> bytes:
        return read_range(image, base + offset, length)

    return read


def _open(image: pytsk3.Img_Info, offset: int, head: bytes) -> tuple[pytsk3.FS_Info | None, str]:
    """The file system at an offset, or None and the reason."""
    reason = "no file system was recognised"
    for kind in (pytsk3.TSK_FS_TYPE_DETECT, *_hinted_types(head)):
        try:
            fs = pytsk3.FS_Info(image, offset=offset, type=kind)
            if int(fs.info.ftype) not in _KINDS:
                continue
            # The last number is the library's own folder of orphans; where it is the root's too, listing it locks the
            # library out of itself for good.
            if int(fs.info.root_inum) < int(fs.info.last_inum):
                return fs, ""
            reason = "its tables name no file, not even the root folder"
        except LIBRARY_ERRORS:
            continue  # what the library guesses ("possible encryption") it says of pictures and archives too
    return None, reason


def _hinted_types(head: bytes) -> list[int]:
    """The types to try by their own marks when detection fails, as it does where two file systems left marks."""
    hints = []
    signed = head[510:512] == b"\x55\xaa"
    if signed and head[3:7] == b"NTFS":
        hints.append(pytsk3.TSK_FS_TYPE_NTFS)
    if signed and head[3:8] == b"EXFAT":
        hints.append(pytsk3.TSK_FS_TYPE_EXFAT)
    if signed and (head[54:57] == b"FAT" or head[82:85] == b"FAT"):
        hints.append(pytsk3.TSK_FS_TYPE_FAT_DETECT)
    if head[1080:1082] == b"\x53\xef":
        hints.append(pytsk3.TSK_FS_TYPE_EXT_DETECT)
    if head[1024:1026] in (b"H+", b"HX"):
        hints.append(pytsk3.TSK_FS_TYPE_HFS)
    if head[32769:32774] == b"CD001":
        hints.append(pytsk3.TSK_FS_TYPE_ISO9660)
    return hints


def _is_all_zero(read: ReadAt, offset: int, length: int) -> bool:
    """Whether a volume holds only zeros; False for one larger than 1 GiB, which is not read just to know."""
    if length > _ZERO_CHECK_LIMIT:
        return False
    zeros = bytes(_PIECE)
    try:
        for at in range(0, length, _PIECE):
            piece = read(offset + at, min(_PIECE, length - at))
            if piece != zeros[: len(piece)]:
                return False
    except LIBRARY_ERRORS:
        return False
    return True
