"""VHD (fixed, dynamic, differencing) and VHDX through libvhdi, with their parents.

Formats: Microsoft, "Virtual Hard Disk Image Format Specification" 1.0 (2006) and [MS-VHDX]. libvhdi does not replay
the log of a VHDX that was not closed cleanly; that is said. The tables are read here as well, only to tell which
blocks should lie behind the end of the file.
"""

from __future__ import annotations

import struct
from io import RawIOBase
from pathlib import Path

import numpy as np
import pyvhdi

from caid_triage.evidence.containers.blocks import behind_end, table_at
from caid_triage.evidence.containers.libyal import LibyalReader, close_all, open_file
from caid_triage.evidence.containers.reader import (
    OpenContainer,
    Range,
    damaged,
    file_named,
    missing_blocks,
    refuse_circle,
)
from caid_triage.evidence.faults import LIBRARY_ERRORS
from caid_triage.model import Problem

_FOOTER = b"conectix"
_NO_BLOCK = 0xFFFFFFFF
_DIFFERENCING = 4
_BAT = bytes.fromhex("6677c22d23f600429d64115e9bfd4a08")
_METADATA = bytes.fromhex("06a27c8b90479a4bb8fe575f050f886e")
_FILE_PARAMETERS = bytes.fromhex("3767a1ca36fa434db3b633f0aa44e76b")
_SECTOR_SIZE = bytes.fromhex("1dbf41816fa90947ba47f233a8faab5f")
_WHOLE_BLOCK = (6, 7)  # states of a VHDX block that has bytes in the file


def is_vhdx(head: bytes, _tail: bytes) -> bool:
    """Whether a file begins as a VHDX."""
    return head.startswith(b"vhdxfile")


def is_vhd(head: bytes, tail: bytes) -> bool:
    """Whether a file ends with the footer of a VHD, or begins with the copy that all but fixed ones have."""
    return head.startswith(_FOOTER + b"\0\0\0") or _FOOTER in (tail[-512:][:8], tail[-511:][:8])


def open_vhd(path: Path) -> OpenContainer:
    """Open a VHD or VHDX and the disks that it builds on. Errors: SourceError."""
    handles: list[pyvhdi.file] = []
    files: list[RawIOBase] = []
    chain: list[Path] = []
    missing: list[Range] = []
    problems: list[Problem] = []
    kind = ""
    try:
        current: Path | None = path
        while current is not None:
            refuse_circle(current, chain, "VHD")
            chain.append(current)
            file = open_file(current)
            files.append(file)
            file.seek(0)
            form = "vhdx" if is_vhdx(file.read(8) or b"", b"") else "vhd"
            kind = kind or form
            handle = _opened(current, file, form)
            handles.append(handle)
            lost, noted = _vhdx_faults(file) if form == "vhdx" else _vhd_faults(file)
            missing += lost
            problems += noted
            if len(handles) > 1:
                _join(path, handles[-2], handle, current, form)
            named = handle.get_parent_filename() if handle.get_disk_type() == _DIFFERENCING else None
            if handle.get_disk_type() != _DIFFERENCING:
                break
            current = file_named(current, named or "", "the disk it was made from (its parent)")
        for child, parent in zip(reversed(handles[:-1]), reversed(handles[1:]), strict=True):
            child.set_parent(parent)
        reader = LibyalReader(handles[0], files, handles[1:], missing)
    except LIBRARY_ERRORS as error:
        close_all(handles, files)
        raise damaged(path, kind.upper() or "VHD", error) from error
    except BaseException:
        close_all(handles, files)
        raise
    facts = {"identifier": str(handles[0].get_identifier() or "")}
    creator = _creator(files[0], kind)
    if creator:
        facts["creator"] = creator
    if len(chain) > 1:
        facts["parents"] = ", ".join(parent.name for parent in chain[1:])
    problems += missing_blocks(missing, reader.size)
    return OpenContainer(kind, reader, tuple(chain), {k: v for k, v in facts.items() if v}, tuple(problems))


def _opened(path: Path, file: RawIOBase, form: str) -> pyvhdi.file:
    handle = pyvhdi.file()
    try:
        handle.open_file_object(file)
        size = int(handle.get_media_size())
    except LIBRARY_ERRORS as error:
        if form == "vhd":
            file.seek(0)
            if (file.read(8) or b"") == _FOOTER:
                raise damaged(
                    path, "VHD", "its end is missing (the footer that stands in its first bytes too)"
                ) from error
        raise damaged(path, form.upper(), error) from error
    if size <= 0:
        raise damaged(path, form.upper(), "it holds no disk")
    return handle


