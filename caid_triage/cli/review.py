"""``caid-triage review``: look at what needs a human eye, and grade it, in a page of this machine's browser."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from caid_triage.actor import EXAMINER, actor
from caid_triage.cli.console import ask, say
from caid_triage.cli.exit_codes import CommandWithExitCodes
from caid_triage.errors import UsageError
from caid_triage.held import interrupt_held

if TYPE_CHECKING:
    from caid_triage.review.sitting import Setting

BREAK_MINUTES = 20


@click.command(cls=CommandWithExitCodes, short_help="Look at what needs an eye, and grade it, in a local page.")
@click.option("--case", "case_folder", required=True, type=click.Path(path_type=Path), help="Folder of the case.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port on 127.0.0.1  [default: any free one]")
@click.option(
    "--examiner",
    envvar=EXAMINER,
    show_envvar=True,
    help="Your name, as it stands beside each grade  [default: asked for]",
)
@click.option(
    "--scheme", help="Scheme to grade in: the name of one, or a TOML file  [default: that of the case's hash sets]"
)
@click.option(
    "--break-minutes",
    type=click.IntRange(0, 600),
    default=BREAK_MINUTES,
    show_default=True,
    help="Remind of a break after so many minutes of looking (0: never).",
)
@click.option(
    "--password-file",
    type=click.Path(path_type=Path),
    help="Secrets of encrypted volumes, one a line, as for the scan: for pictures of what is in them.",
)
def review(
    case_folder: Path,
    port: int,
    examiner: str | None,
    scheme: str | None,
    break_minutes: int,
    password_file: Path | None,
) -> None:
    """Show the known hits, look-alikes and unknown pictures of a case in a page, to be graded by keys.

    The page is for one browser of this machine: open the address that is printed. It works once. No picture is shown
    until you ask for it, and then blurred. A grade is on disk before the next item is shown. A scan may go on
    meanwhile.
    End the session in the page (exit code 0) or with Ctrl+C (130): no grade is lost either way.
    """
    _look_for_the_extra()
    from caid_triage.evidence.secrets import NO_SECRETS, read_password_file
    from caid_triage.review.desk import ReviewDesk
    from caid_triage.review.server import Review
    from caid_triage.review.serving import Serving

    name = _examiner(examiner)
    secrets = NO_SECRETS if password_file is None else read_password_file(password_file)
    setting = _setting(case_folder, name, scheme, break_minutes)
    if sys.stderr.isatty():
        say("reading the case (some seconds for a million files) ...", err=True)
    with ReviewDesk(case_folder, secrets) as desk:
        serving = Serving(lambda taken, end: Review(desk, setting, taken, end), port)
        began = None
        try:
            with interrupt_held():  # or a session that began would be on record, and never its end
                began = desk.begin_session(name)  # who looked is on record, also where nothing is graded
            say(f"open in a browser of this machine (works once): {serving.review.guard.address}")
            say("end it in the page, or here with Ctrl+C")
            serving.run()
        finally:
            if began is not None:
                with interrupt_held():
                    desk.end_session(name, began, serving.review.tally.figures())
    say("the session has ended; every grade is stored")


def _look_for_the_extra() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("starlette", "uvicorn") if find_spec(name) is None]
    if missing:
        names = " and ".join(missing)
        raise UsageError(f"the review page needs {names}; they come with the extra: pip install 'caid-triage[review]'")


def _examiner(given: str | None) -> str:
    """The examiner's name: as given, else asked for; a grade without a name is none."""
    name = given
    if name is None:
        if not sys.stdin.isatty():
            raise UsageError("a grade needs the name of its examiner: give it with --examiner")
        name = ask("your name, as it stands beside each grade", actor().get("user"))
    fit = actor(name).get("user")
    if not fit:
        raise UsageError("a grade needs the name of its examiner, and this one is empty: give it with --examiner")
    return fit


def _setting(case_folder: Path, examiner: str, scheme: str | None, break_minutes: int) -> Setting:
    """What the session is about, read from the case once."""
    from caid_triage.case.lock import is_locked
    from caid_triage.case.view import open_case
    from caid_triage.review.keys import scheme_for, schemes_of
    from caid_triage.review.sitting import Setting

    with open_case(case_folder) as view:
        header, sources, infos = view.header, view.sources(), view.hashsets()
    graded_in = scheme_for(infos, scheme)
    known = schemes_of(infos, graded_in)
    return Setting(
        case=" ".join(filter(None, (header.reference, header.operation))),
        exhibits=tuple(dict.fromkeys(source.exhibit for source in sources)),
        examiner=examiner,
        scheme=graded_in,
        categories=tuple(each.category(item.code) for each in known for item in each.categories),
        unconfirmed=frozenset(each.name for each in known if not each.confirmed_by),
        break_minutes=break_minutes,
        scanning=lambda: is_locked(case_folder),
    )
