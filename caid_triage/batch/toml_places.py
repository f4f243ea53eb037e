"""Where tables and keys stand in a TOML file: tomllib reads the values, and forgets the lines.

Good enough to point a person at a line, never used to read a value: a file whose tables are written in another way
(an inline array of tables) has no lines here, and its faults are told without one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_TABLE = re.compile(r"\s*\[\[?\s*([A-Za-z0-9_-]+)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"\s*(?:([A-Za-z0-9_-]+)|\"([^\"\\]*)\"|'([^']*)')\s*=")
_PIECE = re.compile(r'"""|\'\'\'|"(?:[^"\\]|\\.)*"|\'[^\']*\'|#.*|[\[\]{}]')


MOST_DOTS = 64
"""Outside of quotes in one line. Python's reader takes minutes for a key of 50,000 parts; a queue has keys of one."""


@dataclass(slots=True)
class Places:
    """The lines, counted from 1, of each table of a name in the order of the file, and of its keys."""

    tables: dict[str, list[int]] = field(default_factory=dict)
    keys: dict[tuple[str, int, str], int] = field(default_factory=dict)

    def line(self, table: str, number: int, key: str = "") -> int | None:
        """The line of a key of the ``number``-th table (from 0) of a name, or of the table; None: not known."""
        own = self.keys.get((table, number, key))
        if own is not None:
            return own
        lines = self.tables.get(table, [])
        return lines[number] if number < len(lines) else None


def places(text: str) -> Places:
    """Where the tables and keys of a TOML text stand. Keys before the first table are of the table ""."""
    found = Places()
    table, number, depth, quote = "", 0, 0, ""
    for line_number, line in enumerate(text.split("\n"), 1):
        if not quote and not depth:
            head, key = _TABLE.match(line), _KEY.match(line)
            if head is not None:
                table = head[1]
                number = len(found.tables.setdefault(table, []))
                found.tables[table].append(line_number)
                continue
            if key is not None:
                found.keys.setdefault((table, number, next(filter(None, key.groups()), "")), line_number)
        depth, quote = _carried(line, depth, quote)
    return found


def _carried(line: str, depth: int, quote: str) -> tuple[int, str]:
    """How many brackets are open behind a line, and which quotes of several lines."""
    at = 0
    while at < len(line):
        if quote:
            end = line.find(quote, at)
            if end < 0:
                return depth, quote
            at, quote = end + len(quote), ""
            continue
        met = _PIECE.search(line, at)
        if met is None:
            break
        at = met.end()
        if met[0] in ('"""', "'''"):
            quote = met[0]
        elif met[0] in "[{":
            depth += 1
        elif met[0] in "]}":
            depth = max(0, depth - 1)
    return depth, quote


def crowded_line(text: str) -> int | None:
    """The first line, from 1, with more than :data:`MOST_DOTS` dots outside of quotes and comments; None for none.

    Each character is looked at once: this is for files that want to be slow.
    """
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") <= MOST_DOTS:
            continue
        quote, dots, escaped = "", 0, False
        for letter in line:
            if escaped:
                escaped = False
            elif quote:
                escaped = letter == "\\" and quote == '"'
                quote = "" if letter == quote else quote
            elif letter in "\"'":
                quote = letter
            elif letter == "#":
                break
            else:
                dots += letter == "."
        if dots > MOST_DOTS:
            return number
    return None
