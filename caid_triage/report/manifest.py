"""MANIFEST.sha256: the SHA-256 of every report beside it, in the form that `sha256sum -c` reads."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from caid_triage.errors import VerificationError

MANIFEST = "MANIFEST.sha256"
LINE = re.compile(r"([0-9a-f]{64})  ([^/\\]+)")


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file in lower-case hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def manifest_text(digests: Mapping[str, str]) -> str:
    """The manifest of these names and digests, sorted by name."""
    return "".join(f"{digests[name]}  {name}\n" for name in sorted(digests))


def verify_manifest(folder: Path) -> list[str]:
    """Every report that is missing or differs from the manifest, each a sentence; empty when all agree."""
    try:
        lines = (folder / MANIFEST).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as fault:
        raise VerificationError(f"there is no {MANIFEST} in {folder}; write the reports first") from fault
    faults = []
    listed = set()
    for place, line in enumerate(lines, start=1):
        parts = LINE.fullmatch(line)
        if parts is None:
            faults.append(f"line {place} of {MANIFEST} is not a digest and a name")
            continue
        digest, name = parts.groups()
        listed.add(name)
        path = folder / name
        if not path.is_file():
            faults.append(f"{name} is missing")
        elif file_sha256(path) != digest:
            faults.append(f"{name} is not as it was written")
    others = sorted(path.name for path in folder.iterdir() if path.name not in listed | {MANIFEST})
    faults.extend(f"{name} is not in {MANIFEST}" for name in others)
    return faults
