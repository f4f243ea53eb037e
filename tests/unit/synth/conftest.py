"""Reading made file systems back with The Sleuth Kit's library, independently of our own evidence room."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import pytsk3

Found = dict[str, list[tuple[bool, str]]]
"""Path -> (name is allocated, sha256) for each name met there; "" where no content can be read."""


def read_back_tree(image: Path, offset: int = 0) -> Found:
    """Every file that pytsk3 lists below the root, with the digest of what it reads."""
    fs = pytsk3.FS_Info(pytsk3.Img_Info(str(image)), offset=offset)
    found: Found = {}
    walked: set[int] = set()

    def walk(inode: int, above: str) -> None:
        walked.add(inode)
        for entry in fs.open_dir(inode=inode):
            name = entry.info.name
            if name.name in (b".", b"..") or name.meta_addr == 0 or name.type == pytsk3.TSK_FS_NAME_TYPE_VIRT:
                continue
            path = f"{above}/{name.name.decode()}"
            if above == "" and name.name.startswith(b"$") and name.name != b"$OrphanFiles":
                continue  # the file system's own files: some of them claim sizes that they do not store
            live = bool(name.flags & pytsk3.TSK_FS_NAME_FLAG_ALLOC)
            try:
                file = fs.open_meta(name.meta_addr)
            except OSError:
                continue
            kind = file.info.meta.type
            if kind == pytsk3.TSK_FS_META_TYPE_DIR:
                if name.meta_addr not in walked:
                    walk(name.meta_addr, path)
            elif kind == pytsk3.TSK_FS_META_TYPE_REG:
                add(path, live, file)
            elif kind == pytsk3.TSK_FS_META_TYPE_VIRT_DIR:
                for orphan in fs.open_dir(inode=name.meta_addr):
                    lost = fs.open_meta(orphan.info.name.meta_addr)
                    if lost.info.meta.type == pytsk3.TSK_FS_META_TYPE_REG:
                        add(f"{path}/{orphan.info.name.name.decode(errors='replace')}", False, lost)

    def add(path: str, live: bool, file: pytsk3.File) -> None:
        streams = [
            a for a in file if a.info.type in (pytsk3.TSK_FS_ATTR_TYPE_DEFAULT, pytsk3.TSK_FS_ATTR_TYPE_NTFS_DATA)
        ]
        if not streams and file.info.meta.size == 0:
            found.setdefault(path, []).append((live, hashlib.sha256(b"").hexdigest()))
        for stream in streams:
            name = "" if stream.info.name in (None, b"$Data", b"N/A") else ":" + stream.info.name.decode()
            content = b""
            while len(content) < stream.info.size:
                piece = file.read_random(len(content), 1 << 20, stream.info.type, stream.info.id)
                assert piece, path
                content += piece
            if (live, hashlib.sha256(content).hexdigest()) not in found.setdefault(path + name, []):
                found[path + name].append((live, hashlib.sha256(content).hexdigest()))

    walk(fs.info.root_inum, "")
    return found


@pytest.fixture
def read_back() -> Callable[..., Found]:
    """The function that reads a made image back."""
    return read_back_tree
