"""What a reader must weigh beside the counts: contradictions."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

from caid_triage.case.collisions import COLLIDED, CONTRADICTED
from caid_triage.case.counts import GRAVEST_FIRST
from caid_triage.case.grades import LAST_STANDING, disputed_rows
from caid_triage.case.rows import ContradictionRow
from caid_triage.case.schema import NUMBER_BITS
from caid_triage.model import Category

WHERE_IT_IS = "s.exhibit, s.name, e.volume, e.path"
OF_FILE = f"JOIN entry e ON e.id = x.entry_id JOIN source s ON s.id = e.id >> {NUMBER_BITS}"

DIGEST = f"""SELECT {WHERE_IT_IS}, x.algorithm, h.name FROM file_match x {OF_FILE} JOIN hashset h ON h.id = x.hashset_id
WHERE x.contradicted = {CONTRADICTED} ORDER BY e.id, h.id, x.position"""  # noqa: S608 - constants only

SIZE = f"""SELECT {WHERE_IT_IS}, m.algorithm, h.name, d.listed_size, e.bytes_read
FROM match_detail d JOIN file_match m ON m.entry_id = d.entry_id AND m.hashset_id = d.hashset_id
    AND m.position = d.position JOIN hashset h ON h.id = d.hashset_id
    JOIN entry e ON e.id = d.entry_id JOIN source s ON s.id = e.id >> {NUMBER_BITS}
WHERE d.listed_size IS NOT NULL ORDER BY e.id, h.id, d.position"""  # noqa: S608 - constants only

# Every grade of a file with more than one, gravest first and then by its set (a category's number is of no use: it
# tells which worker was quicker); whether they contradict is told by the categories.
GRADES = f"""SELECT {WHERE_IT_IS}, x.grades FROM (
    SELECT entry_id, json_group_array(json_array(code, label, scheme, severity, by_whom, examiner)) AS grades FROM (
        SELECT * FROM (SELECT DISTINCT m.entry_id, c.code, c.label, c.scheme, c.severity, h.name AS by_whom,
            h.id AS place, 0 AS examiner
        FROM file_match m JOIN category c ON c.id = m.category_id JOIN hashset h ON h.id = m.hashset_id
        WHERE m.match_kind = 'exact' AND m.contradicted = 0 AND h.role = 'notable'
        UNION ALL
        SELECT e.id, c.code, c.label, c.scheme, c.severity, d.examiner, 0, 1
        FROM decision d JOIN entry e ON e.sha256 = d.sha256 JOIN category c ON c.id = d.category_id
        WHERE {LAST_STANDING}
        ) c ORDER BY entry_id, examiner, {GRAVEST_FIRST}, place
    ) GROUP BY entry_id HAVING count(DISTINCT code || char(0) || scheme) > 1
) x {OF_FILE} ORDER BY e.id"""  # noqa: S608 - constants only

HARMLESS = f"""SELECT {WHERE_IT_IS}, x.role FROM (
    SELECT m.entry_id, h.role FROM file_match m JOIN hashset h ON h.id = m.hashset_id
    WHERE m.match_kind = 'exact' AND m.contradicted = 0 AND h.role <> 'notable' AND EXISTS (
        SELECT 1 FROM file_match n JOIN hashset g ON g.id = n.hashset_id
        WHERE n.entry_id = m.entry_id AND n.match_kind = 'exact' AND n.contradicted = 0 AND g.role = 'notable'
    ) GROUP BY m.entry_id, h.role
) x {OF_FILE} ORDER BY e.id, x.role"""  # noqa: S608 - constants only

COLLISION = f"""SELECT {WHERE_IT_IS},
    EXISTS (SELECT 1 FROM file_match m WHERE m.entry_id = e.id AND m.contradicted = {COLLIDED}) FROM (
    SELECT id AS entry_id FROM entry WHERE md5 IN (
        SELECT md5 FROM entry WHERE md5 IS NOT NULL GROUP BY md5 HAVING min(sha256) <> max(sha256)
    )
) x {OF_FILE} ORDER BY e.id"""  # noqa: S608 - constants only


def contradiction_rows(connection: sqlite3.Connection) -> Iterator[ContradictionRow]:
    """Every contradiction of the case, by kind, then in file order."""
    for *where, algorithm, hashset in connection.execute(DIGEST):
        detail = f"{algorithm} is in {hashset}, a stronger digest of the same listed item differs"
        yield _contradiction("digest", where, detail)
    for *where, algorithm, hashset, listed, actual in connection.execute(SIZE):
        detail = f"{algorithm} is in {hashset}, which states {listed} bytes for it; the file has {actual}"
        yield _contradiction("size", where, detail)
    for *where, stored in connection.execute(GRADES):
        yield from _of_grades(where, json.loads(stored))
    for row in disputed_rows(connection):
        words = "; ".join(f"{one.category.label} ({one.category.scheme}, {one.examiner})" for one in row.grades)
        where = row.exhibit, row.source, row.volume, row.path
        yield _contradiction("graders", where, f"graded differently by examiners: {words}")
    for *where, role in connection.execute(HARMLESS):
        yield _contradiction(role, where, f"listed both as notable and as {role}")
    for *where, not_counted in connection.execute(COLLISION):
        detail = "another file here has the same MD5 and a different SHA-256"
        yield _contradiction("md5-collision", where, detail + not_counted * "; a match on MD5 alone is not counted")


def disagreeing_files(connection: sqlite3.Connection) -> tuple[int, int]:
    """How many files are listed in contradicting categories; how many an examiner grades otherwise than listed."""
    listed = graded = 0
    for *where, stored in connection.execute(GRADES):
        kinds = {row.kind for row in _of_grades(where, json.loads(stored))}
        listed += bool(kinds & {"category", "sets"})
        graded += "examiner" in kinds
    return listed, graded


def _of_grades(where: Sequence[str], stored: Sequence[Sequence[Any]]) -> Iterator[ContradictionRow]:
    """The contradictions among the grades of one file: within a set, of sets, of sets and an examiner."""
    grades = [(Category(*category), by, bool(examiner)) for *category, by, examiner in stored]
    listed = [(category, by) for category, by, examiner in grades if not examiner]
    pairs = [(one, other) for one, other in combinations(listed, 2) if one[0].contradicts(other[0])]
    if pairs:
        words = "; ".join(f"{category.label} ({category.scheme}, {by})" for category, by in listed)
        if any(one[1] == other[1] for one, other in pairs):
            yield _contradiction("category", where, f"listed in several categories: {words}")
        else:
            yield _contradiction("sets", where, f"hash sets disagree: {words}")
    for decided, examiner, is_examiner in grades:
        against = [(category, by) for category, by in listed if category.contradicts(decided)]
        if is_examiner and against:
            words = "; ".join(f"{category.label} ({category.scheme}, {by})" for category, by in against)
            detail = f"graded {decided.label} ({decided.scheme}) by {examiner}, listed as {words}"
            yield _contradiction("examiner", where, detail)


def _contradiction(kind: str, where: Sequence[str], detail: str) -> ContradictionRow:
    exhibit, source, volume, path = where
    return ContradictionRow(kind, exhibit, source, volume, path, detail)
