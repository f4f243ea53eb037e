"""What a review reads of a case: short columns of every file that may need an eye, and the details of a few.

The columns are numbers only, a row of them a file, so that a million files fit into little memory and any choice among
them takes a moment; paths and the like are read of the few files that are shown. A scan may be writing meanwhile.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from caid_triage.case.cameras import camera_name
from caid_triage.case.counts import GRAVEST_FIRST, STRONGEST_KIND_FIRST, TIER
from caid_triage.case.encode import ENTRY_COLUMNS, Row, record_of
from caid_triage.case.grades import DISPUTED, STANDING, STANDS, stands
from caid_triage.case.journal import Place, place_in
from caid_triage.case.making import stand_in_tables
from caid_triage.case.records import source_rows
from caid_triage.case.rows import SourceRow
from caid_triage.case.schema import NUMBER_BITS, PART_BITS, check_schema, connect_for_reading, reading_faults
from caid_triage.model import DecodeState, Kind, ScanRecord, State

KINDS, STATES, DECODED = tuple(Kind), tuple(State), tuple(DecodeState)
NO_TIME = -(1 << 63)
LARGEST = (1 << 63) - 1
WIDE = 255  # in place of a state: a problem wider than a file
CELLS = ("id", "source", "sha256", "kind", "state", "decode", "size", "date")


def _number_of(column: str, words: Iterable[str]) -> str:
    cases = " ".join(f"WHEN '{word}' THEN {place}" for place, word in enumerate(words))
    return f"CASE {column} {cases} END"


# A size above 63 bits is text, which only a damaged file system claims.
NOTABLE = "m.contradicted = 0 AND h.role = 'notable'"
# Of what is no picture and no film only this is of interest, with all files of the same content.
TELLING = f"""SELECT m.entry_id FROM file_match m JOIN hashset h ON h.id = m.hashset_id WHERE {NOTABLE}
    UNION SELECT q.entry_id FROM entry_problem q WHERE q.severity = 'problem'"""  # noqa: S608 - constants only
FILES = f"""SELECT e.id, e.id >> {NUMBER_BITS}, coalesce(e.sha256, zeroblob(0)), {_number_of("e.kind", KINDS)},
    {_number_of("e.state", STATES)}, {_number_of("e.decode_state", DECODED)},
    CASE typeof(e.size) WHEN 'integer' THEN e.size WHEN 'text' THEN {LARGEST} ELSE -1 END,
    coalesce(e.modified, e.created, {NO_TIME})
FROM entry e WHERE e.kind <> 'other' OR e.id IN ({TELLING})
    OR e.sha256 IN (SELECT x.sha256 FROM entry x WHERE x.id IN ({TELLING}) AND x.kind = 'other')
ORDER BY e.id"""  # noqa: S608 - constants only
WIDE_PROBLEMS = f"""SELECT -id, source_id, zeroblob(0), {KINDS.index(Kind.OTHER)}, {WIDE},
    {DECODED.index(DecodeState.NOT_MEDIA)},
    -1, {NO_TIME} FROM wide_problem WHERE severity = 'problem' ORDER BY id"""  # noqa: S608 - constants only
# Of each file with a match: the gravest exact one (the smaller the graver), the nearest other one, if known-good.
MOST_GRAVE = """min(CASE WHEN h.role = 'notable' AND m.match_kind = 'exact' THEN 1000000 - cast(4 *
    max(-1000, min(100000, coalesce(c.severity, CASE c.code WHEN '' THEN 0.25 ELSE 0.5 END))) AS INTEGER) END)"""
NEAREST = f"""min(CASE WHEN h.role = 'notable' AND m.match_kind <> 'exact' THEN m.distance
    + CASE {TIER} WHEN 'strong' THEN 0 WHEN '' THEN 1000 ELSE 2000 END END)"""
MATCHED = f"""SELECT m.entry_id, coalesce({MOST_GRAVE}, -1), coalesce({NEAREST}, -1),
    max(h.role = 'known-good' AND m.match_kind = 'exact')
