"""``caid-triage scan``: open, walk, examine, match, store, report."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from caid_triage.cli.console import say, say_json
from caid_triage.cli.exit_codes import CommandWithExitCodes
from caid_triage.cli.match import distance_option, leads_option
from caid_triage.cli.on_record import examiner_option, given_command, say_faults, say_head
from caid_triage.config import AUTO, EXECUTORS, PROFILES, ScanOptions, checked_leads, default_workers
from caid_triage.errors import UsageError
from caid_triage.scan.workforce import Workforce, started_workers

if TYPE_CHECKING:
    from caid_triage.case.command import Command
    from caid_triage.evidence.secrets import Secrets
    from caid_triage.scan.run import ScanOutcome
    from caid_triage.scan.sources import SourceRequest


def name_requests(sources: tuple[str, ...], exhibits: tuple[str, ...]) -> list[SourceRequest]:
    """Give every source an exhibit reference and a name that no other source has.

    Without ``--exhibit`` the exhibit is the file's name without its extension; one reference serves all sources.
    """
    if len(exhibits) not in (0, 1, len(sources)):
        raise UsageError(f"{len(exhibits)} --exhibit for {len(sources)} sources: give one for all, or one for each")
    unfit = next((text for text in exhibits if not text.strip() or not text.isprintable() or len(text) > 200), None)
    if unfit is not None:
        raise UsageError("an --exhibit reference is 1 to 200 printable characters: it is printed in every report")
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
) -> ScanOutcome:
    """Scan with workers that are getting ready, write the reports, say the verdict; shared with the demo."""
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
    with workforce, shown_progress(quiet=quiet, as_json=as_json) as show:
        outcome = run_scan(requests, case_folder, list(hashsets), options, show, workforce, secrets, command)
    with open_case_for_writing(case_folder) as case:
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
    help="serial: in this process, for debugging; the same result.",
)
@click.option(
    "--profile",
    type=click.Choice(PROFILES),
    default="standard",
    show_default=True,
    help="quick: files with names. standard: free space and file slack too, where sectors begin. full: at every byte, "
    "and more files in two pieces put together.",
)
@click.option(
    "--verify-source",
    is_flag=True,
    help="First read each image once and compare it with the hashes stored in it when it was acquired.",
)
@click.option(
    "--password-file",
    type=click.Path(path_type=Path),
    help="Secrets to try on every encrypted volume, one a line (docs/formats/evidence.md).",
)
@examiner_option
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
    profile: str,
    verify_source: bool,
    password_file: Path | None,
    examiner: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Scan SOURCE, match it with hash sets and write the reports.

    SOURCE is a disk image (raw, E01, S01, Ex01, AFF4, VMDK, VHD, VHDX, QCOW2, VDI, DMG, Apple sparse image; of a split
    image the first segment), a logical image (L01, Lx01, AD1), a block device, or a folder. It is only ever read. Run
    again on the same case, with the same options, the scan resumes where it was stopped.
    """
    from caid_triage.match.options import set_radius

    chosen = default_workers() if workers is None else workers
    options = ScanOptions(
        workers=chosen,
        executor=executor,
        profile=profile,
        set_radii=tuple(map(set_radius, distances)),
        leads=AUTO if leads is None else checked_leads(leads),
        verify_source=verify_source,
    )
    with started_workers(options) as workforce:  # before anything else: they get ready while the rest is imported
        from caid_triage.evidence.secrets import read_password_file

        secrets = None if password_file is None else read_password_file(password_file)
        outcome = scan_and_report(
            name_requests(sources, exhibits),
            case_folder,
            hashsets,
            options,
            workforce,
            quiet=quiet,
            as_json=as_json,
            secrets=secrets,
            command=given_command(ctx),
        )
    ctx.exit(outcome.exit_code)
