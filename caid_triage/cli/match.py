"""``caid-triage match``: match a stored case against a hash set, without the exhibit."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from caid_triage.case.store import open_case_for_writing
from caid_triage.case.view import open_case
from caid_triage.cli.exit_codes import CommandWithExitCodes
from caid_triage.config import ScanOptions
from caid_triage.report.write import write_reports
from caid_triage.scan.rematch import hashset_facts, match_stored
from caid_triage.scan.run import open_hashsets


@click.command(cls=CommandWithExitCodes, short_help="Match a stored case against a hash set.")
@click.option("--case", "case_folder", required=True, type=click.Path(path_type=Path), help="Folder of the case.")
@click.option(
    "--hashset",
    "hashsets",
    required=True,
    multiple=True,
    type=click.Path(path_type=Path),
    help="A hash set (NAME.chs); may be repeated.",
)
@click.argument("more", nargs=-1, type=click.Path(path_type=Path), metavar="[PATH]...")
def match(case_folder: Path, hashsets: tuple[Path, ...], more: tuple[Path, ...]) -> None:
    """Match a stored case against hash sets without scanning again, and say what is new.

    A set of the same name replaces its earlier generation in this case. The reports are written again. Further
    hash sets may follow the first: --hashset A.chs B.chs.
    """
    opened = open_hashsets([*hashsets, *more])
    options = ScanOptions()
    with open_case_for_writing(case_folder) as case:
        run = case.begin_run("match", datetime.now(UTC))
        change = match_stored(case, opened, options)
        for hashset in opened:
            facts = hashset_facts(hashset)
            case.audit(
                "rematched", name=facts["name"], generation=facts["generation"], new=change.new, gone=change.gone
            )
        case.end_run(run, datetime.now(UTC), "finished")
    with open_case(case_folder) as view:
        paths = write_reports(view, case_folder / "reports", None)
    click.echo(f"new matches: {change.new:,}")
    for item in change.found:
        code = f"code {item.category_code} of scheme {item.scheme}" if item.category_code else "uncategorised"
        click.echo(f"  {item.files:,} files, {item.match_kind.value}, {code}, in hash set {item.hashset}")
    click.echo(f"matches gone: {change.gone:,}")
    click.echo(f"report: {next(path for path in paths if path.name == 'report.html')}")
