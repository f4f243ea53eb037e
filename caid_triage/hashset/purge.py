"""Deleting a set: it is personal data of victims, and its end is put on record."""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from caid_triage.actor import actor
from caid_triage.errors import HashSetError
from caid_triage.hashset.rows import printable
from caid_triage.hashset.write import DATA_PREFIX, MANIFEST, is_hashset, leftovers
from caid_triage.held import interrupt_held
from caid_triage.version import __version__


def purge_hashset(path: str | Path) -> Path:
    """Delete a set and what killed builds of it left behind; return the audit file beside it.

    ``NAME.chs.purged.jsonl`` gets a line before the deletion begins and one when it is done, with the
    set's name, generation and sources, who did it and where (caid_triage/actor.py), never a hash of an
    entry. Where no set was ever finished, what killed builds left goes. A folder that is not a set, or
    holds anything else as well, is refused. On flash storage deleted bytes may survive: encrypt the disk.
    """
    path = Path(path)
    where = printable(path.name)
    if not path.exists() and not path.is_symlink() and leftovers(path):
        strangers, facts = [], {"set": where, "leftovers": len(leftovers(path)), "tool_version": __version__}
    elif path.is_symlink() or not path.is_dir() or not is_hashset(path):
        raise HashSetError(f"{where}: is not a hash set. Nothing was deleted.")
    else:
        strangers, facts = [item.name for item in path.iterdir() if not _is_ours(item.name)], _facts(path)
    if strangers:
        raise HashSetError(
            f"{where}: holds {len(strangers)} files that are not of the set ({printable(sorted(strangers)[0])}). "
            "Move them away first. Nothing was deleted."
        )
    audit = path.with_name(path.name + ".purged.jsonl")
    try:
        _append(audit, {**facts, "state": "begun"})
        for folder in leftovers(path):
            shutil.rmtree(folder)
        if path.exists():
            # The manifest goes last: a purge that is interrupted can be run again.
            for folder in (item for item in path.iterdir() if item.is_dir()):
                shutil.rmtree(folder)
        with interrupt_held():  # run again it would find no set, and nothing would say that the purge was done
            if path.exists():
                shutil.rmtree(path)
            _append(audit, {**facts, "state": "done"})
    except OSError as error:
        raise HashSetError(
            f"{where}: could not be deleted whole: {error.strerror or error}. Close what has it open, then purge again."
        ) from error
    return audit


def _is_ours(name: str) -> bool:
    return name == MANIFEST or name.startswith(DATA_PREFIX)


def _facts(path: Path) -> dict[str, Any]:
    """What the audit line says of the set: as much of the manifest as is there, for a damaged one too."""
    manifest = json.loads((path / MANIFEST).read_bytes())
    sources = manifest.get("sources", [])
    return {
        "set": printable(path.name),
        "name": manifest.get("name"),
        "role": manifest.get("role"),
        "generation": manifest.get("generation"),
        "records": manifest.get("counts", {}).get("records"),
        "sources": [{key: source.get(key) for key in ("file", "size", "sha256")} for source in sources],
        "tool_version": __version__,
    }


def _append(audit: Path, line: dict[str, Any]) -> None:
    """Append one JSON line, on disk before it returns."""
    line = {"at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), **actor(), **line}
    with open(audit, "a", encoding="ascii", newline="\n", opener=_private) as file:
        file.write(json.dumps(line, ensure_ascii=True) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _private(path: str, flags: int) -> int:
    """Open a file that only its owner can read: it names the unit's sets and their sources."""
    return os.open(path, flags, 0o600)
