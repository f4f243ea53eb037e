"""Storing which records met which entries of which hash sets, at the scan and again later."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple

from caid_triage.case.audit import canonical_json
from caid_triage.case.collisions import mark_collided
from caid_triage.case.encode import Row, entry_id, microseconds, text, whole
from caid_triage.case.regrade import Regrade
from caid_triage.case.rows import MatchChange
from caid_triage.errors import CaseError
from caid_triage.model import Category, Decision, Match, MatchKind, ScanRecord, Withheld

INSERT_MATCH = """INSERT INTO file_match (entry_id, hashset_id, position, match_kind, algorithm, distance, threshold,
    category_id, media_id, record_row, contradicted) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""

INSERT_DETAIL = "INSERT INTO match_detail VALUES (?, ?, ?, ?, ?, ?)"
INSERT_LOOK = "INSERT INTO match_look VALUES (?, ?, ?, ?)"
INSERT_SAID = "INSERT INTO match_said VALUES (?, ?, ?, ?, ?, ?, ?)"
INSERT_VIDEO = "INSERT INTO video_match VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
INSERT_WITHHELD = "INSERT INTO withheld VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
TABLES = ("file_match", "match_detail", "match_look", "match_said", "video_match", "withheld")

# Source id, records, their matches, and what was withheld of each record (may be left out).
RecordedBatch = (
    tuple[int, Sequence[ScanRecord], Sequence[tuple[Match, ...]]]
    | tuple[int, Sequence[ScanRecord], Sequence[tuple[Match, ...]], Sequence[tuple[Withheld, ...]]]
)


class MatchTable:
    """Writes matches inside the caller's transaction; knows the ids of hash sets and categories."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._categories: dict[Category, int] = {}

    def add(
        self,
        source_id: int,
        records: Sequence[ScanRecord],
        matches: Sequence[tuple[Match, ...]],
        withheld: Sequence[tuple[Withheld, ...]] = (),
    ) -> None:
        """Store the matches of a batch: ``matches[i]`` are those of ``records[i]``, and so is ``withheld[i]``."""
        if len(records) != len(matches) or len(withheld) not in (0, len(records)):
            raise CaseError(f"{len(records)} records came with the matches of {len(matches)}; nothing was stored")
        ids = self.generations()
        rows: list[Row] = []
        details: list[Row] = []
        looks: list[Row] = []
        said: list[Row] = []
        videos: list[Row] = []
        held: list[Row] = []
        md5_alone: list[tuple[bytes, bytes, int]] = []
        for place, (record, met) in enumerate(zip(records, matches, strict=True)):
            identity = entry_id(source_id, record.entry.number, record.entry.part)
            digests = record.examination.digests
            if digests is not None and any(map(_on_md5_alone, met)):
                md5_alone.append((digests.md5, digests.sha256, identity))
            for position, match in enumerate(met):
                hashset_id = self._hashset_id(ids, match)
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
                detail = (match.orientation, match.quality, whole(match.listed_size))
                if detail != ("", None, None):
                    details.append((identity, hashset_id, position, *detail))
                if match.look:
                    looks.append((identity, hashset_id, position, text(match.look)))
                if match.said is not None:
                    *flags, series = astuple(match.said)
                    said.append((identity, hashset_id, position, *map(int, flags), text(series)))
                if match.agreement is not None:
                    *figures, strip, listed_strip = astuple(match.agreement)
                    strips = json.dumps(strip), json.dumps(listed_strip)
                    videos.append((identity, hashset_id, position, *figures, *strips))
            for position, item in enumerate(withheld[place] if withheld else ()):
                held.append(
                    (
                        identity,
                        self._hashset_id(ids, item),
                        position,
                        item.reason,
                        item.algorithm,
                        item.count,
                        item.nearest,
                        item.threshold,
                        item.kept,
                        text(item.by),
                    )
                )
        self._connection.executemany(INSERT_MATCH, rows)
        self._connection.executemany(INSERT_DETAIL, details)
        self._connection.executemany(INSERT_LOOK, looks)
        self._connection.executemany(INSERT_SAID, said)
        self._connection.executemany(INSERT_VIDEO, videos)
        self._connection.executemany(INSERT_WITHHELD, held)
        mark_collided(self._connection, md5_alone)

    def _hashset_id(self, ids: Mapping[str, tuple[int, str]], met: Match | Withheld) -> int:
        hashset_id, generation = ids.get(text(met.hashset), (None, None))
        if hashset_id is None or generation != met.generation:
            raise CaseError(f"hash set {met.hashset} ({met.generation}) is not the one the case was told of")
        return hashset_id

    def decide(self, sha256: bytes, decision: Decision) -> int:
        """Add an examiner's grade of a content; its row id."""
        columns = (
            sha256,
            text(decision.examiner),
            microseconds(decision.decided),
            self._category_id(decision.category),
            text(decision.note),
        )
        statement = """INSERT INTO decision (sha256, examiner, decided, category_id, note) VALUES (?, ?, ?, ?, ?)
            RETURNING id"""
        rows = self._connection.execute(statement, columns).fetchall()
        return int(rows[0][0])

    def generations(self) -> dict[str, tuple[int, str]]:
        """Row id and generation of each hash set the case was told of, by name."""
        rows = self._connection.execute("SELECT name, id, generation FROM hashset ORDER BY id")
        return {name: (identity, generation) for name, identity, generation in rows}

    def infos(self) -> dict[str, dict[str, object]]:
        """What the case was told of each hash set, by name."""
        rows = self._connection.execute("SELECT name, info FROM hashset ORDER BY id")
        return {name: json.loads(info) for name, info in rows}

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
        """Put these matches in place of all earlier ones with hash sets of the same names; keep what changed."""
        regrade = Regrade(self._connection, hashsets)
        ids = json.dumps([self.record(info) for info in hashsets])
        for table in TABLES:
            self._connection.execute(
                f"DELETE FROM {table} WHERE hashset_id IN (SELECT value FROM json_each(?))",  # noqa: S608
                (ids,),
            )
        for source_id, records, matches, *withheld in batches:
            self.add(source_id, records, matches, *withheld)
        return regrade.finish()

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


def _on_md5_alone(match: Match) -> bool:
    """Whether nothing but the MD5 says so: the entry states no stronger digest."""
    return match.match_kind is MatchKind.EXACT and match.algorithm == "md5" and not match.contradicted
