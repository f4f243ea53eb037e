"""E01 images (Expert Witness, one or many segments) as a disk for pytsk3: opened by libewf, read by ewf_chunks.

Format: libyal, "Expert Witness Compression Format": a segment file is a 13-byte header and a chain of
sections of 76 bytes (type, offset of the next, size, ...), ended by "next" (another file follows) or "done".
"""

from __future__ import annotations

import re
import struct
from io import BufferedReader
from pathlib import Path

import pyewf

from caid_triage.errors import SourceError
from caid_triage.evidence.ewf_chunks import EwfChunks
from caid_triage.evidence.faults import LIBRARY_ERRORS, plain_reason
from caid_triage.evidence.image_file import files_beside, is_text
from caid_triage.evidence.proxied import ProxiedImage
from caid_triage.model import Problem

SIGNATURES = (b"EVF\x09\x0d\x0a\xff\x00",)
_FACTS = (
    "case_number", "description", "evidence_number", "examiner_name", "notes",
    "acquiry_date", "system_date", "acquiry_operating_system", "acquiry_software_version", "model", "serial_number",
)  # fmt: skip
_MAX_SECTIONS = 1_000_000


class EwfImage(ProxiedImage):
    """The disk inside an E01 set, for pytsk3."""

    def __init__(self, reader: EwfChunks | LibewfReader, size: int) -> None:
        self._reader = reader
        self._size = size
        super().__init__()

    def get_size(self) -> int:
        """The bytes of the disk, not of the files."""
        return self._size

    def exact(self, offset: int, size: int) -> bytes:
        """The bytes at ``offset``; shorter only at the end of the disk."""
        return self._reader.read(offset, size)

    def close(self) -> None:
        """Close every segment."""
        self._reader.close()


class LibewfReader:
    """The disk as libewf reads it: for sets that our own reader does not understand (SMART's, damaged tables).

    A damaged chunk comes as zeros, without an error.
    """

    def __init__(self, handle: pyewf.handle, files: list[BufferedReader]) -> None:
        self._handle = handle
        self._files = files

    def read(self, offset: int, size: int) -> bytes:
        """The bytes at ``offset``."""
        self._handle.seek(offset)
        data: bytes = self._handle.read(size)
        return data

    def close(self) -> None:
        """Close every segment."""
        _close(self._handle, self._files)


def _close(handle: pyewf.handle, files: list[BufferedReader]) -> None:
    handle.close()
    for file in files:
        file.close()


def find_segments(path: Path, what: str = "E01") -> tuple[list[Path], int]:
    """All segments of the E01 or L01 whose first is ``path``, in order, and the bad areas noted at acquisition.

    Errors: SourceError when ``path`` is not the first segment, when a segment is missing (it is
    named), or when the last one is cut off.
    """
    number = segment_number(path, what)
    if number != 1:
        message = (
            f"{path} is segment {number} of an {what} image, not its first. Name the first segment (ending in .{what})"
        )
        raise SourceError(message)
    by_name = _sibling_segments(path)
    segments = [path]
    bad_areas = 0
    while True:
        ending, noted = _ending(segments[-1])
        bad_areas += noted
        if ending == "done":
            return segments, bad_areas
        wanted = segment_name(path.name, len(segments) + 1)
        if ending != "next":
            message = f"{segments[-1]} is cut off: {ending}. Copy it again from the original, or acquire the disk again"
            raise SourceError(message)
        following = by_name.get(wanted.lower())
        if following is None:
            message = (
                f"{path} has {len(segments)} of its segments here, but {wanted} is missing. "
                f"Put all segments into one folder and try again"
            )
            raise SourceError(message)
        segments.append(following)


def segment_number(path: Path, what: str = "E01") -> int:
    """The number that a segment file itself carries, from 1. Errors: SourceError."""
    try:
        with path.open("rb") as file:
            header = file.read(13)
    except OSError as error:
        message = f"{path} could not be read: {plain_reason(error)}"
        raise SourceError(message) from error
    if len(header) < 13:
        message = f"{path} is cut off: it is an {what} image of {len(header)} bytes. Copy it again from the original"
        raise SourceError(message)
    return int.from_bytes(header[9:11], "little")


