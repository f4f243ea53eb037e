"""What the manifest of a set says of itself, and the checksums that hold it together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MAGIC = "caid-triage hash set"
FORMAT_VERSION = 4
MANIFEST = "manifest.json"
DATA_PREFIX = "data-"
# What a set can be for: the values of model.Role, which is not imported to open one.
ROLES = ("notable", "known-good", "not-this")
# What stands in a column where the source states nothing.
SIZE_UNKNOWN = -1
QUALITY_UNKNOWN = 255
FRAME_UNKNOWN = 2**32 - 1  # of a frame's number, and of its time in milliseconds


def generation_of(manifest: Mapping[str, Any]) -> str:
    """16 hexadecimal digits that follow from the content alone: the same inputs, the same generation."""
    content = {
        "columns": {name: facts["sha256"] for name, facts in manifest["columns"].items()},
        "codes": manifest["codes"],
        "role": manifest["role"],
        "scheme": manifest["scheme"],
    }
    if manifest.get("radius"):  # what matches is part of what a set is
        content["radius"] = manifest["radius"]
    return hashlib.sha256(_canonical(content)).hexdigest()[:16]


def seal_of(manifest: Mapping[str, Any]) -> str:
    """The sha256 of everything else in the manifest: shows damage and hand-editing."""
    return hashlib.sha256(_canonical({key: value for key, value in manifest.items() if key != "seal"})).hexdigest()


def file_sha256(path: Path) -> str:
    """The sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _canonical(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")
