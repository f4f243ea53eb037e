"""What only the page asks of a case: what entries state of listed files, months, folders, places, shared contents.

A file is *listed* here as the verdict of the page counts it: an exact match proposes it, under a category that its
scheme does not rank as not pertinent. Everything is grouped in the database, so that memory does not grow with a case.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from caid_triage.case.counts import FIGURES, GRAVEST_FIRST, propose_once
from caid_triage.case.places import CONTAINER_STATE, REMOVED
from caid_triage.case.schema import NUMBER_BITS
from caid_triage.model import Kind, State, parent_of

LISTED = "p.match_kind = 'exact' AND coalesce(c.severity, 1) <> 0"
PROPOSED_FILES = f"""FROM proposed p JOIN category c ON c.id = p.category_id JOIN entry e ON e.id = p.entry_id
    JOIN source s ON s.id = e.id >> {NUMBER_BITS}"""
OF_EXACT = f"{PROPOSED_FILES} WHERE p.match_kind = 'exact'"
OF_LISTED = f"{PROPOSED_FILES} WHERE {LISTED}"
# The entries that a file meets exactly, with what they state.
MET = """FROM file_match m JOIN hashset h ON h.id = m.hashset_id JOIN match_stated t ON t.entry_id = m.entry_id
    AND t.hashset_id = m.hashset_id AND t.position = m.position
    WHERE m.entry_id = e.id AND m.match_kind = 'exact' AND m.contradicted = 0 AND h.role = 'notable'"""
STATES = f"EXISTS (SELECT 1 {MET} AND instr(';' || t.stated || ';', ';' || ? || ';') > 0)"
# Whether a file met an entry of a set that states this of some entry: only then does its absence say something.
ASKED = """EXISTS (SELECT 1 FROM file_match m JOIN hashset h ON h.id = m.hashset_id
    WHERE m.entry_id = e.id AND m.match_kind = 'exact' AND m.contradicted = 0 AND h.role = 'notable'
    AND json_extract(h.info, '$.stated."' || ? || '"') > 0)"""
SERIES = f"""SELECT series, files, contents, count(*) OVER () FROM (
    SELECT x.series, count(*) AS files, count(DISTINCT coalesce(e.sha256, e.id)) AS contents FROM (
        SELECT DISTINCT e.id, t.series {PROPOSED_FILES}
            JOIN file_match m ON m.entry_id = e.id AND m.match_kind = 'exact' AND m.contradicted = 0
            JOIN hashset h ON h.id = m.hashset_id AND h.role = 'notable'
            JOIN match_stated t ON t.entry_id = m.entry_id AND t.hashset_id = m.hashset_id AND t.position = m.position
        WHERE t.series <> '' AND {LISTED}
    ) x JOIN entry e ON e.id = x.id GROUP BY x.series
) ORDER BY files DESC, series LIMIT ?"""  # noqa: S608 - constants only
# Microseconds to the month they lie in; rounded down, also before 1970.
MONTH = "strftime('%Y-%m', (e.{field} - CASE WHEN e.{field} < 0 THEN 999999 ELSE 0 END) / 1000000, 'unixepoch')"
MONTHS = f"""SELECT {{month}} AS month, sum(e.kind <> 'other'), sum(coalesce({LISTED}, 0)) FROM entry e
    LEFT JOIN proposed p ON p.entry_id = e.id LEFT JOIN category c ON c.id = p.category_id
    WHERE e.kind <> 'other' OR coalesce({LISTED}, 0) GROUP BY month ORDER BY month"""  # noqa: S608 - constants only
FOLDERS = f"""SELECT s.exhibit, s.name, e.volume, folder_of(e.path) AS folder, {FIGURES}, count(*) OVER () {OF_LISTED}
    GROUP BY s.exhibit, s.name, e.volume, folder
    ORDER BY count(*) DESC, min(e.id) LIMIT ?"""
PLACES = f"""SELECT s.exhibit, c.code, c.label, c.scheme, e.path, e.state, e.kind, {CONTAINER_STATE}, {REMOVED},
    {LISTED} {OF_EXACT} ORDER BY e.id"""
EXHIBITS = f"""SELECT s.exhibit, c.code, c.label, c.scheme, {FIGURES}, sum(e.kind = 'image'), sum(e.kind = 'video')
    {OF_LISTED} GROUP BY s.exhibit, c.id ORDER BY min(s.id), {GRAVEST_FIRST}"""


@dataclass(frozen=True, slots=True)
class StatedCount:
    """Of how many listed files (and contents) entries state a word; how many others met a set that states it of some.

    ``others`` are neither: no set that they met states the word of any entry, or an earlier version matched them.
    """

    word: str
    files: int
    unique: int
    not_stated: int
    not_stated_unique: int
    others: int


@dataclass(frozen=True, slots=True)
class SeriesCount:
    """How many listed files, and contents, belong to a series; ``total`` is how many series there are."""

    series: str
    files: int
    unique: int
    total: int


@dataclass(frozen=True, slots=True)
class MonthCount:
    """How many pictures and films of the case, and how many listed files, have a time in a month (None: no time)."""

    month: str | None
    media: int
    listed: int


@dataclass(frozen=True, slots=True)
class FolderCount:
    """How many listed files lie directly in a folder; ``total`` is how many folders there are."""

    exhibit: str
    source: str
    volume: str
    folder: str
    files: int
    unique: int
    total: int


@dataclass(frozen=True, slots=True)
class ExactFile:
    """One file that an exact match proposes: where it lies, what it counts under, and whether that makes it listed."""

    exhibit: str
    category_code: str
    category_label: str
    scheme: str
    path: str
    state: State
    kind: Kind
    container_state: State | None
    removed: bool
    listed: bool


@dataclass(frozen=True, slots=True)
class ExhibitCategory:
    """How many listed files of one exhibit count under one category."""

    exhibit: str
    category_code: str
    category_label: str
    scheme: str
    files: int
    unique: int
    stills: int
    films: int


def stated_counts(connection: sqlite3.Connection, words: tuple[str, ...]) -> Iterator[StatedCount]:
    """What the entries that listed files met state of their items, a row a word."""
    propose_once(connection)
    (every,) = connection.execute(f"SELECT count(*) {OF_LISTED}").fetchone()
    for word in words:
        files, unique = connection.execute(f"SELECT {FIGURES} {OF_LISTED} AND {STATES}", (word,)).fetchone()
        statement = f"SELECT {FIGURES} {OF_LISTED} AND NOT {STATES} AND {ASKED}"
        not_stated, contents = connection.execute(statement, (word, word)).fetchone()
        yield StatedCount(word, files, unique, not_stated, contents, every - files - not_stated)


def series_counts(connection: sqlite3.Connection, most: int) -> Iterator[SeriesCount]:
    """The series that listed files belong to, those of the most files first."""
    propose_once(connection)
    for row in connection.execute(SERIES, (most,)):
        yield SeriesCount(*row)


def month_counts(connection: sqlite3.Connection, field: str) -> Iterator[MonthCount]:
    """Pictures, films and listed files by the month (UTC) of a time: "created" or "modified"; without a time first."""
    propose_once(connection)
    assert field in ("created", "modified")
    for row in connection.execute(MONTHS.format(month=MONTH.format(field=field))):
        yield MonthCount(*row)


def folder_counts(connection: sqlite3.Connection, most: int) -> Iterator[FolderCount]:
    """The folders (of an embedded file: the file that it lies in) with the most listed files directly in them."""
    propose_once(connection)
    connection.create_function("folder_of", 1, parent_of, deterministic=True)
    for row in connection.execute(FOLDERS, (most,)):
        yield FolderCount(*row)


def exact_files(connection: sqlite3.Connection) -> Iterator[ExactFile]:
    """Every file that an exact match proposes, once, in report order."""
    propose_once(connection)
    for *facts, path, state, kind, container, removed, listed in connection.execute(PLACES):
        inside = State(container) if container else None
        exhibit, code, label, scheme = facts
        yield ExactFile(
            exhibit, code, label, scheme, path, State(state), Kind(kind), inside, bool(removed), bool(listed)
        )


def exhibit_categories(connection: sqlite3.Connection) -> Iterator[ExhibitCategory]:
    """Listed files by exhibit and category, exhibits as they were given, gravest first."""
    propose_once(connection)
    for row in connection.execute(EXHIBITS):
        yield ExhibitCategory(*row)
