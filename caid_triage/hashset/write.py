"""Writing a set to disk so that at every moment either the old generation or the new one opens.

    NAME.chs/manifest.json        says which folder of columns is the set, and each file's checksum
    NAME.chs/data-GENERATION/     the columns (.npy), never changed once written

A set is written whole into ``NAME.chs.tmp-PID`` beside, every file fsynced. A new set is then renamed into
place; over an old one the data folder is moved in and ``manifest.json`` replaced, which is one atomic step
on every system. Only after that the old columns go.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from caid_triage.errors import HashSetError
from caid_triage.hashset.column_files import ColumnWriter, create_private, sync
from caid_triage.hashset.columns import Columns
from caid_triage.hashset.manifest import DATA_PREFIX, FORMAT_VERSION, MAGIC, MANIFEST, generation_of, seal_of
from caid_triage.hashset.rows import printable
from caid_triage.version import __version__

__all__ = [
    "DATA_PREFIX",
    "FORMAT_VERSION",
    "MAGIC",
    "MANIFEST",
    "TEMPORARY",
    "generation_of",
    "is_hashset",
    "leftovers",
    "refuse_other_folder",
    "seal_of",
    "write_hashset",
]

TEMPORARY = ".tmp-"


def write_hashset(out: Path, columns: Columns, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Write the columns and their manifest to ``out`` and return the manifest.

    ``facts`` are the manifest's fields about the content (name, role, scheme, sources ...). HashSetError if
    ``out`` is something else than a hash set, or could not be written: a set that stood there is never harmed.
    """
    refuse_other_folder(out)
    temporary = out.with_name(f"{out.name}{TEMPORARY}{os.getpid()}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(temporary, ignore_errors=True)  # of a killed build that had our process number
        _clear_dead(out)
        temporary.mkdir(mode=0o700)
        with _claimed(temporary):
            manifest = _write_all(temporary, out, columns, facts)
            _publish(temporary, out, manifest["folder"])
    except OSError as error:
        raise HashSetError(
            f"{printable(out.name)}: could not be written: {error.strerror or error}. "
            "The set that stood there before was not harmed. Check the disk, then build it again."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return manifest


@contextmanager
def _claimed(folder: Path) -> Iterator[bool]:
    """Hold the lock of a temporary folder, which its build has for as long as it lives; whether it could be had.

    A system on which a folder cannot be locked (Windows, some network disks) says no: nothing is cleared there.
    """
    if sys.platform == "win32":
        yield False
        return
    import fcntl  # noqa: PLC0415 - POSIX only

    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)


def _clear_dead(out: Path) -> None:
    """Remove what killed builds of this set left: hashes that nobody would look for. A build that runs keeps its own.

    Where it cannot be done, ``leftovers`` still names them.
    """
    for folder in leftovers(out):
        with suppress(OSError), _claimed(folder) as dead:
            if dead and not _runs(folder.name.rpartition("-")[2]):
                shutil.rmtree(folder)


def _runs(number: str) -> bool:
    """Whether a process of that number runs here: it may have made its folder and not yet have locked it."""
    try:
        os.kill(int(number), 0)
    except PermissionError:
        return True
    except (OSError, ValueError, OverflowError):
        return False
    return True


def leftovers(out: Path) -> tuple[Path, ...]:
    """Temporary folders of builds of this set that were killed (or still run): they hold hashes too."""
    if not out.parent.is_dir():
        return ()
    return tuple(sorted(item for item in out.parent.iterdir() if item.name.startswith(out.name + TEMPORARY)))


def refuse_other_folder(out: Path) -> None:
    """HashSetError if a file or folder that is not a hash set stands at ``out``: it is never overwritten."""
    if not out.exists() and not out.is_symlink():
        return
    if out.is_symlink() or not out.is_dir() or (any(out.iterdir()) and not is_hashset(out)):
        raise HashSetError(f"{printable(out.name)}: exists and is not a hash set. Choose another name for the set.")


def is_hashset(path: Path) -> bool:
    """Whether a folder has the manifest of a hash set, of whatever format version."""
    try:
        manifest = json.loads((path / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(manifest, dict) and manifest.get("magic") == MAGIC


def _write_all(temporary: Path, out: Path, columns: Columns, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Write columns and manifest into the temporary folder, everything on disk before it returns."""
    folder = temporary / "data"
    folder.mkdir(mode=0o700)
    writer = ColumnWriter(folder)
    for part in columns.parts:
        part(writer)
    manifest: dict[str, Any] = {
        "magic": MAGIC,
        "format_version": FORMAT_VERSION,
        "byte_order": "little",
        **facts,
        "columns": dict(sorted(writer.described.items())),
        "tool_version": __version__,
        "built": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    manifest["generation"] = generation_of(manifest)
    manifest["folder"] = _free_name(out, DATA_PREFIX + manifest["generation"])
    manifest["seal"] = seal_of(manifest)
    for inner in (*(item for item in folder.iterdir() if item.is_dir()), folder):
        _sync_folder(inner)
    folder.rename(temporary / manifest["folder"])
    with create_private(temporary / MANIFEST) as file:
        file.write(json.dumps(manifest, indent=1, ensure_ascii=True).encode("ascii") + b"\n")
        sync(file)
    _sync_folder(temporary)
    return manifest


def _publish(temporary: Path, out: Path, folder: str) -> None:
    """Put the finished set into place."""
    if out.is_dir() and not any(out.iterdir()):
        out.rmdir()
    if not out.exists():
        temporary.rename(out)
        _sync_folder(out.parent)
        return
    (temporary / folder).rename(out / folder)
    _sync_folder(out)
    os.replace(temporary / MANIFEST, out / MANIFEST)  # noqa: PTH105  from here on the new generation opens
    _sync_folder(out)
    for old in out.iterdir():
        if old.name.startswith(DATA_PREFIX) and old.name != folder:
            # On Windows a reader may still hold the old columns; they then go with the next build or purge.
            shutil.rmtree(old, ignore_errors=True)


def _free_name(out: Path, name: str) -> str:
    """The name, or name.2, name.3 ...: an existing data folder of the same content may be damaged."""
    number, free = 1, name
    while (out / free).exists():
        number += 1
        free = f"{name}.{number}"
    return free


def _sync_folder(path: Path) -> None:
    """Make renames in a folder durable; Windows has no such call and needs none."""
    if os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
