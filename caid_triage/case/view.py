"""Reading a case: typed rows in one fixed order, streamed, the same in every run.

Order: sources as they were given, then files in walk order; within a file, exact matches first, gravest first.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self, TypeVar

from caid_triage.case.audit import AuditHead, content_head, recorded_faults
from caid_triage.case.counts import (
    GRAVEST_FIRST,
    STRONGEST_KIND_FIRST,
    TIER,
    count_rows,
    exhibit_rows,
    md5_alone,
    tally_rows,
)
from caid_triage.case.decode import reader
from caid_triage.case.documents import (
    NamedRow,
    SetTallyRow,
    SourceProblemRow,
    SourceTallyRow,
    SpanRow,
    named_rows,
    set_tally_rows,
    source_problem_rows,
    source_tally_rows,
    span_rows,
)
from caid_triage.case.exchange import (
    ExchangeMatch,
    ExchangeRow,
    ExchangeTotals,
    content_rows,
    content_totals,
    file_rows,
    match_rows,
)
from caid_triage.case.findings import contradiction_rows
from caid_triage.case.foreign import refuse_foreign_schema
from caid_triage.case.grades import STANDS, DisputedRow, GradedRow, disputed_rows, graded_rows
from caid_triage.case.making import stand_in_tables
from caid_triage.case.metadata import (
    CameraRow,
    MetadataFigures,
    MetadataRow,
    camera_rows,
    figures,
    lead_rows,
    metadata_rows,
    placed_rows,
)
from caid_triage.case.page_rows import (
    ExactFile,
    ExhibitCategory,
    FolderCount,
    MonthCount,
    SeriesCount,
    StatedCount,
    exact_files,
    exhibit_categories,
    folder_counts,
    month_counts,
    series_counts,
    stated_counts,
)
from caid_triage.case.places import CONTAINER_STATE, REMOVED
from caid_triage.case.records import source_rows, stored_records
from caid_triage.case.rows import (
    CaseHeader,
    Conservation,
    ContradictionRow,
    CountRow,
    DeltaRow,
    ExhibitRow,
    FileRow,
    LeadHashes,
    LedgerRow,
    MatchRow,
    ProblemCount,
    ProblemRow,
    RegradeRow,
    RunTimes,
    SourceRow,
    TallyRow,
    TierRow,
    VideoMatchRow,
    VolumeRow,
    WithheldRow,
)
from caid_triage.case.schema import NUMBER_BITS, check_schema, connect_for_reading, reading_faults
from caid_triage.case.shared import (
    SharedFigures,
    SharedPair,
    SharedRow,
    shared_figures,
    shared_pairs,
    shared_rows,
)
from caid_triage.model import LedgerRange, ScanRecord
from caid_triage.perceptual import ORIENTATIONS, hash_name

T = TypeVar("T")

# The first pdq and phash of the whole picture; the frames of a video are not columns of files.csv.
STILL_HASH = "(SELECT {column} FROM perceptual_hash h WHERE h.entry_id = e.id AND h.algorithm = '{algorithm}' \
AND h.frame_time IS NULL ORDER BY h.position LIMIT 1)"

FILES = f"""
SELECT s.exhibit, s.name, e.volume, e.path, e.state, e.kind, e.media_type, e.size, e.md5, e.sha1, e.sha256,
    {STILL_HASH.format(column="value", algorithm="pdq")}, {STILL_HASH.format(column="quality", algorithm="pdq")},
    {STILL_HASH.format(column="value", algorithm="phash")}, e.width, e.height, e.duration_s,
    e.created, e.modified, e.accessed, e.changed, e.physical_offset, e.path,
    (SELECT group_concat(code, ';') FROM (SELECT code FROM entry_problem q WHERE q.entry_id = e.id ORDER BY q.position))
    , {CONTAINER_STATE}
