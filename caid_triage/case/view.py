"""Reading a case: typed rows in one fixed order, streamed, the same in every run.

Order: sources as they were given, then files in walk order; within a file, exact matches first, gravest first.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from caid_triage.case.audit import AuditHead, content_head, recorded_faults
from caid_triage.case.block_search import BlockSearch, block_searches, search_totals
from caid_triage.case.counts import GRAVEST_FIRST, STRONGEST_KIND_FIRST
from caid_triage.case.details import Detail, exhibits_of, read_details
from caid_triage.case.documents import NamedRow, named_rows
from caid_triage.case.findings import contradiction_rows
from caid_triage.case.foreign import refuse_foreign_schema
from caid_triage.case.grades import STANDS, DisputedRow, disputed_rows
from caid_triage.case.making import stand_in_tables
from caid_triage.case.metadata import CameraRow, MetadataRow, camera_rows, lead_rows, metadata_rows, placed_rows
from caid_triage.case.page_rows import ExactFile, exact_files
from caid_triage.case.placed import PlacedFragment, fragment_counts, placed_fragments
from caid_triage.case.places import CONTAINER_STATE, REMOVED
from caid_triage.case.records import source_rows, stored_records
from caid_triage.case.rows import (
    ContradictionRow,
    DeltaRow,
    FileRow,
    LedgerRow,
    MatchRow,
    ProblemRow,
    RegradeRow,
    RunTimes,
    SourceRow,
    VideoMatchRow,
    VolumeRow,
)
from caid_triage.case.sampling import Sampling, fragment_totals, samplings
from caid_triage.case.schema import NUMBER_BITS, check_schema, connect_for_reading, reading_faults
from caid_triage.case.view_of_exchange import CaseExchange
from caid_triage.case.view_of_figures import CaseFigures
from caid_triage.case.view_of_links import CaseLinks
from caid_triage.case.withheld import WITHHELD
from caid_triage.model import LedgerRange, ScanRecord

# The first pdq and phash of the whole picture; the frames of a video are not columns of files.csv.
STILL_HASH = "(SELECT {column} FROM perceptual_hash h WHERE h.entry_id = e.id AND h.algorithm = '{algorithm}' \
AND h.frame_time IS NULL ORDER BY h.position LIMIT 1)"

FILES = f"""
SELECT s.exhibit, s.name, e.volume, e.path, e.state, e.kind, e.media_type, e.size, e.md5, e.sha1, e.sha256,
    {STILL_HASH.format(column="value", algorithm="pdq")}, {STILL_HASH.format(column="quality", algorithm="pdq")},
    {STILL_HASH.format(column="value", algorithm="phash")}, e.width, e.height, e.duration_s,
    e.created, e.modified, e.accessed, e.changed, e.physical_offset, e.path,
    (SELECT group_concat(code, ';') FROM (SELECT code FROM entry_problem q WHERE q.entry_id = e.id ORDER BY q.position))
    , {CONTAINER_STATE}, e.decode_state, e.raw_path
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
    coalesce(t.stated, ''), coalesce(t.series, ''), e.raw_path
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


class CaseView(CaseFigures, CaseLinks, CaseExchange):
    """A read-only view of a case at one moment: its rows, its figures, its ties, and what of it leaves the case.

    Use it as a context manager, or call :meth:`close`.
    """

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

    def contradictions(self) -> Iterator[ContradictionRow]:
        """Every contradiction of the case: facts about one file that cannot both be plain truth."""
        with reading_faults(self.folder):
            yield from contradiction_rows(self._connection)

    def regrades(self) -> list[RegradeRow]:
        """Each time the stored records were matched again, oldest first."""
        # Not by field names: "changed" is a time elsewhere.
        rows = self._rows("SELECT id, hashsets, * FROM regrade ORDER BY id")
        with reading_faults(self.folder):
            return [RegradeRow(number, tuple(json.loads(sets)), *counts) for number, sets, _, _, *counts in rows]

    def delta(self) -> Iterator[DeltaRow]:
        """What each re-grading changed, by file and hash set, in file order."""
        return self._typed(DeltaRow, DELTA)

    def wide_problems(self) -> list[ProblemRow]:
        """Problems (no notes) wider than a folder or a file: of the case, of a source, of a volume."""
        statement = """SELECT exhibit, source, volume, path, step, code, detail FROM wide_problem
            WHERE path = '' AND severity = 'problem' ORDER BY source_id, origin, id"""
        return list(self._typed(ProblemRow, statement))

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

    def named_contents(self) -> Iterator[NamedRow]:
        """Every content of an exact match once, where it is easiest to come to."""
        with reading_faults(self.folder):
            yield from named_rows(self._connection)

    def disputed(self) -> Iterator[DisputedRow]:
        """Every file whose content two examiners grade differently."""
        with reading_faults(self.folder):
            yield from disputed_rows(self._connection)

    def details(self) -> dict[Detail, str]:
        """All that people stated of the case and its exhibits."""
        with reading_faults(self.folder):
            return read_details(self._connection)

    def exhibit_names(self) -> list[str]:
        """The references of the exhibits that the case has anything of."""
        with reading_faults(self.folder):
            return exhibits_of(self._connection)

    def samplings(self) -> list[Sampling]:
        """The samplings of disks, in the order they were begun."""
        with reading_faults(self.folder):
            return list(samplings(self._connection))

    def block_searches(self) -> list[BlockSearch]:
        """What scans searched for blocks of known files beside whole files, in the order these were begun."""
        with reading_faults(self.folder):
            return list(block_searches(self._connection))

    def fragments(self) -> Iterator[PlacedFragment]:
        """The fragments of known files that samplings and scans found, each block once, in the order of the disks and
        of their places."""
        with reading_faults(self.folder):
            yield from placed_fragments(self._connection)

    def fragment_counts(self) -> tuple[int, int]:
        """How many fragments there are, and of how many known files."""
        with reading_faults(self.folder):
            return fragment_counts(self._connection)

    def fragment_totals(self) -> tuple[dict[int, tuple[int, int]], dict[int, tuple[int, int]]]:
        """By its number what each sampling, and what each search of a scan found: blocks, and files these are of."""
        with reading_faults(self.folder):
            return fragment_totals(self._connection), search_totals(self._connection)

    def exact_files(self) -> Iterator[ExactFile]:
        """Every file that an exact match proposes, once, in report order."""
        with reading_faults(self.folder):
            yield from exact_files(self._connection)
