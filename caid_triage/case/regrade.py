"""What matching a stored case again changes: before and after compared file by file, inside one transaction.

Nothing of it grows in memory: what was there before lies in temporary tables, which SQLite keeps in a file.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence

from caid_triage.case.audit import canonical_json
from caid_triage.case.counts import GRAVEST_FIRST, PROPOSALS, STRONGEST_KIND_FIRST, TIER
from caid_triage.case.rows import MatchChange

# What the notable sets of the re-grading say of each file: one row for a file and a set, one spelling for one meaning.
OUTCOMES = f"""SELECT entry_id, hashset, group_concat(said, '; ') AS said FROM (
    SELECT entry_id, hashset, said FROM (
        SELECT m.entry_id, h.name AS hashset,
            m.match_kind || CASE {TIER} WHEN 'lead' THEN ', lead' ELSE '' END
                || CASE m.contradicted WHEN 1 THEN ', contradicted' ELSE '' END
                || ': ' || c.label || ' [' || c.scheme || ']' AS said,
            row_number() OVER (PARTITION BY m.entry_id, h.id ORDER BY {STRONGEST_KIND_FIRST}, m.contradicted,
                {GRAVEST_FIRST}) AS place
        FROM file_match m JOIN category c ON c.id = m.category_id JOIN hashset h ON h.id = m.hashset_id
        WHERE h.role = 'notable' AND h.name IN (SELECT value FROM json_each(:names))
    ) GROUP BY entry_id, hashset, said ORDER BY entry_id, hashset, min(place)
) GROUP BY entry_id, hashset"""  # noqa: S608 - constants only

PROPOSED_WORDS = f"""SELECT p.entry_id,
        p.match_kind || CASE p.tier WHEN 'lead' THEN ', lead' ELSE '' END
        || ': ' || c.label || ' [' || c.scheme || ']' AS said
    FROM ({PROPOSALS}) p JOIN category c ON c.id = p.category_id"""  # noqa: S608 - constants only

KNOWN_GOOD = """SELECT count(DISTINCT m.entry_id) FROM file_match m JOIN hashset h ON h.id = m.hashset_id
    WHERE h.role = 'known-good' AND m.match_kind = 'exact' AND m.contradicted = 0"""

TEMPORARY = ("outcome_before", "outcome_after", "proposed_before", "proposed_after")

PAIRS = """SELECT a.entry_id, a.hashset, coalesce(b.said, '') AS before, a.said AS after
    FROM temp.outcome_after a LEFT JOIN temp.outcome_before b ON b.entry_id = a.entry_id AND b.hashset = a.hashset
    WHERE b.said IS NOT a.said
UNION ALL SELECT b.entry_id, b.hashset, b.said, '' FROM temp.outcome_before b
    WHERE NOT EXISTS (SELECT 1 FROM temp.outcome_after a WHERE a.entry_id = b.entry_id AND a.hashset = b.hashset)"""

KEEP = f"""INSERT INTO regrade_row SELECT ?, x.entry_id, x.hashset,
    CASE WHEN x.before = '' THEN 'new' WHEN x.after = '' THEN 'gone' ELSE 'changed' END,
    x.before, x.after, coalesce(b.said, ''), coalesce(a.said, '')
FROM ({PAIRS}) x LEFT JOIN temp.proposed_before b ON b.entry_id = x.entry_id
    LEFT JOIN temp.proposed_after a ON a.entry_id = x.entry_id"""  # noqa: S608 - constants only

FILES = """SELECT
    count(DISTINCT CASE WHEN proposed_before = '' AND proposed_after <> '' THEN entry_id END),
    count(DISTINCT CASE WHEN proposed_before <> '' AND proposed_after = '' THEN entry_id END),
    count(DISTINCT CASE WHEN proposed_before <> '' AND proposed_after <> '' AND proposed_before <> proposed_after
        THEN entry_id END)
FROM regrade_row WHERE regrade_id = ?"""


class Regrade:
    """The comparison of one re-grading; made before anything is changed, finished after everything is."""

    def __init__(self, connection: sqlite3.Connection, hashsets: Sequence[Mapping[str, object]]) -> None:
        self._connection = connection
        self._names = json.dumps([str(info["name"]) for info in hashsets])
        self._after = {str(info["name"]): str(info["generation"]) for info in hashsets}
        rows = connection.execute("SELECT name, generation FROM hashset")
        self._before: dict[str, str] = dict(rows.fetchall())
        (self._known_good,) = connection.execute(KNOWN_GOOD).fetchone()
        for table in TEMPORARY:
            connection.execute(f"DROP TABLE IF EXISTS temp.{table}")
        self._take("before")

    def finish(self) -> MatchChange:
        """Compare, keep the rows and say how many there are."""
        run = self._connection.execute
        if not run("SELECT EXISTS (SELECT 1 FROM entry)").fetchone()[0]:
            return MatchChange(0, 0)
        self._take("after")
        hashsets = [
            {"name": name, "before": self._before.get(name, ""), "after": generation}
            for name, generation in self._after.items()
        ]
        (known_good,) = run(KNOWN_GOOD).fetchone()
        (number,) = run("SELECT coalesce(max(id), 0) + 1 FROM regrade").fetchone()
        run(KEEP, (number,))
        changes = dict(
            run("SELECT change, count(*) FROM regrade_row WHERE regrade_id = ? GROUP BY change", (number,)).fetchall()
        )
        counts = [changes.get(word, 0) for word in ("new", "gone", "changed")]
        newly, no_longer, otherwise = run(FILES, (number,)).fetchone()
        run(
            "INSERT INTO regrade VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (number, canonical_json(hashsets), *counts, newly, no_longer, otherwise, self._known_good, known_good),
        )
        for table in TEMPORARY:
            run(f"DROP TABLE temp.{table}")
        new, gone, changed = counts
        return MatchChange(new, gone, changed, newly, no_longer, otherwise, number)

    def _take(self, moment: str) -> None:
        """Note what the sets say, and what is proposed, at this moment of the transaction."""
        run = self._connection.execute
        run(f"CREATE TEMP TABLE outcome_{moment} AS {OUTCOMES}", {"names": self._names})
        run(f"CREATE UNIQUE INDEX temp.outcome_{moment}_key ON outcome_{moment} (entry_id, hashset)")
        run(f"CREATE TEMP TABLE proposed_{moment} AS {PROPOSED_WORDS}")
        run(f"CREATE UNIQUE INDEX temp.proposed_{moment}_key ON proposed_{moment} (entry_id)")
