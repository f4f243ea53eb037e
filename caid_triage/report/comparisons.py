"""Exhibit against exhibit, and a new release of a hash set against the one before: the comparison views of the page.

compare.csv (:func:`write_shared`) lists every occurrence of every content that several exhibits have.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, islice
from operator import attrgetter
from typing import TextIO

from caid_triage.case.rows import DeltaRow, RegradeRow
from caid_triage.case.shared import SharedFigures, SharedPair, SharedRow
from caid_triage.case.view import CaseView
from caid_triage.report.rows_csv import write_rows

PAIRS_SHOWN = 100
CONTENTS_SHOWN = 100
PLACES_SHOWN = 6
CHANGES_SHOWN = 200


def write_shared(view: CaseView, out: TextIO) -> None:
    """Write one row for each occurrence of each picture, film or listed file that several exhibits have."""
    write_rows(out, SharedRow, view.shared_rows())


@dataclass(frozen=True, slots=True)
class SharedContent:
    """A content that several exhibits have: one occurrence for its facts, the first places, how many there are."""

    row: SharedRow
    category: str
    scheme: str
    places: list[SharedRow]
    files: int


@dataclass(frozen=True, slots=True)
class SharedFacts:
    """What exhibits have in common: the figures, the pairs of exhibits, the first contents."""

    figures: SharedFigures
    pairs: list[SharedPair]
    pairs_total: int
    contents: list[SharedContent]


def shared_facts(view: CaseView) -> SharedFacts | None:
    """What the exhibits of a case have in common; None where it has only one."""
    if len({source.exhibit for source in view.sources()}) < 2:
        return None
    pairs = view.shared_pairs(PAIRS_SHOWN)
    contents = list(islice(_contents(view), CONTENTS_SHOWN))
    return SharedFacts(view.shared_figures(), pairs, pairs[0].total if pairs else 0, contents)


def _contents(view: CaseView) -> Iterator[SharedContent]:
    for _, rows in groupby(view.shared_rows(), attrgetter("sha256")):
        places: list[SharedRow] = []
        files, listed = 0, None
        for row in rows:
            files += 1
            if len(places) < PLACES_SHOWN:
                places.append(row)
            if listed is None and row.category_label:
                listed = row
        graded = listed or places[0]
        yield SharedContent(places[0], graded.category_label, graded.scheme, places, files)


@dataclass(frozen=True, slots=True)
class RegradeFacts:
    """The latest matching of the stored case again: its figures and the first files that changed."""

    row: RegradeRow
    changes: list[DeltaRow]
    total: int


def regrade_facts(view: CaseView) -> RegradeFacts | None:
    """What the latest release of the hash sets changed; None where the case was never matched again."""
    regrades = view.regrades()
    if not regrades:
        return None
    last = regrades[-1]
    rows = (row for row in view.delta() if row.regrade == last.regrade)
    changes = list(islice(rows, CHANGES_SHOWN))
    return RegradeFacts(last, changes, len(changes) + sum(1 for _ in rows))
