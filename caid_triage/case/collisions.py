"""Matches on MD5 alone that a collision inside the case takes the proof from.

Two different contents with one MD5 were made so by somebody (RFC 6151, section 2.1): an entry of a hash set that states
nothing but that MD5 may mean either of them, so neither is graded nor taken for harmless by it. Nobody can make a
second file with the MD5 of a file that he did not prepare himself, so a listed file that nobody prepared loses nothing.

Whatever has the same MD5 meets the same entries, so the twins are always among the matches on MD5 alone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

COUNTED, CONTRADICTED, COLLIDED = 0, 1, 2
"""What ``file_match.contradicted`` says: the match counts; a stronger digest of the entry disagrees; another content of

the case has the same MD5, which is all that the entry and the file agree in."""

# In the order of the key both ends of one MD5 are a seek away, however many copies of a file there are.
TABLE = """CREATE TEMP TABLE md5_alone (
    md5 BLOB NOT NULL, sha256 BLOB NOT NULL, entry_id INTEGER NOT NULL, PRIMARY KEY (md5, sha256, entry_id)
) WITHOUT ROWID"""
STORED = f"""INSERT INTO md5_alone SELECT DISTINCT e.md5, e.sha256, e.id
FROM file_match m JOIN entry e ON e.id = m.entry_id
WHERE m.match_kind = 'exact' AND m.algorithm = 'md5' AND m.contradicted <> {CONTRADICTED}
    AND e.md5 IS NOT NULL AND e.sha256 IS NOT NULL"""  # noqa: S608 - constants only
ENDS = """SELECT (SELECT sha256 FROM md5_alone WHERE md5 = :md5 ORDER BY sha256 LIMIT 1)
    <> (SELECT sha256 FROM md5_alone WHERE md5 = :md5 ORDER BY sha256 DESC LIMIT 1)"""
MARK = f"""UPDATE file_match SET contradicted = {COLLIDED} WHERE contradicted = {COUNTED} AND match_kind = 'exact'
    AND algorithm = 'md5' AND entry_id IN (SELECT entry_id FROM md5_alone WHERE md5 = :md5)"""  # noqa: S608


def mark_collided(connection: sqlite3.Connection, met: Iterable[tuple[bytes, bytes, int]]) -> None:
    """Mark the matches on MD5 alone whose MD5 several contents of the case have, those stored before among them.

    ``met`` are the MD5, the SHA-256 and the id of entries whose matches have just been stored in this transaction. What
    is known of earlier ones lies in a temporary table, which SQLite keeps in a file and a rollback takes back too.
    """
    rows = list(met)
    if not rows:
        return
    if connection.execute("SELECT 1 FROM temp.sqlite_schema WHERE name = 'md5_alone'").fetchone():
        connection.executemany("INSERT OR IGNORE INTO md5_alone VALUES (?, ?, ?)", rows)
    else:
        connection.execute(TABLE)
        connection.execute(STORED)
    for md5 in sorted({md5 for md5, _, _ in rows}):
        if connection.execute(ENDS, {"md5": md5}).fetchone()[0]:
            connection.execute(MARK, {"md5": md5})
