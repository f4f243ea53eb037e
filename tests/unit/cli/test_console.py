"""What is printed: no text of a suspect or of a stranger steers the terminal, and every place goes through one door."""

from __future__ import annotations

import ast
import json
import os
import pty
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from hypothesis import example, given
from hypothesis import strategies as st
from support.cli import run_command

import caid_triage
from caid_triage.cli.console import say, say_json
from caid_triage.cli.display import progress_line, progress_table
from caid_triage.cli.main import program
from caid_triage.errors import SourceError
from caid_triage.scan.progress import Progress
from caid_triage.visible import MOST_MARKS, shown

STEERING = (
    "\x1b[2J", "\x1b]52;c;cHduZWQ=\x07", "\x1b]8;;http://x\x1b\\a\x1b]8;;\x1b\\", "\x9b31m", "\x90q\x9c", "\x00",
    "\x07", "\b\b", "\x7f", "a\nb", "a\r\nb", "\x85", "\u2028", "\u202egpj.exe", "\u2066x", "\u200b", "\ud800",
    "\ufeff", "\u3164", "\U000e0041", "\t", "[red]x[/red]", "[link=file:///etc/passwd]x[/link]",
)  # fmt: skip
EVIL = "".join(STEERING)
UNSEEN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})


def harmless(line: str) -> bool:
    return not any(unicodedata.category(character) in UNSEEN for character in line)


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=50))
@example(EVIL)
@example("e" + "\u0301" * 500)
def test_what_is_shown_steers_nothing_and_piles_no_marks(text: str) -> None:
    line = shown(text)
    assert harmless(line)
    assert not re.search(f"[\u0300-\u036f]{{{MOST_MARKS + 1}}}", line)
    assert shown(line) == line
    if text.isascii() and text.isprintable():
        assert line == text


def test_different_characters_that_draw_nothing_stay_apart() -> None:
    unseen = ["\u200b", "\u200c", "\ufeff", "\u3164", "\u115f", "\u2800", "\ufe0f", "\U000e0100", "\u034f", "\u00ad"]
    assert len({shown(f"a{character}b") for character in unseen}) == len(unseen)
    assert "ab" not in {shown(f"a{character}b") for character in unseen}
    assert shown("ünï 写真 שָׁלוֹם ไม้ \U0001f4f7") == "ünï 写真 שָׁלוֹם ไม้ \U0001f4f7"


def test_a_line_is_one_line_and_its_columns_are_as_many_as_were_given(capsys: pytest.CaptureFixture[str]) -> None:
    say(EVIL, "b\tc", err=True)
    printed = capsys.readouterr().err
    assert printed.endswith("\n")
    assert printed.count("\n") == printed.count("\t") == 1
    assert harmless(printed.rstrip("\n").replace("\t", ""))


def test_json_is_exact_and_plain(capsys: pytest.CaptureFixture[str]) -> None:
    say_json({EVIL: [EVIL]})
    printed = capsys.readouterr().out
    assert json.loads(printed) == {EVIL: [EVIL]}
    assert printed.rstrip("\n").isascii()
    assert printed.rstrip("\n").isprintable()


def test_nothing_of_the_package_prints_but_the_console() -> None:
    """Else a place that is added later would print a name as it is."""
    printing = []
    root = Path(caid_triage.__file__).parent
    for path in sorted(root.rglob("*.py")):
        if path.relative_to(root).as_posix() == "cli/console.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if called in ("print", "click.echo", "click.secho", "echo", "secho", "click.style", "click.prompt"):
                    printing.append(f"{path.name}:{node.lineno} {called}")
    assert printing == []


def test_progress_shows_labels_and_volumes_as_text() -> None:
    from rich.console import Console

    for progress in (
        Progress(stage=f"unlocking {EVIL}", secrets=3), Progress(stage=EVIL), Progress(stage="examining"),
    ):  # fmt: skip
        progress.hits[EVIL] = 2
        assert harmless(shown(progress_line(progress)))
        console = Console(force_terminal=True, color_system="truecolor", width=20_000, file=None, record=False)
        with console.capture() as captured:
            console.print(progress_table(progress))
        lines = captured.get().splitlines()
        assert all(map(harmless, lines))
        if not progress.secrets:
            assert "[red]x[/red]" in captured.get()


