"""The way of one source through a scan: its walk, examination and matching, in batches that are stored whole.

    EvidenceSource.walk -> executor (pool, serial or dask) -> batches -> match_batch -> CaseWriter.write_batch

The conservation law of files is enforced here: walked = examined = stored for every source, or the command ends
as a bug of ours and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from caid_triage.case.records import DoneEntries
from caid_triage.case.store import CaseWriter
from caid_triage.config import CARVING, ScanOptions
from caid_triage.evidence.source import EvidenceSource
from caid_triage.match.policy import confirmed_schemes, counts_as_hit, propose
from caid_triage.model import (
    Category,
    FileEntry,
    Match,
    MatchKind,
    Problem,
    Role,
    ScanRecord,
    Searching,
    SourceInfo,
    Withheld,
)
from caid_triage.scan.answers import Answers
from caid_triage.scan.at_work import AtWork
from caid_triage.scan.batch import Batch, HitWatch
from caid_triage.scan.locked import LockedSource
from caid_triage.scan.ordering import Ordering
from caid_triage.scan.outcome import ScanOutcome, count_problems
from caid_triage.scan.pool import examine_in_pool
from caid_triage.scan.progress import FirstHit, Progress, Show
from caid_triage.scan.rematch import match_options
from caid_triage.scan.results import Listed, Result, Skipped, Walked
from caid_triage.scan.sources import counted, stopped_by_errors, verified
from caid_triage.scan.stopping import Extent, Stopping, left_out, until
from caid_triage.scan.workforce import Workforce

if TYPE_CHECKING:
    from caid_triage.hashset.store import HashSet
    from caid_triage.scan.dask import Cluster


class Scan:
    """One run of a scan: open hash sets and case, and the counters that a display reads."""

    def __init__(
        self,
        case: CaseWriter,
        hashsets: Sequence[HashSet],
        options: ScanOptions,
        show: Show,
        workforce: Workforce,
        stopping: Stopping,
        cluster: Cluster | None = None,
    ) -> None:
        """``show`` is called with the progress after every batch and about twice a second."""
        self.progress = Progress()
        self._case = case
        self._hashsets = hashsets
        self._options = options
        self._match_options = match_options(options)
        self._show = show
        self._workforce = workforce
        self._cluster = cluster
        self._stopping = stopping
        notable = [one for one in hashsets if one.role is Role.NOTABLE]
        self._confirmed = confirmed_schemes((one.scheme.name, one.scheme.confirmed_by) for one in notable)
        self._watch = HitWatch(hashsets, self._confirmed, every=options.stop_after.hits is not None)
        self._met: set[tuple[str, Category]] = set()
        self._ordering = Ordering(case, notable, self._confirmed, options)
        self._listed_before = 0, 0
        self._answers = Answers(hashsets, options)
        self._storing = False
        self._block_sets = [one for one in notable if one.counts.get("blocks", 0)]

    def scan_source(
        self, source: EvidenceSource, outcome: ScanOutcome, place: int = 0, wanted: int | None = None
    ) -> None:
        """Scan one source to its end, or to the moment to stop, then check the conservation law of files for it.

        ``place`` counts the open sources of the scan from 0; ``wanted`` is the source's id in a case that is new to it.
        """
        work = self._begun(source, wanted)
        self._examine(work, place)
        cut = work.was_cut(by_yield=self._options.by_yield)
        after = self._case.done(work.source_id)
        met, stored = work.conserve(after, cut=cut)
        outcome.walked += met
        outcome.examined += stored
        outcome.stored += stored
        left = self._left_by_cut(work, after) if cut else self._look_for_blocks(source, work.source_id)
        if left is not None:
            self._stop(source, work.source_id, outcome, (met, stored), left)
        elif not cut:
            self._finish(work, met, stored)

    def _begun(self, source: EvidenceSource, wanted: int | None) -> AtWork:
        """Tell the case of a source, and count what there is to examine where the walk does not begin with that."""
        case = self._case
        self._watch.begin()
        self.progress.searching = Searching(0, 0)  # what is shown until this source's search begins
        if self._options.verify_source and not self._stopping.is_due():
            self._verify(source)
        info = source.info  # only now: verifying adds to it
        source_id = case.add_source(info, fingerprint(source), wanted)
        case.audit("source-opened", exhibit=info.exhibit, source=info.source, **fingerprint(source))
        extent = Extent()
        if not self._options.by_yield and not self._stopping.is_due():
            self._count(source, extent)
        self.progress.problems += count_problems(source.problems())
        self._listed_before = self.progress.total_files or 0, self.progress.total_bytes or 0
        self._progress_stage("listing" if self._options.by_yield else "examining")
        again = case.begin_walk(source_id)
        if again:
            case.audit("read-again", exhibit=info.exhibit, source=info.source, files=again)
        return AtWork(source, source_id, case.done(source_id), bool(again), extent, copied=self._answers.copied)

    def _examine(self, work: AtWork, place: int) -> None:
        """Walk, examine and store, to the end or the moment to stop."""
        source, extent = work.source, work.extent
        locked = LockedSource(source)
        walk = _walk_new(locked.walk(), work.done.__contains__)
        items = until(self._ordering.of(walk, work.info, extent), self._stopping, work.walked, extent)
        results = self._examined(items, locked, place)
        batch = Batch()
        with (
            closing(items),
            locked.searching(),
            closing(results),
            stopped_by_errors(source),
            self._kept_when_interrupted(lambda: self._store(work.source_id, batch, work.walked.files)),
        ):
            for result in results:
                self.progress.searching = source.progress()
                if isinstance(result, Searching):
                    self._searched(result, extent)
                elif isinstance(result, Listed):
                    self._listed(result)
                elif isinstance(result, Skipped):
                    work.meet_again(result.entry)
                    self.progress.resume(result.entry)
                elif isinstance(result, Problem):
                    batch.problems.append(result)
                else:
                    work.take(result)
                    self.progress.take(result)
                    batch.records.append(_compared(source, result))
                    batch.urgent |= self._watch.is_urgent(result)
                if batch.is_due(self._options):
                    due, batch = batch, Batch()  # first: an interrupt behind the storing must not store it twice
                    self._store(work.source_id, due, work.walked.files)
            due, batch = batch, Batch()
            self._store(work.source_id, due, work.walked.files)

    def _left_by_cut(self, work: AtWork, after: DoneEntries) -> Problem | None:
        """What of a source is left where its walk was cut; None where an earlier run had finished it."""
        reason = self._stopping.reason
        if work.again or not self._case.is_finished(work.source_id):
            known = after.files, self._case.stored_bytes(work.source_id)
            searched = CARVING[self._options.profile] != "none"
            return left_out(work.info, reason, known, work.extent, self._ordering.sizes, searched=searched)
        if self._block_sets and work.info.size is not None and not self._was_searched(work.info):
            from caid_triage.scan.block_search import not_begun  # noqa: PLC0415 - of few scans

            return not_begun(work.info, reason)
        return None

    def _finish(self, work: AtWork, met: int, stored: int) -> None:
        """Put on record what became of every byte of a source, and that it is finished."""
        case, source, info = self._case, work.source, work.info
        ledger = source.ledger()
        coverage, lines = (source.coverage(), ()) if ledger is None else (ledger.coverage(), ledger.folded())
        case.set_volumes(work.source_id, source.volumes(), source.problems(), coverage, lines)
        healed = case.finish_source(work.source_id, met, work.examined)
        if healed:
            case.audit("problems-gone", exhibit=info.exhibit, source=info.source, problems=healed)
        case.audit(
            "source-finished", exhibit=info.exhibit, walked=met, examined=work.examined, stored=stored,
            inside=work.inside, not_decoded=work.not_decoded, copied=self._answers.copied - work.copied,
        )  # fmt: skip

    def _stop(
        self, source: EvidenceSource, source_id: int, outcome: ScanOutcome, files: tuple[int, int], left: Problem
    ) -> None:
        """Leave a source before its end: (walked, stored) ``files`` of it, and what is ``left`` of it as a row."""
        walked, stored = files
        info, case = source.info, self._case
        outcome.stopped = True
        self.progress.problems += 1
        # What became of every byte says the run that comes to the end.
        case.set_volumes(source_id, source.volumes(), source.problems(), {})
        case.stop_source(source_id, walked, stored, left)
        facts = {"walked": walked, "examined": stored, "stored": stored, "why": self._stopping.reason}
        case.audit("source-stopped", exhibit=info.exhibit, source=info.source, **facts)

    def _look_for_blocks(self, source: EvidenceSource, source_id: int) -> Problem | None:
        """Look for parts of known files beside whole ones, where a set has blocks; what is left where it was stopped.

        Of the source's files all must be stored.
        """
        if not self._block_sets or source.info.size is None:
            return None
        from caid_triage.scan.block_search import BlockLook, not_looked_at  # noqa: PLC0415 - of few scans

        searches = CARVING[self._options.profile] != "none"
        self._progress_stage("looking for parts of known files")
        with stopped_by_errors(source):
            look = BlockLook(source, self._case, source_id, self._block_sets, free_space=searches)
            if look.complete and look.is_stored:
                return None
            done = look.run(self._stopping.is_due, lambda: self._show(self.progress))
        info = source.info
        facts = {"bytes": look.size, "searched": look.searched, "unread": look.unread, "sets": len(self._block_sets)}
        self._case.audit("blocks-looked-for", exhibit=info.exhibit, source=info.source, **facts)
        return None if done else not_looked_at(info, self._stopping.reason, look)

    def _was_searched(self, info: SourceInfo) -> bool:
        """Whether the case has a search of a source for the blocks of each set, to its end."""
        stored = [self._case.block_search_of(info.exhibit, info.source, one.generation) for one in self._block_sets]
        return all(one is not None and one[0].complete for one in stored)

    def ordering_notes(self) -> list[str]:
        """What there is to say of the order of examination."""
        return self._ordering.notes()

    def _examined(self, items: Iterator[Walked], source: LockedSource, place: int) -> Generator[Result, None, None]:
        """What the chosen executor makes of the walk."""
        answers = self._answers if self._answers.may_help else None
        if self._options.executor == "serial":
            from caid_triage.scan.serial import examine_serially  # noqa: PLC0415 - loads the decoders

            return examine_serially(items, source.read, source.read_at, source.beside, answers)
        if self._cluster is not None:
            from caid_triage.scan.dask_scan import examine_in_dask  # noqa: PLC0415 - the extra 'cluster'

            return examine_in_dask(
                items, source.read, self._options, self._cluster, place, source.read_at, self._workforce,
                source.beside, answers,
            )  # fmt: skip
        return examine_in_pool(
            items, source.read, self._options, source.read_at, self._workforce, source.beside, answers
        )

    def _verify(self, source: EvidenceSource) -> None:
        """Compare the source with the hashes stored in it; what came of it becomes a fact or Problems of the source."""
        self._progress_stage("verifying")
        outcomes = verified(source, lambda: self._show(self.progress))
        info = source.info
        self._case.audit("source-verified", exhibit=info.exhibit, source=info.source, hashes=outcomes)

    def _count(self, source: EvidenceSource, extent: Extent) -> None:
        """Walk once without reading content, so that the time left can be told (microseconds an entry)."""
        self._progress_stage("counting")
        files, size = counted(source, lambda: self._show(self.progress))
        extent.files, extent.size, extent.whole = files, size, True
        self.progress.total_files = (self.progress.total_files or 0) + files
        self.progress.total_bytes = (self.progress.total_bytes or 0) + size

    def _listed(self, told: Listed) -> None:
        """Say how far the listing is, or what is examined now that it is at its end."""
        files, size = self._listed_before
        self.progress.total_files, self.progress.total_bytes = files + told.files, size + told.size
        self._progress_stage(f"examining {told.stage}" if told.stage else "listing")

    def _searched(self, told: Searching, extent: Extent) -> None:
        """All files with names are given out; say how far the search of free space is, and what it has found."""
        if told.files is None:
            self._progress_stage("searching free space")
            return
        self.progress.total_files = (self.progress.total_files or 0) + told.files
        self.progress.total_bytes = (self.progress.total_bytes or 0) + told.size
        extent.files += told.files
        extent.size += told.size
        self._progress_stage("examining")

    def _progress_stage(self, stage: str) -> None:
        self.progress.stage = stage
        self._show(self.progress)

    @contextmanager
    def _kept_when_interrupted(self, store: Callable[[], None]) -> Iterator[None]:
        """Where somebody interrupts, what was examined since the last storing is stored before all ends.

        An interrupt in the middle of storing takes that batch back as ever: what the case holds in memory is of it.
        """
        try:
            yield
        except KeyboardInterrupt:
            if not self._storing:
                store()
            raise

    def _store(self, source_id: int, batch: Batch, walked: int) -> None:
        self._storing = True
        records = sorted(batch.records, key=lambda record: (record.entry.number, record.entry.part))
        matches, withheld = self._matched(records)
        self._case.write_batch(source_id, records, matches, batch.problems, walked, withheld)
        for record, met in zip(records, matches, strict=True):
            self.progress.problems += count_problems(record.problems)
            self._count_hit(record.entry.exhibit, met)
        self.progress.problems += count_problems(batch.problems)
        self._storing = False
        self._show(self.progress)

    def _matched(self, records: Sequence[ScanRecord]) -> tuple[list[tuple[Match, ...]], list[tuple[Withheld, ...]]]:
        """The matches of each record and what was withheld of them: nothing where no hash set is given."""
        if not self._hashsets:
            return [() for _ in records], [() for _ in records]
        from caid_triage.match.match import match_batch  # noqa: PLC0415 - a scan without hash sets needs none of it

        found = match_batch(records, self._hashsets, self._match_options)
        return found.matches, found.withheld

    def _count_hit(self, exhibit: str, met: Sequence[Match]) -> None:
        proposal = propose(met)
        category = proposal.category
        if category is None:
            return
        if proposal.match_kind is not MatchKind.EXACT:
            self.progress.leads += 1
            return
        if not counts_as_hit(category.severity, category.scheme, self._confirmed):
            self.progress.not_pertinent[category.label] += 1
            return
        self.progress.hits[category.label] += 1
        self._stopping.hits += 1
        self._watch.met()
        if (exhibit, category) not in self._met:
            self._met.add((exhibit, category))
            first = FirstHit(exhibit, category.code, category.label, category.scheme, self.progress.seconds())
            self.progress.first_hits.append(first)


def _walk_new(walk: Iterator[Walked], is_done: Callable[[int], bool]) -> Generator[Walked, None, None]:
    """The walk with the entries that are stored already marked as such."""
    for item in walk:
        yield Skipped(item) if isinstance(item, FileEntry) and is_done(item.number) else item


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
