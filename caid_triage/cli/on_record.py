"""What a command puts on record of itself: its options as given, with the last part of every path alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from caid_triage.actor import EXAMINER
from caid_triage.cli.console import say

if TYPE_CHECKING:
    from caid_triage.case.audit import AuditHead
    from caid_triage.case.command import Command

# Of these only that they were given: who reads the case learns nothing of where secrets or other evidence lie.
SECRET = frozenset({"maps", "password_file", "sign_password_file"})

examiner_option = click.option(
    "--examiner",
    envvar=EXAMINER,
    show_envvar=True,
    help="Who does this, for the audit trail  [default: the login name]",
)


def given_command(ctx: click.Context) -> Command:
    """The command that is running, for the line ``command`` of the audit chain."""
    from caid_triage.case.command import Command

    options = {}
    for parameter in ctx.command.params:
        value = ctx.params.get(parameter.name or "")
        if value in (None, False, ()) or parameter.name == "examiner":
            continue
        name = max(parameter.opts, key=len) if isinstance(parameter, click.Option) else parameter.human_readable_name
        options[name] = True if parameter.name in SECRET else _shown(parameter, value)
    return Command(ctx.info_name or "", options, examiner=ctx.params.get("examiner"))


def _shown(parameter: click.Parameter, value: object) -> object:
    if isinstance(value, tuple):
        return [_shown(parameter, item) for item in value]
    if isinstance(value, Path) or parameter.name == "sources":
        return Path(str(value)).name or Path(str(value)).resolve().name
    return value if isinstance(value, bool | int | str) else str(value)


def say_head(head: AuditHead | None) -> None:
    """Print the end of the audit chain, to be kept in the notes of the case: it covers everything before it.

    In groups, for a person who writes it down, and so that no line of a terminal looks like a hash of a list.
    """
    if head is not None and head.sha256 is not None:
        groups = " ".join(head.sha256[place : place + 16] for place in range(0, 64, 16))
        say(f"audit trail: {head.sequence} lines, SHA-256 of the last {groups}")


def say_faults(folder: Path) -> None:
    """Print, beside the outcome, that a case was changed from outside, where its audit chain records that."""
    from caid_triage.case.audit import AUDIT_FILE, recorded_faults

    if places := recorded_faults(folder):
        lines = ", ".join(map(str, places))
        say(
            f"caid-triage: WARNING: line {lines} of {AUDIT_FILE} records that the case was changed from outside the "
            "program; the reports may not show what was stored. caid-triage verify says what was changed",
            err=True,
        )
