"""What the last look-up in the unit's memory found, as the case keeps it: facts about other cases, no conclusion.

The rows say which content of this case the memory has on exhibits of other cases, which pictures look alike, which
camera files of both state, and who graded a content before. None of it enters a count of categories.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from caid_triage.case.counts import propose_once
from caid_triage.case.decode import reader
from caid_triage.case.digests import OF_LINKS, DigestTable
from caid_triage.case.encode import Row, microseconds, text
from caid_triage.case.page_rows import LISTED
from caid_triage.case.places import CONTAINER_STATE
from caid_triage.case.schema import NUMBER_BITS
from caid_triage.model import Category, Kind, State

NOT_REACHED = "unit-not-reached"
COMMON = 0  # in place of an exhibit's number: so many have the content that each is not named
NEAR_BITS = 31
# How a source of another case is known to be the same exhibit, scanned there too.
TWIN_HASH, TWIN_SERIAL, TWIN_REFERENCE = "hash", "serial", "reference"


@dataclass(frozen=True, slots=True)
class UnitExhibit:
    """A source of an exhibit of another case, and when that case was added to the memory.

    Of a restricted case there is no name, but whom to ask: ``contact``.
    """

    case_key: str
    reference: str
    exhibit: str
    source: str
    added: datetime
    contact: str = ""


@dataclass(frozen=True, slots=True)
class Twin:
    """A source of this case and ``exhibit`` of another are one exhibit, as ``how`` (TWIN_*) says."""

    source_id: int
    exhibit: int
    how: str


@dataclass(frozen=True, slots=True)
class SameContent:
    """The same content (SHA-256): on ``exhibit`` (its place in the list, None: on too many to be named).

    ``files`` of that exhibit have it (0 where they are not named); ``exhibits`` of ``cases`` other cases have it in
    all.
    """

    sha256: bytes
    exhibit: int | None
    files: int
    exhibits: int
    cases: int


@dataclass(frozen=True, slots=True)
class NearPicture:
    """A picture ``other`` on an exhibit looks like one of this case: ``distance`` bits of PDQ.

    ``pictures`` of the memory do so in all; the nearest are listed.
    """

    sha256: bytes
    other: bytes
    exhibit: int
    distance: int
    pictures: int


@dataclass(frozen=True, slots=True)
class SameCamera:
    """Files of a source of this case and of an exhibit state the same maker, model and serial number."""

    source_id: int
    make: str
    model: str
    serial: str
    internal: bool
    files: int
    exhibit: int
    other_files: int


@dataclass(frozen=True, slots=True)
class GradedBefore:
    """An examiner graded the same content (SHA-256) in another case; in a restricted one he is not named."""

    sha256: bytes
    reference: str
    examiner: str
    decided: datetime
    category: Category
    contact: str = ""


@dataclass(frozen=True, slots=True)
class UnitLookRow:
    """The figures of a look-up: in which memory, when, how large that was, and what was asked.

    ``asked`` contents of this case were looked up, ``known_good`` and ``small`` ones (below ``smallest`` bytes) left
    out, ``pictures`` compared by look (none where ``look_alikes`` were not asked for). A content on more than
    ``common`` exhibits is counted, not named.
    """

    unit: str
    looked: datetime
    cases: int
    exhibits: int
    asked: int
    known_good: int
    small: int
    pictures: int
    smallest: int
    common: int
    look_alikes: bool = True


@dataclass(frozen=True, slots=True)
class UnitLook(UnitLookRow):
    """One look-up: its figures, and all that was found."""

    others: Sequence[UnitExhibit] = field(default=(), repr=False)
    twins: Sequence[Twin] = field(default=(), repr=False)
    same: Sequence[SameContent] = field(default=(), repr=False)
    near: Sequence[NearPicture] = field(default=(), repr=False)
    cameras: Sequence[SameCamera] = field(default=(), repr=False)
    grades: Sequence[GradedBefore] = field(default=(), repr=False)


def keep_look(connection: sqlite3.Connection, digests: DigestTable, look: UnitLook) -> None:
    """Store a look-up in place of the one before, inside the caller's transaction; the memory is reached again."""
    for table in OF_LINKS:
        connection.execute(f"DELETE FROM {table}")  # noqa: S608 - constants only
        digests.touch(table)
    figures = (
        text(look.unit), microseconds(look.looked), look.cases, look.exhibits, look.asked, look.known_good, look.small,
        look.pictures, look.smallest, look.common, look.look_alikes,
    )  # fmt: skip
    connection.execute("INSERT INTO unit_look VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", figures)
    put = connection.executemany
    put("INSERT INTO unit_exhibit VALUES (?, ?, ?, ?, ?, ?, ?)", _numbered(
        (x.case_key, text(x.reference), text(x.exhibit), text(x.source), microseconds(x.added), text(x.contact))
        for x in look.others
    ))  # fmt: skip
    put("INSERT INTO unit_twin VALUES (?, ?, ?, ?)", _numbered(
        (x.source_id, x.exhibit + 1, x.how) for x in look.twins
    ))  # fmt: skip
    put("INSERT INTO unit_same VALUES (?, ?, ?, ?, ?, ?)", _numbered(
        (x.sha256, COMMON if x.exhibit is None else x.exhibit + 1, x.files, x.exhibits, x.cases) for x in look.same
    ))  # fmt: skip
    put("INSERT INTO unit_near VALUES (?, ?, ?, ?, ?, ?)", _numbered(
        (x.sha256, x.other, x.exhibit + 1, x.distance, x.pictures) for x in look.near
    ))  # fmt: skip
    put("INSERT INTO unit_camera VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", _numbered(
        (x.source_id, text(x.make), text(x.model), text(x.serial), x.internal, x.files, x.exhibit + 1, x.other_files)
        for x in look.cameras
    ))  # fmt: skip
    put("INSERT INTO unit_grade VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", _numbered(
        (x.sha256, text(x.reference), text(x.examiner), microseconds(x.decided), x.category.code, x.category.label,
         x.category.scheme, x.category.severity, text(x.contact))
        for x in look.grades
    ))  # fmt: skip
    if connection.execute("DELETE FROM wide_problem WHERE source_id = 0 AND code = ?", (NOT_REACHED,)).rowcount:
        digests.touch("wide_problem", 0)


