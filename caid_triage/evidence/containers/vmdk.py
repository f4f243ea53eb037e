"""VMDK (VMware): sparse, stream-optimised, flat and ESX disks with their descriptors, extents and parents: read here.

libvmdk is not used: asked to find the extents it goes by the names in the descriptor, so that a renamed disk is read
from whatever file now bears its old name; and without an error it takes no notice of where a flat extent begins in
its file, nor of grains that a snapshot says are zeros.

Format: VMware, "Virtual Disk Format 5.0" (2011): a text, the descriptor, names the extents and the parent; a sparse
disk of one file holds its descriptor itself. The extents are in vmdk_extents.
"""

from __future__ import annotations

import re
import struct
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from io import RawIOBase
from itertools import accumulate
from pathlib import Path

from caid_triage.evidence.containers.libyal import open_file
from caid_triage.evidence.containers.mixed import behind
from caid_triage.evidence.containers.reader import (
    CONVERT_QEMU,
    OpenContainer,
    Range,
    damaged,
    file_named,
    missing_blocks,
    parents_fact,
    refuse_circle,
    refused,
)
from caid_triage.evidence.containers.vmdk_extents import SECTOR, Extent, FlatExtent, SparseExtent, ZeroExtent
from caid_triage.evidence.faults import LIBRARY_ERRORS
from caid_triage.model import Problem

_WHAT = "VMDK (VMware) virtual disk"
_NO_PARENT = "ffffffff"
_MOST_EXTENTS = 4096
_LONGEST_DESCRIPTOR = 1 << 20
_EXTENT = re.compile(r'^\s*(?:RW|RDONLY|NOACCESS)\s+(\d{1,15})\s+([A-Z]+)(?:\s+"(.*)"(?:\s+(\d{1,15}))?)?\s*$', re.I)
_SETTING = re.compile(r'^\s*(CID|parentCID|createType|parentFileNameHint)\s*=\s*"?(.*)', re.I | re.DOTALL)
_NAME_DESCRIPTOR = "name its descriptor (the small .vmdk beside it, without -s001 or the like), and scan that"


def is_vmdk(head: bytes, _tail: bytes) -> bool:
    """Whether a file begins as a VMDK: a descriptor, or an extent that may hold one."""
    return head.startswith((b"KDMV", b"COWD")) or head[:64].lower().startswith(b"# disk descriptorfile")


