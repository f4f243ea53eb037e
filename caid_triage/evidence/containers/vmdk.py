"""VMDK (VMware) through libvmdk: sparse, stream-optimised, flat with a descriptor, several extents, snapshots, COWD.

Format: VMware, "Virtual Disk Format 5.0" (2011). The extents are found here and handed to libvmdk as files: asked
to find them itself it goes by the name that stands in the descriptor, so that a renamed disk is read from whatever
file now bears the old name. The grain tables are read here as well, only to tell which grains should lie behind
the end of their file: libvmdk is not relied on for that.
"""

from __future__ import annotations

import struct
from io import RawIOBase
from pathlib import Path

import numpy as np
import pyvmdk

from caid_triage.evidence.containers.blocks import behind_end, ranges_of, table_at
from caid_triage.evidence.containers.libyal import LibyalReader, close_all, open_file
from caid_triage.evidence.containers.reader import (
    OpenContainer,
    Range,
    damaged,
    file_named,
    missing_blocks,
    refuse_circle,
    refused,
)
from caid_triage.evidence.faults import LIBRARY_ERRORS

_WHAT = "VMDK (VMware) virtual disk"
_NO_PARENT = 0xFFFFFFFF
_MOST_EXTENTS = 4096
_FLAT, _SPARSE = 1, 2
_MOST_GRAIN = 1 << 26


def is_vmdk(head: bytes, _tail: bytes) -> bool:
    """Whether a file begins as a VMDK: a descriptor, or an extent that may hold one."""
    return head.startswith((b"KDMV", b"COWD")) or head[:64].lower().startswith(b"# disk descriptorfile")


def open_vmdk(path: Path) -> OpenContainer:
    """Open a VMDK with its extents and the disks that it builds on. Errors: SourceError."""
    handles: list[pyvmdk.handle] = []
    files: list[RawIOBase] = []
    chain: list[Path] = []
    segments: list[Path] = []
    missing: list[Range] = []
    try:
        current = path
        while True:
            refuse_circle(current, chain, _WHAT)
            chain.append(current)
            handle, extents = _opened(current, files)
            handles.append(handle)
            segments += [current, *(extent for extent in extents if extent != current)]
            missing += _behind_end(handle, extents)
            if len(handles) > 1 and handles[-2].get_parent_content_identifier() != handle.get_content_identifier():
                raise damaged(path, _WHAT, f"its parent {current.name} was changed after this disk was made from it")
            if handle.get_parent_content_identifier() == _NO_PARENT:
                break
            named = handle.get_parent_filename() or ""
            current = file_named(current, named, "the disk it was made from (its parent)")
        for child, parent in zip(reversed(handles[:-1]), reversed(handles[1:]), strict=True):
            child.set_parent(parent)
        reader = LibyalReader(handles[0], files, handles[1:], missing)
    except LIBRARY_ERRORS as error:
        close_all(handles, files)
        raise damaged(path, _WHAT, error) from error
    except BaseException:
        close_all(handles, files)
        raise
    if reader.size <= 0:
        reader.close()
        raise damaged(path, _WHAT, "it holds no disk")
    facts = {"identifier": f"{handles[0].get_content_identifier():08x}"}
    if len(chain) > 1:
        facts["parents"] = ", ".join(parent.name for parent in chain[1:])
    return OpenContainer("vmdk", reader, tuple(segments), facts, missing_blocks(missing, reader.size))


