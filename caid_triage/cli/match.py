"""``caid-triage match``: match a stored case against a hash set, without the exhibit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from caid_triage.cli.console import say, say_json
from caid_triage.cli.exit_codes import CommandWithExitCodes
from caid_triage.cli.on_record import examiner_option, given_command, say_faults, say_head
from caid_triage.config import MOST_LEAD_BITS, checked_leads
from caid_triage.model import STRONG_BITS
from caid_triage.version import __version__

if TYPE_CHECKING:
    from caid_triage.case.rows import MatchChange
    from caid_triage.case.view import CaseView

distance_option = click.option(
    "--distance",
    "distances",
    multiple=True,
    metavar="NAME:ALG=N",
    help="Near-match distance for one set, e.g. caid:pdq=20 (smaller: fewer leads, and surer); may be repeated.",
)

leads_option = click.option(
    "--leads",
    metavar="auto|off|BITS",
    help=f"Leads beyond the strong distance (PDQ, {STRONG_BITS} bits): as far as chance and the size of a set allow "
    f"(auto), none (off), or up to BITS, {STRONG_BITS + 1} to {MOST_LEAD_BITS}, whatever that costs and finds.",
)


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
@distance_option
@leads_option
@click.option("--json", "as_json", is_flag=True, help="What changed as one JSON object.")
@examiner_option
@click.pass_context
def match(
    ctx: click.Context,
    case_folder: Path,
    hashsets: tuple[Path, ...],
    more: tuple[Path, ...],
    distances: tuple[str, ...],
    leads: str | None,
    as_json: bool,
    examiner: str | None,
) -> None:
    """Match a stored case against hash sets without scanning again, and say what is new, gone and changed.

    A set of the same name replaces its earlier generation in this case. Further hash sets may follow the first:
    --hashset A.chs B.chs. Without --leads they are looked for as in the scan. The reports are written again, with
    delta.csv and delta.json. Stopped at any moment, the case is as before or matched whole: run it again, and it says
    what it would have said.
    """
    from caid_triage.case.store import open_case_for_writing
    from caid_triage.case.view import open_case
    from caid_triage.match.options import set_radius
    from caid_triage.report.delta import tells_of
    from caid_triage.report.on_record import REPORTS, write_reports_on_record
    from caid_triage.scan.case_of_scan import open_hashsets
    from caid_triage.scan.rematch import check_radii, hashset_facts, last_change, match_stored, stored_options

    opened = open_hashsets([*hashsets, *more])
    sets = {hashset.name: hashset.generation for hashset in opened}
    radii = tuple(map(set_radius, distances))
    chosen = None if leads is None else checked_leads(leads)
    check_radii(radii, opened)
    with open_case_for_writing(case_folder) as case:
        kept = stored_options(case)
        options = replace(kept, set_radii=(*radii, *kept.set_radii), leads=chosen or kept.leads)
        case.audit_command(given_command(ctx))
        run = case.begin_run("match", datetime.now(UTC))
        ending = "failed"
        try:
            case.audit("match-began", version=__version__, hashsets=sets)
            change = last_change(case, opened, options)
            if change is None or tells_of(case_folder / "reports", change.regrade):
                change = match_stored(case, opened, options)
            for hashset in opened:
                facts = hashset_facts(hashset, options)
                case.audit(
                    "rematched",
                    name=facts["name"],
                    generation=facts["generation"],
                    distances=facts["distances"],
                    leads=facts.get("leads"),
                    **asdict(change),
                )
            ending = "finished"
        except KeyboardInterrupt:
            ending = "interrupted"
            raise
        finally:
            case.end_run(run, datetime.now(UTC), ending)
        paths = write_reports_on_record(case, case_folder / REPORTS)
    with open_case(case_folder) as view:
        page = next(path for path in paths if path.name == "report.html")
        say_faults(case_folder)
        if as_json:
            undecoded = view.undecoded()
            skipped = {"not_decoded": undecoded.files, "known_good_no_more": undecoded.to_examine}
            say_json({**asdict(change), **skipped, "hashsets": _generations(view, change), "report": str(page)})
        else:
            _say(view, change)
            say_head(case.last_line)
            say(f"report: {page}")


def _say(view: CaseView, change: MatchChange) -> None:
    for hashset in _generations(view, change):
        before = f"generation {hashset['before']} -> " if hashset["before"] else "new in this case, generation "
        say(f"hash set {hashset['name']}: {before}{hashset['after']}")
    changes = Counter(
        (row.change, row.hashset, row.before, row.after) for row in view.delta() if row.regrade == change.regrade
    )
    say(f"new matches: {change.new:,}")
    _say_each(changes, "new")
    say(f"matches gone: {change.gone:,}")
    _say_each(changes, "gone")
    say(f"matches changed: {change.changed:,}")
    _say_each(changes, "changed")
    say(
        f"files: {change.files_new:,} newly listed, {change.files_gone:,} no longer, {change.files_changed:,} otherwise"
    )
    if changes:
        say("delta.csv names each file")
    from caid_triage.cli.verdict import undecoded_lines

    for line in undecoded_lines(view.undecoded()):
        say(line)


def _say_each(changes: Mapping[tuple[str, str, str, str], int], wanted: str) -> None:
    """How many files each set says what of, and said before: figures only, no path (this may be logged)."""
    for (change, hashset, before, after), files in sorted(changes.items()):
        if change == wanted:
            words = {"new": after, "gone": before}.get(change, f"{before} -> {after}")
            say(f"  {files:,} files, {words}, in hash set {hashset}")


def _generations(view: CaseView, change: MatchChange) -> list[dict[str, str]]:
    """Which generation of each set was before and is now."""
    return [dict(item) for row in view.regrades() if row.regrade == change.regrade for item in row.hashsets]
