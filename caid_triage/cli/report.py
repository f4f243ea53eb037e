"""``caid-triage report``: write the reports of a case again."""

from __future__ import annotations

from pathlib import Path

import click

from caid_triage.case.view import open_case
from caid_triage.cli.console import say
from caid_triage.cli.exit_codes import CommandWithExitCodes
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
def report(case_folder: Path, formats: tuple[str, ...], out: Path | None) -> None:
    """Write the reports of a case again, from what is stored; the exhibit is not needed."""
    with open_case(case_folder) as view:
        for path in write_reports(view, out or case_folder / "reports", formats or None):
            say(path)
