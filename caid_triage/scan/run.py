"""Walk, examine, match, store: the whole scan of one or more sources into a case, resumable at any moment.

    EvidenceSource.walk -> executor (pool or serial) -> batches -> match_batch -> CaseWriter.write_batch

The conservation law of files is enforced here: walked = examined = stored for every source, or the command ends
as a bug of ours and says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from caid_triage.case.command import Command
from caid_triage.case.rows import CaseHeader
from caid_triage.case.schema import holds_case
from caid_triage.case.store import CaseWriter, create_case, open_case_for_writing
from caid_triage.config import ScanOptions
from caid_triage.errors import CaidTriageError, CaseError, SourceError, UsageError
from caid_triage.evidence.secrets import NO_SECRETS, Secrets
from caid_triage.evidence.source import EvidenceSource
from caid_triage.match.policy import propose
from caid_triage.model import FileEntry, Match, MatchKind, Problem, ScanRecord, Searching, Severity, Withheld
from caid_triage.scan.locked import LockedSource
from caid_triage.scan.pool import examine_in_pool
from caid_triage.scan.progress import Progress, Show
from caid_triage.scan.rematch import check_names, check_radii, hashset_facts, match_options, match_stored
from caid_triage.scan.results import Result, Skipped, Walked
from caid_triage.scan.sources import SourceRequest, begin_opening, counted, stopped_by_errors, verified
from caid_triage.scan.trial import NOT_TRIED, settle
from caid_triage.scan.workforce import Workforce, started_workers
from caid_triage.version import __version__

if TYPE_CHECKING:
    from caid_triage.hashset.store import HashSet


@dataclass(slots=True)
class ScanOutcome:
    """What a scan came to. ``not_opened`` are one sentence each; ``problems`` counts those of severity "problem".

    ``unfinished``: another source of the case was stopped in an earlier run, so the case is not complete.
    """

    walked: int = 0
    examined: int = 0
    stored: int = 0
    problems: int = 0
    unfinished: bool = False
    not_opened: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 complete, 3 complete with problems, 4 when a source could not be opened."""
        if self.not_opened:
            return SourceError.exit_code
        return 3 if self.problems or self.unfinished else 0


