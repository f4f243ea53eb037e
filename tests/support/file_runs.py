"""Where the living files and folders of a file system lie, asked of Sleuth Kit file by file: the slow, sure way."""

from __future__ import annotations

from typing import Any

import pytsk3

from caid_triage.evidence.file_system import OpenFileSystem
from caid_triage.evidence.ranges import Range, merged

_ALLOCATED = int(pytsk3.TSK_FS_NAME_FLAG_ALLOC)
_NO_BLOCK = int(pytsk3.TSK_FS_ATTR_RUN_FLAG_FILLER) | int(pytsk3.TSK_FS_ATTR_RUN_FLAG_SPARSE)
_NONRESIDENT = int(pytsk3.TSK_FS_ATTR_NONRES)
_VIRTUAL = {int(pytsk3.TSK_FS_NAME_TYPE_VIRT), int(pytsk3.TSK_FS_NAME_TYPE_VIRT_DIR)}
_OWN_NAMES = (b"$ALLOC_BITMAP", b"$UPCASE_TABLE")


def living_records(fs: Any, kind: str) -> set[int]:
    """The records of all living files and folders, but those that the file system keeps for itself."""
    root = int(fs.info.root_inum)
    found, pending = {root}, [root]
    while pending:
        for entry in fs.open_dir(inode=pending.pop()):
            name = entry.info.name
            if bytes(name.name) in (b".", b"..", *_OWN_NAMES) or not int(name.flags) & _ALLOCATED:
                continue
            number = int(name.meta_addr)
            if int(name.type) in _VIRTUAL or number in found:
                continue
            found.add(number)
            if int(name.type) == int(pytsk3.TSK_FS_NAME_TYPE_DIR):
                pending.append(number)
    if kind == "NTFS":
        return {number for number in found if number >= 16}
    if kind.startswith("ext"):
        return {number for number in found if number == 2 or number > 10}
    if kind == "HFS+":
        return {number for number in found if number >= 16 or number == 2}
    return found - {root}


def runs_of_living(system: OpenFileSystem) -> list[Range]:
    """Every byte of the disk that some living file or folder has, its last unit whole."""
    found = []
    for number in living_records(system.fs, system.kind):
        for attribute in system.fs.open_meta(number):
            if not int(attribute.info.flags) & _NONRESIDENT:
                continue
            for run in attribute:
                if not int(run.flags) & _NO_BLOCK and run.len:
                    start = system.volume.offset + int(run.addr) * system.block_size
                    found.append((start, start + int(run.len) * system.block_size))
    return merged(found)
