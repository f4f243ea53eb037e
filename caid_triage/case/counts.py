"""Counting files by category: the one place that decides which category a file counts under.

A file counts once: under its strongest kind of match (exact, then video, then near, there strong before lead:
look-alikes are never mixed into exact counts), and there under the gravest category. A code the scheme does not know
ranks above every ignorable one (severity 0) and below every graver one; no code at all ranks just below it. Known-good
and contradicted matches never count. The same rule as match/policy.py has for one file, here over all files at once;
tests/unit/case holds the two together.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from caid_triage.case.places import PLACE
from caid_triage.case.rows import CountRow, ExhibitRow, TallyRow
from caid_triage.case.schema import NUMBER_BITS
from caid_triage.model import STRONG_BITS, Kind, MatchKind, State, Tier

# As tier_of in model.py says it.
TIER = f"""CASE WHEN m.match_kind <> 'near' THEN '' WHEN m.algorithm = 'pdq' AND m.distance <= {STRONG_BITS}
    THEN '{Tier.STRONG}' ELSE '{Tier.LEAD}' END"""
STRONGEST_KIND_FIRST = f"""CASE m.match_kind WHEN 'exact' THEN 0 WHEN 'video' THEN 1 ELSE 2 END,
    CASE {TIER} WHEN '{Tier.LEAD}' THEN 1 ELSE 0 END"""
GRAVEST_FIRST = "coalesce(c.severity, CASE c.code WHEN '' THEN 0.25 ELSE 0.5 END) DESC, c.code, c.scheme, c.label"
KINDS_IN_ORDER = "CASE e.kind WHEN 'image' THEN 0 WHEN 'video' THEN 1 ELSE 2 END"

PROPOSALS = f"""
SELECT entry_id, match_kind, tier, category_id FROM (
    SELECT m.entry_id, m.match_kind, {TIER} AS tier, m.category_id, row_number() OVER (
        PARTITION BY m.entry_id ORDER BY {STRONGEST_KIND_FIRST}, {GRAVEST_FIRST}
    ) AS place
    FROM file_match m JOIN category c ON c.id = m.category_id JOIN hashset h ON h.id = m.hashset_id
    WHERE h.role = 'notable' AND m.contradicted = 0
) WHERE place = 1
"""  # noqa: S608 - constants only
PROPOSED = f"CREATE TEMP TABLE proposed AS {PROPOSALS}"

# A content without a digest is unique by itself.
FIGURES = "count(*), count(DISTINCT coalesce(e.sha256, e.id))"
JOINED = "FROM proposed p JOIN entry e ON e.id = p.entry_id JOIN category c ON c.id = p.category_id"


def propose_once(connection: sqlite3.Connection) -> None:
    """Work out each matched file's category into a temporary table, once a connection."""
    if not connection.execute("SELECT 1 FROM temp.sqlite_schema WHERE name = 'proposed'").fetchone():
        connection.execute(PROPOSED)
        connection.execute("CREATE UNIQUE INDEX temp.proposed_entry ON proposed (entry_id)")


def count_rows(connection: sqlite3.Connection) -> Iterator[CountRow]:
    """Files and unique contents by category, kind, state and kind of match, gravest first."""
    propose_once(connection)
    rows = connection.execute(
        f"""SELECT c.code, c.label, c.scheme, e.kind, e.state, p.match_kind, {FIGURES} {JOINED}
        GROUP BY c.id, e.kind, e.state, p.match_kind
        ORDER BY p.match_kind, {GRAVEST_FIRST}, {KINDS_IN_ORDER}, e.state"""
    )
    for code, label, scheme, kind, state, match_kind, files, unique in rows:
        yield CountRow(code, label, scheme, Kind(kind), State(state), MatchKind(match_kind), files, unique)


def tally_rows(connection: sqlite3.Connection) -> Iterator[TallyRow]:
    """The cells of the report's count table, gravest first: by place, then over all places."""
    propose_once(connection)
    for place in (PLACE, "'all'"):
        rows = connection.execute(
            f"""SELECT c.code, c.label, c.scheme, c.severity, e.kind, p.match_kind, {place} AS place, {FIGURES}, p.tier
            {JOINED}
            GROUP BY c.id, e.kind, p.match_kind, p.tier, place
            ORDER BY p.match_kind, {GRAVEST_FIRST}, {KINDS_IN_ORDER}, place, p.tier"""
        )
        for *category, kind, match_kind, where, files, unique, tier in rows:
            code, label, scheme, severity = category
            what = Kind(kind), MatchKind(match_kind)
            yield TallyRow(code, label, scheme, severity, *what, where, files, unique, Tier(tier) if tier else None)


def md5_alone(connection: sqlite3.Connection) -> tuple[int, int]:
    """How many files, and different contents, count as exact matches by nothing stronger than MD5."""
    propose_once(connection)
    statement = f"""SELECT {FIGURES} {JOINED} WHERE p.match_kind = 'exact' AND NOT EXISTS (
        SELECT 1 FROM file_match m JOIN hashset h ON h.id = m.hashset_id WHERE m.entry_id = p.entry_id
        AND m.match_kind = 'exact' AND m.algorithm <> 'md5' AND m.contradicted = 0 AND h.role = 'notable')"""  # noqa: S608
    files, unique = connection.execute(statement).fetchone()
    return int(files), int(unique)


def contradicted_files(connection: sqlite3.Connection) -> dict[str, int]:
    """By exhibit how many files met listed items whose digests contradict theirs: in no count."""
    rows = connection.execute(
        f"""SELECT exhibit, count(*) FROM (
            SELECT DISTINCT s.exhibit, s.name, e.volume, e.path
            FROM file_match m JOIN hashset h ON h.id = m.hashset_id JOIN entry e ON e.id = m.entry_id
                JOIN source s ON s.id = e.id >> {NUMBER_BITS}
            WHERE h.role = 'notable' AND m.contradicted <> 0
        ) GROUP BY exhibit"""  # noqa: S608 - constants only
    )
    return dict(rows.fetchall())


def exhibit_rows(connection: sqlite3.Connection) -> Iterator[ExhibitRow]:
    """Files and unique contents by exhibit and kind of match, exhibits in the order they were given."""
    propose_once(connection)
    rows = connection.execute(
        f"""SELECT s.exhibit, p.match_kind, {FIGURES} {JOINED} JOIN source s ON s.id = e.id >> {NUMBER_BITS}
        GROUP BY s.exhibit, p.match_kind ORDER BY min(s.id), p.match_kind"""
    )
    for exhibit, match_kind, files, unique in rows:
        yield ExhibitRow(exhibit, MatchKind(match_kind), files, unique)
