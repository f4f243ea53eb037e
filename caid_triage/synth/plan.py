"""What shall be on a made file system: planned files and folders, and the tree they grow into.

Every writer of this package (fat, exfat, ext, ntfs) takes the same plan, so that one list of
files can be put on four file systems and compared. What a file system cannot hold is refused
with ``ValueError`` when the plan is built, never dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

DAY_ZERO = datetime(2019, 6, 1, 12, 0, 0, tzinfo=UTC)
# Before 2020 on purpose: The Sleuth Kit (is_time in ntfs_dent, 4.11 to 4.15) takes a name left in an
# NTFS index for rubbish when its times are later.


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """One file to be written, live or deleted.

    ``pieces`` > 1 stores it fragmented, the pieces in reverse order on disk, so that a reader
    who takes the clusters behind the first one gets wrong bytes. ``holes`` are (start, end) byte
    ranges that are not stored (NTFS, ext); the content must be zero there. ``streams`` are
    alternate data streams and ``links`` further paths of the same file. ``name_left``: the
    deleted name also stays behind in its folder's index (NTFS). ``formerly`` is the path the
    file had before it was renamed (NTFS, left in the index). ``in_record_of`` is the path of a
    deleted file whose record this one took over (NTFS), whose name stays behind in its folder.
    """

    path: str
    content: bytes = b""
    modified: datetime = DAY_ZERO
    deleted: bool = False
    pieces: int = 1
    holes: tuple[tuple[int, int], ...] = ()
    streams: tuple[tuple[str, bytes], ...] = ()
    links: tuple[str, ...] = ()
    name_left: bool = False
    formerly: str = ""
    in_record_of: str = ""


@dataclass(frozen=True, slots=True)
class PlannedFolder:
    """One folder to be written; folders that files need are planned by themselves.

    A deleted folder's files are deleted with it. ``contiguous`` stores an exFAT folder without a
    FAT chain (NoFatChain).
    """

    path: str
    modified: datetime = DAY_ZERO
    deleted: bool = False
    contiguous: bool = False


Planned = PlannedFile | PlannedFolder


@dataclass(slots=True, eq=False)
class Node:
    """A name in the tree while it is being laid out.

    ``clusters`` are filled in by the writer, in the order of the content; ``number`` is the
    inode or record. ``target`` is the node whose content a hard link shares.
    """

    name: str
    path: str
    parent: Node | None
    plan: Planned
    deleted: bool
    children: list[Node] = field(default_factory=list)
    clusters: list[int] = field(default_factory=list)
    number: int = 0
    target: Node | None = None

    @property
    def is_folder(self) -> bool:
        """True for a folder."""
        return isinstance(self.plan, PlannedFolder)

    @property
    def file(self) -> PlannedFile:
        """The planned file of a node that is no folder."""
        assert isinstance(self.plan, PlannedFile)
        return self.plan


def grow_tree(plan: Iterable[Planned], *, links: bool = False, streams: bool = False, holes: bool = False) -> Node:
    """The plan as a tree, in the order given; the flags say what the file system can hold.

    Raises ValueError for a path twice, a path that is not absolute, or a feature not held.
    """
    root = Node("", "/", None, PlannedFolder("/"), deleted=False)
    folders: dict[str, Node] = {"/": root}
    seen: set[str] = set()

    def folder_at(path: str, planned: PlannedFolder | None = None) -> Node:
        if path in folders:
            if planned is not None:
                raise ValueError(f"{path} must be planned before the files in it, and once")
            return folders[path]
        head, name = split_path(path)
        parent = folder_at(head)
        made = planned or PlannedFolder(path)
        node = Node(name, path, parent, made, deleted=made.deleted or parent.deleted)
        parent.children.append(node)
        folders[path] = node
        return node

    for item in plan:
        if isinstance(item, PlannedFolder):
            folder_at(item.path, item)
            continue
        if (item.links and not links) or (item.streams and not streams) or (item.holes and not holes):
            raise ValueError(f"{item.path}: this file system has no links, streams or holes")
        for start, end in item.holes:
            if any(item.content[start:end]):
                raise ValueError(f"{item.path}: a hole must be zero in the content")
        first: Node | None = None
        for path in (item.path, *item.links):
            if path in seen or path in folders:
                raise ValueError(f"{path} is planned twice")
            seen.add(path)
            head, name = split_path(path)
            parent = folder_at(head)
            node = Node(name, path, parent, item, deleted=item.deleted or parent.deleted, target=first)
            parent.children.append(node)
            first = first or node
    return root


def walk_tree(root: Node) -> list[Node]:
    """Every node below the root, parents before children, in the order of the plan."""
    found: list[Node] = []
    for child in root.children:
        found.append(child)
        if child.is_folder:
            found.extend(walk_tree(child))
    return found


def split_path(path: str) -> tuple[str, str]:
    """The folder's path and the name; ValueError when the path is not absolute."""
    head, slash, name = path.rpartition("/")
    if not slash or not name or not path.startswith("/"):
        raise ValueError(f"{path!r} is not an absolute path of a file")
    return head or "/", name


def how_many(size: int, step: int) -> int:
    """How many steps are needed to hold so much: division rounded up."""
    return (size + step - 1) // step


def in_pieces(clusters: Sequence[int], pieces: int) -> list[int]:
    """Clusters in the order of the content, cut into ``pieces`` that lie in reverse order on disk."""
    if pieces <= 1 or len(clusters) < 2:
        return list(clusters)
    length = how_many(len(clusters), pieces)
    cut = [list(clusters[at : at + length]) for at in range(0, len(clusters), length)]
    return [number for piece in reversed(cut) for number in piece]


def cluster_taker(first: int, end: int, what: str) -> Callable[[int], list[int]]:
    """A function that hands out so many clusters each time, from ``first`` on, up to ``end``."""
    state = [first]

    def take(count: int) -> list[int]:
        start = state[0]
        if start + count > end:
            raise ValueError(f"the planned files do not fit into {what}: {start + count - end} clusters short")
        state[0] = start + count
        return list(range(start, start + count))

    return take


def runs_of(clusters: Sequence[int]) -> list[tuple[int, int]]:
    """The clusters as (first, count) runs, in the order given."""
    runs: list[tuple[int, int]] = []
    for number in clusters:
        if runs and number == runs[-1][0] + runs[-1][1]:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((number, 1))
    return runs


def write_sparse(path: Path, data: bytes | bytearray) -> None:
    """Write the bytes, leaving blocks of zeros as holes where the file system can."""
    block = 65536
    view = memoryview(data)
    zeros = bytes(block)
    with path.open("wb") as out:
        for at in range(0, len(view), block):
            piece = view[at : at + block]
            if piece != zeros[: len(piece)]:
                out.seek(at)
                out.write(piece)
        out.truncate(len(view))
