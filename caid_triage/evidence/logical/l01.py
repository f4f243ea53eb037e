"""L01 (EnCase 5 to 7) and Lx01 (EnCase 7 and later): files in the chunks of an E01 or Ex01, and a list of them.

Format: libyal, "Expert Witness Compression Format" (sections "volume" or "data", "header2", "ltree") and version 2 of
it (section 0x20). The list of L01 has a header of 48 bytes: MD5 of the list, its size u64, adler32. The size of the
data is in the list, that of a chunk in the volume section: sectors of a chunk u32 at 8, bytes of a sector u32 at 12.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from caid_triage.evidence import ewf
from caid_triage.evidence.containers import ewf2_sections as ewf2
from caid_triage.evidence.containers.ewf2_chunks import LARGEST_CHUNK, Ewf2Chunks
from caid_triage.evidence.containers.ex01 import facts_of, moment, texts_of
from caid_triage.evidence.containers.reader import damaged
from caid_triage.evidence.ewf_chunks import EwfChunks
from caid_triage.evidence.faults import LIBRARY_ERRORS
from caid_triage.evidence.logical import file_list
from caid_triage.evidence.logical.image import LogicalFile, list_damaged
from caid_triage.evidence.unpack import inflated
from caid_triage.model import Problem

L01 = b"LVF\x09\x0d\x0a\xff\x00"
_SECTION = 76
_LIST_HEADER = 48
_BLOCK = 1 << 20
_USUAL_CHUNK = 32768
_MOST_HEADER = 1 << 20
_FACTS = {
    "c": "case_number",
    "a": "description",
    "n": "evidence_number",
    "e": "examiner_name",
    "t": "notes",
    "m": "acquiry_date",
    "u": "system_date",
    "ov": "acquiry_operating_system",
    "av": "acquiry_software_version",
}


class _Data(Protocol):
    """The data of all files, one after the other."""

    def read(self, offset: int, length: int, /) -> bytes:
        """The bytes at ``offset``. OSError when they cannot be had."""
        ...

    def close(self) -> None:
        """Close every segment."""
        ...


@dataclass(slots=True)
class EwfFiles:
    """An opened L01 or Lx01. ``blocks`` gives the list of files in blocks of bytes, ``size`` is that of the data."""

    kind: str
    segments: tuple[Path, ...]
    facts: dict[str, str]
    problems: Sequence[Problem]
    data: _Data
    size: int
    blocks: Callable[[], Iterator[bytes]] = field(repr=False)

    def files(self) -> Iterator[LogicalFile | Problem]:
        """Every file in the order of the list; a Problem where that is damaged."""
        try:
            yield from file_list.files_of(file_list.lines_of(self.blocks()), self.size)
        except LIBRARY_ERRORS as error:
            yield list_damaged(str(error))

    def read(self, place: Sequence[int], size: int, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset`` of a content of ``size`` bytes. OSError when it cannot."""
        form, *numbers = place
        if form == file_list.REPEATED:
            return self._bytes(numbers[0], 1) * min(length, size - offset)
        pieces = []
        for start, extent in zip(numbers[::2], numbers[1::2], strict=True):
            if offset < extent and length > 0:
                wanted = min(length, extent - offset)
                pieces.append(self._bytes(start + offset, wanted))
                length -= wanted
            offset = max(0, offset - extent) if not pieces else 0
        return b"".join(pieces)

    def _bytes(self, offset: int, length: int) -> bytes:
        if offset + length > self.size:
            raise OSError("the content should lie behind the end of the data of the image")
        data = self.data.read(offset, length)
        if len(data) != length:
            raise OSError("the data of the image ends early")
        return data

    def close(self) -> None:
        """Close every segment."""
        self.data.close()


def is_l01(head: bytes) -> bool:
    """Whether a file begins as an L01."""
    return head.startswith(L01)


def is_lx01(head: bytes) -> bool:
    """Whether a file begins as an Lx01."""
    return head.startswith(ewf2.LX01)


def open_lx01(path: Path) -> EwfFiles:
    """Open an Lx01 by its first segment. Errors: SourceError."""
    image = ewf2.open_set(path, "Lx01", ewf2.LX01)
    try:
        device, case = texts_of(image)
        lists = [section for section in image.sections if section.kind == ewf2.FILES]
        if len(lists) != 1:
            raise OSError(f"it has {len(lists)} lists of files")
        section = lists[0]

        def blocks() -> Iterator[bytes]:
            for at in range(0, section.size, _BLOCK):
                yield image.read(section.segment, section.start + at, min(_BLOCK, section.size - at))

        size = _size_of_data(blocks)
        chunk = ewf2.whole_number(case.get("sb")) * ewf2.whole_number(device.get("bp"))
        chunks = Ewf2Chunks(image, size, chunk or _USUAL_CHUNK)
        problems = _checked_list(blocks, section.md5)
    except LIBRARY_ERRORS as error:
        image.close()
        raise damaged(path, "Lx01", error) from error
    undescribed = sum(length for _, length in chunks.unreadable())
    if undescribed:
        detail = f"{undescribed} bytes of the data of its files are described by no sound table of the image"
        problems.append(Problem("open", "image-damaged", detail))
    return EwfFiles("lx01", image.paths, facts_of(device, case), problems, chunks, size, blocks)


