"""What is stated of a case on the command line: options that several commands share, and what they come to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from caid_triage.actor import EXAMINER as EXAMINER_VARIABLE
from caid_triage.actor import actor
from caid_triage.errors import UsageError

CONTACT_VARIABLE = "CAID_TRIAGE_CONTACT"

case_examiner_option = click.option(
    "--examiner",
    envvar=EXAMINER_VARIABLE,
    show_envvar=True,
    help="Who does this, for the audit trail  [default: the login name]. If given: of a case that names none yet also "
    "the examiner whom its documents name.",
)
reference_option = click.option(
    "--case-reference", help="What the unit calls the case, printed in every report  [default: its first exhibit]"
)
operation_option = click.option("--operation", help="The operation or instruction that the case belongs to.")


def contact_option(**more: Any) -> Callable[[Any], Any]:
    """``--contact FILE``; ``more`` are words for click."""
    help_text = "Whom to ask about the case: a TOML file of the unit (docs/formats/documents.md)."
    return click.option("--contact", type=click.Path(path_type=Path), help=help_text, **more)


unit_contact_option = contact_option(envvar=CONTACT_VARIABLE, show_envvar=True)


def said_of_case(
    *, reference: str | None, operation: str | None, examiner: str | None, contact: Path | None
) -> dict[tuple[str, str], str]:
    """What is said of a case, of which an option was given; UsageError for what cannot be printed.

    ``examiner`` as given by option or environment. Nobody is named in a document by his login name alone.
    """
    from caid_triage.case.details import EXAMINER, OPERATION, REFERENCE, checked_words, read_contact

    said = {} if contact is None else read_contact(contact)
    if reference is not None:
        said[REFERENCE] = checked_words("a --case-reference", reference)
    if operation is not None:
        said[OPERATION] = checked_words("an --operation", operation)
    if examiner and (name := actor(examiner).get("user")):
        said[EXAMINER] = name
    return said


def said_of_exhibits(exhibits: Sequence[str], moments: Sequence[str]) -> dict[tuple[str, str], str]:
    """When exhibits were seized: one --seized for all, or one for each source, in the order of these; UsageError."""
    from caid_triage.case.details import SEIZED, checked_moment

    if len(moments) not in (0, 1, len(exhibits)):
        raise UsageError(f"{len(moments)} --seized for {len(exhibits)} sources: give one for all, or one for each")
    said: dict[tuple[str, str], str] = {}
    for place, exhibit in enumerate(exhibits if moments else ()):
        moment = checked_moment(moments[min(place, len(moments) - 1)])
        if said.setdefault((exhibit, SEIZED), moment) != moment:
            raise UsageError(f"two --seized for exhibit {exhibit}: it was seized once")
    return said
