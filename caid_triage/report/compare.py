"""Two sets of reports of the same material, compared: every difference is one row, and what may differ is named apart.

A defence expert scans the same exhibit again and asks what came out otherwise (ACPO principle 3: an independent third
party should be able to repeat the processes and get the same result). Reports are compared by what they say, not by
their bytes alone: a table by its rows, whatever their order, JSON by its keys, the page by its lines. Tables are read
side by side, so that two of ten million equal rows need no memory; only rows that have not met their like are kept.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, TextIO

from caid_triage.report.foreign_json import read_foreign_json

# What a run has of its own: when it was, and the head of its audit chain, which holds when everything was.
OWN_OF_A_RUN = frozenset({"started", "finished", "audit"})
OWN_LINE = re.compile(r'<[^<>]*id="(?:run-times|audit-head)"')
# By these columns two rows are of the same thing; what else differs in them has changed.
KEYS: Mapping[str, tuple[str, ...]] = {
    "files.csv": ("exhibit", "source", "volume", "path"),
    "matches.csv": ("exhibit", "source", "volume", "path", "match_kind", "algorithm", "hashset", "media_id"),
    "metadata.csv": ("exhibit", "source", "volume", "path"),
    "problems.csv": ("exhibit", "source", "volume", "path", "step", "code"),
    "ledger.csv": ("exhibit", "source", "volume", "start"),
    "delta.csv": ("exhibit", "source", "volume", "path", "hashset"),
}
LONGEST_LINE = 120
Row = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference: in which report or fact, at which place of it, and what stands on either side (None: nothing)."""

    where: str
    place: str
    before: str | None
    after: str | None

    def sentence(self, before: str = "the bundle", after: str = "the case") -> str:
        """The difference in words."""
        place = f"{self.where}: {self.place}" if self.place else self.where
        if self.before is None:
            return f"{place}: only in {after}" + (f": {self.after}" if self.after else "")
        if self.after is None:
            return f"{place}: only in {before}" + (f": {self.before}" if self.before else "")
        return f"{place}: {self.before} in {before}, {self.after} in {after}"


def compare_reports(before: Path, after: Path) -> Iterator[Difference]:
    """Every difference between the reports in two folders, manifests and signatures aside.

    Only files that are reports by their endings (csv, json, html) are compared; a report on one side only is a
    difference. Memory grows with the rows that have not met their like, not with the tables.
    """
    names = sorted({path.name for folder in (before, after) for path in folder.iterdir() if _is_report(path)})
    for name in names:
        one, other = before / name, after / name
        if not one.is_file() or not other.is_file():
            yield Difference(name, "", "" if one.is_file() else None, "" if other.is_file() else None)
            continue
        try:
            if name.endswith(".csv"):
                yield from _compare_tables(name, one, other)
            elif name.endswith(".json"):
                yield from compare_values(name, _json(one), _json(other))
            else:
                yield from _compare_pages(name, one, other)
        except (ValueError, csv.Error):  # neither UTF-8, nor JSON, nor a table: no report of ours
            yield Difference(name, "", _readable(one), _readable(other))


