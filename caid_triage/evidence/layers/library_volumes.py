"""APFS containers and XFS volumes, opened with libfsapfs and libfsxfs."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence

import pyfsapfs
import pyfsxfs

from caid_triage.evidence.faults import LIBRARY_ERRORS, plain_reason
from caid_triage.evidence.layers.apfs_container import Container, Snapshot, VolumePlace
from caid_triage.evidence.layers.apfs_snapshots import PastFile, volumes_with_snapshots
from caid_triage.evidence.layers.encryption import locked_problem, name_of, unlock, unlocked_problem
from caid_triage.evidence.layers.layer import UNWRAPPED, Area, Child, Unwrapped
from caid_triage.evidence.layers.library_fs import LibraryFileSystem, there
from caid_triage.evidence.layers.shared_content import SharedContent
from caid_triage.evidence.layers.view import AreaFile, on_source
from caid_triage.evidence.secrets import Secrets
from caid_triage.model import Problem, Volume

_MOST_VOLUMES = 100  # the most that a container can have
_MOST_SNAPSHOTS = 256
_SMALLEST_HEAD = 512
_FAULTS = (*LIBRARY_ERRORS, MemoryError, struct.error)


def unwrap_apfs(area: Area, secrets: Secrets) -> Unwrapped | None:
    """The volumes of an APFS container."""
    if area.head[32:36] != b"NXSB":
        return None
    try:
        container = pyfsapfs.container()
        container.open_file_object(area.file())
        count = min(int(container.get_number_of_volumes()), _MOST_VOLUMES)
        if not count:
            return _not_read(area, "APFS", "the container names no volume")
    except _FAULTS as error:
        return _not_read(area, "APFS", plain_reason(error)[:200])
    tables, kept = volumes_with_snapshots(area.read, area.length)
    children: list[Child] = []
    for place in range(count):
        identifier = _identifier(container, place)
        shared = SharedContent() if identifier in kept else None
        children.append(_apfs_child(area, container, place, f"apfs{place + 1}", secrets, shared))
        if tables is not None and identifier in kept:
            children += _apfs_snapshots(area, tables, kept[identifier], place, children[-1], secrets)
    return Unwrapped("APFS container", UNWRAPPED, tuple(children))


def _identifier(container: pyfsapfs.container, place: int) -> str:
    try:
        return str(container.get_volume(place).get_identifier())
    except _FAULTS:
        return ""


def _apfs_child(
    area: Area,
    container: pyfsapfs.container,
    place: int,
    name: str,
    secrets: Secrets,
    shared: SharedContent | None,
    past: str = "",
) -> Child:
    """A volume of a container, or one of its snapshots; ``past`` says which."""
    where = f"{area.name}/{name}"
    description = f"{past}APFS volume"
    problems: list[Problem] = []
    try:
        volume = container.get_volume(place)
        description = f"{past}APFS volume {place + 1} ({name_of(volume)})"
        encrypted = bool(volume.is_locked())
        if encrypted:
            how = unlock(volume, secrets, where)
            if volume.is_locked():
                locked = locked_problem(where, "APFS", secrets)
                return Child(name, description, None, "encrypted", problems=(locked,))
            problems.append(unlocked_problem(where, "APFS", how))
        there(volume.get_root_directory())
    except _FAULTS as error:
        what = "snapshot of an APFS volume" if past else "APFS volume"
        detail = f"this {what} could not be read: {plain_reason(error)[:200]}. None of its files were examined"
        damaged = Problem("open", "snapshots-not-examined" if past else "file-system-not-understood", detail,
                          volume=where)  # fmt: skip
        return Child(name, description, None, problems=(damaged,))
    system = LibraryFileSystem(
        Volume(where, area.offset, area.length, description, "APFS", "examined"),
        "APFS",
        volume.get_root_directory,
        volume.get_file_entry_by_identifier,
        lambda file: int(file.identifier),
        (lambda _offset: None) if encrypted else _placed(area),
        area.length,
        (container, volume),
        shared=shared,
        is_past=bool(past),
    )
    return Child(name, description, system, "examined", "APFS", problems=tuple(problems))


def _apfs_snapshots(
    area: Area, tables: Container, volume: VolumePlace, place: int, living: Child, secrets: Secrets
) -> Iterator[Child]:
    """The snapshots of a volume, the oldest first, each beside it in the name: ``apfs1/snap1``."""
    if living.status == "encrypted":
        return  # they have its key
    shared = living.content.shared if isinstance(living.content, LibraryFileSystem) else None
    try:
        objects = tables.objects(struct.unpack_from("<Q", volume.superblock, 128)[0])
    except _FAULTS as error:
        yield _not_examined(area, f"{living.name}/snap1", volume.snapshots, plain_reason(error)[:200])
        return
    for number, snapshot in enumerate(volume.snapshots[:_MOST_SNAPSHOTS], 1):
        name = f"{living.name}/snap{number}"
        try:
            container = pyfsapfs.container()
            container.open_file_object(PastFile(area, tables, volume, objects, snapshot))
        except _FAULTS as error:
            yield _not_examined(area, name, [snapshot], plain_reason(error)[:200])
            continue
        taken = f" of {snapshot.taken:%Y-%m-%d %H:%M:%S} UTC" if snapshot.taken is not None else ""
        past = f"snapshot {snapshot.name}{taken}, "
        yield _apfs_child(area, container, place, name, secrets, shared, past)
    left = volume.snapshots[_MOST_SNAPSHOTS:]
    if left:
        yield _not_examined(area, f"{living.name}/snap{_MOST_SNAPSHOTS + 1}", left, "there are too many")


def _not_examined(area: Area, name: str, snapshots: Sequence[Snapshot], reason: str) -> Child:
    names = ", ".join(one.name for one in snapshots[:20])
    detail = (
        f"{len(snapshots)} snapshots of this APFS volume could not be read ({reason or 'they are damaged'}), so files "
        f"that only they hold were not examined: {names}"
    )
    problem = Problem("open", "snapshots-not-examined", detail, volume=f"{area.name}/{name}")
    return Child(name, "snapshots of an APFS volume", None, "unreadable", problems=(problem,))


def unwrap_xfs(area: Area, _secrets: Secrets) -> Unwrapped | None:
    """The files of an XFS volume."""
    if area.head[:4] != b"XFSB" or len(area.head) < _SMALLEST_HEAD:
        return None
    problems = []
    block, blocks = struct.unpack_from(">IQ", area.head, 4)
    missing = block * blocks - area.length
    if missing > 0:
        detail = f"the XFS file system is {missing} bytes larger than what the image holds"
        problems.append(Problem("open", "image-truncated", detail, volume=area.name))
    try:
        volume = pyfsxfs.volume()
        volume.open_file_object(_CutXfs(area, block * blocks) if missing > 0 else area.file())
        there(volume.get_root_directory())
    except _FAULTS as error:
        return _not_read(area, "XFS", plain_reason(error)[:200], problems)
    system = LibraryFileSystem(
        Volume(area.name, area.offset, area.length, "", "XFS", "examined"),
        "XFS",
        volume.get_root_directory,
        volume.get_file_entry_by_inode,
        lambda file: int(file.inode_number),
        _placed_by_group(area),
        area.length,
        (volume,),
        block,
    )
    return Unwrapped("XFS", "examined", (), tuple(problems), (), system)


class _CutXfs(AreaFile):
    """An XFS volume whose end is missing, as a file that claims to have it.

    The library reads the superblock of every allocation group when it opens a volume, and gives up where one is
    missing. They are copies of the first, so the first stands in for them; every other read behind the end fails.
    """

    def __init__(self, area: Area, claimed: int) -> None:
        super().__init__(area.image, area.offset, claimed)
        (block,) = struct.unpack_from(">I", area.head, 4)
        (group_blocks,) = struct.unpack_from(">I", area.head, 84)
        self._held = area.length
        self._group = max(1, block * group_blocks)
        self._superblock = area.head[:_SMALLEST_HEAD]

    def read(self, size: int = -1) -> bytes:
        """The bytes from where the file stands. Errors: OSError behind the end of what is held."""
        at = self.tell()
        if at >= self._held and size == _SMALLEST_HEAD and at % self._group == 0:
            self.seek(at + size)
            return self._superblock
        if size < 0 or at + min(size, self.get_size() - at) > self._held:
            message = "the image ends before this place"
            raise OSError(message)
        return super().read(size)


def _placed(area: Area) -> Callable[[int], int | None]:
    """Offsets of the area as offsets of the source."""
    return lambda offset: on_source(area.image, area.offset + offset) if offset < area.length else None


def _placed_by_group(area: Area) -> Callable[[int], int | None]:
    """Offsets as libfsxfs gives them as offsets of the source.

    XFS numbers a block by its allocation group in the upper bits and its place in the group in the lower; the library
    (20260901) multiplies that number by the block size as if groups were powers of two in size.
    """
    (block,) = struct.unpack_from(">I", area.head, 4)
    (group_blocks,) = struct.unpack_from(">I", area.head, 84)
    bits = area.head[124]
    placed = _placed(area)

    def on_disk(offset: int) -> int | None:
        number, rest = divmod(offset, max(block, 1))
        group, inside = number >> bits, number & ((1 << bits) - 1)
        return placed((group * group_blocks + inside) * block + rest)

    return on_disk


def _not_read(area: Area, name: str, reason: str, problems: Sequence[Problem] = ()) -> Unwrapped:
    detail = (
        f"the file system of this volume is {name} and could not be read: {reason}. No file of it was seen by its name"
    )
    problem = Problem("open", "file-system-not-understood", detail, volume=area.name)
    return Unwrapped(name, "not-understood", problems=(*problems, problem))
