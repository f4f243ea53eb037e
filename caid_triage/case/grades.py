"""Examiners' grades in the database: taken in from the journal, taken back, and which of them stand.

A grade stands unless the act that it belongs to was taken back. Of each examiner his last standing grade of a content
counts; of all examiners the last one given is what reports use. Two examiners whose grades differ dispute a content.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from caid_triage.case.counts import GRAVEST_FIRST, KINDS_IN_ORDER, propose_once
from caid_triage.case.decode import reader
from caid_triage.case.digests import DigestTable
from caid_triage.case.encode import microseconds, moment, text
from caid_triage.case.journal import DECIDED, REMARKED, SESSIONS, WITHDRAWN, Act, Place
from caid_triage.case.matches import MatchTable
from caid_triage.case.schema import NUMBER_BITS
from caid_triage.model import Category, Decision, Kind, State


def stands(decision: str) -> str:
    """The condition that the decision of this id (an SQL expression) was not taken back."""
    return f"NOT EXISTS (SELECT 1 FROM withdrawal w WHERE w.decision_id = {decision})"  # noqa: S608 - constants only


STANDS = stands("d.id")
# Of a content: the last grade of all that stand. Wants ``d`` and a content beside it.
LAST_STANDING = f"d.id = (SELECT max(l.id) FROM decision l WHERE l.sha256 = d.sha256 AND {stands('l.id')})"  # noqa: S608
# One row a content and examiner: his last standing grade.
STANDING = f"""SELECT max(d.id) AS id, d.sha256, d.examiner FROM decision d
    WHERE {STANDS} GROUP BY d.sha256, d.examiner"""  # noqa: S608 - constants only
DISPUTED = f"""SELECT g.sha256 FROM ({STANDING}) g
    JOIN decision d ON d.id = g.id JOIN category c ON c.id = d.category_id GROUP BY g.sha256
    HAVING count(DISTINCT c.code || char(0) || c.scheme) > 1"""  # noqa: S608 - constants only

# A content without a proposal is graded too: what no hash set knows. Of an exhibit's files each counts once.
GRADED = f"""SELECT c.code, c.label, c.scheme, c.severity, e.kind, e.state, coalesce(p.match_kind, '') AS asserted,
    count(*), count(DISTINCT e.sha256)
FROM decision d JOIN entry e ON e.sha256 = d.sha256 JOIN category c ON c.id = d.category_id
    LEFT JOIN proposed p ON p.entry_id = e.id
WHERE {LAST_STANDING}
GROUP BY c.id, e.kind, e.state, asserted
ORDER BY {GRAVEST_FIRST}, asserted, {KINDS_IN_ORDER}, e.state"""  # noqa: S608 - constants only
DISPUTED_FILES = f"""SELECT s.exhibit, s.name, e.volume, e.path, e.sha256,
    (SELECT json_group_array(json_array(examiner, decided, code, label, scheme, severity, note)) FROM (
        SELECT d.examiner, d.decided, c.code, c.label, c.scheme, c.severity, d.note
        FROM decision d JOIN category c ON c.id = d.category_id
        WHERE d.sha256 = e.sha256 AND {STANDS}
            AND d.id = (SELECT max(o.id) FROM decision o WHERE o.sha256 = d.sha256 AND o.examiner = d.examiner
                AND {stands("o.id")})
        ORDER BY d.id))
FROM entry e JOIN source s ON s.id = e.id >> {NUMBER_BITS}
WHERE e.sha256 IN ({DISPUTED}) ORDER BY e.id"""  # noqa: S608 - constants only


@dataclass(frozen=True, slots=True)
class GradedRow:
    """How many files and different contents the last standing grades of examiners put under a category.

    ``asserted`` is what hash sets say of these files besides: "exact", "near" or "video" match, "" nothing. These
    counts are kept apart from those of hash sets: a file may stand in both.
    """

    category_code: str
    category_label: str
    scheme: str
    severity: int | None
    kind: Kind
    state: State
    asserted: str
    files: int
    unique: int


@dataclass(frozen=True, slots=True)
class DisputedRow:
    """One file whose content two examiners grade differently; ``grades`` has each one's standing grade."""

    exhibit: str
    source: str
    volume: str
    path: str
    sha256: bytes
    grades: tuple[Decision, ...]


def graded_rows(connection: sqlite3.Connection) -> Iterator[GradedRow]:
    """Files and unique contents by the category that the last standing grade gives them, gravest first."""
    propose_once(connection)
    yield from map(reader(GradedRow), connection.execute(GRADED))