def open_l01(path: Path) -> EwfFiles:
    """Open an L01 by its first segment. Errors: SourceError."""
    segments, _ = ewf.find_segments(path, "L01")
    try:
        found = {kind: place for segment in segments for kind, place in _sections(segment)}
        if b"ltree" not in found:
            raise OSError("it has no list of files")
        segment, at, length = found[b"ltree"]
        head = _bytes_at(segment, at, _LIST_HEADER)
        md5, listed = struct.unpack_from("<16sQ", head)
        if listed > length - _LIST_HEADER:
            raise OSError("its list of files is longer than where it stands")

        def blocks() -> Iterator[bytes]:
            for offset in range(0, listed, _BLOCK):
                yield _bytes_at(segment, at + _LIST_HEADER + offset, min(_BLOCK, listed - offset))

        size = _size_of_data(blocks)
        chunks = _chunks_of(segments, size, found)
        problems = _checked_list(blocks, md5)
        facts = _header_facts(found)
    except LIBRARY_ERRORS as error:
        raise damaged(path, "L01", error) from error
    return EwfFiles("l01", tuple(segments), facts, problems, chunks, size, blocks)


_Place = tuple[Path, int, int]
"""The segment, the first byte and the length of the data of a section."""


def _sections(path: Path) -> Iterator[tuple[bytes, _Place]]:
    """The sections of a segment whose chain was found whole (ewf.find_segments)."""
    offset = 13
    while True:
        section = _bytes_at(path, offset, _SECTION)
        kind = section[:16].rstrip(b"\0")
        following, length = struct.unpack_from("<QQ", section, 16)
        yield kind, (path, offset + _SECTION, max(0, length - _SECTION))
        if following <= offset or kind in (b"next", b"done"):
            return
        offset = following


def _bytes_at(path: Path, offset: int, length: int) -> bytes:
    with path.open("rb", buffering=0) as file:
        file.seek(offset)
        data = file.read(length) or b""
    if len(data) != length:
        raise OSError(f"{path.name} ends early")
    return data


def _size_of_data(blocks: Callable[[], Iterator[bytes]]) -> int:
    size = file_list.total_bytes(file_list.lines_of(blocks()))
    if size is None:
        raise OSError("its list of files does not begin as one")
    return size


def _checked_list(blocks: Callable[[], Iterator[bytes]], md5: bytes | None) -> list[Problem]:
    """A Problem where the list of files is not the one that its MD5 was taken of."""
    digest = hashlib.md5(usedforsecurity=False)
    for block in blocks():
        digest.update(block)
    if md5 is None or digest.digest() == md5:
        return []
    return [Problem("open", "file-list-damaged", "the image's list of files is damaged: its MD5 is another")]


def _chunks_of(segments: list[Path], size: int, found: dict[bytes, _Place]) -> EwfChunks:
    """The chunks of an L01; where the size that it states does not fit its tables, the usual size is tried."""
    segment, at, length = found.get(b"volume") or found.get(b"disk") or found.get(b"data") or (segments[0], 0, 0)
    stated = 0
    if length >= 16:
        sectors, sector = struct.unpack("<II", _bytes_at(segment, at + 8, 8))
        stated = sectors * sector
    sizes = [chunk for chunk in dict.fromkeys((stated, _USUAL_CHUNK)) if 0 < chunk <= LARGEST_CHUNK]
    for chunk in sizes[:-1]:
        try:
            return EwfChunks(segments, size, chunk, "L01")
        except ValueError:
            continue  # its tables describe another number of chunks than it would have
    return EwfChunks(segments, size, sizes[-1], "L01")


def _header_facts(found: dict[bytes, _Place]) -> dict[str, str]:
    """The facts of the acquisition; none where the header is damaged, which takes nothing from the files."""
    values: dict[str, str] = {}
    for kind, encoding in ((b"header", "latin-1"), (b"header2", "utf-16")):
        if kind not in found or found[kind][2] > _MOST_HEADER:
            continue
        try:
            text = inflated(_bytes_at(*found[kind]), _MOST_HEADER).decode(encoding, "replace")
        except OSError:
            continue
        values |= ewf2.object_values(text)
    stated = ((name, values.get(tag)) for tag, name in _FACTS.items())
    return ewf2.facts_of([(name, moment(text) if name.endswith("_date") else text) for name, text in stated])