def segment_name(first: str, number: int) -> str:
    """The file name of a segment: E01 .. E99, EAA .. EZZ, FAA .. ZZZ, in the case of the first."""
    stem, _, extension = first.rpartition(".")
    lower = extension[:1].islower()
    if number <= 99:
        suffix = f"{extension[:1]}{number:02d}"
    else:
        index = number - 100
        letter = chr(min(ord(extension[:1].upper()) + index // 676, ord("Z")))
        suffix = letter + chr(65 + index // 26 % 26) + chr(65 + index % 26)
    return f"{stem}.{suffix.lower() if lower else suffix}"


def _sibling_segments(path: Path) -> dict[str, Path]:
    stem = re.escape(path.name.rpartition(".")[0].lower())
    pattern = re.compile(rf"{stem}\.[a-z][0-9a-z]{{2}}", re.DOTALL)
    return {file.name.lower(): file for file in files_beside(path) if pattern.fullmatch(file.name.lower())}


def _ending(path: Path) -> tuple[str, int]:
    """How a segment ends, and how many areas it says could not be read when the disk was acquired.

    The ending is "done", "next", or a phrase that says where the chain of sections breaks.
    """
    noted = 0
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            offset = 13
            for _ in range(_MAX_SECTIONS):
                file.seek(offset)
                section = file.read(76)
                if len(section) < 76:
                    return f"a section is missing at byte {offset} of {size}", noted
                kind = section[:16].rstrip(b"\x00")
                if kind in (b"done", b"next"):
                    return kind.decode("ascii"), noted
                if kind == b"error2":
                    noted += int.from_bytes(file.read(4), "little")
                following, length = struct.unpack_from("<QQ", section, 16)
                if not offset < following <= size or offset + length > size:
                    return f"a section at byte {offset} reaches beyond the file's {size} bytes", noted
                offset = following
    except OSError as error:
        message = f"{path} could not be read: {plain_reason(error)}"
        raise SourceError(message) from error
    return "it has more sections than an image can have", noted


def open_ewf(segments: list[Path]) -> tuple[EwfImage, dict[str, str], list[Problem]]:
    """The disk, the acquisition facts stored with it, and what is amiss with the set.

    Facts are ``md5`` and ``sha1`` in hex where stored, and the header's fields that are filled in.
    Errors: SourceError.
    """
    handle = pyewf.handle()
    files: list[BufferedReader] = []
    try:
        if all(is_text(segment) for segment in segments):
            handle.open([str(segment) for segment in segments])
        else:
            files = [segment.open("rb") for segment in segments]
            handle.open_file_objects(files)
        size, chunk_size = int(handle.get_media_size()), int(handle.get_chunk_size())
        facts = _facts(handle)
    except LIBRARY_ERRORS as error:
        for file in files:
            file.close()
        message = f"{segments[0]} could not be opened as an E01 image: {plain_reason(error)}. Verify it with ewfverify"
        raise SourceError(message) from error
    if size <= 0 or chunk_size <= 0:
        message = f"{segments[0]} is an E01 image that holds no disk. Verify it with ewfverify"
        raise SourceError(message)
    try:
        chunks = EwfChunks(segments, size, chunk_size)
    except (OSError, ValueError) as error:
        detail = (
            f"the E01 image's tables could not be checked ({plain_reason(error)}): "
            f"it is read through libewf, which gives zeros for damaged parts without saying so"
        )
        return EwfImage(LibewfReader(handle, files), size), facts, [Problem("open", "image-not-checked", detail)]
    _close(handle, files)
    return EwfImage(chunks, size), facts, []


def _facts(handle: pyewf.handle) -> dict[str, str]:
    facts = {}
    for name in ("MD5", "SHA1"):
        value = handle.get_hash_value(name)
        if value:
            facts[name.lower()] = value.lower()
    header = handle.get_header_values()
    facts.update({key: " ".join(header[key].split()) for key in _FACTS if header.get(key, "").strip()})
    return facts