def _numbered(rows: Iterable[Row]) -> Iterator[Row]:
    return ((number, *row) for number, row in enumerate(rows, start=1))


# -- reading ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LinkedExhibit:
    """An exhibit of another case and what it has in common with this case; contents are counted once each.

    ``listed`` contents a hash set lists here, ``unlisted`` pictures and films no set lists, ``other`` are the rest.
    ``same_exhibit`` is how it is known to be one of this case (TWIN_*), "" where it is another.
    """

    reference: str
    case_key: str
    exhibit: str
    source: str
    added: datetime
    listed: int
    unlisted: int
    other: int
    alike: int
    cameras: int
    same_exhibit: str
    contact: str


@dataclass(frozen=True, slots=True)
class LinkFigures:
    """How many contents of this case the memory has on other exhibits of other cases, and the other links.

    ``same_exhibit`` contents are on the same exhibit in another case, and on none besides.
    """

    listed: int
    unlisted: int
    other: int
    common: int
    alike: int
    cameras: int
    graded: int
    same_exhibit: int


@dataclass(frozen=True, slots=True)
class LinkRow:
    """One link of one file: a row of links.csv.

    ``link`` is "same-content", "same-content-common" (the exhibits are counted, not named), "graded-before",
    "look-alike" or "same-camera"; of the last ``files`` of the source state the camera and no path is named. The
    category is that under which a hash set of this case lists the file exactly ("" : none does). ``same_exhibit`` is
    how the other exhibit is known to be the one that the file lies on (TWIN_*), "" where it is another. Of a restricted
    case nothing is named but ``other_contact``, whom to ask.
    """

    link: str
    exhibit: str
    source: str
    volume: str
    path: str
    state: State | None
    kind: Kind | None
    media_type: str
    size: int | None
    sha256: bytes | None
    category_code: str
    category_label: str
    scheme: str
    files: int
    other_case: str
    other_exhibit: str
    other_source: str
    other_added: datetime | None
    other_files: int | None
    other_exhibits: int | None
    other_cases: int | None
    other_sha256: bytes | None
    distance: int | None
    threshold: int | None
    grade_code: str
    grade_label: str
    grade_scheme: str
    graded_by: str
    graded: datetime | None
    camera_make: str
    camera_model: str
    camera_serial: str
    container_state: State | None
    same_exhibit: str
    other_contact: str


LOOK = """SELECT unit, looked, cases, exhibits, asked, known_good, small, pictures, smallest, common, look_alikes
FROM unit_look"""
# One row a content of this case: whether a set lists it exactly, what kind it is, its first file.
MAKE = f"""CREATE TEMP TABLE link_content AS
SELECT e.sha256, max(coalesce({LISTED}, 0)) AS listed, max(e.kind <> 'other') AS media, min(e.id) AS first
FROM entry e LEFT JOIN proposed p ON p.entry_id = e.id LEFT JOIN category c ON c.id = p.category_id
WHERE e.sha256 IN (SELECT sha256 FROM unit_same UNION SELECT sha256 FROM unit_near UNION SELECT sha256 FROM unit_grade)
GROUP BY e.sha256"""  # noqa: S608 - constants only
MAKE_FILES = """CREATE TEMP TABLE link_file AS SELECT e.id, e.sha256 FROM entry e JOIN temp.link_content k
    ON k.sha256 = e.sha256"""
