"""Every problem code that the package can write has words for a reader."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from caid_triage.model import DecodeState
from caid_triage.report.meanings import DECODE_WORDS, PROBLEMS

PACKAGE = Path(__file__).resolve().parents[3] / "caid_triage"
# The calls that take a code, and as which argument.
CALLS = {"Problem": 1, "EvidenceError": 1, "evidence_faults": 1, "_without": 1, "problem": 0, "_problem": 0}
CODE = re.compile(r"[a-z]+(-[a-z0-9]+)*")


def codes_of_the_package() -> Iterator[str]:
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                place = CALLS.get(getattr(node.func, "id", getattr(node.func, "attr", "")))
                candidates = node.args[place : place + 1] if place is not None else []
            elif isinstance(node, ast.Tuple) and tells_a_problem(node):
                candidates = node.elts[:1]
            else:
                candidates = []
            for candidate in candidates:
                if isinstance(candidate, ast.Constant) and CODE.fullmatch(str(candidate.value)):
                    yield str(candidate.value)


def tells_a_problem(node: ast.Tuple) -> bool:
    """A code that is handed on as (code, detail ...): with a severity, or with a sentence of several words."""
    severe = any("Severity" in ast.dump(part) for part in node.elts)
    texts = [part.value for part in node.elts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
    return severe or (len(node.elts) == 2 and len(texts) == 2 and "-" in texts[0] and texts[1].count(" ") > 3)


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


def test_the_page_of_codes_has_the_same_words() -> None:
    page = (PACKAGE.parent / "docs" / "problem-codes.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([^`]+)` \| (?:problem|note|problem or note) \| (.+) \|$", page, re.MULTILINE)
    assert dict(rows) == dict(PROBLEMS)
