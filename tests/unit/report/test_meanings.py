"""Every problem code that the package can write has words for a reader."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from caid_triage.model import DecodeState
from caid_triage.report.meanings import DECODE_WORDS, PROBLEMS

PACKAGE = Path(__file__).resolve().parents[3] / "caid_triage"
# The calls that take a step and a code, or a code alone, in their first three arguments.
CALLS = {"Problem", "EvidenceError", "evidence_faults", "problem", "_problem", "_without"}
CODE = re.compile(r"[a-z]+(-[a-z0-9]+)+")


def codes_of_the_package() -> Iterator[str]:
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in CALLS:
                for argument in node.args[:3]:
                    if isinstance(argument, ast.Constant) and CODE.fullmatch(str(argument.value)):
                        yield str(argument.value)


def test_every_code_is_explained() -> None:
    codes = set(codes_of_the_package())
    assert len(codes) > 10
    assert sorted(codes - set(PROBLEMS)) == []


def test_every_decode_state_is_explained() -> None:
    assert set(DECODE_WORDS) == set(DecodeState)


def test_the_words_are_sentences() -> None:
    for code, words in PROBLEMS.items():
        assert CODE.fullmatch(code)
        assert words[0].isupper(), code
        assert words.endswith("."), code
