"""The segment files of EWF version 2 (Ex01, Lx01) and the chain of sections in each.

Format: libyal, "Expert Witness Compression Format 2", all little-endian: a header of 32 bytes (signature 8, version 2,
compression method u16 at 10, segment number u32 at 12, identifier of the set 16 at 16), then sections. A section is
its data and after that a descriptor of 64 bytes: type u32, flags u32 (1: an MD5 of the data is kept, 2: encrypted),
offset of the descriptor before u64, size of the data with its padding u64, 64 u32, padding u32, MD5 at 32, adler32 of
the 60 bytes before it at 60. The last descriptor ends the file and is of the type "next" or "done", so that a file
which was cut off, or is followed by anything, is known by its end.
"""

from __future__ import annotations

import hashlib
import re
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path

from caid_triage.errors import SourceError
from caid_triage.evidence.containers.libyal import open_file
from caid_triage.evidence.containers.reader import damaged, refused
from caid_triage.evidence.faults import plain_reason
from caid_triage.evidence.image_file import files_beside
from caid_triage.evidence.unpack import inflated, unbzipped

EX01 = b"EVF2\r\n\x81\x00"
LX01 = b"LEF2\r\n\x81\x00"

DEVICE, CASE, SECTORS, TABLE, ERRORS = 1, 2, 3, 4, 5
INCREMENT, MD5, SHA1, KEYS, NEXT, DONE = 7, 8, 9, 0xB, 0xD, 0xF
FILES = 0x20
NONE, DEFLATE, BZIP2 = 0, 1, 2

_HEADER = 32
_DESCRIPTOR = 64
_HASHED, _ENCRYPTED = 1, 2
_MAX_SECTIONS = 2_000_000
_MAX_TEXT = 16 << 20


@dataclass(frozen=True, slots=True)
class Section:
    """A section: its type, the segment (from 0) and place of its data, and the MD5 of that where one is kept."""

    kind: int
    segment: int
    start: int
    size: int
    md5: bytes | None


