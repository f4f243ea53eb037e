"""``caid-triage report``: write the reports of a case again."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click

from caid_triage.case.audit import chain_head
from caid_triage.case.store import open_case_for_writing
from caid_triage.case.view import open_case
from caid_triage.cli.exit_codes import CommandWithExitCodes
from caid_triage.errors import UsageError
from caid_triage.report.bundle import bundle_path, seal
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
@click.option(
    "--seal",
    "sealed",
    is_flag=True,
    help="Write all reports and put them with the audit chain, options, versions and category schemes into one archive "
    "beside their folder, for somebody else to check: caid-triage verify BUNDLE.",
)
def report(case_folder: Path, formats: tuple[str, ...], out: Path | None, sealed: bool) -> None:
    """Write the reports of a case again, from what is stored; the exhibit is not needed."""
    if sealed and formats:
        raise UsageError("--seal puts every report into the bundle; leave out --format")
    folder = out or case_folder / "reports"
    with open_case(case_folder) as view:
        for path in write_reports(view, folder, formats or None):
            click.echo(path)
    if sealed:
        _seal(case_folder, folder)


def _seal(case_folder: Path, folder: Path) -> None:
    """Write the bundle of the reports in ``folder``, say so in the audit chain, and print what to keep of it."""
    bundle = bundle_path(folder)
    with closing(open_case_for_writing(case_folder)) as case, open_case(case_folder) as view:
        sha256 = seal(view, folder, bundle, chain_head(case_folder))
        case.audit("sealed", bundle=bundle.name, sha256=sha256)
    click.echo(f"{bundle}\nsha256 {sha256} (write it down elsewhere: it shows that nobody made the bundle anew)")
