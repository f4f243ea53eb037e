"""One name of a folder and the record behind it: whether that is truly this name's own, or another file's by now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import pytsk3

from caid_triage.evidence.faults import LIBRARY_ERRORS, plain_reason
from caid_triage.evidence.file_system import OpenFileSystem
from caid_triage.evidence.paths import display_name
from caid_triage.evidence.steps import LeftOut
from caid_triage.model import Severity, State

Loss = tuple[str, str, Severity]
"""Why a name has no content: the code of a Problem, its detail, how much it matters."""
NAME_DIR = int(pytsk3.TSK_FS_NAME_TYPE_DIR)
NAME_UNKNOWN = int(pytsk3.TSK_FS_NAME_TYPE_UNDEF)
TYPE_DIR = int(pytsk3.TSK_FS_META_TYPE_DIR)
_META_ALLOCATED = int(pytsk3.TSK_FS_META_FLAG_ALLOC)
_META_UNALLOCATED = int(pytsk3.TSK_FS_META_FLAG_UNALLOC)


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder to be listed. One in use is ALLOCATED, or ORPHAN where no name leads to it."""

    inode: int
    raw: bytes
    path: str
    state: State
    depth: int
    in_use: bool = True


@dataclass(frozen=True, slots=True)
class Name:
    """One name of a folder, with the record behind it when that is truly this name's.

    ``loss`` is a (code, detail) when no content can belong to the name. ``kind`` is what the folder says it is.
    """

    raw: bytes
    path: str
    inode: int
    state: State
    is_folder: bool
    file: pytsk3.File | None
    meta: pytsk3.TSK_FS_META | None
    loss: Loss | None
    in_use: bool = True
    kind: int = NAME_UNKNOWN


class Listed(NamedTuple):
    """A name as its folder has it: with the number of its record, how often that was given away, and what it is."""

    raw: bytes | None
    inode: int
    sequence: int
    kind: int
    file: pytsk3.File
    meta: pytsk3.TSK_FS_META | None


def judged(
    system: OpenFileSystem, folder: Folder, listed: Listed, *, deleted: bool, begins: Callable[[int], None]
) -> Name:
    """Decide whether the record behind a name is this name's own. ``begins`` is told before a record is opened."""
    raw, inode, sequence, kind, file, meta = listed
    raw = raw or b"unnamed-%d" % inode
    state = folder.state if not folder.in_use else State.DELETED if deleted else State.ALLOCATED
    loss = None
    if meta is None and inode:
        try:
            begins(inode)
            file = system.fs.open_meta(inode)
            meta = file.info.meta
        except LeftOut as error:
            loss = error.code, error.detail, Severity.PROBLEM
        except LIBRARY_ERRORS as error:
            loss = lost(f"its record could not be read: {plain_reason(error)}", in_use=state is State.ALLOCATED)
    if meta is not None:
        flags = int(meta.flags)
        if state is State.ALLOCATED and flags & _META_UNALLOCATED:
            state = State.DELETED
        loss = _not_its_own(system, state, flags, int(meta.seq), sequence)
    elif loss is None:
        loss = lost("the name no longer says where its content was", in_use=state is State.ALLOCATED)
    is_folder = kind == NAME_DIR
    if loss is None and meta is not None:
        is_folder = int(meta.type) == TYPE_DIR
    else:
        meta = None
    path = f"{folder.path}/{display_name(raw)}"
    in_use = state is State.ALLOCATED
    if in_use:
        state = folder.state
    return Name(folder.raw + b"/" + raw, path, inode, state, is_folder, file, meta, loss, in_use, kind)


def lost(reason: str, *, in_use: bool) -> Loss:
    """Why a file has no content, as its folder says it is in use or deleted."""
    if in_use:
        return "metadata-unreadable", f"this file could not be examined: {reason}", Severity.PROBLEM
    return "content-not-recoverable", f"the content of this deleted file is lost: {reason}", Severity.NOTE


def _not_its_own(system: OpenFileSystem, state: State, flags: int, record: int, name: int) -> Loss | None:
    """Why a record is not the name's own, by NTFS sequence numbers and by being in use; None when it is."""
    in_use, is_ntfs = bool(flags & _META_ALLOCATED), system.kind == "NTFS"
    if state is State.ALLOCATED:
        if is_ntfs and record != name:
            detail = "this name points to a record that was given to another file since: the folder is damaged"
            return "metadata-unreadable", detail, Severity.PROBLEM
        return None
    if in_use and is_ntfs and record == name:
        detail = "an earlier name of a file that still exists; its content is recorded under its present name"
        return "former-name", detail, Severity.NOTE
    # NTFS raises the number when it frees a record: a freed record is its last file's at name + 1.
    # Names of orphans come from the record itself, with whatever number it has.
    freed = not is_ntfs or state is State.ORPHAN or record - name in (0, 1, 1 - 0xFFFF)
    if in_use or not freed:
        detail = "the record of this deleted name was given to another file since; its content is gone"
        return "reallocated", detail, Severity.NOTE
    return None
