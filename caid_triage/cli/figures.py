"""``caid-triage figures``: the unit's figures from case folders, as a page and a table."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from caid_triage.cli.console import say
from caid_triage.cli.exit_codes import CommandWithExitCodes
from caid_triage.visible import many


@click.command(cls=CommandWithExitCodes, short_help="Figures of the unit's exhibits, for supervisors.")
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FOLDER...")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path(),
    help="Folder for unit-figures.html and unit-figures.csv.  [default: this one]",
)
def figures(folders: tuple[Path, ...], out: Path) -> None:
    """Write what waits, what is in work and what is done, with its age, its bytes and its hits.

    FOLDER is a case, a folder with cases in it, or that of a batch (which knows what waits, and since when). Nothing of
    a case is changed. A case that is damaged is a row that says so.
    """
    from caid_triage.batch.unit_figures import totals, unit_rows, write_figures

    now = datetime.now(UTC)
    rows = unit_rows(folders, now)
    page = write_figures(out, rows, now)[-1]
    states = ", ".join(f"{count:,} {state}" for state, count in totals(rows).states.items())
    say(f"{many(len(rows), 'exhibit')}: {states}")
    say(f"figures: {page}")
