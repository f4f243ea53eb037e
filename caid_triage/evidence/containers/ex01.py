"""Ex01 (EnCase 7 and later, EWF version 2): the disk, the facts and hashes of its acquisition. Read here.

Sections: ewf2_sections.py, with the source of the format. The number of sectors and their size are in the device's text
("ts", "bp"), the sectors of a chunk in the case's ("sb"). The sectors that could not be read when the disk was acquired
are in the error table: the image has zeros for them, which are counted as unreadable here and not given as content.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from caid_triage.evidence.containers import ewf2_sections as ewf2
from caid_triage.evidence.containers.ewf2_chunks import Ewf2Chunks
from caid_triage.evidence.containers.reader import OpenContainer, Range, StoredHash, damaged, merged
from caid_triage.evidence.faults import LIBRARY_ERRORS
from caid_triage.model import Problem

_PIECE = 1 << 20
_DISK = "disk"
_HASHES = ((ewf2.MD5, "md5", 16), (ewf2.SHA1, "sha1", 20))
_MOST_ERRORS = 1 << 20


def is_ex01(head: bytes, _tail: bytes) -> bool:
    """Whether a file begins as an Ex01."""
    return head.startswith(ewf2.EX01)


def open_ex01(path: Path) -> OpenContainer:
    """Open an Ex01 by its first segment. Errors: SourceError."""
    image = ewf2.open_set(path, "Ex01", ewf2.EX01)
    try:
        device, case = texts_of(image)
        sector = ewf2.whole_number(device.get("bp"))
        size = ewf2.whole_number(device.get("ts")) * sector
        if not size:
            raise OSError("it holds no disk")
        chunks = Ewf2Chunks(image, size, ewf2.whole_number(case.get("sb")) * sector)
        hashes, problems = _stored_hashes(image)
        bad, sound = _bad_areas(image, sector, size)
    except LIBRARY_ERRORS as error:
        image.close()
        raise damaged(path, "Ex01", error) from error
    undescribed = sum(length for _, length in chunks.unreadable())
    if undescribed:
        problems.append(_damage(f"{undescribed} bytes of the disk are described by no sound table of the image"))
    if not sound:
        problems.append(_damage("the table of the areas that could not be acquired is damaged: zeros may stand there"))
    if bad:
        detail = f"{sum(length for _, length in bad)} bytes of the disk could not be read when it was acquired"
        problems.append(Problem("open", "acquisition-errors", detail))
    facts = {**hashes, **facts_of(device, case)}
    reader = Ex01Reader(chunks, bad)
    return OpenContainer("ex01", reader, image.paths, facts, tuple(problems), _Hashed(chunks, hashes))


def texts_of(image: ewf2.Ewf2Set) -> tuple[dict[str, str], dict[str, str]]:
    """The values of the device's and the case's text; each segment has them, the first sound ones are used.

    Errors: OSError when no segment has sound ones.
    """
    found: list[dict[str, str]] = []
    for kind, what in ((ewf2.DEVICE, "device information"), (ewf2.CASE, "case data")):
        values: dict[str, str] = {}
        for section in image.sections:
            if section.kind == kind and not values:
                try:
                    values = ewf2.object_values(image.text(section))
                except OSError:
                    continue  # another segment has the same text
        if not values:
            raise OSError(f"its {what} is missing or damaged")
        found.append(values)
    return found[0], found[1]


def facts_of(device: dict[str, str], case: dict[str, str]) -> dict[str, str]:
    """The facts of the acquisition, named as those of an E01 are."""
    return ewf2.facts_of(
        (
            ("case_number", case.get("cn")),
            ("description", case.get("nm")),
            ("evidence_number", case.get("en")),
            ("examiner_name", case.get("ex")),
            ("notes", case.get("nt")),
            ("acquiry_date", moment(case.get("at"))),
            ("system_date", moment(case.get("tt"))),
            ("acquiry_operating_system", case.get("os")),
            ("acquiry_software_version", case.get("av")),
            ("model", device.get("md")),
            ("serial_number", device.get("sn")),
        )
    )


def moment(text: str | None) -> str | None:
    """A count of seconds since 1970 as a time that a reader understands; other text as it is."""
    seconds = ewf2.whole_number(text)
    if not 0 < seconds < 1 << 33:
        return text
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Ex01Reader:
    """The disk inside an Ex01: what its chunks hold, but for the areas that could not be acquired."""

    def __init__(self, chunks: Ewf2Chunks, bad: Sequence[Range]) -> None:
        self._chunks = chunks
        self._bad = bad
        self.size = chunks.size

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``. OSError when a chunk of them is damaged."""
        return self._chunks.read(offset, length)

    def unreadable(self) -> Sequence[Range]:
        """The areas that could not be acquired, and those that no sound table describes."""
        return [*self._bad, *self._chunks.unreadable()]

    def close(self) -> None:
        """Close every segment."""
        self._chunks.close()