# The rows that lead from an exhibit to itself in another case alone, wherever the content lies here.
MAKE_TWINS = f"""CREATE TEMP TABLE link_{{table}} AS SELECT u.position FROM unit_{{table}} u
WHERE u.exhibit_id IN (SELECT exhibit_id FROM unit_twin) AND NOT EXISTS (
    SELECT 1 FROM temp.link_file f WHERE f.sha256 = u.sha256 AND NOT EXISTS (
        SELECT 1 FROM unit_twin t WHERE t.source_id = f.id >> {NUMBER_BITS} AND t.exhibit_id = u.exhibit_id))"""  # noqa: S608
APART = "u.position NOT IN (SELECT position FROM temp.link_{table})"
KINDS_OF = "count(DISTINCT CASE WHEN k.listed THEN k.sha256 END), \
count(DISTINCT CASE WHEN NOT k.listed AND k.media THEN k.sha256 END), \
count(DISTINCT CASE WHEN NOT k.listed AND NOT k.media THEN k.sha256 END)"
FIGURES = f"""SELECT {KINDS_OF},
    (SELECT count(*) FROM unit_same WHERE exhibit_id = {COMMON}),
    (SELECT count(DISTINCT sha256) FROM unit_near u WHERE {APART.format(table="near")}),
    (SELECT count(*) FROM (SELECT DISTINCT make, model, serial, internal FROM unit_camera u WHERE NOT EXISTS (
        SELECT 1 FROM unit_twin t WHERE t.source_id = u.source_id AND t.exhibit_id = u.exhibit_id))),
    (SELECT count(DISTINCT sha256) FROM unit_grade),
    (SELECT count(DISTINCT sha256) FROM unit_same) - count(DISTINCT u.sha256)
FROM unit_same u JOIN temp.link_content k ON k.sha256 = u.sha256 WHERE {APART.format(table="same")}"""  # noqa: S608
EXHIBITS = f"""SELECT x.reference, x.case_key, x.exhibit, x.source, x.added, coalesce(s.listed, 0),
    coalesce(s.unlisted, 0), coalesce(s.other, 0), coalesce(n.alike, 0), coalesce(c.cameras, 0),
    coalesce((SELECT min(how) FROM unit_twin t WHERE t.exhibit_id = x.id), ''), x.contact
FROM unit_exhibit x
    LEFT JOIN (SELECT exhibit_id, sum(k.listed) AS listed, sum(NOT k.listed AND k.media) AS unlisted,
        sum(NOT k.listed AND NOT k.media) AS other
        FROM unit_same u JOIN temp.link_content k ON k.sha256 = u.sha256 WHERE exhibit_id <> {COMMON}
        GROUP BY exhibit_id) s ON s.exhibit_id = x.id
    LEFT JOIN (SELECT exhibit_id, count(DISTINCT sha256) AS alike FROM unit_near GROUP BY exhibit_id) n
        ON n.exhibit_id = x.id
    LEFT JOIN (SELECT exhibit_id, count(*) AS cameras FROM (SELECT DISTINCT exhibit_id, make, model, serial, internal
        FROM unit_camera) GROUP BY exhibit_id) c ON c.exhibit_id = x.id
ORDER BY 6 DESC, 7 DESC, 10 DESC, 9 DESC, 8 DESC, x.reference, x.exhibit, x.source, x.id"""  # noqa: S608
# The part of a link's row that is about the file here.
FILE = """s.exhibit, s.name, e.volume, e.path, e.state, e.kind, e.media_type, e.size, e.sha256, {code}, {label},
    {scheme}, 1"""
HERE = FILE.format(**{
    word: f"coalesce(CASE WHEN {LISTED} THEN c.{word} END, '')" for word in ("code", "label", "scheme")
})  # fmt: skip
TWIN = "LEFT JOIN unit_twin t ON t.source_id = s.id AND t.exhibit_id = u.exhibit_id"
WHERE_HERE = f"""JOIN temp.link_content k ON k.sha256 = u.sha256 JOIN temp.link_file f ON f.sha256 = u.sha256
    JOIN entry e ON e.id = f.id JOIN source s ON s.id = e.id >> {NUMBER_BITS}
    {TWIN} LEFT JOIN proposed p ON p.entry_id = e.id LEFT JOIN category c ON c.id = p.category_id"""
