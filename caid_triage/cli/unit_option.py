"""The option ``--unit`` of several commands: where the unit's memory is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from caid_triage.cli.console import say

if TYPE_CHECKING:
    from caid_triage.unit.place import UnitPlace

VARIABLE = "CAID_TRIAGE_UNIT"  # as caid_triage/unit/place.py has it, which a help text need not import


class PlaceParameter(click.ParamType[Any]):
    """A path or a URL. One with a password is refused before anything is done, and never quoted."""

    name = "PATH|URL"

    def convert(self, value: Any, _param: click.Parameter | None, _ctx: click.Context | None) -> UnitPlace:
        """The place; UsageError for a URL that cannot be used."""
        from caid_triage.unit.place import UnitPlace, unit_place

        return value if isinstance(value, UnitPlace) else unit_place(str(value))


def unit_option(help_text: str) -> Callable[[Any], Any]:
    """``--unit PATH|URL``, by default what the environment says."""
    return click.option("--unit", type=PlaceParameter(), envvar=VARIABLE, show_envvar=True, help=help_text)


def say_place_warning(place: UnitPlace) -> None:
    """Print where the way to the server is not safe."""
    if warning := place.warning():
        say(f"caid-triage: WARNING: {warning}", err=True)