class Scan:
    """One run of a scan: open hash sets and case, and the counters that a display reads."""

    def __init__(
        self, case: CaseWriter, hashsets: Sequence[HashSet], options: ScanOptions, show: Show, workforce: Workforce
    ) -> None:
        """``show`` is called with the progress after every batch and about twice a second."""
        self.progress = Progress()
        self._case = case
        self._hashsets = hashsets
        self._options = options
        self._match_options = match_options(options)
        self._show = show
        self._workforce = workforce

    def scan_source(self, source: EvidenceSource, outcome: ScanOutcome) -> None:
        """Scan one source to its end, then check the conservation law of files for it."""
        case = self._case
        self.progress.searching = Searching(0, 0)  # what is shown until this source's search begins
        if self._options.verify_source:
            self._verify(source)
        source_id = case.add_source(source.info, fingerprint(source))
        info = source.info
        case.audit("source-opened", exhibit=info.exhibit, source=info.source, **fingerprint(source))
        self._count(source)
        self.progress.problems += _problems(source.problems())
        self._progress_stage("examining")
        locked = LockedSource(source)
        unread = case.begin_walk(source_id)
        if unread:
            case.audit("read-again", exhibit=info.exhibit, source=info.source, files=unread)
        done = case.done(source_id)
        walked = Tally()
        items = _walk_new(locked.walk(), done.__contains__, walked)
        results = self._examined(items, locked)
        examined = met_again = inside = 0
        with locked.searching(), closing(results), stopped_by_errors(source):
            batch = Batch()
            for result in results:
                self.progress.searching = source.progress()
                if isinstance(result, Searching):
                    self._searched(result)
                elif isinstance(result, Skipped):
                    done.holds(result.entry)  # CaseError when the source has changed since
                    below = done.inside(result.entry.number)
                    self.progress.resumed_files += 1
                    self.progress.resumed_bytes += result.entry.size or 0 if result.entry.readable else 0
                    met_again += 1 + below
                    examined += 1 + below
                    inside += below
                elif isinstance(result, Problem):
                    batch.problems.append(result)
                else:
                    batch.records.append(_compared(source, result))
                    examined += 1
                    if not result.entry.part:  # what lies inside was counted neither by the walk nor as bytes of it
                        inside += result.examination.inside
                        self.progress.files += 1
                        self.progress.bytes += result.examination.bytes_read
                if batch.is_due(self._options):
                    self._store(source_id, batch, walked.files)
                    batch = Batch()
            self._store(source_id, batch, walked.files)
        if met_again < len(done):
            raise CaseError(
                f"source {info.source} of exhibit {info.exhibit} has changed since the scan began: "
                f"{len(done) - met_again} of its stored files are not there any more; scan it into a new case"
            )
        ledger = source.ledger()
        coverage, lines = (source.coverage(), ()) if ledger is None else (ledger.coverage(), ledger.folded())
        case.set_volumes(source_id, source.volumes(), source.problems(), coverage, lines)
        stored = len(case.done(source_id))
        met = walked.files + inside
        if not met == examined == stored:
            raise CaidTriageError(
                f"conservation of files is broken for exhibit {source.info.exhibit}: walked {met}, examined "
                f"{examined}, stored {stored}; this is a bug of caid-triage, the report must not be relied on"
            )
        healed = case.finish_source(source_id, met, examined)
        if healed:
            case.audit("problems-gone", exhibit=info.exhibit, source=info.source, problems=healed)
        outcome.walked += met
        outcome.examined += examined
        outcome.stored += stored
        case.audit(
            "source-finished", exhibit=source.info.exhibit, walked=met, examined=examined, stored=stored, inside=inside
        )

    def _examined(self, items: Iterator[Walked], source: LockedSource) -> Generator[Result, None, None]:
        """What the chosen executor makes of the walk."""
        if self._options.executor == "serial":
            from caid_triage.scan.serial import examine_serially  # noqa: PLC0415 - loads the decoders

            return examine_serially(items, source.read, source.read_at, source.beside)
        return examine_in_pool(items, source.read, self._options, source.read_at, self._workforce, source.beside)

    def _verify(self, source: EvidenceSource) -> None:
        """Compare the source with the hashes stored in it; what came of it becomes a fact or Problems of the source."""
        self._progress_stage("verifying")
        outcomes = verified(source, lambda: self._show(self.progress))
        info = source.info
        self._case.audit("source-verified", exhibit=info.exhibit, source=info.source, hashes=outcomes)

    def _count(self, source: EvidenceSource) -> None:
        """Walk once without reading content, so that the time left can be told (microseconds an entry)."""
        self._progress_stage("counting")
        files, size = counted(source, lambda: self._show(self.progress))
        self.progress.total_files = (self.progress.total_files or 0) + files
        self.progress.total_bytes = (self.progress.total_bytes or 0) + size

    def _searched(self, told: Searching) -> None:
        """All files with names are given out; say how far the search of free space is, and what it has found."""
        if told.files is None:
            self._progress_stage("searching free space")
            return
        self.progress.total_files = (self.progress.total_files or 0) + told.files
        self.progress.total_bytes = (self.progress.total_bytes or 0) + told.size
        self._progress_stage("examining")

    def _progress_stage(self, stage: str) -> None:
        self.progress.stage = stage
        self._show(self.progress)

    def _store(self, source_id: int, batch: Batch, walked: int) -> None:
        records = sorted(batch.records, key=lambda record: (record.entry.number, record.entry.part))
        matches, withheld = self._matched(records)
        self._case.write_batch(source_id, records, matches, batch.problems, walked, withheld)
        for record, met in zip(records, matches, strict=True):
            self.progress.problems += _problems(record.problems)
            self._count_hit(met)
        self.progress.problems += _problems(batch.problems)
        self._show(self.progress)

    def _matched(self, records: Sequence[ScanRecord]) -> tuple[list[tuple[Match, ...]], list[tuple[Withheld, ...]]]:
        """The matches of each record and what was withheld of them: nothing where no hash set is given."""
        if not self._hashsets:
            return [() for _ in records], [() for _ in records]
        from caid_triage.match.match import match_batch  # noqa: PLC0415 - a scan without hash sets needs none of it

        found = match_batch(records, self._hashsets, self._match_options)
        return found.matches, found.withheld

    def _count_hit(self, met: Sequence[Match]) -> None:
        proposal = propose(met)
        if proposal.category is None:
            return
        if proposal.match_kind is MatchKind.EXACT:
            self.progress.hits[proposal.category.label] += 1
        else:
            self.progress.leads += 1


