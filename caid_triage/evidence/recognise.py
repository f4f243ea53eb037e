"""Name what a file or volume is by its own magic numbers, whether it can be read or not.

Sources: the formats' own specifications; libyal documentation for EWF.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HEAD_LENGTH = 0x12000
"""Bytes from the start of a volume that name_of_volume looks at (the Btrfs superblock lies at 64 KiB)."""

_CONVERT_AD1 = "open it in FTK Imager, export its files to a folder, and scan that"
_UNPACK = "unpack it and scan the image inside"

# (offset, magic, name, what to do), beside the containers that are opened: containers/registry.py
_CONTAINERS: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"ADLOGICALIMAGE", "AD1 (FTK logical) image without its first 512 bytes", _CONVERT_AD1),
    (0, b"AFF10\r\n\x00", "AFF image", "convert it with 'affconvert -r IMAGE' and scan the raw image"),
    (0, b"\xff\xd8\xff", "JPEG picture", "put it in a folder and scan the folder"),
    (0, b"7z\xbc\xaf\x27\x1c", "7-Zip archive", _UNPACK),
    (0, b"\xfd7zXZ\x00", "xz compressed file", _UNPACK),
    (0, b"\x1f\x8b\x08", "gzip compressed file", _UNPACK),
    (0, b"BZh", "bzip2 compressed file", _UNPACK),
    (0, b"\x28\xb5\x2f\xfd", "Zstandard compressed file", _UNPACK),
    (0, b"Rar!\x1a\x07", "RAR archive", _UNPACK),
    (0, b"%PDF-", "PDF document", "put it in a folder and scan the folder"),
    (0, b"SQLite format 3\x00", "SQLite database", "put it in a folder and scan the folder"),
)


@dataclass(frozen=True, slots=True)
class VolumeName:
    """What a volume's magic numbers say: its name, whether it is encrypted or has no files at all, and what to do."""

    name: str
    encrypted: bool = False
    no_files: bool = False
    advice: str = "mount a copy of it read-only and scan that folder"


_POOL = "put a copy of all its disks together read-only, and scan the folder that it is mounted at"
_MEMBER = "put a copy of all its disks together read-only, image that and scan the image"

_VOLUMES: tuple[tuple[int, bytes, VolumeName], ...] = (
    (3, b"-FVE-FS-", VolumeName("BitLocker", encrypted=True)),
    # BitLocker To Go keeps a FAT boot sector and its identifier at 424
    (424, bytes.fromhex("3bd66749292ed84a8399f6a339e3d001"), VolumeName("BitLocker To Go", encrypted=True)),
    (0, b"LUKS\xba\xbe", VolumeName("LUKS", encrypted=True)),
    (88, b"CS\x01\x00", VolumeName("Apple Core Storage (FileVault 2 lives in it)", encrypted=True)),
    (0, b"XFSB", VolumeName("XFS")),
    (32, b"NXSB", VolumeName("APFS")),
    (3, b"ReFS\x00\x00\x00\x00", VolumeName("ReFS")),
    (1024, b"\x10\x20\xf5\xf2", VolumeName("F2FS")),
    (0x10040, b"_BHRfS_M", VolumeName("Btrfs", advice=f"{_POOL} (it may lie on one disk alone)")),
    (512, b"LABELONE", VolumeName("LVM2 physical volume", advice=_MEMBER)),
    (0, b"LABELONE", VolumeName("LVM2 physical volume", advice=_MEMBER)),
    (4096, b"\xfc\x4e\x2b\xa9", VolumeName("Linux RAID member", advice=_MEMBER)),
    (0, b"\xfc\x4e\x2b\xa9", VolumeName("Linux RAID member", advice=_MEMBER)),
    (0, b"SPACEDB ", VolumeName("Windows Storage Spaces", advice=_MEMBER)),
    (32768, b"JFS1", VolumeName("JFS")),
    (65536 + 52, b"ReIsErFs", VolumeName("ReiserFS")),
    (65536 + 52, b"ReIsEr2Fs", VolumeName("ReiserFS")),
    (65536 + 52, b"ReIsEr3Fs", VolumeName("ReiserFS")),
    (1024 + 6, b"\x34\x34", VolumeName("NILFS2")),
    (1024, b"\xe2\xe1\xf5\xe0", VolumeName("EROFS")),
    (0, b"hsqs", VolumeName("SquashFS")),
    (4096 + 24, bytes.fromhex("c68573f64e1a45ca8265f57f48ba6d81"), VolumeName("bcache", advice=_MEMBER)),
    (4096 + 24, bytes.fromhex("c68573f666ce90a9d96a60cf803df7ef"), VolumeName("bcachefs", advice=_POOL)),
    (16384 + 24, b"version\0", VolumeName("ZFS pool member", advice=_POOL)),  # the first name of the label's list
    (1024, b"BD", VolumeName("HFS (classic)")),
    (32769, b"BEA01", VolumeName("UDF")),
    (4086, b"SWAPSPACE2", VolumeName("Linux swap", no_files=True)),
    (4086, b"SWAP-SPACE", VolumeName("Linux swap", no_files=True)),
)


_FAR_VOLUMES: tuple[tuple[int, bytes, VolumeName], ...] = (
    # VMware's, at 1 MiB; an extent of it may hold a part of the file system only
    (0x100000, b"\x0d\xd0\x01\xc0", VolumeName("VMFS (VMware ESX)", advice=f"{_POOL}, or scan the VMDK files in it")),
)
"""Marks that lie behind the head."""


def container_name(head: bytes) -> tuple[str, str] | None:
    """The name of a container or archive that cannot be opened as a disk, and what to do about it.

    ``head`` is the first 512 bytes or fewer of the file.
    """
    for offset, magic, name, advice in _CONTAINERS:
        if head[offset:].startswith(magic):
            return name, advice
    if head.startswith(b"PK\x03\x04"):
        return "ZIP archive", _UNPACK
    return None


def name_of_volume(head: bytes) -> VolumeName | None:
    """What the first HEAD_LENGTH bytes of a volume say it is, or None when no known magic number is there."""
    for offset, magic, name in _VOLUMES:
        if head[offset : offset + len(magic)] == magic:
            return name
    return None


def name_far_in(read: Callable[[int, int], bytes]) -> VolumeName | None:
    """The same for marks that lie further in. Errors: those of reading."""
    return next((name for offset, magic, name in _FAR_VOLUMES if read(offset, len(magic)) == magic), None)


def is_sparse_bundle(path: Path) -> bool:
    """Whether a folder is a sparse bundle; not when it cannot be looked into."""
    try:
        return (path / "Info.plist").is_file() and (path / "bands").is_dir()
    except OSError:
        return False


def is_plain_text(head: bytes) -> bool:
    """Whether the bytes are text: no control character that text does not have, and UTF-8 or UTF-16 with a mark."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    if not head or any(byte < 9 or 13 < byte < 32 for byte in head):
        return False
    try:
        head[:-3].decode("utf-8")  # a character may be cut at the end
    except UnicodeDecodeError:
        return False
    return True
