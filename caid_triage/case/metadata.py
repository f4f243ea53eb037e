"""What the files of a case say of their own origin: by file, by camera, by place.

Everything is worked out in the database's temporary tables, so that a case of millions of files costs no more memory
than it has cameras.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

from caid_triage.case.cameras import CameraKey, camera_key, camera_name, reasons
from caid_triage.case.counts import propose_once
from caid_triage.case.schema import NUMBER_BITS
from caid_triage.model import Kind, State

# A file is listed here if an exact match proposes it under a category that its scheme does not rank as not pertinent.
LISTED = "coalesce(p.match_kind = 'exact' AND coalesce(c.severity, 1) <> 0, 0)"
OF_CAMERA = ("camera-make", "camera-model", "camera-serial", "camera-internal-serial", "taken")
STATED = f"""SELECT m.entry_id, {LISTED}, m.name, m.value
FROM metadata m LEFT JOIN proposed p ON p.entry_id = m.entry_id LEFT JOIN category c ON c.id = p.category_id
WHERE m.name IN ({", ".join(f"'{name}'" for name in OF_CAMERA)}) ORDER BY m.entry_id, m.position"""  # noqa: S608
TABLE = """CREATE TEMP TABLE camera_of (
    entry_id INTEGER PRIMARY KEY, camera INTEGER NOT NULL, listed INTEGER NOT NULL, taken TEXT
)"""
NAMES_TABLE = """CREATE TEMP TABLE camera (
    id INTEGER PRIMARY KEY, make TEXT NOT NULL, model TEXT NOT NULL, serial TEXT NOT NULL, internal INTEGER NOT NULL,
    unlinked TEXT NOT NULL, leads INTEGER NOT NULL
)"""
# A content without a digest is unique by itself.
GROUPS = """SELECT c.make, c.model, c.serial, c.internal, c.unlinked, c.leads, count(*),
    count(DISTINCT coalesce(e.sha256, e.id)), sum(o.listed),
    count(DISTINCT CASE WHEN o.listed THEN coalesce(e.sha256, e.id) END), min(o.taken), max(o.taken)
FROM temp.camera_of o JOIN temp.camera c ON c.id = o.camera JOIN entry e ON e.id = o.entry_id GROUP BY c.id
ORDER BY c.leads DESC, count(*) DESC, c.make, c.model, c.serial, c.id"""
WITH_METADATA = f"""SELECT e.id, s.exhibit, s.name, e.volume, e.path, e.state, e.kind, e.media_type, e.sha256,
    CASE WHEN coalesce(c.leads, 0) = 0 THEN '' WHEN o.listed THEN 'listed' ELSE 'lead' END, m.name, m.value
FROM metadata m JOIN entry e ON e.id = m.entry_id JOIN source s ON s.id = e.id >> {NUMBER_BITS}
    LEFT JOIN temp.camera_of o ON o.entry_id = e.id LEFT JOIN temp.camera c ON c.id = o.camera
WHERE {{which}} ORDER BY m.entry_id, m.position"""  # noqa: S608 - constants only
EVERY = WITH_METADATA.format(which="1")
PLACED = WITH_METADATA.format(
    which="m.entry_id IN (SELECT entry_id FROM metadata WHERE name IN ('latitude', 'location'))"
)
LEADS = WITH_METADATA.format(which="c.leads AND NOT o.listed")
OF_PLACE = """SELECT entry_id, name, value FROM metadata WHERE name IN ('latitude', 'longitude', 'location')
ORDER BY entry_id, position"""
BATCH = 1000
_TAKEN = re.compile(r"\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d)?)?")
_DEGREES = re.compile(r"-?\d{1,3}\.\d{1,12}", re.ASCII)
_ISO_6709 = re.compile(
    r"([+-])(\d{2}|\d{4}|\d{6})(\.\d{1,12})?([+-])(\d{3}|\d{5}|\d{7})(\.\d{1,12})?(?:[+-].*)?/?", re.ASCII
)


@dataclass(frozen=True, slots=True)
class MetadataRow:
    """One file and what it says of its origin, as (name, text) of docs/formats/metadata.md.

    ``camera_lead`` is "listed" for a listed file whose camera has a serial number that can link files, "lead" for
    another file that states the same camera, "" otherwise.
    """

    exhibit: str
    source: str
    volume: str
    path: str
    state: State
    kind: Kind
    media_type: str
    sha256: bytes | None
    camera_lead: str
    pairs: tuple[tuple[str, str], ...]

    def first(self, name: str) -> str:
        """The first text of a name, "" where there is none."""
        return next((value for known, value in self.pairs if known == name), "")

    def camera(self) -> str:
        """Maker and model for a reader, "" where the file states none."""
        return camera_name(self.first("camera-make"), self.first("camera-model"))

    def place(self) -> tuple[float, float] | None:
        """Signed decimal degrees, north and east positive; None where the file names no place."""
        return place_of(dict(reversed(self.pairs)))


@dataclass(frozen=True, slots=True)
class CameraRow:
    """One camera as files state it, with how many of them are listed exactly.

    ``unlinked`` says why its serial number links no files ("" : it does). ``leads``: it does and a listed file states
    it, so that every other file that states it is a lead. Times are the camera's own ("" where no file has one).
    """

    make: str
    model: str
    serial: str
    internal: bool
    unlinked: str
    leads: bool
    files: int
    unique: int
    listed: int
    listed_unique: int
    first_taken: str
    last_taken: str

    def name(self) -> str:
        """Maker and model for a reader."""
        return camera_name(self.make, self.model)


@dataclass(frozen=True, slots=True)
class MetadataFigures:
    """How many files say something of their origin, and how many a place."""

    files: int
    with_place: int


def find_cameras(connection: sqlite3.Connection) -> None:
    """Work out which file states which camera into temporary tables, once a connection."""
    if connection.execute("SELECT 1 FROM temp.sqlite_schema WHERE name = 'camera_of'").fetchone():
        return
    propose_once(connection)
    connection.execute(TABLE)
    connection.execute(NAMES_TABLE)
    numbers: dict[CameraKey, int] = {}
    spelt: dict[CameraKey, tuple[str, str, str]] = {}
    with_listed: set[CameraKey] = set()
    waiting = []
    for entry, rows in groupby(connection.execute(STATED), itemgetter(0)):
        lines = list(rows)
        said = dict(reversed([(name, value) for _, _, name, value in lines]))
        key = camera_key(said)
        if key is None:
            continue
        number = numbers.setdefault(key, len(numbers))
        serial = said.get("camera-internal-serial" if key.internal else "camera-serial", "")
        spelt.setdefault(key, (said.get("camera-make", ""), said.get("camera-model", ""), serial))
        listed = bool(lines[0][1])
        if listed:
            with_listed.add(key)
        waiting.append((entry, number, listed, _valid_time(said.get("taken", ""))))
        if len(waiting) >= BATCH:
            connection.executemany("INSERT INTO temp.camera_of VALUES (?, ?, ?, ?)", waiting)
            waiting.clear()
    connection.executemany("INSERT INTO temp.camera_of VALUES (?, ?, ?, ?)", waiting)
    unlinked = reasons(numbers)
    connection.executemany(
        "INSERT INTO temp.camera VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (number, *spelt[key], key.internal, unlinked[key], key in with_listed and not unlinked[key])
            for key, number in numbers.items()
        ],
    )


def _valid_time(taken: str) -> str | None:
    """The time of a camera's own clock without its zone: clocks of one camera are compared, as they stand."""
    found = _TAKEN.match(taken)
    return found.group() if found and not taken.endswith(")") else None