FROM entry e JOIN source s ON s.id = e.id >> {NUMBER_BITS} ORDER BY e.id
"""  # noqa: S608 - constants only

MATCHES = f"""
SELECT s.exhibit, s.name, e.volume, e.path, e.state, e.kind, e.media_type, e.size, e.md5, e.sha1, e.sha256,
    m.match_kind, m.algorithm, m.distance, m.threshold, c.code, c.label, c.scheme, h.name, m.media_id,
    e.created, e.modified, e.accessed, e.changed, e.physical_offset, e.path,
    (SELECT json_array(d.examiner, d.decided, g.code, g.label, g.scheme, g.severity, d.note)
        FROM decision d JOIN category g ON g.id = d.category_id WHERE d.sha256 = e.sha256 AND {STANDS}
        ORDER BY d.id DESC LIMIT 1),
    coalesce(x.orientation, ''), x.quality, coalesce(l.look, ''), v.frames, v.met, v.listed_frames, v.listed_met,
    v.first_s, v.last_s, v.listed_first_s, v.listed_last_s, {CONTAINER_STATE}, {REMOVED},
    coalesce(t.stated, ''), coalesce(t.series, '')
FROM file_match m LEFT JOIN match_detail x
        ON x.entry_id = m.entry_id AND x.hashset_id = m.hashset_id AND x.position = m.position
    LEFT JOIN match_stated t ON t.entry_id = m.entry_id AND t.hashset_id = m.hashset_id AND t.position = m.position
    LEFT JOIN match_look l ON l.entry_id = m.entry_id AND l.hashset_id = m.hashset_id AND l.position = m.position
    LEFT JOIN video_match v ON v.entry_id = m.entry_id AND v.hashset_id = m.hashset_id AND v.position = m.position
    JOIN entry e ON e.id = m.entry_id JOIN source s ON s.id = e.id >> {NUMBER_BITS}
    JOIN category c ON c.id = m.category_id JOIN hashset h ON h.id = m.hashset_id
WHERE h.role = 'notable' AND (m.contradicted <> 0) = ?
ORDER BY m.entry_id, {STRONGEST_KIND_FIRST}, {GRAVEST_FIRST}, h.name, m.distance, m.algorithm, m.record_row, m.position
"""  # noqa: S608 - constants only

VIDEO_MATCHES = f"""
SELECT s.exhibit, s.name, e.volume, e.path, e.state, c.label, c.scheme, h.name, m.media_id, m.distance, m.threshold,
    coalesce(x.orientation, ''), v.frames, v.met, v.listed_frames, v.listed_met, v.first_s, v.last_s,
    v.listed_first_s, v.listed_last_s, v.strip, v.listed_strip, {CONTAINER_STATE}, {REMOVED}
FROM video_match v JOIN file_match m
        ON m.entry_id = v.entry_id AND m.hashset_id = v.hashset_id AND m.position = v.position
    LEFT JOIN match_detail x ON x.entry_id = v.entry_id AND x.hashset_id = v.hashset_id AND x.position = v.position
    JOIN entry e ON e.id = m.entry_id JOIN source s ON s.id = e.id >> {NUMBER_BITS}
    JOIN category c ON c.id = m.category_id JOIN hashset h ON h.id = m.hashset_id
WHERE h.role = 'notable'
ORDER BY m.entry_id, {GRAVEST_FIRST}, h.name, m.distance, m.record_row, m.position
"""  # noqa: S608 - constants only

# What the guards of matching withheld, one note a file and set: never one row a withheld match.
WITHHELD = """SELECT w.entry_id, w.hashset_id * 1000 + w.position AS position, 'match' AS step,
    'near-' || w.reason AS code,
    CASE w.reason WHEN 'flood' THEN 'looks like ' || (w.matches + w.kept) || ' entries of ' || h.name || ' by ' ||
        w.algorithm || ' (distance up to ' || w.threshold || '): too many to mean anything; the nearest ' || w.kept ||
        ' are listed, ' || w.matches || ' are not'
    WHEN 'common' THEN 'shares only frames with ' || w.matches || ' videos of ' || h.name || ' that many of its videos '
        || 'have, such as a title or a logo: not proposed'
    ELSE w.matches || ' look-alikes in ' || h.name || ' by ' || w.algorithm || ' (nearest ' || w.nearest || ' of ' ||
        w.threshold || ') are not proposed: the ' || CASE w.algorithm WHEN 'vpdq' THEN 'film' ELSE 'picture' END ||
        ' is nearer to an entry of ' || w.by_set END AS detail,
    'note' AS severity
