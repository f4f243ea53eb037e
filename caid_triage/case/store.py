"""Making a case and writing to it: one writer, one transaction a batch, nothing half stored.

A batch holds the records, their hashes, problems and matches, and how far the walk has come. A process killed at any
moment leaves a case of whole batches; the next scan asks :meth:`CaseWriter.done` what it may skip.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

from caid_triage.case.audit import AUDIT_FILE, CASE_STATED, AuditHead, canonical_json, parse, read_lines
from caid_triage.case.block_search import (
    BlockSearch,
    FoundFragment,
    StoredContent,
    find_block_search,
    keep_block_search,
    whole_and_damaged,
)
from caid_triage.case.closing import logs_beside
from caid_triage.case.command import tool_versions
from caid_triage.case.details import Details, keep_details, read_details, word_of
from caid_triage.case.digests import OF_MATCHES
from caid_triage.case.encode import (
    INSERT_ENTRY,
    Row,
    entry_id,
    entry_row,
    hash_rows,
    metadata_rows,
    microseconds,
    problem_rows,
    text,
)
from caid_triage.case.foreign import refuse_foreign_schema
from caid_triage.case.grades import audit_facts, take_in
from caid_triage.case.journal import Journal, Place, has_more, place_in, session_facts
from caid_triage.case.links import UnitLook, keep_look
from caid_triage.case.lock import LOCK_FILE, CaseLock
from caid_triage.case.making import make_database
from caid_triage.case.matches import MatchTable, RecordedBatch
from caid_triage.case.reading import read_header
from caid_triage.case.records import stored_records
from caid_triage.case.rows import CaseHeader, MatchChange
from caid_triage.case.sampling import Fragment, Sampling, find_sampling, keep_sampling
from caid_triage.case.schema import DATABASE, UNMADE, check_schema, connect_for_writing, holds_case, storage_faults
from caid_triage.case.source_writing import WALK, SourceWriting
from caid_triage.errors import CaseError
from caid_triage.model import Decision, Match, Problem, ScanRecord, Withheld

# What a creation that died half way may leave behind, none of it a case.
LEFTOVERS = frozenset(
    {*(name + end for name in (DATABASE, UNMADE) for end in ("", "-journal", "-wal", "-shm")), LOCK_FILE, AUDIT_FILE}
)


def create_case(folder: Path, header: CaseHeader) -> CaseWriter:
    """Make a new case in a folder that does not exist or is empty, and open it for writing."""
    with storage_faults(folder):
        if folder.exists() and not folder.is_dir():
            raise CaseError(f"{folder} is a file, not a folder; choose another name for the case")
        if holds_case(folder):
            raise CaseError(f"{folder} already holds a case; open that, or choose another folder")
        if folder.exists() and {path.name for path in folder.iterdir()} - LEFTOVERS:
            raise CaseError(f"{folder} is not empty and holds no case; choose an empty or a new folder for the case")
        folder.mkdir(parents=True, exist_ok=True)
    lock = CaseLock(folder)
    with ExitStack() as undo:
        undo.callback(lock.release)
        if holds_case(folder):
            raise CaseError(f"{folder} already holds a case; open that, or choose another folder")
        with storage_faults(folder):
            for name in LEFTOVERS - {LOCK_FILE}:
                (folder / name).unlink(missing_ok=True)
            make_database(folder, _header_row(header))
            connection = connect_for_writing(folder / DATABASE)
        undo.callback(connection.close)
        writer = CaseWriter(folder, lock, connection)
        writer.begin()
        undo.pop_all()
    return writer


def _header_row(header: CaseHeader) -> tuple[str, ...]:
    tool = dict(header.tool) or tool_versions()
    options = canonical_json(dict(header.options))
    return text(header.reference), text(header.operation), text(header.examiner), options, canonical_json(tool)


def open_case_for_writing(folder: Path) -> CaseWriter:
    """Open an existing case as its one writer; CaseError when it is in use, of a newer schema, or no case."""
    with storage_faults(folder):
        if not (folder / DATABASE).is_file():
            raise CaseError(f"there is no case in {folder} (no {DATABASE}); check the folder's name")
    lock = CaseLock(folder)
    with ExitStack() as undo:
        undo.callback(lock.release)
        with storage_faults(folder):
            logs = logs_beside(folder)
            connection = connect_for_writing(folder / DATABASE)
            undo.callback(connection.close)
            refuse_foreign_schema(connection, check_schema(connection, folder), folder)
        writer = CaseWriter(folder, lock, connection, logs)
        undo.pop_all()
    return writer


class CaseWriter(SourceWriting):
    """The one process that may change a case. Use it as a context manager, or call :meth:`close`."""

    def __init__(self, folder: Path, lock: CaseLock, connection: sqlite3.Connection, logs: Sequence[str] = ()) -> None:
        super().__init__(folder, lock, connection, logs)
        self._matches = MatchTable(connection)
        self._acts_on_record: int | None = None
        self._journal_fault_noted = False
        with storage_faults(folder):
            self.header: CaseHeader = read_header(connection)

    def _roll_back(self) -> None:
        self._matches.forget_categories()
        super()._roll_back()

    def begin(self) -> None:
        """As of any session; and what examiners did in a review since is taken in before anything else."""
        if not self._begun:
            super().begin()
            self.take_journal()

    def _come_to_rest(self) -> AuditHead | None:
        if not self._failed:
            self.take_journal()
        return super()._come_to_rest()

    # -- what examiners did in a review -------------------------------------------------------------------------------

    def take_journal(self) -> int:
        """Take in what examiners did in a review since the last time, and put it on record; returns how many acts.

        A journal that was changed outside is not taken in: that is put on record, and ``verify`` says where.
        """
        self.begin()
        with self._storage():
            place = place_in(self._connection)
            if not has_more(self.folder, place):
                self._audit_acts()  # a process that was killed may have stored acts only
                return 0
            journal = Journal(self.folder, place)
            try:
                acts = journal.read_on()
            except CaseError:
                self._note_changed_journal(place)
                return 0
            if acts:
                with self._transaction() as connection:
                    take_in(connection, self._matches, self._digests, acts, journal.place)
            self._audit_acts()
            return len(acts)

    def _audit_acts(self) -> None:
        """Put on record the acts that the database has and the audit chain does not."""
        (last,) = self._connection.execute("SELECT coalesce(max(id), 0) FROM review_act").fetchone()
        if self._acts_on_record is None and last:
            lines, _ = read_lines(self.folder / AUDIT_FILE)
            numbers = (fields.get("act") for fields in map(parse, lines) if fields)
            self._acts_on_record = max((number for number in numbers if isinstance(number, int)), default=0)
        after = self._acts_on_record or 0
        self.audit_acts(audit_facts(self._connection, after, lambda: session_facts(self.folder)))
        self._acts_on_record = last

    def _note_changed_journal(self, place: Place) -> None:
        facts = {"what": "journal", "noted_sequence": place.head.sequence, "noted_sha256": place.head.sha256}
        if not self._journal_fault_noted:
            self.audit("audit-fault", **facts)
        self._journal_fault_noted = True

    # -- batches ------------------------------------------------------------------------------------------------------

    def write_batch(
        self,
        source_id: int,
        records: Sequence[ScanRecord],
        matches: Sequence[tuple[Match, ...]],
        problems: Sequence[Problem],
        walked: int,
        withheld: Sequence[tuple[Withheld, ...]] = (),
    ) -> None:
        """Store a batch whole or not at all. ``problems`` are those met on the walk, in its order.

        ``matches[i]`` and ``withheld[i]`` belong to ``records[i]`` (``withheld`` may be empty for all of them);
        ``walked`` is how many entries the walk has given so far.
        """
        entries: list[Row] = []
        hashes: list[Row] = []
        origins: list[Row] = []
        faults: list[Row] = []
        for record in records:
            identity = entry_id(source_id, record.entry.number, record.entry.part)
            entries.append(entry_row(identity, record))
            hashes.extend(hash_rows(identity, record.examination.hashes))
            origins.extend(metadata_rows(identity, record.examination.metadata))
            faults.extend(problem_rows(identity, record.problems))
        with self._transaction() as connection:
            connection.executemany(INSERT_ENTRY, entries)
            connection.executemany("INSERT INTO perceptual_hash VALUES (?, ?, ?, ?, ?, ?)", hashes)
            connection.executemany("INSERT INTO metadata VALUES (?, ?, ?, ?)", origins)
            connection.executemany("INSERT INTO entry_problem VALUES (?, ?, ?, ?, ?, ?)", faults)
            self._matches.add(source_id, records, matches, withheld)
            self._add_wide_problems(source_id, WALK, problems)
            connection.execute(
                "UPDATE source SET walked = max(walked, ?), examined = examined + ?, stored = stored + ? WHERE id = ?",
                (walked, len(records), len(records), source_id),
            )
            self._digests.touch("source", source_id)
            if entries:
                filled = {"entry": entries, "perceptual_hash": hashes, "metadata": origins, "entry_problem": faults}
                tables = [table for table, rows in filled.items() if rows]
                if any(matches) or any(withheld):
                    tables += OF_MATCHES
                    self._digests.touch("category")
                self._digests.add_batch(source_id, [row[0] for row in entries], tables)

    # -- hash sets ----------------------------------------------------------------------------------------------------

    def hashset_generations(self) -> dict[str, str]:
        """Name and generation of the hash sets that the stored records were matched against."""
        with storage_faults(self.folder):
            return {name: generation for name, (_, generation) in self._matches.generations().items()}

    def hashset_distances(self) -> dict[str, tuple[object, object]]:
        """Name of each hash set, and the distances and the limits of leads its stored matches were made with."""
        with storage_faults(self.folder):
            return {name: (info.get("distances"), info.get("leads")) for name, info in self._matches.infos().items()}

    def record_hashset(self, info: Mapping[str, object]) -> None:
        """Tell the case of a hash set before matching against it. ``info``: name, generation, role, scheme, sources ...

        Once records are stored, a set the case does not know is refused: those records were not matched against it.
        """
        name, generation = info.get("name"), info.get("generation")
        with self._transaction() as connection:
            known = self._matches.generations().get(text(str(name)))
            if known is None or known[1] != generation:
                (any_stored,) = connection.execute("SELECT EXISTS (SELECT 1 FROM entry)").fetchone()
                if any_stored:
                    message = (
                        f"the files stored in {self.folder} were not matched against hash set {name} ({generation}); "
                        "run the scan with the hash sets it began with, then `caid-triage match` with this one"
                    )
                    raise CaseError(message)
            self._matches.record(info)
            self._digests.touch("hashset")

    def records(self, batch: int = 1000) -> Iterator[tuple[int, list[ScanRecord]]]:
        """Every stored record again, in report order, as (source id, at most ``batch`` records of it)."""
        with storage_faults(self.folder):
            yield from stored_records(self._connection, batch)

    def replace_matches(
        self, hashsets: Sequence[Mapping[str, object]], batches: Iterable[RecordedBatch]
    ) -> MatchChange:
        """Put new matches in place of all earlier ones with hash sets of the same names, in one transaction.

        ``batches`` gives (source id, records, their matches[, what was withheld]) and may read from :meth:`records`
        as it goes. Returns what changed, by file and hash set; the rows are kept for the delta report.
        """
        with self._transaction():
            change = self._matches.replace(hashsets, batches)
            self._digests.matches_replaced()
            return change

    # -- grades of examiners -------------------------------------------------------------------------------------------

    def decide(self, sha256: bytes, decision: Decision) -> None:
        """Keep an examiner's grade of a content, after any earlier one, and put it on record.

        CaseError if no stored file has that content.
        """
        with self._transaction() as connection:
            if not connection.execute("SELECT 1 FROM entry WHERE sha256 = ? LIMIT 1", (sha256,)).fetchone():
                raise CaseError(f"no file of the case in {self.folder} has that content; nothing was graded")
            number = self._matches.decide(sha256, decision)
            self._digests.touch("decision", number)
            self._digests.touch("category")
        category = decision.category
        self.audit(
            "decided", decision=number, examiner=text(decision.examiner), code=category.code, scheme=category.scheme
        )

    # -- the unit's memory --------------------------------------------------------------------------------------------

    def keep_look(self, look: UnitLook) -> None:
        """Keep what a look-up in the unit's memory found, in place of the one before."""
        with self._transaction() as connection:
            keep_look(connection, self._digests, look)

    # -- samplings of disks --------------------------------------------------------------------------------------------

    def sampling_of(self, exhibit: str, source: str, generation: str) -> tuple[Sampling, list[Fragment]] | None:
        """The sampling of a source with a generation of a block set, and what it found; None where there is none."""
        with storage_faults(self.folder):
            return find_sampling(self._connection, exhibit, source, generation)

    def keep_sampling(self, sampling: Sampling, found: Sequence[Fragment] | None) -> None:
        """Store how far a sampling is, and its fragments where they changed, in one transaction; it gets its number."""
        with self._transaction() as connection:
            number = keep_sampling(connection, self._digests, sampling, found)
        sampling.id = number

    # -- parts of known files beside whole ones -----------------------------------------------------------------------

    def block_search_of(
        self, exhibit: str, source: str, generation: str
    ) -> tuple[BlockSearch, list[FoundFragment]] | None:
        """The search of a source for the blocks of a generation of a set, and what it found; None without one."""
        with storage_faults(self.folder):
            return find_block_search(self._connection, exhibit, source, generation)

    def keep_block_searches(self, kept: Iterable[tuple[BlockSearch, Sequence[FoundFragment]]]) -> None:
        """Store how far searches are, and their fragments, in one transaction; they get their numbers."""
        listed = list(kept)
        with self._transaction() as connection:
            numbers = [keep_block_search(connection, self._digests, search, found) for search, found in listed]
        for (search, _), number in zip(listed, numbers, strict=True):
            search.id = number

    def whole_and_damaged(self, source_id: int) -> tuple[list[StoredContent], list[StoredContent]]:
        """Of the files of a source: not in use and identical to listed ones; not known as a whole, perhaps in part."""
        with storage_faults(self.folder):
            return whole_and_damaged(self._connection, source_id)

    # -- what people say of the case -----------------------------------------------------------------------------------

    def state(self, said: Details) -> None:
        """State something of the case (case/details.py), "" to take it back; what changes is put on record.

        The line comes first: killed behind it, whoever states it again puts it on record again.
        """
        self.begin()
        with storage_faults(self.folder):
            known = read_details(self._connection)
        before = {detail: known.get(detail, "") for detail, value in said.items() if known.get(detail, "") != value}
        if not before:
            return
        after = {word_of(detail): said[detail] for detail in before}
        self.audit(CASE_STATED, before={word_of(detail): value for detail, value in before.items()}, after=after)
        with self._transaction() as connection:
            for table in keep_details(connection, {detail: said[detail] for detail in before}):
                self._digests.touch(table)
            self.header = read_header(connection)

    # -- options of the scan -------------------------------------------------------------------------------------------

    def change_options(self, options: Mapping[str, object]) -> None:
        """Let the case go on with other options of the scan: what is stored stays, no source is finished any more."""
        with self._transaction() as connection:
            connection.execute("UPDATE header SET options = ?", (canonical_json(dict(options)),))
            self._digests.touch("header")
            for (source_id,) in connection.execute("SELECT id FROM source WHERE finished = 1").fetchall():
                connection.execute("UPDATE source SET finished = 0 WHERE id = ?", (source_id,))
                self._digests.touch("source", source_id)
        with storage_faults(self.folder):
            self.header = read_header(self._connection)

    def choose_options(self, options: Mapping[str, object]) -> None:
        """Set the options that results depend on, of a case that was made before any scan chose them."""
        with self._transaction() as connection:
            connection.execute("UPDATE header SET options = ?", (canonical_json(dict(options)),))
            self._digests.touch("header")
            self.header = read_header(connection)

    # -- the record of what was done ----------------------------------------------------------------------------------

    def begin_run(self, command: str, started: datetime) -> int:
        """Note that a run began; returns its number for :meth:`end_run`."""
        with self._transaction() as connection:
            rows = connection.execute(
                "INSERT INTO run (command, started) VALUES (?, ?) RETURNING id", (text(command), microseconds(started))
            ).fetchall()
            self._digests.touch("run")
            return int(rows[0][0])

    def end_run(self, run: int, finished: datetime, outcome: str) -> None:
        """Note that a run ended, and how."""
        with self._transaction() as connection:
            columns = (microseconds(finished), text(outcome), run)
            connection.execute("UPDATE run SET finished = ?, outcome = ? WHERE id = ?", columns)
            self._digests.touch("run")