def compare_values(where: str, before: Any, after: Any, place: str = "") -> Iterator[Difference]:
    """Every key, item or value that differs between two pieces of JSON; what a run has of its own at the top aside."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in [*before, *(key for key in after if key not in before)]:
            if not place and key in OWN_OF_A_RUN:
                continue
            below = f"{place}.{key}" if place else str(key)
            if key in before and key in after:
                yield from compare_values(where, before[key], after[key], below)
            else:
                yield Difference(where, below, _spelt(before, key), _spelt(after, key))
    elif (named := _by_name(before)) is not None and (others := _by_name(after)) is not None:
        yield from compare_values(where, named, others, place)
        if set(named) == set(others) and list(named) != list(others):
            yield Difference(where, f"{place}, order", ", ".join(named), ", ".join(others))
    elif isinstance(before, list) and isinstance(after, list):
        for position, (one, other) in enumerate(zip(before, after, strict=False)):
            yield from compare_values(where, one, other, f"{place}[{position}]")
        for position in range(min(len(before), len(after)), max(len(before), len(after))):
            below = f"{place}[{position}]"
            yield Difference(where, below, _spelt(before, position), _spelt(after, position))
    elif type(before) is not type(after) or before != after:
        yield Difference(where, place, json.dumps(before, ensure_ascii=False), json.dumps(after, ensure_ascii=False))


def _by_name(value: Any) -> dict[str, Any] | None:
    """A list of things with names of their own (hash sets, say) as a mapping; None for any other value."""
    if not isinstance(value, list) or not value or not all(isinstance(item, dict) and "name" in item for item in value):
        return None
    named = {str(item["name"]): item for item in value}
    return named if len(named) == len(value) else None


def _spelt(value: Any, key: Any) -> str | None:
    """A value of a dict or list as JSON; None where it has none of that key."""
    if (isinstance(value, list) and key >= len(value)) or (isinstance(value, dict) and key not in value):
        return None
    return json.dumps(value[key], ensure_ascii=False)


def _is_report(path: Path) -> bool:
    return path.suffix in {".csv", ".json", ".html"}


def _json(path: Path) -> Any:
    return read_foreign_json(path.read_bytes())


def _readable(path: Path) -> str:
    """Whether a file can be read as the report that its name says, in words."""
    try:
        if path.suffix == ".json":
            _json(path)
        else:
            with path.open(encoding="utf-8", newline="") as file:
                deque(csv.reader(file) if path.suffix == ".csv" else file, maxlen=0)
    except (ValueError, csv.Error):
        return "no report that can be read"
    return "one that can be read"


def _compare_tables(name: str, before: Path, after: Path) -> Iterator[Difference]:
    with before.open(encoding="utf-8", newline="") as one, after.open(encoding="utf-8", newline="") as other:
        rows, others = csv.reader(one), csv.reader(other)
        header, other_header = next(rows, []), next(others, [])
        if header != other_header:
            yield Difference(name, "columns", ",".join(header), ",".join(other_header))
            return
        lone, other_lone, swapped = _lone_rows(rows, others)
    if swapped and not lone and not other_lone:
        yield Difference(name, "order of the rows", "another", "another")
        return
    yield from _paired(name, header, lone, other_lone)


def _lone_rows(rows: Iterator[list[str]], others: Iterator[list[str]]) -> tuple[list[Row], list[Row], bool]:
    """The rows that only one side has (as often as it has them more), and whether equal rows stood elsewhere."""
    lone: Counter[Row] = Counter()
    other_lone: Counter[Row] = Counter()
    swapped = False
    for row, other in zip_longest(rows, others):
        if row == other:
            continue
        for given, mine, theirs in ((row, lone, other_lone), (other, other_lone, lone)):
            if given is None:
                continue
            key = tuple(given)
            if theirs[key] > 0:
                theirs[key] -= 1
                swapped = True
                if not theirs[key]:
                    del theirs[key]
            else:
                mine[key] += 1
    return list(lone.elements()), list(other_lone.elements()), swapped


def _paired(name: str, header: Sequence[str], lone: list[Row], other_lone: list[Row]) -> Iterator[Difference]:
    """Rows of the same thing beside each other, column by column; the others as missing or more."""
    columns = [header.index(column) for column in KEYS.get(name, ()) if column in header] or list(range(len(header)))

    def thing(row: Row) -> Row:
        return tuple(row[column] for column in columns if column < len(row))

    waiting: dict[Row, list[Row]] = {}
    for row in other_lone:
        waiting.setdefault(thing(row), []).append(row)
    for row in lone:
        partners = waiting.get(thing(row))
        place = " ".join(filter(None, thing(row)))
        if not partners:
            yield Difference(name, place, "", None)
            continue
        for column, (one, other) in enumerate(zip_longest(row, partners.pop(0), fillvalue="")):
            if one != other:
                title = header[column] if column < len(header) else f"column {column + 1}"
                yield Difference(name, f"{place}, {title}", one or "(empty)", other or "(empty)")
    for key, rows in waiting.items():
        for _ in rows:
            yield Difference(name, " ".join(filter(None, key)), None, "")


def _compare_pages(name: str, before: Path, after: Path) -> Iterator[Difference]:
    """Every line that only one of two pages has, the lines of a run's own aside."""
    with before.open(encoding="utf-8", newline="") as one, after.open(encoding="utf-8", newline="") as other:
        lone, other_lone, swapped = _lone_rows(_lines(one), _lines(other))
    for line, theirs in zip_longest(lone, other_lone):
        yield Difference(name, "a line", _begin(line), _begin(theirs))
    if swapped and not lone and not other_lone:
        yield Difference(name, "order of the lines", "another", "another")


def _lines(page: TextIO) -> Iterator[list[str]]:
    return ([line] for line in page if not OWN_LINE.search(line))


def _begin(row: Row | None) -> str | None:
    if row is None:
        return None
    text = " ".join(row[0].split()) or "(an empty line)"
    return text if len(text) <= LONGEST_LINE else f"{text[: LONGEST_LINE - 3]}..."