FROM withheld w JOIN hashset h ON h.id = w.hashset_id"""

PROBLEMS = f"""
SELECT exhibit, source, volume, path, step, code, detail FROM (
    SELECT s.exhibit, s.name AS source, e.volume, e.path, q.step, q.code, q.detail,
        s.id AS place, 2 AS breadth, q.entry_id AS number, q.position
    FROM entry_problem q JOIN entry e ON e.id = q.entry_id JOIN source s ON s.id = e.id >> {NUMBER_BITS}
    UNION ALL
    SELECT s.exhibit, s.name, e.volume, e.path, w.step, w.code, w.detail, s.id, 2, w.entry_id, 1000000 + w.position
    FROM ({WITHHELD}) w JOIN entry e ON e.id = w.entry_id JOIN source s ON s.id = e.id >> {NUMBER_BITS}
    UNION ALL
    SELECT exhibit, source, volume, path, step, code, detail,
        source_id, CASE origin WHEN 'source' THEN 0 ELSE 1 END, id, 0 FROM wide_problem
) ORDER BY place, breadth, number, position
"""  # noqa: S608 - constants only


DELTA = f"""SELECT r.regrade_id, r.change, s.exhibit, s.name, e.volume, e.path, e.state, e.kind, e.media_type, e.size,
    e.md5, e.sha1, e.sha256, r.hashset, r.before, r.after, r.proposed_before, r.proposed_after, {CONTAINER_STATE}
FROM regrade_row r JOIN entry e ON e.id = r.entry_id JOIN source s ON s.id = e.id >> {NUMBER_BITS}
ORDER BY r.regrade_id, r.entry_id, r.hashset"""  # noqa: S608 - constants only


def open_case(folder: Path | str) -> CaseView:
    """Open a stored case for reading; a scan may be writing to it meanwhile. CaseError when there is none."""
    folder = Path(folder)
    with reading_faults(folder):
        connection = connect_for_reading(folder)
        with ExitStack() as undo:
            undo.callback(connection.close)
            version = check_schema(connection, folder)
            refuse_foreign_schema(connection, version, folder)
            stand_in_tables(connection, version)
            # One moment of the case for all that is read, also while a scan goes on.
            connection.execute("BEGIN")
            view = CaseView(folder, connection)
            undo.pop_all()
    return view


def read_header(connection: sqlite3.Connection) -> CaseHeader:
    """The case's header as it was stored."""
    row = connection.execute("SELECT reference, operation, examiner, options, tool FROM header").fetchone()
    return CaseHeader(row[0], row[1], row[2], json.loads(row[3]), json.loads(row[4]))


