"""The files of a case as other programs are told of them: every file, the listed contents, the contents that are new.

A content is listed where a match proposes something for it or an examiner has graded it; it is new where it is a
picture or a film that no exact match and no examiner knows. Rows are streamed; what must be worked out first lies in
the database's temporary tables, so memory does not grow with the case.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from types import MappingProxyType

from caid_triage.case.counts import GRAVEST_FIRST, STRONGEST_KIND_FIRST, propose_once
from caid_triage.case.decode import reader
from caid_triage.case.encode import split_entry_id
from caid_triage.case.grades import STANDS
from caid_triage.case.places import CONTAINER_STATE, REMOVED
from caid_triage.case.schema import NUMBER_BITS, PART_BITS
from caid_triage.model import IN_USE_CODE, INSIDE, Category, Decision, DecodeState, Kind, MatchKind, Role, State, Tier

_OUTERMOST = ~((1 << PART_BITS) - 1)
_AT_ONCE = 1000

# The first of the hashes of the whole picture as it is stored.
_STILL = "(SELECT {column} FROM perceptual_hash p WHERE p.entry_id = e.id AND p.algorithm = '{algorithm}' \
AND p.frame_time IS NULL ORDER BY p.position LIMIT 1)"
_IN_USE = f"""(e.state = '{State.ORPHAN}' OR e.state = '{State.EMBEDDED}') AND EXISTS (SELECT 1 FROM entry_problem u
    WHERE u.entry_id = e.id & {_OUTERMOST} AND u.code = '{IN_USE_CODE}')"""  # noqa: S608 - constants only
# The contents that an examiner's grade stands for; the last one given counts.
_GRADED = f"SELECT d.sha256 FROM decision d WHERE {STANDS}"  # noqa: S608 - constants only
_DECISION = f"""(SELECT json_array(d.examiner, d.decided, g.code, g.label, g.scheme, g.severity, d.note)
    FROM decision d JOIN category g ON g.id = d.category_id WHERE d.sha256 = e.sha256 AND {STANDS}
    ORDER BY d.id DESC LIMIT 1)"""  # noqa: S608 - constants only
# The sets whose exact matches say what is proposed, with the strongest digest that agrees.
_SETS = f"""(SELECT json_group_array(json_array(name, algorithm)) FROM (
    SELECT h.name, max(m.algorithm) AS algorithm FROM file_match m JOIN hashset h ON h.id = m.hashset_id
    WHERE m.entry_id = e.id AND m.match_kind = 'exact' AND m.contradicted = 0 AND m.category_id = p.category_id
        AND h.role = '{Role.NOTABLE}' GROUP BY h.id ORDER BY h.id))"""  # noqa: S608 - constants only
# What other exact matches put the file under, by set: gravest first, as everywhere.
_OTHERS = f"""(SELECT json_group_array(json_array(name, code, label, scheme, severity)) FROM (
    SELECT DISTINCT h.name, c.code, c.label, c.scheme, c.severity, h.id AS place
    FROM file_match m JOIN hashset h ON h.id = m.hashset_id JOIN category c ON c.id = m.category_id
    WHERE m.entry_id = e.id AND p.match_kind = 'exact' AND m.match_kind = 'exact' AND m.contradicted = 0
        AND m.category_id <> p.category_id AND h.role = '{Role.NOTABLE}' ORDER BY {GRAVEST_FIRST}, place))"""  # noqa: S608
# What the entries state of the item that the content itself is: those of exact matches, whatever it is graded as.
_OF_EXACT = f"""FROM match_stated t JOIN file_match m ON m.entry_id = t.entry_id AND m.hashset_id = t.hashset_id
    AND m.position = t.position JOIN hashset h ON h.id = t.hashset_id
    WHERE t.entry_id = e.id AND m.match_kind = 'exact' AND m.contradicted = 0 AND h.role = '{Role.NOTABLE}'"""
_STATED = f"""(SELECT coalesce(group_concat(stated, ';'), '') FROM (SELECT DISTINCT t.stated {_OF_EXACT}
    AND t.stated <> '' ORDER BY 1))"""  # noqa: S608 - constants only
_SERIES = f"""(SELECT coalesce(group_concat(series, ', '), '') FROM (SELECT DISTINCT t.series {_OF_EXACT}
    AND t.series <> '' ORDER BY 1))"""  # noqa: S608 - constants only
_PROBLEMS = """(SELECT group_concat(code, ';') FROM (SELECT code FROM entry_problem q WHERE q.entry_id = e.id
    ORDER BY q.position))"""
_COLUMNS = f"""e.id, s.exhibit, s.name, e.volume, e.path, e.raw_path, e.state, e.kind, e.media_type, e.size, e.inode,
    e.zone_note, e.md5, e.sha1, e.sha256, {_STILL.format(column="value", algorithm="pdq")},
    {_STILL.format(column="quality", algorithm="pdq")}, {_STILL.format(column="value", algorithm="phash")},
    e.width, e.height, e.duration_s, e.created, e.modified, e.accessed, e.changed, e.physical_offset, e.path,
    {_PROBLEMS}, {CONTAINER_STATE}, e.decode_state, {REMOVED}, {_IN_USE}, {_DECISION},
    p.match_kind, p.tier, c.code, c.label, c.scheme, c.severity, {_SETS}, {_OTHERS}, {_STATED}, {_SERIES},
    o.id, o.md5, o.path, o.raw_path, o.physical_offset"""
_JOINS = f"""JOIN source s ON s.id = e.id >> {NUMBER_BITS}
    LEFT JOIN proposed p ON p.entry_id = e.id LEFT JOIN category c ON c.id = p.category_id
    LEFT JOIN entry o ON o.id = CASE WHEN e.state = '{State.EMBEDDED}' THEN
        coalesce((SELECT holder FROM temp.holder h WHERE h.entry_id = e.id), e.id & {_OUTERMOST}) END"""  # noqa: S608 - constants only
_FILES = f"SELECT 0, '[]', NULL, {_COLUMNS} FROM entry e {_JOINS} ORDER BY e.id"  # noqa: S608 - constants only
_PAIRS = """(SELECT json_group_array(json_array(name, value)) FROM (SELECT name, value FROM metadata x
    WHERE x.entry_id = e.id ORDER BY x.position))"""
_OF_HEADS = f"{_PAIRS}, {_STILL.format(column='value', algorithm='photodna')}"
_CONTENTS = f"""SELECT n.number, {{of_heads}}, {_COLUMNS}
FROM temp.{{table}} n JOIN entry e ON e.id = n.entry_id {_JOINS} WHERE {{which}}
ORDER BY (SELECT min(id) FROM source f WHERE f.exhibit = s.exhibit), n.number, e.id"""  # noqa: S608 - constants only

LISTED = f"""SELECT entry_id FROM proposed
    UNION SELECT id FROM entry WHERE sha256 IN ({_GRADED})"""  # noqa: S608 - constants only
NEW = f"""SELECT id AS entry_id FROM entry e WHERE kind IN ('{Kind.IMAGE}', '{Kind.VIDEO}') AND md5 IS NOT NULL
    AND sha256 NOT IN ({_GRADED})
    AND NOT EXISTS (SELECT 1 FROM file_match m WHERE m.entry_id = e.id AND m.match_kind = 'exact'
        AND m.contradicted = 0)"""  # noqa: S608 - constants only
# Of an export what was written (note_written), in the exhibits that it was made of.
WRITTEN = f"""SELECT id AS entry_id FROM entry WHERE sha256 IN (SELECT sha256 FROM temp.written)
    AND id >> {NUMBER_BITS} IN (SELECT id FROM temp.written_source)"""  # noqa: S608 - constants only
SELECTIONS: Mapping[str, str] = MappingProxyType(
    {"listed_content": LISTED, "new_content": NEW, "written_content": WRITTEN}
)

_TOTALS = f"""SELECT s.exhibit, count(DISTINCT n.number), count(DISTINCT CASE WHEN p.match_kind = 'exact'
    AND e.sha256 NOT IN ({_GRADED}) THEN n.number END)
