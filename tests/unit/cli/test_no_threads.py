"""A machine that gives no more threads is told so in a sentence: it was called a bug of ours."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from caid_triage.cli.main import program


def test_no_more_threads_are_no_bug_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "can't start new thread"

    def poor(*_: object) -> None:
        raise RuntimeError(said)

    monkeypatch.setattr(program.commands["schemes"], "invoke", poor)
    done = CliRunner().invoke(program, ["schemes", "list"])
    assert done.exit_code == 1
    assert "gives no more threads" in done.output
    said = "another one"
    assert isinstance(CliRunner().invoke(program, ["schemes", "list"]).exception, RuntimeError)
