"""Help tells the truth: every command has one, with the exit codes, and the documents agree with it."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from caid_triage.cli.exit_codes import MEANINGS
from caid_triage.cli.main import program
from caid_triage.errors import CaidTriageError

PROJECT = Path(__file__).resolve().parents[2]


def commands(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = [path]
    for name, command in group.commands.items():
        here = (*path, name)
        found += commands(command, here) if isinstance(command, click.Group) else [here]
    return found


@pytest.mark.parametrize("path", commands(program), ids=" ".join)
def test_every_help_lists_every_exit_code(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(program, [*path, "--help"])
    assert result.exit_code == 0
    for code, meaning in MEANINGS.items():
        assert re.search(rf"^\s*{code}\s+{re.escape(meaning[:20])}", result.output, re.MULTILINE), code


def every_error(kind: type[CaidTriageError]) -> list[type[CaidTriageError]]:
    return [kind, *(sub for child in kind.__subclasses__() for sub in every_error(child))]


def test_every_error_ends_with_a_documented_code() -> None:
    assert {kind.exit_code for kind in every_error(CaidTriageError)} <= set(MEANINGS)


def test_the_table_of_exit_codes_is_true() -> None:
    table = (PROJECT / "docs" / "exit-codes.md").read_text()
    rows = dict(re.findall(r"^\| (\d+) \| ([^|]+) \|", table, re.MULTILINE))
    assert {int(code): meaning.strip() for code, meaning in rows.items()} == MEANINGS


def test_version(run) -> None:
    from caid_triage import __version__

    assert __version__ in run("--version").stdout