@dataclass(slots=True)
class Tally:
    """How many entries the walk has given so far; filled in the executor's threads, one at a time."""

    files: int = 0


@dataclass(slots=True)
class Batch:
    """What is stored in one transaction: by count of files, or by age so that a slow file delays nothing."""

    records: list[ScanRecord] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    begun: float = field(default_factory=time.monotonic)

    def is_due(self, options: ScanOptions) -> bool:
        """Whether the batch is to be stored now."""
        filled = len(self.records) + len(self.problems)
        return filled >= options.batch_files or time.monotonic() - self.begun >= options.batch_seconds


def _problems(found: Iterable[Problem]) -> int:
    """How many of them are problems; notes are not."""
    return sum(problem.severity is Severity.PROBLEM for problem in found)


def _walk_new(walk: Iterator[Walked], is_done: Callable[[int], bool], tally: Tally) -> Iterator[Walked]:
    """The walk with the entries that are stored already marked as such."""
    for item in walk:
        if isinstance(item, FileEntry):
            tally.files += 1
            yield Skipped(item) if is_done(item.number) else item
        else:
            yield item


def _compared(source: EvidenceSource, record: ScanRecord) -> ScanRecord:
    """The record, with a Problem for each hash that the source keeps of this file and that is not the content's."""
    digests = record.examination.digests
    if digests is None or record.entry.part:
        return record
    found = source.disagreements(record.entry, digests)
    if not found:
        return record
    problems = (*record.examination.problems, *found)
    return replace(record, examination=replace(record.examination, problems=problems))


def fingerprint(source: EvidenceSource) -> dict[str, object]:
    """What tells this source from another of the same name: kind, size, the acquisition hashes, what was unlocked."""
    info = source.info
    opened = sorted(problem.volume for problem in source.problems() if problem.code == "volume-unlocked")
    unlocked = {"unlocked": opened} if opened else {}  # with other secrets it has other files, and other numbers
    stored = {name: value for name, value in sorted(info.acquisition.items()) if name in {"md5", "sha1", "sha256"}}
    names = [Path(segment).name for segment in info.segments]
    return {"kind": info.kind, "size": info.size, "segments": names, "stored": stored, **unlocked}


def refuse_writing_into(source: Path, case_folder: Path) -> None:
    """Evidence is never written to: a case cannot lie inside a folder that is scanned."""
    if source.is_dir() and case_folder.resolve().is_relative_to(source.resolve()):
        raise UsageError(f"the case folder {case_folder} lies inside the source {source}; choose one outside of it")


def open_hashsets(paths: Sequence[Path]) -> list[HashSet]:
    """Open hash sets and refuse two of one name; HashSetError (exit 5) names the one at fault."""
    if not paths:
        return []
    from caid_triage.hashset.store import open_hashset  # noqa: PLC0415 - numpy, which nothing else here needs

    hashsets = [open_hashset(path) for path in paths]
    check_names(hashsets)
    return hashsets


def open_case_for_scan(folder: Path, reference: str, options: ScanOptions) -> CaseWriter:
    """Make the case, or open it to resume; the options that a result depends on must be those it began with."""
    if not holds_case(folder):
        return create_case(folder, CaseHeader(reference=reference, options=options.result_options()))
    case = open_case_for_writing(folder)
    before, now = dict(case.header.options), options.result_options()
    if before != now:
        case.close()
        differ = ", ".join(sorted(name for name in {*before, *now} if before.get(name) != now.get(name)))
        raise CaseError(
            f"the case in {folder} was begun with other options ({differ}); use those again, or a new case folder"
        )
    return case


