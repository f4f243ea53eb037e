"""``caid-triage scan``: open, walk, examine, match, store, report."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from caid_triage.cli.console import say, say_json
from caid_triage.cli.exit_codes import CommandWithExitCodes
from caid_triage.cli.match import distance_option, leads_option
from caid_triage.cli.on_record import given_command, say_faults, say_head
from caid_triage.cli.stated import (
    case_examiner_option,
    operation_option,
    reference_option,
    said_of_case,
    said_of_exhibits,
    unit_contact_option,
)
from caid_triage.cli.unit_option import say_place_warning, unit_option
from caid_triage.config import (
    AUTO,
    EXECUTORS,
    PROFILES,
    ClusterOptions,
    ScanOptions,
    checked_leads,
    checked_stops,
    default_workers,
)
from caid_triage.errors import ClusterError, UnseenError, UsageError
from caid_triage.scan.workforce import Workforce, started_workers

if TYPE_CHECKING:
    from caid_triage.case.command import Command
    from caid_triage.case.details import Details
    from caid_triage.evidence.secrets import Secrets
    from caid_triage.scan.outcome import ScanOutcome
    from caid_triage.scan.sources import SourceRequest
    from caid_triage.unit.place import UnitPlace


def name_requests(sources: tuple[str, ...], exhibits: tuple[str, ...]) -> list[SourceRequest]:
    """Give every source an exhibit reference and a name that no other source has.

    Without ``--exhibit`` the exhibit is the file's name without its extension; one reference serves all sources.
    """
    if len(exhibits) not in (0, 1, len(sources)):
        raise UsageError(f"{len(exhibits)} --exhibit for {len(sources)} sources: give one for all, or one for each")
    from caid_triage.case.details import checked_words

    for text in exhibits:
        checked_words("an --exhibit reference", text)
    from caid_triage.scan.sources import SourceRequest

    requests: list[SourceRequest] = []
    taken: set[str] = set()
    places = [Path(given).resolve() for given in sources]
    twice = next((given for given, place in zip(sources, places, strict=True) if places.count(place) > 1), None)
    if twice is not None:
        raise UsageError(f"{twice} was given twice: every file of it would be counted twice; give it once")
    for place, given in enumerate(sources):
        path = Path(given)
        base = path.name or path.resolve().name or str(path)
        name, again = base, 2
        while name in taken:
            name, again = f"{base} ({again})", again + 1
        taken.add(name)
        exhibit = exhibits[min(place, len(exhibits) - 1)] if exhibits else (path.stem or base)
        requests.append(SourceRequest(path, exhibit, name))
    return requests


def roots_of(text: str) -> tuple[str, str]:
    """The two roots of a --map: the coordinator's, made whole, and the workers' as it stands. UsageError."""
    here, equals, there = text.partition("=")
    if not equals or not here.strip() or not there.strip():
        raise UsageError("--map is HERE=THERE: a folder of this machine, and where the workers have it")
    return str(Path(here).absolute()), there


def plain_words(cluster: ClusterOptions) -> str:
    """What to say of a scheduler that is not spoken to under TLS, "" where nobody else can listen."""
    from caid_triage.scan.addresses import in_clear

    if not cluster.scheduler or cluster.tls_ca or not in_clear(cluster.scheduler):
        return ""
    return (
        f"{cluster.scheduler} is spoken to without TLS: names, times and digests of the evidence cross the network in "
        "clear, and who reaches the scheduler can run programs on the workers (docs/guide/cluster.md)"
    )


@contextmanager
def _cluster_refusals(*, as_json: bool) -> Iterator[None]:
    """Tell programs, in a line of its own, that it was the cluster which did not take the scan: nothing was begun."""
    try:
        yield
    except (ClusterError, UnseenError):
        if as_json:
            say_json({"event": "cluster-refused"})
        raise


def scan_and_report(
    requests: list[SourceRequest],
    case_folder: Path,
    hashsets: tuple[Path, ...],
    options: ScanOptions,
    workforce: Workforce,
    *,
    quiet: bool,
    as_json: bool,
    secrets: Secrets | None = None,
    command: Command | None = None,
    unit: UnitPlace | None = None,
    look_alikes: bool = True,
    said: Details | None = None,
) -> ScanOutcome:
    """Scan with workers that are getting ready, write the reports, say the verdict; shared with the demo.

    ``unit``: the memory that the case is looked up in at the end, with ``look_alikes`` or without. ``said``: what is
    stated of the case.
    """
    from caid_triage.case.store import open_case_for_writing
    from caid_triage.case.view import open_case
    from caid_triage.cli.display import shown_progress
    from caid_triage.cli.verdict import verdict_lines
    from caid_triage.model import Severity
    from caid_triage.report.html import prepared_page
    from caid_triage.report.on_record import REPORTS, write_reports_on_record
    from caid_triage.scan.run import run_scan

    # The page's template is compiled while this process waits for disks and workers, not when all wait for the page.
    threading.Thread(target=prepared_page, name="page", daemon=True).start()
    with workforce, _cluster_refusals(as_json=as_json), shown_progress(quiet=quiet, as_json=as_json) as show:
        outcome = run_scan(
            requests, case_folder, list(hashsets), options, show, workforce, secrets, command, said or {}
        )
    with open_case_for_writing(case_folder) as case:
        if unit is not None:
            from caid_triage.unit.look import look_or_note

            if sentence := look_or_note(case, unit, look_alikes=look_alikes):
                say(f"caid-triage: {sentence}; the case was not looked up in the unit's memory", err=True)
        reports = write_reports_on_record(case, case_folder / REPORTS)
    with open_case(case_folder) as view:
        outcome.problems = sum(row.count for row in view.problem_counts() if row.severity == Severity.PROBLEM)
        outcome.unfinished = not view.conservation().complete
        lines = verdict_lines(view, outcome)
    page = next(path for path in reports if path.name == "report.html")
    if as_json:
        finished = {
            "event": "finished",
            "exit_code": outcome.exit_code,
            "walked": outcome.walked,
            "examined": outcome.examined,
            "stored": outcome.stored,
            "problems": outcome.problems,
            "report": str(page),
        }
        say_json(finished)
    else:
        for line in lines:
            say(line)
        say_head(case.last_line)
        say(f"report: {page}")
    say_faults(case_folder)
    for sentence in outcome.not_opened:
        say(f"caid-triage: {sentence}", err=True)
    return outcome


@click.command(cls=CommandWithExitCodes, short_help="Scan a source and write the reports.")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option(
    "--case", "case_folder", required=True, type=click.Path(path_type=Path), help="Folder of the case; made if new."
)
@click.option(
    "--hashset",
    "hashsets",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A hash set (NAME.chs); may be repeated.",
)
@distance_option
@leads_option
@click.option("--exhibit", "exhibits", multiple=True, help="Exhibit reference, one for all sources or one for each.")
@click.option("--workers", type=int, default=None, help="Worker processes  [default: one for each core]")
@click.option(
    "--executor",
    type=click.Choice(EXECUTORS),
    default="pool",
    show_default=True,
    help="serial: in this process, for debugging; dask: on a cluster (docs/guide/cluster.md); the same result.",
)
@click.option(
    "--scheduler", help="Address of the Dask scheduler, as tls://HOST:8786  [default: a cluster on this machine]"
)
@click.option(
    "--map",
    "maps",
    multiple=True,
    metavar="HERE=THERE",
    help="Evidence below HERE lies below THERE on the workers; may be repeated.",
)
@click.option("--tls-ca", type=click.Path(path_type=Path), help="Certificate of the cluster's authority (PEM).")
@click.option("--tls-cert", type=click.Path(path_type=Path), help="Certificate of this machine (PEM).")
@click.option("--tls-key", type=click.Path(path_type=Path), help="Key of that certificate (PEM).")
@click.option(
    "--profile",
    type=click.Choice(PROFILES),
    default="standard",
    show_default=True,
    help="quick: files with names, those likely to be known first. standard: free space and file slack too, where "
    "sectors begin. full: at every byte, and more files in two pieces put together.",
)
@click.option(
    "--stop-after",
    "stops",
    multiple=True,
    metavar="TIME|HITS",
    help="Stop early, in order: 20min, 90s, 2h, or 3hits (exact matches of notable sets, but for categories that a "
    "confirmed scheme ranks as not pertinent); may be repeated. The same scan without it goes on.",
)
@click.option(
    "--verify-source",
    is_flag=True,
    help="First read each image once and compare it with the hashes stored in it when it was acquired.",
)
@click.option(
    "--decode-known-good",
    is_flag=True,
    help="Decode pictures and films too that a known-good set holds by SHA-1 or SHA-256 (they are not, by default).",
)
@click.option(
    "--password-file",
    type=click.Path(path_type=Path),
    help="Secrets to try on every encrypted volume, one a line (docs/formats/evidence.md).",
)
@unit_option("Look the case up in this unit's memory at the end, a file or the URL of a PostgreSQL database.")
@click.option(
    "--no-look-alikes",
    is_flag=True,
    help="With --unit: compare no pictures by look with those of other cases, which takes minutes among millions.",
)
@reference_option
@operation_option
@unit_contact_option
@click.option(
    "--seized",
    "moments",
    multiple=True,
    metavar="DATE",
    help="When it was seized, one for all sources or one for each.",
)
@case_examiner_option
@click.option("--quiet", is_flag=True, help="No progress, only the outcome.")
@click.option("--json-progress", "as_json", is_flag=True, help="Progress and outcome as JSON lines on standard output.")
@click.pass_context
def scan(
    ctx: click.Context,
    sources: tuple[str, ...],
    case_folder: Path,
    hashsets: tuple[Path, ...],
    distances: tuple[str, ...],
    leads: str | None,
    exhibits: tuple[str, ...],
    workers: int | None,
    executor: str,
    scheduler: str | None,
    maps: tuple[str, ...],
    tls_ca: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    profile: str,
    stops: tuple[str, ...],
    verify_source: bool,
    decode_known_good: bool,
    password_file: Path | None,
    unit: UnitPlace | None,
    no_look_alikes: bool,
    case_reference: str | None,
    operation: str | None,
    contact: Path | None,
    moments: tuple[str, ...],
    examiner: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Scan SOURCE, match it with hash sets and write the reports.

    SOURCE is a disk image (raw, E01, S01, Ex01, AFF4, VMDK, VHD, VHDX, QCOW2, VDI, DMG, Apple sparse image; of a split
    image the first segment), a logical image (L01, Lx01, AD1), a block device, or a folder. It is only ever read. Run
    again on the same case, with the same options, the scan resumes where it was stopped; a case begun with --profile
    quick goes on with standard or full too.
    """
    from caid_triage.match.options import set_radius

    if unit is not None:
        say_place_warning(unit)
    chosen = default_workers() if workers is None else workers
    options = ScanOptions(
        workers=chosen,
        executor=executor,
        profile=profile,
        set_radii=tuple(map(set_radius, distances)),
        leads=AUTO if leads is None else checked_leads(leads),
        verify_source=verify_source,
        stop_after=checked_stops(stops),
        decode_known_good=decode_known_good,
        cluster=ClusterOptions(
            scheduler or "",
            tuple(map(roots_of, maps)),
            *("" if path is None else str(path.resolve()) for path in (tls_ca, tls_cert, tls_key)),
        ),
    )
    if workers is not None and scheduler:
        raise UsageError("--workers is for this machine: how many a --scheduler has is said where they are started")
    if plain := plain_words(options.cluster):
        say(f"caid-triage: WARNING: {plain}", err=True)
    with started_workers(options) as workforce:  # before anything else: they get ready while the rest is imported
        from caid_triage.evidence.secrets import read_password_file

        requests = name_requests(sources, exhibits)
        said = said_of_case(reference=case_reference, operation=operation, examiner=examiner, contact=contact)
        said |= said_of_exhibits([request.exhibit for request in requests], moments)
        secrets = None if password_file is None else read_password_file(password_file)
        outcome = scan_and_report(
            requests,
            case_folder,
            hashsets,
            options,
            workforce,
            quiet=quiet,
            as_json=as_json,
            secrets=secrets,
            command=given_command(ctx),
            unit=unit,
            look_alikes=not no_look_alikes,
            said=said,
        )
    ctx.exit(outcome.exit_code)
