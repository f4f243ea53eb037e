"""Small cases for tests of the unit's memory, made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from unit.case import samples

from caid_triage.case.rows import CaseHeader
from caid_triage.case.store import create_case
from caid_triage.model import Category, Decision, Match, Role, ScanRecord

WHEN = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
GRADE_A = Category("1", "Category A", "uk", 30)
GRADE_B = Category("2", "Category B", "uk", 20)
LARGE = b"." * 300  # behind a content's own bytes: above what is too small to link anything


def record(number: int, content: bytes, **changes: object) -> ScanRecord:
    """A picture of its own look, so large that the memory keeps it."""
    return samples.record(number, content + LARGE, **{"hashes": (), **changes})


def sha256(content: bytes) -> bytes:
    """The digest of what :func:`record` makes of a content."""
    return samples.digests(content + LARGE).sha256


def known_good(algorithm: str = "sha1") -> tuple[Match, ...]:
    """A match with a set of harmless material."""
    return (samples.match(Category("", "", "", 0), algorithm=algorithm, hashset="good-set", role=Role.KNOWN_GOOD),)


def make_case(
    folder: Path,
    records: Sequence[ScanRecord],
    matches: Sequence[tuple[Match, ...]] | None = None,
    *,
    reference: str = "OP/1",
    exhibit: str = "ABC/1",
    source: str = "disk.E01",
    decisions: Sequence[tuple[bytes, str, Category]] = (),
    **facts: object,
) -> Path:
    """A finished, closed case of one source; ``decisions`` are (SHA-256, examiner, grade), ``facts`` of the source."""
    with create_case(folder, CaseHeader(reference)) as case:
        case.record_hashset(samples.NOTABLE)
        case.record_hashset(samples.KNOWN_GOOD)
        number = case.add_source(samples.source(exhibit=exhibit, source=source, **facts), {})
        case.write_batch(number, records, matches or [()] * len(records), [], len(records))
        case.finish_source(number, len(records), len(records))
        for content, examiner, category in decisions:
            case.decide(content, Decision(examiner, WHEN, category, "a note with a NAME in it"))
    return folder


def write_scheme(path: Path) -> Path:
    """A scheme of the name that the grades of these tests are in."""
    lines = [
        'name = "uk"',
        'title = "Test"',
        'jurisdiction = "Test"',
        "regions = []",
        'source = "test"',
        'confirmed_by = ""',
    ]
    for code, label, severity in (("1", "Category A", 30), ("2", "Category B", 20)):
        lines += [
            "[[categories]]",
            f'code = "{code}"',
            f'label = "{label}"',
            f"severity = {severity}",
            'meaning = "notable"',
        ]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path
