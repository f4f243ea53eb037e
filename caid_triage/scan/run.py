"""The whole scan of one or more sources into a case, resumable at any moment.

Workers, evidence, hash sets and case (case_of_scan.py) are opened, then source after source is scanned
(one_source.py: walk, examine, match, store).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType

from caid_triage.case.command import Command
from caid_triage.case.details import Details
from caid_triage.config import ScanOptions
from caid_triage.errors import SourceError
from caid_triage.evidence.secrets import NO_SECRETS, Secrets
from caid_triage.evidence.source import EvidenceSource
from caid_triage.model import Problem
from caid_triage.scan.case_of_scan import (
    attach_hashsets,
    open_case_for_scan,
    open_hashsets,
    refuse_writing_into,
    to_state,
)
from caid_triage.scan.clusters import check_cluster, opened_cluster
from caid_triage.scan.one_source import Scan
from caid_triage.scan.outcome import ScanOutcome, count_problems
from caid_triage.scan.progress import Progress, Show
from caid_triage.scan.rematch import check_radii
from caid_triage.scan.sources import SourceRequest, begin_opening
from caid_triage.scan.stopping import Stopping
from caid_triage.scan.trial import NOT_TRIED, settle
from caid_triage.scan.upgrade import upgrade_profile
from caid_triage.scan.workforce import Workforce, started_workers
from caid_triage.version import __version__


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
    said: Details = MappingProxyType({}),
) -> ScanOutcome:
    """Open everything, scan every source, leave a consistent case. Run again on the same case, it resumes.

    The workers get ready meanwhile. ``workforce`` is for callers that have started them before; it stays theirs.
    ``secrets`` are tried on every encrypted volume. The case keeps how many there were, and which volumes they opened.
    ``command`` is what the audit chain says of the command, None for a call from Python; ``said`` what is stated of the
    case (case/details.py).
    A source that cannot be opened does not stop the others: it is recorded, and the outcome's exit code is 4.
    Raises HashSetError before anything is made, SourceError when no source at all can be opened, CaseError.
    """
    outcome, stopping = ScanOutcome(), Stopping(options.stop_after)
    secrets = replace(secrets or NO_SECRETS, told=partial(_show_unlocking, show, Progress()))
    for request in requests:
        refuse_writing_into(request.path, case_folder)
    with ExitStack() as stack:
        workers = workforce or stack.enter_context(started_workers(options))
        begun = [begin_opening(request, secrets, options, stack) for request in requests]
        cluster = opened_cluster(options, stack, workers)
        hashsets = open_hashsets(hashset_paths)
        check_radii(options.set_radii, hashsets)
        opened_as: list[tuple[SourceRequest, EvidenceSource]] = []
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
                opened_as.append((request, source))
        if not opened_as:
            raise SourceError(*outcome.not_opened)
        joined = None if cluster is None else check_cluster(cluster, opened_as, secrets, options, workers)
        case = stack.enter_context(open_case_for_scan(case_folder, requests[0].exhibit, options))
        stated = to_state(case_folder, said, (request.exhibit for request in requests)) if said else said
        case.audit_command(command or Command("run_scan"))
        case.state(stated)
        run = case.begin_run("scan", datetime.now(UTC))
        ending = "failed"
        try:
            case.audit("scan-began", version=__version__, options=options.result_options(), executor=options.executor,
                       workers=options.workers, sources=len(requests), secrets=len(secrets))  # fmt: skip
            upgrade_profile(case, options)
            attach_hashsets(case, hashsets, options)
            case.add_problems(not_opened)
            border = settle(workers)
            told = [] if border is None else border.problems()
            if border is not None:
                case.audit("workers-confined", **border.facts())
            elif options.executor != "serial":
                told = [NOT_TRIED]
                case.audit("workers-confined", tried=False)
            if cluster is not None and joined is not None:
                told = [*told, *cluster.border]
                case.audit("cluster-joined", **joined)
            case.add_problems(told)
            scan = Scan(case, hashsets, options, show, workers, stopping, cluster)
            scan.progress.problems = len(not_opened) + count_problems(told)
            outcome.notes += scan.ordering_notes()
            before = case.last_source_beside({(request.exhibit, request.name) for request in requests})
            for place, (request, source) in enumerate(opened_as):
                scan.scan_source(source, outcome, place, before + 1 + requests.index(request))
            if cluster is not None:
                case.audit("cluster-left", **cluster.left())
                outcome.notes += cluster.remarks
            ending = "stopped" if outcome.stopped else "finished"
            scan.progress.stage = "stopped early" if outcome.stopped else "finished"
            show(scan.progress)
        except KeyboardInterrupt:
            ending = "interrupted"
            raise
        finally:
            case.audit(f"scan-{ending}", walked=outcome.walked, examined=outcome.examined, stored=outcome.stored)
            case.end_run(run, datetime.now(UTC), ending)
    return outcome
