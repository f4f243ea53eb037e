"""What is true of a made exhibit, row by row, and the JSON file it is kept in."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from caid_triage.synth.plan import PlannedFile, PlannedFolder


@dataclass(frozen=True, slots=True)
class TruthRow:
    """One file that a walk must find, once.

    ``state`` is "allocated" or "deleted". ``match`` is what the sample sets must say: "exact",
    "near", "known-good", "none", or "damaged" for a cut picture (in no set by its digests; what can
    still be decoded of it may be near the whole one). ``algorithm`` is the strongest that agrees,
    ``category`` the code, ``like`` the sample picture that the content is or resembles.
    """

    volume: str
    path: str
    state: str
    size: int
    md5: str
    sha1: str
    sha256: str
    match: str = "none"
    algorithm: str = ""
    category: str = ""
    like: str = ""


@dataclass(frozen=True, slots=True)
class TruthVolume:
    """One file system of the exhibit; offset and length in bytes."""

    volume: str
    file_system: str
    offset: int
    length: int


def row_of(volume: str, path: str, content: bytes, *, deleted: bool = False) -> TruthRow:
    """The row of one content, matching nothing yet."""
    return TruthRow(
        volume,
        path,
        "deleted" if deleted else "allocated",
        len(content),
        hashlib.md5(content, usedforsecurity=False).hexdigest(),
        hashlib.sha1(content, usedforsecurity=False).hexdigest(),
        hashlib.sha256(content).hexdigest(),
    )


def shown(path: str) -> str:
    """The path as reports print it: what is not UTF-8 or does not print as backslash escapes."""

    def printed(character: str) -> str:
        number = ord(character)
        if character.isprintable() or unicodedata.category(character) == "Zs":
            return character
        if number < 0x100:
            return f"\\x{number:02x}"
        return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"

    text = path.encode(errors="surrogateescape").decode(errors="backslashreplace")
    return "".join(map(printed, text))


def rows_of(volume: str, plan: Iterable[PlannedFile | PlannedFolder]) -> list[TruthRow]:
    """One row for every path and every alternate stream of a plan whose content can be read again.

    A file whose record another one took over has no content left: it has no row here.
    """
    items = list(plan)
    gone_folders = [item.path + "/" for item in items if isinstance(item, PlannedFolder) and item.deleted]
    files = [item for item in items if isinstance(item, PlannedFile)]
    taken_over = {item.in_record_of for item in files}
    rows = []
    for file in files:
        if file.path in taken_over:
            continue
        for path in (file.path, *file.links):
            deleted = file.deleted or any(path.startswith(folder) for folder in gone_folders)
            rows.append(row_of(volume, shown(path), file.content, deleted=deleted))
        rows += [
            row_of(volume, shown(f"{file.path}:{name}"), data, deleted=file.deleted) for name, data in file.streams
        ]
    return rows


def write_truth(path: Path, image: str, volumes: Sequence[TruthVolume], rows: Sequence[TruthRow]) -> None:
    """Write the truth beside its image, as JSON, sorted and stable."""
    content = {
        "image": image,
        "licence": "CC0-1.0",
        "volumes": [asdict(volume) for volume in volumes],
        "files": [asdict(row) for row in rows],
    }
    path.write_bytes((json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())
