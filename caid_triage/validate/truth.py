"""What is true of an exhibit because it was made so: written down by the generator, never asked of the tool."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True)
class Planted:
    """One content that was put somewhere. ``path`` is its display path in reports, "" where it has no name.

    ``where`` is the file system ("ntfs", "fat16" ... or "unpartitioned", "folder"), ``state`` what a report must call
    it and ``volume`` the volume's name there. ``offset`` is its first byte on the disk, where it has no name. ``kind``
    says what kind of finding it tests.
    """

    where: str
    state: str
    path: str
    content: bytes = field(repr=False)
    kind: str = "file"
    offset: int | None = None
    volume: str = ""

    @cached_property
    def sha256(self) -> str:
        """Of the content, lower-case hex."""
        return hashlib.sha256(self.content).hexdigest()

    @cached_property
    def sha1(self) -> str:
        """Of the content, lower-case hex."""
        return hashlib.sha1(self.content, usedforsecurity=False).hexdigest()

    @cached_property
    def md5(self) -> str:
        """Of the content, lower-case hex."""
        return hashlib.md5(self.content, usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Exhibit:
    """One piece of evidence that was made: what to open, its files on disk, and what was planted in it."""

    reference: str
    path: Path
    planted: tuple[Planted, ...]
    size: int | None = None

    def files(self) -> list[Path]:
        """The files that it consists of, in a fixed order."""
        if self.path.is_dir():
            return sorted(path for path in self.path.rglob("*") if path.is_file())
        return sorted(self.path.parent.glob(self.path.stem + ".*"))

    def of(self, state: str, kind: str = "") -> list[Planted]:
        """What was planted in one state (and of one kind)."""
        return [item for item in self.planted if item.state == state and kind in ("", item.kind)]


def file_digest(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