@dataclass(frozen=True, slots=True)
class Ewf2Set:
    """All segments of an Ex01 or Lx01, open, and their sections in the order in which they lie."""

    paths: tuple[Path, ...]
    files: tuple[RawIOBase, ...]
    method: int
    sections: tuple[Section, ...]

    def data(self, section: Section) -> bytes:
        """The data of a section. OSError when it is not as its MD5 says, or cannot be read."""
        data = self.read(section.segment, section.start, section.size)
        if section.md5 is not None and hashlib.md5(data, usedforsecurity=False).digest() != section.md5:
            raise OSError("a section of the image is damaged: its MD5 is another")
        return data

    def read(self, segment: int, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes of a segment file. OSError when it does not have them."""
        file = self.files[segment]
        file.seek(offset)
        data = file.read(length) or b""
        if len(data) != length:
            raise OSError(f"segment {segment + 1} ends early")
        return data

    def text(self, section: Section) -> str:
        """The text of a section that keeps a packed one. OSError when it is damaged."""
        if section.size > _MAX_TEXT:
            raise OSError("a text of the image is larger than such a text can be")
        data = self.data(section)
        unpacked = unbzipped(data, _MAX_TEXT) if data.startswith(b"BZh") else inflated(data, _MAX_TEXT)
        return unpacked.decode("utf-16", "replace")

    def close(self) -> None:
        """Close every segment."""
        for file in self.files:
            file.close()


def open_set(path: Path, what: str, signature: bytes) -> Ewf2Set:
    """Open the set whose first segment is ``path``; ``what`` is "Ex01" or "Lx01".

    Errors: SourceError when ``path`` is not the first segment, one is missing, cut off, damaged or of another set,
    and for an encrypted image.
    """
    paths: list[Path] = [path]
    files: list[RawIOBase] = []
    sections: list[Section] = []
    by_name: dict[str, Path] = {}
    first = b""
    try:
        while True:
            segment = paths[-1]
            files.append(open_file(segment))
            header = _header(segment, files[-1], what, signature, len(files))
            first = first or header
            if header[16:32] != first[16:32]:
                raise damaged(segment, what, "it is a segment of another image")
            found = _sections(segment, files[-1], what, len(files) - 1)
            sections += found
            if found[-1].kind == DONE:
                break
            wanted = segment_name(path.name, len(files) + 1)
            by_name = by_name or {file.name.lower(): file for file in _segments_beside(path)}
            if wanted.lower() not in by_name:
                raise SourceError(
                    f"{path} has {len(files)} of its segments here, but {wanted} is missing. "
                    f"Put all segments into one folder and try again"
                )
            paths.append(by_name[wanted.lower()])
        if any(section.kind == INCREMENT for section in sections):
            raise refused(path, f"{what} with increment data", "acquire it again, or export it as E01, and scan that")
    except OSError as error:
        for file in files:
            file.close()
        raise SourceError(f"{paths[-1]} could not be read: {plain_reason(error)}") from error
    except SourceError:
        for file in files:
            file.close()
        raise
    return Ewf2Set(tuple(paths), tuple(files), int.from_bytes(first[10:12], "little"), tuple(sections))


def segment_name(first: str, number: int) -> str:
    """The file name of a segment: Ex01 .. Ex99, ExAA .. ExZZ, EyAA .. EzZZ, in the case of the first."""
    stem, _, extension = first.rpartition(".")
    if number <= 99:
        return f"{stem}.{extension[:2]}{number:02d}"
    index = number - 100
    letter = chr(min(ord("x") + index // 676, ord("z")))
    suffix = chr(65 + index // 26 % 26) + chr(65 + index % 26)
    if extension[:1].islower():
        suffix = suffix.lower()
    elif extension[1:2].isupper():
        letter = letter.upper()
    return f"{stem}.{extension[:1]}{letter}{suffix}"


def _segments_beside(path: Path) -> list[Path]:
    stem = re.escape(path.name.rpartition(".")[0].lower())
    pattern = re.compile(rf"{stem}\.[el][x-z][0-9a-z]{{2}}", re.DOTALL)
    return [file for file in files_beside(path) if pattern.fullmatch(file.name.lower())]


def _header(path: Path, file: RawIOBase, what: str, signature: bytes, wanted: int) -> bytes:
    header = file.read(_HEADER) or b""
    if len(header) < _HEADER:
        raise _cut_off(path, f"it ends within its header, after {len(header)} bytes")
    if not header.startswith(signature):
        raise damaged(path, what, "it does not begin as one")
    major, method = header[8], int.from_bytes(header[10:12], "little")
    number = int.from_bytes(header[12:16], "little")
    if major != 2:
        raise refused(
            path, f"{what} of version {major}", "export it as E01 with the program that made it, and scan that"
        )
    if method not in (NONE, DEFLATE, BZIP2):
        raise refused(path, f"{what} with compression method {method}", "export it as E01 and scan that")
    if number != wanted:
        if wanted == 1:
            raise SourceError(f"{path} is segment {number} of an image, not its first. Name the first (ending in 01)")
        raise damaged(path, what, f"it says that it is segment {number}, where segment {wanted} is due")
    return header


def _sections(path: Path, file: RawIOBase, what: str, segment: int) -> list[Section]:
    """The sections of a segment in the order in which they lie, read from the last one back. Errors: SourceError."""
    size = file.seek(0, 2)
    found: list[Section] = []
    at = size - _DESCRIPTOR
    while len(found) < _MAX_SECTIONS:
        file.seek(max(at, 0))
        data = file.read(_DESCRIPTOR) if at >= _HEADER else b""
        whole = len(data or b"") == _DESCRIPTOR
        if not data or not whole or zlib.adler32(data[:60]) != int.from_bytes(data[60:], "little"):
            if not found:
                raise _cut_off(path, f"no section ends at byte {size}, where the file does")
            raise damaged(path, what, f"its chain of sections breaks at byte {max(at, 0)}")
        kind, flags, before, length, own, _, md5 = struct.unpack_from("<IIQQII16s", data)
        if flags & _ENCRYPTED or kind == KEYS:
            advice = (
                "open it with its password in the program that made it, export it without encryption, and scan that"
            )
            raise refused(path, f"{what} that is encrypted", advice)
        least = before + _DESCRIPTOR if before else _HEADER
        if own != _DESCRIPTOR or least > at - length or (not found and kind not in (NEXT, DONE)):
            if not found:
                raise _cut_off(path, f"its last section is of type {kind}")
            raise damaged(path, what, f"its section at byte {at} contradicts itself")
        found.append(Section(kind, segment, at - length, length, md5 if flags & _HASHED else None))
        if not before:
            return found[::-1]
        at = before
    raise damaged(path, what, "it has more sections than an image can have")


def _cut_off(path: Path, how: str) -> SourceError:
    return SourceError(f"{path} is cut off: {how}. Copy it again from the original, or acquire the disk again")


def object_values(text: str) -> dict[str, str]:
    """The values of the object "main" of a text of EWF, by their tags: lines of tab separated tags and values.

    The characters 1, 2 and 3 stand for a line feed, a carriage return and a tab inside a value.
    """
    lines = [line.rstrip("\r") for line in text.lstrip("\ufeff").split("\n")]
    try:
        at = lines.index("main")
        tags, values = lines[at + 1].split("\t"), lines[at + 2].split("\t")
    except (ValueError, IndexError):
        return {}
    escaped = str.maketrans("\x01\x02\x03", "\n\r\t")
    return {tag: value.translate(escaped) for tag, value in zip(tags, values, strict=False) if value}


def whole_number(text: str | None, default: int = 0) -> int:
    """A decimal number of a text, ``default`` where there is none (18 digits at most: none of a disk has more)."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= 18 else default


def checked_rows(data: bytes, count: int, width: int) -> bytes | None:
    """The rows of a table after its header of 32 bytes, None where their adler32 is another or they are not there."""
    end = _HEADER + count * width
    if len(data) < end + 4 or zlib.adler32(data[_HEADER:end]) != int.from_bytes(data[end : end + 4], "little"):
        return None
    return data[_HEADER:end]


def table_header(data: bytes) -> bytes | None:
    """The first 20 bytes of a table, the last 4 their checksum; None where that is another."""
    sound = len(data) >= _HEADER and zlib.adler32(data[:16]) == int.from_bytes(data[16:20], "little")
    return data[:20] if sound else None


def facts_of(values: Sequence[tuple[str, str | None]]) -> dict[str, str]:
    """The facts that are filled in, each on one line."""
    return {name: " ".join(value.split()) for name, value in values if value and value.strip()}
