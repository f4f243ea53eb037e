"""``caid-triage report``: write the reports of a case again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from caid_triage.case.store import open_case_for_writing
from caid_triage.case.view import open_case
from caid_triage.cli.console import ask_secret, say
from caid_triage.cli.exit_codes import CommandWithExitCodes
from caid_triage.cli.on_record import examiner_option, given_command, say_faults, say_head
from caid_triage.errors import CaseError, UsageError
from caid_triage.report.on_record import REPORTS, Sealing, keep_template, seal_on_record, write_reports_on_record
from caid_triage.report.write import ALL, FORMATS, write_reports

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

IN_TEMPLATE = ("sfr-docx", "schedule-docx")


@click.command(cls=CommandWithExitCodes, short_help="Write a case's reports again.")
@click.option("--case", "case_folder", required=True, type=click.Path(path_type=Path), help="Folder of the case.")
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice([ALL, *sorted(FORMATS)]),
    help="Only this report (delta: delta.csv, delta-figures: delta.json); may be repeated.  [default: the usual ones]",
)
@click.option(
    "--out", type=click.Path(path_type=Path), default=None, help="Folder to write to.  [default: CASE/reports]"
)
@click.option(
    "--seal",
    "sealed",
    is_flag=True,
    help="Write all reports and put them with the audit chain, options, versions and category schemes into one archive "
    "beside their folder, for somebody else to check: caid-triage verify BUNDLE. An earlier one there is replaced.",
)
@click.option(
    "--sign-key",
    type=click.Path(path_type=Path),
    help="Sign the manifest with this Ed25519 private key (PEM): MANIFEST.sha256.sig.",
)
@click.option(
    "--sign-password-file",
    type=click.Path(path_type=Path),
    help="The key's password is the first line of this file  [default: asked for]",
)
@click.option(
    "--timestamp-request",
    is_flag=True,
    help="Write a request for a time stamp of the manifest (RFC 3161), to be sent by hand: MANIFEST.sha256.tsq.",
)
@click.option(
    "--template",
    type=click.Path(path_type=Path),
    help="Write sfr.docx and schedule.docx into this Word file of the unit's own (letterhead, styles, header, footer "
    "stay): at the paragraph {{content}}, else at its end. The case keeps a copy and uses it from then on.",
)
@examiner_option
@click.pass_context
def report(
    ctx: click.Context,
    case_folder: Path,
    formats: tuple[str, ...],
    out: Path | None,
    sealed: bool,
    sign_key: Path | None,
    sign_password_file: Path | None,
    timestamp_request: bool,
    template: Path | None,
    examiner: str | None,
) -> None:
    """Write the reports of a case again, from what is stored; the exhibit is not needed.

    The audit trail gets a line with the SHA-256 of each. Of a case that cannot be written to (read-only media, a scan
    that goes on) they are written all the same with --out, without that line.
    """
    if sealed and formats:
        raise UsageError("--seal puts every report into the bundle; leave out --format")
    content = _checked(template, formats, sealed)
    if template is not None and not formats:
        formats = IN_TEMPLATE
    target = out or case_folder / REPORTS
    sealing = Sealing(_private_key(sign_key, sign_password_file), timestamp_request)
    try:
        case = open_case_for_writing(case_folder)
    except CaseError as refused:
        if sealing or sealed or content is not None:
            raise
        with open_case(case_folder) as view:
            if target.resolve() == (case_folder / REPORTS).resolve():
                # What writes to the case may be writing these too, and reports that no line names do not verify.
                elsewhere = "or have the reports written elsewhere (--out DIR), without a line of the audit trail"
                raise CaseError(f"{refused}; {elsewhere}") from refused
            paths = write_reports(view, target, formats or None)
        _say(paths)
        say_faults(case_folder)
        say(f"note: the audit trail has no line of this: {refused}", err=True)
        return
    with case:
        case.audit_command(given_command(ctx))
        if content is not None:
            keep_template(case, content)
        paths = write_reports_on_record(case, target, formats or None, sealing)
        bundle = seal_on_record(case, target) if sealed else None
    _say(paths)
    say_faults(case_folder)
    if bundle is not None:
        say(bundle[0])
        say(f"its SHA-256 (write it down elsewhere: nobody can make another bundle with it): {bundle[1]}")
    say_head(case.last_line)


def _checked(template: Path | None, formats: tuple[str, ...], sealed: bool) -> bytes | None:
    """The bytes of a template that may be used, None where none was given. UsageError for one that may not."""
    if template is None:
        return None
    if sealed or (formats and not {ALL, *IN_TEMPLATE} & set(formats)):
        raise UsageError(f"--template goes with --format {' or '.join(IN_TEMPLATE)}; seal the reports afterwards")
    from caid_triage.report.template import read_template

    return read_template(template)


def _private_key(path: Path | None, password_file: Path | None) -> Ed25519PrivateKey | None:
    if path is None:
        if password_file is not None:
            raise UsageError("--sign-password-file is for a key: give --sign-key too")
        return None
    from caid_triage.report.signing import PasswordNeededError, read_private_key

    try:
        if password_file is None:
            return read_private_key(path)
        return read_private_key(path, password_file.read_bytes().splitlines()[0])
    except (OSError, IndexError) as fault:
        raise UsageError(f"the password file {password_file} cannot be read or is empty") from fault
    except PasswordNeededError:
        if password_file is not None or not sys.stdin.isatty():
            raise
        return read_private_key(path, ask_secret("password of the key").encode())


def _say(paths: list[Path]) -> None:
    for path in paths:
        say(path)