# Listed contents first, then pictures and films, then the rest, in the order of their first files.
ORDER = "ORDER BY k.listed DESC, k.media DESC, k.first, u.position, e.id"
ALL = "WHERE true"
NO_GRADE, NO_CAMERA = "'', '', '', '', NULL", "'', '', ''"
SAME = f"""SELECT CASE u.exhibit_id WHEN {COMMON} THEN 'same-content-common' ELSE 'same-content' END, {HERE},
    coalesce(x.reference, ''), coalesce(x.exhibit, ''), coalesce(x.source, ''), x.added,
    CASE u.exhibit_id WHEN {COMMON} THEN NULL ELSE u.files END, u.exhibits, u.cases, NULL, NULL, NULL,
    {NO_GRADE}, {NO_CAMERA}, {CONTAINER_STATE}, coalesce(t.how, ''), coalesce(x.contact, '')
FROM unit_same u {WHERE_HERE} LEFT JOIN unit_exhibit x ON x.id = u.exhibit_id {ALL} {ORDER}"""  # noqa: S608
GRADED = f"""SELECT 'graded-before', {HERE}, u.reference, '', '', NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    u.code, u.label, u.scheme, u.examiner, u.decided, {NO_CAMERA}, {CONTAINER_STATE}, '', u.contact
FROM unit_grade u {WHERE_HERE.replace(TWIN, "")} {ORDER}"""  # noqa: S608 - constants only
NEAR = f"""SELECT 'look-alike', {HERE}, x.reference, x.exhibit, x.source, x.added, NULL, NULL, NULL, u.other,
    u.distance, {NEAR_BITS}, {NO_GRADE}, {NO_CAMERA}, {CONTAINER_STATE}, coalesce(t.how, ''), x.contact
FROM unit_near u {WHERE_HERE} JOIN unit_exhibit x ON x.id = u.exhibit_id {ALL} {ORDER}"""  # noqa: S608
CAMERA = f"""SELECT 'same-camera', s.exhibit, s.name, '', '', NULL, NULL, '', NULL, NULL, '', '', '', u.files,
    x.reference, x.exhibit, x.source, x.added, u.other_files, NULL, NULL, NULL, NULL, NULL, {NO_GRADE},
    u.make, u.model, u.serial, NULL, coalesce(t.how, ''), x.contact
FROM unit_camera u JOIN unit_exhibit x ON x.id = u.exhibit_id JOIN source s ON s.id = u.source_id {TWIN} {ALL}
ORDER BY u.position"""  # noqa: S608 - constants only
LINKS = {"same-content": SAME, "graded-before": GRADED, "look-alike": NEAR, "same-camera": CAMERA}


def link_once(connection: sqlite3.Connection) -> None:
    """Work out which files have linked contents into temporary tables, once a connection."""
    if connection.execute("SELECT 1 FROM temp.sqlite_schema WHERE name = 'link_content'").fetchone():
        return
    propose_once(connection)
    connection.execute(MAKE)
    connection.execute("CREATE UNIQUE INDEX temp.link_content_key ON link_content (sha256)")
    connection.execute(MAKE_FILES)
    connection.execute("CREATE INDEX temp.link_file_content ON link_file (sha256)")
    for table in ("same", "near"):
        connection.execute(MAKE_TWINS.format(table=table))


def look_row(connection: sqlite3.Connection) -> UnitLookRow | None:
    """The figures of the last look-up, None where there was none."""
    row = connection.execute(LOOK).fetchone()
    return None if row is None else reader(UnitLookRow)(row)


def link_figures(connection: sqlite3.Connection) -> LinkFigures:
    """How many links there are of each kind."""
    link_once(connection)
    return LinkFigures(*connection.execute(FIGURES).fetchone())


def linked_exhibits(connection: sqlite3.Connection) -> Iterator[LinkedExhibit]:
    """The exhibits of other cases that links lead to, those with the most listed contents first."""
    link_once(connection)
    yield from map(reader(LinkedExhibit), connection.execute(EXHIBITS))


def link_rows(connection: sqlite3.Connection, link: str, *, apart: bool = False) -> Iterator[LinkRow]:
    """Every link of one of LINKS, a row a file; with ``apart`` none to the same exhibit in another case."""
    link_once(connection)
    statement = LINKS[link].replace(ALL, "WHERE t.how IS NULL") if apart else LINKS[link]
    yield from map(reader(LinkRow), connection.execute(statement))