def _opened(path: Path, files: list[RawIOBase]) -> tuple[pyvmdk.handle, list[Path]]:
    """A handle with its extents open, and their paths. What was opened is added to ``files``."""
    own = open_file(path)
    files.append(own)
    handle = pyvmdk.handle()
    try:
        handle.open_file_object(own)
        count = int(handle.get_number_of_extents())
    except LIBRARY_ERRORS as error:
        own.seek(0)
        if (own.read(4) or b"") in (b"KDMV", b"COWD") and "descriptor" in str(error):
            advice = "name its descriptor (the small .vmdk beside it, without -s001 or the like), and scan that"
            raise refused(path, "part (extent) of a VMDK (VMware) virtual disk", advice) from error
        raise damaged(path, _WHAT, error) from error
    if not 0 < count <= _MOST_EXTENTS:
        raise damaged(path, _WHAT, f"it has {count} extents")
    own.seek(0)
    holds_itself = (own.read(4) or b"") in (b"KDMV", b"COWD")
    if holds_itself and count == 1:
        handle.open_extent_data_files_as_file_objects([own])
        return handle, [path]
    extents: list[Path] = []
    objects: list[RawIOBase] = []
    for number in range(count):
        extent = handle.get_extent_descriptor(number)
        if int(extent.get_type()) not in (_FLAT, _SPARSE):
            advice = "convert it with 'qemu-img convert -O raw {name} disk.raw' and scan disk.raw"
            raise refused(path, f"{_WHAT} with an extent of a kind that cannot be read", advice)
        found = file_named(path, extent.get_filename() or "", "a part of it (an extent)")
        file = open_file(found)
        files.append(file)
        objects.append(file)
        extents.append(found)
        needed = int(extent.get_size()) + int(extent.get_offset())
        if int(extent.get_type()) == _FLAT and file.seek(0, 2) < needed:
            message = f"its part {found.name} is cut off: {file.seek(0, 2)} of {needed} bytes are there"
            raise damaged(path, _WHAT, message)
    handle.open_extent_data_files_as_file_objects(objects)
    return handle, extents


def _behind_end(handle: pyvmdk.handle, extents: list[Path]) -> list[Range]:
    """Grains of the sparse extents that should lie behind the end of their files."""
    found: list[Range] = []
    start = 0
    for number, path in enumerate(extents):
        extent = handle.get_extent_descriptor(number)
        if int(extent.get_type()) == _SPARSE:
            with open_file(path) as file:
                found += [(start + offset, length) for offset, length in _grains_behind_end(file)]
        start += int(extent.get_size())
    return found


def _grains_behind_end(file: RawIOBase) -> list[Range]:
    size = file.seek(0, 2)
    file.seek(0)
    header = (file.read(512) or b"").ljust(512, b"\0")
    compressed = False
    if header.startswith(b"KDMV"):
        flags, capacity, grain = struct.unpack_from("<IQQ", header, 8)
        compressed = bool(flags & 0x10000)
        (per_table,) = struct.unpack_from("<I", header, 44)
        (directory,) = struct.unpack_from("<Q", header, 56)
        if directory == 0xFFFFFFFFFFFFFFFF:  # stream-optimised: the header that counts stands at the end
            file.seek(max(0, size - 1024))
            footer = (file.read(512) or b"").ljust(512, b"\0")
            if not footer.startswith(b"KDMV"):
                raise ValueError("its end is missing, and with it the table of what it holds")
            (directory,) = struct.unpack_from("<Q", footer, 56)
    else:
        capacity, grain, directory = struct.unpack_from("<III", header, 12)
        per_table = 4096
    grain_bytes = grain * 512
    if not 0 < grain_bytes <= _MOST_GRAIN or not 0 < per_table <= 1 << 16:
        return []
    span = grain_bytes * per_table
    tables = table_at(file, directory * 512, -(-capacity * 512 // span), "<u4")
    missing = [] if len(tables) * span >= capacity * 512 else [(len(tables) * span, capacity * 512)]
    gone = tables * np.uint64(512) + np.uint64(4 * per_table) > size
    missing += ranges_of(gone, span)
    present = np.flatnonzero((tables != 0) & ~gone)
    if len(np.unique(tables[present])) < len(present):
        raise ValueError("two parts of its table are one and the same")
    for index in present:
        grains = table_at(file, int(tables[index]) * 512, per_table, "<u4")
        # a compressed grain says its own length when it is read; the last one of a disk may be kept short
        lengths = np.minimum(grain_bytes, capacity * 512 - int(index) * span - np.arange(per_table) * grain_bytes)
        lengths = np.ones(per_table) if compressed else np.maximum(lengths, 0)
        lengths[grains <= 1] = 0  # 0: there is none; 1: it is zeros
        missing += behind_end(grains * np.uint64(512), lengths.astype(np.uint64), size, grain_bytes, int(index) * span)
    return missing
