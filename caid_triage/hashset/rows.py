"""What a reader hands to the builder: one Row an entry, and the file it is read from."""

from __future__ import annotations

import hashlib
import io
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntFlag
from pathlib import Path
from typing import TYPE_CHECKING

from caid_triage.errors import HashSetError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

HEAD_BYTES = 65_536


class RecordFlag(IntFlag):
    """What a record states of itself (VICS words), and which digests it carries.

    A bit that is not set means "false or not stated": the formats do not keep the two apart.
    """

    VICTIM_IDENTIFIED = 1
    OFFENDER_IDENTIFIED = 2
    DISTRIBUTED = 4
    SUSPECTED = 8
    PRECATEGORISED = 16
    SELF_GENERATED = 32
    HAS_MD5 = 256
    HAS_SHA1 = 512
    HAS_SHA256 = 1024


# Plain numbers: IntFlag's own "|" costs more than reading the rest of a record.
HAS_DIGEST = {
    "md5": int(RecordFlag.HAS_MD5),
    "sha1": int(RecordFlag.HAS_SHA1),
    "sha256": int(RecordFlag.HAS_SHA256),
}


# What an entry may state of its item, in the words that a case keeps and a report prints.
STATED_WORDS = {
    RecordFlag.VICTIM_IDENTIFIED: "victim-identified",
    RecordFlag.OFFENDER_IDENTIFIED: "offender-identified",
    RecordFlag.DISTRIBUTED: "distributed",
    RecordFlag.SUSPECTED: "suspected",
    RecordFlag.PRECATEGORISED: "precategorised",
    RecordFlag.SELF_GENERATED: "self-generated",
}


def stated_words(flags: RecordFlag) -> tuple[str, ...]:
    """The words for what a record states of itself, in one fixed order; none for which digests it carries."""
    return tuple(word for flag, word in STATED_WORDS.items() if flags & flag)


@dataclass(slots=True)
class Row:
    """One entry of a hash-set file. Hashes are bytes, absent ones None or empty; ``category`` "" is uncategorised.

    ``pdq`` holds (32 bytes, quality 0..100 or None) pairs; ``size`` is bytes, None where not stated.
    ``frames`` is empty unless the hashes are of a video's frames: then (frame number, milliseconds or None) of each.
    ``position`` is where the row stands in its file, "byte N" or "line N".
    """

    md5: bytes | None = None
    sha1: bytes | None = None
    sha256: bytes | None = None
    pdq: tuple[tuple[bytes, int | None], ...] = ()
    frames: tuple[tuple[int, int | None], ...] = ()
    phash: tuple[bytes, ...] = ()
    photodna: bytes | None = None
    category: str = ""
    media_id: str = ""
    size: int | None = None
    flags: int = 0
    series: str = ""
    position: str = ""

    @property
    def has_hash(self) -> bool:
        """Whether the row holds anything that a file could be compared with."""
        return bool(self.md5 or self.sha1 or self.sha256 or self.pdq or self.phash or self.photodna)


class SourceFile:
    """A hash-set file while it is read: its bytes in one pass, hashed as they go, and what was found out.

    ``model_url`` and ``region`` are the data model a VICS file names; ``ignored`` counts fields that
    were left out without refusing their row. ``salvage``: keep what is whole in a broken file; ``lost`` are then
    the byte ranges (from, up to) that hold nothing whole. ``columns``: the field for a column title that the
    reader would not know. ``warnings`` are sentences the builder passes on.
    """

    def __init__(self, path: Path, salvage: bool = False, columns: Mapping[str, str] | None = None) -> None:
        self.path = path
        self.name = printable(path.name)
        self.model_url = ""
        self.region = ""
        self.ignored: Counter[str] = Counter()
        self.salvage = salvage
        self.columns: Mapping[str, str] = columns or {}
        self.lost: list[tuple[int, int]] = []
        self.warnings: list[str] = []
        self.size = 0
        self._sha256 = hashlib.sha256()
        try:
            with path.open("rb") as file:
                self.head = file.read(HEAD_BYTES)
            self._file = path.open("rb", buffering=0)
        except OSError as error:
            raise HashSetError(
                f"{self.name}: cannot be read: {error.strerror or error}. Nothing was imported."
            ) from error
        self.stream = io.BufferedReader(_Hashed(self._file, self), 1 << 20)

    def blocks(self, length: int = HEAD_BYTES) -> Iterator[bytes]:
        """The file's bytes from its beginning, in pieces of 64 KiB or as long as asked for."""
        while block := self.stream.read(length):
            yield block

    def text(self) -> io.TextIOWrapper:
        """The file as text by its byte-order mark (UTF-8 without one); bytes that are not text become U+FFFD."""
        return io.TextIOWrapper(self.stream, encoding=encoding_of(self.head), errors="replace", newline="")

    def finish(self) -> str:
        """Read what the reader left, close the file and return the sha256 of all its bytes."""
        if not self.stream.closed:
            while self.stream.read(1 << 20):
                pass
        self.close()
        return self._sha256.hexdigest()

    def close(self) -> None:
        """Close the file."""
        self.stream.close()
        self._file.close()

    def count(self, block: memoryview) -> None:
        """Take bytes that were just read into the size and the sha256."""
        self.size += len(block)
        self._sha256.update(block)


class _Hashed(io.RawIOBase):
    """A raw file that tells a SourceFile of every byte read from it."""

    def __init__(self, raw: io.FileIO, source: SourceFile) -> None:
        self._raw = raw
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        try:
            count = self._raw.readinto(view)
        except OSError as error:
            raise HashSetError(
                f"{self._source.name}: reading stopped at byte {self._source.size}: {error.strerror or error}. "
                "Nothing was imported."
            ) from error
        self._source.count(view[: count or 0])
        return count or 0


def encoding_of(head: bytes) -> str:
    """The text encoding that a file's first bytes announce: UTF-16 by its mark, else UTF-8."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    return "utf-8-sig"


def head_text(head: bytes) -> str:
    """The first bytes of a file as text, for telling its format; what is not text becomes U+FFFD."""
    return head.decode(encoding_of(head), errors="replace")


def printable(name: str | Path) -> str:
    """A file name as text that can always be printed: undecodable bytes and control characters are escaped."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)
