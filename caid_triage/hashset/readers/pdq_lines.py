"""Lists of PDQ hashes: ``hash,quality[,file name]`` a line, ``FilePath,Hash`` tables, and vPDQ frames of one video."""

from __future__ import annotations

import re
from collections.abc import Iterator

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

    The store has no column for the time of a frame: numbers and times are counted and left out. A frame whose
    hash stood before adds nothing; the better quality counts.
    """

    name = "vpdq"
    title = "vPDQ frames of one video: frame,quality,hash[,seconds] a line"

    def detects(self, head: bytes) -> bool:
        """Whether the first line is a vPDQ frame."""
        found = _entries(first_lines(head, _LINES_TO_TRY))
        return bool(found) and _VPDQ_LINE.fullmatch(found[0]) is not None

    def read(self, source: SourceFile) -> Iterator[Row | RefusedRow]:
        """One Row for the file; refused lines carry their number."""
        frames: dict[bytes, int | None] = {}
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
                if len(frames) >= _MAX_FRAMES:
                    raise UnusableError(f"more than {_MAX_FRAMES} frames of one video")
            except UnusableError as error:
                yield RefusedRow(source.name, position, str(error))
                continue
            for value, quality in one.pdq:
                frames[value] = max(quality or 0, frames.get(value) or 0)
            first = first or position
            source.ignored["vPDQ frame numbers and times"] += 1
        if frames:
            yield Row(pdq=tuple(frames.items()), media_id=source.name, position=first)


def _entries(found: list[str]) -> list[str]:
    return [line for line in found if line.strip() and not line.lstrip().startswith("#")]


def _is_table(line: str) -> bool:
    return re.sub(r'[\s"]', "", line).lower() == "filepath,hash"
