"""The command ``caid-triage``: one thin file per command, errors as one clear sentence and an exit code."""

from __future__ import annotations

import signal
import sys
import traceback
from types import FrameType, TracebackType
from typing import Any

import click

from caid_triage.cli.demo import demo
from caid_triage.cli.exit_codes import INTERRUPTED, GroupWithExitCodes
from caid_triage.cli.hashset import hashset
from caid_triage.cli.match import match
from caid_triage.cli.report import report
from caid_triage.cli.scan import scan
from caid_triage.cli.schemes import schemes
from caid_triage.cli.verify import verify
from caid_triage.errors import CaidTriageError
from caid_triage.version import __version__


class Program(GroupWithExitCodes):
    """The top of the command tree: turns our errors into a sentence on stderr and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error of ours ends it with its own exit code."""
        try:
            return super().invoke(ctx)
        except CaidTriageError as error:
            click.echo(f"caid-triage: {error}", err=True)
            ctx.exit(error.exit_code)
        except click.Abort:
            click.echo("caid-triage: not confirmed, nothing was done", err=True)
            ctx.exit(INTERRUPTED)
        except KeyboardInterrupt:
            click.echo(
                "caid-triage: interrupted; the case is consistent, run the same command again to resume", err=True
            )
            ctx.exit(INTERRUPTED)


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="caid-triage")
def program() -> None:
    """Find known indecent images on seized disk images, by hash, and report them by category.

    \b
    Two commands do the main job:
      caid-triage hashset build CAID-EXPORT.json --out caid.chs
      caid-triage scan EXHIBIT.E01 --hashset caid.chs --case CASE-FOLDER
    The evidence is only ever read. Nothing is sent anywhere.
    """


for command in (demo, scan, match, report, hashset, schemes, verify):
    program.add_command(command)


def report_bug(kind: type[BaseException], fault: BaseException, trace: TracebackType | None) -> None:
    """Print where a bug of ours is, without the error's own words: they may quote a suspect's path."""
    print(f"caid-triage: a bug of ours ({kind.__name__}); please report these lines:", file=sys.stderr)  # noqa: T201
    for frame in traceback.extract_tb(trace):
        print(f"  {frame.name} in {frame.filename}:{frame.lineno}", file=sys.stderr)  # noqa: T201


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Entry point: a console that is not UTF-8 gets escapes, SIGTERM ends as cleanly as Ctrl+C."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    sys.excepthook = report_bug
    signal.signal(signal.SIGTERM, _interrupt)
    program.main(prog_name="caid-triage")
