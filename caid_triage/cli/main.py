"""The command ``caid-triage``: one thin file per command, errors as one clear sentence and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Iterator, MutableMapping
from contextlib import suppress
from importlib import import_module
from types import TracebackType
from typing import Any

import click

from caid_triage.cli.console import say, shown_refusals
from caid_triage.cli.exit_codes import GroupWithExitCodes
from caid_triage.cli.interrupts import (
    INTERRUPTED,
    SENTENCE,
    came_of_interrupt,
    end_when_asked,
    interruptible,
    leave,
)
from caid_triage.cores import leave_no_core
from caid_triage.errors import CaidTriageError
from caid_triage.version import __version__

# Each command is a module of this package with a command of its own name in it, imported when it is called for.
# The short helps stand here, so that the list of commands needs none of them (tests/cli/test_start.py: they agree).
COMMANDS = {
    "demo": "The whole job on a generated exhibit.",
    "scan": "Scan a source and write the reports.",
    "sample": "Sample a disk for blocks of known files.",
    "batch": "Scan a queue of exhibits unattended.",
    "figures": "Figures of the unit's exhibits, for supervisors.",
    "match": "Match a stored case against a hash set.",
    "report": "Write a case's reports again.",
    "details": "Show or correct what is stated of a case.",
    "review": "Look at what needs an eye, and grade it, in a local page.",
    "unit": "The unit's memory: what other cases had, who graded it.",
    "hashset": "Build, inspect, search and remove sets of known material.",
    "schemes": "List the category schemes, show one, copy one.",
    "verify": "Check a case, or an image against its acquisition hash.",
    "export-media": "Write pictures and films out for a grading tool.",
    "validate": "Run the known-answer pack and write the validation record.",
}


class LateCommands(MutableMapping[str, click.Command]):
    """The commands by name, each imported when it is first looked at."""

    def __init__(self) -> None:
        self._loaded: dict[str, click.Command | None] = dict.fromkeys(COMMANDS)

    def __getitem__(self, name: str) -> click.Command:
        """The command, imported; KeyError for a name that is none."""
        command = self._loaded[name]
        if command is None:
            module = name.replace("-", "_")
            found: click.Command = getattr(import_module(f"caid_triage.cli.{module}"), module)
            command = self._loaded[name] = found
        return command

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._loaded)

    def __len__(self) -> int:
        return len(self._loaded)


class Program(GroupWithExitCodes):
    """The top of the command tree: turns our errors into a sentence on stderr and an exit code."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name]) for name in self.list_commands(ctx)])

    def make_context(self, *words: Any, **more: Any) -> click.Context:
        """Read the words before the command's name."""
        with shown_refusals():
            return super().make_context(*words, **more)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error of ours ends it with its own exit code."""
        try:
            with shown_refusals(), interruptible():
                return super().invoke(ctx)
        except CaidTriageError as error:
            first, *more = error.lines or ("",)
            for line in (f"caid-triage: {first}", *more):
                say(line, err=True)
            if came_of_interrupt(error):
                say(SENTENCE, err=True)
                leave()
            ctx.exit(error.exit_code)
        except click.Abort:  # before RuntimeError, which it is one of
            say("caid-triage: not confirmed, nothing was done", err=True)
            ctx.exit(INTERRUPTED)
        except KeyboardInterrupt:
            say(SENTENCE, err=True)
            leave()
        except Exception as error:
            if came_of_interrupt(error):  # what went wrong while all was ended is told, and is not how it ended
                report_bug(type(error), error, error.__traceback__)
                say(SENTENCE, err=True)
                leave()
            if not isinstance(error, RuntimeError) or str(error) != "can't start new thread":
                raise
            say(
                "caid-triage: the system gives no more threads (ulimit -u, or memory is full); what was stored is "
                "whole, run the same command again",
                err=True,
            )
            ctx.exit(CaidTriageError.exit_code)


@click.group(
    cls=Program,
    commands=LateCommands(),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="caid-triage")
def program() -> None:
    """Find known indecent images on seized disk images, by hash, and report them by category.

    \b
    Two commands do the main job:
      caid-triage hashset build CAID-EXPORT.json --out caid.chs
      caid-triage scan EXHIBIT.E01 --hashset caid.chs --case CASE-FOLDER
    The evidence is only ever read. Nothing is sent anywhere.
    """


def report_bug(kind: type[BaseException], fault: BaseException, trace: TracebackType | None) -> None:
    """Print where a bug of ours is, without the error's own words: they may quote a suspect's path."""
    import traceback

    say(f"caid-triage: a bug of ours ({kind.__name__}); please report these lines:", err=True)
    for frame in traceback.extract_tb(trace):
        say(f"  {frame.name} in {frame.filename}:{frame.lineno}", err=True)


def main() -> None:
    """Run the command line: escapes where a console is not UTF-8, SIGTERM ends as cleanly as Ctrl+C, no core file."""
    end_when_asked()
    with suppress(ImportError):  # Windows, where nobody writes one unless asked to
        leave_no_core()
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    sys.excepthook = report_bug
    program.main(prog_name="caid-triage")