class CaseView:
    """A read-only view of a case at one moment. Use it as a context manager, or call :meth:`close`."""

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        self.folder = folder
        self._connection = connection
        self.header: CaseHeader = read_header(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the case. May be called twice."""
        self._connection.close()

    def _rows(self, statement: str, *values: object) -> Iterator[Any]:
        with reading_faults(self.folder):
            yield from self._connection.execute(statement, values)

    def _typed(self, row_type: type[T], statement: str, *values: object) -> Iterator[T]:
        read = reader(row_type)
        with reading_faults(self.folder):
            for row in self._connection.execute(statement, values):
                yield read(row)

    def files(self) -> Iterator[FileRow]:
        """Every FileEntry stored, with what examining it found."""
        return self._typed(FileRow, FILES)

    def matches(self) -> Iterator[MatchRow]:
        """Every match with notable material; known-good is counted, contradicted matches are listed apart."""
        return self._typed(MatchRow, MATCHES, 0)

    def video_matches(self) -> Iterator[VideoMatchRow]:
        """Every film that agrees with a listed video of a notable set, with where their frames agree."""
        return self._typed(VideoMatchRow, VIDEO_MATCHES)

    def contradicted_matches(self) -> Iterator[MatchRow]:
        """Matches whose weaker digest agrees while a stronger one does not, or whose MD5 is all that agrees while

        another content of the case has it too: shown, never counted.
        """
        return self._typed(MatchRow, MATCHES, 1)

    def problems(self) -> Iterator[ProblemRow]:
        """Every problem: of the case, then for each source its own, those of its walk, those of its files."""
        return self._typed(ProblemRow, PROBLEMS)

    def records(self, batch: int = 1000) -> Iterator[tuple[int, list[ScanRecord]]]:
        """Every stored record again, in report order, as (source id, at most ``batch`` records of it)."""
        with reading_faults(self.folder):
            yield from stored_records(self._connection, batch)

    def metadata(self) -> Iterator[MetadataRow]:
        """Every file that says something of its own origin, and what."""
        with reading_faults(self.folder):
            yield from metadata_rows(self._connection)

    def places(self) -> Iterator[MetadataRow]:
        """Of those the files that name a place."""
        with reading_faults(self.folder):
            yield from placed_rows(self._connection)

    def camera_leads(self) -> Iterator[MetadataRow]:
        """Of those the files that are not listed and state the camera and serial number of a file that is."""
        with reading_faults(self.folder):
            yield from lead_rows(self._connection)

    def cameras(self) -> list[CameraRow]:
        """The cameras that files state, those of listed files first."""
        with reading_faults(self.folder):
            return list(camera_rows(self._connection))

    def metadata_figures(self) -> MetadataFigures:
        """How many files say something of their origin, and how many a place."""
        with reading_faults(self.folder):
            return figures(self._connection)

    def sources(self) -> list[SourceRow]:
        """The evidence sources in the order they were given."""
        with reading_faults(self.folder):
            return source_rows(self._connection)

    def volumes(self) -> list[VolumeRow]:
        """The volumes of all sources, those not understood among them."""
        statement = """SELECT s.exhibit, s.name, v.name, v.start, v.length, v.description, v.file_system, v.status
            FROM volume v JOIN source s ON s.id = v.source_id ORDER BY v.source_id, v.position"""
        return list(self._typed(VolumeRow, statement))

    def ledger(self, source_id: int) -> Iterator[LedgerRange]:
        """What became of every byte of a source, in order; nothing for a folder."""
        statement = "SELECT start, length, volume, kind, parts FROM ledger WHERE source_id = ? ORDER BY position"
        with reading_faults(self.folder):
            for stored_start, stored_length, volume, kind, stored in self._rows(statement, source_id):
                start, parts = int(stored_start), tuple((name, count) for name, count in json.loads(stored or "[]"))
                yield LedgerRange(start, start + int(stored_length), volume, kind, parts)

    def ledger_rows(self) -> Iterator[LedgerRow]:
        """The ledgers of all sources."""
        for source in self.sources():
            for one in self.ledger(source.id):
                parts = tuple(f"{kind}={count}" for kind, count in one.parts)
                length = one.end - one.start
                yield LedgerRow(source.exhibit, source.source, one.volume, one.start, one.end, length, one.kind, parts)

    def hashsets(self) -> list[dict[str, object]]:
        """What the case was told of each hash set, in the order they were given."""
        with reading_faults(self.folder):
            return [json.loads(info) for (info,) in self._rows("SELECT info FROM hashset ORDER BY id")]

    def coverage(self) -> dict[str, int]:
        """Bytes by kind, summed over the sources: what was looked at and what could not be."""
        total: dict[str, int] = {}
        with reading_faults(self.folder):
            for source in self.sources():
                for kind, count in source.coverage.items():
                    total[kind] = total.get(kind, 0) + count
        return total

    def counts(self) -> list[CountRow]:
        """Files and unique contents by category, kind, state and kind of match."""
        with reading_faults(self.folder):
            return list(count_rows(self._connection))

    def tallies(self) -> list[TallyRow]:
        """The counts gathered for a reader: by place (live, inside live files, deleted, other) and over all places."""
        with reading_faults(self.folder):
            return list(tally_rows(self._connection))

    def exhibits(self) -> list[ExhibitRow]:
        """The same counts by exhibit and kind of match."""
        with reading_faults(self.folder):
            return list(exhibit_rows(self._connection))

    def md5_alone(self) -> tuple[int, int]:
        """How many files, and different contents, count as exact matches by nothing stronger than MD5."""
        with reading_faults(self.folder):
            return md5_alone(self._connection)

    def contradictions(self) -> Iterator[ContradictionRow]:
        """Every contradiction of the case: facts about one file that cannot both be plain truth."""
        with reading_faults(self.folder):
            yield from contradiction_rows(self._connection)

    def conservation(self) -> Conservation:
        """Walked, examined and stored over all sources; the rows are counted afresh, not remembered."""
        walked = examined = stored = 0
        finished = True
        with reading_faults(self.folder):
            for row in self._rows("SELECT walked, examined, finished FROM source"):
                walked, examined, finished = walked + row[0], examined + row[1], finished and bool(row[2])
            for (count,) in self._rows("SELECT count(*) FROM entry"):
                stored = count
        return Conservation(walked, examined, stored, finished)

    def known_good(self) -> int:
        """How many files an exact match lists as known-good."""
        statement = """SELECT count(DISTINCT m.entry_id) FROM file_match m JOIN hashset h ON h.id = m.hashset_id
            WHERE h.role = 'known-good' AND m.match_kind = 'exact' AND m.contradicted = 0"""
        return int(next(self._rows(statement))[0])

    def perceptual_hashes(self, least_pdq_quality: int) -> dict[str, int]:
        """How many hashes of each algorithm matching looks up: every look and frame in each orientation, if good.

        Of a frame the upright PDQ is stored, and looked up in all eight orientations too (match/turns.py).
        """
        statement = """SELECT algorithm, frame_time IS NOT NULL, count(*) FROM perceptual_hash
            WHERE quality IS NULL OR quality >= ? GROUP BY 1, 2 ORDER BY 1, 2"""
        found: Counter[str] = Counter()
        with reading_faults(self.folder):
            for stored, is_frame, values in self._rows(statement, least_pdq_quality):
                name = hash_name(stored)
                turned = is_frame and name.algorithm == "pdq" and not name.turned
                found[name.algorithm] += values * (ORIENTATIONS if turned else name.hashes)
        return dict(sorted(found.items()))

    def lead_hashes(self, least_pdq_quality: int) -> LeadHashes:
        """How many good PDQ hashes there are that may be asked about leads: not those of films' frames."""
        statement = """SELECT h.algorithm, h.frame_time IS NOT NULL, count(*)
            FROM perceptual_hash h JOIN entry e ON e.id = h.entry_id
            WHERE (h.quality IS NULL OR h.quality >= ?) AND NOT (h.frame_time IS NOT NULL AND e.kind = 'video')
            GROUP BY 1, 2 ORDER BY 1, 2"""
        stored = upright = every = 0
        with reading_faults(self.folder):
            for text, is_frame, values in self._rows(statement, least_pdq_quality):
                name = hash_name(text)
                if name.algorithm == "pdq":
                    every += values * (ORIENTATIONS if is_frame and not name.turned else name.hashes)
                    upright += 0 if name.turned else values
                    stored += 0 if name.turned or name.look or is_frame else values
        return LeadHashes(stored, upright, every)

    def tiers(self) -> list[TierRow]:
        """How many near matches of each notable set are strong ones, and how many leads."""
        statement = f"""SELECT h.name, {TIER} AS tier, count(*), count(DISTINCT m.entry_id)
            FROM file_match m JOIN hashset h ON h.id = m.hashset_id
            WHERE h.role = 'notable' AND m.match_kind = 'near' AND m.contradicted = 0
            GROUP BY h.id, tier ORDER BY h.id, tier DESC"""  # noqa: S608 - constants only
        return list(self._typed(TierRow, statement))

    def withheld(self) -> list[WithheldRow]:
        """How many near matches the guards of matching withheld, by set, algorithm and reason."""
        statement = """SELECT h.name, w.algorithm, w.reason, count(DISTINCT w.entry_id), sum(w.matches)
            FROM withheld w JOIN hashset h ON h.id = w.hashset_id
            GROUP BY h.id, w.algorithm, w.reason ORDER BY h.id, w.algorithm, w.reason"""
        return list(self._typed(WithheldRow, statement))

    def regrades(self) -> list[RegradeRow]:
        """Each time the stored records were matched again, oldest first."""
        # Not by field names: "changed" is a time elsewhere.
        rows = self._rows("SELECT id, hashsets, * FROM regrade ORDER BY id")
        with reading_faults(self.folder):
            return [RegradeRow(number, tuple(json.loads(sets)), *counts) for number, sets, _, _, *counts in rows]

    def delta(self) -> Iterator[DeltaRow]:
        """What each re-grading changed, by file and hash set, in file order."""
        return self._typed(DeltaRow, DELTA)

    def decode_states(self, *, media_only: bool = False) -> dict[str, int]:
        """How many files came to each decode state; of all files, or of images and videos."""
        only = "WHERE kind <> 'other'" if media_only else ""
        statement = f"SELECT decode_state, count(*) FROM entry {only} GROUP BY decode_state ORDER BY decode_state"  # noqa: S608
        return dict(self._rows(statement))

    def kinds(self) -> dict[str, int]:
        """How many files are an image, a video or something else, by their content."""
        return dict(self._rows("SELECT kind, count(*) FROM entry GROUP BY kind ORDER BY kind"))

    def states(self) -> dict[str, int]:
        """How many files were found live, deleted, orphan and so on."""
        return dict(self._rows("SELECT state, count(*) FROM entry GROUP BY state ORDER BY state"))

    def wide_problems(self) -> list[ProblemRow]:
        """Problems (no notes) wider than a folder or a file: of the case, of a source, of a volume."""
        statement = """SELECT exhibit, source, volume, path, step, code, detail FROM wide_problem
            WHERE path = '' AND severity = 'problem' ORDER BY source_id, origin, id"""
        return list(self._typed(ProblemRow, statement))

    def problem_counts(self) -> list[ProblemCount]:
        """How often each problem code occurs, problems before notes, the most frequent first."""
        statement = f"""SELECT step, code, severity, count(*) AS n, min(detail) FROM (
            SELECT step, code, severity, detail FROM entry_problem
            UNION ALL SELECT step, code, severity, detail FROM wide_problem
            UNION ALL SELECT step, code, severity, detail FROM ({WITHHELD})
        ) GROUP BY step, code, severity ORDER BY severity DESC, n DESC, code, step"""  # noqa: S608
        return list(self._typed(ProblemCount, statement))

    def audit_head(self) -> AuditHead:
        """The line of the audit chain that a report prints: the last that changed what it says."""
        return content_head(self.folder)

    def audit_faults(self) -> list[int]:
        """The lines of the audit chain that record a change from outside (:func:`recorded_faults`)."""
        return recorded_faults(self.folder)

    def run_times(self) -> RunTimes:
        """When the first run began and when the last one ended."""
        statement = "SELECT min(started), (SELECT finished FROM run ORDER BY id DESC LIMIT 1) FROM run"
        return next(self._typed(RunTimes, statement))

    def source_tallies(self) -> list[SourceTallyRow]:
        """The counts by source, category, kind and kind of match."""
        with reading_faults(self.folder):
            return list(source_tally_rows(self._connection))

    def set_tallies(self) -> list[SetTallyRow]:
        """How many files each notable set lists exactly."""
        with reading_faults(self.folder):
            return list(set_tally_rows(self._connection))

    def spans(self) -> list[SpanRow]:
        """First and last dates of the exact matches, by exhibit and category."""
        with reading_faults(self.folder):
            return list(span_rows(self._connection))

    def named_contents(self) -> Iterator[NamedRow]:
        """Every content of an exact match once, where it is easiest to come to."""
        with reading_faults(self.folder):
            yield from named_rows(self._connection)

    def source_problems(self) -> list[SourceProblemRow]:
        """How many files of each source have which problem."""
        with reading_faults(self.folder):
            return list(source_problem_rows(self._connection))

    def exchange_files(self) -> Iterator[ExchangeRow]:
        """Every file with all that other programs are told of it."""
        with reading_faults(self.folder):
            yield from file_rows(self._connection)

    def exchange_matches(self) -> Iterator[ExchangeMatch]:
        """Every match of every file, known-good and contradicted ones among them, in file order."""
        with reading_faults(self.folder):
            yield from match_rows(self._connection)

    def exchange_contents(self, selection: str, *, heads: bool = False) -> Iterator[ExchangeRow]:
        """Every occurrence of the contents of one of exchange.SELECTIONS, or one row a content (``heads``)."""
        with reading_faults(self.folder):
            yield from content_rows(self._connection, selection, heads=heads)

    def exchange_totals(self, selection: str) -> dict[str, ExchangeTotals]:
        """How many contents of a selection each exhibit has."""
        with reading_faults(self.folder):
            return content_totals(self._connection, selection)

    def graded(self) -> list[GradedRow]:
        """Files and unique contents by examiners' last standing grades: apart from what hash sets assert."""
        with reading_faults(self.folder):
            return list(graded_rows(self._connection))

    def disputed(self) -> Iterator[DisputedRow]:
        """Every file whose content two examiners grade differently."""
        with reading_faults(self.folder):
            yield from disputed_rows(self._connection)

    # -- what the page asks (page_rows.py, shared.py) -----------------------------------------------------------------

    def stated_counts(self, words: tuple[str, ...]) -> list[StatedCount]:
        """What the entries that listed files met state of their items, a row a word."""
        with reading_faults(self.folder):
            return list(stated_counts(self._connection, words))

    def series_counts(self, most: int) -> list[SeriesCount]:
        """The series that listed files belong to, those of the most files first."""
        with reading_faults(self.folder):
            return list(series_counts(self._connection, most))

    def month_counts(self, field: str) -> list[MonthCount]:
        """Pictures, films and listed files by the month of a time, "created" or "modified"; without a time first."""
        with reading_faults(self.folder):
            return list(month_counts(self._connection, field))

    def folder_counts(self, most: int) -> list[FolderCount]:
        """The folders with the most listed files directly in them."""
        with reading_faults(self.folder):
            return list(folder_counts(self._connection, most))

    def exact_files(self) -> Iterator[ExactFile]:
        """Every file that an exact match proposes, once, in report order."""
        with reading_faults(self.folder):
            yield from exact_files(self._connection)

    def exhibit_categories(self) -> list[ExhibitCategory]:
        """Listed files by exhibit and category, exhibits as they were given, gravest first."""
        with reading_faults(self.folder):
            return list(exhibit_categories(self._connection))

    def shared_figures(self) -> SharedFigures:
        """How many contents occur on more than one exhibit."""
        with reading_faults(self.folder):
            return shared_figures(self._connection)

    def shared_pairs(self, most: int) -> list[SharedPair]:
        """The pairs of exhibits that have contents in common, those with the most listed ones first."""
        with reading_faults(self.folder):
            return list(shared_pairs(self._connection, most))

    def shared_rows(self) -> Iterator[SharedRow]:
        """Every occurrence of every content that several exhibits have, listed contents first."""
        with reading_faults(self.folder):
            yield from shared_rows(self._connection)
