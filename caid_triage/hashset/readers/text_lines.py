"""The lines of a text list, none longer than a list of hashes has any use for."""

from __future__ import annotations

import csv
from collections.abc import Iterator

from caid_triage.errors import HashSetError
from caid_triage.hashset.rows import SourceFile, head_text

MAX_LINE = 1 << 20


def lines(source: SourceFile) -> Iterator[str]:
    """The lines of the file with their ends; HashSetError at one longer than a million characters."""
    text = source.text()
    number = 0
    while line := text.readline(MAX_LINE):
        number += 1
        if len(line) >= MAX_LINE and not line.endswith(("\n", "\r")):
            raise HashSetError(
                f"{source.name}: line {number} is longer than {MAX_LINE} characters: not a list of hashes. "
                "Nothing was imported."
            )
        yield line


def cells(source: SourceFile, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """(line number, cells) of every line of a table that is not empty, the header too."""
    table = csv.reader(lines(source), delimiter=delimiter)
    try:
        for row in table:
            if any(cell.strip() for cell in row):
                yield table.line_num, row
    except csv.Error as error:
        raise HashSetError(
            f"{source.name}: line {table.line_num} cannot be read as a table ({error}). Nothing was imported."
        ) from error


def first_lines(head: bytes, count: int) -> list[str]:
    """Up to ``count`` lines of the beginning of a file, without their ends; a line the head cuts is left out."""
    text = head_text(head)
    found = text.splitlines()
    if len(found) > 1 and not text.endswith(("\n", "\r")):
        found.pop()
    return found[:count]
