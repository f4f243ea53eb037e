"""``caid-triage schemes``: list the category schemes, show one, copy one to be confirmed."""

from __future__ import annotations

from pathlib import Path

import click

from caid_triage.cli.console import say, say_json
from caid_triage.cli.exit_codes import GroupWithExitCodes
from caid_triage.hashset.schemes import CategoryScheme, export_scheme, load_scheme, shipped_schemes

HOW_TO_CONFIRM = (
    "To confirm a scheme:",
    "  1. caid-triage schemes export NAME our-unit.toml",
    "  2. check every code, label and rank in the file with what came with your hash set, and correct it",
    "  3. write who confirmed it and when into its line confirmed_by",
    "  4. caid-triage hashset build ... --scheme our-unit.toml",
    "Until then reports print codes, never labels.",
)


@click.group(
    cls=GroupWithExitCodes, invoke_without_command=True, short_help="List the category schemes, show one, copy one."
)
@click.option("--json", "as_json", is_flag=True, help="The schemes as JSON.")
@click.pass_context
def schemes(ctx: click.Context, as_json: bool) -> None:
    """List the category schemes: what a code in a hash set means, where, and whether somebody confirmed it."""
    if ctx.invoked_subcommand is not None:
        return
    every = shipped_schemes()
    if as_json:
        say_json([_facts(scheme) for scheme in every], indent=2)
        return
    for scheme in every:
        say(f"{scheme.name}: {scheme.title}")
        say(f"  jurisdiction: {scheme.jurisdiction or 'none'}")
        say(f"  {_confirmed(scheme)}")
        if scheme.categories:
            say(f"  codes: {', '.join(item.code for item in scheme.categories)}")
    say()
    say("`caid-triage schemes show NAME` gives the codes of one.")
    _say_how_to_confirm()


@schemes.command()
@click.argument("scheme", metavar="NAME|FILE.toml")
@click.option("--json", "as_json", is_flag=True, help="The scheme as JSON.")
def show(scheme: str, as_json: bool) -> None:
    """Show every code of one scheme, and what it would be called once the scheme is confirmed."""
    chosen = load_scheme(scheme)
    if as_json:
        say_json(_facts(chosen), indent=2)
        return
    say(f"{chosen.name}: {chosen.title}")
    say(f"jurisdiction: {chosen.jurisdiction or 'none'}")
    say(_confirmed(chosen))
    say(f"source: {chosen.source or 'not stated'}")
    for region in chosen.regions:
        say(f"chosen by the region {region} in a VICS file")
    for item in chosen.categories:
        words = item.label if chosen.confirmed_by else f"to be confirmed: {item.label}"
        law = f", {item.legal_class}" if item.legal_class else ""
        say(f"  code {item.code}: {words}{law} (rank {item.severity}, {item.meaning})")
    if not chosen.confirmed_by and chosen.categories:
        _say_how_to_confirm()


@schemes.command()
@click.argument("scheme", metavar="NAME")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE.toml")
def export(scheme: str, file: Path) -> None:
    """Copy a scheme to FILE.toml, to be checked, corrected and confirmed. An existing file is not overwritten."""
    copy = export_scheme(scheme, file)
    say(f"written {file}: scheme {copy.name}, not confirmed")
    say("Check every code in it, fill in confirmed_by, then: caid-triage hashset build ... --scheme FILE.toml")


def _say_how_to_confirm() -> None:
    for line in HOW_TO_CONFIRM:
        say(line)


def _confirmed(scheme: CategoryScheme) -> str:
    return f"confirmed by {scheme.confirmed_by}" if scheme.confirmed_by else "NOT confirmed"


def _facts(scheme: CategoryScheme) -> dict[str, object]:
    return {**scheme.as_dict(), "confirmed": bool(scheme.confirmed_by)}
