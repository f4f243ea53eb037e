"""The one place that writes to the terminal: every text that is printed goes through here, and is shown safely.

A path, a label or a message of an error may hold what a suspect or a stranger wrote. :func:`say` prints one line and
nothing in it steers the terminal, breaks the line or turns its order (caid_triage/visible.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import click

from caid_triage.visible import shown


def say(*columns: object, err: bool = False) -> None:
    """Print one line; several columns stand between tabs, and none of them can hold one."""
    click.echo("\t".join(shown(str(column)) for column in columns), err=err)


def say_json(value: object, *, indent: int | None = None, sort_keys: bool = False) -> None:
    """Print a value as JSON in printable ASCII: exact for programs, and harmless on a terminal."""
    click.echo(json.dumps(value, indent=indent, sort_keys=sort_keys).replace("\x7f", "\\u007f"))


def ask_secret(question: str) -> str:
    """What a person types in answer to a question of ours; it is not shown."""
    answer: str = click.prompt(question, hide_input=True, err=True)
    return answer


@contextmanager
def shown_refusals() -> Iterator[None]:
    """Make what click says of a wrong argument showable: it may quote a name that a shell filled in."""
    try:
        yield
    except click.ClickException as refusal:
        vars(refusal)["message"] = shown(refusal.message)  # declared final, and nothing else reaches what is printed
        raise
