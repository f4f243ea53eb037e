"""Lists of PDQ hashes: ``hash,quality[,file name]`` a line, ``FilePath,Hash`` tables, and vPDQ frames of one video."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal

from caid_triage.hashset.manifest import FRAME_UNKNOWN
from caid_triage.hashset.readers.fields import UnusableError, quality_of, set_hash
from caid_triage.hashset.readers.text_lines import cells, first_lines, lines
from caid_triage.hashset.rows import Row, SourceFile
from caid_triage.model import RefusedRow

_PDQ_LINE = re.compile(r"[0-9A-Fa-f]{64},\s*[0-9]{1,3}\s*(?:,.*)?")
_VPDQ_LINE = re.compile(r"[0-9]{1,9},\s*[0-9]{1,3},\s*[0-9A-Fa-f]{64}(?:,\s*[0-9.]+)?\s*")
_LINES_TO_TRY = 20
_MAX_FRAMES = 1_000_000


class PdqReader:
    """Reads PDQ lists. Bare lines of 64 digits are SHA-256 unless ``--format pdq`` says they are PDQ."""

    name = "pdq"
    title = "PDQ list: hash[,quality[,file name]] a line, or a FilePath,Hash table"

    def detects(self, head: bytes) -> bool:
        """Whether the first lines are PDQ hashes with their quality, or the header of a FilePath,Hash table."""
        found = _entries(first_lines(head, _LINES_TO_TRY))
        return bool(found) and (_is_table(found[0]) or _PDQ_LINE.fullmatch(found[0].strip()) is not None)

    def read(self, source: SourceFile) -> Iterator[Row | RefusedRow]:
        """A Row a line; refused ones carry their line number."""
        is_table = any(_is_table(line) for line in _entries(first_lines(source.head, _LINES_TO_TRY))[:1])
        for number, found in cells(source):
            if found[0].lstrip().startswith("#") or (is_table and _is_table(",".join(found))):
                continue
            position = f"line {number}"
            row = Row(position=position)
            try:
                if is_table:
                    set_hash(row, "pdq", found[-1].strip())
                else:
                    quality = quality_of(found[1]) if len(found) > 1 else None
                    set_hash(row, "pdq", found[0].strip(), quality)
                if not row.has_hash:
                    raise UnusableError("no hash in the row")
            except UnusableError as error:
                yield RefusedRow(source.name, position, str(error))
                continue
            yield row


class VpdqReader:
    """Reads ``frame,quality,hash[,seconds]``: the frames of one video become the PDQ hashes of one record.

    Each hash keeps the number of its frame and, where the line states it, its time (rounded to a millisecond).
    """

    name = "vpdq"
    title = "vPDQ frames of one video: frame,quality,hash[,seconds] a line"

    def detects(self, head: bytes) -> bool:
        """Whether the first line is a vPDQ frame."""
        found = _entries(first_lines(head, _LINES_TO_TRY))
        return bool(found) and _VPDQ_LINE.fullmatch(found[0]) is not None

    def read(self, source: SourceFile) -> Iterator[Row | RefusedRow]:
        """One Row for the file; refused lines carry their number."""
        hashes: list[tuple[bytes, int | None]] = []
        frames: list[tuple[int, int | None]] = []
        first = ""
        for number, line in enumerate(lines(source), 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            position = f"line {number}"
            one = Row()
            try:
                if not _VPDQ_LINE.fullmatch(line.strip("\r\n")):
                    raise UnusableError("the line is not frame,quality,hash")
                found = line.split(",")
                set_hash(one, "pdq", found[2].strip(), quality_of(found[1]))
                if len(hashes) >= _MAX_FRAMES:
                    raise UnusableError(f"more than {_MAX_FRAMES} frames of one video")
                if not one.pdq:
                    raise UnusableError("no hash in the row")
                frame = int(found[0]), _milliseconds(found[3]) if len(found) > 3 else None
            except UnusableError as error:
                yield RefusedRow(source.name, position, str(error))
                continue
            hashes += one.pdq
            frames.append(frame)
            first = first or position
        if hashes:
            yield Row(pdq=tuple(hashes), frames=tuple(frames), media_id=source.name, position=first)


def _milliseconds(seconds: str) -> int:
    try:
        time = int((Decimal(seconds.strip()) * 1000).to_integral_value(ROUND_HALF_UP))
    except ArithmeticError:
        raise UnusableError("the time of the frame is not a number of seconds") from None
    if time >= FRAME_UNKNOWN:
        raise UnusableError("the time of the frame is more than 49 days")
    return time


def _entries(found: list[str]) -> list[str]:
    return [line for line in found if line.strip() and not line.lstrip().startswith("#")]


def _is_table(line: str) -> bool:
    return re.sub(r'[\s"]', "", line).lower() == "filepath,hash"
