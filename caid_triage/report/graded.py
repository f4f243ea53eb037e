"""What examiners graded, for a reader: apart from what hash sets assert, whatever these say of the same files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from caid_triage.case.grades import GradedRow
from caid_triage.case.view import CaseView

# What hash sets say of a graded file -> the words of the page.
ASSERTED_WORDS: Mapping[str, str] = {
    "exact": "identical",
    "near": "look-alike",
    "video": "look-alike",
    "": "not listed",
}


@dataclass(slots=True)
class GradedLine:
    """How many files the last standing grades put under a category, by what hash sets say of them."""

    label: str
    scheme: str
    files: int = 0
    by: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ASSERTED_WORDS.values(), 0))


@dataclass(frozen=True, slots=True)
class GradedFacts:
    """The lines, gravest first, and how many files have a content that two examiners grade differently."""

    lines: list[GradedLine]
    disputed: int


def graded_facts(view: CaseView) -> GradedFacts:
    """What examiners graded in the case."""
    return GradedFacts(graded_lines(view.graded()), sum(1 for _ in view.disputed()))


def graded_lines(rows: Iterable[GradedRow]) -> list[GradedLine]:
    """Gather rows, which come gravest category first, by category."""
    lines: dict[tuple[str, str, str], GradedLine] = {}
    for row in rows:
        key = row.category_code, row.category_label, row.scheme
        line = lines.setdefault(key, GradedLine(row.category_label, row.scheme))
        line.files += row.files
        line.by[ASSERTED_WORDS[row.asserted]] += row.files
    return list(lines.values())


def summarised_grades(view: CaseView) -> dict[str, Any]:
    """The same for programs: a row a category, kind, state and kind of match; and the disputed files' number."""
    return {"counts": [asdict(row) for row in view.graded()], "disputed_files": sum(1 for _ in view.disputed())}