class _Hashed:
    """The hashes that an Ex01 keeps: of all bytes, with the zeros that stand for what could not be acquired."""

    def __init__(self, chunks: Ewf2Chunks, hashes: dict[str, str]) -> None:
        self._chunks = chunks
        self._hashes = hashes

    def stored_hashes(self) -> Sequence[StoredHash]:
        """MD5 and SHA-1 of the disk, where stored."""
        return [StoredHash(_DISK, algorithm, value) for algorithm, value in self._hashes.items()]

    def bytes_of(self, _what: str) -> Iterator[bytes]:
        """The bytes of the disk. OSError when they cannot be read."""
        for offset in range(0, self._chunks.size, _PIECE):
            yield self._chunks.read(offset, min(_PIECE, self._chunks.size - offset))


def _stored_hashes(image: ewf2.Ewf2Set) -> tuple[dict[str, str], list[Problem]]:
    """The stored hashes in hex by algorithm, and a Problem for one that is damaged itself."""
    hashes, problems = {}, []
    for kind, algorithm, length in _HASHES:
        for section in image.sections:
            if section.kind != kind:
                continue
            data = image.read(section.segment, section.start, min(section.size, length + 4))
            digest, checksum = data[:length], data[length:]
            if len(data) == length + 4 and zlib.adler32(digest) == int.from_bytes(checksum, "little"):
                hashes[algorithm] = digest.hex()
            else:
                problems.append(_damage(f"the {algorithm.upper()} that was stored in the image is damaged"))
    return hashes, problems


def _bad_areas(image: ewf2.Ewf2Set, sector: int, size: int) -> tuple[list[Range], bool]:
    """The ranges of the disk that could not be acquired, and whether every table of them is sound."""
    ranges: list[Range] = []
    for section in image.sections:
        if section.kind != ewf2.ERRORS:
            continue
        try:
            header = _table_head(image, section)
            count = int.from_bytes(header[:4], "little")
            if count > _MOST_ERRORS or section.size < 32 + count * 16 + 4:
                return merged(ranges, size), False
            rows = ewf2.checked_rows(image.read(section.segment, section.start, 32 + count * 16 + 4), count, 16)
        except OSError:
            return merged(ranges, size), False
        if rows is None:
            return merged(ranges, size), False
        for at in range(0, len(rows), 16):
            first, sectors = struct.unpack_from("<QI", rows, at)
            ranges.append((first * sector, sectors * sector))
    return merged(ranges, size), True


def _table_head(image: ewf2.Ewf2Set, section: ewf2.Section) -> bytes:
    """The header of a table. OSError where it is damaged."""
    header = ewf2.table_header(image.read(section.segment, section.start, min(section.size, 32)))
    if header is None:
        raise OSError("the header of a table of the image is damaged")
    return header


def _damage(detail: str) -> Problem:
    return Problem("open", "image-damaged", detail)
