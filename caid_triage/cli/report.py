"""``caid-triage report``: write the reports of a case again."""

from __future__ import annotations

from pathlib import Path

import click

from caid_triage.case.store import open_case_for_writing
from caid_triage.case.view import open_case
from caid_triage.cli.exit_codes import CommandWithExitCodes
from caid_triage.cli.on_record import examiner_option, given_command, say_head
from caid_triage.errors import CaseError
from caid_triage.report.on_record import REPORTS, write_reports_on_record
from caid_triage.report.write import FORMATS, write_reports


@click.command(cls=CommandWithExitCodes, short_help="Write a case's reports again.")
@click.option("--case", "case_folder", required=True, type=click.Path(path_type=Path), help="Folder of the case.")
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(sorted(FORMATS)),
    help="Only this report (delta: delta.csv, delta-figures: delta.json); may be repeated.  [default: all]",
)
@click.option(
    "--out", type=click.Path(path_type=Path), default=None, help="Folder to write to.  [default: CASE/reports]"
)
@examiner_option
@click.pass_context
def report(
    ctx: click.Context, case_folder: Path, formats: tuple[str, ...], out: Path | None, examiner: str | None
) -> None:
    """Write the reports of a case again, from what is stored; the exhibit is not needed.

    The audit trail gets a line with the SHA-256 of each. Of a case that cannot be written to (read-only media, a scan
    that goes on) they are written all the same, without that line.
    """
    target = out or case_folder / REPORTS
    try:
        case = open_case_for_writing(case_folder)
    except CaseError as refused:
        with open_case(case_folder) as view:
            paths = write_reports(view, target, formats or None)
        _say(paths)
        click.echo(f"note: the audit trail has no line of this: {refused}", err=True)
        return
    with case:
        case.audit_command(given_command(ctx))
        paths = write_reports_on_record(case, target, formats or None)
    _say(paths)
    say_head(case.last_line)


def _say(paths: list[Path]) -> None:
    for path in paths:
        click.echo(path)
