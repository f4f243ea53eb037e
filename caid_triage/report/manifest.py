"""MANIFEST.sha256: the SHA-256 of every report beside it, in the form that `sha256sum -c` reads."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from caid_triage.errors import VerificationError

MANIFEST = "MANIFEST.sha256"
SIGNATURE, STAMP_REQUEST, STAMP = (MANIFEST + ending for ending in (".sig", ".tsq", ".tsr"))
SEALS = (SIGNATURE, STAMP_REQUEST, STAMP)  # what may stand beside it and is about it (report/signing.py, stamping.py)
SEALED = "sealed-"  # and the first digits of its SHA-256: folders of earlier manifests that had any of these
LINE = re.compile(r"([0-9a-f]{64})  ([^/\\]+)")


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file in lower-case hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def manifest_text(digests: Mapping[str, str]) -> str:
    """The manifest of these names and digests, sorted by name."""
    return "".join(f"{digests[name]}  {name}\n" for name in sorted(digests))


def manifest_digests(folder: Path) -> dict[str, str]:
    """Name and SHA-256 of each report as the manifest has them; lines that are none are left out."""
    lines = (folder / MANIFEST).read_text(encoding="utf-8", errors="replace").splitlines()
    return {parts[2]: parts[1] for parts in map(LINE.fullmatch, lines) if parts is not None}


def differing_files(folder: Path, digests: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Each file that is missing, differs from its digest or has none, as (name, the end of a sentence)."""
    for name, digest in digests.items():
        path = folder / name
        if not path.is_file():
            yield name, "is missing"
        elif file_sha256(path) != digest:
            yield name, "is not as it was written"
    for path in sorted(folder.iterdir()):
        expected = path.is_dir() if path.name.startswith(SEALED) else path.name in {*digests, MANIFEST, *SEALS}
        if not expected:
            yield path.name, f"is not in {MANIFEST}"


def verify_manifest(folder: Path) -> list[str]:
    """Every report that is missing or differs from the manifest, each a sentence; empty when all agree."""
    try:
        lines = (folder / MANIFEST).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError as fault:
        raise VerificationError(f"there is no {MANIFEST} in {folder}; write the reports first") from fault
    wrong = [place for place, line in enumerate(lines, start=1) if LINE.fullmatch(line) is None]
    faults = [f"line {place} of {MANIFEST} is not a digest and a name" for place in wrong]
    return faults + [f"{name} {what}" for name, what in differing_files(folder, manifest_digests(folder))]