FROM temp.{{table}} n JOIN entry e ON e.id = n.entry_id JOIN source s ON s.id = e.id >> {NUMBER_BITS}
    LEFT JOIN proposed p ON p.entry_id = e.id GROUP BY s.exhibit"""  # noqa: S608 - constants only

_MATCHES = f"""SELECT m.entry_id, m.match_kind, m.algorithm, m.distance, m.threshold, c.code, c.label, c.scheme, h.name,
    h.role, m.media_id, m.contradicted <> 0, coalesce(x.orientation, ''), x.quality, coalesce(l.look, ''),
    v.frames, v.met, v.listed_frames, v.listed_met, v.first_s, v.last_s, v.listed_first_s, v.listed_last_s
FROM file_match m LEFT JOIN match_detail x
        ON x.entry_id = m.entry_id AND x.hashset_id = m.hashset_id AND x.position = m.position
    LEFT JOIN match_look l ON l.entry_id = m.entry_id AND l.hashset_id = m.hashset_id AND l.position = m.position
    LEFT JOIN video_match v ON v.entry_id = m.entry_id AND v.hashset_id = m.hashset_id AND v.position = m.position
    JOIN category c ON c.id = m.category_id JOIN hashset h ON h.id = m.hashset_id
ORDER BY m.entry_id, {STRONGEST_KIND_FIRST}, h.name, m.distance, m.algorithm, m.record_row, m.position"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class ExchangeRow:
    """One file of the case with all that other programs are told of it.

    ``content`` numbers contents (0 where rows are not grouped by content): it is the place, among all files of the
    case, of the content's first occurrence in its exhibit, and so stays what it is whatever is matched or decided
    later. ``pairs`` is what the content says of its own origin and ``photodna`` its PhotoDNA, where a plug-in computed
    one; both only where rows are heads of contents. ``match_kind``, ``tier``, the category and ``sets`` (name and
    digest, of an exact match) are what matching proposes, None and () for nothing; ``others`` are the categories that
    exact matches put it under besides, each with its set. ``stated`` and ``series`` are what the entries of exact
    matches state of it besides. ``holder_...`` is the file that an embedded one lies in, at whatever depth. ``in_use``:
    no name leads to the file (or to what holds it), and it is in use all the same.
    """

    content: int
    pairs: tuple[tuple[str, str], ...]
    photodna: bytes | None
    id: int
    exhibit: str
    source: str
    volume: str
    path: str
    raw_path: bytes
    state: State
    kind: Kind
    media_type: str
    size: int | None
    inode: int | None
    zone_note: str
    md5: bytes | None
    sha1: bytes | None
    sha256: bytes | None
    pdq: bytes | None
    pdq_quality: int | None
    phash: bytes | None
    width: int | None
    height: int | None
    duration_s: float | None
    created: datetime | None
    modified: datetime | None
    accessed: datetime | None
    changed: datetime | None
    physical_offset: int | None
    parent_path: str
    problems: tuple[str, ...]
    container_state: State | None
    decode_state: DecodeState
    removed: bool
    in_use: bool
    decision: Decision | None
    match_kind: MatchKind | None
    tier: Tier | None
    category_code: str | None
    category_label: str | None
    scheme: str | None
    severity: int | None
    sets: tuple[tuple[str, str], ...]
    others: tuple[tuple[str, Category], ...]
    stated: tuple[str, ...]
    series: str
    holder_id: int | None
    holder_md5: bytes | None
    holder_path: str | None
    holder_raw: bytes | None
    holder_offset: int | None

    @property
    def key(self) -> str:
        """Source, walk number and part: the same in every run over the same evidence, and no other file's."""
        return key_of(self.id)