FROM file_match m JOIN hashset h ON h.id = m.hashset_id JOIN category c ON c.id = m.category_id
WHERE m.contradicted = 0 GROUP BY m.entry_id ORDER BY m.entry_id"""  # noqa: S608 - constants only
WITH_PROBLEM = "SELECT DISTINCT entry_id FROM entry_problem WHERE severity = 'problem' ORDER BY entry_id"
CATEGORISED = f"""SELECT DISTINCT m.entry_id FROM file_match m JOIN hashset h ON h.id = m.hashset_id
    JOIN category c ON c.id = m.category_id WHERE {NOTABLE} AND c.code = ? AND (? = '' OR c.scheme = ?)"""  # noqa: S608
GRADED = f"""SELECT g.sha256 FROM ({STANDING}) g JOIN decision d ON d.id = g.id JOIN category c ON c.id = d.category_id
    WHERE c.code = ? AND (? = '' OR c.scheme = ?) AND (? = '' OR g.examiner = ?)"""  # noqa: S608 - constants only
WITH_DEVICE = """SELECT DISTINCT entry_id FROM metadata
    WHERE name IN ('camera-make', 'camera-model', 'camera-serial', 'camera-internal-serial')"""
OF_PDQ = """SELECT h.entry_id, h.value FROM perceptual_hash h JOIN entry e ON e.id = h.entry_id
    WHERE h.algorithm = 'pdq' AND h.frame_time IS NULL AND h.quality >= ? AND e.kind = 'image'
    ORDER BY h.entry_id, h.position"""
MATCHES = f"""SELECT m.entry_id, h.name, m.media_id, m.match_kind, m.algorithm, m.distance, m.threshold, {TIER}, c.code,
    c.label, c.scheme, c.severity, coalesce(x.orientation, ''), coalesce(l.look, ''), x.quality
FROM file_match m JOIN hashset h ON h.id = m.hashset_id JOIN category c ON c.id = m.category_id
    LEFT JOIN match_detail x ON x.entry_id = m.entry_id AND x.hashset_id = m.hashset_id AND x.position = m.position
    LEFT JOIN match_look l ON l.entry_id = m.entry_id AND l.hashset_id = m.hashset_id AND l.position = m.position
WHERE m.entry_id IN (SELECT value FROM json_each(?)) AND {NOTABLE}
ORDER BY m.entry_id, {STRONGEST_KIND_FIRST}, {GRAVEST_FIRST}, h.name, m.distance, m.position"""  # noqa: S608
# The act whose rows begin last before a grade is the one that it is of, if it reaches so far (0: none).
GRADES_OF = f"""SELECT coalesce((SELECT CASE WHEN d.id < a.first_decision + a.decisions THEN a.id END FROM review_act a
        WHERE a.first_decision <= d.id ORDER BY a.first_decision DESC LIMIT 1), 0),
    d.examiner, d.decided, c.code, c.label, c.scheme, c.severity, d.note
