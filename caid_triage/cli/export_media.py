"""``caid-triage export-media``: write contents of a case out for another grading tool, once somebody confirms it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from caid_triage.cli.console import ask, say
from caid_triage.cli.exit_codes import COMPLETE, WITH_PROBLEMS, CommandWithExitCodes
from caid_triage.cli.on_record import examiner_option, given_command, say_head
from caid_triage.errors import UsageError

QUEUES = ("known", "near", "new", "damaged")


@click.command("export-media", cls=CommandWithExitCodes, short_help="Write pictures and films out for a grading tool.")
@click.option("--case", "case_folder", required=True, type=click.Path(path_type=Path), help="Folder of the case.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="New folder to write to.")
@click.option(
    "--queue",
    "queues",
    multiple=True,
    type=click.Choice(QUEUES),
    help="Only what is in this queue of the review; may be repeated.  [default: all of these]",
)
@click.option("--exhibit", "exhibits", multiple=True, help="Only of the exhibit of this reference; may be repeated.")
@click.option(
    "--endings",
    is_flag=True,
    help="Give pictures and films the ending of what they are (.jpg), for a tool that goes by it. File managers then "
    "show them, too.",
)
@click.option(
    "--password-file",
    type=click.Path(path_type=Path),
    help="Passwords and recovery keys of encrypted volumes, as in the scan.",
)
@click.option(
    "--yes-i-am-authorised",
    "authorised",
    is_flag=True,
    help="Do not ask for the references of the exhibits to be typed.",
)
@examiner_option
@click.pass_context
def export_media(
    ctx: click.Context,
    case_folder: Path,
    out: Path,
    queues: tuple[str, ...],
    exhibits: tuple[str, ...],
    endings: bool,
    password_file: Path | None,
    authorised: bool,
    examiner: str | None,
) -> None:
    """Write pictures and films of a case into a folder, to be graded in another tool. Nothing else ever does that.

    Each is read from the evidence again, compared with the digest that the case has, and called after its SHA-256,
    without an ending. vics.json beside them is the VICS case of what was written, for the grading tool to open. The
    reference of each exhibit has to be typed first. The audit trail says what was written; what cannot be read, or has
    changed, is not written and is a problem of the case. A folder without MANIFEST.sha256 is of an export that was
    stopped: delete it, and export again.
    """
    from caid_triage.case.store import open_case_for_writing
    from caid_triage.evidence.secrets import NO_SECRETS, read_password_file
    from caid_triage.review import export

    known = export.exhibits_of(case_folder)
    strangers = [one for one in exhibits if one not in known]
    if strangers:
        raise UsageError(f"the case has no exhibit {', '.join(strangers)}; it has {', '.join(known)}")
    export.check_folder(out, case_folder)
    secrets = NO_SECRETS if password_file is None else read_password_file(password_file)
    if not authorised:
        _confirm(list(exhibits) or known)
        export.check_folder(out, case_folder)  # again: typing takes its time
    with open_case_for_writing(case_folder) as case:
        case.audit_command(given_command(ctx))
        try:
            found = export.export_media(case, out, queues or QUEUES, exhibits, secrets, endings=endings)
        except KeyboardInterrupt:
            say(f"what lies in {out} is no whole export: delete it, and export again into an empty folder", err=True)
            raise
    say(f"written: {found.files:,} files, {found.size:,} bytes, and {export.VICS} that names them, in {out}")
    if found.problems:
        say(f"not written: {len(found.problems):,} (see problems.csv once the reports are written again)")
    say_head(case.last_line)
    ctx.exit(WITH_PROBLEMS if found.problems else COMPLETE)


def _confirm(exhibits: list[str]) -> None:
    """Have the reference of each exhibit typed. Errors: UsageError where one is not, or nobody is there to do it."""
    if not somebody_is_there():
        raise UsageError("nobody is there to confirm this: give --yes-i-am-authorised")
    say("This writes indecent material out of the case if there is any. It is put on record.", err=True)
    for exhibit in exhibits:
        say(f"To confirm, type the reference of the exhibit: {exhibit}", err=True)
        if ask("reference") != exhibit:
            raise UsageError("that is not the reference of the exhibit; nothing was written")


def somebody_is_there() -> bool:
    """Whether a person can be asked."""
    return sys.stdin.isatty()