@dataclass(frozen=True, slots=True)
class ExchangeMatch:
    """One match of one file, known-good and contradicted ones among them. ``id`` is the file's."""

    id: int
    match_kind: MatchKind
    algorithm: str
    distance: int
    threshold: int
    category_code: str
    category_label: str
    scheme: str
    hashset: str
    role: str
    media_id: str
    contradicted: bool
    orientation: str
    quality: int | None
    look: str
    frames: int | None
    frames_met: int | None
    listed_frames: int | None
    listed_frames_met: int | None
    first_s: float | None
    last_s: float | None
    listed_first_s: float | None
    listed_last_s: float | None


@dataclass(frozen=True, slots=True)
class ExchangeTotals:
    """How many contents of an exhibit are among the chosen, and how many of them an exact match alone grades."""

    contents: int
    precategorised: int


def key_of(identity: int) -> str:
    """An entry's id as text: "source-number-part"."""
    return "-".join(map(str, split_entry_id(identity)))


def file_rows(connection: sqlite3.Connection) -> Iterator[ExchangeRow]:
    """Every file of the case, in report order."""
    propose_once(connection)
    _hold_once(connection)
    yield from map(reader(ExchangeRow), connection.execute(_FILES))


def match_rows(connection: sqlite3.Connection) -> Iterator[ExchangeMatch]:
    """Every match of every file, in report order."""
    yield from map(reader(ExchangeMatch), connection.execute(_MATCHES))


def content_rows(connection: sqlite3.Connection, selection: str, *, heads: bool) -> Iterator[ExchangeRow]:
    """The contents of one of SELECTIONS: exhibit by exhibit, contents in order of their numbers.

    With ``heads`` one row a content, of the occurrence for which matching says most; else every occurrence.
    """
    _choose_once(connection, selection)
    _hold_once(connection)
    of_heads, which = (_OF_HEADS, "n.entry_id = n.shown") if heads else ("'[]', NULL", "1")
    statement = _CONTENTS.format(table=selection, of_heads=of_heads, which=which)
    yield from map(reader(ExchangeRow), connection.execute(statement))


def content_totals(connection: sqlite3.Connection, selection: str) -> dict[str, ExchangeTotals]:
    """The totals of one of SELECTIONS by exhibit."""
    _choose_once(connection, selection)
    rows = connection.execute(_TOTALS.format(table=selection))
    return {exhibit: ExchangeTotals(contents, graded) for exhibit, contents, graded in rows}