def attach_hashsets(case: CaseWriter, hashsets: Sequence[HashSet], options: ScanOptions) -> None:
    """Make every stored and every coming record of the case meet every hash set of the case."""
    known = case.hashset_generations()
    given = {hashset.name: hashset.generation for hashset in hashsets}
    missing = sorted(set(known) - set(given))
    if missing:
        raise CaseError(
            f"the case in {case.folder} was begun with the hash set {', '.join(missing)}: give it again with "
            "--hashset, or the files still to come would not be matched against it"
        )
    distances, chosen = case.hashset_distances(), match_options(options)
    renewed = []
    for hashset in hashsets:
        facts = hashset_facts(hashset, chosen)
        now = hashset.generation, (facts["distances"], facts.get("leads"))
        if (known.get(hashset.name), distances.get(hashset.name)) != now:
            renewed.append(hashset)
    if renewed:
        match_stored(case, renewed, chosen)
    for hashset in renewed:
        case.audit("hashset-attached", **_audit_facts(hashset))


def _audit_facts(hashset: HashSet) -> dict[str, object]:
    facts = hashset_facts(hashset)
    return {name: facts[name] for name in ("name", "generation", "role", "scheme", "entries")}


def _show_unlocking(show: Show, progress: Progress, volume: str, tried: int, secrets: int) -> None:
    """Show how many secrets were tried on a volume; the scan itself counts in a Progress of its own."""
    progress.stage = f"unlocking {volume}"
    progress.secrets, progress.secrets_tried = secrets, tried
    show(progress)


def run_scan(
    requests: Sequence[SourceRequest],
    case_folder: Path,
    hashset_paths: Sequence[Path],
    options: ScanOptions,
    show: Show = lambda _progress: None,
    workforce: Workforce | None = None,
    secrets: Secrets | None = None,
    command: Command | None = None,
) -> ScanOutcome:
    """Open everything, scan every source, leave a consistent case. Run again on the same case, it resumes.

    The workers get ready meanwhile. ``workforce`` is for callers that have started them before; it stays theirs.
    ``secrets`` are tried on every encrypted volume. The case keeps how many there were, and which volumes they opened.
    ``command`` is what the audit chain says of the command, None for a call from Python.
    A source that cannot be opened does not stop the others: it is recorded, and the outcome's exit code is 4.
    Raises HashSetError before anything is made, SourceError when no source at all can be opened, CaseError.
    """
    outcome = ScanOutcome()
    secrets = replace(secrets or NO_SECRETS, told=partial(_show_unlocking, show, Progress()))
    for request in requests:
        refuse_writing_into(request.path, case_folder)
    with ExitStack() as stack:
        workers = workforce or stack.enter_context(started_workers(options))
        begun = [begin_opening(request, secrets, options, stack) for request in requests]
        hashsets = open_hashsets(hashset_paths)
        check_radii(options.set_radii, hashsets)
        sources: list[EvidenceSource] = []
        not_opened: list[Problem] = []
        for request, opened in zip(requests, begun, strict=True):
            try:
                source = opened()
            except SourceError as error:
                outcome.not_opened.append(str(error))
                detail = "the source could not be opened; nothing of it was examined"
                not_opened.append(
                    Problem("open", "source-not-opened", detail, exhibit=request.exhibit, source=request.name)
                )
            else:
                sources.append(source)
        if not sources:
            raise SourceError(*outcome.not_opened)
        case = stack.enter_context(open_case_for_scan(case_folder, requests[0].exhibit, options))
        case.audit_command(command or Command("run_scan"))
        run = case.begin_run("scan", datetime.now(UTC))
        ending = "failed"
        try:
            case.audit("scan-began", version=__version__, options=options.result_options(), executor=options.executor,
                       workers=options.workers, sources=len(requests), secrets=len(secrets))  # fmt: skip
            attach_hashsets(case, hashsets, options)
            case.add_problems(not_opened)
            border = settle(workers)
            told = [] if border is None else border.problems()
            if border is not None:
                case.audit("workers-confined", **border.facts())
            elif options.executor == "pool":
                told = [NOT_TRIED]
                case.audit("workers-confined", tried=False)
            case.add_problems(told)
            scan = Scan(case, hashsets, options, show, workers)
            scan.progress.problems = len(not_opened) + _problems(told)
            for source in sources:
                scan.scan_source(source, outcome)
            scan.progress.stage = "finished"
            show(scan.progress)
            ending = "finished"
        except KeyboardInterrupt:
            ending = "interrupted"
            raise
        finally:
            case.audit(f"scan-{ending}", walked=outcome.walked, examined=outcome.examined, stored=outcome.stored)
            case.end_run(run, datetime.now(UTC), ending)
    return outcome
