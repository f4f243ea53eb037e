"""Storing which records met which entries of which hash sets, at the scan and again later."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence

from caid_triage.case.audit import canonical_json
from caid_triage.case.encode import Row, entry_id, text
from caid_triage.case.rows import MatchChange, NewMatches
from caid_triage.errors import CaseError
from caid_triage.model import Category, Match, MatchKind, ScanRecord

INSERT_MATCH = """INSERT INTO file_match (entry_id, hashset_id, position, match_kind, algorithm, distance, threshold,
    category_id, media_id, record_row, contradicted) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""

# What a match says, apart from the hash set's generation: compared before and after to tell what is new.
OUTCOMES = """SELECT DISTINCT m.entry_id, m.hashset_id, m.match_kind, c.code, c.scheme
    FROM file_match m JOIN category c ON c.id = m.category_id
    WHERE m.contradicted = 0 AND m.hashset_id IN (SELECT value FROM json_each(?))"""

# Needs the table temp.earlier, of what the same statement said before.
NEWLY_MET = f"""SELECT h.name, o.match_kind, o.code, o.scheme, count(*)
    FROM ({OUTCOMES} EXCEPT SELECT * FROM earlier) o JOIN hashset h ON h.id = o.hashset_id
    GROUP BY h.id, o.match_kind, o.code, o.scheme ORDER BY h.id, o.match_kind, o.code, o.scheme"""  # noqa: S608

RecordedBatch = tuple[int, Sequence[ScanRecord], Sequence[tuple[Match, ...]]]


class MatchTable:
    """Writes matches inside the caller's transaction; knows the ids of hash sets and categories."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._categories: dict[Category, int] = {}

    def add(self, source_id: int, records: Sequence[ScanRecord], matches: Sequence[tuple[Match, ...]]) -> None:
        """Store the matches of a batch: ``matches[i]`` are those of ``records[i]``."""
        if len(records) != len(matches):
            raise CaseError(f"{len(records)} records came with the matches of {len(matches)}; nothing was stored")
        ids = self.generations()
        rows: list[Row] = []
        for record, met in zip(records, matches, strict=True):
            identity = entry_id(source_id, record.entry.number)
            for position, match in enumerate(met):
                hashset_id, generation = ids.get(text(match.hashset), (None, None))
                if hashset_id is None or generation != match.generation:
                    raise CaseError(
                        f"hash set {match.hashset} ({match.generation}) is not the one the case was told of"
                    )
                rows.append(
                    (
                        identity,
                        hashset_id,
                        position,
                        match.match_kind.value,
                        match.algorithm,
                        match.distance,
                        match.threshold,
                        self._category_id(match.category),
                        text(match.media_id),
                        match.record_row,
                        int(match.contradicted),
                    )
                )
        self._connection.executemany(INSERT_MATCH, rows)

    def generations(self) -> dict[str, tuple[int, str]]:
        """Row id and generation of each hash set the case was told of, by name."""
        rows = self._connection.execute("SELECT name, id, generation FROM hashset ORDER BY id")
        return {name: (identity, generation) for name, identity, generation in rows}

    def record(self, info: Mapping[str, object]) -> int:
        """Add or renew a hash set by its name; returns its row id. ``info`` needs name, generation and role."""
        try:
            key = tuple(text(str(info[word])) for word in ("name", "generation", "role"))
        except KeyError as missing:
            raise CaseError(f"a hash set cannot be recorded without its {missing}") from missing
        statement = """INSERT INTO hashset (name, generation, role, info) VALUES (?, ?, ?, ?) ON CONFLICT (name)
            DO UPDATE SET generation = excluded.generation, role = excluded.role, info = excluded.info RETURNING id"""
        rows = self._connection.execute(statement, (*key, canonical_json(dict(info)))).fetchall()
        return int(rows[0][0])

    def replace(self, hashsets: Sequence[Mapping[str, object]], batches: Iterable[RecordedBatch]) -> MatchChange:
        """Put these matches in place of all earlier ones with hash sets of the same names; count the change."""
        ids = json.dumps([self.record(info) for info in hashsets])
        run = self._connection.execute
        run("DROP TABLE IF EXISTS temp.earlier")
        run(f"CREATE TEMP TABLE earlier AS {OUTCOMES}", (ids,))
        run("DELETE FROM file_match WHERE hashset_id IN (SELECT value FROM json_each(?))", (ids,))
        for source_id, records, matches in batches:
            self.add(source_id, records, matches)
        found = [NewMatches(name, MatchKind(kind), *rest) for name, kind, *rest in run(NEWLY_MET, (ids,))]
        (gone,) = run(f"SELECT count(*) FROM (SELECT * FROM earlier EXCEPT {OUTCOMES})", (ids,)).fetchone()  # noqa: S608
        return MatchChange(sum(item.files for item in found), gone, tuple(found))

    def forget_categories(self) -> None:
        """Forget row ids learnt in a transaction that was rolled back."""
        self._categories.clear()

    def _category_id(self, category: Category) -> int:
        known = self._categories.get(category)
        if known is not None:
            return known
        columns = (text(category.code), text(category.label), text(category.scheme), category.severity)
        self._connection.execute(
            "INSERT OR IGNORE INTO category (code, label, scheme, severity) VALUES (?, ?, ?, ?)", columns
        )
        (identity,) = self._connection.execute(
            "SELECT id FROM category WHERE code = ? AND label = ? AND scheme = ? AND severity IS ?", columns
        ).fetchone()
        self._categories[category] = identity
        return int(identity)
