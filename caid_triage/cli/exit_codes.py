"""The exit codes, in one place: shown in every command's help, documented in docs/exit-codes.md, tested."""

from __future__ import annotations

import click

from caid_triage.cli.interrupts import INTERRUPTED

COMPLETE, BUG, USAGE, WITH_PROBLEMS, SOURCE, HASHSET, CASE, VERIFICATION = 0, 1, 2, 3, 4, 5, 6, 7

MEANINGS = {
    COMPLETE: "complete",
    BUG: "a bug of caid-triage",
    USAGE: "usage: the command was called wrongly",
    WITH_PROBLEMS: "complete WITH problems: something was not examined, the report says what",
    SOURCE: "a source could not be opened",
    HASHSET: "a hash set was refused",
    CASE: "case error: locked, full, damaged or of a newer version",
    VERIFICATION: "verification failed",
    INTERRUPTED: "interrupted; the case is consistent and can be resumed",
}


class CommandWithExitCodes(click.Command):
    """A command whose help ends with the exit codes."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of exit codes under the options."""
        super().format_epilog(ctx, formatter)
        write_exit_codes(formatter)


class GroupWithExitCodes(click.Group):
    """A group whose help, and that of its commands, ends with the exit codes."""

    command_class = CommandWithExitCodes
    group_class = type

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of exit codes under the commands."""
        super().format_epilog(ctx, formatter)
        write_exit_codes(formatter)


def write_exit_codes(formatter: click.HelpFormatter) -> None:
    """The exit codes as a definition list of a help text."""
    with formatter.section("Exit codes"):
        formatter.write_dl([(str(code), meaning) for code, meaning in MEANINGS.items()])