def note_written(connection: sqlite3.Connection, contents: Iterable[bytes], exhibits: Sequence[str]) -> None:
    """Make ``written_content`` the selection of these contents (SHA-256s), as far as they lie in these exhibits."""
    for table in ("written", "written_source", "written_content"):
        connection.execute(f"DROP TABLE IF EXISTS temp.{table}")
    connection.execute("CREATE TEMP TABLE written (sha256 BLOB PRIMARY KEY) WITHOUT ROWID")
    connection.executemany("INSERT INTO temp.written VALUES (?)", ((content,) for content in contents))
    connection.execute(
        "CREATE TEMP TABLE written_source AS SELECT id FROM source WHERE exhibit IN (SELECT value FROM json_each(?))",
        (json.dumps(exhibits),),
    )


def _made(connection: sqlite3.Connection, table: str) -> bool:
    return connection.execute("SELECT 1 FROM temp.sqlite_schema WHERE name = ?", (table,)).fetchone() is not None


def _choose_once(connection: sqlite3.Connection, selection: str) -> None:
    """Which files are chosen, which content each is of, and of which of them matching says most (``shown``)."""
    propose_once(connection)
    if _made(connection, selection):
        return
    connection.execute(f"CREATE TEMP TABLE chosen AS {SELECTIONS[selection]}")
    # A content's number must not depend on which of its occurrences are chosen.
    connection.execute(
        f"""CREATE TEMP TABLE first_of AS SELECT s.exhibit, e.sha256, min(e.id) AS first
        FROM entry e JOIN source s ON s.id = e.id >> {NUMBER_BITS}
        WHERE e.sha256 IN (SELECT f.sha256 FROM temp.chosen n JOIN entry f ON f.id = n.entry_id)
        GROUP BY s.exhibit, e.sha256"""  # noqa: S608 - constants only
    )
    connection.execute("CREATE UNIQUE INDEX temp.first_of_content ON first_of (sha256, exhibit)")
    connection.execute(
        f"""CREATE TEMP TABLE belongs AS SELECT n.entry_id, coalesce(f.first, e.id) AS first
        FROM temp.chosen n JOIN entry e ON e.id = n.entry_id JOIN source s ON s.id = e.id >> {NUMBER_BITS}
            LEFT JOIN temp.first_of f ON f.sha256 = e.sha256 AND f.exhibit = s.exhibit"""  # noqa: S608 - constants only
    )
    connection.execute(
        """CREATE TEMP TABLE numbered AS SELECT id, number FROM (
            SELECT id, row_number() OVER (ORDER BY id) AS number FROM entry)
        WHERE id IN (SELECT first FROM temp.belongs)"""
    )
    connection.execute("CREATE UNIQUE INDEX temp.numbered_id ON numbered (id)")
    connection.execute(
        f"""CREATE TEMP TABLE {selection} AS SELECT b.entry_id, n.number,
            first_value(b.entry_id) OVER (PARTITION BY b.first ORDER BY CASE p.match_kind WHEN 'exact' THEN 0
                WHEN 'video' THEN 1 WHEN 'near' THEN 2 ELSE 3 END, p.tier DESC, b.entry_id) AS shown
        FROM temp.belongs b JOIN temp.numbered n ON n.id = b.first
            LEFT JOIN temp.proposed p ON p.entry_id = b.entry_id"""  # noqa: S608 - constants only
    )
    for table in ("chosen", "first_of", "belongs", "numbered"):
        connection.execute(f"DROP TABLE temp.{table}")


def _hold_once(connection: sqlite3.Connection) -> None:
    """Which inner file each inner file of a deeper level lies in. What lies in a container is stored before it, so

    seen from the end the last container of the level above is the one.
    """
    if _made(connection, "holder"):
        return
    connection.execute("CREATE TEMP TABLE holder (entry_id INTEGER PRIMARY KEY, holder INTEGER NOT NULL)")
    pairs = _holders(connection)
    while some := list(islice(pairs, _AT_ONCE)):
        connection.executemany("INSERT INTO temp.holder VALUES (?, ?)", some)


def _holders(connection: sqlite3.Connection) -> Iterator[tuple[int, int]]:
    latest: dict[int, tuple[int, str]] = {}
    rows = connection.execute(f"SELECT id, path FROM entry WHERE state = '{State.EMBEDDED}' ORDER BY id DESC")  # noqa: S608
    for identity, path in rows:
        depth = path.count(INSIDE)
        holder, of_path = latest.get(depth - 1, (0, ""))
        if holder >> PART_BITS == identity >> PART_BITS and of_path == path.rpartition(INSIDE)[0]:
            yield identity, holder
        latest[depth] = identity, path
