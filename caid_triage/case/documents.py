"""What documents for the case file say beside the counts: of each source, of each hash set, dates, names.

Every figure is about what counts.py proposes: a file counts once, and look-alikes never among the exact ones.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from caid_triage.case.counts import FIGURES, GRAVEST_FIRST, JOINED, KINDS_IN_ORDER, propose_once
from caid_triage.case.encode import moment
from caid_triage.case.places import CONTAINER_STATE, PLACE, REMOVED
from caid_triage.case.schema import NUMBER_BITS
from caid_triage.model import Kind, MatchKind, State, Tier

OF_SOURCE = f"JOIN source s ON s.id = e.id >> {NUMBER_BITS}"
EXACT = "p.match_kind = 'exact'"


@dataclass(frozen=True, slots=True)
class SourceTallyRow:
    """How many files of one source count under a category, kind, kind of match and tier; ``unique`` within it."""

    source_id: int
    category_code: str
    category_label: str
    scheme: str
    severity: int | None
    kind: Kind
    match_kind: MatchKind
    tier: Tier | None
    files: int
    unique: int


@dataclass(frozen=True, slots=True)
class SetTallyRow:
    """How many files, and different contents, are identical to an entry of one notable hash set.

    A file that two sets list is in both rows: they do not add up.
    """

    hashset: str
    files: int
    unique: int


@dataclass(frozen=True, slots=True)
class SpanRow:
    """First and last dates of the exact matches of one category in one exhibit, aware UTC; None where no file has one.

    ``undated`` files have none of the three.
    """

    exhibit: str
    category_code: str
    category_label: str
    scheme: str
    files: int
    undated: int
    created: tuple[datetime | None, datetime | None]
    modified: tuple[datetime | None, datetime | None]
    accessed: tuple[datetime | None, datetime | None]


@dataclass(frozen=True, slots=True)
class NamedRow:
    """One content that counts as an exact match, with the place of it that is easiest to come to.

    ``copies`` are the places where it was found, over all exhibits.
    """

    exhibit: str
    source: str
    volume: str
    path: str
    state: State
    category_code: str
    category_label: str
    scheme: str
    severity: int | None
    copies: int
    container_state: State | None
    removed: bool


@dataclass(frozen=True, slots=True)
class SourceProblemRow:
    """How many files of a source have a problem (no note) of one code."""

    source_id: int
    code: str
    files: int


def source_tally_rows(connection: sqlite3.Connection) -> Iterator[SourceTallyRow]:
    """The counts by source, sources as given, gravest category first."""
    propose_once(connection)
    rows = connection.execute(
        f"""SELECT s.id, c.code, c.label, c.scheme, c.severity, e.kind, p.match_kind, p.tier, {FIGURES}
        {JOINED} {OF_SOURCE} GROUP BY s.id, c.id, e.kind, p.match_kind, p.tier
        ORDER BY s.id, p.match_kind, {GRAVEST_FIRST}, {KINDS_IN_ORDER}, p.tier"""
    )
    for source_id, code, label, scheme, severity, kind, match_kind, tier, files, unique in rows:
        met = Kind(kind), MatchKind(match_kind), Tier(tier) if tier else None
        yield SourceTallyRow(source_id, code, label, scheme, severity, *met, files, unique)


def set_tally_rows(connection: sqlite3.Connection) -> Iterator[SetTallyRow]:
    """What each notable set lists of the case, in the order the sets were given; sets that list nothing too."""
    rows = connection.execute(
        """SELECT h.name, count(DISTINCT e.id), count(DISTINCT coalesce(e.sha256, e.id)) FROM hashset h
        LEFT JOIN file_match m ON m.hashset_id = h.id AND m.match_kind = 'exact' AND m.contradicted = 0
        LEFT JOIN entry e ON e.id = m.entry_id
        WHERE h.role = 'notable' GROUP BY h.id ORDER BY h.id"""
    )
    for row in rows:
        yield SetTallyRow(*row)


def span_rows(connection: sqlite3.Connection) -> Iterator[SpanRow]:
    """Dates of the exact matches by exhibit and category, exhibits as given, gravest category first."""
    propose_once(connection)
    rows = connection.execute(
        f"""SELECT s.exhibit, c.code, c.label, c.scheme, count(*),
            count(*) FILTER (WHERE coalesce(e.created, e.modified, e.accessed) IS NULL),
            min(e.created), max(e.created), min(e.modified), max(e.modified), min(e.accessed), max(e.accessed)
        {JOINED} {OF_SOURCE} WHERE {EXACT} GROUP BY s.exhibit, c.id ORDER BY min(s.id), {GRAVEST_FIRST}"""
    )
    for exhibit, code, label, scheme, files, undated, *times in rows:
        first, last = map(moment, times[::2]), map(moment, times[1::2])
        created, modified, accessed = zip(first, last, strict=True)
        yield SpanRow(exhibit, code, label, scheme, files, undated, created, modified, accessed)


def named_rows(connection: sqlite3.Connection) -> Iterator[NamedRow]:
    """Every content of an exact match that is not ranked as not pertinent, in order of its place."""
    propose_once(connection)
    rows = connection.execute(
        f"""SELECT exhibit, source, volume, path, state, code, label, scheme, severity, copies, container, removed
        FROM (
            SELECT e.id, s.exhibit, s.name AS source, e.volume, e.path, e.state, c.code, c.label, c.scheme, c.severity,
                count(*) OVER (PARTITION BY coalesce(e.sha256, e.id)) AS copies,
                {CONTAINER_STATE} AS container, {REMOVED} AS removed,
                row_number() OVER (PARTITION BY coalesce(e.sha256, e.id) ORDER BY
                    CASE {PLACE} WHEN 'live' THEN 0 WHEN 'inside' THEN 1 WHEN 'deleted' THEN 2 ELSE 3 END, e.id
                ) AS place
            {JOINED} {OF_SOURCE} WHERE {EXACT} AND c.severity IS NOT 0
        ) WHERE place = 1 ORDER BY id"""  # noqa: S608 - constants only
    )
    for exhibit, source, volume, path, state, code, label, scheme, severity, copies, container, removed in rows:
        where, inside = (exhibit, source, volume, path), State(container) if container else None
        yield NamedRow(*where, State(state), code, label, scheme, severity, copies, inside, bool(removed))


def source_problem_rows(connection: sqlite3.Connection) -> Iterator[SourceProblemRow]:
    """How many files of each source have which problem, the most frequent first."""
    rows = connection.execute(
        f"""SELECT q.entry_id >> {NUMBER_BITS} AS source_id, q.code, count(DISTINCT q.entry_id) AS n
        FROM entry_problem q WHERE q.severity = 'problem' GROUP BY source_id, q.code
        ORDER BY source_id, n DESC, q.code"""  # noqa: S608 - constants only
    )
    for row in rows:
        yield SourceProblemRow(*row)