def open_vmdk(path: Path) -> OpenContainer:
    """Open a VMDK with its extents and the disks that it builds on. Errors: SourceError."""
    chain: list[Path] = []
    segments: list[Path] = []
    reader, problems = _opened(path, chain, segments)
    facts = {"identifier": reader.descriptor.identifier, "type": reader.descriptor.kind}
    facts |= parents_fact(chain)
    return OpenContainer("vmdk", reader, tuple(segments), facts, tuple(problems))


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a descriptor says; extents are (sectors, kind, file name, first sector in the file)."""

    identifier: str
    parent_identifier: str
    parent_name: str
    kind: str
    extents: tuple[tuple[int, str, str, int], ...]


def _opened(path: Path, chain: list[Path], segments: list[Path]) -> tuple[VmdkReader, list[Problem]]:
    refuse_circle(path, chain, _WHAT)
    chain.append(path)
    segments.append(path)
    with ExitStack() as undo:
        try:
            own = undo.enter_context(open_file(path))
            descriptor = _descriptor(path, own)
            extents = [_extent(path, own, descriptor, extent, undo, segments) for extent in descriptor.extents]
            reader = VmdkReader(descriptor, extents, own)
            problems = [*missing_blocks(reader.unreadable(), reader.size)]
        except (*LIBRARY_ERRORS, struct.error) as error:
            raise damaged(path, _WHAT, error) from error
        if descriptor.parent_identifier != _NO_PARENT:
            found = file_named(path, descriptor.parent_name, "the disk it was made from (its parent)")
            parent, more = _opened(found, chain, segments)
            undo.callback(parent.close)
            if parent.descriptor.identifier != descriptor.parent_identifier:
                raise damaged(path, _WHAT, f"its parent {found.name} was changed after this disk was made from it")
            reader.parent = parent
            problems += more
        undo.pop_all()
    return reader, problems


def _descriptor(path: Path, file: RawIOBase) -> Descriptor:
    head = (file.read(SECTOR) or b"").ljust(SECTOR, b"\0")
    place, length = 0, _LONGEST_DESCRIPTOR
    if head.startswith(b"KDMV"):
        place, length = (SECTOR * number for number in struct.unpack_from("<QQ", head, 28))
    if head.startswith(b"COWD") or (head.startswith(b"KDMV") and not place):
        raise refused(path, "part (extent) of a VMDK (VMware) virtual disk", _NAME_DESCRIPTOR)
    file.seek(min(place, file.seek(0, 2)))
    data = (file.read(min(length, _LONGEST_DESCRIPTOR)) or b"").partition(b"\0")[0]
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")
    settings: dict[str, str] = {}
    extents = []
    for line in text.splitlines():
        setting, extent = _SETTING.match(line), _EXTENT.match(line)
        if setting:
            settings.setdefault(setting[1].lower(), setting[2].rstrip().removesuffix('"'))
        elif extent:
            extents.append((int(extent[1]), extent[2].upper(), extent[3] or "", int(extent[4] or 0)))
    if head.startswith(b"KDMV") and not extents and not text.strip():
        raise refused(path, "part (extent) of a VMDK (VMware) virtual disk", _NAME_DESCRIPTOR)
    if not extents or len(extents) > _MOST_EXTENTS:
        raise damaged(path, _WHAT, f"its descriptor names {len(extents) or 'no'} extents")
    identifier, parent = (settings.get(name, "").lower().rjust(8, "0") for name in ("cid", "parentcid"))
    if "parentcid" not in settings:
        parent = _NO_PARENT
    return Descriptor(
        identifier, parent, settings.get("parentfilenamehint", ""), settings.get("createtype", ""), tuple(extents)
    )


def _extent(
    path: Path,
    own: RawIOBase,
    descriptor: Descriptor,
    extent: tuple[int, str, str, int],
    undo: ExitStack,
    segments: list[Path],
) -> Extent:
    """One extent, open. The one of a disk that holds its own descriptor is that file, whatever it is called now."""
    sectors, kind, name, first = extent
    if kind == "ZERO":
        return ZeroExtent(sectors * SECTOR)
    if kind not in ("FLAT", "VMFS", "SPARSE", "VMFSSPARSE"):
        raise refused(path, f"{_WHAT} with an extent of the kind {kind}, which cannot be read", CONVERT_QEMU)
    own.seek(0)
    file = own
    if len(descriptor.extents) > 1 or (own.read(4) or b"") != b"KDMV":
        found = file_named(path, name, "a part of it (an extent)")
        file = undo.enter_context(open_file(found))
        segments.append(found)
    if kind in ("FLAT", "VMFS"):
        return FlatExtent(file, first * SECTOR, sectors * SECTOR)
    return SparseExtent(file, sectors * SECTOR)


class VmdkReader:
    """The disk inside a VMDK. ``parent`` is to be set where the descriptor names one."""

    def __init__(self, descriptor: Descriptor, extents: Sequence[Extent], own: RawIOBase) -> None:
        self.descriptor = descriptor
        self.parent: VmdkReader | None = None
        self._extents = extents
        self._own = own
        self._ends = list(accumulate(extent.size for extent in extents))
        self.size = self._ends[-1]
        if not 0 < self.size < 1 << 63:
            raise ValueError("it holds no disk")

    def read(self, offset: int, length: int) -> bytes:
        """The bytes at ``offset``: of its extents, or of the parent."""
        pieces = []
        while length > 0:
            index = bisect_right(self._ends, offset)
            start = self._ends[index - 1] if index else 0
            wanted = min(length, self._ends[index] - offset)
            for piece, size in self._extents[index].pieces(offset - start, wanted):
                pieces.append(behind(self.parent, offset, size) if piece is None else piece)
                offset += size
            length -= wanted
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def unreadable(self) -> list[Range]:
        """What should lie behind the end of the extents' files."""
        starts = [0, *self._ends]
        return [
            (start + offset, length)
            for start, extent in zip(starts, self._extents, strict=False)
            for offset, length in extent.unreadable()
        ]

    def close(self) -> None:
        """Close every extent, and those of the disks it builds on."""
        self._own.close()
        for extent in self._extents:
            extent.close()
        if self.parent is not None:
            self.parent.close()