def disputed_rows(connection: sqlite3.Connection) -> Iterator[DisputedRow]:
    """Every file whose content examiners grade differently, in file order."""
    for exhibit, source, volume, path, sha256, stored in connection.execute(DISPUTED_FILES):
        yield DisputedRow(exhibit, source, volume, path, sha256, tuple(map(_decision, json.loads(stored))))


def _decision(stored: Sequence[object]) -> Decision:
    examiner, decided, code, label, scheme, severity, note = stored
    when = moment(decided)  # type: ignore[arg-type]
    assert when is not None
    return Decision(str(examiner), when, Category(str(code), str(label), str(scheme), severity), str(note))  # type: ignore[arg-type]


def take_in(
    connection: sqlite3.Connection, matches: MatchTable, digests: DigestTable, acts: Sequence[Act], place: Place
) -> None:
    """Store acts of the journal up to ``place``, inside the caller's transaction."""
    for act in acts:
        first: int | None = None
        count = 0
        if act.action == DECIDED and act.category is not None:
            decision = Decision(act.examiner, act.made, act.category, act.note)
            for content in act.contents:
                number = matches.decide(content, decision)
                digests.touch("decision", number)
                first = number if first is None else first
            count = len(act.contents)
            digests.touch("category")
        row = act.number, act.action, text(act.examiner), microseconds(act.made), first, count
        connection.execute("INSERT INTO review_act VALUES (?, ?, ?, ?, ?, ?)", row)
        digests.touch("review_act", act.number)
        if act.action == REMARKED:
            connection.executemany(
                "INSERT INTO remark (act_id, sha256, note) VALUES (?, ?, ?)",
                ((act.number, content, text(act.note)) for content in act.contents),
            )
            digests.touch("remark", act.number)
        if act.action == WITHDRAWN:
            _withdraw(connection, act)
            digests.touch("withdrawal", act.number)
    connection.execute(
        "UPDATE journal_head SET sequence = ?, sha256 = ?, offset = ?",
        (place.head.sequence, place.head.sha256, place.offset),
    )
    digests.touch("journal_head")


def _withdraw(connection: sqlite3.Connection, act: Act) -> None:
    """Note for each grade of an act that it was taken back; of an act of his own only, and once."""
    found = connection.execute(
        "SELECT first_decision, decisions FROM review_act WHERE id = ? AND examiner = ? AND first_decision IS NOT NULL",
        (act.of, text(act.examiner)),
    ).fetchone()
    if found is not None:
        rows = ((number, act.number) for number in range(found[0], found[0] + found[1]))
        connection.executemany("INSERT OR IGNORE INTO withdrawal VALUES (?, ?)", rows)


def audit_facts(
    connection: sqlite3.Connection, after: int, sessions: Callable[[], Mapping[int, Mapping[str, object]]]
) -> list[tuple[str, dict[str, object]]]:
    """The audit lines of the acts behind number ``after``: action and facts, no content's hash among them.

    ``sessions`` gives the facts of acts that began or ended a session, by their numbers; it is asked if there are any.
    """
    of_sessions: Mapping[int, Mapping[str, object]] | None = None
    lines: list[tuple[str, dict[str, object]]] = []
    rows = connection.execute(
        """SELECT a.id, a.action, a.examiner, a.first_decision, a.decisions, c.code, c.scheme,
            (SELECT count(*) FROM withdrawal w WHERE w.act_id = a.id),
            (SELECT count(*) FROM remark r WHERE r.act_id = a.id)
        FROM review_act a LEFT JOIN decision d ON d.id = a.first_decision LEFT JOIN category c ON c.id = d.category_id
        WHERE a.id > ? ORDER BY a.id""",
        (after,),
    )
    for number, action, examiner, first, decisions, code, scheme, withdrawn, remarks in rows:
        facts: dict[str, object] = {"act": number, "examiner": examiner}
        if action == DECIDED:
            facts |= {"decision": first, "contents": decisions, "code": code, "scheme": scheme}
        elif action == WITHDRAWN:
            facts |= {"contents": withdrawn}
        elif action in SESSIONS:
            of_sessions = sessions() if of_sessions is None else of_sessions
            facts |= of_sessions.get(number, {})
        else:
            facts |= {"contents": remarks}
        lines.append((action, facts))
    return lines