FROM decision d JOIN category c ON c.id = d.category_id WHERE d.sha256 = ? AND {STANDS} ORDER BY d.id"""  # noqa: S608
ONE_ENTRY = f"""SELECT {ENTRY_COLUMNS} FROM entry WHERE id = ?"""  # noqa: S608 - constants only


@dataclass(frozen=True, slots=True)
class StoredAct:
    """An act of an examiner as the database has it."""

    number: int
    action: str
    examiner: str


class ReviewReader:
    """Reads a case for a review, each statement sees the case as it is then. Used by one thread at a time."""

    def __init__(self, folder: Path) -> None:
        """CaseError when there is no case, or one of a newer schema."""
        self.folder = folder
        self.reopen()

    def reopen(self) -> None:
        """Open the case (again, after :meth:`close`)."""
        with reading_faults(self.folder), ExitStack() as undo:
            self._connection = connect_for_reading(self.folder, any_thread=True)
            undo.callback(self._connection.close)
            stand_in_tables(self._connection, check_schema(self._connection, self.folder))
            self._connection.create_function("folded", 1, str.casefold, deterministic=True)
            undo.pop_all()

    def close(self) -> None:
        """Let go of the case."""
        self._connection.close()

    @contextmanager
    def at_one_moment(self) -> Iterator[None]:
        """See the case as it is now in all that is read inside."""
        with reading_faults(self.folder):
            self._connection.execute("BEGIN")
            try:
                yield
            finally:
                self._connection.execute("COMMIT")

    def _rows(self, statement: str, *values: object) -> Iterator[Row]:
        with reading_faults(self.folder):
            yield from self._connection.execute(statement, values)

    def _many(self, statement: str) -> Iterator[Row]:
        """The rows as the database gives them: of a million, :meth:`_rows` would take as long as that itself.

        Whoever takes them sees to the faults of reading (:meth:`at_one_moment` does).
        """
        return self._connection.execute(statement)

    def version(self) -> int:
        """A number that changes when another process has changed the case."""
        return int(next(self._rows("PRAGMA data_version"))[0])

    def journal_place(self) -> Place:
        """How far the database has the journal."""
        with reading_faults(self.folder):
            return place_in(self._connection)

    # -- columns -------------------------------------------------------------------------------------------------------

    def files(self) -> Iterator[Row]:
        """CELLS of every file that may be in a queue, then of every problem wider than a file (its id negative)."""
        return chain(self._many(FILES), self._many(WIDE_PROBLEMS))

    def matched(self) -> Iterator[Row]:
        """(entry, rank of its gravest exact match or -1, of its nearest other one or -1, whether it is known-good)."""
        return self._many(MATCHED)

    def with_problem(self) -> Iterator[Row]:
        """(entry,) of files with a problem that is no note."""
        return self._rows(WITH_PROBLEM)

    def standing(self) -> Iterator[Row]:
        """(content, examiner) of every grade that stands."""
        return self._rows(f"SELECT sha256, examiner FROM ({STANDING})")  # noqa: S608 - constants only

    def disputed(self) -> Iterator[Row]:
        """(content,) of those that two examiners grade differently."""
        return self._rows(DISPUTED)

    def pdq(self, least_quality: int) -> Iterator[Row]:
        """(entry, PDQ) of pictures of at least that quality; of an animation its first picture."""
        return self._rows(OF_PDQ, least_quality)

    def pdq_stamp(self, least_quality: int) -> tuple[int, int]:
        """What changes when the case gets other hashes: how many there are, and the last file that has one."""
        count, last = next(self._rows(f"SELECT count(*), coalesce(max(entry_id), 0) FROM ({OF_PDQ})", least_quality))  # noqa: S608
        return int(count), int(last)

    # -- conditions ----------------------------------------------------------------------------------------------------

    def source_ids(self, exhibits: Sequence[str]) -> list[int]:
        """The sources of exhibits."""
        rows = self._rows(
            "SELECT id FROM source WHERE exhibit IN (SELECT value FROM json_each(?))", json.dumps(exhibits)
        )
        return [identity for (identity,) in rows]

    def with_text(self, text: str) -> Iterator[int]:
        """Entries whose path has a text in it, whatever the case of its letters, or whose digest it is."""
        digest = _digest(text)
        if digest is not None:
            column = {16: "md5", 20: "sha1", 32: "sha256"}[len(digest)]
            rows = self._rows(f"SELECT id FROM entry WHERE {column} = ?", digest)  # noqa: S608 - constants only
        elif text.isascii():
            rows = self._rows("SELECT id FROM entry WHERE instr(lower(path), ?)", text.lower())
        else:
            rows = self._rows("SELECT id FROM entry WHERE instr(folded(path), ?)", text.casefold())
        yield from (identity for (identity,) in rows)
        if digest is None:
            for identity, path in self._rows("SELECT -id, path FROM wide_problem"):
                if (text.lower() in _ascii_lower(path)) if text.isascii() else (text.casefold() in path.casefold()):
                    yield identity

    def with_device(self, text: str) -> Iterator[int]:
        """Entries that state a camera whose name or serial number has a text in it."""
        wanted = text.casefold()
        for identity, name in self._devices(WITH_DEVICE):
            if wanted in name.casefold():
                yield identity

    def paths(self) -> Iterator[Row]:
        """(entry, path) of every file, then of problems wider than a file."""
        yield from self._rows("SELECT id, path FROM entry ORDER BY id")
        yield from self._rows("SELECT -id, path FROM wide_problem")

    def listed_in(self, code: str, scheme: str) -> Iterator[int]:
        """Entries with a notable match of a category (``scheme`` "": of any scheme)."""
        yield from (identity for (identity,) in self._rows(CATEGORISED, code, scheme, scheme))

    def graded_in(self, code: str, scheme: str, examiner: str) -> Iterator[bytes]:
        """Contents with a standing grade of a category ("": of any scheme, by any examiner)."""
        yield from (content for (content,) in self._rows(GRADED, code, scheme, scheme, examiner, examiner))

    # -- details -------------------------------------------------------------------------------------------------------

    def details(self, ids: Sequence[int]) -> dict[int, Row]:
        """What is shown of files and of wide problems, by id: from the exhibit to the SHA-256."""
        rows = self._rows(
            f"""SELECT e.id, s.exhibit, s.name, e.volume, e.path, e.state, e.kind, e.media_type, e.decode_state, e.size,
                e.width, e.height, e.duration_s, e.created, e.modified, e.sha256 FROM entry e
                JOIN source s ON s.id = e.id >> {NUMBER_BITS} WHERE e.id IN (SELECT value FROM json_each(?))""",  # noqa: S608
            json.dumps([one for one in ids if one > 0]),
        )
        found = {identity: tuple(rest) for identity, *rest in rows}
        wide = self._rows(
            """SELECT -id, exhibit, source, volume, path, NULL, 'other', '', 'not-media', NULL, NULL, NULL, NULL, NULL,
                NULL, NULL FROM wide_problem WHERE -id IN (SELECT value FROM json_each(?))""",
            json.dumps([one for one in ids if one < 0]),
        )
        return found | {identity: tuple(rest) for identity, *rest in wide}

    def matches(self, ids: Sequence[int]) -> dict[int, list[Row]]:
        """The notable matches of files, the strongest and gravest first."""
        found: dict[int, list[Row]] = defaultdict(list)
        for identity, *rest in self._rows(MATCHES, json.dumps(list(ids))):
            found[identity].append(tuple(rest))
        return found

    def problems(self, ids: Sequence[int]) -> dict[int, list[Row]]:
        """(code, detail) of the problems and notes of files, and of problems wider than a file."""
        found: dict[int, list[Row]] = defaultdict(list)
        wanted = json.dumps(list(ids))
        for statement in (
            "SELECT entry_id, code, detail FROM entry_problem WHERE entry_id IN (SELECT value FROM json_each(?)) "
            "ORDER BY entry_id, position",
            "SELECT -id, code, detail FROM wide_problem WHERE -id IN (SELECT value FROM json_each(?))",
        ):
            for identity, code, detail in self._rows(statement, wanted):
                found[identity].append((code, detail))
        return found

    def grades(self, content: bytes) -> list[Row]:
        """(act, examiner, decided, code, label, scheme, severity, note) of a content, of those that stand, in order."""
        return list(self._rows(GRADES_OF, content))

    def remarks(self, content: bytes) -> list[Row]:
        """(examiner, made, note) of a content."""
        statement = """SELECT a.examiner, a.made, r.note FROM remark r JOIN review_act a ON a.id = r.act_id
            WHERE r.sha256 = ? ORDER BY r.id"""
        return list(self._rows(statement, content))

    def device_names(self, ids: Sequence[int]) -> dict[int, str]:
        """The cameras that files state."""
        return dict(self._devices("SELECT value FROM json_each(?)", json.dumps(list(ids))))

    def _devices(self, which: str, *values: object) -> Iterator[tuple[int, str]]:
        statement = f"""SELECT entry_id, name, value FROM metadata WHERE entry_id IN ({which})
            AND name LIKE 'camera-%' ORDER BY entry_id, position"""  # noqa: S608 - constants only
        said: dict[str, str] = {}
        before: int | None = None
        for identity, name, value in self._rows(statement, *values):
            if identity != before and before is not None:
                yield before, _device(said)
                said = {}
            before = identity
            said.setdefault(name, value)
        if before is not None:
            yield before, _device(said)

    def sources(self) -> list[SourceRow]:
        """The evidence sources in the order they were given."""
        with reading_faults(self.folder):
            return source_rows(self._connection)

    def profile(self) -> str:
        """The profile that the case was scanned with."""
        options = next(self._rows("SELECT options FROM header"))[0]
        with reading_faults(self.folder):
            return str(json.loads(options).get("profile", "standard"))

    def outermost(self, identity: int) -> ScanRecord | None:
        """The record of a file of the walk that an entry is, or lies inside; None where there is none (yet)."""
        return self.record(identity & ~((1 << PART_BITS) - 1))

    def record(self, identity: int) -> ScanRecord | None:
        """A stored record again, with its locator, without hashes and the like; None where there is none."""
        rows = list(self._rows(ONE_ENTRY, identity))
        if not rows:
            return None
        exhibit, source = next(self._rows("SELECT exhibit, name FROM source WHERE id = ?", identity >> NUMBER_BITS))
        return record_of(rows[0], exhibit, source, (), (), ())

    # -- acts ----------------------------------------------------------------------------------------------------------

    def last_act(self, examiner: str, but: Sequence[int]) -> int | None:
        """The last act of an examiner that graded something and was not taken back, leaving out ``but``."""
        statement = f"""SELECT max(a.id) FROM review_act a WHERE a.examiner = ? AND a.action = 'decided'
            AND a.id NOT IN (SELECT value FROM json_each(?)) AND {stands("a.first_decision")}"""  # noqa: S608
        (number,) = next(self._rows(statement, examiner, json.dumps(list(but))))
        return None if number is None else int(number)

    def examiner_of_act(self, number: int) -> str | None:
        """Whose an act is, None where the database has none of that number."""
        rows = self._rows("SELECT examiner FROM review_act WHERE id = ?", number)
        return next((examiner for (examiner,) in rows), None)

    def contents_of_act(self, number: int) -> list[bytes]:
        """The contents that an act graded."""
        statement = """SELECT d.sha256 FROM review_act a JOIN decision d
            ON d.id >= a.first_decision AND d.id < a.first_decision + a.decisions WHERE a.id = ? ORDER BY d.id"""
        return [content for (content,) in self._rows(statement, number)]

    def schemes(self) -> list[tuple[str, dict[str, object]]]:
        """Name and what the case was told of each notable hash set."""
        rows = self._rows("SELECT name, info FROM hashset WHERE role = 'notable' ORDER BY id")
        return [(name, json.loads(info)) for name, info in rows]


def _digest(text: str) -> bytes | None:
    try:
        value = bytes.fromhex(text.strip())
    except ValueError:
        return None
    return value if len(value) in (16, 20, 32) else None


def _ascii_lower(text: str) -> str:
    """As SQLite's lower()."""
    return "".join(one.lower() if "A" <= one <= "Z" else one for one in text)


def _device(said: dict[str, str]) -> str:
    name = camera_name(said.get("camera-make", ""), said.get("camera-model", ""))
    serial = said.get("camera-serial") or said.get("camera-internal-serial", "")
    return f"{name} {serial}".strip()