def camera_rows(connection: sqlite3.Connection) -> Iterator[CameraRow]:
    """Every camera that files state: those of leads first, then by how many files state it."""
    find_cameras(connection)
    for make, model, serial, internal, unlinked, leads, *counts in connection.execute(GROUPS):
        files, unique, listed, listed_unique, first, last = counts
        yield CameraRow(
            make=make,
            model=model,
            serial=serial,
            internal=bool(internal),
            unlinked=unlinked,
            leads=bool(leads),
            files=files,
            unique=unique,
            listed=listed,
            listed_unique=listed_unique,
            first_taken=first or "",
            last_taken=last or "",
        )


def metadata_rows(connection: sqlite3.Connection) -> Iterator[MetadataRow]:
    """Every file that says something of its origin, in report order."""
    return _rows(connection, EVERY)


def placed_rows(connection: sqlite3.Connection) -> Iterator[MetadataRow]:
    """Every file that names a place, in report order."""
    return (row for row in _rows(connection, PLACED) if row.place() is not None)


def lead_rows(connection: sqlite3.Connection) -> Iterator[MetadataRow]:
    """Every file that is not listed and states the camera and serial number of one that is, in report order."""
    return _rows(connection, LEADS)


def figures(connection: sqlite3.Connection) -> MetadataFigures:
    """How many files say something of their origin, and how many a place."""
    (files,) = connection.execute("SELECT count(DISTINCT entry_id) FROM metadata").fetchone()
    said = (list(rows) for _, rows in groupby(connection.execute(OF_PLACE), itemgetter(0)))
    places = (place_of({name: value for _, name, value in reversed(rows)}) for rows in said)
    return MetadataFigures(files, sum(place is not None for place in places))


def _rows(connection: sqlite3.Connection, statement: str) -> Iterator[MetadataRow]:
    find_cameras(connection)
    for _, rows in groupby(connection.execute(statement), itemgetter(0)):
        yield _row(list(rows))


def _row(lines: list[tuple[Any, ...]]) -> MetadataRow:
    _, exhibit, source, volume, path, state, kind, media_type, sha256, lead, *_ = lines[0]
    pairs = tuple((line[-2], line[-1]) for line in lines)
    return MetadataRow(exhibit, source, volume, path, State(state), Kind(kind), media_type, sha256, lead, pairs)


def place_of(said: Mapping[str, str]) -> tuple[float, float] | None:
    """Return latitude and longitude that a file names, None where it names none or an impossible one."""
    written = said.get("latitude", ""), said.get("longitude", "")
    if all(map(_DEGREES.fullmatch, written)):
        latitude, longitude = map(float, written)
        return (latitude, longitude) if abs(latitude) <= 90 and abs(longitude) <= 180 else None
    return place_of_video(said.get("location", ""))


def place_of_video(location: str) -> tuple[float, float] | None:
    """Return latitude and longitude of ISO 6709 text as video containers hold it ("+51.5074-000.1278/"), else None."""
    parts = _ISO_6709.fullmatch(location)
    if parts is None:
        return None
    north, latitude, of_latitude, east, longitude, of_longitude = parts.groups()
    found = _degrees(north, latitude, of_latitude or "", 2), _degrees(east, longitude, of_longitude or "", 3)
    return found if abs(found[0]) <= 90 and abs(found[1]) <= 180 else None


def _degrees(sign: str, digits: str, fraction: str, whole: int) -> float:
    """Degrees of DD, DDMM or DDMMSS, of which the last part has the fraction."""
    parts = (digits[:whole], digits[whole : whole + 2], digits[whole + 2 :])
    written = [part for part in parts if part]
    written[-1] += fraction
    value = sum(float(part) / (1, 60, 3600)[power] for power, part in enumerate(written))
    return -value if sign == "-" else value
