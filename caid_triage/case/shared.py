"""The same content on several exhibits: pictures, films and listed files that occur on more than one of them.

An empty file is no content to be shared, and what nobody could read has no digest to compare.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from caid_triage.case.counts import propose_once
from caid_triage.case.decode import reader
from caid_triage.case.page_rows import LISTED
from caid_triage.case.places import CONTAINER_STATE
from caid_triage.case.schema import NUMBER_BITS
from caid_triage.model import Kind, State

# One row a content and exhibit, of contents that at least two exhibits have. An exhibit is its first source's id here.
MAKE = f"""CREATE TEMP TABLE shared AS
WITH place AS (SELECT id, (SELECT min(o.id) FROM source o WHERE o.exhibit = s.exhibit) AS exhibit FROM source s),
found AS (
    SELECT e.sha256, x.exhibit, count(*) AS files, max(coalesce({LISTED}, 0)) AS listed, min(e.id) AS first
    FROM entry e JOIN place x ON x.id = e.id >> {NUMBER_BITS}
        LEFT JOIN proposed p ON p.entry_id = e.id LEFT JOIN category c ON c.id = p.category_id
    WHERE e.sha256 IS NOT NULL AND e.bytes_read > 0 AND (e.kind <> 'other' OR coalesce({LISTED}, 0))
    GROUP BY e.sha256, x.exhibit
)
SELECT * FROM found WHERE sha256 IN (SELECT sha256 FROM found GROUP BY sha256 HAVING count(*) > 1)"""  # noqa: S608
PAIRS = """SELECT a.name, b.name, contents, listed, files, other_files, count(*) OVER () FROM (
    SELECT a.exhibit AS one, b.exhibit AS other, count(*) AS contents, sum(max(a.listed, b.listed)) AS listed,
        sum(a.files) AS files, sum(b.files) AS other_files
    FROM temp.shared a JOIN temp.shared b ON b.sha256 = a.sha256 AND b.exhibit > a.exhibit
    GROUP BY a.exhibit, b.exhibit
) JOIN (SELECT id, exhibit AS name FROM source) a ON a.id = one JOIN (SELECT id, exhibit AS name FROM source) b
    ON b.id = other
ORDER BY listed DESC, contents DESC, one, other LIMIT ?"""
FIGURES = "SELECT count(DISTINCT sha256), count(DISTINCT CASE WHEN listed THEN sha256 END) FROM temp.shared"
# Listed contents first, then in the order of their first occurrence; occurrences in report order.
ROWS = f"""SELECT e.sha256, e.md5, e.sha1, e.kind, e.media_type, e.size, x.exhibits, x.listed,
    coalesce(CASE WHEN {LISTED} THEN c.code END, ''), coalesce(CASE WHEN {LISTED} THEN c.label END, ''),
    coalesce(CASE WHEN {LISTED} THEN c.scheme END, ''), s.exhibit, s.name, e.volume, e.path, e.state, e.created,
    e.modified, {CONTAINER_STATE}
FROM (SELECT sha256, count(*) AS exhibits, max(listed) AS listed, min(first) AS first FROM temp.shared
        GROUP BY sha256) x
    JOIN entry e ON e.sha256 = x.sha256 JOIN source s ON s.id = e.id >> {NUMBER_BITS}
    LEFT JOIN proposed p ON p.entry_id = e.id LEFT JOIN category c ON c.id = p.category_id
ORDER BY x.listed DESC, x.first, e.id"""  # noqa: S608 - constants only


@dataclass(frozen=True, slots=True)
class SharedPair:
    """Two exhibits and how many contents both have; how many files of each have one of these contents.

    ``listed`` of the contents are listed. ``total`` is how many pairs there are.
    """

    exhibit: str
    other: str
    contents: int
    listed: int
    files: int
    other_files: int
    total: int


@dataclass(frozen=True, slots=True)
class SharedFigures:
    """How many contents occur on more than one exhibit, and how many of them are listed."""

    contents: int
    listed: int


@dataclass(frozen=True, slots=True)
class SharedRow:
    """One occurrence of a content that several exhibits have: a row of compare.csv. Occurrences follow each other.

    ``exhibits`` is how many have it; ``listed`` says that it is identical to a listed item, under the category beside.
    """

    sha256: bytes
    md5: bytes | None
    sha1: bytes | None
    kind: Kind
    media_type: str
    size: int | None
    exhibits: int
    listed: int
    category_code: str
    category_label: str
    scheme: str
    exhibit: str
    source: str
    volume: str
    path: str
    state: State
    created: datetime | None
    modified: datetime | None
    container_state: State | None


def share_once(connection: sqlite3.Connection) -> None:
    """Work out what exhibits share into a temporary table, once a connection."""
    if connection.execute("SELECT 1 FROM temp.sqlite_schema WHERE name = 'shared'").fetchone():
        return
    propose_once(connection)
    connection.execute(MAKE)
    connection.execute("CREATE INDEX temp.shared_content ON shared (sha256)")


def shared_figures(connection: sqlite3.Connection) -> SharedFigures:
    """How many contents occur on more than one exhibit."""
    share_once(connection)
    return SharedFigures(*connection.execute(FIGURES).fetchone())


def shared_pairs(connection: sqlite3.Connection, most: int) -> Iterator[SharedPair]:
    """The pairs of exhibits that have contents in common, those with the most listed ones first."""
    share_once(connection)
    for row in connection.execute(PAIRS, (most,)):
        yield SharedPair(*row)


def shared_rows(connection: sqlite3.Connection) -> Iterator[SharedRow]:
    """Every occurrence of every shared content, listed contents first."""
    share_once(connection)
    yield from map(reader(SharedRow), connection.execute(ROWS))
