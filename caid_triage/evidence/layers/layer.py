"""What a layer is: a volume that holds other volumes (or a file system that a libyal library reads)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytsk3

from caid_triage.evidence.layers.library_fs import LibraryFileSystem
from caid_triage.evidence.layers.view import AreaFile, Claim, View
from caid_triage.evidence.proxied import read_range
from caid_triage.evidence.secrets import Secrets
from caid_triage.model import Problem

UNWRAPPED = "unwrapped"
UNLOCKED = "unlocked"


@dataclass(frozen=True, slots=True)
class Area:
    """A volume to be recognised: where it lies on which image, its first bytes, and its name for Problems.

    ``beside`` are the other volumes of the same partition table: (first byte, bytes) each; ``description`` is what
    the table calls this one.
    """

    image: pytsk3.Img_Info
    offset: int
    length: int
    head: bytes
    name: str
    beside: tuple[tuple[int, int], ...] = ()
    description: str = ""

    def read(self, at: int, length: int) -> bytes:
        """Bytes of the volume, ``at`` counted from its first."""
        return read_range(self.image, self.offset + at, length) if 0 <= at < self.length else b""

    def file(self) -> AreaFile:
        """The volume as a file for libyal."""
        return AreaFile(self.image, self.offset, self.length)


@dataclass(frozen=True, slots=True)
class Child:
    """A volume inside another: its own part of the name, and its content as a disk or as an open file system.

    Where neither can be had ``status`` says what it is instead. ``length`` is then the bytes that it is said to have.
    """

    name: str
    description: str
    content: View | LibraryFileSystem | None
    status: str = "not-understood"
    file_system: str = ""
    length: int = 0
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Unwrapped:
    """What became of a volume that a layer recognised as its own.

    ``status`` is of the volume itself. ``children`` lie in it; ``claims`` are the parts of it that belong to none of
    them (its tables, free parts), offsets on the area's image. ``system`` is set where the volume is no container but
    a file system, ``beside`` where what lies in it is listed, in part or all of it, with another volume of the disk.
    """

    file_system: str
    status: str
    children: tuple[Child, ...] = ()
    problems: tuple[Problem, ...] = ()
    claims: tuple[Claim, ...] = ()
    system: LibraryFileSystem | None = None
    beside: bool = False


Layer = Callable[[Area, Secrets], Unwrapped | None]
"""Recognise a volume and unwrap it; None where it is something else. Never raises for a fault of the evidence."""