def test_what_counts_as_no_hit_is_shown_apart() -> None:
    from rich.console import Console

    progress = Progress(stage="examining")
    assert "not pertinent" not in progress_line(progress)
    progress.not_pertinent["Ignorable"] = 1200
    assert "known: none | not pertinent: Ignorable 1,200 | leads: 0" in progress_line(progress)
    assert progress.as_json()["not_pertinent"] == {"Ignorable": 1200}
    console = Console(width=200, file=None)
    with console.capture() as captured:
        console.print(progress_table(progress))
    assert "none so far" in captured.get()
    assert "Ignorable: 1,200" in captured.get()


def test_json_progress_stays_json(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(stage=EVIL)
    progress.hits[EVIL] = 1
    say_json(progress.as_json())
    assert json.loads(capsys.readouterr().out)["stage"] == EVIL


def test_an_error_of_several_lines_keeps_its_lines_and_no_more() -> None:
    @click.command()
    def fails() -> None:
        raise SourceError(f"first {EVIL}", "second\nforged")

    program.commands["fails"] = fails
    try:
        done = CliRunner().invoke(program, ["fails"])
    finally:
        del program.commands["fails"]
    assert done.exit_code == SourceError.exit_code
    lines = done.stderr.splitlines()
    assert [line[:20] for line in lines] == ["caid-triage: first \\", "second\\u{000a}forged"]
    assert all(map(harmless, lines))


@pytest.mark.parametrize("words", [[EVIL.replace("\0", "").replace("\ud800", "")], ["scan"], ["verify"], ["report"]])
def test_what_click_refuses_is_shown_too(words: list[str]) -> None:
    hostile = f"--{EVIL}".replace("\0", "").replace("\ud800", "")
    done = CliRunner().invoke(program, [*words, hostile])
    assert done.exit_code == 2
    assert all(map(harmless, done.stderr.splitlines()))


@pytest.mark.skipif(sys.platform == "win32", reason="makes names that Windows does not have")
def test_a_hostile_source_steers_no_terminal(tmp_path: Path) -> None:
    """On a terminal of its own: what is written to a pipe is stripped of colours by click already."""
    name = "\x1b]0;pwned\x07\x1b[2Jx\u202e\nforged: line"
    (tmp_path / name).write_bytes(b"no image")
    own, theirs = pty.openpty()
    words = [sys.executable, "-P", "-m", "caid_triage", "verify", str(tmp_path / name)]
    done = subprocess.run(words, stdin=theirs, stdout=theirs, stderr=theirs, timeout=120, check=False)
    os.close(theirs)
    printed = b""
    try:
        while piece := os.read(own, 65536):
            printed += piece
    except OSError:  # Linux: the other end is closed
        pass
    os.close(own)
    assert done.returncode in (2, 4)
    text = printed.decode().replace("\r\n", "\n")
    assert "pwned" in text
    assert text.count("\n") == 1
    assert harmless(text.rstrip("\n"))


def test_labels_of_a_set_made_by_somebody_else_are_shown(tmp_path: Path) -> None:
    evil = EVIL.replace("\ud800", "")
    scheme = tmp_path / "scheme.toml"
    quoted = '"' + "".join(f"\\U{ord(character):08x}" for character in evil) + '"'
    scheme.write_text(
        f'name = "s"\ntitle = {quoted}\nconfirmed_by = {quoted}\nsource = {quoted}\n'
        f'[[categories]]\ncode = "1"\nlabel = {quoted}\nseverity = 3\nmeaning = "notable"\n',
        encoding="utf-8",
    )  # fmt: skip
    source = tmp_path / "list.csv"
    source.write_text(f"md5,category\n{'ab' * 16},1\n", encoding="utf-8")
    out = tmp_path / "set.chs"
    done = [
        run_command("hashset", "build", source, "--out", out, "--scheme", scheme, "--name", evil.replace("\0", "")),
        run_command("hashset", "info", out),
        run_command("hashset", "lookup", out, "ab" * 16),
        run_command("schemes", "show", scheme),
    ]
    for each in done:
        for line in (each.stdout + each.stderr).split("\n"):
            assert harmless(line.replace("\t", "")), line
    assert [each.returncode for each in done] == [0, 0, 0, 0]
    (line,) = done[2].stdout.splitlines()
    assert line.count("\t") == 5