def _join(path: Path, child: pyvhdi.file, parent: pyvhdi.file, parent_path: Path, form: str) -> None:
    wanted, found = child.get_parent_identifier(), parent.get_identifier()
    if form == "vhdx":
        return  # a VHDX parent is told by its data write identifier, which libvhdi compares itself
    if wanted and found and str(wanted).lower() != str(found).lower():
        raise damaged(path, "VHD", f"{parent_path.name} has another identifier than the parent it was made from")


def _vhd_faults(file: RawIOBase) -> tuple[list[Range], list[Problem]]:
    """Blocks of a dynamic or differencing VHD that should lie behind the end of the file."""
    size = file.seek(0, 2)
    file.seek(0)
    head = file.read(512) or b""
    if not head.startswith(_FOOTER) or len(head) < 512:
        return [], []  # fixed
    (header_at,) = struct.unpack_from(">Q", head, 16)
    file.seek(min(header_at, size))
    header = file.read(1024) or b""
    if not header.startswith(b"cxsparse") or len(header) < 1024:
        return [], []
    table_offset, count, block = struct.unpack_from(">8xQ4xII", header, 8)
    if not 512 <= block <= 1 << 30:
        return [], []
    table = table_at(file, table_offset, count, ">u4")
    bitmap = -(-(block // 512) // 4096) * 512
    starts = table * np.uint64(512) + np.uint64(bitmap)
    lengths = np.where(table == _NO_BLOCK, 0, block).astype(np.uint64)
    return behind_end(starts, lengths, size, block), []


def _vhdx_faults(file: RawIOBase) -> tuple[list[Range], list[Problem]]:
    """Blocks of a VHDX that should lie behind the end of the file, and whether its log was never written back."""
    size = file.seek(0, 2)
    problems = []
    headers = []
    for offset in (0x10000, 0x20000):
        file.seek(offset)
        header = file.read(80) or b""
        if header.startswith(b"head") and len(header) == 80:
            headers.append((struct.unpack_from("<Q", header, 8)[0], header[48:64]))
    if headers and max(headers)[1] != bytes(16):
        detail = (
            "the virtual disk was not closed cleanly: its log of last changes was not replayed, so files changed just "
            "before may be damaged or missing. Convert it with 'qemu-img convert', which replays it, and scan that"
        )
        problems.append(Problem("open", "container-not-closed", detail))
    regions = {}
    file.seek(0x30000)
    table = file.read(0x10000) or b""
    count = struct.unpack_from("<I", table, 8)[0] if len(table) >= 16 else 0
    for at in range(16, min(len(table) - 31, 16 + 32 * min(count, 2047)), 32):
        regions[table[at : at + 16]] = struct.unpack_from("<QI", table, at + 16)
    if _BAT not in regions or _METADATA not in regions:
        return [], problems
    block, sector = _vhdx_parameters(file, regions[_METADATA][0])
    if not 1 << 20 <= block <= 256 << 20 or sector not in (512, 4096):
        return [], problems
    offset, length = regions[_BAT]
    entries = table_at(file, offset, length // 8, "<u8")
    ratio = (sector << 23) // block
    keep = np.arange(len(entries)) % (ratio + 1) != ratio  # every so many, one entry is of a bitmap
    entries = entries[keep]
    starts = entries >> np.uint64(20) << np.uint64(20)
    lengths = np.where(np.isin(entries & np.uint64(7), _WHOLE_BLOCK), block, 0).astype(np.uint64)
    return behind_end(starts, lengths, size, block), problems


def _vhdx_parameters(file: RawIOBase, offset: int) -> tuple[int, int]:
    """The bytes of a block and of a sector, 0 where they are not there."""
    file.seek(min(offset, file.seek(0, 2)))
    table = file.read(0x10000) or b""
    found = {_FILE_PARAMETERS: 0, _SECTOR_SIZE: 0}
    count = struct.unpack_from("<H", table, 10)[0] if len(table) >= 32 else 0
    for at in range(32, min(len(table) - 31, 32 + 32 * count), 32):
        key = table[at : at + 16]
        if key in found:
            file.seek(min(offset + struct.unpack_from("<I", table, at + 16)[0], file.seek(0, 2)))
            found[key] = int.from_bytes((file.read(4) or b""), "little")
    return found[_FILE_PARAMETERS], found[_SECTOR_SIZE]


def _creator(file: RawIOBase, kind: str) -> str:
    """The program that made the disk, as it calls itself."""
    if kind == "vhdx":
        file.seek(8)
        return (file.read(512) or b"").decode("utf-16-le", "replace").partition("\0")[0].strip()
    file.seek(-512, 2)
    return (file.read(512) or b"")[28:32].decode("latin-1").strip("\0 ")
