"""Where the content of a file lies: its data streams, their first byte on the disk, and what is amiss with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import pytsk3

from caid_triage.errors import EvidenceError
from caid_triage.evidence.faults import LIBRARY_ERRORS, evidence_faults
from caid_triage.evidence.file_system import EXT_KINDS, FAT_KINDS, OpenFileSystem
from caid_triage.evidence.layers.hfs import compressed_size
from caid_triage.evidence.layers.library_fs import SMALLEST_ATTRIBUTE, LibraryFileSystem
from caid_triage.evidence.layers.view import on_source
from caid_triage.evidence.ranges import Range
from caid_triage.evidence.times import LOCAL_ZONE_NOTE, undo_local_zone, unix_time
from caid_triage.model import FileTimes, Severity

_NTFS_DATA = int(pytsk3.TSK_FS_ATTR_TYPE_NTFS_DATA)
_HFS_RESOURCE = int(pytsk3.TSK_FS_ATTR_TYPE_HFS_RSRC)
_HFS_ATTRIBUTE = int(pytsk3.TSK_FS_ATTR_TYPE_HFS_EXT_ATTR)
_NONRESIDENT = int(pytsk3.TSK_FS_ATTR_NONRES)
_COMPRESSED = int(pytsk3.TSK_FS_ATTR_COMP)
_ENCRYPTED = int(pytsk3.TSK_FS_ATTR_ENC)
_NO_BLOCK = int(pytsk3.TSK_FS_ATTR_RUN_FLAG_FILLER) | int(pytsk3.TSK_FS_ATTR_RUN_FLAG_SPARSE)
DEFAULT_KIND = int(pytsk3.TSK_FS_ATTR_TYPE_DEFAULT)
DEFAULT_ID = -1
COMPRESSED_KIND = -1
"""The type of a stream that is read through :attr:`OpenFileSystem.compressed` and not through Sleuth Kit."""
_TYPE_FILE = int(pytsk3.TSK_FS_META_TYPE_REG)
_BAD_CLUSTERS = 8
_WINDOW = 1 << 16

Remark = tuple[str, str, Severity, bool]
"""(problem code, detail, severity, whether the content can still be read as this file's)."""


@dataclass(frozen=True, slots=True)
class Stream:
    """One data stream: its name (b"" for the main one), size, Sleuth Kit's type and id, first byte on the disk.

    ``runs`` are (first block, blocks) of the parts that lie on the disk; kept for deleted files only. ``slack`` is
    (first byte, byte behind) on the volume's image of what its blocks hold behind its end: of living files, where asked
    for.
    """

    name: bytes
    size: int
    kind: int
    identifier: int
    physical_offset: int | None
    runs: tuple[tuple[int, int], ...] = ()
    remark: Remark | None = None
    slack: tuple[Range, ...] = ()


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an attribute lies: its first byte on the source, its runs, its slack (as a Stream has them)."""

    first: int | None
    runs: tuple[tuple[int, int], ...] = ()
    slack: tuple[Range, ...] = ()


_NOWHERE = _Place(None)


def streams_of(
    system: OpenFileSystem,
    inode: int,
    file: pytsk3.File,
    meta: pytsk3.TSK_FS_META,
    *,
    deleted: bool,
    slack: bool = False,
    valid: Mapping[tuple[int, int], int] = MappingProxyType({}),
) -> list[Stream]:
    """The data streams of a file, the main one first, then by name. Errors: those of pytsk3.

    ``valid`` are the streams of an NTFS volume that are not written to their end (carve/ntfs_valid.py): what they hold
    behind that is slack.
    """
    slack = slack and not deleted  # what a deleted file had is free space
    if system.kind == "NTFS":
        return _ntfs_streams(system, inode, file, valid, deleted=deleted, slack=slack)
    main = _main_stream(system, inode, file, meta, deleted=deleted, slack=slack)
    streams = [main]
    if system.kind == "HFS+" and main.kind != COMPRESSED_KIND:
        for attribute in file:
            info = attribute.info
            if int(info.type) == _HFS_RESOURCE and int(info.size) > 0:
                place = _place_of(system, attribute, keep=False, behind=int(info.size) if slack else None)
                streams.append(
                    Stream(b"rsrc", int(info.size), _HFS_RESOURCE, int(info.id), place.first, slack=place.slack)
                )
            elif int(info.type) == _HFS_ATTRIBUTE and int(info.size) >= SMALLEST_ATTRIBUTE:
                name = bytes(info.name or b"unnamed")
                streams.append(Stream(name, int(info.size), _HFS_ATTRIBUTE, int(info.id), None))
    return streams


def _place_of(system: OpenFileSystem, attribute: pytsk3.Attribute, *, keep: bool, behind: int | None) -> _Place:
    """The first byte of an attribute on the disk and, if wanted, all its runs on the disk (``keep``), and what lies
    ``behind`` its byte of that number in them."""
    first: int | None = None
    runs: list[tuple[int, int]] = []
    slack: list[Range] = []
    block = system.block_size
    for run in attribute:
        if int(run.flags) & _NO_BLOCK or not run.len:
            continue
        inside = int(run.addr) * block
        if first is None:  # the plain case without a call: it is met for every file
            first = system.start + inside if system.start is not None else system.on_source(inside)
        if behind is not None:
            length, start = int(run.len) * block, max(0, behind - int(run.offset) * block)
            if start < length:
                slack.append((system.base + inside + start, system.base + inside + length))
        elif not keep:
            break
        if keep:
            runs.append((int(run.addr), int(run.len)))
    return _Place(first, tuple(runs), tuple(slack))


def runs_of(system: OpenFileSystem, attribute: pytsk3.Attribute) -> Iterator[tuple[int, int, int]]:
    """Where the content of an attribute lies: (its first byte in the content, in the file system, bytes) a run.

    Nothing for what is compressed, lies in the record itself or is a hole. Errors: those of pytsk3.
    """
    if not int(attribute.info.flags) & _NONRESIDENT or int(attribute.info.flags) & _COMPRESSED:
        return
    for run in attribute:
        if not int(run.flags) & _NO_BLOCK and run.len:
            block = system.block_size
            yield int(run.offset) * block, int(run.addr) * block, int(run.len) * block


def _ntfs_streams(
    system: OpenFileSystem,
    inode: int,
    file: pytsk3.File,
    valid: Mapping[tuple[int, int], int],
    *,
    deleted: bool,
    slack: bool,
) -> list[Stream]:
    streams = []
    for attribute in file:
        info = attribute.info
        if int(info.type) != _NTFS_DATA:
            continue
        flags, size, name = int(info.flags), int(info.size), info.name or b""
        place = _NOWHERE
        remark: Remark | None = None
        if flags & _NONRESIDENT and not flags & _COMPRESSED:
            behind = min(size, valid.get((inode, int(info.id)), size)) if slack else None
            place = _place_of(system, attribute, keep=deleted, behind=behind)
        if name and inode == _BAD_CLUSTERS and name == b"$Bad":
            detail = "the map of bad clusters, as large as the volume and without content of its own; not hashed"
            remark = ("pseudo-stream", detail, Severity.NOTE, False)
        elif name == b"$J" and size > 0 and inode >= 24:
            detail = "a change journal: mostly a hole, and no file content; not hashed"
            remark = ("pseudo-stream", detail, Severity.NOTE, False) if _is_journal(file) else None
        elif flags & _ENCRYPTED:
            detail = "this file is encrypted by NTFS (EFS): what was read and hashed is its ciphertext"
            remark = ("file-encrypted", detail, Severity.PROBLEM, True)
        streams.append(Stream(name, size, _NTFS_DATA, int(info.id), place.first, place.runs, remark, place.slack))
    if len(streams) > 1:
        streams.sort(key=lambda stream: (stream.name, stream.identifier))
    return streams


def _is_journal(file: pytsk3.File) -> bool:
    """Whether a record is the USN journal: only that has a $Max stream beside its $J."""
    return any((attribute.info.name or b"") == b"$Max" for attribute in file)


def _main_stream(
    system: OpenFileSystem,
    inode: int,
    file: pytsk3.File,
    meta: pytsk3.TSK_FS_META,
    *,
    deleted: bool,
    slack: bool,
) -> Stream:
    """The one stream of a file on any file system but NTFS."""
    if system.guard is not None and inode in system.guard.emptied:
        truly = system.guard.emptied[inode].size
        start = system.guard.first_byte(inode)
        first = None if start is None else on_source(system.image, start)
        return Stream(b"", truly, DEFAULT_KIND, DEFAULT_ID, first)
    size = int(meta.size)
    place = _NOWHERE
    if system.compressed is not None and not deleted and int(meta.type) == _TYPE_FILE:
        stream = _compressed_stream(system.compressed, inode, file, size)
        if stream is not None:
            return stream
    if size > 0:
        for attribute in file:
            kind = int(attribute.info.type)
            if kind in (_HFS_RESOURCE, _HFS_ATTRIBUTE):
                continue
            if not int(attribute.info.flags) & _COMPRESSED:
                place = _place_of(system, attribute, keep=deleted, behind=size if slack else None)
            break
    remark = _fat_remark(system, inode, size, place.runs) if deleted and system.kind in FAT_KINDS else None
    return Stream(b"", size, DEFAULT_KIND, DEFAULT_ID, place.first, place.runs, remark, place.slack)


def first_byte(system: OpenFileSystem, inode: int, kind: int, identifier: int) -> int | None:
    """Where on the volume's own image a stream begins; None where it has no place there. Errors: none."""
    try:
        for attribute in system.fs.open_meta(inode):
            if identifier != DEFAULT_ID and (int(attribute.info.type), int(attribute.info.id)) != (kind, identifier):
                continue
            for run in attribute:
                if not int(run.flags) & _NO_BLOCK and run.len:
                    return system.base + int(run.addr) * system.block_size
            if identifier == DEFAULT_ID:
                break
    except LIBRARY_ERRORS:
        return None
    return None


def _compressed_stream(compressed: LibraryFileSystem, inode: int, file: pytsk3.File, size: int) -> Stream | None:
    """The content of a compressed file of HFS+; None for a file whose content Sleuth Kit reads.

    Only a file that seems empty, or that the library itself calls compressed, is asked about.
    """
    if size > 0 and not any(int(attribute.info.flags) & _COMPRESSED for attribute in file):
        return None
    try:
        with evidence_faults("walk", "metadata-unreadable", "whether this file is compressed could not be told"):
            inside = compressed_size(compressed, inode)
    except EvidenceError as error:
        remark = (error.code, error.detail, Severity.PROBLEM, True)
        return Stream(b"", size, DEFAULT_KIND, DEFAULT_ID, None, (), remark)
    return None if inside is None else Stream(b"", inside, COMPRESSED_KIND, 0, None)


def _fat_remark(system: OpenFileSystem, inode: int, size: int, runs: tuple[tuple[int, int], ...]) -> Remark | None:
    """What is amiss with the content of a deleted FAT or exFAT file."""
    if size == 0:
        return None
    if system.fat is not None:
        try:
            reused, head = system.fat.reused_clusters(inode, size)
        except EvidenceError:
            reused, head = 0, 0  # then the length of the runs below decides
        if head:
            detail = "the place where this deleted file began belongs to another file now; its content is gone"
            return "overwritten", detail, Severity.NOTE, False
        if reused:
            detail = f"{reused} clusters of this deleted file belong to other files now"
            return "overwritten", detail, Severity.NOTE, False
    if sum(count for _, count in runs) * system.block_size < size:
        detail = "fewer free clusters follow this deleted file's first than it needs; its content is lost"
        return "content-not-recoverable", detail, Severity.NOTE, False
    return None


class ClusterMap:
    """Which clusters of an NTFS volume belong to living files now ($Bitmap), read as far as asked for."""

    def __init__(self, system: OpenFileSystem) -> None:
        self._system = system
        self._file: pytsk3.File | None = None
        self._start = -1
        self._window = b""

    def reuse_of(self, stream: Stream) -> Remark | None:
        """What is amiss with a deleted stream whose clusters were given away; None when all are still free.

        Content that begins with another file's bytes is not this file's. Errors: none; where the map
        cannot be read, nothing is claimed.
        """
        if not stream.runs:
            return None
        try:
            head = self._allocated(stream.runs[0][0], 1)
            reused = sum(self._allocated(first, count) for first, count in stream.runs)
        except EvidenceError:
            return None
        if head:
            detail = "the place where this deleted file began belongs to another file now; its content is gone"
            return "overwritten", detail, Severity.NOTE, False
        if reused:
            detail = f"{reused} clusters of this deleted file belong to other files now: it is not whole"
            return "overwritten", detail, Severity.NOTE, True
        return None

    def _allocated(self, first: int, count: int) -> int:
        """How many of ``count`` clusters from ``first`` are in use."""
        total = 0
        end = first + count
        while first < end:
            window = first // 8 // _WINDOW
            if window != self._start:
                self._load(window)
            stop = min(end, (window + 1) * _WINDOW * 8)
            low, high = first // 8 - window * _WINDOW, (stop - 1) // 8 - window * _WINDOW
            bits = int.from_bytes(self._window[low : high + 1], "little") >> (first % 8)
            total += (bits & ((1 << (stop - first)) - 1)).bit_count()
            first = stop
        return total

    def _load(self, window: int) -> None:
        with evidence_faults("walk", "metadata-unreadable", "the map of used clusters could not be read"):
            if self._file is None:
                self._file = self._system.fs.open_meta(6)
            size = int(self._file.info.meta.size)
            offset = window * _WINDOW
            length = min(_WINDOW, size - offset)
            self._window = self._file.read_random(offset, length) if length > 0 else b""
            self._start = window


def file_times(system: OpenFileSystem, inode: int, meta: pytsk3.TSK_FS_META) -> FileTimes:
    """The times of a file, with what its file system says about their zone."""
    if system.fat is not None:
        try:
            return system.fat.times(inode)
        except EvidenceError:
            return FileTimes(zone_note=LOCAL_ZONE_NOTE)
    if system.kind in FAT_KINDS:  # a damaged boot sector: Sleuth Kit's own times depend on this machine's zone
        return FileTimes(zone_note=LOCAL_ZONE_NOTE)
    if system.kind == "ISO9660":
        return FileTimes(created=undo_local_zone(int(meta.crtime)), zone_note=LOCAL_ZONE_NOTE)
    created = None
    if system.kind not in EXT_KINDS or system.kind == "ext4":
        created = unix_time(int(meta.crtime), int(meta.crtime_nano))
    return FileTimes(
        created,
        unix_time(int(meta.mtime), int(meta.mtime_nano)),
        unix_time(int(meta.atime), int(meta.atime_nano)),
        unix_time(int(meta.ctime), int(meta.ctime_nano)),
    )
