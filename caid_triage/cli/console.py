"""The one place that writes to the terminal: every text that is printed goes through here, and is shown safely.

A path, a label or a message of an error may hold what a suspect or a stranger wrote. :func:`say` prints one line and
nothing in it steers the terminal, breaks the line or turns its order (caid_triage/visible.py).
"""

from __future__ import annotations

import errno
import io
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

import click

from caid_triage.errors import CaseError
from caid_triage.visible import shown


def say(*columns: object, err: bool = False) -> None:
    """Print one line; several columns stand between tabs, and none of them can hold one."""
    _print("\t".join(shown(str(column)) for column in columns), err=err)


def say_json(value: object, *, indent: int | None = None, sort_keys: bool = False) -> None:
    """Print a value as JSON in printable ASCII: exact for programs, and harmless on a terminal."""
    _print(json.dumps(value, indent=indent, sort_keys=sort_keys).replace("\x7f", "\\u007f"), err=False)


def _print(text: str, *, err: bool) -> None:
    """Print; where nobody reads any more (a pipe or a terminal that was closed) the command goes on without.

    So it does where a note or progress cannot be written. CaseError: a result cannot be (its disk is full).
    """
    try:
        click.echo(text, err=err)
    except OSError as fault:
        if not err and fault.errno not in (errno.EPIPE, errno.EIO):
            message = f"what this command prints cannot be written: {fault.strerror}; free some space, then run again"
            raise CaseError(message) from fault
        setattr(sys, "stderr" if err else "stdout", Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115


class GoneTerminal(io.TextIOBase):
    """A terminal for a live display that may be closed meanwhile: what cannot be shown then is lost, and only that."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Of the terminal."""
        return self._stream.encoding

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._stream.isatty()

    def write(self, text: str) -> int:
        """Show a text; its length, shown or not."""
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Show what was written."""
        with suppress(OSError):
            self._stream.flush()


def ask(question: str, default: str | None = None) -> str:
    """What a person types in answer to a question of ours; ``default`` where that is nothing."""
    answer: str = click.prompt(question, default=default, err=True)
    return answer


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
