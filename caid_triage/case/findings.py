"""What a reader must weigh beside the counts: contradictions, and the matched contents with their occurrences."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence

from caid_triage.case.counts import propose_once
from caid_triage.case.decode import reader
from caid_triage.case.rows import ContradictionRow, MediaFileRow
from caid_triage.case.schema import NUMBER_BITS

WHERE_IT_IS = "s.exhibit, s.name, e.volume, e.path"
OF_FILE = f"JOIN entry e ON e.id = x.entry_id JOIN source s ON s.id = e.id >> {NUMBER_BITS}"

DIGEST = f"""SELECT {WHERE_IT_IS}, x.algorithm, h.name FROM file_match x {OF_FILE} JOIN hashset h ON h.id = x.hashset_id
WHERE x.contradicted = 1 ORDER BY e.id, h.id, x.position"""  # noqa: S608 - constants only

CATEGORY = f"""SELECT {WHERE_IT_IS}, x.categories FROM (
    SELECT entry_id, group_concat(said, '; ') AS categories, count(*) AS n FROM (
        SELECT DISTINCT m.entry_id, c.label || ' (' || c.scheme || ', ' || h.name || ')' AS said, c.code, c.scheme
        FROM file_match m JOIN category c ON c.id = m.category_id JOIN hashset h ON h.id = m.hashset_id
        WHERE m.match_kind = 'exact' AND m.contradicted = 0 AND h.role = 'notable' ORDER BY m.entry_id, c.id, h.id
    ) GROUP BY entry_id HAVING count(DISTINCT code || char(0) || scheme) > 1
) x {OF_FILE} ORDER BY e.id"""  # noqa: S608 - constants only

KNOWN_GOOD = f"""SELECT {WHERE_IT_IS} FROM (
    SELECT m.entry_id FROM file_match m JOIN hashset h ON h.id = m.hashset_id
    WHERE m.match_kind = 'exact' AND m.contradicted = 0
    GROUP BY m.entry_id HAVING count(DISTINCT h.role) > 1
) x {OF_FILE} ORDER BY e.id"""  # noqa: S608 - constants only

COLLISION = f"""SELECT {WHERE_IT_IS} FROM (
    SELECT id AS entry_id FROM entry WHERE md5 IN (
        SELECT md5 FROM entry WHERE md5 IS NOT NULL GROUP BY md5 HAVING min(sha256) <> max(sha256)
    )
) x {OF_FILE} ORDER BY e.id"""  # noqa: S608 - constants only

MEDIA = f"""
SELECT s.exhibit, min(e.id) OVER (PARTITION BY s.exhibit, coalesce(e.sha256, e.id)) AS media, s.name,
    e.volume, e.path, e.state, e.kind, e.media_type, e.size, e.md5, e.sha1, e.sha256, e.created, e.modified, e.accessed,
    e.physical_offset, p.match_kind, c.code, c.label, c.scheme
FROM proposed p JOIN entry e ON e.id = p.entry_id JOIN source s ON s.id = e.id >> {NUMBER_BITS}
    JOIN category c ON c.id = p.category_id
ORDER BY (SELECT min(id) FROM source o WHERE o.exhibit = s.exhibit), media, e.id"""  # noqa: S608 - constants only


def contradiction_rows(connection: sqlite3.Connection) -> Iterator[ContradictionRow]:
    """Every contradiction of the case, by kind, then in file order."""
    for *where, algorithm, hashset in connection.execute(DIGEST):
        detail = f"{algorithm} is in {hashset}, a stronger digest of the same listed item differs"
        yield _contradiction("digest", where, detail)
    for *where, categories in connection.execute(CATEGORY):
        yield _contradiction("category", where, f"listed in several categories: {categories}")
    for where in connection.execute(KNOWN_GOOD):
        yield _contradiction("known-good", where, "listed both as notable and as known-good")
    for where in connection.execute(COLLISION):
        yield _contradiction("md5-collision", where, "another file here has the same MD5 and a different SHA-256")


def _contradiction(kind: str, where: Sequence[str], detail: str) -> ContradictionRow:
    exhibit, source, volume, path = where
    return ContradictionRow(kind, exhibit, source, volume, path, detail)


def media_rows(connection: sqlite3.Connection) -> Iterator[MediaFileRow]:
    """Every occurrence of every matched content, exhibit by exhibit, contents in order of their first occurrence."""
    propose_once(connection)
    yield from map(reader(MediaFileRow), connection.execute(MEDIA))
