"""``caid-triage details``: what is stated of a case, shown or corrected on record."""

from __future__ import annotations

from pathlib import Path

import click

from caid_triage.case.details import (
    CONTACT,
    EXAMINER,
    HEADER,
    OPERATION,
    REFERENCE,
    SEIZED,
    Detail,
    checked_moment,
    checked_words,
    read_contact,
    word_of,
)
from caid_triage.case.store import open_case_for_writing
from caid_triage.case.view import open_case
from caid_triage.cli.console import say
from caid_triage.cli.exit_codes import CommandWithExitCodes
from caid_triage.cli.on_record import examiner_option, given_command, say_faults, say_head
from caid_triage.cli.stated import contact_option, operation_option
from caid_triage.errors import UsageError
from caid_triage.report.on_record import REPORTS, write_reports_on_record


@click.command(cls=CommandWithExitCodes, short_help="Show or correct what is stated of a case.")
@click.option("--case", "case_folder", required=True, type=click.Path(path_type=Path), help="Folder of the case.")
@click.option("--case-reference", help="What the unit calls the case.")
@operation_option
@click.option("--case-examiner", help="The examiner whom documents name.")
@contact_option()
@click.option(
    "--seized", "seizures", multiple=True, metavar="EXHIBIT=DATE", help="When an exhibit was seized; may be repeated."
)
@examiner_option
@click.pass_context
def details(
    ctx: click.Context,
    case_folder: Path,
    case_reference: str | None,
    operation: str | None,
    case_examiner: str | None,
    contact: Path | None,
    seizures: tuple[str, ...],
    examiner: str | None,
) -> None:
    """Show what is stated of a case, or state it: reference, operation, examiner, whom to ask, when it was seized.

    What is given replaces what was stated before, and an empty text (--operation "") takes it back. The audit trail
    gets a line with both, and the reports are written again. Nothing that was found depends on it. With another case
    reference, the identifiers in vics.json and the formats for other programs are other ones too.
    """
    with open_case(case_folder) as view:
        known, exhibits = view.details(), view.exhibit_names()
    said = {} if contact is None else read_contact(contact)
    for detail, option, value in (
        (REFERENCE, "a --case-reference", case_reference),
        (OPERATION, "an --operation", operation),
        (EXAMINER, "a --case-examiner", case_examiner),
    ):
        if value is not None:
            said[detail] = "" if not value and detail != REFERENCE else checked_words(option, value)
    said |= dict(_seizure(text, exhibits) for text in seizures)
    changed = {detail: value for detail, value in said.items() if known.get(detail, "") != value}
    if not changed:
        for detail in dict.fromkeys([*(("", name) for name in (*HEADER, *CONTACT.values())), *known]):
            say(f"{word_of(detail)}: {known.get(detail) or 'not stated'}")
        return
    with open_case_for_writing(case_folder) as case:
        case.audit_command(given_command(ctx))
        case.state(changed)
        paths = write_reports_on_record(case, case_folder / REPORTS)
    for detail, value in changed.items():
        say(f"{word_of(detail)}: {value or 'not stated'} (it was: {known.get(detail) or 'not stated'})")
    say_faults(case_folder)
    say_head(case.last_line)
    say(f"report: {next(path for path in paths if path.name == 'report.html')}")


def _seizure(given: str, exhibits: list[str]) -> tuple[Detail, str]:
    """What EXHIBIT=DATE states; UsageError. A date has no equals sign, which a reference may have."""
    exhibit, equals, moment = given.rpartition("=")
    if not equals or exhibit not in exhibits:
        raise UsageError(f"--seized is EXHIBIT=DATE, of an exhibit of the case ({', '.join(exhibits)}), not {given!r}")
    return (exhibit, SEIZED), checked_moment(moment) if moment.strip() else ""
